/* SPDX-License-Identifier: Apache-2.0 */
#include "provider/host/remote.h"

#include "common/clock.h"
#include "common/id.h"
#include "common/log.h"
#include "common/process.h"
#include "provider/helper.h"
#include "provider/host/internal.h"
#include "provider/host/wire/frame.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    HELLO_MS = 10000,
    LEAVE_MS = 2000,
    GRACE_MS = 200,
    REAP_MS = 5000,
    MOST_MS = 24 * 3600 * 1000
};

struct remote {
    const struct config *config; /* for the portals of lun_open() */
    const struct config_section *section;
    uint32_t cap_ms; /* 0: none */
    pthread_mutex_t lock;
    struct process process;
    int socket; /* -1: no process */
    struct frame_reader reader;
    uint64_t number; /* of the last request */
    bool is_loaded;  /* this process was called, OnLoad first where there is one */
    bool is_leaving; /* told to */
    bool has_facts;  /* of the first process; later ones must say the same */
    struct wire_facts facts;
    struct provider_arena facts_arena;
};

/* What the process is doing while we wait, for the line that tells its end. */
struct errand {
    const char *name;
    uint64_t start_us;
    uint32_t limit_ms;
};

static struct errand errand_start(const char *name, uint32_t limit_ms)
{
    return (struct errand){.name = name, .start_us = clock_monotonic_us(), .limit_ms = limit_ms};
}

static uint64_t errand_deadline(const struct errand *errand)
{
    return errand->start_us + (uint64_t)errand->limit_ms * 1000;
}

static double errand_seconds(const struct errand *errand)
{
    return (double)(clock_monotonic_us() - errand->start_us) / 1e6;
}

/* ---- the end of a process ----------------------------------------------------------------------
 */

static bool waits_for_end(const struct remote *r, int ms)
{
    struct pollfd p = {.fd = r->process.pidfd, .events = POLLIN};
    int rc;
    do {
        rc = poll(&p, 1, ms);
    } while (rc < 0 && errno == EINTR);
    return rc > 0;
}

/* Waits so long for its own end, and for one that is under way; then kills. Whatever it started in
 * its session goes with it, but where it left in good order. True where it ended by itself. Until
 * it is reaped its pid, so its group, is nobody else's. */
static bool end_process(struct remote *r, int grace_ms, int *out_status)
{
    *out_status = 0;
    if (r->process.pidfd < 0) {
        return true;
    }
    bool by_itself = waits_for_end(r, grace_ms) ||
                     (grace_ms > 0 && process_is_ending(&r->process) && waits_for_end(r, REAP_MS));
    if (!by_itself || !r->is_leaving) {
        (void)kill(-r->process.pid, SIGKILL);
    }
    (void)process_signal(&r->process, SIGKILL);
    if (process_wait(&r->process, REAP_MS, out_status) == S_FALSE) {
        log_line(LOG_ERROR, "process %ld cannot be killed array=%s", (long)r->process.pid,
                 r->section->name);
        (void)close(r->process.pidfd);
    }
    return by_itself;
}

static bool stop(struct remote *r, int grace_ms, int *out_status)
{
    bool by_itself = end_process(r, grace_ms, out_status);
    if (r->socket >= 0) {
        (void)close(r->socket);
    }
    frame_reader_free(&r->reader);
    r->process = (struct process)PROCESS_INIT;
    r->socket = -1;
    r->is_loaded = false;
    return by_itself;
}

static HRESULT tell_own_end(int status, const struct errand *errand, struct error *line)
{
    if (WIFSIGNALED(status)) {
        const char *name = sigabbrev_np(WTERMSIG(status));
        return error_set(line, VSS_E_UNEXPECTED_PROVIDER_ERROR,
                         "provider died of signal %d (SIG%s) in %s after %.1f s", WTERMSIG(status),
                         name ? name : "?", errand->name, errand_seconds(errand));
    }
    return error_set(line, VSS_E_UNEXPECTED_PROVIDER_ERROR,
                     "provider ended with exit code %d in %s after %.1f s", WEXITSTATUS(status),
                     errand->name, errand_seconds(errand));
}

