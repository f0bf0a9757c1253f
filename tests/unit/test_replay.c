/* SPDX-License-Identifier: Apache-2.0 */
/* Recordings: what was recorded is what is played, what was not is refused with a reason, and a
 * file that was damaged does no harm. And delay, which needs no file. */
#include "common/clock.h"
#include "common/id.h"
#include "provider/shims/recording.h"
#include "unit/shim_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void assert_has(const char *text, const char *words)
{
    if (!strstr(text, words)) {
        fail_msg("\"%s\" lacks \"%s\"", text, words);
    }
}

static char *recording_path(const struct shim_host *h)
{
    static char path[96];
    (void)snprintf(path, sizeof(path), "%s/recording", h->directory);
    return path;
}

static HRESULT try_open(struct shim_host *h, const char *value, const char *more)
{
    char lines[512];
    (void)snprintf(lines, sizeof(lines), "replay_file = %s\n%s", recording_path(h), more);
    shim_host_close(h);
    return shim_host_open(h, value, lines);
}

static void open_ok(struct shim_host *h, const char *value, const char *more)
{
    if (FAILED(try_open(h, value, more))) {
        fail_msg("%s", h->error);
    }
}

static HRESULT call_states(struct shim_host *h, enum vss_provider_op op, struct vss_states_out *out)
{
    *out = (struct vss_states_out){.struct_size = sizeof(*out)};
    return shim_host_call(h, op, out);
}

static HRESULT call_load(struct shim_host *h)
{
    struct vss_on_load_out out = {.struct_size = sizeof(out)};
    return shim_host_call(h, VSS_OP_ON_LOAD, &out);
}

static HRESULT call_targets(struct shim_host *h, struct vss_target_luns_out *out)
{
    *out = (struct vss_target_luns_out){.struct_size = sizeof(*out)};
    return shim_host_call(h, VSS_OP_GET_TARGET_LUNS, out);
}

static HRESULT call_capabilities(struct shim_host *h)
{
    struct vss_capabilities_out out = {.struct_size = sizeof(out)};
    return shim_host_call(h, VSS_OP_GET_CAPABILITIES, &out);
}

/* A process that does half a set; the second CommitSnapshots is refused. */
static void record(struct shim_host *h)
{
    struct vss_states_out out;
    struct vss_target_luns_out targets;
    h->set_id = id_new();
    open_ok(h, "replay/fault/tgt", "fault = CommitSnapshots:2:VSS_E_PROVIDER_VETO\n");
    assert_int_equal(call_load(h), S_OK);
    assert_int_equal(call_capabilities(h), S_OK);
    assert_int_equal(call_states(h, VSS_OP_END_PREPARE_SNAPSHOTS, &out), S_OK);
    assert_int_equal(call_states(h, VSS_OP_COMMIT_SNAPSHOTS, &out), S_OK);
    assert_int_equal(call_states(h, VSS_OP_COMMIT_SNAPSHOTS, &out), VSS_E_PROVIDER_VETO);
    assert_int_equal(call_targets(h, &targets), S_OK);
    assert_int_equal(shim_host_call(h, VSS_OP_ON_UNLOAD, NULL), S_OK);
    shim_host_close(h);
    below = (struct shim_below){0};
}

/* ---- the same again ----------------------------------------------------------------------------
 */

static void what_was_recorded_is_played(void **state)
{
    struct shim_host *h = *state;
    struct vss_states_out out;
    struct vss_target_luns_out targets;
    record(h);
    h->set_id = id_new(); /* ids are never the same twice */
    open_ok(h, "replay", "");
    assert_string_equal(shims_table(h->layer)->name, "below");
    assert_null(shims_table(h->layer)->ops[VSS_OP_RESYNC_START]);
    assert_string_equal(shims_recording(h->layer), recording_path(h));
    assert_int_equal(call_load(h), S_OK);
    assert_int_equal(call_capabilities(h), S_OK);
    assert_int_equal(call_states(h, VSS_OP_END_PREPARE_SNAPSHOTS, &out), S_OK);
    assert_string_equal((const char *)out.states[SHIM_LUNS - 1].data, "the provider's own");
    assert_int_equal(call_states(h, VSS_OP_COMMIT_SNAPSHOTS, &out), S_OK);
    assert_int_equal(call_states(h, VSS_OP_COMMIT_SNAPSHOTS, &out), VSS_E_PROVIDER_VETO);
    assert_string_equal(h->error, "fault: CommitSnapshots:2:VSS_E_PROVIDER_VETO");
    assert_int_equal(call_targets(h, &targets), S_OK);
    assert_int_equal(targets.luns[1].device_id.identifiers[0].identifier[15], 2);
    assert_int_equal(shim_host_call(h, VSS_OP_ON_UNLOAD, NULL), S_OK);
    for (size_t op = 0; op < VSS_OP_COUNT; op++) {
        assert_int_equal(below.calls[op], 0);
    }
}

