/* SPDX-License-Identifier: Apache-2.0 */
/* Bringing copies to this host: show, find by page 83, give fresh disk ids, make read-only. */
#include "provider/set/import.h"

#include "common/buffer.h"
#include "common/id.h"
#include "common/log.h"
#include "provider/set/call.h"
#include "provider/set/claim.h"
#include "provider/set/claimed.h"
#include "provider/set/label_change.h"
#include "provider/set/rollback.h"
#include "provider/set/visible.h"
#include "registry/locks.h"

#include <stdlib.h>
#include <string.h>

/* The target that a provider's interconnect hint names; NULL without one. malloc'ed. */
static char *hinted_target(const struct vss_lun_info *info)
{
    for (uint32_t i = 0; i < info->interconnect_count; i++) {
        const struct vss_interconnect *c = &info->interconnects[i];
        if (c->address_type == VDS_IA_SCSI && c->port_bytes > 0 && c->port_bytes < 256) {
            return strndup((const char *)c->port, c->port_bytes);
        }
    }
    return NULL;
}

/* Is what was found the copy that was expected? err says why not. */
static HRESULT accept(struct provider *provider, const struct lun_mapping *m,
                      const struct scan_lun *found, struct error *err)
{
    struct vss_lun_info info = {0};
    bool is_mine = false;
    const char *reason = NULL;
    HRESULT hr = lun_info_copy(&found->identity.info, &info);
    if (SUCCEEDED(hr)) {
        /* Its result is of no account for foreign LUNs, and a failure is one "not imported" more.
         */
        hr = set_call_fill_in(provider, found->url, &info, &is_mine, err);
    }
    if (SUCCEEDED(hr) && !is_mine) {
        hr = error_set(err, VSS_E_OBJECT_NOT_FOUND, "%s is not the array's any more", found->url);
    }
    if (SUCCEEDED(hr) && !lun_info_matches(&m->copy, &info, &reason)) {
        hr = error_set(err, VSS_E_OBJECT_NOT_FOUND, "%s differs from what the array promised: %s",
                       found->url, reason);
    }
    if (SUCCEEDED(hr) && (found->identity.block_bytes != m->block_bytes ||
                          found->identity.block_count != m->block_count)) {
        hr = error_set(err, VSS_E_OBJECT_NOT_FOUND,
                       "%s has %llu blocks of %u bytes; the original had %llu of %llu", found->url,
                       (unsigned long long)found->identity.block_count, found->identity.block_bytes,
                       (unsigned long long)m->block_count, (unsigned long long)m->block_bytes);
    }
    lun_info_free(&info);
    return hr;
}

static HRESULT match_one(struct provider *provider, const struct visible *visible,
                         struct lun_mapping *m, struct error *err)
{
    const struct scan_lun *ambiguous = NULL;
    const struct scan_lun *found = visible_find(visible, &m->copy, &ambiguous);
    if (found && ambiguous) {
        return error_set(err, VSS_E_OBJECT_NOT_FOUND,
                         "%s and %s both claim the identity of the copy of %s", found->url,
                         ambiguous->url, m->source_url);
    }
    if (!found) {
        char key[LUN_KEY_BYTES];
        return error_set(err, VSS_E_OBJECT_NOT_FOUND,
                         "the copy of %s (%s) is on no configured portal%s%s", m->source_url,
                         lun_info_key(&m->copy, key), visible->all_answered ? "" : "; also: ",
                         visible->all_answered ? "" : error_text(&visible->unanswered));
    }
    HRESULT hr = accept(provider, m, found, err);
    if (SUCCEEDED(hr)) {
        free(m->copy_url);
        m->copy_url = text_copy(found->url);
        hr = m->copy_url ? S_OK : error_set(err, E_OUTOFMEMORY, "out of memory importing");
    }
    return hr;
}

static size_t count_missing(const struct set_record *set)
{
    size_t missing = 0;
    for (size_t i = 0; i < set->lun_count; i++) {
        missing += !set->luns[i].is_empty && !set->luns[i].copy_url;
    }
    return missing;
}

static size_t count_existing(const struct set_record *set)
{
    size_t existing = 0;
    for (size_t i = 0; i < set->lun_count; i++) {
        existing += !set->luns[i].is_empty;
    }
    return existing;
}

/* One look at the portals, at one target or at all of them; matches what is still missing. */
static HRESULT look(struct set_environment *env, struct provider *provider, struct set_record *set,
                    const char *target, struct error *missing, struct error *err)
{
    struct visible visible;
    HRESULT hr = visible_scan(env, target, &visible, err);
    if (FAILED(hr)) {
        return hr;
    }
    error_clear(missing);
    for (size_t i = 0; i < set->lun_count; i++) {
        struct lun_mapping *m = &set->luns[i];
        if (!m->is_empty && !m->copy_url) {
            struct error why = {0};
            if (FAILED(match_one(provider, &visible, m, &why)) && !missing->text[0]) {
                *missing = why;
            }
        }
    }
    visible_free(&visible);
    return S_OK;
}

