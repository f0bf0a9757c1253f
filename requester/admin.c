/* SPDX-License-Identifier: Apache-2.0 */

/* Registration of providers. */
#include <lunshadow/admin.h>

#include "common/buffer.h"
#include "common/id.h"
#include "common/log.h"
#include "provider/host/registration.h"
#include "provider/set/rollback.h"
#include "registry/events.h"
#include "requester/objects.h"
#include "requester/session.h"

#include <stdlib.h>
#include <string.h>

struct vss_admin {
    char *config_path;     /* NULL: the default */
    char *state_directory; /* likewise */
    struct config *config;
    struct store *store;
    struct error err; /* of the last function */
};

/* ---- making and releasing ---- */

static HRESULT open_admin(const struct vss_session_options *options, struct vss_admin **out,
                          struct error *err)
{
    struct vss_session_options known;
    HRESULT hr = session_read_options(options, &known, err);
    if (FAILED(hr)) {
        return hr;
    }
    struct vss_admin *admin = calloc(1, sizeof(*admin));
    if (!admin) {
        return error_set(err, E_OUTOFMEMORY, "out of memory while opening the registry");
    }
    admin->config_path = text_copy(known.config_path);
    admin->state_directory = text_copy(known.state_directory);
    if ((known.config_path && !admin->config_path) ||
        (known.state_directory && !admin->state_directory)) {
        hr = error_set(err, E_OUTOFMEMORY, "out of memory while opening the registry");
    }
    if (SUCCEEDED(hr)) {
        hr = config_load(known.config_path, &admin->config, err);
    }
    if (SUCCEEDED(hr)) {
        hr = store_open(known.state_directory, &admin->store, err);
    }
    if (FAILED(hr)) {
        vss_admin_release(admin);
        return session_creation_result(hr, err);
    }
    *out = admin;
    return S_OK;
}

HRESULT vss_create_admin(const struct vss_session_options *options, struct vss_admin **out,
                         char **out_error)
{
    if (out_error) {
        *out_error = NULL;
    }
    if (!out) {
        return E_INVALIDARG;
    }
    *out = NULL;
    struct error err = {0};
    HRESULT hr = open_admin(options, out, &err);
    if (FAILED(hr) && out_error) {
        *out_error = text_copy(error_text(&err));
    }
    return hr;
}

void vss_admin_release(struct vss_admin *admin)
{
    if (!admin) {
        return;
    }
    store_close(admin->store);
    config_free(admin->config);
    free(admin->state_directory);
    free(admin->config_path);
    free(admin);
}

const char *vss_admin_error_text(const struct vss_admin *admin)
{
    return admin && admin->err.code != S_OK ? error_text(&admin->err) : "";
}

/* ---- what comes out ---- */

static HRESULT null_argument(struct vss_admin *admin, const char *name)
{
    return error_set(&admin->err, E_INVALIDARG, "%s is NULL", name);
}

/* The closed list of a function: what may come out of it beside the codes that all may give. */
static HRESULT close_list(struct vss_admin *admin, const HRESULT *listed, size_t count, HRESULT hr)
{
    if (SUCCEEDED(hr)) {
        return S_OK;
    }
    bool is_listed = hr == E_OUTOFMEMORY || hr == E_INVALIDARG || hr == E_ACCESSDENIED;
    for (size_t i = 0; i < count && !is_listed; i++) {
        is_listed = hr == listed[i];
    }
    (void)error_set(&admin->err, hr, "%s", vss_error_explanation(hr));
    return is_listed ? hr : error_translate(&admin->err, VSS_E_UNEXPECTED);
}

#define CLOSE_LIST(admin, listed, hr)                                                              \
    close_list((admin), (listed), sizeof(listed) / sizeof((listed)[0]), (hr))

/* ---- registering ---- */

HRESULT vss_admin_register_provider(struct vss_admin *admin, const char *path,
                                    VSS_ID *out_provider_id)
{
    static const HRESULT listed[] = {VSS_E_PROVIDER_ALREADY_REGISTERED};
    if (out_provider_id) {
        *out_provider_id = id_null;
    }
    if (!admin) {
        return E_INVALIDARG;
    }
    error_clear(&admin->err);
    if (!path || !out_provider_id) {
        return null_argument(admin, path ? "out_provider_id" : "path");
    }
    HRESULT hr = registration_add(admin->store, path, out_provider_id, &admin->err);
    if (hr == VSS_E_UNEXPECTED_PROVIDER_ERROR) {
        hr = error_translate(&admin->err, E_INVALIDARG); /* it is the file that was named */
    }
    return CLOSE_LIST(admin, listed, hr);
}

/* ---- unregistering ---- */

