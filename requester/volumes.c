/* SPDX-License-Identifier: Apache-2.0 */

/* What may be asked of a volume without a session. */
#include "common/buffer.h"
#include "requester/block_revert.h"
#include "requester/session.h"

/* The closed list of such a function beside the codes that all may give. */
static HRESULT close_list(const HRESULT *listed, size_t count, HRESULT hr, struct error *err)
{
    bool is_listed = SUCCEEDED(hr) || hr == E_OUTOFMEMORY || hr == E_INVALIDARG ||
                     hr == E_ACCESSDENIED || hr == VSS_E_UNEXPECTED;
    for (size_t i = 0; i < count && !is_listed; i++) {
        is_listed = hr == listed[i];
    }
    return is_listed ? hr : error_translate(err, VSS_E_UNEXPECTED);
}

static HRESULT open_environment(const struct vss_session_options *options,
                                struct set_environment **out, struct error *err)
{
    struct vss_session_options known;
    HRESULT hr = session_read_options(options, &known, err);
    if (SUCCEEDED(hr)) {
        hr = set_environment_open(known.config_path, known.state_directory, out, err);
        hr = session_creation_result(hr, err);
    }
    return hr;
}

HRESULT vss_is_volume_snapshotted(const struct vss_session_options *options, const char *volume,
                                  bool *out_snapshots_present, int32_t *out_capability,
                                  char **out_error)
{
    static const HRESULT listed[] = {VSS_E_PROVIDER_VETO, VSS_E_OBJECT_NOT_FOUND,
                                     VSS_E_UNEXPECTED_PROVIDER_ERROR};
    if (out_error) {
        *out_error = NULL;
    }
    if (!volume || !out_snapshots_present || !out_capability) {
        return E_INVALIDARG;
    }
    *out_snapshots_present = false;
    *out_capability = 0;
    struct error err = {0};
    struct set_environment *env = NULL;
    HRESULT hr = open_environment(options, &env, &err);
    if (SUCCEEDED(hr)) {
        hr = set_volume_has_copies(env, volume, out_snapshots_present, &err);
        hr = close_list(listed, sizeof(listed) / sizeof(listed[0]), hr, &err);
    }
    set_environment_close(env);
    if (FAILED(hr) && out_error) {
        *out_error = text_copy(error_text(&err));
    }
    return session_at_level(options, hr);
}

HRESULT vss_should_block_revert(const struct vss_session_options *options, const char *volume,
                                bool *out_block, char **out_error)
{
    if (out_error) {
        *out_error = NULL;
    }
    if (!volume || !out_block) {
        return E_INVALIDARG;
    }
    *out_block = false;
    struct error err = {0};
    struct set_environment *env = NULL;
    HRESULT hr = open_environment(options, &env, &err);
    if (SUCCEEDED(hr)) {
        hr = block_revert_check(env, options, volume, out_block, &err);
        if (hr == VSS_E_OBJECT_NOT_FOUND || hr == VSS_E_VOLUME_NOT_SUPPORTED ||
            hr == VSS_E_NESTED_VOLUME_LIMIT) {
            hr = error_translate(&err, E_INVALIDARG); /* it is the volume that was named */
        }
        hr = close_list(NULL, 0, hr, &err);
    }
    set_environment_close(env);
    if (FAILED(hr) && out_error) {
        *out_error = text_copy(error_text(&err));
    }
    return session_at_level(options, hr);
}
