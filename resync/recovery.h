/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_RESYNC_RECOVERY_H
#define LUNSHADOW_RESYNC_RECOVERY_H

#include "provider/set/environment.h"
#include "registry/journal.h"
#include "registry/sets.h"
#include "resync/policy.h"

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

/* Whether recovery_run() copies the destinations before it overwrites them, so that undo_run() can
 * put them back. WHERE_CHEAP: where the array's copies share blocks with their originals; should
 * that fail, the resync goes on, and its results say so. REQUIRED: or it fails before anything is
 * written. Either waits for a set that is being created on this machine, and fails
 * (VSS_E_BAD_STATE) where it waits in vain. */
enum recovery_undo { UNDO_NONE, UNDO_WHERE_CHEAP, UNDO_REQUIRED };
void recovery_set_undo(struct recovery *recovery, enum recovery_undo undo); /* UNDO_NONE at first */

/* How this host copies, over what the configuration says; before the first recovery_add(), which is
 * E_INVALIDARG where something is wished for and the array copies by itself. */
void recovery_set_copy(struct recovery *recovery, const struct copy_wish *wish);

/* Per member, after recovery_run(). */
struct recovery_member_result {
    VSS_ID snapshot_id;
    char *destination_url;
    char *method;    /* how the array copied */
    char *ids_note;  /* said aloud: which disk ids it has now and why */
    char *undo_note; /* how it can be undone, or why not; "" where nobody asked */
    bool is_written; /* its bytes may not be what they were; also where an earlier resync, which
                        this one took over, had begun to write */
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

/* Takes back what a dead resync began: removes its fence and closes its entry; where it had begun
 * to write, puts the destinations back from its safety copy, and without one: VSS_E_BAD_STATE, only
 * the same resync, run again, makes them whole. VSS_E_RESYNC_IN_PROGRESS. */
HRESULT recovery_rollback(struct set_environment *env, const struct journal_entry *entry,
                          struct error *err);

/* What a resync overwrote, as a snapshot set. */
struct safety_copy {
    VSS_ID resync_id;
    VSS_ID set_id;
    int64_t taken;   /* FILETIME */
    int64_t expires; /* 0: never */
    size_t lun_count;
    uint64_t bytes; /* of the LUNs; an array that shares blocks needs less */
};

/* All, oldest first; one set may stand for several resyncs. *out is freed with free(). Limits come
 * from the configuration's [limits]: E_INVALIDARG where they are not numbers. */
HRESULT undo_list(struct store *store, const struct config *config, struct safety_copy **out,
                  size_t *out_count, struct error *err);

/* Puts back what a resync overwrote, byte for byte, disk ids included. id: of the resync, or of the
 * safety copy, which stays. A resync like any other: same checks, fence and journal; resumed by
 * recovery_resume(). VSS_E_OBJECT_NOT_FOUND: no safety copy; VSS_E_BAD_STATE: a part of it was
 * deleted; else as recovery_run(). */
HRESULT undo_run(struct set_environment *env, const VSS_ID *id, struct error *err);

/* Deletes one; those whose time is over. */
HRESULT undo_discard(struct set_environment *env, const VSS_ID *id, struct error *err);
HRESULT undo_expire(struct set_environment *env, int32_t *out_deleted, struct error *err);

/* The checks of recovery_run() that need nothing done, for a caller that wants to know first: its
 * codes, S_OK where they hold now. Nothing is written. */
HRESULT recovery_check(struct recovery *recovery, uint32_t flags, struct error *err);
/* The same of destinations that are still in use on this host. */
HRESULT recovery_check_but_mounts(struct recovery *recovery, uint32_t flags, struct error *err);
/* Nobody is at work on the set or makes one of a destination, and the copies are still in the
 * registry: what recovery_run() finds when it opens its journal entry. VSS_E_BAD_STATE says who. */
HRESULT recovery_check_claims(const struct recovery *recovery, struct error *err);

/* Has an earlier resync, which did not end, begun to overwrite a destination that was added? True
 * also where that cannot be told. */
bool recovery_is_half_written(struct recovery *recovery);

const struct recovery_member_result *recovery_results(const struct recovery *recovery,
                                                      size_t *out_count);
void recovery_free(struct recovery *recovery); /* NULL is harmless */

#endif
