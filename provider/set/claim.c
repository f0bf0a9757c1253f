/* SPDX-License-Identifier: Apache-2.0 */
#include "provider/set/claim.h"

#include "common/id.h"

#include <string.h>

static bool speaks_of(const struct journal_entry *entry, const VSS_ID *set_id)
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
        if (!is_harmless && speaks_of(&entries[i], set_id)) {
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

HRESULT claim_open(struct store *store, enum journal_operation operation, const VSS_ID *set_id,
                   const char *description, VSS_ID *out_entry_id, struct error *err)
{
    HRESULT hr = store_begin(store, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = claim_check(store, operation, set_id, err);
    if (SUCCEEDED(hr)) {
        hr = journal_open(store, operation, set_id, description, out_entry_id, err);
    }
    return store_end(store, hr, err);
}
