/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/recoveries.h"

#include "common/id.h"
#include "registry/sql.h"

#include <stdlib.h>

static const char save_text[] =
    "INSERT INTO recoveries(resync_id, set_id, started, ended, flags, result, members)"
    " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)"
    " ON CONFLICT(resync_id) DO UPDATE SET set_id = ?2, started = ?3, ended = ?4, flags = ?5,"
    " result = ?6, members = ?7";
static const char load_text[] =
    "SELECT resync_id, set_id, started, ended, flags, result, members, members"
    " FROM recoveries ORDER BY seq";

static bool is_array(const char *text)
{
    json_t *json = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
    bool result = json_is_array(json);
    json_decref(json);
    return result;
}

HRESULT recoveries_save(struct store *store, const struct recovery_record *recovery,
                        struct error *err)
{
    if (id_is_null(&recovery->resync_id) || !is_array(recovery->members)) {
        return error_set(err, E_INVALIDARG,
                         "a resync is stored with an id and with its members as a JSON array");
    }
    struct sql_statement s;
    HRESULT hr = sql_use(store, save_text, &s, err);
    if (FAILED(hr)) {
        return hr;
    }
    sql_add_id(&s, &recovery->resync_id);
    sql_add_id(&s, &recovery->set_id);
    sql_add_int(&s, recovery->started);
    sql_add_int(&s, recovery->ended);
    sql_add_int(&s, recovery->flags);
    sql_add_int(&s, recovery->result);
    sql_add_text(&s, recovery->members);
    return sql_run(&s, err);
}

/* Readers may rely on members being an array. */
static HRESULT check_members(struct sql_statement *s, const struct recovery_record *recovery,
                             struct error *err)
{
    json_t *json = NULL;
    HRESULT hr = sql_get_json(s, &json, err);
    if (SUCCEEDED(hr) && !json_is_array(json)) {
        hr = error_set(err, VSS_E_UNEXPECTED, "not a JSON array");
    }
    json_decref(json);
    if (FAILED(hr)) {
        char id[ID_TEXT_BYTES];
        error_prefix(err,
                     "the registry %s: table recoveries: resync %s: damaged members, bring the "
                     "registry back from a backup",
                     s->store->path, id_text(&recovery->resync_id, id));
    }
    return hr;
}

static HRESULT read_recovery(struct sql_statement *s, struct recovery_record **recoveries,
                             size_t *count, struct error *err)
{
    struct recovery_record *all = sql_grow(*recoveries, *count, sizeof(*all));
    if (!all) {
        return error_set(err, E_OUTOFMEMORY, "out of memory while reading resyncs");
    }
    *recoveries = all;
    struct recovery_record *recovery = &all[*count];
    *recovery = (struct recovery_record){0};
    (*count)++;
    sql_get_id(s, &recovery->resync_id);
    sql_get_id(s, &recovery->set_id);
    recovery->started = sql_get_int(s);
    recovery->ended = sql_get_int(s);
    recovery->flags = sql_get_uint32(s);
    recovery->result = sql_get_int32(s);
    sql_get_text(s, &recovery->members);
    HRESULT hr = sql_row_check(s, "recoveries", &recovery->resync_id, err);
    return SUCCEEDED(hr) ? check_members(s, recovery, err) : hr;
}

HRESULT recoveries_load_all(struct store *store, struct recovery_record **out, size_t *out_count,
                            struct error *err)
{
    struct recovery_record *recoveries = NULL;
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
        hr = read_recovery(&s, &recoveries, &count, err);
        if (SUCCEEDED(hr)) {
            hr = sql_next(&s, err);
        }
    }
    sql_end(&s);
    if (FAILED(hr)) {
        recoveries_free_all(recoveries, count);
        return hr;
    }
    *out = recoveries;
    *out_count = count;
    return S_OK;
}

void recoveries_free_all(struct recovery_record *recoveries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(recoveries[i].members);
    }
    free(recoveries);
}
