/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_PROVIDER_TRUST_H
#define LUNSHADOW_PROVIDER_TRUST_H

#include "common/error.h"

/* Who may have written what we run. what names it in messages: "plug-in", "writer". */

/* A regular file of root's or this user's that nobody else may write to; else E_ACCESSDENIED says
 * what is wrong with it and how to mend it. Symbolic links are followed. */
HRESULT trust_check_file(const char *what, const char *path, struct error *err);

/* A directory, in the same way; one where others may write is accepted where it is sticky. */
HRESULT trust_check_directory(const char *what, const char *path, struct error *err);

/* trust_check_directory() for each directory above an absolute path, up to the root: who may write
 * there may put another file in the place of ours. */
HRESULT trust_check_above(const char *what, const char *path, struct error *err);

#endif
