/* SPDX-License-Identifier: Apache-2.0 */
#include "provider/set/call.h"

#include "common/buffer.h"
#include "common/id.h"
#include "lun/identity.h"

#include <stdlib.h>
#include <string.h>

/* The only array of this provider; NULL with *out_count where there is none, or more than one. */
static struct provider *only_array_of(const struct providers *providers, const VSS_ID *id,
                                      size_t *out_count)
{
    struct provider *found = NULL;
    *out_count = 0;
    for (size_t i = 0; i < providers_count(providers); i++) {
        struct provider *p = providers_at(providers, i);
        if (id_equal(&provider_table(p)->provider_id, id)) {
            found = p;
            (*out_count)++;
        }
    }
    return *out_count == 1 ? found : NULL;
}

HRESULT set_provider(struct set_environment *env, const struct set_record *set,
                     struct provider **out, struct error *err)
{
    *out = NULL;
    const char *array = set->lun_count ? set->luns[0].array : NULL;
    const char *wanted = set->lun_count ? set->luns[0].provider : NULL;
    VSS_ID id;
    if (!array || !wanted || !id_parse(wanted, &id)) {
        return error_set(err, VSS_E_PROVIDER_VETO, "the set names no array and provider");
    }
    struct provider *p = providers_find(env->providers, array);
    if (p && id_equal(&provider_table(p)->provider_id, &id)) {
        *out = p;
        return S_OK;
    }
    if (!p && config_find(env->config, "array", array)) {
        return error_set(err, VSS_E_PROVIDER_VETO,
                         "the set was made on array %s, which is not usable now; see `lunshadow "
                         "providers`",
                         array);
    }
    size_t count;
    *out = only_array_of(env->providers, &id, &count);
    if (count > 1) {
        return error_set(
            err, VSS_E_PROVIDER_VETO,
            "the set was made on array %s; here its provider %s has %zu arrays of other names: "
            "name the right one [array %s]",
            array, wanted, count, array);
    }
    if (!*out) {
        return error_set(err, VSS_E_PROVIDER_VETO,
                         "no usable array of provider %s is configured here (the set was made on "
                         "array %s); add its [array] section, see `lunshadow providers`",
                         wanted, array);
    }
    return S_OK;
}

/* Which LUNs of a set a callback gets: one, by its index, or */
#define ALL_LUNS   SIZE_MAX
#define SHOWN_LUNS (SIZE_MAX - 1) /* whose copies this host has found */

/* The LUNs of a set as a callback sees them. index[i] is the place of luns[i] in the record. */
struct set_view {
    struct vss_set_lun *luns;
    size_t *index;
    uint32_t count;
};

static void view_free(struct set_view *view)
{
    free(view->luns);
    free(view->index);
}

static VSS_ID first_snapshot_on(const struct set_record *set, size_t lun_index)
{
    for (size_t i = 0; i < set->snapshot_count; i++) {
        const struct snapshot_record *s = &set->snapshots[i];
        for (size_t e = 0; e < s->extent_count; e++) {
            if (s->extents[e].lun_index == lun_index) {
                return s->snapshot_id;
            }
        }
    }
    return id_null;
}

static bool is_wanted(const struct lun_mapping *m, size_t index, size_t which)
{
    if (m->is_empty) {
        return false;
    }
    return which == ALL_LUNS || (which == SHOWN_LUNS ? m->copy_url != NULL : which == index);
}

static HRESULT view_of(const struct set_record *set, size_t which, struct set_view *out)
{
    *out = (struct set_view){0};
    size_t room = set->lun_count ? set->lun_count : 1;
    out->luns = calloc(room, sizeof(*out->luns));
    out->index = calloc(room, sizeof(*out->index));
    if (!out->luns || !out->index) {
        view_free(out);
        return E_OUTOFMEMORY;
    }
    for (size_t i = 0; i < set->lun_count; i++) {
        const struct lun_mapping *m = &set->luns[i];
        if (!is_wanted(m, i, which)) {
            continue;
        }
        out->index[out->count] = i;
        out->luns[out->count++] = (struct vss_set_lun){
            .snapshot_id = first_snapshot_on(set, i),
            .device = m->source_url,
            .source = m->source,
            .destination = m->copy,
            .state = {.bytes = m->state_bytes, .data = m->state},
        };
    }
    return S_OK;
}

HRESULT set_keep_state(struct lun_mapping *lun, const struct vss_state *state, struct error *err)
{
    if (!state->data) {
        return S_OK;
    }
    if (state->bytes > VSS_PROVIDER_STATE_BYTES_MAX) {
        return error_set(err, VSS_E_UNEXPECTED_PROVIDER_ERROR,
                         "array %s returned %u bytes of state for one LUN; the limit is %u",
                         lun->array, state->bytes, VSS_PROVIDER_STATE_BYTES_MAX);
    }
    uint8_t *copy = malloc(state->bytes ? state->bytes : 1);
    if (!copy) {
        return error_set(err, E_OUTOFMEMORY, "out of memory keeping a provider's state");
    }
    memcpy(copy, state->data, state->bytes);
    free(lun->state);
    lun->state = copy;
    lun->state_bytes = state->bytes;
    return S_OK;
}

