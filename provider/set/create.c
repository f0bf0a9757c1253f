/* SPDX-License-Identifier: Apache-2.0 */
/* StartSnapshotSet and DoSnapshotSet: the sequence of a set, and its undoing. */
#include "common/buffer.h"
#include "common/clock.h"
#include "common/id.h"
#include "common/log.h"
#include "lun/host/flush.h"
#include "provider/set/builder.h"
#include "provider/set/call.h"
#include "provider/set/claim.h"
#include "provider/set/import.h"
#include "registry/events.h"
#include "registry/journal.h"
#include "registry/set_marks.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What VSS gives all holds of a set together. */
#define HOLD_LIMIT_US 10000000u
/* For one filesystem: writers wait meanwhile. */
#define FLUSH_LIMIT_MS 10000u
/* What VSS gives writers from freeze to thaw. */
#define FROZEN_MIN_MS 10u
#define FROZEN_MAX_MS 60000u

static HRESULT check_context(uint32_t context, struct error *err)
{
    if (context == VSS_CTX_ALL) {
        return error_set(err, VSS_E_BAD_STATE,
                         "VSS_CTX_ALL is for looking at copies; set a context for making them");
    }
    if (context & VSS_VOLSNAP_ATTR_CLIENT_ACCESSIBLE) {
        return error_set(
            err, VSS_E_UNSUPPORTED_CONTEXT,
            "client-accessible copies are made by a system provider; arrays have none");
    }
    uint32_t both = VSS_VOLSNAP_ATTR_DIFFERENTIAL | VSS_VOLSNAP_ATTR_PLEX;
    if ((context & both) == both) {
        return error_set(err, E_INVALIDARG, "a copy is either DIFFERENTIAL or PLEX, not both");
    }
    return S_OK;
}

HRESULT set_start_beside(struct set_environment *env, uint32_t context, struct set_builder **out,
                         VSS_ID *out_set_id, struct error *err)
{
    *out = NULL;
    *out_set_id = id_null;
    HRESULT hr = check_context(context, err);
    if (FAILED(hr)) {
        return hr;
    }
    struct set_builder *b = calloc(1, sizeof(*b));
    if (!b) {
        return error_set(err, E_OUTOFMEMORY, "out of memory starting a snapshot set");
    }
    b->env = env;
    b->is_beside = true;
    b->record.set_id = id_new();
    b->record.context = context;
    hr = lock_take(LOCK_SET_IN_PROGRESS, &b->lock, err);
    char host[256] = "";
    (void)gethostname(host, sizeof(host) - 1);
    b->record.originating_machine = text_copy(host);
    b->record.service_machine = text_copy(host);
    if (SUCCEEDED(hr) && (!b->record.originating_machine || !b->record.service_machine)) {
        hr = error_set(err, E_OUTOFMEMORY, "out of memory starting a snapshot set");
    }
    if (FAILED(hr)) {
        set_builder_free(b);
        return hr;
    }
    *out = b;
    *out_set_id = b->record.set_id;
    return S_OK;
}

HRESULT set_start(struct set_environment *env, uint32_t context, struct set_builder **out,
                  VSS_ID *out_set_id, struct error *err)
{
    HRESULT hr = set_start_beside(env, context, out, out_set_id, err);
    if (SUCCEEDED(hr)) { /* under the lock */
        (*out)->is_beside = false;
        hr = journal_check_clean(env->store, err);
    }
    if (FAILED(hr)) {
        set_builder_free(*out);
        *out = NULL;
        *out_set_id = id_null;
    }
    return hr;
}

void set_builder_free(struct set_builder *b)
{
    if (!b) {
        return;
    }
    set_builder_drop_originals(b, 0);
    free(b->originals);
    /* Before EndPrepare a provider holds nothing for a set: the next set id tells it to forget. */
    set_record_free(&b->record);
    for (size_t i = 0; i < b->mount_point_count; i++) {
        free(b->mount_points[i]);
    }
    free((void *)b->mount_points);
    lock_release(b->lock);
    free(b);
}

