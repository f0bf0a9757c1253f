/* SPDX-License-Identifier: Apache-2.0 */
#include "provider/set/rollback.h"

#include "common/id.h"
#include "common/log.h"
#include "provider/set/call.h"
#include "provider/set/claim.h"
#include "provider/set/claimed.h"
#include "provider/set/expose.h"
#include "provider/set/import.h"
#include "provider/set/label_change.h"
#include "registry/locks.h"

static HRESULT rollback_create(struct set_environment *env, const struct journal_entry *entry,
                               struct error *err)
{
    struct set_record set = {0};
    struct provider *provider = NULL;
    HRESULT hr = sets_load(env->store, &entry->object_id, &set, NULL);
    bool has_set = SUCCEEDED(hr);
    if (FAILED(hr) && hr != VSS_E_OBJECT_NOT_FOUND) {
        return error_set(err, hr, "the registry cannot be read");
    }
    hr = has_set ? set_provider(env, &set, &provider, err) : S_OK;
    if (SUCCEEDED(hr) && has_set) {
        hr = set_call(provider, VSS_OP_ABORT_SNAPSHOTS, &set, NULL, err);
    }
    if (SUCCEEDED(hr)) {
        hr = has_set ? sets_delete_and_close(env->store, &entry->object_id, &entry->entry_id, err)
                     : journal_close(env->store, &entry->entry_id, err);
    }
    set_record_free(&set);
    return hr;
}

/* The set of an entry and its array. S_FALSE: the registry has no such set. */
static HRESULT load_set(struct set_environment *env, const struct journal_entry *entry,
                        struct set_record *out, struct provider **out_provider, struct error *err)
{
    struct error why = {0};
    *out = (struct set_record){0};
    *out_provider = NULL;
    HRESULT hr = sets_load(env->store, &entry->object_id, out, &why);
    if (hr == VSS_E_OBJECT_NOT_FOUND) {
        return S_FALSE;
    }
    return SUCCEEDED(hr) ? set_provider(env, out, out_provider, err)
                         : error_set(err, hr, "%s", error_text(&why));
}

/* Copies with the labels that they had when the entry was opened; nothing where none was about to
 * be changed. */
static HRESULT restore_labels(struct set_environment *env, const struct journal_entry *entry,
                              struct provider *provider, struct set_record *set, struct error *err)
{
    if (!journal_find_step(entry, OLD_LABEL_STEP, NULL)) {
        return S_OK;
    }
    HRESULT hr = set_locate(env, provider, set, err);
    if (SUCCEEDED(hr)) {
        hr =
            set_call_state_change(provider, set, VSS_ONLUNSTATECHANGE_NOTIFY_LUN_PRE_RECOVERY, err);
    }
    return SUCCEEDED(hr) ? label_put_back(env, entry, err) : hr;
}

static HRESULT rollback_import(struct set_environment *env, const struct journal_entry *entry,
                               struct error *err)
{
    struct set_record set;
    struct provider *provider = NULL;
    bool is_new = journal_find_step(entry, IS_NEW_STEP, NULL);
    if (!is_new && !journal_find_step(entry, IS_KNOWN_STEP, NULL)) { /* nothing had been done */
        return journal_close(env->store, &entry->entry_id, err);
    }
    HRESULT hr = load_set(env, entry, &set, &provider, err);
    if (hr == S_FALSE) {
        return journal_close(env->store, &entry->entry_id, err);
    }
    if (SUCCEEDED(hr)) {
        hr = restore_labels(env, entry, provider, &set, err);
    }
    if (SUCCEEDED(hr) && set_is_shown(&set)) {
        hr = set_call_state_change(provider, &set, VSS_ONLUNSTATECHANGE_NOTIFY_LUN_POST_RECOVERY,
                                   err);
    } else if (SUCCEEDED(hr)) {
        hr = set_hide(provider, &set, err);
    }
    if (SUCCEEDED(hr)) {
        hr = is_new ? sets_delete_and_close(env->store, &set.set_id, &entry->entry_id, err)
                    : sets_save_and_close(env->store, &set, &entry->entry_id, err);
    }
    set_record_free(&set);
    return hr;
}

static HRESULT rollback_break(struct set_environment *env, const struct journal_entry *entry,
                              struct error *err)
{
    struct set_record set;
    struct provider *provider = NULL;
    HRESULT hr = load_set(env, entry, &set, &provider, err);
    if (hr == S_FALSE) { /* it was refused before anything was done */
        return journal_close(env->store, &entry->entry_id, err);
    }
    if (SUCCEEDED(hr) && set_is_shown(&set)) { /* it may have been masked */
        hr = set_locate(env, provider, &set, err);
    }
    if (SUCCEEDED(hr)) {
        hr = restore_labels(env, entry, provider, &set, err);
    }
    if (SUCCEEDED(hr) && set_is_shown(&set)) {
        hr = set_call_state_change(provider, &set, VSS_ONLUNSTATECHANGE_NOTIFY_LUN_POST_RECOVERY,
                                   err);
    }
    if (SUCCEEDED(hr)) {
        hr = sets_save_and_close(env->store, &set, &entry->entry_id, err);
    }
    set_record_free(&set);
    return hr;
}

static HRESULT rollback_ids(struct set_environment *env, const struct journal_entry *entry,
                            struct error *err)
{
    HRESULT hr = label_put_back(env, entry, err);
    return SUCCEEDED(hr) ? journal_close(env->store, &entry->entry_id, err) : hr;
}

