/* SPDX-License-Identifier: Apache-2.0 */

/* The public headers in a C++ program: C linkage, no keyword or conversion that C++ lacks. */
#include <lunshadow/admin.h>

#include <lunshadow/component.h>
#include <lunshadow/lun.h>
#include <lunshadow/metadata.h>
#include <lunshadow/provider.h>
#include <lunshadow/requester.h>
#include <lunshadow/vss.h>

int main()
{
    vss_session_options options = VSS_SESSION_OPTIONS_INIT;
    vss_backup_components *session = nullptr;
    HRESULT hr = vss_create_backup_components(&options, nullptr, nullptr);
    vss_backup_components_release(session);
    vss_admin_release(nullptr);
    vss_examine_writer_metadata_release(nullptr);
    vss_component_release(nullptr);
    return FAILED(hr) && vss_error_name(hr) != nullptr ? 0 : 1;
}
