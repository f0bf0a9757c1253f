/* SPDX-License-Identifier: Apache-2.0 */
#include "provider/shims/describe.h"

#include "common/buffer.h"
#include "common/id.h"
#include "lun/identity.h"
#include "lun/info.h"
#include "provider/host/wire/shape.h"

#include <stdio.h>
#include <string.h>

/* ---- pieces ------------------------------------------------------------------------------------
 */

static void put(json_t *object, const char *key, json_t *value)
{
    (void)json_object_set_new(object, key, value ? value : json_null());
}

static void put_number(json_t *object, const char *key, uint64_t value)
{
    put(object, key, json_integer((json_int_t)value));
}

static void put_hex(json_t *object, const char *key, uint32_t value)
{
    char text[16];
    (void)snprintf(text, sizeof(text), "0x%x", value);
    put(object, key, json_string(text));
}

static void put_id(json_t *object, const char *key, const VSS_ID *id)
{
    char text[ID_TEXT_BYTES];
    put(object, key, json_string(id_text(id, text)));
}

/* Bytes that are no UTF-8 would make no JSON. */
static void put_text(json_t *object, const char *key, const char *text)
{
    json_t *value = text ? json_string(text) : json_null();
    put(object, key, value ? value : json_string("?"));
}

static void put_info(json_t *object, const char *key, const struct vss_lun_info *info, bool is_full)
{
    char text[LUN_KEY_BYTES];
    put(object, key, is_full ? lun_info_to_json(info) : json_string(lun_info_key(info, text)));
}

static void put_state(json_t *object, const char *key, const struct vss_state *state)
{
    if (state->data) {
        put_number(object, key, state->bytes);
    }
}

/* ---- inputs ------------------------------------------------------------------------------------
 */

static json_t *luns_in(const struct vss_luns_in *in, bool is_full)
{
    json_t *object = json_object();
    json_t *list = json_array();
    put_hex(object, "context", in->context);
    if (!id_is_null(&in->set_id)) {
        put_id(object, "set", &in->set_id);
        put_id(object, "snapshot", &in->snapshot_id);
    }
    for (uint32_t i = 0; i < in->lun_count; i++) {
        json_t *lun = json_object();
        put_text(lun, "device", in->devices ? in->devices[i] : NULL);
        put_info(lun, "lun", &in->luns[i], is_full);
        (void)json_array_append_new(list, lun);
    }
    put(object, "luns", list);
    return object;
}

static bool is_known(const struct vss_lun_info *info)
{
    return info->version != 0;
}

static json_t *set_in(const struct vss_set_in *in, bool is_full)
{
    json_t *object = json_object();
    json_t *list = json_array();
    put_hex(object, "context", in->context);
    put_id(object, "set", &in->set_id);
    put_number(object, "snapshots", in->snapshot_count);
    if (in->initiator) {
        put_text(object, "initiator", in->initiator);
    }
    for (uint32_t i = 0; i < in->lun_count; i++) {
        json_t *lun = json_object();
        put_id(lun, "snapshot", &in->luns[i].snapshot_id);
        put_text(lun, "device", in->luns[i].device);
        put_info(lun, "source", &in->luns[i].source, is_full);
        if (is_known(&in->luns[i].destination)) {
            put_info(lun, "destination", &in->luns[i].destination, is_full);
        }
        put_state(lun, "state_bytes", &in->luns[i].state);
        (void)json_array_append_new(list, lun);
    }
    put(object, "luns", list);
    return object;
}

static json_t *state_change_in(const struct vss_state_change_in *in, bool is_full)
{
    json_t *object = json_object();
    json_t *set = set_in(&in->set, is_full);
    put_hex(object, "flags", in->flags);
    put(object, "is_resync", json_boolean(in->is_resync));
    (void)json_object_update(object, set);
    json_decref(set);
    return object;
}

static json_t *resync_lun(const struct vss_resync_lun *from, bool is_full)
{
    json_t *lun = json_object();
    put_info(lun, "snapshot", &from->snapshot, is_full);
    put_info(lun, "destination", &from->destination, is_full);
    put_state(lun, "state_bytes", &from->snapshot_state);
    put_number(lun, "edge_bytes", from->edge_bytes);
    return lun;
}

static json_t *resync_in(const struct vss_resync_in *in, bool is_full)
{
    json_t *object = json_object();
    json_t *list = json_array();
    put_id(object, "resync", &in->resync_id);
    put_state(object, "state_bytes", &in->state);
    for (uint32_t i = 0; i < in->lun_count; i++) {
        (void)json_array_append_new(list, resync_lun(&in->luns[i], is_full));
    }
    put(object, "luns", list);
    return object;
}

static json_t *changes_in(const struct vss_changes_in *in, bool is_full)
{
    json_t *object = json_object();
    put_number(object, "from_byte", in->from_byte);
    put_number(object, "extent_max", in->extent_max);
    put(object, "lun", resync_lun(in->lun, is_full));
    return object;
}

static json_t *unload_in(const struct vss_on_unload_in *in)
{
    json_t *object = json_object();
    put(object, "is_forced", json_boolean(in->is_forced));
    return object;
}

json_t *describe_in(enum vss_provider_op op, const void *in, bool is_full)
{
    switch (in_shape_of(op)) {
    case IN_UNLOAD:
        return unload_in(in);
    case IN_LUNS:
        return luns_in(in, is_full);
    case IN_SET:
        return set_in(in, is_full);
    case IN_STATE_CHANGE:
        return state_change_in(in, is_full);
    case IN_RESYNC:
        return resync_in(in, is_full);
    case IN_CHANGES:
        return changes_in(in, is_full);
    case IN_LOAD:
    case IN_NONE:
        break;
    }
    return json_object();
}

