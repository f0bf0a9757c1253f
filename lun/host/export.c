/* SPDX-License-Identifier: Apache-2.0 */
#include "lun/host/export.h"

#include "common/buffer.h"
#include "common/clock.h"
#include "common/process.h"
#include "lun/host/export_daemon.h"
#include "lun/transport/iscsi.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define START_MS      30000u
#define LOST_AFTER_S  120u /* as long as the kernel's own initiator waits for a session */
#define END_MS        5000
#define UNMOUNT_TRIES 50

/* ---- files ----------------------------------------------------------------------------------- */

char *export_file(const char *directory)
{
    return text_printf("%s/disk", directory);
}

static HRESULT write_file(const char *directory, const char *name, const char *text,
                          struct error *err)
{
    char *path = text_printf("%s/%s", directory, name);
    if (!path) {
        return error_set(err, E_OUTOFMEMORY, "no memory to export a LUN");
    }
    size_t length = strlen(text);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool is_written = fd >= 0 && write(fd, text, length) == (ssize_t)length;
    int reason = errno;
    if (fd >= 0) {
        (void)close(fd);
    }
    HRESULT hr = is_written ? S_OK : error_set_errno(err, reason, "cannot write %s", path);
    free(path);
    return hr;
}

/* S_FALSE: it is not there. */
static HRESULT remove_file(const char *directory, const char *name, struct error *err)
{
    char *path = text_printf("%s/%s", directory, name);
    if (!path) {
        return error_set(err, E_OUTOFMEMORY, "no memory to end an export");
    }
    HRESULT hr = S_OK;
    if (unlink(path) != 0) {
        hr = errno == ENOENT ? S_FALSE : error_set_errno(err, errno, "cannot remove %s", path);
    }
    free(path);
    return hr;
}

/* ---- whose it is ----------------------------------------------------------------------------- */

#define NOT_OTHERS_TO_WRITE (S_IWGRP | S_IWOTH)
#define NOT_OTHERS_AT_ALL   (S_IRWXG | S_IRWXO)

/* Root's, no link, and with none of the forbidden rights of others. */
static HRESULT judge_directory(const char *path, const struct stat *st, mode_t forbidden,
                               struct error *err)
{
    if (S_ISDIR(st->st_mode) && st->st_uid == 0 && (st->st_mode & forbidden) == 0) {
        return S_OK;
    }
    return error_set(err, E_ACCESSDENIED,
                     "%s is not a directory that is root's alone, so what is in it cannot be "
                     "trusted: look who made it and what is in it, then remove it or move it away",
                     path);
}

static HRESULT check_directory(const char *path, mode_t forbidden, struct error *err)
{
    struct stat st;
    if (lstat(path, &st) == 0) {
        return judge_directory(path, &st, forbidden, err);
    }
    int reason = errno == ENOTDIR ? ENOENT : errno;
    return error_set_errno(err, reason, "cannot look at %s", path);
}

/* The directory that exports lie in: whoever could write there could put an export in the place of
 * another. Nothing is allocated here: an export can be ended when memory is short. */
static HRESULT check_parent(const char *directory, struct error *err)
{
    char parent[PATH_MAX];
    const char *slash = strrchr(directory, '/');
    size_t length = slash ? (size_t)(slash - directory) : 0;
    if (length == 0 || length >= sizeof(parent)) {
        return error_set(err, E_INVALIDARG, "%.200s cannot be an export's directory", directory);
    }
    memcpy(parent, directory, length);
    parent[length] = '\0';
    return check_directory(parent, NOT_OTHERS_TO_WRITE, err);
}

/* Whoever could write the record could make one LUN pass for another. */
static HRESULT check_trusted(const char *directory, struct error *err)
{
    HRESULT hr = check_parent(directory, err);
    return SUCCEEDED(hr) ? check_directory(directory, NOT_OTHERS_AT_ALL, err) : hr;
}

