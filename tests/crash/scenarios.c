/* SPDX-License-Identifier: Apache-2.0 */
/* What makes sets, changes and deletes them, and brings LUNs back. */
#include "crash/run.h"

#include "lun/label/label.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void run_expect(struct run *run, bool held, const char *what)
{
    if (!held) {
        world_fail(&run->w, "%s", what);
    }
}

/* ---- starting states ------------------------------------------------------------------------- */

void run_forget_copies(struct run *run)
{
    for (size_t i = 0; i < WORLD_LUNS; i++) {
        free(run->copies[i]);
        run->copies[i] = NULL;
    }
}

void prepare_nothing(struct run *run)
{
    run_forget_copies(run);
    world_clear(&run->w);
    world_write_all(&run->w, run->w.golden);
    run->set_id = id_null;
}

static bool is_imported(const struct set_record *set)
{
    return set->snapshot_count && (set->snapshots[0].attributes & VSS_VOLSNAP_ATTR_IMPORTED);
}

bool run_has_set(struct run *run, bool imported, bool of_partitions)
{
    struct set_record *sets = NULL;
    size_t count = world_sets(&run->w, &sets);
    bool is_same = count == 1 && id_equal(&sets[0].set_id, &run->set_id) &&
                   sets[0].snapshot_count == WORLD_LUNS && is_imported(&sets[0]) == imported &&
                   !strchr(sets[0].snapshots[0].original_volume, '#') != of_partitions;
    sets_free_all(sets, count);
    for (size_t i = 0; i < WORLD_LUNS; i++) {
        is_same = is_same && run->copies[i] && world_equals(run->copy_files[i], run->copies[i]);
    }
    /* Sets of partitions are not transportable, and have no document. */
    return is_same && !run->is_dirty && (of_partitions || access(run->w.document, R_OK) == 0);
}

void run_make_set(struct run *run, const char *const arguments[])
{
    struct set_record *sets = NULL;
    prepare_nothing(run);
    if (world_run(&run->w, arguments) != 0) {
        world_fail(&run->w, "a set cannot be made");
    }
    size_t count = world_sets(&run->w, &sets);
    if (count == 1) {
        run->set_id = sets[0].set_id;
        (void)id_text(&run->set_id, run->set_text);
        (void)id_text(&sets[0].snapshots[0].snapshot_id, run->copy_text);
    }
    sets_free_all(sets, count);
    for (size_t i = 0; i < WORLD_LUNS; i++) {
        (void)snprintf(run->copy_files[i], sizeof(run->copy_files[i]), "%s/.lunshadow-%s-%zu.copy",
                       run->w.lab->disks, run->set_text, i + 1);
        run->copies[i] = world_read(run->copy_files[i]);
        if (!run->copies[i]) {
            world_fail(&run->w, "the set has no copy %zu", i + 1);
        }
    }
    run->is_dirty = false;
}

static void prepare_transportable(struct run *run)
{
    struct world *w = &run->w;
    const char *const arguments[] = {"create",   "--transportable", "-o", w->document,
                                     w->urls[0], w->urls[1],        NULL};
    if (!run_has_set(run, false, false)) {
        run_make_set(run, arguments);
    }
    world_write_all(w, w->golden);
}

static void prepare_imported(struct run *run)
{
    struct world *w = &run->w;
    const char *const make[] = {"create",   "--transportable", "-o", w->document,
                                w->urls[0], w->urls[1],        NULL};
    const char *const import[] = {"import", w->document, NULL};
    if (run_has_set(run, true, false)) {
        return;
    }
    run_make_set(run, make);
    if (world_run(w, import) != 0) {
        world_fail(w, "a set cannot be imported");
    }
    for (size_t i = 0; i < WORLD_LUNS; i++) {
        free(run->copies[i]);
        run->copies[i] = world_read(run->copy_files[i]);
    }
}

