/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_COMMON_PROCESS_H
#define LUNSHADOW_COMMON_PROCESS_H

#include "common/buffer.h"
#include "common/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* A child, started by posix_spawn (never a bare fork, which would keep our locks open) and waited
 * for by its pidfd, so that the caller's SIGCHLD handling is untouched. */
struct process {
    pid_t pid;
    int pidfd; /* -1: no child */
};

#define PROCESS_INIT                                                                               \
    {                                                                                              \
        0, -1                                                                                      \
    }

struct process_options {
    int in_fd;           /* becomes standard input; -1: /dev/null */
    int out_fd;          /* standard output; -1: /dev/null */
    int err_fd;          /* standard error; -1: ours */
    const int *keep_fds; /* further descriptors, which keep their numbers; all others close */
    size_t keep_count;
    bool new_session;               /* setsid(): a terminal's Ctrl-C does not reach it */
    const char *const *environment; /* "NAME=value", NULL at the end, added to ours; NULL: none */
    bool only_environment;          /* environment alone, nothing of ours */
};

#define PROCESS_OPTIONS_INIT                                                                       \
    {                                                                                              \
        -1, -1, -1, NULL, 0, false, NULL, false                                                    \
    }

/* argv[0] is looked up in PATH, then in /usr/sbin and /sbin, which an ordinary user's PATH lacks.
 */
HRESULT process_start(const char *const argv[], const struct process_options *options,
                      struct process *out, struct error *err);

/* Would process_start() find it? Nothing is run. */
bool process_has_program(const char *name);

/* Waits up to timeout_ms (0: only looks) and reaps. S_OK: it ended, *out_status is the waitpid
 * status; S_FALSE: still running; VSS_E_UNEXPECTED: it ended, and somebody else took its status
 * (SIGCHLD is ignored, or a thread waits for any child). */
HRESULT process_wait(struct process *p, uint32_t timeout_ms, int *out_status);

/* Is it about to end, or has it, unreaped? What closed its files because it ends is so by then. */
bool process_is_ending(const struct process *p);

/* Sends a signal through the pidfd: never to a stranger that inherited the pid. */
HRESULT process_signal(const struct process *p, int signal_number);

/* SIGKILL, reap, close. Harmless on PROCESS_INIT and after the end. */
void process_kill(struct process *p);

/* Starts, collects standard output and error together, waits up to timeout_ms, kills past it.
 * Succeeds when the program exits with 0; else VSS_E_UNEXPECTED with the program's last
 * line in err. out may be NULL. */
HRESULT process_run(const char *const argv[], uint32_t timeout_ms, struct buffer *out,
                    struct error *err);

/* As process_run(), with environment ("NAME=value", NULL at the end) added to ours; NULL: none. */
HRESULT process_run_with(const char *const argv[], const char *const environment[],
                         uint32_t timeout_ms, struct buffer *out, struct error *err);

#endif
