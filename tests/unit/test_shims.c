/* SPDX-License-Identifier: Apache-2.0 */
/* Shims above a provider: their names, their order, what faults do to answers, what a trace says.
 * What faults do to processes: component/kill_matrix. */
#include "provider/shims/fault.h"
#include "unit/shim_fixture.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static void assert_has(const char *text, const char *words)
{
    if (!strstr(text, words)) {
        fail_msg("\"%s\" lacks \"%s\"", text, words);
    }
}

static void assert_lacks(const char *text, const char *words)
{
    if (strstr(text, words)) {
        fail_msg("\"%s\" has \"%s\"", text, words);
    }
}

static void open_ok(struct shim_host *h, const char *value, const char *lines)
{
    if (FAILED(shim_host_open(h, value, lines))) {
        fail_msg("%s", h->error);
    }
    assert_non_null(h->layer);
}

static void assert_not_opened(struct shim_host *h, const char *value, const char *lines,
                              const char *words)
{
    assert_int_equal(shim_host_open(h, value, lines), E_INVALIDARG);
    assert_null(h->layer);
    assert_has(h->error, words);
    shim_host_close(h);
}

/* ---- names -------------------------------------------------------------------------------------
 */

static void leading_names_of_shims_are_shims(void **state)
{
    static const char *const pairs[][2] = {
        {"tgt", "tgt"},
        {"trace", "trace"}, /* the last part is a provider, whatever its name */
        {"trace/tgt", "tgt"},
        {"trace/fault/tgt", "tgt"},
        {"fault/trace/fault/tgt", "tgt"},
        {"trace//usr/lib/x.so", "/usr/lib/x.so"},
        {"/usr/lib/trace/x.so", "/usr/lib/trace/x.so"},
        {"./trace/x.so", "./trace/x.so"},
        {"fault/./trace/x.so", "./trace/x.so"},
        {"traces/x.so", "traces/x.so"},
        {"trace/", ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        assert_string_equal(shims_rest(pairs[i][0]), pairs[i][1]);
    }
}

static void without_shims_there_is_no_layer(void **state)
{
    struct shim_host *h = *state;
    assert_int_equal(shim_host_open(h, "tgt", "fault = nonsense\n"), S_OK); /* nobody reads it */
    assert_null(h->layer);
}

/* ---- layers ------------------------------------------------------------------------------------
 */

static void a_layer_looks_like_the_provider_below(void **state)
{
    struct shim_host *h = *state;
    open_ok(h, "trace/fault/tgt", "");
    const struct vss_provider_table *seen = shims_table(h->layer);
    assert_string_equal(seen->name, "below");
    assert_null(seen->ops[VSS_OP_RESYNC_START]); /* what it has not, it has not through shims */
    assert_null(seen->ops[VSS_OP_ON_LUN_STATE_CHANGE]);
    assert_non_null(seen->ops[VSS_OP_ON_UNLOAD]); /* but a fault may be wanted there */
    assert_int_equal(shim_host_call(h, VSS_OP_ON_UNLOAD, NULL), S_OK);
    shim_host_close(h);
    open_ok(h, "trace/tgt", "");
    assert_null(shims_table(h->layer)->ops[VSS_OP_ON_UNLOAD]);
}

static void self_is_that_of_the_provider_below(void **state)
{
    struct shim_host *h = *state;
    struct vss_on_load_out loaded = {.struct_size = sizeof(loaded)};
    struct vss_states_out out = {.struct_size = sizeof(out)};
    open_ok(h, "trace/fault/tgt", "");
    assert_int_equal(shim_host_call(h, VSS_OP_ON_LOAD, &loaded), S_OK);
    assert_ptr_equal(loaded.self, h->layer);
    assert_int_equal(shim_host_call(h, VSS_OP_COMMIT_SNAPSHOTS, &out), S_OK);
    assert_ptr_equal(below.last_self, &below_self);
}

/* ---- faults: codes and their moment ------------------------------------------------------------
 */

static HRESULT call_states(struct shim_host *h, enum vss_provider_op op, struct vss_states_out *out)
{
    *out = (struct vss_states_out){.struct_size = sizeof(*out)};
    return shim_host_call(h, op, out);
}

static void a_code_is_given_instead_of_the_call(void **state)
{
    struct shim_host *h = *state;
    struct vss_states_out out;
    open_ok(h, "fault/tgt",
            "fault = CommitSnapshots:VSS_E_PROVIDER_VETO, EndPrepareSnapshots:0xdead0001\n"
            "fault2 = AbortSnapshots:S_OK\n");
    assert_int_equal(call_states(h, VSS_OP_COMMIT_SNAPSHOTS, &out), VSS_E_PROVIDER_VETO);
    assert_string_equal(h->error, "fault: CommitSnapshots:VSS_E_PROVIDER_VETO");
    assert_string_equal(h->log, "CommitSnapshots:VSS_E_PROVIDER_VETO");
    assert_int_equal(call_states(h, VSS_OP_END_PREPARE_SNAPSHOTS, &out), (HRESULT)0xdead0001);
    assert_int_equal(call_states(h, VSS_OP_ABORT_SNAPSHOTS, &out), S_OK);
    assert_null(out.states); /* it says so, and has done nothing */
    assert_int_equal(below.calls[VSS_OP_COMMIT_SNAPSHOTS], 0);
    assert_int_equal(below.calls[VSS_OP_ABORT_SNAPSHOTS], 0);
}

static void a_fault_after_comes_when_the_provider_has_done_it(void **state)
{
    struct shim_host *h = *state;
    struct vss_states_out out;
    open_ok(h, "fault/tgt", "fault = CommitSnapshots:after:E_OUTOFMEMORY\n");
    assert_int_equal(call_states(h, VSS_OP_COMMIT_SNAPSHOTS, &out), E_OUTOFMEMORY);
    assert_int_equal(below.calls[VSS_OP_COMMIT_SNAPSHOTS], 1);
}

static void a_number_means_that_call_only(void **state)
{
    struct shim_host *h = *state;
    struct vss_states_out out;
    open_ok(h, "fault/tgt", "fault = CommitSnapshots:2:E_OUTOFMEMORY, *:5:E_INVALIDARG\n");
    assert_int_equal(call_states(h, VSS_OP_COMMIT_SNAPSHOTS, &out), S_OK);
    assert_int_equal(call_states(h, VSS_OP_ABORT_SNAPSHOTS, &out), S_OK);
    assert_int_equal(call_states(h, VSS_OP_COMMIT_SNAPSHOTS, &out), E_OUTOFMEMORY);
    assert_int_equal(call_states(h, VSS_OP_COMMIT_SNAPSHOTS, &out), S_OK);
    assert_int_equal(call_states(h, VSS_OP_ABORT_SNAPSHOTS, &out), E_INVALIDARG); /* the fifth */
    assert_int_equal(call_states(h, VSS_OP_ABORT_SNAPSHOTS, &out), S_OK);
}

static void calls_can_be_counted_over_processes(void **state)
{
    struct shim_host *h = *state;
    struct vss_states_out out;
    char lines[256];
    (void)snprintf(lines, sizeof(lines),
                   "fault = CommitSnapshots:2:E_OUTOFMEMORY\nfault_calls = %s/calls\n",
                   h->directory);
    open_ok(h, "fault/tgt", lines);
    assert_int_equal(call_states(h, VSS_OP_COMMIT_SNAPSHOTS, &out), S_OK);
    shim_host_close(h); /* as a process that ends */
    open_ok(h, "fault/tgt", lines);
    assert_int_equal(call_states(h, VSS_OP_ABORT_SNAPSHOTS, &out), S_OK);
    assert_int_equal(call_states(h, VSS_OP_COMMIT_SNAPSHOTS, &out), E_OUTOFMEMORY);
    assert_int_equal(call_states(h, VSS_OP_COMMIT_SNAPSHOTS, &out), S_OK);
    shim_host_close(h);
    open_ok(h, "fault/tgt", "fault_calls = /no/such/directory/calls\n");
    assert_int_equal(call_states(h, VSS_OP_COMMIT_SNAPSHOTS, &out), VSS_E_PROVIDER_VETO);
    assert_has(h->error, "fault_calls");
}

static void a_socket_that_is_not_there_is_not_hurt(void **state)
{
    struct shim_host *h = *state;
    struct vss_states_out out;
    open_ok(h, "fault/tgt", "fault = CommitSnapshots:close, AbortSnapshots:garbage\n");
    assert_int_equal(call_states(h, VSS_OP_COMMIT_SNAPSHOTS, &out), E_INVALIDARG);
    assert_int_equal(call_states(h, VSS_OP_ABORT_SNAPSHOTS, &out), E_INVALIDARG);
}

/* ---- faults: lies ------------------------------------------------------------------------------
 */

static void a_lost_lun_does_not_reach_the_provider(void **state)
{
    struct shim_host *h = *state;
    struct vss_states_out out;
    open_ok(h, "fault/tgt", "fault = CommitSnapshots:lose, OnLunEmpty:lose\n");
    assert_int_equal(call_states(h, VSS_OP_COMMIT_SNAPSHOTS, &out), S_OK);
    assert_int_equal(below.last_lun_count, SHIM_LUNS - 1);
    assert_non_null(out.states[SHIM_LUNS - 2].data);
    assert_null(out.states[SHIM_LUNS - 1].data);
    assert_int_equal(shim_host_call(h, VSS_OP_ON_LUN_EMPTY, NULL), S_OK);
    assert_int_equal(below.last_lun_count, SHIM_LUNS - 1);
}

static void half_a_set_is_half_empty(void **state)
{
    struct shim_host *h = *state;
    struct vss_states_out out;
    struct vss_target_luns_out targets = {.struct_size = sizeof(targets)};
    open_ok(h, "fault/tgt", "fault = CommitSnapshots:half, GetTargetLuns:half\n");
    assert_int_equal(call_states(h, VSS_OP_COMMIT_SNAPSHOTS, &out), S_OK);
    assert_int_equal(below.last_lun_count, SHIM_LUNS);
    assert_non_null(out.states[SHIM_LUNS / 2 - 1].data);
    assert_null(out.states[SHIM_LUNS / 2].data);
    assert_int_equal(shim_host_call(h, VSS_OP_GET_TARGET_LUNS, &targets), S_OK);
    assert_int_equal(targets.luns[SHIM_LUNS / 2 - 1].version, 1);
    assert_int_equal(targets.luns[SHIM_LUNS / 2].version, 0);
}

static void a_copy_claims_to_be_its_original(void **state)
{
    struct shim_host *h = *state;
    struct vss_target_luns_out targets = {.struct_size = sizeof(targets)};
    struct vss_supported_out supported = {.struct_size = sizeof(supported)};
    open_ok(h, "fault/tgt", "fault = GetTargetLuns:identity, FillInLunInfo:identity\n");
    assert_int_equal(shim_host_call(h, VSS_OP_GET_TARGET_LUNS, &targets), S_OK);
    assert_string_equal(targets.luns[0].serial_number, "original");
    assert_int_equal(targets.luns[0].device_id.identifiers[0].identifier[15], 17);
    assert_int_equal(targets.luns[1].device_id.identifiers[0].identifier[15], 2);
    assert_int_equal(shim_host_call(h, VSS_OP_FILL_IN_LUN_INFO, &supported), S_OK);
    assert_int_equal(supported.luns[0].device_id.identifiers[0].identifier[15], 16);
}

/* ---- faults: what is no fault ------------------------------------------------------------------
 */

static void what_is_no_fault_is_refused(void **state)
{
    static const struct {
        const char *fault;
        const char *words;
    } cases[] = {
        {"Commit:abort", "no operation Commit; see lunshadow-provider(7)"},
        {"CommitSnapshots", "is not OPERATION[:N][:after]:FAILURE"},
        {"CommitSnapshots:", "is not OPERATION[:N][:after]:FAILURE"},
        {"CommitSnapshots:1", "is not OPERATION[:N][:after]:FAILURE"},
        {"CommitSnapshots:1:after", "is not OPERATION[:N][:after]:FAILURE"},
        {"CommitSnapshots:1:abort:again", "is not OPERATION[:N][:after]:FAILURE"},
        {"CommitSnapshots:0:abort", "calls are counted from 1"},
        {"CommitSnapshots:99999999999999999999:abort", "calls are counted from 1"},
        {"CommitSnapshots:explode", "explode is none of a code, segv, abort"},
        {"CommitSnapshots:VSS_E_NO_SUCH_CODE", "is none of a code"},
        {"CommitSnapshots:0x123456789", "is none of a code"},
        {"CommitSnapshots:exit=256", "exit takes a number up to 255"},
        {"CommitSnapshots:exit=", "exit takes a number up to 255"},
        {"CommitSnapshots:segv=1", "segv takes no number"},
        {"CommitSnapshots:identity", "that operation has no such answer"},
        {"OnLunEmpty:half", "that operation has no such answer"},
        {"*:lose", "that operation has no such answer"},
        {"CommitSnapshots:after:lose", "is changed anyway after it did"},
    };
    struct shim_host *h = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char line[256];
        (void)snprintf(line, sizeof(line), "fault = OnLoad:3:abort, %s\n", cases[i].fault);
        assert_not_opened(h, "trace/fault/tgt", line, cases[i].words);
        assert_has(shim_host_open(h, "fault/tgt", line) ? h->error : "",
                   "[array one]: shim fault: ");
        shim_host_close(h);
    }
}