/* Ends the process after end; line says why. */
static HRESULT lose(struct remote *r, enum frame_end end, const struct errand *errand,
                    struct error *line)
{
    int status = 0;
    bool by_itself = stop(r, end == FRAME_CLOSED ? GRACE_MS : 0, &status);
    switch (end) {
    case FRAME_LATE:
        return error_set(line, VSS_E_UNEXPECTED_PROVIDER_ERROR,
                         "provider did not answer %s within %u ms and was killed", errand->name,
                         errand->limit_ms);
    case FRAME_MEMORY:
        return error_set(line, E_OUTOFMEMORY, "out of memory reading the provider's answer to %s",
                         errand->name);
    case FRAME_CLOSED:
        if (by_itself) {
            return tell_own_end(status, errand, line);
        }
        return error_set(line, VSS_E_UNEXPECTED_PROVIDER_ERROR,
                         "provider closed its connection in %s after %.1f s and was killed",
                         errand->name, errand_seconds(errand));
    case FRAME_OK:
    case FRAME_GARBAGE:
        break;
    }
    return error_set(line, VSS_E_UNEXPECTED_PROVIDER_ERROR,
                     "provider answered %s with garbage after %.1f s and was killed", errand->name,
                     errand_seconds(errand));
}

/* ---- frames ------------------------------------------------------------------------------------
 */

/* One printable line, whatever a plug-in put into it. */
static void copy_line(const char *from, char *out, size_t bytes)
{
    size_t i = 0;
    for (; from[i] && i + 1 < bytes; i++) {
        bool is_control = (unsigned char)from[i] < 0x20 || from[i] == 0x7f;
        out[i] = is_control ? '?' : from[i];
    }
    out[i] = '\0';
}

static void pass_log(const struct wire_log *log)
{
    char text[1024];
    int level = log->level < LOG_ERROR ? LOG_ERROR : log->level;
    copy_line(log->text, text, sizeof(text));
    log_line(level > LOG_TRACE ? LOG_TRACE : (enum log_level)level, "%s", text);
}

/* Waits for a frame of this kind; log lines before it are passed on. */
static enum frame_end await(struct remote *r, enum wire_kind kind, const struct errand *errand,
                            struct provider_arena *arena, struct wire_frame *out)
{
    for (;;) {
        const uint8_t *content;
        size_t bytes;
        struct provider_arena own = PROVIDER_ARENA_INIT;
        enum frame_end end = frame_receive(r->socket, r->process.pidfd, &r->reader,
                                           errand_deadline(errand), &content, &bytes);
        if (end != FRAME_OK) {
            return end;
        }
        if (clock_monotonic_us() > errand_deadline(errand)) {
            return FRAME_LATE; /* log lines without end */
        }
        bool is_frame = wire_decode(content, bytes, &own, out) == S_OK;
        bool is_log = is_frame && out->kind == WIRE_LOG;
        if (is_log) {
            pass_log(&out->log);
        } else if (is_frame && out->kind == kind) {
            provider_arena_join(arena, &own);
            return FRAME_OK;
        }
        bool was_short = own.is_short;
        provider_arena_free(&own);
        if (!is_log) {
            return was_short ? FRAME_MEMORY : FRAME_GARBAGE;
        }
    }
}

static enum frame_end send_content(struct remote *r, struct wire_content *content,
                                   const struct errand *errand)
{
    enum frame_end end =
        frame_send(r->socket, content->data, content->bytes, errand_deadline(errand));
    free(content->data);
    return end;
}

/* ---- the start of a process --------------------------------------------------------------------
 */

static int wanted_log_level(void)
{
    int level = LOG_TRACE;
    while (level >= LOG_ERROR && !log_wants((enum log_level)level)) {
        level--;
    }
    return level;
}

