/* SPDX-License-Identifier: Apache-2.0 */
#include "common/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct config *parse(const char *text)
{
    struct config *config = NULL;
    struct error err = {0};
    HRESULT hr = config_parse(text, "test.conf", &config, &err);
    if (FAILED(hr)) {
        print_error("%s\n", err.text);
    }
    assert_int_equal(hr, S_OK);
    assert_non_null(config);
    return config;
}

static void assert_refused(const char *text, const char *part)
{
    struct config *config = NULL;
    struct error err = {0};
    assert_int_equal(config_parse(text, "test.conf", &config, &err), E_INVALIDARG);
    assert_null(config);
    if (!strstr(err.text, part)) {
        fail_msg("\"%s\" does not hold \"%s\"", err.text, part);
    }
}

static void test_sections_and_values(void **state)
{
    (void)state;
    struct config *c = parse("\xef\xbb\xbf# head\n"
                             "[portal lab]\n"
                             "  address = 127.0.0.1:3260 ; the lab\r\n"
                             "\tuser=a=b\n"
                             "empty =\n"
                             "[initiator]\n"
                             "[array  x y ] ; behind\n"
                             "key: value");
    assert_int_equal(c->section_count, 3);
    const struct config_section *lab = config_find(c, "portal", "lab");
    assert_non_null(lab);
    assert_string_equal(config_value(lab, "address", ""), "127.0.0.1:3260");
    assert_string_equal(config_value(lab, "user", ""), "a=b");
    assert_string_equal(config_value(lab, "empty", "x"), "");
    assert_string_equal(config_value(lab, "absent", "fallback"), "fallback");
    assert_non_null(config_find(c, "initiator", ""));
    assert_string_equal(config_value(config_find(c, "array", "x y"), "key", ""), "value");
    assert_null(config_find(c, "portal", ""));
    assert_null(config_value(NULL, "address", NULL));
    config_free(c);
}

static void test_long_names_stay_apart(void **state)
{
    (void)state;
    /* inih itself cuts section names at 50 bytes */
    struct config *c =
        parse("[portal aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeee-one]\nk=1\n"
              "[portal aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeee-two]\nk=2\n");
    assert_int_equal(c->section_count, 2);
    assert_string_equal(config_value(&c->sections[0], "k", ""), "1");
    assert_string_equal(config_value(&c->sections[1], "k", ""), "2");
    config_free(c);
}

static void test_bad_text(void **state)
{
    (void)state;
    char text[400];
    assert_refused("[a]\nx=1\nnonsense\n", "test.conf:3");
    assert_refused("x=1\n", "test.conf:1");
    assert_refused("[a\nx=1\n", "test.conf:1");
    assert_refused("[a] x=1\n", "test.conf:1");
    assert_refused("[ ]\n", "test.conf:1");
    assert_refused("[a]\n=1\n", "test.conf:2");
    assert_refused("[a]\nx=1\n[b]\n[a]\ny=2\n", "test.conf:4");
    assert_refused("[a]\nx=1\n\nx=2\n", "test.conf:4");
    assert_refused("[a]\nx=1\n x=2\n", "test.conf:3");
    (void)snprintf(text, sizeof(text), "[a]\nk=%0200d\n", 1);
    assert_refused(text, "test.conf:2");
    (void)snprintf(text, sizeof(text), "[%0130d]\n", 1);
    assert_refused(text, "test.conf:1");
    (void)snprintf(text, sizeof(text), "[a]\nk=%0188d\n", 1); /* 190 bytes: the longest line */
    config_free(parse(text));
}

static void assert_number(const char *value, HRESULT expected, uint64_t number)
{
    char text[100];
    uint64_t got = 0;
    struct error err = {0};
    (void)snprintf(text, sizeof(text), "[limits]\nn=%s\n", value);
    struct config *c = parse(text);
    assert_int_equal(config_number(config_find(c, "limits", ""), "n", 5, 100, 7, &got, &err),
                     expected);
    assert_true(got == number);
    assert_true(SUCCEEDED(expected) ||
                (strstr(err.text, "[limits] n") && strstr(err.text, "5 to 100")));
    config_free(c);
}

static void test_numbers(void **state)
{
    (void)state;
    uint64_t got = 0;
    assert_number("5", S_OK, 5);
    assert_number("100", S_OK, 100);
    assert_number("4", E_INVALIDARG, 7);
    assert_number("101", E_INVALIDARG, 7);
    assert_number("-5", E_INVALIDARG, 7);
    assert_number("+5", E_INVALIDARG, 7);
    assert_number("5x", E_INVALIDARG, 7);
    assert_number("0x10", E_INVALIDARG, 7);
    assert_number("", E_INVALIDARG, 7);
    assert_number("18446744073709551621", E_INVALIDARG, 7); /* 5 after a wrap */
    assert_int_equal(config_number(NULL, "n", 5, 100, 7, &got, NULL), S_OK);
    assert_true(got == 7);
}

static void test_booleans(void **state)
{
    (void)state;
    bool got = false;
    struct error err = {0};
    struct config *c = parse("[a]\nt=on\nf=no\nbad=maybe\n");
    const struct config_section *a = config_find(c, "a", "");
    assert_int_equal(config_bool(a, "t", false, &got, NULL), S_OK);
    assert_true(got);
    assert_int_equal(config_bool(a, "f", true, &got, NULL), S_OK);
    assert_false(got);
    assert_int_equal(config_bool(a, "absent", true, &got, NULL), S_OK);
    assert_true(got);
    assert_int_equal(config_bool(a, "bad", true, &got, &err), E_INVALIDARG);
    assert_non_null(strstr(err.text, "[a] bad: \"maybe\""));
    config_free(c);
}

static void test_files(void **state)
{
    (void)state;
    char path[] = "/tmp/lunshadow-config-XXXXXX";
    struct config *c = NULL;
    struct error err = {0};
    assert_int_equal(config_load("/nonexistent/x.conf", &c, &err), VSS_E_OBJECT_NOT_FOUND);
    assert_non_null(strstr(err.text, "/nonexistent/x.conf"));

    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "[a]\nk=v\n", 8), 8);
    assert_int_equal(setenv("LUNSHADOW_CONFIG", path, 1), 0);
    assert_int_equal(config_load(NULL, &c, NULL), S_OK);
    assert_string_equal(c->path, path);
    assert_string_equal(config_value(config_find(c, "a", ""), "k", ""), "v");
    config_free(c);

    assert_int_equal(write(fd, "\0x", 2), 2);
    assert_int_equal(config_load(path, &c, NULL), E_INVALIDARG);
    assert_null(c);
    assert_int_equal(setenv("LUNSHADOW_CONFIG", "/nonexistent/y.conf", 1), 0);
    assert_int_equal(config_load(NULL, &c, NULL), VSS_E_OBJECT_NOT_FOUND);
    (void)unsetenv("LUNSHADOW_CONFIG");
    (void)close(fd);
    (void)unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sections_and_values),
        cmocka_unit_test(test_long_names_stay_apart),
        cmocka_unit_test(test_bad_text),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_booleans),
        cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
