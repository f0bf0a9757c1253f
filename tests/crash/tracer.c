/* SPDX-License-Identifier: Apache-2.0 */
#include "crash/tracer.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRACEES_MAX 64
#define TIME_OUT_S  120
#define PDU_BYTES   48 /* an iSCSI basic header; the CDB lies at 32 */

enum kind { KIND_STARTING, KIND_COMMAND, KIND_HOST };

struct tracee {
    pid_t tid;
    pid_t pid; /* of its process */
    enum kind kind;
};

struct tracer {
    const struct trace_plan *plan;
    struct trace_result result;
    struct tracee all[TRACEES_MAX];
    size_t count;
    pid_t command;
    bool is_counting;
};

/* ---- what counts ----------------------------------------------------------------------------- */

/* Calls that count whatever they are applied to. */
static const struct {
    long number;
    const char *name;
} durable[] = {
    {SYS_fsync, "fsync"},
    {SYS_fdatasync, "fdatasync"},
    {SYS_ftruncate, "ftruncate"},
    {SYS_fallocate, "fallocate"},
    {SYS_renameat2, "rename"},
    {SYS_unlinkat, "unlink"},
    {SYS_pwrite64, "pwrite"},
    {SYS_pwritev, "pwritev"},
    {SYS_mkdirat, "mkdir"},
    {SYS_mount, "mount"},
    {SYS_move_mount, "mount"},
    {SYS_umount2, "unmount"},
    {SYS_pidfd_send_signal, "signal"},
#ifdef SYS_unlink
    {SYS_rmdir, "rmdir"},
    {SYS_unlink, "unlink"},
    {SYS_rename, "rename"},
    {SYS_mkdir, "mkdir"},
    {SYS_vfork, "start a program"},
#endif
};

static const char *name_of_durable(long number)
{
    for (size_t i = 0; i < sizeof(durable) / sizeof(durable[0]); i++) {
        if (durable[i].number == number) {
            return durable[i].name;
        }
    }
    return NULL;
}

static bool read_memory(pid_t tid, uint64_t address, void *data, size_t bytes)
{
    struct iovec here = {data, bytes};
    struct iovec there = {(void *)(uintptr_t)address, bytes}; // NOLINT(performance-no-int-to-ptr)
    return process_vm_readv(tid, &here, 1, &there, 1, 0) == (ssize_t)bytes;
}

/* The address family of another process's descriptor; -1 where it is no socket. */
static int family_of(pid_t pid, int fd)
{
    int family = -1;
    socklen_t length = sizeof(family);
    int pidfd = pidfd_open(pid, 0);
    int copy = pidfd >= 0 ? pidfd_getfd(pidfd, fd, 0) : -1;
    if (copy < 0 || getsockopt(copy, SOL_SOCKET, SO_DOMAIN, &family, &length) != 0) {
        family = -1;
    }
    if (copy >= 0) {
        (void)close(copy);
    }
    if (pidfd >= 0) {
        (void)close(pidfd);
    }
    return family;
}

/* The first buffer that a writing call sends; 0: none, or no such call. */
static uint64_t first_buffer(pid_t tid, const struct __ptrace_syscall_info *info)
{
    struct iovec vector = {0};
    struct msghdr message = {0};
    switch ((long)info->entry.nr) {
    case SYS_write:
    case SYS_sendto:
        return info->entry.args[1];
    case SYS_writev:
        return read_memory(tid, info->entry.args[1], &vector, sizeof(vector))
                   ? (uint64_t)(uintptr_t)vector.iov_base
                   : 0;
    case SYS_sendmsg:
        return read_memory(tid, info->entry.args[1], &message, sizeof(message)) &&
                       read_memory(tid, (uint64_t)(uintptr_t)message.msg_iov, &vector,
                                   sizeof(vector))
                   ? (uint64_t)(uintptr_t)vector.iov_base
                   : 0;
    default:
        return 0;
    }
}

/* A SCSI command that changes something on the target. */
static const char *name_of_scsi(pid_t tid, uint64_t buffer)
{
    uint8_t pdu[PDU_BYTES];
    if (!read_memory(tid, buffer, pdu, sizeof(pdu)) || (pdu[0] & 0x3f) != 0x01) {
        return NULL;
    }
    switch (pdu[32]) {
    case 0x2a:
    case 0x8a:
        return "SCSI WRITE";
    case 0x35:
    case 0x91:
        return "SCSI SYNCHRONIZE CACHE";
    case 0x42:
    case 0x41:
    case 0x93:
        return "SCSI UNMAP or WRITE SAME";
    case 0x5f:
        return "SCSI PERSISTENT RESERVE OUT";
    default:
        return NULL;
    }
}

