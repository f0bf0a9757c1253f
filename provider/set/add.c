/* SPDX-License-Identifier: Apache-2.0 */
/* AddToSnapshotSet: one volume more, from its name to BeginPrepareSnapshot. */
#include "common/buffer.h"
#include "common/id.h"
#include "provider/set/builder.h"
#include "provider/set/call.h"
#include "provider/set/candidate.h"
#include "registry/journal.h"

#include <stdlib.h>
#include <string.h>

/* All holds of a set must overlap; each array holds on its own, so a set lies on one. */
static HRESULT check_one_array(const struct set_builder *b, const struct provider *p,
                               const struct candidate *c, struct error *err)
{
    if (b->provider && b->provider != p) {
        return error_set(err, VSS_E_VOLUME_NOT_SUPPORTED,
                         "%s is on array %s and the set on array %s: two arrays cannot be cut at "
                         "one point in time; make two sets",
                         c->text, provider_array(p), provider_array(b->provider));
    }
    return S_OK;
}

/* The LUNs of a set are cut at one point in time; an array that says that it cannot gets one LUN.
 * lun_indexes as check_admission(). */
static HRESULT check_one_cut(const struct set_builder *b, const struct provider *p,
                             const struct candidate *c, const size_t *lun_indexes,
                             struct error *err)
{
    size_t luns = b->record.lun_count;
    for (size_t i = 0; i < c->lun_count; i++) {
        luns += lun_indexes[i] == SIZE_MAX;
    }
    if (luns > 1 && provider_capabilities(p)->consistent_set == VSS_CAPABILITY_NO) {
        return error_set(err, VSS_E_VOLUME_NOT_SUPPORTED,
                         "%s would be LUN %zu of the set, and array %s cannot cut several LUNs at "
                         "one point in time (consistent-set no, see `lunshadow providers`); make a "
                         "set for each LUN",
                         c->text, luns, provider_array(p));
    }
    return S_OK;
}

/* Where the LUN is in the set already; SIZE_MAX: not yet. Two that contradict each other are
 * refused. */
static HRESULT find_lun(const struct set_builder *b, const struct candidate_lun *c, size_t *out,
                        struct error *err)
{
    *out = SIZE_MAX;
    for (size_t i = 0; i < b->record.lun_count; i++) {
        const struct lun_mapping *m = &b->record.luns[i];
        switch (lun_info_compare(&m->source, &c->lun->identity.info)) {
        case LUN_SAME:
            *out = i;
            break;
        case LUN_AMBIGUOUS:
            return error_set(err, VSS_E_VOLUME_NOT_SUPPORTED,
                             "%s and %s share a page-83 designator but contradict each other in "
                             "another; `lunshadow luns` shows both, mend the array first",
                             m->source_url, c->lun->url);
        case LUN_DIFFERENT:
            break;
        }
    }
    return S_OK;
}

static HRESULT check_snapshot_limit(const struct set_builder *b, const struct provider *p,
                                    const struct candidate_lun *c, struct error *err)
{
    uint32_t limit = provider_capabilities(p)->max_snapshots_per_lun;
    if (limit == 0) {
        return S_OK;
    }
    struct set_record *sets = NULL;
    size_t count = 0;
    HRESULT hr = sets_load_all(b->env->store, &sets, &count, err);
    uint32_t existing = 0;
    for (size_t s = 0; s < count; s++) {
        for (size_t i = 0; i < sets[s].lun_count; i++) {
            const struct lun_mapping *m = &sets[s].luns[i];
            existing +=
                !m->is_empty && lun_info_compare(&m->source, &c->lun->identity.info) == LUN_SAME;
        }
    }
    sets_free_all(sets, count);
    if (SUCCEEDED(hr) && existing >= limit) {
        hr = error_set(err, VSS_E_MAXIMUM_NUMBER_OF_SNAPSHOTS_REACHED,
                       "%s has %u shadow copies; array %s allows %u: delete one first", c->lun->url,
                       existing, provider_array(p), limit);
    }
    return hr;
}

void set_builder_drop_originals(struct set_builder *b, size_t count)
{
    while (b->original_count > count) {
        struct set_original *o = &b->originals[--b->original_count];
        free(o->open_name);
        label_free(o->label);
    }
}

