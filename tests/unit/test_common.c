/* SPDX-License-Identifier: Apache-2.0 */
#include "common/buffer.h"
#include "common/clock.h"
#include "common/error.h"
#include "common/id.h"
#include "common/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void id_text_round_trips(void **state)
{
    (void)state;
    char text[ID_TEXT_BYTES];
    VSS_ID id;
    assert_true(id_parse("b57190af-454a-4dd0-8afd-e57facd5d9af", &id));
    assert_string_equal(id_text(&id, text), "b57190af-454a-4dd0-8afd-e57facd5d9af");
    assert_int_equal(id.data1, 0xb57190af);
    assert_int_equal(id.data4[0], 0x8a);
    assert_int_equal(id.data4[7], 0xaf);
    VSS_ID braced;
    assert_true(id_parse("{B57190AF-454A-4DD0-8AFD-E57FACD5D9AF}", &braced));
    assert_true(id_equal(&id, &braced));
}

static void id_refuses_what_is_none(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "{",
        "b57190af-454a-4dd0-8afd-e57facd5d9a",
        "b57190af-454a-4dd0-8afd-e57facd5d9aff",
        "b57190af-454a-4dd0-8afd-e57facd5d9af}",
        "{b57190af-454a-4dd0-8afd-e57facd5d9af",
        "b57190af-454a-4dd0-8afd+e57facd5d9af",
        "g57190af-454a-4dd0-8afd-e57facd5d9af",
        "+57190af-454a-4dd0-8afd-e57facd5d9af",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        VSS_ID id;
        assert_false(id_parse(bad[i], &id));
    }
}

static void id_bytes_are_mixed_endian(void **state)
{
    (void)state;
    /* The EFI System Partition type as UEFI prints it and as it lies on disk. */
    static const uint8_t on_disk[16] = {0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11,
                                        0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b};
    VSS_ID id;
    assert_true(id_parse("c12a7328-f81f-11d2-ba4b-00a0c93ec93b", &id));
    uint8_t bytes[16];
    id_to_bytes(&id, bytes);
    assert_memory_equal(bytes, on_disk, 16);
    VSS_ID back = id_from_bytes(on_disk);
    assert_true(id_equal(&id, &back));
}

static void new_ids_are_random_version_4(void **state)
{
    (void)state;
    VSS_ID a = id_new();
    VSS_ID b = id_new();
    assert_false(id_equal(&a, &b));
    assert_int_equal(a.data3 >> 12, 4);
    assert_int_equal(a.data4[0] >> 6, 2);
}

static void first_error_wins_and_position_is_added(void **state)
{
    (void)state;
    struct error err = {0};
    assert_int_equal(error_set(&err, E_FAIL, "block %d is bad", 7), E_FAIL);
    assert_int_equal(error_set(&err, E_ABORT, "something else"), E_ABORT);
    error_prefix(&err, "LUN %d", 3);
    assert_int_equal(err.code, E_FAIL);
    assert_string_equal(err.text, "LUN 3: block 7 is bad");
    assert_int_equal(error_translate(&err, VSS_E_PROVIDER_VETO), VSS_E_PROVIDER_VETO);
    assert_string_equal(err.text, "LUN 3: block 7 is bad");
    error_clear(&err);
    error_prefix(&err, "nothing");
    assert_string_equal(err.text, "");
    assert_int_equal(error_set(NULL, E_FAIL, "nobody reads this"), E_FAIL);
}