/* The names of the sections that will not find the provider any more; NULL where there are none. */
static HRESULT find_arrays(struct vss_admin *admin, const VSS_ID *provider_id, char **out)
{
    struct provider_record *all = NULL;
    size_t count = 0;
    struct buffer names = BUFFER_INIT;
    *out = NULL;
    HRESULT hr = providers_load_all(admin->store, &all, &count, &admin->err);
    for (size_t i = 0; SUCCEEDED(hr) && i < admin->config->section_count; i++) {
        const struct config_section *section = &admin->config->sections[i];
        const struct provider_record *found = NULL;
        if (strcmp(section->kind, "array") == 0 &&
            SUCCEEDED(registration_find(section, all, count, &found, NULL)) && found &&
            id_equal(&found->provider_id, provider_id)) {
            buffer_printf(&names, "%s[array %s]", names.length ? ", " : "", section->name);
        }
    }
    providers_free_all(all, count);
    if (SUCCEEDED(hr) && FAILED(buffer_status(&names))) {
        hr = error_set(&admin->err, E_OUTOFMEMORY, "out of memory unregistering a provider");
    }
    *out = SUCCEEDED(hr) ? buffer_take(&names) : NULL;
    buffer_free(&names);
    return hr;
}

static void warn_of(struct vss_admin *admin, const VSS_ID *provider_id, const char *arrays)
{
    char id[ID_TEXT_BYTES];
    struct error warning = {0};
    (void)error_set(&warning, S_FALSE, "provider %s was unregistered and is still named by %s",
                    id_text(provider_id, id), arrays);
    log_line(LOG_WARNING, "%s", warning.text);
    events_add(admin->store, LOG_WARNING, S_OK, provider_id, warning.text);
}

HRESULT vss_admin_unregister_provider(struct vss_admin *admin, const VSS_ID *provider_id)
{
    static const HRESULT listed[] = {VSS_E_PROVIDER_NOT_REGISTERED, VSS_E_PROVIDER_IN_USE};
    if (!admin) {
        return E_INVALIDARG;
    }
    error_clear(&admin->err);
    if (!provider_id) {
        return null_argument(admin, "provider_id");
    }
    char *arrays = NULL;
    HRESULT hr = find_arrays(admin, provider_id, &arrays);
    if (SUCCEEDED(hr)) {
        hr = registration_remove(admin->store, provider_id, &admin->err);
    }
    if (SUCCEEDED(hr) && arrays) {
        warn_of(admin, provider_id, arrays);
    }
    free(arrays);
    return CLOSE_LIST(admin, listed, hr);
}

/* ---- query ---- */

static HRESULT list_registered(struct vss_admin *admin, struct object_list *list)
{
    struct provider_record *all = NULL;
    size_t count = 0;
    HRESULT hr = providers_load_all(admin->store, &all, &count, &admin->err);
    for (size_t i = 0; i < count && SUCCEEDED(hr); i++) {
        struct vss_object_prop view = {.type = VSS_OBJECT_PROVIDER};
        view.obj.prov = (struct vss_provider_prop){.provider_id = all[i].provider_id,
                                                   .provider_name = all[i].name,
                                                   .provider_type = all[i].type,
                                                   .provider_version = all[i].version,
                                                   .provider_version_id = all[i].version_id};
        hr = all[i].registered ? object_list_add(list, &view) : S_OK;
    }
    providers_free_all(all, count);
    return hr;
}

HRESULT vss_admin_query_providers(struct vss_admin *admin, struct vss_enum_object **out)
{
    if (out) {
        *out = NULL;
    }
    if (!admin) {
        return E_INVALIDARG;
    }
    error_clear(&admin->err);
    if (!out) {
        return null_argument(admin, "out");
    }
    struct object_list list = {0};
    HRESULT hr = list_registered(admin, &list);
    if (SUCCEEDED(hr)) {
        hr = enum_object_new(list.items, list.count, out);
    }
    if (FAILED(hr)) {
        object_list_free(&list);
    }
    return close_list(admin, NULL, 0, hr);
}

/* ---- aborting ---- */

HRESULT vss_admin_abort_all_snapshots_in_progress(struct vss_admin *admin)
{
    static const HRESULT listed[] = {VSS_E_SNAPSHOT_SET_IN_PROGRESS, VSS_E_PROVIDER_VETO,
                                     VSS_E_UNEXPECTED_PROVIDER_ERROR};
    if (!admin) {
        return E_INVALIDARG;
    }
    error_clear(&admin->err);
    struct set_environment *env = NULL;
    HRESULT hr =
        set_environment_open(admin->config_path, admin->state_directory, &env, &admin->err);
    if (SUCCEEDED(hr)) {
        hr = set_abort_all(env, &admin->err);
    }
    set_environment_close(env);
    return CLOSE_LIST(admin, listed, hr);
}
