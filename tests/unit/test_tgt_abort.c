/* SPDX-License-Identifier: Apache-2.0 */
/* An abort of the tgt plug-in looks for what lies beside the original: a set whose files may be
 * there still is not forgotten. tgtd is made up. */
#include "provider/arrays/tgt/daemon.h"
#include "provider/arrays/tgt/show.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define SCSI_ID "60014051234567890abcdef123456789"

static void *memory[256];
static size_t memory_count;
static char last_error[1024];
static struct tgt_target target = {.tid = 1, .name = "iqn.2026-01.t:one"};
static struct tgt_lun lun = {.target = &target,
                             .number = 1,
                             .type = "disk",
                             .scsi_id = SCSI_ID,
                             .serial = "beaf11",
                             .bstype = "rdwr",
                             .flags = ""};
static int entries_left = -1; /* of a directory, until it cannot be read any more */

HRESULT __wrap_tgt_daemon_look(const struct tgt *t, pid_t *out_pid);
HRESULT __wrap_tgt_show(const struct tgt *t, struct tgt_view *out);
struct dirent *__real_readdir(DIR *dir);
struct dirent *__wrap_readdir(DIR *dir);

HRESULT __wrap_tgt_daemon_look(const struct tgt *t, pid_t *out_pid)
{
    (void)t;
    *out_pid = 1;
    return S_OK;
}

HRESULT __wrap_tgt_show(const struct tgt *t, struct tgt_view *out)
{
    (void)t;
    target.luns = &lun;
    *out = (struct tgt_view){&target};
    return S_OK;
}

struct dirent *__wrap_readdir(DIR *dir)
{
    if (entries_left == 0) {
        errno = EIO;
        return NULL;
    }
    entries_left -= entries_left > 0;
    return __real_readdir(dir);
}

static void *give_memory(const struct vss_call *call, uint64_t bytes)
{
    (void)call;
    assert_true(memory_count < sizeof(memory) / sizeof(memory[0]));
    return memory[memory_count++] = calloc(1, bytes ? bytes : 1);
}

static void take_error(const struct vss_call *call, const char *line)
{
    (void)call;
    (void)snprintf(last_error, sizeof(last_error), "%s", line);
}

static void take_log(const struct vss_call *call, uint32_t level, const char *line)
{
    (void)level;
    take_error(call, line);
}

static const char *no_config(const struct vss_call *call, const char *key)
{
    (void)call;
    (void)key;
    return NULL;
}

static const struct vss_host services = {.struct_size = sizeof(services),
                                         .alloc = give_memory,
                                         .log = take_log,
                                         .error = take_error,
                                         .config = no_config};
static const struct vss_call call = {.struct_size = sizeof(call), .host = &services, .array = "x"};

static void make_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
}

static void a_directory_that_cannot_be_read_to_its_end_is_not_swept(void **state)
{
    (void)state;
    static uint8_t naa[] = {0x60, 0x01, 0x40, 0x51, 0x23, 0x45, 0x67, 0x89,
                            0x0a, 0xbc, 0xde, 0xf1, 0x23, 0x45, 0x67, 0x89};
    struct vss_storage_identifier id = {VDSStorageIdCodeSetBinary, VDSStorageIdTypeFCPHName,
                                        sizeof(naa), naa};
    char serial[] = "beaf11";
    struct vss_set_lun set_lun = {
        .source = {.version = 1, .serial_number = serial, .device_id = {1, 1, &id}}};
    struct vss_set_in set = {.struct_size = sizeof(set),
                             .set_id = {1, 2, 3, {4, 5, 6, 7, 8, 9, 10, 11}},
                             .lun_count = 1,
                             .luns = &set_lun};
    char directory[] = "/tmp/lunshadow-tgt-abort-XXXXXX";
    char original[64];
    char copy[128];
    assert_non_null(mkdtemp(directory));
    (void)snprintf(original, sizeof(original), "%s/disk.img", directory);
    (void)snprintf(copy, sizeof(copy), "%s/.lunshadow-00000001-0002-0003-0405-060708090a0b-1.copy",
                   directory);
    make_file(original);
    make_file(copy);
    lun.path = original;
    entries_left = 0;
    assert_int_equal(tgt_abort(NULL, &call, &set, NULL), VSS_E_PROVIDER_VETO);
    assert_non_null(strstr(last_error, "cannot be read"));
    assert_int_equal(access(copy, F_OK), 0);
    entries_left = -1;
    assert_int_equal(tgt_abort(NULL, &call, &set, NULL), S_OK);
    assert_int_equal(access(copy, F_OK), -1);
    assert_int_equal(unlink(original), 0);
    assert_int_equal(rmdir(directory), 0);
    while (memory_count > 0) {
        free(memory[--memory_count]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_directory_that_cannot_be_read_to_its_end_is_not_swept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
