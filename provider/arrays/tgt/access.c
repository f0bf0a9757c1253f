/* SPDX-License-Identifier: Apache-2.0 */
/* OnLunStateChange: who may see a copy, who may write to it, and who is sent away before a resync.
 */
#include "identity.h"
#include "set.h"
#include "target.h"

#include <string.h>

static bool is_in_list(const struct tgt_lun *lun, const struct tgt_copy_state *states,
                       uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(lun->path, states[i].file) == 0) {
            return true;
        }
    }
    return false;
}

/* Whether the target shows disks that are not to be hidden. */
static bool shows_others(const struct tgt_target *target, const struct tgt_copy_state *states,
                         uint32_t count)
{
    for (const struct tgt_lun *lun = target->luns; lun; lun = lun->next) {
        if (tgt_lun_is_disk(lun) && !is_in_list(lun, states, count)) {
            return true;
        }
    }
    return false;
}

static HRESULT refuse_all(const struct tgt *t, const struct tgt_target *target)
{
    for (const struct tgt_acl *acl = target->acl; acl; acl = acl->next) {
        if (strcmp(acl->name, "ALL") == 0) {
            return tgt_fail(t, VSS_E_PROVIDER_VETO,
                            "target %s is open to ALL initiators, which this driver did not do: "
                            "unbind ALL with tgtadm, then mask again",
                            target->name);
        }
    }
    return S_OK;
}

static HRESULT hide_target(const struct tgt *t, const struct tgt_target *target)
{
    HRESULT hr = refuse_all(t, target);
    if (SUCCEEDED(hr)) {
        hr = tgt_target_unbind_all(t, target);
    }
    return SUCCEEDED(hr) ? tgt_target_evict(t, target, true) : hr;
}

/* A target of nothing but these copies is closed to everybody; out of one that shows more, they are
 * taken (the files stay, LocateLuns brings them back). */
static HRESULT hide(const struct tgt *t, const struct tgt_view *view,
                    const struct tgt_copy_state *states, uint32_t count)
{
    HRESULT hr = S_OK;
    for (const struct tgt_target *target = view->targets; SUCCEEDED(hr) && target;
         target = target->next) {
        bool is_shared = shows_others(target, states, count);
        bool is_hidden = false;
        for (const struct tgt_lun *lun = target->luns; SUCCEEDED(hr) && lun && !is_hidden;
             lun = lun->next) {
            if (!tgt_lun_is_disk(lun) || !is_in_list(lun, states, count)) {
                continue;
            }
            hr = is_shared ? tgt_target_remove_lun(t, lun) : hide_target(t, target);
            is_hidden = !is_shared;
        }
    }
    return hr;
}

/* Hides, then looks again: what is still bound or logged in was added meanwhile and is not hidden.
 */
static HRESULT mask(const struct tgt *t, const struct tgt_copy_state *states, uint32_t count)
{
    struct tgt_view view;
    HRESULT hr = tgt_show(t, &view);
    if (SUCCEEDED(hr)) {
        hr = hide(t, &view, states, count);
    }
    if (SUCCEEDED(hr)) {
        hr = tgt_show(t, &view);
    }
    for (uint32_t i = 0; SUCCEEDED(hr) && i < count; i++) {
        for (const struct tgt_lun *lun = tgt_view_by_path(&view, states[i].file, NULL);
             SUCCEEDED(hr) && lun; lun = tgt_view_by_path(&view, states[i].file, lun)) {
            struct tgt_connection *left = NULL;
            hr = tgt_show_connections(t, lun->target->tid, &left);
            if (SUCCEEDED(hr) && (left || lun->target->acl)) {
                hr = tgt_fail(t, VSS_E_PROVIDER_VETO,
                              "target %s was opened again while copies were being hidden: mask "
                              "again",
                              lun->target->name);
            }
        }
    }
    return hr;
}

/* The host finds a copy by its identity, and is about to write to what it found: the file must be
 * shown as that, and as nothing else. */
static HRESULT check_identity(const struct tgt *t, const struct tgt_lun *lun,
                              const struct tgt_copy_state *s)
{
    if (tgt_identity_is(lun, s->scsi_id, s->serial)) {
        return S_OK;
    }
    return tgt_fail(t, VSS_E_PROVIDER_VETO,
                    "the copy %s of %s is shown as %s LUN %ju with scsi_id %s, serial %s, and is "
                    "remembered with %s, %s: remove that LUN, then import the set again",
                    s->file, s->source, lun->target->name, (uintmax_t)lun->number, lun->scsi_id,
                    lun->serial, s->scsi_id, s->serial);
}

