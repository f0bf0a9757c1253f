/* SPDX-License-Identifier: Apache-2.0 */
/* lunshadow-guard: holds I/O for its caller and ends the hold whatever happens to it. Two threads:
 * the holder does what may block (freezing flushes), the watcher (main) listens to the caller and
 * to the clock, and releases what is held at that moment. Between hold and release nothing is
 * allocated and no file is touched: what is held may be where memory is paged from and files lie.
 */
#include "common/clock.h"
#include "provider/guard_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { STACK_BYTES = 256 * 1024, PAUSE_NS = 50000 };

enum phase { IDLE, HOLDING, HELD, FAILED_TO_HOLD, ENDED };

struct target {
    bool is_process;
    int fd;           /* pidfd, or a directory of the filesystem */
    int stat_fd;      /* /proc/PID/task/PID/stat, opened by the caller while the process lived */
    atomic_bool held; /* who sets it back to false releases it */
};

static struct target targets[GUARD_MOST_TARGETS];
static unsigned target_count;
static int caller;           /* the socket */
static int go;               /* eventfd: wakes the holder */
static uint64_t deadline_us; /* set before the holder is woken */
static uint64_t deadline_ms;
static uint64_t held_at_us; /* set before the phase becomes HELD */
static atomic_int phase = IDLE;
static atomic_bool
    is_over; /* the watcher has ended the hold: the holder must undo what it still does */

