/* SPDX-License-Identifier: Apache-2.0 */
/* The command that judges the recovered LUNs. */
#include "common/buffer.h"
#include "common/clock.h"
#include "common/process.h"
#include "drill/own_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUTPUT_BYTES 2000u  /* of the command's, in the report: the last ones */
#define OUTPUT_ROOM  65536u /* what is held of it */
#define SLICE_MS     200    /* how often is asked whether the drill is stopped */
#define REAP_MS      5000u
#define GONE_US      5000000u /* for what was killed to be gone */

/* ---- its environment ------------------------------------------------------------------------- */

static void free_environment(char **environment)
{
    for (size_t i = 0; environment && environment[i]; i++) {
        free(environment[i]);
    }
    free(environment);
}

static char **new_environment(const struct own_drill *o)
{
    size_t count = o->options->count;
    char **all = calloc(2 * count + 2, sizeof(*all));
    bool has_all = all;
    for (size_t i = 0; has_all && i < count; i++) {
        all[2 * i] = text_printf("LUNSHADOW_DRILL_VOLUME_%zu=%s", i + 1, o->volumes[i].url);
        all[2 * i + 1] = text_printf("LUNSHADOW_DRILL_LUN_%zu=%s", i + 1, o->scratch[i].url);
        has_all = all[2 * i] && all[2 * i + 1];
    }
    if (has_all) {
        all[2 * count] = text_printf("LUNSHADOW_DRILL_COUNT=%zu", count);
        has_all = all[2 * count];
    }
    if (!has_all) {
        free_environment(all);
        return NULL;
    }
    return all;
}

/* ---- running it ------------------------------------------------------------------------------ */

struct running {
    struct process process;
    int fd; /* what it prints; -1: all of it was read */
    struct buffer output;
    bool has_skipped;
};

/* A command that prints without end has only its last words kept. */
static void keep_last(struct running *r)
{
    struct buffer *b = &r->output;
    if (b->length > OUTPUT_ROOM) {
        memmove(b->data, b->data + b->length - OUTPUT_BYTES, OUTPUT_BYTES);
        b->length = OUTPUT_BYTES;
        b->data[b->length] = '\0';
        r->has_skipped = true;
    }
}

/* What is there, up to a room full; the descriptor does not block. */
static void take_output(struct running *r)
{
    char chunk[4096];
    for (size_t taken = 0; r->fd >= 0 && taken < OUTPUT_ROOM;) {
        ssize_t got = read(r->fd, chunk, sizeof(chunk));
        if (got > 0) {
            buffer_add(&r->output, chunk, (size_t)got);
            keep_last(r);
            taken += (size_t)got;
        } else if (got < 0 && errno == EAGAIN) {
            return;
        } else if (got == 0 || errno != EINTR) {
            (void)close(r->fd);
            r->fd = -1;
        }
    }
}

static HRESULT start(const struct own_drill *o, const char *const environment[], struct running *r,
                     struct error *err)
{
    const char *const argv[] = {"sh", "-c", o->options->check, NULL};
    struct process_options options = PROCESS_OPTIONS_INIT;
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0) {
        return error_set_errno(err, errno, "cannot make a pipe for the command");
    }
    options.environment = environment;
    options.out_fd = fds[1];
    options.err_fd = fds[1];
    options.new_session = true; /* so that all that it starts can be ended with it */
    HRESULT hr = process_start(argv, &options, &r->process, err);
    (void)close(fds[1]);
    if (FAILED(hr)) {
        (void)close(fds[0]);
        return hr;
    }
    (void)fcntl(fds[0], F_SETFL, O_NONBLOCK);
    r->fd = fds[0];
    return S_OK;
}

/* NULL: it ended by itself; else why it does not go on. until_us 0: no limit. */
static const char *await(const struct own_drill *o, struct running *r, uint64_t until_us)
{
    for (;;) {
        struct pollfd polls[] = {{.fd = r->process.pidfd, .events = POLLIN},
                                 {.fd = r->fd, .events = POLLIN}};
        (void)poll(polls, sizeof(polls) / sizeof(polls[0]), SLICE_MS);
        take_output(r);
        if (polls[0].revents) {
            return NULL;
        }
        if (drill_was_stopped(&o->base)) {
            return "was killed, since the drill was stopped";
        }
        if (until_us && clock_monotonic_us() >= until_us) {
            return "took longer than it may (max_rto), and was killed";
        }
    }
}