/* Room for one LUN more, in the record and beside it. */
static bool reserve_lun(struct set_builder *b)
{
    struct set_record *r = &b->record;
    struct lun_mapping *luns = realloc(r->luns, (r->lun_count + 1) * sizeof(*luns));
    if (!luns) {
        return false;
    }
    r->luns = luns;
    struct set_original *originals = realloc(b->originals, (r->lun_count + 1) * sizeof(*originals));
    if (!originals) {
        return false;
    }
    b->originals = originals;
    return true;
}

/* Takes the label and the name that it is opened by from the candidate. */
static HRESULT append_lun(struct set_builder *b, struct candidate_lun *c, struct provider *p,
                          size_t *out, struct error *err)
{
    struct set_record *r = &b->record;
    if (!reserve_lun(b)) {
        return error_set(err, E_OUTOFMEMORY, "out of memory adding a LUN");
    }
    char id[ID_TEXT_BYTES];
    struct lun_mapping m = {
        .provider = text_copy(id_text(&provider_table(p)->provider_id, id)),
        .array = text_copy(provider_array(p)),
        .source_url = text_copy(c->lun->url),
        .block_bytes = c->lun->block.block_bytes,
        .block_count = c->lun->block.block_count,
    };
    HRESULT hr = m.provider && m.array && m.source_url ? S_OK : E_OUTOFMEMORY;
    if (SUCCEEDED(hr)) {
        hr = lun_info_copy(&c->lun->identity.info, &m.source);
    }
    if (SUCCEEDED(hr)) {
        hr = disk_ids_copy(&c->ids, &m.source_ids);
    }
    if (FAILED(hr)) {
        lun_mapping_free(&m);
        return error_set(err, hr, "out of memory adding a LUN");
    }
    m.source.disk_signature = disk_ids_signature(&m.source_ids);
    *out = r->lun_count;
    b->originals[b->original_count++] = (struct set_original){c->open_name, c->label};
    c->open_name = NULL;
    c->label = NULL;
    r->luns[r->lun_count++] = m;
    return S_OK;
}

/* lun_indexes: where in the set each LUN of the candidate is. */
static HRESULT append_snapshot(struct set_builder *b, const struct candidate *c,
                               const size_t *lun_indexes, VSS_ID *out_id, struct error *err)
{
    struct set_record *r = &b->record;
    struct snapshot_record *grown = realloc(r->snapshots, (r->snapshot_count + 1) * sizeof(*grown));
    struct volume_extent *extents = calloc(c->lun_count, sizeof(*extents));
    char *name = text_copy(c->text);
    if (grown) {
        r->snapshots = grown;
    }
    if (!grown || !extents || !name) {
        free(extents);
        free(name);
        return error_set(err, E_OUTOFMEMORY, "out of memory adding a volume");
    }
    for (size_t i = 0; i < c->lun_count; i++) {
        extents[i] = (struct volume_extent){.lun_index = (uint32_t)lun_indexes[i],
                                            .first_lba = c->luns[i].first_lba,
                                            .block_count = c->luns[i].block_count};
    }
    *out_id = id_new();
    r->snapshots[r->snapshot_count++] = (struct snapshot_record){
        .snapshot_id = *out_id,
        .provider_id = provider_table(b->provider)->provider_id,
        .original_volume = name,
        .attributes = r->context | VSS_VOLSNAP_ATTR_HARDWARE_ASSISTED,
        .status = VSS_SS_PREPARING,
        .extents = extents,
        .extent_count = c->lun_count,
    };
    return S_OK;
}

static void drop_last_snapshot(struct set_record *r)
{
    snapshot_record_free(&r->snapshots[--r->snapshot_count]);
}

static HRESULT begin_prepare(struct set_builder *b, const struct candidate *c,
                             const size_t *lun_indexes, const VSS_ID *snapshot_id,
                             struct error *err)
{
    struct provider_arena arena = PROVIDER_ARENA_INIT;
    const char **devices = NULL;
    struct vss_lun_info *infos = NULL;
    HRESULT hr = candidate_views(c, &devices, &infos, err);
    if (FAILED(hr)) {
        return hr;
    }
    struct vss_luns_in in = {.struct_size = sizeof(in),
                             .context = b->record.context,
                             .set_id = b->record.set_id,
                             .snapshot_id = *snapshot_id,
                             .lun_count = (uint32_t)c->lun_count,
                             .devices = devices,
                             .luns = infos};
    struct vss_states_out out = {0};
    hr = provider_call(b->provider, VSS_OP_BEGIN_PREPARE_SNAPSHOT, &in, &out, &arena, 0, err);
    for (size_t i = 0; SUCCEEDED(hr) && out.states && i < c->lun_count; i++) {
        hr = set_keep_state(&b->record.luns[lun_indexes[i]], &out.states[i], err);
    }
    provider_arena_free(&arena);
    free((void *)devices);
    free(infos);
    return hr;
}

