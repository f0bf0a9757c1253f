/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_CLI_SKELETON_H
#define LUNSHADOW_CLI_SKELETON_H

/* The files of examples/skeleton/, built into the program. @NAME@, @PROVIDER_ID@ and @VERSION_ID@
 * stand for what `lunshadow provider new` puts there. */
struct skeleton_file {
    const char *name;
    const char *text;
};

extern const struct skeleton_file skeleton_files[]; /* ends with a NULL name */

#endif
