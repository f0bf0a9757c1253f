/* SPDX-License-Identifier: Apache-2.0 */
/* What a plug-in can do to its host process, and what that costs: one call. */
#include "common/clock.h"
#include "common/config.h"
#include "provider/host/inspect.h"
#include "provider/host/internal.h"
#include "provider/host/remote.h"
#include "registry/events.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED true
#else
#define IS_SANITIZED false
#endif

/* What a call that hangs is given, and the most that others have beside it. */
#define SHORT_MS    500u
#define LONG_MS     2000u
#define RSS_KIB_MAX 8192

struct fixture {
    char directory[64];
    char plugin[96]; /* a copy: the build may lie where another user cannot look */
    char marks[96];
    char marker[112];
    struct store *store;
    struct config *config;
    struct providers *providers;
    struct provider *provider;
    uint32_t call_ms; /* of call(); 0: its usual time */
    size_t fds;
};

static size_t count_fds(void)
{
    size_t count = 0;
    DIR *directory = opendir("/proc/self/fd");
    assert_non_null(directory);
    while (readdir(directory)) {
        count++;
    }
    assert_int_equal(closedir(directory), 0);
    return count;
}

/* "S" and the like; 0: no such process. */
static char process_state(pid_t pid)
{
    char path[64];
    char text[256] = "";
    (void)snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    ssize_t n = read(fd, text, sizeof(text) - 1);
    assert_int_equal(close(fd), 0);
    const char *name_end = n > 0 ? strrchr(text, ')') : NULL;
    return name_end ? name_end[2] : 0;
}

static bool is_running(pid_t pid)
{
    char state = process_state(pid);
    return state != 0 && state != 'Z' && state != 'X';
}

static void assert_ends(pid_t pid)
{
    for (int i = 0; i < 500 && is_running(pid); i++) {
        clock_sleep_ms(10);
    }
    assert_false(is_running(pid));
}

static bool is_in_group(const char *name, pid_t group)
{
    long pid = strtol(name, NULL, 10);
    return pid > 0 && is_running((pid_t)pid) && getpgid((pid_t)pid) == group;
}

static bool has_members(pid_t group)
{
    bool found = false;
    DIR *directory = opendir("/proc");
    assert_non_null(directory);
    for (struct dirent *e = readdir(directory); e && !found; e = readdir(directory)) {
        found = is_in_group(e->d_name, group);
    }
    assert_int_equal(closedir(directory), 0);
    return found;
}

/* Who was killed may get to it a moment later. */
static void assert_no_members(pid_t group)
{
    for (int i = 0; i < 500 && has_members(group); i++) {
        clock_sleep_ms(10);
    }
    assert_false(has_members(group));
}

/* All of its threads are gone afterwards; it is not reaped. */
static void kill_and_wait(pid_t pid)
{
    struct pollfd p = {.fd = pidfd_open(pid, 0), .events = POLLIN};
    assert_true(p.fd >= 0);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(poll(&p, 1, 5000), 1);
    assert_int_equal(close(p.fd), 0);
}

static void assert_no_zombies(void)
{
    siginfo_t info = {0};
    int rc = waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT);
    assert_true(rc != 0 || info.si_pid == 0);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct error err = {0};
    char line[1024];
    assert_non_null(f);
    (void)snprintf(f->directory, sizeof(f->directory), "/tmp/lunshadow-isolation-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    (void)snprintf(f->plugin, sizeof(f->plugin), "%s/bad.so", f->directory);
    (void)snprintf(f->marks, sizeof(f->marks), "%s/marks", f->directory);
    (void)snprintf(f->marker, sizeof(f->marker), "%s/marker", f->marks);
    (void)snprintf(line, sizeof(line), "cp '%s' '%s' && chmod 755 '%s' && mkdir '%s'", PLUGIN_PATH,
                   f->plugin, f->plugin, f->marks);
    assert_int_equal(system(line), 0); /* NOLINT(cert-env33-c): paths of our own making */
    assert_int_equal(store_open(f->directory, &f->store, &err), S_OK);
    f->fds = count_fds();
    *state = f;
    return 0;
}

