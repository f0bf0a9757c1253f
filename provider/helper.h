/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_PROVIDER_HELPER_H
#define LUNSHADOW_PROVIDER_HELPER_H

/* Where our other files are: below a directory that the environment names (not for setuid
 * programs); the build's own for a program that runs from the build; those installed beside the
 * program, wherever the tree was moved to; else the configured place. */

/* Path of a helper program, $LUNSHADOW_LIBEXECDIR. Valid until the thread calls it again. */
const char *helper_program(const char *name);

/* Path of the plug-in of a provider, $LUNSHADOW_PROVIDER_DIR. malloc'ed; NULL when memory is short.
 * It need not exist. */
char *helper_plugin(const char *provider);

#endif
