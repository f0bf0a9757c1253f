/* SPDX-License-Identifier: Apache-2.0 */
#include "resync/ids_change.h"

#include "common/buffer.h"
#include "common/id.h"
#include "common/log.h"
#include "lun/label/disk_ids.h"
#include "provider/set/claim.h"
#include "provider/set/label_change.h"
#include "registry/events.h"
#include "registry/journal.h"
#include "registry/locks.h"
#include "registry/sets.h"
#include "resync/collisions.h"

#include <stdlib.h>
#include <string.h>

/* Of its journal entry, one for each LUN. */
#define LUN_STEP "lun"

/* One LUN. */
struct member {
    struct lun *lun;
    struct vss_lun_info info; /* who it was when it was added */
    char key[LUN_KEY_BYTES];
    struct label *label;
    struct ids_change_lun view;
};

struct ids_change {
    struct set_environment *env;
    struct member **members;
    size_t count;
    struct disk_ids_transaction transaction;
};

HRESULT ids_change_new(struct set_environment *env, struct ids_change **out, struct error *err)
{
    *out = calloc(1, sizeof(**out));
    if (!*out) {
        return error_set(err, E_OUTOFMEMORY, "out of memory changing disk ids");
    }
    (*out)->env = env;
    return S_OK;
}

static void free_member(struct member *m)
{
    if (m) {
        disk_ids_free(&m->view.current);
        disk_ids_free(&m->view.wanted);
        label_free(m->label);
        lun_info_free(&m->info);
        lun_close(m->lun);
        free(m);
    }
}

void ids_change_free(struct ids_change *change)
{
    if (!change) {
        return;
    }
    disk_ids_transaction_free(&change->transaction);
    for (size_t i = 0; i < change->count; i++) {
        free_member(change->members[i]);
    }
    free(change->members);
    free(change);
}

const struct ids_change_lun *ids_change_get(const struct ids_change *change, size_t index)
{
    return &change->members[index]->view;
}

size_t ids_change_count(const struct ids_change *change)
{
    return change->count;
}

/* ---- adding ---------------------------------------------------------------------------------- */

static HRESULT check_is_no_copy(struct store *store, const struct member *m, struct error *err)
{
    struct set_record *sets = NULL;
    size_t count = 0;
    char id[ID_TEXT_BYTES];
    HRESULT hr = sets_load_all(store, &sets, &count, err);
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < sets[i].lun_count && SUCCEEDED(hr); k++) {
            const struct lun_mapping *map = &sets[i].luns[k];
            if (!map->is_empty && map->copy.version &&
                lun_info_compare(&map->copy, &m->info) != LUN_DIFFERENT) {
                hr = error_set(err, VSS_E_VOLUME_NOT_SUPPORTED,
                               "%s is a shadow copy of set %s, which has disk ids of its own; "
                               "break the set first",
                               m->lun->url, id_text(&sets[i].set_id, id));
            }
        }
    }
    sets_free_all(sets, count);
    return hr;
}

static HRESULT check_member(const struct ids_change *change, const struct member *m,
                            struct error *err)
{
    const char *reason = NULL;
    if (!lun_info_is_unique(&m->info, &reason)) {
        return error_set(err, VSS_E_VOLUME_NOT_SUPPORTED,
                         "%s has no page-83 identity that is its alone (%s); lunshadow lint says "
                         "how to give it one",
                         m->lun->url, reason);
    }
    for (size_t i = 0; i < change->count; i++) {
        if (lun_info_compare(&change->members[i]->info, &m->info) != LUN_DIFFERENT) {
            return error_set(err, VSS_E_VOLUME_NOT_SUPPORTED, "%s and %s are one LUN",
                             change->members[i]->lun->url, m->lun->url);
        }
    }
    return check_is_no_copy(change->env->store, m, err);
}

static HRESULT open_member(struct ids_change *change, const char *url, struct member *m,
                           struct error *err)
{
    HRESULT hr = lun_open(url, &change->env->lun, false, &m->lun, err);
    if (SUCCEEDED(hr)) {
        hr = lun_info_copy(&m->lun->identity.info, &m->info);
    }
    if (SUCCEEDED(hr)) {
        (void)lun_info_key(&m->info, m->key);
        hr = check_member(change, m, err);
    }
    if (SUCCEEDED(hr)) {
        hr = lun_read_label(m->lun, &change->env->lun, &m->label, err);
    }
    if (SUCCEEDED(hr)) {
        hr = label_ids(m->label, &m->view.current);
    }
    if (FAILED(hr)) {
        return error_set(err, hr, "out of memory reading disk ids");
    }
    m->view.url = m->lun->url;
    m->view.key = m->key;
    m->view.label = m->label;
    m->view.block_bytes = m->lun->block.block_bytes;
    hr = disk_ids_remember(change->env->store, m->key, &m->view.current, "read by lunshadow ids",
                           err);
    return FAILED(hr) ? hr : S_OK;
}

