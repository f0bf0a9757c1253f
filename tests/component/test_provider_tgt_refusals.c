/* SPDX-License-Identifier: Apache-2.0 */
/* The tgt plug-in on a real tgtd: what it refuses, and what goes wrong under it. */
#include "common/buffer.h"
#include "common/clock.h"
#include "common/process.h"
#include "tgt_fixture.h"

#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define GIB (1ull << 30)

static bool can_clone = true;

static uint32_t is_supported(struct tgt_fixture *f, const struct vss_lun_info *info,
                             uint32_t context, enum vss_provider_op op)
{
    const char *device = "iscsi://somewhere";
    const struct vss_luns_in in = {.struct_size = sizeof(in),
                                   .context = context,
                                   .lun_count = 1,
                                   .devices = &device,
                                   .luns = info};
    struct vss_supported_out out = {.struct_size = sizeof(out), .is_supported = 9};
    assert_int_equal(plugin_host_call(&f->host, op, &in, &out), S_OK);
    return out.is_supported;
}

static void foreign_luns_are_not_ours(void **state)
{
    (void)state;
    static struct tgt_fixture f;
    tgt_fixture_up(&f, can_clone ? GIB : 0);
    tgt_make_set(&f, 0);
    const enum vss_provider_op ask = VSS_OP_ARE_LUNS_SUPPORTED;
    struct vss_lun_info info = f.sources[0];
    assert_int_equal(is_supported(&f, &info, 0, ask), 1);
    assert_int_equal(is_supported(&f, &info, 0, VSS_OP_FILL_IN_LUN_INFO), 1);
    assert_int_equal(is_supported(&f, &info, VSS_VOLSNAP_ATTR_PLEX, ask), 1);
    assert_int_equal(is_supported(&f, &info, VSS_VOLSNAP_ATTR_DIFFERENTIAL, ask), can_clone);
    assert_int_equal(
        is_supported(&f, &info, VSS_VOLSNAP_ATTR_PLEX | VSS_VOLSNAP_ATTR_DIFFERENTIAL, ask), 0);
    assert_int_equal(is_supported(&f, &info, VSS_CTX_CLIENT_ACCESSIBLE, ask), 0);
    info.serial_number = (char *)"another";
    assert_int_equal(is_supported(&f, &info, 0, ask), 0);
    info = f.sources[0];
    info.device_id = (struct vss_storage_device_id_descriptor){1, 0, NULL};
    assert_int_equal(is_supported(&f, &info, 0, ask), 0);
    assert_int_equal(is_supported(&f, &info, 0, VSS_OP_FILL_IN_LUN_INFO), 0);
    info.device_id = f.sources[1].device_id;
    assert_int_equal(is_supported(&f, &info, 0, ask), 0);

    tgt_add_lun(&f, "iqn.2026-11.lunshadow.test:factory", 1, "factory.img", 1 << 20, 512, "");
    char *url = tgt_url(&f, "iqn.2026-11.lunshadow.test:factory", 1);
    struct lun *lun = tgt_open(url, TGT_TEST_ME, true);
    assert_non_null(lun);
    assert_int_equal(is_supported(&f, &lun->identity.info, 0, ask), 0);
    lun_close(lun);
    free(url);
    tgt_fixture_down(&f);
}

static void twins_are_refused(void **state)
{
    (void)state;
    static struct tgt_fixture f;
    tgt_fixture_up(&f, can_clone ? GIB : 0);
    const char *id = "60014050123456789abcdef012345678";
    struct lab_lun_options options = {.target = "iqn.2026-11.lunshadow.test:twins",
                                      .lun = 1,
                                      .file = "x.img",
                                      .bytes = 1 << 20,
                                      .block_bytes = 512,
                                      .scsi_id = id,
                                      .serial = "TWIN"};
    assert_int_equal(lab_add_lun(f.lab, &options, NULL), S_OK);
    char *url = tgt_url(&f, options.target, 1);
    struct lun *lun = tgt_open(url, TGT_TEST_ME, true);
    assert_non_null(lun);
    assert_int_equal(is_supported(&f, &lun->identity.info, 0, VSS_OP_ARE_LUNS_SUPPORTED), 1);
    options.lun = 2;
    options.file = "y.img";
    assert_int_equal(lab_add_lun(f.lab, &options, NULL), S_OK);
    assert_int_equal(is_supported(&f, &lun->identity.info, 0, VSS_OP_ARE_LUNS_SUPPORTED), 0);
    assert_non_null(strstr(f.host.log, id));
    lun_close(lun);
    free(url);
    tgt_fixture_down(&f);
}

