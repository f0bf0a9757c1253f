/* SPDX-License-Identifier: Apache-2.0 */

/* The state machine of a session: every method in every state, against a list written by hand from
 * what the documentation says of each method, not from the table. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "requester/states.h"

#include <lunshadow/requester.h>

/* How a state is reached: from another one, by one method that ends well, with what its arguments
 * add. */
struct state {
    char letter;
    char from;
    enum session_method by;
    uint32_t adds;
};

static const struct state states[] = {
    {'I', 'U', METHOD_INITIALIZE_FOR_BACKUP, 0},
    /* a context with writers, and the whole way of a backup */
    {'C', 'I', METHOD_SET_CONTEXT, 0},
    {'c', 'C', METHOD_SET_BACKUP_STATE, 0},
    {'M', 'c', METHOD_GATHER_WRITER_METADATA, 0},
    {'S', 'M', METHOD_START_SNAPSHOT_SET, 0},
    {'V', 'S', METHOD_ADD_TO_SNAPSHOT_SET, 0},
    {'P', 'V', METHOD_PREPARE_FOR_BACKUP, 0},
    {'D', 'P', METHOD_DO_SNAPSHOT_SET, 0},
    {'E', 'D', METHOD_BACKUP_COMPLETE, 0},
    {'B', 'D', METHOD_ABORT_BACKUP, 0},
    {'F', 'M', METHOD_FREE_WRITER_METADATA, 0},
    /* without gathering, and an empty set */
    {'g', 'c', METHOD_START_SNAPSHOT_SET, 0},
    {'G', 'g', METHOD_PREPARE_FOR_BACKUP, 0},
    {'p', 'S', METHOD_PREPARE_FOR_BACKUP, 0},
    /* without SetBackupState */
    {'b', 'C', METHOD_START_SNAPSHOT_SET, 0},
    /* a context without writers */
    {'n', 'I', METHOD_SET_CONTEXT, SESSION_NO_WRITERS},
    {'N', 'n', METHOD_START_SNAPSHOT_SET, 0},
    {'W', 'N', METHOD_ADD_TO_SNAPSHOT_SET, 0},
    {'d', 'W', METHOD_DO_SNAPSHOT_SET, 0},
    {'A', 'I', METHOD_SET_CONTEXT, SESSION_ALL},
    /* with a document */
    {'X', 'U', METHOD_INITIALIZE_FOR_BACKUP, SESSION_DOCUMENT},
    {'Y', 'X', METHOD_IMPORT_SNAPSHOTS, 0},
    {'R', 'U', METHOD_INITIALIZE_FOR_RESTORE, SESSION_DOCUMENT},
    {'Q', 'R', METHOD_GATHER_WRITER_METADATA, 0},
    {'T', 'R', METHOD_ADD_SNAPSHOT_TO_RECOVERY_SET, 0},
    {'q', 'Q', METHOD_PRE_RESTORE, 0},
    {'r', 'q', METHOD_POST_RESTORE, 0},
    {'s', 'M', METHOD_GATHER_WRITER_STATUS, 0},
    {'t', 's', METHOD_FREE_WRITER_STATUS, 0},
    {'Z', 'T', METHOD_RECOVER_SET, 0},
    /* while an operation runs */
    {'1', 'M', METHOD_ABORT_BACKUP, SESSION_BUSY},
    {'2', 'P', METHOD_SAVE_AS_XML, SESSION_BUSY},
    {'3', 'T', METHOD_SAVE_AS_XML, SESSION_BUSY},
};
#define STATE_COUNT (sizeof(states) / sizeof(states[0]))

#define ALL_BACKUP  "ICcMSVPDEBFgGpbnNWdAXYst"
#define ALL_RESTORE "RQTZqr"

