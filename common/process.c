/* SPDX-License-Identifier: Apache-2.0 */
#include "common/process.h"

#include "common/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

static bool find_in(const char *directories, const char *name, char out[PATH_MAX])
{
    while (*directories) {
        size_t length = strcspn(directories, ":");
        int written = snprintf(out, PATH_MAX, "%.*s/%s", (int)length, directories, name);
        if (length > 0 && written > 0 && written < PATH_MAX && access(out, X_OK) == 0) {
            return true;
        }
        directories += length + (directories[length] == ':');
    }
    return false;
}

/* Looks a program up as execvp() would, then where system programs live. Allocates nothing: a lack
 * of memory would look like a program that is not there. */
static bool find_program(const char *name, char out[PATH_MAX])
{
    if (strchr(name, '/')) {
        return snprintf(out, PATH_MAX, "%s", name) < PATH_MAX;
    }
    const char *path = getenv("PATH");
    return (path && find_in(path, name, out)) ||
           find_in("/usr/sbin:/sbin:/usr/bin:/bin", name, out);
}

bool process_has_program(const char *name)
{
    char path[PATH_MAX];
    return find_program(name, path) && access(path, X_OK) == 0;
}

/* Ours with the additions; strings are borrowed, the array is the caller's to free. */
static const char **build_environment(const char *const *additions, bool only)
{
    size_t ours = 0;
    size_t more = 0;
    while (!only && environ[ours]) {
        ours++;
    }
    while (additions && additions[more]) {
        more++;
    }
    const char **all = calloc(ours + more + 1, sizeof(*all));
    if (!all) {
        return NULL;
    }
    /* getenv() takes the first match, so additions go in front. */
    for (size_t i = 0; i < more; i++) {
        all[i] = additions[i];
    }
    for (size_t i = 0; i < ours; i++) {
        all[more + i] = environ[i];
    }
    return all;
}

static int add_stream(posix_spawn_file_actions_t *actions, int fd, int target, int open_flags)
{
    if (fd < 0) {
        return posix_spawn_file_actions_addopen(actions, target, "/dev/null", open_flags, 0);
    }
    return posix_spawn_file_actions_adddup2(actions, fd, target);
}

static bool is_kept(int fd, const int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (fds[i] == fd) {
            return true;
        }
    }
    return false;
}

/* Keeps the listed descriptors (dup2 on itself clears close-on-exec) and closes every other one: a
 * program around us may have opened some without close-on-exec. */
static int add_kept_fds(posix_spawn_file_actions_t *actions, const int *fds, size_t count)
{
    int highest = STDERR_FILENO;
    for (size_t i = 0; i < count; i++) {
        highest = fds[i] > highest ? fds[i] : highest;
    }
    int rc = 0;
    for (int fd = STDERR_FILENO + 1; fd <= highest && rc == 0; fd++) {
        rc = is_kept(fd, fds, count) ? posix_spawn_file_actions_adddup2(actions, fd, fd)
                                     : posix_spawn_file_actions_addclose(actions, fd);
    }
    return rc == 0 ? posix_spawn_file_actions_addclosefrom_np(actions, highest + 1) : rc;
}

static int build_actions(posix_spawn_file_actions_t *actions, const struct process_options *o)
{
    int rc = add_stream(actions, o->in_fd, STDIN_FILENO, O_RDONLY);
    if (rc == 0) {
        rc = add_stream(actions, o->out_fd, STDOUT_FILENO, O_WRONLY);
    }
    if (rc == 0 && o->err_fd >= 0) {
        rc = posix_spawn_file_actions_adddup2(actions, o->err_fd, STDERR_FILENO);
    }
    if (rc == 0) {
        rc = add_kept_fds(actions, o->keep_fds, o->keep_count);
    }
    return rc;
}

/* The child starts with an empty signal mask and default dispositions, whatever the caller has. */
static int build_attributes(posix_spawnattr_t *attributes, bool new_session)
{
    sigset_t none;
    sigset_t all;
    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
    if (new_session) {
        flags = (short)(flags | POSIX_SPAWN_SETSID);
    }
    int rc = posix_spawnattr_setflags(attributes, flags);
    if (rc == 0) {
        rc = posix_spawnattr_setsigmask(attributes, &none);
    }
    return rc == 0 ? posix_spawnattr_setsigdefault(attributes, &all) : rc;
}

