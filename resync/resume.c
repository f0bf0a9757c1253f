/* SPDX-License-Identifier: Apache-2.0 */
/* A resync whose process is gone, run again as it was asked for: recovery_run() takes its entry
 * over. */
#include "common/id.h"
#include "provider/set/claim.h"
#include "resync/undo.h"
#include "resync/unfinished.h"

#include <string.h>

/* The set that the entry claims. */
static HRESULT read_set_id(const struct journal_entry *entry, VSS_ID *out, struct error *err)
{
    char text[ID_TEXT_BYTES] = "";
    const struct journal_step *step = NULL;
    for (size_t i = 0; i < entry->step_count && !step; i++) {
        step = strcmp(entry->steps[i].name, CLAIM_STEP) == 0 ? &entry->steps[i] : NULL;
    }
    if (step && step->data && step->data_bytes < sizeof(text)) {
        memcpy(text, step->data, step->data_bytes);
    }
    return id_parse(text, out)
               ? S_OK
               : error_set(err, VSS_E_UNEXPECTED,
                           "the journal does not say from which set this resync was");
}

static HRESULT load_set(struct store *store, const struct journal_entry *entry,
                        struct set_record *out, struct error *err)
{
    VSS_ID set_id;
    char id[ID_TEXT_BYTES];
    struct error why = {0};
    HRESULT hr = read_set_id(entry, &set_id, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = sets_load(store, &set_id, out, &why);
    if (hr == VSS_E_OBJECT_NOT_FOUND) {
        return error_set(err, hr,
                         "set %s is another host's, which this registry does not know: run "
                         "`lunshadow resync` with its document again, which makes the destinations "
                         "whole",
                         id_text(&set_id, id));
    }
    return FAILED(hr) ? error_set(err, hr, "%s", error_text(&why)) : S_OK;
}

static HRESULT add_members(struct recovery *r, const json_t *plan, struct error *err)
{
    size_t index = 0;
    json_t *member = NULL;
    json_array_foreach(json_object_get(plan, "members"), index, member)
    {
        VSS_ID id;
        const char *snapshot = json_string_value(json_object_get(member, "snapshot"));
        if (!snapshot || !id_parse(snapshot, &id)) {
            return error_set(err, VSS_E_UNEXPECTED, "the journal's plan of this resync is damaged");
        }
        HRESULT hr =
            recovery_add(r, &id, json_string_value(json_object_get(member, "destination")), err);
        if (FAILED(hr)) {
            return hr;
        }
    }
    return S_OK;
}

/* Entries of before these could be wished for have neither. */
static struct copy_wish read_wish(const json_t *plan)
{
    struct copy_wish wish = {0};
    const json_t *verify = json_object_get(plan, "verify");
    json_int_t rate = json_integer_value(json_object_get(plan, "rate"));
    json_int_t kind = json_is_integer(verify) ? json_integer_value(verify) : -1;
    wish.has_verify = kind >= VERIFY_NONE && kind <= VERIFY_FULL;
    wish.verify = wish.has_verify ? (enum copy_verify)kind : VERIFY_NONE;
    wish.bytes_per_second =
        rate >= COPY_RATE_MIN && rate <= (json_int_t)COPY_RATE_MAX ? (uint64_t)rate : 0;
    return wish;
}

static HRESULT run_again(struct set_environment *env, const struct journal_entry *entry,
                         const struct set_record *set, const json_t *plan, struct error *err)
{
    struct recovery *r = NULL;
    struct copy_wish wish = read_wish(plan);
    HRESULT hr = recovery_new(env, set, &r, err);
    if (SUCCEEDED(hr)) {
        recovery_set_copy(r, &wish);
        hr = add_members(r, plan, err);
    }
    if (SUCCEEDED(hr)) {
        json_int_t undo = json_integer_value(json_object_get(plan, "undo"));
        r->takes_over = entry->entry_id;
        r->is_verbatim = json_is_true(json_object_get(plan, "verbatim"));
        r->undo = undo == UNDO_WHERE_CHEAP || undo == UNDO_REQUIRED ? (enum recovery_undo)undo
                                                                    : UNDO_NONE;
        hr = recovery_run(r, (uint32_t)json_integer_value(json_object_get(plan, "flags")), err);
    }
    recovery_free(r);
    return hr;
}

HRESULT recovery_resume(struct set_environment *env, const struct journal_entry *entry,
                        struct error *err)
{
    struct set_record set = {0};
    json_t *plan = NULL;
    if (journal_find_step(entry, RESYNC_STEP_DONE, NULL)) {
        return unfinished_unfence(env, entry, err);
    }
    HRESULT hr = claim_plan(entry, &plan, err);
    if (SUCCEEDED(hr)) {
        hr = undo_clear_half(env, err);
    }
    if (SUCCEEDED(hr)) {
        hr = load_set(env->store, entry, &set, err);
    }
    if (SUCCEEDED(hr)) {
        hr = run_again(env, entry, &set, plan, err);
    }
    set_record_free(&set);
    json_decref(plan);
    return hr;
}