static void close_providers(struct fixture *f)
{
    providers_close(f->providers);
    config_free(f->config);
    f->providers = NULL;
    f->config = NULL;
    siginfo_t info = {0};
    assert_int_equal(waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT), -1); /* no child */
    assert_int_equal(count_fds(), f->fds);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    char line[96];
    providers_close(f->providers);
    config_free(f->config);
    store_close(f->store);
    (void)snprintf(line, sizeof(line), "rm -rf '%s'", f->directory);
    int rc = system(line); /* NOLINT(cert-env33-c): a path of our own making */
    free(f);
    return rc;
}

static void open_plugin(struct fixture *f, const char *path, const char *bad, uint32_t deadline_ms,
                        const char *more)
{
    char text[1024];
    struct error err = {0};
    char deadline[64] = "";
    if (deadline_ms) {
        (void)snprintf(deadline, sizeof(deadline), "deadline_ms = %u\n", deadline_ms);
    }
    (void)snprintf(text, sizeof(text), "[array bad]\nprovider = %s\nbad = %s\nmarker = %s\n%s%s\n",
                   path, bad, f->marker, deadline, more);
    assert_int_equal(config_parse(text, "test", &f->config, &err), S_OK);
    assert_int_equal(providers_open(f->config, f->store, &f->providers, &err), S_OK);
    f->provider = providers_find(f->providers, "bad");
}

static void open_bad(struct fixture *f, const char *bad, uint32_t deadline_ms, const char *more)
{
    open_plugin(f, f->plugin, bad, deadline_ms, more);
    assert_non_null(f->provider);
}

/* The next call of this operation is the bad one. */
static void mark(const struct fixture *f, enum vss_provider_op op)
{
    FILE *file = fopen(f->marker, "we");
    assert_non_null(file);
    assert_true(fprintf(file, "%d", (int)op) > 0);
    assert_int_equal(fclose(file), 0);
}

static void newest_event(struct fixture *f, char *out, size_t bytes)
{
    struct event_record *events = NULL;
    size_t count = 0;
    assert_int_equal(events_load(f->store, 1, &events, &count, NULL), S_OK);
    (void)snprintf(out, bytes, "%s", count ? events[0].text : "");
    events_free_all(events, count);
}

static void assert_has(const char *text, const char *words)
{
    if (!strstr(text, words)) {
        fail_msg("\"%s\" lacks \"%s\"", text, words);
    }
}

static void assert_event(struct fixture *f, const char *words)
{
    char text[1024];
    newest_event(f, text, sizeof(text));
    assert_has(text, words);
}

/* One LUN and a state wherever the operation takes them. */
static HRESULT call_with(struct fixture *f, enum vss_provider_op op, struct provider_arena *arena,
                         union wire_out *out, uint32_t deadline_ms, struct error *err)
{
    static uint8_t bytes[] = {0x60, 1, 2, 3};
    const char *device = "iscsi://host/target/1";
    struct vss_storage_identifier id = {
        .code_set = 1, .type = 3, .identifier_bytes = sizeof(bytes), .identifier = bytes};
    struct vss_lun_info info = {.version = 1,
                                .serial_number = (char *)"original",
                                .device_id = {.identifier_count = 1, .identifiers = &id}};
    struct vss_state known = {.bytes = sizeof(bytes), .data = bytes};
    struct vss_set_lun set_lun = {.device = device, .source = info, .state = known};
    struct vss_resync_lun pair = {.snapshot = info, .destination = info, .snapshot_state = known};
    struct vss_luns_in luns = {
        .struct_size = sizeof(luns), .lun_count = 1, .devices = &device, .luns = &info};
    struct vss_set_in set = {.struct_size = sizeof(set), .lun_count = 1, .luns = &set_lun};
    struct vss_state_change_in change = {.struct_size = sizeof(change), .set = set};
    struct vss_resync_in resync = {.struct_size = sizeof(resync), .lun_count = 1, .luns = &pair};
    struct vss_on_load_in load = {.struct_size = sizeof(load)};
    struct vss_on_unload_in unload = {.struct_size = sizeof(unload), .is_forced = 1};
    struct vss_changes_in changes = {
        .struct_size = sizeof(changes), .extent_max = VSS_PROVIDER_EXTENTS_MAX, .lun = &pair};
    const void *const ins[VSS_OP_COUNT] = {
        &load, &unload, NULL, &luns, &luns, &luns,   &set,    &set,    &set,    &set, &set,
        &set,  &set,    &set, &set,  &set,  &change, &resync, &resync, &resync, &set, &changes};
    memset(out, 0, sizeof(*out));
    void *wanted = op_find(op)->out_bytes ? out : NULL;
    return provider_call(f->provider, op, ins[op], wanted, arena, deadline_ms, err);
}

