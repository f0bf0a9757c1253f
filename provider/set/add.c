/* SPDX-License-Identifier: Apache-2.0 */
/* AddToSnapshotSet: one volume more, from its name to BeginPrepareSnapshot. */
#include "common/buffer.h"
#include "common/id.h"
#include "common/log.h"
#include "lun/host_device.h"
#include "lun/label/label.h"
#include "lun/volume.h"
#include "provider/set/builder.h"
#include "provider/set/call.h"
#include "registry/journal.h"

#include <stdlib.h>
#include <string.h>

/* A volume as found: what is known of it before any provider is asked. */
struct candidate {
    struct volume_name name;
    char *text; /* canonical */
    struct lun *lun;
    struct label *label;
    struct vss_disk_ids ids;
    char key[LUN_KEY_BYTES];
    uint64_t first_lba;
    uint64_t block_count;
};

static void candidate_free(struct candidate *c)
{
    disk_ids_free(&c->ids);
    label_free(c->label);
    lun_close(c->lun);
    free(c->text);
    *c = (struct candidate){0};
}

static HRESULT find_extent(struct candidate *c, struct error *err)
{
    c->first_lba = 0;
    c->block_count = c->lun->block.block_count;
    if (c->name.partition == 0) {
        return S_OK;
    }
    for (size_t i = 0; i < c->label->partition_count; i++) {
        const struct label_partition *p = &c->label->partitions[i];
        if (p->number == c->name.partition) {
            c->first_lba = p->first_lba;
            c->block_count = p->last_lba - p->first_lba + 1;
            return S_OK;
        }
    }
    return error_set(err, VSS_E_OBJECT_NOT_FOUND, "%s has no partition %u; see `lunshadow luns`",
                     c->lun->url, c->name.partition);
}

static HRESULT check_identity(const struct candidate *c, struct error *err)
{
    const char *reason = NULL;
    if (!lun_info_is_unique(&c->lun->identity.info, &reason)) {
        return error_set(err, VSS_E_VOLUME_NOT_SUPPORTED,
                         "%s has no page-83 identity that is its alone (%s); give it one on the "
                         "array (tgtd: scsi_id and scsi_sn)",
                         c->lun->url, reason);
    }
    return S_OK;
}

/* While the set is cut, nothing on its LUNs can be written: our own records must lie elsewhere. */
static HRESULT check_state_directory(const struct set_environment *env, const struct candidate *c,
                                     struct error *err)
{
    char device[HOST_DEVICE_NAME_BYTES];
    HRESULT hr =
        host_device_backs_path("/sys", store_path(env->store), &c->lun->identity.info, device, err);
    if (hr == S_OK) {
        return error_set(err, VSS_E_VOLUME_NOT_SUPPORTED,
                         "the state directory %s lies on %s (%s), which would be held while it is "
                         "copied; set LUNSHADOW_STATE_DIR to a place outside the set",
                         store_path(env->store), c->lun->url, device);
    }
    return FAILED(hr) ? hr : S_OK;
}

static HRESULT read_label(struct candidate *c, struct error *err)
{
    HRESULT hr = label_read(&c->lun->block, LABEL_FULL, &c->label, err);
    if (FAILED(hr)) {
        error_prefix(err, "%s", c->lun->url);
        return hr;
    }
    if (c->label->has_dynamic_disk) {
        return error_set(err, VSS_E_VOLUME_NOT_SUPPORTED,
                         "%s is a dynamic (LDM) disk, whose identity cannot be reverted",
                         c->lun->url);
    }
    if (c->label->kind == VSS_DISK_LABEL_GPT &&
        !(c->label->primary.is_valid && c->label->backup.is_valid)) {
        const struct label_gpt_header *bad =
            c->label->primary.is_valid ? &c->label->backup : &c->label->primary;
        log_line(LOG_WARNING,
                 "%s: the %s GPT header is damaged (%s); copies get a repaired one, mend the "
                 "original with: sgdisk -e",
                 c->lun->url, bad == &c->label->backup ? "backup" : "primary",
                 bad->reason ? bad->reason : "unreadable");
    }
    return label_ids(c->label, &c->ids);
}

static HRESULT find_candidate(struct set_environment *env, const char *volume, struct candidate *c,
                              struct error *err)
{
    HRESULT hr = volume_parse(volume, &c->name, err);
    if (FAILED(hr)) {
        return hr;
    }
    c->text = volume_text(&c->name);
    if (!c->text) {
        return error_set(err, E_OUTOFMEMORY, "out of memory resolving a volume");
    }
    /* The name as given: it alone carries the user and secret of a URL. */
    char *url = strndup(volume, strcspn(volume, "#"));
    hr = url ? lun_open(url, &env->lun, true, &c->lun, err) : E_OUTOFMEMORY;
    free(url);
    if (SUCCEEDED(hr)) {
        hr = check_identity(c, err);
    }
    if (SUCCEEDED(hr)) {
        hr = check_state_directory(env, c, err);
    }
    if (SUCCEEDED(hr)) {
        hr = read_label(c, err);
    }
    if (SUCCEEDED(hr)) {
        hr = find_extent(c, err);
    }
    if (SUCCEEDED(hr)) {
        (void)lun_info_key(&c->lun->identity.info, c->key);
    }
    return hr;
}

