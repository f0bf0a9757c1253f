/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_TGT_TARGET_H
#define LUNSHADOW_TGT_TARGET_H

#include "show.h"
#include "state.h"

/* The target that shows the copies of one set, "PREFIX.SET". It is this plug-in's alone. */

/* VSS_E_PROVIDER_VETO where the target shows a file that is not a copy of the set whose id as text
 * this is: then it is not the set's, whatever its name. */
HRESULT tgt_target_check(const struct tgt *t, const struct tgt_target *target, const char *set);

/* Deletes the set's target with its sessions and LUNs; none is fine. VSS_E_PROVIDER_VETO where it
 * shows a file that is not a copy of this set. */
HRESULT tgt_target_remove_set(const struct tgt *t, const struct tgt_view *view,
                              const VSS_ID *set_id);

/* Deletes one LUN, retried for a moment while commands are under way. The file stays. */
HRESULT tgt_target_remove_lun(const struct tgt *t, const struct tgt_lun *lun);

/* Removes every initiator and address from the target's access list. */
HRESULT tgt_target_unbind_all(const struct tgt *t, const struct tgt_target *target);

/* Closes all connections and waits up to 5 seconds until none of these is left. With
 * must_stay_empty, until there is none at all: initiators cannot come back after
 * tgt_target_unbind_all(). VSS_E_PROVIDER_VETO where some stay. */
HRESULT tgt_target_evict(const struct tgt *t, const struct tgt_target *target,
                         bool must_stay_empty);

/* Sets one parameter ("readonly=1") of a LUN. */
HRESULT tgt_target_update_lun(const struct tgt *t, const struct tgt_lun *lun, const char *params);

#endif
