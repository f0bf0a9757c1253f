/* SPDX-License-Identifier: Apache-2.0 */
/* Which disk ids a destination shall have afterwards, and why: decided before anything is written.
 */
#include "common/buffer.h"
#include "common/clock.h"
#include "common/id.h"
#include "common/log.h"
#include "resync/collisions.h"
#include "resync/internal.h"

#include <stdlib.h>

static HRESULT note(struct recovery_disk *disk, char *text, struct error *err)
{
    free(disk->ids_note);
    disk->ids_note = text;
    if (!text) {
        return error_set(err, E_OUTOFMEMORY, "out of memory planning disk ids");
    }
    log_line(LOG_INFO, "%s: disk ids afterwards: %s", disk->lun->url, text);
    return S_OK;
}

static HRESULT take_original(struct recovery_disk *disk, const char *why, struct error *err)
{
    HRESULT hr = disk_ids_copy(&disk->mapping->source_ids, &disk->wanted);
    if (FAILED(hr)) {
        return error_set(err, hr, "out of memory planning disk ids");
    }
    return note(disk, text_printf("the original's: %s", why), err);
}

/* The disk's own ids on the copy's partitions; one that the destination did not have gets a new id,
 * for the original's may be in use elsewhere. Attributes come with the content. */
static HRESULT take_own(struct recovery_disk *disk, struct error *err)
{
    HRESULT hr = disk_ids_copy(&disk->mapping->source_ids, &disk->wanted);
    if (FAILED(hr)) {
        return error_set(err, hr, "out of memory planning disk ids");
    }
    disk->wanted.mbr_signature = disk->before.mbr_signature;
    disk->wanted.disk_guid = disk->before.disk_guid;
    uint32_t fresh = 0;
    for (uint32_t i = 0; i < disk->wanted.partition_count; i++) {
        struct vss_partition_id *p = &disk->wanted.partitions[i];
        const struct vss_partition_id *own = disk_ids_partition(&disk->before, p->number);
        p->guid = own ? own->guid : id_new();
        fresh += !own;
    }
    char when[CLOCK_TEXT_BYTES];
    const char *source = disk->before_origin == IDS_READ ? "its own, as its label had them"
                                                         : "its own, as last read on ";
    bool is_dated = disk->before_origin == IDS_REMEMBERED;
    return note(disk,
                text_printf("%s%s%s", source, is_dated ? clock_text(disk->before_when, when) : "",
                            fresh ? "; new ones for partitions that it did not have" : ""),
                err);
}

/* Those of an imported copy, and of no original. */
static uint64_t without_shadow_bits(uint64_t attributes)
{
    return attributes & GPT_ATTR_SHADOW_COPY ? attributes & ~GPT_ATTR_SHADOW_BITS : attributes;
}

/* The wanted ids on the partitions that were found. One that nobody had planned for keeps the
 * original's id where the disk gets those, and gets a new one elsewhere. */
static HRESULT fit(struct recovery_disk *disk, struct vss_disk_ids *found, struct error *err)
{
    struct vss_disk_ids *wanted = &disk->wanted;
    bool is_originals = id_equal(&wanted->disk_guid, &disk->mapping->source_ids.disk_guid);
    for (uint32_t i = 0; i < found->partition_count; i++) {
        struct vss_partition_id *p = &found->partitions[i];
        const struct vss_partition_id *planned = disk_ids_partition(wanted, p->number);
        p->guid = planned ? planned->guid : is_originals ? p->guid : id_new();
        p->attributes = planned ? planned->attributes : without_shadow_bits(p->attributes);
    }
    found->disk_guid = wanted->disk_guid;
    found->mbr_signature = wanted->mbr_signature;
    disk_ids_free(wanted);
    *wanted = *found;
    *found = (struct vss_disk_ids){0};
    return note(disk,
                text_printf("%s; the copy has other partitions than the original had when it was "
                            "added to its set",
                            disk->ids_note),
                err);
}

HRESULT ids_fit(struct recovery_disk *disk, struct error *err)
{
    struct label *label = NULL;
    struct vss_disk_ids found = {0};
    if (disk->wanted.kind != VSS_DISK_LABEL_GPT) {
        return S_OK;
    }
    HRESULT hr = label_read(&disk->lun->block, LABEL_FULL, &label, err);
    if (SUCCEEDED(hr) && label->kind == VSS_DISK_LABEL_GPT) {
        hr = label_ids(label, &found);
        hr = FAILED(hr) ? error_set(err, hr, "out of memory planning disk ids") : hr;
    }
    if (SUCCEEDED(hr) && found.kind == VSS_DISK_LABEL_GPT &&
        !disk_ids_share_partitions(&disk->wanted, &found)) {
        hr = fit(disk, &found, err);
    }
    disk_ids_free(&found);
    label_free(label);
    return hr;
}