static HRESULT call(struct fixture *f, enum vss_provider_op op, struct error *err)
{
    struct provider_arena arena = PROVIDER_ARENA_INIT;
    union wire_out out;
    HRESULT hr = call_with(f, op, &arena, &out, f->call_ms, err);
    provider_arena_free(&arena);
    return hr;
}

static void assert_works(struct fixture *f)
{
    struct provider_arena arena = PROVIDER_ARENA_INIT;
    struct error err = {0};
    union wire_out out;
    HRESULT hr = call_with(f, VSS_OP_FILL_IN_LUN_INFO, &arena, &out, 0, &err);
    if (hr != S_OK) {
        fail_msg("the next call failed: %s", err.text);
    }
    assert_int_equal(out.supported.is_supported, 1);
    assert_string_equal(out.supported.luns[0].serial_number, "serial");
    provider_arena_free(&arena);
}

/* ---- the matrix --------------------------------------------------------------------------------
 */

struct way {
    const char *bad;
    const char *words; /* of the event, in front of "in OPERATION" or the like */
    const char *after; /* the operation */
    bool is_slow;
};

static const struct way ways[] = {
    {"crash", "provider died of signal 11 (SIGSEGV) in ", " after ", false},
    {"abort", "provider died of signal 6 (SIGABRT) in ", " after ", false},
    {"exit", "provider ended with exit code 3 in ", " after ", false},
    {"hang", "provider did not answer ", " within ", true},
    {"close", "provider closed its connection in ", " after ", false},
    {"garbage", "provider answered ", " with garbage after ", false},
    {"zeros", "provider answered ", " with garbage after ", false},
};
enum { WAYS = sizeof(ways) / sizeof(ways[0]) };

/* OnLoad is called for the first call in a new process, so the one that serves has to go. */
static HRESULT provoke(struct fixture *f, enum vss_provider_op op, struct error *err)
{
    if (op == VSS_OP_ON_LOAD) {
        pid_t pid = remote_pid(f->provider->remote);
        kill_and_wait(pid);
        mark(f, op);
        return call(f, VSS_OP_LOCATE_LUNS, err);
    }
    mark(f, op);
    return call(f, op, err);
}

static void run_case(struct fixture *f, const struct way *way, enum vss_provider_op op)
{
    char words[256];
    struct error err = {0};
    bool is_late_cut = way->is_slow && op == VSS_OP_COMMIT_SNAPSHOTS;
    size_t fds = count_fds();
    f->call_ms = way->is_slow && op != VSS_OP_ON_LOAD ? SHORT_MS : 0; /* a start takes longer */
    HRESULT hr = provoke(f, op, &err);
    (void)snprintf(words, sizeof(words), "array bad: %s%s%s", way->words, provider_op_name(op),
                   way->after);
    assert_has(err.text, words);
    assert_event(f, words);
    assert_int_equal(hr, is_late_cut ? VSS_E_HOLD_WRITES_TIMEOUT : VSS_E_UNEXPECTED_PROVIDER_ERROR);
    assert_int_equal(err.code, hr);
    assert_no_zombies();
    assert_works(f);
    assert_no_zombies();
    assert_int_equal(count_fds(), fds);
    assert_int_equal(access(f->marker, F_OK), -1); /* it was the bad call indeed */
}

