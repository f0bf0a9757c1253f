/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_RESYNC_UNDO_H
#define LUNSHADOW_RESYNC_UNDO_H

#include "resync/internal.h"

/* Safety copies: what a resync is about to overwrite, copied by the array as a snapshot set of its
 * own, so that it can be put back byte for byte. */

/* Before the journal entry, while hosts still work on the destinations: takes the machine's lock
 * for sets, which undo_prepare() needs, and where somebody else creates a set waits for it, as long
 * as the configuration says ([limits]). S_FALSE: it waited, and what was looked at before may be
 * old. VSS_E_BAD_STATE: in vain; E_ABORT. What else keeps a safety copy from being taken is told by
 * undo_prepare(). */
HRESULT undo_reserve(struct recovery *r, struct error *err);
/* Gives up what undo_reserve() took and undo_prepare() has not used. */
void undo_release(struct recovery *r);

/* Takes one of all destinations, between fence and wipe; journals which set it is before that
 * begins. r->undo_note says what became of it. A failure is the caller's only where an undo was
 * asked for (UNDO_REQUIRED), for want of memory, where somebody else creates a set, and where the
 * half-made copy could not be taken back. Where r takes over a resync that had begun to write, that
 * one's safety copy is kept: what is there now is worth none. */
HRESULT undo_prepare(struct recovery *r, struct error *err);

/* Nothing was overwritten: deletes what undo_prepare() took, which would put back nothing but older
 * data. The journal entry is closed by then; what cannot be deleted is logged, and stays as a set
 * that is no safety copy. */
void undo_drop(struct recovery *r);
/* The same for a resync that died before its wipe, unless another one has that copy too, which is
 * open or (r is not NULL) is ended by r together with this one. */
void undo_drop_of(struct set_environment *env, const struct recovery *r,
                  const struct journal_entry *entry);
/* Closes a resync's entry; that copy is no safety copy from then on, so that a death before it is
 * deleted leaves none that would put back older data. Within a transaction. */
HRESULT undo_close(struct store *store, const struct recovery *r, const struct journal_entry *entry,
                   struct error *err);

/* The safety copy of what a dead resync was overwriting. S_FALSE: it has none. */
HRESULT undo_of_entry(const struct journal_entry *entry, VSS_ID *out_set_id);

/* undo_run() of what the entry's resync was overwriting, which ends the entry.
 * VSS_E_OBJECT_NOT_FOUND: somebody has dealt with it. */
HRESULT undo_run_of_entry(struct set_environment *env, const VSS_ID *set_id,
                          const struct journal_entry *entry, struct error *err);

/* Takes back the safety copies that dead resyncs were in the middle of making. */
HRESULT undo_clear_half(struct set_environment *env, struct error *err);

#endif
