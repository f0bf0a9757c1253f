/* SPDX-License-Identifier: Apache-2.0 */
/* Which block device is which LUN: a sysfs tree of our own, with a real page 83 in it. What a
 * device answers to SG_IO is a wrapped ioctl(2)'s: few machines have a SCSI disk to spare. */
#include "lun/host_device.h"

#include "common/buffer.h"
#include "common/process.h"

#include <fcntl.h>
#include <scsi/sg.h>
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

/* Another one's. */
static const uint8_t other_page83[] = {0x00, 0x83, 0x00, 0x14, 0x01, 0x03, 0x00, 0x10,
                                       0x60, 0x01, 0x40, 0x51, 0x23, 0x45, 0x67, 0x89,
                                       0x0a, 0xbc, 0xde, 0xf1, 0x23, 0x45, 0x67, 0x8a};

/* The first one's NAA, and an EUI-64. */
static const uint8_t doubtful_page83[] = {0x00, 0x83, 0x00, 0x20, 0x01, 0x03, 0x00, 0x10, 0x60,
                                          0x01, 0x40, 0x51, 0x23, 0x45, 0x67, 0x89, 0x0a, 0xbc,
                                          0xde, 0xf1, 0x23, 0x45, 0x67, 0x89, 0x01, 0x02, 0x00,
                                          0x08, 0x00, 0x14, 0x05, 0x11, 0x22, 0x33, 0x44, 0x55};

/* What the device answers. */
static struct {
    const uint8_t *page; /* NULL: it cannot be asked */
    uint32_t bytes;
    uint32_t info; /* of sg_io_hdr */
    unsigned asked;
} answer;

int __wrap_ioctl(int fd, unsigned long request, ...);

int __wrap_ioctl(int fd, unsigned long request, ...)
{
    va_list list;
    va_start(list, request);
    struct sg_io_hdr *io = va_arg(list, struct sg_io_hdr *);
    va_end(list);
    assert_true(fd >= 0);
    assert_int_equal(request, SG_IO);
    assert_int_equal(io->dxfer_direction, SG_DXFER_FROM_DEV);
    assert_int_equal(io->cmd_len, 6);
    assert_memory_equal(io->cmdp, "\x12\x01\x83", 3); /* INQUIRY, page 83 */
    assert_int_equal((uint32_t)io->cmdp[3] << 8 | io->cmdp[4], io->dxfer_len);
    assert_true(io->timeout > 0);
    answer.asked++;
    if (!answer.page) {
        return -1;
    }
    uint32_t moved = answer.bytes < io->dxfer_len ? answer.bytes : io->dxfer_len;
    memcpy(io->dxferp, answer.page, moved);
    io->resid = (int)(io->dxfer_len - moved);
    io->info = answer.info;
    return 0;
}

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

/* S_OK, and then the device is closed again, or S_FALSE. */
static HRESULT open_it(struct tree *t, const char *expected_name)
{
    char name[HOST_DEVICE_NAME_BYTES];
    char *dev = text_printf("%s/nodes", t->root);
    int fd = -2;
    HRESULT hr = host_device_open(t->root, dev, &t->lun.info, name, &fd, NULL);
    free(dev);
    if (hr == S_OK) {
        assert_string_equal(name, expected_name);
        assert_int_equal(close(fd), 0);
    } else {
        assert_int_equal(fd, -1);
    }
    return hr;
}

