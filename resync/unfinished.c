/* SPDX-License-Identifier: Apache-2.0 */
#include "resync/unfinished.h"

#include "resync/undo.h"

#include "common/id.h"
#include "common/log.h"
#include "provider/set/call.h"
#include "provider/set/claim.h"
#include "provider/set/visible.h"
#include "resync/state_change.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_destination(const struct recovery *r, const char *lun_key)
{
    for (size_t i = 0; i < r->disk_count; i++) {
        if (strcmp(r->disks[i].key, lun_key) == 0) {
            return true;
        }
    }
    return false;
}

/* Every LUN that the entry speaks of is overwritten by r too. */
static bool is_covered(const struct recovery *r, const struct journal_entry *entry)
{
    for (size_t i = 0; i < entry->step_count; i++) {
        const char *key = entry->steps[i].lun_key;
        if (key && !is_destination(r, key)) {
            return false;
        }
    }
    return entry->operation == JOURNAL_RESYNC;
}

/* An entry speaks of all its destinations from the beginning, and they were wiped together. */
static void note_invalid(struct recovery *r, const struct journal_entry *entry)
{
    bool is_resync = entry->operation == JOURNAL_RESYNC && entry->destination_invalid;
    for (size_t i = 0; is_resync && i < r->disk_count; i++) {
        struct recovery_disk *d = &r->disks[i];
        d->was_invalid = d->was_invalid || journal_speaks_of(entry, d->key);
        r->was_invalid = r->was_invalid || d->was_invalid;
    }
}

/* An entry was read before the lock was there: by now its resync may be done, and hosts may write.
 */
static HRESULT check_open(const struct journal_entry *entries, size_t count, const VSS_ID *entry_id,
                          struct error *err)
{
    char id[ID_TEXT_BYTES];
    for (size_t i = 0; i < count; i++) {
        if (id_equal(&entries[i].entry_id, entry_id)) {
            return S_OK;
        }
    }
    return error_set(err, VSS_E_OBJECT_NOT_FOUND,
                     "entry %s was dealt with meanwhile; nothing is left to do",
                     id_text(entry_id, id));
}

/* What r does not take over. A resync that left its destinations half-written in a process that
 * lives is no less unfinished: it would be run again, or taken back, over what is brought back now.
 */
static HRESULT refuse_other(const struct recovery *r, const struct journal_entry *entry,
                            struct error *err)
{
    if (entry->is_dead) {
        return journal_refuse(entry, 1, err);
    }
    bool is_half = entry->operation == JOURNAL_RESYNC && entry->destination_invalid;
    for (size_t i = 0; is_half && i < r->disk_count; i++) {
        if (journal_speaks_of(entry, r->disks[i].key)) {
            return error_set(err, VSS_E_BAD_STATE,
                             "%s is a destination of a resync that process %lld did not end, and "
                             "which has others: run that one again (%s)",
                             r->disks[i].lun->url, (long long)entry->pid,
                             entry->description ? entry->description : "no description");
        }
    }
    return S_OK;
}

HRESULT unfinished_adopt(struct recovery *r, struct error *err)
{
    unfinished_free(r);
    r->was_invalid = false;
    for (size_t i = 0; i < r->disk_count; i++) {
        r->disks[i].was_invalid = false;
    }
    /* Entries of this process count too: the lock says that no other resync of ours is running. */
    HRESULT hr = journal_load_open(r->env->store, false, &r->adopted, &r->adopted_count, err);
    if (FAILED(hr)) {
        return hr;
    }
    size_t kept = 0;
    for (size_t i = 0; i < r->adopted_count; i++) {
        struct journal_entry entry = r->adopted[i];
        note_invalid(r, &entry);
        if (is_covered(r, &entry)) {
            r->adopted[i] = r->adopted[kept];
            r->adopted[kept++] = entry;
        }
    }
    r->adopted_kept = kept;
    if (!id_is_null(&r->takes_over)) {
        hr = check_open(r->adopted, kept, &r->takes_over, err);
    }
    for (size_t i = kept; i < r->adopted_count && SUCCEEDED(hr); i++) {
        hr = refuse_other(r, &r->adopted[i], err);
    }
    return hr;
}