static void shims_stand_above_a_recording_too(void **state)
{
    struct shim_host *h = *state;
    struct vss_states_out out;
    record(h);
    open_ok(h, "trace/fault/replay", "fault = CommitSnapshots:E_OUTOFMEMORY\n");
    assert_int_equal(call_states(h, VSS_OP_END_PREPARE_SNAPSHOTS, &out), S_OK);
    assert_int_equal(call_states(h, VSS_OP_COMMIT_SNAPSHOTS, &out), E_OUTOFMEMORY);
}

static void what_comes_with_processes_may_come_at_any_time(void **state)
{
    struct shim_host *h = *state;
    struct vss_states_out out;
    record(h);
    open_ok(h, "replay", "");
    assert_int_equal(call_states(h, VSS_OP_END_PREPARE_SNAPSHOTS, &out), S_OK); /* no OnLoad */
    assert_int_equal(shim_host_call(h, VSS_OP_ON_UNLOAD, NULL), S_OK);
    assert_int_equal(call_load(h), S_OK);
    assert_int_equal(call_capabilities(h), S_OK);
    assert_int_equal(call_states(h, VSS_OP_COMMIT_SNAPSHOTS, &out), S_OK);
}

static void a_position_outlives_a_process(void **state)
{
    struct shim_host *h = *state;
    struct vss_states_out out;
    char position[160];
    record(h);
    (void)snprintf(position, sizeof(position), "replay_position = %s/position\n", h->directory);
    open_ok(h, "replay", position);
    assert_int_equal(call_states(h, VSS_OP_END_PREPARE_SNAPSHOTS, &out), S_OK);
    open_ok(h, "replay", position);
    assert_int_equal(call_states(h, VSS_OP_COMMIT_SNAPSHOTS, &out), S_OK);
    open_ok(h, "replay", position);
    assert_int_equal(call_states(h, VSS_OP_COMMIT_SNAPSHOTS, &out), VSS_E_PROVIDER_VETO);
    (void)snprintf(position, sizeof(position), "%s/position", h->directory);
    FILE *file = fopen(position, "we");
    assert_true(file && fputs("00000000000000000000021\n", file) >= 0);
    assert_int_equal(fclose(file), 0);
    (void)snprintf(position, sizeof(position), "replay_position = %s/position\n", h->directory);
    assert_int_equal(try_open(h, "replay", position), E_INVALIDARG);
    assert_has(h->error, "names no place of");
}

/* ---- something else ----------------------------------------------------------------------------
 */

static void another_call_is_refused_with_what_was_expected(void **state)
{
    struct shim_host *h = *state;
    struct vss_states_out out;
    struct vss_target_luns_out targets;
    record(h);
    open_ok(h, "replay", "");
    assert_int_equal(call_targets(h, &targets), VSS_E_PROVIDER_VETO);
    assert_string_equal(
        h->error, "replay: call 3 of the recording is EndPrepareSnapshots, not GetTargetLuns");
    h->device = "iscsi://elsewhere/target/1";
    assert_int_equal(call_states(h, VSS_OP_END_PREPARE_SNAPSHOTS, &out), VSS_E_PROVIDER_VETO);
    assert_string_equal(
        h->error, "replay: EndPrepareSnapshots, call 3 of the recording, was asked something else: "
                  "luns[0].device is \"iscsi://elsewhere/target/1\", recorded was "
                  "\"iscsi://host/target/1\"");
    h->device = "iscsi://host/target/1"; /* it waits for the right one */
    assert_int_equal(call_states(h, VSS_OP_END_PREPARE_SNAPSHOTS, &out), S_OK);
}

