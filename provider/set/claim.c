/* SPDX-License-Identifier: Apache-2.0 */
#include "provider/set/claim.h"

#include "common/id.h"
#include "lun/identity.h"
#include "provider/set/claimed.h"

#include <stdlib.h>
#include <string.h>

bool claim_speaks_of(const struct journal_entry *entry, const VSS_ID *set_id)
{
    char text[ID_TEXT_BYTES];
    (void)id_text(set_id, text);
    if (id_equal(&entry->object_id, set_id)) {
        return true;
    }
    for (size_t i = 0; i < entry->step_count; i++) {
        const struct journal_step *s = &entry->steps[i];
        if (strcmp(s->name, CLAIM_STEP) == 0 && s->data_bytes == strlen(text) &&
            memcmp(s->data, text, s->data_bytes) == 0) {
            return true;
        }
    }
    return false;
}

HRESULT claim_check(struct store *store, enum journal_operation operation, const VSS_ID *set_id,
                    struct error *err)
{
    struct journal_entry *entries = NULL;
    size_t count = 0;
    HRESULT hr = journal_load_open(store, false, &entries, &count, err);
    for (size_t i = 0; i < count && SUCCEEDED(hr); i++) {
        char id[ID_TEXT_BYTES];
        bool is_harmless = operation == JOURNAL_RESYNC && entries[i].operation == JOURNAL_RESYNC;
        if (!is_harmless && claim_speaks_of(&entries[i], set_id)) {
            hr = error_set(err, VSS_E_BAD_STATE,
                           "process %lld has not ended its %s of set %s; wait for it, or see "
                           "`lunshadow recover --list` once it is gone",
                           (long long)entries[i].pid, journal_operation_name(entries[i].operation),
                           id_text(set_id, id));
        }
    }
    journal_free_all(entries, count);
    return hr;
}

static HRESULT refuse_at_work(const struct journal_entry *entry, const struct vss_lun_info *info,
                              struct error *err)
{
    char key[LUN_KEY_BYTES];
    return error_set(err, VSS_E_BAD_STATE,
                     "process %lld has not ended its %s, in which %s is; wait for it, or see "
                     "`lunshadow recover --list` once it is gone",
                     (long long)entry->pid, journal_operation_name(entry->operation),
                     lun_info_key(info, key));
}

static HRESULT check_source(const struct journal_entry *entry, const struct vss_lun_info *info,
                            struct error *err)
{
    char key[LUN_KEY_BYTES];
    return journal_speaks_of(entry, lun_info_key(info, key)) ? refuse_at_work(entry, info, err)
                                                             : S_OK;
}

/* Its content, or the ids of its label. */
static bool overwrites(const struct journal_entry *entry)
{
    return entry->operation == JOURNAL_RESYNC || entry->operation == JOURNAL_DISK_IDS;
}

HRESULT claim_check_sources(struct store *store, const struct set_record *set, struct error *err)
{
    struct journal_entry *entries = NULL;
    size_t count = 0;
    HRESULT hr = journal_load_open(store, false, &entries, &count, err);
    for (size_t i = 0; i < count && SUCCEEDED(hr); i++) {
        for (size_t l = 0; l < set->lun_count && SUCCEEDED(hr); l++) {
            hr = overwrites(&entries[i]) ? check_source(&entries[i], &set->luns[l].source, err)
                                         : S_OK;
        }
    }
    journal_free_all(entries, count);
    return hr;
}

/* The set that an entry makes has its row since the entry was opened. */
static HRESULT check_creation(struct store *store, const struct journal_entry *entry,
                              const struct vss_lun_info *info, struct error *err)
{
    struct set_record set = {0};
    struct error why = {0};
    HRESULT hr = sets_load(store, &entry->object_id, &set, &why);
    if (FAILED(hr)) {
        return hr == VSS_E_OBJECT_NOT_FOUND ? S_OK : error_set(err, hr, "%s", error_text(&why));
    }
    for (size_t i = 0; i < set.lun_count && SUCCEEDED(hr); i++) {
        if (lun_info_compare(&set.luns[i].source, info) != LUN_DIFFERENT) {
            hr = refuse_at_work(entry, info, err);
        }
    }
    set_record_free(&set);
    return hr;
}

