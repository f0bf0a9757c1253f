/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_REGISTRY_PROVIDERS_H
#define LUNSHADOW_REGISTRY_PROVIDERS_H

#include "registry/store.h"

#include <stddef.h>

/* Providers that were seen, by id: what a listing shows without loading a plug-in. */
struct provider_record {
    VSS_ID provider_id;
    VSS_ID version_id;
    char *name;
    char *version;
    int32_t type; /* enum vss_provider_type */
    char *path;   /* of the plug-in */
};

HRESULT providers_save(struct store *store, const struct provider_record *provider,
                       struct error *err);
HRESULT providers_load_all(struct store *store, struct provider_record **out, size_t *out_count,
                           struct error *err);
void providers_free_all(struct provider_record *providers, size_t count);

#endif
