/* SPDX-License-Identifier: Apache-2.0 */
#include "resync/undo.h"

#include "common/buffer.h"
#include "common/clock.h"
#include "common/id.h"
#include "common/log.h"
#include "provider/set/claim.h"
#include "provider/set/rollback.h"
#include "registry/set_marks.h"

#include <stdlib.h>
#include <string.h>

#define MIB           (1ull << 20)
#define HOUR_FILETIME (3600 * 10000000ll)
#define AGE_HOURS_MAX 87600 /* ten years */
#define WAIT_S_MAX    86400
#define WAIT_PAUSE_MS 200

struct limits {
    uint64_t age_hours; /* 0: kept until they are deleted */
    uint64_t mib;       /* of all destinations that have one; 0: no limit */
    uint64_t wait_s;    /* for a set that somebody else creates */
};

static HRESULT read_limits(const struct config *config, struct limits *out, struct error *err)
{
    const struct config_section *section = config_find(config, "limits", "");
    HRESULT hr =
        config_number(section, "undo_max_age_hours", 0, AGE_HOURS_MAX, 168, &out->age_hours, err);
    if (SUCCEEDED(hr)) {
        hr = config_number(section, "undo_max_mib", 0, UINT32_MAX, 0, &out->mib, err);
    }
    return SUCCEEDED(hr)
               ? config_number(section, "undo_wait_s", 0, WAIT_S_MAX, 300, &out->wait_s, err)
               : hr;
}

/* ---- what there is --------------------------------------------------------------------------- */

/* S_FALSE: it was deleted since the mark was read. */
static HRESULT describe(struct store *store, const struct limits *limits,
                        const struct safety_mark *mark, struct safety_copy *out, struct error *err)
{
    struct set_record set = {0};
    struct error why = {0};
    HRESULT hr = sets_load(store, &mark->set_id, &set, &why);
    if (FAILED(hr)) {
        return hr == VSS_E_OBJECT_NOT_FOUND ? S_FALSE : error_set(err, hr, "%s", error_text(&why));
    }
    *out = (struct safety_copy){
        .set_id = mark->set_id, .resync_id = mark->resync_id, .taken = mark->taken};
    for (size_t i = 0; i < set.lun_count; i++) {
        out->lun_count += !set.luns[i].is_empty;
        out->bytes += set.luns[i].block_bytes * set.luns[i].block_count;
    }
    out->expires = limits->age_hours ? mark->taken + (int64_t)limits->age_hours * HOUR_FILETIME : 0;
    set_record_free(&set);
    return S_OK;
}

HRESULT undo_list(struct store *store, const struct config *config, struct safety_copy **out,
                  size_t *out_count, struct error *err)
{
    struct limits limits;
    struct safety_mark *marks = NULL;
    size_t count = 0;
    size_t kept = 0;
    *out = NULL;
    *out_count = 0;
    HRESULT hr = read_limits(config, &limits, err);
    if (SUCCEEDED(hr)) {
        hr = set_marks_load_safety(store, &marks, &count, err);
    }
    struct safety_copy *all = calloc(count + 1, sizeof(*all));
    if (SUCCEEDED(hr) && !all) {
        hr = error_set(err, E_OUTOFMEMORY, "out of memory listing safety copies");
    }
    for (size_t i = 0; SUCCEEDED(hr) && i < count; i++) {
        hr = describe(store, &limits, &marks[i], &all[kept], err);
        kept += hr == S_OK;
    }
    free(marks);
    if (FAILED(hr)) {
        free(all);
        return hr;
    }
    *out = all;
    *out_count = kept;
    return S_OK;
}

typedef HRESULT deletion(struct set_environment *env, const VSS_ID *object_id, int32_t type,
                         int32_t *out_deleted, VSS_ID *out_nondeleted, struct error *err);

