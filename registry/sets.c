/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/sets.h"

#include "common/clock.h"
#include "common/id.h"
#include "lun/info.h"
#include "registry/journal.h"
#include "registry/sql.h"

#include <lunshadow/provider.h>
#include <stdlib.h>
#include <string.h>

static HRESULT short_of_memory(struct error *err)
{
    return error_set(err, E_OUTOFMEMORY, "out of memory while reading or writing shadow copies");
}

/* ---- finding -----------------------------------------------------------------------------------
 */

static const char seq_of_set_text[] = "SELECT seq, set_id FROM sets WHERE set_id = ?";
static const char seq_of_snapshot_text[] =
    "SELECT snapshots.set_seq, sets.set_id FROM snapshots JOIN sets ON sets.seq = "
    "snapshots.set_seq WHERE snapshots.snapshot_id = ?";

/* S_FALSE where no row has this id. */
static HRESULT find_seq(struct store *store, const char *text, const VSS_ID *id, int64_t *out_seq,
                        VSS_ID *out_set_id, struct error *err)
{
    struct sql_statement s;
    HRESULT hr = sql_use(store, text, &s, err);
    if (FAILED(hr)) {
        return hr;
    }
    sql_add_id(&s, id);
    hr = sql_next(&s, err);
    if (hr == S_OK) {
        *out_seq = sql_get_int(&s);
        sql_get_id(&s, out_set_id);
        hr = sql_row_check(&s, "sets", id, err);
    }
    sql_end(&s);
    return hr;
}

/* ---- writing --------------------------------------------------------------------------------- */

static const char save_set_text[] =
    "INSERT INTO sets(set_id, context, originating_machine, service_machine, cut_us, hold_us)"
    " VALUES(?1, ?2, ?3, ?4, ?5, ?6)"
    " ON CONFLICT(set_id) DO UPDATE SET context = ?2, originating_machine = ?3,"
    " service_machine = ?4, cut_us = ?5, hold_us = ?6"
    " RETURNING seq";
static const char clear_luns_text[] = "DELETE FROM luns WHERE set_seq = ?";
static const char clear_snapshots_text[] = "DELETE FROM snapshots WHERE set_seq = ?";
static const char add_lun_text[] =
    "INSERT INTO luns(set_seq, lun_index, provider, array, source_url, copy_url, source, copy,"
    " source_ids, copy_ids, block_bytes, block_count, state, is_empty)"
    " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
static const char add_snapshot_text[] =
    "INSERT INTO snapshots(set_seq, snapshot_index, snapshot_id, provider_id, original_volume,"
    " device, exposed_name, exposed_path, attributes, status, created)"
    " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
static const char add_extent_text[] =
    "INSERT INTO extents(snapshot_id, extent_index, lun_index, first_lba, block_count,"
    " volume_offset_blocks) VALUES(?, ?, ?, ?, ?, ?)";

static HRESULT check_snapshot(const struct set_record *set, size_t index, struct error *err)
{
    const struct snapshot_record *snapshot = &set->snapshots[index];
    if (id_is_null(&snapshot->snapshot_id)) {
        return error_set(err, E_INVALIDARG, "shadow copy %zu of a set has no id", index);
    }
    for (size_t i = 0; i < index; i++) {
        if (id_equal(&snapshot->snapshot_id, &set->snapshots[i].snapshot_id)) {
            return error_set(err, E_INVALIDARG, "shadow copies %zu and %zu of a set have one id", i,
                             index);
        }
    }
    for (size_t i = 0; i < snapshot->extent_count; i++) {
        if (snapshot->extents[i].lun_index >= set->lun_count) {
            return error_set(err, E_INVALIDARG,
                             "shadow copy %zu of a set lies on LUN %u, the set has %zu LUNs", index,
                             (unsigned)snapshot->extents[i].lun_index, set->lun_count);
        }
    }
    return S_OK;
}

