/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/providers.h"

#include "common/id.h"
#include "registry/sql.h"

#include <stdlib.h>

static const char save_text[] =
    "INSERT OR REPLACE INTO providers(provider_id, version_id, name, version, type, path)"
    " VALUES(?, ?, ?, ?, ?, ?)";
static const char load_text[] = "SELECT provider_id, version_id, name, version, type, path"
                                " FROM providers ORDER BY name, provider_id";

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
    sql_add_id(&s, &provider->provider_id);
    sql_add_id(&s, &provider->version_id);
    sql_add_text(&s, provider->name);
    sql_add_text(&s, provider->version);
    sql_add_int(&s, provider->type);
    sql_add_text(&s, provider->path);
    return sql_run(&s, err);
}

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
        free(providers[i].name);
        free(providers[i].version);
        free(providers[i].path);
    }
    free(providers);
}