static HRESULT expire(struct set_environment *env, deletion *remove_set, int32_t *out_deleted,
                      struct error *err)
{
    struct safety_copy *all = NULL;
    size_t count = 0;
    int64_t now = clock_filetime();
    *out_deleted = 0;
    HRESULT first = undo_list(env->store, env->config, &all, &count, err);
    for (size_t i = 0; i < count; i++) {
        int32_t deleted = 0;
        if (all[i].expires && all[i].expires <= now) {
            HRESULT hr = remove_set(env, &all[i].set_id, VSS_OBJECT_SNAPSHOT_SET, &deleted, NULL,
                                    SUCCEEDED(first) ? err : NULL);
            *out_deleted += SUCCEEDED(hr);
            first = FAILED(first) ? first : hr;
        }
    }
    free(all);
    return FAILED(first) ? first : S_OK;
}

HRESULT undo_expire(struct set_environment *env, int32_t *out_deleted, struct error *err)
{
    return expire(env, set_delete, out_deleted, err);
}

static HRESULT find(struct set_environment *env, const VSS_ID *id, struct safety_copy *out,
                    struct error *err)
{
    struct safety_copy *all = NULL;
    size_t count = 0;
    HRESULT hr = undo_list(env->store, env->config, &all, &count, err);
    bool found = false;
    for (size_t i = count; i-- > 0 && !found;) { /* of a resync that was resumed, the last */
        found = id_equal(&all[i].resync_id, id) || id_equal(&all[i].set_id, id);
        *out = all[i];
    }
    free(all);
    if (SUCCEEDED(hr) && !found) {
        char text[ID_TEXT_BYTES];
        hr = error_set(err, VSS_E_OBJECT_NOT_FOUND,
                       "there is no safety copy of what resync %s overwrote: none was taken, or it "
                       "was deleted; see `lunshadow recover --list`",
                       id_text(id, text));
    }
    return hr;
}

HRESULT undo_discard(struct set_environment *env, const VSS_ID *id, struct error *err)
{
    struct safety_copy copy;
    int32_t deleted = 0;
    HRESULT hr = find(env, id, &copy, err);
    return SUCCEEDED(hr)
               ? set_delete(env, &copy.set_id, VSS_OBJECT_SNAPSHOT_SET, &deleted, NULL, err)
               : hr;
}

/* ---- taking one ------------------------------------------------------------------------------ */

static HRESULT check_destinations(const struct recovery *r, struct error *err)
{
    for (size_t i = 0; i < r->disk_count; i++) {
        const struct recovery_disk *d = &r->disks[i];
        if (d->lun->block.block_count != d->mapping->block_count) {
            return error_set(
                err, VSS_E_VOLUME_NOT_SUPPORTED,
                "%s is larger than its shadow copy: the array makes it as large, which "
                "cannot be undone",
                d->lun->url);
        }
    }
    return S_OK;
}

static HRESULT check_space(struct recovery *r, const struct limits *limits, struct error *err)
{
    struct safety_copy *all = NULL;
    size_t count = 0;
    uint64_t bytes = 0;
    if (limits->mib == 0) {
        return S_OK;
    }
    HRESULT hr = undo_list(r->env->store, r->env->config, &all, &count, err);
    for (size_t i = 0; i < count; i++) {
        bytes += all[i].bytes;
    }
    for (size_t i = 0; i < r->disk_count; i++) {
        bytes += r->disks[i].mapping->block_bytes * r->disks[i].mapping->block_count;
    }
    free(all);
    if (SUCCEEDED(hr) && bytes / MIB > limits->mib) {
        hr = error_set(err, VSS_E_INSUFFICIENT_STORAGE,
                       "safety copies of %llu MiB, with this one, are more than undo_max_mib of "
                       "[limits] (%llu): delete older ones with `lunshadow recover --discard`",
                       (unsigned long long)(bytes / MIB), (unsigned long long)limits->mib);
    }
    return hr;
}

/* In a shadow copy's own row, before anybody else can see it. */
static HRESULT mark(void *user, struct set_record *set, struct error *err)
{
    struct recovery *r = user;
    return set_marks_add_safety(r->env->store, &set->set_id, &r->resync_id, err);
}

