/* SPDX-License-Identifier: Apache-2.0 */
#include "provider/guard.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/process.h"
#include "provider/guard_wire.h"
#include "provider/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_DEADLINE_MS = 10000, READY_MS = 5000, ANSWER_MS = 1000, REPORT_MS = 2000 };

struct held_target {
    enum guard_kind kind;
    char *name; /* for messages: "process 17", "filesystem at /srv" */
    pid_t pid;
    dev_t device;
    int fd;      /* pidfd or directory */
    int stat_fd; /* /proc/PID/task/PID/stat, or -1 */
    bool taken;  /* the helper began to hold it: to be released from here should the helper die */
};

struct guard {
    struct held_target targets[GUARD_MOST_TARGETS];
    size_t count;
    uint32_t deadline_ms;
    struct process helper;
    int socket;
    uint64_t held_at_us; /* 0: not held */
};

const char *guard_program(void)
{
    return helper_program("lunshadow-guard");
}

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
    }
    *fd = -1;
}

static void free_guard(struct guard *guard)
{
    if (!guard) {
        return;
    }
    for (size_t i = 0; i < guard->count; i++) {
        close_fd(&guard->targets[i].fd);
        close_fd(&guard->targets[i].stat_fd);
        free(guard->targets[i].name);
    }
    close_fd(&guard->socket);
    close_fd(&guard->helper.pidfd);
    free(guard);
}

/* The stat file is opened while the pidfd proves that the pid is still that process; from then on
 * it belongs to that process, whoever gets its pid later. */
static HRESULT open_process(struct held_target *t, pid_t pid, struct error *err)
{
    char path[64];
    if (pid <= 1 || pid == getpid()) {
        return error_set(err, E_INVALIDARG, "process %ld cannot be held by this one", (long)pid);
    }
    t->fd = pidfd_open(pid, 0);
    if (t->fd < 0) {
        return errno == ESRCH ? error_set(err, VSS_E_UNEXPECTED, "process %ld is gone", (long)pid)
                              : error_set_errno(err, errno, "cannot watch process %ld", (long)pid);
    }
    (void)snprintf(path, sizeof(path), "/proc/%ld/task/%ld/stat", (long)pid, (long)pid);
    t->stat_fd = open(path, O_RDONLY | O_CLOEXEC);
    int failed = t->stat_fd < 0 && errno != ENOENT ? errno : 0;
    if (failed) {
        return error_set_errno(err, failed, "cannot read the state of process %ld", (long)pid);
    }
    if (pidfd_send_signal(t->fd, 0, NULL, 0) != 0) {
        return errno == ESRCH ? error_set(err, VSS_E_UNEXPECTED, "process %ld is gone", (long)pid)
                              : error_set_errno(err, errno,
                                                "may not stop process %ld; act as its user or root",
                                                (long)pid);
    }
    return t->stat_fd >= 0 ? S_OK
                           : error_set(err, VSS_E_UNEXPECTED, "process %ld is gone", (long)pid);
}

static HRESULT open_filesystem(struct held_target *t, const char *path, struct error *err)
{
    struct stat st;
    t->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (t->fd < 0 || fstat(t->fd, &st) != 0) {
        return error_set_errno(err, errno, "cannot open the directory %s to freeze its filesystem",
                               path);
    }
    t->device = st.st_dev;
    return S_OK;
}

static bool is_listed(const struct guard *guard, const struct held_target *t)
{
    for (size_t i = 0; i < guard->count; i++) {
        const struct held_target *o = &guard->targets[i];
        if (o->kind == t->kind && o->pid == t->pid && o->device == t->device) {
            return true;
        }
    }
    return false;
}

static HRESULT add_target(struct guard *guard, const struct guard_target *target, struct error *err)
{
    struct held_target t = {.kind = target->kind, .fd = -1, .stat_fd = -1};
    HRESULT hr;
    if (target->kind == GUARD_PROCESS) {
        t.pid = target->pid;
        t.name = text_printf("process %ld", (long)target->pid);
        hr = open_process(&t, target->pid, err);
    } else {
        t.name = text_printf("the filesystem at %s", target->path);
        hr = open_filesystem(&t, target->path, err);
    }
    if (!t.name) {
        hr = error_set(err, E_OUTOFMEMORY, "out of memory starting a guard");
    }
    if (FAILED(hr) || is_listed(guard, &t)) {
        close_fd(&t.fd);
        close_fd(&t.stat_fd);
        free(t.name);
        return hr;
    }
    guard->targets[guard->count++] = t;
    return S_OK;
}

