/* SPDX-License-Identifier: Apache-2.0 */

/* The writer side of a session: which writers there are, the events that they are told, and how
 * they stand. */

#include "requester/session_writers.h"

#include "common/buffer.h"
#include "common/id.h"
#include "provider/set/builder.h"
#include "requester/half_written.h"
#include "requester/session_notes.h"

#include <stdio.h>
#include <stdlib.h>

bool session_has_writers(const struct vss_backup_components *session)
{
    return session->context == VSS_CTX_ALL || (session->context & VSS_VOLSNAP_ATTR_NO_WRITERS) == 0;
}

/* ---- what goes out with an event ---- */

static void set_id(struct writer *w, const char *key, const VSS_ID *id)
{
    char text[ID_TEXT_BYTES];
    writer_set(w, key, id_text(id, text));
}

static void set_bool(struct writer *w, const char *key, bool value)
{
    writer_set(w, key, value ? "yes" : "no");
}

static void describe_session(struct vss_backup_components *s, struct writer *w)
{
    char version[16];
    (void)snprintf(version, sizeof(version), "%d", WRITER_PROTOCOL_VERSION);
    writer_set(w, "protocol", version);
    set_id(w, "session", &s->session_id);
}

static const char *backup_type(int32_t type)
{
    static const char *const names[] = {"-",   "full", "incremental", "differential",
                                        "log", "copy", "other"};
    return type >= 0 && type <= VSS_BT_OTHER ? names[type] : names[0];
}

static void describe_backup(struct vss_backup_components *s, struct writer *w)
{
    struct document_session values = {0};
    if (SUCCEEDED(document_get_session(s->document, &values, NULL))) {
        writer_set(w, "backup-type", backup_type(values.backup_type));
        set_bool(w, "select-components", values.select_components);
        set_bool(w, "bootable-system-state", values.bootable_system_state);
        set_bool(w, "partial-files", values.partial_file_support);
    }
}

static void describe_set(struct vss_backup_components *s, struct writer *w)
{
    const struct set_record *set = &s->builder->record;
    char context[16];
    (void)snprintf(context, sizeof(context), "0x%x", s->context);
    set_id(w, "snapshot-set", &s->set_id);
    writer_set(w, "context", context);
    writer_set(w, "keep-writable", store_path(s->env->store));
    for (size_t i = 0; i < set->snapshot_count; i++) {
        writer_set(w, "volume", set->snapshots[i].original_volume);
    }
}

static void describe_copies(struct vss_backup_components *s, struct writer *w)
{
    const struct set_record *set = s->made_set;
    for (size_t i = 0; set && i < set->snapshot_count; i++) {
        const struct snapshot_record *snapshot = &set->snapshots[i];
        char id[ID_TEXT_BYTES];
        const char *const words[] = {id_text(&snapshot->snapshot_id, id), snapshot->original_volume,
                                     snapshot->device};
        writer_set_words(w, "snapshot", words, sizeof(words) / sizeof(words[0]));
    }
}

static void describe(void *user, struct writer *w, enum writer_event event)
{
    struct vss_backup_components *s = user;
    session_describe_components(s, w, event);
    switch (event) {
    case EVENT_IDENTIFY:
        describe_session(s, w);
        break;
    case EVENT_PREPARE_BACKUP:
        describe_backup(s, w);
        break;
    case EVENT_PREPARE_SNAPSHOT:
        describe_set(s, w);
        break;
    case EVENT_POST_SNAPSHOT:
        describe_copies(s, w);
        break;
    default:
        break;
    }
}

static struct writers_call call_of(struct vss_backup_components *s)
{
    return (struct writers_call){.cancelled = &s->env->cancelled,
                                 .user = s,
                                 .describe = describe,
                                 .keep = session_keep_notes};
}

static HRESULT tell(struct vss_backup_components *s, enum writer_event event, struct error *err)
{
    struct writers_call call = call_of(s);
    return writers_tell(s->writer_host, event, &call, err);
}

/* ---- the hooks of a set ---- */

static bool is_transacted(const struct vss_backup_components *s)
{
    return (s->context & VSS_VOLSNAP_ATTR_NOT_TRANSACTED) == 0;
}

static HRESULT on_prepare(void *user, struct error *err)
{
    return tell(user, EVENT_PREPARE_SNAPSHOT, err);
}