HRESULT claim_check_destination(struct store *store, const struct vss_lun_info *info,
                                struct error *err)
{
    struct journal_entry *entries = NULL;
    size_t count = 0;
    HRESULT hr = journal_load_open(store, false, &entries, &count, err);
    for (size_t i = 0; i < count && SUCCEEDED(hr); i++) {
        hr = entries[i].operation == JOURNAL_CREATE ? check_creation(store, &entries[i], info, err)
                                                    : S_OK;
    }
    journal_free_all(entries, count);
    return hr;
}

static HRESULT open_planned(struct store *store, enum journal_operation operation,
                            const VSS_ID *set_id, const char *description, const char *plan,
                            VSS_ID *out_entry_id, struct error *err)
{
    HRESULT hr = store_begin(store, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = claim_check(store, operation, set_id, err);
    if (SUCCEEDED(hr)) {
        hr = journal_open(store, operation, set_id, description, out_entry_id, err);
    }
    if (SUCCEEDED(hr)) {
        hr = journal_step(store, out_entry_id, PLAN_STEP, NULL, plan, strlen(plan), err);
    }
    return store_end(store, hr, err);
}

HRESULT claim_open(struct store *store, enum journal_operation operation, const VSS_ID *set_id,
                   const char *description, json_t *plan, VSS_ID *out_entry_id, struct error *err)
{
    *out_entry_id = id_null;
    char *text = plan ? json_dumps(plan, JSON_COMPACT) : NULL;
    json_decref(plan);
    if (!text) {
        return error_set(err, E_OUTOFMEMORY, "out of memory journaling a %s",
                         journal_operation_name(operation));
    }
    HRESULT hr = open_planned(store, operation, set_id, description, text, out_entry_id, err);
    free(text);
    return hr;
}

/* The entry of an import that a dead process left can be finished and taken back only with its plan
 * and the step that it had begun. */
static HRESULT open_shown(struct store *store, const VSS_ID *set_id, VSS_ID *out_entry_id,
                          struct error *err)
{
    static const char plan[] = "{}";
    HRESULT hr = claim_check(store, JOURNAL_RESYNC, set_id, err);
    if (SUCCEEDED(hr)) {
        hr = journal_open(store, JOURNAL_IMPORT, set_id, "show imported copies again", out_entry_id,
                          err);
    }
    if (SUCCEEDED(hr)) {
        hr = journal_step(store, out_entry_id, PLAN_STEP, NULL, plan, strlen(plan), err);
    }
    return SUCCEEDED(hr) ? journal_step(store, out_entry_id, IS_KNOWN_STEP, NULL, NULL, 0, err)
                         : hr;
}

HRESULT claim_open_shown(struct store *store, const VSS_ID *set_id, VSS_ID *out_entry_id,
                         struct error *err)
{
    *out_entry_id = id_null;
    HRESULT hr = store_begin(store, err);
    return SUCCEEDED(hr) ? store_end(store, open_shown(store, set_id, out_entry_id, err), err) : hr;
}

HRESULT claim_plan(const struct journal_entry *entry, json_t **out, struct error *err)
{
    const struct journal_step *step = journal_find_step(entry, PLAN_STEP, NULL);
    *out = step && step->data ? json_loadb((const char *)step->data, step->data_bytes,
                                           JSON_REJECT_DUPLICATES, NULL)
                              : NULL;
    return json_is_object(*out)
               ? S_OK
               : error_set(err, VSS_E_UNEXPECTED,
                           "the journal does not say what this %s was asked to do; roll it back",
                           journal_operation_name(entry->operation));
}
