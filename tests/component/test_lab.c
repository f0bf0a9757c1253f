/* SPDX-License-Identifier: Apache-2.0 */
/* The private array: up, LUNs, masking with a live session, down with nothing left. */
#include "common/clock.h"
#include "common/log.h"
#include "lab/lab.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>

#include <cmocka.h>

#define TARGET_A "iqn.2026-01.org.lunshadow.test:a"
#define TARGET_B "iqn.2026-01.org.lunshadow.test:b"
static const char me[] = "iqn.2026-01.org.lunshadow.test:me";
static const char other[] = "iqn.2026-01.org.lunshadow.test:other";
static const uint64_t lun_bytes = 8 << 20;

/* The directory of one test; the lab lies in "lab" below it. */
struct fixture {
    char base[64];
    char directory[80];
    struct lab *lab;
};

static int make_base(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    (void)snprintf(f->base, sizeof(f->base), "/tmp/lunshadow-lab-XXXXXX");
    assert_non_null(mkdtemp(f->base));
    (void)snprintf(f->directory, sizeof(f->directory), "%s/lab", f->base);
    *state = f;
    return 0;
}

static int remove_base(void **state)
{
    struct fixture *f = *state;
    (void)lab_down(f->lab, NULL);
    int rc = rmdir(f->base); /* what is still in it is a leftover */
    free(f);
    return rc;
}

static void bring_up(struct fixture *f, bool plain, bool detached)
{
    struct error err = {0};
    struct lab_options options = {.directory = f->directory,
                                  .image_bytes = 1ULL << 30,
                                  .plain_directory = plain,
                                  .detached = detached};
    HRESULT hr = lab_up(&options, &f->lab, &err);
    if (FAILED(hr)) {
        fail_msg("%s", err.text);
    }
}

static HRESULT add(struct fixture *f, const char *target, uint32_t lun, const char *file,
                   uint32_t block_bytes, struct error *err)
{
    struct lab_lun_options options = {
        .target = target, .lun = lun, .file = file, .bytes = lun_bytes, .block_bytes = block_bytes};
    return lab_add_lun(f->lab, &options, err);
}

static bool mentions(const char *path, const char *text)
{
    char line[4096];
    bool found = false;
    FILE *file = fopen(path, "re");
    while (file && !found && fgets(line, sizeof(line), file)) {
        found = strstr(line, text) != NULL;
    }
    if (file) {
        (void)fclose(file);
    }
    return found;
}

static bool is_alive(pid_t pid)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%ld/status", (long)pid);
    return access(path, F_OK) == 0 && !mentions(path, "State:\tZ");
}

/* Until it has ended; it may be anybody's child. */
static void assert_ends(pid_t pid)
{
    struct pollfd p = {.fd = pidfd_open(pid, 0), .events = POLLIN};
    if (p.fd >= 0) {
        assert_int_equal(poll(&p, 1, 60000), 1);
        (void)close(p.fd);
    }
    assert_false(is_alive(pid));
}

static bool has_loop(const char *directory)
{
    struct buffer out = BUFFER_INIT;
    const char *const argv[] = {"losetup", "-l", "-n", "-O", "BACK-FILE", NULL};
    (void)process_run(argv, 5000, &out, NULL);
    bool has = out.data && strstr(out.data, directory);
    buffer_free(&out);
    return has;
}

/* Nothing of the lab in the kernel, in /proc or on disk. */
static void assert_nothing_left(const struct fixture *f, pid_t tgtd)
{
    assert_false(mentions("/proc/self/mountinfo", f->directory));
    assert_false(mentions("/proc/net/unix", f->directory));
    assert_false(has_loop(f->directory));
    assert_false(is_alive(tgtd));
    assert_int_equal(access(f->directory, F_OK), -1);
}

static void take_down(struct fixture *f)
{
    struct error err = {0};
    pid_t tgtd = f->lab->tgtd_pid;
    HRESULT hr = lab_down(f->lab, &err);
    f->lab = NULL;
    assert_string_equal(err.text, "");
    assert_int_equal(hr, S_OK);
    assert_nothing_left(f, tgtd);
}

