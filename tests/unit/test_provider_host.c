/* SPDX-License-Identifier: Apache-2.0 */
/* What the host does with plug-ins that are wrong: a table in this program stands for one, since no
 * good plug-in gives such answers. */
#include "common/config.h"
#include "common/id.h"
#include "common/log.h"
#include "provider/host/internal.h"
#include "registry/events.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* The variable that memory does not suffice for, when a process's environment is made. */
static const char *missing_variable;

char *__wrap_text_printf(const char *format, ...);

char *__wrap_text_printf(const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int length = vasprintf(&text, format, args);
    va_end(args);
    assert_true(length >= 0);
    size_t name = missing_variable ? strlen(missing_variable) : 0;
    if (name && strncmp(text, missing_variable, name) == 0 && text[name] == '=') {
        free(text);
        return NULL;
    }
    return text;
}

static HRESULT answer;
static const char *answer_line;

static HRESULT reply(void *self, const struct vss_call *call, const void *in, void *out)
{
    (void)self;
    (void)in;
    (void)out;
    if (answer_line) {
        call->host->error(call, answer_line);
        call->host->error(call, "a second line, which does not count");
    }
    return answer;
}

static HRESULT fill(void *self, const struct vss_call *call, const void *in, void *out)
{
    (void)self;
    (void)in;
    struct vss_states_out *states = out;
    states->states = call->host->alloc(call, 3 * sizeof(*states->states));
    uint8_t *empty = call->host->alloc(call, 0);
    assert_non_null(states->states);
    assert_non_null(empty);
    assert_null(call->host->alloc(call, UINT64_MAX));
    assert_null(states->states[2].data); /* zeroed */
    states->states[0] = (struct vss_state){.bytes = 5, .data = (const uint8_t *)"hello"};
    return S_OK;
}

static HRESULT hold(void *self, const struct vss_call *call, const void *in, void *out)
{
    (void)self;
    (void)in;
    (void)out;
    struct vss_hold *held = NULL;
    struct vss_hold_target target = {.pid = 1};
    return call->host->hold_begin(call, &target, 1, 100, &held);
}

static pid_t victim;

/* Forgets the hold that it began. */
static HRESULT hold_and_forget(void *self, const struct vss_call *call, const void *in, void *out)
{
    (void)self;
    (void)in;
    (void)out;
    struct vss_hold *held = NULL;
    struct vss_hold_target target = {.pid = victim};
    struct vss_hold_report report;
    assert_int_equal(call->host->hold_end(call, NULL, &report), E_INVALIDARG);
    assert_int_equal(call->host->hold_begin(call, &target, 1, 10000, &held), S_OK);
    return answer;
}

static vss_provider_callback all_ops[VSS_OP_COUNT];

static struct vss_provider_table good_table(void)
{
    for (size_t i = 0; i < VSS_OP_COUNT; i++) {
        all_ops[i] = reply;
    }
    return (struct vss_provider_table){.magic = VSS_PROVIDER_MAGIC,
                                       .struct_size = sizeof(struct vss_provider_table),
                                       .abi_major = VSS_PROVIDER_ABI_MAJOR,
                                       .abi_minor = VSS_PROVIDER_ABI_MINOR,
                                       .provider_id = {.data1 = 1},
                                       .version_id = {.data1 = 2},
                                       .name = "table of the test",
                                       .version = "1",
                                       .type = VSS_PROV_HARDWARE,
                                       .thread_model = VSS_THREADS_SERIALIZED,
                                       .op_count = VSS_OP_COUNT,
                                       .ops = all_ops};
}