/* A volume in a file goes with the volume that has the file; in one set they would be two copies of
 * the same bytes. */
static HRESULT check_nesting(const struct set_builder *b, const struct candidate *c,
                             struct error *err)
{
    for (size_t i = 0; c->nested_file && i < c->lun_count; i++) {
        size_t index = SIZE_MAX;
        HRESULT hr = find_lun(b, &c->luns[i], &index, err);
        if (FAILED(hr)) {
            return hr;
        }
        if (index != SIZE_MAX) {
            return error_set(err, VSS_E_NESTED_VOLUME_LIMIT,
                             "%s is a loop device on the file %s, whose volume %s is in the set",
                             c->text, c->nested_file, b->record.luns[index].source_url);
        }
    }
    return S_OK;
}

/* Everything that may still say no, in the order in which it is cheap to ask; SIZE_MAX in
 * lun_indexes: a LUN that is new to the set. */
static HRESULT check_admission(struct set_builder *b, const struct candidate *c,
                               const VSS_ID *provider_id, size_t *lun_indexes,
                               struct provider **out, struct error *err)
{
    HRESULT hr = check_nesting(b, c, err);
    for (size_t i = 0; i < c->lun_count && SUCCEEDED(hr); i++) {
        hr = find_lun(b, &c->luns[i], &lun_indexes[i], err);
    }
    if (SUCCEEDED(hr)) {
        hr = candidate_choose_provider(b->env, c, b->record.context, provider_id, out, err);
    }
    if (SUCCEEDED(hr)) {
        hr = check_one_array(b, *out, c, err);
    }
    if (SUCCEEDED(hr)) {
        hr = check_one_cut(b, *out, c, lun_indexes, err);
    }
    for (size_t i = 0; i < c->lun_count && SUCCEEDED(hr); i++) {
        hr = check_snapshot_limit(b, *out, &c->luns[i], err);
    }
    return hr;
}

static void drop_luns(struct set_builder *b, size_t count)
{
    struct set_record *r = &b->record;
    while (r->lun_count > count) {
        lun_mapping_free(&r->luns[--r->lun_count]);
    }
    set_builder_drop_originals(b, count);
}

/* Room first: once the provider has the volume, nothing may fail. */
static HRESULT reserve_mount_point(struct set_builder *b, struct error *err)
{
    char **grown =
        realloc((void *)b->mount_points, (b->mount_point_count + 1) * sizeof(*b->mount_points));
    if (!grown) {
        return error_set(err, E_OUTOFMEMORY, "out of memory adding a volume");
    }
    b->mount_points = grown;
    return S_OK;
}

/* The volume into the record, and to the provider. On failure the record is as before. */
static HRESULT enter(struct set_builder *b, struct candidate *c, size_t *lun_indexes,
                     VSS_ID *out_id, struct error *err)
{
    size_t luns_before = b->record.lun_count;
    VSS_ID id = id_null;
    HRESULT hr = S_OK;
    for (size_t i = 0; i < c->lun_count && SUCCEEDED(hr); i++) {
        if (lun_indexes[i] == SIZE_MAX) {
            hr = append_lun(b, &c->luns[i], b->provider, &lun_indexes[i], err);
        }
    }
    if (SUCCEEDED(hr)) {
        hr = append_snapshot(b, c, lun_indexes, &id, err);
    }
    if (SUCCEEDED(hr)) {
        hr = begin_prepare(b, c, lun_indexes, &id, err);
        if (FAILED(hr)) {
            drop_last_snapshot(&b->record);
        }
    }
    if (FAILED(hr)) {
        drop_luns(b, luns_before);
        return hr;
    }
    *out_id = id;
    return S_OK;
}

