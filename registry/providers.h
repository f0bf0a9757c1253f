/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_REGISTRY_PROVIDERS_H
#define LUNSHADOW_REGISTRY_PROVIDERS_H

#include "registry/store.h"

#include <stddef.h>

/* Providers by id, without loading a plug-in: those that were registered, and those that only were
 * seen because a section of the configuration brought them. */
struct provider_record {
    VSS_ID provider_id;
    VSS_ID version_id;
    char *name;
    char *version;
    int32_t type; /* enum vss_provider_type */
    char *path;   /* of the plug-in, resolved */
    uint32_t abi_major;
    uint32_t abi_minor;
    int64_t registered; /* FILETIME; 0: only seen */
    int64_t rank;       /* in the order of registration, from 1; 0: only seen */
};

/* Notes a provider that was loaded. A registered one stays registered as it was: what its own file
 * now says of name and version is taken, what another file says is not. registered and rank of
 * *provider do not matter here, nor in providers_register(). */
HRESULT providers_save(struct store *store, const struct provider_record *provider,
                       struct error *err);

/* Makes a provider the last in the order of registration. A version that differs from the
 * registered one takes its place in that order. VSS_E_PROVIDER_ALREADY_REGISTERED: this version is,
 * the text says from which file. E_INVALIDARG: no id or no path. */
HRESULT providers_register(struct store *store, const struct provider_record *provider,
                           struct error *err);

/* Forgets a registered provider. VSS_E_PROVIDER_NOT_REGISTERED, also where it was only seen;
 * VSS_E_PROVIDER_IN_USE: the registry has shadow copies that it made, the text says how many. */
HRESULT providers_unregister(struct store *store, const VSS_ID *provider_id, struct error *err);

/* The registered ones in their order, then the others by name. */
HRESULT providers_load_all(struct store *store, struct provider_record **out, size_t *out_count,
                           struct error *err);
void providers_free_all(struct provider_record *providers, size_t count);

#endif
