/* SPDX-License-Identifier: Apache-2.0 */
/* DeleteSnapshots: one after the other; a copy LUN goes with the last snapshot on it. */
#include "common/id.h"
#include "provider/set/call.h"
#include "provider/set/claim.h"
#include "provider/set/claimed.h"
#include "provider/set/expose.h"
#include "provider/set/set.h"

#include <string.h>

static bool lies_on(const struct snapshot_record *s, size_t lun_index)
{
    for (size_t e = 0; e < s->extent_count; e++) {
        if (s->extents[e].lun_index == lun_index) {
            return true;
        }
    }
    return false;
}

/* Is there another snapshot on this LUN than the one that goes? */
static bool is_shared(const struct set_record *set, size_t lun_index, size_t going)
{
    for (size_t i = 0; i < set->snapshot_count; i++) {
        if (i != going && lies_on(&set->snapshots[i], lun_index)) {
            return true;
        }
    }
    return false;
}

/* A copy that is gone cannot be brought back: the journal says which ones may be. */
static HRESULT empty_lun(struct set_environment *env, struct provider *provider,
                         struct set_record *set, size_t index, const VSS_ID *journal_id,
                         struct error *err)
{
    char key[LUN_KEY_BYTES];
    HRESULT hr = journal_step(env->store, journal_id, LUN_EMPTY_STEP,
                              lun_info_key(&set->luns[index].copy, key), NULL, 0, err);
    return SUCCEEDED(hr) ? set_call_lun_empty(provider, set, index, err) : hr;
}

static HRESULT empty_luns(struct set_environment *env, struct provider *provider,
                          struct set_record *set, size_t going, const VSS_ID *journal_id,
                          struct error *err)
{
    HRESULT hr = S_OK;
    for (size_t i = 0; i < set->lun_count && SUCCEEDED(hr); i++) {
        if (lies_on(&set->snapshots[going], i) && !is_shared(set, i, going) &&
            !set->luns[i].is_empty) {
            hr = empty_lun(env, provider, set, i, journal_id, err);
        }
    }
    return hr;
}

static void drop_snapshot(struct set_record *set, size_t index)
{
    snapshot_record_free(&set->snapshots[index]);
    set->snapshot_count--;
    memmove(&set->snapshots[index], &set->snapshots[index + 1],
            (set->snapshot_count - index) * sizeof(set->snapshots[0]));
}

/* The last one goes from the registry together with the journal's entry: a delete that failed can
 * be repeated, and one that can be repeated has failed. */
static HRESULT forget_snapshot(struct set_environment *env, struct set_record *set, size_t index,
                               bool is_last, const VSS_ID *journal_id, struct error *err)
{
    drop_snapshot(set, index);
    if (set->snapshot_count == 0) {
        return sets_delete_and_close(env->store, &set->set_id, journal_id, err);
    }
    return is_last ? sets_save_and_close(env->store, set, journal_id, err)
                   : sets_save(env->store, set, err);
}

static HRESULT delete_one(struct set_environment *env, struct provider *provider,
                          struct set_record *set, size_t index, bool is_last,
                          const VSS_ID *journal_id, struct error *err)
{
    HRESULT hr = expose_end(env, &set->snapshots[index], err);
    if (SUCCEEDED(hr)) {
        hr = empty_luns(env, provider, set, index, journal_id, err);
    }
    if (FAILED(hr)) {
        /* Which LUNs are gone is kept, so that trying again asks for the others only. */
        (void)sets_save(env->store, set, NULL);
        return hr;
    }
    return forget_snapshot(env, set, index, is_last, journal_id, err);
}

static HRESULT load(struct set_environment *env, const VSS_ID *object_id, int32_t type,
                    struct set_record *out, struct error *err)
{
    if (type == VSS_OBJECT_SNAPSHOT_SET) {
        return sets_load(env->store, object_id, out, err);
    }
    if (type == VSS_OBJECT_SNAPSHOT) {
        return sets_find_by_snapshot(env->store, object_id, out, err);
    }
    return error_set(err, E_INVALIDARG, "only snapshots and snapshot sets can be deleted");
}

/* only NULL: all of the set. */
static HRESULT delete_wanted(struct set_environment *env, struct set_record *set,
                             const VSS_ID *only, const VSS_ID *journal_id, int32_t *out_deleted,
                             VSS_ID *out_nondeleted, struct error *err)
{
    struct provider *provider = NULL;
    HRESULT hr = set_provider(env, set, &provider, err);
    size_t i = 0;
    while (SUCCEEDED(hr) && i < set->snapshot_count) {
        if (only && !id_equal(&set->snapshots[i].snapshot_id, only)) {
            i++;
            continue;
        }
        VSS_ID id = set->snapshots[i].snapshot_id;
        hr = delete_one(env, provider, set, i, only != NULL, journal_id, err);
        *out_deleted += SUCCEEDED(hr);
        if (FAILED(hr)) {
            *out_nondeleted = id;
        }
    }
    return hr;
}

HRESULT claimed_delete(struct set_environment *env, const VSS_ID *object_id, int32_t type,
                       const VSS_ID *journal_id, int32_t *out_deleted, VSS_ID *out_nondeleted,
                       struct error *err)
{
    struct set_record set = {0};
    *out_deleted = 0;
    *out_nondeleted = id_null;
    HRESULT hr = load(env, object_id, type, &set, err);
    if (SUCCEEDED(hr)) {
        hr = delete_wanted(env, &set, type == VSS_OBJECT_SNAPSHOT ? object_id : NULL, journal_id,
                           out_deleted, out_nondeleted, err);
    }
    if (SUCCEEDED(hr) && *out_deleted == 0) { /* a set that has no copy */
        hr = sets_delete_and_close(env->store, &set.set_id, journal_id, err);
    }
    set_record_free(&set);
    return hr;
}

static json_t *plan_json(const VSS_ID *object_id, int32_t type)
{
    char id[ID_TEXT_BYTES];
    return json_pack("{s:s, s:i}", "object", id_text(object_id, id), "type", (int)type);
}

HRESULT set_delete_beside(struct set_environment *env, const VSS_ID *object_id, int32_t type,
                          int32_t *out_deleted, VSS_ID *out_nondeleted, struct error *err)
{
    struct set_record set = {0};
    VSS_ID journal_id = id_null;
    VSS_ID nondeleted = id_null;
    *out_deleted = 0;
    HRESULT hr = load(env, object_id, type, &set, err);
    if (SUCCEEDED(hr)) {
        hr = claim_open(env->store, JOURNAL_DELETE, &set.set_id, "delete snapshots",
                        plan_json(object_id, type), &journal_id, err);
    }
    if (SUCCEEDED(hr)) {
        hr = claimed_delete(env, object_id, type, &journal_id, out_deleted, &nondeleted, err);
        if (FAILED(hr)) {
            (void)journal_close(env->store, &journal_id, NULL); /* the set is as the copies are */
        }
    }
    if (out_nondeleted) {
        *out_nondeleted = nondeleted;
    }
    set_record_free(&set);
    return hr;
}

HRESULT set_delete(struct set_environment *env, const VSS_ID *object_id, int32_t type,
                   int32_t *out_deleted, VSS_ID *out_nondeleted, struct error *err)
{
    *out_deleted = 0;
    if (out_nondeleted) {
        *out_nondeleted = id_null;
    }
    HRESULT hr = journal_check_clean(env->store, err);
    return SUCCEEDED(hr) ? set_delete_beside(env, object_id, type, out_deleted, out_nondeleted, err)
                         : hr;
}
