/* SPDX-License-Identifier: Apache-2.0 */
#include "component/array_fixture.h"

#include "common/buffer.h"
#include "common/log.h"
#include "lun/host/export_daemon.h"
#include "registry/journal.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <cmocka.h>

enum { END_MS = 60000 }; /* for what ends by itself, on a machine that is busy */

const uint32_t array_block_bytes[ARRAY_LUNS] = {512, 512, 4096};

void array_assert_ok(HRESULT hr, const struct error *err, const char *file, int line)
{
    if (FAILED(hr)) {
        print_error("%s:%d: 0x%08x: %s\n", file, line, (unsigned)hr, error_text(err));
        fail();
    }
}

void array_assert_refused(HRESULT hr, HRESULT code, const struct error *err, const char *words,
                          const char *file, int line)
{
    if (hr != code || (words && !strstr(err->text, words))) {
        print_error("%s:%d: 0x%08x instead of 0x%08x with \"%s\": %s\n", file, line, (unsigned)hr,
                    (unsigned)code, words ? words : "", error_text(err));
        fail();
    }
}

/* Runs a shell line; "$F" is the file. */
static void run_on_file(const char *path, const char *script)
{
    struct error err = {0};
    char *line = text_printf("F='%s'; PATH=$PATH:/usr/sbin:/sbin; %s", path, script);
    const char *const argv[] = {"sh", "-ec", line, NULL};
    HRESULT hr = process_run(argv, 120000, NULL, &err);
    free(line);
    assert_ok(hr, &err);
}

static void make_images(struct array *a)
{
    static const char *const scripts[ARRAY_LUNS] = {
        ("truncate -s 64M \"$F\"; printf 'label: dos\\nlabel-id: 0x11223344\\n1:size=8M,type=83\\n"
         "2:size=40M,type=5\\n5:size=8M,type=83\\n6:size=8M,type=83\\n' | sfdisk -q --no-reread "
         "\"$F\""),
        "truncate -s 64M \"$F\"; sgdisk -n 1:0:+16M -n 2:0:+16M -n 3:0:0 \"$F\"",
        ("truncate -s 64M \"$F\"; printf 'g\\nn\\n1\\n\\n+16M\\nn\\n2\\n\\n+16M\\nw\\n' | "
         "fdisk -w never -b 4096 \"$F\""),
    };
    for (size_t i = 0; i < ARRAY_LUNS; i++) {
        char name[16];
        struct error err = {0};
        (void)snprintf(name, sizeof(name), "lun%zu.img", i + 1);
        (void)snprintf(a->files[i], sizeof(a->files[i]), "%s/%s", a->lab->disks, name);
        (void)snprintf(a->urls[i], sizeof(a->urls[i]), "iscsi://%s/" ARRAY_TARGET "/%zu",
                       a->lab->portal, i + 1);
        run_on_file(a->files[i], scripts[i]);
        array_fill(a, i, 2u << 20, 6u << 20, (uint8_t)(i + 1)); /* short of the boot record */
        struct lab_lun_options lun = {.target = ARRAY_TARGET,
                                      .lun = (uint32_t)(i + 1),
                                      .file = name,
                                      .block_bytes = array_block_bytes[i]};
        assert_ok(lab_add_lun(a->lab, &lun, &err), &err);
    }
}

static void write_config(struct array *a)
{
    struct buffer text = BUFFER_INIT;
    assert_int_equal(lab_config(a->lab, &text), S_OK);
    buffer_add_text(&text, "[initiator]\nname = iqn.2026-01.org.lunshadow.test:host\n");
    FILE *file = fopen(a->config, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(text.data, 1, text.length, file), text.length);
    assert_int_equal(fclose(file), 0);
    buffer_free(&text);
}

void array_reopen(struct array *a)
{
    struct error err = {0};
    set_environment_close(a->env);
    a->env = NULL;
    assert_ok(set_environment_open(a->config, a->state, &a->env, &err), &err);
}

void array_configure(struct array *a, const char *text)
{
    FILE *file = fopen(a->config, "ae");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    array_reopen(a);
}

static void need_tools(void)
{
    static const char *const tools[] = {"tgtd", "sgdisk", "sfdisk"};
    for (size_t i = 0; i < sizeof(tools) / sizeof(tools[0]); i++) {
        if (!process_has_program(tools[i])) {
            print_message("skipped: no %s here\n", tools[i]);
            exit(77);
        }
    }
}

/* cmocka calls no tear-down after a set-up that failed: the next one mends that. */
static struct array *unfinished;

