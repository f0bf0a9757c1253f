/* SPDX-License-Identifier: Apache-2.0 */

/* GatherWriterStatus and what it gathered. */

#include "requester/session_writers.h"

#include "common/buffer.h"
#include "common/id.h"

#include <stdlib.h>

void session_drop_statuses(struct vss_backup_components *session)
{
    for (size_t i = 0; i < session->status_count; i++) {
        free(session->statuses[i].name);
        free(session->statuses[i].message);
    }
    free(session->statuses);
    session->statuses = NULL;
    session->status_count = 0;
}

static bool copy_status(const struct writer *w, struct writer_status *out)
{
    *out = (struct writer_status){.instance_id = w->instance_id,
                                  .class_id = w->class_id,
                                  .name = text_copy(w->title),
                                  .state = w->state,
                                  .failure = w->failure,
                                  .application = w->application,
                                  .message = text_copy(w->line.text)};
    return out->name && out->message;
}

static HRESULT copy_statuses(struct vss_backup_components *session)
{
    size_t count = writers_count(session->writer_host);
    session_drop_statuses(session);
    session->statuses = calloc(count ? count : 1, sizeof(*session->statuses));
    if (!session->statuses) {
        return E_OUTOFMEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        session->status_count = i + 1;
        if (!copy_status(writers_at(session->writer_host, i), &session->statuses[i])) {
            session_drop_statuses(session);
            return E_OUTOFMEMORY;
        }
    }
    return S_OK;
}

/* The directory is looked at anew: writers that are gone from it, or can be put into it by others,
 * are not a working whole. */
static HRESULT check_infrastructure(struct vss_backup_components *session, struct error *err)
{
    struct writer_files files = {0};
    HRESULT hr =
        session_has_writers(session) ? writer_files_list(session->env->config, &files, err) : S_OK;
    writer_files_free(&files);
    return hr;
}

static HRESULT gather_status(struct vss_backup_components *session, struct error *err)
{
    struct writers_call call = {.cancelled = &session->env->cancelled};
    HRESULT hr = check_infrastructure(session, err);
    if (SUCCEEDED(hr)) {
        hr = writers_tell(session->writer_host, EVENT_STATUS, &call, err);
    }
    if (SUCCEEDED(hr)) {
        hr = copy_statuses(session);
        if (FAILED(hr)) {
            hr = error_set(err, hr, "out of memory while gathering writer status");
        }
    }
    writers_report(session->writer_host, session->env->store);
    return hr;
}

HRESULT vss_backup_components_gather_writer_status(struct vss_backup_components *session,
                                                   struct vss_async **out)
{
    if (out) {
        *out = NULL;
    }
    HRESULT hr = session_begin(session, METHOD_GATHER_WRITER_STATUS);
    if (FAILED(hr)) {
        return hr;
    }
    if (!out) {
        return session_null_argument(session, "out");
    }
    return session_run(session, METHOD_GATHER_WRITER_STATUS, gather_status, out);
}

HRESULT vss_backup_components_get_writer_status_count(struct vss_backup_components *session,
                                                      uint32_t *out_writers)
{
    if (out_writers) {
        *out_writers = 0;
    }
    HRESULT hr = session_begin(session, METHOD_GET_WRITER_STATUS_COUNT);
    if (FAILED(hr)) {
        return hr;
    }
    if (out_writers) {
        *out_writers = (uint32_t)session->status_count;
    } else {
        hr = session_null_argument(session, "out_writers");
    }
    return session_end(session, METHOD_GET_WRITER_STATUS_COUNT, hr);
}

HRESULT vss_backup_components_free_writer_status(struct vss_backup_components *session)
{
    HRESULT hr = session_begin(session, METHOD_FREE_WRITER_STATUS);
    if (FAILED(hr)) {
        return hr;
    }
    session_drop_statuses(session);
    return session_end(session, METHOD_FREE_WRITER_STATUS, S_OK);
}

/* ---- one writer's ---- */

static HRESULT find(struct vss_backup_components *session, uint32_t index,
                    const struct writer_status **out)
{
    if (index >= session->status_count) {
        return error_set(&session->err, VSS_E_OBJECT_NOT_FOUND,
                         "there is no writer %u; the status of %zu was gathered", index,
                         session->status_count);
    }
    *out = &session->statuses[index];
    return S_OK;
}