static void every_fault_that_is_documented_is_one(void **state)
{
    static const char *const good[] = {"ResyncLuns poll:1:hang=10",
                                       "*:segv",
                                       "OnLoad:exit",
                                       "OnLoad:exit=7",
                                       "OnUnload:spin",
                                       "*:9:leak=200",
                                       "*:orphan",
                                       "PostCommitSnapshots:after:abort",
                                       "LocateLuns:0x80004005",
                                       "*:S_FALSE"};
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct fault fault;
        struct error err = {0};
        if (FAILED(fault_parse(good[i], &fault, &err))) {
            fail_msg("%s", err.text);
        }
        free(fault.text);
    }
}

/* ---- the trace ---------------------------------------------------------------------------------
 */

static void open_trace(struct shim_host *h, const char *value, const char *more, char path[96])
{
    char lines[512];
    (void)snprintf(path, 96, "%s/trace", h->directory);
    (void)snprintf(lines, sizeof(lines), "trace_file = %s\n%s", path, more);
    open_ok(h, value, lines);
}

static void a_trace_tells_calls_and_results(void **state)
{
    struct shim_host *h = *state;
    struct vss_states_out out;
    char path[96];
    open_trace(h, "trace/fault/tgt", "fault = CommitSnapshots:2:VSS_E_PROVIDER_VETO\n", path);
    assert_int_equal(call_states(h, VSS_OP_COMMIT_SNAPSHOTS, &out), S_OK);
    assert_int_equal(call_states(h, VSS_OP_COMMIT_SNAPSHOTS, &out), VSS_E_PROVIDER_VETO);
    char *text = shim_read_file(path);
    assert_has(text, " #1 CommitSnapshots: context=0x9 set=00000000-0000-0000-0000-000000000000");
    assert_has(text, "luns=[{snapshot=00000000-0000-0000-0000-000000000000 "
                     "device=iscsi://host/target/1 source=naa.6001405a1111");
    assert_has(text, " #1 CommitSnapshots = S_OK after ");
    assert_has(text, " #2 CommitSnapshots = VSS_E_PROVIDER_VETO after ");
    assert_has(text, "error=fault: CommitSnapshots:2:VSS_E_PROVIDER_VETO");
    assert_has(text, "state_bytes=6");
    assert_lacks(text, "hidden");             /* a state that goes down */
    assert_lacks(text, "the provider's own"); /* and one that comes up */
    free(text);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_string_equal(h->error, "fault: CommitSnapshots:2:VSS_E_PROVIDER_VETO"); /* passed on */
}