/* The helper's command line: socket, deadline, then "p:PIDFD:STATFD" or "f:FD" for each target. */
static HRESULT spawn_helper(struct guard *guard, int far_end, struct error *err)
{
    enum { TEXT_BYTES = 40 };
    char text[GUARD_MOST_TARGETS + 2][TEXT_BYTES];
    const char *argv[GUARD_MOST_TARGETS + 4] = {guard_program(), text[0], text[1]};
    int keep[2 * GUARD_MOST_TARGETS + 1] = {far_end};
    struct process_options options = PROCESS_OPTIONS_INIT;
    options.keep_count = 1;
    (void)snprintf(text[0], TEXT_BYTES, "%d", far_end);
    (void)snprintf(text[1], TEXT_BYTES, "%u", guard->deadline_ms);
    for (size_t i = 0; i < guard->count; i++) {
        const struct held_target *t = &guard->targets[i];
        keep[options.keep_count++] = t->fd;
        if (t->kind == GUARD_PROCESS) {
            keep[options.keep_count++] = t->stat_fd;
            (void)snprintf(text[i + 2], TEXT_BYTES, "p:%d:%d", t->fd, t->stat_fd);
        } else {
            (void)snprintf(text[i + 2], TEXT_BYTES, "f:%d", t->fd);
        }
        argv[i + 3] = text[i + 2];
    }
    options.keep_fds = keep;
    options.new_session = true;
    return process_start(argv, &options, &guard->helper, err);
}

/* S_OK: a message; S_FALSE: the time is over; VSS_E_UNEXPECTED: the helper is dead. */
static HRESULT receive(struct guard *guard, uint64_t until_us, struct guard_message *out)
{
    for (;;) {
        struct pollfd p = {.fd = guard->socket, .events = POLLIN};
        uint64_t now = clock_monotonic_us();
        int rc = poll(&p, 1, now < until_us ? (int)((until_us - now + 999) / 1000) : 0);
        if (rc == 0) {
            return S_FALSE;
        }
        ssize_t n = rc > 0 ? recv(guard->socket, out, sizeof(*out), MSG_DONTWAIT) : -1;
        if (n == (ssize_t)sizeof(*out)) {
            return S_OK;
        }
        if (n >= 0 || (errno != EINTR && errno != EAGAIN)) {
            return VSS_E_UNEXPECTED;
        }
    }
}

static HRESULT wait_until_ready(struct guard *guard, struct error *err)
{
    struct guard_message message = {0};
    HRESULT hr = receive(guard, clock_monotonic_us() + (uint64_t)READY_MS * 1000, &message);
    if (hr != S_OK || message.kind != GUARD_READY) {
        return error_set(err, VSS_E_UNEXPECTED, "the guard %s did not start; is it installed?",
                         guard_program());
    }
    if (message.errnum != 0) {
        char reason[128];
        log_line(LOG_INFO,
                 "the guard could not lock its memory (%s): it may be late when memory is "
                 "short",
                 strerror_r(message.errnum, reason, sizeof(reason)));
    }
    return S_OK;
}

static HRESULT start_helper(struct guard *guard, struct error *err)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        return error_set_errno(err, errno, "cannot make a socket for the guard");
    }
    guard->socket = ends[0];
    HRESULT hr = spawn_helper(guard, ends[1], err);
    (void)close(ends[1]);
    return SUCCEEDED(hr) ? wait_until_ready(guard, err) : hr;
}

HRESULT guard_start(const struct guard_target *targets, size_t count, uint32_t deadline_ms,
                    struct guard **out, struct error *err)
{
    *out = NULL;
    if (count < 1 || count > GUARD_MOST_TARGETS || deadline_ms < 1 ||
        deadline_ms > MOST_DEADLINE_MS) {
        return error_set(err, E_INVALIDARG, "a guard takes 1..%d targets and 1..%d ms",
                         GUARD_MOST_TARGETS, MOST_DEADLINE_MS);
    }
    struct guard *guard = calloc(1, sizeof(*guard));
    if (!guard) {
        return error_set(err, E_OUTOFMEMORY, "out of memory starting a guard");
    }
    guard->socket = -1;
    guard->deadline_ms = deadline_ms;
    guard->helper = (struct process)PROCESS_INIT;
    HRESULT hr = S_OK;
    for (size_t i = 0; i < count && SUCCEEDED(hr); i++) {
        hr = add_target(guard, &targets[i], err);
    }
    if (SUCCEEDED(hr)) {
        hr = start_helper(guard, err);
    }
    if (FAILED(hr)) {
        process_kill(&guard->helper);
        free_guard(guard);
        return hr;
    }
    *out = guard;
    return S_OK;
}

static bool say(const struct guard *guard, char word)
{
    return send(guard->socket, &word, 1, MSG_NOSIGNAL) == 1;
}

static HRESULT explain_failure(const struct guard *guard, const struct guard_message *m,
                               struct error *err)
{
    const char *name = m->index < guard->count ? guard->targets[m->index].name : "a target";
    switch (m->reason) {
    case GUARD_REASON_GONE:
        return error_set(err, VSS_E_UNEXPECTED, "%s is gone", name);
    case GUARD_REASON_ALREADY_STOPPED:
        return error_set(err, VSS_E_UNEXPECTED,
                         "%s is already stopped by someone else; let it run first", name);
    case GUARD_REASON_TIMEOUT:
        return error_set(err, VSS_E_HOLD_WRITES_TIMEOUT,
                         "the targets did not stop within %u ms; all run again",
                         guard->deadline_ms);
    default:
        return error_set_errno(err, m->errnum, "cannot hold %s", name);
    }
}

