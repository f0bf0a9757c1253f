/* SPDX-License-Identifier: Apache-2.0 */

/* Copies as mounts where others may write to a directory on the way: what they put in the place of
 * what was looked at is never mounted, unmounted, trusted or written to. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <unistd.h>

#include "common/buffer.h"
#include "component/expose_fixture.h"
#include "lun/host/filesystem.h"
#include "provider/set/expose.h"
#include "provider/set/rollback.h"
#include "registry/journal.h"

/* While the daemon starts somebody else is at work, before it and after it; what starts it here
 * does that. Must be refused. */
static void expose_while(struct array *a, const VSS_ID *id, const char *at, const char *before,
                         const char *after, HRESULT code, const char *words)
{
    struct error err = {0};
    char *exposed = NULL;
    char *path = text_copy(getenv("PATH"));
    SHELL("mkdir -p '%s/bin'; real=$(command -v qemu-storage-daemon); cd '%s/bin'; "
          "printf '%%s\n' '#!/bin/sh -e' \"cd '%s'\" '%s' \"$real \\\"\\$@\\\"\" '%s' "
          "> qemu-storage-daemon; chmod 0755 qemu-storage-daemon",
          a->base, a->base, a->base, before, after);
    char *with_shim = text_printf("%s/bin:%s", a->base, path);
    assert_int_equal(setenv("PATH", with_shim, 1), 0);
    HRESULT hr = set_expose(a->env, id, at, &exposed, &err);
    assert_int_equal(setenv("PATH", path, 1), 0);
    free(with_shim);
    free(path);
    assert_refused(hr, code, &err, words);
    assert_null(exposed);
}

/* Whoever owns a directory above can do this between the look at the directory and the mount. */
static void swap_while_exposed(struct array *a, const VSS_ID *id, const char *at, const char *swap)
{
    expose_while(a, id, at, swap, ":", VSS_E_UNEXPECTED, "moved or replaced");
    mounted_assert_no_export(a);
    SHELL("! awk '{ print $5 }' /proc/self/mountinfo | grep '^%s/' | grep -v '/lab/disks$'",
          a->base);
}

static void a_mount_point_that_is_swapped(void **state)
{
    struct array *a = *state;
    struct set_record set = {0};
    mounted_make_ext4_set(a, MOUNTED_PERSISTENT, &set);
    const VSS_ID *id = &set.snapshots[0].snapshot_id;
    const char *at = mounted_directory(a, "at");
    (void)mounted_directory(a, "elsewhere");
    (void)mounted_directory(a, "above");
    const char *below = mounted_directory(a, "above/at");

    swap_while_exposed(a, id, at, "mv at moved; ln -s elsewhere at");
    SHELL("cd '%s'; rm at; rmdir moved; mkdir at", a->base);
    swap_while_exposed(a, id, at, "mv at moved; mkdir at");
    swap_while_exposed(a, id, below, "mv above gone; mkdir -p above/at");
    swap_while_exposed(a, id, below, "mv above away; mkdir other other/at; ln -s other above");

    mounted_expose(a, id, at);
    mounted_assert_file(at, "file", MOUNTED_TEXT);
    mounted_delete_set(a, &set);
}

/* The array gives the copy's number to another LUN before the daemon logs in. */
static void a_number_that_another_lun_has(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set = {0};
    struct lun_address address;
    mounted_make_ext4_set(a, MOUNTED_PERSISTENT, &set);
    const char *at = mounted_directory(a, "at");
    assert_ok(lun_address_parse(set.luns[0].copy_url, &address, &err), &err);
    SHELL("cp --sparse=always '%s' '%s/other.img'", a->files[1], a->lab->disks);
    char *swap = text_printf(
        "PATH=$PATH:/usr/sbin; export TGT_IPC_SOCKET=%s; t() { tgtadm -C %u --lld iscsi --op "
        "\"$@\"; }; tid=$(t show --mode target | awk -v name=%s \"/^Target/ && \\$3 == name { "
        "sub(/:/, \\\"\\\", \\$2); print \\$2 }\"); t delete --mode logicalunit --tid $tid --lun "
        "%u; t new --mode logicalunit --tid $tid --lun %u -b %s/other.img",
        a->lab->socket, a->lab->control_port, address.target, (unsigned)address.lun,
        (unsigned)address.lun, a->lab->disks);
    SHELL("printf '%%s\\n' '%s' > '%s/swap'", swap, a->base);
    free(swap);
    expose_while(a, &set.snapshots[0].snapshot_id, at, ". ./swap", ":", VSS_E_OBJECT_NOT_FOUND,
                 ", not ");
    mounted_assert_no_export(a);
    SHELL("! grep -q '%s/at' /proc/self/mountinfo", a->base);
    set_record_free(&set);
}