static HRESULT on_freeze(void *user, struct error *err)
{
    struct vss_backup_components *s = user;
    struct writers_call call = call_of(s);
    return writers_freeze(s->writer_host, is_transacted(s), &call, err);
}

static HRESULT on_thaw(void *user, struct error *err)
{
    struct vss_backup_components *s = user;
    struct writers_call call = call_of(s);
    return writers_thaw(s->writer_host, is_transacted(s), &call, err);
}

static HRESULT on_post_snapshot(void *user, struct set_record *set, struct error *err)
{
    struct vss_backup_components *s = user;
    s->made_set = set;
    HRESULT hr = tell(s, EVENT_POST_SNAPSHOT, err);
    s->made_set = NULL;
    return hr;
}

struct set_hooks session_writer_hooks(struct vss_backup_components *session)
{
    if (!session_has_writers(session)) {
        return (struct set_hooks){0};
    }
    return (struct set_hooks){session, on_prepare, on_freeze, on_thaw, on_post_snapshot};
}

HRESULT session_tell_empty_set(struct vss_backup_components *session, struct error *err)
{
    HRESULT hr = on_prepare(session, err);
    if (SUCCEEDED(hr)) {
        hr = on_freeze(session, err);
        HRESULT thawed = on_thaw(session, SUCCEEDED(hr) ? err : NULL);
        hr = SUCCEEDED(hr) ? thawed : hr;
    }
    return SUCCEEDED(hr) ? tell(session, EVENT_POST_SNAPSHOT, err) : hr;
}

void session_end_sequence(struct vss_backup_components *session, HRESULT hr)
{
    if (FAILED(hr)) {
        writers_abort(session->writer_host);
    }
    session_note_lost(session);
    writers_report(session->writer_host, session->env->store);
}

/* ---- which writers ---- */

static HRESULT choose(struct vss_backup_components *session, enum session_method method,
                      const VSS_ID *ids, uint32_t count,
                      HRESULT (*add)(struct writers *, const VSS_ID *, size_t))
{
    HRESULT hr = session_begin(session, method);
    if (FAILED(hr)) {
        return hr;
    }
    if (!ids && count) {
        hr = session_null_argument(session, "ids");
    } else {
        hr = add(session->writer_host, ids, count);
        if (FAILED(hr)) {
            hr = error_set(&session->err, hr, "out of memory while choosing writers");
        }
    }
    return session_end(session, method, hr);
}

HRESULT vss_backup_components_enable_writer_classes(struct vss_backup_components *session,
                                                    const VSS_ID *class_ids, uint32_t count)
{
    return choose(session, METHOD_ENABLE_WRITER_CLASSES, class_ids, count, writers_enable_classes);
}

HRESULT vss_backup_components_disable_writer_classes(struct vss_backup_components *session,
                                                     const VSS_ID *class_ids, uint32_t count)
{
    return choose(session, METHOD_DISABLE_WRITER_CLASSES, class_ids, count,
                  writers_disable_classes);
}

HRESULT vss_backup_components_disable_writer_instances(struct vss_backup_components *session,
                                                       const VSS_ID *instance_ids, uint32_t count)
{
    return choose(session, METHOD_DISABLE_WRITER_INSTANCES, instance_ids, count,
                  writers_disable_instances);
}

/* ---- operations ---- */

static HRESULT gather(struct vss_backup_components *session, struct error *err)
{
    if (!session_has_writers(session)) {
        return S_OK;
    }
    struct writers_call call = call_of(session);
    HRESULT hr =
        writers_gather(session->writer_host, session->env->config, &call, &session->writers, err);
    writers_report(session->writer_host, session->env->store);
    return hr;
}

static HRESULT run_event(struct vss_backup_components *session, enum writer_event event,
                         struct error *err)
{
    HRESULT hr = tell(session, event, err);
    session_end_sequence(session, hr);
    return hr;
}

static HRESULT prepare_for_backup(struct vss_backup_components *session, struct error *err)
{
    return run_event(session, EVENT_PREPARE_BACKUP, err);
}