static HRESULT admit(struct set_builder *b, struct candidate *c, const VSS_ID *provider_id,
                     VSS_ID *out_id, struct error *err)
{
    struct provider *p = NULL;
    struct provider *before = b->provider;
    size_t *lun_indexes = calloc(c->lun_count, sizeof(*lun_indexes));
    if (!lun_indexes) {
        return error_set(err, E_OUTOFMEMORY, "out of memory adding a volume");
    }
    HRESULT hr = check_admission(b, c, provider_id, lun_indexes, &p, err);
    for (size_t i = 0; i < c->lun_count && SUCCEEDED(hr); i++) {
        hr = disk_ids_remember(b->env->store, c->luns[i].key, &c->luns[i].ids,
                               "read for a shadow copy", err);
    }
    if (SUCCEEDED(hr)) {
        hr = reserve_mount_point(b, err);
    }
    if (SUCCEEDED(hr)) { /* last: nothing fails after it */
        b->provider = p;
        hr = enter(b, c, lun_indexes, out_id, err);
        b->provider = SUCCEEDED(hr) ? p : before;
    }
    if (SUCCEEDED(hr) && c->mount_point) {
        b->mount_points[b->mount_point_count++] = c->mount_point;
        c->mount_point = NULL;
    }
    free(lun_indexes);
    return hr;
}

static HRESULT check_entry(const struct journal_entry *entry, const struct candidate *c,
                           struct error *err)
{
    for (size_t i = 0; i < c->lun_count; i++) {
        if (journal_speaks_of(entry, c->luns[i].key)) {
            return error_set(err, VSS_E_BAD_STATE,
                             "%s is being overwritten by process %lld or was left half-written "
                             "(%s); end that resync first",
                             c->luns[i].lun->url, (long long)entry->pid,
                             entry->description ? entry->description : "");
        }
    }
    return S_OK;
}

/* A LUN that a resync overwrites, or has left half-written, is not worth a copy. */
static HRESULT check_whole(const struct set_environment *env, const struct candidate *c,
                           struct error *err)
{
    struct journal_entry *entries = NULL;
    size_t count = 0;
    HRESULT hr = journal_load_open(env->store, false, &entries, &count, err);
    for (size_t i = 0; i < count && SUCCEEDED(hr); i++) {
        hr = entries[i].destination_invalid ? check_entry(&entries[i], c, err) : S_OK;
    }
    journal_free_all(entries, count);
    return hr;
}

/* What a resync overwrites has no label, which is not for the label to say. */
static HRESULT read_whole(struct set_environment *env, struct candidate *c, struct error *err)
{
    struct error why = {0};
    HRESULT hr = check_whole(env, c, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = candidate_read(env, c, &why);
    HRESULT whole = check_whole(env, c, err); /* one may have begun meanwhile */
    if (FAILED(whole)) {
        return whole;
    }
    return FAILED(hr) ? error_set(err, hr, "%s", error_text(&why)) : hr;
}

HRESULT set_add_volume(struct set_builder *builder, const char *volume, const VSS_ID *provider_id,
                       VSS_ID *out_snapshot_id, struct error *err)
{
    *out_snapshot_id = id_null;
    if (builder->is_spent) {
        return error_set(err, VSS_E_BAD_STATE, "this snapshot set was committed or given up");
    }
    if (builder->record.snapshot_count >= SET_VOLUMES_MAX) {
        return error_set(err, VSS_E_MAXIMUM_NUMBER_OF_VOLUMES_REACHED,
                         "a snapshot set holds at most %d volumes", SET_VOLUMES_MAX);
    }
    struct candidate c = {0};
    HRESULT hr = candidate_identify(builder->env, volume, &c, err);
    if (SUCCEEDED(hr)) {
        hr = read_whole(builder->env, &c, err);
    }
    for (size_t i = 0; SUCCEEDED(hr) && i < builder->record.snapshot_count; i++) {
        if (strcmp(builder->record.snapshots[i].original_volume, c.text) == 0) {
            hr = error_set(err, E_INVALIDARG, "%s is in the snapshot set already", c.text);
        }
    }
    if (SUCCEEDED(hr)) {
        hr = admit(builder, &c, provider_id, out_snapshot_id, err);
    }
    candidate_free(&c);
    return hr;
}
