/* SPDX-License-Identifier: Apache-2.0 */
#include "provider/host/host.h"

#include "common/buffer.h"
#include "common/id.h"
#include "common/log.h"
#include "provider/host/internal.h"
#include "provider/host/registration.h"
#include "registry/events.h"

#include <stdlib.h>
#include <string.h>

/* A plug-in that says that memory is short says it of itself, not of us. */
static HRESULT its_own_failure(const struct provider *p, HRESULT hr, struct error *err)
{
    return hr == E_OUTOFMEMORY && p->has_answered
               ? error_translate(err, VSS_E_UNEXPECTED_PROVIDER_ERROR)
               : hr;
}

static HRESULT ask_capabilities(struct provider *p, struct error *err)
{
    struct provider_arena arena = PROVIDER_ARENA_INIT;
    HRESULT hr = provider_call(p, VSS_OP_GET_CAPABILITIES, NULL, &p->capabilities, &arena, 0, err);
    if (SUCCEEDED(hr)) {
        p->description = text_copy(p->capabilities.description ? p->capabilities.description : "");
        p->capabilities.description = p->description;
    }
    provider_arena_free(&arena);
    return its_own_failure(p, hr, err);
}

static HRESULT start(struct provider *p, struct error *err)
{
    if (provider_has(p, VSS_OP_ON_LOAD)) {
        struct provider_arena arena = PROVIDER_ARENA_INIT;
        struct vss_on_load_in in = {.struct_size = sizeof(in)};
        struct vss_on_load_out out = {0};
        HRESULT hr = provider_call(p, VSS_OP_ON_LOAD, &in, &out, &arena, 0, err);
        provider_arena_free(&arena);
        if (FAILED(hr)) {
            return its_own_failure(p, hr, err);
        }
        p->self = out.self;
    }
    p->is_loaded = true;
    return ask_capabilities(p, err);
}

struct provider_record provider_as_record(const struct provider *p)
{
    return (struct provider_record){.provider_id = p->table.provider_id,
                                    .version_id = p->table.version_id,
                                    .name = (char *)p->table.name,
                                    .version = (char *)p->table.version,
                                    .type = p->table.type,
                                    .path = p->path,
                                    .abi_major = p->table.abi_major,
                                    .abi_minor = p->table.abi_minor};
}

/* A process of its own for each array, but where someone looks for a fault in a plug-in. */
static HRESULT load(const struct config *config, const struct config_section *section,
                    struct store *store, struct provider **out, struct error *err)
{
    const char *in_process = secure_getenv("LUNSHADOW_PROVIDER_IN_PROCESS");
    bool is_isolated = true;
    HRESULT hr = config_bool(section, "isolation", true, &is_isolated, err);
    if (FAILED(hr)) {
        return hr;
    }
    if (in_process && strcmp(in_process, "1") == 0) {
        is_isolated = false;
    }
    return is_isolated ? provider_attach(config, section, store, out, err)
                       : provider_load(section, store, out, err);
}

/* All that opening needs. */
struct opening {
    const struct config *config;
    struct store *store;
    struct provider_record *known;
    size_t known_count;
};

/* What is registered is an id; the file it came from may be another provider's by now. */
static HRESULT check_registered(const struct provider *p, const struct provider_record *registered,
                                struct error *err)
{
    char was[ID_TEXT_BYTES];
    char is[ID_TEXT_BYTES];
    if (id_equal(&p->table.provider_id, &registered->provider_id)) {
        return S_OK;
    }
    return error_set(err, VSS_E_PROVIDER_NOT_REGISTERED,
                     "%s was registered as provider %s and now is provider %s (%s); bring the old "
                     "file back, or unregister the one and register the other",
                     registered->path, id_text(&registered->provider_id, was),
                     id_text(&p->table.provider_id, is), p->table.name);
}

static HRESULT load_registered(const struct opening *o, const struct config_section *section,
                               const struct provider_record *registered, struct provider **out,
                               struct error *err)
{
    char id[ID_TEXT_BYTES];
    struct config_section *own = registration_section(section, registered);
    HRESULT hr = own ? load(o->config, own, o->store, out, err)
                     : error_set(err, E_OUTOFMEMORY, "out of memory loading a provider");
    if (FAILED(hr)) {
        free(own);
        error_prefix(err, "registered provider %s", id_text(&registered->provider_id, id));
        return hr;
    }
    (*out)->own_section = own;
    return check_registered(*out, registered, err);
}