static void long_errors_are_cut_not_overrun(void **state)
{
    (void)state;
    struct error err = {0};
    char long_text[3000];
    memset(long_text, 'x', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = '\0';
    (void)error_set(&err, E_FAIL, "%s", long_text);
    error_prefix(&err, "position");
    assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
    assert_memory_equal(err.text, "position: xxx", 13);
}

static void errno_maps_to_documented_codes(void **state)
{
    (void)state;
    assert_int_equal(error_from_errno(ENOSPC), VSS_E_INSUFFICIENT_STORAGE);
    assert_int_equal(error_from_errno(EROFS), E_ACCESSDENIED);
    assert_int_equal(error_from_errno(ENOMEM), E_OUTOFMEMORY);
    assert_int_equal(error_from_errno(EMFILE), E_OUTOFMEMORY);
    assert_int_equal(error_from_errno(ENFILE), E_OUTOFMEMORY);
    assert_int_equal(error_from_errno(EIO), VSS_E_UNEXPECTED);
}

static void buffer_grows_and_ends_in_nul(void **state)
{
    (void)state;
    struct buffer b = BUFFER_INIT;
    for (int i = 0; i < 1000; i++) {
        buffer_printf(&b, "%d,", i);
    }
    buffer_add_text(&b, "end");
    assert_int_equal(buffer_status(&b), S_OK);
    assert_int_equal(strlen(b.data), b.length);
    assert_string_equal(b.data + b.length - 7, "999,end");
    char *taken = buffer_take(&b);
    assert_null(b.data);
    free(taken);
}

static void buffer_says_when_memory_is_short(void **state)
{
    (void)state;
    struct buffer b = BUFFER_INIT;
    buffer_add(&b, "x", 1);
    buffer_add(&b, "y", SIZE_MAX / 2 + 2); /* refused before a byte is read */
    assert_int_equal(buffer_status(&b), E_OUTOFMEMORY);
    assert_null(buffer_take(&b));
}

static void filetime_is_1601_based(void **state)
{
    (void)state;
    char text[CLOCK_TEXT_BYTES];
    assert_int_equal(clock_filetime_to_unix(116444736000000000), 0);
    assert_string_equal(clock_text(116444736000000000, text), "1970-01-01 00:00:00 UTC");
    assert_true(clock_filetime() > 134000000000000000);
}

static void run_collects_output_and_judges(void **state)
{
    (void)state;
    struct error err = {0};
    struct buffer out = BUFFER_INIT;
    const char *const ok[] = {"sh", "-c", "echo out; echo err >&2", NULL};
    assert_int_equal(process_run(ok, 5000, &out, &err), S_OK);
    assert_non_null(strstr(out.data, "out"));
    assert_non_null(strstr(out.data, "err"));
    buffer_free(&out);
    const char *const bad[] = {"sh", "-c", "echo first; echo the reason; exit 3", NULL};
    assert_true(FAILED(process_run(bad, 5000, NULL, &err)));
    assert_non_null(strstr(err.text, "the reason"));
    assert_non_null(strstr(err.text, "3"));
}

static void what_ends_is_told_from_what_goes_on(void **state)
{
    (void)state;
    struct process p = PROCESS_INIT;
    struct process_options options = PROCESS_OPTIONS_INIT;
    const char *const argv[] = {"sleep", "100", NULL};
    assert_false(process_is_ending(&p));
    assert_int_equal(process_start(argv, &options, &p, NULL), S_OK);
    assert_false(process_is_ending(&p));
    struct pollfd end = {.fd = p.pidfd, .events = POLLIN};
    assert_int_equal(process_signal(&p, SIGKILL), S_OK);
    assert_int_equal(poll(&end, 1, 60000), 1);
    assert_true(process_is_ending(&p));
    process_kill(&p);
    assert_false(process_is_ending(&p));
}

static void programs_are_found_without_being_run(void **state)
{
    (void)state;
    assert_true(process_has_program("sh"));
    assert_true(process_has_program("/bin/sh"));
    assert_false(process_has_program("no-such-program"));
    assert_false(process_has_program("/etc/passwd"));
}

static void run_kills_what_does_not_end(void **state)
{
    (void)state;
    struct error err = {0};
    const char *const slow[] = {"sleep", "100", NULL};
    uint64_t start = clock_monotonic_us();
    assert_true(FAILED(process_run(slow, 100, NULL, &err)));
    assert_true(clock_monotonic_us() - start < 5000000);
    assert_non_null(strstr(err.text, "killed"));
}

static bool is_slow_to_watch;

int __real_pidfd_open(pid_t pid, unsigned flags);
int __wrap_pidfd_open(pid_t pid, unsigned flags);

int __wrap_pidfd_open(pid_t pid, unsigned flags)
{
    while (is_slow_to_watch && kill(pid, 0) == 0) {
        clock_sleep_ms(1);
    }
    return __real_pidfd_open(pid, flags);
}

static void assert_end_is_lost(const char *seconds, bool is_slow)
{
    struct error err = {0};
    const char *const sleep[] = {"sleep", seconds, NULL};
    (void)signal(SIGCHLD, SIG_IGN);
    is_slow_to_watch = is_slow;
    HRESULT hr = process_run(sleep, 5000, NULL, &err);
    is_slow_to_watch = false;
    (void)signal(SIGCHLD, SIG_DFL);
    assert_int_equal(hr, VSS_E_UNEXPECTED);
    assert_non_null(strstr(err.text, "SIGCHLD"));
}

static void an_end_that_nobody_saw_is_told(void **state)
{
    (void)state;
    struct error err = {0};
    const char *const ok[] = {"true", NULL};
    assert_end_is_lost("0.2", false);
    assert_end_is_lost("0", true); /* it ends before it can be watched */
    assert_int_equal(process_run(ok, 5000, NULL, &err), S_OK);
}

static void missing_program_is_named(void **state)
{
    (void)state;
    struct error err = {0};
    const char *const none[] = {"no-such-program-here", NULL};
    assert_true(FAILED(process_run(none, 100, NULL, &err)));
    assert_non_null(strstr(err.text, "no-such-program-here"));
}

/* A helper must not inherit our locks: nothing but what it was given is open in it. */
static void children_inherit_only_what_is_kept(void **state)
{
    (void)state;
    int leaky = open("/dev/null", O_RDONLY); /* no close-on-exec, on purpose */
    int kept = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(leaky >= 0 && kept > leaky);
    struct process_options options = PROCESS_OPTIONS_INIT;
    options.keep_fds = &kept;
    options.keep_count = 1;
    char script[128];
    (void)snprintf(script, sizeof(script), "test -e /proc/$$/fd/%d && test ! -e /proc/$$/fd/%d",
                   kept, leaky);
    const char *const look[] = {"sh", "-c", script, NULL};
    struct process p;
    int status;
    assert_int_equal(process_start(look, &options, &p, NULL), S_OK);
    assert_int_equal(process_wait(&p, 5000, &status), S_OK);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    (void)close(kept);
    (void)close(leaky);
}

static void kill_reaps(void **state)
{
    (void)state;
    const char *const slow[] = {"sleep", "100", NULL};
    struct process_options options = PROCESS_OPTIONS_INIT;
    struct process p;
    assert_int_equal(process_start(slow, &options, &p, NULL), S_OK);
    pid_t pid = p.pid;
    int status;
    assert_int_equal(process_wait(&p, 0, &status), S_FALSE);
    process_kill(&p);
    process_kill(&p); /* harmless */
    assert_int_equal(kill(pid, 0), -1);
    assert_int_equal(errno, ESRCH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(id_text_round_trips),
        cmocka_unit_test(id_refuses_what_is_none),
        cmocka_unit_test(id_bytes_are_mixed_endian),
        cmocka_unit_test(new_ids_are_random_version_4),
        cmocka_unit_test(first_error_wins_and_position_is_added),
        cmocka_unit_test(long_errors_are_cut_not_overrun),
        cmocka_unit_test(errno_maps_to_documented_codes),
        cmocka_unit_test(buffer_grows_and_ends_in_nul),
        cmocka_unit_test(buffer_says_when_memory_is_short),
        cmocka_unit_test(filetime_is_1601_based),
        cmocka_unit_test(run_collects_output_and_judges),
        cmocka_unit_test(programs_are_found_without_being_run),
        cmocka_unit_test(what_ends_is_told_from_what_goes_on),
        cmocka_unit_test(run_kills_what_does_not_end),
        cmocka_unit_test(an_end_that_nobody_saw_is_told),
        cmocka_unit_test(missing_program_is_named),
        cmocka_unit_test(children_inherit_only_what_is_kept),
        cmocka_unit_test(kill_reaps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
