/* SPDX-License-Identifier: Apache-2.0 */
#include "component/expose_fixture.h"

#include "common/buffer.h"
#include "provider/helper.h"
#include "provider/set/expose.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

void mounted_shell(const char *line)
{
    char *with_path = text_printf("PATH=$PATH:/usr/sbin:/sbin; set -e; %s", line);
    const char *const argv[] = {"sh", "-c", with_path, NULL};
    struct error err = {0};
    assert_ok(process_run(argv, 60000, NULL, &err), &err);
    free(with_path);
}

const char *mounted_path(const struct array *a, const char *name)
{
    static char paths[8][160];
    static size_t next;
    char *path = paths[next++ % 8];
    (void)snprintf(path, sizeof(paths[0]), "%s/%s", a->base, name);
    return path;
}

const char *mounted_directory(const struct array *a, const char *name)
{
    const char *path = mounted_path(a, name);
    assert_int_equal(mkdir(path, 0700), 0);
    return path;
}

void mounted_assert_file(const char *directory, const char *name, const char *expected)
{
    char text[256] = "";
    char *path = text_printf("%s/%s", directory, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        fail_msg("%s: %s", path, strerror(errno));
    }
    ssize_t got = read(fd, text, sizeof(text) - 1);
    assert_true(got >= 0);
    assert_int_equal(close(fd), 0);
    assert_string_equal(text, expected);
    free(path);
}

void mounted_assert_no_export(const struct array *a)
{
    SHELL("! test -e '%s/exposed' || test -z \"$(ls -A '%s/exposed')\"", a->state, a->state);
    SHELL("for c in /proc/[0-9]*/cmdline; do if tr '\\0' ' ' 2>/dev/null < $c | "
          "grep -q '^[^ ]*qemu-storage-daemon .*%s'; then exit 1; fi; done",
          a->state);
    SHELL("! grep -q '%s/exposed' /proc/self/mountinfo", a->state);
}

/* An ext4 on partition 2 of the GPT LUN, made where the array keeps it. */
static void make_ext4(const struct array *a)
{
    SHELL("mkdir '%s/tree'; printf '" MOUNTED_TEXT "' > '%s/tree/file'", a->base, a->base);
    SHELL("start=$(sgdisk -i 2 '%s' | sed -n 's/^First sector: \\([0-9]*\\).*/\\1/p');"
          "size=$(sgdisk -i 2 '%s' | sed -n 's/^Partition size: \\([0-9]*\\).*/\\1/p');"
          "mkfs.ext4 -q -F -d '%s/tree' -E offset=$((start * 512)) '%s' $((size / 2))k",
          a->files[1], a->files[1], a->base, a->files[1]);
}

void mounted_make_set(struct array *a, uint32_t context, const char *volume, struct set_record *out)
{
    struct error err = {0};
    struct set_builder *builder = NULL;
    VSS_ID id;
    assert_ok(set_start(a->env, context, &builder, &id, &err), &err);
    assert_ok(set_add_volume(builder, volume, NULL, &id, &err), &err);
    assert_ok(set_commit(builder, NULL, out, &err), &err);
    set_builder_free(builder);
}

void mounted_make_ext4_set(struct array *a, uint32_t context, struct set_record *out)
{
    char volume[340];
    make_ext4(a);
    (void)snprintf(volume, sizeof(volume), "%s#2", a->urls[1]);
    mounted_make_set(a, context, volume, out);
}

void mounted_delete_set(struct array *a, struct set_record *set)
{
    struct error err = {0};
    int32_t deleted = 0;
    assert_ok(set_delete(a->env, &set->set_id, VSS_OBJECT_SNAPSHOT_SET, &deleted, NULL, &err),
              &err);
    set_record_free(set);
    mounted_assert_no_export(a);
    array_assert_nothing_left(a);
}

void mounted_expose(struct array *a, const VSS_ID *snapshot_id, const char *path)
{
    struct error err = {0};
    char *exposed = NULL;
    assert_ok(set_expose(a->env, snapshot_id, path, &exposed, &err), &err);
    assert_string_equal(exposed, path);
    free(exposed);
}

void mounted_unexpose(struct array *a, const VSS_ID *snapshot_id)
{
    struct error err = {0};
    assert_ok(set_unexpose(a->env, snapshot_id, &err), &err);
}

int mounted_read_block(const char *path)
{
    void *block = NULL;
    int fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
    int reason = fd < 0 ? errno : 0;
    if (!reason && posix_memalign(&block, 4096, 4096) == 0 &&
        pread(fd, block, 4096, 8192) != 4096) {
        reason = errno;
    }
    free(block);
    if (fd >= 0) {
        (void)close(fd);
    }
    return reason;
}

const char *mounted_export_lun(struct array *a, const char *url, const char *name,
                               uint32_t lost_after_s)
{
    struct error err = {0};
    struct lun *lun = NULL;
    struct export_options options = {.lun = &a->env->lun,
                                     .mode = EXPORT_WRITABLE,
                                     .keeper = helper_program("lunshadow-export-keeper"),
                                     .lost_after_s = lost_after_s};
    const char *directory = mounted_path(a, name);
    assert_ok(lun_open(url, &a->env->lun, true, &lun, &err), &err);
    assert_ok(export_start(directory, url, &lun->identity.info, &options, &err), &err);
    lun_close(lun);
    return directory;
}

int mounted_stop(void **state)
{
    const struct array *a = *state;
    char *line = text_printf("for m in at elsewhere twice original; do umount -q '%s'/$m; done;"
                             "for p in '%s'/exposed/*/pid '%s'/export/pid; do test -e $p && kill "
                             "$(cat $p); done;"
                             "sleep 0.1; umount -q '%s'/exposed/*/disk '%s'/export/disk; true",
                             a->base, a->state, a->base, a->state, a->base);
    const char *const argv[] = {"sh", "-c", line, NULL};
    (void)process_run(argv, 20000, NULL, NULL);
    free(line);
    return array_stop(state);
}
