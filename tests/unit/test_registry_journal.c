/* SPDX-License-Identifier: Apache-2.0 */

/* The journal: what a dead process left is found, what a live one does is left alone, and a step
 * that was reported is there after any death. */

#include "mount_namespace.h"
#include "registry_fixture.h"

#include "common/clock.h"
#include "common/id.h"
#include "registry/journal.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define OTHER_UID 65534

struct state {
    char *directory;
    struct store *store;
};

static int set_up(void **data)
{
    struct state *state = calloc(1, sizeof(*state));
    assert_non_null(state);
    state->directory = fixture_directory();
    state->store = fixture_open(state->directory);
    *data = state;
    return 0;
}

static int tear_down(void **data)
{
    struct state *state = *data;
    store_close(state->store);
    fixture_remove(state->directory);
    free(state);
    return 0;
}

static size_t count_open(struct state *state, bool only_dead)
{
    struct journal_entry *entries;
    size_t count;
    assert_int_equal(journal_load_open(state->store, only_dead, &entries, &count, NULL), S_OK);
    journal_free_all(entries, count);
    return count;
}

static void test_steps_come_back(void **data)
{
    struct state *state = *data;
    struct store *store = state->store;
    VSS_ID object = id_new();
    VSS_ID id;
    static uint8_t edges[3 << 20];
    memset(edges, 0xa5, sizeof(edges));
    edges[0] = 0;
    int64_t before = clock_filetime();
    assert_int_equal(journal_open(store, JOURNAL_RESYNC, &object, "two LUNs", &id, NULL), S_OK);
    assert_int_equal(journal_step(store, &id, "fence", NULL, NULL, 0, NULL), S_OK);
    assert_int_equal(
        journal_step(store, &id, "edges-saved", "naa.6001", edges, sizeof(edges), NULL), S_OK);
    assert_int_equal(journal_mark_invalid(store, &id, true, NULL), S_OK);

    struct journal_entry *entries;
    size_t count;
    assert_int_equal(journal_load_open(store, false, &entries, &count, NULL), S_OK);
    assert_int_equal(count, 1);
    assert_true(id_equal(&entries[0].entry_id, &id));
    assert_true(id_equal(&entries[0].object_id, &object));
    assert_int_equal(entries[0].operation, JOURNAL_RESYNC);
    assert_int_equal(entries[0].pid, getpid());
    assert_string_equal(entries[0].description, "two LUNs");
    assert_true(entries[0].destination_invalid);
    assert_true(entries[0].opened >= before);
    assert_int_equal(entries[0].step_count, 2);
    assert_string_equal(entries[0].steps[0].name, "fence");
    assert_null(entries[0].steps[0].lun_key);
    assert_null(entries[0].steps[0].data);
    assert_string_equal(entries[0].steps[1].name, "edges-saved");
    assert_string_equal(entries[0].steps[1].lun_key, "naa.6001");
    assert_int_equal(entries[0].steps[1].data_bytes, sizeof(edges));
    assert_memory_equal(entries[0].steps[1].data, edges, sizeof(edges));
    journal_free_all(entries, count);

    assert_int_equal(journal_close(store, &id, NULL), S_OK);
    assert_int_equal(count_open(state, false), 0);
    assert_int_equal(fixture_sql_number(state->directory, "SELECT count(*) FROM journal_steps"), 0);
}

static void test_closed_entries_take_nothing(void **data)
{
    struct state *state = *data;
    struct error err = {0};
    VSS_ID id;
    assert_int_equal(journal_open(state->store, JOURNAL_BREAK, &id_null, NULL, &id, NULL), S_OK);
    assert_int_equal(journal_close(state->store, &id, NULL), S_OK);
    assert_int_equal(journal_step(state->store, &id, "x", NULL, NULL, 0, &err),
                     VSS_E_OBJECT_NOT_FOUND);
    assert_int_equal(err.code, VSS_E_OBJECT_NOT_FOUND);
    assert_int_equal(journal_mark_invalid(state->store, &id, true, NULL), VSS_E_OBJECT_NOT_FOUND);
    assert_int_equal(journal_close(state->store, &id, NULL), VSS_E_OBJECT_NOT_FOUND);
    enum journal_operation unknown = (enum journal_operation)99;
    assert_int_equal(journal_open(state->store, unknown, &id_null, NULL, &id, NULL), E_INVALIDARG);
    assert_int_equal(fixture_sql_number(state->directory, "SELECT count(*) FROM journal_steps"), 0);
}