bool recovery_is_half_written(struct recovery *r)
{
    HRESULT hr = r->disk_count ? unfinished_adopt(r, NULL) : S_OK;
    bool is_told = SUCCEEDED(hr) || hr == VSS_E_BAD_STATE; /* of what it does not take over */
    return !is_told || (r->disk_count && r->was_invalid);
}

void unfinished_free(struct recovery *r)
{
    journal_free_all(r->adopted, r->adopted_count);
    r->adopted = NULL;
    r->adopted_count = 0;
    r->adopted_kept = 0;
}

/* The key of a fence's step; 0 where it is none. */
static uint64_t fence_key(const struct journal_step *step)
{
    uint64_t key = 0;
    bool is_fence =
        strcmp(step->name, RESYNC_STEP_FENCE) == 0 || strcmp(step->name, RESYNC_STEP_ANEW) == 0;
    if (is_fence && step->data_bytes == sizeof(key)) {
        memcpy(&key, step->data, sizeof(key));
    }
    return le64toh(key);
}

bool unfinished_has_fence(const struct recovery *r, const char *lun_key, uint64_t reservation_key)
{
    for (size_t i = 0; i < r->adopted_kept; i++) {
        const struct journal_entry *entry = &r->adopted[i];
        for (size_t s = 0; s < entry->step_count; s++) {
            const struct journal_step *step = &entry->steps[s];
            uint64_t key = fence_key(step);
            if (key && step->lun_key && strcmp(step->lun_key, lun_key) == 0 &&
                fence_is_of_key(key, reservation_key)) {
                return true;
            }
        }
    }
    return false;
}

/* What a step "ids-before" says. */
static HRESULT read_ids(const struct journal_step *step, struct vss_disk_ids *out,
                        struct error *err)
{
    json_t *json = json_loadb((const char *)step->data, step->data_bytes, 0, NULL);
    HRESULT hr = json
                     ? disk_ids_from_json(json, out, err)
                     : error_set(err, VSS_E_UNEXPECTED,
                                 "the journal's disk ids of %s are damaged; ask for the original's "
                                 "(REVERT_IDENTITY_ALL)",
                                 step->lun_key);
    json_decref(json);
    return hr;
}

static const struct journal_step *find_ids(const struct journal_entry *entry, const char *lun_key)
{
    for (size_t i = 0; i < entry->step_count; i++) {
        const struct journal_step *s = &entry->steps[i];
        if (s->lun_key && strcmp(s->lun_key, lun_key) == 0 && strcmp(s->name, "ids-before") == 0) {
            return s;
        }
    }
    return NULL;
}

HRESULT unfinished_recall_ids(const struct recovery *r, struct recovery_disk *disk,
                              struct error *err)
{
    for (size_t i = 0; i < r->adopted_kept; i++) {
        const struct journal_entry *entry = &r->adopted[i];
        const struct journal_step *step =
            entry->destination_invalid ? find_ids(entry, disk->key) : NULL;
        if (step) {
            struct vss_disk_ids before;
            HRESULT hr = read_ids(step, &before, err);
            if (FAILED(hr)) {
                return hr;
            }
            disk_ids_free(&disk->before);
            disk->before = before;
            disk->before_when = entry->opened;
            disk->before_origin = before.kind == VSS_DISK_LABEL_NONE ? IDS_UNKNOWN : IDS_REMEMBERED;
            return S_OK;
        }
    }
    return S_OK;
}

/* One that is gone by now is closed. */
static HRESULT close_one(struct recovery *r, const struct journal_entry *entry, struct error *err)
{
    struct error why = {0};
    HRESULT hr = undo_close(r->env->store, r, entry, &why);
    if (hr == VSS_E_OBJECT_NOT_FOUND) {
        return S_OK;
    }
    return FAILED(hr) ? error_set(err, hr, "%s", error_text(&why)) : hr;
}