HRESULT export_open(const char *directory, int *out_fd, struct error *err)
{
    struct stat st;
    *out_fd = -1;
    int fd = open(directory, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    HRESULT hr = fd >= 0 && fstat(fd, &st) == 0
                     ? judge_directory(directory, &st, NOT_OTHERS_AT_ALL, err)
                     : error_set_errno(err, errno, "cannot look at %s", directory);
    if (SUCCEEDED(hr)) {
        *out_fd = fd;
    } else if (fd >= 0) {
        (void)close(fd);
    }
    return hr;
}

/* ---- starting -------------------------------------------------------------------------------- */

/* The LUN as a node of the daemon's. The secret never stands on a command line: the daemon reads it
 * from a file that is there for no longer than it starts. */
static json_t *lun_node(const struct lun *lun, const struct export_options *options,
                        const char *initiator, const char *user, bool has_secret)
{
    bool read_only = options->mode == EXPORT_SCRATCH;
    if (options->device) {
        return json_pack("{s:s, s:s, s:s, s:b}", "driver", "host_device", "node-name", "lun",
                         "filename", options->device, "read-only", read_only);
    }
    json_t *node =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:s, s:b}", "driver", "iscsi", "node-name", "lun",
                  "transport", "tcp", "portal", lun->address.portal, "target", lun->address.target,
                  "lun", (json_int_t)iscsi_lun_field(lun->address.lun), "initiator-name", initiator,
                  "read-only", read_only);
    bool is_whole = node != NULL;
    if (is_whole && user[0]) {
        is_whole = json_object_set_new(node, "user", json_string(user)) == 0;
    }
    if (is_whole && has_secret) {
        is_whole = json_object_set_new(node, "password-secret", json_string("chap")) == 0;
    }
    if (!is_whole) {
        json_decref(node);
        node = NULL;
    }
    return node;
}

static char *take_json(json_t *json)
{
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    return text;
}

static HRESULT make_scratch(const char *directory, const struct lun *lun, struct error *err)
{
    char *file = text_printf("%s/scratch", directory);
    char *bytes =
        text_printf("%llu", (unsigned long long)lun->block.block_count * lun->block.block_bytes);
    HRESULT hr = E_OUTOFMEMORY;
    if (file && bytes) {
        const char *const argv[] = {"qemu-img", "create", "-q", "-f", "qcow2", file, bytes, NULL};
        hr = process_run(argv, START_MS, NULL, err);
    }
    free(bytes);
    free(file);
    return FAILED(hr) ? error_set(err, hr, "no memory to export a LUN") : S_OK;
}

/* The texts of the daemon's command line. */
struct daemon_texts {
    char *pid;
    char *secret;
    char *lun;
    char *scratch;
    char *show;
};

static void free_texts(struct daemon_texts *t)
{
    free(t->pid);
    free(t->secret);
    free(t->lun);
    free(t->scratch);
    free(t->show);
}

static HRESULT run_daemon(const struct daemon_texts *t, bool has_secret, bool has_scratch,
                          struct error *err)
{
    const char *argv[16] = {EXPORT_DAEMON, "--daemonize", "--pidfile", t->pid};
    size_t count = 4;
    if (has_secret) {
        argv[count++] = "--object";
        argv[count++] = t->secret;
    }
    argv[count++] = "--blockdev";
    argv[count++] = t->lun;
    if (has_scratch) {
        argv[count++] = "--blockdev";
        argv[count++] = t->scratch;
    }
    argv[count++] = "--export";
    argv[count++] = t->show;
    return process_run(argv, START_MS, NULL, err);
}