static int spawn(const char *program, const char *const argv[], const struct process_options *o,
                 pid_t *out_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    const char **environment = build_environment(o->environment, o->only_environment);
    if (!environment) {
        return ENOMEM;
    }
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawnattr_init(&attributes);
    int rc = build_actions(&actions, o);
    if (rc == 0) {
        rc = build_attributes(&attributes, o->new_session);
    }
    if (rc == 0) {
        rc = posix_spawn(out_pid, program, &actions, &attributes, (char *const *)argv,
                         (char *const *)environment);
    }
    (void)posix_spawnattr_destroy(&attributes);
    (void)posix_spawn_file_actions_destroy(&actions);
    free(environment);
    return rc;
}

/* The child was reaped without us. */
static HRESULT set_lost_end(const char *name, struct error *err)
{
    return error_set(err, VSS_E_UNEXPECTED,
                     "how %s ended is not known: this program ignores SIGCHLD, or waits for "
                     "children that are not its own, which it must not",
                     name);
}

/* It is not killed where it has gone: its pid may be another's by now. */
static HRESULT set_unwatched(pid_t pid, const char *name, int reason, struct error *err)
{
    if (reason == ESRCH) {
        return set_lost_end(name, err);
    }
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
    return error_set_errno(err, reason, "cannot watch %s", name);
}

HRESULT process_start(const char *const argv[], const struct process_options *options,
                      struct process *out, struct error *err)
{
    *out = (struct process)PROCESS_INIT;
    char program[PATH_MAX];
    if (!find_program(argv[0], program)) {
        return error_set(err, VSS_E_UNEXPECTED, "program %s is not installed or not executable",
                         argv[0]);
    }
    pid_t pid = 0;
    int rc = spawn(program, argv, options, &pid);
    if (rc != 0) {
        return error_set_errno(err, rc, "cannot start %s", argv[0]);
    }
    int pidfd = pidfd_open(pid, 0); /* ours until reaped: the pid cannot be another's yet */
    if (pidfd < 0) {
        return set_unwatched(pid, argv[0], errno, err);
    }
    *out = (struct process){.pid = pid, .pidfd = pidfd};
    return S_OK;
}

static uint32_t ms_left(uint64_t deadline_us)
{
    uint64_t now = clock_monotonic_us();
    return now >= deadline_us ? 0 : (uint32_t)((deadline_us - now + 999) / 1000);
}

/* poll() on one descriptor, interrupted calls resumed. True when it is readable or hung up. */
static bool wait_readable(int fd, uint64_t deadline_us)
{
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        uint32_t left = ms_left(deadline_us);
        int rc = poll(&p, 1, left > INT32_MAX ? INT32_MAX : (int)left);
        if (rc > 0) {
            return true;
        }
        if (rc == 0 || errno != EINTR) {
            return false;
        }
    }
}

HRESULT process_wait(struct process *p, uint32_t timeout_ms, int *out_status)
{
    *out_status = 0;
    if (p->pidfd < 0) {
        return VSS_E_UNEXPECTED;
    }
    if (!wait_readable(p->pidfd, clock_monotonic_us() + (uint64_t)timeout_ms * 1000)) {
        return S_FALSE;
    }
    pid_t rc;
    do {
        rc = waitpid(p->pid, out_status, 0);
    } while (rc < 0 && errno == EINTR);
    (void)close(p->pidfd);
    p->pidfd = -1;
    return rc == p->pid ? S_OK : VSS_E_UNEXPECTED;
}

bool process_is_ending(const struct process *p)
{
    enum { ENDING = 0x4 }; /* PF_EXITING in the kernel's sched.h; proc(5) has the fields */
    char path[64];
    char text[1024];
    unsigned flags = 0;
    (void)snprintf(path, sizeof(path), "/proc/%ld/stat", (long)p->pid);
    int fd = p->pidfd >= 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    text[n > 0 ? n : 0] = '\0';
    /* the name in parentheses may hold anything */
    const char *at = strrchr(text, ')');
    return at && sscanf(at, ") %*c %*d %*d %*d %*d %*d %u", &flags) == 1 && (flags & ENDING) != 0;
}