/* Takes messages until one of kind a or b; remembers on the way what was taken. As receive(). */
static HRESULT receive_kind(struct guard *guard, uint32_t a, uint32_t b, uint64_t until_us,
                            struct guard_message *out)
{
    for (;;) {
        HRESULT hr = receive(guard, until_us, out);
        if (hr != S_OK || out->kind == a || out->kind == b) {
            return hr;
        }
        if (out->kind == GUARD_TOOK && out->index < guard->count) {
            guard->targets[out->index].taken = true;
        }
    }
}

HRESULT guard_hold(struct guard *guard, struct error *err)
{
    struct guard_message message = {0};
    uint64_t until = clock_monotonic_us() + (uint64_t)(guard->deadline_ms + ANSWER_MS) * 1000;
    if (!say(guard, GUARD_WORD_HOLD)) {
        return error_set(err, VSS_E_UNEXPECTED, "the guard died before the hold");
    }
    HRESULT hr = receive_kind(guard, GUARD_HELD, GUARD_FAILED, until, &message);
    if (hr == S_FALSE) {
        return error_set(err, VSS_E_HOLD_WRITES_TIMEOUT, "the guard does not answer");
    }
    if (FAILED(hr)) {
        return error_set(err, hr, "the guard died while it held the targets");
    }
    if (message.kind == GUARD_FAILED) {
        for (size_t i = 0; i < guard->count; i++) {
            guard->targets[i].taken = false; /* the guard has undone, or is undoing, all of it */
        }
        return explain_failure(guard, &message, err);
    }
    guard->held_at_us = message.held_at_us;
    return S_OK;
}

/* What the helper would have done. True where there was anything. */
static bool release_taken(const struct guard *guard)
{
    bool any = false;
    for (size_t i = guard->count; i-- > 0;) {
        const struct held_target *t = &guard->targets[i];
        if (!t->taken) {
            continue;
        }
        any = true;
        if (t->kind == GUARD_PROCESS) {
            (void)pidfd_send_signal(t->fd, SIGCONT, NULL, 0);
        } else {
            (void)ioctl(t->fd, FITHAW, 0);
        }
    }
    return any;
}

/* The helper is dead or silent. It is ended, and what it took is released from here: at once, and
 * again when it has ended, as a freeze that it was still in succeeds only then. */
static HRESULT release_from_here(struct guard *guard, struct guard_report *report,
                                 struct error *err)
{
    int status;
    struct guard_message message;
    /* What it said before it died. */
    (void)receive_kind(guard, GUARD_HELD, GUARD_HELD, 0, &message);
    (void)process_signal(&guard->helper, SIGKILL);
    report->held_at_us = guard->held_at_us;
    report->released_at_us = guard->held_at_us ? clock_monotonic_us() : 0;
    bool was_taken = release_taken(guard);
    if (process_wait(&guard->helper, REPORT_MS, &status) == S_FALSE) {
        log_line(LOG_ERROR, "the guard (pid %ld) does not end", (long)guard->helper.pid);
    }
    (void)release_taken(guard);
    return was_taken ? error_set(err, VSS_E_UNEXPECTED,
                                 "the guard died or fell silent during the hold; all targets were "
                                 "released")
                     : S_OK;
}

static HRESULT judge(const struct guard *guard, const struct guard_message *m, struct error *err)
{
    if (m->by_deadline) {
        return error_set(err, VSS_E_HOLD_WRITES_TIMEOUT,
                         "the hold lasted longer than %u ms and was ended by its deadline",
                         guard->deadline_ms);
    }
    if (m->has_broken) {
        return error_set(err, VSS_E_UNEXPECTED, "somebody else released %s during the hold",
                         m->index < guard->count ? guard->targets[m->index].name : "a target");
    }
    return S_OK;
}

HRESULT guard_release(struct guard *guard, struct guard_report *out, struct error *err)
{
    struct guard_report report = {0};
    struct guard_message message = {0};
    if (!guard) {
        return S_OK;
    }
    HRESULT hr = VSS_E_UNEXPECTED;
    if (say(guard, GUARD_WORD_RELEASE)) {
        hr = receive_kind(guard, GUARD_REPORT, GUARD_REPORT,
                          clock_monotonic_us() + (uint64_t)REPORT_MS * 1000, &message);
    }
    if (hr == S_OK) {
        int status;
        report.held_at_us = message.held_at_us;
        report.released_at_us = message.released_at_us;
        report.by_deadline = message.by_deadline != 0;
        hr = judge(guard, &message, err);
        /* It ends right away, unless a freeze is still flushing: then it stays to thaw it. */
        if (process_wait(&guard->helper, REPORT_MS, &status) == S_FALSE) {
            log_line(LOG_WARNING, "the guard (pid %ld) still waits for a freeze to end, to thaw it",
                     (long)guard->helper.pid);
        }
    } else {
        hr = release_from_here(guard, &report, err);
    }
    if (out) {
        *out = report;
    }
    free_guard(guard);
    return hr;
}