/* A session of its own, which does not come back by itself. NULL: login refused. */
static struct iscsi_context *log_in(const struct lab *lab, const char *initiator,
                                    const char *target, int lun)
{
    struct iscsi_context *iscsi = iscsi_create_context(initiator);
    assert_non_null(iscsi);
    (void)iscsi_set_targetname(iscsi, target);
    (void)iscsi_set_session_type(iscsi, ISCSI_SESSION_NORMAL);
    iscsi_set_noautoreconnect(iscsi, 1);
    (void)iscsi_set_timeout(iscsi, 5);
    if (iscsi_full_connect_sync(iscsi, lab->portal, lun) != 0) {
        (void)iscsi_destroy_context(iscsi);
        return NULL;
    }
    return iscsi;
}

/* Unit attentions (a fresh session's first command, a LUN that came or went beside it) do not
 * count. */
static bool is_served(struct iscsi_context *iscsi, int lun)
{
    bool served = false;
    bool again = true;
    for (int i = 0; i < 5 && again; i++) {
        struct scsi_task *task = iscsi_testunitready_sync(iscsi, lun);
        served = task && task->status == SCSI_STATUS_GOOD;
        again = task && task->status == SCSI_STATUS_CHECK_CONDITION &&
                task->sense.key == SCSI_SENSE_UNIT_ATTENTION;
        if (task) {
            scsi_free_scsi_task(task);
        }
    }
    return served;
}

static bool is_listed(const struct lab *lab, const char *initiator, const char *target)
{
    bool listed = false;
    struct iscsi_context *iscsi = iscsi_create_context(initiator);
    (void)iscsi_set_session_type(iscsi, ISCSI_SESSION_DISCOVERY);
    assert_int_equal(iscsi_connect_sync(iscsi, lab->portal), 0);
    assert_int_equal(iscsi_login_sync(iscsi), 0);
    struct iscsi_discovery_address *all = iscsi_discovery_sync(iscsi);
    for (struct iscsi_discovery_address *a = all; a; a = a->next) {
        listed = listed || strcmp(a->target_name, target) == 0;
    }
    iscsi_free_discovery_data(iscsi, all);
    (void)iscsi_destroy_context(iscsi);
    return listed;
}

/* Page 83 as it is on the wire; returns its length. */
static int read_page_83(struct iscsi_context *iscsi, int lun, unsigned char out[255])
{
    struct scsi_task *task = iscsi_inquiry_sync(iscsi, lun, 1, 0x83, 255);
    assert_non_null(task);
    assert_int_equal(task->status, SCSI_STATUS_GOOD);
    int length = task->datain.size;
    memcpy(out, task->datain.data, (size_t)length);
    scsi_free_scsi_task(task);
    return length;
}

static uint32_t read_block_bytes(struct iscsi_context *iscsi, int lun)
{
    assert_true(is_served(iscsi, lun));
    struct scsi_task *task = iscsi_readcapacity10_sync(iscsi, lun, 0, 0);
    assert_non_null(task);
    assert_int_equal(task->status, SCSI_STATUS_GOOD);
    struct scsi_readcapacity10 *capacity = scsi_datain_unmarshall(task);
    assert_non_null(capacity);
    uint32_t bytes = capacity->block_size;
    scsi_free_scsi_task(task);
    return bytes;
}

