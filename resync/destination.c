/* SPDX-License-Identifier: Apache-2.0 */
/* The destination of a resync: found, checked, and found again. */
#include "common/buffer.h"
#include "common/id.h"
#include "common/log.h"
#include "lun/host/in_use.h"
#include "provider/set/call.h"
#include "provider/set/visible.h"
#include "resync/internal.h"

#include <stdlib.h>
#include <string.h>

void destination_free(struct recovery_disk *disk)
{
    free(disk->fence_keys);
    edges_free(disk->edges);
    free(disk->ids_note);
    disk_ids_free(&disk->wanted);
    disk_ids_free(&disk->before);
    label_free(disk->label);
    lun_info_free(&disk->info);
    lun_close(disk->lun);
    free(disk->open_name);
    *disk = (struct recovery_disk){0};
}

/* Where the original is now: where it was, if it still is that LUN; else wherever a portal shows
 * it. */
static HRESULT find_original(struct recovery *r, const struct lun_mapping *m, char **out,
                             struct error *err)
{
    struct lun *lun = NULL;
    HRESULT hr = lun_open(m->source_url, &r->env->lun, true, &lun, NULL);
    bool is_there = SUCCEEDED(hr) && lun_info_compare(&m->source, &lun->identity.info) == LUN_SAME;
    lun_close(lun);
    if (is_there) {
        *out = text_copy(m->source_url);
        return *out ? S_OK : error_set(err, E_OUTOFMEMORY, "out of memory finding an original");
    }
    struct visible visible;
    hr = visible_scan(r->env, NULL, &visible, err);
    if (FAILED(hr)) {
        return hr;
    }
    const struct scan_lun *ambiguous = NULL;
    const struct scan_lun *found = visible_find(&visible, &m->source, &ambiguous);
    char key[LUN_KEY_BYTES];
    (void)lun_info_key(&m->source, key);
    if (ambiguous) {
        hr = error_set(err, VSS_E_VOLUME_NOT_SUPPORTED,
                       "%s contradicts the identity of the original %s (%s); name the "
                       "destination yourself",
                       ambiguous->url, m->source_url, key);
    } else if (!found) {
        hr = error_set(err, VSS_E_OBJECT_NOT_FOUND,
                       "the original %s (%s) is neither where it was nor on a configured portal%s",
                       m->source_url, key,
                       visible.all_answered ? "" : ", of which one does not answer");
    } else {
        *out = text_copy(found->url);
        hr = *out ? S_OK : E_OUTOFMEMORY;
    }
    visible_free(&visible);
    return hr;
}

static HRESULT check_provider(struct recovery *r, const struct recovery_disk *disk,
                              struct error *err)
{
    struct vss_lun_info info = {0};
    bool is_mine = false;
    HRESULT hr = lun_info_copy(&disk->lun->identity.info, &info);
    if (SUCCEEDED(hr)) {
        hr = set_call_fill_in(r->provider, disk->lun->url, &info, &is_mine, err);
    }
    lun_info_free(&info);
    if (SUCCEEDED(hr) && !is_mine) {
        hr = error_set(err, VSS_E_VOLUME_NOT_SUPPORTED,
                       "%s (%s) is not a LUN of array %s, which would have to copy to it",
                       disk->lun->url, disk->key, provider_array(r->provider));
    }
    return hr;
}

static HRESULT check_is_not_of(const struct set_record *set, const struct recovery_disk *disk,
                               struct error *err)
{
    char id[ID_TEXT_BYTES];
    for (size_t i = 0; i < set->lun_count; i++) {
        const struct lun_mapping *m = &set->luns[i];
        if (!m->is_empty && m->copy.version &&
            lun_info_compare(&m->copy, &disk->lun->identity.info) != LUN_DIFFERENT) {
            return error_set(err, VSS_E_VOLUME_NOT_SUPPORTED,
                             "%s is a shadow copy of set %s; it cannot be a destination",
                             disk->lun->url, id_text(&set->set_id, id));
        }
    }
    return S_OK;
}