static HRESULT load_and_start(const struct opening *o, const struct config_section *section,
                              struct provider **out, struct error *err)
{
    const struct provider_record *registered = NULL;
    HRESULT hr = registration_find(section, o->known, o->known_count, &registered, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = registered ? load_registered(o, section, registered, out, err)
                    : load(o->config, section, o->store, out, err);
    if (FAILED(hr)) {
        return hr;
    }
    struct provider *p = *out;
    p->config = o->config;
    p->rank = registration_rank(o->known, o->known_count, &p->table.provider_id);
    hr = start(p, err);
    if (SUCCEEDED(hr)) {
        struct provider_record record = provider_as_record(p);
        hr = providers_save(o->store, &record, err);
    }
    return hr;
}

/* One array's plug-in, ready; a plug-in that cannot be used costs its array (S_FALSE), not the
 * session. Of one that memory did not suffice for nothing is known: it is not left out. */
static HRESULT open_one(const struct opening *o, const struct config_section *section,
                        struct provider **out, struct error *err)
{
    struct error why = {0};
    HRESULT hr = load_and_start(o, section, out, &why);
    if (SUCCEEDED(hr)) {
        return S_OK;
    }
    provider_unload(*out);
    *out = NULL;
    error_prefix(&why, "array %s is not usable", section->name);
    if (hr == E_OUTOFMEMORY) {
        return error_set(err, hr, "%s", error_text(&why));
    }
    log_line(LOG_WARNING, "%s", error_text(&why));
    events_add(o->store, LOG_WARNING, hr, NULL, error_text(&why));
    return S_FALSE;
}

/* Registered ones first, in their order; else as the configuration has them. */
static void insert(struct providers *all, struct provider *p)
{
    size_t at = all->count++;
    while (at > 0 && p->rank && (!all->items[at - 1]->rank || all->items[at - 1]->rank > p->rank)) {
        all->items[at] = all->items[at - 1];
        at--;
    }
    all->items[at] = p;
}

static HRESULT open_all(const struct opening *o, struct providers *all, struct error *err)
{
    HRESULT hr = S_OK;
    all->items = calloc(o->config->section_count + 1, sizeof(struct provider *));
    if (!all->items) {
        return error_set(err, E_OUTOFMEMORY, "out of memory loading the providers");
    }
    for (size_t i = 0; i < o->config->section_count && SUCCEEDED(hr); i++) {
        const struct config_section *section = &o->config->sections[i];
        struct provider *p = NULL;
        if (strcmp(section->kind, "array") == 0) {
            hr = open_one(o, section, &p, err);
        }
        if (p) {
            insert(all, p);
        }
    }
    return FAILED(hr) ? hr : S_OK;
}

HRESULT providers_open(const struct config *config, struct store *store, struct providers **out,
                       struct error *err)
{
    *out = NULL;
    struct opening o = {.config = config, .store = store};
    HRESULT hr = providers_load_all(store, &o.known, &o.known_count, err);
    if (FAILED(hr)) {
        return hr;
    }
    struct providers *all = calloc(1, sizeof(*all));
    hr = all ? open_all(&o, all, err)
             : error_set(err, E_OUTOFMEMORY, "out of memory loading the providers");
    providers_free_all(o.known, o.known_count);
    if (FAILED(hr)) {
        providers_close(all);
        return hr;
    }
    *out = all;
    return S_OK;
}

void providers_close(struct providers *providers)
{
    if (!providers) {
        return;
    }
    for (size_t i = 0; i < providers->count; i++) {
        provider_unload(providers->items[i]);
    }
    free(providers->items);
    free(providers);
}

size_t providers_count(const struct providers *providers)
{
    return providers->count;
}

struct provider *providers_at(const struct providers *providers, size_t index)
{
    return index < providers->count ? providers->items[index] : NULL;
}

struct provider *providers_find(const struct providers *providers, const char *array)
{
    for (size_t i = 0; i < providers->count; i++) {
        if (strcmp(provider_array(providers->items[i]), array) == 0) {
            return providers->items[i];
        }
    }
    return NULL;
}

bool providers_has_id(const struct providers *providers, const VSS_ID *provider_id)
{
    for (size_t i = 0; i < providers->count; i++) {
        if (id_equal(&providers->items[i]->table.provider_id, provider_id)) {
            return true;
        }
    }
    return false;
}

const struct vss_provider_table *provider_table(const struct provider *provider)
{
    return &provider->table;
}

const char *provider_array(const struct provider *provider)
{
    return provider->section->name;
}

const char *provider_path(const struct provider *provider)
{
    return provider->path;
}

const struct vss_capabilities_out *provider_capabilities(const struct provider *provider)
{
    return &provider->capabilities;
}