static void luns_are_served_and_unique(void **state)
{
    struct fixture *f = *state;
    struct buffer shown = BUFFER_INIT;
    unsigned char first[255];
    unsigned char second[255];
    uint64_t began = clock_monotonic_us();
    bring_up(f, false, false);
    print_message("lab_up took %llu us\n", (unsigned long long)(clock_monotonic_us() - began));
    assert_int_equal(add(f, TARGET_A, 1, "one", 512, NULL), S_OK);
    assert_int_equal(add(f, TARGET_A, 2, "two", 4096, NULL), S_OK);
    assert_int_equal(add(f, TARGET_B, 1, "three", 512, NULL), S_OK);
    assert_int_equal(lab_show(f->lab, &shown, NULL), S_OK);
    assert_non_null(strstr(shown.data, "Target 2: " TARGET_B));
    assert_null(strstr(shown.data, "beaf11")); /* no factory serial on any LUN */
    buffer_free(&shown);

    struct iscsi_context *iscsi = log_in(f->lab, me, TARGET_A, 1);
    assert_non_null(iscsi);
    int length = read_page_83(iscsi, 1, first);
    assert_int_equal(read_page_83(iscsi, 2, second), length);
    assert_memory_not_equal(first, second, (size_t)length);
    static const unsigned char naa6[] = {0x01, 0x03, 0x00, 0x10, 0x60, 0x01, 0x40};
    assert_non_null(memmem(first, (size_t)length, naa6, sizeof(naa6)));
    assert_int_equal(read_block_bytes(iscsi, 1), 512);
    assert_int_equal(read_block_bytes(iscsi, 2), 4096);
    assert_int_equal(lab_remove_lun(f->lab, TARGET_A, 2, NULL), S_OK);
    assert_false(is_served(iscsi, 2));
    assert_true(is_served(iscsi, 1));
    assert_int_equal(lab_remove_target(f->lab, TARGET_A, NULL), S_OK);
    assert_false(is_served(iscsi, 1));
    (void)iscsi_destroy_context(iscsi);
    take_down(f);
}

static void given_ids_are_taken(void **state)
{
    struct fixture *f = *state;
    struct buffer shown = BUFFER_INIT;
    struct lab_lun_options options = {.target = TARGET_A,
                                      .lun = 7,
                                      .file = "seven",
                                      .bytes = lun_bytes,
                                      .block_bytes = 512,
                                      .scsi_id = "60014051234567890abcdef123456789",
                                      .serial = "GIVEN1"};
    bring_up(f, true, false);
    assert_int_equal(lab_add_lun(f->lab, &options, NULL), S_OK);
    options.lun = 8;
    options.scsi_id = "";
    options.serial = "";
    assert_int_equal(lab_add_lun(f->lab, &options, NULL), S_OK); /* the same file again */
    assert_int_equal(lab_show(f->lab, &shown, NULL), S_OK);
    assert_non_null(strstr(shown.data, "SCSI ID: 60014051234567890abcdef123456789"));
    assert_non_null(strstr(shown.data, "SCSI SN: GIVEN1"));
    assert_non_null(strstr(shown.data, "SCSI ID: IET     00010008"));
    buffer_free(&shown);
    take_down(f);
}

static void masked_target_is_gone_for_all(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    bring_up(f, true, false);
    assert_int_equal(add(f, TARGET_A, 1, "one", 512, NULL), S_OK);
    struct iscsi_context *mine = log_in(f->lab, me, TARGET_A, 1);
    struct iscsi_context *theirs = log_in(f->lab, other, TARGET_A, 1);
    assert_non_null(mine);
    assert_non_null(theirs);
    assert_true(is_listed(f->lab, me, TARGET_A));
    assert_int_equal(lab_mask_target(f->lab, TARGET_A, &err), S_OK);
    assert_false(is_served(mine, 1));
    assert_false(is_served(theirs, 1));
    assert_null(log_in(f->lab, me, TARGET_A, 1));
    assert_false(is_listed(f->lab, me, TARGET_A));
    assert_int_equal(lab_mask_target(f->lab, TARGET_A, &err), S_OK); /* again: nothing to do */
    (void)iscsi_destroy_context(mine);
    (void)iscsi_destroy_context(theirs);
    assert_int_equal(lab_unmask_target(f->lab, TARGET_A, &err), S_OK);
    mine = log_in(f->lab, me, TARGET_A, 1);
    assert_non_null(mine);
    (void)iscsi_destroy_context(mine);
    assert_int_equal(lab_mask_target(f->lab, "iqn.2026-01.org.lunshadow.test:none", &err),
                     VSS_E_OBJECT_NOT_FOUND);
    take_down(f);
}