static HRESULT check_is_no_copy(const struct recovery *r, const struct recovery_disk *disk,
                                struct error *err)
{
    struct set_record *sets = NULL;
    size_t count = 0;
    HRESULT hr = check_is_not_of(r->set, disk, err); /* perhaps another host's */
    if (SUCCEEDED(hr)) {
        hr = sets_load_all(r->env->store, &sets, &count, err);
    }
    for (size_t i = 0; i < count && SUCCEEDED(hr); i++) {
        hr = check_is_not_of(&sets[i], disk, err);
    }
    sets_free_all(sets, count);
    return hr;
}

static HRESULT check_geometry(const struct recovery *r, const struct recovery_disk *disk,
                              struct error *err)
{
    const struct block_device *b = &disk->lun->block;
    const struct lun_mapping *m = disk->mapping;
    if (b->block_bytes != m->block_bytes) {
        return error_set(err, VSS_E_VOLUME_NOT_SUPPORTED,
                         "%s has blocks of %u bytes, the shadow copy of %s has %llu",
                         disk->lun->url, b->block_bytes, m->source_url,
                         (unsigned long long)m->block_bytes);
    }
    if (b->block_count < m->block_count) {
        return error_set(err, VSS_E_VOLUME_NOT_SUPPORTED,
                         "%s is smaller (%llu blocks) than the shadow copy of %s (%llu)",
                         disk->lun->url, (unsigned long long)b->block_count, m->source_url,
                         (unsigned long long)m->block_count);
    }
    if (r->copies_by_host && b->block_count > m->block_count) {
        return error_set(err, VSS_E_VOLUME_NOT_SUPPORTED,
                         "%s is larger (%llu blocks) than the shadow copy of %s (%llu): the array "
                         "leaves copying to this host, which makes no LUN larger; name one of the "
                         "same size",
                         disk->lun->url, (unsigned long long)b->block_count, m->source_url,
                         (unsigned long long)m->block_count);
    }
    return S_OK;
}

static HRESULT check_destination(struct recovery *r, struct recovery_disk *disk, struct error *err)
{
    const char *reason = NULL;
    if (!lun_info_is_unique(&disk->lun->identity.info, &reason)) {
        return error_set(err, VSS_E_VOLUME_NOT_SUPPORTED,
                         "%s has no page-83 identity that is its alone (%s): it could not be "
                         "found again after a resync; give it one on the array",
                         disk->lun->url, reason);
    }
    HRESULT hr = check_is_no_copy(r, disk, err);
    if (SUCCEEDED(hr)) {
        hr = check_geometry(r, disk, err);
    }
    if (SUCCEEDED(hr)) {
        hr = check_provider(r, disk, err);
    }
    return hr;
}

/* A destination is there to be overwritten, so a damaged label stops nothing. */
static HRESULT judge_label(const struct recovery_disk *disk, HRESULT hr, const struct error *why,
                           struct error *err)
{
    if (hr == VSS_E_VOLUME_NOT_SUPPORTED) {
        log_line(LOG_WARNING, "%s: its label cannot be read: %s", disk->lun->url, error_text(why));
        return S_OK;
    }
    return FAILED(hr) ? error_set(err, hr, "%s", error_text(why)) : S_OK;
}

/* *out is NULL where it is damaged. */
static HRESULT read_label(struct recovery_disk *disk, struct label **out, struct error *err)
{
    struct error why = {0};
    HRESULT hr = label_read(&disk->lun->block, LABEL_FULL, out, &why);
    return judge_label(disk, hr, &why, err);
}

/* The first time: nothing depends on its session yet. */
static HRESULT read_first_label(struct recovery *r, struct recovery_disk *disk, struct error *err)
{
    struct error why = {0};
    HRESULT hr = lun_read_label(disk->lun, &r->env->lun, &disk->label, &why);
    return judge_label(disk, hr, &why, err);
}

