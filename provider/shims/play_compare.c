/* SPDX-License-Identifier: Apache-2.0 */
#include "common/buffer.h"
#include "common/id.h"
#include "provider/host/internal.h"
#include "provider/host/wire/shape.h"
#include "provider/shims/describe.h"
#include "provider/shims/play.h"

#include <stdlib.h>
#include <string.h>

/* ---- without ids ------------------------------------------------------------------------------
 */

static bool blank_set(struct vss_set_in *set, struct provider_arena *arena)
{
    size_t bytes = set->lun_count * sizeof(*set->luns);
    struct vss_set_lun *luns = provider_arena_alloc(arena, bytes);
    if (!luns) {
        return false;
    }
    if (bytes) {
        memcpy(luns, set->luns, bytes);
    }
    for (uint32_t i = 0; i < set->lun_count; i++) {
        luns[i].snapshot_id = id_null;
    }
    set->luns = luns;
    set->set_id = id_null;
    return true;
}

/* The same input without ids, in *out; NULL when memory is short. */
static const void *blank(enum vss_provider_op op, const void *in, struct provider_arena *arena,
                         union wire_in *out)
{
    bool ok = true;
    switch (in_shape_of(op)) {
    case IN_LUNS:
        out->luns = *(const struct vss_luns_in *)in;
        out->luns.set_id = id_null;
        out->luns.snapshot_id = id_null;
        break;
    case IN_SET:
        out->set = *(const struct vss_set_in *)in;
        ok = blank_set(&out->set, arena);
        break;
    case IN_STATE_CHANGE:
        out->state_change = *(const struct vss_state_change_in *)in;
        ok = blank_set(&out->state_change.set, arena);
        break;
    case IN_RESYNC:
        out->resync = *(const struct vss_resync_in *)in;
        out->resync.resync_id = id_null;
        break;
    case IN_LOAD:
    case IN_UNLOAD:
    case IN_CHANGES:
    case IN_NONE:
        return in;
    }
    return ok ? out : NULL;
}

/* ---- what differs -----------------------------------------------------------------------------
 */

static char *value_text(const json_t *value)
{
    char *text = value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT) : text_copy("absent");
    return text ? text : text_copy("?");
}

static bool tell(const char *path, const json_t *was, const json_t *is, struct buffer *out)
{
    char *was_text = value_text(was);
    char *is_text = value_text(is);
    buffer_printf(out, "%s is %s, recorded was %s", path, is_text, was_text);
    free(was_text);
    free(is_text);
    return true;
}

static bool find_difference(const char *path, json_t *was, json_t *is, struct buffer *out);

static bool differ_in_member(const char *path, json_t *was, json_t *is, struct buffer *out)
{
    const char *key;
    json_t *value;
    bool found = false;
    json_object_foreach(was, key, value)
    {
        char *inner = text_printf("%s%s%s", path, *path ? "." : "", key);
        found = inner && find_difference(inner, value, json_object_get(is, key), out);
        free(inner);
        if (found) {
            return true;
        }
    }
    json_object_foreach(is, key, value)
    {
        if (!json_object_get(was, key)) {
            return tell(key, NULL, value, out);
        }
    }
    return false;
}

static bool differ_in_item(const char *path, json_t *was, json_t *is, struct buffer *out)
{
    size_t index;
    json_t *value;
    if (json_array_size(was) != json_array_size(is)) {
        buffer_printf(out, "there are %zu %s, recorded were %zu", json_array_size(is), path,
                      json_array_size(was));
        return true;
    }
    json_array_foreach(was, index, value)
    {
        char *inner = text_printf("%s[%zu]", path, index);
        bool found = inner && find_difference(inner, value, json_array_get(is, index), out);
        free(inner);
        if (found) {
            return true;
        }
    }
    return false;
}

static bool find_difference(const char *path, json_t *was, json_t *is, struct buffer *out)
{
    if (json_is_object(was) && json_is_object(is)) {
        return differ_in_member(path, was, is, out);
    }
    if (json_is_array(was) && json_is_array(is)) {
        return differ_in_item(path, was, is, out);
    }
    return json_equal(was, is) ? false : tell(path, was, is, out);
}

static char *difference(enum vss_provider_op op, const void *recorded, const void *in)
{
    struct buffer text = BUFFER_INIT;
    json_t *was = describe_in(op, recorded, true);
    json_t *is = describe_in(op, in, true);
    if (!find_difference("", was, is, &text)) {
        buffer_add_text(&text, "a state is another one"); /* all that is not described */
    }
    json_decref(was);
    json_decref(is);
    return buffer_take(&text);
}

HRESULT play_compare(enum vss_provider_op op, const void *recorded, const void *in,
                     char **out_difference)
{
    struct provider_arena arena = PROVIDER_ARENA_INIT;
    struct wire_content content[2] = {{0}, {0}};
    union wire_in blanks[2];
    const void *a = blank(op, recorded, &arena, &blanks[0]);
    const void *b = blank(op, in, &arena, &blanks[1]);
    bool has_in = in_shape_of(op) != IN_NONE;
    *out_difference = NULL;
    HRESULT hr = has_in && (!a || !b) ? E_OUTOFMEMORY : S_OK;
    if (SUCCEEDED(hr)) {
        hr = wire_encode_request(0, op, 0, a, &content[0]);
    }
    if (SUCCEEDED(hr)) {
        hr = wire_encode_request(0, op, 0, b, &content[1]);
    }
    bool is_equal = SUCCEEDED(hr) && content[0].bytes == content[1].bytes &&
                    memcmp(content[0].data, content[1].data, content[0].bytes) == 0;
    if (SUCCEEDED(hr) && !is_equal) {
        *out_difference = difference(op, a, b);
        hr = *out_difference ? S_OK : E_OUTOFMEMORY;
    }
    free(content[0].data);
    free(content[1].data);
    provider_arena_free(&arena);
    return hr;
}
