/* SPDX-License-Identifier: Apache-2.0 */
/* Who copies. */
#include "resync/copy.h"

bool copy_is_by_host(const struct provider *provider)
{
    return provider_capabilities(provider)->resync == VSS_CAPABILITY_EMULATED;
}

HRESULT copy_prepare(struct recovery *r, struct error *err)
{
    return r->copies_by_host ? copy_host_prepare(r, err) : S_OK;
}

HRESULT recovery_copy(struct recovery *r, struct error *err)
{
    return r->copies_by_host ? copy_by_host(r, err) : copy_in_array(r, err);
}