int array_start(void **state)
{
    struct error err = {0};
    need_tools();
    if (unfinished) {
        void *old = unfinished;
        (void)array_stop(&old);
    }
    struct array *a = calloc(1, sizeof(*a));
    assert_non_null(a);
    *state = a;
    unfinished = a;
    (void)snprintf(a->base, sizeof(a->base), "/tmp/lunshadow-array-XXXXXX");
    assert_non_null(mkdtemp(a->base));
    (void)snprintf(a->config, sizeof(a->config), "%s/lunshadow.conf", a->base);
    (void)snprintf(a->state, sizeof(a->state), "%s/state", a->base);
    /* Locks of its own: another test, or the machine's owner, may be at work too. */
    char locks[96];
    (void)snprintf(locks, sizeof(locks), "%s/locks", a->base);
    assert_int_equal(mkdir(locks, 0700), 0);
    assert_int_equal(setenv("LUNSHADOW_LOCK_DIR", locks, 1), 0);
    char directory[96];
    (void)snprintf(directory, sizeof(directory), "%s/lab", a->base);
    struct lab_options options = {.directory = directory, .image_bytes = 2ull << 30};
    assert_ok(lab_up(&options, &a->lab, &err), &err);
    make_images(a);
    write_config(a);
    array_reopen(a);
    assert_int_equal(providers_count(a->env->providers), 1);
    return 0;
}

/* What a test that failed in the middle left mounted, before its array goes: a mount whose array is
 * gone makes whoever looks at the host's block devices wait. */
static void end_exposures(const struct array *a)
{
    char *line = text_printf(
        "for m in $(awk -v b='%s/' 'index($5, b) == 1 && $5 !~ /\\/lab\\/disks$/ && "
        "$5 !~ /\\/disk$/ { print $5 }' /proc/self/mountinfo | sort -r); do umount \"$m\"; done; "
        "for p in '%s'/exposed/*/pid; do test -e \"$p\" && kill \"$(cat \"$p\")\"; done; true",
        a->base, a->state);
    const char *const argv[] = {"sh", "-c", line, NULL};
    (void)process_run(argv, END_MS, NULL, NULL);
    free(line);
}

int array_stop(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    unfinished = NULL;
    set_environment_close(a->env);
    end_exposures(a);
    HRESULT hr = lab_down(a->lab, &err);
    if (FAILED(hr)) {
        print_error("lab_down: %s\n", error_text(&err));
    }
    const char *const argv[] = {"rm", "-rf", "--one-file-system", a->base, NULL};
    (void)process_run(argv, END_MS, NULL, NULL);
    free(a);
    return FAILED(hr);
}

void array_create(struct array *a, uint32_t context, size_t count, struct set_record *out)
{
    struct error err = {0};
    struct set_builder *builder = NULL;
    VSS_ID set_id;
    VSS_ID snapshot_id;
    assert_ok(set_start(a->env, context, &builder, &set_id, &err), &err);
    for (size_t i = 0; i < count; i++) {
        assert_ok(set_add_volume(builder, a->urls[i], NULL, &snapshot_id, &err), &err);
    }
    assert_ok(set_commit(builder, NULL, out, &err), &err);
    set_builder_free(builder);
    assert_int_equal(out->snapshot_count, count);
}

void array_cut_sessions(const struct array *a)
{
    char sid[16];
    for (int i = 1; i < 40; i++) {
        (void)snprintf(sid, sizeof(sid), "%d", i);
        const char *const argv[] = {"--op",  "delete", "--mode", "conn", "--tid", "1",
                                    "--sid", sid,      "--cid",  "0",    NULL};
        (void)lab_tgtadm(a->lab, argv, NULL, NULL);
    }
}

void array_fill(const struct array *a, size_t lun, uint64_t offset, uint64_t bytes, uint8_t seed)
{
    uint8_t block[4096];
    int fd = open(a->files[lun], O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    for (uint64_t at = offset; at < offset + bytes; at += sizeof(block)) {
        for (size_t i = 0; i < sizeof(block); i++) {
            block[i] = (uint8_t)(seed + i + at / sizeof(block) * 7);
        }
        assert_int_equal(pwrite(fd, block, sizeof(block), (off_t)at), sizeof(block));
    }
    assert_int_equal(close(fd), 0);
}

uint64_t array_digest(const char *path)
{
    static uint8_t chunk[1 << 20];
    XXH64_state_t *state = XXH64_createState();
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0 && state);
    (void)XXH64_reset(state, 0);
    for (;;) {
        ssize_t got = read(fd, chunk, sizeof(chunk));
        assert_true(got >= 0);
        if (got == 0) {
            break;
        }
        (void)XXH64_update(state, chunk, (size_t)got);
    }
    uint64_t digest = XXH64_digest(state);
    (void)XXH64_freeState(state);
    assert_int_equal(close(fd), 0);
    return digest;
}

void array_scsi_id(const struct vss_lun_info *info, char out[33])
{
    out[0] = '\0';
    for (uint32_t i = 0; i < info->device_id.identifier_count; i++) {
        const struct vss_storage_identifier *id = &info->device_id.identifiers[i];
        bool is_naa = id->type == VDSStorageIdTypeFCPHName && id->identifier_bytes == 16;
        for (size_t n = 0; is_naa && n < 16; n++) {
            (void)snprintf(out + 2 * n, 3, "%02x", id->identifier[n]);
        }
    }
    assert_int_equal(strlen(out), 32);
}

