/* SPDX-License-Identifier: Apache-2.0 */
#include "drill/postgresql_load.h"

#include "common/clock.h"
#include "common/process.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { POLL_MS = 20, ANSWER_MS = 30000, END_MS = 10000, ROWS_FIRST = 4096, LINE_BYTES = 300 };

struct row {
    uint64_t sent_us;
    uint64_t acknowledged_us; /* 0: not yet */
};

struct session {
    struct process process;
    int in;  /* psql's standard input; -1: none */
    int out; /* its standard output and error */
    struct row *rows;
    size_t capacity;
    uint32_t sent;
    uint32_t acknowledged;
    char line[LINE_BYTES];
    size_t line_length;
};

struct load {
    struct session sessions[LOAD_SESSIONS];
    pthread_t thread;
    bool is_running;
    atomic_bool should_end;
    atomic_uint_fast64_t acknowledged; /* of all sessions */
    struct error err;                  /* the thread's, until it is joined */
};

/* ---- one session ---- */

static HRESULT session_start(struct session *s, const char *const psql[], struct error *err)
{
    int in[2];
    int out[2];
    struct process_options options = PROCESS_OPTIONS_INIT;
    if (pipe2(in, O_CLOEXEC) != 0) {
        return error_set_errno(err, errno, "no pipe for psql");
    }
    if (pipe2(out, O_CLOEXEC) != 0) {
        int reason = errno;
        (void)close(in[0]);
        (void)close(in[1]);
        return error_set_errno(err, reason, "no pipe for psql");
    }
    options.in_fd = in[0];
    options.out_fd = out[1];
    options.err_fd = out[1];
    options.new_session = true; /* a Ctrl-C ends the drill, which then ends this in order */
    HRESULT hr = process_start(psql, &options, &s->process, err);
    (void)close(in[0]);
    (void)close(out[1]);
    s->in = in[1];
    s->out = out[0];
    return hr;
}

static void session_end(struct session *s)
{
    int status = 0;
    if (s->in >= 0) {
        (void)close(s->in);
        (void)close(s->out);
        s->in = -1;
        s->out = -1;
    }
    (void)process_wait(&s->process, END_MS, &status);
    process_kill(&s->process);
}

static HRESULT make_room(struct session *s, struct error *err)
{
    if (s->sent < s->capacity) {
        return S_OK;
    }
    size_t capacity = s->capacity ? 2 * s->capacity : ROWS_FIRST;
    struct row *rows = realloc(s->rows, capacity * sizeof(*rows));
    if (!rows) {
        return error_set(err, E_OUTOFMEMORY, "out of memory for the load");
    }
    s->rows = rows;
    s->capacity = capacity;
    return S_OK;
}

static HRESULT send_row(struct session *s, size_t number, struct error *err)
{
    char text[128];
    HRESULT hr = make_room(s, err);
    if (FAILED(hr)) {
        return hr;
    }
    int length =
        snprintf(text, sizeof(text),
                 "INSERT INTO ledger VALUES (%zu, %" PRIu32 ", repeat('x', 400)) RETURNING n;\n",
                 number, s->sent + 1);
    s->rows[s->sent] = (struct row){.sent_us = clock_monotonic_us()};
    s->sent++;
    /* Shorter than PIPE_BUF, into a pipe that was read empty: it never waits. */
    return write(s->in, text, (size_t)length) == length
               ? S_OK
               : error_set_errno(err, errno, "session %zu of the load", number);
}

/* psql prints a row when the server has committed it. */
static HRESULT take_line(struct load *load, struct session *s, size_t number, struct error *err)
{
    char *end = NULL;
    s->line[s->line_length] = '\0';
    unsigned long n = strtoul(s->line, &end, 10);
    if (end == s->line || *end != '\0' || n != s->sent || s->acknowledged == s->sent) {
        return error_set(err, VSS_E_UNEXPECTED, "session %zu of the load: %s", number, s->line);
    }
    s->rows[n - 1].acknowledged_us = clock_monotonic_us();
    s->acknowledged = (uint32_t)n;
    s->line_length = 0;
    (void)atomic_fetch_add(&load->acknowledged, 1);
    return S_OK;
}

static HRESULT take_answer(struct load *load, struct session *s, size_t number, struct error *err)
{
    char bytes[LINE_BYTES];
    ssize_t got = read(s->out, bytes, sizeof(bytes));
    if (got <= 0) {
        return error_set(err, VSS_E_UNEXPECTED, "session %zu of the load has ended", number);
    }
    HRESULT hr = S_OK;
    for (ssize_t i = 0; i < got && SUCCEEDED(hr); i++) {
        if (bytes[i] == '\n') {
            hr = take_line(load, s, number, err);
        } else if (s->line_length < sizeof(s->line) - 1) {
            s->line[s->line_length++] = bytes[i];
        }
    }
    return hr;
}