static HRESULT store_states(const struct vss_states_out *out, const struct set_view *view,
                            struct set_record *set, struct error *err)
{
    HRESULT hr = S_OK;
    for (uint32_t i = 0; out->states && i < view->count && SUCCEEDED(hr); i++) {
        hr = set_keep_state(&set->luns[view->index[i]], &out->states[i], err);
    }
    return hr;
}

static struct vss_set_in set_in(const struct set_record *set, const struct set_view *view,
                                const char *initiator)
{
    return (struct vss_set_in){.struct_size = sizeof(struct vss_set_in),
                               .context = set->context,
                               .set_id = set->set_id,
                               .lun_count = view->count,
                               .snapshot_count = (uint32_t)set->snapshot_count,
                               .luns = view->luns,
                               .initiator = initiator};
}

static HRESULT call_set(struct provider *provider, enum vss_provider_op op, struct set_record *set,
                        const char *initiator, uint32_t deadline_ms, struct vss_states_out *times,
                        struct error *err)
{
    struct set_view view;
    if (FAILED(view_of(set, ALL_LUNS, &view))) {
        return error_set(err, E_OUTOFMEMORY, "out of memory calling %s", provider_op_name(op));
    }
    struct provider_arena arena = PROVIDER_ARENA_INIT;
    struct vss_set_in in = set_in(set, &view, initiator);
    struct vss_states_out out = {0};
    HRESULT hr = provider_call(provider, op, &in, &out, &arena, deadline_ms, err);
    if (SUCCEEDED(hr)) {
        hr = store_states(&out, &view, set, err);
    }
    *times = out;
    times->states = NULL;
    provider_arena_free(&arena);
    view_free(&view);
    return hr;
}

HRESULT set_call(struct provider *provider, enum vss_provider_op op, struct set_record *set,
                 const char *initiator, struct error *err)
{
    struct vss_states_out unused = {0};
    return call_set(provider, op, set, initiator, 0, &unused, err);
}

HRESULT set_call_within(struct provider *provider, enum vss_provider_op op, struct set_record *set,
                        uint32_t deadline_ms, struct vss_states_out *times, struct error *err)
{
    return call_set(provider, op, set, NULL, deadline_ms, times, err);
}

/* What a provider says of a copy is only usable when it names that copy and nothing else. */
static HRESULT check_target(const struct set_record *set, size_t index,
                            const struct vss_lun_info *copy, struct error *err)
{
    char key[LUN_KEY_BYTES];
    const char *url = set->luns[index].source_url;
    const char *reason = NULL;
    if (copy->version != 1 || !lun_info_is_unique(copy, &reason)) {
        return error_set(err, VSS_E_UNEXPECTED_PROVIDER_ERROR,
                         "GetTargetLuns gave no unique page-83 identity for the copy of %s: %s",
                         url, reason ? reason : "its version is not 1");
    }
    (void)lun_info_key(copy, key);
    for (size_t i = 0; i < set->lun_count; i++) {
        const struct lun_mapping *m = &set->luns[i];
        bool is_original = lun_info_compare(copy, &m->source) != LUN_DIFFERENT;
        bool is_other_copy =
            i < index && !m->is_empty && lun_info_compare(copy, &m->copy) != LUN_DIFFERENT;
        if (is_original || is_other_copy) {
            return error_set(err, VSS_E_UNEXPECTED_PROVIDER_ERROR,
                             "GetTargetLuns gave the copy of %s the identity %s, which is that of "
                             "%s %s",
                             url, key, is_original ? "the original" : "the copy of", m->source_url);
        }
    }
    return S_OK;
}

static HRESULT take_targets(const struct vss_target_luns_out *out, const struct set_view *view,
                            struct set_record *set, struct error *err)
{
    if (!out->luns && view->count) {
        return error_set(err, VSS_E_UNEXPECTED_PROVIDER_ERROR, "GetTargetLuns returned no LUNs");
    }
    for (uint32_t i = 0; i < view->count; i++) {
        size_t place = view->index[i];
        HRESULT hr = check_target(set, place, &out->luns[i], err);
        if (FAILED(hr)) {
            return hr;
        }
        struct lun_mapping *m = &set->luns[place];
        lun_info_free(&m->copy);
        hr = lun_info_copy(&out->luns[i], &m->copy);
        if (FAILED(hr)) {
            return error_set(err, hr, "out of memory keeping the identity of a copy");
        }
        m->copy.disk_signature = id_null; /* not the provider's to say */
    }
    return S_OK;
}

