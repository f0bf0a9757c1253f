/* SPDX-License-Identifier: Apache-2.0 */
/* What a snapshot set refuses, each by its real cause, with nothing left on the array. */
#include "component/array_fixture.h"
#include "unit/mount_namespace.h"

#include "common/buffer.h"
#include "common/id.h"
#include "provider/helper.h"
#include "registry/journal.h"

#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define ROLLBACK      ((uint32_t)VSS_CTX_APP_ROLLBACK)
#define TRANSPORTABLE (ROLLBACK | VSS_VOLSNAP_ATTR_TRANSPORTABLE)
#define URL_BYTES     400

static void start(struct array *a, struct set_builder **out)
{
    struct error err = {0};
    VSS_ID id;
    assert_ok(set_start(a->env, ROLLBACK, out, &id, &err), &err);
}

static HRESULT add(struct set_builder *b, const char *url, struct error *err)
{
    VSS_ID id;
    error_clear(err);
    return set_add_volume(b, url, NULL, &id, err);
}

static void on_file(const char *path, const char *script)
{
    char line[512];
    struct error err = {0};
    (void)snprintf(line, sizeof(line), "F='%s'; PATH=$PATH:/usr/sbin:/sbin; %s", path, script);
    const char *const argv[] = {"sh", "-ec", line, NULL};
    assert_ok(process_run(argv, 120000, NULL, &err), &err);
}

static void overwrite(const char *path, uint64_t offset, size_t bytes, uint8_t value)
{
    uint8_t *data = malloc(bytes);
    assert_non_null(data);
    memset(data, value, bytes);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, data, bytes, (off_t)offset), (ssize_t)bytes);
    assert_int_equal(close(fd), 0);
    free(data);
}

static void add_lun(struct lab *lab, const char *target, uint32_t lun, const char *scsi_id,
                    const char *serial, char url[URL_BYTES])
{
    char name[64];
    struct error err = {0};
    (void)snprintf(name, sizeof(name), "extra%u.img", lun);
    struct lab_lun_options options = {.target = target,
                                      .lun = lun,
                                      .file = name,
                                      .bytes = 8u << 20,
                                      .block_bytes = 512,
                                      .scsi_id = scsi_id,
                                      .serial = serial};
    assert_ok(lab_add_lun(lab, &options, &err), &err);
    (void)snprintf(url, URL_BYTES, "iscsi://%s/%s/%u", lab->portal, target, lun);
}

static void one_damaged_gpt_header_is_repaired_in_the_copy(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    overwrite(a->files[1], ARRAY_BYTES - 512, 512, 0); /* the backup header */
    uint64_t before = array_digest(a->files[1]);
    array_create(a, ROLLBACK, 2, &set);
    assert_int_equal(array_digest(a->files[1]), before); /* the original is left as it is */
    struct lun *lun = NULL;
    struct label *label = NULL;
    assert_ok(lun_open(set.luns[1].copy_url, &a->env->lun, true, &lun, &err), &err);
    assert_ok(label_read(&lun->block, LABEL_FULL, &label, &err), &err);
    assert_true(label->primary.is_valid && label->backup.is_valid);
    label_free(label);
    lun_close(lun);
    int32_t deleted = 0;
    assert_ok(set_delete(a->env, &set.set_id, VSS_OBJECT_SNAPSHOT_SET, &deleted, NULL, &err), &err);
    set_record_free(&set);
    array_assert_nothing_left(a);
}