static HRESULT run_hook(HRESULT (*hook)(void *, struct error *), void *user, struct error *err)
{
    return hook ? hook(user, err) : S_OK;
}

static HRESULT check_cancel(const struct set_builder *b, struct error *err)
{
    if (atomic_load(&b->env->cancelled)) {
        return error_set(err, E_ABORT, "cancelled; nothing was left behind");
    }
    return S_OK;
}

static void set_status(struct set_record *set, int32_t status)
{
    for (size_t i = 0; i < set->snapshot_count; i++) {
        set->snapshots[i].status = status;
    }
}

/* From here on the array may hold something of this set: journal and row say so before it does. */
static HRESULT announce(struct set_builder *b, struct error *err)
{
    struct store *store = b->env->store;
    HRESULT hr = store_begin(store, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = b->is_beside ? S_OK : claim_check_sources(store, &b->record, err);
    if (SUCCEEDED(hr)) {
        hr = journal_open(store, JOURNAL_CREATE, &b->record.set_id, "create a snapshot set",
                          &b->journal_id, err);
    }
    if (SUCCEEDED(hr)) {
        hr = sets_save(store, &b->record, err);
    }
    /* Should this process die, nobody else would know that nobody needs the copies any more. */
    if (SUCCEEDED(hr) && !(b->record.context & VSS_VOLSNAP_ATTR_NO_AUTO_RELEASE)) {
        hr = set_marks_own(store, &b->record.set_id, err);
    }
    hr = store_end(store, hr, err);
    b->is_journaled = SUCCEEDED(hr);
    return hr;
}

static HRESULT check_original(const struct set_builder *b, size_t index, struct error *err)
{
    const struct lun_mapping *m = &b->record.luns[index];
    const struct set_original *was = &b->originals[index];
    struct lun *lun = NULL;
    struct label *now = NULL;
    HRESULT hr = lun_open(was->open_name, &b->env->lun, true, &lun, err);
    if (SUCCEEDED(hr)) {
        hr = lun_read_label(lun, &b->env->lun, &now, err);
    }
    bool is_same = SUCCEEDED(hr) && lun_info_compare(&m->source, &lun->identity.info) == LUN_SAME &&
                   lun->block.block_bytes == m->block_bytes &&
                   lun->block.block_count == m->block_count && label_is_same(was->label, now);
    label_free(now);
    lun_close(lun);
    if (FAILED(hr)) {
        error_prefix(err, "%s, read again for the set", m->source_url);
        return hr;
    }
    return is_same ? S_OK
                   : error_set(err, VSS_E_BAD_STATE,
                               "%s has another size, other partitions or other disk ids than when "
                               "it was added to the set; begin a new set",
                               m->source_url);
}

/* What the record says of the originals was read when they were added. Since then a resync or a
 * change of disk ids may have come and gone; from here on none begins. */
static HRESULT check_originals(struct set_builder *b, struct error *err)
{
    HRESULT hr = S_OK;
    /* What an operation of ours is about to overwrite it keeps others from. */
    for (size_t i = 0; !b->is_beside && i < b->original_count && SUCCEEDED(hr); i++) {
        hr = check_original(b, i, err);
    }
    set_builder_drop_originals(b, 0);
    return hr;
}

static HRESULT journal_intent(struct set_builder *b, const char *step, struct error *err)
{
    return journal_step(b->env->store, &b->journal_id, step, NULL, NULL, 0, err);
}

static HRESULT prepare(struct set_builder *b, struct error *err)
{
    HRESULT hr = announce(b, err);
    if (SUCCEEDED(hr)) {
        hr = set_call(b->provider, VSS_OP_END_PREPARE_SNAPSHOTS, &b->record, NULL, err);
    }
    if (SUCCEEDED(hr)) {
        hr = check_originals(b, err);
    }
    if (SUCCEEDED(hr)) {
        set_status(&b->record, VSS_SS_PREPARED);
        hr = sets_save(b->env->store, &b->record, err);
    }
    /* All of the cut's intent goes to disk here: between freeze and thaw nothing may be written. */
    if (SUCCEEDED(hr)) {
        hr = journal_intent(b, "pre-commit, commit, post-commit", err);
    }
    return hr;
}

/* A hold that took too long, or that the provider does not report where its array needs one, is not
 * a point in time. */
static HRESULT judge_cut(struct set_builder *b, const struct vss_states_out *times,
                         struct error *err)
{
    struct set_record *r = &b->record;
    uint64_t held = times->hold.held_at_us;
    uint64_t released = times->hold.released_at_us;
    bool has_hold = held && released >= held;
    bool has_cut = times->first_cut_us && times->last_cut_us >= times->first_cut_us;
    if (r->lun_count > 1 && !has_cut) {
        return error_set(err, VSS_E_UNEXPECTED_PROVIDER_ERROR,
                         "array %s did not say when it cut the LUNs; a set of %zu LUNs without "
                         "that is no set",
                         provider_array(b->provider), r->lun_count);
    }
    if (r->lun_count > 1 && !has_hold &&
        provider_capabilities(b->provider)->consistent_set != VSS_CAPABILITY_NATIVE) {
        return error_set(err, VSS_E_UNEXPECTED_PROVIDER_ERROR,
                         "array %s does not cut several LUNs at one point in time by itself and "
                         "did not say how long it held them; %zu LUNs cut without that are no set",
                         provider_array(b->provider), r->lun_count);
    }
    r->hold_us = has_hold ? released - held : 0;
    r->cut_us = has_cut ? times->last_cut_us - times->first_cut_us : 0;
    bool cut_is_inside =
        !has_hold || !has_cut || (times->first_cut_us >= held && times->last_cut_us <= released);
    if (!cut_is_inside || r->hold_us > HOLD_LIMIT_US || r->cut_us > HOLD_LIMIT_US) {
        return error_set(err, VSS_E_HOLD_WRITES_TIMEOUT,
                         "array %s: the LUNs were cut outside the hold or the hold took too long "
                         "(cut %llu us, hold %llu us, limit %u us)",
                         provider_array(b->provider), (unsigned long long)r->cut_us,
                         (unsigned long long)r->hold_us, HOLD_LIMIT_US);
    }
    return S_OK;
}

static uint32_t left_ms(const struct set_builder *b)
{
    uint64_t now = clock_monotonic_us();
    uint64_t ms = now < b->thaw_by_us ? (b->thaw_by_us - now) / 1000 : 0;
    return ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
}

/* What the kernel holds back of the filesystems that this host has mounted. One that a writer has
 * frozen has nothing left to write. */
static HRESULT flush(struct set_builder *b, struct error *err)
{
    HRESULT hr = S_OK;
    for (size_t i = 0; i < b->mount_point_count && SUCCEEDED(hr); i++) {
        uint32_t ms = left_ms(b);
        hr = host_flush(b->mount_points[i], ms < FLUSH_LIMIT_MS ? ms : FLUSH_LIMIT_MS, err);
    }
    return hr;
}

/* One call, in what is left of the time until thaw; late is the result where that is over. */
static HRESULT call_frozen(struct set_builder *b, enum vss_provider_op op, HRESULT late,
                           struct vss_states_out *times, struct error *err)
{
    HRESULT hr = S_OK;
    uint32_t ms = left_ms(b);
    if (ms > 0) {
        hr = set_call_within(b->provider, op, &b->record, ms, times, err);
    }
    if (left_ms(b) > 0) {
        return hr;
    }
    if (FAILED(hr)) {
        error_prefix(err, "%u ms from freeze to thaw were over", b->frozen_ms);
        return error_translate(err, late);
    }
    return error_set(err, late, "array %s: %u ms from freeze to thaw were over %s %s",
                     provider_array(b->provider), b->frozen_ms, ms > 0 ? "at the end of" : "before",
                     provider_op_name(op));
}

/* Freeze to thaw. Nothing is written to the registry in here; events wait. */
static HRESULT cut(struct set_builder *b, struct error *err)
{
    struct vss_states_out times = {0};
    struct vss_states_out unused = {0};
    HRESULT hr =
        call_frozen(b, VSS_OP_PRE_COMMIT_SNAPSHOTS, VSS_E_FLUSH_WRITES_TIMEOUT, &unused, err);
    if (SUCCEEDED(hr)) {
        hr = check_cancel(b, err);
    }
    if (SUCCEEDED(hr)) {
        hr = call_frozen(b, VSS_OP_COMMIT_SNAPSHOTS, VSS_E_HOLD_WRITES_TIMEOUT, &times, err);
    }
    if (SUCCEEDED(hr)) {
        hr = judge_cut(b, &times, err);
    }
    int64_t now = clock_filetime();
    for (size_t i = 0; SUCCEEDED(hr) && i < b->record.snapshot_count; i++) {
        b->record.snapshots[i].created = now;
    }
    if (SUCCEEDED(hr)) {
        hr = call_frozen(b, VSS_OP_POST_COMMIT_SNAPSHOTS, VSS_E_HOLD_WRITES_TIMEOUT, &unused, err);
    }
    return hr;
}

static HRESULT read_limit(struct set_builder *b, struct error *err)
{
    uint64_t ms = 0;
    HRESULT hr = config_number(config_find(b->env->config, "writers", ""), "frozen_ms",
                               FROZEN_MIN_MS, FROZEN_MAX_MS, FROZEN_MAX_MS, &ms, err);
    b->frozen_ms = (uint32_t)ms;
    return hr;
}

static HRESULT freeze_and_cut(struct set_builder *b, const struct set_hooks *hooks,
                              struct error *err)
{
    uint64_t limit_us = (uint64_t)b->frozen_ms * 1000;
    b->thaw_by_us = hooks->freeze ? clock_monotonic_us() + limit_us : UINT64_MAX;
    provider_defer_events(b->provider, true);
    HRESULT hr = run_hook(hooks->freeze, hooks->user, err);
    if (SUCCEEDED(hr)) {
        hr = flush(b, err);
    }
    if (SUCCEEDED(hr)) {
        hr = cut(b, err);
    }
    HRESULT thaw_hr = run_hook(hooks->thaw, hooks->user, SUCCEEDED(hr) ? err : NULL);
    provider_defer_events(b->provider, false);
    return FAILED(hr) ? hr : thaw_hr;
}

/* The copies exist: say who they are, and bring them here unless they shall travel. */
static HRESULT finish(struct set_builder *b, const struct set_hooks *hooks, struct error *err)
{
    struct set_record *r = &b->record;
    bool is_transportable = r->context & VSS_VOLSNAP_ATTR_TRANSPORTABLE;
    bool is_torn = false; /* of no account: a copy that is given up needs no label */
    HRESULT hr = set_call_target_luns(b->provider, r, err);
    if (SUCCEEDED(hr)) {
        set_status(r, VSS_SS_POSTCOMMITTED);
        hr = sets_save(b->env->store, r, err);
    }
    if (SUCCEEDED(hr) && !is_transportable) {
        hr = set_import_copies(b->env, b->provider, r, &b->journal_id, &is_torn, err);
        if (hr == VSS_S_SOME_SNAPSHOTS_NOT_IMPORTED || hr == VSS_E_NO_SNAPSHOTS_IMPORTED) {
            hr = error_translate(err, VSS_E_UNEXPECTED_PROVIDER_ERROR); /* a part is no set */
        }
    }
    if (SUCCEEDED(hr)) {
        hr = set_call(b->provider, VSS_OP_PRE_FINAL_COMMIT_SNAPSHOTS, r, NULL, err);
    }
    if (SUCCEEDED(hr)) {
        hr = set_call(b->provider, VSS_OP_POST_FINAL_COMMIT_SNAPSHOTS, r, NULL, err);
    }
    if (SUCCEEDED(hr) && hooks->post_snapshot) {
        hr = hooks->post_snapshot(hooks->user, r, err);
    }
    for (size_t i = 0; SUCCEEDED(hr) && is_transportable && i < r->snapshot_count; i++) {
        r->snapshots[i].attributes |= VSS_VOLSNAP_ATTR_NOT_SURFACED;
    }
    return hr;
}

/* The set is one with the end of its journal entry: both or neither. */
static HRESULT conclude(struct set_builder *b, struct error *err)
{
    set_status(&b->record, VSS_SS_CREATED);
    return sets_save_and_close(b->env->store, &b->record, &b->journal_id, err);
}

/* A provider whose process died in the abort is asked once more, in a new one. */
static HRESULT abort_copies(struct set_builder *b, struct error *err)
{
    HRESULT hr = S_OK;
    for (int tries = 0; tries < 2; tries++) {
        error_clear(err);
        hr = set_call(b->provider, VSS_OP_ABORT_SNAPSHOTS, &b->record, NULL, err);
        if (SUCCEEDED(hr)) {
            break;
        }
    }
    return hr;
}

/* Takes back what the array made. Where that fails the journal entry stays, for `recover` to see.
 */
static void undo(struct set_builder *b, HRESULT why)
{
    struct error err = {0};
    char id[ID_TEXT_BYTES];
    HRESULT hr = abort_copies(b, &err);
    if (SUCCEEDED(hr)) {
        hr = sets_delete_and_close(b->env->store, &b->record.set_id, &b->journal_id, &err);
    }
    struct error event = {0};
    (void)error_set(&event, why, "snapshot set %s failed and %s%s%s",
                    id_text(&b->record.set_id, id),
                    SUCCEEDED(hr) ? "was taken back" : "could not be taken back: ",
                    SUCCEEDED(hr) ? "" : error_text(&err),
                    SUCCEEDED(hr) ? "" : "; see `lunshadow recover --list`");
    log_line(LOG_WARNING, "%s", event.text);
    events_add(b->env->store, LOG_WARNING, why, &b->record.set_id, event.text);
}

static HRESULT commit_volumes(struct set_builder *b, const struct set_hooks *hooks,
                              struct error *err)
{
    HRESULT hr = read_limit(b, err);
    if (SUCCEEDED(hr)) {
        hr = prepare(b, err);
    }
    if (SUCCEEDED(hr)) {
        hr = check_cancel(b, err);
    }
    if (SUCCEEDED(hr)) {
        hr = run_hook(hooks->prepare, hooks->user, err);
    }
    if (SUCCEEDED(hr)) {
        hr = freeze_and_cut(b, hooks, err);
    }
    if (SUCCEEDED(hr)) {
        hr = check_cancel(b, err);
    }
    if (SUCCEEDED(hr)) {
        hr = finish(b, hooks, err);
    }
    if (SUCCEEDED(hr)) {
        hr = conclude(b, err);
    }
    if (FAILED(hr) && b->is_journaled) {
        undo(b, hr);
    }
    return hr;
}

HRESULT set_commit(struct set_builder *b, const struct set_hooks *hooks, struct set_record *out,
                   struct error *err)
{
    static const struct set_hooks no_hooks = {0};
    *out = (struct set_record){0};
    if (b->is_spent) {
        return error_set(err, VSS_E_BAD_STATE, "this snapshot set was committed or given up");
    }
    b->is_spent = true;
    HRESULT hr = S_OK;
    if (b->record.snapshot_count) { /* an empty set is legal and touches nothing */
        hr = commit_volumes(b, hooks ? hooks : &no_hooks, err);
    }
    if (SUCCEEDED(hr)) {
        *out = b->record; /* moved: the copies exist, and nothing may fail any more */
        b->record = (struct set_record){0};
    }
    lock_release(b->lock);
    b->lock = NULL;
    return hr;
}