static void every_callback_may_fail_in_every_way(void **state)
{
    struct fixture *f = *state;
    size_t cases = 0;
    for (size_t w = 0; w < WAYS; w++) {
        open_bad(f, ways[w].bad, ways[w].is_slow ? LONG_MS : 0, "");
        for (uint32_t op = 0; op < VSS_OP_COUNT; op++) {
            run_case(f, &ways[w], (enum vss_provider_op)op);
            cases++;
        }
        mark(f, VSS_OP_ON_UNLOAD); /* and once more where nobody asks */
        close_providers(f);
        assert_int_equal(access(f->marker, F_OK), -1);
    }
    print_message("kill matrix: %d callbacks x %d kinds of failure, %zu cases\n", VSS_OP_COUNT,
                  WAYS, cases);
    assert_int_equal(cases, (size_t)VSS_OP_COUNT * WAYS);
}

/* ---- other misdeeds ----------------------------------------------------------------------------
 */

static void bad_answers_are_refused(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *bad;
        enum vss_provider_op op;
        const char *words;
    } cases[] = {
        {"state", VSS_OP_POST_COMMIT_SNAPSHOTS, "returned 4097 bytes of state; the limit is 4096"},
        {"state", VSS_OP_RESYNC_POLL, "returned 4097 bytes of state; the limit is 4096"},
        {"huge", VSS_OP_BEGIN_PREPARE_SNAPSHOT, "larger than 16 MiB"},
        {"designator", VSS_OP_GET_TARGET_LUNS, "a designator over 255 bytes"},
        {"extents", VSS_OP_LIST_CHANGES, "named 65537 extents; the limit is 65536"},
        {"no-extents", VSS_OP_LIST_CHANGES, "counts extents that it does not give"},
        {"pointer", VSS_OP_LOCATE_LUNS, "died of signal 11 (SIGSEGV) in LocateLuns"},
        {"spin", VSS_OP_FILL_IN_LUN_INFO, "did not answer FillInLunInfo within "},
        {"flood", VSS_OP_FILL_IN_LUN_INFO, "did not answer FillInLunInfo within "},
        {"fork", VSS_OP_FILL_IN_LUN_INFO, "ended with exit code 4 in FillInLunInfo"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error err = {0};
        f->call_ms = strstr(cases[i].words, " within ") ? SHORT_MS : 0;
        open_bad(f, cases[i].bad, 0, "");
        pid_t group = remote_pid(f->provider->remote);
        mark(f, cases[i].op);
        assert_int_equal(call(f, cases[i].op, &err), VSS_E_UNEXPECTED_PROVIDER_ERROR);
        assert_has(err.text, cases[i].words);
        assert_event(f, cases[i].words);
        assert_works(f);
        if (remote_pid(f->provider->remote) != group) {
            assert_no_members(group); /* nor does anything live that it started */
        }
        close_providers(f);
    }
}

static void bad_answers_can_be_traced(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    char traced[112];
    (void)snprintf(traced, sizeof(traced), "trace/%s", f->plugin);
    open_plugin(f, traced, "no-extents", 0, "");
    assert_non_null(f->provider);
    mark(f, VSS_OP_LIST_CHANGES);
    assert_int_equal(call(f, VSS_OP_LIST_CHANGES, &err), VSS_E_UNEXPECTED_PROVIDER_ERROR);
    assert_has(err.text, "counts extents that it does not give");
    close_providers(f);
}

