/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_PROVIDER_SET_LABEL_CHANGE_H
#define LUNSHADOW_PROVIDER_SET_LABEL_CHANGE_H

#include "lun/label/disk_ids.h"
#include "provider/set/set.h"
#include "registry/journal.h"

/* Changing the disk ids of all imported copies of a set in one transaction, journaled. */

enum label_change {
    LABEL_CHANGE_FRESH,   /* import: new ids, shadow-copy bits set */
    LABEL_CHANGE_KEEP,    /* break: ids stay, the shadow-copy bit goes, the other bits stay */
    LABEL_CHANGE_KEEP_RW, /* break: ids stay, the attribute bits of the original */
    LABEL_CHANGE_REVERT,  /* break: the original's ids; the shadow-copy bit goes, the others stay */
    LABEL_CHANGE_REVERT_RW /* break: the original's ids and attribute bits */
};

/* For each LUN with a copy_url: opens it read/write, reads its identity in that session and
 * compares it with what is expected, stages the ids, and applies all at once; copy_ids gets what
 * was written. On failure every disk carries what it carried before, and set is unchanged; but
 * where *out_is_torn, for then a disk could not be put back: its old label is in the journal alone,
 * so the entry must stay open. VSS_E_OBJECT_NOT_FOUND where a copy is gone or is another LUN by
 * now; VSS_E_CANNOT_REVERT_DISKID.
 */
HRESULT label_change_copies(struct set_environment *env, struct provider *provider,
                            struct set_record *set, enum label_change change,
                            const VSS_ID *journal_id, bool *out_is_torn, struct error *err);

#define OLD_LABEL_STEP "old-label"

/* An undo sink for disk_ids_apply(): journals the old bytes of every block about to be written, one
 * step OLD_LABEL_STEP per disk. user: struct label_journal. */
struct label_journal {
    struct store *store;
    const VSS_ID *entry_id;
    const char *const *lun_keys; /* by transaction member */
};
HRESULT label_journal_sink(const struct disk_ids_transaction *transaction, void *user,
                           struct error *err);

/* Puts back what such steps of an entry hold, the newest first, on every LUN that one is about:
 * found by its identity on a configured portal, which is read again in the session that writes;
 * written, flushed and read back. Labels are then what they were when the entry was opened, whether
 * the change was made in part or wholly. VSS_E_OBJECT_NOT_FOUND: a LUN is on no configured portal,
 * or two that differ have its key; VSS_E_UNEXPECTED: a step is damaged, or does not fit its LUN;
 * nothing is written to that one. */
HRESULT label_put_back(struct set_environment *env, const struct journal_entry *entry,
                       struct error *err);

#endif
