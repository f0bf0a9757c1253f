/* SPDX-License-Identifier: Apache-2.0 */
#include "provider/shims/stack.h"

#include "common/buffer.h"
#include "provider/host/ops.h"
#include "provider/shims/shim.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static const struct shim *const shims[] = {&shim_trace, &shim_fault, &shim_delay, &shim_record};
enum { SHIMS = sizeof(shims) / sizeof(shims[0]) };

/* ---- calls -------------------------------------------------------------------------------------
 */

static HRESULT pass_on_load(struct shim_layer *layer, const struct vss_call *call, const void *in,
                            struct vss_on_load_out *out)
{
    vss_provider_callback callback = layer->below[VSS_OP_ON_LOAD];
    HRESULT hr = callback ? callback(layer->below_self, call, in, out) : S_OK;
    if (SUCCEEDED(hr) && callback) {
        layer->below_self = out->self;
    }
    return hr;
}

HRESULT shim_pass(struct shim_layer *layer, enum vss_provider_op op, const struct vss_call *call,
                  const void *in, void *out)
{
    if (op == VSS_OP_ON_LOAD) {
        return pass_on_load(layer, call, in, out);
    }
    vss_provider_callback callback = layer->below[op];
    return callback ? callback(layer->below_self, call, in, out) : S_OK;
}

/* A callback is not told which one it is; so each has a function of its own, and all end here. */
static HRESULT forward(struct shim_layer *layer, enum vss_provider_op op,
                       const struct vss_call *call, const void *in, void *out)
{
    HRESULT hr = layer->shim->call(layer, op, call, in, out);
    if (op == VSS_OP_ON_LOAD) {
        ((struct vss_on_load_out *)out)->self = layer;
    }
    return hr;
}

#define FORWARD(op)                                                                                \
    static HRESULT forward_##op(void *self, const struct vss_call *call, const void *in,           \
                                void *out)                                                         \
    {                                                                                              \
        return forward(self, (enum vss_provider_op)(op), call, in, out);                           \
    }
FORWARD(0)
FORWARD(1)
FORWARD(2)
FORWARD(3)
FORWARD(4)
FORWARD(5)
FORWARD(6)
FORWARD(7)
FORWARD(8)
FORWARD(9)
FORWARD(10)
FORWARD(11)
FORWARD(12)
FORWARD(13)
FORWARD(14)
FORWARD(15)
FORWARD(16)
FORWARD(17)
FORWARD(18)
FORWARD(19)
FORWARD(20)
FORWARD(21)

static const vss_provider_callback forwards[] = {
    forward_0,  forward_1,  forward_2,  forward_3,  forward_4,  forward_5,  forward_6,  forward_7,
    forward_8,  forward_9,  forward_10, forward_11, forward_12, forward_13, forward_14, forward_15,
    forward_16, forward_17, forward_18, forward_19, forward_20, forward_21};
_Static_assert(sizeof(forwards) / sizeof(forwards[0]) == VSS_OP_COUNT, "one for each operation");

static void keep_error(const struct vss_call *call, const char *line)
{
    struct shim_call *own = (struct shim_call *)(uintptr_t)call; /* its first member */
    if (!own->line[0]) {
        (void)strncat(own->line, line, sizeof(own->line) - 1);
    }
    own->above->host->error(own->above, line);
}

void shim_call_begin(struct shim_call *out, const struct vss_call *above)
{
    *out = (struct shim_call){.call = *above, .host = *above->host, .above = above};
    out->host.error = keep_error;
    out->call.host = &out->host;
}

/* ---- layers ------------------------------------------------------------------------------------
 */

/* NULL: value does not begin with a shim. */
static const struct shim *first_shim(const char *value, const char **out_rest)
{
    for (size_t i = 0; i < SHIMS; i++) {
        size_t length = strlen(shims[i]->name);
        if (strncmp(value, shims[i]->name, length) == 0 && value[length] == '/') {
            *out_rest = value + length + 1;
            return shims[i];
        }
    }
    return NULL;
}

const char *shims_rest(const char *value)
{
    while (first_shim(value, &value)) {
    }
    return value;
}

void shim_fill_table(struct shim_layer *layer, uint64_t ops)
{
    for (size_t op = 0; op < VSS_OP_COUNT; op++) {
        layer->ops[op] = ops >> op & 1 ? forwards[op] : NULL;
    }
    layer->table.op_count = VSS_OP_COUNT;
    layer->table.ops = layer->ops;
}

