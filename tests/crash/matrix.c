/* SPDX-License-Identifier: Apache-2.0 */
/* usage: test_crash_matrix LUNSHADOW
 *
 * Every lunshadow command that changes something is killed at every moment at which that matters
 * (tracer.h), on a real array: the command itself, its provider host, or tgtd. Then `recover`
 * finishes it or takes it back, and all is judged from the raw files, from tgtd and from the
 * registry. A recovery that is killed too is killed again and again.
 *
 * LUNSHADOW_CRASH_POINTS: how many points to hit, "all", or "FIRST-LAST" of every row;
 * LUNSHADOW_CRASH_SEED: which;
 * LUNSHADOW_CRASH_ONLY: a part of the name of those cases alone. */
#include "crash/tracer.h"
#include "crash/world.h"

#include "common/clock.h"
#include "lun/info.h"
#include "lun/label/label.h"
#include "resync/recover.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SAMPLE 72

struct run;

struct scenario {
    const char *name;
    void (*prepare)(struct run *run);
    const char *arguments[8];           /* SET and DOCUMENT stand for what they say */
    void (*judge_raw)(struct run *run); /* right after the kill; NULL: nothing to see */
    void (*judge)(struct run *run);
    bool is_undo; /* a resync from the golden content to the damaged */
};

/* What was done about a kill. */
enum outcome { OUTCOME_NOTHING, OUTCOME_RESUMED, OUTCOME_ROLLED_BACK };

struct run {
    struct world w;
    const struct scenario *scenario;
    VSS_ID set_id; /* of the set that the scenario begins with */
    char set_text[ID_TEXT_BYTES];
    char safety_text[ID_TEXT_BYTES]; /* of the safety copy that an undo begins with */
    char copy_files[WORLD_LUNS][400];
    uint8_t *copies[WORLD_LUNS]; /* their content at the beginning */
    uint8_t *resynced[WORLD_LUNS];
    bool is_dirty; /* nothing of the last point can be used again */
    enum outcome outcome;
};

/* One row of points: a scenario and what is killed in it; or, where base > 0, a recovery of what
 * was killed at that point of it. */
struct row {
    const struct scenario *scenario;
    enum victim victim;
    long base;
    enum recover_way way; /* of a recovery */
    long points;
    char name[96];
};

static void expect(struct run *run, bool held, const char *what)
{
    if (!held) {
        world_fail(&run->w, "%s", what);
    }
}

/* ---- starting states ------------------------------------------------------------------------- */

static void forget_copies(struct run *run)
{
    for (size_t i = 0; i < WORLD_LUNS; i++) {
        free(run->copies[i]);
        run->copies[i] = NULL;
    }
}

static void prepare_nothing(struct run *run)
{
    forget_copies(run);
    world_clear(&run->w);
    world_write_all(&run->w, run->w.golden);
    run->set_id = id_null;
}

static bool is_imported(const struct set_record *set)
{
    return set->snapshot_count && (set->snapshots[0].attributes & VSS_VOLSNAP_ATTR_IMPORTED);
}

/* The set of the last point, if it is as it was. */
static bool has_set(struct run *run, bool imported)
{
    struct set_record *sets = NULL;
    size_t count = world_sets(&run->w, &sets);
    bool is_same = count == 1 && id_equal(&sets[0].set_id, &run->set_id) &&
                   sets[0].snapshot_count == WORLD_LUNS && is_imported(&sets[0]) == imported;
    sets_free_all(sets, count);
    for (size_t i = 0; i < WORLD_LUNS; i++) {
        is_same = is_same && run->copies[i] && world_equals(run->copy_files[i], run->copies[i]);
    }
    return is_same && !run->is_dirty && access(run->w.document, R_OK) == 0;
}

static void make_set(struct run *run, const char *const arguments[])
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
    if (!has_set(run, false)) {
        make_set(run, arguments);
    }
    world_write_all(w, w->golden);
}