static const char *kind_name(int32_t kind)
{
    return kind == VSS_DISK_LABEL_GPT ? "GPT" : kind == VSS_DISK_LABEL_MBR ? "MBR" : "no";
}

/* Nothing on it asks to be kept: its label is gone, and what is remembered, if anything, is of
 * another kind of label. */
static bool has_none_to_keep(const struct recovery_disk *disk)
{
    return disk->before_origin == IDS_UNKNOWN ||
           (disk->before_origin == IDS_REMEMBERED &&
            disk->before.kind != disk->mapping->source_ids.kind);
}

static const char *why_none(const struct recovery_disk *disk)
{
    return disk->before_origin == IDS_UNKNOWN ? "its own label is gone and was never read"
                                              : "its own label is gone and was of another kind";
}

HRESULT ids_plan(struct recovery_disk *disk, uint32_t flags, struct error *err)
{
    disk_ids_free(&disk->wanted);
    const struct vss_disk_ids *source = &disk->mapping->source_ids;
    if (source->kind == VSS_DISK_LABEL_NONE) {
        return note(disk, text_printf("none: the shadow copy has no label"), err);
    }
    if (flags & VSS_RECOVERY_REVERT_IDENTITY_ALL) {
        return take_original(disk, "as asked for", err);
    }
    if (has_none_to_keep(disk)) {
        return take_original(disk, why_none(disk), err);
    }
    if (disk->before.kind != source->kind) {
        return error_set(err, VSS_E_CANNOT_REVERT_DISKID,
                         "%s has the ids of a %s label and the shadow copy of %s a %s label: it "
                         "cannot keep its own; ask for the original's (REVERT_IDENTITY_ALL)",
                         disk->lun->url, kind_name(disk->before.kind), disk->mapping->source_url,
                         kind_name(source->kind));
    }
    return take_own(disk, err);
}

/* A disk that has none to keep gets new ones where the original's are in use: it asked for none. */
static HRESULT take_fresh(struct recovery_disk *disk, const struct error *why, struct error *err)
{
    disk_ids_free(&disk->wanted);
    HRESULT hr = label_fresh_ids(&disk->mapping->source_ids, 0, 0, &disk->wanted);
    if (FAILED(hr)) {
        return error_set(err, hr, "out of memory planning disk ids");
    }
    return note(disk, text_printf("new ones: %s, and %.800s", why_none(disk), error_text(why)),
                err);
}

static struct collision_disk describe(const struct recovery_disk *disk)
{
    return (struct collision_disk){.url = disk->lun->url,
                                   .info = &disk->info,
                                   .before = &disk->before,
                                   .wanted = &disk->wanted};
}

static bool is_original(const struct recovery_disk *disk)
{
    return lun_info_compare(&disk->mapping->source, &disk->info) == LUN_SAME;
}

static HRESULT check_all(struct recovery *r, struct error *err)
{
    struct collision_disk *disks = calloc(r->disk_count + 1, sizeof(*disks));
    bool must_see_all = false;
    if (!disks) {
        return error_set(err, E_OUTOFMEMORY, "out of memory comparing disk ids");
    }
    for (size_t i = 0; i < r->disk_count; i++) {
        disks[i] = describe(&r->disks[i]);
        must_see_all = must_see_all || !is_original(&r->disks[i]);
    }
    HRESULT hr = collisions_check(r->env, disks, r->disk_count, must_see_all, err);
    free(disks);
    return hr;
}

HRESULT ids_check_collisions(struct recovery *r, uint32_t flags, struct error *err)
{
    if (flags & VSS_RECOVERY_REVERT_IDENTITY_ALL) {
        return check_all(r, err);
    }
    HRESULT hr = S_OK;
    for (size_t i = 0; i < r->disk_count && SUCCEEDED(hr); i++) {
        struct recovery_disk *d = &r->disks[i];
        struct collision_disk disk = describe(d);
        struct error why = {0};
        if (has_none_to_keep(d)) {
            hr = collisions_check(r->env, &disk, 1, !is_original(d), &why);
            hr = hr == VSS_E_CANNOT_REVERT_DISKID ? take_fresh(d, &why, err) : hr;
            hr = FAILED(hr) ? error_set(err, hr, "%s", error_text(&why)) : hr;
        }
    }
    return hr;
}
