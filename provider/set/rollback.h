/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_PROVIDER_SET_ROLLBACK_H
#define LUNSHADOW_PROVIDER_SET_ROLLBACK_H

#include "provider/set/set.h"
#include "registry/journal.h"

/* Takes back what a dead process left of a create, and closes its entry: the array's half-made
 * copies are deleted (AbortSnapshots), the set is forgotten. Of an import, a break or a delete
 * nothing needs taking back: each leaves a set that the same operation can be done to again, and
 * only the entry is closed. VSS_E_BAD_STATE for a resync's entry: see recovery_rollback(). */
HRESULT set_rollback(struct set_environment *env, const struct journal_entry *entry,
                     struct error *err);

/* Takes back every create that a dead process left; one that cannot be is no reason to leave the
 * others, and the first such failure is the result. VSS_E_SNAPSHOT_SET_IN_PROGRESS: a living
 * process makes a set, which is its own to end. */
HRESULT set_abort_all(struct set_environment *env, struct error *err);

#endif
