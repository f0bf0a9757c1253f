/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/providers.h"

#include "common/clock.h"
#include "common/id.h"
#include "registry/sql.h"

#include <stdlib.h>

#define COLUMNS "provider_id, version_id, name, version, type, path, abi_major, abi_minor"

static const char save_text[] =
    "INSERT INTO providers(" COLUMNS ") VALUES(?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT(provider_id) DO UPDATE SET version_id = excluded.version_id,"
    " name = excluded.name, version = excluded.version, type = excluded.type,"
    " path = excluded.path, abi_major = excluded.abi_major, abi_minor = excluded.abi_minor"
    " WHERE providers.registered = 0 OR providers.path = excluded.path";
static const char register_text[] =
    "INSERT OR REPLACE INTO providers(" COLUMNS ", registered, rank)"
    " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
static const char registered_text[] = "SELECT version_id, version, path, rank FROM providers WHERE "
                                      "provider_id = ? AND registered <> 0";
static const char last_text[] = "SELECT max(rank) FROM providers";
static const char copies_text[] = "SELECT count(*) FROM snapshots WHERE provider_id = ?";
static const char delete_text[] = "DELETE FROM providers WHERE provider_id = ?";
static const char load_text[] = "SELECT " COLUMNS ", registered, rank FROM providers"
                                " ORDER BY rank = 0, rank, name, provider_id";

static void add_provider(struct sql_statement *s, const struct provider_record *provider)
{
    sql_add_id(s, &provider->provider_id);
    sql_add_id(s, &provider->version_id);
    sql_add_text(s, provider->name);
    sql_add_text(s, provider->version);
    sql_add_int(s, provider->type);
    sql_add_text(s, provider->path);
    sql_add_int(s, provider->abi_major);
    sql_add_int(s, provider->abi_minor);
}

HRESULT providers_save(struct store *store, const struct provider_record *provider,
                       struct error *err)
{
    if (id_is_null(&provider->provider_id)) {
        return error_set(err, E_INVALIDARG, "a provider without an id cannot be stored");
    }
    struct sql_statement s;
    HRESULT hr = sql_use(store, save_text, &s, err);
    if (FAILED(hr)) {
        return hr;
    }
    add_provider(&s, provider);
    return sql_run(&s, err);
}

/* ---- registration ---------------------------------------------------------------------------- */

/* One number from a query; id, where the query has a place for one, may be NULL. */
static HRESULT read_number(struct store *store, const char *text, const VSS_ID *id, int64_t *out,
                           struct error *err)
{
    struct sql_statement s;
    HRESULT hr = sql_use(store, text, &s, err);
    if (FAILED(hr)) {
        return hr;
    }
    if (id) {
        sql_add_id(&s, id);
    }
    hr = sql_next(&s, err);
    *out = hr == S_OK ? sql_get_int(&s) : 0;
    sql_end(&s);
    return FAILED(hr) ? hr : S_OK;
}

/* What the registry has of a registered provider: S_FALSE where it is not registered. */
static HRESULT find_registered(struct store *store, const VSS_ID *id, struct provider_record *out,
                               struct error *err)
{
    *out = (struct provider_record){.provider_id = *id};
    struct sql_statement s;
    HRESULT hr = sql_use(store, registered_text, &s, err);
    if (FAILED(hr)) {
        return hr;
    }
    sql_add_id(&s, id);
    hr = sql_next(&s, err);
    if (hr == S_OK) {
        sql_get_id(&s, &out->version_id);
        sql_get_text(&s, &out->version);
        sql_get_text(&s, &out->path);
        out->rank = sql_get_int(&s);
        hr = sql_row_check(&s, "providers", id, err);
    }
    sql_end(&s);
    return hr;
}

static void free_provider(struct provider_record *provider)
{
    free(provider->name);
    free(provider->version);
    free(provider->path);
}

static HRESULT insert_registered(struct store *store, const struct provider_record *provider,
                                 int64_t rank, struct error *err)
{
    struct sql_statement s;
    HRESULT hr = sql_use(store, register_text, &s, err);
    if (FAILED(hr)) {
        return hr;
    }
    add_provider(&s, provider);
    sql_add_int(&s, clock_filetime());
    sql_add_int(&s, rank);
    return sql_run(&s, err);
}

