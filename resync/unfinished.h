/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_RESYNC_UNFINISHED_H
#define LUNSHADOW_RESYNC_UNFINISHED_H

#include "registry/journal.h"
#include "resync/internal.h"

/* What an earlier resync left: open journal entries of a process that is gone, or of this one.
 * Overwriting the same destinations again makes them whole, so such a resync adopts them; every
 * other one is refused. */

/* S_OK: nothing is open but what r takes over (r->adopted). VSS_E_BAD_STATE names what else is;
 * VSS_E_OBJECT_NOT_FOUND: r->takes_over is not open any more. With the lock of resyncs held. */
HRESULT unfinished_adopt(struct recovery *r, struct error *err);

/* Is this the reservation key of an adopted entry for the LUN with this key? */
bool unfinished_has_fence(const struct recovery *r, const char *lun_key, uint64_t reservation_key);

/* Where an adopted entry had begun to overwrite the disk, the label that is there now is the
 * copy's, or half of it: the ids that it had before are those of the first such entry.
 * VSS_E_UNEXPECTED: the journal's are damaged. */
HRESULT unfinished_recall_ids(const struct recovery *r, struct recovery_disk *disk,
                              struct error *err);

/* Closes the adopted entries: their destinations are whole now. */
HRESULT unfinished_close(struct recovery *r, struct error *err);

void unfinished_free(struct recovery *r);

/* Takes off what an entry fenced, and closes it: all that is left of a resync that had only begun,
 * or that was done. VSS_E_OBJECT_NOT_FOUND: somebody has dealt with it, a LUN of it is not to
 * be seen, or two that differ have its key; VSS_E_RESYNC_IN_PROGRESS: a running resync may have
 * taken the entry over. */
HRESULT unfinished_unfence(struct set_environment *env, const struct journal_entry *entry,
                           struct error *err);

#endif
