/* SPDX-License-Identifier: Apache-2.0 */

/* What a session tells of copies and providers. */

#include "requester/objects.h"
#include "requester/session.h"

#include "common/id.h"
#include "provider/set/expose.h"

#include <stdlib.h>

/* The bits by which a query tells contexts apart. */
#define CONTEXT_BITS                                                                               \
    (VSS_VOLSNAP_ATTR_PERSISTENT | VSS_VOLSNAP_ATTR_CLIENT_ACCESSIBLE |                            \
     VSS_VOLSNAP_ATTR_NO_AUTO_RELEASE | VSS_VOLSNAP_ATTR_NO_WRITERS)

#define EXPOSED_BIT ((uint32_t)VSS_VOLSNAP_ATTR_EXPOSED_LOCALLY)

/* ---- snapshots ---- */

/* A view: its strings are the set's. A mount that a restart of the machine ended is none. */
static HRESULT view_snapshot(const struct set_record *set, const struct snapshot_record *snapshot,
                             struct vss_object_prop *out, struct error *err)
{
    HRESULT hr = expose_find(snapshot, err);
    bool is_exposed = hr == S_OK;
    *out = (struct vss_object_prop){.type = VSS_OBJECT_SNAPSHOT};
    out->obj.snap = (struct vss_snapshot_prop){
        .snapshot_id = snapshot->snapshot_id,
        .snapshot_set_id = set->set_id,
        .snapshots_count = (int32_t)set->snapshot_count,
        .snapshot_device_object = snapshot->device,
        .original_volume_name = snapshot->original_volume,
        .originating_machine = set->originating_machine,
        .service_machine = set->service_machine,
        .exposed_name = is_exposed ? snapshot->exposed_name : NULL,
        .exposed_path = snapshot->exposed_path,
        .provider_id = snapshot->provider_id,
        .snapshot_attributes =
            (int32_t)(is_exposed ? snapshot->attributes : snapshot->attributes & ~EXPOSED_BIT),
        .creation_timestamp = snapshot->created,
        .status = snapshot->status,
    };
    return hr;
}

/* Copies that are being made or taken away are nobody's to see. */
static HRESULT copy_properties(const struct set_record *set, const VSS_ID *snapshot_id,
                               struct vss_snapshot_prop *out, struct error *err)
{
    for (size_t i = 0; i < set->snapshot_count; i++) {
        const struct snapshot_record *snapshot = &set->snapshots[i];
        if (id_equal(&snapshot->snapshot_id, snapshot_id) && snapshot->status == VSS_SS_CREATED) {
            struct vss_object_prop view;
            struct vss_object_prop copy = {0};
            HRESULT hr = view_snapshot(set, snapshot, &view, err);
            if (SUCCEEDED(hr) && FAILED(objects_copy(&view, &copy))) {
                hr = error_set(err, E_OUTOFMEMORY, "out of memory");
            }
            *out = copy.obj.snap;
            return FAILED(hr) ? hr : S_OK;
        }
    }
    char text[ID_TEXT_BYTES];
    return error_set(err, VSS_E_OBJECT_NOT_FOUND, "shadow copy %s is not complete",
                     id_text(snapshot_id, text));
}

HRESULT vss_backup_components_get_snapshot_properties(struct vss_backup_components *session,
                                                      const VSS_ID *snapshot_id,
                                                      struct vss_snapshot_prop *out)
{
    if (out) {
        *out = (struct vss_snapshot_prop){0};
    }
    HRESULT hr = session_begin(session, METHOD_GET_SNAPSHOT_PROPERTIES);
    if (FAILED(hr)) {
        return hr;
    }
    struct set_record set = {0};
    if (!snapshot_id || !out) {
        hr = session_null_argument(session, snapshot_id ? "out" : "snapshot_id");
        goto out;
    }
    hr = sets_find_by_snapshot(session->env->store, snapshot_id, &set, &session->err);
    if (FAILED(hr)) {
        goto out;
    }
    hr = copy_properties(&set, snapshot_id, out, &session->err);
out:
    set_record_free(&set);
    return session_end(session, METHOD_GET_SNAPSHOT_PROPERTIES, hr);
}

