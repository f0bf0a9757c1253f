/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_REQUESTER_BLOCK_REVERT_H
#define LUNSHADOW_REQUESTER_BLOCK_REVERT_H

#include "provider/set/environment.h"

#include <lunshadow/requester.h>

/* ShouldBlockRevert: does the volume, or another one on its LUNs, hold what this host runs from,
 * the state directory, or files of a writer that [revert] blocking_writers names? options are those
 * that env was opened with. Codes of candidate_find(), E_INVALIDARG for a list that is none, and
 * what asking the writers comes to. */
HRESULT block_revert_check(struct set_environment *env, const struct vss_session_options *options,
                           const char *volume, bool *out_block, struct error *err);

#endif
