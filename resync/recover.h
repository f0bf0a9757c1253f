/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_RESYNC_RECOVER_H
#define LUNSHADOW_RESYNC_RECOVER_H

#include "provider/set/environment.h"
#include "registry/journal.h"

/* Dealing with what a dead process left: its journal entries, each finished or taken back, and the
 * auto-release copies that nobody needs any more. */

enum recover_way { RECOVER_RESUME, RECOVER_ROLLBACK };

/* Why an entry cannot be dealt with this way, as far as it came: a sentence for a person, which
 * says what can be done instead. NULL: it can. Static. */
const char *recover_refusal(const struct journal_entry *entry, enum recover_way way);

/* Finishes or takes back one open entry, on the array, this host and in the registry; closes it. A
 * failure leaves it open, and either way can be tried again. VSS_E_BAD_STATE: this way is not
 * possible (recover_refusal()), the entry's process lives, or another process deals with leftovers;
 * VSS_E_OBJECT_NOT_FOUND: no such entry, or a LUN or set that it is about is not to be found. What
 * else set_import(), set_break(), set_delete() and recovery_run() give. */
HRESULT recover_entry(struct set_environment *env, const VSS_ID *entry_id, enum recover_way way,
                      struct error *err);

/* Closes a dead entry without doing anything about it, with an event that says so: the way out
 * where what it is about is gone for good. VSS_E_BAD_STATE, VSS_E_OBJECT_NOT_FOUND as
 * recover_entry(); VSS_E_RESYNC_IN_PROGRESS: it is a resync's, and one that runs may have taken it
 * over. */
HRESULT recover_forget(struct set_environment *env, const VSS_ID *entry_id, struct error *err);

/* Ends what resyncs of this very process left unfinished over destinations that the caller has made
 * blank since, and that nobody needs: lets others in again and closes the entries.
 * VSS_E_BAD_STATE: an array may be copying to them still. What else unfinished destinations give:
 * VSS_E_OBJECT_NOT_FOUND, VSS_E_RESYNC_IN_PROGRESS. */
HRESULT recover_close_blank(struct set_environment *env, struct error *err);

/* Deletes an auto-release set whose process is gone. VSS_E_BAD_STATE: it is none. */
HRESULT recover_abandoned(struct set_environment *env, const VSS_ID *set_id, struct error *err);

#endif
