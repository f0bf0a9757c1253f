/* SPDX-License-Identifier: Apache-2.0 */

/* A volume as its shadow copy has it: RevertToSnapshot is a resync of the volume's LUN, in a thread
 * with an environment of its own; what became of it is asked of the registry, by whoever wants to
 * know, in whatever process. */
#include "requester/session.h"

#include "common/clock.h"
#include "common/id.h"
#include "lun/host/filesystem.h"
#include "lun/host/in_use.h"
#include "provider/set/call.h"
#include "provider/set/candidate.h"
#include "registry/recoveries.h"

#include <stdlib.h>
#include <string.h>

#define POLL_MS   100u
#define RESULT_MS 5000u /* between the end of a resync's entry and that of its row */

/* A revert that this session began. Belongs to its thread until that ended. */
struct revert {
    VSS_ID resync_id; /* null until its entry was seen; the caller's, not the thread's */
    struct set_environment *env;
    struct set_record set;
    struct recovery *recovery;
    struct vss_async *async;
};

/* ---- entries ----------------------------------------------------------------------------------
 */

static bool is_about(const struct journal_entry *entry, const char *lun_key)
{
    for (size_t i = 0; i < entry->step_count && entry->operation == JOURNAL_RESYNC; i++) {
        const char *key = entry->steps[i].lun_key;
        if (key && strcmp(key, lun_key) == 0) {
            return true;
        }
    }
    return false;
}

/* The entry of a resync onto the LUN: of the one that is asked for (only_id), or the newest where
 * that is null; an older one is that of a resync which failed, and which this one takes over. S_OK,
 * and S_FALSE where there is none. */
static HRESULT find_entry(struct store *store, const char *lun_key, const VSS_ID *only_id,
                          VSS_ID *out_resync_id, bool *out_is_dead, struct error *err)
{
    struct journal_entry *entries = NULL;
    size_t count = 0;
    HRESULT hr = journal_load_open(store, false, &entries, &count, err);
    bool is_found = false;
    for (size_t i = count; i-- > 0 && !is_found;) {
        is_found = is_about(&entries[i], lun_key) &&
                   (id_is_null(only_id) || id_equal(&entries[i].object_id, only_id));
        if (is_found) {
            *out_resync_id = entries[i].object_id;
            *out_is_dead = entries[i].is_dead;
        }
    }
    journal_free_all(entries, count);
    return FAILED(hr) ? hr : is_found ? S_OK : S_FALSE;
}

/* How it ended; VSS_S_ASYNC_PENDING where it has no row that says so yet. */
static HRESULT load_result(struct store *store, const VSS_ID *resync_id, HRESULT *out,
                           struct error *err)
{
    struct recovery_record *all = NULL;
    size_t count = 0;
    *out = VSS_S_ASYNC_PENDING;
    HRESULT hr = recoveries_load_all(store, &all, &count, err);
    for (size_t i = 0; i < count; i++) {
        if (id_equal(&all[i].resync_id, resync_id)) {
            *out = all[i].result;
        }
    }
    recoveries_free_all(all, count);
    return hr;
}

/* ---- beginning ------------------------------------------------------------------------------- */

static void revert_free(struct revert *revert)
{
    if (!revert) {
        return;
    }
    async_detach(revert->async);
    vss_async_release(revert->async);
    recovery_free(revert->recovery);
    set_record_free(&revert->set);
    set_environment_close(revert->env);
    free(revert);
}

void session_end_revert(struct vss_backup_components *session)
{
    revert_free(session->revert);
    session->revert = NULL;
}

static const struct snapshot_record *find_snapshot(const struct set_record *set, const VSS_ID *id)
{
    for (size_t i = 0; i < set->snapshot_count; i++) {
        if (id_equal(&set->snapshots[i].snapshot_id, id)) {
            return &set->snapshots[i];
        }
    }
    return NULL;
}

static HRESULT check_copy(const struct revert *revert, const VSS_ID *snapshot_id, struct error *err)
{
    char id[ID_TEXT_BYTES];
    struct provider *provider = NULL;
    const struct snapshot_record *snapshot = find_snapshot(&revert->set, snapshot_id);
    (void)id_text(snapshot_id, id);
    if (!snapshot || snapshot->status != VSS_SS_CREATED) {
        return error_set(err, VSS_E_OBJECT_NOT_FOUND, "shadow copy %s is not complete", id);
    }
    if (!(snapshot->attributes & VSS_VOLSNAP_ATTR_PERSISTENT)) {
        return error_set(
            err, VSS_E_UNSUPPORTED_CONTEXT,
            "shadow copy %s is not persistent; only persistent ones can be reverted to", id);
    }
    HRESULT hr = set_provider(revert->env, &revert->set, &provider, err);
    return FAILED(hr) ? error_translate(err, VSS_E_PROVIDER_NOT_REGISTERED) : S_OK;
}

