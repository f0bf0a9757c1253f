/* SPDX-License-Identifier: Apache-2.0 */
#include "tgtadm.h"

#include "daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEADLINE_US      (TGT_PATIENCE_MS * 1000ull) /* a hold may begin after we looked */
#define FIXED_ARGUMENTS  5
#define ARGUMENTS_MAX    32
#define FIRST_BYTES      16384u
#define OUTPUT_BYTES_MAX (16u << 20)

struct output {
    char *text;
    size_t length;
    size_t capacity;
};

struct child {
    pid_t pid;
    int pidfd;
    int out_fd;
};

/* An ordinary user's PATH often lacks the directories of system programs. */
static const char *program_path(void)
{
    static const char *const places[] = {"/usr/sbin/tgtadm", "/sbin/tgtadm",
                                         "/usr/local/sbin/tgtadm", "/usr/bin/tgtadm"};
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        if (access(places[i], X_OK) == 0) {
            return places[i];
        }
    }
    return "tgtadm";
}

/* Ours with TGT_IPC_SOCKET as configured and plain messages. NULL when memory is short. */
static char **build_environment(const struct tgt *t)
{
    size_t count = 0;
    while (environ[count]) {
        count++;
    }
    char **all = tgt_alloc(t, (count + 3) * sizeof(*all));
    char *locale = tgt_text(t, "LC_ALL=C");
    char *socket = t->socket ? tgt_text(t, "TGT_IPC_SOCKET=%s", t->socket) : NULL;
    if (!all || !locale || (t->socket && !socket)) {
        return NULL;
    }
    size_t n = 0;
    all[n++] = locale;
    if (socket) {
        all[n++] = socket;
    }
    for (size_t i = 0; i < count; i++) {
        if (strncmp(environ[i], "TGT_IPC_SOCKET=", 15) != 0 &&
            strncmp(environ[i], "LC_ALL=", 7) != 0) {
            all[n++] = environ[i];
        }
    }
    return all;
}

static int spawn_with(char *const argv[], char *const envp[], int write_fd, pid_t *out_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    sigset_t all;
    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    int rc = posix_spawn_file_actions_init(&actions);
    if (rc != 0) {
        return rc;
    }
    rc = posix_spawnattr_init(&attributes);
    if (rc != 0) {
        (void)posix_spawn_file_actions_destroy(&actions);
        return rc;
    }
    (void)posix_spawnattr_setsigmask(&attributes, &none);
    (void)posix_spawnattr_setsigdefault(&attributes, &all);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    rc = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (rc == 0) {
        rc = posix_spawn_file_actions_adddup2(&actions, write_fd, STDOUT_FILENO);
    }
    if (rc == 0) {
        rc = posix_spawn_file_actions_adddup2(&actions, write_fd, STDERR_FILENO);
    }
    if (rc == 0) {
        rc = posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
    }
    if (rc == 0) {
        rc = posix_spawnp(out_pid, argv[0], &actions, &attributes, argv, envp);
    }
    (void)posix_spawnattr_destroy(&attributes);
    (void)posix_spawn_file_actions_destroy(&actions);
    return rc;
}

static HRESULT start(const struct tgt *t, char *const argv[], struct child *out)
{
    char **envp = build_environment(t);
    if (!envp || !argv[0]) {
        return E_OUTOFMEMORY;
    }
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return tgt_fail_errno(t, errno, "no pipe for tgtadm");
    }
    int rc = spawn_with(argv, envp, ends[1], &out->pid);
    (void)close(ends[1]);
    if (rc != 0) {
        (void)close(ends[0]);
        return tgt_fail_errno(t, rc, "%s cannot be started; install the package tgt", argv[0]);
    }
    out->out_fd = ends[0];
    out->pidfd = pidfd_open(out->pid, 0);
    return S_OK;
}

/* Makes room and reads what is there. Returns 1: more may come, 0: end, -1: no memory or too much.
 */
static int read_some(const struct tgt *t, int fd, struct output *o)
{
    if (o->capacity - o->length < 2) {
        size_t capacity = o->capacity ? o->capacity * 2 : FIRST_BYTES;
        char *bigger = capacity <= OUTPUT_BYTES_MAX ? tgt_alloc(t, capacity) : NULL;
        if (!bigger) {
            return -1;
        }
        if (o->length > 0) {
            memcpy(bigger, o->text, o->length);
        }
        o->text = bigger;
        o->capacity = capacity;
    }
    ssize_t got = read(fd, o->text + o->length, o->capacity - o->length - 1);
    if (got < 0) {
        return errno == EINTR ? 1 : -1;
    }
    o->length += (size_t)got;
    o->text[o->length] = '\0';
    return got > 0 ? 1 : 0;
}

