/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_LUN_SCRATCH_H
#define LUNSHADOW_LUN_SCRATCH_H

#include "common/config.h"
#include "lun/lun.h"

/* May this LUN be overwritten? Where a [scratch NAME] section has its address and its identity: a
 * URL that was mistyped, and a number that was mapped anew, name another LUN, and that one's
 * identity is not written there. VSS_E_VOLUME_NOT_SUPPORTED says what the section must have. */
HRESULT scratch_check(const struct config *config, const struct lun *lun, struct error *err);

#endif
