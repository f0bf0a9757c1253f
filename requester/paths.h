/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_REQUESTER_PATHS_H
#define LUNSHADOW_REQUESTER_PATHS_H

#include "common/error.h"

#include <stdbool.h>

/* What GetRootAndLogicalPrefixPaths tells of a path, under the table of mounts of proc ("/proc"; a
 * test gives its own). */
HRESULT paths_find(const char *proc, const char *file_path, bool normalize_fqdn, char **out_root,
                   char **out_prefix, struct error *err);

#endif
