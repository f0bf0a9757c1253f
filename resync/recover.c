/* SPDX-License-Identifier: Apache-2.0 */
#include "resync/recover.h"

#include "common/id.h"
#include "common/log.h"
#include "provider/set/claimed.h"
#include "provider/set/rollback.h"
#include "registry/events.h"
#include "registry/locks.h"
#include "registry/set_marks.h"
#include "resync/undo.h"
#include "resync/unfinished.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What can be done about an operation from a step on; step NULL: from its beginning. Of the rows of
 * an operation the last one counts whose step is in the entry. A way that is NULL is possible. The
 * table in docs/recover.md says the same. */
struct row {
    enum journal_operation operation;
    const char *step;
    const char *no_resume;
    const char *no_rollback;
};

static const struct row rows[] = {
    {JOURNAL_CREATE, NULL,
     "the moment that was to be copied is over, and what writers had frozen thawed with the "
     "process "
     "that asked for it: roll it back and create the set again",
     NULL},
    {JOURNAL_IMPORT, NULL, "nothing had been done: roll it back, then import its document again",
     NULL},
    {JOURNAL_IMPORT, IS_KNOWN_STEP, NULL, NULL},
    {JOURNAL_IMPORT, IS_NEW_STEP, NULL, NULL},
    {JOURNAL_BREAK, NULL, NULL, NULL},
    {JOURNAL_DELETE, NULL, NULL, NULL},
    {JOURNAL_DELETE, LUN_EMPTY_STEP, NULL,
     "copies are deleted, or half so, and cannot come back: resume it, which deletes the rest of "
     "what was named"},
    {JOURNAL_RESYNC, NULL, NULL, NULL},
    {JOURNAL_RESYNC, RESYNC_STEP_WIPE, NULL,
     "its destinations were being overwritten and no safety copy of them was taken, so what they "
     "held is gone: resume it, which makes them whole"},
    {JOURNAL_RESYNC, RESYNC_STEP_SAFETY, NULL, NULL},
    {JOURNAL_RESYNC, RESYNC_STEP_DONE, NULL,
     "it was done, and other hosts alone were not let in again: resume it, which does that; what "
     "it "
     "overwrote is put back with --undo, where it has a safety copy"},
    {JOURNAL_DISK_IDS, NULL,
     "the journal keeps the old disk IDs, not the wanted ones: roll it back and set them again",
     NULL},
    {JOURNAL_EXPOSE, NULL,
     "a half-made mount is nothing to build on: roll it back and expose the copy again", NULL},
};

/* A wiped destination may have got its edges back since: then nothing was done. */
static bool has_reached(const struct journal_entry *entry, const struct row *row)
{
    if (row->operation != entry->operation) {
        return false;
    }
    if (row->step && strcmp(row->step, RESYNC_STEP_WIPE) == 0) {
        return entry->destination_invalid;
    }
    if (row->step && strcmp(row->step, RESYNC_STEP_SAFETY) == 0) {
        VSS_ID set_id; /* none where it went on without one */
        return undo_of_entry(entry, &set_id) == S_OK;
    }
    return !row->step || journal_find_step(entry, row->step, NULL);
}

static const struct row *find_row(const struct journal_entry *entry)
{
    const struct row *found = NULL;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        found = has_reached(entry, &rows[i]) ? &rows[i] : found;
    }
    return found;
}

const char *recover_refusal(const struct journal_entry *entry, enum recover_way way)
{
    const struct row *row = find_row(entry);
    if (!row) {
        return "this version of lunshadow does not know the operation";
    }
    return way == RECOVER_RESUME ? row->no_resume : row->no_rollback;
}

/* An import, a create and a resync exclude each other by a lock each; the others by their entry. */
static HRESULT take_lock(enum journal_operation operation, struct lock **out, struct error *err)
{
    switch (operation) {
    case JOURNAL_CREATE:
        return lock_take(LOCK_SET_IN_PROGRESS, out, err);
    case JOURNAL_IMPORT:
        return lock_take(LOCK_IMPORT, out, err);
    case JOURNAL_RESYNC: /* recovery_add(), recovery_rollback() take it */
    case JOURNAL_BREAK:
    case JOURNAL_DELETE:
    case JOURNAL_DISK_IDS:
    case JOURNAL_EXPOSE:
        break;
    }
    return S_OK;
}

static HRESULT deal_with(struct set_environment *env, const struct journal_entry *entry,
                         enum recover_way way, struct error *err)
{
    const char *refusal = recover_refusal(entry, way);
    if (refusal) {
        return error_set(err, VSS_E_BAD_STATE, "%s", refusal);
    }
    if (entry->operation == JOURNAL_RESYNC) {
        return way == RECOVER_RESUME ? recovery_resume(env, entry, err)
                                     : recovery_rollback(env, entry, err);
    }
    struct lock *lock = NULL;
    HRESULT hr = take_lock(entry->operation, &lock, err);
    if (SUCCEEDED(hr)) {
        hr = way == RECOVER_RESUME ? set_resume(env, entry, err) : set_rollback(env, entry, err);
    }
    lock_release(lock);
    return hr;
}

static HRESULT refuse_unknown(const VSS_ID *entry_id, struct error *err)
{
    char id[ID_TEXT_BYTES];
    return error_set(err, VSS_E_OBJECT_NOT_FOUND,
                     "no dead process left an entry %s, or it was dealt with",
                     id_text(entry_id, id));
}

