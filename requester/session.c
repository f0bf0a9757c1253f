/* SPDX-License-Identifier: Apache-2.0 */
#include "requester/session_writers.h"

#include "common/buffer.h"
#include "common/id.h"
#include "common/log.h"
#include "registry/events.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* ---- what every method begins and ends with ---- */

static uint32_t get_conditions(struct vss_backup_components *session)
{
    (void)pthread_mutex_lock(&session->mutex);
    uint32_t conditions = session->conditions;
    (void)pthread_mutex_unlock(&session->mutex);
    return conditions;
}

static void apply(struct vss_backup_components *session, enum session_method method, HRESULT hr,
                  uint32_t clears)
{
    (void)pthread_mutex_lock(&session->mutex);
    session->conditions = states_next(method, session->conditions, hr) & ~clears;
    (void)pthread_mutex_unlock(&session->mutex);
}

void session_add_conditions(struct vss_backup_components *session, uint32_t conditions)
{
    (void)pthread_mutex_lock(&session->mutex);
    session->conditions |= conditions;
    (void)pthread_mutex_unlock(&session->mutex);
}

void session_drop_conditions(struct vss_backup_components *session, uint32_t conditions)
{
    (void)pthread_mutex_lock(&session->mutex);
    session->conditions &= ~conditions;
    (void)pthread_mutex_unlock(&session->mutex);
}

HRESULT session_begin_abort(struct vss_backup_components *session, enum session_method method)
{
    if (!session) {
        return E_INVALIDARG;
    }
    error_clear(&session->err);
    uint32_t conditions = get_conditions(session);
    if ((conditions & SESSION_BUSY) == 0) {
        async_detach(session->operation);
        session->operation = NULL;
        /* a cancel that came too late for that operation must not reach this one */
        atomic_store(&session->env->cancelled, false);
    }
    HRESULT hr = store_check_caller(store_path(session->env->store), &session->err);
    if (SUCCEEDED(hr)) {
        hr = states_check(method, conditions, &session->err);
    }
    return states_at_level(method, session->platform_level, hr, &session->err);
}

HRESULT session_begin(struct vss_backup_components *session, enum session_method method)
{
    HRESULT hr = session_begin_abort(session, method);
    if (SUCCEEDED(hr)) {
        hr = store_check_place(session->env->store, &session->err);
        hr = states_result(method, hr, &session->err);
    }
    return session ? states_at_level(method, session->platform_level, hr, &session->err) : hr;
}

HRESULT session_end(struct vss_backup_components *session, enum session_method method, HRESULT hr)
{
    apply(session, method, hr, 0);
    hr = states_result(method, hr, &session->err);
    return states_at_level(method, session->platform_level, hr, &session->err);
}

HRESULT session_null_argument(struct vss_backup_components *session, const char *name)
{
    return error_set(&session->err, E_INVALIDARG, "%s is NULL", name);
}

static HRESULT run_operation(void *user, struct error *err)
{
    struct vss_backup_components *session = user;
    return session->run(session, err);
}

static HRESULT finish_operation(void *user, HRESULT hr, struct error *err)
{
    struct vss_backup_components *session = user;
    bool was_cancelled = hr == E_ABORT && atomic_load(&session->env->cancelled);
    enum session_method method = session->method;
    document_set_busy(session->document, false);
    apply(session, method, hr, SESSION_BUSY);
    return was_cancelled ? hr
                         : states_at_level(method, session->platform_level,
                                           states_result(method, hr, err), err);
}

HRESULT session_run(struct vss_backup_components *session, enum session_method method,
                    HRESULT (*run)(struct vss_backup_components *session, struct error *err),
                    struct vss_async **out)
{
    struct async_job job = {session,
                            run_operation,
                            finish_operation,
                            &session->env->cancelled,
                            &session->env->progress_done,
                            &session->env->progress_total,
                            store_path(session->env->store)};
    session->method = method;
    session->run = run;
    session_add_conditions(session, SESSION_BUSY);
    document_set_busy(session->document, true);
    HRESULT hr = async_start(&job, out, &session->err);
    if (FAILED(hr)) {
        /* it did not begin: the state is as it was */
        document_set_busy(session->document, false);
        session_drop_conditions(session, SESSION_BUSY);
        return states_at_level(method, session->platform_level, hr, &session->err);
    }
    session->operation = *out;
    return S_OK;
}