struct fixture {
    char directory[64];
    struct store *store;
    struct config *config;
    struct provider provider;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct error err = {0};
    assert_non_null(f);
    (void)snprintf(f->directory, sizeof(f->directory), "/tmp/lunshadow-host-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    assert_int_equal(store_open(f->directory, &f->store, &err), S_OK);
    assert_int_equal(
        config_parse("[array one]\nprovider = none\nkey = value\n", "test", &f->config, &err),
        S_OK);
    f->provider.section = config_find(f->config, "array", "one");
    f->provider.store = f->store;
    f->provider.path = "test.so";
    answer = S_OK;
    answer_line = NULL;
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    config_free(f->config);
    store_close(f->store);
    char line[96];
    (void)snprintf(line, sizeof(line), "rm -rf '%s'", f->directory);
    int rc = system(line); /* NOLINT(cert-env33-c): a path of our own making */
    free(f);
    return rc;
}

static void adopt(struct fixture *f)
{
    struct error err = {0};
    struct vss_provider_table table = good_table();
    assert_int_equal(provider_adopt_table(&f->provider, &table, &err), S_OK);
}

static void incomplete_tables_are_refused_by_name(void **state)
{
    struct fixture *f = *state;
    static const struct {
        enum vss_provider_op missing;
        const char *words;
    } cases[] = {{VSS_OP_COMMIT_SNAPSHOTS, "CommitSnapshots"},
                 {VSS_OP_ON_LUN_EMPTY, "OnLunEmpty"},
                 {VSS_OP_ON_LUN_STATE_CHANGE, "OnLunStateChange"},
                 {VSS_OP_RESYNC_POLL, "ResyncLuns"},
                 {VSS_OP_RESYNC_START, "ResyncLuns"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error err = {0};
        struct vss_provider_table table = good_table();
        all_ops[cases[i].missing] = NULL;
        assert_int_equal(provider_adopt_table(&f->provider, &table, &err),
                         VSS_E_UNEXPECTED_PROVIDER_ERROR);
        assert_non_null(strstr(err.text, cases[i].words));
    }
}

static void foreign_tables_are_refused(void **state)
{
    struct fixture *f = *state;
    for (int which = 0; which < 7; which++) {
        struct error err = {0};
        struct vss_provider_table table = good_table();
        table.magic += which == 0;
        table.struct_size = which == 1 ? 32 : table.struct_size;
        table.abi_major = (uint16_t)(table.abi_major + (which == 2));
        table.name = which == 3 ? NULL : table.name;
        table.type = which == 4 ? VSS_PROV_SOFTWARE : table.type;
        table.thread_model += which == 5;
        table.ops = which == 6 ? NULL : table.ops;
        assert_int_equal(provider_adopt_table(&f->provider, &table, &err),
                         VSS_E_UNEXPECTED_PROVIDER_ERROR);
        assert_non_null(strstr(err.text, "test.so"));
    }
    assert_true(FAILED(provider_adopt_table(&f->provider, NULL, NULL)));
}

static void optional_operations_may_be_absent(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    struct vss_provider_table table = good_table();
    /* As an older plug-in that never heard of what comes after OnLunStateChange. */
    table.op_count = VSS_OP_ON_LUN_STATE_CHANGE + 1;
    memset(f->provider.ops, 0, sizeof(f->provider.ops));
    assert_int_equal(provider_adopt_table(&f->provider, &table, &err), S_OK);
    assert_false(provider_has(&f->provider, VSS_OP_RESYNC_START));
    struct provider_arena arena = PROVIDER_ARENA_INIT;
    struct vss_resync_in in = {.struct_size = sizeof(in)};
    struct vss_resync_out out = {0};
    assert_int_equal(provider_call(&f->provider, VSS_OP_RESYNC_START, &in, &out, &arena, 0, &err),
                     E_NOTIMPL);
    provider_arena_free(&arena);
}

static HRESULT commit(struct fixture *f, struct error *err)
{
    struct provider_arena arena = PROVIDER_ARENA_INIT;
    struct vss_set_in in = {.struct_size = sizeof(in)};
    struct vss_states_out out = {0};
    HRESULT hr = provider_call(&f->provider, VSS_OP_COMMIT_SNAPSHOTS, &in, &out, &arena, 0, err);
    assert_int_equal(out.struct_size, sizeof(out));
    provider_arena_free(&arena);
    return hr;
}

static void assert_newest_event(struct fixture *f, HRESULT code, const char *words)
{
    struct event_record *events = NULL;
    size_t count = 0;
    assert_int_equal(events_load(f->store, 1, &events, &count, NULL), S_OK);
    assert_int_equal(count, 1);
    assert_int_equal(events[0].code, code);
    assert_non_null(strstr(events[0].text, words));
    events_free_all(events, count);
}

static void listed_codes_pass_others_are_translated(void **state)
{
    struct fixture *f = *state;
    adopt(f);
    static const HRESULT listed[] = {E_OUTOFMEMORY, E_INVALIDARG, VSS_E_PROVIDER_VETO,
                                     VSS_E_INSUFFICIENT_STORAGE, VSS_E_HOLD_WRITES_TIMEOUT};
    static const HRESULT others[] = {S_FALSE, E_FAIL,          E_UNEXPECTED,
                                     E_ABORT, VSS_E_BAD_STATE, (HRESULT)0x12345678};
    for (size_t i = 0; i < sizeof(listed) / sizeof(listed[0]); i++) {
        struct error err = {0};
        answer = listed[i];
        answer_line = "the pool is on fire";
        assert_int_equal(commit(f, &err), listed[i]);
        assert_non_null(strstr(err.text, "the pool is on fire"));
        assert_null(strstr(err.text, "second line"));
        assert_newest_event(f, listed[i], "the pool is on fire");
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        struct error err = {0};
        char code[16];
        answer = others[i];
        (void)snprintf(code, sizeof(code), "0x%08x", (unsigned)others[i]);
        assert_int_equal(commit(f, &err), VSS_E_UNEXPECTED_PROVIDER_ERROR);
        assert_non_null(strstr(err.text, code));
        assert_newest_event(f, VSS_E_UNEXPECTED_PROVIDER_ERROR, "CommitSnapshots");
    }
}

/* As struct vss_set_in in provider.h has it. */
static void operations_on_a_set_share_their_codes(void **state)
{
    (void)state;
    static const struct {
        enum vss_provider_op op;
        bool may_ask_for_restart;
    } of_a_set[] = {{VSS_OP_END_PREPARE_SNAPSHOTS, true},
                    {VSS_OP_PRE_COMMIT_SNAPSHOTS, true},
                    {VSS_OP_COMMIT_SNAPSHOTS, true},
                    {VSS_OP_POST_COMMIT_SNAPSHOTS, true},
                    {VSS_OP_PRE_FINAL_COMMIT_SNAPSHOTS, false},
                    {VSS_OP_POST_FINAL_COMMIT_SNAPSHOTS, false},
                    {VSS_OP_LOCATE_LUNS, false},
                    {VSS_OP_ON_LUN_EMPTY, false}};
    for (size_t i = 0; i < sizeof(of_a_set) / sizeof(of_a_set[0]); i++) {
        enum vss_provider_op op = of_a_set[i].op;
        const struct provider_op *known = op_find(op);
        assert_true(op_allows(known, VSS_E_OBJECT_NOT_FOUND));
        assert_true(op_allows(known, VSS_E_INSUFFICIENT_STORAGE));
        assert_int_equal(op_allows(known, VSS_E_REBOOT_REQUIRED), of_a_set[i].may_ask_for_restart);
        assert_int_equal(op_allows(known, VSS_E_FLUSH_WRITES_TIMEOUT),
                         op == VSS_OP_PRE_COMMIT_SNAPSHOTS);
        assert_int_equal(op_allows(known, VSS_E_HOLD_WRITES_TIMEOUT),
                         op == VSS_OP_COMMIT_SNAPSHOTS);
        assert_false(op_allows(known, VSS_E_BAD_STATE));
    }
}

static void aborts_may_return_anything(void **state)
{
    struct fixture *f = *state;
    adopt(f);
    struct provider_arena arena = PROVIDER_ARENA_INIT;
    struct vss_set_in in = {.struct_size = sizeof(in)};
    struct vss_states_out out = {0};
    answer = E_FAIL;
    assert_int_equal(
        provider_call(&f->provider, VSS_OP_ABORT_SNAPSHOTS, &in, &out, &arena, 0, NULL), E_FAIL);
    provider_arena_free(&arena);
}

static void outputs_live_in_the_arena(void **state)
{
    struct fixture *f = *state;
    adopt(f);
    f->provider.ops[VSS_OP_LOCATE_LUNS] = fill;
    struct provider_arena arena = PROVIDER_ARENA_INIT;
    struct vss_set_in in = {.struct_size = sizeof(in)};
    struct vss_states_out out = {0};
    assert_int_equal(provider_call(&f->provider, VSS_OP_LOCATE_LUNS, &in, &out, &arena, 0, NULL),
                     S_OK);
    assert_memory_equal(out.states[0].data, "hello", 5);
    provider_arena_free(&arena);
}

static void holds_belong_to_commit(void **state)
{
    struct fixture *f = *state;
    adopt(f);
    f->provider.ops[VSS_OP_POST_COMMIT_SNAPSHOTS] = hold;
    struct provider_arena arena = PROVIDER_ARENA_INIT;
    struct vss_set_in in = {.struct_size = sizeof(in)};
    struct vss_states_out out = {0};
    struct error err = {0};
    assert_int_equal(
        provider_call(&f->provider, VSS_OP_POST_COMMIT_SNAPSHOTS, &in, &out, &arena, 0, &err),
        E_INVALIDARG);
    assert_non_null(strstr(err.text, "within CommitSnapshots"));
    provider_arena_free(&arena);
}

static void events_wait_for_the_thaw(void **state)
{
    struct fixture *f = *state;
    struct event_record *events = NULL;
    size_t count = 0;
    adopt(f);
    answer = VSS_E_PROVIDER_VETO;
    answer_line = "not now";
    provider_defer_events(&f->provider, true);
    for (int i = 0; i < DEFERRED_EVENTS_MAX + 3; i++) {
        assert_int_equal(commit(f, NULL), VSS_E_PROVIDER_VETO);
    }
    assert_int_equal(events_load(f->store, 100, &events, &count, NULL), S_OK);
    assert_int_equal(count, 0);
    events_free_all(events, count);
    provider_defer_events(&f->provider, false);
    assert_int_equal(events_load(f->store, 100, &events, &count, NULL), S_OK);
    assert_int_equal(count, DEFERRED_EVENTS_MAX);
    events_free_all(events, count);
}

/* ---- loading --------------------------------------------------------------------------------- */

static void open_with(struct fixture *f, const char *provider, const char *words)
{
    char text[256];
    struct error err = {0};
    struct config *config = NULL;
    struct providers *providers = NULL;
    (void)snprintf(text, sizeof(text), "[array two]\nprovider = %s\n", provider);
    assert_int_equal(config_parse(text, "test", &config, &err), S_OK);
    assert_int_equal(providers_open(config, f->store, &providers, &err), S_OK);
    assert_int_equal(providers_count(providers), 0); /* left out, not a failed session */
    struct event_record *events = NULL;
    size_t count = 0;
    assert_int_equal(events_load(f->store, 1, &events, &count, NULL), S_OK);
    assert_int_equal(count, 1);
    assert_non_null(strstr(events[0].text, "array two"));
    if (!strstr(events[0].text, words)) {
        fail_msg("\"%s\" lacks \"%s\"", events[0].text, words);
    }
    events_free_all(events, count);
    providers_close(providers);
    config_free(config);
}

static void unusable_plugins_are_left_out_and_named(void **state)
{
    struct fixture *f = *state;
    char path[128];
    open_with(f, "no-such-array", "lunshadow-provider-no-such-array.so");
    open_with(f, "/etc", "not a regular file");
    (void)snprintf(path, sizeof(path), "%s/plugin.so", f->directory);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "no ELF", 6), 6);
    open_with(f, path, "cannot load");
    assert_int_equal(fchmod(fd, 0622), 0);
    open_with(f, path, "writable by others");
    if (geteuid() == 0) {
        assert_int_equal(fchmod(fd, 0600), 0);
        assert_int_equal(fchown(fd, 65534, 65534), 0);
        if (geteuid() != 65534) {
            open_with(f, path, "belongs to uid 65534");
        }
    }
    assert_int_equal(close(fd), 0);
}