/* The states in which a method works; in all others it refuses with the code. */
static const struct {
    enum session_method method;
    const char *works_in;
    HRESULT refusal;
} expected[] = {
    {METHOD_INITIALIZE_FOR_BACKUP, "U", VSS_E_BAD_STATE},
    {METHOD_INITIALIZE_FOR_RESTORE, "U", VSS_E_BAD_STATE},
    {METHOD_SET_CONTEXT, "IXY", VSS_E_BAD_STATE},
    {METHOD_SET_BACKUP_STATE, "ICcMSVFgbnNWAXYRQTZqrst", VSS_E_BAD_STATE},
    {METHOD_GATHER_WRITER_METADATA, "ICcgbnNWdAXYRTZ", VSS_E_BAD_STATE},
    {METHOD_GET_WRITER_METADATA_COUNT, "MSVPDEBpQqrst", VSS_E_BAD_STATE},
    {METHOD_GET_WRITER_METADATA, "MSVPDEBpQqrst", VSS_E_BAD_STATE},
    {METHOD_GET_WRITER_METADATA_EX, "MSVPDEBpQqrst", VSS_E_BAD_STATE},
    {METHOD_FREE_WRITER_METADATA, "MSVPDEBFpQqrst", VSS_E_BAD_STATE},
    {METHOD_START_SNAPSHOT_SET, "ICcMFnst", VSS_E_BAD_STATE},
    {METHOD_ADD_TO_SNAPSHOT_SET, "SVgbNW", VSS_E_BAD_STATE},
    {METHOD_IS_VOLUME_SUPPORTED, ALL_BACKUP, VSS_E_BAD_STATE},
    {METHOD_PREPARE_FOR_BACKUP, "SVg", VSS_E_BAD_STATE},
    {METHOD_DO_SNAPSHOT_SET, "PpW", VSS_E_BAD_STATE},
    {METHOD_BACKUP_COMPLETE, "D", VSS_E_BAD_STATE},
    {METHOD_ABORT_BACKUP, ALL_BACKUP ALL_RESTORE, VSS_E_BAD_STATE},
    {METHOD_SAVE_AS_XML, ALL_BACKUP ALL_RESTORE, VSS_E_BAD_STATE},
    {METHOD_GET_SNAPSHOT_PROPERTIES, ALL_BACKUP, VSS_E_BAD_STATE},
    {METHOD_QUERY, ALL_BACKUP, VSS_E_BAD_STATE},
    {METHOD_IMPORT_SNAPSHOTS, "X", VSS_E_BAD_STATE},
    {METHOD_BREAK_SNAPSHOT_SET, ALL_BACKUP, VSS_E_UNEXPECTED},
    {METHOD_BREAK_SNAPSHOT_SET_EX, ALL_BACKUP, VSS_E_UNEXPECTED},
    {METHOD_DELETE_SNAPSHOTS, ALL_BACKUP, VSS_E_UNEXPECTED},
    {METHOD_ADD_SNAPSHOT_TO_RECOVERY_SET, ALL_RESTORE, VSS_E_BAD_STATE},
    {METHOD_RECOVER_SET, "T", VSS_E_BAD_STATE},
    {METHOD_EXPOSE_SNAPSHOT, ALL_BACKUP, VSS_E_BAD_STATE},
    {METHOD_UNEXPOSE_SNAPSHOT, ALL_BACKUP, VSS_E_BAD_STATE},
    {METHOD_REVERT_TO_SNAPSHOT, ALL_BACKUP, E_FAIL},
    {METHOD_QUERY_REVERT_STATUS, ALL_BACKUP ALL_RESTORE, E_FAIL},
    {METHOD_GET_ROOT_AND_LOGICAL_PREFIX_PATHS, ALL_BACKUP, VSS_E_UNEXPECTED},
    {METHOD_RECOVERY_REPORT, ALL_RESTORE, VSS_E_BAD_STATE},
    {METHOD_ENABLE_WRITER_CLASSES, ALL_BACKUP ALL_RESTORE, VSS_E_BAD_STATE},
    {METHOD_DISABLE_WRITER_CLASSES, ALL_BACKUP ALL_RESTORE, VSS_E_BAD_STATE},
    {METHOD_DISABLE_WRITER_INSTANCES, ALL_BACKUP ALL_RESTORE, VSS_E_BAD_STATE},
    {METHOD_GATHER_WRITER_STATUS, ALL_BACKUP ALL_RESTORE, VSS_E_BAD_STATE},
    {METHOD_GET_WRITER_STATUS_COUNT, "s", VSS_E_BAD_STATE},
    {METHOD_FREE_WRITER_STATUS, "s", VSS_E_BAD_STATE},
    {METHOD_GET_WRITER_STATUS, "s", VSS_E_BAD_STATE},
    {METHOD_GET_WRITER_STATUS_EX, "s", VSS_E_BAD_STATE},
    {METHOD_PRE_RESTORE, "Q", VSS_E_BAD_STATE},
    {METHOD_POST_RESTORE, "q", VSS_E_BAD_STATE},
    {METHOD_PRE_FAST_RECOVERY, ALL_BACKUP ALL_RESTORE, VSS_E_BAD_STATE},
    {METHOD_FAST_RECOVERY, ALL_BACKUP ALL_RESTORE, VSS_E_BAD_STATE},
    /* those of components have more states of their own: test_states_components.c */
    {METHOD_GET_WRITER_COMPONENTS_COUNT, ALL_BACKUP ALL_RESTORE, VSS_E_BAD_STATE},
    {METHOD_GET_WRITER_COMPONENTS, ALL_BACKUP ALL_RESTORE, VSS_E_BAD_STATE},
    {METHOD_ADD_COMPONENT, "", VSS_E_BAD_STATE},
    {METHOD_SET_BACKUP_OPTIONS, "ICcMSVFgbAXYst", VSS_E_BAD_STATE},
    {METHOD_SET_PREVIOUS_BACKUP_STAMP, "ICcMSVFgbAXYst", VSS_E_BAD_STATE},
    {METHOD_SET_BACKUP_SUCCEEDED, "", VSS_E_BAD_STATE},
    {METHOD_SET_RESTORE_STATE, "RQTZ", VSS_E_BAD_STATE},
    {METHOD_SET_SELECTED_FOR_RESTORE, "", VSS_E_BAD_STATE},
    {METHOD_SET_SELECTED_FOR_RESTORE_EX, "", VSS_E_BAD_STATE},
    {METHOD_SET_RESTORE_OPTIONS, "RQTZ", VSS_E_BAD_STATE},
    {METHOD_SET_ADDITIONAL_RESTORES, "RQTZ", VSS_E_BAD_STATE},
    {METHOD_SET_AUTHORITATIVE_RESTORE, "RQTZ", VSS_E_BAD_STATE},
    {METHOD_SET_RESTORE_NAME, "RQTZ", VSS_E_BAD_STATE},
    {METHOD_SET_ROLL_FORWARD, "RQTZ", VSS_E_BAD_STATE},
    {METHOD_ADD_RESTORE_SUBCOMPONENT, "RQTZ", VSS_E_BAD_STATE},
    {METHOD_ADD_NEW_TARGET, "Q", VSS_E_BAD_STATE},
    {METHOD_ADD_ALTERNATIVE_LOCATION_MAPPING, "Qq", VSS_E_BAD_STATE},
    {METHOD_SET_RANGES_FILE_PATH, "RQTZ", VSS_E_BAD_STATE},
    {METHOD_SET_FILE_RESTORE_STATUS, "RQTZq", VSS_E_BAD_STATE},
};
#define EXPECTED_COUNT (sizeof(expected) / sizeof(expected[0]))

