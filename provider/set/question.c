/* SPDX-License-Identifier: Apache-2.0 */
/* What may be asked of a volume before anything is done to it. */
#include "provider/set/candidate.h"
#include "provider/set/set.h"

HRESULT set_is_volume_supported(struct set_environment *env, const char *volume,
                                const VSS_ID *provider_id, bool *out, struct error *err)
{
    *out = false;
    struct candidate c = {0};
    struct provider *p = NULL;
    struct error why = {0};
    HRESULT hr = candidate_find(env, volume, &c, &why);
    if (SUCCEEDED(hr)) {
        hr = candidate_choose_provider(env, &c, VSS_CTX_BACKUP, provider_id, &p, &why);
    }
    *out = SUCCEEDED(hr);
    candidate_free(&c);
    if (hr == VSS_E_VOLUME_NOT_SUPPORTED || hr == VSS_E_VOLUME_NOT_SUPPORTED_BY_PROVIDER) {
        return S_OK;
    }
    return FAILED(hr) ? error_set(err, hr, "%s", error_text(&why)) : S_OK;
}

static bool is_copy_of(const struct set_record *set, const struct snapshot_record *snapshot,
                       const struct candidate_lun *c)
{
    for (size_t i = 0; i < snapshot->extent_count && snapshot->status == VSS_SS_CREATED; i++) {
        const struct volume_extent *e = &snapshot->extents[i];
        const struct lun_mapping *m = &set->luns[e->lun_index];
        if (e->first_lba < c->first_lba + c->block_count &&
            c->first_lba < e->first_lba + e->block_count &&
            lun_info_compare(&m->source, &c->lun->identity.info) == LUN_SAME) {
            return true;
        }
    }
    return false;
}

static bool set_has_copy(const struct set_record *set, const struct candidate *c)
{
    for (size_t s = 0; s < set->snapshot_count; s++) {
        for (size_t l = 0; l < c->lun_count; l++) {
            if (is_copy_of(set, &set->snapshots[s], &c->luns[l])) {
                return true;
            }
        }
    }
    return false;
}

HRESULT set_volume_has_copies(struct set_environment *env, const char *volume, bool *out,
                              struct error *err)
{
    *out = false;
    struct candidate c = {0};
    struct provider *owner = NULL;
    struct set_record *sets = NULL;
    size_t count = 0;
    struct error why = {0};
    HRESULT hr = candidate_find(env, volume, &c, &why);
    if (hr == VSS_E_VOLUME_NOT_SUPPORTED) {
        return S_OK; /* it is there, and no array could have copied it */
    }
    if (FAILED(hr)) {
        return error_set(err, hr, "%s", error_text(&why));
    }
    hr = candidate_owner(env, &c, &owner, err);
    if (SUCCEEDED(hr) && owner) {
        hr = sets_load_all(env->store, &sets, &count, err);
    }
    for (size_t i = 0; i < count && !*out; i++) {
        *out = set_has_copy(&sets[i], &c);
    }
    sets_free_all(sets, count);
    candidate_free(&c);
    return hr;
}
