/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/owner.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A small file of /proc, as text without its last newline. False where it cannot be read. */
static bool read_small(const char *path, char *out, size_t bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    ssize_t got;
    do {
        got = read(fd, out, bytes - 1);
    } while (got < 0 && errno == EINTR);
    (void)close(fd);
    if (got <= 0) {
        return false;
    }
    out[got] = '\0';
    out[strcspn(out, "\n")] = '\0';
    return true;
}

struct stat_fields {
    char state; /* the main thread's */
    int64_t threads;
    uint64_t start;
};

/* Its name comes before them and may hold blanks and parentheses. */
static bool read_stat(int64_t pid, struct stat_fields *out)
{
    char path[64];
    char text[1024];
    (void)snprintf(path, sizeof(path), "/proc/%" PRId64 "/stat", pid);
    if (pid <= 0 || !read_small(path, text, sizeof(text))) {
        return false;
    }
    const char *rest = strrchr(text, ')');
    return rest && sscanf(rest + 1,
                          " %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
                          "%" SCNd64 " %*s %" SCNu64,
                          &out->state, &out->threads, &out->start) == 3;
}

static void read_boot_id(char out[ID_TEXT_BYTES])
{
    if (!read_small("/proc/sys/kernel/random/boot_id", out, ID_TEXT_BYTES)) {
        out[0] = '\0';
    }
}

HRESULT owner_self(struct owner *out, struct error *err)
{
    struct stat_fields stat;
    *out = (struct owner){0};
    out->pid = getpid();
    read_boot_id(out->boot_id);
    if (!read_stat(out->pid, &stat)) {
        return error_set(err, VSS_E_UNEXPECTED,
                         "/proc/%" PRId64 "/stat cannot be read: mount /proc", out->pid);
    }
    out->pid_start = stat.start;
    return S_OK;
}

/* /proc may hide a process of another user (hidepid), kill(2) does not: that may only refuse. */
static bool has_process(int64_t pid)
{
    return pid > 0 && pid <= INT_MAX && (kill((pid_t)pid, 0) == 0 || errno != ESRCH);
}

/* A process whose main thread alone has ended (pthread_exit) is a zombie by its state, and its
 * other threads work on. */
static bool has_ended(const struct stat_fields *stat)
{
    return stat->state == 'X' || (stat->state == 'Z' && stat->threads <= 1);
}

bool owner_lives(const struct owner *owner)
{
    char boot_id[ID_TEXT_BYTES];
    struct stat_fields stat;
    read_boot_id(boot_id);
    /* One that could not be read, now or then, is not another boot. */
    if (boot_id[0] && owner->boot_id[0] && strcmp(boot_id, owner->boot_id) != 0) {
        return false;
    }
    if (!read_stat(owner->pid, &stat)) {
        return has_process(owner->pid);
    }
    return stat.start == owner->pid_start && !has_ended(&stat);
}

char *owner_program(int64_t pid, char out[OWNER_PROGRAM_BYTES])
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%" PRId64 "/comm", pid);
    if (!read_small(path, out, OWNER_PROGRAM_BYTES)) {
        (void)snprintf(out, OWNER_PROGRAM_BYTES, "?");
    }
    /* A process names itself as it likes. */
    for (char *c = out; *c; c++) {
        if (!isprint((unsigned char)*c)) {
            *c = '?';
        }
    }
    return out;
}
