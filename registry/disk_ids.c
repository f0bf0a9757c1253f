/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/sets.h"

#include "common/clock.h"
#include "common/log.h"
#include "lun/info.h"
#include "registry/sql.h"

#include <stdlib.h>
#include <string.h>

static const char newest_text[] =
    "SELECT seq, last_read, ids FROM disk_ids WHERE lun_key = ? ORDER BY seq DESC LIMIT 1";
static const char add_text[] =
    "INSERT INTO disk_ids(lun_key, first_read, last_read, ids, why) VALUES(?1, ?2, ?2, ?3, ?4)";
static const char history_text[] =
    "SELECT seq, first_read, last_read, ids, why FROM disk_ids WHERE lun_key = ? ORDER BY seq DESC";
static const char touch_text[] = "UPDATE disk_ids SET last_read = ? WHERE seq = ?";

/* What lun_info_key() gives to every LUN that has no identity of its own. */
static bool is_shared_key(const char *lun_key)
{
    return !lun_key[0] || strcmp(lun_key, "none") == 0;
}

/* S_FALSE: nothing is known. */
static HRESULT load_newest(struct store *store, const char *lun_key, int64_t *out_seq,
                           int64_t *out_when, struct vss_disk_ids *out, struct error *err)
{
    struct sql_statement s;
    json_t *json = NULL;
    HRESULT hr = sql_use(store, newest_text, &s, err);
    if (FAILED(hr)) {
        return hr;
    }
    sql_add_text(&s, lun_key);
    hr = sql_next(&s, err);
    if (hr != S_OK) {
        goto out;
    }
    *out_seq = sql_get_int(&s);
    *out_when = sql_get_int(&s);
    hr = sql_get_json(&s, &json, err);
    if (SUCCEEDED(hr)) {
        hr = disk_ids_from_json(json, out, err);
    }
    if (FAILED(hr)) {
        error_prefix(err, "the registry %s: table disk_ids: LUN %s: damaged row %lld", store->path,
                     lun_key, (long long)*out_seq);
    }

out:
    json_decref(json);
    sql_end(&s);
    return hr;
}

static HRESULT add(struct store *store, const char *lun_key, const struct vss_disk_ids *ids,
                   const char *why, struct error *err)
{
    struct sql_statement s;
    char *text = sql_json_text(disk_ids_to_json(ids));
    HRESULT hr = text ? sql_use(store, add_text, &s, err)
                      : error_set(err, E_OUTOFMEMORY, "out of memory while storing disk ids");
    if (SUCCEEDED(hr)) {
        sql_add_text(&s, lun_key);
        sql_add_int(&s, clock_filetime());
        sql_add_text(&s, text);
        sql_add_text(&s, why);
        hr = sql_run(&s, err);
    }
    free(text);
    return hr;
}

static HRESULT touch(struct store *store, int64_t seq, struct error *err)
{
    struct sql_statement s;
    HRESULT hr = sql_use(store, touch_text, &s, err);
    if (FAILED(hr)) {
        return hr;
    }
    sql_add_int(&s, clock_filetime());
    sql_add_int(&s, seq);
    return sql_run(&s, err);
}

static HRESULT add_or_touch(struct store *store, const char *lun_key,
                            const struct vss_disk_ids *ids, const char *why, struct error *err)
{
    int64_t seq = 0;
    int64_t when = 0;
    struct vss_disk_ids known = {0};
    struct error damage = {0};
    /* A damaged row is history: what was read just now must get in nevertheless. */
    HRESULT hr = load_newest(store, lun_key, &seq, &when, &known, &damage);
    if (hr == E_OUTOFMEMORY) {
        return error_set(err, hr, "%s", error_text(&damage));
    }
    bool is_known = hr == S_OK && disk_ids_equal(&known, ids);
    disk_ids_free(&known);
    return is_known ? touch(store, seq, err) : add(store, lun_key, ids, why, err);
}

HRESULT disk_ids_remember(struct store *store, const char *lun_key, const struct vss_disk_ids *ids,
                          const char *why, struct error *err)
{
    if (is_shared_key(lun_key)) {
        return error_set(err, E_INVALIDARG,
                         "disk ids cannot be remembered for a LUN without a page 83 identity of "
                         "its own");
    }
    if (ids->kind == VSS_DISK_LABEL_NONE) {
        return S_FALSE;
    }
    HRESULT hr = sql_write_begin(store, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = add_or_touch(store, lun_key, ids, why, err);
    return sql_write_end(store, hr, err);
}

HRESULT disk_ids_recall(struct store *store, const char *lun_key, struct vss_disk_ids *out,
                        int64_t *out_when, struct error *err)
{
    int64_t seq = 0;
    int64_t when = 0;
    *out = (struct vss_disk_ids){0};
    HRESULT hr = S_FALSE;
    if (!is_shared_key(lun_key)) {
        hr = load_newest(store, lun_key, &seq, &when, out, err);
    }
    if (out_when) {
        *out_when = hr == S_OK ? when : 0;
    }
    return hr;
}

/* ---- history ---- */

static HRESULT read_record(struct sql_statement *s, struct disk_ids_record *out, struct error *err)
{
    json_t *json = NULL;
    *out = (struct disk_ids_record){0};
    (void)sql_get_int(s); /* seq */
    out->first_read = sql_get_int(s);
    out->last_read = sql_get_int(s);
    HRESULT hr = sql_get_json(s, &json, err);
    if (SUCCEEDED(hr)) {
        hr = disk_ids_from_json(json, &out->ids, err);
    }
    sql_get_text(s, &out->why);
    json_decref(json);
    return hr;
}

static HRESULT read_history(struct sql_statement *s, const char *lun_key,
                            struct disk_ids_record **out, size_t *out_count, struct error *err)
{
    HRESULT hr = S_OK;
    for (hr = sql_next(s, err); hr == S_OK; hr = sql_next(s, err)) {
        struct error damage = {0};
        struct disk_ids_record record;
        struct disk_ids_record *all = sql_grow(*out, *out_count, sizeof(*all));
        if (!all) {
            return error_set(err, E_OUTOFMEMORY, "out of memory while reading disk ids");
        }
        *out = all;
        hr = read_record(s, &record, &damage);
        if (SUCCEEDED(hr)) {
            all[(*out_count)++] = record;
        } else {
            disk_ids_free(&record.ids);
            free(record.why);
            log_line(LOG_WARNING, "the registry %s: table disk_ids: LUN %s: a row is left out: %s",
                     s->store->path, lun_key, error_text(&damage));
        }
        if (hr == E_OUTOFMEMORY) {
            return error_set(err, hr, "out of memory while reading disk ids");
        }
    }
    return FAILED(hr) ? hr : S_OK;
}

HRESULT disk_ids_history(struct store *store, const char *lun_key, struct disk_ids_record **out,
                         size_t *out_count, struct error *err)
{
    struct sql_statement s;
    *out = NULL;
    *out_count = 0;
    if (is_shared_key(lun_key)) {
        return S_OK;
    }
    HRESULT hr = sql_use(store, history_text, &s, err);
    if (FAILED(hr)) {
        return hr;
    }
    sql_add_text(&s, lun_key);
    hr = read_history(&s, lun_key, out, out_count, err);
    sql_end(&s);
    if (FAILED(hr)) {
        disk_ids_history_free(*out, *out_count);
        *out = NULL;
        *out_count = 0;
    }
    return hr;
}

void disk_ids_history_free(struct disk_ids_record *records, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        disk_ids_free(&records[i].ids);
        free(records[i].why);
    }
    free(records);
}