HRESULT ids_change_add(struct ids_change *change, const char *url, struct error *err)
{
    struct member *m = calloc(1, sizeof(*m));
    struct member **grown =
        m ? realloc(change->members, (change->count + 1) * sizeof(*grown)) : NULL;
    if (!grown) {
        free(m);
        return error_set(err, E_OUTOFMEMORY, "out of memory changing disk ids");
    }
    change->members = grown;
    HRESULT hr = open_member(change, url, m, err);
    if (FAILED(hr)) {
        free_member(m);
        return hr;
    }
    grown[change->count++] = m;
    return S_OK;
}

/* ---- staging --------------------------------------------------------------------------------- */

static HRESULT check_distinct(const char *url, const struct vss_disk_ids *ids, struct error *err)
{
    char text[ID_TEXT_BYTES];
    for (uint32_t i = 0; i < ids->partition_count; i++) {
        const VSS_ID *id = &ids->partitions[i].guid;
        bool is_twice = id_equal(id, &ids->disk_guid);
        for (uint32_t k = 0; k < i; k++) {
            is_twice = is_twice || id_equal(id, &ids->partitions[k].guid);
        }
        if (is_twice) {
            return error_set(err, VSS_E_CANNOT_REVERT_DISKID, "%s: GUID %s would be on it twice",
                             url, id_text(id, text));
        }
    }
    return S_OK;
}

HRESULT ids_change_stage(struct ids_change *change, size_t index, const struct vss_disk_ids *wanted,
                         bool repair, struct error *err)
{
    struct member *m = change->members[index];
    HRESULT hr = check_distinct(m->lun->url, wanted, err);
    if (SUCCEEDED(hr)) {
        hr = disk_ids_copy(wanted, &m->view.wanted);
        if (FAILED(hr)) {
            return error_set(err, hr, "out of memory staging disk ids");
        }
        hr = disk_ids_stage(&change->transaction, &m->lun->block, wanted, repair, err);
    }
    m->view.is_staged = SUCCEEDED(hr);
    /* The array of members grows with each: set anew. */
    for (size_t i = 0; i < change->transaction.count; i++) {
        for (size_t k = 0; k < change->count; k++) {
            if (change->transaction.members[i].dev == &change->members[k]->lun->block) {
                change->members[k]->view.writes = &change->transaction.members[i].writes;
            }
        }
    }
    return hr;
}

HRESULT ids_change_check(struct ids_change *change, struct error *err)
{
    struct collision_disk *disks = calloc(change->count + 1, sizeof(*disks));
    size_t count = 0;
    if (!disks) {
        return error_set(err, E_OUTOFMEMORY, "out of memory comparing disk ids");
    }
    for (size_t i = 0; i < change->count; i++) {
        const struct member *m = change->members[i];
        if (m->view.is_staged) {
            disks[count++] = (struct collision_disk){.url = m->lun->url,
                                                     .info = &m->info,
                                                     .before = &m->view.current,
                                                     .wanted = &m->view.wanted};
        }
    }
    HRESULT hr = collisions_check(change->env, disks, count, true, err);
    free(disks);
    return hr;
}

/* ---- applying -------------------------------------------------------------------------------- */

static HRESULT identify_all(struct ids_change *change, struct error *err)
{
    HRESULT hr = S_OK;
    for (size_t i = 0; i < change->count && SUCCEEDED(hr); i++) {
        struct member *m = change->members[i];
        hr = lun_identify(m->lun, err);
        if (SUCCEEDED(hr) && lun_info_compare(&m->info, &m->lun->identity.info) != LUN_SAME) {
            char found[LUN_KEY_BYTES];
            hr = error_set(err, VSS_E_PROVIDER_VETO, "%s is %s by now, not %s; nothing was written",
                           m->lun->url, lun_info_key(&m->lun->identity.info, found), m->key);
        }
    }
    return hr;
}

