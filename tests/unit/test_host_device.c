/* SPDX-License-Identifier: Apache-2.0 */
/* Which block device is which LUN: a sysfs tree of our own, with a real page 83 in it. */
#include "lun/host_device.h"

#include "common/buffer.h"
#include "common/process.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* NAA 6 of association 0, as an array sends it. */
static const uint8_t page83[] = {0x00, 0x83, 0x00, 0x14, 0x01, 0x03, 0x00, 0x10,
                                 0x60, 0x01, 0x40, 0x51, 0x23, 0x45, 0x67, 0x89,
                                 0x0a, 0xbc, 0xde, 0xf1, 0x23, 0x45, 0x67, 0x89};

struct tree {
    char root[64];
    struct lun_identity lun;
};

static void run(struct tree *t, const char *script)
{
    struct error err = {0};
    char *line = text_printf("cd '%s' && %s", t->root, script);
    const char *const argv[] = {"sh", "-ec", line, NULL};
    HRESULT hr = process_run(argv, 10000, NULL, &err);
    free(line);
    if (FAILED(hr)) {
        fail_msg("%s", err.text);
    }
}

static void write_page(struct tree *t, const char *path, const uint8_t *data, size_t length)
{
    char *full = text_printf("%s/%s", t->root, path);
    int fd = open(full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, length), (ssize_t)length);
    assert_int_equal(close(fd), 0);
    free(full);
}

static int set_up(void **state)
{
    struct tree *t = calloc(1, sizeof(*t));
    assert_non_null(t);
    (void)snprintf(t->root, sizeof(t->root), "/tmp/lunshadow-sysfs-XXXXXX");
    assert_non_null(mkdtemp(t->root));
    assert_int_equal(identity_parse_vpd83(page83, sizeof(page83), &t->lun, NULL), S_OK);
    run(t, "mkdir -p block devices/sda/device devices/sdb/device; "
           "ln -s ../devices/sda block/sda; ln -s ../devices/sdb block/sdb");
    *state = t;
    return 0;
}

static int tear_down(void **state)
{
    struct tree *t = *state;
    const char *const argv[] = {"rm", "-rf", t->root, NULL};
    (void)process_run(argv, 10000, NULL, NULL);
    identity_free(&t->lun);
    free(t);
    return 0;
}

static void device_is_found_by_its_page(void **state)
{
    struct tree *t = *state;
    char name[HOST_DEVICE_NAME_BYTES];
    assert_int_equal(host_device_find(t->root, &t->lun.info, name, NULL), S_FALSE);
    write_page(t, "devices/sdb/device/vpd_pg83", page83, sizeof(page83));
    assert_int_equal(host_device_find(t->root, &t->lun.info, name, NULL), S_OK);
    assert_string_equal(name, "sdb");
}

static void damaged_pages_are_passed_over(void **state)
{
    struct tree *t = *state;
    char name[HOST_DEVICE_NAME_BYTES];
    write_page(t, "devices/sdb/device/vpd_pg83", page83, 9);
    write_page(t, "devices/sda/device/vpd_pg83", page83, 0);
    assert_int_equal(host_device_find(t->root, &t->lun.info, name, NULL), S_FALSE);
    assert_int_equal(host_device_find("/nonexistent", &t->lun.info, name, NULL), S_FALSE);
}

/* What cannot be read may be the one that is looked for. */
static void unreadable_is_not_absent(void **state)
{
    struct tree *t = *state;
    char name[HOST_DEVICE_NAME_BYTES];
    struct error err = {0};
    run(t, "mkdir devices/sdb/device/vpd_pg83");
    assert_int_equal(host_device_find(t->root, &t->lun.info, name, &err), VSS_E_UNEXPECTED);
    assert_non_null(strstr(err.text, "sdb"));
    error_clear(&err);
    run(t, "rm -r block; ln -s block block");
    assert_int_equal(host_device_find(t->root, &t->lun.info, name, &err), VSS_E_UNEXPECTED);
    assert_non_null(strstr(err.text, "/block"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(device_is_found_by_its_page, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damaged_pages_are_passed_over, set_up, tear_down),
        cmocka_unit_test_setup_teardown(unreadable_is_not_absent, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
