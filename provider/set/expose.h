/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_PROVIDER_SET_EXPOSE_H
#define LUNSHADOW_PROVIDER_SET_EXPOSE_H

#include "provider/set/environment.h"
#include "registry/journal.h"
#include "registry/sets.h"

/* Copies as read-only mounts of this host. The LUN comes from the kernel where that has it as a
 * block device, else through an export (lun/host/export.h) below "exposed/" of the state directory;
 * a loop device carries the volume's part of it. Nothing is written to the copy. */

/* ExposeSnapshot, local: mounts the copy of one volume at path, an empty directory. Its record then
 * has EXPOSED_LOCALLY and the path. Journaled: what a dead process left of an exposure is taken
 * away by the next set_expose() or set_unexpose(), and by `recover`. *out_path: the path without
 * symbolic links, malloc'ed. VSS_E_OBJECT_NOT_FOUND: no such copy, or its LUN is not where it was
 * imported; E_INVALIDARG: path is not an empty directory, or the copy is of a kind that is not
 * exposed (not persistent, client-accessible, on several LUNs); VSS_E_BAD_STATE: not imported,
 * exposed already, somebody is at work on the set; E_ACCESSDENIED: not root, or
 * "exposed/" is not root's alone; VSS_E_PROVIDER_VETO, VSS_E_UNEXPECTED_PROVIDER_ERROR: what its
 * array answered, asked for the copy; VSS_E_UNEXPECTED: no filesystem on it, or the host lacks what
 * it takes. */
HRESULT set_expose(struct set_environment *env, const VSS_ID *snapshot_id, const char *path,
                   char **out_path, struct error *err);

/* UnexposeSnapshot: unmounts it. VSS_E_OBJECT_NOT_FOUND: no such copy, or not exposed;
 * VSS_E_PROVIDER_VETO: in use; VSS_E_BAD_STATE: somebody is at work on the set. */
HRESULT set_unexpose(struct set_environment *env, const VSS_ID *snapshot_id, struct error *err);

/* Is the copy mounted where its record says? S_OK, or S_FALSE, as after a restart of the machine.
 * E_OUTOFMEMORY; VSS_E_UNEXPECTED: the table of mounts cannot be read. */
HRESULT expose_find(const struct snapshot_record *snapshot, struct error *err);

/* Takes the exposure of a copy away that is about to go, within the caller's claim on the set; the
 * record is not saved. Not exposed is S_OK. VSS_E_PROVIDER_VETO: in use. */
HRESULT expose_end(struct set_environment *env, struct snapshot_record *snapshot,
                   struct error *err);

/* Takes away what a dead process left. */
HRESULT expose_rollback(struct set_environment *env, const struct journal_entry *entry,
                        struct error *err);

#endif