/* Keys in the order of the transaction's members. */
static const char **order_keys(const struct ids_change *change)
{
    const struct disk_ids_transaction *t = &change->transaction;
    const char **keys = calloc(t->count + 1, sizeof(*keys));
    for (size_t i = 0; keys && i < t->count; i++) {
        for (size_t k = 0; k < change->count; k++) {
            if (t->members[i].dev == &change->members[k]->lun->block) {
                keys[i] = change->members[k]->key;
            }
        }
    }
    return keys;
}

static HRESULT write_all(struct ids_change *change, const VSS_ID *entry_id, struct error *err)
{
    const char **keys = order_keys(change);
    if (!keys) {
        return error_set(err, E_OUTOFMEMORY, "out of memory changing disk ids");
    }
    struct label_journal journal = {
        .store = change->env->store, .entry_id = entry_id, .lun_keys = keys};
    HRESULT hr = disk_ids_apply(&change->transaction, label_journal_sink, &journal, err);
    free(keys);
    return hr;
}

static HRESULT remember_and_close(struct ids_change *change, const char *why,
                                  const VSS_ID *entry_id, struct error *err)
{
    struct store *store = change->env->store;
    HRESULT hr = store_begin(store, err);
    if (FAILED(hr)) {
        return hr;
    }
    for (size_t i = 0; i < change->count && SUCCEEDED(hr); i++) {
        const struct member *m = change->members[i];
        if (m->view.is_staged) {
            hr = disk_ids_remember(store, m->key, &m->view.wanted, why, err);
        }
    }
    if (SUCCEEDED(hr)) {
        hr = journal_close(store, entry_id, err);
    }
    return store_end(store, hr, err);
}

/* It names its LUNs from the beginning: a set that is made of one meanwhile would have ids of
 * before and a label of after. */
static HRESULT open_entry(struct ids_change *change, const VSS_ID *change_id, const char *text,
                          VSS_ID *out_entry_id, struct error *err)
{
    struct store *store = change->env->store;
    HRESULT hr = store_begin(store, err);
    if (FAILED(hr)) {
        return hr;
    }
    for (size_t i = 0; i < change->count && SUCCEEDED(hr); i++) {
        hr = claim_check_destination(store, &change->members[i]->info, err);
    }
    if (SUCCEEDED(hr)) {
        hr = journal_open(store, JOURNAL_DISK_IDS, change_id, text, out_entry_id, err);
    }
    for (size_t i = 0; i < change->count && SUCCEEDED(hr); i++) {
        hr = journal_step(store, out_entry_id, LUN_STEP, change->members[i]->key, NULL, 0, err);
    }
    return store_end(store, hr, err);
}

static HRESULT apply_locked(struct ids_change *change, const char *why, struct error *err)
{
    VSS_ID change_id = id_new();
    VSS_ID entry_id = id_null;
    struct store *store = change->env->store;
    HRESULT hr = journal_check_clean(store, err);
    if (SUCCEEDED(hr)) {
        hr = ids_change_check(change, err);
    }
    if (SUCCEEDED(hr)) {
        hr = identify_all(change, err);
    }
    char *text = text_printf("disk ids of %zu LUNs, first %s", change->transaction.count,
                             change->members[0]->lun->url);
    if (SUCCEEDED(hr)) {
        hr = text ? open_entry(change, &change_id, text, &entry_id, err)
                  : error_set(err, E_OUTOFMEMORY, "out of memory changing disk ids");
    }
    free(text);
    if (FAILED(hr)) {
        return hr;
    }
    hr = write_all(change, &entry_id, err);
    if (SUCCEEDED(hr)) {
        return remember_and_close(change, why, &entry_id, err);
    }
    events_add(store, LOG_ERROR, hr, &change_id, err ? error_text(err) : "");
    if (!change->transaction.is_torn) {
        (void)journal_close(store, &entry_id, NULL); /* nothing is left of it */
    }
    return hr;
}

HRESULT ids_change_apply(struct ids_change *change, const char *why, struct error *err)
{
    struct lock *lock = NULL;
    if (change->transaction.count == 0) {
        return error_set(err, E_INVALIDARG, "no disk ids are staged");
    }
    HRESULT hr = lock_take(LOCK_RESYNC, &lock, err);
    if (SUCCEEDED(hr)) {
        hr = apply_locked(change, why, err);
    }
    lock_release(lock);
    return hr;
}
