/* SPDX-License-Identifier: Apache-2.0 */
#include "lun/volume.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define T "iqn.2026-11.example:disks"

static void assert_canonical(const char *name, const char *expected)
{
    struct volume_name volume;
    struct error err = {0};
    HRESULT hr = volume_parse(name, &volume, &err);
    if (FAILED(hr)) {
        fail_msg("%s: %s", name, err.text);
    }
    char *text = volume_text(&volume);
    assert_non_null(text);
    assert_string_equal(text, expected);
    free(text);
}

static void test_canonical_names(void **state)
{
    (void)state;
    assert_canonical("iscsi://Array1/" T "/1", "iscsi://array1:3260/" T "/1");
    assert_canonical("iscsi://10.0.0.1:860/" T "/007", "iscsi://10.0.0.1:860/" T "/7");
    assert_canonical("iscsi://10.0.0.1:0860/" T "/0", "iscsi://10.0.0.1:860/" T "/0");
    assert_canonical("iscsi://[FE80::1]/" T "/1", "iscsi://[fe80::1]:3260/" T "/1");
    assert_canonical("iscsi://[::1]:3261/eui.0123456789abcdef/16383#4294967295",
                     "iscsi://[::1]:3261/eui.0123456789abcdef/16383#4294967295");
    assert_canonical("iscsi://h/" T "/1#3", "iscsi://h:3260/" T "/1#3");
    assert_canonical("iscsi://me%p#w@d@h/" T "/1#2", "iscsi://h:3260/" T "/1#2");
}

static void test_user_and_secret(void **state)
{
    (void)state;
    struct lun_address a;
    assert_int_equal(lun_address_parse("iscsi://user%sec%ret@host/" T "/5", &a, NULL), S_OK);
    assert_string_equal(a.user, "user");
    assert_string_equal(a.secret, "sec%ret");
    assert_string_equal(a.portal, "host:3260");
    assert_true(a.lun == 5);
    assert_int_equal(lun_address_parse("iscsi://user@host/" T "/5", &a, NULL), S_OK);
    assert_string_equal(a.user, "user");
    assert_string_equal(a.secret, "");
}

static const char *const bad_names[] = {
    "",
    "iscsi://",
    "iscsi:///" T "/1",
    "iscsi://h",
    "iscsi://h/" T,
    "iscsi://h/" T "/",
    "iscsi://h/" T "/x",
    "iscsi://h/" T "/-1",
    "iscsi://h/" T "/+1",
    "iscsi://h/" T "/ 1",
    "iscsi://h/" T "/1/2",
    "iscsi://h/" T "/1?x=y",
    "iscsi://h/" T "/16384",
    "iscsi://h/" T "/18446744073709551617",
    "iscsi://h:0/" T "/1",
    "iscsi://h:65536/" T "/1",
    "iscsi://h:/" T "/1",
    "iscsi://h:3260x/" T "/1",
    "iscsi://h:-1/" T "/1",
    "iscsi://::1/" T "/1",
    "iscsi://[::1/" T "/1",
    "iscsi://[::g]/" T "/1",
    "iscsi://[]/" T "/1",
    "iscsi://[::1]x/" T "/1",
    "iscsi://h x/" T "/1",
    "iscsi://h/disks/1",
    "iscsi://h/iqn./1",
    "iscsi://h/iqn.a b/1",
    "iscsi://h/iqn.a%3Ab/1",
    "iscsi://%pw@h/" T "/1",
    "iscsi://@h/" T "/1",
    "iscsi://h/" T "/1#",
    "iscsi://h/" T "/1#0",
    "iscsi://h/" T "/1#01",
    "iscsi://h/" T "/1#x",
    "iscsi://h/" T "/1#4294967296",
    "iscsi://h/" T "/1#1#2",
    "ISCSI://h/" T "/1",
    "http://h/" T "/1",
};

