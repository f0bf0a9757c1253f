/* SPDX-License-Identifier: Apache-2.0 */
/* BreakSnapshotSetEx: the copies become plain LUNs. */
#include "common/id.h"
#include "common/log.h"
#include "lun/host_device.h"
#include "provider/set/call.h"
#include "provider/set/claim.h"
#include "provider/set/claimed.h"
#include "provider/set/dry_run.h"
#include "provider/set/expose.h"
#include "provider/set/label_change.h"
#include "provider/set/rollback.h"
#include "provider/set/visible.h"

#include <stdio.h>

#define ORIGINAL_NAME_BYTES 512

#define BREAK_FLAGS                                                                                \
    (VSS_BREAKEX_FLAG_MASK_LUNS | VSS_BREAKEX_FLAG_MAKE_READ_WRITE |                               \
     VSS_BREAKEX_FLAG_REVERT_IDENTITY_ALL | VSS_BREAKEX_FLAG_REVERT_IDENTITY_NONE)

static HRESULT check_flags(uint32_t flags, struct error *err)
{
    uint32_t both = VSS_BREAKEX_FLAG_REVERT_IDENTITY_ALL | VSS_BREAKEX_FLAG_REVERT_IDENTITY_NONE;
    if (flags & ~(uint32_t)BREAK_FLAGS) {
        return error_set(err, E_INVALIDARG, "0x%x are not flags of a break", flags);
    }
    if ((flags & both) == both) {
        return error_set(err, E_INVALIDARG,
                         "REVERT_IDENTITY_ALL and REVERT_IDENTITY_NONE exclude each other");
    }
    if ((flags & VSS_BREAKEX_FLAG_MASK_LUNS) && flags != VSS_BREAKEX_FLAG_MASK_LUNS) {
        return error_set(err, E_INVALIDARG,
                         "MASK_LUNS hides the copies, so nothing else can be done to them with it");
    }
    return S_OK;
}

static HRESULT check_imported(const struct set_record *set, struct error *err)
{
    char id[ID_TEXT_BYTES];
    for (size_t i = 0; i < set->lun_count; i++) {
        const struct lun_mapping *m = &set->luns[i];
        if (!m->is_empty && !m->copy_url) {
            return error_set(err, VSS_E_OBJECT_NOT_FOUND,
                             "set %s: the copy of %s is not imported on this host; import the set "
                             "before breaking it",
                             id_text(&set->set_id, id), m->source_url);
        }
    }
    return S_OK;
}

/* S_OK: a LUN that is the original, or claims to be, is on a portal, and is called out_name. */
static HRESULT find_on_portals(const struct visible *visible, const struct lun_mapping *m,
                               char out_name[ORIGINAL_NAME_BYTES])
{
    const struct scan_lun *ambiguous = NULL;
    const struct scan_lun *found = visible_find(visible, &m->source, &ambiguous);
    found = found ? found : ambiguous;
    if (!found) {
        return S_FALSE;
    }
    (void)snprintf(out_name, ORIGINAL_NAME_BYTES, "%s", found->url);
    return S_OK;
}

static HRESULT refuse_doubt(const char *doubt, const char *why, struct error *err)
{
    return error_set(err, VSS_E_BREAK_REVERT_ID_FAILED,
                     "cannot tell whether an original is visible: %s%.500s; nothing was changed. "
                     "Mend that (a portal that is gone for good: take it out of the "
                     "configuration), or break the set with REVERT_IDENTITY_NONE (`lunshadow break "
                     "--no-revert-identity`), so that the copies keep the ids that they have",
                     doubt, why);
}

/* S_OK: this original is visible, as out_name. S_FALSE: it was not found; *doubt says what else may
 * be it, where something may. */