HRESULT process_signal(const struct process *p, int signal_number)
{
    if (p->pidfd < 0 || pidfd_send_signal(p->pidfd, signal_number, NULL, 0) != 0) {
        return VSS_E_UNEXPECTED;
    }
    return S_OK;
}

void process_kill(struct process *p)
{
    if (p->pidfd < 0) {
        return;
    }
    int status;
    (void)process_signal(p, SIGKILL);
    (void)process_wait(p, UINT32_MAX, &status);
}

/* Reads until the far end closes. S_FALSE: the deadline passed first. */
static HRESULT collect(int fd, uint64_t deadline_us, struct buffer *out)
{
    char chunk[4096];
    for (;;) {
        if (!wait_readable(fd, deadline_us)) {
            return S_FALSE;
        }
        ssize_t got = read(fd, chunk, sizeof(chunk));
        if (got == 0) {
            return S_OK;
        }
        if (got < 0 && errno != EINTR) {
            return VSS_E_UNEXPECTED;
        }
        if (got > 0) {
            buffer_add(out, chunk, (size_t)got);
        }
    }
}

static HRESULT judge(const char *name, int status, struct buffer *output, struct error *err)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return S_OK;
    }
    while (output->length && output->data[output->length - 1] == '\n') {
        output->data[--output->length] = '\0';
    }
    const char *last = output->data ? strrchr(output->data, '\n') : NULL;
    const char *text = last ? last + 1 : output->data ? output->data : "no output";
    if (WIFSIGNALED(status)) {
        return error_set(err, VSS_E_UNEXPECTED, "%s died of signal %d: %s", name, WTERMSIG(status),
                         text);
    }
    return error_set(err, VSS_E_UNEXPECTED, "%s failed (exit %d): %s", name, WEXITSTATUS(status),
                     text);
}

static HRESULT run_with_pipe(const char *const argv[], const char *const environment[],
                             uint32_t timeout_ms, int pipe_fds[2], struct buffer *output,
                             struct error *err)
{
    struct process_options options = PROCESS_OPTIONS_INIT;
    options.environment = environment;
    options.out_fd = pipe_fds[1];
    options.err_fd = pipe_fds[1];
    struct process p;
    HRESULT hr = process_start(argv, &options, &p, err);
    (void)close(pipe_fds[1]);
    if (FAILED(hr)) {
        return hr;
    }
    uint64_t deadline = clock_monotonic_us() + (uint64_t)timeout_ms * 1000;
    hr = collect(pipe_fds[0], deadline, output);
    int status = 0;
    if (hr == S_OK) {
        hr = process_wait(&p, ms_left(deadline), &status);
    }
    if (FAILED(hr)) {
        process_kill(&p);
        return set_lost_end(argv[0], err);
    }
    if (hr != S_OK) {
        process_kill(&p);
        return error_set(err, VSS_E_UNEXPECTED, "%s did not end within %u ms and was killed",
                         argv[0], timeout_ms);
    }
    return judge(argv[0], status, output, err);
}

HRESULT process_run(const char *const argv[], uint32_t timeout_ms, struct buffer *out,
                    struct error *err)
{
    return process_run_with(argv, NULL, timeout_ms, out, err);
}

HRESULT process_run_with(const char *const argv[], const char *const environment[],
                         uint32_t timeout_ms, struct buffer *out, struct error *err)
{
    int pipe_fds[2];
    if (pipe2(pipe_fds, O_CLOEXEC) != 0) {
        return error_set_errno(err, errno, "cannot make a pipe for %s", argv[0]);
    }
    struct buffer own = BUFFER_INIT;
    struct buffer *output = out ? out : &own;
    HRESULT hr = run_with_pipe(argv, environment, timeout_ms, pipe_fds, output, err);
    (void)close(pipe_fds[0]);
    if (SUCCEEDED(hr) && FAILED(buffer_status(output))) {
        hr = error_set(err, E_OUTOFMEMORY, "out of memory reading the output of %s", argv[0]);
    }
    buffer_free(&own);
    return hr;
}
