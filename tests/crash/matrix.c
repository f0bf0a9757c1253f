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
 * LUNSHADOW_CRASH_ONLY: a part of the name of those cases alone;
 * LUNSHADOW_CRASH_PART: "K/N", K from 1: only every Nth of them, so that N processes share all. */
#include "crash/run.h"

#include "common/clock.h"
#include "lun/info.h"
#include "provider/set/claim.h"
#include "registry/journal.h"
#include "resync/recover.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SAMPLE 72

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

/* ---- one point ------------------------------------------------------------------------------- */

static const char *const *arguments_of(struct run *run)
{
    static const char *out[8];
    struct world *w = &run->w;
    const struct {
        const char *word;
        const char *value;
    } words[] = {{"DOCUMENT", w->document}, {"SET", run->set_text}, {"SAFETY", run->safety_text},
                 {"COPY", run->copy_text},  {"AT", w->at},          {"LUN1", w->urls[0]},
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

/* A recovery that was killed has left its own entry beside the one it was about. */
static bool is_possible(const struct journal_entry *entries, size_t count, enum recover_way way)
{
    for (size_t i = 0; i < count; i++) {
        if (recover_refusal(&entries[i], way)) {
            return false;
        }
    }
    return true;
}

/* The option by which all that is open can be dealt with; NULL: nothing is open. */
static const char *choose_way(struct run *run, enum recover_way wanted)
{
    struct journal_entry *entries = NULL;
    size_t count = world_entries(&run->w, &entries);
    const char *option = NULL;
    if (count) {
        enum recover_way other = wanted == RECOVER_RESUME ? RECOVER_ROLLBACK : RECOVER_RESUME;
        enum recover_way way = is_possible(entries, count, wanted) ? wanted : other;
        run_expect(run, is_possible(entries, count, way),
                   "there is no way to deal with all entries");
        option = way == RECOVER_RESUME ? "--resume" : "--rollback";
    }
    journal_free_all(entries, count);
    return option;
}

/* Is a resync that put a safety copy back journaled as done? To resume it is to let hosts in. */
static bool is_undone(struct run *run)
{
    static const char undo[] = "\"verbatim\":true";
    struct journal_entry *entries = NULL;
    size_t count = world_entries(&run->w, &entries);
    bool is = false;
    for (size_t i = 0; i < count; i++) {
        const struct journal_step *plan = journal_find_step(&entries[i], PLAN_STEP, NULL);
        is = is || (plan && journal_find_step(&entries[i], "done", NULL) &&
                    memmem(plan->data, plan->data_bytes, undo, strlen(undo)));
    }
    journal_free_all(entries, count);
    return is;
}

static void recover(struct run *run, enum recover_way wanted)
{
    const char *option = choose_way(run, wanted);
    run->was_undone = is_undone(run);
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
    run->victim = row->victim;
    world_use_writer(&run->w, row->scenario->has_writer);
    world_configure(&run->w, row->scenario->copies_by_host, row->victim == VICTIM_TARGET);
    run->w.point = row->name;
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
        run_expect(run, result.points > 0 || row->base, "the command has no point at all");
        bool is_nothing = row->base && result.points == 0; /* it left nothing */
        run_expect(run, is_nothing || (WIFEXITED(result.status) && WEXITSTATUS(result.status) == 0),
                   "the undisturbed command failed");
    }
    if (row->scenario->judge_raw) {
        row->scenario->judge_raw(run);
    }
    world_revive_target(&run->w, row->victim == VICTIM_TARGET && result.is_killed);
    recover(run, (kill_at ^ row->way) & 1 ? RECOVER_RESUME : RECOVER_ROLLBACK);
    row->scenario->judge(run);
    run->w.point = NULL;
    if (row->victim == VICTIM_TARGET) {
        run->is_dirty = true; /* what tgtd showed of a set goes with it */
    }
    if (run->w.failures > failures) { /* the next point begins anew */
        world_drop_exposures(&run->w);
        world_forget(&run->w);
        world_restart_target(&run->w); /* with whatever is fenced */
        prepare_nothing(run);
    }
    return result.is_killed;
}

/* ---- the matrix ------------------------------------------------------------------------------ */

#define ROWS_MAX 160

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
    run_expect(run, world_run(&run->w, arguments) == 0, "a resync failed");
    for (size_t i = 0; i < WORLD_LUNS; i++) {
        const size_t from = WORLD_EDGE;
        run->resynced[i] = world_read(run->w.files[i]);
        run_expect(run,
                   run->resynced[i] && memcmp(run->resynced[i] + from, run->w.golden[i] + from,
                                              WORLD_BYTES - 2 * from) == 0,
                   "a resync did not bring the content back");
        run_expect(run, run_read_ids(run->w.files[i], &ids[i]), "a resync left no whole label");
    }
    world_write_all(&run->w, run->w.damaged);
    for (size_t i = 0; i < WORLD_LUNS; i++) {
        struct vss_disk_ids own;
        run_expect(run, run_read_ids(run->w.files[i], &own) && disk_ids_equal(&own, &ids[i]),
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

/* Does LUNSHADOW_CRASH_ONLY ask for recoveries of this scenario? */
static bool is_recovery_wanted(const char *only, const struct scenario *s)
{
    static const char *const ways[] = {"resume", "rollback"};
    bool is_wanted = false;
    for (size_t i = 0; i < 2; i++) {
        char name[96];
        (void)snprintf(name, sizeof(name), "recover --%s of %s killed at ", ways[i], s->name);
        is_wanted = is_wanted || strstr(name, only) || strncmp(only, name, strlen(name)) == 0;
    }
    return is_wanted;
}

/* For rows of recoveries alone: how many points the scenario itself has. */
static long count_if_recovered(struct matrix *m, const struct scenario *s)
{
    struct row row = {.scenario = s};
    const char *only = getenv("LUNSHADOW_CRASH_ONLY");
    if (!only || !is_recovery_wanted(only, s)) {
        return 0;
    }
    (void)snprintf(row.name, sizeof(row.name), "%s, not killed", s->name);
    (void)hit(&m->run, &row, 0);
    return row.points;
}

static void add_rows_of(struct matrix *m, const struct scenario *s, bool is_sample)
{
    if (s->needs_mounts && m->run.w.no_mounts) {
        (void)printf("skipped: %s: %s\n", s->name, m->run.w.no_mounts);
        return;
    }
    const struct row *row = add_row(m, s, VICTIM_COMMAND, 0, RECOVER_RESUME, 0);
    long points = row ? row->points : count_if_recovered(m, s);
    (void)add_row(m, s, VICTIM_HOST, 0, RECOVER_RESUME, points);
    (void)add_row(m, s, VICTIM_TARGET, 0, RECOVER_RESUME, points);
    if (points) {
        add_recoveries(m, s, points, is_sample);
    }
}

static void add_rows(struct matrix *m, bool is_sample)
{
    static const struct scenario *const tables[] = {scenarios_of_sets, scenarios_of_host};
    for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++) {
        for (const struct scenario *s = tables[t]; s->name; s++) {
            add_rows_of(m, s, is_sample);
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

/* Points first to last of every row: of all, or those of this process's part. */
static void hit_range(struct matrix *m, long first, long last)
{
    long part = 1;
    long parts = 1;
    const char *wanted = getenv("LUNSHADOW_CRASH_PART");
    if (wanted && (sscanf(wanted, "%ld/%ld", &part, &parts) != 2 || part < 1 || part > parts)) {
        world_fail(&m->run.w, "LUNSHADOW_CRASH_PART is K/N, not '%s'", wanted);
        return;
    }
    for (size_t i = 0; i < m->count; i++) {
        uint64_t begun = clock_monotonic_us();
        int failures = m->run.w.failures;
        for (long point = first; point <= m->rows[i].points && point <= last; point++) {
            if (point % parts == part - 1) {
                hit_one(m, &m->rows[i], point);
            }
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
        if (why) {
            (void)printf("skipped: %s\n", why);
        }
        world_close(&m.run.w);
        return why ? 77 : 1;
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
    run_forget_copies(&m.run);
    world_clear(&m.run.w);
    for (size_t i = 0; i < WORLD_LUNS; i++) {
        free(m.run.resynced[i]);
    }
    int failures = m.run.w.failures;
    world_close(&m.run.w);
    return failures ? 1 : 0;
}