/* What a plug-in and the programs it calls may need to run at all. The rest of the environment may
 * hold what is none of its business, such as another portal's secret. */
static const char *const passed_on[] = {"PATH",
                                        "HOME",
                                        "LANG",
                                        "LC_ALL",
                                        "TZ",
                                        "TMPDIR",
                                        "LD_LIBRARY_PATH",
                                        "ASAN_OPTIONS",
                                        "LSAN_OPTIONS",
                                        "UBSAN_OPTIONS",
                                        "TSAN_OPTIONS",
                                        "TGT_IPC_SOCKET",
                                        "LUNSHADOW_LIBEXECDIR",
                                        "LUNSHADOW_PROVIDER_DIR"};
enum { PASSED_ON = sizeof(passed_on) / sizeof(passed_on[0]) };

/* All of it or nothing: without TGT_IPC_SOCKET, say, it would speak to another tgtd. */
static HRESULT copy_environment(char *out[PASSED_ON + 1], struct error *line)
{
    size_t count = 0;
    for (size_t i = 0; i < PASSED_ON; i++) {
        const char *value = getenv(passed_on[i]);
        if (!value) {
            continue;
        }
        out[count] = text_printf("%s=%s", passed_on[i], value);
        if (!out[count]) {
            return error_set(line, E_OUTOFMEMORY, "out of memory starting a provider");
        }
        count++;
    }
    return S_OK;
}

static HRESULT spawn(struct remote *r, int far_end, struct error *line)
{
    char number[16];
    char *environment[PASSED_ON + 1] = {NULL};
    (void)snprintf(number, sizeof(number), "%d", far_end);
    const char *const argv[] = {helper_program("lunshadow-provider-host"), number, r->section->name,
                                NULL};
    struct process_options options = PROCESS_OPTIONS_INIT;
    options.keep_fds = &far_end;
    options.keep_count = 1;
    options.new_session = true;
    options.environment = (const char *const *)environment;
    options.only_environment = true;
    HRESULT hr = copy_environment(environment, line);
    if (SUCCEEDED(hr)) {
        hr = process_start(argv, &options, &r->process, line);
    }
    for (size_t i = 0; i < PASSED_ON; i++) {
        free(environment[i]);
    }
    return hr;
}

/* A plug-in that was exchanged under a running session would meet states that it never made. */
static bool is_same(const struct wire_facts *a, const struct wire_facts *b)
{
    return strcmp(a->path, b->path) == 0 && id_equal(&a->provider_id, &b->provider_id) &&
           id_equal(&a->version_id, &b->version_id) && a->ops == b->ops;
}

static HRESULT take_facts(struct remote *r, const struct wire_facts *facts, struct error *line)
{
    if (FAILED(facts->result)) {
        char text[sizeof(line->text)];
        copy_line(facts->error ? facts->error : "no reason was given", text, sizeof(text));
        return error_set(line, facts->result, "%s", text);
    }
    if (!r->has_facts) {
        r->facts = *facts;
        r->has_facts = true;
        return S_OK;
    }
    return is_same(&r->facts, facts)
               ? S_OK
               : error_set(line, VSS_E_UNEXPECTED_PROVIDER_ERROR,
                           "plug-in %s was exchanged meanwhile; open a new session", r->facts.path);
}

static HRESULT greet(struct remote *r, struct error *line)
{
    struct errand errand = errand_start("loading", HELLO_MS);
    struct wire_content content = {0};
    struct wire_frame frame;
    struct provider_arena arena = PROVIDER_ARENA_INIT;
    HRESULT hr = wire_encode_hello(r->config, r->section, wanted_log_level(), &content);
    if (FAILED(hr)) {
        return error_set(line, hr, "out of memory starting a provider");
    }
    enum frame_end end = send_content(r, &content, &errand);
    if (end == FRAME_OK) {
        end = await(r, WIRE_FACTS, &errand, &arena, &frame);
    }
    if (end == FRAME_OK) {
        bool is_first = !r->has_facts;
        hr = take_facts(r, &frame.facts, line);
        if (is_first && SUCCEEDED(hr)) {
            provider_arena_join(&r->facts_arena, &arena);
        }
    } else {
        hr = lose(r, end, &errand, line);
    }
    provider_arena_free(&arena);
    return hr;
}

