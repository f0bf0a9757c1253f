/* SPDX-License-Identifier: Apache-2.0 */
#include "resync/collisions.h"

#include "common/id.h"
#include "common/log.h"
#include "lun/host/disks.h"
#include "provider/set/visible.h"

#include <stdio.h>

#define ID_NAME_BYTES 64

/* The ids of a disk that others must not have, one by one: 0 is the disk's own, then its
 * partitions'. False past the last; null ids are nobody's. */
static bool get_id(const struct vss_disk_ids *ids, uint32_t index, VSS_ID *out)
{
    *out = id_null;
    if (ids->kind == VSS_DISK_LABEL_NONE || index > ids->partition_count) {
        return false;
    }
    if (index > 0) {
        *out = ids->partitions[index - 1].guid;
    } else {
        *out = disk_ids_signature(ids);
    }
    return true;
}

static bool has_id(const struct vss_disk_ids *ids, const VSS_ID *id)
{
    VSS_ID own;
    for (uint32_t i = 0; get_id(ids, i, &own); i++) {
        if (id_equal(&own, id)) {
            return true;
        }
    }
    return false;
}

static const char *name_id(const struct vss_disk_ids *ids, uint32_t index, const VSS_ID *id,
                           char out[ID_NAME_BYTES])
{
    char text[ID_TEXT_BYTES];
    if (ids->kind == VSS_DISK_LABEL_MBR) {
        (void)snprintf(out, ID_NAME_BYTES, "MBR signature 0x%08x", ids->mbr_signature);
    } else {
        (void)snprintf(out, ID_NAME_BYTES, "%s GUID %s", index > 0 ? "partition" : "disk",
                       id_text(id, text));
    }
    return out;
}

/* The first id of disk that is new to it and that other has; false without one. */
static bool find_common(const struct collision_disk *disk, const struct vss_disk_ids *other,
                        char name[ID_NAME_BYTES])
{
    VSS_ID id;
    for (uint32_t i = 0; get_id(disk->wanted, i, &id); i++) {
        if (!id_is_null(&id) && !has_id(disk->before, &id) && has_id(other, &id)) {
            (void)name_id(disk->wanted, i, &id, name);
            return true;
        }
    }
    return false;
}

static bool has_new_id(const struct collision_disk *disk)
{
    char name[ID_NAME_BYTES];
    return find_common(disk, disk->wanted, name);
}

static HRESULT refuse(const struct collision_disk *disk, const char *name, const char *other,
                      struct error *err)
{
    return error_set(err, VSS_E_CANNOT_REVERT_DISKID,
                     "%s cannot get the %s: %s has it, and both would be taken for one disk; mask "
                     "or relabel that one first, or choose other ids",
                     disk->url, name, other);
}

static HRESULT check_each_other(const struct collision_disk *disks, size_t count, struct error *err)
{
    char name[ID_NAME_BYTES];
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < count; k++) {
            if (i != k && find_common(&disks[i], disks[k].wanted, name)) {
                return refuse(&disks[i], name, disks[k].url, err);
            }
        }
    }
    return S_OK;
}

static bool is_one_of(const struct collision_disk *disks, size_t count,
                      const struct vss_lun_info *info)
{
    for (size_t i = 0; i < count; i++) {
        if (lun_info_compare(disks[i].info, info) == LUN_SAME) {
            return true;
        }
    }
    return false;
}

static HRESULT check_ids(const struct collision_disk *disks, size_t count,
                         const struct vss_disk_ids *ids, const char *other, struct error *err)
{
    char name[ID_NAME_BYTES];
    for (size_t i = 0; i < count; i++) {
        if (find_common(&disks[i], ids, name)) {
            return refuse(&disks[i], name, other, err);
        }
    }
    return S_OK;
}

static HRESULT check_lun(const struct collision_disk *disks, size_t count,
                         const struct scan_lun *lun, struct error *err)
{
    struct vss_disk_ids ids = {0};
    HRESULT hr = label_ids(lun->label, &ids);
    if (FAILED(hr)) {
        return error_set(err, hr, "out of memory comparing disk ids");
    }
    hr = check_ids(disks, count, &ids, lun->url, err);
    disk_ids_free(&ids);
    return hr;
}

/* A label that could not be read is not a damaged one, which has no ids: what ids the LUN has is
 * not known, *unknown says why. */
static HRESULT note_unread(const struct scan_lun *lun, struct error *unknown, struct error *err)
{
    if (lun->label_result == E_OUTOFMEMORY) {
        return error_set(err, E_OUTOFMEMORY, "%s", error_text(&lun->label_error));
    }
    if (FAILED(lun->label_result) && lun->label_result != VSS_E_VOLUME_NOT_SUPPORTED) {
        (void)error_set(unknown, lun->label_result, "%s: %s", lun->url,
                        error_text(&lun->label_error));
    }
    return S_OK;
}

static HRESULT check_visible(const struct visible *visible, const struct collision_disk *disks,
                             size_t count, struct error *unknown, struct error *err)
{
    HRESULT hr = S_OK;
    for (size_t s = 0; s < visible->count; s++) {
        for (size_t i = 0; i < visible->scans[s]->count && SUCCEEDED(hr); i++) {
            const struct scan_lun *lun = &visible->scans[s]->luns[i];
            if (FAILED(lun->result) || is_one_of(disks, count, &lun->identity.info)) {
                continue;
            }
            hr = lun->label ? check_lun(disks, count, lun, err) : note_unread(lun, unknown, err);
        }
    }
    return hr;
}

struct wanted {
    const struct collision_disk *disks;
    size_t count;
};

static HRESULT check_host_disk(const struct host_disk *disk, void *user, struct error *err)
{
    const struct wanted *w = user;
    if (disk->info && is_one_of(w->disks, w->count, disk->info)) {
        return S_OK; /* the kernel has it too */
    }
    return check_ids(w->disks, w->count, disk->ids, disk->name, err);
}

HRESULT collisions_check(struct set_environment *env, const struct collision_disk *disks,
                         size_t count, bool must_see_all, struct error *err)
{
    bool is_needed = false;
    struct visible visible;
    struct error unknown = {0};
    for (size_t i = 0; i < count; i++) {
        is_needed = is_needed || has_new_id(&disks[i]);
    }
    HRESULT hr = check_each_other(disks, count, err);
    if (FAILED(hr) || !is_needed) {
        return hr;
    }
    hr = visible_scan_labels(env, &visible, err);
    if (FAILED(hr)) {
        return hr;
    }
    if (!visible.all_answered) {
        (void)error_set(&unknown, VSS_E_UNEXPECTED, "%s", error_text(&visible.unanswered));
    }
    hr = check_visible(&visible, disks, count, &unknown, err);
    if (SUCCEEDED(hr)) {
        struct wanted wanted = {disks, count};
        hr = host_disks_each("/sys", "/dev", check_host_disk, &wanted, err);
    }
    if (SUCCEEDED(hr) && FAILED(unknown.code) && must_see_all) {
        hr = error_set(err, VSS_E_CANNOT_REVERT_DISKID,
                       "cannot tell whether another disk has the ids that %s would get: %s",
                       disks[0].url, error_text(&unknown));
    } else if (SUCCEEDED(hr) && FAILED(unknown.code)) {
        log_line(LOG_WARNING, "whether another disk has the ids is not known of all: %s",
                 error_text(&unknown));
    }
    visible_free(&visible);
    return hr;
}