static void foreign_targets_veto_the_hold(void **state)
{
    (void)state;
    static struct tgt_fixture f;
    tgt_fixture_up(&f, can_clone ? GIB : 0);
    const char *foreign = "iqn.2026-11.lunshadow.test:foreign";
    plugin_host_set(&f.host, "lab", "no");
    tgt_make_set(&f, 0);
    tgt_create(&f);
    tgt_delete_all(&f);
    tgt_add_lun(&f, foreign, 1, "foreign.img", 1 << 20, 512, NULL);
    tgt_make_set(&f, 0);
    tgt_call_ok(&f, VSS_OP_END_PREPARE_SNAPSHOTS);
    assert_int_equal(tgt_call(&f, VSS_OP_PRE_COMMIT_SNAPSHOTS), VSS_E_PROVIDER_VETO);
    assert_non_null(strstr(f.host.error, foreign));
    assert_null(strstr(f.host.error, TGT_TEST_T1));
    plugin_host_set(&f.host, "allow_hold", "yes");
    tgt_call_ok(&f, VSS_OP_PRE_COMMIT_SNAPSHOTS);
    tgt_call_ok(&f, VSS_OP_ABORT_SNAPSHOTS);
    tgt_fixture_down(&f);
}

/* Every second block changed: thousands of extents, whose list needs blocks of its own. */
static void shatter(struct tgt_fixture *f, const char *file, uint32_t count)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/%s", f->lab->disks, file);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(pwrite(fd, &i, 4, (off_t)i * 2 * 4096), 4);
    }
    assert_int_equal(fsync(fd), 0);
    (void)close(fd);
}

static void many_extents_veto_the_hold(void **state)
{
    (void)state;
    if (!can_clone) {
        skip();
    }
    static struct tgt_fixture f;
    tgt_fixture_up(&f, GIB);
    tgt_make_set(&f, 0);
    tgt_create(&f);
    shatter(&f, "b.img", 2000);
    tgt_delete_all(&f);
    tgt_make_set(&f, 0);
    tgt_call_ok(&f, VSS_OP_END_PREPARE_SNAPSHOTS);
    plugin_host_set(&f.host, "max_hold_ms", "20");
    assert_int_equal(tgt_call(&f, VSS_OP_PRE_COMMIT_SNAPSHOTS), VSS_E_PROVIDER_VETO);
    print_message("%s\n", f.host.error);
    assert_non_null(strstr(f.host.error, "extents"));
    plugin_host_set(&f.host, "max_hold_ms", "1000");
    tgt_call_ok(&f, VSS_OP_PRE_COMMIT_SNAPSHOTS);
    tgt_call_ok(&f, VSS_OP_ABORT_SNAPSHOTS);
    tgt_fixture_down(&f);
}

static void refuses_a_remote_portal(void **state)
{
    (void)state;
    static const struct {
        const char *key, *value;
    } bad[] = {
        {"portal", "192.0.2.1:3260"}, {"portal", "[2001:db8::1]:3260"}, {"portal", ""},
        {"max_hold_ms", "9"},         {"max_hold_ms", "10001"},         {"max_hold_ms", "1000 "},
        {"control_port", "-1"},       {"copies", "iqn.2026-11.x:a b"},  {"copies", "copies"},
        {"allow_hold", "perhaps"},    {"extent_cost_us", "0x10"}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct plugin_host host = {0};
        plugin_host_set(&host, bad[i].key, bad[i].value);
        assert_int_equal(plugin_host_open(&host, PLUGIN_PATH), VSS_E_PROVIDER_VETO);
        assert_non_null(strstr(host.error, bad[i].key));
        plugin_host_close(&host);
    }
    struct plugin_host host = {0};
    plugin_host_set(&host, "portal", "127.0.0.1:3260");
    plugin_host_set(&host, "control_port", "31999"); /* nobody there */
    assert_int_equal(plugin_host_open(&host, PLUGIN_PATH), S_OK);
    plugin_host_close(&host);
}

/* ---- things that go wrong on the way */

static void filler_path(struct tgt_fixture *f, char path[512])
{
    (void)snprintf(path, 512, "%s/filler", f->lab->disks);
}

static void fill_up(struct tgt_fixture *f)
{
    char path[512];
    filler_path(f, path);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    for (off_t bytes = 64 << 20; bytes >= 4096;) {
        struct stat st;
        assert_int_equal(fstat(fd, &st), 0);
        if (fallocate(fd, 0, st.st_size, bytes) != 0) {
            bytes /= 2;
        }
    }
    (void)close(fd);
}