/* The state letter of a process. */
static char state_of(pid_t pid)
{
    char path[64];
    char text[512] = "";
    (void)snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    assert_non_null(fgets(text, sizeof(text), file));
    assert_int_equal(fclose(file), 0);
    return strrchr(text, ')')[2];
}

static void forgotten_holds_end_with_the_call(void **state)
{
    struct fixture *f = *state;
    struct provider_arena arena = PROVIDER_ARENA_INIT;
    struct vss_set_in in = {.struct_size = sizeof(in)};
    struct vss_states_out out = {0};
    struct vss_provider_table table = good_table();
    struct error err = {0};
    assert_int_equal(provider_adopt_table(&f->provider, &table, &err), S_OK);
    f->provider.ops[VSS_OP_COMMIT_SNAPSHOTS] = hold_and_forget;
    victim = fork();
    if (victim == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* else a failed test waits for its output */
        for (;;) {
            (void)pause();
        }
    }
    const HRESULT answers[] = {S_OK, VSS_E_PROVIDER_VETO};
    const HRESULT results[] = {VSS_E_HOLD_WRITES_TIMEOUT, VSS_E_PROVIDER_VETO};
    for (size_t i = 0; i < 2; i++) {
        answer = answers[i];
        assert_int_equal(
            provider_call(&f->provider, VSS_OP_COMMIT_SNAPSHOTS, &in, &out, &arena, 0, NULL),
            results[i]);
        char now = state_of(victim);
        assert_true(now == 'S' || now == 'R'); /* it may be on its way back to sleep */
    }
    assert_int_equal(kill(victim, SIGKILL), 0);
    assert_int_equal(waitpid(victim, NULL, 0), victim);
    provider_arena_free(&arena);
}