/* Where copies were seen, here before or on another host. */
static void forget_places(struct set_record *set)
{
    for (size_t i = 0; i < set->lun_count; i++) {
        free(set->luns[i].copy_url);
        set->luns[i].copy_url = NULL;
    }
}

/* First where the array says that the copies are, so that foreign targets see no login of ours;
 * then everywhere. *missing says why the first LUN that is missing is. */
static HRESULT find_copies(struct set_environment *env, struct provider *provider,
                           struct set_record *set, struct error *missing, struct error *err)
{
    forget_places(set);
    HRESULT hr = S_OK;
    for (size_t i = 0; i < set->lun_count && SUCCEEDED(hr); i++) {
        struct lun_mapping *m = &set->luns[i];
        char *target = m->is_empty || m->copy_url ? NULL : hinted_target(&m->copy);
        if (target) {
            hr = look(env, provider, set, target, missing, err);
            free(target);
            break; /* a set's copies are on one target; what is elsewhere the full look finds */
        }
    }
    if (SUCCEEDED(hr) && count_missing(set)) {
        hr = look(env, provider, set, NULL, missing, err);
    }
    return hr;
}

HRESULT set_locate(struct set_environment *env, struct provider *provider, struct set_record *set,
                   struct error *err)
{
    char *initiator = NULL;
    HRESULT hr = lun_initiator_name(&env->lun, &initiator, err);
    if (SUCCEEDED(hr)) {
        hr = set_call(provider, VSS_OP_LOCATE_LUNS, set, initiator, err);
    }
    free(initiator);
    return hr == VSS_E_OBJECT_NOT_FOUND ? error_translate(err, VSS_E_NO_SNAPSHOTS_IMPORTED) : hr;
}

HRESULT set_hide(struct provider *provider, struct set_record *set, struct error *err)
{
    struct error why = {0};
    HRESULT hr = set_call_state_change(provider, set, VSS_ONLUNSTATECHANGE_DO_MASK_LUNS, &why);
    if (SUCCEEDED(hr) || hr == VSS_E_OBJECT_NOT_FOUND) {
        return S_OK;
    }
    if (provider_capabilities(provider)->mask == VSS_CAPABILITY_NO) {
        log_line(LOG_WARNING, "array %s cannot mask: it may go on showing the copies: %s",
                 provider_array(provider), error_text(&why));
        return S_OK;
    }
    return error_set(err, hr, "%s", error_text(&why));
}

/* The volume names of the copies: the copy LUN's URL with the original's partition. */
static HRESULT name_devices(struct set_record *set)
{
    for (size_t i = 0; i < set->snapshot_count; i++) {
        struct snapshot_record *s = &set->snapshots[i];
        const char *url = s->extent_count ? set->luns[s->extents[0].lun_index].copy_url : NULL;
        const char *partition = strchr(s->original_volume, '#');
        free(s->device);
        s->device = url ? text_printf("%s%s", url, partition ? partition : "") : NULL;
        if (url && !s->device) {
            return E_OUTOFMEMORY;
        }
        if (url) {
            s->attributes &= ~(uint32_t)VSS_VOLSNAP_ATTR_NOT_SURFACED;
        }
    }
    return S_OK;
}

/* What LocateLuns showed: finds it and makes it this host's. */
static HRESULT take_copies(struct set_environment *env, struct provider *provider,
                           struct set_record *set, const VSS_ID *journal_id, bool *out_is_torn,
                           struct error *err)
{
    struct error missing = {0};
    HRESULT hr = find_copies(env, provider, set, &missing, err);
    if (FAILED(hr)) {
        return hr;
    }
    size_t count = count_missing(set);
    size_t existing = count_existing(set);
    if (count == existing && count > 0) {
        return error_set(err, VSS_E_NO_SNAPSHOTS_IMPORTED, "no copy was found: %s",
                         error_text(&missing));
    }
    hr = label_change_copies(env, provider, set, LABEL_CHANGE_FRESH, journal_id, out_is_torn, err);
    if (SUCCEEDED(hr)) {
        *out_is_torn = true; /* until the registry says what the labels are now */
        hr = set_call_state_change(provider, set, VSS_ONLUNSTATECHANGE_NOTIFY_LUN_POST_RECOVERY,
                                   err);
    }
    if (SUCCEEDED(hr)) {
        hr = name_devices(set);
    }
    if (SUCCEEDED(hr) && count) {
        hr = VSS_S_SOME_SNAPSHOTS_NOT_IMPORTED;
        (void)error_set(err, hr, "%zu of %zu copy LUNs are not imported: %s", count, existing,
                        error_text(&missing));
    }
    return hr;
}