static void a_trace_behind_a_fault_sees_what_gets_there(void **state)
{
    struct shim_host *h = *state;
    struct vss_states_out out;
    char path[96];
    open_trace(h, "fault/trace/tgt", "fault = CommitSnapshots:E_OUTOFMEMORY\n", path);
    assert_int_equal(call_states(h, VSS_OP_COMMIT_SNAPSHOTS, &out), E_OUTOFMEMORY);
    assert_int_equal(call_states(h, VSS_OP_ABORT_SNAPSHOTS, &out), S_OK);
    char *text = shim_read_file(path);
    assert_lacks(text, "CommitSnapshots");
    assert_has(text, " #1 AbortSnapshots = S_OK");
    free(text);
}

/* Each line by itself. */
static size_t check_json_lines(char *text)
{
    size_t lines = 0;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        json_error_t why;
        json_t *root = json_loads(line, JSON_REJECT_DUPLICATES, &why);
        if (!root) {
            fail_msg("%s: %s", why.text, line);
        }
        const char *event = json_string_value(json_object_get(root, "event"));
        assert_non_null(event);
        assert_string_equal(json_string_value(json_object_get(root, "array")), "one");
        assert_true(json_is_object(json_object_get(root, strcmp(event, "call") ? "out" : "in")));
        json_decref(root);
        lines++;
    }
    return lines;
}