static void tell(struct guard_message message)
{
    (void)send(caller, &message, sizeof(message), MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* The state letter of the main thread, which sends every answer; 'X' where the process is gone. */
static char read_state(const struct target *t)
{
    char text[512];
    ssize_t n = pread(t->stat_fd, text, sizeof(text) - 1, 0);
    if (n <= 0) {
        return 'X';
    }
    text[n] = '\0';
    const char *at = strrchr(text, ')');
    return at && at[1] == ' ' ? at[2] : 'X';
}

static bool is_gone(char state)
{
    return state == 'Z' || state == 'X' || state == 'x';
}

/* Sleeps rather than yields: beside a busy process a yield costs a whole time slice of it. */
static void pause_a_little(void)
{
    const struct timespec ts = {.tv_nsec = PAUSE_NS};
    (void)ppoll(NULL, 0, &ts, NULL);
}

static enum guard_reason hold_process(const struct target *t, int *errnum)
{
    if (pidfd_send_signal(t->fd, SIGSTOP, NULL, 0) != 0) {
        *errnum = errno;
        return errno == ESRCH ? GUARD_REASON_GONE : GUARD_REASON_ERRNO;
    }
    for (;;) {
        char state = read_state(t);
        if (state == 'T') {
            return GUARD_REASON_NONE;
        }
        if (is_gone(state)) {
            return GUARD_REASON_GONE;
        }
        if (atomic_load(&is_over) || clock_monotonic_us() >= deadline_us) {
            (void)pidfd_send_signal(t->fd, SIGCONT, NULL, 0);
            return GUARD_REASON_TIMEOUT;
        }
        pause_a_little();
    }
}

static enum guard_reason hold_filesystem(const struct target *t, int *errnum)
{
    if (ioctl(t->fd, FIFREEZE, 0) == 0) {
        return GUARD_REASON_NONE;
    }
    *errnum = errno;
    return errno == EBUSY ? GUARD_REASON_ALREADY_STOPPED : GUARD_REASON_ERRNO;
}

/* False where somebody else had released it before: the hold was none. */
static bool release_one(const struct target *t)
{
    if (!t->is_process) {
        return ioctl(t->fd, FITHAW, 0) == 0 || errno != EINVAL;
    }
    char state = read_state(t);
    (void)pidfd_send_signal(t->fd, SIGCONT, NULL, 0);
    return state == 'T' || is_gone(state);
}

/* Both threads may come here; each held target is released once. Returns the number of the first
 * one found broken, or target_count. */
static unsigned release_all(void)
{
    unsigned broken = target_count;
    for (unsigned i = target_count; i-- > 0;) {
        if (atomic_exchange(&targets[i].held, false) && !release_one(&targets[i])) {
            broken = i;
        }
    }
    return broken;
}

static bool change_phase(int from, int to)
{
    return atomic_compare_exchange_strong(&phase, &from, to);
}

static enum guard_reason hold_one(unsigned i, int *errnum)
{
    struct target *t = &targets[i];
    if (t->is_process) {
        char state = read_state(t);
        if (is_gone(state)) {
            return GUARD_REASON_GONE;
        }
        if (state == 'T' || state == 't') {
            return GUARD_REASON_ALREADY_STOPPED;
        }
    }
    tell((struct guard_message){.kind = GUARD_TOOK, .index = i});
    enum guard_reason reason = t->is_process ? hold_process(t, errnum) : hold_filesystem(t, errnum);
    if (reason == GUARD_REASON_NONE) {
        atomic_store(&t->held, true);
    }
    return reason;
}

static void hold_all(void)
{
    for (unsigned i = 0; i < target_count; i++) {
        int errnum = 0;
        enum guard_reason reason = hold_one(i, &errnum);
        if (reason != GUARD_REASON_NONE) {
            (void)release_all();
            if (change_phase(HOLDING, FAILED_TO_HOLD)) {
                tell((struct guard_message){
                    .kind = GUARD_FAILED, .index = i, .reason = reason, .errnum = errnum});
            }
            return;
        }
        if (atomic_load(&is_over)) {
            (void)release_all();
            return;
        }
    }
    held_at_us = clock_monotonic_us();
    if (change_phase(HOLDING, HELD)) {
        tell((struct guard_message){.kind = GUARD_HELD, .held_at_us = held_at_us});
    }
}

static void *holder(void *unused)
{
    uint64_t value;
    (void)unused;
    while (read(go, &value, sizeof(value)) < 0 && errno == EINTR) {
    }
    if (atomic_load(&phase) == HOLDING) {
        hold_all();
    }
    return NULL;
}

static void wake_holder(void)
{
    const uint64_t one = 1;
    (void)!write(go, &one, sizeof(one));
}

/* Ends the hold, or the attempt. */
static void end_hold(struct guard_message *report, bool by_deadline)
{
    uint64_t now = clock_monotonic_us();
    atomic_store(&is_over, true);
    bool was_held = change_phase(HELD, ENDED);
    bool was_holding = !was_held && change_phase(HOLDING, FAILED_TO_HOLD);
    if (!was_held && !was_holding && change_phase(HELD, ENDED)) {
        was_held = true; /* the holder finished between the two looks */
    }
    unsigned broken = release_all();
    if (was_held) {
        report->held_at_us = held_at_us;
        report->released_at_us = now;
        report->by_deadline = by_deadline;
        report->has_broken = broken < target_count;
        report->index = report->has_broken ? broken : 0;
    } else if (was_holding) {
        tell((struct guard_message){.kind = GUARD_FAILED, .reason = GUARD_REASON_TIMEOUT});
    }
}

/* Waits for a word until the deadline (0: without one). Returns the word; 0: the caller is gone;
 * -1: the deadline came. */
static int wait_for_word(uint64_t until_us)
{
    for (;;) {
        struct pollfd p = {.fd = caller, .events = POLLIN};
        struct timespec left = {0};
        uint64_t now = clock_monotonic_us();
        if (until_us > now) {
            left.tv_sec = (time_t)((until_us - now) / 1000000);
            left.tv_nsec = (long)((until_us - now) % 1000000) * 1000;
        }
        int rc = ppoll(&p, 1, until_us ? &left : NULL, NULL);
        if (rc == 0) {
            return -1;
        }
        char word = 0;
        ssize_t n = rc > 0 ? recv(caller, &word, 1, MSG_DONTWAIT) : -1;
        if (n == 1) {
            return word;
        }
        if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
            return 0;
        }
    }
}

static void serve(void)
{
    struct guard_message report = {.kind = GUARD_REPORT};
    int word = wait_for_word(0);
    if (word == GUARD_WORD_HOLD) {
        deadline_us = clock_monotonic_us() + deadline_ms * 1000;
        atomic_store(&phase, HOLDING);
        wake_holder();
        word = wait_for_word(deadline_us);
        end_hold(&report, word < 0);
        if (word < 0) {
            word = wait_for_word(0);
        }
    }
    if (word == GUARD_WORD_RELEASE) {
        tell(report);
    }
}

static bool parse_number(const char **text, int *out)
{
    char *end;
    errno = 0;
    long value = strtol(*text, &end, 10);
    bool good = end != *text && errno == 0 && value >= 0 && value <= 1 << 20;
    *out = (int)value;
    *text = end;
    return good;
}

/* "p:PIDFD:STATFD" or "f:FD" */
static bool parse_target(const char *text, struct target *t)
{
    t->is_process = text[0] == 'p';
    t->stat_fd = -1;
    if ((text[0] != 'p' && text[0] != 'f') || text[1] != ':') {
        return false;
    }
    text += 2;
    if (!parse_number(&text, &t->fd)) {
        return false;
    }
    if (t->is_process) {
        if (*text++ != ':' || !parse_number(&text, &t->stat_fd)) {
            return false;
        }
    }
    return *text == '\0';
}

static bool parse_arguments(int argc, char *argv[])
{
    int ms = 0;
    if (argc < 4 || argc - 3 > GUARD_MOST_TARGETS) {
        return false;
    }
    const char *text = argv[1];
    if (!parse_number(&text, &caller) || *text) {
        return false;
    }
    text = argv[2];
    if (!parse_number(&text, &ms) || *text || ms < 1) {
        return false;
    }
    deadline_ms = (uint64_t)ms;
    for (int i = 3; i < argc; i++) {
        if (!parse_target(argv[i], &targets[target_count++])) {
            return false;
        }
    }
    return true;
}

static bool is_wanted(int fd)
{
    bool wanted = fd <= STDERR_FILENO || fd == caller;
    for (unsigned i = 0; i < target_count && !wanted; i++) {
        wanted = fd == targets[i].fd || fd == targets[i].stat_fd;
    }
    return wanted;
}

/* Whatever else came with us could be a lock of the caller's, which must die with the caller. */
static void close_all_others(void)
{
    int highest = caller;
    for (unsigned i = 0; i < target_count; i++) {
        highest = targets[i].fd > highest ? targets[i].fd : highest;
        highest = targets[i].stat_fd > highest ? targets[i].stat_fd : highest;
    }
    for (int fd = 0; fd < highest; fd++) {
        if (!is_wanted(fd)) {
            (void)close(fd);
        }
    }
    (void)close_range((unsigned)highest + 1, ~0U, 0);
}

/* The end of a guard is its caller's word, end, or the deadline; nothing else. */
static void ignore_signals(void)
{
    const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGTSTP, SIGUSR1, SIGUSR2};
    for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++) {
        (void)signal(ignored[i], SIG_IGN);
    }
}