static HRESULT start(struct remote *r, struct error *line)
{
    int ends[2];
    int unused;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        return error_set_errno(line, errno, "cannot make a socket for the provider");
    }
    r->socket = ends[0];
    HRESULT hr = spawn(r, ends[1], line);
    (void)close(ends[1]);
    if (SUCCEEDED(hr)) {
        hr = greet(r, line);
    }
    if (FAILED(hr)) {
        (void)stop(r, 0, &unused);
    }
    return hr;
}

/* ---- calls -------------------------------------------------------------------------------------
 */

/* An answer that came whole but is none. The process may stay: it keeps to the protocol. */
static HRESULT refuse_answer(const struct error *why, struct error *line)
{
    return error_set(line,
                     why->code == E_OUTOFMEMORY ? E_OUTOFMEMORY : VSS_E_UNEXPECTED_PROVIDER_ERROR,
                     "the provider's answer is not usable: %s", why->text);
}

static HRESULT exchange(struct remote *r, enum vss_provider_op op, const void *in, void *out,
                        struct provider_arena *arena, uint32_t limit_ms, HRESULT *out_result,
                        struct error *line)
{
    struct errand errand = errand_start(provider_op_name(op), limit_ms);
    struct wire_content content = {0};
    struct wire_frame frame;
    struct error why = {0};
    HRESULT hr = wire_encode_request(++r->number, op, limit_ms, in, &content);
    if (SUCCEEDED(hr) && content.bytes > FRAME_BYTES_MAX) {
        free(content.data);
        hr = E_OUTOFMEMORY;
    }
    if (FAILED(hr)) {
        return error_set(line, hr, "out of memory calling %s", errand.name);
    }
    enum frame_end end = send_content(r, &content, &errand);
    if (end == FRAME_OK) {
        end = await(r, WIRE_REPLY, &errand, arena, &frame);
    }
    if (end == FRAME_OK && frame.reply.number != r->number) {
        end = FRAME_GARBAGE;
    }
    if (end != FRAME_OK) {
        hr = lose(r, end, &errand, line);
        bool is_late_cut = end == FRAME_LATE && op == VSS_OP_COMMIT_SNAPSHOTS;
        return is_late_cut ? error_translate(line, VSS_E_HOLD_WRITES_TIMEOUT) : hr;
    }
    if (SUCCEEDED(frame.reply.result)) {
        hr = wire_take_out(&frame, op, wire_lun_count(op, in), arena, out, &why);
    }
    if (FAILED(hr) && arena->is_short) {
        return error_set(line, E_OUTOFMEMORY, "out of memory reading the provider's answer to %s",
                         errand.name);
    }
    if (FAILED(hr)) {
        return refuse_answer(&why, line);
    }
    if (frame.reply.error) {
        char text[sizeof(line->text)];
        copy_line(frame.reply.error, text, sizeof(text));
        (void)error_set(line, VSS_E_UNEXPECTED, "%s", text);
    }
    *out_result = frame.reply.result;
    return S_OK;
}

static uint32_t limit_of(const struct remote *r, uint32_t deadline_ms)
{
    return r->cap_ms && r->cap_ms < deadline_ms ? r->cap_ms : deadline_ms;
}

/* What is left of a call's time where some was taken by a process that had to start; 1 where
 * nothing is. */
static uint32_t left_of(const struct errand *call)
{
    uint64_t taken_ms = (clock_monotonic_us() - call->start_us) / 1000;
    return taken_ms < call->limit_ms ? call->limit_ms - (uint32_t)taken_ms : 1;
}