static HRESULT start_daemon(const char *directory, const struct lun *lun,
                            const struct export_options *options, const char *initiator,
                            const char *user, bool has_secret, struct error *err)
{
    bool has_scratch = options->mode == EXPORT_SCRATCH;
    char *disk = export_file(directory);
    char *file = text_printf("%s/scratch", directory);
    struct daemon_texts t = {
        .pid = text_printf("%s/pid", directory),
        .secret = text_printf("secret,id=chap,file=%s/secret", directory),
        .lun = take_json(lun_node(lun, options, initiator, user, has_secret)),
        .scratch = take_json(json_pack("{s:s, s:s, s:{s:s, s:s}, s:s}", "driver", "qcow2",
                                       "node-name", "scratch", "file", "driver", "file", "filename",
                                       file ? file : "", "backing", "lun")),
        .show =
            take_json(json_pack("{s:s, s:s, s:s, s:s, s:b, s:s}", "type", "fuse", "id", "export",
                                "node-name", has_scratch ? "scratch" : "lun", "mountpoint",
                                disk ? disk : "", "writable", 1, "allow-other", "off")),
    };
    HRESULT hr = disk && file && t.pid && t.secret && t.lun && t.scratch && t.show
                     ? S_OK
                     : error_set(err, E_OUTOFMEMORY, "no memory to export a LUN");
    if (SUCCEEDED(hr)) {
        hr = run_daemon(&t, has_secret, has_scratch, err);
    }
    free_texts(&t);
    free(file);
    free(disk);
    return hr;
}

/* The daemon starts without an error where the LUN has another size than expected. */
static HRESULT check_size(const char *directory, const struct lun *lun, struct error *err)
{
    char *disk = export_file(directory);
    struct stat st;
    uint64_t bytes = lun->block.block_count * lun->block.block_bytes;
    HRESULT hr = disk ? S_OK : error_set(err, E_OUTOFMEMORY, "no memory to export a LUN");
    if (SUCCEEDED(hr) && (stat(disk, &st) != 0 || (uint64_t)st.st_size != bytes)) {
        hr = error_set(err, VSS_E_UNEXPECTED, "%s is not the %llu bytes of %s", disk,
                       (unsigned long long)bytes, lun->url);
    }
    free(disk);
    return hr;
}

static HRESULT write_record(const char *directory, const struct lun *lun, struct error *err)
{
    char key[LUN_KEY_BYTES];
    char *text = take_json(
        json_pack("{s:s, s:s}", "url", lun->url, "key", lun_info_key(&lun->identity.info, key)));
    HRESULT hr = text ? write_file(directory, "lun", text, err)
                      : error_set(err, E_OUTOFMEMORY, "no memory to export a LUN");
    free(text);
    return hr;
}

/* It goes to the background by itself, and ends with the daemon. */
static HRESULT start_keeper(const char *directory, const struct export_options *options,
                            struct error *err)
{
    char seconds[16];
    uint32_t limit = options->lost_after_s ? options->lost_after_s : LOST_AFTER_S;
    (void)snprintf(seconds, sizeof(seconds), "%u", limit);
    const char *const argv[] = {options->keeper, directory, seconds, NULL};
    return process_run(argv, START_MS, NULL, err);
}

static HRESULT start_in(const char *directory, const struct lun *lun,
                        const struct export_options *options, struct error *err)
{
    char user[256];
    char secret[256];
    char *initiator = NULL;
    HRESULT hr = lun_initiator_name(options->lun, &initiator, err);
    if (SUCCEEDED(hr)) {
        hr = lun_credentials(&lun->address, options->lun, user, secret, err);
    }
    if (FAILED(hr)) {
        free(initiator);
        return hr;
    }
    bool has_secret = secret[0] != '\0';
    hr = write_record(directory, lun, err);
    if (SUCCEEDED(hr)) {
        hr = write_file(directory, "disk", "", err);
    }
    if (SUCCEEDED(hr) && has_secret) {
        hr = write_file(directory, "secret", secret, err);
    }
    if (SUCCEEDED(hr) && options->mode == EXPORT_SCRATCH) {
        hr = make_scratch(directory, lun, err);
    }
    if (SUCCEEDED(hr)) {
        hr = start_daemon(directory, lun, options, initiator, user, has_secret, err);
    }
    if (FAILED(hr)) {
        error_prefix(err,
                     "cannot show %s as a file (Debian packages qemu-system-common, qemu-utils "
                     "and qemu-block-extra)",
                     lun->url);
    }
    (void)remove_file(directory, "secret", NULL);
    explicit_bzero(secret, sizeof(secret));
    free(initiator);
    if (SUCCEEDED(hr)) {
        hr = check_size(directory, lun, err);
    }
    return SUCCEEDED(hr) && options->keeper ? start_keeper(directory, options, err) : hr;
}