/* In use here it would be written over from what the kernel remembers. Force unmounts what this
 * process has mounted, and takes nothing away from a program that has files open. */
static HRESULT lock_volume(const struct revert *revert, const VSS_ID *snapshot_id,
                           bool force_dismount, struct error *err)
{
    static const struct host_roots roots = HOST_ROOTS_INIT;
    const struct snapshot_record *snapshot = find_snapshot(&revert->set, snapshot_id);
    const struct lun_mapping *m = &revert->set.luns[snapshot->extents[0].lun_index];
    struct host_use use;
    HRESULT hr = host_lun_in_use(&roots, &m->source, &use, err);
    while (hr == S_OK && force_dismount && use.mount_point) {
        hr = filesystem_unmount(use.mount_point, err);
        host_use_free(&use);
        if (FAILED(hr)) {
            return error_translate(err, VSS_E_VOLUME_IN_USE);
        }
        hr = host_lun_in_use(&roots, &m->source, &use, err);
    }
    if (hr == S_OK) {
        hr = error_set(
            err, VSS_E_VOLUME_IN_USE, "%s is %s; %s", snapshot->original_volume, use.text,
            use.mount_point
                ? "unmount it, or force it"
                : "unmount it there, or end the swapping; that cannot be forced from here");
    }
    host_use_free(&use);
    return FAILED(hr) ? hr : S_OK;
}

/* What a resync says, as RevertToSnapshot does. */
static HRESULT translate(HRESULT hr, struct error *err)
{
    switch (hr) {
    case VSS_E_LEGACY_PROVIDER:
        return error_translate(err, E_NOTIMPL);
    case VSS_E_RESYNC_IN_PROGRESS:
        return error_translate(err, VSS_E_REVERT_IN_PROGRESS);
    case VSS_E_UNSELECTED_VOLUME:
        return error_translate(err, VSS_E_VOLUME_NOT_SUPPORTED);
    default:
        return hr;
    }
}

static HRESULT run_revert(void *user, struct error *err)
{
    const struct revert *revert = user;
    return recovery_run(revert->recovery, 0, err);
}

static HRESULT finish_revert(void *user, HRESULT hr, struct error *err)
{
    (void)user;
    (void)err;
    return hr;
}

static HRESULT start_revert(struct revert *revert, struct error *err)
{
    struct set_environment *env = revert->env;
    struct async_job job = {revert,
                            run_revert,
                            finish_revert,
                            &env->cancelled,
                            &env->progress_done,
                            &env->progress_total,
                            store_path(env->store)};
    return async_start(&job, &revert->async, err);
}

/* Until whoever asks can see it: its entry, which is not the earlier one, is in the journal, or it
 * ended before. It is under way, so that a look that fails is no failure of it. */
static HRESULT wait_for_entry(struct vss_backup_components *session, struct revert *revert,
                              const char *lun_key, const VSS_ID *earlier_id)
{
    HRESULT status = VSS_S_ASYNC_PENDING;
    bool is_seen = false;
    while (!is_seen && status == VSS_S_ASYNC_PENDING) {
        VSS_ID resync_id = id_null;
        bool is_dead = false;
        (void)vss_async_wait(revert->async, POLL_MS / 10);
        (void)vss_async_query_status(revert->async, &status);
        is_seen = find_entry(session->env->store, lun_key, &id_null, &resync_id, &is_dead, NULL) ==
                      S_OK &&
                  !id_equal(&resync_id, earlier_id);
        revert->resync_id = is_seen ? resync_id : id_null;
    }
    return FAILED(status) ? error_set(&session->err, translate(status, NULL), "%s",
                                      vss_async_error_text(revert->async))
                          : S_OK;
}

static void original_key(const struct revert *revert, const VSS_ID *snapshot_id,
                         char out[LUN_KEY_BYTES])
{
    const struct snapshot_record *snapshot = find_snapshot(&revert->set, snapshot_id);
    (void)lun_info_key(&revert->set.luns[snapshot->extents[0].lun_index].source, out);
}

static HRESULT prepare(struct revert *revert, const struct copy_wish *copy,
                       const VSS_ID *snapshot_id, bool force_dismount, struct error *err)
{
    HRESULT hr = sets_find_by_snapshot(revert->env->store, snapshot_id, &revert->set, err);
    if (SUCCEEDED(hr)) {
        hr = check_copy(revert, snapshot_id, err);
    }
    if (SUCCEEDED(hr)) {
        hr = recovery_new(revert->env, &revert->set, &revert->recovery, err);
    }
    if (SUCCEEDED(hr)) {
        recovery_set_copy(revert->recovery, copy);
        hr = recovery_add(revert->recovery, snapshot_id, NULL, err);
    }
    if (SUCCEEDED(hr)) { /* before anything is unmounted */
        hr = recovery_check_but_mounts(revert->recovery, 0, err);
    }
    if (SUCCEEDED(hr)) {
        hr = recovery_check_claims(revert->recovery, err);
    }
    if (SUCCEEDED(hr)) {
        hr = lock_volume(revert, snapshot_id, force_dismount, err);
    }
    if (SUCCEEDED(hr)) {
        hr = recovery_check(revert->recovery, 0, err);
    }
    return translate(hr, err);
}

