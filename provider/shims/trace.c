/* SPDX-License-Identifier: Apache-2.0 */
/* trace: says what is called, with what, what came of it and after how long. */
#include "common/buffer.h"
#include "common/clock.h"
#include "common/log.h"
#include "provider/host/ops.h"
#include "provider/host/wire/wire.h"
#include "provider/shims/describe.h"
#include "provider/shims/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { TIME_BYTES = 40 };

struct trace {
    int fd; /* -1: the log */
    bool is_json;
    bool has_complained;
    uint64_t number; /* of the call, in this process */
};

/* ---- lines -------------------------------------------------------------------------------------
 */

static char *now_text(char out[TIME_BYTES])
{
    struct timespec now;
    struct tm parts;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &parts);
    size_t length = strftime(out, TIME_BYTES, "%Y-%m-%dT%H:%M:%S", &parts);
    (void)snprintf(out + length, TIME_BYTES - length, ".%06ldZ", now.tv_nsec / 1000);
    return out;
}

/* One write for each line: others may append to the file too. */
static void write_line(struct trace *t, const struct vss_call *call, const char *line)
{
    if (!line) {
        return;
    }
    if (t->fd < 0) {
        log_line(LOG_INFO, "trace: %s array=%s", line, call->array);
        return;
    }
    char *whole = text_printf("%s\n", line);
    size_t bytes = whole ? strlen(whole) : 0;
    if (whole && write(t->fd, whole, bytes) != (ssize_t)bytes && !t->has_complained) {
        t->has_complained = true;
        log_line(LOG_WARNING, "the trace of array %s cannot be written: %s", call->array,
                 strerrordesc_np(errno));
    }
    free(whole);
}

static void write_json(struct trace *t, const struct vss_call *call, json_t *head,
                       const char *body_key, json_t *body)
{
    (void)json_object_set_new(head, body_key, body);
    char *line = json_dumps(head, JSON_COMPACT);
    write_line(t, call, line);
    free(line);
    json_decref(head);
}

static json_t *json_head(const struct trace *t, const struct vss_call *call,
                         enum vss_provider_op op, const char *event)
{
    char time[TIME_BYTES];
    return json_pack("{s:s, s:s, s:I, s:I, s:s, s:s}", "time", now_text(time), "array", call->array,
                     "process", (json_int_t)getpid(), "call", (json_int_t)t->number, "event", event,
                     "operation", op_find(op)->name);
}

static void write_text(struct trace *t, const struct vss_call *call, enum vss_provider_op op,
                       const char *result, json_t *body)
{
    char time[TIME_BYTES];
    char *said = describe_as_text(body);
    char *line = text_printf("%s [%ld] #%llu %s%s%s%s", now_text(time), (long)getpid(),
                             (unsigned long long)t->number, op_find(op)->name, result,
                             said && *said ? ": " : "", said ? said : "");
    write_line(t, call, line);
    free(line);
    free(said);
    json_decref(body);
}

static void trace_begin(struct trace *t, const struct vss_call *call, enum vss_provider_op op,
                        const void *in)
{
    json_t *body = describe_in(op, in, t->is_json);
    if (t->is_json) {
        json_t *head = json_head(t, call, op, "call");
        (void)json_object_set_new(head, "deadline_ms", json_integer(call->deadline_ms));
        write_json(t, call, head, "in", body);
    } else {
        write_text(t, call, op, "", body);
    }
}

static char *code_text(HRESULT code)
{
    const char *name = vss_error_name(code);
    return name ? text_copy(name) : text_printf("0x%08x", (unsigned)code);
}

static void trace_end(struct trace *t, const struct shim_call *own, enum vss_provider_op op,
                      HRESULT result, uint64_t taken_us, json_t *body)
{
    char *code = code_text(result);
    const char *name = code ? code : "";
    if (t->is_json) {
        json_t *head = json_head(t, own->above, op, "result");
        (void)json_object_set_new(head, "result", json_string(name));
        (void)json_object_set_new(head, "taken_us", json_integer((json_int_t)taken_us));
        if (own->line[0]) {
            json_t *line = json_string(own->line);
            (void)json_object_set_new(head, "error", line ? line : json_string("?"));
        }
        write_json(t, own->above, head, "out", body);
    } else {
        if (own->line[0]) {
            (void)json_object_set_new(body, "error", json_string(own->line));
        }
        char *words = text_printf(" = %s after %llu us", name, (unsigned long long)taken_us);
        write_text(t, own->above, op, words ? words : "", body);
        free(words);
    }
    free(code);
}

/* ---- the shim ----------------------------------------------------------------------------------
 */

static HRESULT trace_call(struct shim_layer *layer, enum vss_provider_op op,
                          const struct vss_call *call, const void *in, void *out)
{
    struct trace *t = layer->data;
    struct shim_call own;
    shim_call_begin(&own, call);
    t->number++;
    trace_begin(t, call, op, in);
    uint64_t start_us = clock_monotonic_us();
    HRESULT result = shim_pass(layer, op, &own.call, in, out);
    uint64_t taken_us = clock_monotonic_us() - start_us;
    json_t *body = SUCCEEDED(result) ? describe_out(op, out, wire_lun_count(op, in), t->is_json)
                                     : json_object();
    trace_end(t, &own, op, result, taken_us, body);
    return result;
}

static HRESULT open_file(struct trace *t, const char *path, struct error *err)
{
    t->fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
    return t->fd < 0 ? error_set_errno(err, errno, "\"trace_file = %s\"", path) : S_OK;
}

static HRESULT trace_open(struct shim_layer *layer, const struct config_section *section,
                          struct error *err)
{
    const char *path = config_value(section, "trace_file", NULL);
    const char *format = config_value(section, "trace_format", "text");
    struct trace *t = calloc(1, sizeof(*t));
    layer->data = t;
    if (!t) {
        return error_set(err, E_OUTOFMEMORY, "out of memory");
    }
    t->fd = -1;
    t->is_json = strcmp(format, "json") == 0;
    if (!t->is_json && strcmp(format, "text") != 0) {
        return error_set(err, E_INVALIDARG, "\"trace_format = %s\" is neither text nor json",
                         format);
    }
    return path ? open_file(t, path, err) : S_OK;
}

static void trace_close(struct shim_layer *layer)
{
    struct trace *t = layer->data;
    if (t && t->fd >= 0) {
        (void)close(t->fd);
    }
    free(t);
}

const struct shim shim_trace = {
    .name = "trace", .open = trace_open, .call = trace_call, .close = trace_close};
