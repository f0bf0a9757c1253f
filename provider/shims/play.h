/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_PROVIDER_SHIMS_PLAY_H
#define LUNSHADOW_PROVIDER_SHIMS_PLAY_H

#include "provider/shims/recording.h"

/* Does a call ask for what was recorded? Ids of sets, snapshots and resyncs are new ones each time
 * and not compared; all else is. *out_difference: what differs first, in words; malloc'ed, NULL
 * where nothing does. E_OUTOFMEMORY. */
HRESULT play_compare(enum vss_provider_op op, const void *recorded, const void *in,
                     char **out_difference);

#endif