/* XFS gives the blocks of an unlinked file back in the background. */
static void empty(struct tgt_fixture *f)
{
    char path[512];
    struct stat filler;
    struct statvfs fs;
    filler_path(f, path);
    assert_int_equal(stat(path, &filler), 0);
    assert_int_equal(unlink(path), 0);
    for (int tries = 0; tries < 1000; tries++) {
        assert_int_equal(statvfs(f->lab->disks, &fs), 0);
        if ((off_t)(fs.f_bavail * fs.f_frsize) >= filler.st_size) {
            return;
        }
        clock_sleep_ms(10);
    }
    fail_msg("the filesystem never gave the filler's blocks back");
}

static void punch(struct tgt_fixture *f, const char *file, off_t bytes)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/%s", f->lab->disks, file);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, bytes), 0);
    (void)close(fd);
}

static void full_filesystem_fails_the_set(void **state)
{
    (void)state;
    static struct tgt_fixture f;
    if (!can_clone) {
        skip();
    }
    tgt_fixture_up(&f, 512 << 20);
    /* A clone of thousands of extents does not fit. */
    tgt_make_set(&f, VSS_VOLSNAP_ATTR_DIFFERENTIAL);
    tgt_create(&f);
    shatter(&f, "a.img", 4000);
    tgt_delete_all(&f);
    tgt_make_set(&f, VSS_VOLSNAP_ATTR_DIFFERENTIAL);
    tgt_call_ok(&f, VSS_OP_END_PREPARE_SNAPSHOTS);
    tgt_call_ok(&f, VSS_OP_PRE_COMMIT_SNAPSHOTS);
    fill_up(&f);
    assert_int_equal(tgt_call(&f, VSS_OP_COMMIT_SNAPSHOTS), VSS_E_INSUFFICIENT_STORAGE);
    assert_non_null(strstr(f.host.error, "a.img"));
    assert_int_equal(tgt_count_files(&f), 0);
    tgt_call_ok(&f, VSS_OP_ABORT_SNAPSHOTS);
    assert_int_equal(tgt_call(&f, VSS_OP_END_PREPARE_SNAPSHOTS), VSS_E_INSUFFICIENT_STORAGE);
    assert_int_equal(tgt_count_files(&f), 0);
    empty(&f);
    /* A full copy meets the end at the first block that was a hole when it was prepared. */
    punch(&f, "b.img", 24 << 20); /* more than XFS can still free of what it gave in advance */
    tgt_make_set(&f, VSS_VOLSNAP_ATTR_PLEX);
    tgt_call_ok(&f, VSS_OP_END_PREPARE_SNAPSHOTS);
    tgt_fill(&f, "b.img", 24 << 20, 4711);
    tgt_call_ok(&f, VSS_OP_PRE_COMMIT_SNAPSHOTS);
    tgt_call_ok(&f, VSS_OP_COMMIT_SNAPSHOTS);
    fill_up(&f);
    assert_int_equal(tgt_call(&f, VSS_OP_POST_COMMIT_SNAPSHOTS), VSS_E_INSUFFICIENT_STORAGE);
    tgt_call_ok(&f, VSS_OP_ABORT_SNAPSHOTS);
    assert_int_equal(tgt_count_files(&f), 0);
    tgt_fixture_down(&f);
}

/* Returns when no thread of it runs any more. */
static void stop_tgtd(const struct tgt_fixture *f)
{
    siginfo_t info;
    assert_int_equal(kill(f->lab->tgtd_pid, SIGSTOP), 0);
    assert_int_equal(waitid(P_PID, (id_t)f->lab->tgtd_pid, &info, WSTOPPED | WNOWAIT), 0);
}

/* Returns when nothing of it runs any more. */
static void kill_tgtd(void *user)
{
    struct tgt_fixture *f = user;
    siginfo_t info;
    assert_int_equal(kill(f->lab->tgtd_pid, SIGKILL), 0);
    assert_int_equal(waitid(P_PID, (id_t)f->lab->tgtd_pid, &info, WEXITED | WNOWAIT), 0);
}

/* Not asked is not answered: that a LUN is not ours is only said by who has looked. */
static HRESULT whose_is(struct tgt_fixture *f, const struct vss_lun_info *info)
{
    const struct vss_luns_in in = {.struct_size = sizeof(in), .lun_count = 1, .luns = info};
    struct vss_supported_out out = {.struct_size = sizeof(out)};
    return plugin_host_call(&f->host, VSS_OP_FILL_IN_LUN_INFO, &in, &out);
}