static void test_bad_names(void **state)
{
    (void)state;
    static const struct volume_name nothing;
    for (size_t i = 0; i < sizeof(bad_names) / sizeof(bad_names[0]); i++) {
        struct volume_name volume;
        struct error err = {0};
        if (volume_parse(bad_names[i], &volume, &err) != E_INVALIDARG) {
            fail_msg("\"%s\" was taken", bad_names[i]);
        }
        assert_true(err.text[0] != '\0');
        assert_memory_equal(&volume, &nothing, sizeof(volume));
    }
}

static void test_too_long(void **state)
{
    (void)state;
    struct lun_address a;
    char url[2000];
    (void)snprintf(url, sizeof(url), "iscsi://%0300d/" T "/1", 1);
    assert_int_equal(lun_address_parse(url, &a, NULL), E_INVALIDARG);
    (void)snprintf(url, sizeof(url), "iscsi://h/iqn.%0300d/1", 1);
    assert_int_equal(lun_address_parse(url, &a, NULL), E_INVALIDARG);
    (void)snprintf(url, sizeof(url), "iscsi://%0300d%%s@h/" T "/1", 1);
    assert_int_equal(lun_address_parse(url, &a, NULL), E_INVALIDARG);
    (void)snprintf(url, sizeof(url), "iscsi://u%%%0300d@h/" T "/1", 1);
    assert_int_equal(lun_address_parse(url, &a, NULL), E_INVALIDARG);
    (void)snprintf(url, sizeof(url), "iscsi://%0240d:65535/iqn.%0219d/1", 1, 1);
    assert_int_equal(lun_address_parse(url, &a, NULL), S_OK);
}

/* However the name is broken, no piece of the secret comes back. */
static void test_secret_stays_out_of_errors(void **state)
{
    (void)state;
    static const char *const names[] = {
        "iscsi://user%hunter2@h:99999/" T "/1", "iscsi://user%hunter2/" T "/1",
        "iscsi://user%hun/hunter2@h/" T "/1",   "iscsi://user%hunter2@h/x/hunter2",
        "iscsi://user%hunter2@h/" T "/hunter2", "iscsi://user%hunter2@h/" T "/1#hunter2",
        "iscsi:/user%hunter2@h/" T "/1",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct volume_name volume;
        struct error err = {0};
        assert_int_equal(volume_parse(names[i], &volume, &err), E_INVALIDARG);
        assert_null(strstr(err.text, "hunter2"));
        assert_null(strstr(err.text, "user%h"));
    }
}

static void test_local_names(void **state)
{
    (void)state;
    struct volume_name volume;
    struct error err = {0};
    assert_int_equal(volume_parse("/dev/sda1", &volume, &err), VSS_E_VOLUME_NOT_SUPPORTED);
    assert_non_null(strstr(err.text, "/dev/sda1"));
    assert_non_null(strstr(err.text, "iscsi://"));
    assert_int_equal(volume_parse("/mnt/data", &volume, NULL), VSS_E_VOLUME_NOT_SUPPORTED);
}

static void test_initiator_names(void **state)
{
    (void)state;
    struct config *config = NULL;
    char *name = NULL;
    assert_int_equal(
        config_parse("[initiator]\nname=iqn.2026-11.example:host\n", "t", &config, NULL), S_OK);
    struct lun_options options = {.config = config};
    assert_int_equal(lun_initiator_name(&options, &name, NULL), S_OK);
    assert_string_equal(name, "iqn.2026-11.example:host");
    free(name);
    options.initiator_name = "iqn.2026-11.example:other";
    assert_int_equal(lun_initiator_name(&options, &name, NULL), S_OK);
    assert_string_equal(name, "iqn.2026-11.example:other");
    free(name);
    options.initiator_name = "somebody";
    assert_int_equal(lun_initiator_name(&options, &name, NULL), E_INVALIDARG);
    assert_null(name);
    assert_int_equal(lun_initiator_name(NULL, &name, NULL), S_OK);
    assert_true(lun_is_iscsi_name(name));
    free(name);
    config_free(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_canonical_names),
        cmocka_unit_test(test_user_and_secret),
        cmocka_unit_test(test_bad_names),
        cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_secret_stays_out_of_errors),
        cmocka_unit_test(test_local_names),
        cmocka_unit_test(test_initiator_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
