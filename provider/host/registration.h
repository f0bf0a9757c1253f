/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_PROVIDER_HOST_REGISTRATION_H
#define LUNSHADOW_PROVIDER_HOST_REGISTRATION_H

#include "common/config.h"
#include "registry/providers.h"

/* Registered providers: a plug-in that the registry knows by the id and the name it gave itself, in
 * an order that counts where several could copy a LUN. */

/* Has a host process load the file, as it would for an [array] section, and registers what it says
 * of itself. Failures: as of a section's plug-in, but E_INVALIDARG where there is no such file;
 * providers_register(). */
HRESULT registration_add(struct store *store, const char *path, VSS_ID *out_provider_id,
                         struct error *err);

/* As providers_unregister(); VSS_E_PROVIDER_IN_USE also while a set is created, an import or a
 * resync runs on this machine: whose provider that needs cannot be told from here. */
HRESULT registration_remove(struct store *store, const VSS_ID *provider_id, struct error *err);

/* Which of the registered providers a section's "provider =" means: by id, with or without braces,
 * else by name. *out is NULL where it means none: a path, or a name that no registered provider
 * has. VSS_E_PROVIDER_NOT_REGISTERED: an id that is not registered; E_INVALIDARG: a name that
 * several have. *out is of all. */
HRESULT registration_find(const struct config_section *section, const struct provider_record *all,
                          size_t count, const struct provider_record **out, struct error *err);

/* The section with provider's file in the place of its name or id, behind the shims that stand
 * there, as what loads the file wants it. It borrows the rest from section; free(). NULL when
 * memory is short. */
struct config_section *registration_section(const struct config_section *section,
                                            const struct provider_record *provider);

/* Where the provider stands in the order of registration, from 1; 0: it is not registered. */
int64_t registration_rank(const struct provider_record *all, size_t count,
                          const VSS_ID *provider_id);

#endif