static void stopped_tgtd_is_named(void **state)
{
    (void)state;
    static struct tgt_fixture f;
    tgt_fixture_up(&f, can_clone ? GIB : 0);
    tgt_make_set(&f, 0);
    tgt_call_ok(&f, VSS_OP_END_PREPARE_SNAPSHOTS);
    stop_tgtd(&f);
    uint64_t begun_us = clock_monotonic_us();
    assert_int_equal(tgt_call(&f, VSS_OP_PRE_COMMIT_SNAPSHOTS), VSS_E_PROVIDER_VETO);
    assert_non_null(strstr(f.host.error, "is stopped"));
    assert_true(clock_monotonic_us() - begun_us > 10000000); /* the longest hold of another set */
    assert_int_equal(whose_is(&f, &f.sources[0]), VSS_E_PROVIDER_VETO);
    assert_int_equal(kill(f.lab->tgtd_pid, SIGCONT), 0);
    tgt_call_ok(&f, VSS_OP_PRE_COMMIT_SNAPSHOTS);
    kill_tgtd(&f);
    assert_int_equal(tgt_call(&f, VSS_OP_COMMIT_SNAPSHOTS), VSS_E_PROVIDER_VETO);
    assert_non_null(strstr(f.host.error, "no tgtd runs"));
    assert_int_equal(is_supported(&f, &f.sources[0], 0, VSS_OP_ARE_LUNS_SUPPORTED), 0);
    assert_int_equal(is_supported(&f, &f.sources[0], 0, VSS_OP_FILL_IN_LUN_INFO), 0);
    tgt_call_ok(&f, VSS_OP_ABORT_SNAPSHOTS); /* by what is remembered */
    assert_int_equal(tgt_count_files(&f), 0);
    tgt_fixture_down(&f);
}

/* A cut of another set, which a process beside this one makes, is waited for. */
static void hold_of_another_set_is_waited_for(void **state)
{
    (void)state;
    static struct tgt_fixture f;
    tgt_fixture_up(&f, can_clone ? GIB : 0);
    tgt_make_set(&f, 0);
    tgt_create(&f);
    tgt_import(&f);
    assert_int_equal(tgt_change(&f, VSS_ONLUNSTATECHANGE_NOTIFY_LUN_POST_RECOVERY), S_OK);
    uint64_t begun_us = clock_monotonic_us();
    pid_t holder = tgt_hold_for(&f, 1000);
    HRESULT hr = tgt_change(&f, VSS_ONLUNSTATECHANGE_NOTIFY_READ_WRITE); /* as a break does */
    if (hr != S_OK) {
        fail_msg("0x%08x %s", (unsigned)hr, f.host.error);
    }
    assert_true(clock_monotonic_us() - begun_us > 900000);
    assert_int_equal(waitpid(holder, NULL, 0), holder);
    tgt_delete_all(&f);
    tgt_fixture_down(&f);
}

static void tgtd_that_dies_in_the_hold_fails_the_set(void **state)
{
    (void)state;
    static struct tgt_fixture f;
    tgt_fixture_up(&f, can_clone ? GIB : 0);
    tgt_make_set(&f, 0);
    tgt_call_ok(&f, VSS_OP_END_PREPARE_SNAPSHOTS);
    tgt_call_ok(&f, VSS_OP_PRE_COMMIT_SNAPSHOTS);
    f.host.during_hold = kill_tgtd;
    f.host.during_hold_user = &f;
    HRESULT hr = tgt_call(&f, VSS_OP_COMMIT_SNAPSHOTS);
    print_message("0x%08x %s\n", (unsigned)hr, f.host.error);
    assert_true(hr == VSS_E_PROVIDER_VETO || hr == VSS_E_UNEXPECTED);
    assert_true(f.host.error[0] != '\0');
    assert_int_equal(tgt_count_files(&f), 0);
    tgt_call_ok(&f, VSS_OP_ABORT_SNAPSHOTS);
    tgt_fixture_down(&f);
}

static void forget_states(struct tgt_fixture *f)
{
    for (uint32_t i = 0; i < TGT_TEST_LUNS; i++) {
        f->luns[i].state = (struct vss_state){0};
    }
}

/* A call that died has left files and no states: where nobody can know where they lie, the set must
 * not be forgotten. */
