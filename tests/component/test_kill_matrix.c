/* SPDX-License-Identifier: Apache-2.0 */
/* Every callback in every way of failing, on real sets of a real array: the call ends with the
 * documented code, an event says why, the set is taken back with nothing left of it, the originals
 * are what they were, and the next set is made. The fault shim does it once, in the plug-in's own
 * process. A quarter of the matrix runs unless LUNSHADOW_KILL_MATRIX=all. */
#include "component/array_fixture.h"

#include "common/buffer.h"
#include "common/clock.h"
#include "registry/events.h"
#include "resync/recovery.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define ROLLBACK      ((uint32_t)VSS_CTX_APP_ROLLBACK)
#define TRANSPORTABLE (ROLLBACK | VSS_VOLSNAP_ATTR_TRANSPORTABLE)

/* What a call that hangs is given. Every other call has to be done in that time too. */
enum { SLOW_MS = 3000, SET_LUNS = 2, EVENTS = 16, PART = 4, LEFT_MS = 3000 };

/* ---- the two sides of the matrix ----------------------------------------------------------------
 */

struct way {
    const char *fault;
    const char *before; /* of the event, around the operation's name; NULL: the call succeeds */
    const char *after;
    bool is_slow;
    bool is_code;
};

static const struct way ways[] = {
    {"segv", "provider died of signal 11 (SIGSEGV) in ", " after ", false, false},
    {"after:segv", "provider died of signal 11 (SIGSEGV) in ", " after ", false, false},
    {"abort", "provider died of signal 6 (SIGABRT) in ", " after ", false, false},
    {"exit=3", "provider ended with exit code 3 in ", " after ", false, false},
    {"hang", "provider did not answer ", " within 3000 ms and was killed", true, false},
    {"spin", "provider did not answer ", " within 3000 ms and was killed", true, false},
    {"close", "provider closed its connection in ", " after ", false, false},
    {"garbage", "provider answered ", " with garbage after ", false, false},
    {"orphan", "provider ended with exit code 4 in ", " after ", false, false},
    {"leak=100", NULL, NULL, false, false},
    {"0x80004005", "", " failed", false, true},
};
enum { WAYS = sizeof(ways) / sizeof(ways[0]) };

/* How an operation comes to be called, and what has to be left of that. */
enum scene {
    AT_OPEN,   /* the array is not usable in that session */
    AT_CLOSE,  /* nobody waits for the answer */
    IN_SET,    /* no set */
    IN_IMPORT, /* a set: it is asked again about a copy that was not told to be the array's */
    IN_ABORT,  /* no set: it is aborted again */
    IN_DELETE, /* the set, until it is deleted again */
    IN_RESYNC, /* a destination that is not whole, until the same resync runs again */
    IN_CANCEL, /* likewise */
    IN_LIST    /* nothing: a host that is not told what has changed compares everything */
};

struct row {
    const char *operation;
    enum scene scene;
    bool is_code_free; /* any code of it passes */
};

static const struct row rows[] = {
    {"OnLoad", AT_OPEN, false},
    {"OnUnload", AT_CLOSE, true},
    {"GetProviderCapabilities", AT_OPEN, false},
    {"AreLunsSupported", IN_SET, false},
    {"FillInLunInfo", IN_IMPORT, false},
    {"BeginPrepareSnapshot", IN_SET, false},
    {"EndPrepareSnapshots", IN_SET, false},
    {"PreCommitSnapshots", IN_SET, false},
    {"CommitSnapshots", IN_SET, false},
    {"PostCommitSnapshots", IN_SET, false},
    {"PreFinalCommitSnapshots", IN_SET, false},
    {"PostFinalCommitSnapshots", IN_SET, false},
    {"AbortSnapshots", IN_ABORT, true},
    {"GetTargetLuns", IN_SET, false},
    {"LocateLuns", IN_SET, false},
    {"OnLunEmpty", IN_DELETE, false},
    {"OnLunStateChange", IN_SET, false},
    {"ResyncLuns", IN_RESYNC, false},
    {"ResyncLuns poll", IN_RESYNC, false},
    {"ResyncLuns cancel", IN_CANCEL, true},
    {"ListChanges", IN_LIST, false},
};
enum { ROWS = sizeof(rows) / sizeof(rows[0]) };
/* OnReuseLuns is called by nobody. */
_Static_assert(ROWS == VSS_OP_COUNT - 1, "a row for each operation that is ever called");