static HRESULT find_original(const struct visible *visible, const struct lun_mapping *m,
                             char out_name[ORIGINAL_NAME_BYTES], struct error *doubt)
{
    char device[HOST_DEVICE_NAME_BYTES] = "";
    struct error why = {0};
    HRESULT hr = find_on_portals(visible, m, out_name);
    if (hr == S_FALSE) {
        hr = host_device_find("/sys", &m->source, device, &why);
        (void)snprintf(out_name, ORIGINAL_NAME_BYTES, "%s", device);
    }
    if (FAILED(hr) && hr != E_OUTOFMEMORY) {
        (void)refuse_doubt("a device of this host: ", error_text(&why), doubt);
        return S_FALSE;
    }
    return hr;
}

/* S_OK: an original is visible; text names it. S_FALSE: none is. VSS_E_BREAK_REVERT_ID_FAILED:
 * none was found, and one may be there all the same. */
static HRESULT find_visible_original(struct set_environment *env, const struct set_record *set,
                                     struct error *text, struct error *err)
{
    struct visible visible;
    struct error doubt = {0};
    HRESULT hr = visible_scan(env, NULL, &visible, err);
    if (FAILED(hr)) {
        return hr;
    }
    if (!visible.all_answered) {
        (void)refuse_doubt("", error_text(&visible.unanswered), &doubt);
    }
    hr = S_FALSE;
    for (size_t i = 0; i < set->lun_count && hr == S_FALSE; i++) {
        char name[ORIGINAL_NAME_BYTES] = "";
        hr = find_original(&visible, &set->luns[i], name, &doubt);
        if (hr == S_OK) {
            (void)error_set(text, VSS_E_BREAK_REVERT_ID_FAILED, "the original %s is visible (%s)",
                            set->luns[i].source_url, name);
        }
    }
    visible_free(&visible);
    if (FAILED(hr)) {
        return error_set(err, hr, "out of memory looking for the originals");
    }
    return hr == S_FALSE && FAILED(doubt.code) ? error_set(err, doubt.code, "%s", doubt.text) : hr;
}

/* Which ids the copies shall have. By default the originals', where these are not visible; where
 * that cannot be told, either answer may be the wrong one, and the set is gone with it. */
static HRESULT choose_ids(struct set_environment *env, const struct set_record *set, uint32_t flags,
                          bool *out_is_revert, struct error *err)
{
    struct error text = {0};
    *out_is_revert = false;
    if (flags & VSS_BREAKEX_FLAG_REVERT_IDENTITY_NONE) {
        return S_OK;
    }
    HRESULT hr = find_visible_original(env, set, &text, err);
    if (hr == S_OK && (flags & VSS_BREAKEX_FLAG_REVERT_IDENTITY_ALL)) {
        return error_set(err, VSS_E_BREAK_REVERT_ID_FAILED,
                         "%s: two disks would have one identity; mask it first. Nothing was "
                         "changed",
                         text.text);
    }
    if (hr == S_OK) {
        log_line(LOG_INFO, "the copies keep the ids that they have: %s", text.text);
    }
    *out_is_revert = hr == S_FALSE;
    return hr;
}

static HRESULT choose_change(struct set_environment *env, const struct set_record *set,
                             uint32_t flags, enum label_change *out, struct error *err)
{
    bool is_read_write = flags & VSS_BREAKEX_FLAG_MAKE_READ_WRITE;
    bool is_revert = false;
    HRESULT hr = choose_ids(env, set, flags, &is_revert, err);
    if (FAILED(hr)) {
        return hr;
    }
    if (is_revert) {
        *out = is_read_write ? LABEL_CHANGE_REVERT_RW : LABEL_CHANGE_REVERT;
    } else {
        *out = is_read_write ? LABEL_CHANGE_KEEP_RW : LABEL_CHANGE_KEEP;
    }
    return S_OK;
}

