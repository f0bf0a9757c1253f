/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_RESYNC_IDS_CHANGE_H
#define LUNSHADOW_RESYNC_IDS_CHANGE_H

#include "lun/label/label.h"
#include "provider/set/environment.h"

/* Changing the disk ids of live LUNs, asked for by a person: all of them or none, journaled, and
 * remembered in the history of each. */
struct ids_change;

/* A LUN of a change, borrowed from it. */
struct ids_change_lun {
    const char *url; /* without secrets */
    const char *key; /* lun_info_key() */
    const struct label *label;
    struct vss_disk_ids current;
    struct vss_disk_ids wanted;        /* kind NONE until staged */
    bool is_staged;                    /* ids_change_stage() succeeded */
    uint32_t block_bytes;              /* of the writes */
    const struct label_writes *writes; /* NULL until staged */
};

HRESULT ids_change_new(struct set_environment *env, struct ids_change **out, struct error *err);
void ids_change_free(struct ids_change *change); /* NULL is harmless */

/* Opens the LUN, reads identity and label, and remembers its ids. VSS_E_VOLUME_NOT_SUPPORTED: no
 * page-83 identity of its own, a label that cannot be read, the same LUN twice, or a shadow copy
 * that the registry knows, whose ids import and break look after. VSS_E_OBJECT_NOT_FOUND. */
HRESULT ids_change_add(struct ids_change *change, const char *url, struct error *err);

const struct ids_change_lun *ids_change_get(const struct ids_change *change, size_t index);
size_t ids_change_count(const struct ids_change *change);

/* The ids that a LUN shall get: as label_stage_ids(), and VSS_E_CANNOT_REVERT_DISKID too where two
 * partitions, or the disk and one, would have the same. Once for each LUN. */
HRESULT ids_change_stage(struct ids_change *change, size_t index, const struct vss_disk_ids *wanted,
                         bool repair, struct error *err);

/* Would the staged ids collide? See collisions_check(); everything must answer. */
HRESULT ids_change_check(struct ids_change *change, struct error *err);

/* Checks again, reads the identity of each LUN in the session that writes, journals the old bytes,
 * writes, reads back, or puts every LUN back. why: for the history. VSS_E_CANNOT_REVERT_DISKID;
 * VSS_E_RESYNC_IN_PROGRESS where live LUNs are being overwritten on this machine; VSS_E_BAD_STATE
 * where a dead process left something, or a set is being made of one; VSS_E_PROVIDER_VETO where an
 * address has another LUN by now. Where not even putting back succeeded the journal entry stays for
 * `recover`. */
HRESULT ids_change_apply(struct ids_change *change, const char *why, struct error *err);

#endif
