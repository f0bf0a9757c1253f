/* SPDX-License-Identifier: Apache-2.0 */
/* lunshadow-provider-host: one plug-in, one call at a time, for whoever holds the other end of the
 * socket that is the first argument (the second one names the array, for ps). */
#include "common/clock.h"
#include "common/log.h"
#include "provider/host/internal.h"
#include "provider/host/privileges.h"
#include "provider/host/wire/frame.h"
#include "provider/host/wire/wire.h"
#include "provider/shims/stack.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EXIT_USAGE = 2, STACK_BYTES = 256 * 1024, KEPT_BYTES = 1024 * 1024, PARTING_MS = 100 };

static int caller = -1;
static int parent_fd = -1; /* the caller's process */
static pthread_mutex_t sending = PTHREAD_MUTEX_INITIALIZER;

static enum frame_end send_content(struct wire_content *content)
{
    (void)pthread_mutex_lock(&sending);
    enum frame_end end = frame_send(caller, content->data, content->bytes, FRAME_FOREVER);
    (void)pthread_mutex_unlock(&sending);
    free(content->data);
    return end;
}

/* Lines go to the caller, whose log it is. */
static void send_log(enum log_level level, const char *line, void *user)
{
    (void)user;
    struct wire_content content = {0};
    if (SUCCEEDED(wire_encode_log((int)level, line, &content))) {
        (void)send_content(&content);
    }
}

/* ---- outliving nobody --------------------------------------------------------------------------
 */

/* A plug-in may be in the middle of anything when our caller dies, and the caller's locks are gone
 * then: end at once, with all that it started. A hold ends with us: the guard, which has a session
 * of its own, sees to it. */
static void *watch(void *unused)
{
    struct pollfd p = {.fd = parent_fd, .events = POLLIN};
    (void)unused;
    while (poll(&p, 1, -1) < 0 && errno == EINTR) {
    }
    if (getpgrp() == getpid()) {
        (void)kill(0, SIGKILL);
    }
    _exit(0);
}

/* The socket of a caller that dies closes a moment before watch() sees it. Whoever is still at work
 * for us goes on only where the caller lives, and let us go. */
static void part(void)
{
    siginfo_t info;
    bool has_children = waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
    if (has_children) {
        clock_sleep_ms(PARTING_MS);
    }
}

static bool start_watch(void)
{
    pthread_t thread;
    pthread_attr_t attributes;
    pid_t parent = getppid();
    parent_fd = pidfd_open(parent, 0);
    if (parent_fd < 0 || getppid() != parent || pthread_attr_init(&attributes) != 0) {
        return false;
    }
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    (void)pthread_attr_setstacksize(&attributes, STACK_BYTES);
    int rc = pthread_create(&thread, &attributes, watch, NULL);
    (void)pthread_attr_destroy(&attributes);
    return rc == 0;
}

/* ---- loading -----------------------------------------------------------------------------------
 */

static HRESULT load(const struct config *config, struct provider **out, struct error *err)
{
    const struct config_section *section = &config->sections[0];
    const char *user = config_value(section, "user", NULL);
    HRESULT hr = user ? privileges_become(user, err) : S_OK;
    if (SUCCEEDED(hr)) {
        hr = provider_load(section, NULL, out, err);
    }
    if (SUCCEEDED(hr)) {
        (*out)->config = config;
    }
    return hr;
}

static enum frame_end send_facts(const struct provider *p, HRESULT result, const struct error *why)
{
    struct wire_facts facts = {.result = result};
    struct wire_content content = {0};
    if (p) {
        facts.path = p->path;
        facts.provider_id = p->table.provider_id;
        facts.version_id = p->table.version_id;
        facts.name = p->table.name;
        facts.version = p->table.version;
        facts.abi_major = p->table.abi_major;
        facts.abi_minor = p->table.abi_minor;
    } else {
        facts.error = error_text(why);
    }
    for (uint32_t op = 0; p && op < VSS_OP_COUNT; op++) {
        facts.ops |= p->ops[op] ? UINT64_C(1) << op : 0;
    }
    return SUCCEEDED(wire_encode_facts(&facts, &content)) ? send_content(&content) : FRAME_MEMORY;
}

/* ---- calls -------------------------------------------------------------------------------------
 */