static HRESULT register_within(struct store *store, const struct provider_record *provider,
                               struct error *err)
{
    struct provider_record known;
    int64_t last = 0;
    HRESULT hr = find_registered(store, &provider->provider_id, &known, err);
    if (hr == S_OK && id_equal(&known.version_id, &provider->version_id)) {
        char id[ID_TEXT_BYTES];
        hr = error_set(err, VSS_E_PROVIDER_ALREADY_REGISTERED,
                       "provider %s, version %s, is registered already, from %s",
                       id_text(&provider->provider_id, id), known.version ? known.version : "-",
                       known.path ? known.path : "-");
    }
    int64_t rank = known.rank;
    free_provider(&known);
    if (SUCCEEDED(hr) && rank == 0) {
        hr = read_number(store, last_text, NULL, &last, err);
        rank = last + 1;
    }
    return FAILED(hr) ? hr : insert_registered(store, provider, rank, err);
}

HRESULT providers_register(struct store *store, const struct provider_record *provider,
                           struct error *err)
{
    if (id_is_null(&provider->provider_id) || !provider->path) {
        return error_set(err, E_INVALIDARG, "a provider is registered by its id and its file");
    }
    HRESULT hr = sql_write_begin(store, err);
    if (FAILED(hr)) {
        return hr;
    }
    return sql_write_end(store, register_within(store, provider, err), err);
}

static HRESULT unregister_within(struct store *store, const VSS_ID *id, struct error *err)
{
    char text[ID_TEXT_BYTES];
    struct provider_record known;
    int64_t copies = 0;
    HRESULT hr = find_registered(store, id, &known, err);
    free_provider(&known);
    if (hr == S_FALSE) {
        return error_set(err, VSS_E_PROVIDER_NOT_REGISTERED, "provider %s is not registered",
                         id_text(id, text));
    }
    if (SUCCEEDED(hr)) {
        hr = read_number(store, copies_text, id, &copies, err);
    }
    if (SUCCEEDED(hr) && copies > 0) {
        hr = error_set(err, VSS_E_PROVIDER_IN_USE,
                       "provider %s has %lld shadow cop%s, which only it can delete: see "
                       "`lunshadow list`",
                       id_text(id, text), (long long)copies, copies == 1 ? "y" : "ies");
    }
    struct sql_statement s;
    if (SUCCEEDED(hr)) {
        hr = sql_use(store, delete_text, &s, err);
    }
    if (FAILED(hr)) {
        return hr;
    }
    sql_add_id(&s, id);
    return sql_run(&s, err);
}

HRESULT providers_unregister(struct store *store, const VSS_ID *provider_id, struct error *err)
{
    HRESULT hr = sql_write_begin(store, err);
    if (FAILED(hr)) {
        return hr;
    }
    return sql_write_end(store, unregister_within(store, provider_id, err), err);
}

/* ---- reading --------------------------------------------------------------------------------- */

static HRESULT read_provider(struct sql_statement *s, struct provider_record **providers,
                             size_t *count, struct error *err)
{
    struct provider_record *all = sql_grow(*providers, *count, sizeof(*all));
    if (!all) {
        return error_set(err, E_OUTOFMEMORY, "out of memory while reading providers");
    }
    *providers = all;
    struct provider_record *provider = &all[*count];
    *provider = (struct provider_record){0};
    (*count)++;
    sql_get_id(s, &provider->provider_id);
    sql_get_id(s, &provider->version_id);
    sql_get_text(s, &provider->name);
    sql_get_text(s, &provider->version);
    provider->type = sql_get_int32(s);
    sql_get_text(s, &provider->path);
    provider->abi_major = sql_get_uint32(s);
    provider->abi_minor = sql_get_uint32(s);
    provider->registered = sql_get_int(s);
    provider->rank = sql_get_int(s);
    if (provider->registered && !provider->path) {
        s->status = SQLITE_MISMATCH;
    }
    return sql_row_check(s, "providers", &provider->provider_id, err);
}

HRESULT providers_load_all(struct store *store, struct provider_record **out, size_t *out_count,
                           struct error *err)
{
    struct provider_record *providers = NULL;
    size_t count = 0;
    *out = NULL;
    *out_count = 0;
    struct sql_statement s;
    HRESULT hr = sql_use(store, load_text, &s, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = sql_next(&s, err);
    while (hr == S_OK) {
        hr = read_provider(&s, &providers, &count, err);
        if (SUCCEEDED(hr)) {
            hr = sql_next(&s, err);
        }
    }
    sql_end(&s);
    if (FAILED(hr)) {
        providers_free_all(providers, count);
        return hr;
    }
    *out = providers;
    *out_count = count;
    return S_OK;
}

void providers_free_all(struct provider_record *providers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free_provider(&providers[i]);
    }
    free(providers);
}