/* Opens an entry for object 1, says so through the descriptor and waits to be killed. */
static void hold_entry(const char *directory, int out)
{
    struct store *store = NULL;
    VSS_ID object = {.data1 = 1};
    VSS_ID id;
    if (FAILED(store_open(directory, &store, NULL)) ||
        FAILED(journal_open(store, JOURNAL_RESYNC, &object, "of a child", &id, NULL)) ||
        FAILED(journal_step(store, &id, "begun", NULL, "x", 1, NULL)) || write(out, "1", 1) != 1) {
        _exit(1);
    }
    for (;;) {
        (void)pause();
    }
}

static pid_t start_holder(const char *directory)
{
    int fds[2];
    char byte;
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        hold_entry(directory, fds[1]);
    }
    (void)close(fds[1]);
    assert_int_equal(read(fds[0], &byte, 1), 1);
    (void)close(fds[0]);
    return pid;
}

static void reap(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
}

static void test_dead_is_told_from_alive(void **data)
{
    struct state *state = *data;
    struct error err = {0};
    char object[ID_TEXT_BYTES];
    char pid_text[32];
    VSS_ID one = {.data1 = 1};
    VSS_ID own;
    assert_int_equal(journal_open(state->store, JOURNAL_CREATE, &id_null, "own", &own, NULL), S_OK);
    pid_t pid = start_holder(state->directory);
    assert_int_equal(count_open(state, false), 2);
    assert_int_equal(count_open(state, true), 0);
    assert_int_equal(journal_check_clean(state->store, &err), S_OK);

    assert_int_equal(kill(pid, SIGKILL), 0);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    /* A zombie does nothing any more. */
    assert_int_equal(count_open(state, true), 1);
    reap(pid);
    assert_int_equal(count_open(state, true), 1);
    assert_int_equal(count_open(state, false), 2);
    assert_int_equal(journal_check_clean(state->store, &err), VSS_E_BAD_STATE);
    (void)snprintf(pid_text, sizeof(pid_text), "%d", (int)pid);
    assert_non_null(strstr(err.text, pid_text));
    assert_non_null(strstr(err.text, "resync"));
    assert_non_null(strstr(err.text, id_text(&one, object)));
    assert_non_null(strstr(err.text, "lunshadow recover --list"));

    struct journal_entry *entries;
    size_t count;
    assert_int_equal(journal_load_open(state->store, true, &entries, &count, NULL), S_OK);
    assert_int_equal(entries[0].step_count, 1);
    assert_int_equal(journal_close(state->store, &entries[0].entry_id, NULL), S_OK);
    journal_free_all(entries, count);
    assert_int_equal(journal_check_clean(state->store, NULL), S_OK);
}

static void *work_on(void *context)
{
    (void)context;
    for (;;) {
        (void)pause();
    }
    return NULL;
}

static char read_state(pid_t pid)
{
    char path[64];
    char text[512] = "";
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    size_t got = fread(text, 1, sizeof(text) - 1, file);
    (void)fclose(file);
    const char *end = got > 0 ? strrchr(text, ')') : NULL;
    return end && end[1] ? end[2] : '?';
}

/* Its journal entry is its own; then the main thread alone ends. */
static void hold_entry_in_a_thread(const char *directory)
{
    pthread_t thread;
    struct store *store = NULL;
    VSS_ID id;
    if (FAILED(store_open(directory, &store, NULL)) ||
        FAILED(journal_open(store, JOURNAL_BREAK, &id_null, "of a thread", &id, NULL)) ||
        pthread_create(&thread, NULL, work_on, NULL) != 0) {
        _exit(1);
    }
    (void)alarm(60);
    pthread_exit(NULL);
}

