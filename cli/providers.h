/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_CLI_PROVIDERS_H
#define LUNSHADOW_CLI_PROVIDERS_H

#include "cli/command.h"

/* Loads and prints the arrays of the configuration and the registered providers that none of them
 * has; or only the array of this name, or what has this provider id (NULL: all). The exit code;
 * what is not there is a failure. */
int providers_print(struct cli *cli, const char *only);

/* `provider register FILE.so`, `provider unregister ID`. */
int providers_register_file(struct cli *cli);
int providers_unregister_id(struct cli *cli);

#endif