static void abort_that_cannot_look_is_no_success(void **state)
{
    (void)state;
    static struct tgt_fixture f;
    tgt_fixture_up(&f, can_clone ? GIB : 0);
    tgt_make_set(&f, 0);
    tgt_call_ok(&f, VSS_OP_END_PREPARE_SNAPSHOTS);
    forget_states(&f);
    const struct vss_lun_info served = f.luns[1].source;
    f.luns[1].source.device_id = (struct vss_storage_device_id_descriptor){1, 0, NULL};
    assert_int_equal(tgt_call(&f, VSS_OP_ABORT_SNAPSHOTS), VSS_E_PROVIDER_VETO);
    assert_non_null(strstr(f.host.error, "--forget"));
    assert_int_equal(tgt_count_files(&f), 0); /* the others have been looked for all the same */
    f.luns[1].source = served;
    tgt_call_ok(&f, VSS_OP_ABORT_SNAPSHOTS);

    struct vss_state states[TGT_TEST_LUNS];
    tgt_make_set(&f, 0);
    tgt_call_ok(&f, VSS_OP_END_PREPARE_SNAPSHOTS);
    for (uint32_t i = 0; i < TGT_TEST_LUNS; i++) {
        states[i] = f.luns[i].state;
    }
    forget_states(&f);
    kill_tgtd(&f);
    assert_int_equal(tgt_call(&f, VSS_OP_ABORT_SNAPSHOTS), VSS_E_PROVIDER_VETO);
    assert_non_null(strstr(f.host.error, "start tgtd"));
    assert_int_equal(tgt_count_files(&f), TGT_TEST_LUNS);
    for (uint32_t i = 0; i < TGT_TEST_LUNS; i++) {
        f.luns[i].state = states[i];
    }
    tgt_call_ok(&f, VSS_OP_ABORT_SNAPSHOTS); /* by what is remembered */
    assert_int_equal(tgt_count_files(&f), 0);
    tgt_fixture_down(&f);
}

static void oversleep(void *user)
{
    (void)user;
    (void)usleep(150000);
}

static void long_hold_fails_the_set(void **state)
{
    (void)state;
    static struct tgt_fixture f;
    tgt_fixture_up(&f, can_clone ? GIB : 0);
    tgt_make_set(&f, VSS_VOLSNAP_ATTR_DIFFERENTIAL * can_clone);
    tgt_call_ok(&f, VSS_OP_END_PREPARE_SNAPSHOTS);
    tgt_call_ok(&f, VSS_OP_PRE_COMMIT_SNAPSHOTS);
    plugin_host_set(&f.host, "max_hold_ms", "100");
    f.host.during_hold = oversleep;
    assert_int_equal(tgt_call(&f, VSS_OP_COMMIT_SNAPSHOTS), VSS_E_HOLD_WRITES_TIMEOUT);
    assert_non_null(strstr(f.host.error, "max_hold_ms"));
    assert_int_equal(tgt_count_files(&f), 0);
    tgt_call_ok(&f, VSS_OP_ABORT_SNAPSHOTS);
    tgt_fixture_down(&f);
}

static void replaced_file_is_noticed(void **state)
{
    (void)state;
    static struct tgt_fixture f;
    tgt_fixture_up(&f, can_clone ? GIB : 0);
    char from[512];
    char to[512];
    tgt_make_set(&f, 0);
    tgt_call_ok(&f, VSS_OP_END_PREPARE_SNAPSHOTS);
    (void)snprintf(from, sizeof(from), "%s/a.img", f.lab->disks);
    (void)snprintf(to, sizeof(to), "%s/a.old", f.lab->disks);
    assert_int_equal(rename(from, to), 0);
    tgt_fill(&f, "a.img", TGT_TEST_BYTES, 1);
    assert_int_equal(tgt_call(&f, VSS_OP_PRE_COMMIT_SNAPSHOTS), VSS_E_PROVIDER_VETO);
    assert_non_null(strstr(f.host.error, "a.img"));
    assert_int_equal(tgt_call(&f, VSS_OP_COMMIT_SNAPSHOTS), VSS_E_PROVIDER_VETO);
    assert_int_equal(f.host.hold_count, 0);
    tgt_call_ok(&f, VSS_OP_ABORT_SNAPSHOTS);
    tgt_fixture_down(&f);
}