static bool start_holder(pthread_t *out)
{
    pthread_attr_t attributes;
    go = eventfd(0, EFD_CLOEXEC);
    if (go < 0 || pthread_attr_init(&attributes) != 0) {
        return false;
    }
    /* All of it gets locked into memory, so not the usual 8 MiB. */
    (void)pthread_attr_setstacksize(&attributes, STACK_BYTES);
    int rc = pthread_create(out, &attributes, holder, NULL);
    (void)pthread_attr_destroy(&attributes);
    return rc == 0;
}

/* So that a busy machine makes neither the hold longer nor the deadline late; where we may. Both
 * threads sleep between looks, so they take nobody's time. */
static void raise_priority(pthread_t thread)
{
    const struct sched_param lowest = {.sched_priority = 1};
    (void)pthread_setschedparam(thread, SCHED_FIFO, &lowest);
    (void)pthread_setschedparam(pthread_self(), SCHED_FIFO, &lowest);
}

int main(int argc, char *argv[])
{
    pthread_t thread;
    if (!parse_arguments(argc, argv)) {
        (void)fprintf(stderr, "lunshadow-guard is started by lunshadow, not by hand\n");
        return 2;
    }
    ignore_signals();
    close_all_others();
    (void)!chdir("/"); /* keeps no filesystem busy */
    if (!start_holder(&thread)) {
        return 1;
    }
    raise_priority(thread);
    int errnum = mlockall(MCL_CURRENT | MCL_FUTURE) == 0 ? 0 : errno;
    tell((struct guard_message){.kind = GUARD_READY, .errnum = errnum});
    serve();
    /* A freeze that is still flushing would succeed after our end and nobody would thaw it: wait.
     */
    wake_holder();
    (void)pthread_join(thread, NULL);
    return 0;
}