/* ---- one cell ----------------------------------------------------------------------------------
 */

struct cell {
    struct array *array;
    const struct row *row;
    const struct way *way;
    char words[256]; /* of the event */
    size_t children;
    uint64_t digests[ARRAY_LUNS];
};

static char *plain_config; /* as the fixture wrote it */

static char *read_text(const char *path)
{
    struct buffer text = BUFFER_INIT;
    char chunk[1024];
    size_t got = 0;
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    while ((got = fread(chunk, 1, sizeof(chunk), file)) > 0) {
        buffer_add(&text, chunk, got);
    }
    assert_int_equal(fclose(file), 0);
    return buffer_take(&text);
}

static void write_config(const struct array *a, const char *shims, const char *lines)
{
    static const char provider[] = "provider = tgt\n";
    const char *at = strstr(plain_config, provider);
    assert_non_null(at);
    FILE *file = fopen(a->config, "we");
    assert_non_null(file);
    assert_true(fprintf(file, "%.*sprovider = %stgt\n%s%s", (int)(at - plain_config), plain_config,
                        shims, lines, at + strlen(provider)) > 0);
    assert_int_equal(fclose(file), 0);
}

/* One process counts the calls of the one before: the fault is due once. */
static void configure_faults(const struct array *a, const char *faults, const char *more)
{
    char calls[128];
    char lines[512];
    (void)snprintf(calls, sizeof(calls), "%s/calls", a->base);
    (void)unlink(calls);
    (void)snprintf(lines, sizeof(lines), "fault = %s\nfault_calls = %s\n%s", faults, calls, more);
    write_config(a, "fault/", lines);
}

static void configure(const struct cell *c)
{
    char faults[256];
    const char *more = c->row->scene == IN_ABORT    ? ", CommitSnapshots:1:VSS_E_PROVIDER_VETO"
                       : c->row->scene == IN_CANCEL ? ", ResyncLuns poll:1:VSS_E_PROVIDER_VETO"
                                                    : "";
    char lines[96] = "";
    if (c->way->is_slow) {
        (void)snprintf(lines, sizeof(lines), "deadline_ms = %d\n", SLOW_MS);
    }
    if (c->row->scene == IN_LIST) {
        (void)strcat(lines, "resync = emulated\n");
    }
    (void)snprintf(faults, sizeof(faults), "%s:1:%s%s", c->row->operation, c->way->fault, more);
    configure_faults(c->array, faults, lines);
}

static HRESULT expected_code(const struct cell *c)
{
    bool is_late_cut = c->way->is_slow && strcmp(c->row->operation, "CommitSnapshots") == 0;
    return is_late_cut ? VSS_E_HOLD_WRITES_TIMEOUT : VSS_E_UNEXPECTED_PROVIDER_ERROR;
}

static bool has_event(struct array *a, const char *words)
{
    struct event_record *events = NULL;
    size_t count = 0;
    bool found = false;
    assert_int_equal(events_load(a->env->store, EVENTS, &events, &count, NULL), S_OK);
    for (size_t i = 0; i < count && !found; i++) {
        found = strstr(events[i].text, words) != NULL;
    }
    events_free_all(events, count);
    return found;
}

static void assert_failed(const struct cell *c, HRESULT hr, const struct error *err)
{
    if (!c->way->before) {
        array_assert_ok(hr, err, __FILE__, __LINE__);
        return;
    }
    array_assert_refused(hr, expected_code(c), err, c->words, __FILE__, __LINE__);
}

static void assert_told(const struct cell *c)
{
    if (c->way->before && !has_event(c->array, c->words)) {
        fail_msg("no event says \"%s\"", c->words);
    }
}

/* ---- sets --------------------------------------------------------------------------------------
 */

static HRESULT try_create(struct array *a, uint32_t context, size_t luns, struct set_record *out,
                          struct error *err)
{
    struct set_builder *builder = NULL;
    VSS_ID set_id;
    VSS_ID snapshot_id;
    *out = (struct set_record){0};
    HRESULT hr = set_start(a->env, context, &builder, &set_id, err);
    for (size_t i = 0; i < luns && SUCCEEDED(hr); i++) {
        hr = set_add_volume(builder, a->urls[i], NULL, &snapshot_id, err);
    }
    if (SUCCEEDED(hr)) {
        hr = set_commit(builder, NULL, out, err);
    }
    set_builder_free(builder);
    return hr;
}