HRESULT set_rollback(struct set_environment *env, const struct journal_entry *entry,
                     struct error *err)
{
    switch (entry->operation) {
    case JOURNAL_CREATE:
        return rollback_create(env, entry, err);
    case JOURNAL_IMPORT:
        return rollback_import(env, entry, err);
    case JOURNAL_BREAK:
        return rollback_break(env, entry, err);
    case JOURNAL_DELETE:
        return journal_close(env->store, &entry->entry_id, err);
    case JOURNAL_EXPOSE:
        return expose_rollback(env, entry, err);
    case JOURNAL_DISK_IDS:
        return rollback_ids(env, entry, err);
    case JOURNAL_RESYNC:
        break;
    }
    return error_set(err, VSS_E_BAD_STATE, "a %s is not a set operation",
                     journal_operation_name(entry->operation));
}

void set_take_back(struct set_environment *env, const VSS_ID *journal_id)
{
    struct journal_entry *entries = NULL;
    size_t count = 0;
    struct error why = {0};
    HRESULT hr = journal_load_open(env->store, false, &entries, &count, &why);
    for (size_t i = 0; i < count; i++) {
        if (id_equal(&entries[i].entry_id, journal_id)) {
            hr = set_rollback(env, &entries[i], &why);
        }
    }
    if (FAILED(hr)) {
        log_line(LOG_WARNING, "what failed half-way stays in the journal: %s", error_text(&why));
    }
    journal_free_all(entries, count);
}

/* ---- finishing ------------------------------------------------------------------------------- */

static HRESULT refuse_unknown(const struct journal_entry *entry, struct error *err)
{
    char id[ID_TEXT_BYTES];
    return error_set(err, VSS_E_OBJECT_NOT_FOUND,
                     "set %s is not in the registry: nothing had been done; roll it back, then "
                     "start the %s again",
                     id_text(&entry->object_id, id), journal_operation_name(entry->operation));
}

static HRESULT resume_labelled(struct set_environment *env, const struct journal_entry *entry,
                               const json_t *plan, struct set_record *set, struct error *err)
{
    struct claimed_failure failure;
    if (entry->operation == JOURNAL_IMPORT) {
        return claimed_import(env, set, &entry->entry_id, &failure, err);
    }
    uint32_t flags = (uint32_t)json_integer_value(json_object_get(plan, "flags"));
    return claimed_break(env, &entry->object_id, flags, &entry->entry_id, &failure, err);
}

static bool is_known(struct store *store, const VSS_ID *object_id, int32_t type)
{
    struct set_record set = {0};
    HRESULT hr = type == VSS_OBJECT_SNAPSHOT ? sets_find_by_snapshot(store, object_id, &set, NULL)
                                             : sets_load(store, object_id, &set, NULL);
    set_record_free(&set);
    return hr != VSS_E_OBJECT_NOT_FOUND;
}

static HRESULT resume_delete(struct set_environment *env, const struct journal_entry *entry,
                             const json_t *plan, struct error *err)
{
    VSS_ID object;
    VSS_ID nondeleted;
    int32_t deleted = 0;
    const char *text = json_string_value(json_object_get(plan, "object"));
    int32_t type = (int32_t)json_integer_value(json_object_get(plan, "type"));
    if (!text || !id_parse(text, &object)) {
        return error_set(err, VSS_E_UNEXPECTED, "the journal does not say what was to be deleted");
    }
    if (!is_known(env->store, &object, type)) { /* deleted, but for the end of the entry */
        return journal_close(env->store, &entry->entry_id, err);
    }
    return claimed_delete(env, &object, type, &entry->entry_id, &deleted, &nondeleted, err);
}

static HRESULT resume_set(struct set_environment *env, const struct journal_entry *entry,
                          const json_t *plan, struct error *err)
{
    struct set_record set;
    struct provider *provider = NULL;
    HRESULT hr = load_set(env, entry, &set, &provider, err);
    if (hr == S_FALSE) {
        return refuse_unknown(entry, err);
    }
    if (SUCCEEDED(hr) && entry->operation == JOURNAL_BREAK && set_is_shown(&set)) {
        hr = set_locate(env, provider, &set, err); /* the array may have been started anew since */
    }
    if (SUCCEEDED(hr)) {
        hr = restore_labels(env, entry, provider, &set, err);
    }
    if (SUCCEEDED(hr)) {
        hr = resume_labelled(env, entry, plan, &set, err);
    }
    set_record_free(&set);
    return hr;
}

HRESULT set_resume(struct set_environment *env, const struct journal_entry *entry,
                   struct error *err)
{
    json_t *plan = NULL;
    HRESULT hr = claim_plan(entry, &plan, err);
    if (SUCCEEDED(hr)) {
        hr = entry->operation == JOURNAL_DELETE ? resume_delete(env, entry, plan, err)
                                                : resume_set(env, entry, plan, err);
    }
    json_decref(plan);
    return hr;
}

/* ---- sets in creation ------------------------------------------------------------------------ */

static HRESULT abort_locked(struct set_environment *env, struct error *err)
{
    struct journal_entry *entries = NULL;
    size_t count = 0;
    HRESULT hr = journal_load_open(env->store, true, &entries, &count, err);
    for (size_t i = 0; i < count; i++) {
        if (entries[i].operation != JOURNAL_CREATE) {
            continue;
        }
        HRESULT rolled = set_rollback(env, &entries[i], SUCCEEDED(hr) ? err : NULL);
        hr = SUCCEEDED(hr) ? rolled : hr;
    }
    journal_free_all(entries, count);
    return hr;
}

HRESULT set_abort_all(struct set_environment *env, struct error *err)
{
    struct lock *lock = NULL; /* nobody makes a set meanwhile */
    HRESULT hr = lock_take(LOCK_SET_IN_PROGRESS, &lock, err);
    if (SUCCEEDED(hr)) {
        hr = abort_locked(env, err);
    }
    lock_release(lock);
    return hr;
}
