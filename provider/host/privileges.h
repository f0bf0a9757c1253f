/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_PROVIDER_HOST_PRIVILEGES_H
#define LUNSHADOW_PROVIDER_HOST_PRIVILEGES_H

#include "common/error.h"

/* What a host process gives up before it loads a plug-in. */

/* Nothing that it starts gains privileges by set-user-ID, and no descriptor beside standard ones
 * and keep_fd stays open. */
HRESULT privileges_limit(int keep_fd, struct error *err);

/* Becomes the user (name, with its groups) for good, and makes sure of it. E_ACCESSDENIED where
 * only root could; E_INVALIDARG where there is no such user. */
HRESULT privileges_become(const char *user, struct error *err);

#endif