static HRESULT load_again(struct remote *r, const struct errand *call, struct error *line)
{
    struct provider_arena arena = PROVIDER_ARENA_INIT;
    struct vss_on_load_in in = {.struct_size = sizeof(in)};
    struct vss_on_load_out out = {.struct_size = sizeof(out)};
    HRESULT result = S_OK;
    uint32_t own_ms = op_find(VSS_OP_ON_LOAD)->deadline_ms;
    uint32_t left_ms = left_of(call);
    uint32_t limit_ms = limit_of(r, left_ms < own_ms ? left_ms : own_ms);
    HRESULT hr = exchange(r, VSS_OP_ON_LOAD, &in, &out, &arena, limit_ms, &result, line);
    provider_arena_free(&arena);
    if (SUCCEEDED(hr) && FAILED(result)) {
        int unused;
        (void)stop(r, 0, &unused);
        error_prefix(line, "OnLoad failed in a new process");
        return error_set(line, VSS_E_UNEXPECTED_PROVIDER_ERROR,
                         "provider could not start again: OnLoad gave 0x%08x", (unsigned)result);
    }
    r->is_loaded = SUCCEEDED(hr);
    return hr;
}

/* One may have ended since its last answer: that cost no call, and a new one serves. */
static void bury_the_dead(struct remote *r)
{
    struct pollfd p = {.fd = r->process.pidfd, .events = POLLIN};
    int status;
    if (r->socket >= 0 && poll(&p, 1, 0) > 0) {
        struct errand errand = errand_start("between two calls", 0);
        struct error line = {0};
        (void)stop(r, 0, &status);
        (void)tell_own_end(status, &errand, &line);
        log_line(LOG_WARNING, "array %s: %s", r->section->name, line.text);
    }
}

/* Why it does not start is no answer of the array's: a file that is not there must not pass for a
 * copy that is not. */
static HRESULT start_again(struct remote *r, struct error *line)
{
    HRESULT hr = start(r, line);
    return FAILED(hr) && hr != E_OUTOFMEMORY
               ? error_translate(line, VSS_E_UNEXPECTED_PROVIDER_ERROR)
               : hr;
}

static HRESULT make_ready(struct remote *r, enum vss_provider_op op, const struct errand *call,
                          struct error *line)
{
    HRESULT hr = S_OK;
    bury_the_dead(r);
    if (r->socket < 0) {
        hr = start_again(r, line);
    }
    if (SUCCEEDED(hr) && !remote_has(r, VSS_OP_ON_LOAD)) {
        r->is_loaded = true; /* it needs no word of it */
    }
    if (SUCCEEDED(hr) && !r->is_loaded && op != VSS_OP_ON_LOAD) {
        hr = load_again(r, call, line);
    }
    return hr;
}

HRESULT remote_call(struct remote *remote, enum vss_provider_op op, const void *in, void *out,
                    struct provider_arena *arena, uint32_t deadline_ms, HRESULT *out_result,
                    struct error *line)
{
    *out_result = S_OK;
    if (out) {
        memset(out, 0, op_find(op)->out_bytes);
        memcpy(out, &op_find(op)->out_bytes, sizeof(uint32_t));
    }
    (void)pthread_mutex_lock(&remote->lock);
    struct errand call = errand_start(provider_op_name(op), deadline_ms);
    HRESULT hr = make_ready(remote, op, &call, line);
    if (SUCCEEDED(hr)) {
        uint32_t limit_ms = limit_of(remote, left_of(&call));
        hr = exchange(remote, op, in, out, arena, limit_ms, out_result, line);
    }
    if (SUCCEEDED(hr) && SUCCEEDED(*out_result) && op == VSS_OP_ON_LOAD) {
        remote->is_loaded = true;
    }
    (void)pthread_mutex_unlock(&remote->lock);
    return hr;
}

/* ---- from opening to closing -------------------------------------------------------------------
 */

