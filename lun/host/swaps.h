/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_LUN_HOST_SWAPS_H
#define LUNSHADOW_LUN_HOST_SWAPS_H

#include "common/error.h"

#include <stddef.h>

/* What this host swaps to, as /proc/swaps names it: block devices and files, by malloc'ed paths; of
 * a kernel without swap none. proc is "/proc" (a test gives a tree of its own). Free with
 * host_swaps_free(). Fails where the table cannot be read. */
HRESULT host_swaps_load(const char *proc, char ***out, size_t *out_count, struct error *err);
void host_swaps_free(char **swaps, size_t count);

#endif
