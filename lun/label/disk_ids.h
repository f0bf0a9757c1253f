/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_LUN_LABEL_DISK_IDS_H
#define LUNSHADOW_LUN_LABEL_DISK_IDS_H

#include "lun/label/label.h"

/* The disk-ID transaction: the ids of all disks of a set are staged, written, read back, or every
 * disk is put back. It knows nothing of journals: what it is about to overwrite goes to an undo
 * sink first. */

struct disk_ids_member {
    struct block_device *dev;
    struct vss_disk_ids ids; /* wanted; owned by the transaction */
    struct label_writes writes;
};

struct disk_ids_transaction {
    struct disk_ids_member *members;
    size_t count;
    bool is_torn; /* after a failed disk_ids_apply(): a disk has not got its old bytes back */
};

/* Called once, after everything is staged and before the first byte is written: it must make the
 * old data durable or fail, and then nothing is written. */
typedef HRESULT (*disk_ids_undo_sink)(const struct disk_ids_transaction *transaction, void *user,
                                      struct error *err);

/* Reads dev's label and stages ids for it. The device must live until the end of the transaction. A
 * transaction starts all-zero. Failures leave the transaction as it was; see label_stage_ids().
 * E_INVALIDARG where dev is staged already. */
HRESULT disk_ids_stage(struct disk_ids_transaction *transaction, struct block_device *dev,
                       const struct vss_disk_ids *ids, bool repair, struct error *err);

/* Calls the sink, looks whether every disk still holds what was staged, writes and flushes item by
 * item, and reads all back. On any failure every disk gets its old bytes again, the last item first
 * (read back too, each tried three times), and the result is VSS_E_CANNOT_REVERT_DISKID, the text
 * saying which disk failed and whether all were put back (else is_torn). E_OUTOFMEMORY: every disk
 * has its old bytes. undo_sink may be NULL. */
HRESULT disk_ids_apply(struct disk_ids_transaction *transaction, disk_ids_undo_sink undo_sink,
                       void *user, struct error *err);

void disk_ids_transaction_free(struct disk_ids_transaction *transaction); /* leaves it all-zero */

#endif