/* ---- the thread ---- */

static HRESULT serve(struct load *load, struct session *s, size_t number, bool is_ready,
                     struct error *err)
{
    HRESULT hr = is_ready ? take_answer(load, s, number, err) : S_OK;
    if (SUCCEEDED(hr) && s->acknowledged == s->sent && !atomic_load(&load->should_end)) {
        hr = send_row(s, number, err);
    }
    uint64_t now = clock_monotonic_us();
    if (SUCCEEDED(hr) && s->acknowledged < s->sent &&
        now - s->rows[s->sent - 1].sent_us > (uint64_t)ANSWER_MS * 1000) {
        hr = error_set(err, VSS_E_UNEXPECTED, "session %zu of the load: no answer within %d s",
                       number, ANSWER_MS / 1000);
    }
    return hr;
}

static bool is_at_end(const struct load *load)
{
    bool is_waiting = false;
    for (size_t i = 0; i < LOAD_SESSIONS; i++) {
        is_waiting = is_waiting || load->sessions[i].acknowledged < load->sessions[i].sent;
    }
    return atomic_load(&load->should_end) && !is_waiting;
}

static void *run(void *user)
{
    struct load *load = user;
    struct pollfd fds[LOAD_SESSIONS];
    HRESULT hr = S_OK;
    while (SUCCEEDED(hr) && !is_at_end(load)) {
        for (size_t i = 0; i < LOAD_SESSIONS; i++) {
            fds[i] = (struct pollfd){.fd = load->sessions[i].out, .events = POLLIN};
        }
        (void)poll(fds, LOAD_SESSIONS, load->sessions[0].sent > 0 ? POLL_MS : 0);
        for (size_t i = 0; i < LOAD_SESSIONS && SUCCEEDED(hr); i++) {
            hr = serve(load, &load->sessions[i], i + 1, fds[i].revents != 0, &load->err);
        }
    }
    return NULL;
}

/* ---- all of it ---- */

HRESULT load_start(const char *const psql[], struct load **out, struct error *err)
{
    struct load *load = calloc(1, sizeof(*load));
    *out = load;
    if (!load) {
        return error_set(err, E_OUTOFMEMORY, "out of memory for the load");
    }
    for (size_t i = 0; i < LOAD_SESSIONS; i++) {
        load->sessions[i] = (struct session){.process = PROCESS_INIT, .in = -1, .out = -1};
    }
    HRESULT hr = S_OK;
    for (size_t i = 0; i < LOAD_SESSIONS && SUCCEEDED(hr); i++) {
        hr = session_start(&load->sessions[i], psql, err);
    }
    if (SUCCEEDED(hr)) {
        int reason = pthread_create(&load->thread, NULL, run, load);
        load->is_running = reason == 0;
        hr = reason == 0 ? S_OK : error_set_errno(err, reason, "no thread for the load");
    }
    if (FAILED(hr)) {
        load_free(load);
        *out = NULL;
    }
    return hr;
}

HRESULT load_stop(struct load *load, struct error *err)
{
    if (load->is_running) {
        atomic_store(&load->should_end, true);
        (void)pthread_join(load->thread, NULL);
        load->is_running = false;
    }
    for (size_t i = 0; i < LOAD_SESSIONS; i++) {
        session_end(&load->sessions[i]);
    }
    return FAILED(load->err.code) ? error_set(err, load->err.code, "%s", load->err.text) : S_OK;
}

void load_free(struct load *load)
{
    if (!load) {
        return;
    }
    (void)load_stop(load, NULL);
    for (size_t i = 0; i < LOAD_SESSIONS; i++) {
        free(load->sessions[i].rows);
    }
    free(load);
}

uint64_t load_acknowledged(struct load *load)
{
    return atomic_load(&load->acknowledged);
}

uint32_t load_acknowledged_before(const struct load *load, size_t session, uint64_t us)
{
    const struct session *s = &load->sessions[session];
    uint32_t n = s->acknowledged;
    while (n > 0 && s->rows[n - 1].acknowledged_us >= us) {
        n--;
    }
    return n;
}

uint32_t load_sent_before(const struct load *load, size_t session, uint64_t us)
{
    const struct session *s = &load->sessions[session];
    uint32_t n = s->sent;
    while (n > 0 && s->rows[n - 1].sent_us >= us) {
        n--;
    }
    return n;
}