static void answers_that_look_odd_but_are_none_of_ours_pass(void **state)
{
    struct fixture *f = *state;
    struct provider_arena arena = PROVIDER_ARENA_INIT;
    union wire_out out;
    open_bad(f, "empty", 0, "");
    mark(f, VSS_OP_LOCATE_LUNS);
    assert_int_equal(call_with(f, VSS_OP_LOCATE_LUNS, &arena, &out, 0, NULL), S_OK);
    assert_non_null(out.states.states[0].data); /* empty, not unchanged */
    assert_int_equal(out.states.states[0].bytes, 0);
    close_providers(f);
    open_bad(f, "null", 0, "");
    mark(f, VSS_OP_GET_TARGET_LUNS);
    assert_int_equal(call_with(f, VSS_OP_GET_TARGET_LUNS, &arena, &out, 0, NULL), S_OK);
    assert_null(out.target_luns.luns);
    close_providers(f);
    open_bad(f, "leak", 0, "");
    mark(f, VSS_OP_LOCATE_LUNS);
    assert_int_equal(call_with(f, VSS_OP_LOCATE_LUNS, &arena, &out, 0, NULL), S_OK);
    assert_memory_equal(out.states.states[0].data, "state", 5);
    assert_works(f);
    close_providers(f); /* counts our descriptors */
    provider_arena_free(&arena);
}

static void assert_says(struct fixture *f, const char *bad, const char *more, const char *words)
{
    struct error err = {0};
    open_bad(f, bad, 0, more);
    mark(f, VSS_OP_LOCATE_LUNS);
    assert_int_equal(call(f, VSS_OP_LOCATE_LUNS, &err), VSS_E_PROVIDER_VETO);
    assert_has(err.text, words);
    close_providers(f);
}

static void a_process_gets_what_it_needs_and_no_more(void **state)
{
    struct fixture *f = *state;
    int open_fd = open("/dev/null", O_RDONLY); /* NOLINT(android-cloexec-open): on purpose */
    assert_true(open_fd >= 0);
    f->fds++;
    assert_int_equal(setenv("LUNSHADOW_TEST_SECRET", "a secret", 1), 0);
    assert_says(f, "environment", "", "no secret");
    assert_int_equal(unsetenv("LUNSHADOW_TEST_SECRET"), 0);
    assert_says(f, "line", "", "two?lines ?[31m of ? text");
    assert_says(f, "fds", "", "5 fds"); /* standard ones, the socket, the watch on us */
    assert_int_equal(close(open_fd), 0);
}

/* Why a service failed is told where the plug-in tells nothing better. */
static void the_line_is_the_plug_ins_own_where_it_has_one(void **state)
{
    struct fixture *f = *state;
    static const char *const isolations[] = {"", "isolation = no\n"};
    for (size_t i = 0; i < sizeof(isolations) / sizeof(isolations[0]); i++) {
        assert_says(f, "service", isolations[i], "LocateLuns failed: a LUN's address is iscsi:");
        assert_says(f, "service-and-line", isolations[i], "LocateLuns failed: its own line");
    }
}

static void a_user_is_become_for_good(void **state)
{
    struct fixture *f = *state;
    if (geteuid() != 0) {
        print_message("skipped: only root can become another user\n");
        skip();
    }
    assert_int_equal(chmod(f->directory, 0755), 0);
    assert_int_equal(chmod(f->marks, 0777), 0); /* it takes the marker away */
    assert_says(f, "identity", "user = nobody\n", "nobody");
    open_plugin(f, f->plugin, "none", 0, "user = no-such-user-here\n");
    assert_null(f->provider);
    assert_event(f, "there is no user no-such-user-here");
}

/* A look at it loads it too. */
static HRESULT inspect(const char *path, struct error *err)
{
    struct inspection i;
    HRESULT hr = inspection_open(path, &i, err);
    if (SUCCEEDED(hr)) {
        assert_string_equal(i.table.name, "bad");
        inspection_close(&i);
    }
    return hr;
}