static const char *name_of_message(const struct tracee *t, const struct __ptrace_syscall_info *info)
{
    uint64_t buffer = first_buffer(t->tid, info);
    int fd = (int)info->entry.args[0];
    if (!buffer || fd <= STDERR_FILENO) {
        return NULL;
    }
    switch (family_of(t->pid, fd)) {
    case AF_UNIX:
        return "message between command and host";
    case AF_INET:
    case AF_INET6:
        return name_of_scsi(t->tid, buffer);
    case -1:
        return "write";
    default:
        return NULL;
    }
}

/* NULL: this call is no point. */
static const char *name_of_point(const struct tracee *t, const struct __ptrace_syscall_info *info)
{
    long number = (long)info->entry.nr;
    uint64_t flags = 0;
    const char *name = name_of_durable(number);
    if (name) {
        return name;
    }
    if (number == SYS_ioctl) {
        uint64_t request = info->entry.args[1];
        return request == FICLONE || request == FICLONERANGE ? "clone"
               : request == FIFREEZE || request == FITHAW    ? "freeze or thaw"
               : request == LOOP_CONFIGURE                   ? "make a loop device"
                                                             : NULL;
    }
    if (number == SYS_clone) {
        flags = info->entry.args[0];
    } else if (number == SYS_clone3) {
        (void)read_memory(t->tid, info->entry.args[0], &flags, sizeof(flags));
    }
    if (flags) {
        return flags & CLONE_VFORK ? "start a program" : NULL;
    }
    return name_of_message(t, info);
}

/* ---- tracees --------------------------------------------------------------------------------- */

static struct tracee *find(struct tracer *t, pid_t tid)
{
    for (size_t i = 0; i < t->count; i++) {
        if (t->all[i].tid == tid) {
            return &t->all[i];
        }
    }
    return NULL;
}

static struct tracee *add(struct tracer *t, pid_t tid, pid_t pid, enum kind kind)
{
    struct tracee *known = find(t, tid);
    if (!known && t->count < TRACEES_MAX) {
        known = &t->all[t->count++];
    }
    if (known) {
        *known = (struct tracee){tid, pid, kind};
    }
    return known;
}

static void forget(struct tracer *t, pid_t tid)
{
    struct tracee *known = find(t, tid);
    if (known) {
        *known = t->all[--t->count];
    }
}

static void kill_victim(struct tracer *t, const struct tracee *at, const char *name)
{
    pid_t victim = t->plan->victim == VICTIM_TARGET    ? t->plan->target
                   : t->plan->victim == VICTIM_COMMAND ? t->command
                                                       : 0;
    for (size_t i = 0; !victim && i < t->count; i++) {
        victim = t->all[i].kind == KIND_HOST ? t->all[i].pid : 0;
    }
    t->is_counting = false;
    if (victim > 0 && kill(victim, SIGKILL) == 0) {
        t->result.is_killed = true;
        (void)snprintf(t->result.at, sizeof(t->result.at), "%s: %s",
                       at->kind == KIND_HOST ? "host" : "command", name);
    }
}

static void on_point(struct tracer *t, const struct tracee *at, const char *name)
{
    if (t->is_counting && ++t->result.points == t->plan->kill_at) {
        kill_victim(t, at, name);
    }
}

static void on_call(struct tracer *t, const struct tracee *at)
{
    struct __ptrace_syscall_info info = {0};
    long got = ptrace(PTRACE_GET_SYSCALL_INFO, at->tid, sizeof(info), &info);
    if (!t->is_counting || got <= 0 || info.op != PTRACE_SYSCALL_INFO_ENTRY ||
        at->kind == KIND_STARTING) {
        return;
    }
    const char *name = name_of_point(at, &info);
    if (name) {
        on_point(t, at, name);
    }
}

/* A program was started: the host is watched, all others go their way, and their beginning is a
 * point too: they go on when who started them is gone. True: it goes. */
static bool on_exec(struct tracer *t, struct tracee *at)
{
    char link[64];
    char path[512] = "";
    (void)snprintf(link, sizeof(link), "/proc/%d/exe", (int)at->pid);
    ssize_t length = readlink(link, path, sizeof(path) - 1);
    const char *slash = length > 0 ? strrchr(path, '/') : NULL;
    if (at->kind == KIND_STARTING && slash && strcmp(slash + 1, "lunshadow-provider-host") == 0) {
        at->kind = KIND_HOST;
    }
    if (at->kind == KIND_STARTING) {
        on_point(t, at, "a program begins");
    }
    return at->kind == KIND_STARTING;
}

