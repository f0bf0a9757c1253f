/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_RESYNC_STATE_CHANGE_H
#define LUNSHADOW_RESYNC_STATE_CHANGE_H

#include "provider/set/environment.h"

/* OnLunStateChange for the destinations of a resync: luns[i].source is each one's identity.
 * PRE_RECOVERY closes every session on them, ours too; POST_RECOVERY ends it. */
HRESULT state_change(struct provider *provider, const VSS_ID *resync_id,
                     const struct vss_set_lun *luns, size_t count, uint32_t flag,
                     struct error *err);

#endif