static HRESULT check_set(const struct set_record *set, struct error *err)
{
    if (id_is_null(&set->set_id)) {
        return error_set(err, E_INVALIDARG, "a snapshot set without an id cannot be stored");
    }
    for (size_t i = 0; i < set->lun_count; i++) {
        if (set->luns[i].state_bytes > VSS_PROVIDER_STATE_BYTES_MAX) {
            return error_set(
                err, E_INVALIDARG,
                "the provider's state for LUN %zu of a set has %u bytes, allowed are %u", i,
                (unsigned)set->luns[i].state_bytes, VSS_PROVIDER_STATE_BYTES_MAX);
        }
    }
    HRESULT hr = S_OK;
    for (size_t i = 0; i < set->snapshot_count && SUCCEEDED(hr); i++) {
        hr = check_snapshot(set, i, err);
    }
    return hr;
}

static HRESULT save_lun(struct store *store, int64_t seq, size_t index,
                        const struct lun_mapping *lun, struct error *err)
{
    struct sql_statement s = SQL_STATEMENT_INIT;
    char *source = sql_json_text(lun_info_to_json(&lun->source));
    char *copy = sql_json_text(lun_info_to_json(&lun->copy));
    char *source_ids = sql_json_text(disk_ids_to_json(&lun->source_ids));
    char *copy_ids = sql_json_text(disk_ids_to_json(&lun->copy_ids));
    bool is_whole = source && copy && source_ids && copy_ids;
    HRESULT hr = is_whole ? sql_use(store, add_lun_text, &s, err) : short_of_memory(err);
    if (FAILED(hr)) {
        goto out;
    }
    sql_add_int(&s, seq);
    sql_add_int(&s, (int64_t)index);
    sql_add_text(&s, lun->provider);
    sql_add_text(&s, lun->array);
    sql_add_text(&s, lun->source_url);
    sql_add_text(&s, lun->copy_url);
    sql_add_text(&s, source);
    sql_add_text(&s, copy);
    sql_add_text(&s, source_ids);
    sql_add_text(&s, copy_ids);
    sql_add_uint(&s, lun->block_bytes);
    sql_add_uint(&s, lun->block_count);
    sql_add_blob(&s, lun->state, lun->state_bytes);
    sql_add_int(&s, lun->is_empty);
    hr = sql_run(&s, err);

out:
    free(source);
    free(copy);
    free(source_ids);
    free(copy_ids);
    return hr;
}

static HRESULT save_extents(struct store *store, const struct snapshot_record *snapshot,
                            struct error *err)
{
    HRESULT hr = S_OK;
    for (size_t i = 0; i < snapshot->extent_count && SUCCEEDED(hr); i++) {
        const struct volume_extent *extent = &snapshot->extents[i];
        struct sql_statement s;
        hr = sql_use(store, add_extent_text, &s, err);
        if (FAILED(hr)) {
            return hr;
        }
        sql_add_id(&s, &snapshot->snapshot_id);
        sql_add_int(&s, (int64_t)i);
        sql_add_int(&s, extent->lun_index);
        sql_add_uint(&s, extent->first_lba);
        sql_add_uint(&s, extent->block_count);
        sql_add_uint(&s, extent->volume_offset_blocks);
        hr = sql_run(&s, err);
    }
    return hr;
}

static HRESULT save_snapshot(struct store *store, int64_t seq, size_t index,
                             const struct snapshot_record *snapshot, struct error *err)
{
    struct sql_statement s;
    HRESULT hr = sql_use(store, add_snapshot_text, &s, err);
    if (FAILED(hr)) {
        return hr;
    }
    sql_add_int(&s, seq);
    sql_add_int(&s, (int64_t)index);
    sql_add_id(&s, &snapshot->snapshot_id);
    sql_add_id(&s, &snapshot->provider_id);
    sql_add_text(&s, snapshot->original_volume);
    sql_add_text(&s, snapshot->device);
    sql_add_text(&s, snapshot->exposed_name);
    sql_add_text(&s, snapshot->exposed_path);
    sql_add_int(&s, snapshot->attributes);
    sql_add_int(&s, snapshot->status);
    sql_add_int(&s, snapshot->created);
    hr = sql_run(&s, err);
    return SUCCEEDED(hr) ? save_extents(store, snapshot, err) : hr;
}