static HRESULT journal_set(struct recovery *r, const VSS_ID *set_id, struct error *err)
{
    char id[ID_TEXT_BYTES];
    (void)id_text(set_id, id);
    HRESULT hr =
        journal_step(r->env->store, &r->journal_id, RESYNC_STEP_SAFETY, NULL, id, strlen(id), err);
    return SUCCEEDED(hr)
               ? journal_step(r->env->store, &r->journal_id, CLAIM_STEP, NULL, id, strlen(id), err)
               : hr;
}

static HRESULT make(struct recovery *r, struct set_builder *builder, struct error *err)
{
    struct set_record set = {0};
    struct set_hooks hooks = {.user = r, .post_snapshot = mark};
    HRESULT hr = S_OK;
    for (size_t i = 0; SUCCEEDED(hr) && i < r->disk_count; i++) {
        VSS_ID snapshot_id;
        hr = set_add_volume(builder, r->disks[i].open_name, NULL, &snapshot_id, err);
    }
    if (SUCCEEDED(hr)) {
        hr = set_commit(builder, &hooks, &set, err);
    }
    set_record_free(&set);
    return hr;
}

static bool is_cheap(const struct recovery *r)
{
    return provider_capabilities(r->provider)->differential == VSS_CAPABILITY_NATIVE;
}

static HRESULT start(struct recovery *r, struct error *err)
{
    uint32_t context = (uint32_t)VSS_CTX_APP_ROLLBACK | VSS_VOLSNAP_ATTR_TRANSPORTABLE;
    context |= is_cheap(r) ? (uint32_t)VSS_VOLSNAP_ATTR_DIFFERENTIAL : 0u;
    return set_start_beside(r->env, context, &r->safety, &r->safety_planned, err);
}

static HRESULT take(struct recovery *r, VSS_ID *out_set_id, struct error *err)
{
    HRESULT hr = r->safety ? S_OK : start(r, err);
    *out_set_id = r->safety_planned;
    if (SUCCEEDED(hr)) {
        hr = journal_set(r, out_set_id, err);
    }
    if (SUCCEEDED(hr)) {
        hr = make(r, r->safety, err);
    }
    return hr;
}

static HRESULT check_and_take(struct recovery *r, VSS_ID *out_set_id, struct error *err)
{
    struct limits limits;
    HRESULT hr = read_limits(r->env->config, &limits, err);
    if (SUCCEEDED(hr)) {
        hr = check_destinations(r, err);
    }
    if (SUCCEEDED(hr)) {
        struct error why = {0};
        int32_t deleted = 0;
        if (FAILED(expire(r->env, set_delete_beside, &deleted, &why))) {
            log_line(LOG_WARNING, "an old safety copy was not deleted: %s", error_text(&why));
        }
        hr = check_space(r, &limits, err);
    }
    return SUCCEEDED(hr) ? take(r, out_set_id, err) : hr;
}

static HRESULT note(struct recovery *r, char *text, struct error *err)
{
    free(r->undo_note);
    r->undo_note = text;
    return text ? S_OK : error_set(err, E_OUTOFMEMORY, "out of memory preparing an undo");
}

static HRESULT note_taken(struct recovery *r, const VSS_ID *set_id, struct error *err)
{
    char set[ID_TEXT_BYTES];
    char resync[ID_TEXT_BYTES];
    return note(r,
                text_printf("safety copy %s; `lunshadow recover --undo %s` puts back what was "
                            "overwritten",
                            id_text(set_id, set), id_text(&r->resync_id, resync)),
                err);
}

/* Is a set in creation left open by this process? Then it must be dealt with before all else. */
static bool is_half_made(struct recovery *r, const VSS_ID *set_id)
{
    struct journal_entry *entries = NULL;
    size_t count = 0;
    bool found = FAILED(journal_load_open(r->env->store, false, &entries, &count, NULL));
    for (size_t i = 0; i < count; i++) {
        found = found ||
                (entries[i].operation == JOURNAL_CREATE && id_equal(&entries[i].object_id, set_id));
    }
    journal_free_all(entries, count);
    return found;
}