static HRESULT begin_revert(struct vss_backup_components *session, const VSS_ID *snapshot_id,
                            bool force_dismount)
{
    struct error *err = &session->err;
    const char *config = session->env->config->path;
    char key[LUN_KEY_BYTES];
    VSS_ID earlier_id = id_null;
    bool is_dead = false;
    struct revert *revert = calloc(1, sizeof(*revert));
    if (!revert) {
        return error_set(err, E_OUTOFMEMORY, "out of memory reverting a volume");
    }
    HRESULT hr = set_environment_open(config[0] ? config : NULL, store_path(session->env->store),
                                      &revert->env, err);
    if (SUCCEEDED(hr)) {
        hr = prepare(revert, &session->copy, snapshot_id, force_dismount, err);
    }
    if (SUCCEEDED(hr)) {
        original_key(revert, snapshot_id, key);
        hr = find_entry(session->env->store, key, &id_null, &earlier_id, &is_dead, err);
    }
    if (SUCCEEDED(hr)) {
        hr = start_revert(revert, err);
    }
    if (FAILED(hr)) {
        revert_free(revert);
        return hr;
    }
    session->revert = revert;
    return wait_for_entry(session, revert, key, &earlier_id);
}

/* One whose row says how it ended has ended, whatever its thread has still to put away. */
static bool goes_on(struct vss_backup_components *session)
{
    HRESULT status = S_OK;
    HRESULT result = VSS_S_ASYNC_PENDING;
    struct revert *revert = session->revert;
    (void)vss_async_query_status(revert->async, &status);
    if (status != VSS_S_ASYNC_PENDING) {
        return false;
    }
    (void)load_result(session->env->store, &revert->resync_id, &result, NULL);
    if (result != VSS_S_ASYNC_PENDING) {
        (void)vss_async_wait(revert->async, VSS_INFINITE);
    }
    return result == VSS_S_ASYNC_PENDING;
}