HRESULT unfinished_close(struct recovery *r, struct error *err)
{
    HRESULT hr = S_OK;
    for (size_t i = 0; i < r->adopted_kept && SUCCEEDED(hr); i++) {
        hr = close_one(r, &r->adopted[i], err);
    }
    return hr;
}

/* ---- taking back what was only begun --------------------------------------------------------- */

static HRESULT unfence(struct set_environment *env, const struct visible *visible,
                       const struct journal_step *step, struct error *err)
{
    const struct scan_lun *found = NULL;
    struct lun *lun = NULL;
    HRESULT hr = visible_find_key(visible, step->lun_key, &found, err);
    if (FAILED(hr)) {
        return hr;
    }
    if (!found) {
        return error_set(err, VSS_E_OBJECT_NOT_FOUND,
                         "%s, which a dead resync fenced off, is on no configured portal; bring it "
                         "back, or remove key 0x%016llx yourself",
                         step->lun_key, (unsigned long long)fence_key(step));
    }
    hr = lun_open(found->url, &env->lun, true, &lun, err);
    if (SUCCEEDED(hr)) {
        hr = fence_drop_key(lun, fence_key(step), err);
    }
    lun_close(lun);
    return hr;
}

static HRESULT drop_fences(struct set_environment *env, const struct journal_entry *entry,
                           const struct visible *visible, struct error *err)
{
    HRESULT hr = S_OK;
    for (size_t i = 0; i < entry->step_count && SUCCEEDED(hr); i++) {
        if (entry->steps[i].lun_key && fence_key(&entry->steps[i])) {
            hr = unfence(env, visible, &entry->steps[i], err);
        }
    }
    return hr;
}

/* The array that an entry's plan names; S_FALSE: it names none. */
static HRESULT find_provider(struct set_environment *env, const struct journal_entry *entry,
                             struct provider **out, struct error *err)
{
    json_t *plan = NULL;
    if (!journal_find_step(entry, PLAN_STEP, NULL)) {
        return S_FALSE;
    }
    HRESULT hr = claim_plan(entry, &plan, err);
    if (FAILED(hr)) {
        return hr;
    }
    struct lun_mapping named = {0};
    named.array = (char *)json_string_value(json_object_get(plan, "array"));
    named.provider = (char *)json_string_value(json_object_get(plan, "provider"));
    const struct set_record set = {.luns = &named, .lun_count = 1};
    hr = named.array && named.provider ? set_provider(env, &set, out, err) : S_FALSE;
    json_decref(plan);
    return hr;
}

/* What is open: a LUN may have been left half-written by another resync than the one dealt with. */
struct open_entries {
    struct journal_entry *entries;
    size_t count;
};

static bool is_left_by_another(const struct open_entries *open, const VSS_ID *entry_id,
                               const char *lun_key)
{
    for (size_t i = 0; i < open->count; i++) {
        const struct journal_entry *e = &open->entries[i];
        if (e->operation == JOURNAL_RESYNC && e->destination_invalid &&
            !id_equal(&e->entry_id, entry_id) && journal_speaks_of(e, lun_key)) {
            return true;
        }
    }
    return false;
}

/* One for each destination that the entry speaks of, in the order of its steps. */
static HRESULT find_destinations(const struct journal_entry *entry, const struct open_entries *open,
                                 const struct visible *visible, struct vss_set_lun *luns,
                                 size_t *out_count, struct error *err)
{
    *out_count = 0;
    for (size_t i = 0; i < entry->step_count; i++) {
        const struct journal_step *step = &entry->steps[i];
        if (!step->lun_key || strcmp(step->name, RESYNC_STEP_WANTED) != 0 ||
            is_left_by_another(open, &entry->entry_id, step->lun_key)) {
            continue;
        }
        const struct scan_lun *found = NULL;
        HRESULT hr = visible_find_key(visible, step->lun_key, &found, err);
        if (FAILED(hr)) {
            return hr;
        }
        if (!found) {
            return error_set(err, VSS_E_OBJECT_NOT_FOUND,
                             "%s, which a dead resync took from its hosts, is on no configured "
                             "portal; bring it back",
                             step->lun_key);
        }
        luns[(*out_count)++].source = found->identity.info;
    }
    return S_OK;
}

