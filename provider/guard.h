/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_PROVIDER_GUARD_H
#define LUNSHADOW_PROVIDER_GUARD_H

#include "common/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* The one primitive for holding I/O. A helper program (lunshadow-guard) is started before the hold,
 * in its own session, memory locked where we may, holding no lock of ours, with a deadline: it
 * performs the hold itself and ends it whatever happens to us - on our word, when our end of its
 * socket closes, at the deadline. What it can hold: processes (SIGSTOP through a pidfd, held when
 * the main thread is stopped) and mounted filesystems (FIFREEZE through a directory descriptor).
 * One guard is one hold. */
struct guard;

enum guard_kind { GUARD_PROCESS, GUARD_FILESYSTEM };

struct guard_target {
    enum guard_kind kind;
    pid_t pid;        /* GUARD_PROCESS */
    const char *path; /* GUARD_FILESYSTEM: a directory on it */
};

/* How a hold ended; microseconds of CLOCK_MONOTONIC. All zero where nothing was held. */
struct guard_report {
    uint64_t held_at_us;     /* every target was held */
    uint64_t released_at_us; /* the first release was about to be sent */
    bool by_deadline;        /* the guard ended it: nothing after held_at + deadline counts */
};

/* Starts the helper and hands it the targets; nothing is held yet. A process or filesystem named
 * twice counts once. *out is ended by guard_release(), in every case. deadline_ms: 1..10000,
 * counted from guard_hold(). count: 1..64. E_INVALIDARG: those, or our own process;
 * VSS_E_UNEXPECTED: a process that is gone, a helper that does not start; E_ACCESSDENIED: a process
 * we may not signal; VSS_E_OBJECT_NOT_FOUND: a path that is not there. */
HRESULT guard_start(const struct guard_target *targets, size_t count, uint32_t deadline_ms,
                    struct guard **out, struct error *err);

/* Holds all targets, in order, or none (VSS_E_HOLD_WRITES_TIMEOUT where one did not stop within the
 * deadline; VSS_E_UNEXPECTED where a target is gone, or was stopped or frozen by someone else
 * before; E_ACCESSDENIED where we may not freeze). Returns when all are held; blocks no longer than
 * the deadline and a second. Once per guard. */
HRESULT guard_hold(struct guard *guard, struct error *err);

/* Releases in reverse order, waits for the guard's report (up to 2 s). After this the targets run,
 * even where the helper had died (then released from here). Frees guard; NULL is harmless. out may
 * be NULL. S_OK: the hold stood from held_at_us to released_at_us, or nothing was held.
 * VSS_E_HOLD_WRITES_TIMEOUT: the deadline came first: what was done under the hold is not a point
 * in time. VSS_E_UNEXPECTED: the helper died, or somebody continued or thawed a target meanwhile:
 * no point in time either. */
HRESULT guard_release(struct guard *guard, struct guard_report *out, struct error *err);

/* Path of the helper; see helper_program(). */
const char *guard_program(void);

#endif