static void plugins_in_open_directories_are_refused(void **state)
{
    struct fixture *f = *state;
    static const char words[] = "/open of a plug-in is writable by others; mend with: chmod go-w";
    struct error err = {0};
    char path[128];
    char line[512];
    (void)snprintf(path, sizeof(path), "%s/open/deep/bad.so", f->directory);
    (void)snprintf(line, sizeof(line),
                   "mkdir -p '%s/open/deep' && cp '%s' '%s' && chmod 755 '%s' && chmod 777 "
                   "'%s/open'",
                   f->directory, f->plugin, path, path, f->directory);
    assert_int_equal(system(line), 0); /* NOLINT(cert-env33-c): paths of our own making */
    open_plugin(f, path, "none", 0, "");
    assert_null(f->provider);
    assert_event(f, words);
    close_providers(f);
    assert_int_equal(inspect(path, &err), E_ACCESSDENIED);
    assert_has(err.text, words);
    (void)snprintf(line, sizeof(line), "%s/open", f->directory);
    assert_int_equal(chmod(line, 01777), 0); /* sticky: nobody else can take our file's place */
    open_plugin(f, path, "none", 0, "");
    assert_non_null(f->provider);
    close_providers(f);
    assert_int_equal(inspect(path, NULL), S_OK);
}

static void a_dead_process_between_calls_costs_nothing(void **state)
{
    struct fixture *f = *state;
    open_bad(f, "none", 0, "");
    pid_t pid = remote_pid(f->provider->remote);
    kill_and_wait(pid);
    assert_works(f);
    assert_true(remote_pid(f->provider->remote) != pid);
    close_providers(f);
}

/* What it says is not the array's word: what an array does not know is as good as deleted. */
static void assert_is_no_answer(struct fixture *f, enum vss_provider_op op, const char *words)
{
    struct error err = {0};
    assert_int_equal(call(f, op, &err), VSS_E_UNEXPECTED_PROVIDER_ERROR);
    assert_int_equal(err.code, VSS_E_UNEXPECTED_PROVIDER_ERROR);
    assert_has(err.text, words);
    assert_event(f, words);
}

static void a_process_that_cannot_be_started_again_answers_nothing(void **state)
{
    struct fixture *f = *state;
    static const enum vss_provider_op ops[] = {VSS_OP_ON_LUN_EMPTY, VSS_OP_RESYNC_CANCEL};
    const char *own = getenv("LUNSHADOW_LIBEXECDIR");
    char *helpers = own ? strdup(own) : NULL;
    char away[112];
    (void)snprintf(away, sizeof(away), "%s.away", f->plugin);
    open_bad(f, "none", 0, "");
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        kill_and_wait(remote_pid(f->provider->remote));
        assert_int_equal(rename(f->plugin, away), 0);
        assert_is_no_answer(f, ops[i], "bad.so: No such file or directory");
        assert_int_equal(rename(away, f->plugin), 0);
        assert_int_equal(setenv("LUNSHADOW_LIBEXECDIR", f->marks, 1), 0);
        assert_is_no_answer(f, ops[i], "/marks/lunshadow-provider-host");
        assert_int_equal(unsetenv("LUNSHADOW_LIBEXECDIR"), 0);
        if (helpers) {
            assert_int_equal(setenv("LUNSHADOW_LIBEXECDIR", helpers, 1), 0);
        }
        assert_works(f);
    }
    free(helpers);
    close_providers(f);
}

static pid_t start_victim(void)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* no test that is cut off leaves it behind */
        for (;;) {
            (void)pause();
        }
    }
    return pid;
}