/* LocateLuns makes copies writable, also those that were imported before and read-only. */
static void make_read_only_again(struct provider *provider, struct set_record *shown)
{
    struct error why = {0};
    if (FAILED(set_call_state_change(provider, shown, VSS_ONLUNSTATECHANGE_NOTIFY_LUN_POST_RECOVERY,
                                     &why))) {
        log_line(LOG_WARNING, "imported copies may be writable now, import the set again: %s",
                 error_text(&why));
    }
}

HRESULT set_import_copies(struct set_environment *env, struct provider *provider,
                          struct set_record *set, const VSS_ID *journal_id, bool *out_is_torn,
                          struct error *err)
{
    struct set_record shown = {0}; /* with the places that take_copies() forgets */
    *out_is_torn = false;
    HRESULT hr = set_locate(env, provider, set, err);
    HRESULT copy_hr = set_record_copy(set, &shown);
    if (SUCCEEDED(hr) && FAILED(copy_hr)) {
        hr = error_set(err, copy_hr, "out of memory importing");
    }
    if (SUCCEEDED(hr)) {
        hr = take_copies(env, provider, set, journal_id, out_is_torn, err);
    }
    bool is_put_back = FAILED(hr) && !*out_is_torn;
    if (is_put_back || hr == VSS_S_SOME_SNAPSHOTS_NOT_IMPORTED) {
        make_read_only_again(provider, SUCCEEDED(copy_hr) ? &shown : set);
    }
    set_record_free(&shown);
    return hr;
}

/* What the array says of a copy, its place too; not its disk's ids, which the array does not know.
 */
static void take_arrays_word(struct lun_mapping *m, struct lun_mapping *said)
{
    VSS_ID signature = m->copy.disk_signature;
    lun_info_free(&m->copy);
    m->copy = said->copy;
    m->copy.disk_signature = signature;
    said->copy = (struct vss_lun_info){0};
}

/* What a document says of a copy is only believed where the array says the same: the LUN with that
 * identity, at the place that is looked at first, is about to be written to. */
static HRESULT check_document(struct provider *provider, struct set_record *set, struct error *err)
{
    struct set_record said = {0};
    HRESULT hr = set_record_copy(set, &said);
    if (FAILED(hr)) {
        return error_set(err, hr, "out of memory importing");
    }
    hr = set_call_target_luns(provider, &said, err);
    if (hr == VSS_E_OBJECT_NOT_FOUND) {
        hr = error_translate(err, VSS_E_NO_SNAPSHOTS_IMPORTED);
    }
    for (size_t i = 0; i < set->lun_count && SUCCEEDED(hr); i++) {
        const struct lun_mapping *m = &set->luns[i];
        if (!m->is_empty && lun_info_compare(&m->copy, &said.luns[i].copy) != LUN_SAME) {
            char key[LUN_KEY_BYTES];
            hr = error_set(err, VSS_E_NO_SNAPSHOTS_IMPORTED,
                           "the document names %s as the copy of %s, the array another LUN; import "
                           "the document that was saved when the set was made",
                           lun_info_key(&m->copy, key), m->source_url);
        }
    }
    for (size_t i = 0; i < set->lun_count && SUCCEEDED(hr); i++) {
        take_arrays_word(&set->luns[i], &said.luns[i]);
    }
    set_record_free(&said);
    return hr;
}

/* A document's set joins what the registry knows of it: states of a set made here are the fresher
 * ones. S_FALSE: the registry does not know it. */
static HRESULT merge_known(struct store *store, struct set_record *set, struct error *err)
{
    struct set_record known = {0};
    HRESULT hr = sets_load(store, &set->set_id, &known, NULL);
    if (hr == VSS_E_OBJECT_NOT_FOUND) {
        return S_FALSE;
    }
    if (FAILED(hr)) {
        return error_set(err, hr, "the registry cannot be read");
    }
    set_record_free(set);
    *set = known;
    return S_OK;
}

/* A set that came with a document is on record before the array shows a copy of it. */
static HRESULT announce(struct set_environment *env, struct provider *provider,
                        struct set_record *set, const VSS_ID *journal_id, struct error *err)
{
    HRESULT hr = check_document(provider, set, err);
    if (SUCCEEDED(hr)) {
        hr = store_begin(env->store, err);
    }
    if (FAILED(hr)) {
        return hr;
    }
    hr = sets_save(env->store, set, err);
    if (SUCCEEDED(hr)) {
        hr = journal_step(env->store, journal_id, IS_NEW_STEP, NULL, NULL, 0, err);
    }
    return store_end(env->store, hr, err);
}

