/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_CLI_COMPONENTS_H
#define LUNSHADOW_CLI_COMPONENTS_H

#include "cli/command.h"

#include <lunshadow/requester.h>

/* The components of a backup by the command: all that its writers have. Only what is in the backup
 * can a writer say something of, which the document keeps. */

/* After the gathering. A component below one that can be selected comes with that. A writer whose
 * metadata cannot be read has none, which is said. */
HRESULT components_add(const struct cli *cli, struct vss_backup_components *session,
                       struct error *err);

/* Once the copies are there: every one of them was backed up. */
HRESULT components_succeeded(struct vss_backup_components *session, struct error *err);

#endif