/* A set whose document came from another host. */
static void prepare_foreign(struct run *run)
{
    run->is_dirty = true;
    prepare_transportable(run);
    world_forget(&run->w);
}

void prepare_damaged(struct run *run)
{
    prepare_transportable(run);
    world_write_all(&run->w, run->w.damaged);
}

/* The same, with copies that this host can read. */
static void prepare_damaged_shown(struct run *run)
{
    prepare_imported(run);
    world_write_all(&run->w, run->w.damaged);
}

/* What is golden again by a resync, and can be undone. */
static void prepare_undo(struct run *run)
{
    const char *const arguments[] = {"resync", "--yes", "--undo", run->w.document, NULL};
    struct set_record *sets = NULL;
    prepare_damaged(run);
    run_expect(run, world_run(&run->w, arguments) == 0, "a resync failed");
    size_t count = world_sets(&run->w, &sets);
    for (size_t i = 0; i < count; i++) {
        if (!id_equal(&sets[i].set_id, &run->set_id)) {
            (void)id_text(&sets[i].set_id, run->safety_text);
        }
    }
    run_expect(run, count == 2, "a resync made no safety copy");
    sets_free_all(sets, count);
}

/* ---- judges ---------------------------------------------------------------------------------- */

void judge_originals(struct run *run)
{
    for (size_t i = 0; i < WORLD_LUNS; i++) {
        if (!world_equals(run->w.files[i], run->w.golden[i])) {
            world_fail(&run->w, "original %zu was changed", i + 1);
        }
    }
}

/* Its set in the registry; false: it has none. */
bool run_load_set(struct run *run, struct set_record *out)
{
    struct set_record *sets = NULL;
    size_t count = world_sets(&run->w, &sets);
    bool found = false;
    *out = (struct set_record){0};
    for (size_t i = 0; i < count; i++) {
        if (id_equal(&sets[i].set_id, &run->set_id)) {
            found = SUCCEEDED(set_record_copy(&sets[i], out));
        }
    }
    sets_free_all(sets, count);
    return found;
}

bool run_read_ids(const char *path, struct vss_disk_ids *out)
{
    struct block_device *dev = NULL;
    struct label *label = NULL;
    *out = (struct vss_disk_ids){0};
    bool ok = SUCCEEDED(block_open_file(path, 512, true, &dev, NULL)) &&
              SUCCEEDED(label_read(dev, LABEL_FULL, &label, NULL)) &&
              SUCCEEDED(label_ids(label, out));
    ok = ok &&
         (label->kind != VSS_DISK_LABEL_GPT || (label->primary.is_valid && label->backup.is_valid));
    label_free(label);
    block_close(dev);
    return ok;
}

void judge_create(struct run *run)
{
    struct set_record *sets = NULL;
    size_t count = world_sets(&run->w, &sets);
    judge_originals(run);
    world_check_order(&run->w, NULL);
    run_expect(run, run->outcome != OUTCOME_RESUMED, "a create was resumed");
    run_expect(run, run->outcome != OUTCOME_ROLLED_BACK || count == 0,
               "a create that was taken back has left its set");
    sets_free_all(sets, count);
}

void judge_pristine(struct run *run, const char *what)
{
    for (size_t i = 0; i < WORLD_LUNS; i++) {
        run_expect(run, world_equals(run->copy_files[i], run->copies[i]), what);
    }
}

/* Labels are as the registry says. */
static void judge_imported(struct run *run, const struct set_record *set)
{
    for (size_t i = 0; i < set->lun_count; i++) {
        struct vss_disk_ids now;
        run_expect(run,
                   run_read_ids(run->copy_files[i], &now) &&
                       disk_ids_equal(&now, &set->luns[i].copy_ids),
                   "an imported copy has other disk ids than the registry says");
        disk_ids_free(&now);
    }
}

