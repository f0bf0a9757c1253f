/* SPDX-License-Identifier: Apache-2.0 */
#include "lun/host/export_daemon.h"

#include "common/buffer.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

static int read_pid(const char *directory)
{
    char text[32] = "";
    char *path = text_printf("%s/pid", directory);
    int fd = path ? open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC) : -1;
    ssize_t got = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    free(path);
    char *end = text;
    long pid = got > 0 ? strtol(text, &end, 10) : 0;
    return pid > 1 && pid <= INT_MAX && (*end == '\n' || *end == '\0') ? (int)pid : 0;
}

/* A pid is reused, and a file can be old: the daemon of this directory has its disk on its command
 * line. */
static bool is_daemon(int pid, const char *directory)
{
    char path[64];
    char line[16384];
    char *pidfile = text_printf("%s/pid", directory);
    (void)snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, line, sizeof(line)) : 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    bool is_it = false;
    if (pidfile && got > 0) {
        size_t first = strnlen(line, (size_t)got);
        size_t wanted = strlen(pidfile) + 1;
        is_it = first >= strlen(EXPORT_DAEMON) &&
                memcmp(line + first - strlen(EXPORT_DAEMON), EXPORT_DAEMON,
                       strlen(EXPORT_DAEMON)) == 0 &&
                memmem(line, (size_t)got, pidfile, wanted) != NULL;
    }
    free(pidfile);
    return is_it;
}

/* Looked at once more after the pidfd is ours: from then on it names one process. */
int export_daemon_open(const char *directory)
{
    int pid = read_pid(directory);
    int pidfd = pid > 0 ? pidfd_open(pid, 0) : -1;
    if (pidfd >= 0 && !is_daemon(pid, directory)) {
        (void)close(pidfd);
        pidfd = -1;
    }
    return pidfd;
}