/* A path that leads to a mount of somebody else's by now. */
static void only_what_the_table_names_is_unmounted(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    SHELL("cd '%s'; mkdir real real/at; ln -s real link; mount -t tmpfs none real/at", a->base);
    assert_refused(filesystem_unmount(mounted_path(a, "link/at"), &err), VSS_E_UNEXPECTED, &err,
                   "not unmounted");
    error_clear(&err);
    assert_refused(filesystem_unmount(mounted_path(a, "real"), &err), VSS_E_UNEXPECTED, &err,
                   "not unmounted");
    error_clear(&err);
    assert_ok(filesystem_unmount(mounted_path(a, "real/at"), &err), &err);
    SHELL("! grep -q '%s/real' /proc/self/mountinfo", a->base);
}

/* The directory that exports lie in, as somebody else of the state directory's group may have made
 * it. */
static void a_directory_of_somebody_else(void **state)
{
    struct array *a = *state;
    struct set_record set = {0};
    struct error err = {0};
    char *exposed = NULL;
    mounted_make_ext4_set(a, MOUNTED_PERSISTENT, &set);
    const VSS_ID *id = &set.snapshots[0].snapshot_id;
    const char *at = mounted_directory(a, "at");
    static const char *const plants[] = {"mkdir exposed; chown 65534 exposed",
                                         "mkdir -m 0770 exposed", "mkdir own; ln -s own exposed",
                                         "touch exposed"};
    for (size_t i = 0; i < sizeof(plants) / sizeof(plants[0]); i++) {
        SHELL("cd '%s'; %s", a->state, plants[i]);
        error_clear(&err);
        assert_refused(set_expose(a->env, id, at, &exposed, &err), E_ACCESSDENIED, &err,
                       "root's alone");
        assert_null(exposed);
        assert_ok(journal_check_clean(a->env->store, &err), &err);
        SHELL("cd '%s'; ! test -d exposed/ || test -z \"$(ls -A exposed/)\"; rm -rf own exposed",
              a->state);
    }
    mounted_expose(a, id, at);
    mounted_assert_file(at, "file", MOUNTED_TEXT);
    mounted_delete_set(a, &set);
}

/* A member of the state directory's group puts a filesystem of its own in the export's place, as
 * soon as that is looked at no more. */
static void an_export_that_is_swapped(void **state)
{
    struct array *a = *state;
    struct set_record set = {0};
    struct error err = {0};
    struct journal_entry *entries = NULL;
    size_t count = 0;
    mounted_make_ext4_set(a, MOUNTED_PERSISTENT, &set);
    const VSS_ID *id = &set.snapshots[0].snapshot_id;
    const char *at = mounted_directory(a, "at");
    SHELL("cd '%s'; chmod 02770 state; mkdir forged; truncate -s 64M forged/disk; "
          "start=$(sgdisk -i 2 '%s' | sed -n 's/^First sector: \\([0-9]*\\).*/\\1/p'); "
          "mkfs.ext4 -q -F -E offset=$((start * 512)) forged/disk 15m; chown -R 65534 forged",
          a->base, a->files[1]);
    expose_while(a, id, at, ":",
                 "cp state/exposed/*/pid forged/; mv state/exposed state/away; "
                 "mkdir state/exposed; mv forged state/exposed/$(ls state/away)",
                 E_ACCESSDENIED, "root's alone");
    SHELL("! grep -q '%s/at ' /proc/self/mountinfo", a->base);
    SHELL("cd '%s/state'; rm -r exposed; mv away exposed", a->base);
    assert_ok(journal_load_open(a->env->store, false, &entries, &count, &err), &err);
    assert_int_equal(count, 1); /* the daemon could not be ended by a path that is another's */
    assert_ok(set_rollback(a->env, &entries[0], &err), &err);
    journal_free_all(entries, count);
    mounted_assert_no_export(a);
    mounted_expose(a, id, at);
    mounted_assert_file(at, "file", MOUNTED_TEXT);
    mounted_delete_set(a, &set);
}

/* What is there was made when nobody else could write there, and can be replaced now. */
static void an_export_that_others_can_replace(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    char *url = NULL;
    char key[LUN_KEY_BYTES];
    SHELL("mkdir '%s/exports'", a->base);
    const char *directory = mounted_export_lun(a, a->urls[0], "exports/one", 60);
    char *disk = export_file(directory);
    assert_int_equal(export_identify(disk, &url, key, &err), S_OK);
    assert_string_equal(url, a->urls[0]);
    free(url);
    SHELL("chmod g+w '%s/exports'", a->base);
    assert_int_equal(export_identify(disk, &url, key, &err), S_FALSE);
    assert_null(url);
    assert_refused(export_stop(directory, &err), E_ACCESSDENIED, &err, "root's alone");
    assert_int_equal(mounted_read_block(disk), 0);
    SHELL("chmod g-w '%s/exports'", a->base);
    error_clear(&err);
    assert_ok(export_stop(directory, &err), &err);
    free(disk);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, array_start, mounted_stop)

int main(void)
{
    array_need_mounts();
    const struct CMUnitTest tests[] = {
        TEST(a_mount_point_that_is_swapped),          TEST(an_export_that_is_swapped),
        TEST(only_what_the_table_names_is_unmounted), TEST(a_directory_of_somebody_else),
        TEST(an_export_that_others_can_replace),      TEST(a_number_that_another_lun_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
