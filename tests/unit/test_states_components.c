/* SPDX-License-Identifier: Apache-2.0 */

/* The methods on components in the states that are theirs: a session that selects components, on
 * its way through a backup and a restore, against a list written by hand. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "requester/states.h"

#define SELECTS (SESSION_BACKUP | SESSION_BACKUP_STATE | SESSION_COMPONENTS)
#define WRITERS (SESSION_GATHERED | SESSION_METADATA)
#define RESTORE (SESSION_RESTORE | SESSION_DOCUMENT)

static const struct {
    char letter;
    uint32_t conditions;
} states[] = {
    /* a backup */
    {'c', SELECTS},
    {'g', SELECTS | WRITERS},
    {'f', SELECTS | SESSION_GATHERED}, /* FreeWriterMetadata */
    {'s', SELECTS | WRITERS | SESSION_SET},
    {'p', SELECTS | WRITERS | SESSION_SET | SESSION_PREPARED},
    {'d', SELECTS | WRITERS | SESSION_DONE},
    {'e', SELECTS | WRITERS | SESSION_DONE | SESSION_COMPLETED},
    {'n', SELECTS | WRITERS | SESSION_NO_WRITERS},
    {'m', SELECTS | WRITERS | SESSION_NO_WRITERS | SESSION_DONE},
    {'a', (SELECTS | WRITERS) & ~(uint32_t)SESSION_COMPONENTS}, /* all is backed up */
    /* a restore */
    {'R', RESTORE | SESSION_COMPONENTS},
    {'G', RESTORE | SESSION_COMPONENTS | WRITERS},
    {'A', RESTORE | WRITERS}, /* all is restored */
    {'P', RESTORE | SESSION_COMPONENTS | WRITERS | SESSION_PRE_RESTORED},
    {'Z', RESTORE | SESSION_COMPONENTS | WRITERS | SESSION_PRE_RESTORED | SESSION_POST_RESTORED},
    /* neither, and an operation that runs */
    {'u', 0},
    {'b', SELECTS | WRITERS | SESSION_BUSY},
    {'B', RESTORE | SESSION_COMPONENTS | WRITERS | SESSION_BUSY},
};

static const struct {
    enum session_method method;
    const char *works_in;
} expected[] = {
    {METHOD_GET_WRITER_COMPONENTS_COUNT, "cgfspdenmaRGAPZ"},
    {METHOD_GET_WRITER_COMPONENTS, "cgfspdenmaRGAPZ"},
    {METHOD_ADD_COMPONENT, "gfs"},
    {METHOD_SET_BACKUP_OPTIONS, "cgfsa"},
    {METHOD_SET_PREVIOUS_BACKUP_STAMP, "cgfsa"},
    {METHOD_SET_BACKUP_SUCCEEDED, "d"},
    {METHOD_SET_RESTORE_STATE, "RGA"},
    {METHOD_SET_SELECTED_FOR_RESTORE, "G"},
    {METHOD_SET_SELECTED_FOR_RESTORE_EX, "G"},
    {METHOD_SET_RESTORE_OPTIONS, "RGA"},
    {METHOD_SET_ADDITIONAL_RESTORES, "RGA"},
    {METHOD_SET_AUTHORITATIVE_RESTORE, "RGA"},
    {METHOD_SET_RESTORE_NAME, "RGA"},
    {METHOD_SET_ROLL_FORWARD, "RGA"},
    {METHOD_ADD_RESTORE_SUBCOMPONENT, "RGA"},
    {METHOD_ADD_NEW_TARGET, "GA"},
    {METHOD_ADD_ALTERNATIVE_LOCATION_MAPPING, "GAP"},
    {METHOD_SET_RANGES_FILE_PATH, "RGA"},
    {METHOD_SET_FILE_RESTORE_STATUS, "RGAP"},
};

static void check(enum session_method method, char letter, uint32_t conditions, bool works)
{
    struct error err = {0};
    HRESULT hr = states_check(method, conditions, &err);
    if (hr != (works ? S_OK : VSS_E_BAD_STATE)) {
        fail_msg("%s in state %c gave 0x%08x (%s)", states_method_name(method), letter,
                 (unsigned)hr, err.text);
    }
    /* and none of them changes the state */
    assert_int_equal(states_next(method, conditions, S_OK), conditions);
    assert_int_equal(states_next(method, conditions, E_OUTOFMEMORY), conditions);
}

static void test_every_method_in_every_state(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        for (size_t j = 0; j < sizeof(states) / sizeof(states[0]); j++) {
            check(expected[i].method, states[j].letter, states[j].conditions,
                  strchr(expected[i].works_in, states[j].letter) != NULL);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_method_in_every_state)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