static HRESULT check_identity(const struct lun *lun, const struct vss_lun_info *info,
                              struct error *err)
{
    char wanted[LUN_KEY_BYTES];
    char found[LUN_KEY_BYTES];
    if (lun_info_compare(info, &lun->identity.info) == LUN_SAME) {
        return S_OK;
    }
    return error_set(err, VSS_E_OBJECT_NOT_FOUND, "%s is %s, not %s", lun->url,
                     lun_info_key(&lun->identity.info, found), lun_info_key(info, wanted));
}

/* The daemon has logged in by a number, behind which may have been another LUN by then. */
static HRESULT check_shown(const char *url, const struct vss_lun_info *info,
                           const struct export_options *options, struct error *err)
{
    struct lun *lun = NULL;
    HRESULT hr = lun_open(url, options->lun, true, &lun, err);
    if (SUCCEEDED(hr)) {
        hr = check_identity(lun, info, err);
    }
    lun_close(lun);
    return hr;
}

HRESULT export_start(const char *directory, const char *url, const struct vss_lun_info *info,
                     const struct export_options *options, struct error *err)
{
    struct lun *lun = NULL;
    if (geteuid() != 0) {
        return error_set(err, E_ACCESSDENIED, "only root can show a LUN as a file of this host");
    }
    HRESULT hr = lun_open(url, options->lun, true, &lun, err);
    if (SUCCEEDED(hr)) {
        hr = check_identity(lun, info, err);
    }
    if (SUCCEEDED(hr)) {
        hr = check_parent(directory, err);
    }
    if (SUCCEEDED(hr) && mkdir(directory, 0700) != 0) {
        hr = error_set(err, VSS_E_UNEXPECTED, "cannot make %s: %s", directory, strerror(errno));
    } else if (SUCCEEDED(hr)) {
        hr = start_in(directory, lun, options, err);
        if (SUCCEEDED(hr)) {
            hr = check_shown(url, info, options, err);
        }
        if (FAILED(hr)) {
            (void)export_stop(directory, NULL);
        }
    }
    lun_close(lun);
    return hr;
}

/* ---- stopping -------------------------------------------------------------------------------- */

static bool has_ended(int pidfd, int timeout_ms)
{
    uint64_t deadline = clock_monotonic_us() + (uint64_t)timeout_ms * 1000;
    for (;;) {
        struct pollfd p = {.fd = pidfd, .events = POLLIN};
        uint64_t now = clock_monotonic_us();
        int left = now < deadline ? (int)((deadline - now) / 1000) + 1 : 0;
        int rc = poll(&p, 1, left);
        if (rc >= 0 || errno != EINTR) {
            return rc > 0;
        }
    }
}

static HRESULT end_daemon(const char *directory, struct error *err)
{
    int pidfd = -1;
    HRESULT hr = export_daemon_open(directory, &pidfd, err);
    if (hr != S_OK) {
        return hr;
    }
    (void)pidfd_send_signal(pidfd, SIGTERM, NULL, 0);
    bool is_over = has_ended(pidfd, END_MS);
    if (!is_over) {
        (void)pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
        is_over = has_ended(pidfd, END_MS);
    }
    (void)close(pidfd);
    return is_over ? S_OK
                   : error_set(err, VSS_E_UNEXPECTED, "the " EXPORT_DAEMON " of %s does not end",
                               directory);
}

/* A daemon that ended in good order unmounted by itself, whoever had the file open; what a killed
 * one left is a mount without a server. Nobody can read there any more, so who still has it open
 * only has to find that out. */