/* With a variable less it would find another tgtd, or none of its programs. */
static void a_process_gets_all_that_it_needs_or_does_not_start(void **state)
{
    static const char *const needed[] = {"PATH", "TGT_IPC_SOCKET"};
    struct fixture *f = *state;
    assert_int_equal(setenv("TGT_IPC_SOCKET", "/run/another", 1), 0);
    for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
        struct providers *providers = NULL;
        struct error err = {0};
        missing_variable = needed[i];
        HRESULT hr = providers_open(f->config, f->store, &providers, &err);
        missing_variable = NULL;
        assert_int_equal(hr, E_OUTOFMEMORY);
        assert_non_null(strstr(err.text, "out of memory starting a provider"));
        assert_null(providers);
    }
    assert_int_equal(unsetenv("TGT_IPC_SOCKET"), 0);
}

int main(void)
{
#define host_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        host_test(incomplete_tables_are_refused_by_name),
        host_test(foreign_tables_are_refused),
        host_test(optional_operations_may_be_absent),
        host_test(listed_codes_pass_others_are_translated),
        cmocka_unit_test(operations_on_a_set_share_their_codes),
        host_test(aborts_may_return_anything),
        host_test(outputs_live_in_the_arena),
        host_test(holds_belong_to_commit),
        host_test(forgotten_holds_end_with_the_call),
        host_test(events_wait_for_the_thaw),
        host_test(unusable_plugins_are_left_out_and_named),
        host_test(a_process_gets_all_that_it_needs_or_does_not_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
