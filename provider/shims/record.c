/* SPDX-License-Identifier: Apache-2.0 */
/* replay above a provider: writes down what crosses. */
#include "provider/shims/recording.h"
#include "provider/shims/shim.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct record {
    int fd; /* -1: it could not be written, and ends there */
    uint64_t number;
};

static void append(struct record *r, const struct vss_call *call, HRESULT encoded,
                   struct wire_content *content)
{
    if (SUCCEEDED(encoded) && r->fd >= 0 && recording_append(r->fd, content)) {
        return;
    }
    free(content->data);
    if (r->fd >= 0) {
        (void)close(r->fd);
        r->fd = -1;
        call->host->log(call, VSS_LOG_ERROR, "the recording cannot be written; it is not whole");
    }
}

static void record_reply(struct record *r, const struct shim_call *own, enum vss_provider_op op,
                         HRESULT result, const void *out, uint32_t lun_count)
{
    struct wire_content content = {0};
    struct wire_reply reply = {
        .number = r->number, .result = result, .error = own->line[0] ? own->line : NULL};
    HRESULT hr = wire_encode_reply(&reply, op, out, lun_count, &content);
    append(r, own->above, hr, &content);
}

static HRESULT record_call(struct shim_layer *layer, enum vss_provider_op op,
                           const struct vss_call *call, const void *in, void *out)
{
    struct record *r = layer->data;
    struct wire_content content = {0};
    struct shim_call own;
    shim_call_begin(&own, call);
    HRESULT hr = wire_encode_request(++r->number, op, call->deadline_ms, in, &content);
    append(r, call, hr, &content);
    HRESULT result = shim_pass(layer, op, &own.call, in, out);
    record_reply(r, &own, op, result, out, wire_lun_count(op, in));
    return result;
}

/* Whose calls they are. */
static HRESULT record_facts(struct shim_layer *layer, struct error *err)
{
    struct record *r = layer->data;
    const struct vss_provider_table *table = &layer->table;
    struct wire_content content = {0};
    struct wire_facts facts = {.path = "", /* says nothing where it is played */
                               .provider_id = table->provider_id,
                               .version_id = table->version_id,
                               .name = table->name,
                               .version = table->version,
                               .abi_major = table->abi_major,
                               .abi_minor = table->abi_minor};
    for (uint32_t op = 0; op < VSS_OP_COUNT; op++) {
        facts.ops |= layer->below[op] ? UINT64_C(1) << op : 0;
    }
    HRESULT hr = wire_encode_facts(&facts, &content);
    if (SUCCEEDED(hr) && !recording_append(r->fd, &content)) {
        hr = error_set(err, VSS_E_UNEXPECTED, "the recording cannot be written");
    }
    return hr;
}

static HRESULT record_open(struct shim_layer *layer, const struct config_section *section,
                           struct error *err)
{
    const char *path = config_value(section, "replay_file", NULL);
    struct record *r = calloc(1, sizeof(*r));
    layer->data = r;
    if (!r) {
        return error_set(err, E_OUTOFMEMORY, "out of memory");
    }
    r->fd = -1;
    if (!path) {
        return error_set(err, E_INVALIDARG, "\"replay_file =\" must name the file to record to");
    }
    HRESULT hr = recording_append_to(path, &r->fd, err);
    return SUCCEEDED(hr) ? record_facts(layer, err) : hr;
}

static void record_close(struct shim_layer *layer)
{
    struct record *r = layer->data;
    if (r && r->fd >= 0) {
        (void)close(r->fd);
    }
    free(r);
}

const struct shim shim_record = {
    .name = "replay", .open = record_open, .call = record_call, .close = record_close};