/* Its state is that of a zombie, and a thread of it works. */
static void test_a_process_outlives_its_main_thread(void **data)
{
    struct state *state = *data;
    uint64_t until_us = clock_monotonic_us() + 10000000u;
    siginfo_t info;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        hold_entry_in_a_thread(state->directory);
    }
    while (read_state(pid) != 'Z' && clock_monotonic_us() < until_us) {
        clock_sleep_ms(5);
    }
    assert_int_equal(read_state(pid), 'Z');
    assert_int_equal(count_open(state, false), 1);
    assert_int_equal(count_open(state, true), 0);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(count_open(state, true), 1);
    reap(pid);
}

static void test_reused_pids_are_not_alive(void **data)
{
    static const char *const changes[] = {
        "UPDATE journal_entries SET pid_start = pid_start + 1",
        "UPDATE journal_entries SET boot_id = '00000000-0000-0000-0000-000000000000'",
        "UPDATE journal_entries SET boot_id = hex(zeroblob(500))",
        "UPDATE journal_entries SET pid = 0",
        "UPDATE journal_entries SET pid = -1",
    };
    struct state *state = *data;
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        VSS_ID id;
        assert_int_equal(journal_open(state->store, JOURNAL_DELETE, &id_null, NULL, &id, NULL),
                         S_OK);
        assert_int_equal(journal_check_clean(state->store, NULL), S_OK);
        fixture_sql(state->directory, changes[i]);
        assert_int_equal(journal_check_clean(state->store, NULL), VSS_E_BAD_STATE);
        assert_int_equal(journal_close(state->store, &id, NULL), S_OK);
    }
}

static int count_all_and_dead(const char *directory)
{
    struct state state = {.store = fixture_open(directory)};
    size_t all = count_open(&state, false);
    size_t dead = count_open(&state, true);
    store_close(state.store);
    return (int)(10 * all + dead);
}

/* Exit code 77 where /proc cannot be mounted so. */
static int look_with(const char *directory, const char *proc_options)
{
    if (!mount_namespace_enter(directory) ||
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("proc", "/proc", "proc", 0, proc_options) != 0) {
        return 77;
    }
    return fixture_in_child(OTHER_UID, count_all_and_dead, directory);
}

static int look_where_nothing_is_said(const char *directory)
{
    return look_with(directory, "hidepid=1");
}

static int look_where_nothing_is_seen(const char *directory)
{
    return look_with(directory, "hidepid=2");
}

static int look_where_no_boot_is_known(const char *directory)
{
    return look_with(directory, "hidepid=2,subset=pid");
}

/* A group shares the state directory, and /proc hides the processes of one member from another. */
static void test_hidden_processes_may_be_alive(void **data)
{
    (void)data;
    static int (*const looks[])(const char *) = {
        look_where_nothing_is_said, look_where_nothing_is_seen, look_where_no_boot_is_known};
    if (geteuid() != 0) {
        print_message("skipped: only root can mount a /proc\n");
        skip();
    }
    char *directory = fixture_directory();
    assert_int_equal(chown(directory, 0, OTHER_UID), 0);
    assert_int_equal(chmod(directory, 02770), 0);
    struct store *store = fixture_open(directory);
    VSS_ID own;
    assert_int_equal(journal_open(store, JOURNAL_CREATE, &id_null, "own", &own, NULL), S_OK);
    pid_t pid = start_holder(directory);
    assert_int_equal(kill(pid, SIGKILL), 0);
    reap(pid);
    for (size_t i = 0; i < sizeof(looks) / sizeof(looks[0]); i++) {
        int counts = fixture_in_child(0, looks[i], directory);
        if (counts == 77) {
            print_message("skipped: no /proc can be mounted here\n");
        } else {
            assert_int_equal(counts, 21); /* the one whose process is gone for everybody */
        }
    }
    store_close(store);
    fixture_remove(directory);
}

static void test_damaged_entries_are_not_passed_over(void **data)
{
    struct state *state = *data;
    VSS_ID id;
    assert_int_equal(journal_open(state->store, JOURNAL_DELETE, &id_null, NULL, &id, NULL), S_OK);
    fixture_sql(state->directory, "UPDATE journal_entries SET operation = 77, pid = 0");
    assert_int_equal(journal_check_clean(state->store, NULL), VSS_E_UNEXPECTED);
}