static HRESULT ask_supported(struct provider *p, const struct candidate *c, uint32_t context,
                             bool *out, struct error *err)
{
    struct provider_arena arena = PROVIDER_ARENA_INIT;
    const char *device = c->lun->url;
    struct vss_luns_in in = {.struct_size = sizeof(in),
                             .context = context,
                             .lun_count = 1,
                             .devices = &device,
                             .luns = &c->lun->identity.info};
    struct vss_supported_out answer = {0};
    HRESULT hr = provider_call(p, VSS_OP_ARE_LUNS_SUPPORTED, &in, &answer, &arena, 0, err);
    *out = SUCCEEDED(hr) && answer.is_supported;
    provider_arena_free(&arena);
    return hr;
}

/* The first array that takes the LUN, registered providers before others; only those with the id
 * where one is asked for. */
static HRESULT choose_provider(struct set_environment *env, const struct candidate *c,
                               uint32_t context, const VSS_ID *id, struct provider **out,
                               struct error *err)
{
    *out = NULL;
    bool any = !id || id_is_null(id);
    if (!any && !providers_has_id(env->providers, id)) {
        char text[ID_TEXT_BYTES];
        return error_set(err, VSS_E_PROVIDER_NOT_REGISTERED,
                         "no configured array uses provider %s; see `lunshadow providers`",
                         id_text(id, text));
    }
    for (size_t i = 0; i < providers_count(env->providers) && !*out; i++) {
        struct provider *p = providers_at(env->providers, i);
        if (!any && !id_equal(&provider_table(p)->provider_id, id)) {
            continue;
        }
        bool is_supported = false;
        HRESULT hr = ask_supported(p, c, context, &is_supported, err);
        if (FAILED(hr)) {
            return hr;
        }
        *out = is_supported ? p : NULL;
    }
    if (!*out) {
        return error_set(err,
                         any ? VSS_E_VOLUME_NOT_SUPPORTED : VSS_E_VOLUME_NOT_SUPPORTED_BY_PROVIDER,
                         "%s (%s): no configured array can copy this LUN in this context; see "
                         "`lunshadow providers`",
                         c->lun->url, c->key);
    }
    return S_OK;
}

HRESULT set_is_volume_supported(struct set_environment *env, const char *volume,
                                const VSS_ID *provider_id, bool *out, struct error *err)
{
    *out = false;
    struct candidate c = {0};
    struct provider *p = NULL;
    struct error why = {0};
    HRESULT hr = find_candidate(env, volume, &c, &why);
    if (SUCCEEDED(hr)) {
        hr = choose_provider(env, &c, VSS_CTX_BACKUP, provider_id, &p, &why);
    }
    *out = SUCCEEDED(hr);
    candidate_free(&c);
    if (hr == VSS_E_VOLUME_NOT_SUPPORTED || hr == VSS_E_VOLUME_NOT_SUPPORTED_BY_PROVIDER) {
        return S_OK;
    }
    return FAILED(hr) ? error_set(err, hr, "%s", error_text(&why)) : S_OK;
}

/* All holds of a set must overlap; each array holds on its own, so a set lies on one. */
static HRESULT check_one_array(const struct set_builder *b, const struct provider *p,
                               const struct candidate *c, struct error *err)
{
    if (b->provider && b->provider != p) {
        return error_set(err, VSS_E_VOLUME_NOT_SUPPORTED,
                         "%s is on array %s and the set on array %s: two arrays cannot be cut at "
                         "one point in time; make two sets",
                         c->lun->url, provider_array(p), provider_array(b->provider));
    }
    return S_OK;
}

/* Where the LUN is in the set already; SIZE_MAX: not yet. Two that contradict each other are
 * refused. */
static HRESULT find_lun(const struct set_builder *b, const struct candidate *c, size_t *out,
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
                                    const struct candidate *c, struct error *err)
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

static HRESULT append_lun(struct set_builder *b, const struct candidate *c, struct provider *p,
                          size_t *out, struct error *err)
{
    struct set_record *r = &b->record;
    struct lun_mapping *grown = realloc(r->luns, (r->lun_count + 1) * sizeof(*grown));
    if (!grown) {
        return error_set(err, E_OUTOFMEMORY, "out of memory adding a LUN");
    }
    r->luns = grown;
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
    r->luns[r->lun_count++] = m;
    return S_OK;
}

