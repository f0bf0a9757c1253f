/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_CLI_IDS_WANTED_H
#define LUNSHADOW_CLI_IDS_WANTED_H

#include "cli/command.h"
#include "registry/store.h"
#include "resync/ids_change.h"

/* Which ids `lunshadow ids` is asked to give: --fresh, --set KEY=VALUE, --restore N|previous. */

/* Is a change asked for at all? */
bool ids_wanted_any(const struct cli *cli);

/* What is wrong with the options, or NULL: more than one way, --set for several LUNs, a number that
 * is none. */
const char *ids_wanted_wrong(const struct cli *cli);

/* The ids for one LUN; *out is freed by disk_ids_free(). E_INVALIDARG: a KEY that its label does
 * not have, or a VALUE that is none; VSS_E_OBJECT_NOT_FOUND: the history has no such entry. */
HRESULT ids_wanted(const struct cli *cli, struct store *store, const struct ids_change_lun *lun,
                   struct vss_disk_ids *out, struct error *err);

/* For the history; static. */
const char *ids_wanted_why(const struct cli *cli);

#endif