HRESULT remote_open(const struct config *config, const struct config_section *section,
                    struct remote **out, struct error *err)
{
    *out = NULL;
    uint64_t cap_ms = 0;
    HRESULT hr = config_number(section, "deadline_ms", 10, MOST_MS, 0, &cap_ms, err);
    if (FAILED(hr)) {
        return hr;
    }
    struct remote *r = calloc(1, sizeof(*r));
    if (!r) {
        return error_set(err, E_OUTOFMEMORY, "out of memory starting a provider");
    }
    r->config = config;
    r->section = section;
    r->cap_ms = (uint32_t)cap_ms;
    r->process = (struct process)PROCESS_INIT;
    r->socket = -1;
    (void)pthread_mutex_init(&r->lock, NULL);
    hr = start(r, err);
    if (FAILED(hr)) {
        remote_close(r);
        return hr;
    }
    *out = r;
    return S_OK;
}

static void unload(struct remote *r)
{
    struct provider_arena arena = PROVIDER_ARENA_INIT;
    struct vss_on_unload_in in = {.struct_size = sizeof(in), .is_forced = 1};
    struct error line = {0};
    HRESULT unused;
    uint32_t limit_ms = limit_of(r, op_find(VSS_OP_ON_UNLOAD)->deadline_ms);
    if (FAILED(exchange(r, VSS_OP_ON_UNLOAD, &in, NULL, &arena, limit_ms, &unused, &line))) {
        log_line(LOG_WARNING, "array %s: %s", r->section->name, line.text);
    }
    provider_arena_free(&arena);
}

void remote_close(struct remote *remote)
{
    int unused;
    if (!remote) {
        return;
    }
    bury_the_dead(remote);
    if (remote->socket >= 0 && remote->is_loaded && remote_has(remote, VSS_OP_ON_UNLOAD)) {
        unload(remote);
    }
    if (remote->socket >= 0) {
        remote->is_leaving = true;
        (void)shutdown(remote->socket, SHUT_RDWR);
    }
    (void)stop(remote, LEAVE_MS, &unused);
    (void)pthread_mutex_destroy(&remote->lock);
    provider_arena_free(&remote->facts_arena);
    free(remote);
}

const struct wire_facts *remote_facts(const struct remote *remote)
{
    return &remote->facts;
}

bool remote_has(const struct remote *remote, enum vss_provider_op op)
{
    return (uint32_t)op < VSS_OP_COUNT && (remote->facts.ops >> op & 1);
}

pid_t remote_pid(const struct remote *remote)
{
    return remote->socket >= 0 ? remote->process.pid : 0;
}

HRESULT provider_attach(const struct config *config, const struct config_section *section,
                        struct store *store, struct provider **out, struct error *err)
{
    *out = NULL;
    struct provider *p = calloc(1, sizeof(*p));
    if (!p) {
        return error_set(err, E_OUTOFMEMORY, "out of memory starting a provider");
    }
    p->section = section;
    p->store = store;
    HRESULT hr = remote_open(config, section, &p->remote, err);
    if (FAILED(hr)) {
        free(p);
        return hr;
    }
    const struct wire_facts *facts = remote_facts(p->remote);
    p->path = text_copy(facts->path);
    p->table = (struct vss_provider_table){.magic = VSS_PROVIDER_MAGIC,
                                           .struct_size = sizeof(p->table),
                                           .abi_major = facts->abi_major,
                                           .abi_minor = facts->abi_minor,
                                           .provider_id = facts->provider_id,
                                           .version_id = facts->version_id,
                                           .name = facts->name,
                                           .version = facts->version,
                                           .type = VSS_PROV_HARDWARE,
                                           .thread_model = VSS_THREADS_SERIALIZED,
                                           .op_count = VSS_OP_COUNT};
    if (!p->path) {
        provider_unload(p);
        return error_set(err, E_OUTOFMEMORY, "out of memory starting a provider");
    }
    *out = p;
    return S_OK;
}