static HRESULT append_snapshot(struct set_builder *b, const struct candidate *c, size_t lun_index,
                               VSS_ID *out_id, struct error *err)
{
    struct set_record *r = &b->record;
    struct snapshot_record *grown = realloc(r->snapshots, (r->snapshot_count + 1) * sizeof(*grown));
    struct volume_extent *extent = calloc(1, sizeof(*extent));
    char *name = text_copy(c->text);
    if (grown) {
        r->snapshots = grown;
    }
    if (!grown || !extent || !name) {
        free(extent);
        free(name);
        return error_set(err, E_OUTOFMEMORY, "out of memory adding a volume");
    }
    *extent = (struct volume_extent){
        .lun_index = (uint32_t)lun_index, .first_lba = c->first_lba, .block_count = c->block_count};
    *out_id = id_new();
    r->snapshots[r->snapshot_count++] = (struct snapshot_record){
        .snapshot_id = *out_id,
        .provider_id = provider_table(b->provider)->provider_id,
        .original_volume = name,
        .attributes = r->context | VSS_VOLSNAP_ATTR_HARDWARE_ASSISTED,
        .status = VSS_SS_PREPARING,
        .extents = extent,
        .extent_count = 1,
    };
    return S_OK;
}

static void drop_last_snapshot(struct set_record *r)
{
    snapshot_record_free(&r->snapshots[--r->snapshot_count]);
}

static HRESULT begin_prepare(struct set_builder *b, const struct candidate *c, size_t lun_index,
                             const VSS_ID *snapshot_id, struct error *err)
{
    struct provider_arena arena = PROVIDER_ARENA_INIT;
    const char *device = c->lun->url;
    struct vss_luns_in in = {.struct_size = sizeof(in),
                             .context = b->record.context,
                             .set_id = b->record.set_id,
                             .snapshot_id = *snapshot_id,
                             .lun_count = 1,
                             .devices = &device,
                             .luns = &c->lun->identity.info};
    struct vss_states_out out = {0};
    HRESULT hr =
        provider_call(b->provider, VSS_OP_BEGIN_PREPARE_SNAPSHOT, &in, &out, &arena, 0, err);
    if (SUCCEEDED(hr) && out.states) {
        hr = set_keep_state(&b->record.luns[lun_index], out.states, err);
    }
    provider_arena_free(&arena);
    return hr;
}

/* Everything that may still say no, in the order in which it is cheap to ask. */
static HRESULT admit(struct set_builder *b, struct candidate *c, const VSS_ID *provider_id,
                     VSS_ID *out_id, struct error *err)
{
    size_t lun_index = SIZE_MAX;
    struct provider *p = NULL;
    HRESULT hr = find_lun(b, c, &lun_index, err);
    if (SUCCEEDED(hr)) {
        hr = choose_provider(b->env, c, b->record.context, provider_id, &p, err);
    }
    if (SUCCEEDED(hr)) {
        hr = check_one_array(b, p, c, err);
    }
    if (SUCCEEDED(hr)) {
        hr = check_snapshot_limit(b, p, c, err);
    }
    if (FAILED(hr)) {
        return hr;
    }
    bool is_first = b->provider == NULL;
    bool is_new_lun = lun_index == SIZE_MAX;
    b->provider = p;
    hr = is_new_lun ? append_lun(b, c, p, &lun_index, err) : S_OK;
    bool has_lun = SUCCEEDED(hr);
    VSS_ID id = id_null;
    if (has_lun) {
        hr = append_snapshot(b, c, lun_index, &id, err);
    }
    if (SUCCEEDED(hr)) {
        hr = begin_prepare(b, c, lun_index, &id, err);
        if (FAILED(hr)) {
            drop_last_snapshot(&b->record);
        }
    }
    if (FAILED(hr)) {
        if (is_new_lun && has_lun) {
            lun_mapping_free(&b->record.luns[--b->record.lun_count]);
        }
        b->provider = is_first ? NULL : p;
        return hr;
    }
    *out_id = id;
    return disk_ids_remember(b->env->store, c->key, &c->ids, err);
}

/* A LUN that a resync overwrites, or has left half-written, is not worth a copy. */
static HRESULT check_whole(const struct set_environment *env, const struct candidate *c,
                           struct error *err)
{
    struct journal_entry *entries = NULL;
    size_t count = 0;
    HRESULT hr = journal_load_open(env->store, false, &entries, &count, err);
    for (size_t i = 0; i < count; i++) {
        for (size_t s = 0; SUCCEEDED(hr) && s < entries[i].step_count; s++) {
            const char *key = entries[i].steps[s].lun_key;
            if (entries[i].destination_invalid && key && strcmp(key, c->key) == 0) {
                hr = error_set(err, VSS_E_BAD_STATE,
                               "%s is being overwritten by process %lld or was left half-written "
                               "(%s); end that resync first",
                               c->lun->url, (long long)entries[i].pid,
                               entries[i].description ? entries[i].description : "");
            }
        }
    }
    journal_free_all(entries, count);
    return hr;
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
    HRESULT hr = find_candidate(builder->env, volume, &c, err);
    if (SUCCEEDED(hr)) {
        hr = check_whole(builder->env, &c, err);
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