static void label_that_cannot_be_read_is_refused(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_builder *b = NULL;
    start(a, &b);
    overwrite(a->files[1], ARRAY_BYTES - 512, 512, 0);
    overwrite(a->files[1], 512 + 80, 1, 0xff); /* the primary header's CRC no longer holds */
    assert_refused(add(b, a->urls[1], &err), VSS_E_VOLUME_NOT_SUPPORTED, &err, a->urls[1]);
    on_file(a->files[0], "printf 'label: dos\\n2048,8192,83\\n' | sfdisk -q --no-reread \"$F\"");
    /* A second entry that overlaps the first: 1 MiB from block 4096. */
    static const uint8_t entry[16] = {0, 0, 0, 0, 0x83, 0, 0, 0, 0, 0x10, 0, 0, 0, 8, 0, 0};
    int fd = open(a->files[0], O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, entry, sizeof(entry), 446 + 16), sizeof(entry));
    assert_int_equal(close(fd), 0);
    assert_refused(add(b, a->urls[0], &err), VSS_E_VOLUME_NOT_SUPPORTED, &err, "overlap");
    set_builder_free(b);
    array_assert_nothing_left(a);
}

static void contradicting_designators_are_refused_by_name(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_builder *b = NULL;
    char first[URL_BYTES];
    char second[URL_BYTES];
    const char *id = "6001405aaaaaaaaaaaaaaaaaaaaaaaaa";
    add_lun(a->lab, ARRAY_TARGET, 10, id, "SERIALONE", first);
    add_lun(a->lab, ARRAY_TARGET, 11, id, "SERIALTWO", second);
    start(a, &b);
    HRESULT hr = add(b, first, &err);
    if (SUCCEEDED(hr)) {
        hr = add(b, second, &err);
        assert_non_null(strstr(err.text, first));
        assert_non_null(strstr(err.text, second));
    }
    assert_refused(hr, VSS_E_VOLUME_NOT_SUPPORTED, &err, NULL);
    set_builder_free(b);
}

static struct lab *second_lab(struct array *a)
{
    struct error err = {0};
    struct lab *lab = NULL;
    char directory[96];
    (void)snprintf(directory, sizeof(directory), "%s/lab2", a->base);
    struct lab_options options = {.directory = directory, .plain_directory = true};
    assert_ok(lab_up(&options, &lab, &err), &err);
    return lab;
}

static void lun_of_no_array_is_refused(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_builder *b = NULL;
    char url[URL_BYTES];
    struct lab *other = second_lab(a);
    add_lun(other, "iqn.2026-01.org.lunshadow.test:other", 1, NULL, NULL, url);
    start(a, &b);
    assert_refused(add(b, url, &err), VSS_E_VOLUME_NOT_SUPPORTED, &err, url);
    bool is_supported = true;
    assert_ok(set_is_volume_supported(a->env, url, NULL, &is_supported, &err), &err);
    assert_false(is_supported);
    assert_ok(set_is_volume_supported(a->env, a->urls[0], NULL, &is_supported, &err), &err);
    assert_true(is_supported);
    set_builder_free(b);
    assert_ok(lab_down(other, &err), &err);
}

static void set_across_two_arrays_is_refused(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_builder *b = NULL;
    char url[URL_BYTES];
    char section[512];
    struct lab *other = second_lab(a);
    add_lun(other, "iqn.2026-01.org.lunshadow.test:other", 1, NULL, NULL, url);
    (void)snprintf(section, sizeof(section),
                   "[array second]\nprovider = tgt\nportal = %s\nsocket = %s\n"
                   "control_port = %u\nallow_hold = yes\nmax_hold_ms = 10000\n",
                   other->portal, other->socket, other->control_port);
    array_configure(a, section);
    assert_int_equal(providers_count(a->env->providers), 2);
    start(a, &b);
    assert_ok(add(b, a->urls[0], &err), &err);
    assert_refused(add(b, url, &err), VSS_E_VOLUME_NOT_SUPPORTED, &err, "two arrays");
    assert_ok(add(b, a->urls[1], &err), &err); /* the set itself is unharmed */
    set_builder_free(b);
    assert_ok(lab_down(other, &err), &err);
}