/* The ids of disk->label; where there is none, those that were remembered. */
static HRESULT take_ids(struct recovery *r, struct recovery_disk *disk, struct error *err)
{
    disk_ids_free(&disk->before);
    if (disk->label && disk->label->has_dynamic_disk) {
        return error_set(err, VSS_E_VOLUME_NOT_SUPPORTED,
                         "%s is a dynamic (LDM) disk, which cannot be a resync destination",
                         disk->lun->url);
    }
    if (disk->label && disk->label->kind != VSS_DISK_LABEL_NONE) {
        disk->before_origin = IDS_READ;
        HRESULT hr = label_ids(disk->label, &disk->before);
        return SUCCEEDED(hr) ? disk_ids_remember(r->env->store, disk->key, &disk->before,
                                                 "read before a resync", err)
                             : error_set(err, hr, "out of memory reading disk ids");
    }
    HRESULT hr = disk_ids_recall(r->env->store, disk->key, &disk->before, &disk->before_when, err);
    disk->before_origin =
        hr == S_OK && disk->before.kind != VSS_DISK_LABEL_NONE ? IDS_REMEMBERED : IDS_UNKNOWN;
    return FAILED(hr) ? hr : S_OK;
}

HRESULT destination_open(struct recovery *r, const struct lun_mapping *mapping,
                         const char *destination, struct recovery_disk *out, struct error *err)
{
    *out = (struct recovery_disk){.mapping = mapping};
    HRESULT hr = S_OK;
    if (destination) {
        out->open_name = strndup(destination, strcspn(destination, "#"));
        hr = out->open_name ? S_OK : error_set(err, E_OUTOFMEMORY, "out of memory");
    } else {
        hr = find_original(r, mapping, &out->open_name, err);
    }
    if (SUCCEEDED(hr)) {
        hr = lun_open(out->open_name, &r->env->lun, false, &out->lun, err);
    }
    if (SUCCEEDED(hr)) {
        (void)lun_info_key(&out->lun->identity.info, out->key);
        hr = check_destination(r, out, err);
    }
    if (SUCCEEDED(hr)) {
        hr = lun_info_copy(&out->lun->identity.info, &out->info);
    }
    if (SUCCEEDED(hr)) {
        hr = read_first_label(r, out, err);
    }
    if (SUCCEEDED(hr)) {
        hr = take_ids(r, out, err);
    }
    if (FAILED(hr)) {
        destination_free(out);
    }
    return hr;
}

static HRESULT check_same(const struct recovery_disk *disk, struct error *err)
{
    char found[LUN_KEY_BYTES];
    if (lun_info_compare(&disk->info, &disk->lun->identity.info) != LUN_SAME) {
        return error_set(err, VSS_E_PROVIDER_VETO,
                         "%s is %s by now, not %s; nothing more is written to it", disk->lun->url,
                         lun_info_key(&disk->lun->identity.info, found), disk->key);
    }
    return S_OK;
}

HRESULT destination_reopen(struct recovery *r, struct recovery_disk *disk, struct error *err)
{
    lun_close(disk->lun);
    disk->lun = NULL;
    disk->is_fenced = false; /* a registration belongs to the session that made it */
    HRESULT hr = lun_open(disk->open_name, &r->env->lun, false, &disk->lun, err);
    return FAILED(hr) ? hr : check_same(disk, err);
}

HRESULT destination_check_identity(struct recovery_disk *disk, struct error *err)
{
    HRESULT hr = lun_identify(disk->lun, err);
    return FAILED(hr) ? hr : check_same(disk, err);
}

HRESULT destination_regain(struct recovery *r, struct recovery_disk *disk, struct error *err)
{
    struct error why = {0};
    HRESULT hr = disk->lun ? destination_check_identity(disk, &why) : VSS_E_OBJECT_NOT_FOUND;
    if (SUCCEEDED(hr)) {
        hr = fence_check(disk, &why);
    }
    if (SUCCEEDED(hr)) {
        return hr;
    }
    if (hr == VSS_E_PROVIDER_VETO) {
        return error_set(err, hr, "%s", error_text(&why));
    }
    /* An array may take hours, and its targets close a session that answers nothing meanwhile. */
    log_line(LOG_WARNING, "%s: its session is lost; opening it anew", disk->key);
    hr = destination_reopen(r, disk, err);
    return SUCCEEDED(hr) ? fence_restore(r, disk, err) : hr;
}