/* Ends what is left of it: the scratch LUNs are wiped next, and nobody may be using them then. */
static int end(struct running *r)
{
    pid_t group = r->process.pid;
    int status = 0;
    uint64_t until_us = clock_monotonic_us() + GONE_US;
    (void)kill(-group, SIGKILL); /* until it is reaped its number is nobody else's */
    (void)process_wait(&r->process, REAP_MS, &status);
    while (kill(-group, 0) == 0 && clock_monotonic_us() < until_us) {
        clock_sleep_ms(10);
    }
    take_output(r);
    if (r->fd >= 0) {
        (void)close(r->fd);
    }
    return status;
}

static const char *last_line(struct buffer *output)
{
    while (output->length && output->data[output->length - 1] == '\n') {
        output->data[--output->length] = '\0';
    }
    const char *line = output->length ? strrchr(output->data, '\n') : NULL;
    return line ? line + 1 : output->length ? output->data : "no output";
}

static HRESULT run(const struct own_drill *o, const char *const environment[], uint64_t until_us,
                   struct running *r, struct error *err)
{
    HRESULT hr = start(o, environment, r, err);
    if (FAILED(hr)) {
        return hr;
    }
    const char *why = await(o, r, until_us);
    int status = end(r);
    if (why) {
        return error_set(err, VSS_E_UNEXPECTED, "it %s", why);
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return S_OK;
    }
    return error_set(
        err, VSS_E_UNEXPECTED, "%s %d: %s", WIFEXITED(status) ? "exit code" : "it died of signal",
        WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status), last_line(&r->output));
}

/* ---- what it says ---------------------------------------------------------------------------- */

static void note_output(struct own_drill *o, const struct running *r)
{
    const struct buffer *output = &r->output;
    size_t skipped = output->length > OUTPUT_BYTES ? output->length - OUTPUT_BYTES : 0;
    if (output->length > 0) {
        report_note(o->base.report, "the command printed: %s%s",
                    skipped || r->has_skipped ? "..." : "", output->data + skipped);
    }
}

/* When the time that recovery and check may take together is over; 0: never. */
static uint64_t limit_us(const struct own_drill *o, uint64_t started_us)
{
    uint64_t most_ms = (uint64_t)o->options->max_rto_s * 1000;
    uint64_t left_ms = most_ms > o->recover_ms ? most_ms - o->recover_ms : 0;
    return most_ms ? started_us + left_ms * 1000 : 0;
}

HRESULT own_judge(struct own_drill *o, struct error *err)
{
    struct running r = {.process = PROCESS_INIT, .fd = -1, .output = BUFFER_INIT};
    struct error why = {0};
    char **environment = new_environment(o);
    if (!environment) {
        return error_set(err, E_OUTOFMEMORY, "out of memory for the check");
    }
    uint64_t started_us = clock_monotonic_us();
    HRESULT hr = run(o, (const char *const *)environment, limit_us(o, started_us), &r, &why);
    uint64_t check_ms = (clock_monotonic_us() - started_us) / 1000;
    uint64_t rto_ms = o->recover_ms + check_ms;
    free_environment(environment);
    note_output(o, &r);
    buffer_free(&r.output);
    (void)report_check(o->base.report, "the command is content", SUCCEEDED(hr), "%s%s%s",
                       o->options->check, FAILED(hr) ? ": " : "",
                       FAILED(hr) ? error_text(&why) : "");
    report_figure(o->base.report, "check_ms", "the command", check_ms, "ms");
    report_figure(o->base.report, "rto_ms", "recovery and the command (RTO)", rto_ms, "ms");
    if (o->options->max_rto_s > 0) {
        (void)report_check(o->base.report, "in time",
                           rto_ms < (uint64_t)o->options->max_rto_s * 1000, "%llu ms of %u s",
                           (unsigned long long)rto_ms, o->options->max_rto_s);
    }
    return S_OK;
}
