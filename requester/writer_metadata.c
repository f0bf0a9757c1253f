/* SPDX-License-Identifier: Apache-2.0 */
#include "requester/writer_metadata.h"

#include "common/buffer.h"
#include "common/id.h"

#include <stdlib.h>

static HRESULT no_memory(struct error *err)
{
    return error_set(err, E_OUTOFMEMORY, "out of memory while gathering writer metadata");
}

static HRESULT reserve(struct gathered_writers *writers, struct error *err)
{
    if (writers->items && writers->count < writers->capacity) {
        return S_OK;
    }
    size_t capacity = writers->capacity > 0 ? writers->capacity * 2 : 8;
    struct gathered_writer *grown = realloc(writers->items, capacity * sizeof(*grown));
    if (!grown) {
        return no_memory(err);
    }
    writers->items = grown;
    writers->capacity = capacity;
    return S_OK;
}

static void drop(struct gathered_writer *writer)
{
    metadata_release(writer->metadata);
    free(writer->name);
    free(writer->instance_name);
}

static HRESULT read_writer(const void *xml, size_t length, struct gathered_writer *out,
                           struct error *err)
{
    HRESULT hr = metadata_load(xml, length, &out->metadata, err);
    if (FAILED(hr)) {
        return hr == VSS_E_CORRUPT_XML_DOCUMENT ? error_translate(err, VSS_E_INVALID_XML_DOCUMENT)
                                                : hr;
    }
    struct metadata_identity identity;
    metadata_ids(out->metadata, &out->instance_id, &out->writer_id);
    hr = metadata_identity(out->metadata, &identity, err);
    if (FAILED(hr)) {
        return hr;
    }
    out->name = text_copy(identity.name);
    out->instance_name = text_copy(identity.instance_name);
    bool is_copied = out->name && (out->instance_name || !identity.instance_name);
    return is_copied ? S_OK : no_memory(err);
}

HRESULT gathered_writers_add(struct gathered_writers *writers, const void *xml, size_t length,
                             struct error *err)
{
    struct gathered_writer writer = {0};
    HRESULT hr = reserve(writers, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = read_writer(xml, length, &writer, err);
    if (SUCCEEDED(hr) && gathered_writers_find(writers, &writer.instance_id)) {
        char text[ID_TEXT_BYTES];
        hr = error_set(err, VSS_E_INVALID_XML_DOCUMENT,
                       "writer %.100s has the instance id of another one: %s", writer.name,
                       id_text(&writer.instance_id, text));
    }
    if (FAILED(hr)) {
        drop(&writer);
        return hr;
    }
    writers->items[writers->count++] = writer;
    return S_OK;
}

const struct gathered_writer *gathered_writers_find(const struct gathered_writers *writers,
                                                    const VSS_ID *instance_id)
{
    for (size_t i = 0; i < writers->count; i++) {
        if (id_equal(&writers->items[i].instance_id, instance_id)) {
            return &writers->items[i];
        }
    }
    return NULL;
}

bool gathered_writers_has_class(const struct gathered_writers *writers, const VSS_ID *writer_id)
{
    for (size_t i = 0; i < writers->count; i++) {
        if (id_equal(&writers->items[i].writer_id, writer_id)) {
            return true;
        }
    }
    return false;
}

void gathered_writers_clear(struct gathered_writers *writers)
{
    for (size_t i = 0; i < writers->count; i++) {
        drop(&writers->items[i]);
    }
    free(writers->items);
    *writers = (struct gathered_writers){0};
}