/* RecoverSet has no code of its own for a set that somebody else creates. */
static HRESULT refuse(HRESULT hr, const struct error *why, struct error *err)
{
    bool is_busy = hr == VSS_E_SNAPSHOT_SET_IN_PROGRESS;
    hr = error_set(err, is_busy ? VSS_E_BAD_STATE : hr, "%s%s", error_text(why),
                   is_busy ? ", or go on with --no-undo" : "");
    error_prefix(err, "no safety copy could be taken, so nothing was written");
    return hr;
}

/* That others create sets says nothing of what an undo would cost. */
static HRESULT go_without(struct recovery *r, HRESULT hr, const VSS_ID *set_id,
                          const struct error *why, struct error *err)
{
    bool is_fatal = r->undo == UNDO_REQUIRED || hr == VSS_E_SNAPSHOT_SET_IN_PROGRESS ||
                    hr == E_OUTOFMEMORY || hr == E_ABORT || is_half_made(r, set_id);
    if (is_fatal) {
        return refuse(hr, why, err);
    }
    log_line(LOG_WARNING, "no safety copy, this resync cannot be undone: %s", error_text(why));
    hr = journal_step(r->env->store, &r->journal_id, RESYNC_STEP_SAFETY, NULL, NULL, 0, err);
    return FAILED(hr) ? hr : note(r, text_printf("cannot be undone: %.900s", error_text(why)), err);
}

static bool has_source(const struct set_record *set, const struct vss_lun_info *info)
{
    for (size_t i = 0; i < set->lun_count; i++) {
        const struct lun_mapping *m = &set->luns[i];
        if (!m->is_empty && lun_info_compare(&m->source, info) == LUN_SAME) {
            return true;
        }
    }
    return false;
}

/* The safety copy of an adopted resync holds every destination of this one; S_FALSE: it does not,
 * or is no more. */
static HRESULT holds_all(const struct recovery *r, const VSS_ID *set_id, struct error *err)
{
    struct set_record set = {0};
    struct error why = {0};
    HRESULT hr = sets_load(r->env->store, set_id, &set, &why);
    if (FAILED(hr)) {
        return hr == VSS_E_OBJECT_NOT_FOUND ? S_FALSE : error_set(err, hr, "%s", error_text(&why));
    }
    for (size_t i = 0; hr == S_OK && i < r->disk_count; i++) {
        hr = has_source(&set, &r->disks[i].info) ? S_OK : S_FALSE;
    }
    set_record_free(&set);
    return hr;
}

static HRESULT keep(struct recovery *r, const VSS_ID *set_id, struct error *err)
{
    HRESULT hr = set_marks_add_safety(r->env->store, set_id, &r->resync_id, err);
    if (SUCCEEDED(hr)) {
        hr = journal_set(r, set_id, err);
    }
    return SUCCEEDED(hr) ? note_taken(r, set_id, err) : hr;
}

static HRESULT decline_after_earlier(struct recovery *r, struct error *err)
{
    const struct recovery_disk *d = r->disks;
    while (!d->was_invalid) {
        d++;
    }
    if (r->undo == UNDO_REQUIRED) {
        return error_set(err, VSS_E_PROVIDER_VETO,
                         "no safety copy could be taken, so nothing was written: an earlier resync "
                         "had begun to overwrite %s, and left none of all these LUNs; finish that "
                         "one first (`lunshadow recover --resume`), or go on with --no-undo",
                         d->lun->url);
    }
    return note(r,
                text_printf("cannot be undone: an earlier resync had begun to overwrite %s without "
                            "a safety copy of all these LUNs",
                            d->lun->url),
                err);
}

