/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_RESYNC_RECOVERY_H
#define LUNSHADOW_RESYNC_RECOVERY_H

#include "provider/set/environment.h"
#include "registry/journal.h"
#include "registry/sets.h"

/* How a live LUN is overwritten by a shadow copy of it (RecoverSet). */
struct recovery;

/* set is the document's (or registry's) description; it must outlive the recovery. */
HRESULT recovery_new(struct set_environment *env, const struct set_record *set,
                     struct recovery **out, struct error *err);

/* destination NULL: where the original was, found by identity; a snapshot of several LUNs takes no
 * other (VSS_E_VOLUME_NOT_SUPPORTED). All checks of one member: the
 * snapshot is in the set (VSS_E_SNAPSHOT_NOT_IN_SET), its provider is here (VSS_E_OBJECT_NOT_FOUND)
 * and can resync (VSS_E_LEGACY_PROVIDER), the destination exists (VSS_E_OBJECT_NOT_FOUND), has a
 * unique page-83 identity, belongs to the provider, is not smaller, is not the copy itself
 * (VSS_E_VOLUME_NOT_SUPPORTED), and nobody resyncs (VSS_E_RESYNC_IN_PROGRESS). Nothing is written.
 */
HRESULT recovery_add(struct recovery *recovery, const VSS_ID *snapshot_id, const char *destination,
                     struct error *err);

/* Per member, after recovery_run(). */
struct recovery_member_result {
    VSS_ID snapshot_id;
    char *destination_url;
    char *method;   /* how the array copied */
    char *ids_note; /* said aloud: which disk ids it has now and why */
    HRESULT result; /* S_OK: all of it; E_ABORT: left alone or unfinished because of another member;
                       else what went wrong with this one, or with all */
    char *text;     /* a line for a failure; "" for S_OK */
};

/* Checks again, fences, journals, wipes edges, copies, restores edges and ids, releases. flags:
 * enum vss_recovery_options. VSS_E_UNSELECTED_VOLUME, VSS_E_CANNOT_REVERT_DISKID,
 * VSS_E_PROVIDER_VETO, VSS_E_LEGACY_PROVIDER, VSS_E_RESYNC_IN_PROGRESS, VSS_E_BAD_STATE (a dead
 * process left something). Progress and cancel through the environment. Where an earlier resync of
 * the same destinations did not end, this one takes its place. */
HRESULT recovery_run(struct recovery *recovery, uint32_t flags, struct error *err);

/* Runs a dead resync again as it was asked for: same set, destinations and flags, which makes its
 * destinations whole and closes its entry. VSS_E_OBJECT_NOT_FOUND where the set came with another
 * host's document; else as recovery_add() and recovery_run(). */
HRESULT recovery_resume(struct set_environment *env, const struct journal_entry *entry,
                        struct error *err);

/* Takes back what a dead resync only began: removes its fence and closes its entry. VSS_E_BAD_STATE
 * where it had begun to write: only the same resync, run again, makes those destinations whole.
 * VSS_E_RESYNC_IN_PROGRESS. */
HRESULT recovery_rollback(struct set_environment *env, const struct journal_entry *entry,
                          struct error *err);

/* The checks of recovery_run() that need nothing done, for a caller that wants to know first: its
 * codes, S_OK where they hold now. Nothing is written. */
HRESULT recovery_check(struct recovery *recovery, uint32_t flags, struct error *err);

const struct recovery_member_result *recovery_results(const struct recovery *recovery,
                                                      size_t *out_count);
void recovery_free(struct recovery *recovery); /* NULL is harmless */

#endif
