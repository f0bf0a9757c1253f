/* SPDX-License-Identifier: Apache-2.0 */
/* The recovery set: what shall go over what. */
#include "common/buffer.h"
#include "common/id.h"
#include "provider/set/call.h"
#include "provider/set/candidate.h"
#include "provider/set/claim.h"
#include "provider/set/import.h"
#include "resync/copy.h"
#include "resync/undo.h"
#include "resync/unfinished.h"

#include <stdlib.h>

HRESULT recovery_new(struct set_environment *env, const struct set_record *set,
                     struct recovery **out, struct error *err)
{
    *out = calloc(1, sizeof(**out));
    if (!*out) {
        return error_set(err, E_OUTOFMEMORY, "out of memory starting a recovery set");
    }
    (*out)->env = env;
    (*out)->set = set;
    (*out)->resync_id = id_new();
    return S_OK;
}

void recovery_set_undo(struct recovery *r, enum recovery_undo undo)
{
    r->undo = undo;
}

void recovery_set_copy(struct recovery *r, const struct copy_wish *wish)
{
    r->wish = *wish;
}

void recovery_free(struct recovery *r)
{
    if (!r) {
        return;
    }
    results_free(r);
    copy_host_free(r);
    for (size_t i = 0; i < r->disk_count; i++) {
        destination_free(&r->disks[i]);
    }
    free(r->disks);
    free(r->members);
    free(r->method);
    free(r->undo_note);
    unfinished_free(r);
    undo_release(r);
    lock_release(r->lock);
    free(r);
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

/* A set that the registry does not know is another host's. */
static HRESULT check_registered(struct recovery *r, struct error *err)
{
    struct set_record known = {0};
    struct error why = {0};
    HRESULT hr = sets_load(r->env->store, &r->set->set_id, &known, &why);
    set_record_free(&known);
    r->is_registered = SUCCEEDED(hr);
    return FAILED(hr) && hr != VSS_E_OBJECT_NOT_FOUND ? error_set(err, hr, "%s", error_text(&why))
                                                      : S_OK;
}

/* The array that has the copies must be here and able to copy them back. */
static HRESULT check_array(struct recovery *r, struct error *err)
{
    if (r->provider) {
        return S_OK;
    }
    struct provider *p = NULL;
    HRESULT hr = set_provider(r->env, r->set, &p, err);
    if (FAILED(hr)) {
        return error_translate(err, VSS_E_OBJECT_NOT_FOUND);
    }
    r->copies_by_host = copy_is_by_host(p);
    if (r->copies_by_host) {
        hr = copy_policy_read(r->env->config, &r->wish, &r->policy, err);
        if (FAILED(hr)) {
            return hr;
        }
    } else if (!provider_has(p, VSS_OP_RESYNC_START)) {
        return error_set(err, VSS_E_LEGACY_PROVIDER,
                         "the provider of array %s (%s %s) cannot copy a shadow copy back",
                         provider_array(p), provider_table(p)->name, provider_table(p)->version);
    } else if (r->wish.has_verify || r->wish.bytes_per_second) {
        return error_set(err, E_INVALIDARG,
                         "array %s copies by itself, and takes neither a rate nor a way to verify: "
                         "ask for none, or leave copying to this host ([copy] in "
                         "lunshadow.conf(5))",
                         provider_array(p));
    }
    hr = check_registered(r, err);
    r->provider = SUCCEEDED(hr) ? p : NULL;
    return hr;
}

static HRESULT find_mapping(const struct recovery *r, const struct snapshot_record *snapshot,
                            size_t extent, const struct lun_mapping **out, struct error *err)
{
    char id[ID_TEXT_BYTES];
    *out = &r->set->luns[snapshot->extents[extent].lun_index];
    if ((*out)->is_empty || !(*out)->copy.version) {
        return error_set(err, VSS_E_OBJECT_NOT_FOUND, "the copy LUN of snapshot %s is gone",
                         id_text(&snapshot->snapshot_id, id));
    }
    return S_OK;
}

/* One copy goes over one destination, and one destination is overwritten by one copy. SIZE_MAX: a
 * new one. */
static HRESULT find_disk(const struct recovery *r, const struct recovery_disk *candidate,
                         size_t *out, struct error *err)
{
    *out = SIZE_MAX;
    for (size_t i = 0; i < r->disk_count; i++) {
        const struct recovery_disk *d = &r->disks[i];
        bool same_copy = d->mapping == candidate->mapping;
        enum lun_match match = lun_info_compare(&d->info, &candidate->info);
        if (same_copy && match == LUN_SAME) {
            *out = i;
            return S_OK;
        }
        if (same_copy || match != LUN_DIFFERENT) {
            return error_set(err, VSS_E_VOLUME_NOT_SUPPORTED,
                             "%s and %s: one copy LUN goes over one destination, and each "
                             "destination gets one copy",
                             d->lun->url, candidate->lun->url);
        }
    }
    return S_OK;
}

static HRESULT append_disk(struct recovery *r, struct recovery_disk *disk, size_t *out,
                           struct error *err)
{
    struct recovery_disk *grown = realloc(r->disks, (r->disk_count + 1) * sizeof(*grown));
    if (!grown) {
        return error_set(err, E_OUTOFMEMORY, "out of memory adding a destination");
    }
    r->disks = grown;
    *out = r->disk_count;
    r->disks[r->disk_count++] = *disk;
    *disk = (struct recovery_disk){0};
    return S_OK;
}

/* Room for one member more: once its disk is in, nothing may fail. */
static HRESULT reserve_member(struct recovery *r, struct error *err)
{
    struct recovery_member *grown = realloc(r->members, (r->member_count + 1) * sizeof(*grown));
    if (!grown) {
        return error_set(err, E_OUTOFMEMORY, "out of memory adding a snapshot");
    }
    r->members = grown;
    return S_OK;
}

/* LVM and RAID volumes have names that only their host knows. */
static bool is_stacked(const struct snapshot_record *snapshot)
{
    return snapshot->original_volume && snapshot->original_volume[0] == '/';
}

static const char *name_of_original(const struct snapshot_record *snapshot,
                                    const struct lun_mapping *mapping)
{
    return is_stacked(snapshot) ? mapping->source_url : snapshot->original_volume;
}

/* LocateLuns makes copies writable, and then they are made read-only again. */
static HRESULT show_claimed(struct recovery *r, struct error *err)
{
    struct set_record set;
    HRESULT hr = sets_load(r->env->store, &r->set->set_id, &set, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = set_is_shown(&set) ? set_locate(r->env, r->provider, &set, err) : VSS_E_OBJECT_NOT_FOUND;
    if (SUCCEEDED(hr)) {
        hr = set_call_state_change(r->provider, &set, VSS_ONLUNSTATECHANGE_NOTIFY_LUN_POST_RECOVERY,
                                   err);
    }
    set_record_free(&set);
    return hr;
}

/* Shows the copies once more that the registry calls imported: an array that was started anew may
 * have forgotten. An import could not do it where this very resync was left unfinished. Nobody may
 * break or delete the set meanwhile: what is made read-only would be a plain LUN by then. */
static HRESULT show_again(struct recovery *r, struct error *err)
{
    VSS_ID entry_id;
    HRESULT hr = claim_open_shown(r->env->store, &r->set->set_id, &entry_id, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = show_claimed(r, err);
    HRESULT close_hr = journal_close(r->env->store, &entry_id, SUCCEEDED(hr) ? err : NULL);
    return FAILED(hr) ? hr : close_hr;
}

/* The copy is there for this host to read. It is found again when that is needed; here only so that
 * it is told before anything is done. */
static HRESULT check_copy(struct recovery *r, const struct lun_mapping *mapping, struct error *err)
{
    char *url = NULL;
    struct error why = {0};
    HRESULT hr = copy_find(r, mapping, &url, err);
    bool is_to_be_shown = hr == VSS_E_OBJECT_NOT_FOUND && !r->env->is_dry_run;
    HRESULT shown = is_to_be_shown ? show_again(r, &why) : E_FAIL;
    if (SUCCEEDED(shown)) {
        error_clear(err);
        hr = copy_find(r, mapping, &url, err);
    } else if (shown == VSS_E_BAD_STATE) { /* nor could it be imported */
        error_clear(err);
        hr = error_set(err, shown, "%s", error_text(&why));
    }
    free(url);
    return hr;
}

/* One LUN of a snapshot. */
static HRESULT add_extent(struct recovery *r, const struct snapshot_record *snapshot, size_t extent,
                          const char *destination, struct error *err)
{
    const struct lun_mapping *mapping = NULL;
    struct recovery_disk disk = {0};
    struct recovery_member member = {
        .snapshot = snapshot, .is_named = destination != NULL, .disk = SIZE_MAX};
    member.is_stacked = is_stacked(snapshot);
    HRESULT hr = find_mapping(r, snapshot, extent, &mapping, err);
    if (SUCCEEDED(hr)) {
        hr = destination_open(r, mapping, destination, &disk, err);
    }
    if (SUCCEEDED(hr) && r->copies_by_host) {
        hr = check_copy(r, mapping, err);
    }
    if (SUCCEEDED(hr)) {
        hr = find_disk(r, &disk, &member.disk, err);
    }
    if (SUCCEEDED(hr)) {
        hr = volume_parse(destination ? destination : name_of_original(snapshot, mapping),
                          &member.destination, err);
    }
    if (SUCCEEDED(hr)) {
        hr = reserve_member(r, err);
    }
    if (SUCCEEDED(hr) && member.disk == SIZE_MAX) {
        hr = append_disk(r, &disk, &member.disk, err);
    }
    if (SUCCEEDED(hr)) {
        r->members[r->member_count++] = member;
    }
    destination_free(&disk);
    return hr;
}

static void drop_members(struct recovery *r, size_t members, size_t disks)
{
    r->member_count = members;
    while (r->disk_count > disks) {
        destination_free(&r->disks[--r->disk_count]);
    }
}

/* All LUNs of a snapshot, or none. */
static HRESULT add_checked(struct recovery *r, const struct snapshot_record *snapshot,
                           const char *destination, struct error *err)
{
    char id[ID_TEXT_BYTES];
    size_t members = r->member_count;
    size_t disks = r->disk_count;
    HRESULT hr = S_OK;
    if (snapshot->extent_count == 0 || (destination && snapshot->extent_count != 1)) {
        return error_set(err, VSS_E_VOLUME_NOT_SUPPORTED,
                         "snapshot %s lies on %zu LUNs; only the originals can be its destination",
                         id_text(&snapshot->snapshot_id, id), snapshot->extent_count);
    }
    for (size_t i = 0; i < snapshot->extent_count && SUCCEEDED(hr); i++) {
        hr = add_extent(r, snapshot, i, destination, err);
    }
    if (FAILED(hr)) {
        drop_members(r, members, disks);
    }
    return hr;
}

HRESULT recovery_add(struct recovery *r, const VSS_ID *snapshot_id, const char *destination,
                     struct error *err)
{
    char id[ID_TEXT_BYTES];
    const struct snapshot_record *snapshot = find_snapshot(r->set, snapshot_id);
    if (!snapshot) {
        return error_set(err, VSS_E_SNAPSHOT_NOT_IN_SET,
                         "snapshot %s is not in the document's snapshot set",
                         id_text(snapshot_id, id));
    }
    for (size_t i = 0; i < r->member_count; i++) {
        if (r->members[i].snapshot == snapshot) {
            return error_set(err, VSS_E_BAD_STATE, "snapshot %s is in the recovery set already",
                             id_text(snapshot_id, id));
        }
    }
    HRESULT hr = check_array(r, err);
    if (SUCCEEDED(hr) && !r->lock) {
        hr = lock_take(LOCK_RESYNC, &r->lock, err);
    }
    char *address = NULL;
    if (SUCCEEDED(hr) && destination) {
        hr = candidate_address(r->env, destination, &address, err);
    }
    if (SUCCEEDED(hr)) {
        hr = add_checked(r, snapshot, address, err);
    }
    free(address);
    if (FAILED(hr) && r->member_count == 0) {
        lock_release(r->lock);
        r->lock = NULL;
    }
    return hr;
}

const struct recovery_member_result *recovery_results(const struct recovery *r, size_t *out_count)
{
    *out_count = r->results ? r->member_count : 0;
    return r->results;
}
