/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PAUSE_MS 10

/* /proc may hide a process of another user (hidepid), kill(2) does not. */
static bool has_process(pid_t pid)
{
    return kill(pid, 0) == 0 || errno != ESRCH;
}

/* "pid (comm) S ...": the name and the state letter. */
static bool parse_stat(char *text, char name[32], char *out_state)
{
    char *open_bracket = strchr(text, '(');
    char *close_bracket = strrchr(text, ')');
    if (!open_bracket || !close_bracket || close_bracket < open_bracket ||
        close_bracket[1] != ' ' || close_bracket[2] == '\0') {
        return false;
    }
    *close_bracket = '\0';
    (void)snprintf(name, 32, "%s", open_bracket + 1);
    *out_state = close_bracket[2];
    return true;
}

/* What /proc/PID/stat says. S_FALSE: the process has ended. One that cannot be looked at has not:
 * it may serve the files of copies. */
static HRESULT read_stat(const struct tgt *t, pid_t pid, char name[32], char *out_state)
{
    char path[64];
    char text[256];
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
    int errnum = length < 0 ? errno : EIO;
    if (fd >= 0) {
        (void)close(fd);
    }
    text[length > 0 ? length : 0] = '\0';
    if (length > 0 && parse_stat(text, name, out_state)) {
        return S_OK;
    }
    if ((errnum == ENOENT || errnum == ESRCH) && !has_process(pid)) {
        return S_FALSE;
    }
    return tgt_fail_errno(t, errnum, "process %d, which holds %s, cannot be looked at", (int)pid,
                          t->lock_path);
}

HRESULT tgt_daemon_look(const struct tgt *t, pid_t *out_pid)
{
    *out_pid = 0;
    int fd = open(t->lock_path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        return S_FALSE;
    }
    if (fd < 0) {
        return tgt_fail_errno(t, errno, "tgtd's lock file %s cannot be opened", t->lock_path);
    }
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
    int rc = fcntl(fd, F_GETLK, &lock);
    int errnum = errno;
    (void)close(fd);
    if (rc != 0) {
        return tgt_fail_errno(t, errnum, "the holder of %s cannot be read", t->lock_path);
    }
    if (lock.l_type == F_UNLCK) {
        return S_FALSE;
    }
    if (lock.l_pid <= 0) {
        return tgt_fail(
            t, VSS_E_PROVIDER_VETO,
            "tgtd (lock %s) runs outside of this container; run lunshadow where it runs",
            t->lock_path);
    }
    char name[32] = "";
    char state = '?';
    HRESULT hr = read_stat(t, lock.l_pid, name, &state);
    if (hr != S_OK) { /* S_FALSE: ended just now */
        return hr;
    }
    if (strcmp(name, "tgtd") != 0) {
        return tgt_fail(
            t, VSS_E_PROVIDER_VETO,
            "%s is locked by process %d, which is \"%s\" and not tgtd; check socket and "
            "control_port of [array %s]",
            t->lock_path, (int)lock.l_pid, name, t->call->array);
    }
    *out_pid = lock.l_pid;
    return S_OK;
}

/* S_FALSE: it is stopped. */
static HRESULT look_if_running(const struct tgt *t, pid_t *out_pid)
{
    char name[32] = "";
    char state = '?';
    HRESULT hr = tgt_daemon_look(t, out_pid);
    if (hr == S_OK) {
        hr = read_stat(t, *out_pid, name, &state);
    }
    if (FAILED(hr)) {
        return hr;
    }
    if (hr == S_FALSE) {
        return tgt_fail(t, VSS_E_PROVIDER_VETO,
                        "no tgtd runs for [array %s] (nobody holds %s); start it, then try again",
                        t->call->array, t->lock_path);
    }
    return state == 'T' || state == 't' ? S_FALSE : S_OK;
}

HRESULT tgt_daemon_find(const struct tgt *t, pid_t *out_pid)
{
    const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};
    uint64_t deadline_us = tgt_now_us() + TGT_PATIENCE_MS * 1000ull;
    HRESULT hr = look_if_running(t, out_pid);
    while (hr == S_FALSE && tgt_now_us() < deadline_us) {
        (void)nanosleep(&pause, NULL);
        hr = look_if_running(t, out_pid);
    }
    if (hr == S_FALSE) {
        return tgt_fail(t, VSS_E_PROVIDER_VETO,
                        "tgtd (process %d) is stopped, for longer than any cut takes; continue it "
                        "with kill -CONT %d, then try again",
                        (int)*out_pid, (int)*out_pid);
    }
    return hr;
}

HRESULT tgt_daemon_check_file(const struct tgt *t, pid_t pid, const struct stat *file,
                              const char *name)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    DIR *dir = opendir(path);
    if (!dir) {
        return tgt_fail_errno(t, errno, "the open files of tgtd (process %d) cannot be listed",
                              (int)pid);
    }
    bool has_it = false;
    for (struct dirent *entry = readdir(dir); entry && !has_it; entry = readdir(dir)) {
        struct stat st;
        has_it = fstatat(dirfd(dir), entry->d_name, &st, 0) == 0 && st.st_dev == file->st_dev &&
                 st.st_ino == file->st_ino;
    }
    (void)closedir(dir);
    if (!has_it) {
        return tgt_fail(
            t, VSS_E_PROVIDER_VETO,
            "%s is not the file that tgtd (process %d) has open under this name: it was "
            "replaced since; add the LUN to tgtd again",
            name, (int)pid);
    }
    return S_OK;
}