void array_read_ids(struct array *a, const char *url, struct vss_disk_ids *out)
{
    struct error err = {0};
    struct lun *lun = NULL;
    struct label *label = NULL;
    assert_ok(lun_open(url, &a->env->lun, true, &lun, &err), &err);
    assert_ok(label_read(&lun->block, LABEL_FULL, &label, &err), &err);
    assert_ok(label_ids(label, out), &err);
    label_free(label);
    lun_close(lun);
}

static size_t count_copies(const struct array *a)
{
    size_t count = 0;
    DIR *dir = opendir(a->lab->disks);
    assert_non_null(dir);
    for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
        count += strstr(e->d_name, ".lunshadow-") != NULL;
    }
    (void)closedir(dir);
    return count;
}

static size_t count_targets(const struct array *a)
{
    struct error err = {0};
    struct buffer text = BUFFER_INIT;
    assert_ok(lab_show(a->lab, &text, &err), &err);
    size_t count = 0;
    for (const char *at = text.data; at && (at = strstr(at, "Target ")) != NULL; at++) {
        count += at == text.data || at[-1] == '\n';
    }
    buffer_free(&text);
    return count;
}

static bool starts_with(const char *line, const char *start)
{
    return strncmp(line, start, strlen(start)) == 0;
}

void array_look(struct array *a, struct array_shown *out)
{
    struct error err = {0};
    struct buffer text = BUFFER_INIT;
    bool is_other = false;
    bool is_disk = false;
    bool is_acl = false;
    *out = (struct array_shown){0};
    assert_ok(lab_show(a->lab, &text, &err), &err);
    char *rest = text.data;
    for (char *line = strsep(&rest, "\n"); line; line = strsep(&rest, "\n")) {
        if (starts_with(line, "Target ")) {
            is_other = !strstr(line, ": " ARRAY_TARGET);
        } else if (starts_with(line, "    ") && line[4] != ' ') {
            is_acl = starts_with(line + 4, "ACL information:");
        } else if (starts_with(line, "            Type: ")) {
            is_disk = is_other && strstr(line, "disk");
            out->luns += is_disk;
        } else if (starts_with(line, "            Readonly: ")) {
            out->writable += is_disk && strstr(line, "No");
        } else if (is_acl && starts_with(line, "        ")) {
            out->let_in += is_other;
        }
    }
    buffer_free(&text);
}

/* Processes that serve a LUN of the array as a file. */
static size_t count_exports(const struct array *a)
{
    size_t count = 0;
    DIR *dir = opendir("/proc");
    assert_non_null(dir);
    for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
        char path[300];
        char line[16384];
        (void)snprintf(path, sizeof(path), "/proc/%s/cmdline", e->d_name);
        int fd = e->d_name[0] >= '1' && e->d_name[0] <= '9' ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        ssize_t got = fd >= 0 ? read(fd, line, sizeof(line)) : 0;
        count += got > 0 && memmem(line, (size_t)got, EXPORT_DAEMON, strlen(EXPORT_DAEMON)) &&
                 memmem(line, (size_t)got, a->base, strlen(a->base));
        if (fd >= 0) {
            (void)close(fd);
        }
    }
    (void)closedir(dir);
    return count;
}

void array_assert_nothing_left(struct array *a)
{
    struct error err = {0};
    struct set_record *sets = NULL;
    struct journal_entry *entries = NULL;
    size_t count = 0;
    assert_int_equal(count_copies(a), 0);
    assert_int_equal(count_targets(a), 1);
    assert_int_equal(count_exports(a), 0);
    assert_ok(sets_load_all(a->env->store, &sets, &count, &err), &err);
    assert_int_equal(count, 0);
    sets_free_all(sets, count);
    assert_ok(journal_load_open(a->env->store, false, &entries, &count, &err), &err);
    assert_int_equal(count, 0);
    journal_free_all(entries, count);
}

void array_need_mounts(void)
{
    const char *missing = NULL;
    if (geteuid() != 0) {
        missing = "not root";
    } else if (access("/dev/fuse", R_OK | W_OK) != 0) {
        missing = "no /dev/fuse";
    } else if (access("/dev/loop-control", R_OK | W_OK) != 0) {
        missing = "no loop devices";
    } else if (!process_has_program("qemu-storage-daemon")) {
        missing = "no qemu-storage-daemon (package qemu-system-common)";
    }
    if (missing) {
        print_message("skipped: %s\n", missing);
        exit(77);
    }
}

void array_delete_set(struct array *a, struct set_record *set)
{
    struct error err = {0};
    int32_t deleted = 0;
    assert_ok(set_delete(a->env, &set->set_id, VSS_OBJECT_SNAPSHOT_SET, &deleted, NULL, &err),
              &err);
    set_record_free(set);
    array_assert_nothing_left(a);
}
