/* SPDX-License-Identifier: Apache-2.0 */
/* Who copies. */
#include "resync/copy.h"

#include "provider/set/call.h"

bool copy_is_by_host(const struct provider *provider)
{
    return provider_capabilities(provider)->resync == VSS_CAPABILITY_EMULATED;
}

/* Where the array fails to say it, it would fail to copy too. */
static HRESULT check_one(struct recovery *r, const struct lun_mapping *mapping, struct error *err)
{
    struct error why = {0};
    HRESULT hr = set_call_copy_exists(r->provider, r->set, (size_t)(mapping - r->set->luns), &why);
    if (hr == VSS_E_OBJECT_NOT_FOUND) {
        return error_set(err, VSS_E_BAD_STATE,
                         "the copy of %s is gone, perhaps deleted by another host: %s",
                         mapping->source_url, error_text(&why));
    }
    return FAILED(hr) ? error_set(err, hr, "%s", error_text(&why)) : S_OK;
}

HRESULT copy_check(struct recovery *r, struct error *err)
{
    HRESULT hr = S_OK;
    for (size_t i = 0; !r->copies_by_host && SUCCEEDED(hr) && i < r->disk_count; i++) {
        hr = check_one(r, r->disks[i].mapping, err);
    }
    return hr;
}

HRESULT copy_prepare(struct recovery *r, struct error *err)
{
    return r->copies_by_host ? copy_host_prepare(r, err) : S_OK;
}

HRESULT recovery_copy(struct recovery *r, struct error *err)
{
    return r->copies_by_host ? copy_by_host(r, err) : copy_in_array(r, err);
}