/* That of an adopted resync goes on being the one: marked with this resync's id too. */
static HRESULT keep_earlier(struct recovery *r, struct error *err)
{
    HRESULT hr = S_FALSE;
    VSS_ID set_id = id_null;
    for (size_t i = 0; hr == S_FALSE && i < r->adopted_kept; i++) {
        const struct journal_entry *entry = &r->adopted[i];
        if (entry->destination_invalid && undo_of_entry(entry, &set_id) == S_OK) {
            hr = holds_all(r, &set_id, err);
        }
    }
    if (hr == S_FALSE) {
        return decline_after_earlier(r, err);
    }
    return SUCCEEDED(hr) ? keep(r, &set_id, err) : hr;
}

/* This host could read a safety copy only once it is imported, which gives it a label of its own:
 * what it puts back would not be what there was. */
static HRESULT decline_by_host(struct recovery *r, struct error *err)
{
    static const char why[] =
        "the array leaves copying to this host, which puts no safety copy back";
    if (r->undo == UNDO_REQUIRED) {
        return error_set(err, VSS_E_PROVIDER_VETO,
                         "no safety copy could be taken, so nothing was written: %s", why);
    }
    return note(r, text_printf("cannot be undone: %s", why), err);
}

static bool is_wanted(const struct recovery *r)
{
    bool is_asked_for = r->undo == UNDO_REQUIRED || (r->undo == UNDO_WHERE_CHEAP && is_cheap(r));
    return is_asked_for && !r->is_verbatim && !r->was_invalid && !r->copies_by_host;
}

/* *out_waited: it was not to be had at once. */
static HRESULT start_in_turn(struct recovery *r, uint64_t wait_s, bool *out_waited,
                             struct error *err)
{
    uint64_t until_us = clock_monotonic_us() + wait_s * 1000000u;
    *out_waited = false;
    HRESULT hr = start(r, err);
    while (hr == VSS_E_SNAPSHOT_SET_IN_PROGRESS && clock_monotonic_us() < until_us &&
           !atomic_load(&r->env->cancelled)) {
        if (!*out_waited) {
            log_line(LOG_WARNING, "waiting for up to %llu s: %s", (unsigned long long)wait_s,
                     error_text(err));
        }
        *out_waited = true;
        clock_sleep_ms(WAIT_PAUSE_MS);
        error_clear(err);
        hr = start(r, err);
    }
    return hr;
}

HRESULT undo_reserve(struct recovery *r, struct error *err)
{
    struct limits limits;
    struct error why = {0};
    bool has_waited = false;
    if (!is_wanted(r) || FAILED(check_destinations(r, NULL)) ||
        FAILED(read_limits(r->env->config, &limits, NULL))) {
        return S_OK;
    }
    HRESULT hr = start_in_turn(r, limits.wait_s, &has_waited, &why);
    if (hr == VSS_E_SNAPSHOT_SET_IN_PROGRESS) {
        return atomic_load(&r->env->cancelled)
                   ? error_set(err, E_ABORT, "cancelled before anything was written")
                   : refuse(hr, &why, err);
    }
    return has_waited ? S_FALSE : S_OK;
}

void undo_release(struct recovery *r)
{
    set_builder_free(r->safety);
    r->safety = NULL;
}

static HRESULT prepare(struct recovery *r, struct error *err)
{
    struct error why = {0};
    VSS_ID set_id = id_null;
    if (r->was_invalid) {
        return keep_earlier(r, err);
    }
    if (r->undo == UNDO_NONE) {
        return S_OK;
    }
    if (r->copies_by_host) {
        return decline_by_host(r, err);
    }
    if (r->undo == UNDO_WHERE_CHEAP && !is_cheap(r)) {
        return note(r,
                    text_copy("cannot be undone: the array's copies are no differential ones, and "
                              "--undo was not given"),
                    err);
    }
    HRESULT hr = check_and_take(r, &set_id, &why);
    r->safety_id = SUCCEEDED(hr) ? set_id : id_null;
    return SUCCEEDED(hr) ? note_taken(r, &set_id, err) : go_without(r, hr, &set_id, &why, err);
}