static void the_65th_volume_is_one_too_many(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_builder *b = NULL;
    char url[URL_BYTES];
    on_file(a->files[1], "sgdisk -Z \"$F\" >/dev/null 2>&1; truncate -s 64M \"$F\"; "
                         "set --; n=1; while [ $n -le 65 ]; do "
                         "set -- \"$@\" -n $n:$((n * 1024 + 1024)):+511K; n=$((n + 1)); done; "
                         "sgdisk -a 1 \"$@\" \"$F\" >/dev/null");
    start(a, &b);
    for (int i = 1; i <= SET_VOLUMES_MAX; i++) {
        (void)snprintf(url, sizeof(url), "%s#%d", a->urls[1], i);
        assert_ok(add(b, url, &err), &err);
    }
    (void)snprintf(url, sizeof(url), "%s#65", a->urls[1]);
    assert_refused(add(b, url, &err), VSS_E_MAXIMUM_NUMBER_OF_VOLUMES_REACHED, &err, "64");
    set_builder_free(b);
    array_assert_nothing_left(a);
}

static void copies_that_are_gone_are_not_imported(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct set_record from_document;
    array_create(a, TRANSPORTABLE, ARRAY_LUNS, &set);
    assert_ok(set_record_copy(&set, &from_document), &err);
    assert_ok(set_import(a->env, &set, &err), &err);
    struct lun_address address;
    assert_ok(lun_address_parse(set.luns[2].copy_url, &address, &err), &err);
    assert_ok(lab_remove_lun(a->lab, address.target, (uint32_t)address.lun, &err), &err);
    char script[256];
    (void)snprintf(script, sizeof(script), "rm -f \"$F\"/.lunshadow-*-3.copy; ls -A \"$F\"");
    on_file(a->lab->disks, script);
    assert_int_equal(set_import(a->env, &from_document, &err), VSS_S_SOME_SNAPSHOTS_NOT_IMPORTED);
    assert_non_null(strstr(err.text, a->urls[2]));
    assert_non_null(from_document.luns[0].copy_url);
    assert_null(from_document.luns[2].copy_url);
    (void)snprintf(script, sizeof(script), "rm -f \"$F\"/.lunshadow-*.copy; ls -A \"$F\"");
    on_file(a->lab->disks, script);
    assert_int_equal(set_import(a->env, &from_document, &err), VSS_E_NO_SNAPSHOTS_IMPORTED);
    set_record_free(&from_document);
    set_record_free(&set);
}

/* ---- a state directory on the set ---- */

/* Its label is gone with the rest, so that it cannot say that there is no such partition. */
static void a_partition_that_is_being_overwritten_is_refused(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_builder *b = NULL;
    struct lun *lun = NULL;
    char key[LUN_KEY_BYTES];
    char url[URL_BYTES];
    VSS_ID resync_id = id_new();
    VSS_ID entry_id;
    (void)snprintf(url, sizeof(url), "%s#1", a->urls[0]);
    assert_ok(lun_open(a->urls[0], &a->env->lun, true, &lun, &err), &err);
    (void)lun_info_key(&lun->identity.info, key);
    lun_close(lun);
    start(a, &b);
    struct store *store = a->env->store;
    assert_ok(journal_open(store, JOURNAL_RESYNC, &resync_id, "resync", &entry_id, &err), &err);
    assert_ok(journal_step(store, &entry_id, "ids-before", key, NULL, 0, &err), &err);
    assert_ok(journal_mark_invalid(store, &entry_id, true, &err), &err);
    overwrite(a->files[0], 0, 1 << 20, 0);
    assert_refused(add(b, url, &err), VSS_E_BAD_STATE, &err, "is being overwritten");
    assert_ok(journal_close(store, &entry_id, &err), &err);
    assert_refused(add(b, url, &err), VSS_E_OBJECT_NOT_FOUND, &err, "no partition 1");
    set_builder_free(b);
}

/* Page 83 as the LUN itself answers, where the kernel would show it of a disk. */
static void save_page83(const char *url, const char *path)
{
    struct lun *lun = NULL;
    struct error err = {0};
    struct scsi_command command;
    uint8_t page[252];
    assert_ok(lun_open(url, NULL, true, &lun, &err), &err);
    scsi_build_inquiry(&command, lun->address.lun, 0x83, page, sizeof(page));
    assert_ok(scsi_execute(lun->session, &command, &err), &err);
    size_t bytes = 4u + ((size_t)page[2] << 8) + page[3];
    assert_true(bytes <= sizeof(page));
    lun_close(lun);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, page, bytes), (ssize_t)bytes);
    assert_int_equal(close(fd), 0);
}