/* The conditions of a state; each step on the way must be allowed. */
static uint32_t reach(char letter)
{
    if (letter == 'U') {
        return 0;
    }
    for (size_t i = 0; i < STATE_COUNT; i++) {
        if (states[i].letter == letter) {
            uint32_t before = reach(states[i].from);
            assert_int_equal(states_check(states[i].by, before, NULL), S_OK);
            return states_next(states[i].by, before, S_OK) | states[i].adds;
        }
    }
    fail_msg("no state %c", letter);
    return 0;
}

static void check_method(size_t row, char letter)
{
    struct error err = {0};
    HRESULT wanted = strchr(expected[row].works_in, letter) ? S_OK : expected[row].refusal;
    HRESULT hr = states_check(expected[row].method, reach(letter), &err);
    if (hr != wanted) {
        fail_msg("%s in state %c gave 0x%08x (%s)", states_method_name(expected[row].method),
                 letter, (unsigned)hr, err.text);
    }
    if (FAILED(hr)) {
        /* "Method: what is wrong" */
        assert_non_null(strstr(err.text, ": "));
        assert_true(strlen(strstr(err.text, ": ")) > 10);
    }
}

static void test_every_method_in_every_state(void **unused)
{
    (void)unused;
    assert_int_equal(EXPECTED_COUNT, METHOD_COUNT);
    for (size_t row = 0; row < EXPECTED_COUNT; row++) {
        assert_int_equal(expected[row].method, row);
        check_method(row, 'U');
        for (size_t i = 0; i < STATE_COUNT; i++) {
            check_method(row, states[i].letter);
        }
    }
}

/* A set that failed is gone: the session is as before StartSnapshotSet. */
static void test_failed_set(void **unused)
{
    (void)unused;
    uint32_t after = states_next(METHOD_DO_SNAPSHOT_SET, reach('P'), VSS_E_HOLD_WRITES_TIMEOUT);
    assert_int_equal(after, reach('M'));
    after = states_next(METHOD_ABORT_BACKUP, reach('P'), S_OK);
    assert_int_equal(after, reach('M') | SESSION_ABORTED);
    assert_int_equal(states_next(METHOD_START_SNAPSHOT_SET, after, S_OK), reach('S'));
}

static void test_failures_change_nothing(void **unused)
{
    (void)unused;
    for (int method = 0; method < METHOD_COUNT; method++) {
        if (method == METHOD_DO_SNAPSHOT_SET || method == METHOD_RECOVER_SET) {
            continue;
        }
        assert_int_equal(states_next((enum session_method)method, reach('V'), E_OUTOFMEMORY),
                         reach('V'));
    }
    uint32_t after = states_next(METHOD_RECOVER_SET, reach('T'), VSS_E_PROVIDER_VETO);
    assert_int_equal(states_check(METHOD_RECOVER_SET, after, NULL), VSS_E_BAD_STATE);
}

