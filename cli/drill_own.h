/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_CLI_DRILL_OWN_H
#define LUNSHADOW_CLI_DRILL_OWN_H

#include "cli/command.h"

/* Is a drill on LUNs that are in use asked for (--volume, --plan, ...)? */
bool drill_own_is_asked(const struct cli *cli);

/* Runs it; the exit code. */
int drill_own(const struct cli *cli);

#endif
