/* SPDX-License-Identifier: Apache-2.0 */
#include "provider/set/rollback.h"

#include "provider/set/call.h"
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
        hr = set_call(provider, VSS_OP_ABORT_SNAPSHOTS, &set, NULL, NULL, err);
    }
    if (SUCCEEDED(hr)) {
        hr = has_set ? sets_delete_and_close(env->store, &entry->object_id, &entry->entry_id, err)
                     : journal_close(env->store, &entry->entry_id, err);
    }
    set_record_free(&set);
    return hr;
}

HRESULT set_rollback(struct set_environment *env, const struct journal_entry *entry,
                     struct error *err)
{
    switch (entry->operation) {
    case JOURNAL_CREATE:
        return rollback_create(env, entry, err);
    case JOURNAL_IMPORT:
    case JOURNAL_BREAK:
    case JOURNAL_DELETE:
        return journal_close(env->store, &entry->entry_id, err);
    case JOURNAL_RESYNC:
    case JOURNAL_DISK_IDS:
        break;
    }
    return error_set(err, VSS_E_BAD_STATE, "a %s is not a set operation",
                     journal_operation_name(entry->operation));
}

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
