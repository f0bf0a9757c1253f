/* SPDX-License-Identifier: Apache-2.0 */
#include "requester/objects.h"

#include "common/buffer.h"

#include <stdlib.h>

void vss_free_snapshot_properties(struct vss_snapshot_prop *properties)
{
    if (!properties) {
        return;
    }
    free(properties->snapshot_device_object);
    free(properties->original_volume_name);
    free(properties->originating_machine);
    free(properties->service_machine);
    free(properties->exposed_name);
    free(properties->exposed_path);
    *properties = (struct vss_snapshot_prop){0};
}

void vss_free_provider_properties(struct vss_provider_prop *properties)
{
    if (!properties) {
        return;
    }
    free(properties->provider_name);
    free(properties->provider_version);
    *properties = (struct vss_provider_prop){0};
}

void vss_free_object_properties(struct vss_object_prop *properties)
{
    if (!properties) {
        return;
    }
    if (properties->type == VSS_OBJECT_SNAPSHOT) {
        vss_free_snapshot_properties(&properties->obj.snap);
    } else if (properties->type == VSS_OBJECT_PROVIDER) {
        vss_free_provider_properties(&properties->obj.prov);
    }
    *properties = (struct vss_object_prop){0};
}

void vss_free_string(char *text)
{
    free(text);
}

/* False where there was a text and no memory for it. */
static bool copy(const char *from, char **out)
{
    *out = text_copy(from);
    return !from || *out;
}

static bool copy_snapshot(const struct vss_snapshot_prop *from, struct vss_snapshot_prop *out)
{
    bool is_copied = copy(from->snapshot_device_object, &out->snapshot_device_object);
    is_copied = copy(from->original_volume_name, &out->original_volume_name) && is_copied;
    is_copied = copy(from->originating_machine, &out->originating_machine) && is_copied;
    is_copied = copy(from->service_machine, &out->service_machine) && is_copied;
    is_copied = copy(from->exposed_name, &out->exposed_name) && is_copied;
    return copy(from->exposed_path, &out->exposed_path) && is_copied;
}

HRESULT objects_copy(const struct vss_object_prop *from, struct vss_object_prop *out)
{
    bool is_copied = true;
    *out = *from; /* every string in it is then replaced by a copy */
    if (from->type == VSS_OBJECT_SNAPSHOT) {
        is_copied = copy_snapshot(&from->obj.snap, &out->obj.snap);
    } else if (from->type == VSS_OBJECT_PROVIDER) {
        is_copied = copy(from->obj.prov.provider_name, &out->obj.prov.provider_name);
        is_copied =
            copy(from->obj.prov.provider_version, &out->obj.prov.provider_version) && is_copied;
    }
    if (!is_copied) {
        vss_free_object_properties(out);
        return E_OUTOFMEMORY;
    }
    return S_OK;
}
