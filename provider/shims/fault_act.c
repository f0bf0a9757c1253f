/* SPDX-License-Identifier: Apache-2.0 */
/* What a fault does to its process. */
#include "common/clock.h"
#include "provider/shims/fault.h"
#include "provider/shims/stack.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { GARBAGE_BYTES = 65536, GARBAGE_CHUNKS = 65536, ORPHAN_EXIT = 4, LOOK_MS = 10 };

static int caller = -1;

void shims_set_socket(int socket)
{
    caller = socket;
}

static void hang(void)
{
    for (;;) {
        (void)pause();
    }
}

static void hang_until(const char *path)
{
    while (access(path, F_OK) != 0) {
        clock_sleep_ms(LOOK_MS);
    }
}

static void spin(void)
{
    for (volatile unsigned i = 0;; i++) {
    }
}

/* As a stray pointer does it, also where a sanitizer would have its own say. */
static void die_of(int number)
{
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

/* xorshift: bytes that look like nothing. */
static void write_garbage(void)
{
    static uint64_t garbage[GARBAGE_BYTES / sizeof(uint64_t)];
    uint64_t x = 0x9e3779b97f4a7c15u;
    for (int i = 0; i < GARBAGE_CHUNKS; i++) {
        for (size_t n = 0; n < sizeof(garbage) / sizeof(garbage[0]); n++) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            garbage[n] = x;
        }
        if (send(caller, garbage, sizeof(garbage), MSG_NOSIGNAL) < 0) {
            break;
        }
    }
    hang();
}

static void leak(uint32_t count)
{
    for (uint32_t i = 0; i < (count ? count : 1); i++) {
        (void)!open("/dev/null", O_RDONLY); /* NOLINT(android-cloexec-open): not even that */
    }
}

static void leave_orphan(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        hang();
    }
    _exit(ORPHAN_EXIT);
}

static HRESULT act_on_socket(const struct fault *fault)
{
    if (caller < 0) {
        return E_INVALIDARG;
    }
    if (fault->kind == FAULT_GARBAGE) {
        write_garbage();
    }
    (void)close(caller);
    hang();
    return S_OK;
}

HRESULT fault_act(const struct fault *fault, const char *until)
{
    switch (fault->kind) {
    case FAULT_SEGV:
        die_of(SIGSEGV);
        break;
    case FAULT_ABORT:
        die_of(SIGABRT);
        break;
    case FAULT_EXIT:
        exit((int)fault->number); /* NOLINT(concurrency-mt-unsafe): with all that this entails */
    case FAULT_HANG:
        if (fault->number) {
            clock_sleep_ms(fault->number);
        } else if (until) {
            hang_until(until);
        } else {
            hang();
        }
        break;
    case FAULT_SPIN:
        spin();
        break;
    case FAULT_CLOSE:
    case FAULT_GARBAGE:
        return act_on_socket(fault);
    case FAULT_LEAK:
        leak(fault->number);
        break;
    case FAULT_ORPHAN:
        leave_orphan();
        break;
    default:
        break;
    }
    return S_OK;
}
