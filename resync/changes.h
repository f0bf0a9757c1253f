/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_RESYNC_CHANGES_H
#define LUNSHADOW_RESYNC_CHANGES_H

#include "resync/change_map.h"
#include "resync/internal.h"

/* What the array says may differ between a copy and the fenced destination that it goes over
 * (ListChanges), for a host that copies by itself. False: it does not say, or what it says makes no
 * sense (logged): everything is to be looked at, *out is empty. Writes nothing but what the
 * destination had cached. */
bool changes_list(struct recovery *r, const struct recovery_disk *disk, struct change_map *out);

#endif
