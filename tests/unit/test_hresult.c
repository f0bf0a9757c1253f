/* SPDX-License-Identifier: Apache-2.0 */

/* Result codes: names, values, explanations and look-ups. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <lunshadow/vss.h>

/* 81 from vsserror.h and 11 from winerror.h. A row lost from the table shows here. */
#define DOCUMENTED_CODE_COUNT 92

/* No constant has this value: a gap in vsserror.h. */
#define UNASSIGNED_FAILURE ((HRESULT)0x80042305u)
#define UNASSIGNED_SUCCESS ((HRESULT)0x00042305u)

#define TEXT_SIZE 128

struct documented_code {
    const char *name;
    uint32_t value;
};

/* Typed by hand from the documentation, so that a slip in vss.h does not repeat itself here. */
static const struct documented_code documented_codes[] = {
    {"S_OK", 0x00000000u},
    {"S_FALSE", 0x00000001u},
    {"E_NOTIMPL", 0x80004001u},
    {"E_POINTER", 0x80004003u},
    {"E_FAIL", 0x80004005u},
    {"E_UNEXPECTED", 0x8000FFFFu},
    {"E_ACCESSDENIED", 0x80070005u},
    {"E_OUTOFMEMORY", 0x8007000Eu},
    {"E_INVALIDARG", 0x80070057u},
    {"RPC_E_CHANGED_MODE", 0x80010106u},
    {"VSS_E_BAD_STATE", 0x80042301u},
    {"VSS_E_UNEXPECTED", 0x80042302u},
    {"VSS_E_PROVIDER_VETO", 0x80042306u},
    {"VSS_E_OBJECT_NOT_FOUND", 0x80042308u},
    {"VSS_S_ASYNC_PENDING", 0x00042309u},
    {"VSS_S_ASYNC_FINISHED", 0x0004230Au},
    {"VSS_S_ASYNC_CANCELLED", 0x0004230Bu},
    {"VSS_E_VOLUME_NOT_SUPPORTED_BY_PROVIDER", 0x8004230Eu},
    {"VSS_E_UNEXPECTED_PROVIDER_ERROR", 0x8004230Fu},
    {"VSS_E_INVALID_XML_DOCUMENT", 0x80042311u},
    {"VSS_E_HOLD_WRITES_TIMEOUT", 0x80042314u},
    {"VSS_E_SNAPSHOT_SET_IN_PROGRESS", 0x80042316u},
    {"VSS_E_INSUFFICIENT_STORAGE", 0x8004231Fu},
    {"VSS_E_UNSELECTED_VOLUME", 0x8004232Au},
    {"VSS_E_SNAPSHOT_NOT_IN_SET", 0x8004232Bu},
    {"VSS_E_NESTED_VOLUME_LIMIT", 0x8004232Cu},
    {"VSS_E_WRITERERROR_PARTIAL_FAILURE", 0x80042336u},
    {"VSS_E_WRITERERROR_TIMEOUT", 0x800423F2u},
    {"VSS_E_BREAK_REVERT_ID_FAILED", 0x800423F6u},
    {"VSS_E_LEGACY_PROVIDER", 0x800423F7u},
    {"VSS_E_CANNOT_REVERT_DISKID", 0x800423FEu},
    {"VSS_E_RESYNC_IN_PROGRESS", 0x800423FFu},
    {"VSS_E_WRITER_STATUS_NOT_AVAILABLE", 0x80042409u},
    {"VSS_E_FSS_TIMEOUT", 0x80042417u},
};

static void assert_found(const char *text, HRESULT expected)
{
    HRESULT code = ~expected;

    if (!vss_error_lookup(text, &code))
        fail_msg("'%s' is not found", text);
    if (code != expected)
        fail_msg("'%s' is 0x%08x, not 0x%08x", text, (unsigned)code, (unsigned)expected);
}

static void assert_refused(const char *text)
{
    HRESULT code = E_FAIL;

    if (vss_error_lookup(text, &code))
        fail_msg("'%s' is found as 0x%08x", text, (unsigned)code);
    assert_int_equal(code, S_OK);
}