static HRESULT backup_complete(struct vss_backup_components *session, struct error *err)
{
    HRESULT hr = tell(session, EVENT_BACKUP_COMPLETE, err);
    /* Cancelled or not, the backup is safe: nobody is told abort, and who did not answer may be
     * told again. */
    session_end_sequence(session, S_OK);
    if (SUCCEEDED(hr) && writers_have_lost(session->writer_host)) {
        return error_set(err, VSS_E_UNEXPECTED_WRITER_ERROR,
                         "a writer could not be told that the backup is complete; "
                         "GatherWriterStatus says which, and `lunshadow events` why");
    }
    return hr;
}

/* Where it ends half-way some applications have stopped, and PostRestore, which needs a PreRestore
 * that succeeded, will not reach them. */
static HRESULT go_on_after(struct vss_backup_components *session, HRESULT hr,
                           const struct error *why, struct error *err)
{
    struct writers_call call = call_of(session);
    call.cancelled = NULL;
    if (session_is_half_written(session)) {
        return error_set(err, hr,
                         "%s; applications that stopped stay stopped: an earlier resync "
                         "left LUNs half-written",
                         error_text(why));
    }
    HRESULT told = writers_tell(session->writer_host, EVENT_POST_RESTORE, &call, NULL);
    return error_set(err, hr, "%s; %s", error_text(why),
                     SUCCEEDED(told) ? "the applications were told to go on"
                                     : "the applications could not be told to go on: start them");
}

static HRESULT pre_restore(struct vss_backup_components *session, struct error *err)
{
    struct error why = {0};
    HRESULT hr = tell(session, EVENT_PRE_RESTORE, &why);
    if (FAILED(hr)) {
        hr = go_on_after(session, hr, &why, err);
    }
    session_end_sequence(session, hr);
    return hr;
}

static HRESULT post_restore(struct vss_backup_components *session, struct error *err)
{
    return run_event(session, EVENT_POST_RESTORE, err);
}

static HRESULT run_method(struct vss_backup_components *session, enum session_method method,
                          HRESULT (*run)(struct vss_backup_components *, struct error *),
                          struct vss_async **out)
{
    if (out) {
        *out = NULL;
    }
    HRESULT hr = session_begin(session, method);
    if (FAILED(hr)) {
        return hr;
    }
    if (!out) {
        return session_null_argument(session, "out");
    }
    return session_run(session, method, run, out);
}

HRESULT vss_backup_components_gather_writer_metadata(struct vss_backup_components *session,
                                                     struct vss_async **out)
{
    return run_method(session, METHOD_GATHER_WRITER_METADATA, gather, out);
}

HRESULT vss_backup_components_prepare_for_backup(struct vss_backup_components *session,
                                                 struct vss_async **out)
{
    return run_method(session, METHOD_PREPARE_FOR_BACKUP, prepare_for_backup, out);
}

HRESULT vss_backup_components_backup_complete(struct vss_backup_components *session,
                                              struct vss_async **out)
{
    return run_method(session, METHOD_BACKUP_COMPLETE, backup_complete, out);
}

HRESULT vss_backup_components_pre_restore(struct vss_backup_components *session,
                                          struct vss_async **out)
{
    return run_method(session, METHOD_PRE_RESTORE, pre_restore, out);
}

HRESULT vss_backup_components_post_restore(struct vss_backup_components *session,
                                           struct vss_async **out)
{
    return run_method(session, METHOD_POST_RESTORE, post_restore, out);
}

/* Reserved in VSS too. */
static HRESULT refuse_reserved(struct vss_backup_components *session, enum session_method method,
                               struct vss_async **out)
{
    if (out) {
        *out = NULL;
    }
    HRESULT hr = session_begin(session, method);
    if (FAILED(hr)) {
        return hr;
    }
    hr = error_set(&session->err, E_NOTIMPL,
                   "%s is reserved; RecoverSet brings LUNs back, an import and a break swap them",
                   states_method_name(method));
    return session_end(session, method, hr);
}

HRESULT vss_backup_components_pre_fast_recovery(struct vss_backup_components *session,
                                                const VSS_ID *id, uint32_t flags,
                                                struct vss_async **out)
{
    (void)id;
    (void)flags;
    return refuse_reserved(session, METHOD_PRE_FAST_RECOVERY, out);
}

HRESULT vss_backup_components_fast_recovery(struct vss_backup_components *session, const VSS_ID *id,
                                            uint32_t flags, struct vss_async **out)
{
    (void)id;
    (void)flags;
    return refuse_reserved(session, METHOD_FAST_RECOVERY, out);
}
