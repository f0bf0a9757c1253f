/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_LUN_SCRATCH_H
#define LUNSHADOW_LUN_SCRATCH_H

#include "common/config.h"
#include "lun/lun.h"

/* May this LUN be overwritten? Where a [scratch NAME] section has its address and its identity: a
 * URL that was mistyped, and a number that was mapped anew, name another LUN, and that one's
 * identity is not written there. VSS_E_VOLUME_NOT_SUPPORTED says what the section must have. */
HRESULT scratch_check(const struct config *config, const struct lun *lun, struct error *err);

/* May it be overwritten now? VSS_E_PROVIDER_VETO where this host has it mounted or swaps to it
 * (lun/host/in_use.h), whose codes it gives where that cannot be told. url is for the text. */
HRESULT scratch_check_unused(const char *url, const struct vss_lun_info *info, struct error *err);

#endif
