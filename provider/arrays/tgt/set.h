/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_TGT_SET_H
#define LUNSHADOW_TGT_SET_H

#include "state.h"

/* The states of all LUNs of a set, index by index. VSS_E_PROVIDER_VETO where one is damaged, or two
 * have one number, file or scsi_id. */
HRESULT tgt_set_read(const struct tgt *t, const struct vss_set_in *in,
                     struct tgt_copy_state **out_states);

/* Hands all of them to the host as the new states. */
HRESULT tgt_set_write(const struct tgt *t, const struct tgt_copy_state *states, uint32_t count,
                      struct vss_states_out *out);

/* How messages name LUN i of the set. */
const char *tgt_set_name(const struct tgt *t, const struct vss_set_in *in, uint32_t i);

/* Removes a copy's files. Goes on after a failure and returns the first one. */
HRESULT tgt_set_remove_files(const struct tgt *t, const struct tgt_copy_state *state);

#endif