static void test_steps_join_a_transaction(void **data)
{
    struct state *state = *data;
    VSS_ID id;
    assert_int_equal(journal_open(state->store, JOURNAL_CREATE, &id_null, NULL, &id, NULL), S_OK);
    assert_int_equal(store_begin(state->store, NULL), S_OK);
    assert_int_equal(journal_close(state->store, &id, NULL), S_OK);
    store_rollback(state->store);
    assert_int_equal(count_open(state, false), 1);
}

#define STEPS 300

/* Reports each step once journal_step() has returned. */
static void run_steps(const char *directory, int out)
{
    struct store *store = NULL;
    VSS_ID id;
    if (FAILED(store_open(directory, &store, NULL)) ||
        FAILED(journal_open(store, JOURNAL_RESYNC, &id_null, "steps", &id, NULL))) {
        _exit(1);
    }
    for (uint32_t i = 0; i < STEPS; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "%u", (unsigned)i);
        if (FAILED(journal_step(store, &id, name, "naa.1", &i, sizeof(i), NULL)) ||
            write(out, &i, sizeof(i)) != (ssize_t)sizeof(i)) {
            _exit(1);
        }
    }
    for (;;) {
        (void)pause();
    }
}

/* Kills the child after it has reported `reports` steps and a little; returns how many came
 * through. reports >= 1: before the first there may be no entry yet. */
static uint32_t kill_among_steps(const char *directory, uint32_t reports)
{
    int fds[2];
    uint32_t seen = 0;
    uint32_t number;
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        run_steps(directory, fds[1]);
    }
    (void)close(fds[1]);
    while (seen < reports && read(fds[0], &number, sizeof(number)) == (ssize_t)sizeof(number)) {
        seen++;
    }
    (void)usleep((useconds_t)(random() % 3000));
    assert_int_equal(kill(pid, SIGKILL), 0);
    reap(pid);
    while (read(fds[0], &number, sizeof(number)) == (ssize_t)sizeof(number)) {
        seen++;
    }
    (void)close(fds[0]);
    return seen;
}

static void test_reported_steps_survive_sigkill(void **data)
{
    struct state *state = *data;
    srandom((unsigned)getpid());
    for (int round = 0; round < 15; round++) {
        uint32_t seen = kill_among_steps(state->directory, 1 + (uint32_t)(random() % STEPS));
        struct journal_entry *entries;
        size_t count;
        assert_int_equal(journal_load_open(state->store, true, &entries, &count, NULL), S_OK);
        assert_int_equal(count, 1);
        /* One more may have become durable without being reported. */
        assert_true(entries[0].step_count >= seen && entries[0].step_count <= seen + 1);
        for (uint32_t i = 0; i < entries[0].step_count; i++) {
            assert_memory_equal(entries[0].steps[i].data, &i, sizeof(i));
        }
        assert_int_equal(journal_close(state->store, &entries[0].entry_id, NULL), S_OK);
        journal_free_all(entries, count);
    }
}

static void test_operation_names(void **data)
{
    (void)data;
    assert_string_equal(journal_operation_name(JOURNAL_CREATE), "create");
    assert_string_equal(journal_operation_name(JOURNAL_DISK_IDS), "disk-ids");
    assert_string_equal(journal_operation_name(JOURNAL_EXPOSE), "expose");
    assert_string_equal(journal_operation_name((enum journal_operation)0), "unknown operation");
}

#define JOURNAL_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        JOURNAL_TEST(test_steps_come_back),
        JOURNAL_TEST(test_closed_entries_take_nothing),
        JOURNAL_TEST(test_dead_is_told_from_alive),
        JOURNAL_TEST(test_a_process_outlives_its_main_thread),
        JOURNAL_TEST(test_reused_pids_are_not_alive),
        cmocka_unit_test(test_hidden_processes_may_be_alive),
        JOURNAL_TEST(test_damaged_entries_are_not_passed_over),
        JOURNAL_TEST(test_steps_join_a_transaction),
        JOURNAL_TEST(test_reported_steps_survive_sigkill),
        cmocka_unit_test(test_operation_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