static HRESULT copy_text(struct vss_backup_components *session, const char *text, char **out)
{
    *out = text_copy(text);
    return *out ? S_OK
                : error_set(&session->err, E_OUTOFMEMORY, "out of memory copying a writer's text");
}

/* GetWriterStatus has no code for it; some of its components may be lost, so it counts as lost. */
static HRESULT without_partial(HRESULT failure)
{
    return failure == VSS_E_WRITERERROR_PARTIAL_FAILURE ? VSS_E_WRITERERROR_NONRETRYABLE : failure;
}

/* Those of both GetWriterStatus, some of which may be NULL. */
static void clear_outputs(VSS_ID *out_instance_id, VSS_ID *out_class_id, char **out_name,
                          int32_t *out_state, HRESULT *out_failure)
{
    if (out_instance_id) {
        *out_instance_id = id_null;
    }
    if (out_class_id) {
        *out_class_id = id_null;
    }
    if (out_name) {
        *out_name = NULL;
    }
    if (out_state) {
        *out_state = VSS_WS_UNKNOWN;
    }
    if (out_failure) {
        *out_failure = S_OK;
    }
}

HRESULT vss_backup_components_get_writer_status(struct vss_backup_components *session,
                                                uint32_t index, VSS_ID *out_instance_id,
                                                VSS_ID *out_class_id, char **out_name,
                                                int32_t *out_state, HRESULT *out_failure)
{
    const struct writer_status *status = NULL;
    clear_outputs(out_instance_id, out_class_id, out_name, out_state, out_failure);
    HRESULT hr = session_begin(session, METHOD_GET_WRITER_STATUS);
    if (FAILED(hr)) {
        return hr;
    }
    if (!out_instance_id || !out_class_id || !out_name || !out_state || !out_failure) {
        hr = session_null_argument(session, "an output");
        goto out;
    }
    hr = find(session, index, &status);
    if (FAILED(hr)) {
        goto out;
    }
    hr = copy_text(session, status->name, out_name);
    if (FAILED(hr)) {
        goto out;
    }
    *out_instance_id = status->instance_id;
    *out_class_id = status->class_id;
    *out_state = status->state;
    *out_failure =
        states_failure_at_level(session->platform_level, without_partial(status->failure));
out:
    return session_end(session, METHOD_GET_WRITER_STATUS, hr);
}

/* What may be NULL of the outputs of GetWriterStatusEx. */
static HRESULT copy_application(struct vss_backup_components *session,
                                const struct writer_status *status, HRESULT *out_failure,
                                HRESULT *out_application, char **out_message)
{
    HRESULT hr = out_message ? copy_text(session, status->message, out_message) : S_OK;
    if (SUCCEEDED(hr) && out_failure) {
        *out_failure = states_failure_at_level(session->platform_level, status->failure);
    }
    if (SUCCEEDED(hr) && out_application) {
        *out_application = status->application;
    }
    return hr;
}

HRESULT vss_backup_components_get_writer_status_ex(struct vss_backup_components *session,
                                                   uint32_t index, VSS_ID *out_instance_id,
                                                   VSS_ID *out_class_id, char **out_name,
                                                   int32_t *out_state, HRESULT *out_failure,
                                                   HRESULT *out_application, char **out_message)
{
    const struct writer_status *status = NULL;
    clear_outputs(out_instance_id, out_class_id, out_name, out_state, out_failure);
    if (out_application) {
        *out_application = S_OK;
    }
    if (out_message) {
        *out_message = NULL;
    }
    HRESULT hr = session_begin(session, METHOD_GET_WRITER_STATUS_EX);
    if (FAILED(hr)) {
        return hr;
    }
    if (!out_instance_id || !out_class_id || !out_name || !out_state) {
        hr = session_null_argument(session, "an output");
        goto out;
    }
    hr = find(session, index, &status);
    if (FAILED(hr)) {
        goto out;
    }
    hr = copy_text(session, status->name, out_name);
    if (SUCCEEDED(hr)) {
        hr = copy_application(session, status, out_failure, out_application, out_message);
    }
    if (FAILED(hr)) {
        free(*out_name);
        *out_name = NULL;
        goto out;
    }
    *out_instance_id = status->instance_id;
    *out_class_id = status->class_id;
    *out_state = status->state;
out:
    return session_end(session, METHOD_GET_WRITER_STATUS_EX, hr);
}