static HRESULT call(struct provider *p, const struct wire_request *request, union wire_out *out,
                    struct provider_arena *arena, struct error *line)
{
    const struct provider_op *known = op_find(request->op);
    if (!p->ops[request->op]) {
        return E_NOTIMPL;
    }
    HRESULT result = provider_run(p, request->op, known->in_bytes ? &request->in : NULL,
                                  known->out_bytes ? out : NULL, arena, request->deadline_ms, line);
    if (request->op == VSS_OP_ON_LOAD && SUCCEEDED(result)) {
        p->self = out->on_load.self;
    }
    return result;
}

static enum frame_end answer(const struct wire_request *request, HRESULT result,
                             const union wire_out *out, const char *line)
{
    struct wire_reply reply = {.number = request->number, .result = result, .error = line};
    struct wire_content content = {0};
    uint32_t lun_count = wire_lun_count(request->op, &request->in);
    HRESULT hr = wire_encode_reply(&reply, request->op, out, lun_count, &content);
    return SUCCEEDED(hr) ? send_content(&content) : FRAME_MEMORY;
}

static bool serve_one(struct provider *p, const struct wire_request *request,
                      struct provider_arena *arena)
{
    struct error line = {0};
    union wire_out out;
    memset(&out, 0, sizeof(out));
    HRESULT result = call(p, request, &out, arena, &line);
    enum frame_end end = answer(request, result, &out, line.text[0] ? line.text : NULL);
    if (end == FRAME_GARBAGE) {
        end = answer(request, VSS_E_UNEXPECTED_PROVIDER_ERROR, NULL,
                     "its answer is larger than 16 MiB");
    }
    return end == FRAME_OK;
}

static bool receive(struct frame_reader *reader, struct provider_arena *arena, enum wire_kind kind,
                    struct wire_frame *out)
{
    const uint8_t *content;
    size_t bytes;
    return frame_receive(caller, -1, reader, FRAME_FOREVER, &content, &bytes) == FRAME_OK &&
           wire_decode(content, bytes, arena, out) == S_OK && out->kind == kind;
}

static void serve(struct provider *p, struct frame_reader *reader)
{
    for (bool goes_on = true; goes_on;) {
        struct provider_arena arena = PROVIDER_ARENA_INIT;
        struct wire_frame frame;
        goes_on =
            receive(reader, &arena, WIRE_REQUEST, &frame) && serve_one(p, &frame.request, &arena);
        provider_arena_free(&arena);
    }
}

static bool parse_socket(const char *text, int *out)
{
    char *end;
    struct stat st;
    long fd = strtol(text, &end, 10);
    if (end == text || *end != '\0' || fd <= STDERR_FILENO || fd > INT_MAX) {
        return false;
    }
    *out = (int)fd;
    return fstat(*out, &st) == 0 && S_ISSOCK(st.st_mode) && fcntl(*out, F_SETFD, FD_CLOEXEC) == 0;
}

int main(int argc, char *argv[])
{
    struct provider_arena arena = PROVIDER_ARENA_INIT; /* the section lives as long as we */
    struct frame_reader reader = {0};
    struct wire_frame frame;
    struct provider *p = NULL;
    struct error why = {0};
    if (argc < 2 || !parse_socket(argv[1], &caller)) {
        (void)fprintf(stderr, "lunshadow-provider-host is started by lunshadow, not by hand\n");
        return EXIT_USAGE;
    }
    (void)mallopt(M_TRIM_THRESHOLD, KEPT_BYTES); /* what one call took, the next one takes again */
    HRESULT hr = privileges_limit(caller, &why);
    if (!start_watch() || !receive(&reader, &arena, WIRE_HELLO, &frame)) {
        return EXIT_FAILURE;
    }
    if (frame.hello.log_level >= LOG_ERROR) {
        log_set_sink(send_log, NULL, (enum log_level)frame.hello.log_level);
    }
    shims_set_socket(caller);
    if (SUCCEEDED(hr)) {
        hr = load(&frame.hello.config, &p, &why);
    }
    if (send_facts(p, hr, &why) == FRAME_OK && p) {
        serve(p, &reader);
        part();
    }
    /* OnUnload is a call like others; without it our caller died, and so do we. */
    if (p) {
        p->is_loaded = false;
    }
    provider_unload(p);
    frame_reader_free(&reader);
    provider_arena_free(&arena);
    return EXIT_SUCCESS;
}