/* A tree like /sys in which the filesystem of the state directory is on disk sda. */
static void make_sysfs(struct array *a, const char *lun_of_sda, char *tree, size_t room)
{
    char line[512];
    struct stat st;
    assert_int_equal(stat(a->state, &st), 0);
    (void)snprintf(tree, room, "%s/sys", a->base);
    (void)snprintf(line, sizeof(line),
                   "mkdir -p \"$F/block\" \"$F/dev/block\" \"$F/devices/sda/device\"; "
                   "ln -s ../devices/sda \"$F/block/sda\"; "
                   "ln -s ../../devices/sda \"$F/dev/block/%u:%u\"; "
                   "echo %u > \"$F/devices/sda/size\"",
                   major(st.st_dev), minor(st.st_dev), ARRAY_BYTES / 512);
    on_file(tree, line);
    (void)snprintf(line, sizeof(line), "%s/devices/sda/device/vpd_pg83", tree);
    save_page83(lun_of_sda, line);
}

/* Beside it, sda as a block device by this number. */
static void make_node(const char *tree, dev_t number, const char *path)
{
    char line[512];
    (void)snprintf(line, sizeof(line),
                   "ln -s ../../devices/sda \"$F/dev/block/%u:%u\"; mkdir -p \"$F/class/block\"; "
                   "ln -s ../../devices/sda \"$F/class/block/sda\"; "
                   "mknod '%s' b %u %u",
                   major(number), minor(number), path, major(number), minor(number));
    on_file(tree, line);
}

/* Where programs and plug-ins are, said before the mount namespace changes: in a changed root the
 * kernel then no longer tells a program where it is itself. */
static void keep_helpers(void)
{
    char *guard = text_copy(helper_program("lunshadow-guard"));
    char *plugin = helper_plugin("tgt");
    assert_true(guard && plugin);
    *strrchr(guard, '/') = '\0';
    *strrchr(plugin, '/') = '\0';
    assert_int_equal(setenv("LUNSHADOW_LIBEXECDIR", guard, 1), 0);
    assert_int_equal(setenv("LUNSHADOW_PROVIDER_DIR", plugin, 1), 0);
    free(plugin);
    free(guard);
}

/* In a process of its own, which sees the tree in the place of /sys: no machine has an initiator of
 * the kernel's to rely on. Exits with 0 where the first LUN is taken, and the second is not. */
static void add_both(struct array *a, const char *tree)
{
    struct error err = {0};
    struct set_environment *env = NULL;
    struct set_builder *b = NULL;
    VSS_ID id;
    /* "/" may be no mount */
    bool is_ready =
        mount_namespace_enter(a->base) && mount(NULL, "/sys", NULL, MS_PRIVATE, NULL) == 0 &&
        mount(tree, "/sys", NULL, MS_BIND, NULL) == 0 &&
        SUCCEEDED(set_environment_open(a->config, a->state, &env, &err)) &&
        SUCCEEDED(set_start(env, ROLLBACK, &b, &id, &err)) && SUCCEEDED(add(b, a->urls[0], &err));
    HRESULT hr = is_ready ? add(b, a->urls[1], &err) : S_OK;
    bool is_refused = hr == VSS_E_VOLUME_NOT_SUPPORTED && strstr(err.text, a->urls[1]) &&
                      strstr(err.text, "LUNSHADOW_STATE_DIR");
    if (!is_refused) {
        print_message("%s: 0x%08x: %s\n", is_ready ? "the second" : "before it", (unsigned)hr,
                      err.text);
    }
    set_builder_free(b);
    set_environment_close(env);
    _exit(is_refused ? 0 : 1);
}