static void end_victim(pid_t pid)
{
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void assert_becomes(pid_t pid, char state)
{
    for (int i = 0; i < 500 && process_state(pid) != state; i++) {
        clock_sleep_ms(10);
    }
    assert_int_equal(process_state(pid), state);
}

static void a_hold_ends_with_its_process(void **state)
{
    struct fixture *f = *state;
    char more[64];
    struct error err = {0};
    pid_t victim = start_victim();
    (void)snprintf(more, sizeof(more), "victim = %ld\n", (long)victim);
    open_bad(f, "hold", 0, more);
    f->call_ms = 2 * SHORT_MS;
    mark(f, VSS_OP_COMMIT_SNAPSHOTS);
    assert_int_equal(call(f, VSS_OP_COMMIT_SNAPSHOTS, &err), VSS_E_HOLD_WRITES_TIMEOUT);
    assert_has(err.text, "did not answer CommitSnapshots within ");
    assert_becomes(victim, 'S'); /* long before the hold's own 10 s */
    assert_works(f);
    end_victim(victim);
    close_providers(f);
}

/* What the plug-in makes of it does not count. */
static void a_hold_that_did_not_stand_is_no_cut(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *bad;
        const char *isolation;
        const char *words;
    } cases[] = {
        {"hold-continued", "yes", "CommitSnapshots failed: somebody else released process"},
        {"hold-continued", "no", "CommitSnapshots failed: somebody else released process"},
        {"hold-late", "yes", "CommitSnapshots failed: the hold lasted longer than 1000 ms"},
        {"hold-late", "no", "CommitSnapshots failed: the hold lasted longer than 1000 ms"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error err = {0};
        char more[64];
        pid_t victim = start_victim();
        (void)snprintf(more, sizeof(more), "victim = %ld\nisolation = %s\n", (long)victim,
                       cases[i].isolation);
        open_bad(f, cases[i].bad, 0, more);
        mark(f, VSS_OP_COMMIT_SNAPSHOTS);
        assert_int_equal(call(f, VSS_OP_COMMIT_SNAPSHOTS, &err), VSS_E_HOLD_WRITES_TIMEOUT);
        assert_has(err.text, cases[i].words);
        assert_event(f, cases[i].words);
        end_victim(victim);
        close_providers(f);
    }
}

/* As a caller that dies: with "child" after a call, else in the middle of one. */
static void be_a_caller(struct fixture *f, const char *bad, const char *more, int report_fd)
{
    open_bad(f, bad, 0, more);
    pid_t pid = remote_pid(f->provider->remote);
    bool is_idle = strcmp(bad, "child") == 0;
    mark(f, VSS_OP_COMMIT_SNAPSHOTS);
    if (is_idle) {
        (void)call(f, VSS_OP_COMMIT_SNAPSHOTS, NULL);
    }
    if (write(report_fd, &pid, sizeof(pid)) == (ssize_t)sizeof(pid)) {
        (void)call(f, VSS_OP_COMMIT_SNAPSHOTS, NULL);
    }
    if (is_idle) {
        for (;;) {
            (void)pause();
        }
    }
    _exit(1);
}

/* Nor does anybody whom the plug-in started: the caller's locks are gone. */
static void outlive(struct fixture *f, const char *bad, pid_t victim)
{
    int ends[2];
    char more[64];
    pid_t host = 0;
    (void)snprintf(more, sizeof(more), "victim = %ld\n", (long)victim);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t caller = fork();
    assert_true(caller >= 0);
    if (caller == 0) {
        be_a_caller(f, bad, more, ends[1]);
    }
    assert_int_equal(read(ends[0], &host, sizeof(host)), sizeof(host));
    for (int i = 0; i < 500 && access(f->marker, F_OK) == 0; i++) {
        clock_sleep_ms(10); /* until it is in that call */
    }
    if (strcmp(bad, "child-hold") == 0) {
        assert_becomes(victim, 'T');
    }
    assert_true(is_running(host));
    end_victim(caller);
    assert_ends(host);
    assert_no_members(host);
    assert_becomes(victim, 'S'); /* long before the hold's own 10 s */
    assert_int_equal(close(ends[0]), 0);
    assert_int_equal(close(ends[1]), 0);
}

static void a_process_does_not_outlive_its_caller(void **state)
{
    struct fixture *f = *state;
    pid_t victim = start_victim();
    outlive(f, "spin", victim);
    outlive(f, "child-hold", victim);
    outlive(f, "child", victim);
    end_victim(victim);
}

static void an_idle_process_is_small(void **state)
{
    struct fixture *f = *state;
    char path[64];
    char line[128];
    long kib = 0;
    open_bad(f, "none", 0, "");
    assert_works(f);
    (void)snprintf(path, sizeof(path), "/proc/%ld/status", (long)remote_pid(f->provider->remote));
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    while (kib == 0 && fgets(line, sizeof(line), file)) {
        if (strncmp(line, "VmRSS:", 6) == 0) {
            kib = strtol(line + 6, NULL, 10);
        }
    }
    assert_int_equal(fclose(file), 0);
    print_message("an idle host process: VmRSS %ld KiB%s\n", kib,
                  IS_SANITIZED ? " (with sanitizers)" : "");
    assert_true(kib > 0 && (IS_SANITIZED || kib <= RSS_KIB_MAX));
    close_providers(f);
}

/* Also of a plug-in that was never told of its loading, and in a second process. */
static void a_plug_in_is_told_of_its_unloading(void **state)
{
    struct fixture *f = *state;
    static const char *const isolations[] = {"", "isolation = no\n"};
    for (size_t i = 0; i < sizeof(isolations) / sizeof(isolations[0]); i++) {
        open_plugin(f, WITHOUT_ON_LOAD_PATH, "none", 0, isolations[i]);
        assert_non_null(f->provider);
        if (f->provider->remote) {
            kill_and_wait(remote_pid(f->provider->remote));
        }
        assert_works(f);
        mark(f, VSS_OP_ON_UNLOAD);
        close_providers(f);
        assert_int_equal(access(f->marker, F_OK), -1); /* it took the marker away */
    }
}

static void isolation_can_be_turned_off(void **state)
{
    struct fixture *f = *state;
    open_bad(f, "none", 0, "isolation = no\n");
    assert_null(f->provider->remote);
    assert_works(f);
    close_providers(f);
    assert_int_equal(setenv("LUNSHADOW_PROVIDER_IN_PROCESS", "1", 1), 0);
    open_bad(f, "none", 0, "");
    assert_null(f->provider->remote);
    assert_int_equal(unsetenv("LUNSHADOW_PROVIDER_IN_PROCESS"), 0);
    close_providers(f);
    open_plugin(f, f->plugin, "none", 0, "isolation = perhaps\n");
    assert_null(f->provider);
    assert_event(f, "isolation");
}

int main(void)
{
#define host_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        host_test(every_callback_may_fail_in_every_way),
        host_test(bad_answers_are_refused),
        host_test(bad_answers_can_be_traced),
        host_test(answers_that_look_odd_but_are_none_of_ours_pass),
        host_test(a_process_gets_what_it_needs_and_no_more),
        host_test(the_line_is_the_plug_ins_own_where_it_has_one),
        host_test(a_user_is_become_for_good),
        host_test(plugins_in_open_directories_are_refused),
        host_test(a_dead_process_between_calls_costs_nothing),
        host_test(a_process_that_cannot_be_started_again_answers_nothing),
        host_test(a_hold_ends_with_its_process),
        host_test(a_hold_that_did_not_stand_is_no_cut),
        host_test(a_process_does_not_outlive_its_caller),
        host_test(an_idle_process_is_small),
        host_test(a_plug_in_is_told_of_its_unloading),
        host_test(isolation_can_be_turned_off),
    };
    cmocka_set_test_filter(getenv("TEST_CASE"));
    (void)signal(SIGPIPE, SIG_DFL); /* a write to a dead process must not kill us */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