/* POST_RECOVERY: an array that kept other hosts away lets them in again. */
static HRESULT let_in(struct set_environment *env, const struct journal_entry *entry,
                      const struct visible *visible, struct error *err)
{
    struct provider *provider = NULL;
    struct open_entries open = {0};
    size_t count = 0;
    HRESULT hr = find_provider(env, entry, &provider, err);
    if (hr != S_OK) {
        return hr;
    }
    struct vss_set_lun *luns = calloc(entry->step_count + 1, sizeof(*luns));
    if (!luns) {
        return error_set(err, E_OUTOFMEMORY, "out of memory calling OnLunStateChange");
    }
    hr = journal_load_open(env->store, false, &open.entries, &open.count, err);
    if (SUCCEEDED(hr)) {
        hr = find_destinations(entry, &open, visible, luns, &count, err);
    }
    if (SUCCEEDED(hr) && count > 0) {
        hr = state_change(provider, &entry->object_id, luns, count,
                          VSS_ONLUNSTATECHANGE_NOTIFY_LUN_POST_RECOVERY, err);
    }
    journal_free_all(open.entries, open.count);
    free(luns);
    return hr;
}

static HRESULT close_entry(struct store *store, const struct journal_entry *entry,
                           struct error *err)
{
    HRESULT hr = store_begin(store, err);
    return SUCCEEDED(hr) ? store_end(store, undo_close(store, NULL, entry, err), err) : hr;
}

static HRESULT check_still_open(struct store *store, const VSS_ID *entry_id, struct error *err)
{
    struct open_entries open = {0};
    HRESULT hr = journal_load_open(store, false, &open.entries, &open.count, err);
    hr = SUCCEEDED(hr) ? check_open(open.entries, open.count, entry_id, err) : hr;
    journal_free_all(open.entries, open.count);
    return hr;
}

/* As a resync that ends well does it. */
static HRESULT release(struct set_environment *env, const struct journal_entry *entry,
                       struct error *err)
{
    struct visible visible;
    HRESULT hr = visible_scan(env, NULL, &visible, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = drop_fences(env, entry, &visible, err);
    if (SUCCEEDED(hr)) {
        hr = let_in(env, entry, &visible, err);
    }
    visible_free(&visible);
    return hr;
}

HRESULT unfinished_unfence(struct set_environment *env, const struct journal_entry *entry,
                           struct error *err)
{
    struct lock *lock = NULL;
    HRESULT hr = lock_take(LOCK_RESYNC, &lock, err);
    if (SUCCEEDED(hr)) {
        hr = check_still_open(env->store, &entry->entry_id, err);
    }
    if (SUCCEEDED(hr)) {
        hr = undo_clear_half(env, err);
    }
    if (SUCCEEDED(hr)) {
        hr = release(env, entry, err);
    }
    if (SUCCEEDED(hr)) {
        hr = close_entry(env->store, entry, err);
    }
    lock_release(lock);
    return hr;
}

/* What was overwritten comes back from the safety copy, by a resync that takes the entry over. */
static HRESULT rollback_written(struct set_environment *env, const struct journal_entry *entry,
                                struct error *err)
{
    VSS_ID set_id;
    if (undo_of_entry(entry, &set_id) == S_OK) {
        return undo_run_of_entry(env, &set_id, entry, err);
    }
    return error_set(err, VSS_E_BAD_STATE,
                     "its destinations were being overwritten and carry no label: what they "
                     "held is gone. Run the same resync again, which makes them whole");
}

HRESULT recovery_rollback(struct set_environment *env, const struct journal_entry *entry,
                          struct error *err)
{
    if (entry->destination_invalid) {
        return rollback_written(env, entry, err);
    }
    HRESULT hr = unfinished_unfence(env, entry, err);
    if (SUCCEEDED(hr)) {
        undo_drop_of(env, NULL, entry);
    }
    return hr;
}