/* ---- outputs -----------------------------------------------------------------------------------
 */

static json_t *capabilities_out(const struct vss_capabilities_out *out)
{
    json_t *object = json_object();
    put_number(object, "differential", out->differential);
    put_number(object, "plex", out->plex);
    put_number(object, "resync", out->resync);
    put_number(object, "mask", out->mask);
    put_number(object, "read_only", out->read_only);
    put_number(object, "consistent_set", out->consistent_set);
    put_number(object, "resize", out->resize);
    put_number(object, "max_snapshots_per_lun", out->max_snapshots_per_lun);
    put_text(object, "description", out->description);
    return object;
}

static void put_infos(json_t *object, const struct vss_lun_info *luns, uint32_t count, bool is_full)
{
    json_t *list = luns ? json_array() : NULL;
    for (uint32_t i = 0; luns && i < count; i++) {
        json_t *lun = json_object();
        put_info(lun, "lun", &luns[i], is_full);
        (void)json_array_append_new(list, lun);
    }
    if (list) {
        put(object, "luns", list);
    }
}

static json_t *states_out(const struct vss_states_out *out, uint32_t count)
{
    json_t *object = json_object();
    json_t *list = out->states ? json_array() : NULL;
    for (uint32_t i = 0; out->states && i < count; i++) {
        json_t *lun = json_object();
        put_state(lun, "state_bytes", &out->states[i]);
        (void)json_array_append_new(list, lun);
    }
    if (list) {
        put(object, "luns", list);
    }
    if (out->first_cut_us || out->last_cut_us) {
        put_number(object, "first_cut_us", out->first_cut_us);
        put_number(object, "last_cut_us", out->last_cut_us);
    }
    if (out->hold.held_at_us) {
        put_number(object, "held_at_us", out->hold.held_at_us);
        put_number(object, "released_at_us", out->hold.released_at_us);
    }
    return object;
}

static json_t *resync_out(const struct vss_resync_out *out)
{
    json_t *object = json_object();
    put(object, "is_done", json_boolean(out->is_done));
    put_state(object, "state_bytes", &out->state);
    put_number(object, "bytes_total", out->bytes_total);
    put_number(object, "bytes_done", out->bytes_done);
    if (out->method) {
        put_text(object, "method", out->method);
    }
    return object;
}

static json_t *changes_out(const struct vss_changes_out *out)
{
    json_t *object = json_object();
    uint64_t bytes = 0;
    put(object, "is_known", json_boolean(out->is_known));
    for (uint32_t i = 0; out->is_known && out->extents && i < out->extent_count; i++) {
        bytes += out->extents[i].bytes;
    }
    if (out->is_known) {
        put_number(object, "extents", out->extent_count);
        put_number(object, "bytes", bytes);
        put_number(object, "next_byte", out->next_byte);
    }
    return object;
}

static json_t *supported_out(const struct vss_supported_out *out, uint32_t count, bool is_full)
{
    json_t *object = json_object();
    put(object, "is_supported", json_boolean(out->is_supported));
    put_infos(object, out->luns, count, is_full);
    return object;
}

json_t *describe_out(enum vss_provider_op op, const void *out, uint32_t lun_count, bool is_full)
{
    json_t *object = NULL;
    const struct vss_target_luns_out *targets = out;
    switch (out_shape_of(op)) {
    case OUT_CAPABILITIES:
        return capabilities_out(out);
    case OUT_SUPPORTED:
        return supported_out(out, lun_count, is_full);
    case OUT_STATES:
        return states_out(out, lun_count);
    case OUT_TARGETS:
        object = json_object();
        put_infos(object, targets->luns, lun_count, is_full);
        return object;
    case OUT_RESYNC:
        return resync_out(out);
    case OUT_CHANGES:
        return changes_out(out);
    case OUT_NONE:
    case OUT_LOAD:
        break;
    }
    return json_object();
}

/* ---- text --------------------------------------------------------------------------------------
 */

static void add_value(struct buffer *b, const json_t *value);

static void add_members(struct buffer *b, const json_t *object)
{
    const char *key;
    json_t *value;
    bool has_more = false;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        buffer_printf(b, "%s%s=", has_more ? " " : "", key);
        add_value(b, value);
        has_more = true;
    }
}

static void add_items(struct buffer *b, const json_t *list)
{
    size_t index;
    json_t *value;
    json_array_foreach((json_t *)(uintptr_t)list, index, value)
    {
        buffer_add_text(b, index ? " " : "");
        add_value(b, value);
    }
}

static void add_value(struct buffer *b, const json_t *value)
{
    if (json_is_string(value)) {
        buffer_add_text(b, json_string_value(value));
    } else if (json_is_integer(value)) {
        buffer_printf(b, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    } else if (json_is_object(value)) {
        buffer_add_text(b, "{");
        add_members(b, value);
        buffer_add_text(b, "}");
    } else if (json_is_array(value)) {
        buffer_add_text(b, "[");
        add_items(b, value);
        buffer_add_text(b, "]");
    } else {
        buffer_add_text(b, json_is_true(value) ? "yes" : json_is_false(value) ? "no" : "-");
    }
}

char *describe_as_text(const json_t *object)
{
    struct buffer b = BUFFER_INIT;
    add_members(&b, object);
    for (size_t i = 0; i < b.length; i++) { /* texts of a provider may be anything */
        unsigned char c = (unsigned char)b.data[i];
        b.data[i] = c < ' ' || c == 0x7f ? '?' : b.data[i];
    }
    if (!b.length) {
        buffer_add_text(&b, "");
    }
    return buffer_take(&b);
}