/* ---- making and releasing ---- */

_Static_assert(VSS_COPY_RATE_MIN == COPY_RATE_MIN && VSS_COPY_RATE_MAX == COPY_RATE_MAX,
               "both sides have the same limits");

static HRESULT check_copy_options(const struct vss_session_options *o, struct error *err)
{
    if (o->copy_verify > VSS_COPY_VERIFY_FULL) {
        return error_set(err, E_INVALIDARG, "%u is no way to verify a copy", o->copy_verify);
    }
    if (o->copy_bytes_per_second != 0 && (o->copy_bytes_per_second < VSS_COPY_RATE_MIN ||
                                          o->copy_bytes_per_second > VSS_COPY_RATE_MAX)) {
        return error_set(err, E_INVALIDARG,
                         "a copy's rate is %llu to %llu bytes a second, not %" PRIu64,
                         VSS_COPY_RATE_MIN, VSS_COPY_RATE_MAX, o->copy_bytes_per_second);
    }
    return S_OK;
}

static struct copy_wish wished_copy(const struct vss_session_options *o)
{
    static const enum copy_verify ways[] = {VERIFY_NONE, VERIFY_NONE, VERIFY_SAMPLE, VERIFY_FULL};
    return (struct copy_wish){.has_verify = o->copy_verify != VSS_COPY_VERIFY_CONFIGURED,
                              .verify = ways[o->copy_verify],
                              .bytes_per_second = o->copy_bytes_per_second};
}

HRESULT session_read_options(const struct vss_session_options *options,
                             struct vss_session_options *out, struct error *err)
{
    *out = (struct vss_session_options)VSS_SESSION_OPTIONS_INIT;
    if (!options) {
        return S_OK;
    }
    if (options->struct_size < offsetof(struct vss_session_options, platform_level)) {
        return error_set(err, E_INVALIDARG,
                         "struct_size of the session's options is %u; start from "
                         "VSS_SESSION_OPTIONS_INIT",
                         options->struct_size);
    }
    size_t known = options->struct_size < sizeof(*out) ? options->struct_size : sizeof(*out);
    memcpy(out, options, known);
    if (out->platform_level > VSS_PLATFORM_2003) {
        return error_set(err, E_INVALIDARG, "%u is no platform level", out->platform_level);
    }
    if (out->undo > VSS_UNDO_REQUIRED) {
        return error_set(err, E_INVALIDARG, "%u is no kind of undo", out->undo);
    }
    return check_copy_options(out, err);
}

HRESULT session_at_level(const struct vss_session_options *options, HRESULT hr)
{
    struct vss_session_options known;
    bool is_old = SUCCEEDED(session_read_options(options, &known, NULL)) &&
                  known.platform_level != VSS_PLATFORM_NEWEST;
    return is_old && hr == VSS_E_UNEXPECTED ? E_UNEXPECTED : hr;
}

HRESULT session_creation_result(HRESULT hr, struct error *err)
{
    switch (hr) {
    case S_OK:
    case E_ACCESSDENIED:
    case E_INVALIDARG:
    case E_OUTOFMEMORY:
        return hr;
    case VSS_E_OBJECT_NOT_FOUND: /* a named configuration file that is not there */
        return error_translate(err, E_INVALIDARG);
    default:
        return SUCCEEDED(hr) ? S_OK : error_translate(err, VSS_E_UNEXPECTED);
    }
}

static HRESULT open_session(const struct vss_session_options *options,
                            struct vss_backup_components **out, struct error *err)
{
    struct vss_session_options known;
    HRESULT hr = session_read_options(options, &known, err);
    if (FAILED(hr)) {
        return hr;
    }
    struct vss_backup_components *session = calloc(1, sizeof(*session));
    if (!session) {
        return error_set(err, E_OUTOFMEMORY, "out of memory while making a session");
    }
    hr = writers_new(&session->writer_host, err);
    if (SUCCEEDED(hr)) {
        hr = set_environment_open(known.config_path, known.state_directory, &session->env, err);
    }
    if (FAILED(hr)) {
        writers_free(session->writer_host, false);
        free(session);
        return session_creation_result(hr, err);
    }
    session->platform_level = known.platform_level;
    session->undo = known.undo;
    session->copy = wished_copy(&known);
    (void)pthread_mutex_init(&session->mutex, NULL);
    session->session_id = id_new();
    session->context = VSS_CTX_BACKUP;
    *out = session;
    return S_OK;
}

