/* SPDX-License-Identifier: Apache-2.0 */
#include "lun/host/export_daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

/* *out 0: no daemon has been started. Nothing is allocated here: whoever ends an export must be
 * able to when memory is short. */
static HRESULT read_pid(const char *pid_file, int *out, struct error *err)
{
    char text[32] = "";
    int fd = open(pid_file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
    int reason = errno;
    if (fd >= 0) {
        (void)close(fd);
    }
    *out = 0;
    if (got < 0) {
        return reason == ENOENT ? S_OK
                                : error_set_errno(err, reason, "cannot read %.200s", pid_file);
    }
    char *end = text;
    long pid = strtol(text, &end, 10);
    *out = pid > 1 && pid <= INT_MAX && (*end == '\n' || *end == '\0') ? (int)pid : 0;
    return S_OK;
}

/* A pid is reused, and a file can be old: the daemon of this directory has its pid file on its
 * command line. S_FALSE: it is another process, or has ended. */
static HRESULT check_daemon(int pid, const char *pid_file, struct error *err)
{
    char path[64];
    char line[16384];
    (void)snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, line, sizeof(line)) : -1;
    int reason = errno;
    if (fd >= 0) {
        (void)close(fd);
    }
    if (got < 0) {
        return reason == ENOENT || reason == ESRCH
                   ? S_FALSE
                   : error_set_errno(err, reason, "cannot look at process %d", pid);
    }
    size_t first = strnlen(line, (size_t)got);
    size_t name = strlen(EXPORT_DAEMON);
    bool is_it = first >= name && memcmp(line + first - name, EXPORT_DAEMON, name) == 0 &&
                 memmem(line, (size_t)got, pid_file, strlen(pid_file) + 1) != NULL;
    return is_it ? S_OK : S_FALSE;
}

/* Looked at once more after the pidfd is ours: from then on it names one process. */
HRESULT export_daemon_open(const char *directory, int *out_pidfd, struct error *err)
{
    char pid_file[PATH_MAX];
    int pid = 0;
    *out_pidfd = -1;
    if (snprintf(pid_file, sizeof(pid_file), "%s/pid", directory) >= (int)sizeof(pid_file)) {
        return error_set(err, E_INVALIDARG, "%.200s is too long for an export's directory",
                         directory);
    }
    HRESULT hr = read_pid(pid_file, &pid, err);
    if (FAILED(hr) || pid == 0) {
        return FAILED(hr) ? hr : S_FALSE;
    }
    int pidfd = pidfd_open(pid, 0);
    if (pidfd < 0) {
        return errno == ESRCH ? S_FALSE
                              : error_set_errno(err, errno, "cannot watch process %d", pid);
    }
    hr = check_daemon(pid, pid_file, err);
    if (hr != S_OK) {
        (void)close(pidfd);
        return hr;
    }
    *out_pidfd = pidfd;
    return S_OK;
}