static void only_what_answers_so_is_opened(void **state)
{
    struct tree *t = *state;
    char name[HOST_DEVICE_NAME_BYTES];
    run(t, "mkdir nodes; touch nodes/sdb");
    answer.page = page83;
    answer.bytes = sizeof(page83);
    answer.info = SG_INFO_OK;
    answer.asked = 0;
    assert_int_equal(open_it(t, NULL), S_FALSE);
    assert_int_equal(answer.asked, 0);
    write_page(t, "devices/sdb/device/vpd_pg83", page83, sizeof(page83));
    assert_int_equal(open_it(t, "sdb"), S_OK);
    assert_int_equal(answer.asked, 1);

    /* the number is another LUN's since, and the kernel has not noticed; or nobody can tell */
    answer.page = other_page83;
    assert_int_equal(open_it(t, NULL), S_FALSE);
    answer.page = page83;
    answer.bytes = 9;
    assert_int_equal(open_it(t, NULL), S_FALSE);
    answer.bytes = sizeof(page83);
    answer.info = SG_INFO_CHECK;
    assert_int_equal(open_it(t, NULL), S_FALSE);
    answer.info = SG_INFO_OK;
    answer.page = NULL;
    assert_int_equal(open_it(t, NULL), S_FALSE);
    answer.page = page83;
    assert_int_equal(open_it(t, "sdb"), S_OK);
    run(t, "rm nodes/sdb");
    assert_int_equal(open_it(t, NULL), S_FALSE);

    /* a second path that is right */
    run(t, "touch nodes/sda");
    write_page(t, "devices/sda/device/vpd_pg83", page83, sizeof(page83));
    assert_int_equal(open_it(t, "sda"), S_OK);
    assert_int_equal(host_device_find(t->root, &t->lun.info, name, NULL), S_OK);
}

/* Enough to count as visible, and not to be opened. */
static void what_contradicts_is_found_and_not_opened(void **state)
{
    struct tree *t = *state;
    char name[HOST_DEVICE_NAME_BYTES];
    run(t, "mkdir nodes; touch nodes/sdb");
    struct lun_identity doubtful = {0};
    uint8_t other[sizeof(doubtful_page83)];
    memcpy(other, doubtful_page83, sizeof(other));
    other[sizeof(other) - 1] ^= 1; /* of the EUI-64 */
    assert_int_equal(identity_parse_vpd83(doubtful_page83, sizeof(other), &doubtful, NULL), S_OK);
    identity_free(&t->lun);
    t->lun = doubtful;
    write_page(t, "devices/sdb/device/vpd_pg83", other, sizeof(other));
    answer.page = doubtful_page83;
    answer.bytes = sizeof(doubtful_page83);
    answer.info = SG_INFO_OK;
    answer.asked = 0;
    assert_int_equal(host_device_find(t->root, &t->lun.info, name, NULL), S_OK);
    assert_int_equal(open_it(t, NULL), S_FALSE);
    assert_int_equal(answer.asked, 0);
    answer.page = other;
    write_page(t, "devices/sdb/device/vpd_pg83", doubtful_page83, sizeof(doubtful_page83));
    assert_int_equal(open_it(t, NULL), S_FALSE);
    assert_int_equal(answer.asked, 1);
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

/* The kernel knows that there is a page 83, and has none: it may be any LUN's. */
static void what_the_kernel_could_not_read_is_not_known(void **state)
{
    static const uint8_t pages[] = {0, 0, 0, 3, 0, 0x80, 0x83};
    struct tree *t = *state;
    struct error err = {0};
    struct lun_identity found;
    char name[HOST_DEVICE_NAME_BYTES];
    char *directory = text_printf("%s/block/sda", t->root);
    write_page(t, "devices/sda/device/vpd_pg0", pages, sizeof(pages));
    assert_int_equal(host_device_find(t->root, &t->lun.info, name, &err), VSS_E_UNEXPECTED);
    assert_non_null(strstr(err.text, "page 83 of sda"));
    assert_int_equal(host_device_identity(directory, &found, NULL), VSS_E_OBJECT_NOT_FOUND);
    free(directory);

    /* what is opened is the one that answers */
    assert_int_equal(open_it(t, NULL), S_FALSE);
    run(t, "mkdir nodes; touch nodes/sda nodes/sdb");
    write_page(t, "devices/sdb/device/vpd_pg83", page83, sizeof(page83));
    answer.page = page83;
    answer.bytes = sizeof(page83);
    answer.info = SG_INFO_OK;
    assert_int_equal(open_it(t, "sdb"), S_OK);
    write_page(t, "devices/sda/device/vpd_pg0", pages, sizeof(pages) - 1); /* 83h is not listed */
    run(t, "rm devices/sdb/device/vpd_pg83");
    assert_int_equal(host_device_find(t->root, &t->lun.info, name, NULL), S_FALSE);
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
        cmocka_unit_test_setup_teardown(only_what_answers_so_is_opened, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_contradicts_is_found_and_not_opened, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(damaged_pages_are_passed_over, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_the_kernel_could_not_read_is_not_known, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(unreadable_is_not_absent, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