HRESULT vss_create_backup_components(const struct vss_session_options *options,
                                     struct vss_backup_components **out, char **out_error)
{
    if (out_error) {
        *out_error = NULL;
    }
    if (!out) {
        return E_INVALIDARG;
    }
    *out = NULL;
    struct error err = {0};
    HRESULT hr = open_session(options, out, &err);
    if (FAILED(hr) && out_error) {
        *out_error = text_copy(error_text(&err));
    }
    return session_at_level(options, hr);
}

/* What is not deleted stays in the registry and can be deleted by its id. Nobody reads a result
 * here. */
static void note_undeleted(struct vss_backup_components *session, const VSS_ID *set_id, HRESULT hr,
                           const struct error *why)
{
    char id[ID_TEXT_BYTES];
    struct error event = {0};
    (void)error_set(&event, hr, "auto-release set %s was not deleted: %s", id_text(set_id, id),
                    error_text(why));
    log_line(LOG_WARNING, "%s", event.text);
    events_add(session->env->store, LOG_WARNING, hr, set_id, event.text);
}

/* Copies that live no longer than their session. */
static void delete_released_sets(struct vss_backup_components *session)
{
    for (size_t i = 0; i < session->released_count; i++) {
        struct error err = {0};
        int32_t deleted = 0;
        HRESULT hr = set_delete(session->env, &session->released_sets[i], VSS_OBJECT_SNAPSHOT_SET,
                                &deleted, NULL, &err);
        if (FAILED(hr) && hr != VSS_E_OBJECT_NOT_FOUND) {
            note_undeleted(session, &session->released_sets[i], hr, &err);
        }
    }
    free(session->released_sets);
}

void vss_backup_components_release(struct vss_backup_components *session)
{
    if (!session) {
        return;
    }
    if (session->operation) {
        async_request_cancel(session->operation);
        async_detach(session->operation);
    }
    session_end_revert(session);
    atomic_store(&session->env->cancelled, false);
    writers_free(session->writer_host, (get_conditions(session) & SESSION_BACKUP) != 0);
    session_drop_statuses(session);
    set_builder_free(session->builder);
    recovery_free(session->recovery);
    delete_released_sets(session);
    set_record_free(&session->recovery_set);
    set_record_free(&session->document_set);
    free(session->recovery_report);
    gathered_writers_clear(&session->writers);
    document_close(session->document);
    document_free(session->document);
    set_environment_close(session->env);
    (void)pthread_mutex_destroy(&session->mutex);
    free(session);
}

const char *vss_backup_components_error_text(const struct vss_backup_components *session)
{
    if (!session || session->err.code == S_OK) {
        return "";
    }
    return error_text(&session->err);
}

HRESULT vss_backup_components_get_session_id(struct vss_backup_components *session, VSS_ID *out)
{
    if (!session || !out) {
        return E_INVALIDARG;
    }
    *out = session->session_id;
    return S_OK;
}

/* ---- the document ---- */

HRESULT session_note_set(struct vss_backup_components *session, const VSS_ID *set_id,
                         struct error *err)
{
    struct document_session values;
    HRESULT hr = document_get_session(session->document, &values, err);
    if (FAILED(hr)) {
        return hr;
    }
    values.set_id = set_id ? *set_id : id_null;
    return document_set_session(session->document, &values, err);
}

HRESULT vss_backup_components_save_as_xml(struct vss_backup_components *session, char **out_xml)
{
    if (out_xml) {
        *out_xml = NULL;
    }
    HRESULT hr = session_begin(session, METHOD_SAVE_AS_XML);
    if (FAILED(hr)) {
        return hr;
    }
    hr = out_xml ? document_save(session->document, out_xml, &session->err)
                 : session_null_argument(session, "out_xml");
    return session_end(session, METHOD_SAVE_AS_XML, hr);
}
