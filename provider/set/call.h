/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_PROVIDER_SET_CALL_H
#define LUNSHADOW_PROVIDER_SET_CALL_H

#include "provider/set/environment.h"
#include "registry/sets.h"

/* The set operations of a provider, from and to a set record. A set lies on one array, so one
 * provider answers for all its LUNs. LUNs that are gone (is_empty) are left out of every call. */

/* The provider of a set: the [array] it was made on, else (another host, another name) the only
 * array with the same provider id. VSS_E_PROVIDER_VETO, array and id named, where none is
 * configured, where several are, and where its own is configured but not usable. */
HRESULT set_provider(struct set_environment *env, const struct set_record *set,
                     struct provider **out, struct error *err);

/* Runs op (EndPrepareSnapshots .. AbortSnapshots, LocateLuns) and stores the states it returned in
 * set. initiator is NULL but for LocateLuns. */
HRESULT set_call(struct provider *provider, enum vss_provider_op op, struct set_record *set,
                 const char *initiator, struct error *err);

/* The same for PreCommit, Commit and PostCommit, within deadline_ms of provider_call(). times gets
 * the figures of Commit. */
HRESULT set_call_within(struct provider *provider, enum vss_provider_op op, struct set_record *set,
                        uint32_t deadline_ms, struct vss_states_out *times, struct error *err);

/* GetTargetLuns: fills luns[].copy. The answer must identify each copy uniquely, and as nothing
 * else in the set: VSS_E_UNEXPECTED_PROVIDER_ERROR names the LUN. */
HRESULT set_call_target_luns(struct provider *provider, struct set_record *set, struct error *err);

/* The same question about one copy, for the sake of its result alone: VSS_E_OBJECT_NOT_FOUND where
 * the array has it no more. One that does not look says S_OK. */
HRESULT set_call_copy_exists(struct provider *provider, const struct set_record *set,
                             size_t lun_index, struct error *err);

/* OnLunStateChange. flag: one VSS_ONLUNSTATECHANGE_*. For the copies that this host has found; S_OK
 * where there are none. DO_MASK_LUNS is for all of them: the array may show what was not found. */
HRESULT set_call_state_change(struct provider *provider, struct set_record *set, uint32_t flag,
                              struct error *err);

/* OnLunEmpty for one copy; marks it empty. One that the array does not know is gone: a success,
 * too. */
HRESULT set_call_lun_empty(struct provider *provider, struct set_record *set, size_t lun_index,
                           struct error *err);

/* Stores a state that a callback returned for lun (data NULL: keeps the old one). */
HRESULT set_keep_state(struct lun_mapping *lun, const struct vss_state *state, struct error *err);

/* FillInLunInfo: is this LUN the provider's? *info may be corrected (but not its interconnects). */
HRESULT set_call_fill_in(struct provider *provider, const char *device, struct vss_lun_info *info,
                         bool *out_is_mine, struct error *err);

#endif