static void judge_import(struct run *run)
{
    struct set_record set;
    bool is_known = run_load_set(run, &set);
    judge_originals(run);
    world_check_order(&run->w, &run->set_id);
    if (is_known && is_imported(&set)) {
        run_expect(run, run->outcome != OUTCOME_ROLLED_BACK,
                   "an import was taken back and is there");
        judge_imported(run, &set);
    } else {
        run_expect(run, run->outcome != OUTCOME_RESUMED, "an import was finished and is not there");
        judge_pristine(run, "an import that is not there has changed a copy");
    }
    set_record_free(&set);
}

static void judge_foreign(struct run *run)
{
    struct set_record set;
    bool is_known = run_load_set(run, &set);
    judge_import(run);
    run_expect(run, !is_known || is_imported(&set), "an import that is not there has left its set");
    set_record_free(&set);
}

static void judge_break(struct run *run)
{
    struct set_record set;
    bool is_known = run_load_set(run, &set);
    judge_originals(run);
    world_check_order(&run->w, &run->set_id);
    if (is_known) {
        run_expect(run, run->outcome != OUTCOME_RESUMED,
                   "a break was finished and its set is there");
        if (run->outcome == OUTCOME_ROLLED_BACK) {
            judge_pristine(run, "a break that was taken back has changed a copy");
        } else { /* a break that fails late can be tried again: labels are as the registry says */
            judge_imported(run, &set);
        }
    } else {
        run_expect(run, run->outcome != OUTCOME_ROLLED_BACK,
                   "a break was taken back and its set is gone");
    }
    for (size_t i = 0; i < WORLD_LUNS; i++) {
        struct vss_disk_ids now;
        run_expect(run, run_read_ids(run->copy_files[i], &now), "a copy has no whole label");
        for (uint32_t p = 0;
             !is_known && run->scenario->arguments[1][2] == 'r' && p < now.partition_count; p++) {
            run_expect(run, !(now.partitions[p].attributes & GPT_ATTR_SHADOW_COPY),
                       "a broken copy is a shadow copy still");
        }
        disk_ids_free(&now);
    }
    set_record_free(&set);
}

static void judge_delete(struct run *run)
{
    struct set_record set;
    bool is_known = run_load_set(run, &set);
    judge_originals(run);
    world_check_order(&run->w, NULL);
    run_expect(run, run->outcome != OUTCOME_RESUMED || !is_known,
               "a delete was finished, the set is there");
    for (size_t i = 0; is_known && i < set.lun_count; i++) {
        bool is_gone = access(run->copy_files[i], F_OK) != 0;
        /* A host that dies before it answers has deleted what the registry has still: the delete
         * failed, and can be done again (which the next point begins with). */
        bool may_be_gone = set.luns[i].is_empty || run->outcome == OUTCOME_NOTHING;
        run_expect(run,
                   is_gone
                       ? may_be_gone
                       : !set.luns[i].is_empty && world_equals(run->copy_files[i], run->copies[i]),
                   "a copy is not what the registry says");
    }
    set_record_free(&set);
}

/* Tools that look at disks see a partition table in this file. */
static bool looks_valid(const char *path)
{
    char line[512];
    struct block_device *dev = NULL;
    struct label *label = NULL;
    bool is_valid = SUCCEEDED(block_open_file(path, 512, true, &dev, NULL)) &&
                    SUCCEEDED(label_read(dev, LABEL_FULL, &label, NULL)) &&
                    label->kind != VSS_DISK_LABEL_NONE;
    label_free(label);
    block_close(dev);
    (void)snprintf(line, sizeof(line), "PATH=$PATH:/usr/sbin:/sbin; sfdisk -d '%s' 2>/dev/null",
                   path);
    const char *const argv[] = {"sh", "-c", line, NULL};
    return is_valid || SUCCEEDED(process_run(argv, 10000, NULL, NULL));
}

/* A destination is what it was, or what it shall be (with the copy's ids or its own), or nothing at
 * all. */