static void state_directory_on_the_set_is_refused(void **state)
{
    struct array *a = *state;
    char tree[128];
    int status = 0;
    if (geteuid() != 0) {
        skip(); /* only root can show itself another /sys */
    }
    make_sysfs(a, a->urls[1], tree, sizeof(tree));
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        keep_helpers();
        add_both(a, tree);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    array_assert_nothing_left(a);
}

/* In a process of its own: what is said of the volume of disk sda, first by all portals, then with
 * one that does not answer. */
static void ask_of_hidden(struct array *a, const char *tree, const char *node)
{
    struct error err = {0};
    struct error late = {0};
    struct set_environment *env = NULL;
    bool has_copies = false;
    bool is_supported = false;
    bool is_ready = unshare(CLONE_NEWNS) == 0 && mount(NULL, "/sys", NULL, MS_PRIVATE, NULL) == 0 &&
                    mount(tree, "/sys", NULL, MS_BIND, NULL) == 0 &&
                    SUCCEEDED(set_environment_open(a->config, a->state, &env, &err));
    HRESULT hr = is_ready ? set_volume_has_copies(env, node, &has_copies, &err) : E_FAIL;
    set_environment_close(env);
    env = NULL;
    FILE *file = fopen(a->config, "ae");
    bool is_told =
        SUCCEEDED(hr) && file && fputs("\n[portal silent]\naddress = 127.0.0.1:1\n", file) >= 0;
    is_told = file && fclose(file) == 0 && is_told &&
              SUCCEEDED(set_environment_open(a->config, a->state, &env, &err));
    HRESULT late_hr = is_told ? set_volume_has_copies(env, node, &has_copies, &late) : S_OK;
    HRESULT asked = is_told ? set_is_volume_supported(env, node, NULL, &is_supported, NULL) : S_OK;
    set_environment_close(env);
    bool is_right = SUCCEEDED(hr) && late_hr == VSS_E_UNEXPECTED && asked == VSS_E_UNEXPECTED &&
                    strstr(late.text, "cannot be told");
    if (!is_right) {
        print_message("0x%08x: %s; then 0x%08x: %s, and 0x%08x\n", (unsigned)hr, err.text,
                      (unsigned)late_hr, late.text, (unsigned)asked);
    }
    _exit(is_right ? 0 : 1);
}

/* A LUN of this host's may be behind a portal that is silent: nothing is said of it then. */
static void a_volume_that_may_be_behind_a_silent_portal_is_not_told_of(void **state)
{
    struct array *a = *state;
    char tree[128];
    char node[128];
    int status = 0;
    if (geteuid() != 0) {
        skip(); /* only root can show itself another /sys */
    }
    make_sysfs(a, a->urls[1], tree, sizeof(tree));
    (void)snprintf(node, sizeof(node), "%s/disk", a->base);
    make_node(tree, makedev(8, 0), node);
    const char *const argv[] = {"--op", "delete", "--mode", "logicalunit", "--tid",
                                "1",    "--lun",  "2",      NULL};
    assert_ok(lab_tgtadm(a->lab, argv, NULL, NULL), NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        keep_helpers();
        ask_of_hidden(a, tree, node);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

int main(void)
{
#define array_test(name) cmocka_unit_test_setup_teardown(name, array_start, array_stop)
    const struct CMUnitTest tests[] = {
        array_test(one_damaged_gpt_header_is_repaired_in_the_copy),
        array_test(label_that_cannot_be_read_is_refused),
        array_test(contradicting_designators_are_refused_by_name),
        array_test(lun_of_no_array_is_refused),
        array_test(set_across_two_arrays_is_refused),
        array_test(the_65th_volume_is_one_too_many),
        array_test(copies_that_are_gone_are_not_imported),
        array_test(state_directory_on_the_set_is_refused),
        array_test(a_partition_that_is_being_overwritten_is_refused),
        array_test(a_volume_that_may_be_behind_a_silent_portal_is_not_told_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
