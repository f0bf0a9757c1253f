/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_REQUESTER_SESSION_WRITERS_H
#define LUNSHADOW_REQUESTER_SESSION_WRITERS_H

#include "requester/session.h"

/* Whether the session's context is one that writers take part in. */
bool session_has_writers(const struct vss_backup_components *session);

/* What the set sequence calls; all NULL in a context without writers. */
struct set_hooks session_writer_hooks(struct vss_backup_components *session);

/* The same events for a set without volumes, which the set sequence does nothing for. */
HRESULT session_tell_empty_set(struct vss_backup_components *session, struct error *err);

/* After an operation that told writers something: aborts them where it failed, and brings their own
 * failures to the event log. */
void session_end_sequence(struct vss_backup_components *session, HRESULT hr);

/* How a writer stood when GatherWriterStatus looked. */
struct writer_status {
    VSS_ID instance_id;
    VSS_ID class_id;
    char *name;
    int32_t state;
    HRESULT failure;
    HRESULT application;
    char *message;
};
void session_drop_statuses(struct vss_backup_components *session);

#endif