static void lower_case(const char *name, char *out)
{
    size_t i = 0;

    assert_true(strlen(name) < TEXT_SIZE);
    for (; name[i] != '\0'; i++)
        out[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] - 'A' + 'a') : name[i];
    out[i] = '\0';
}

static void every_code_is_found_by_each_of_its_forms(void **state)
{
    HRESULT code = S_OK;
    const char *name = NULL;
    char text[TEXT_SIZE] = "";

    (void)state;
    for (size_t i = 0; vss_error_at(i, &code, &name); i++) {
        assert_string_equal(vss_error_name(code), name);
        assert_found(name, code);
        lower_case(name, text);
        assert_found(text, code);
        (void)snprintf(text, sizeof text, "0x%08x", (unsigned)code);
        assert_found(text, code);
        (void)snprintf(text, sizeof text, "0X%08X", (unsigned)code);
        assert_found(text, code);
        (void)snprintf(text, sizeof text, "%ld", (long)code);
        assert_found(text, code);
    }
}

static void no_name_and_no_code_is_there_twice(void **state)
{
    HRESULT first_code = S_OK;
    HRESULT other_code = S_OK;
    const char *first_name = NULL;
    const char *other_name = NULL;

    (void)state;
    for (size_t i = 0; vss_error_at(i, &first_code, &first_name); i++) {
        for (size_t j = i + 1; vss_error_at(j, &other_code, &other_name); j++) {
            assert_string_not_equal(first_name, other_name);
            assert_int_not_equal(first_code, other_code);
        }
    }
}

static void severity_agrees_with_the_name(void **state)
{
    HRESULT code = S_OK;
    const char *name = NULL;

    (void)state;
    for (size_t i = 0; vss_error_at(i, &code, &name); i++) {
        int is_success_name = strncmp(name, "S_", 2) == 0 || strncmp(name, "VSS_S_", 6) == 0;

        assert_int_equal(SUCCEEDED(code), is_success_name);
        assert_int_equal(FAILED(code), !is_success_name);
    }
}

static void the_walk_ends_after_the_last_code(void **state)
{
    HRESULT code = E_FAIL;
    const char *name = "untouched";
    size_t count = 0;

    (void)state;
    while (vss_error_at(count, NULL, NULL))
        count++;
    assert_int_equal(count, DOCUMENTED_CODE_COUNT);

    assert_int_equal(vss_error_at(count, &code, &name), 0);
    assert_int_equal(code, S_OK);
    assert_null(name);
    assert_int_equal(vss_error_at(SIZE_MAX, &code, &name), 0);
}

static void values_are_the_documented_ones(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof documented_codes / sizeof documented_codes[0]; i++) {
        const struct documented_code *want = &documented_codes[i];

        assert_found(want->name, (HRESULT)want->value);
        assert_string_equal(vss_error_name((HRESULT)want->value), want->name);
    }
}

static void some_snapshots_not_imported_is_a_success_and_a_failure(void **state)
{
    (void)state;
    assert_found("VSS_S_SOME_SNAPSHOTS_NOT_IMPORTED", (HRESULT)0x00042321u);
    assert_found("VSS_E_SOME_SNAPSHOTS_NOT_IMPORTED", (HRESULT)0x80042321u);
    assert_found("0x42321", VSS_S_SOME_SNAPSHOTS_NOT_IMPORTED);
    assert_found("0x80042321", VSS_E_SOME_SNAPSHOTS_NOT_IMPORTED);
    assert_true(SUCCEEDED(VSS_S_SOME_SNAPSHOTS_NOT_IMPORTED));
    assert_true(FAILED(VSS_E_SOME_SNAPSHOTS_NOT_IMPORTED));
    assert_string_not_equal(vss_error_explanation(VSS_S_SOME_SNAPSHOTS_NOT_IMPORTED),
                            vss_error_explanation(VSS_E_SOME_SNAPSHOTS_NOT_IMPORTED));
}