static HRESULT drop_mount(const char *directory, struct error *err)
{
    char *disk = export_file(directory);
    if (!disk) {
        return error_set(err, E_OUTOFMEMORY, "no memory to end an export");
    }
    int rc = umount2(disk, UMOUNT_NOFOLLOW);
    for (int i = 0; rc != 0 && errno == EBUSY && i < UNMOUNT_TRIES; i++) {
        clock_sleep_ms(20); /* a loop device lets go a moment after its last user */
        rc = umount2(disk, UMOUNT_NOFOLLOW);
    }
    if (rc != 0 && errno == EBUSY) {
        rc = umount2(disk, UMOUNT_NOFOLLOW | MNT_DETACH);
    }
    HRESULT hr = S_OK;
    if (rc != 0 && errno != EINVAL && errno != ENOENT && errno != EPERM) {
        hr = error_set(err, VSS_E_UNEXPECTED, "%s cannot be unmounted: %s", disk, strerror(errno));
    }
    free(disk);
    return hr;
}

HRESULT export_stop(const char *directory, struct error *err)
{
    static const char *const files[] = {"secret", "scratch", "disk", "lun", "pid"};
    struct stat st;
    if (lstat(directory, &st) != 0 && (errno == ENOENT || errno == ENOTDIR)) {
        return S_OK;
    }
    HRESULT hr = check_trusted(directory, err);
    if (SUCCEEDED(hr)) {
        hr = end_daemon(directory, err);
    }
    if (SUCCEEDED(hr)) {
        hr = drop_mount(directory, err);
    }
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]) && SUCCEEDED(hr); i++) {
        hr = remove_file(directory, files[i], err);
    }
    if (SUCCEEDED(hr) && rmdir(directory) != 0) {
        hr = error_set_errno(err, errno, "cannot remove %s", directory);
    }
    return FAILED(hr) ? hr : S_OK;
}

/* ---- identifying ----------------------------------------------------------------------------- */

static HRESULT read_record(const char *directory, char **out_url, char out_key[LUN_KEY_BYTES],
                           struct error *err)
{
    const char *url = NULL;
    const char *key = NULL;
    json_error_t why;
    char *path = text_printf("%s/lun", directory);
    if (!path) {
        return error_set(err, E_OUTOFMEMORY, "no memory for a LUN's address");
    }
    if (access(path, F_OK) != 0 && errno == ENOENT) {
        free(path);
        return S_FALSE;
    }
    json_t *json = json_load_file(path, 0, &why);
    HRESULT hr = S_OK;
    if (!json && json_error_code(&why) == json_error_out_of_memory) {
        hr = error_set(err, E_OUTOFMEMORY, "no memory to read %s", path);
    } else if (!json || json_unpack(json, "{s:s, s:s}", "url", &url, "key", &key) != 0 ||
               strlen(key) >= LUN_KEY_BYTES) {
        hr = error_set(err, VSS_E_UNEXPECTED, "%s does not say which LUN is exported there", path);
    } else {
        (void)snprintf(out_key, LUN_KEY_BYTES, "%s", key);
        *out_url = text_copy(url);
        hr = *out_url ? S_OK : error_set(err, E_OUTOFMEMORY, "no memory for a LUN's address");
    }
    json_decref(json);
    free(path);
    return hr;
}

HRESULT export_identify(const char *path, char **out_url, char out_key[LUN_KEY_BYTES],
                        struct error *err)
{
    *out_url = NULL;
    out_key[0] = '\0';
    const char *slash = strrchr(path, '/');
    if (!slash || strcmp(slash, "/disk") != 0) {
        return S_FALSE;
    }
    char *directory = strndup(path, (size_t)(slash - path));
    if (!directory) {
        return error_set(err, E_OUTOFMEMORY, "no memory for a LUN's address");
    }
    struct error why = {0};
    HRESULT hr = check_trusted(directory, &why);
    if (SUCCEEDED(hr)) {
        hr = read_record(directory, out_url, out_key, err);
    } else if (hr == E_ACCESSDENIED || hr == VSS_E_OBJECT_NOT_FOUND || hr == E_INVALIDARG) {
        hr = S_FALSE; /* not root's, not there, or no place for an export */
    } else {
        hr = error_set(err, hr, "%s", error_text(&why));
    }
    free(directory);
    return hr;
}