static void create(struct array *a, uint32_t context, size_t luns, struct set_record *out)
{
    struct error err = {0};
    assert_ok(try_create(a, context, luns, out, &err), &err);
}

static HRESULT try_delete(struct array *a, const struct set_record *set, struct error *err)
{
    int32_t deleted = 0;
    return set_delete(a->env, &set->set_id, VSS_OBJECT_SNAPSHOT_SET, &deleted, NULL, err);
}

static void delete_set(struct array *a, struct set_record *set)
{
    struct error err = {0};
    assert_ok(try_delete(a, set, &err), &err);
    set_record_free(set);
}

static HRESULT try_resync(struct array *a, const struct set_record *set, struct error *err)
{
    struct recovery *r = NULL;
    HRESULT hr = recovery_new(a->env, set, &r, err);
    for (size_t i = 0; i < set->snapshot_count && SUCCEEDED(hr); i++) {
        hr = recovery_add(r, &set->snapshots[i].snapshot_id, NULL, err);
    }
    if (SUCCEEDED(hr)) {
        hr = recovery_run(r, 0, err);
    }
    recovery_free(r);
    return hr;
}

/* ---- scenes ------------------------------------------------------------------------------------
 */

static void at_open(const struct cell *c)
{
    bool is_usable = providers_count(c->array->env->providers) == 1;
    assert_int_equal(is_usable, c->way->before == NULL);
    assert_told(c);
    array_reopen(c->array);
    assert_int_equal(providers_count(c->array->env->providers), 1);
}

static void in_set(const struct cell *c)
{
    struct error err = {0};
    struct set_record set;
    HRESULT hr = try_create(c->array, ROLLBACK, SET_LUNS, &set, &err);
    if (c->row->scene == IN_IMPORT) {
        assert_ok(hr, &err);
    } else {
        assert_failed(c, hr, &err);
    }
    assert_told(c);
    if (SUCCEEDED(hr)) {
        delete_set(c->array, &set);
    }
}

static void in_abort(const struct cell *c)
{
    struct error err = {0};
    struct set_record set;
    HRESULT hr = try_create(c->array, ROLLBACK, SET_LUNS, &set, &err);
    assert_refused(hr, VSS_E_PROVIDER_VETO, &err, "fault: CommitSnapshots");
    assert_told(c);
}

static void in_delete(const struct cell *c)
{
    struct error err = {0};
    struct set_record set;
    create(c->array, ROLLBACK, SET_LUNS, &set);
    HRESULT hr = try_delete(c->array, &set, &err);
    assert_failed(c, hr, &err);
    assert_told(c);
    if (FAILED(hr)) {
        delete_set(c->array, &set);
    } else {
        set_record_free(&set);
    }
}

/* The originals are other ones by then; what the copies hold brings them back. */
static void in_resync(const struct cell *c)
{
    struct array *a = c->array;
    struct error err = {0};
    struct set_record set;
    create(a, TRANSPORTABLE, SET_LUNS, &set);
    for (size_t i = 0; i < SET_LUNS; i++) {
        array_fill(a, i, 3u << 20, 1u << 20, (uint8_t)(0x70 + i));
        assert_true(array_digest(a->files[i]) != c->digests[i]);
    }
    HRESULT hr = try_resync(a, &set, &err);
    if (c->row->scene == IN_CANCEL) {
        assert_refused(hr, VSS_E_PROVIDER_VETO, &err, "fault: ResyncLuns poll");
    } else {
        assert_failed(c, hr, &err);
    }
    assert_told(c);
    if (FAILED(hr)) {
        error_clear(&err);
        assert_ok(try_resync(a, &set, &err), &err);
    }
    delete_set(a, &set);
}

static void in_list(const struct cell *c)
{
    struct array *a = c->array;
    struct error err = {0};
    struct set_record set;
    create(a, ROLLBACK, SET_LUNS, &set); /* the host reads its copies: they are shown */
    for (size_t i = 0; i < SET_LUNS; i++) {
        array_fill(a, i, 3u << 20, 1u << 20, (uint8_t)(0x70 + i));
    }
    assert_ok(try_resync(a, &set, &err), &err);
    assert_told(c);
    delete_set(a, &set);
}

static void play(const struct cell *c)
{
    array_reopen(c->array);
    switch (c->row->scene) {
    case AT_OPEN:
        at_open(c);
        break;
    case AT_CLOSE:
        array_reopen(c->array); /* closes the first one */
        break;
    case IN_SET:
    case IN_IMPORT:
        in_set(c);
        break;
    case IN_ABORT:
        in_abort(c);
        break;
    case IN_DELETE:
        in_delete(c);
        break;
    case IN_RESYNC:
    case IN_CANCEL:
        in_resync(c);
        break;
    case IN_LIST:
        in_list(c);
        break;
    }
}

