/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_PROVIDER_HOST_HOST_H
#define LUNSHADOW_PROVIDER_HOST_HOST_H

#include "common/config.h"
#include "registry/store.h"

#include <lunshadow/provider.h>
#include <stdbool.h>

/* The providers of this host: one per [array NAME] section, its plug-in found, checked and loaded,
 * its callbacks reached through provider_call() alone. */
struct provider;
struct providers;

/* Memory of one call: what a callback's output lives in. Starts as PROVIDER_ARENA_INIT. */
struct provider_arena {
    struct provider_block *first;
    bool is_short; /* once there was no memory for a piece of it */
};
#define PROVIDER_ARENA_INIT                                                                        \
    {                                                                                              \
        NULL, false                                                                                \
    }
void provider_arena_free(struct provider_arena *arena);

/* Loads the plug-in of every [array] section, calls OnLoad, and writes the registry's provider
 * rows. "provider = /path.so" is that file; an id is the registered provider of that id; a name is
 * the registered provider of that name, where there is none lunshadow-provider-NAME.so in the
 * provider directory. Shims in front of either are put above it ("trace/NAME"). Registered
 * providers come first, in the order of their registration, then the others in that of the
 * configuration. One that cannot be used is left out, with an event and a warning that say why; so
 * an empty list is a success. config and store must outlive *out. E_OUTOFMEMORY: here, and
 * nothing is left out for that; a plug-in that is short of memory is one that cannot be used. */
HRESULT providers_open(const struct config *config, struct store *store, struct providers **out,
                       struct error *err);
void providers_close(struct providers *providers); /* NULL is harmless */

size_t providers_count(const struct providers *providers);
struct provider *providers_at(const struct providers *providers, size_t index);
/* By [array NAME]; NULL where there is none. */
struct provider *providers_find(const struct providers *providers, const char *array);
/* True where any array uses the provider with this id. */
bool providers_has_id(const struct providers *providers, const VSS_ID *provider_id);

const struct vss_provider_table *provider_table(const struct provider *provider);
const char *provider_array(const struct provider *provider);
const char *provider_path(const struct provider *provider);
const struct vss_capabilities_out *provider_capabilities(const struct provider *provider);

/* Runs one callback. in and out are the structures that provider.h names for op (their struct_size
 * is set here); output memory lives in arena. deadline_ms caps what the operation
 * has, the start of a process that ended before included; 0 does not. The result is one that the
 * operation may give; others come as VSS_E_UNEXPECTED_PROVIDER_ERROR, with an event; an operation
 * the plug-in has not gives E_NOTIMPL. err gets the provider's own line. */
HRESULT provider_call(struct provider *provider, enum vss_provider_op op, const void *in, void *out,
                      struct provider_arena *arena, uint32_t deadline_ms, struct error *err);

/* Between freeze and thaw nothing may be written: events wait in memory until this is called with
 * false. */
void provider_defer_events(struct provider *provider, bool defer);

/* True where the plug-in has this operation. */
bool provider_has(const struct provider *provider, enum vss_provider_op op);

const char *provider_op_name(enum vss_provider_op op); /* "CommitSnapshots" */

#endif