static void judge_resync_raw(struct run *run)
{
    for (size_t i = 0; i < WORLD_LUNS; i++) {
        const char *path = run->w.files[i];
        uint8_t *now = world_read(path);
        bool is_whole = false;
        if (now) { /* between the labels: all of one or all of the other */
            const size_t from = WORLD_EDGE;
            const size_t bytes = WORLD_BYTES - 2 * from;
            is_whole = memcmp(now + from, run->w.damaged[i] + from, bytes) == 0 ||
                       memcmp(now + from, run->w.golden[i] + from, bytes) == 0;
        }
        run_expect(run, now && (is_whole || !looks_valid(path)),
                   "a half-written destination looks valid");
        free(now);
    }
}

static void judge_resync(struct run *run)
{
    world_check_order(&run->w, NULL);
    world_check_no_fence(&run->w);
    judge_pristine(run, "a resync has changed a copy");
    for (size_t i = 0; i < WORLD_LUNS; i++) {
        bool is_damaged = world_equals(run->w.files[i], run->w.damaged[i]);
        bool is_golden = run->resynced[i] && world_equals(run->w.files[i], run->resynced[i]);
        bool is_old = run->scenario->is_undo ? is_golden : is_damaged;
        bool is_new = run->scenario->is_undo ? is_damaged : is_golden;
        run_expect(run, is_old || is_new,
                   "a destination is neither what it was nor what it shall be");
        run_expect(run, run->outcome != OUTCOME_RESUMED || (run->was_undone ? is_damaged : is_new),
                   "a resync was finished and is not done");
        run_expect(run, run->outcome != OUTCOME_ROLLED_BACK || is_old,
                   "a resync was taken back and is done");
    }
}

const struct scenario scenarios_of_sets[] = {
    {.name = "create --transportable",
     .prepare = prepare_nothing,
     .arguments = {"create", "--transportable", "-o", "DOCUMENT", "LUN1", "LUN2"},
     .judge_raw = judge_originals,
     .judge = judge_create},
    {.name = "create",
     .prepare = prepare_nothing,
     .arguments = {"create", "LUN1", "LUN2"},
     .judge_raw = judge_originals,
     .judge = judge_create},
    {.name = "import",
     .prepare = prepare_transportable,
     .arguments = {"import", "DOCUMENT"},
     .judge = judge_import},
    {.name = "import of another host's set",
     .prepare = prepare_foreign,
     .arguments = {"import", "DOCUMENT"},
     .judge = judge_foreign},
    {.name = "break",
     .prepare = prepare_imported,
     .arguments = {"break", "--read-write", "SET"},
     .judge = judge_break},
    {.name = "break --mask",
     .prepare = prepare_imported,
     .arguments = {"break", "--mask", "SET"},
     .judge = judge_break},
    {.name = "delete",
     .prepare = prepare_imported,
     .arguments = {"delete", "SET"},
     .judge = judge_delete},
    {.name = "resync --no-undo",
     .prepare = prepare_damaged,
     .arguments = {"resync", "--yes", "--no-undo", "DOCUMENT"},
     .judge_raw = judge_resync_raw,
     .judge = judge_resync},
    {.name = "resync by the host",
     .prepare = prepare_damaged_shown,
     .arguments = {"resync", "--yes", "DOCUMENT"},
     .judge_raw = judge_resync_raw,
     .judge = judge_resync,
     .copies_by_host = true},
    {.name = "resync --undo",
     .prepare = prepare_damaged,
     .arguments = {"resync", "--yes", "--undo", "DOCUMENT"},
     .judge_raw = judge_resync_raw,
     .judge = judge_resync},
    {.name = "undo",
     .prepare = prepare_undo,
     .arguments = {"recover", "--undo", "SAFETY"},
     .judge_raw = judge_resync_raw,
     .judge = judge_resync,
     .is_undo = true},
    {.name = NULL},
};