static int left_ms(uint64_t deadline_us)
{
    uint64_t now = tgt_now_us();
    return now >= deadline_us ? 0 : (int)((deadline_us - now + 999) / 1000);
}

static bool wait_readable(int fd, uint64_t deadline_us)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int rc = 0;
    do {
        rc = poll(&p, 1, left_ms(deadline_us));
    } while (rc < 0 && errno == EINTR);
    return rc > 0;
}

/* Collects the output and the end of the child; kills it at the deadline. Returns its exit code, or
 * -1 where it did not end by itself. */
static int collect(const struct tgt *t, const struct child *child, struct output *o)
{
    uint64_t deadline_us = tgt_now_us() + DEADLINE_US;
    int more = 1;
    while (more > 0) {
        more = wait_readable(child->out_fd, deadline_us) ? read_some(t, child->out_fd, o) : -1;
    }
    bool ended = more == 0 && child->pidfd >= 0 && wait_readable(child->pidfd, deadline_us);
    if (!ended) {
        (void)kill(child->pid, SIGKILL); /* not reaped yet, so the pid is still the child's */
    }
    int status = 0;
    pid_t rc = 0;
    do {
        rc = waitpid(child->pid, &status, 0);
    } while (rc < 0 && errno == EINTR);
    (void)close(child->out_fd);
    if (child->pidfd >= 0) {
        (void)close(child->pidfd);
    }
    return ended && rc == child->pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* The arguments behind the fixed ones, for messages. */
static void describe_command(char *const argv[], char *out, size_t bytes)
{
    size_t used = 0;
    *out = '\0';
    for (size_t i = FIXED_ARGUMENTS; argv[i] && used < bytes; i++) {
        int n = snprintf(out + used, bytes - used, " %s", argv[i]);
        used += n > 0 ? (size_t)n : 0;
    }
}

static HRESULT run_argv(const struct tgt *t, char *const argv[], bool is_attempt, char **out)
{
    struct child child = {0, -1, -1};
    HRESULT hr = start(t, argv, &child);
    if (FAILED(hr)) {
        return hr;
    }
    struct output o = {NULL, 0, 0};
    int code = collect(t, &child, &o);
    if (code > 0 && is_attempt) {
        return S_FALSE;
    }
    if (code != 0) {
        char command[512];
        describe_command(argv, command, sizeof(command));
        return tgt_fail(t, VSS_E_PROVIDER_VETO, "tgtadm%s %s: %s", command,
                        code < 0 ? "did not end in time" : "failed",
                        o.text ? o.text : "it printed nothing");
    }
    if (out) {
        *out = o.text ? o.text : tgt_text(t, "%s", "");
        return *out ? S_OK : E_OUTOFMEMORY;
    }
    return S_OK;
}

static HRESULT run_list(const struct tgt *t, const char *const arguments[], bool is_attempt,
                        char **out)
{
    /* tgtadm would wait for a tgtd that is stopped, so look first. */
    pid_t pid = 0;
    HRESULT hr = tgt_daemon_find(t, &pid);
    if (FAILED(hr)) {
        return hr;
    }
    char port[16];
    (void)snprintf(port, sizeof(port), "%u", t->control_port);
    const char *const fixed[FIXED_ARGUMENTS] = {program_path(), "-C", port, "--lld", "iscsi"};
    char *argv[FIXED_ARGUMENTS + ARGUMENTS_MAX + 1] = {NULL};
    for (size_t i = 0; i < FIXED_ARGUMENTS + ARGUMENTS_MAX; i++) {
        const char *argument = i < FIXED_ARGUMENTS ? fixed[i] : arguments[i - FIXED_ARGUMENTS];
        if (!argument) {
            break;
        }
        argv[i] = tgt_text(t, "%s", argument);
        if (!argv[i]) {
            return E_OUTOFMEMORY;
        }
    }
    return run_argv(t, argv, is_attempt, out);
}

HRESULT tgt_run(const struct tgt *t, const char *const arguments[], char **out)
{
    return run_list(t, arguments, false, out);
}

HRESULT tgt_try(const struct tgt *t, const char *const arguments[])
{
    return run_list(t, arguments, true, NULL);
}