HRESULT undo_prepare(struct recovery *r, struct error *err)
{
    HRESULT hr = prepare(r, err);
    undo_release(r);
    return hr;
}

/* What a dead process left, the resync that was taken over foremost, is no reason to keep it. One
 * that cannot be deleted is a set like any other from here on: as a safety copy it would put back
 * older data. */
static bool drop(struct set_environment *env, const VSS_ID *set_id)
{
    struct error why = {0};
    int32_t deleted = 0;
    if (SUCCEEDED(set_delete_beside(env, set_id, VSS_OBJECT_SNAPSHOT_SET, &deleted, NULL, &why))) {
        return true;
    }
    char id[ID_TEXT_BYTES];
    log_line(LOG_WARNING,
             "nothing was overwritten, and safety copy %s, which nobody needs, was not deleted: %s",
             id_text(set_id, id), error_text(&why));
    error_clear(&why);
    if (FAILED(set_marks_drop_safety(env->store, set_id, &why))) {
        log_line(LOG_WARNING, "it is still listed as one: %s", error_text(&why));
    }
    return false;
}

void undo_drop(struct recovery *r)
{
    char id[ID_TEXT_BYTES];
    if (id_is_null(&r->safety_id)) {
        return;
    }
    free(r->undo_note);
    r->undo_note = drop(r->env, &r->safety_id)
                       ? NULL
                       : text_printf("set %s, a safety copy of what was not overwritten, could not "
                                     "be deleted",
                                     id_text(&r->safety_id, id));
    r->safety_id = id_null;
}

/* ---- after a death --------------------------------------------------------------------------- */

HRESULT undo_of_entry(const struct journal_entry *entry, VSS_ID *out_set_id)
{
    char text[ID_TEXT_BYTES] = "";
    const struct journal_step *step = journal_find_step(entry, RESYNC_STEP_SAFETY, NULL);
    *out_set_id = id_null;
    if (step && step->data && step->data_bytes < sizeof(text)) {
        memcpy(text, step->data, step->data_bytes);
    }
    return id_parse(text, out_set_id) ? S_OK : S_FALSE;
}

static bool have_it(const struct journal_entry *entries, size_t count,
                    const struct journal_entry *but, const VSS_ID *set_id)
{
    for (size_t i = 0; i < count; i++) {
        VSS_ID other;
        if (undo_of_entry(&entries[i], &other) == S_OK && id_equal(&other, set_id) &&
            !id_equal(&entries[i].entry_id, &but->entry_id)) {
            return true;
        }
    }
    return false;
}

/* The safety copy that a resync took of what it then did not overwrite, and that no other one has:
 * one that goes on with another's has that one's. S_FALSE: none. */
static HRESULT find_needless(struct store *store, const struct recovery *r,
                             const struct journal_entry *entry, VSS_ID *out)
{
    struct journal_entry *entries = NULL;
    size_t count = 0;
    if (entry->destination_invalid || undo_of_entry(entry, out) != S_OK ||
        journal_find_step(entry, RESYNC_STEP_DONE, NULL)) {
        return S_FALSE;
    }
    bool is_needed = FAILED(journal_load_open(store, false, &entries, &count, NULL)) ||
                     have_it(entries, count, entry, out) ||
                     (r && have_it(r->adopted, r->adopted_count, entry, out));
    journal_free_all(entries, count);
    return is_needed ? S_FALSE : S_OK;
}

HRESULT undo_close(struct store *store, const struct recovery *r, const struct journal_entry *entry,
                   struct error *err)
{
    VSS_ID set_id;
    HRESULT hr = find_needless(store, r, entry, &set_id) == S_OK
                     ? set_marks_drop_safety(store, &set_id, err)
                     : S_OK;
    return SUCCEEDED(hr) ? journal_close(store, &entry->entry_id, err) : hr;
}

void undo_drop_of(struct set_environment *env, const struct recovery *r,
                  const struct journal_entry *entry)
{
    VSS_ID set_id;
    if (find_needless(env->store, r, entry, &set_id) == S_OK) {
        (void)drop(env, &set_id);
    }
}