/* Unmasking gives back what was bound, not more. */
static void unmasking_keeps_others_out(void **state)
{
    struct fixture *f = *state;
    struct lab_lun_options options = {.target = TARGET_A,
                                      .lun = 1,
                                      .file = "one",
                                      .bytes = lun_bytes,
                                      .block_bytes = 512,
                                      .initiator = me};
    bring_up(f, true, false);
    assert_int_equal(lab_add_lun(f->lab, &options, NULL), S_OK);
    assert_null(log_in(f->lab, other, TARGET_A, 1));
    assert_int_equal(lab_mask_target(f->lab, TARGET_A, NULL), S_OK);
    assert_null(log_in(f->lab, me, TARGET_A, 1));
    assert_int_equal(lab_unmask_target(f->lab, TARGET_A, NULL), S_OK);
    assert_null(log_in(f->lab, other, TARGET_A, 1));
    struct iscsi_context *mine = log_in(f->lab, me, TARGET_A, 1);
    assert_non_null(mine);
    (void)iscsi_destroy_context(mine);
    take_down(f);
}

static void bad_luns_are_refused(void **state)
{
    static const struct {
        const char *what;
        struct lab_lun_options options;
        HRESULT expected;
    } cases[] = {
        {"file outside", {"iqn.x:a", 1, "../x", 8192, 512, NULL, NULL, NULL}, E_INVALIDARG},
        {"comma", {"iqn.x:a", 1, "x,bsoflags=sync", 8192, 512, NULL, NULL, NULL}, E_INVALIDARG},
        {"no name", {"target", 1, "x", 8192, 512, NULL, NULL, NULL}, E_INVALIDARG},
        {"space", {"iqn.x:a b", 1, "x", 8192, 512, NULL, NULL, NULL}, E_INVALIDARG},
        {"LUN 0", {"iqn.x:a", 0, "x", 8192, 512, NULL, NULL, NULL}, E_INVALIDARG},
        {"block size", {"iqn.x:a", 1, "x", 8192, 520, NULL, NULL, NULL}, E_INVALIDARG},
        {"half a block", {"iqn.x:a", 1, "x", 6144, 4096, NULL, NULL, NULL}, E_INVALIDARG},
        {"empty", {"iqn.x:a", 1, "x", 0, 512, NULL, NULL, NULL}, E_INVALIDARG},
        {"short id", {"iqn.x:a", 1, "x", 8192, 512, "6001405", NULL, NULL}, E_INVALIDARG},
        {"id not hex",
         {"iqn.x:a", 1, "x", 8192, 512, "6001405123456789zabcdef123456789", NULL, NULL},
         E_INVALIDARG},
        {"serial", {"iqn.x:a", 1, "x", 8192, 512, NULL, "A,scsi_id=1", NULL}, E_INVALIDARG},
        {"initiator", {"iqn.x:a", 1, "x", 8192, 512, NULL, NULL, "ALL"}, E_INVALIDARG},
        {"taken", {TARGET_A, 1, "x", 8192, 512, NULL, NULL, NULL}, VSS_E_OBJECT_ALREADY_EXISTS},
    };
    struct fixture *f = *state;
    struct buffer before = BUFFER_INIT;
    struct buffer after = BUFFER_INIT;
    bring_up(f, true, false);
    assert_int_equal(add(f, TARGET_A, 1, "one", 512, NULL), S_OK);
    assert_int_equal(lab_show(f->lab, &before, NULL), S_OK);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error err = {0};
        HRESULT hr = lab_add_lun(f->lab, &cases[i].options, &err);
        if (hr != cases[i].expected || err.text[0] == '\0') {
            fail_msg("%s: %x \"%s\"", cases[i].what, (unsigned)hr, err.text);
        }
    }
    char *path = text_printf("%s/x", f->lab->disks);
    assert_int_equal(access(path, F_OK), -1); /* what was made for a refused LUN is gone */
    free(path);
    assert_int_equal(lab_show(f->lab, &after, NULL), S_OK);
    assert_string_equal(before.data, after.data);
    buffer_free(&before);
    buffer_free(&after);
    assert_int_equal(lab_remove_lun(f->lab, TARGET_A, 9, NULL), VSS_E_OBJECT_NOT_FOUND);
    take_down(f);
}

