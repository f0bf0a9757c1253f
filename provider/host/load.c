/* SPDX-License-Identifier: Apache-2.0 */
/* From an [array] section to a checked plug-in. */
#include "common/buffer.h"
#include "common/id.h"
#include "provider/helper.h"
#include "provider/host/internal.h"
#include "provider/host/remote.h"
#include "provider/shims/stack.h"
#include "provider/trust.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static HRESULT open_library(struct provider *p, vss_provider_entry *out, struct error *err)
{
    p->library = dlopen(p->path, RTLD_NOW | RTLD_LOCAL);
    if (!p->library) {
        return error_set(err, VSS_E_UNEXPECTED_PROVIDER_ERROR, "cannot load plug-in: %s",
                         dlerror());
    }
    void *symbol = dlsym(p->library, VSS_PROVIDER_ENTRY_SYMBOL);
    if (!symbol) {
        return error_set(err, VSS_E_UNEXPECTED_PROVIDER_ERROR,
                         "plug-in %s exports no " VSS_PROVIDER_ENTRY_SYMBOL, p->path);
    }
    memcpy(out, &symbol, sizeof(*out)); /* ISO C has no cast from object to function pointer */
    return S_OK;
}

static HRESULT check_ops(struct provider *p, struct error *err)
{
    for (uint32_t op = 0; op < VSS_OP_COUNT; op++) {
        const struct provider_op *known = op_find((enum vss_provider_op)op);
        if (known->is_mandatory && !p->ops[op]) {
            return error_set(err, VSS_E_UNEXPECTED_PROVIDER_ERROR,
                             "plug-in %s has no %s, which is mandatory", p->path, known->name);
        }
    }
    bool has_start = p->ops[VSS_OP_RESYNC_START] != NULL;
    if (has_start != (p->ops[VSS_OP_RESYNC_POLL] != NULL) ||
        has_start != (p->ops[VSS_OP_RESYNC_CANCEL] != NULL)) {
        return error_set(err, VSS_E_UNEXPECTED_PROVIDER_ERROR,
                         "plug-in %s has only a part of ResyncLuns: start, poll and cancel come "
                         "together",
                         p->path);
    }
    return S_OK;
}

HRESULT provider_adopt_table(struct provider *p, const struct vss_provider_table *table,
                             struct error *err)
{
    size_t least = offsetof(struct vss_provider_table, ops) + sizeof(table->ops);
    if (!table || table->magic != VSS_PROVIDER_MAGIC || table->struct_size < least) {
        return error_set(err, VSS_E_UNEXPECTED_PROVIDER_ERROR,
                         "plug-in %s returned no provider table", p->path);
    }
    if (table->abi_major != VSS_PROVIDER_ABI_MAJOR) {
        return error_set(err, VSS_E_UNEXPECTED_PROVIDER_ERROR,
                         "plug-in %s has ABI %u.%u; this host speaks %u.%u", p->path,
                         table->abi_major, table->abi_minor, VSS_PROVIDER_ABI_MAJOR,
                         VSS_PROVIDER_ABI_MINOR);
    }
    size_t size = table->struct_size < sizeof(p->table) ? table->struct_size : sizeof(p->table);
    memcpy(&p->table, table, size);
    bool is_named = p->table.name && p->table.version && !id_is_null(&p->table.provider_id);
    if (!is_named || p->table.type != VSS_PROV_HARDWARE || !p->table.ops ||
        p->table.thread_model != VSS_THREADS_SERIALIZED) {
        return error_set(err, VSS_E_UNEXPECTED_PROVIDER_ERROR,
                         "plug-in %s: its table must give id, name, version, type HARDWARE, "
                         "thread model SERIALIZED and operations",
                         p->path);
    }
    uint32_t count = p->table.op_count < VSS_OP_COUNT ? p->table.op_count : VSS_OP_COUNT;
    memcpy(p->ops, p->table.ops, count * sizeof(p->ops[0]));
    return check_ops(p, err);
}

/* The plug-in itself: name is a path, or that of an installed one. */
static HRESULT load_plugin(struct provider *p, const char *name, struct error *err)
{
    vss_provider_entry entry = NULL;
    char *path = strchr(name, '/') ? text_copy(name) : helper_plugin(name);
    if (!path) {
        return error_set(err, E_OUTOFMEMORY, "out of memory loading a plug-in");
    }
    p->path = realpath(path, NULL);
    HRESULT hr =
        p->path ? trust_check_file("plug-in", p->path, err)
                : error_set_errno(err, errno, "[array %s]: plug-in %s", p->section->name, path);
    if (SUCCEEDED(hr)) {
        hr = trust_check_above("plug-in", p->path, err);
    }
    if (SUCCEEDED(hr)) {
        hr = open_library(p, &entry, err);
    }
    if (SUCCEEDED(hr)) {
        hr = provider_adopt_table(p, entry(), err);
    }
    free(path);
    return hr;
}

/* What stands between the host and the plug-in, or in its place, has a table as a plug-in has. */
static HRESULT add_shims(struct provider *p, const char *value, struct error *err)
{
    const struct vss_provider_table *below = p->library ? &p->table : NULL;
    HRESULT hr = shims_stack(p->section, value, below, &p->shims, err);
    if (SUCCEEDED(hr) && !below) {
        p->path = text_copy(shims_recording(p->shims));
        hr = p->path ? S_OK : error_set(err, E_OUTOFMEMORY, "out of memory loading a recording");
    }
    if (SUCCEEDED(hr) && p->shims) {
        p->self = p->shims;
        hr = provider_adopt_table(p, shims_table(p->shims), err);
    }
    return hr;
}

HRESULT provider_load(const struct config_section *section, struct store *store,
                      struct provider **out, struct error *err)
{
    *out = NULL;
    const char *value = config_value(section, "provider", NULL);
    const char *name = value ? shims_rest(value) : "";
    if (!value) {
        return error_set(err, E_INVALIDARG, "[array %s] has no \"provider =\" line", section->name);
    }
    if (!*name) {
        return error_set(err, E_INVALIDARG,
                         "[array %s]: \"provider = %s\" names shims and no provider behind them",
                         section->name, value);
    }
    struct provider *p = calloc(1, sizeof(*p));
    if (!p) {
        return error_set(err, E_OUTOFMEMORY, "out of memory loading a plug-in");
    }
    p->section = section;
    p->store = store;
    HRESULT hr = shims_is_replay(name) ? S_OK : load_plugin(p, name, err);
    if (SUCCEEDED(hr)) {
        hr = add_shims(p, value, err);
    }
    if (FAILED(hr)) {
        provider_unload(p);
        return hr;
    }
    *out = p;
    return S_OK;
}

void provider_unload(struct provider *p)
{
    if (!p) {
        return;
    }
    if (p->is_loaded && p->ops[VSS_OP_ON_UNLOAD]) {
        struct provider_arena arena = PROVIDER_ARENA_INIT;
        struct vss_on_unload_in in = {.struct_size = sizeof(in), .is_forced = 1};
        struct error unused;
        (void)provider_run(p, VSS_OP_ON_UNLOAD, &in, NULL, &arena,
                           op_find(VSS_OP_ON_UNLOAD)->deadline_ms, &unused);
        provider_arena_free(&arena);
    }
    remote_close(p->remote);
    shims_free(p->shims);
    if (p->library) {
        (void)dlclose(p->library);
    }
    free(p->description);
    free(p->path);
    free(p->own_section);
    free(p);
}