static struct shim_layer *make_layer(const struct shim *shim,
                                     const struct vss_provider_table *table,
                                     struct shim_layer *below)
{
    struct shim_layer *layer = calloc(1, sizeof(*layer));
    if (!layer) {
        return NULL;
    }
    uint32_t count = table->op_count < VSS_OP_COUNT ? table->op_count : VSS_OP_COUNT;
    memcpy(layer->below, table->ops, count * sizeof(table->ops[0]));
    const uint64_t own = UINT64_C(1) << VSS_OP_ON_LOAD | UINT64_C(1) << VSS_OP_ON_UNLOAD;
    uint64_t has = shim->is_loaded_itself ? own : 0;
    for (size_t op = 0; op < VSS_OP_COUNT; op++) {
        has |= layer->below[op] ? UINT64_C(1) << op : 0;
    }
    layer->table = *table;
    shim_fill_table(layer, has);
    layer->shim = shim;
    layer->below_self = below;
    layer->next = below;
    return layer;
}

/* The shims of value from the last to the first: the innermost one is made first. */
static HRESULT stack(const struct config_section *section, const char *value,
                     const struct vss_provider_table *table, struct shim_layer **io_top,
                     struct error *err)
{
    const char *rest = value;
    const struct shim *shim = first_shim(value, &rest);
    if (!shim) {
        return S_OK;
    }
    HRESULT hr = stack(section, rest, table, io_top, err);
    if (FAILED(hr)) {
        return hr;
    }
    struct shim_layer *layer = make_layer(shim, *io_top ? &(*io_top)->table : table, *io_top);
    if (!layer) {
        return error_set(err, E_OUTOFMEMORY, "out of memory loading a shim");
    }
    *io_top = layer;
    hr = shim->open(layer, section, err);
    if (FAILED(hr)) {
        error_prefix(err, "[array %s]: shim %s", section->name, shim->name);
    }
    return hr;
}

bool shims_is_replay(const char *name)
{
    return strcmp(name, shim_play.name) == 0;
}

/* What stands in the provider's place: nothing is below it. */
static HRESULT play(const struct config_section *section, struct shim_layer **out,
                    struct error *err)
{
    struct shim_layer *layer = calloc(1, sizeof(*layer));
    *out = layer;
    if (!layer) {
        return error_set(err, E_OUTOFMEMORY, "out of memory loading a shim");
    }
    layer->shim = &shim_play;
    HRESULT hr = shim_play.open(layer, section, err);
    if (FAILED(hr)) {
        error_prefix(err, "[array %s]: shim %s", section->name, shim_play.name);
    }
    return hr;
}

HRESULT shims_stack(const struct config_section *section, const char *value,
                    const struct vss_provider_table *table, struct shim_layer **out,
                    struct error *err)
{
    *out = NULL;
    HRESULT hr = table ? S_OK : play(section, out, err);
    if (SUCCEEDED(hr)) {
        hr = stack(section, value, *out ? &(*out)->table : table, out, err);
    }
    if (FAILED(hr)) {
        shims_free(*out);
        *out = NULL;
    }
    return hr;
}

void shims_free(struct shim_layer *outermost)
{
    while (outermost) {
        struct shim_layer *next = outermost->next;
        outermost->shim->close(outermost);
        free(outermost);
        outermost = next;
    }
}

const struct vss_provider_table *shims_table(const struct shim_layer *layer)
{
    return &layer->table;
}

/* ---- what the section says --------------------------------------------------------------------
 */

bool shim_find_op(const char *name, enum vss_provider_op *out)
{
    *out = SHIM_ANY_OP;
    if (strcmp(name, "*") == 0) {
        return true;
    }
    for (uint32_t op = 0; op < VSS_OP_COUNT; op++) {
        if (strcmp(op_find((enum vss_provider_op)op)->name, name) == 0) {
            *out = (enum vss_provider_op)op;
            return true;
        }
    }
    return false;
}

static bool is_numbered(const char *key, const char *name)
{
    size_t length = strlen(name);
    return strncmp(key, name, length) == 0 &&
           strspn(key + length, "0123456789") == strlen(key + length);
}

static char *trimmed(char *text)
{
    text += strspn(text, " \t");
    size_t length = strlen(text);
    while (length > 0 && strchr(" \t", text[length - 1])) {
        text[--length] = '\0';
    }
    return text;
}

static HRESULT take_list(const char *value, HRESULT (*take)(void *, char *, struct error *),
                         void *user, struct error *err)
{
    char *copy = text_copy(value);
    char *rest = copy;
    HRESULT hr = copy ? S_OK : error_set(err, E_OUTOFMEMORY, "out of memory");
    for (char *item = strsep(&rest, ","); item && SUCCEEDED(hr); item = strsep(&rest, ",")) {
        item = trimmed(item);
        hr = *item ? take(user, item, err) : S_OK;
    }
    free(copy);
    return hr;
}

HRESULT shim_items(const struct config_section *section, const char *key,
                   HRESULT (*take)(void *user, char *item, struct error *err), void *user,
                   struct error *err)
{
    HRESULT hr = S_OK;
    for (size_t i = 0; i < section->pair_count && SUCCEEDED(hr); i++) {
        if (is_numbered(section->pairs[i].key, key)) {
            hr = take_list(section->pairs[i].value, take, user, err);
        }
    }
    return hr;
}