static HRESULT set_read_only(const struct tgt *t, const struct tgt_copy_state *states,
                             uint32_t count, bool is_read_only)
{
    struct tgt_view view;
    HRESULT hr = tgt_show(t, &view);
    for (uint32_t i = 0; SUCCEEDED(hr) && i < count; i++) {
        const struct tgt_lun *lun = tgt_view_by_path(&view, states[i].file, NULL);
        if (!lun) {
            hr = tgt_fail(t, VSS_E_OBJECT_NOT_FOUND,
                          "the copy %s of %s is not shown by tgtd; import the set first",
                          states[i].file, states[i].source);
        }
        for (; SUCCEEDED(hr) && lun; lun = tgt_view_by_path(&view, states[i].file, lun)) {
            hr = check_identity(t, lun, &states[i]);
            if (SUCCEEDED(hr) && lun->is_read_only != is_read_only) {
                hr = tgt_target_update_lun(t, lun, is_read_only ? "readonly=1" : "readonly=0");
            }
        }
    }
    return hr;
}

static HRESULT change_copies(const struct tgt *t, const struct vss_set_in *set, uint32_t flags)
{
    struct tgt_copy_state *states = NULL;
    HRESULT hr = tgt_set_read(t, set, &states);
    if (FAILED(hr)) {
        return hr;
    }
    switch (flags) {
    case VSS_ONLUNSTATECHANGE_DO_MASK_LUNS:
        return mask(t, states, set->lun_count);
    case VSS_ONLUNSTATECHANGE_NOTIFY_READ_WRITE:
    case VSS_ONLUNSTATECHANGE_NOTIFY_LUN_PRE_RECOVERY:
        return set_read_only(t, states, set->lun_count, false);
    case VSS_ONLUNSTATECHANGE_NOTIFY_LUN_POST_RECOVERY:
        return set_read_only(t, states, set->lun_count, true);
    default:
        return tgt_fail(t, E_INVALIDARG, "OnLunStateChange with flags 0x%x", flags);
    }
}

/* Before a resync every session on a destination ends: who comes back logs in anew, which is how an
 * initiator notices. Nothing else changes for a destination, before or after. */
static HRESULT evict_destinations(const struct tgt *t, const struct vss_set_in *set)
{
    struct tgt_view view;
    HRESULT hr = tgt_show(t, &view);
    for (uint32_t i = 0; SUCCEEDED(hr) && i < set->lun_count; i++) {
        const struct tgt_lun *lun = NULL;
        hr = tgt_identity_find(t, &view, &set->luns[i].source, &lun);
        if (SUCCEEDED(hr) && !lun) {
            hr = tgt_fail(t, VSS_E_OBJECT_NOT_FOUND, "%s is not among the LUNs of tgtd",
                          tgt_set_name(t, set, i));
        }
        const char *path = lun ? lun->path : "";
        for (lun = tgt_view_by_path(&view, path, NULL); SUCCEEDED(hr) && lun;
             lun = tgt_view_by_path(&view, path, lun)) {
            hr = tgt_target_evict(t, lun->target, false);
        }
    }
    return hr;
}

HRESULT tgt_on_lun_state_change(void *self, const struct vss_call *call, const void *in, void *out)
{
    (void)self;
    (void)out;
    const struct vss_state_change_in *change = in;
    struct tgt t;
    HRESULT hr = tgt_begin(call, &t);
    if (FAILED(hr)) {
        return hr;
    }
    if (!change->is_resync) {
        return change_copies(&t, &change->set, change->flags);
    }
    switch (change->flags) {
    case VSS_ONLUNSTATECHANGE_NOTIFY_LUN_PRE_RECOVERY:
        return evict_destinations(&t, &change->set);
    case VSS_ONLUNSTATECHANGE_NOTIFY_LUN_POST_RECOVERY:
    case VSS_ONLUNSTATECHANGE_NOTIFY_READ_WRITE:
        return S_OK;
    default:
        return tgt_fail(&t, E_INVALIDARG, "a resync destination with flags 0x%x", change->flags);
    }
}