static void a_recording_ends(void **state)
{
    struct shim_host *h = *state;
    struct vss_states_out out;
    struct vss_target_luns_out targets;
    record(h);
    open_ok(h, "replay", "");
    (void)call_states(h, VSS_OP_END_PREPARE_SNAPSHOTS, &out);
    (void)call_states(h, VSS_OP_COMMIT_SNAPSHOTS, &out);
    (void)call_states(h, VSS_OP_COMMIT_SNAPSHOTS, &out);
    assert_int_equal(call_targets(h, &targets), S_OK);
    assert_int_equal(call_targets(h, &targets), VSS_E_PROVIDER_VETO);
    assert_has(h->error, "the recording ends after 7 calls; GetTargetLuns was not recorded");
}

/* Where the second of two frames begins, counted from the end. */
static size_t start_of_last(const char *path, size_t from_end)
{
    struct recording r;
    struct error err = {0};
    size_t starts[64] = {0};
    size_t count = 0;
    assert_int_equal(recording_load(path, &r, &err), S_OK);
    for (size_t at = 0; count < 64;) {
        struct provider_arena arena = PROVIDER_ARENA_INIT;
        struct wire_frame frame;
        starts[count++] = at;
        HRESULT hr = recording_next(&r, &at, &arena, &frame);
        provider_arena_free(&arena);
        if (hr != S_OK) {
            break;
        }
    }
    recording_free(&r);
    return starts[count - 1 - from_end];
}

static void a_recorded_process_that_died_dies_again(void **state)
{
    struct shim_host *h = *state;
    struct vss_states_out out;
    record(h);
    /* ... GetTargetLuns, its reply, OnUnload, its reply: the second CommitSnapshots has none */
    assert_int_equal(truncate(recording_path(h), (off_t)start_of_last(recording_path(h), 5)), 0);
    open_ok(h, "replay", "");
    (void)call_states(h, VSS_OP_END_PREPARE_SNAPSHOTS, &out);
    (void)call_states(h, VSS_OP_COMMIT_SNAPSHOTS, &out);
    assert_int_equal(call_states(h, VSS_OP_COMMIT_SNAPSHOTS, &out),
                     VSS_E_UNEXPECTED_PROVIDER_ERROR);
    assert_string_equal(h->error, "replay: in call 5, CommitSnapshots, the recorded process ended");
}

/* ---- files -------------------------------------------------------------------------------------
 */

static void write_file(const struct shim_host *h, const void *data, size_t bytes)
{
    FILE *file = fopen(recording_path(h), "we");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, bytes, file), bytes);
    assert_int_equal(fclose(file), 0);
}

static void assert_refused(struct shim_host *h, const char *value, const char *words)
{
    assert_int_equal(try_open(h, value, ""), E_INVALIDARG);
    assert_has(h->error, words);
}

static void what_is_no_recording_is_refused(void **state)
{
    struct shim_host *h = *state;
    static const char other[] = "lunshadow-replay 2\n";
    static const char whole[] = "lunshadow-replay 1\n";
    static const char cut[] = "lunshadow-replay 1\n\x10\0\0\0abc";
    static const char empty[] = "lunshadow-replay 1\n\0\0\0\0";
    write_file(h, "GARBAGE", 7);
    assert_refused(h, "replay", "is no recording");
    assert_refused(h, "replay/tgt", "is no recording"); /* nor written to */
    write_file(h, other, sizeof(other) - 1);
    assert_refused(h, "replay", "of another version than 1; record it again");
    assert_refused(h, "replay/tgt", "of another version than 1");
    write_file(h, whole, sizeof(whole) - 1);
    assert_refused(h, "replay", "does not say whose recording it is");
    write_file(h, cut, sizeof(cut) - 1);
    assert_refused(h, "replay", "ends within a frame, at byte 19");
    write_file(h, empty, sizeof(empty) - 1);
    assert_refused(h, "replay", "ends within a frame, at byte 19");
    shim_host_close(h);
    assert_int_equal(shim_host_open(h, "replay", ""), E_INVALIDARG);
    assert_has(h->error, "replay_file =");
    shim_host_close(h);
    assert_int_equal(shim_host_open(h, "replay/tgt", ""), E_INVALIDARG);
    shim_host_close(h);
    assert_int_equal(shim_host_open(h, "replay", "replay_file = /dev/null\n"), E_INVALIDARG);
    assert_has(h->error, "not a regular file");
}