static void test_lists_are_closed(void **unused)
{
    (void)unused;
    struct error err = {0};
    (void)error_set(&err, VSS_E_BAD_STATE, "a dead process left a resync");
    assert_int_equal(states_result(METHOD_BREAK_SNAPSHOT_SET, VSS_E_BAD_STATE, &err),
                     VSS_E_UNEXPECTED);
    assert_int_equal(err.code, VSS_E_UNEXPECTED);
    assert_non_null(strstr(err.text, "a dead process left a resync"));
    assert_non_null(strstr(err.text, "VSS_E_BAD_STATE"));

    error_clear(&err);
    assert_int_equal(states_result(METHOD_DO_SNAPSHOT_SET, E_FAIL, &err), VSS_E_UNEXPECTED);
    assert_true(err.text[0] != '\0');

    assert_int_equal(
        states_result(METHOD_BREAK_SNAPSHOT_SET_EX, VSS_E_BREAK_REVERT_ID_FAILED, NULL),
        VSS_E_BREAK_REVERT_ID_FAILED);
    assert_int_equal(states_result(METHOD_BREAK_SNAPSHOT_SET, VSS_E_BREAK_REVERT_ID_FAILED, NULL),
                     VSS_E_UNEXPECTED);
    assert_int_equal(
        states_result(METHOD_ADD_TO_SNAPSHOT_SET, VSS_E_UNEXPECTED_PROVIDER_ERROR, NULL),
        VSS_E_UNEXPECTED_PROVIDER_ERROR);
    assert_int_equal(states_result(METHOD_QUERY, E_ACCESSDENIED, NULL), E_ACCESSDENIED);
    assert_int_equal(
        states_result(METHOD_IMPORT_SNAPSHOTS, VSS_S_SOME_SNAPSHOTS_NOT_IMPORTED, NULL),
        VSS_S_SOME_SNAPSHOTS_NOT_IMPORTED);
}

/* What older systems did not know comes as what they said. */
static void test_platform_levels(void **unused)
{
    static const struct {
        enum session_method method;
        uint32_t level;
        HRESULT code;
        HRESULT expected;
    } cases[] = {
        {METHOD_QUERY, VSS_PLATFORM_NEWEST, VSS_E_UNEXPECTED, VSS_E_UNEXPECTED},
        {METHOD_QUERY, VSS_PLATFORM_2008, VSS_E_UNEXPECTED, E_UNEXPECTED},
        {METHOD_QUERY, VSS_PLATFORM_2003, VSS_E_UNEXPECTED, E_UNEXPECTED},
        {METHOD_QUERY, VSS_PLATFORM_2003, VSS_E_BAD_STATE, VSS_E_BAD_STATE},
        {METHOD_QUERY, VSS_PLATFORM_2003, S_OK, S_OK},
        {METHOD_ADD_TO_SNAPSHOT_SET, VSS_PLATFORM_NEWEST, VSS_E_NESTED_VOLUME_LIMIT,
         VSS_E_NESTED_VOLUME_LIMIT},
        {METHOD_ADD_TO_SNAPSHOT_SET, VSS_PLATFORM_2008, VSS_E_NESTED_VOLUME_LIMIT,
         VSS_E_VOLUME_NOT_SUPPORTED},
        {METHOD_IS_VOLUME_SUPPORTED, VSS_PLATFORM_2008, VSS_E_NESTED_VOLUME_LIMIT, E_UNEXPECTED},
        {METHOD_DO_SNAPSHOT_SET, VSS_PLATFORM_VISTA, VSS_E_REBOOT_REQUIRED, VSS_E_REBOOT_REQUIRED},
        {METHOD_DO_SNAPSHOT_SET, VSS_PLATFORM_2003, VSS_E_REBOOT_REQUIRED,
         VSS_E_UNEXPECTED_PROVIDER_ERROR},
        {METHOD_DO_SNAPSHOT_SET, VSS_PLATFORM_2003, VSS_E_TRANSACTION_THAW_TIMEOUT, E_UNEXPECTED},
    };
    (void)unused;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error err = {0};
        if (FAILED(cases[i].code)) {
            (void)error_set(&err, cases[i].code, "why");
        }
        HRESULT hr = states_at_level(cases[i].method, cases[i].level, cases[i].code, &err);
        if (hr != cases[i].expected) {
            fail_msg("case %zu gave 0x%08x", i, (unsigned)hr);
        }
        assert_int_equal(err.code, cases[i].expected);
        assert_string_equal(err.text, FAILED(hr) ? "why" : "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_method_in_every_state),
        cmocka_unit_test(test_failed_set),
        cmocka_unit_test(test_failures_change_nothing),
        cmocka_unit_test(test_lists_are_closed),
        cmocka_unit_test(test_platform_levels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