static HRESULT run_with_seq(struct store *store, const char *text, int64_t seq, struct error *err)
{
    struct sql_statement s;
    HRESULT hr = sql_use(store, text, &s, err);
    if (FAILED(hr)) {
        return hr;
    }
    sql_add_int(&s, seq);
    return sql_run(&s, err);
}

static HRESULT save_head(struct store *store, const struct set_record *set, int64_t *out_seq,
                         struct error *err)
{
    struct sql_statement s;
    HRESULT hr = sql_use(store, save_set_text, &s, err);
    if (FAILED(hr)) {
        return hr;
    }
    sql_add_id(&s, &set->set_id);
    sql_add_int(&s, set->context);
    sql_add_text(&s, set->originating_machine);
    sql_add_text(&s, set->service_machine);
    sql_add_uint(&s, set->cut_us);
    sql_add_uint(&s, set->hold_us);
    hr = sql_next(&s, err);
    if (hr == S_OK) {
        *out_seq = sql_get_int(&s);
        hr = sql_run(&s, err);
    }
    sql_end(&s);
    return hr;
}

static HRESULT save_all(struct store *store, const struct set_record *set, struct error *err)
{
    int64_t seq = 0;
    HRESULT hr = save_head(store, set, &seq, err);
    if (SUCCEEDED(hr)) {
        hr = run_with_seq(store, clear_snapshots_text, seq, err);
    }
    if (SUCCEEDED(hr)) {
        hr = run_with_seq(store, clear_luns_text, seq, err);
    }
    for (size_t i = 0; i < set->lun_count && SUCCEEDED(hr); i++) {
        hr = save_lun(store, seq, i, &set->luns[i], err);
    }
    for (size_t i = 0; i < set->snapshot_count && SUCCEEDED(hr); i++) {
        hr = save_snapshot(store, seq, i, &set->snapshots[i], err);
    }
    return hr;
}

/* A shadow copy belongs to one set for life. */
static HRESULT check_not_elsewhere(struct store *store, const struct set_record *set,
                                   struct error *err)
{
    for (size_t i = 0; i < set->snapshot_count; i++) {
        int64_t seq = 0;
        VSS_ID owner = id_null;
        const VSS_ID *id = &set->snapshots[i].snapshot_id;
        HRESULT hr = find_seq(store, seq_of_snapshot_text, id, &seq, &owner, err);
        if (FAILED(hr)) {
            return hr;
        }
        if (hr == S_OK && !id_equal(&owner, &set->set_id)) {
            char snapshot_text[ID_TEXT_BYTES];
            char owner_text[ID_TEXT_BYTES];
            return error_set(err, E_INVALIDARG,
                             "shadow copy %s already belongs to set %s and cannot be stored in "
                             "another",
                             id_text(id, snapshot_text), id_text(&owner, owner_text));
        }
    }
    return S_OK;
}

