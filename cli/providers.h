/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_CLI_PROVIDERS_H
#define LUNSHADOW_CLI_PROVIDERS_H

#include "cli/command.h"

/* Loads and prints the arrays of the configuration, or only the one of this name (NULL: all). The
 * exit code; a name that the configuration lacks is a failure. */
int providers_print(struct cli *cli, const char *only);

#endif