/* ---- what must hold afterwards ------------------------------------------------------------------
 */

static void stat_of(const char *pid, char *out_state, pid_t *out_parent)
{
    char path[300];
    char text[512] = "";
    *out_state = 0;
    *out_parent = 0;
    (void)snprintf(path, sizeof(path), "/proc/%s/stat", pid);
    FILE *file = fopen(path, "re");
    const char *end = file && fgets(text, sizeof(text), file) ? strrchr(text, ')') : NULL;
    if (end && end[1] && end[2]) {
        *out_state = end[2];
        *out_parent = (pid_t)strtol(end + 3, NULL, 10);
    }
    if (file) {
        (void)fclose(file);
    }
}

/* Ours, and whatever lost its parent (we are the subreaper). The killed ones are reaped. */
static size_t count_children(void)
{
    size_t count = 0;
    while (waitpid(-1, NULL, WNOHANG) > 0) {
    }
    DIR *directory = opendir("/proc");
    assert_non_null(directory);
    for (struct dirent *e = readdir(directory); e; e = readdir(directory)) {
        char state = 0;
        pid_t parent = 0;
        if (strspn(e->d_name, "0123456789") == strlen(e->d_name)) {
            stat_of(e->d_name, &state, &parent);
            count += parent == getpid();
        }
    }
    assert_int_equal(closedir(directory), 0);
    return count;
}

static void assert_no_process_left(const struct cell *c)
{
    size_t now = count_children();
    for (int i = 0; i < LEFT_MS / 10 && now != c->children; i++) {
        clock_sleep_ms(10);
        now = count_children();
    }
    assert_int_equal(now, c->children);
}

static void assert_no_hold(const struct cell *c)
{
    char pid[16];
    char state = 0;
    pid_t parent = 0;
    (void)snprintf(pid, sizeof(pid), "%ld", (long)c->array->lab->tgtd_pid);
    stat_of(pid, &state, &parent);
    assert_true(state == 'S' || state == 'R' || state == 'D');
}

static void assert_untouched(const struct cell *c)
{
    for (size_t i = 0; i < ARRAY_LUNS; i++) {
        if (array_digest(c->array->files[i]) != c->digests[i]) {
            fail_msg("%s is not what it was", c->array->files[i]);
        }
    }
}

static void assert_whole(const struct cell *c)
{
    struct array *a = c->array;
    struct set_record set;
    assert_no_hold(c);
    array_assert_nothing_left(a);
    assert_untouched(c);
    create(a, ROLLBACK, 1, &set); /* the next one */
    delete_set(a, &set);
    array_assert_nothing_left(a);
    set_environment_close(a->env);
    a->env = NULL;
    assert_no_process_left(c);
}

static void start_cell(struct cell *c)
{
    for (size_t i = 0; i < ARRAY_LUNS; i++) {
        c->digests[i] = array_digest(c->array->files[i]);
    }
    set_environment_close(c->array->env);
    c->array->env = NULL;
    c->children = count_children();
}

static void run_cell(struct array *a, const struct row *row, const struct way *way)
{
    struct cell c = {.array = a, .row = row, .way = way};
    if (way->before) {
        (void)snprintf(c.words, sizeof(c.words), "array lab: %s%s%s", way->before, row->operation,
                       way->after);
    }
    if (way->is_code && !row->is_code_free) {
        (void)strncat(c.words, " with E_FAIL (0x80004005), which it may not give: fault: ",
                      sizeof(c.words) - strlen(c.words) - 1);
    }
    start_cell(&c);
    configure(&c);
    play(&c);
    assert_whole(&c);
}

/* ---- the matrix --------------------------------------------------------------------------------
 */

static bool is_wanted(size_t row, size_t way)
{
    const char *all = getenv("LUNSHADOW_KILL_MATRIX");
    return (all && strcmp(all, "all") == 0) || (row + way) % PART == 0;
}

