/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_PROVIDER_SET_CLAIM_H
#define LUNSHADOW_PROVIDER_SET_CLAIM_H

#include "registry/journal.h"
#include "registry/sets.h"

#include <jansson.h>

/* One operation at a time on a set, whichever process runs it: whoever works on a set has a journal
 * entry open that names it, and such an entry is only opened where no other is. */

/* The step by which an entry names a set that is not its object (a resync's): data is the id's
 * text. */
#define CLAIM_STEP "set"

/* Is the set the entry's object, or named by its step? */
bool claim_speaks_of(const struct journal_entry *entry, const VSS_ID *set_id);

/* May operation begin on the set? S_OK: no open entry speaks of it; to a resync, which only reads
 * copies and has a lock of its own kind, those of other resyncs do not count. VSS_E_BAD_STATE: one
 * does, named in the text. Within a transaction of the caller's, so that nobody opens one in
 * between. */
HRESULT claim_check(struct store *store, enum journal_operation operation, const VSS_ID *set_id,
                    struct error *err);

/* A set's originals exclude a resync's destinations and LUNs whose disk ids are changed; the entry
 * of either names them in a step each, from its beginning. Both within a transaction of the
 * caller's that opens the entry of the other one; VSS_E_BAD_STATE names who is at work.
 * claim_check_sources(): no open resync or change of disk ids is onto an original of the set.
 * claim_check_destination(): no set in creation has this LUN as an original. */
HRESULT claim_check_sources(struct store *store, const struct set_record *set, struct error *err);
HRESULT claim_check_destination(struct store *store, const struct vss_lun_info *info,
                                struct error *err);

/* The step that says what was asked for, as JSON, so that `recover` can ask for it again. */
#define PLAN_STEP "plan"

/* Opens an entry about the set, with a step PLAN_STEP; plan is taken over (NULL: short of memory).
 * E_OUTOFMEMORY, VSS_E_BAD_STATE as claim_check(). What was loaded of the set before may be old by
 * now: load it again. */
HRESULT claim_open(struct store *store, enum journal_operation operation, const VSS_ID *set_id,
                   const char *description, json_t *plan, VSS_ID *out_entry_id, struct error *err);

/* Opens the entry of an import about a set that is imported already, for a resync that has the
 * array show its copies once more; as claim_check() for a resync, so that one which was left
 * unfinished, and is gone on with, does not keep it from that. VSS_E_BAD_STATE; load the set again.
 */
HRESULT claim_open_shown(struct store *store, const VSS_ID *set_id, VSS_ID *out_entry_id,
                         struct error *err);

/* The plan of an entry; a new reference. VSS_E_UNEXPECTED where it has none that can be read. */
HRESULT claim_plan(const struct journal_entry *entry, json_t **out, struct error *err);

#endif
