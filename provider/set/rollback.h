/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_PROVIDER_SET_ROLLBACK_H
#define LUNSHADOW_PROVIDER_SET_ROLLBACK_H

#include "provider/set/set.h"
#include "registry/journal.h"

/* What a dead process left of a set operation. The caller holds LOCK_RECOVER and has the entry as
 * it is now; a failure leaves it open, so that either way can be tried again. Which of both is
 * possible when is resync/recover.h's to say. */

/* Finishes an import, a break, a delete: half-changed labels are put back first, then it is done
 * again as it was asked for. */
HRESULT set_resume(struct set_environment *env, const struct journal_entry *entry,
                   struct error *err);

/* Takes it back. Create: the array's half-made copies are deleted (AbortSnapshots), the set is
 * forgotten. Import: labels are put back and copies hidden again, and a set that came with its
 * document is forgotten. Break: labels are put back and copies shown again; the set is what it was.
 * Delete: only where nothing was deleted. Disk ids: labels are put back. VSS_E_BAD_STATE for a
 * resync's entry: see recovery_rollback(). */
HRESULT set_rollback(struct set_environment *env, const struct journal_entry *entry,
                     struct error *err);

/* Takes back at once what an operation of this process did before it failed, as set_rollback() does
 * for a dead one. Where that fails too, the entry stays open and the log says why. */
void set_take_back(struct set_environment *env, const VSS_ID *journal_id);

/* Takes back every create that a dead process left; one that cannot be is no reason to leave the
 * others, and the first such failure is the result. VSS_E_SNAPSHOT_SET_IN_PROGRESS: a living
 * process makes a set, which is its own to end. */
HRESULT set_abort_all(struct set_environment *env, struct error *err);

#endif
