/* SPDX-License-Identifier: Apache-2.0 */
/* What a command does on this host beside the array: mounts, disk ids of live LUNs, writers. */
#include "crash/run.h"

#include "lun/label/disk_ids.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- writers --------------------------------------------------------------------------------- */

static void judge_writers_raw(struct run *run)
{
    judge_originals(run);
    world_check_no_writer(&run->w);
}

/* ---- disk ids -------------------------------------------------------------------------------- */

static bool is_same_body(const struct run *run, size_t i, const uint8_t *now)
{
    return now && memcmp(now + WORLD_EDGE, run->w.golden[i] + WORLD_EDGE,
                         WORLD_BYTES - 2 * (size_t)WORLD_EDGE) == 0;
}

/* The content is not touched, whatever became of the labels. */
static void judge_ids_raw(struct run *run)
{
    for (size_t i = 0; i < WORLD_LUNS; i++) {
        uint8_t *now = world_read(run->w.files[i]);
        run_expect(run, is_same_body(run, i, now), "new disk ids have changed the content");
        free(now);
    }
}

/* New ids: a whole label with an id of its own for the disk and each partition. */
static bool has_new_ids(const struct run *run, size_t i)
{
    struct vss_disk_ids old;
    struct vss_disk_ids now;
    bool is_new = run_read_ids(run->w.files[i], &now);
    char path[400];
    (void)snprintf(path, sizeof(path), "%s/golden", run->w.base);
    old = (struct vss_disk_ids){0};
    is_new = is_new && world_save(path, run->w.golden[i]) && run_read_ids(path, &old) &&
             now.kind == old.kind && now.partition_count == old.partition_count &&
             !disk_ids_equal(&now, &old);
    disk_ids_free(&now);
    disk_ids_free(&old);
    return is_new;
}

static void judge_ids(struct run *run)
{
    size_t changed = 0;
    judge_ids_raw(run);
    world_check_order(&run->w, NULL);
    for (size_t i = 0; i < WORLD_LUNS; i++) {
        bool is_new = !world_equals(run->w.files[i], run->w.golden[i]);
        changed += is_new;
        run_expect(run, !is_new || has_new_ids(run, i), "a label is neither the old nor a new one");
    }
    run_expect(run, changed == 0 || changed == WORLD_LUNS, "only some LUNs have new disk ids");
    run_expect(run, run->outcome != OUTCOME_RESUMED, "a change of disk ids was resumed");
    run_expect(run, run->outcome != OUTCOME_ROLLED_BACK || changed == 0,
               "a change of disk ids was taken back and is done");
}

/* ---- mounts ---------------------------------------------------------------------------------- */

static void prepare_exposable(struct run *run)
{
    struct world *w = &run->w;
    const char *const make[] = {"create", w->parts[0], w->parts[1], NULL};
    if (!run_has_set(run, false, true)) {
        run_make_set(run, make);
    }
}

static void prepare_exposed(struct run *run)
{
    const char *const expose[] = {"expose", run->copy_text, run->w.at, NULL};
    prepare_exposable(run);
    run_expect(run, world_run(&run->w, expose) == 0, "a copy cannot be exposed");
}

static bool is_exposed(struct run *run)
{
    struct set_record set;
    bool found = run_load_set(run, &set);
    for (size_t i = 0; i < set.snapshot_count; i++) {
        char id[ID_TEXT_BYTES];
        if (strcmp(id_text(&set.snapshots[i].snapshot_id, id), run->copy_text) == 0) {
            found = set.snapshots[i].attributes & VSS_VOLSNAP_ATTR_EXPOSED_LOCALLY;
        }
    }
    set_record_free(&set);
    return found;
}

/* Exposed as the registry says, or nothing is left of it. */
static void judge_expose(struct run *run)
{
    const char *const unexpose[] = {"unexpose", run->copy_text, NULL};
    run_expect(run, run->outcome != OUTCOME_RESUMED, "an exposure was resumed");
    if (is_exposed(run)) {
        run_expect(run, run->outcome != OUTCOME_ROLLED_BACK,
                   "an exposure was taken back and is there");
        /* what read from a tgtd that is gone waits for it */
        run_expect(run, run->victim == VICTIM_TARGET || world_has_exposed(&run->w),
                   "a copy that the registry calls exposed cannot be read");
        run_expect(run, world_run(&run->w, unexpose) == 0, "an exposure cannot be ended");
    }
    world_check_no_exposure(&run->w);
    world_check_order(&run->w, NULL);
    judge_originals(run);
    judge_pristine(run, "an exposure has changed a copy");
}

const struct scenario scenarios_of_host[] = {
    {.name = "writers",
     .prepare = prepare_nothing,
     .arguments = {"create", "LUN1", "LUN2"},
     .judge_raw = judge_writers_raw,
     .judge = judge_create,
     .has_writer = true},
    {.name = "ids",
     .prepare = prepare_nothing,
     .arguments = {"ids", "--fresh", "--yes", "LUN1", "LUN2"},
     .judge_raw = judge_ids_raw,
     .judge = judge_ids},
    {.name = "expose",
     .prepare = prepare_exposable,
     .arguments = {"expose", "COPY", "AT"},
     .judge = judge_expose,
     .needs_mounts = true},
    {.name = "unexpose",
     .prepare = prepare_exposed,
     .arguments = {"unexpose", "COPY"},
     .judge = judge_expose,
     .needs_mounts = true},
    {.name = NULL},
};