HRESULT vss_backup_components_revert_to_snapshot(struct vss_backup_components *session,
                                                 const VSS_ID *snapshot_id, bool force_dismount)
{
    HRESULT hr = session_begin(session, METHOD_REVERT_TO_SNAPSHOT);
    if (FAILED(hr)) {
        return hr;
    }
    if (!snapshot_id) {
        hr = session_null_argument(session, "snapshot_id");
    } else if (session->revert && goes_on(session)) {
        hr = error_set(&session->err, VSS_E_REVERT_IN_PROGRESS,
                       "this session reverts a volume already; ask QueryRevertStatus");
    } else {
        session_end_revert(session);
        hr = begin_revert(session, snapshot_id, force_dismount);
    }
    return session_end(session, METHOD_REVERT_TO_SNAPSHOT, hr);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static HRESULT tell_result(HRESULT result, struct error *err)
{
    return FAILED(result)
               ? error_set(err, E_FAIL, "the revert failed (%s); `lunshadow events` says why",
                           vss_error_name(result))
               : S_OK;
}

/* Its entry is closed, and its row is written right after that. */
static HRESULT wait_for_result(struct store *store, const VSS_ID *resync_id, struct error *err)
{
    HRESULT result = VSS_S_ASYNC_PENDING;
    uint64_t deadline = clock_monotonic_us() + (uint64_t)RESULT_MS * 1000;
    HRESULT hr = load_result(store, resync_id, &result, err);
    while (SUCCEEDED(hr) && result == VSS_S_ASYNC_PENDING && clock_monotonic_us() < deadline) {
        clock_sleep_ms(POLL_MS / 10);
        hr = load_result(store, resync_id, &result, err);
    }
    if (SUCCEEDED(hr) && result == VSS_S_ASYNC_PENDING) {
        return error_set(err, E_FAIL,
                         "the revert ended, and the registry does not say how; `lunshadow events` "
                         "may know");
    }
    return SUCCEEDED(hr) ? tell_result(result, err) : hr;
}

/* One look at the revert, the first one that was seen: S_FALSE while it goes on. One that failed
 * past its wipe has ended, though its entry stays open for as long as its destination is not whole.
 */
static HRESULT look(struct vss_backup_components *session, VSS_ID *resync_id, struct error *err)
{
    struct store *store = session->env->store;
    HRESULT result = VSS_S_ASYNC_PENDING;
    bool is_dead = false;
    const VSS_ID seen = *resync_id;
    HRESULT hr = find_entry(store, session->argument_key, &seen, resync_id, &is_dead, err);
    if (hr == S_FALSE) { /* it ended, or there was none */
        return id_is_null(resync_id) ? S_OK : wait_for_result(store, resync_id, err);
    }
    if (SUCCEEDED(hr) && is_dead) {
        return error_set(err, E_FAIL,
                         "the process that reverted the volume is gone; `lunshadow recover --list` "
                         "says what can be done");
    }
    if (SUCCEEDED(hr)) {
        hr = load_result(store, resync_id, &result, err);
    }
    if (FAILED(hr)) {
        return hr;
    }
    return result == VSS_S_ASYNC_PENDING ? S_FALSE : tell_result(result, err);
}

/* A revert cannot be cancelled; watching it can. */
static HRESULT watch(struct vss_backup_components *session, struct error *err)
{
    VSS_ID resync_id = session->argument_id;
    HRESULT hr = look(session, &resync_id, err);
    while (hr == S_FALSE) {
        if (atomic_load(&session->env->cancelled)) {
            return error_set(err, E_ABORT, "the revert goes on, and nobody watches it any more");
        }
        clock_sleep_ms(POLL_MS);
        hr = look(session, &resync_id, err);
    }
    return hr;
}

/* While a revert runs, or has left the volume unfinished, there is no label to say which partitions
 * there are. */
static HRESULT check_partition(struct vss_backup_components *session, struct candidate *c,
                               struct error *err)
{
    struct store *store = session->env->store;
    struct error why = {0};
    VSS_ID id = id_null;
    bool is_dead = false;
    HRESULT hr = find_entry(store, c->luns[0].key, &id_null, &id, &is_dead, err);
    if (hr != S_FALSE) {
        return hr;
    }
    hr = candidate_read(session->env, c, &why);
    if (FAILED(hr) && find_entry(store, c->luns[0].key, &id_null, &id, &is_dead, NULL) == S_OK) {
        return S_OK; /* it began meanwhile */
    }
    return FAILED(hr) ? error_set(err, hr, "%s", error_text(&why)) : hr;
}

static HRESULT find_volume(struct vss_backup_components *session, const char *volume)
{
    struct candidate c = {0};
    struct provider *owner = NULL;
    struct error *err = &session->err;
    HRESULT hr = candidate_identify(session->env, volume, &c, err);
    if (SUCCEEDED(hr) && c.lun_count != 1) {
        hr = error_set(err, VSS_E_VOLUME_NOT_SUPPORTED,
                       "%s lies on %zu LUNs; volumes of one can be reverted", c.text, c.lun_count);
    }
    if (SUCCEEDED(hr)) {
        hr = check_partition(session, &c, err);
    }
    if (SUCCEEDED(hr)) {
        hr = candidate_owner(session->env, &c, &owner, err);
    }
    if (SUCCEEDED(hr) && !owner) {
        hr = error_set(err, VSS_E_VOLUME_NOT_SUPPORTED, "%s is no configured array's", c.text);
    }
    if (SUCCEEDED(hr) && !provider_has(owner, VSS_OP_RESYNC_START)) {
        hr = error_set(err, E_NOTIMPL, "the provider of array %s cannot copy a shadow copy back",
                       provider_array(owner));
    }
    if (SUCCEEDED(hr)) {
        memcpy(session->argument_key, c.luns[0].key, sizeof(session->argument_key));
    }
    candidate_free(&c);
    return hr;
}

/* Seen before the caller goes on: one that ends before its watching begins would pass for none. */
static HRESULT see_revert(struct vss_backup_components *session)
{
    bool is_dead = false;
    session->argument_id = id_null;
    return find_entry(session->env->store, session->argument_key, &id_null, &session->argument_id,
                      &is_dead, &session->err);
}

HRESULT vss_backup_components_query_revert_status(struct vss_backup_components *session,
                                                  const char *volume, struct vss_async **out)
{
    if (out) {
        *out = NULL;
    }
    HRESULT hr = session_begin(session, METHOD_QUERY_REVERT_STATUS);
    if (FAILED(hr)) {
        return hr;
    }
    if (!volume || !out) {
        (void)error_set(&session->err, E_POINTER, "%s is NULL", volume ? "out" : "volume");
        return session_end(session, METHOD_QUERY_REVERT_STATUS, E_POINTER);
    }
    hr = find_volume(session, volume);
    if (SUCCEEDED(hr)) {
        hr = see_revert(session);
    }
    return SUCCEEDED(hr) ? session_run(session, METHOD_QUERY_REVERT_STATUS, watch, out)
                         : session_end(session, METHOD_QUERY_REVERT_STATUS, hr);
}
