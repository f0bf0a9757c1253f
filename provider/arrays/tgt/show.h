/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_TGT_SHOW_H
#define LUNSHADOW_TGT_SHOW_H

#include "tgt.h"

/* What tgtd serves, as `tgtadm --op show --mode target` prints it. Lists in the order of the
 * output; strings are never NULL. */
struct tgt_acl {
    const char *name; /* "ALL", an address, or an initiator name */
    struct tgt_acl *next;
};

struct tgt_lun {
    const struct tgt_target *target;
    uint64_t number;
    const char *type; /* "disk"; LUN 0 is "controller" */
    const char *scsi_id;
    const char *serial;
    const char *bstype;
    const char *path;
    const char *flags; /* "", "sync", "direct", "sync:direct" */
    uint32_t block_bytes;
    bool is_read_only;
    bool is_thin;
    bool is_removable;
    struct tgt_lun *next;
};

struct tgt_target {
    uint32_t tid;
    const char *name;
    struct tgt_lun *luns;
    struct tgt_acl *acl;
    struct tgt_target *next;
};

struct tgt_view {
    struct tgt_target *targets;
};

/* Asks tgtd. Failures of tgt_run(); VSS_E_PROVIDER_VETO on output that is not understood. */
HRESULT tgt_show(const struct tgt *t, struct tgt_view *out);

/* The parser by itself: text is taken apart in place and must live as long as *out. */
HRESULT tgt_show_parse(const struct tgt *t, char *text, struct tgt_view *out);

const struct tgt_target *tgt_view_target(const struct tgt_view *view, const char *name);

/* The next LUN served from this file after `from` (NULL: the first); NULL: no more. One file may be
 * shown by several targets. */
const struct tgt_lun *tgt_view_by_path(const struct tgt_view *view, const char *path,
                                       const struct tgt_lun *from);

bool tgt_lun_is_disk(const struct tgt_lun *lun);

/* Whether the target shows any disk at all. */
bool tgt_target_has_disks(const struct tgt_target *target);

/* One connection of a target, from `--op show --mode conn`. */
struct tgt_connection {
    uint64_t session;
    uint32_t connection;
    struct tgt_connection *next;
};
HRESULT tgt_show_connections(const struct tgt *t, uint32_t tid, struct tgt_connection **out);

#endif