HRESULT sets_save(struct store *store, const struct set_record *set, struct error *err)
{
    HRESULT hr = check_set(set, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = sql_write_begin(store, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = check_not_elsewhere(store, set, err);
    if (SUCCEEDED(hr)) {
        hr = save_all(store, set, err);
    }
    return sql_write_end(store, hr, err);
}

/* ---- reading --------------------------------------------------------------------------------- */

/* One statement per table serves one set and all sets; all in the order of the sets, so that rows
 * are dealt out in one pass. */
static const char load_sets_text[] =
    "SELECT seq, set_id, context, originating_machine, service_machine, cut_us, hold_us"
    " FROM sets WHERE seq BETWEEN ? AND ? ORDER BY seq";
static const char load_luns_text[] =
    "SELECT set_seq, provider, array, source_url, copy_url, source, copy, source_ids, copy_ids,"
    " block_bytes, block_count, state, is_empty"
    " FROM luns WHERE set_seq BETWEEN ? AND ? ORDER BY set_seq, lun_index";
static const char load_snapshots_text[] =
    "SELECT set_seq, snapshot_id, provider_id, original_volume, device, exposed_name,"
    " exposed_path, attributes, status, created"
    " FROM snapshots WHERE set_seq BETWEEN ? AND ? ORDER BY set_seq, snapshot_index";
static const char load_extents_text[] =
    "SELECT s.set_seq, s.snapshot_id, e.lun_index, e.first_lba, e.block_count,"
    " e.volume_offset_blocks"
    " FROM snapshots s CROSS JOIN extents e ON e.snapshot_id = s.snapshot_id"
    " WHERE s.set_seq BETWEEN ? AND ? ORDER BY s.set_seq, s.snapshot_index, e.extent_index";

struct loading {
    struct store *store;
    int64_t first_seq;
    int64_t last_seq;
    bool is_brief; /* without LUNs and extents */
    struct set_record *sets;
    int64_t *seqs; /* of sets, ascending */
    size_t count;
    size_t set_at;      /* the set that the last row belonged to */
    size_t snapshot_at; /* and its snapshot, while extents are read */
};

typedef HRESULT (*row_reader)(struct loading *loading, struct sql_statement *s, struct error *err);

static HRESULT read_rows(struct loading *loading, const char *text, row_reader read,
                         struct error *err)
{
    struct sql_statement s;
    loading->set_at = 0;
    loading->snapshot_at = 0;
    HRESULT hr = sql_use(loading->store, text, &s, err);
    if (FAILED(hr)) {
        return hr;
    }
    sql_add_int(&s, loading->first_seq);
    sql_add_int(&s, loading->last_seq);
    hr = sql_next(&s, err);
    while (hr == S_OK) {
        hr = read(loading, &s, err);
        if (SUCCEEDED(hr)) {
            hr = sql_next(&s, err);
        }
    }
    sql_end(&s);
    return FAILED(hr) ? hr : S_OK;
}

static HRESULT read_set(struct loading *loading, struct sql_statement *s, struct error *err)
{
    struct set_record *sets = sql_grow(loading->sets, loading->count, sizeof(*sets));
    if (!sets) {
        return short_of_memory(err);
    }
    loading->sets = sets;
    int64_t *seqs = sql_grow(loading->seqs, loading->count, sizeof(*seqs));
    if (!seqs) {
        return short_of_memory(err);
    }
    loading->seqs = seqs;
    struct set_record *set = &sets[loading->count];
    *set = (struct set_record){0};
    seqs[loading->count] = sql_get_int(s);
    loading->count++;
    sql_get_id(s, &set->set_id);
    set->context = sql_get_uint32(s);
    sql_get_text(s, &set->originating_machine);
    sql_get_text(s, &set->service_machine);
    set->cut_us = sql_get_uint(s);
    set->hold_us = sql_get_uint(s);
    return sql_row_check(s, "sets", &set->set_id, err);
}

/* The set a row belongs to, by the row's first column. */
static struct set_record *set_of_row(struct loading *loading, struct sql_statement *s)
{
    int64_t seq = sql_get_int(s);
    while (loading->set_at < loading->count && loading->seqs[loading->set_at] < seq) {
        loading->set_at++;
        loading->snapshot_at = 0;
    }
    bool is_there = loading->set_at < loading->count && loading->seqs[loading->set_at] == seq;
    return is_there ? &loading->sets[loading->set_at] : NULL;
}

static HRESULT orphan(const struct loading *loading, const char *table, struct error *err)
{
    return error_set(err, VSS_E_UNEXPECTED,
                     "the registry %s: table %s: a row belongs to nothing; bring the registry back "
                     "from a backup",
                     loading->store->path, table);
}

static HRESULT read_lun_info(struct sql_statement *s, struct vss_lun_info *out, struct error *err)
{
    json_t *json = NULL;
    HRESULT hr = sql_get_json(s, &json, err);
    if (SUCCEEDED(hr)) {
        hr = lun_info_from_json(json, out, err);
    }
    json_decref(json);
    return hr;
}

static HRESULT read_disk_ids(struct sql_statement *s, struct vss_disk_ids *out, struct error *err)
{
    json_t *json = NULL;
    HRESULT hr = sql_get_json(s, &json, err);
    if (SUCCEEDED(hr)) {
        hr = disk_ids_from_json(json, out, err);
    }
    json_decref(json);
    return hr;
}

static HRESULT read_identities(struct loading *loading, const struct set_record *set,
                               struct sql_statement *s, struct lun_mapping *lun, struct error *err)
{
    HRESULT hr = read_lun_info(s, &lun->source, err);
    if (SUCCEEDED(hr)) {
        hr = read_lun_info(s, &lun->copy, err);
    }
    if (SUCCEEDED(hr)) {
        hr = read_disk_ids(s, &lun->source_ids, err);
    }
    if (SUCCEEDED(hr)) {
        hr = read_disk_ids(s, &lun->copy_ids, err);
    }
    if (FAILED(hr)) {
        char id[ID_TEXT_BYTES];
        error_prefix(
            err,
            "the registry %s: table luns: set %s, LUN %zu: damaged row, bring the registry "
            "back from a backup",
            loading->store->path, id_text(&set->set_id, id), set->lun_count - 1);
    }
    return hr;
}

static HRESULT read_lun(struct loading *loading, struct sql_statement *s, struct error *err)
{
    struct set_record *set = set_of_row(loading, s);
    if (!set) {
        return orphan(loading, "luns", err);
    }
    struct lun_mapping *luns = sql_grow(set->luns, set->lun_count, sizeof(*luns));
    if (!luns) {
        return short_of_memory(err);
    }
    set->luns = luns;
    struct lun_mapping *lun = &luns[set->lun_count];
    *lun = (struct lun_mapping){0};
    set->lun_count++;
    sql_get_text(s, &lun->provider);
    sql_get_text(s, &lun->array);
    sql_get_text(s, &lun->source_url);
    sql_get_text(s, &lun->copy_url);
    HRESULT hr = read_identities(loading, set, s, lun, err);
    if (FAILED(hr)) {
        return hr;
    }
    size_t state_bytes = 0;
    lun->block_bytes = sql_get_uint(s);
    lun->block_count = sql_get_uint(s);
    sql_get_blob(s, &lun->state, &state_bytes);
    lun->state_bytes = (uint32_t)state_bytes;
    lun->is_empty = sql_get_int(s) != 0;
    if (state_bytes > VSS_PROVIDER_STATE_BYTES_MAX) {
        s->status = SQLITE_MISMATCH;
    }
    return sql_row_check(s, "luns", &set->set_id, err);
}

static HRESULT read_snapshot(struct loading *loading, struct sql_statement *s, struct error *err)
{
    struct set_record *set = set_of_row(loading, s);
    if (!set) {
        return orphan(loading, "snapshots", err);
    }
    struct snapshot_record *all = sql_grow(set->snapshots, set->snapshot_count, sizeof(*all));
    if (!all) {
        return short_of_memory(err);
    }
    set->snapshots = all;
    struct snapshot_record *snapshot = &all[set->snapshot_count];
    *snapshot = (struct snapshot_record){0};
    set->snapshot_count++;
    sql_get_id(s, &snapshot->snapshot_id);
    sql_get_id(s, &snapshot->provider_id);
    sql_get_text(s, &snapshot->original_volume);
    sql_get_text(s, &snapshot->device);
    sql_get_text(s, &snapshot->exposed_name);
    sql_get_text(s, &snapshot->exposed_path);
    snapshot->attributes = sql_get_uint32(s);
    snapshot->status = sql_get_int32(s);
    snapshot->created = sql_get_int(s);
    return sql_row_check(s, "snapshots", &snapshot->snapshot_id, err);
}

static HRESULT add_extent(struct snapshot_record *snapshot, const struct volume_extent *extent,
                          struct error *err)
{
    struct volume_extent *all = sql_grow(snapshot->extents, snapshot->extent_count, sizeof(*all));
    if (!all) {
        return short_of_memory(err);
    }
    snapshot->extents = all;
    all[snapshot->extent_count] = *extent;
    snapshot->extent_count++;
    return S_OK;
}

static HRESULT read_extent(struct loading *loading, struct sql_statement *s, struct error *err)
{
    VSS_ID id;
    struct set_record *set = set_of_row(loading, s);
    sql_get_id(s, &id);
    while (set && loading->snapshot_at < set->snapshot_count &&
           !id_equal(&set->snapshots[loading->snapshot_at].snapshot_id, &id)) {
        loading->snapshot_at++;
    }
    if (!set || loading->snapshot_at >= set->snapshot_count) {
        return orphan(loading, "extents", err);
    }
    struct volume_extent extent = {0};
    extent.lun_index = sql_get_uint32(s);
    extent.first_lba = sql_get_uint(s);
    extent.block_count = sql_get_uint(s);
    extent.volume_offset_blocks = sql_get_uint(s);
    HRESULT hr = sql_row_check(s, "extents", &id, err);
    if (SUCCEEDED(hr) && extent.lun_index >= set->lun_count) {
        hr = orphan(loading, "extents", err);
    }
    return FAILED(hr) ? hr : add_extent(&set->snapshots[loading->snapshot_at], &extent, err);
}

/* Fills loading->sets with the sets first_seq..last_seq; empty after a failure. */
static HRESULT load_range(struct loading *loading, struct error *err)
{
    HRESULT hr = read_rows(loading, load_sets_text, read_set, err);
    if (SUCCEEDED(hr) && !loading->is_brief) {
        hr = read_rows(loading, load_luns_text, read_lun, err);
    }
    if (SUCCEEDED(hr)) {
        hr = read_rows(loading, load_snapshots_text, read_snapshot, err);
    }
    if (SUCCEEDED(hr) && !loading->is_brief) {
        hr = read_rows(loading, load_extents_text, read_extent, err);
    }
    free(loading->seqs);
    loading->seqs = NULL;
    if (FAILED(hr)) {
        sets_free_all(loading->sets, loading->count);
        loading->sets = NULL;
        loading->count = 0;
    }
    return hr;
}

static HRESULT load_all(struct store *store, bool is_brief, struct set_record **out,
                        size_t *out_count, struct error *err)
{
    *out = NULL;
    *out_count = 0;
    struct loading loading = {
        .store = store, .first_seq = 0, .last_seq = INT64_MAX, .is_brief = is_brief};
    HRESULT hr = sql_read_begin(store, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = load_range(&loading, err);
    sql_read_end(store);
    *out = loading.sets;
    *out_count = loading.count;
    return hr;
}

HRESULT sets_load_all(struct store *store, struct set_record **out, size_t *out_count,
                      struct error *err)
{
    return load_all(store, false, out, out_count, err);
}

HRESULT sets_load_brief(struct store *store, struct set_record **out, size_t *out_count,
                        struct error *err)
{
    return load_all(store, true, out, out_count, err);
}

static HRESULT not_found(const char *what, const VSS_ID *id, struct error *err)
{
    char text[ID_TEXT_BYTES];
    return error_set(err, VSS_E_OBJECT_NOT_FOUND,
                     "the registry knows no %s %s: look at the list of sets for the right id", what,
                     id_text(id, text));
}

static HRESULT load_one(struct store *store, const char *text, const VSS_ID *id, const char *what,
                        struct set_record *out, struct error *err)
{
    *out = (struct set_record){0};
    VSS_ID set_id;
    struct loading loading = {.store = store};
    HRESULT hr = sql_read_begin(store, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = find_seq(store, text, id, &loading.first_seq, &set_id, err);
    if (hr == S_FALSE) {
        hr = not_found(what, id, err);
    }
    loading.last_seq = loading.first_seq;
    if (SUCCEEDED(hr)) {
        hr = load_range(&loading, err);
    }
    sql_read_end(store);
    if (SUCCEEDED(hr) && !loading.sets) {
        hr = not_found(what, id, err);
    }
    if (SUCCEEDED(hr)) {
        *out = loading.sets[0];
        free(loading.sets);
    }
    return hr;
}

HRESULT sets_load(struct store *store, const VSS_ID *set_id, struct set_record *out,
                  struct error *err)
{
    return load_one(store, seq_of_set_text, set_id, "snapshot set", out, err);
}

HRESULT sets_find_by_snapshot(struct store *store, const VSS_ID *snapshot_id,
                              struct set_record *out, struct error *err)
{
    return load_one(store, seq_of_snapshot_text, snapshot_id, "shadow copy", out, err);
}

/* ---- deleting -------------------------------------------------------------------------------- */

static const char delete_set_text[] = "DELETE FROM sets WHERE seq = ?";
static const char delete_empty_set_text[] = "DELETE FROM sets WHERE seq = ?1 AND NOT EXISTS"
                                            " (SELECT 1 FROM snapshots WHERE set_seq = ?1)";
static const char delete_snapshot_text[] = "DELETE FROM snapshots WHERE snapshot_id = ?";

static HRESULT delete_snapshot_row(struct store *store, const VSS_ID *snapshot_id, int64_t seq,
                                   struct error *err)
{
    struct sql_statement s;
    HRESULT hr = sql_use(store, delete_snapshot_text, &s, err);
    if (FAILED(hr)) {
        return hr;
    }
    sql_add_id(&s, snapshot_id);
    hr = sql_run(&s, err);
    return SUCCEEDED(hr) ? run_with_seq(store, delete_empty_set_text, seq, err) : hr;
}

HRESULT sets_delete_snapshot(struct store *store, const VSS_ID *snapshot_id, struct error *err)
{
    int64_t seq = 0;
    VSS_ID set_id;
    HRESULT hr = sql_write_begin(store, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = find_seq(store, seq_of_snapshot_text, snapshot_id, &seq, &set_id, err);
    if (hr == S_FALSE) {
        hr = not_found("shadow copy", snapshot_id, err);
    }
    if (SUCCEEDED(hr)) {
        hr = delete_snapshot_row(store, snapshot_id, seq, err);
    }
    return sql_write_end(store, hr, err);
}

HRESULT sets_delete(struct store *store, const VSS_ID *set_id, struct error *err)
{
    int64_t seq = 0;
    VSS_ID found;
    HRESULT hr = sql_write_begin(store, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = find_seq(store, seq_of_set_text, set_id, &seq, &found, err);
    if (hr == S_FALSE) {
        hr = not_found("snapshot set", set_id, err);
    }
    if (SUCCEEDED(hr)) {
        hr = run_with_seq(store, delete_set_text, seq, err);
    }
    return sql_write_end(store, hr, err);
}

HRESULT sets_save_and_close(struct store *store, const struct set_record *set,
                            const VSS_ID *entry_id, struct error *err)
{
    HRESULT hr = store_begin(store, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = sets_save(store, set, err);
    if (SUCCEEDED(hr)) {
        hr = journal_close(store, entry_id, err);
    }
    return store_end(store, hr, err);
}

HRESULT sets_delete_and_close(struct store *store, const VSS_ID *set_id, const VSS_ID *entry_id,
                              struct error *err)
{
    HRESULT hr = store_begin(store, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = sets_delete(store, set_id, err);
    if (SUCCEEDED(hr)) {
        hr = journal_close(store, entry_id, err);
    }
    return store_end(store, hr, err);
}