/* Puts value in the place of the state's own. */
static struct vss_state damaged(const struct tgt_fixture *f, const char *key, const char *value)
{
    static char text[VSS_PROVIDER_STATE_BYTES_MAX * 2];
    char *old = tgt_state_value(f, 0, key);
    char *whole =
        text_printf("\n%.*s", (int)f->luns[0].state.bytes, (const char *)f->luns[0].state.data);
    char *line = text_printf("\n%s=", key);
    char *found = strstr(whole, line);
    assert_non_null(found);
    *found = '\0';
    (void)snprintf(text, sizeof(text), "%s\n%s=%s%s", whole, key, value,
                   found + strlen(line) + strlen(old));
    free(old);
    free(whole);
    free(line);
    const char *start = *text == '\n' ? text + 1 : text;
    return (struct vss_state){.bytes = (uint32_t)strlen(start), .data = (const uint8_t *)start};
}

static void damaged_states_touch_nothing(void **state)
{
    (void)state;
    static struct tgt_fixture f;
    tgt_fixture_up(&f, can_clone ? GIB : 0);
    tgt_make_set(&f, 0);
    tgt_create(&f);
    char victim[512];
    char other[700];
    (void)snprintf(victim, sizeof(victim), "%s/a.img", f.lab->disks);
    (void)snprintf(other, sizeof(other),
                   "%s/.lunshadow-00000000-0000-0000-0000-000000000000-1.copy", f.lab->disks);
    const struct {
        const char *key, *value;
    } bad[] = {{"file", victim},
               {"file", other},
               {"file", ""},
               {"file", "a.img"},
               {"cut", victim},
               {"version", "2"},
               {"number", "0"},
               {"number", "99999"},
               {"set", ""},
               {"scsi_id", "6001"},
               {"serial", "A,b=c"},
               {"target", "a b"},
               {"target", TGT_TEST_T1},
               {"target", "iqn.2026-11.lunshadow.test:copies.00000000-0000-0000-0000-000000000000"},
               {"bstype", "sg"},
               {"thin", "2"},
               {"block_bytes", "513"},
               {"mode", "magic"},
               {"bytes", "-1"},
               {"is_cut", ""}};
    const struct vss_state good = f.luns[0].state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        f.luns[0].state = damaged(&f, bad[i].key, bad[i].value);
        if (tgt_delete(&f, 0) != VSS_E_PROVIDER_VETO) {
            fail_msg("%s = \"%s\" was accepted", bad[i].key, bad[i].value);
        }
        f.luns[0].state = good;
    }
    f.luns[0].state.bytes = good.bytes / 2;
    assert_int_equal(tgt_delete(&f, 0), VSS_E_PROVIDER_VETO);
    f.luns[0].state = good;
    assert_int_equal(access(victim, F_OK), 0);
    assert_int_equal(tgt_count_files(&f), TGT_TEST_LUNS);
    f.luns[0].state = damaged(&f, "version", "1"); /* so the damage above was what counted */
    tgt_delete_all(&f);
    tgt_fixture_down(&f);
}

/* LocateLuns of the first copy alone, with another target than its own remembered: refused, and who
 * uses that target goes on. */
static void locate_in(struct tgt_fixture *f, const char *target, uint32_t lun, const char *words)
{
    const struct vss_state good = f->luns[0].state;
    char *url = tgt_url(f, target, lun);
    struct lun *user = tgt_open(url, TGT_TEST_OTHER, true);
    assert_non_null(user);
    f->luns[0].state = damaged(f, "target", target);
    f->set.lun_count = 1;
    f->set.initiator = TGT_TEST_ME;
    assert_int_equal(tgt_call(f, VSS_OP_LOCATE_LUNS), VSS_E_PROVIDER_VETO);
    if (!strstr(f->host.error, words)) {
        fail_msg("%s", f->host.error);
    }
    f->set.lun_count = TGT_TEST_LUNS;
    f->luns[0].state = good;
    assert_int_equal(lun_identify(user, NULL), S_OK);
    lun_close(user);
    user = tgt_open(url, TGT_TEST_OTHER, true); /* and may come back */
    assert_non_null(user);
    lun_close(user);
    free(url);
}

static void no_target_of_others_is_taken(void **state)
{
    (void)state;
    static struct tgt_fixture f;
    tgt_fixture_up(&f, can_clone ? GIB : 0);
    tgt_make_set(&f, 0);
    tgt_create(&f);
    locate_in(&f, TGT_TEST_T1, 1, "damaged at \"target\"");

    /* one with the right name, or whose name was taken for the set's id */
    char *set = tgt_state_value(&f, 0, "set");
    char *name = text_printf("iqn.2026-11.lunshadow.test:production.%s", set);
    tgt_add_lun(&f, name, 7, "production.img", 1 << 20, 512, NULL);
    locate_in(&f, name, 7, "no copy of this set");
    free(name);
    free(set);
    tgt_import(&f);
    tgt_delete_all(&f);
    tgt_fixture_down(&f);
}