static void a_trace_in_json_is_an_object_a_line(void **state)
{
    struct shim_host *h = *state;
    struct vss_target_luns_out targets = {.struct_size = sizeof(targets)};
    struct vss_supported_out supported = {.struct_size = sizeof(supported)};
    struct vss_on_load_out loaded = {.struct_size = sizeof(loaded)};
    char path[96];
    open_trace(h, "trace/fault/tgt", "trace_format = json\n", path);
    assert_int_equal(shim_host_call(h, VSS_OP_ON_LOAD, &loaded), S_OK);
    assert_int_equal(shim_host_call(h, VSS_OP_GET_TARGET_LUNS, &targets), S_OK);
    assert_int_equal(shim_host_call(h, VSS_OP_ARE_LUNS_SUPPORTED, &supported), S_OK);
    assert_int_equal(shim_host_call(h, VSS_OP_ON_UNLOAD, NULL), S_OK);
    char *text = shim_read_file(path);
    assert_has(text, "\"operation\":\"GetTargetLuns\"");
    assert_has(text, "\"serial_number\":\"copy\""); /* infos with all that is in them */
    assert_int_equal(check_json_lines(text), 8);
    free(text);
}

static void a_trace_that_cannot_be_is_refused(void **state)
{
    struct shim_host *h = *state;
    assert_not_opened(h, "trace/tgt", "trace_format = xml\n", "neither text nor json");
    assert_int_equal(shim_host_open(h, "trace/tgt", "trace_file = /no/such/directory/trace\n"),
                     VSS_E_OBJECT_NOT_FOUND);
    assert_has(h->error, "trace_file = /no/such/directory/trace");
}

int main(void)
{
#define shim_test(name) cmocka_unit_test_setup_teardown(name, shim_set_up, shim_tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leading_names_of_shims_are_shims),
        shim_test(without_shims_there_is_no_layer),
        shim_test(a_layer_looks_like_the_provider_below),
        shim_test(self_is_that_of_the_provider_below),
        shim_test(a_code_is_given_instead_of_the_call),
        shim_test(a_fault_after_comes_when_the_provider_has_done_it),
        shim_test(a_number_means_that_call_only),
        shim_test(calls_can_be_counted_over_processes),
        shim_test(a_socket_that_is_not_there_is_not_hurt),
        shim_test(a_lost_lun_does_not_reach_the_provider),
        shim_test(half_a_set_is_half_empty),
        shim_test(a_copy_claims_to_be_its_original),
        shim_test(what_is_no_fault_is_refused),
        cmocka_unit_test(every_fault_that_is_documented_is_one),
        shim_test(a_trace_tells_calls_and_results),
        shim_test(a_trace_behind_a_fault_sees_what_gets_there),
        shim_test(a_trace_in_json_is_an_object_a_line),
        shim_test(a_trace_that_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