static bool is_in_context(uint32_t context, const struct set_record *set)
{
    return context == VSS_CTX_ALL || ((context ^ set->context) & CONTEXT_BITS) == 0;
}

static HRESULT list_set(struct object_list *list, const struct set_record *set, struct error *err)
{
    for (size_t i = 0; i < set->snapshot_count; i++) {
        if (set->snapshots[i].status != VSS_SS_CREATED) {
            continue;
        }
        struct vss_object_prop view;
        HRESULT hr = view_snapshot(set, &set->snapshots[i], &view, err);
        if (SUCCEEDED(hr)) {
            hr = object_list_add(list, &view);
        }
        if (FAILED(hr)) {
            return hr;
        }
    }
    return S_OK;
}

static HRESULT list_snapshots(struct vss_backup_components *session, struct object_list *list)
{
    struct set_record *sets = NULL;
    size_t count = 0;
    HRESULT hr = sets_load_brief(session->env->store, &sets, &count, &session->err);
    for (size_t i = 0; i < count && SUCCEEDED(hr); i++) {
        if (is_in_context(session->context, &sets[i])) {
            hr = list_set(list, &sets[i], &session->err);
        }
    }
    sets_free_all(sets, count);
    return hr;
}

/* ---- providers ---- */

static bool has_provider(const struct object_list *list, const VSS_ID *provider_id)
{
    for (size_t i = 0; i < list->count; i++) {
        if (id_equal(&list->items[i].obj.prov.provider_id, provider_id)) {
            return true;
        }
    }
    return false;
}

/* Those that are loaded, each once however many arrays it drives. */
static HRESULT list_providers(struct vss_backup_components *session, struct object_list *list)
{
    const struct providers *providers = session->env->providers;
    for (size_t i = 0; i < providers_count(providers); i++) {
        const struct vss_provider_table *table = provider_table(providers_at(providers, i));
        if (has_provider(list, &table->provider_id)) {
            continue;
        }
        struct vss_object_prop view = {.type = VSS_OBJECT_PROVIDER};
        view.obj.prov = (struct vss_provider_prop){
            .provider_id = table->provider_id,
            .provider_name = (char *)table->name,
            .provider_type = table->type,
            .provider_version = (char *)table->version,
            .provider_version_id = table->version_id,
        };
        HRESULT hr = object_list_add(list, &view);
        if (FAILED(hr)) {
            return hr;
        }
    }
    return S_OK;
}

/* ---- query ---- */

static HRESULT check_query(struct vss_backup_components *session, const VSS_ID *object_id,
                           int32_t object_type, int32_t returned_type)
{
    if (object_id && !id_is_null(object_id)) {
        return error_set(&session->err, E_INVALIDARG,
                         "a query takes no object id; use the null id");
    }
    if (object_type != VSS_OBJECT_NONE) {
        return error_set(&session->err, E_INVALIDARG,
                         "a query starts from VSS_OBJECT_NONE, not from type %d", object_type);
    }
    if (returned_type != VSS_OBJECT_SNAPSHOT && returned_type != VSS_OBJECT_PROVIDER) {
        return error_set(&session->err, E_INVALIDARG,
                         "a query returns snapshots or providers, not type %d", returned_type);
    }
    return S_OK;
}

HRESULT vss_backup_components_query(struct vss_backup_components *session, const VSS_ID *object_id,
                                    int32_t object_type, int32_t returned_type,
                                    struct vss_enum_object **out)
{
    if (out) {
        *out = NULL;
    }
    HRESULT hr = session_begin(session, METHOD_QUERY);
    if (FAILED(hr)) {
        return hr;
    }
    struct object_list list = {0};
    hr = out ? check_query(session, object_id, object_type, returned_type)
             : session_null_argument(session, "out");
    if (FAILED(hr)) {
        goto out;
    }
    hr = returned_type == VSS_OBJECT_SNAPSHOT ? list_snapshots(session, &list)
                                              : list_providers(session, &list);
    if (FAILED(hr)) {
        goto out;
    }
    hr = enum_object_new(list.items, list.count, out);
    if (SUCCEEDED(hr)) {
        list = (struct object_list){0};
    }
out:
    object_list_free(&list);
    return session_end(session, METHOD_QUERY, hr);
}