/* ---- documents of somebody who wants an original taken for a copy */

/* LocateLuns must be refused with these words, and show nothing. */
static void refuse_to_show(struct tgt_fixture *f, const char *words)
{
    char *target = tgt_state_value(f, 1, "target");
    f->set.initiator = TGT_TEST_ME;
    assert_int_equal(tgt_call(f, VSS_OP_LOCATE_LUNS), VSS_E_PROVIDER_VETO);
    if (!strstr(f->host.error, words)) {
        fail_msg("\"%s\" is not in: %s", words, f->host.error);
    }
    assert_false(tgt_shows(f, target));
    free(target);
}

/* What page 83 shows of LUN i, as tgtd has it. */
static char *scsi_id_of(const struct tgt_fixture *f, uint32_t i)
{
    const struct vss_storage_device_id_descriptor *ids = &f->sources[i].device_id;
    for (uint32_t k = 0; k < ids->identifier_count; k++) {
        if (ids->identifiers[k].type == VDSStorageIdTypeVendorId) {
            return text_printf("%.32s", (const char *)ids->identifiers[k].identifier);
        }
    }
    fail_msg("LUN %u shows no T10 identifier", i);
    return NULL;
}

static void one_lun_is_not_two_copies(void **state)
{
    (void)state;
    static const char *const keys[] = {"number", "file", "scsi_id"};
    static struct tgt_fixture f;
    tgt_fixture_up(&f, can_clone ? GIB : 0);
    tgt_make_set(&f, 0);
    tgt_create(&f);
    const struct vss_state good = f.luns[0].state;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        char *other = tgt_state_value(&f, 1, keys[i]);
        char words[32];
        (void)snprintf(words, sizeof(words), "the same at \"%s\"", keys[i]);
        f.luns[0].state = damaged(&f, keys[i], other);
        refuse_to_show(&f, words);
        f.luns[0].state = good;
        free(other);
    }
    tgt_import(&f);
    tgt_delete_all(&f);
    tgt_fixture_down(&f);
}

static void no_copy_gets_the_identity_of_an_original(void **state)
{
    (void)state;
    static struct tgt_fixture f;
    tgt_fixture_up(&f, can_clone ? GIB : 0);
    tgt_make_set(&f, 0);
    tgt_create(&f);
    const struct vss_state good = f.luns[0].state;
    char *victim = scsi_id_of(&f, 1);
    f.luns[0].state = damaged(&f, "scsi_id", victim);
    refuse_to_show(&f, victim);
    /* nor does one whose file is not there: the host would find the original */
    char *file = tgt_state_value(&f, 0, "file");
    char *away = text_printf("%s.away", file);
    assert_int_equal(rename(file, away), 0);
    refuse_to_show(&f, victim);
    assert_int_equal(rename(away, file), 0);
    f.luns[0].state = good;

    /* and what the host is about to write to is shown as what is remembered */
    tgt_import(&f);
    assert_int_equal(tgt_change(&f, VSS_ONLUNSTATECHANGE_NOTIFY_LUN_POST_RECOVERY), S_OK);
    f.luns[0].state = damaged(&f, "scsi_id", victim);
    assert_int_equal(tgt_change(&f, VSS_ONLUNSTATECHANGE_NOTIFY_LUN_PRE_RECOVERY),
                     VSS_E_PROVIDER_VETO);
    assert_non_null(strstr(f.host.error, victim));
    f.luns[0].state = good;
    f.luns[0].state = damaged(&f, "serial", "ANOTHER");
    assert_int_equal(tgt_change(&f, VSS_ONLUNSTATECHANGE_NOTIFY_READ_WRITE), VSS_E_PROVIDER_VETO);
    f.luns[0].state = good;
    assert_int_equal(tgt_change(&f, VSS_ONLUNSTATECHANGE_NOTIFY_READ_WRITE), S_OK);
    free(file);
    free(away);
    free(victim);
    tgt_delete_all(&f);
    tgt_fixture_down(&f);
}

