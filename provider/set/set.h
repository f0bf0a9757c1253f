/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_PROVIDER_SET_SET_H
#define LUNSHADOW_PROVIDER_SET_SET_H

#include "provider/set/environment.h"
#include "registry/sets.h"

/* Snapshot sets: make copies, bring them to this host, let them go. The order of calls is VSS's;
 * writers are known here only as hooks. */

#define SET_VOLUMES_MAX 64

/* Called in this order around the cut; each may be NULL. A failure of prepare, freeze or
 * post_snapshot aborts the set with that code; thaw is always called once freeze was. Where there
 * is a freeze, no more than [writers] frozen_ms of the configuration (a minute at most) lie between
 * it and thaw: what is not done by then fails, VSS_E_FLUSH_WRITES_TIMEOUT up to PreCommit and
 * VSS_E_HOLD_WRITES_TIMEOUT from Commit on. */
struct set_hooks {
    void *user;
    HRESULT (*prepare)(void *user, struct error *err);
    HRESULT (*freeze)(void *user, struct error *err);
    HRESULT (*thaw)(void *user, struct error *err);
    HRESULT (*post_snapshot)(void *user, struct set_record *set, struct error *err);
};

/* A set in creation. */
struct set_builder;

/* Takes the machine-wide lock. VSS_E_SNAPSHOT_SET_IN_PROGRESS; VSS_E_BAD_STATE where a dead process
 * left something that `recover` must see first. */
HRESULT set_start(struct set_environment *env, uint32_t context, struct set_builder **out,
                  VSS_ID *out_set_id, struct error *err);

/* The same for an operation that is under way itself and has looked at what dead processes left: a
 * resync that copies what it is about to overwrite. */
HRESULT set_start_beside(struct set_environment *env, uint32_t context, struct set_builder **out,
                         VSS_ID *out_set_id, struct error *err);

/* Volume to LUNs, identity, label, provider's consent, BeginPrepareSnapshot. provider_id NULL or
 * null: the first array, as providers_open() orders them, that supports all LUNs.
 * VSS_E_OBJECT_NOT_FOUND (no such portal, target, LUN, partition or name),
 * VSS_E_VOLUME_NOT_SUPPORTED (no provider wants it; no unique page 83; the set's array cannot cut
 * it at one point in time with what is in the set, or it is on another one), _BY_PROVIDER (the
 * named one does not), VSS_E_PROVIDER_NOT_REGISTERED, VSS_E_MAXIMUM_NUMBER_OF_VOLUMES_REACHED,
 * VSS_E_BAD_STATE (a resync overwrites the LUN, or left it half-written),
 * VSS_E_OBJECT_ALREADY_EXISTS never: the same volume twice is E_INVALIDARG. */
HRESULT set_add_volume(struct set_builder *builder, const char *volume, const VSS_ID *provider_id,
                       VSS_ID *out_snapshot_id, struct error *err);

/* The sequence from EndPrepare to PostSnapshot. Without TRANSPORTABLE the copies are imported too.
 * On success the set is in the registry and *out holds it; on failure nothing is left anywhere. The
 * builder is spent either way; end it with set_builder_free(). */
HRESULT set_commit(struct set_builder *builder, const struct set_hooks *hooks,
                   struct set_record *out, struct error *err);

/* Gives up what was not committed and releases the lock; NULL is harmless. */
void set_builder_free(struct set_builder *builder);

/* Would set_add_volume() take it? *out false is no failure. */
HRESULT set_is_volume_supported(struct set_environment *env, const char *volume,
                                const VSS_ID *provider_id, bool *out, struct error *err);

/* Are there completed copies of the volume, or of a part of it, in the registry? The array that
 * owns its LUNs is asked first; a volume of no array has none. VSS_E_OBJECT_NOT_FOUND, and what the
 * array answered. */
HRESULT set_volume_has_copies(struct set_environment *env, const char *volume, bool *out,
                              struct error *err);

/* Shows the copies to this host, finds them by page 83 on the configured portals, gives them fresh
 * disk IDs and shadow-copy bits, makes them read-only, and writes the set to the registry with what
 * was found filled in. S_OK; VSS_S_SOME_SNAPSHOTS_NOT_IMPORTED with err's text naming those that
 * are not; VSS_E_NO_SNAPSHOTS_IMPORTED, also where a document that this registry does not know says
 * of a copy what the array does not; VSS_E_BAD_STATE where another import runs, or somebody is at
 * work on the set. */
HRESULT set_import(struct set_environment *env, struct set_record *set, struct error *err);

/* Ends the shadow-copy nature of an imported set; its LUNs stay as plain LUNs. flags: enum
 * vss_hardware_options' VSS_BREAKEX_*; any other bit, or REVERT_ALL with REVERT_NONE, is
 * E_INVALIDARG. VSS_E_BREAK_REVERT_ID_FAILED, with nothing changed: REVERT_ALL beside a visible
 * original; and without REVERT_NONE where it cannot be told whether one is. Where the array fails
 * after the labels were changed, the registry keeps the set with the ids that its copies have now,
 * and it can be broken again. Where the registry cannot forget it then, the break is taken back.
 * VSS_E_BAD_STATE: somebody is at work on the set, or a resync needs it still. */
HRESULT set_break(struct set_environment *env, const VSS_ID *set_id, uint32_t flags,
                  struct error *err);

/* Deletes one snapshot or a whole set, one after the other, stopping at the first failure; copy
 * LUNs go when the last snapshot on them went. type: VSS_OBJECT_SNAPSHOT or
 * VSS_OBJECT_SNAPSHOT_SET, else E_INVALIDARG. out_nondeleted may be NULL. VSS_E_BAD_STATE as
 * set_break(). */
HRESULT set_delete(struct set_environment *env, const VSS_ID *object_id, int32_t type,
                   int32_t *out_deleted, VSS_ID *out_nondeleted, struct error *err);

/* The same for an operation that is under way itself, as set_start_beside(): a resync and the
 * safety copies that nobody needs any more. A set that a dead process worked on is refused still.
 */
HRESULT set_delete_beside(struct set_environment *env, const VSS_ID *object_id, int32_t type,
                          int32_t *out_deleted, VSS_ID *out_nondeleted, struct error *err);

#endif