static void bad_directories_are_refused(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    struct lab *lab = NULL;
    char path[PATH_MAX];
    struct lab_options options = {.directory = f->base, .plain_directory = true};
    bring_up(f, true, false);
    assert_int_equal(lab_up(&options, &lab, &err), E_INVALIDARG); /* holds "lab" */
    options.directory = f->directory;
    assert_int_equal(lab_up(&options, &lab, NULL), E_INVALIDARG); /* a lab is there */
    assert_int_equal(lab_show(f->lab, NULL, NULL), S_OK);         /* and unharmed */
    take_down(f);
    (void)snprintf(path, sizeof(path), "%s/a,b", f->base);
    options.directory = path;
    assert_int_equal(lab_up(&options, &lab, NULL), E_INVALIDARG);
    (void)snprintf(path, sizeof(path), "%s/%080d", f->base, 1);
    assert_int_equal(lab_up(&options, &lab, NULL), E_INVALIDARG);
    (void)snprintf(path, sizeof(path), "%s/no/such", f->base);
    assert_int_equal(lab_up(&options, &lab, NULL), VSS_E_OBJECT_NOT_FOUND);
    (void)snprintf(path, sizeof(path), "%s/small", f->base);
    options.image_bytes = 1 << 20;
    assert_int_equal(lab_up(&options, &lab, NULL), E_INVALIDARG);
    assert_null(lab);
    assert_int_equal(lab_attach(f->directory, &lab, NULL), VSS_E_OBJECT_NOT_FOUND);
    assert_int_equal(lab_attach(f->base, &lab, NULL), VSS_E_OBJECT_NOT_FOUND);
}