static void prepare_imported(struct run *run)
{
    struct world *w = &run->w;
    const char *const make[] = {"create",   "--transportable", "-o", w->document,
                                w->urls[0], w->urls[1],        NULL};
    const char *const import[] = {"import", w->document, NULL};
    if (has_set(run, true)) {
        return;
    }
    make_set(run, make);
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

static void prepare_damaged(struct run *run)
{
    prepare_transportable(run);
    world_write_all(&run->w, run->w.damaged);
}

/* What is golden again by a resync, and can be undone. */
static void prepare_undo(struct run *run)
{
    const char *const arguments[] = {"resync", "--yes", "--undo", run->w.document, NULL};
    struct set_record *sets = NULL;
    prepare_damaged(run);
    expect(run, world_run(&run->w, arguments) == 0, "a resync failed");
    size_t count = world_sets(&run->w, &sets);
    for (size_t i = 0; i < count; i++) {
        if (!id_equal(&sets[i].set_id, &run->set_id)) {
            (void)id_text(&sets[i].set_id, run->safety_text);
        }
    }
    expect(run, count == 2, "a resync made no safety copy");
    sets_free_all(sets, count);
}

/* ---- judges ---------------------------------------------------------------------------------- */

static void judge_originals(struct run *run)
{
    for (size_t i = 0; i < WORLD_LUNS; i++) {
        if (!world_equals(run->w.files[i], run->w.golden[i])) {
            world_fail(&run->w, "original %zu was changed", i + 1);
        }
    }
}

/* Its set in the registry; false: it has none. */
static bool load_set(struct run *run, struct set_record *out)
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

static bool read_ids(const char *path, struct vss_disk_ids *out)
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

static void judge_create(struct run *run)
{
    struct set_record *sets = NULL;
    size_t count = world_sets(&run->w, &sets);
    judge_originals(run);
    world_check_order(&run->w, NULL);
    expect(run, run->outcome != OUTCOME_RESUMED, "a create was resumed");
    expect(run, run->outcome != OUTCOME_ROLLED_BACK || count == 0,
           "a create that was taken back has left its set");
    sets_free_all(sets, count);
}

static void judge_pristine(struct run *run, const char *what)
{
    for (size_t i = 0; i < WORLD_LUNS; i++) {
        expect(run, world_equals(run->copy_files[i], run->copies[i]), what);
    }
}

/* Labels are as the registry says. */
static void judge_imported(struct run *run, const struct set_record *set)
{
    for (size_t i = 0; i < set->lun_count; i++) {
        struct vss_disk_ids now;
        expect(run,
               read_ids(run->copy_files[i], &now) && disk_ids_equal(&now, &set->luns[i].copy_ids),
               "an imported copy has other disk ids than the registry says");
        disk_ids_free(&now);
    }
}

static void judge_import(struct run *run)
{
    struct set_record set;
    bool is_known = load_set(run, &set);
    judge_originals(run);
    world_check_order(&run->w, &run->set_id);
    if (is_known && is_imported(&set)) {
        expect(run, run->outcome != OUTCOME_ROLLED_BACK, "an import was taken back and is there");
        judge_imported(run, &set);
    } else {
        expect(run, run->outcome != OUTCOME_RESUMED, "an import was finished and is not there");
        judge_pristine(run, "an import that is not there has changed a copy");
    }
    set_record_free(&set);
}

static void judge_foreign(struct run *run)
{
    struct set_record set;
    bool is_known = load_set(run, &set);
    judge_import(run);
    expect(run, !is_known || is_imported(&set), "an import that is not there has left its set");
    set_record_free(&set);
}

static void judge_break(struct run *run)
{
    struct set_record set;
    bool is_known = load_set(run, &set);
    judge_originals(run);
    world_check_order(&run->w, &run->set_id);
    if (is_known) {
        expect(run, run->outcome != OUTCOME_RESUMED, "a break was finished and its set is there");
        if (run->outcome == OUTCOME_ROLLED_BACK) {
            judge_pristine(run, "a break that was taken back has changed a copy");
        } else { /* a break that fails late can be tried again: labels are as the registry says */
            judge_imported(run, &set);
        }
    } else {
        expect(run, run->outcome != OUTCOME_ROLLED_BACK,
               "a break was taken back and its set is gone");
    }
    for (size_t i = 0; i < WORLD_LUNS; i++) {
        struct vss_disk_ids now;
        expect(run, read_ids(run->copy_files[i], &now), "a copy has no whole label");
        for (uint32_t p = 0;
             !is_known && run->scenario->arguments[1][2] == 'r' && p < now.partition_count; p++) {
            expect(run, !(now.partitions[p].attributes & GPT_ATTR_SHADOW_COPY),
                   "a broken copy is a shadow copy still");
        }
        disk_ids_free(&now);
    }
    set_record_free(&set);
}

static void judge_delete(struct run *run)
{
    struct set_record set;
    bool is_known = load_set(run, &set);
    judge_originals(run);
    world_check_order(&run->w, NULL);
    expect(run, run->outcome != OUTCOME_RESUMED || !is_known,
           "a delete was finished, the set is there");
    for (size_t i = 0; is_known && i < set.lun_count; i++) {
        bool is_gone = access(run->copy_files[i], F_OK) != 0;
        /* A host that dies before it answers has deleted what the registry has still: the delete
         * failed, and can be done again (which the next point begins with). */
        bool may_be_gone = set.luns[i].is_empty || run->outcome == OUTCOME_NOTHING;
        expect(run,
               is_gone ? may_be_gone
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
        expect(run, now && (is_whole || !looks_valid(path)),
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
        expect(run, is_old || is_new, "a destination is neither what it was nor what it shall be");
        expect(run, run->outcome != OUTCOME_RESUMED || is_new,
               "a resync was finished and is not done");
        expect(run, run->outcome != OUTCOME_ROLLED_BACK || is_old,
               "a resync was taken back and is done");
    }
}

static const struct scenario scenarios[] = {
    {"create --transportable",
     prepare_nothing,
     {"create", "--transportable", "-o", "DOCUMENT", "LUN1", "LUN2"},
     judge_originals,
     judge_create,
     false},
    {"create",
     prepare_nothing,
     {"create", "-o", "DOCUMENT", "LUN1", "LUN2"},
     judge_originals,
     judge_create,
     false},
    {"import", prepare_transportable, {"import", "DOCUMENT"}, NULL, judge_import, false},
    {"import of another host's set",
     prepare_foreign,
     {"import", "DOCUMENT"},
     NULL,
     judge_foreign,
     false},
    {"break", prepare_imported, {"break", "--read-write", "SET"}, NULL, judge_break, false},
    {"break --mask", prepare_imported, {"break", "--mask", "SET"}, NULL, judge_break, false},
    {"delete", prepare_imported, {"delete", "SET"}, NULL, judge_delete, false},
    {"resync --no-undo",
     prepare_damaged,
     {"resync", "--yes", "--no-undo", "DOCUMENT"},
     judge_resync_raw,
     judge_resync,
     false},
    {"resync --undo",
     prepare_damaged,
     {"resync", "--yes", "--undo", "DOCUMENT"},
     judge_resync_raw,
     judge_resync,
     false},
    {"undo", prepare_undo, {"recover", "--undo", "SAFETY"}, judge_resync_raw, judge_resync, true},
};

/* ---- one point ------------------------------------------------------------------------------- */

static const char *const *arguments_of(struct run *run)
{
    static const char *out[8];
    struct world *w = &run->w;
    const struct {
        const char *word;
        const char *value;
    } words[] = {{"DOCUMENT", w->document},
                 {"SET", run->set_text},
                 {"SAFETY", run->safety_text},
                 {"LUN1", w->urls[0]},
                 {"LUN2", w->urls[1]}};
    for (size_t i = 0; i < 8; i++) {
        out[i] = run->scenario->arguments[i];
        for (size_t k = 0; out[i] && k < sizeof(words) / sizeof(words[0]); k++) {
            out[i] = strcmp(out[i], words[k].word) == 0 ? words[k].value : out[i];
        }
    }
    return out;
}

static void trace(struct run *run, const char *const *arguments, long kill_at, enum victim victim,
                  struct trace_result *out)
{
    struct trace_plan plan = {.argv = world_argv(&run->w, arguments),
                              .output = world_open_log(&run->w),
                              .kill_at = kill_at,
                              .victim = victim,
                              .target = run->w.lab->tgtd_pid};
    if (!trace_run(&plan, out)) {
        world_fail(&run->w, "the command cannot be traced, or does not end");
    }
    (void)close(plan.output);
}

/* The option by which what is open can be dealt with; NULL: nothing is open. */
static const char *choose_way(struct run *run, enum recover_way wanted)
{
    struct journal_entry *entries = NULL;
    size_t count = world_entries(&run->w, &entries);
    const char *option = NULL;
    if (count) {
        enum recover_way other = wanted == RECOVER_RESUME ? RECOVER_ROLLBACK : RECOVER_RESUME;
        enum recover_way way = recover_refusal(&entries[0], wanted) ? other : wanted;
        expect(run, !recover_refusal(&entries[0], way), "there is no way to deal with an entry");
        option = way == RECOVER_RESUME ? "--resume" : "--rollback";
    }
    journal_free_all(entries, count);
    return option;
}

static void recover(struct run *run, enum recover_way wanted)
{
    const char *option = choose_way(run, wanted);
    run->outcome = !option                           ? OUTCOME_NOTHING
                   : strcmp(option, "--resume") == 0 ? OUTCOME_RESUMED
                                                     : OUTCOME_ROLLED_BACK;
    const char *const arguments[] = {"recover", option, NULL};
    if (option && world_run(&run->w, arguments) != 0) {
        world_fail(&run->w, "recover %s failed", option);
        run->is_dirty = true;
    }
}

/* A recovery, killed at its point kill_at (0: not at all). */
static void trace_recovery(struct run *run, const struct row *row, long kill_at,
                           struct trace_result *out)
{
    const char *option = choose_way(run, row->way);
    *out = (struct trace_result){0};
    if (option) {
        const char *const arguments[] = {"recover", option, NULL};
        trace(run, arguments, kill_at, row->victim, out);
    }
}

/* Kills once and judges. kill_at 0: counts the points, and judges what was not disturbed. */
static bool hit(struct run *run, struct row *row, long kill_at)
{
    struct trace_result base = {0};
    struct trace_result result = {0};
    char point[192];
    int failures = run->w.failures;
    run->scenario = row->scenario;
    run->w.point = row->name;
    if (row->victim == VICTIM_TARGET) {
        run->is_dirty = true; /* what tgtd showed of a set goes with it */
    }
    row->scenario->prepare(run);
    if (row->base) {
        trace(run, arguments_of(run), row->base, VICTIM_COMMAND, &base);
        trace_recovery(run, row, kill_at, &result);
    } else {
        trace(run, arguments_of(run), kill_at, row->victim, &result);
    }
    (void)snprintf(point, sizeof(point), "%s, point %ld (%s)", row->name, kill_at, result.at);
    run->w.point = point;
    if (kill_at == 0) {
        row->points = result.points;
        expect(run, result.points > 0 || row->base, "the command has no point at all");
        bool is_nothing = row->base && result.points == 0; /* it left nothing */
        expect(run, is_nothing || (WIFEXITED(result.status) && WEXITSTATUS(result.status) == 0),
               "the undisturbed command failed");
    }
    if (row->scenario->judge_raw) {
        row->scenario->judge_raw(run);
    }
    world_revive_target(&run->w);
    recover(run, (kill_at ^ row->way) & 1 ? RECOVER_RESUME : RECOVER_ROLLBACK);
    row->scenario->judge(run);
    run->w.point = NULL;
    if (run->w.failures > failures) { /* the next point begins anew */
        world_forget(&run->w);
        prepare_nothing(run);
    }
    return result.is_killed;
}

/* ---- the matrix ------------------------------------------------------------------------------ */

#define ROWS_MAX 96

struct matrix {
    struct run run;
    struct row rows[ROWS_MAX];
    size_t count;
    long total;
    long hits;
    long misses; /* points that a disturbed command did not come to */
    uint64_t random;
};

static uint64_t next_random(struct matrix *m)
{
    m->random = m->random * 6364136223846793005ull + 1442695040888963407ull;
    return m->random >> 33;
}

/* points 0: not known, to be counted by a run without a kill. */
static struct row *add_row(struct matrix *m, const struct scenario *s, enum victim victim,
                           long base, enum recover_way way, long points)
{
    static const char *const victims[] = {"command", "provider host", "tgtd"};
    struct row *row = &m->rows[m->count];
    const char *only = getenv("LUNSHADOW_CRASH_ONLY");
    *row = (struct row){.scenario = s, .victim = victim, .base = base, .way = way};
    if (base) {
        (void)snprintf(row->name, sizeof(row->name), "recover --%s of %s killed at %ld",
                       way == RECOVER_RESUME ? "resume" : "rollback", s->name, base);
    } else {
        (void)snprintf(row->name, sizeof(row->name), "%s, %s killed", s->name, victims[victim]);
    }
    if (m->count + 1 == ROWS_MAX || (only && !strstr(row->name, only))) {
        return NULL;
    }
    m->count++;
    if (points == 0) {
        (void)hit(&m->run, row, 0);
        points = row->points;
    }
    row->points = points;
    m->total += points;
    (void)printf("%5ld points: %s\n", row->points, row->name);
    (void)fflush(stdout);
    return row;
}

static void keep_resynced(struct run *run)
{
    const char *const arguments[] = {"resync", "--yes", "--no-undo", run->w.document, NULL};
    struct vss_disk_ids ids[WORLD_LUNS];
    prepare_damaged(run);
    expect(run, world_run(&run->w, arguments) == 0, "a resync failed");
    for (size_t i = 0; i < WORLD_LUNS; i++) {
        const size_t from = WORLD_EDGE;
        run->resynced[i] = world_read(run->w.files[i]);
        expect(run,
               run->resynced[i] && memcmp(run->resynced[i] + from, run->w.golden[i] + from,
                                          WORLD_BYTES - 2 * from) == 0,
               "a resync did not bring the content back");
        expect(run, read_ids(run->w.files[i], &ids[i]), "a resync left no whole label");
    }
    world_write_all(&run->w, run->w.damaged);
    for (size_t i = 0; i < WORLD_LUNS; i++) {
        struct vss_disk_ids own;
        expect(run, read_ids(run->w.files[i], &own) && disk_ids_equal(&own, &ids[i]),
               "a resync did not keep the destination's disk ids");
        disk_ids_free(&own);
        disk_ids_free(&ids[i]);
    }
}

/* The recoveries of a scenario: killed at a quarter, a half, three quarters of it. In a sample, one
 * of them. */
static void add_recoveries(struct matrix *m, const struct scenario *s, long points, bool is_sample)
{
    uint64_t chosen = next_random(m) % 6;
    for (uint64_t i = 0; i < 6; i++) {
        if (!is_sample || i == chosen) {
            (void)add_row(m, s, VICTIM_COMMAND, points * (long)(i / 2 + 1) / 4 + 1,
                          i % 2 ? RECOVER_RESUME : RECOVER_ROLLBACK, 0);
        }
    }
}

/* For rows of recoveries alone: how many points the scenario itself has. */
static long count_if_recovered(struct matrix *m, const struct scenario *s)
{
    struct row row = {.scenario = s};
    const char *only = getenv("LUNSHADOW_CRASH_ONLY");
    if (!only || !strstr(only, "recover -") || !strstr(only, s->name)) {
        return 0;
    }
    (void)snprintf(row.name, sizeof(row.name), "%s, not killed", s->name);
    (void)hit(&m->run, &row, 0);
    return row.points;
}

static void add_rows(struct matrix *m, bool is_sample)
{
    for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
        const struct scenario *s = &scenarios[i];
        const struct row *row = add_row(m, s, VICTIM_COMMAND, 0, RECOVER_RESUME, 0);
        long points = row ? row->points : count_if_recovered(m, s);
        (void)add_row(m, s, VICTIM_HOST, 0, RECOVER_RESUME, points);
        (void)add_row(m, s, VICTIM_TARGET, 0, RECOVER_RESUME, points);
        if (points) {
            add_recoveries(m, s, points, is_sample);
        }
    }
}

static void hit_one(struct matrix *m, struct row *row, long point)
{
    if (hit(&m->run, row, point)) {
        m->hits++;
    } else {
        m->misses++;
    }
}

/* Points first to last of every row. */
static void hit_range(struct matrix *m, long first, long last)
{
    for (size_t i = 0; i < m->count; i++) {
        uint64_t begun = clock_monotonic_us();
        int failures = m->run.w.failures;
        for (long point = first; point <= m->rows[i].points && point <= last; point++) {
            hit_one(m, &m->rows[i], point);
        }
        (void)printf("%s: %ld points, %d failures, %.1f s\n", m->rows[i].name, m->rows[i].points,
                     m->run.w.failures - failures, (double)(clock_monotonic_us() - begun) / 1e6);
        (void)fflush(stdout);
    }
}

/* Each row gets its part, the smallest one too. */
static void hit_some(struct matrix *m, long wanted)
{
    for (long n = 0; n < wanted && m->count; n++) {
        struct row *row = &m->rows[(size_t)n % m->count];
        if (row->points) {
            hit_one(m, row, 1 + (long)(next_random(m) % (uint64_t)row->points));
        }
    }
}

int main(int argc, char *argv[])
{
    static struct matrix m;
    const char *why = NULL;
    const char *wanted = getenv("LUNSHADOW_CRASH_POINTS");
    const char *seed = getenv("LUNSHADOW_CRASH_SEED");
    m.random = seed ? strtoull(seed, NULL, 10) : (uint64_t)clock_filetime() & 0xffffffff;
    if (argc != 2) {
        (void)fprintf(stderr, "usage: test_crash_matrix LUNSHADOW\n");
        return 2;
    }
    if (!world_open(&m.run.w, argv[1], &why)) {
        (void)printf("skipped: %s\n", why);
        world_close(&m.run.w);
        return 77;
    }
    (void)printf("seed %llu\n", (unsigned long long)m.random);
    keep_resynced(&m.run);
    long first = 1;
    long last = LONG_MAX;
    bool is_sample = !wanted || (strcmp(wanted, "all") != 0 && !strchr(wanted, '-'));
    add_rows(&m, is_sample);
    if (is_sample) {
        hit_some(&m, wanted ? strtol(wanted, NULL, 10) : SAMPLE);
    } else {
        (void)sscanf(wanted, "%ld-%ld", &first, &last);
        hit_range(&m, first, last);
    }
    (void)printf("crash matrix: %ld of %ld points, %ld not reached, %d failures\n", m.hits, m.total,
                 m.misses, m.run.w.failures);
    forget_copies(&m.run);
    world_clear(&m.run.w);
    for (size_t i = 0; i < WORLD_LUNS; i++) {
        free(m.run.resynced[i]);
    }
    int failures = m.run.w.failures;
    world_close(&m.run.w);
    return failures ? 1 : 0;
}
