/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_PROVIDER_SHIMS_STACK_H
#define LUNSHADOW_PROVIDER_SHIMS_STACK_H

#include "common/config.h"

#include <lunshadow/provider.h>
#include <stdbool.h>

/* Shims between a host and a plug-in: "provider = trace/fault/tgt". The leading parts that are
 * names of shims are shims, the first one outermost; what is left is the provider, as it would
 * stand there alone: a path, an id, a name. A relative path whose first directory is named like a
 * shim begins with "./". */
struct shim_layer;

/* The part of a "provider =" value that is not shims. */
const char *shims_rest(const char *value);

/* "replay" in the provider's place is no provider's name: a recording answers. */
bool shims_is_replay(const char *rest);

/* Puts the shims of value above table, which is NULL for a replay; *out is the outermost one, NULL
 * where value names none. Freed by shims_free(), before the plug-in is unloaded. E_INVALIDARG: a
 * key of the section that a shim cannot use. */
HRESULT shims_stack(const struct config_section *section, const char *value,
                    const struct vss_provider_table *table, struct shim_layer **out,
                    struct error *err);
void shims_free(struct shim_layer *outermost); /* NULL is harmless */

/* The layer as what is above it sees it: the callbacks' self is the layer. */
const struct vss_provider_table *shims_table(const struct shim_layer *layer);

/* The file that a replay plays, resolved; NULL where there is none. */
const char *shims_recording(const struct shim_layer *layer);

/* The socket that leads from this process to its caller, which a fault may close or soil; without
 * it those faults are refused. */
void shims_set_socket(int socket);

#endif