static void the_misprint_of_e_notimpl_is_understood(void **state)
{
    (void)state;
    assert_found("0x80000001", (HRESULT)0x80004001u);
    assert_found("-2147483647", (HRESULT)0x80004001u);
    /* Understood when a person asks, but no code of ours: it has no name. */
    assert_null(vss_error_name((HRESULT)0x80000001u));
}

static void unknown_text_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        " ",
        "BAD_STATE",
        "VSS_E_",
        "VSS_E_BAD_STAT",
        "VSS_E_BAD_STATE_",
        "VSS_E_BAD_STATE ",
        " VSS_E_BAD_STATE",
        "VSS-E-BAD-STATE",
        "VSS_E_BAD_STATE\n",
        /* Well formed, but gaps in the list. */
        "0x80042305",
        "0x8004231c",
        "0x80042300",
        "42",
        /* Malformed numbers that a lenient parser would take for known codes. */
        "0x",
        "0x080042301",
        "0x180042301",
        "0x8004230g",
        "0x-1",
        " 0x80042301",
        "0x80042301 ",
        "80042301",
        "-",
        "--1",
        "-0x1",
        "+1",
        "1 ",
        "1.0",
        /* Around the limits of 32 bits; the first is 0x80042301 unsigned. */
        "2147754753",
        "4294967296",
        "-2147483649",
        "-6442180351",
        "18446744073709551616",
        "-99999999999999999999999999",
    };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_refused(texts[i]);
    assert_refused(NULL);
}

static void a_lookup_needs_no_place_for_the_code(void **state)
{
    (void)state;
    assert_int_equal(vss_error_lookup("vss_e_bad_state", NULL), 1);
    assert_int_equal(vss_error_lookup("no such code", NULL), 0);
    assert_int_equal(vss_error_lookup(NULL, NULL), 0);
}

static void every_code_is_explained_in_whole_sentences(void **state)
{
    HRESULT code = S_OK;
    const char *name = NULL;

    (void)state;
    for (size_t i = 0; vss_error_at(i, &code, &name); i++) {
        const char *text = vss_error_explanation(code);
        size_t length = strlen(text);

        if (length == 0 || text[length - 1] != '.' || strstr(text, "  ") != NULL || text[0] < 'A' ||
            text[0] > 'Z')
            fail_msg("%s: '%s'", name, text);
        assert_string_not_equal(text, vss_error_explanation(UNASSIGNED_FAILURE));
        assert_string_not_equal(text, vss_error_explanation(UNASSIGNED_SUCCESS));
    }
}

static void an_unknown_code_has_no_name_but_an_explanation(void **state)
{
    (void)state;
    assert_null(vss_error_name(UNASSIGNED_FAILURE));
    assert_null(vss_error_name(UNASSIGNED_SUCCESS));
    assert_null(vss_error_name(INT32_MIN));
    assert_null(vss_error_name(INT32_MAX));
    assert_non_null(strstr(vss_error_explanation(UNASSIGNED_FAILURE), "failure"));
    assert_non_null(strstr(vss_error_explanation(UNASSIGNED_SUCCESS), "success"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_is_found_by_each_of_its_forms),
        cmocka_unit_test(no_name_and_no_code_is_there_twice),
        cmocka_unit_test(severity_agrees_with_the_name),
        cmocka_unit_test(the_walk_ends_after_the_last_code),
        cmocka_unit_test(values_are_the_documented_ones),
        cmocka_unit_test(some_snapshots_not_imported_is_a_success_and_a_failure),
        cmocka_unit_test(the_misprint_of_e_notimpl_is_understood),
        cmocka_unit_test(unknown_text_is_refused),
        cmocka_unit_test(a_lookup_needs_no_place_for_the_code),
        cmocka_unit_test(every_code_is_explained_in_whole_sentences),
        cmocka_unit_test(an_unknown_code_has_no_name_but_an_explanation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