/* The array and the labels. *out_is_torn: a label is neither the old nor the new one. */
static HRESULT change_luns(struct set_environment *env, struct provider *provider,
                           struct set_record *set, uint32_t flags, const VSS_ID *journal_id,
                           bool *out_is_torn, struct error *err)
{
    *out_is_torn = false;
    if ((flags & VSS_BREAKEX_FLAG_MASK_LUNS) && env->is_dry_run) {
        return dry_run_end(env, err);
    }
    if (flags & VSS_BREAKEX_FLAG_MASK_LUNS) {
        return set_call_state_change(provider, set, VSS_ONLUNSTATECHANGE_DO_MASK_LUNS, err);
    }
    enum label_change change;
    HRESULT hr = choose_change(env, set, flags, &change, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = label_change_copies(env, provider, set, change, journal_id, out_is_torn, err);
    if (hr == VSS_E_CANNOT_REVERT_DISKID) {
        hr = error_translate(err, VSS_E_BREAK_REVERT_ID_FAILED);
    }
    if (env->is_dry_run) {
        return hr;
    }
    uint32_t state = SUCCEEDED(hr) && (flags & VSS_BREAKEX_FLAG_MAKE_READ_WRITE)
                         ? (uint32_t)VSS_ONLUNSTATECHANGE_NOTIFY_READ_WRITE
                         : (uint32_t)VSS_ONLUNSTATECHANGE_NOTIFY_LUN_POST_RECOVERY;
    HRESULT state_hr = set_call_state_change(provider, set, state, SUCCEEDED(hr) ? err : NULL);
    if (SUCCEEDED(hr) && FAILED(state_hr)) {
        error_prefix(err, "the copies' labels are changed already; break the set again");
    }
    return FAILED(hr) ? hr : state_hr;
}

HRESULT claimed_break(struct set_environment *env, const VSS_ID *set_id, uint32_t flags,
                      const VSS_ID *journal_id, struct claimed_failure *out, struct error *err)
{
    struct set_record set = {0};
    struct provider *provider = NULL;
    *out = (struct claimed_failure){0};
    HRESULT hr = sets_load(env->store, set_id, &set, err);
    if (SUCCEEDED(hr)) {
        hr = check_imported(&set, err);
    }
    if (SUCCEEDED(hr)) {
        hr = set_provider(env, &set, &provider, err);
    }
    for (size_t i = 0; i < set.snapshot_count && SUCCEEDED(hr) && !env->is_dry_run; i++) {
        hr = expose_end(env, &set.snapshots[i], err);
    }
    if (SUCCEEDED(hr)) {
        hr = change_luns(env, provider, &set, flags, journal_id, &out->is_torn, err);
        if (FAILED(hr)) { /* with the ids that the copies have now */
            out->is_torn = out->is_torn || FAILED(sets_save(env->store, &set, NULL));
        }
    }
    if (SUCCEEDED(hr)) {
        hr = sets_delete_and_close(env->store, &set.set_id, journal_id, err);
        /* Labels are not what the registry has now. Copies that are hidden can be hidden again. */
        out->is_torn = FAILED(hr) && !(flags & VSS_BREAKEX_FLAG_MASK_LUNS);
    }
    set_record_free(&set);
    return hr;
}

HRESULT set_break(struct set_environment *env, const VSS_ID *set_id, uint32_t flags,
                  struct error *err)
{
    VSS_ID journal_id = id_null;
    struct claimed_failure failure = {0};
    HRESULT hr = check_flags(flags, err);
    if (SUCCEEDED(hr)) {
        hr = journal_check_clean(env->store, err);
    }
    if (SUCCEEDED(hr)) {
        hr = claim_open(env->store, JOURNAL_BREAK, set_id, "break a snapshot set",
                        json_pack("{s:I}", "flags", (json_int_t)flags), &journal_id, err);
    }
    if (FAILED(hr)) {
        return hr;
    }
    hr = claimed_break(env, set_id, flags, &journal_id, &failure, err);
    if (FAILED(hr) && failure.is_torn) {
        set_take_back(env, &journal_id);
    } else if (FAILED(hr)) {
        (void)journal_close(env->store, &journal_id, NULL); /* it can be broken again */
    }
    return hr;
}