/* Of any of these resyncs: one that was resumed and died again may have begun another. */
static bool is_safety_copy(const struct journal_entry *entries, size_t count, const VSS_ID *set_id)
{
    for (size_t i = 0; i < count; i++) {
        VSS_ID safety;
        if (entries[i].operation == JOURNAL_RESYNC && undo_of_entry(&entries[i], &safety) == S_OK &&
            id_equal(&safety, set_id)) {
            return true;
        }
    }
    return false;
}

HRESULT undo_clear_half(struct set_environment *env, struct error *err)
{
    struct journal_entry *entries = NULL;
    size_t count = 0;
    HRESULT hr = journal_load_open(env->store, true, &entries, &count, err);
    for (size_t i = 0; SUCCEEDED(hr) && i < count; i++) {
        if (entries[i].operation == JOURNAL_CREATE &&
            is_safety_copy(entries, count, &entries[i].object_id)) {
            hr = set_rollback(env, &entries[i], err);
        }
    }
    journal_free_all(entries, count);
    return hr;
}

/* ---- putting back ---------------------------------------------------------------------------- */

static HRESULT put_back(struct set_environment *env, const struct set_record *set,
                        const VSS_ID *takes_over, struct error *err)
{
    struct recovery *r = NULL;
    HRESULT hr = recovery_new(env, set, &r, err);
    for (size_t i = 0; SUCCEEDED(hr) && i < set->snapshot_count; i++) {
        hr = recovery_add(r, &set->snapshots[i].snapshot_id, NULL, err);
    }
    if (SUCCEEDED(hr)) {
        r->is_verbatim = true;
        r->takes_over = *takes_over;
        hr = recovery_run(r, VSS_RECOVERY_REVERT_IDENTITY_ALL | VSS_RECOVERY_NO_VOLUME_CHECK, err);
    }
    recovery_free(r);
    return hr;
}

static bool has_snapshot(const struct set_record *set, size_t lun_index)
{
    for (size_t i = 0; i < set->snapshot_count; i++) {
        const struct snapshot_record *s = &set->snapshots[i];
        for (size_t e = 0; e < s->extent_count; e++) {
            if (s->extents[e].lun_index == lun_index) {
                return true;
            }
        }
    }
    return false;
}

/* Its snapshots can be deleted one by one, as any set's. */
static HRESULT check_whole(const struct set_record *set, struct error *err)
{
    char id[ID_TEXT_BYTES];
    size_t gone = 0;
    for (size_t i = 0; i < set->lun_count; i++) {
        gone += set->luns[i].is_empty || !has_snapshot(set, i);
    }
    return gone == 0 ? S_OK
                     : error_set(err, VSS_E_BAD_STATE,
                                 "of safety copy %s, %zu of %zu LUNs were deleted: an undo of the "
                                 "others alone is none",
                                 id_text(&set->set_id, id), gone, set->lun_count);
}

static HRESULT run(struct set_environment *env, const VSS_ID *id, const VSS_ID *takes_over,
                   struct error *err)
{
    struct safety_copy copy;
    struct set_record set = {0};
    HRESULT hr = find(env, id, &copy, err);
    if (SUCCEEDED(hr)) {
        hr = sets_load(env->store, &copy.set_id, &set, err);
    }
    if (SUCCEEDED(hr)) {
        hr = check_whole(&set, err);
    }
    if (SUCCEEDED(hr)) {
        hr = put_back(env, &set, takes_over, err);
    }
    set_record_free(&set);
    return hr;
}

HRESULT undo_run(struct set_environment *env, const VSS_ID *id, struct error *err)
{
    return run(env, id, &id_null, err);
}

HRESULT undo_run_of_entry(struct set_environment *env, const VSS_ID *set_id,
                          const struct journal_entry *entry, struct error *err)
{
    return run(env, set_id, &entry->entry_id, err);
}