static void make_false_copy(const char *path, int kind, const char *original)
{
    switch (kind) {
    case 0:
        assert_int_equal(symlink(original, path), 0);
        break;
    case 1:
        assert_int_equal(link(original, path), 0);
        break;
    case 2:
        assert_int_equal(symlink("/dev/null", path), 0);
        break;
    case 3:
        assert_int_equal(mkfifo(path, 0600), 0);
        break;
    case 4:
        assert_int_equal(truncate(path, TGT_TEST_BYTES / 2), 0);
        break;
    default:
        assert_int_equal(chown(path, 65534, (gid_t)-1), 0);
        break;
    }
}

/* tgtd opens whatever lies under the name of a copy: what is not the copy is not handed to it. */
static void false_files_are_not_shown(void **state)
{
    (void)state;
    static const char *const words[] = {"symbolic link",      "another name", "symbolic link",
                                        "not a regular file", "the size",     "another user"};
    static struct tgt_fixture f;
    tgt_fixture_up(&f, can_clone ? GIB : 0);
    tgt_make_set(&f, 0);
    tgt_create(&f);
    size_t bytes = 0;
    char original[512];
    (void)snprintf(original, sizeof(original), "%s/b.img", f.lab->disks);
    uint8_t *before = tgt_read_file(&f, "b.img", &bytes);
    char *file = tgt_state_value(&f, 0, "file");
    char *away = text_printf("%s.away", file);
    for (int kind = 0; kind < 6 - (geteuid() != 0); kind++) {
        if (kind < 4) {
            assert_int_equal(rename(file, away), 0);
        }
        make_false_copy(file, kind, original);
        refuse_to_show(&f, words[kind]);
        if (kind < 4) {
            assert_int_equal(rename(away, file), 0);
        }
        assert_int_equal(truncate(file, TGT_TEST_BYTES), 0);
        assert_int_equal(chown(file, geteuid(), (gid_t)-1), 0);
    }
    /* a copy that was replaced while it was shown */
    tgt_import(&f);
    assert_int_equal(rename(file, away), 0);
    tgt_fill(&f, strrchr(file, '/') + 1, TGT_TEST_BYTES, 1);
    assert_int_equal(tgt_call(&f, VSS_OP_LOCATE_LUNS), VSS_E_PROVIDER_VETO);
    assert_non_null(strstr(f.host.error, "replaced"));
    assert_int_equal(rename(away, file), 0);
    tgt_call_ok(&f, VSS_OP_LOCATE_LUNS);
    uint8_t *after = tgt_read_file(&f, "b.img", &bytes);
    assert_memory_equal(before, after, bytes);
    free(before);
    free(after);
    free(file);
    free(away);
    tgt_delete_all(&f);
    tgt_fixture_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(foreign_luns_are_not_ours, tgt_fixture_end),
        cmocka_unit_test_teardown(twins_are_refused, tgt_fixture_end),
        cmocka_unit_test_teardown(foreign_targets_veto_the_hold, tgt_fixture_end),
        cmocka_unit_test_teardown(many_extents_veto_the_hold, tgt_fixture_end),
        cmocka_unit_test_teardown(refuses_a_remote_portal, tgt_fixture_end),
        cmocka_unit_test_teardown(full_filesystem_fails_the_set, tgt_fixture_end),
        cmocka_unit_test_teardown(stopped_tgtd_is_named, tgt_fixture_end),
        cmocka_unit_test_teardown(hold_of_another_set_is_waited_for, tgt_fixture_end),
        cmocka_unit_test_teardown(abort_that_cannot_look_is_no_success, tgt_fixture_end),
        cmocka_unit_test_teardown(tgtd_that_dies_in_the_hold_fails_the_set, tgt_fixture_end),
        cmocka_unit_test_teardown(long_hold_fails_the_set, tgt_fixture_end),
        cmocka_unit_test_teardown(replaced_file_is_noticed, tgt_fixture_end),
        cmocka_unit_test_teardown(damaged_states_touch_nothing, tgt_fixture_end),
        cmocka_unit_test_teardown(no_target_of_others_is_taken, tgt_fixture_end),
        cmocka_unit_test_teardown(one_lun_is_not_two_copies, tgt_fixture_end),
        cmocka_unit_test_teardown(no_copy_gets_the_identity_of_an_original, tgt_fixture_end),
        cmocka_unit_test_teardown(false_files_are_not_shown, tgt_fixture_end),
    };
    if (!process_has_program("tgtd")) {
        (void)printf("skipped: tgtd is not installed\n");
        return 77;
    }
    can_clone = tgt_can_clone();
    if (!can_clone) {
        (void)printf("no reflink filesystem can be mounted here: copies are full copies\n");
    }
    return cmocka_run_group_tests_name("provider_tgt_refusals", tests, NULL, NULL);
}