static void every_callback_in_every_way(void **state)
{
    struct array *a = *state;
    size_t cells = 0;
    uint64_t start_us = clock_monotonic_us();
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
    for (size_t r = 0; r < ROWS; r++) {
        for (size_t w = 0; w < WAYS; w++) {
            if (is_wanted(r, w)) {
                print_message("%s:%s\n", rows[r].operation, ways[w].fault);
                run_cell(a, &rows[r], &ways[w]);
                cells++;
            }
        }
    }
    print_message("kill matrix: %zu of %d cells (%d callbacks x %d ways to fail) lost nothing and "
                  "left nothing, in %llu s%s\n",
                  cells, ROWS * WAYS, ROWS, WAYS,
                  (unsigned long long)((clock_monotonic_us() - start_us) / 1000000),
                  cells < (size_t)ROWS * WAYS ? "; LUNSHADOW_KILL_MATRIX=all for all of them" : "");
    assert_true(cells >= (size_t)ROWS * WAYS / PART - 1);
}

/* ---- lies --------------------------------------------------------------------------------------
 */

/* A provider that lives, and says what is not so. The set is not made, whatever it says. */
static void lies_make_no_set(void **state)
{
    static const struct {
        const char *faults;
        HRESULT code;
        const char *words;
    } lies[] = {
        {"EndPrepareSnapshots:1:lose", VSS_E_PROVIDER_VETO, "PreCommitSnapshots failed"},
        {"CommitSnapshots:1:lose", VSS_E_PROVIDER_VETO, "no copy was cut of it"},
        {"CommitSnapshots:1:half", VSS_E_PROVIDER_VETO, "no copy was cut of it"},
        {"CommitSnapshots:1:S_OK", VSS_E_UNEXPECTED_PROVIDER_ERROR, "did not say when it cut"},
        {"GetTargetLuns:1:half", VSS_E_UNEXPECTED_PROVIDER_ERROR, "no unique page-83 identity"},
        {"GetTargetLuns:1:lose", VSS_E_UNEXPECTED_PROVIDER_ERROR, "no unique page-83 identity"},
        {"GetTargetLuns:1:identity", VSS_E_UNEXPECTED_PROVIDER_ERROR, "that of the original"},
        {"GetTargetLuns:1:S_OK", VSS_E_UNEXPECTED_PROVIDER_ERROR, "returned no LUNs"},
        {"FillInLunInfo:identity", VSS_E_UNEXPECTED_PROVIDER_ERROR, "promised"},
        {"LocateLuns:1:lose", VSS_E_UNEXPECTED_PROVIDER_ERROR, "is on no configured portal"},
        {"LocateLuns:1:S_OK", VSS_E_UNEXPECTED_PROVIDER_ERROR, "no copy was found"},
    };
    struct array *a = *state;
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        struct cell c = {.array = a};
        struct error err = {0};
        struct set_record set;
        print_message("%s\n", lies[i].faults);
        start_cell(&c);
        configure_faults(a, lies[i].faults, "");
        array_reopen(a);
        HRESULT hr = try_create(a, ROLLBACK, SET_LUNS, &set, &err);
        assert_refused(hr, lies[i].code, &err, lies[i].words);
        write_config(a, "", "");
        array_reopen(a);
        assert_whole(&c);
    }
}

/* The process dies when it has deleted a copy; asked again, its array knows no such copy, as it may
 * say. The set can be deleted all the same. */
static void a_copy_that_is_gone_keeps_no_set(void **state)
{
    struct array *a = *state;
    struct cell c = {.array = a};
    struct error err = {0};
    struct set_record set;
    start_cell(&c);
    configure_faults(a, "OnLunEmpty:1:after:abort, OnLunEmpty:2:VSS_E_OBJECT_NOT_FOUND", "");
    array_reopen(a);
    create(a, ROLLBACK, SET_LUNS, &set);
    assert_refused(try_delete(a, &set, &err), VSS_E_UNEXPECTED_PROVIDER_ERROR, &err,
                   "(SIGABRT) in OnLunEmpty");
    delete_set(a, &set);
    assert_true(has_event(a, "OnLunEmpty failed: fault: OnLunEmpty:2:VSS_E_OBJECT_NOT_FOUND"));
    assert_whole(&c);
}

static int start(void **state)
{
    int rc = array_start(state);
    plain_config = read_text(((struct array *)*state)->config);
    return rc;
}

static int stop(void **state)
{
    free(plain_config);
    return array_stop(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lies_make_no_set),
                                       cmocka_unit_test(a_copy_that_is_gone_keeps_no_set),
                                       cmocka_unit_test(every_callback_in_every_way)};
    return cmocka_run_group_tests(tests, start, stop);
}