HRESULT set_call_target_luns(struct provider *provider, struct set_record *set, struct error *err)
{
    struct set_view view;
    if (FAILED(view_of(set, ALL_LUNS, &view))) {
        return error_set(err, E_OUTOFMEMORY, "out of memory calling GetTargetLuns");
    }
    struct provider_arena arena = PROVIDER_ARENA_INIT;
    struct vss_set_in in = set_in(set, &view, NULL);
    struct vss_target_luns_out out = {0};
    HRESULT hr = provider_call(provider, VSS_OP_GET_TARGET_LUNS, &in, &out, &arena, 0, err);
    if (SUCCEEDED(hr)) {
        hr = take_targets(&out, &view, set, err);
    }
    provider_arena_free(&arena);
    view_free(&view);
    return hr;
}

HRESULT set_call_copy_exists(struct provider *provider, const struct set_record *set,
                             size_t lun_index, struct error *err)
{
    struct set_view view;
    if (FAILED(view_of(set, lun_index, &view))) {
        return error_set(err, E_OUTOFMEMORY, "out of memory calling GetTargetLuns");
    }
    struct provider_arena arena = PROVIDER_ARENA_INIT;
    struct vss_set_in in = set_in(set, &view, NULL);
    struct vss_target_luns_out out = {0};
    HRESULT hr = provider_call(provider, VSS_OP_GET_TARGET_LUNS, &in, &out, &arena, 0, err);
    provider_arena_free(&arena);
    view_free(&view);
    return hr;
}

HRESULT set_call_state_change(struct provider *provider, struct set_record *set, uint32_t flag,
                              struct error *err)
{
    struct set_view view;
    /* What is to be hidden may be shown without anybody having found it. */
    size_t which = flag == VSS_ONLUNSTATECHANGE_DO_MASK_LUNS ? ALL_LUNS : SHOWN_LUNS;
    if (FAILED(view_of(set, which, &view))) {
        return error_set(err, E_OUTOFMEMORY, "out of memory calling OnLunStateChange");
    }
    struct provider_arena arena = PROVIDER_ARENA_INIT;
    struct vss_state_change_in in = {
        .struct_size = sizeof(in), .flags = flag, .set = set_in(set, &view, NULL)};
    struct vss_states_out out = {0};
    HRESULT hr =
        view.count ? provider_call(provider, VSS_OP_ON_LUN_STATE_CHANGE, &in, &out, &arena, 0, err)
                   : S_OK;
    if (SUCCEEDED(hr)) {
        hr = store_states(&out, &view, set, err);
    }
    provider_arena_free(&arena);
    view_free(&view);
    return hr;
}

HRESULT set_call_lun_empty(struct provider *provider, struct set_record *set, size_t lun_index,
                           struct error *err)
{
    if (set->luns[lun_index].is_empty) {
        return S_OK;
    }
    struct set_view view;
    if (FAILED(view_of(set, lun_index, &view))) {
        return error_set(err, E_OUTOFMEMORY, "out of memory calling OnLunEmpty");
    }
    struct provider_arena arena = PROVIDER_ARENA_INIT;
    struct vss_set_in in = set_in(set, &view, NULL);
    struct error why = {0};
    HRESULT hr = provider_call(provider, VSS_OP_ON_LUN_EMPTY, &in, NULL, &arena, 0, &why);
    if (hr == VSS_E_OBJECT_NOT_FOUND) {
        hr = S_OK; /* as after a deletion whose answer got lost; the event of the call stays */
    }
    if (SUCCEEDED(hr)) {
        set->luns[lun_index].is_empty = true;
    } else {
        (void)error_set(err, hr, "%s", error_text(&why));
    }
    provider_arena_free(&arena);
    view_free(&view);
    return hr;
}

/* Takes over a corrected info, but for the interconnects, which are never the provider's to change.
 */
static HRESULT take_correction(const struct vss_lun_info *corrected, struct vss_lun_info *info)
{
    struct vss_lun_info wanted = *corrected;
    wanted.interconnect_count = info->interconnect_count;
    wanted.interconnects = info->interconnects;
    struct vss_lun_info copy;
    HRESULT hr = lun_info_copy(&wanted, &copy);
    if (SUCCEEDED(hr)) {
        lun_info_free(info);
        *info = copy;
    }
    return hr;
}

HRESULT set_call_fill_in(struct provider *provider, const char *device, struct vss_lun_info *info,
                         bool *out_is_mine, struct error *err)
{
    *out_is_mine = false;
    struct provider_arena arena = PROVIDER_ARENA_INIT;
    struct vss_luns_in in = {
        .struct_size = sizeof(in), .lun_count = 1, .devices = &device, .luns = info};
    struct vss_supported_out out = {0};
    HRESULT hr = provider_call(provider, VSS_OP_FILL_IN_LUN_INFO, &in, &out, &arena, 0, err);
    if (SUCCEEDED(hr)) {
        *out_is_mine = out.is_supported != 0;
        if (out.is_supported && out.luns) {
            hr = take_correction(&out.luns[0], info);
        }
    }
    provider_arena_free(&arena);
    return hr;
}