static void a_recording_is_its_owners_alone(void **state)
{
    struct shim_host *h = *state;
    struct stat st;
    record(h);
    assert_int_equal(stat(recording_path(h), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

/* A host refuses tables that lack any of these. */
static bool has_ops(const struct shim_host *h)
{
    const vss_provider_callback *ops = shims_table(h->layer)->ops;
    return ops[VSS_OP_END_PREPARE_SNAPSHOTS] && ops[VSS_OP_COMMIT_SNAPSHOTS] &&
           ops[VSS_OP_GET_TARGET_LUNS];
}

/* Each byte wrong, one after the other: it plays, or it does not, and that is all. */
static void a_damaged_recording_does_no_harm(void **state)
{
    struct shim_host *h = *state;
    struct vss_states_out out;
    struct vss_target_luns_out targets;
    struct recording r;
    struct error err = {0};
    size_t played = 0;
    record(h);
    assert_int_equal(recording_load(recording_path(h), &r, &err), S_OK);
    for (size_t i = 0; i < r.bytes; i++) {
        r.data[i] ^= (uint8_t)(1u << (i % 8));
        write_file(h, r.data, r.bytes);
        if (SUCCEEDED(try_open(h, "replay", "")) && has_ops(h)) {
            (void)call_states(h, VSS_OP_END_PREPARE_SNAPSHOTS, &out);
            (void)call_states(h, VSS_OP_COMMIT_SNAPSHOTS, &out);
            (void)call_states(h, VSS_OP_COMMIT_SNAPSHOTS, &out);
            played += SUCCEEDED(call_targets(h, &targets));
        }
        r.data[i] ^= (uint8_t)(1u << (i % 8));
    }
    recording_free(&r);
    assert_true(played > 0);
}

/* ---- delay -------------------------------------------------------------------------------------
 */

static void a_delay_is_taken(void **state)
{
    struct shim_host *h = *state;
    struct vss_states_out out;
    assert_int_equal(shim_host_open(h, "delay/tgt",
                                    "delay = *:1, CommitSnapshots:60\ndelay2 = AbortSnapshots:0\n"),
                     S_OK);
    uint64_t start_us = clock_monotonic_us();
    assert_int_equal(call_states(h, VSS_OP_END_PREPARE_SNAPSHOTS, &out), S_OK);
    uint64_t between_us = clock_monotonic_us();
    assert_int_equal(call_states(h, VSS_OP_COMMIT_SNAPSHOTS, &out), S_OK);
    uint64_t end_us = clock_monotonic_us();
    assert_true(between_us - start_us >= 1000);
    assert_true(end_us - between_us >= 60000);
    assert_int_equal(call_states(h, VSS_OP_ABORT_SNAPSHOTS, &out), S_OK);
    assert_int_equal(below.calls[VSS_OP_COMMIT_SNAPSHOTS], 1);
}

static void what_is_no_delay_is_refused(void **state)
{
    static const char *const bad[] = {
        "100", "CommitSnapshots", "CommitSnapshots:", "Commit:1", "*:86400001", "*:-1", "*:1s"};
    struct shim_host *h = *state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char line[64];
        (void)snprintf(line, sizeof(line), "delay = %s\n", bad[i]);
        assert_int_equal(shim_host_open(h, "delay/tgt", line), E_INVALIDARG);
        assert_has(h->error, "[array one]: shim delay: ");
        shim_host_close(h);
    }
}

int main(void)
{
#define shim_test(name) cmocka_unit_test_setup_teardown(name, shim_set_up, shim_tear_down)
    const struct CMUnitTest tests[] = {
        shim_test(what_was_recorded_is_played),
        shim_test(shims_stand_above_a_recording_too),
        shim_test(what_comes_with_processes_may_come_at_any_time),
        shim_test(a_position_outlives_a_process),
        shim_test(another_call_is_refused_with_what_was_expected),
        shim_test(a_recording_ends),
        shim_test(a_recorded_process_that_died_dies_again),
        shim_test(what_is_no_recording_is_refused),
        shim_test(a_recording_is_its_owners_alone),
        shim_test(a_damaged_recording_does_no_harm),
        shim_test(a_delay_is_taken),
        shim_test(what_is_no_delay_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