static void files_clone_where_it_is_said(void **state)
{
    struct fixture *f = *state;
    bring_up(f, false, false);
    if (!f->lab->is_mounted) {
        print_message("skipped: no loop-mounted filesystem here\n");
        skip();
    }
    assert_true(f->lab->has_reflink);
    assert_int_equal(add(f, TARGET_A, 1, "one", 512, NULL), S_OK);
    char *from = text_printf("%s/one", f->lab->disks);
    char *to = text_printf("%s/copy", f->lab->disks);
    int from_fd = open(from, O_RDONLY | O_CLOEXEC);
    int to_fd = open(to, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(ioctl(to_fd, FICLONE, from_fd), 0);
    (void)close(from_fd);
    (void)close(to_fd);
    free(from);
    free(to);
    take_down(f);
}

/* Brings a lab up in a process of its own that is then killed. Returns tgtd's pid. */
static pid_t leave_behind(struct fixture *f, bool detached)
{
    int fds[2];
    pid_t tgtd = 0;
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    pid_t child = fork();
    if (child == 0) {
        bring_up(f, false, detached);
        (void)add(f, TARGET_A, 1, "one", 512, NULL);
        (void)!write(fds[1], &f->lab->tgtd_pid, sizeof(f->lab->tgtd_pid));
        for (;;) {
            (void)pause();
        }
    }
    (void)close(fds[1]);
    assert_int_equal(read(fds[0], &tgtd, sizeof(tgtd)), sizeof(tgtd));
    (void)close(fds[0]);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    return tgtd;
}

static void tgtd_dies_with_its_parent(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    pid_t tgtd = leave_behind(f, false);
    assert_ends(tgtd);
    assert_int_equal(lab_attach(f->directory, &f->lab, &err), S_OK);
    assert_int_equal(f->lab->tgtd_pid, 0);
    f->lab->tgtd_pid = tgtd;
    take_down(f);
}

static void detached_lab_is_found_and_ended(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    pid_t tgtd = leave_behind(f, true);
    clock_sleep_ms(50);
    assert_true(is_alive(tgtd));
    assert_int_equal(lab_attach(f->directory, &f->lab, &err), S_OK);
    assert_int_equal(f->lab->tgtd_pid, tgtd);
    struct iscsi_context *iscsi = log_in(f->lab, me, TARGET_A, 1);
    assert_non_null(iscsi);
    (void)iscsi_destroy_context(iscsi);
    assert_int_equal(add(f, TARGET_A, 2, "two", 512, &err), S_OK);
    lab_detach(f->lab);
    assert_int_equal(lab_attach(f->directory, &f->lab, &err), S_OK);
    take_down(f);
}

/* The starter died before it could note the pid: the socket still knows. */
static void unrecorded_tgtd_is_found(void **state)
{
    struct fixture *f = *state;
    struct lab *found = NULL;
    bring_up(f, true, false);
    char *path = text_printf("%s/lab.conf", f->directory);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    (void)fprintf(file, "[lab]\nformat = 1\nmade_directory = yes\ncontrol_port = %u\nport = %u\n",
                  f->lab->control_port, f->lab->port);
    (void)fclose(file);
    free(path);
    assert_int_equal(lab_attach(f->directory, &found, NULL), S_OK);
    assert_int_equal(found->tgtd_pid, f->lab->tgtd_pid);
    lab_detach(found);
    take_down(f);
}

/* A record of an earlier process whose pid is another's now must harm nobody. */
static void stranger_with_the_pid_is_spared(void **state)
{
    struct fixture *f = *state;
    struct lab *found = NULL;
    pid_t stranger = fork();
    if (stranger == 0) {
        for (;;) {
            (void)pause();
        }
    }
    pid_t tgtd = leave_behind(f, false);
    assert_ends(tgtd);
    assert_int_equal(lab_attach(f->directory, &found, NULL), S_OK);
    found->tgtd_pid = stranger;
    found->tgtd_start = 12345;
    assert_int_equal(lab_down(found, NULL), S_OK);
    assert_true(is_alive(stranger));
    (void)kill(stranger, SIGKILL);
    (void)waitpid(stranger, NULL, 0);
    assert_nothing_left(f, tgtd);
}

static void stopped_and_frozen_lab_goes_down(void **state)
{
    struct fixture *f = *state;
    bring_up(f, false, false);
    assert_int_equal(add(f, TARGET_A, 1, "one", 512, NULL), S_OK);
    assert_int_equal(kill(f->lab->tgtd_pid, SIGSTOP), 0);
    if (f->lab->is_mounted) {
        int fd = open(f->lab->disks, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(ioctl(fd, FIFREEZE, 0), 0);
        (void)close(fd);
    }
    take_down(f);
}

#define XFS_SHUT_DOWN _IOR('X', 125, uint32_t) /* XFS_IOC_GOINGDOWN, of xfs/xfs_fs.h */

/* It answers everything with EIO. */
static void lab_with_a_dead_filesystem_goes_down(void **state)
{
    struct fixture *f = *state;
    uint32_t without_log = 2;
    struct stat st;
    bring_up(f, false, false);
    if (!f->lab->is_mounted) {
        print_message("skipped: no loop-mounted filesystem here\n");
        skip();
    }
    int fd = open(f->lab->disks, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(ioctl(fd, XFS_SHUT_DOWN, &without_log), 0);
    (void)close(fd);
    assert_int_equal(stat(f->lab->disks, &st), -1);
    take_down(f);
}

/* A tgtd that does not get its port back would serve all interfaces. */
static void no_tgtd_is_left_by_a_failed_restart(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    struct sockaddr_in address = {.sin_family = AF_INET};
    int on = 1;
    bring_up(f, true, false);
    pid_t tgtd = f->lab->tgtd_pid;
    assert_int_equal(kill(tgtd, SIGKILL), 0);
    assert_ends(tgtd);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(f->lab->port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(lab_restart(f->lab, &err), VSS_E_UNEXPECTED);
    assert_non_null(strstr(err.text, f->lab->portal));
    assert_int_equal(f->lab->tgtd_pid, 0);
    assert_false(mentions("/proc/net/unix", f->directory));
    (void)close(fd);
    take_down(f);
}

/* What cannot be unmounted stays, is named, and goes with the next try. */
static void busy_lab_can_be_tried_again(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    bring_up(f, false, false);
    if (!f->lab->is_mounted) {
        print_message("skipped: no loop-mounted filesystem here\n");
        skip();
    }
    pid_t tgtd = f->lab->tgtd_pid;
    char *path = text_printf("%s/mine", f->lab->disks);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    free(path);
    f->lab->busy_ms = 100;
    assert_true(FAILED(lab_down(f->lab, &err)));
    assert_non_null(strstr(err.text, f->directory));
    assert_false(is_alive(tgtd));
    (void)close(fd);
    assert_int_equal(lab_attach(f->directory, &f->lab, NULL), S_OK);
    take_down(f);
}

/* A link in the lab leads nowhere; what it points at is not the lab's. */
static void links_are_not_followed(void **state)
{
    struct fixture *f = *state;
    char outside[128];
    char link_path[160];
    (void)snprintf(outside, sizeof(outside), "%s/outside", f->base);
    assert_int_equal(mkdir(outside, 0700), 0);
    (void)snprintf(link_path, sizeof(link_path), "%s/keep", outside);
    assert_int_equal(close(open(link_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600)), 0);
    bring_up(f, true, false);
    char *inside = text_printf("%s/link", f->lab->disks);
    assert_int_equal(symlink(outside, inside), 0);
    free(inside);
    take_down(f);
    assert_int_equal(unlink(link_path), 0);
    assert_int_equal(rmdir(outside), 0);
}

static void foreign_lab_is_refused(void **state)
{
    struct fixture *f = *state;
    struct lab *found = NULL;
    bring_up(f, true, false);
    assert_int_equal(chmod(f->directory, 0777), 0);
    assert_int_equal(lab_attach(f->directory, &found, NULL), E_ACCESSDENIED);
    assert_int_equal(chmod(f->directory, 0700), 0);
    take_down(f);
}

static void configuration_names_it(void **state)
{
    struct fixture *f = *state;
    struct buffer text = BUFFER_INIT;
    bring_up(f, true, false);
    assert_int_equal(lab_config(f->lab, &text), S_OK);
    assert_non_null(strstr(text.data, "[portal lab]"));
    assert_non_null(strstr(text.data, f->lab->portal));
    assert_non_null(strstr(text.data, "[array lab]\nprovider = tgt"));
    assert_non_null(strstr(text.data, "max_hold_ms = 10000\n"));
    buffer_free(&text);
    take_down(f);
}

#define LAB_TEST(f) cmocka_unit_test_setup_teardown(f, make_base, remove_base)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(luns_are_served_and_unique),
        LAB_TEST(given_ids_are_taken),
        LAB_TEST(masked_target_is_gone_for_all),
        LAB_TEST(unmasking_keeps_others_out),
        LAB_TEST(bad_luns_are_refused),
        LAB_TEST(bad_directories_are_refused),
        LAB_TEST(files_clone_where_it_is_said),
        LAB_TEST(tgtd_dies_with_its_parent),
        LAB_TEST(detached_lab_is_found_and_ended),
        LAB_TEST(unrecorded_tgtd_is_found),
        LAB_TEST(stranger_with_the_pid_is_spared),
        LAB_TEST(stopped_and_frozen_lab_goes_down),
        LAB_TEST(lab_with_a_dead_filesystem_goes_down),
        LAB_TEST(no_tgtd_is_left_by_a_failed_restart),
        LAB_TEST(busy_lab_can_be_tried_again),
        LAB_TEST(links_are_not_followed),
        LAB_TEST(foreign_lab_is_refused),
        LAB_TEST(configuration_names_it),
    };
    if (!process_has_program("tgtd")) {
        (void)printf("skipped: tgtd is not installed\n");
        return 77;
    }
    log_set_sink(log_to_stderr, NULL, LOG_WARNING);
    return cmocka_run_group_tests_name("lab", tests, NULL, NULL);
}