HRESULT destination_check_guarded(struct recovery *r, struct recovery_disk *disk, struct error *err)
{
    HRESULT hr = destination_regain(r, disk, err);
    return hr == S_FALSE
               ? error_set(err, VSS_E_PROVIDER_VETO,
                           "%s lost its persistent reservation, so others may have written to it; "
                           "keep them away, then run the same resync again",
                           disk->lun->url)
               : hr;
}

HRESULT destination_refresh_label(struct recovery *r, struct recovery_disk *disk, struct error *err)
{
    struct label *now = NULL;
    HRESULT hr = read_label(disk, &now, err);
    if (FAILED(hr)) {
        return hr;
    }
    if (label_is_same(disk->label, now)) {
        label_free(now);
        return S_OK;
    }
    label_free(disk->label);
    disk->label = now;
    hr = take_ids(r, disk, err);
    return FAILED(hr) ? hr : S_FALSE;
}

HRESULT destination_check_unmounted(const struct recovery_disk *disk, struct error *err)
{
    static const struct host_roots roots = HOST_ROOTS_INIT;
    struct host_use use;
    HRESULT hr = host_lun_in_use(&roots, &disk->info, &use, err);
    if (hr == S_OK) {
        hr = error_set(err, VSS_E_PROVIDER_VETO,
                       "%s is %s; unmount it, or end the swapping, and close what shows it",
                       disk->lun->url, use.text);
    }
    host_use_free(&use);
    return FAILED(hr) ? hr : S_OK;
}

static bool is_selected(const struct recovery *r, size_t disk, uint32_t partition)
{
    for (size_t i = 0; i < r->member_count; i++) {
        const struct recovery_member *m = &r->members[i];
        if (m->disk == disk &&
            (m->destination.partition == partition || m->destination.partition == 0)) {
            return true;
        }
    }
    return false;
}

/* An extended partition holds volumes but is none. */
static bool is_container(const struct label *label, const struct label_partition *p)
{
    return label->kind == VSS_DISK_LABEL_MBR &&
           (p->mbr_type == 0x05 || p->mbr_type == 0x0f || p->mbr_type == 0x85);
}

HRESULT destination_check_volumes(const struct recovery *r, size_t disk, struct error *err)
{
    const struct recovery_disk *d = &r->disks[disk];
    /* Partition 0, the whole LUN, accounts for whatever is on it; so does an earlier resync. */
    if (!d->label && !d->was_invalid && !is_selected(r, disk, 0)) {
        return error_set(err, VSS_E_UNSELECTED_VOLUME,
                         "%s: its label cannot be read, so what else would be overwritten is not "
                         "known; repair it, or say that it may go (NO_VOLUME_CHECK)",
                         d->lun->url);
    }
    for (size_t i = 0; i < r->member_count; i++) {
        const struct recovery_member *m = &r->members[i];
        if (m->disk == disk && m->is_stacked) {
            return error_set(err, VSS_E_UNSELECTED_VOLUME,
                             "%s was copied as %s: what else its volume manager has on that LUN "
                             "would be overwritten too; say that it may go (NO_VOLUME_CHECK)",
                             d->lun->url, m->snapshot->original_volume);
        }
    }
    if (!d->label || d->label->kind == VSS_DISK_LABEL_NONE) {
        return S_OK;
    }
    for (size_t i = 0; i < d->label->partition_count; i++) {
        const struct label_partition *p = &d->label->partitions[i];
        if (!is_container(d->label, p) && !is_selected(r, disk, p->number)) {
            return error_set(err, VSS_E_UNSELECTED_VOLUME,
                             "%s#%u would be overwritten too, but is not in the recovery set; add "
                             "its snapshot, or say that it may go (NO_VOLUME_CHECK)",
                             d->lun->url, p->number);
        }
    }
    return S_OK;
}