/* The registry forgets a set only once nobody sees it. */
static HRESULT forget_new(struct set_environment *env, struct set_record *set,
                          const VSS_ID *journal_id, struct error *err)
{
    struct provider *provider = NULL;
    HRESULT hr = set_provider(env, set, &provider, err);
    if (SUCCEEDED(hr)) {
        hr = set_hide(provider, set, err);
    }
    return SUCCEEDED(hr) ? sets_delete_and_close(env->store, &set->set_id, journal_id, err) : hr;
}

/* Labels were put back or never touched. Copies of a set that the registry goes on to know stay as
 * LocateLuns showed them. */
static void give_up(struct set_environment *env, struct set_record *set, bool is_new,
                    const VSS_ID *journal_id)
{
    struct error why = {0};
    HRESULT hr = is_new ? forget_new(env, set, journal_id, &why)
                        : journal_close(env->store, journal_id, &why);
    if (FAILED(hr)) {
        log_line(LOG_WARNING, "an import that failed stays in the journal: %s", error_text(&why));
    }
}

static HRESULT conclude(struct set_environment *env, struct set_record *set,
                        const VSS_ID *journal_id, struct error *err)
{
    for (size_t i = 0; i < set->snapshot_count; i++) {
        if (set->snapshots[i].device) {
            set->snapshots[i].attributes |= VSS_VOLSNAP_ATTR_IMPORTED;
        }
        set->snapshots[i].status = VSS_SS_CREATED;
    }
    return sets_save_and_close(env->store, set, journal_id, err);
}

bool set_is_shown(const struct set_record *set)
{
    for (size_t i = 0; i < set->lun_count; i++) {
        if (!set->luns[i].is_empty && set->luns[i].copy_url) {
            return true;
        }
    }
    return false;
}

static void hide_known(struct provider *provider, struct set_record *set)
{
    struct error why = {0};
    if (FAILED(set_hide(provider, set, &why))) {
        log_line(LOG_WARNING, "copies may still be shown after a dry run: %s", error_text(&why));
    }
}

HRESULT claimed_import(struct set_environment *env, struct set_record *set,
                       const VSS_ID *journal_id, struct claimed_failure *out, struct error *err)
{
    struct provider *provider = NULL;
    *out = (struct claimed_failure){0};
    HRESULT known = merge_known(env->store, set, err);
    if (known == S_FALSE) {
        forget_places(set); /* a document's are its own host's */
    }
    HRESULT result = SUCCEEDED(known) ? set_provider(env, set, &provider, err) : known;
    if (SUCCEEDED(result) && known == S_FALSE) {
        result = announce(env, provider, set, journal_id, err);
        out->is_new = SUCCEEDED(result);
    } else if (SUCCEEDED(result)) {
        result = journal_step(env->store, journal_id, IS_KNOWN_STEP, NULL, NULL, 0, err);
    }
    bool was_shown = set_is_shown(set);
    bool is_begun = SUCCEEDED(result); /* before that nothing is believed of a document */
    if (is_begun) {
        result = set_import_copies(env, provider, set, journal_id, &out->is_torn, err);
    }
    if (env->is_dry_run && is_begun && !was_shown && !out->is_new) { /* a new one: give_up() */
        hide_known(provider, set);
    }
    HRESULT hr = SUCCEEDED(result) ? conclude(env, set, journal_id, err) : result;
    return FAILED(hr) ? hr : result;
}

static HRESULT import_locked(struct set_environment *env, struct set_record *set, struct error *err)
{
    VSS_ID journal_id = id_null;
    struct claimed_failure failure = {0};
    HRESULT hr = journal_check_clean(env->store, err);
    if (SUCCEEDED(hr)) {
        hr = claim_open(env->store, JOURNAL_IMPORT, &set->set_id, "import a snapshot set",
                        json_object(), &journal_id, err);
    }
    if (FAILED(hr)) {
        return hr;
    }
    hr = claimed_import(env, set, &journal_id, &failure, err);
    if (FAILED(hr) && failure.is_torn) {
        set_take_back(env, &journal_id);
    } else if (FAILED(hr)) {
        give_up(env, set, failure.is_new, &journal_id);
    }
    return hr;
}

HRESULT set_import(struct set_environment *env, struct set_record *set, struct error *err)
{
    struct lock *lock = NULL;
    HRESULT hr = lock_take(LOCK_IMPORT, &lock, err);
    if (SUCCEEDED(hr)) {
        hr = import_locked(env, set, err);
    }
    lock_release(lock);
    return hr;
}