static void on_child(struct tracer *t, const struct tracee *parent, int event)
{
    unsigned long tid = 0;
    if (ptrace(PTRACE_GETEVENTMSG, parent->tid, NULL, &tid) == 0 && tid) {
        bool is_thread = event == PTRACE_EVENT_CLONE;
        (void)add(t, (pid_t)tid, is_thread ? parent->pid : (pid_t)tid,
                  is_thread ? parent->kind : KIND_STARTING);
    }
}

/* Once the kill is done, no call is looked at any more. */
static void go_on(const struct tracer *t, pid_t tid, int signal_number)
{
    (void)ptrace(t->is_counting ? PTRACE_SYSCALL : PTRACE_CONT, tid, NULL,
                 (void *)(uintptr_t)signal_number);
}

/* One stop of one tracee: notes it and lets it go on. */
static void on_stop(struct tracer *t, pid_t tid, int status)
{
    int signal_number = WSTOPSIG(status);
    int event = status >> 16;
    struct tracee *at = find(t, tid);
    if (!at) { /* it stopped before its parent said that it is there */
        at = add(t, tid, tid, KIND_STARTING);
    }
    if (!at) {
        return;
    }
    if (event == PTRACE_EVENT_EXEC && on_exec(t, at)) {
        forget(t, tid);
        (void)ptrace(PTRACE_DETACH, tid, NULL, NULL);
        return;
    }
    if (event) {
        if (event != PTRACE_EVENT_EXEC) {
            on_child(t, at, event);
        }
        signal_number = 0;
    } else if (signal_number == (SIGTRAP | 0x80)) {
        on_call(t, at);
        signal_number = 0;
    } else if (signal_number == SIGSTOP) {
        signal_number = 0; /* how a new tracee begins */
    }
    go_on(t, tid, signal_number);
}

static void follow(struct tracer *t)
{
    int status = 0;
    pid_t tid;
    while (t->count > 0 && (tid = waitpid(-1, &status, __WALL)) > 0) {
        if (WIFSTOPPED(status)) {
            on_stop(t, tid, status);
            continue;
        }
        if (tid == t->command) {
            t->result.status = status;
        }
        forget(t, tid);
    }
}

static void become_command(const struct trace_plan *plan)
{
    (void)alarm(0);
    (void)dup2(plan->output, STDOUT_FILENO);
    (void)dup2(plan->output, STDERR_FILENO);
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) {
        _exit(126);
    }
    /* What looks for leaks traces too, and two cannot. */
    (void)setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
    (void)raise(SIGSTOP);
    (void)execv(plan->argv[0], (char *const *)plan->argv);
    _exit(127);
}

/* In a process of its own, whose only children are the tracees. */
static bool trace(const struct trace_plan *plan, struct trace_result *out)
{
    struct tracer t = {.plan = plan, .is_counting = true};
    int status = 0;
    t.command = fork();
    if (t.command == 0) {
        become_command(plan);
    }
    if (t.command < 0 || waitpid(t.command, &status, 0) != t.command || !WIFSTOPPED(status)) {
        return false;
    }
    (void)add(&t, t.command, t.command, KIND_COMMAND);
    long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK |
                   PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
    if (ptrace(PTRACE_SETOPTIONS, t.command, NULL, (void *)(uintptr_t)options) != 0 ||
        ptrace(PTRACE_SYSCALL, t.command, NULL, NULL) != 0) {
        (void)kill(t.command, SIGKILL);
        return false;
    }
    follow(&t);
    *out = t.result;
    return true;
}

bool trace_run(const struct trace_plan *plan, struct trace_result *out)
{
    int fds[2];
    int status = 0;
    *out = (struct trace_result){0};
    if (pipe2(fds, O_CLOEXEC) != 0) {
        return false;
    }
    pid_t tracer = fork();
    if (tracer == 0) {
        struct trace_result result;
        (void)alarm(TIME_OUT_S); /* the tracees die with it */
        bool ok = trace(plan, &result) &&
                  write(fds[1], &result, sizeof(result)) == (ssize_t)sizeof(result);
        _exit(ok ? 0 : 1);
    }
    (void)close(fds[1]);
    bool ok = tracer > 0 && read(fds[0], out, sizeof(*out)) == (ssize_t)sizeof(*out);
    (void)close(fds[0]);
    ok = tracer > 0 && waitpid(tracer, &status, 0) == tracer && ok && status == 0;
    return ok;
}