typedef HRESULT (*entry_act)(struct set_environment *env, const struct journal_entry *entry,
                             enum recover_way way, struct error *err);

/* Loaded under the lock: somebody may have dealt with it since it was listed. */
static HRESULT act_locked(struct set_environment *env, const VSS_ID *entry_id, entry_act act,
                          enum recover_way way, struct error *err)
{
    struct journal_entry *entries = NULL;
    size_t count = 0;
    size_t i = 0;
    HRESULT hr = journal_load_open(env->store, true, &entries, &count, err);
    while (i < count && !id_equal(&entries[i].entry_id, entry_id)) {
        i++;
    }
    if (SUCCEEDED(hr)) {
        hr = i < count ? act(env, &entries[i], way, err) : refuse_unknown(entry_id, err);
    }
    journal_free_all(entries, count);
    return hr;
}

static HRESULT act_on_entry(struct set_environment *env, const VSS_ID *entry_id, entry_act act,
                            enum recover_way way, struct error *err)
{
    struct lock *lock = NULL;
    HRESULT hr = lock_take(LOCK_RECOVER, &lock, err);
    if (SUCCEEDED(hr)) {
        hr = act_locked(env, entry_id, act, way, err);
    }
    lock_release(lock);
    return hr;
}

HRESULT recover_entry(struct set_environment *env, const VSS_ID *entry_id, enum recover_way way,
                      struct error *err)
{
    return act_on_entry(env, entry_id, deal_with, way, err);
}

/* That of a resync is not while another one runs, which may have taken it over. */
static HRESULT close_forgotten(struct set_environment *env, const struct journal_entry *entry,
                               struct error *err)
{
    struct lock *lock = NULL;
    HRESULT hr = entry->operation == JOURNAL_RESYNC ? lock_take(LOCK_RESYNC, &lock, err) : S_OK;
    if (SUCCEEDED(hr)) {
        hr = journal_close(env->store, &entry->entry_id, err);
    }
    lock_release(lock);
    return hr;
}

static HRESULT forget(struct set_environment *env, const struct journal_entry *entry,
                      enum recover_way way, struct error *err)
{
    (void)way;
    struct error event = {0};
    HRESULT hr = close_forgotten(env, entry, err);
    if (SUCCEEDED(hr)) {
        (void)error_set(&event, VSS_E_BAD_STATE,
                        "an unfinished %s was forgotten; what it left stays as it is: %s",
                        journal_operation_name(entry->operation),
                        entry->description ? entry->description : "");
        events_add(env->store, LOG_WARNING, event.code, &entry->object_id, event.text);
    }
    return hr;
}

HRESULT recover_forget(struct set_environment *env, const VSS_ID *entry_id, struct error *err)
{
    return act_on_entry(env, entry_id, forget, RECOVER_ROLLBACK, err);
}

static HRESULT close_blank(struct set_environment *env, const struct journal_entry *entry,
                           struct error *err)
{
    if (journal_find_step(entry, RESYNC_STEP_COPY, NULL) &&
        !journal_find_step(entry, RESYNC_STEP_STOPPED, NULL)) {
        return error_set(err, VSS_E_BAD_STATE, "the array may go on with: %s", entry->description);
    }
    return unfinished_unfence(env, entry, err);
}

HRESULT recover_close_blank(struct set_environment *env, struct error *err)
{
    struct journal_entry *entries = NULL;
    size_t count = 0;
    HRESULT hr = journal_load_open(env->store, false, &entries, &count, err);
    for (size_t i = 0; SUCCEEDED(hr) && i < count; i++) {
        const struct journal_entry *e = &entries[i];
        if (e->operation == JOURNAL_RESYNC && e->destination_invalid && !e->is_dead &&
            e->pid == getpid()) {
            hr = close_blank(env, e, err);
        }
    }
    journal_free_all(entries, count);
    return hr;
}

static bool contains(const VSS_ID *sets, size_t count, const VSS_ID *set_id)
{
    for (size_t i = 0; i < count; i++) {
        if (id_equal(&sets[i], set_id)) {
            return true;
        }
    }
    return false;
}

static HRESULT delete_abandoned(struct set_environment *env, const VSS_ID *set_id,
                                struct error *err)
{
    VSS_ID *sets = NULL;
    size_t count = 0;
    HRESULT hr = set_marks_load_abandoned(env->store, &sets, &count, err);
    if (SUCCEEDED(hr) && !contains(sets, count, set_id)) {
        char id[ID_TEXT_BYTES];
        hr = error_set(err, VSS_E_BAD_STATE, "set %s is none that a dead session left",
                       id_text(set_id, id));
    }
    free(sets);
    int32_t deleted = 0;
    return SUCCEEDED(hr) ? set_delete(env, set_id, VSS_OBJECT_SNAPSHOT_SET, &deleted, NULL, err)
                         : hr;
}

HRESULT recover_abandoned(struct set_environment *env, const VSS_ID *set_id, struct error *err)
{
    struct lock *lock = NULL;
    HRESULT hr = lock_take(LOCK_RECOVER, &lock, err);
    if (SUCCEEDED(hr)) {
        hr = delete_abandoned(env, set_id, err);
    }
    lock_release(lock);
    return hr;
}
