/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_REQUESTER_SESSION_H
#define LUNSHADOW_REQUESTER_SESSION_H

#include "provider/set/set.h"
#include "requester/async.h"
#include "requester/document/document.h"
#include "requester/states.h"
#include "requester/writer_metadata.h"
#include "requester/writers/writers.h"
#include "resync/recovery.h"

#include <pthread.h>

struct writer_status;
struct revert;

/* A session. Its fields belong to the one thread that calls its methods; while an operation runs,
 * to that operation's thread, and every method refuses. conditions, which decides that, is guarded
 * by mutex. */
struct vss_backup_components {
    pthread_mutex_t mutex;
    uint32_t conditions;         /* enum session_condition */
    struct vss_async *operation; /* the last one, until session_begin() lets go of it */

    struct set_environment *env;
    VSS_ID session_id;
    struct error err; /* of the last method */
    struct document *document;
    uint32_t context;
    uint32_t platform_level; /* enum vss_platform_level */
    uint32_t undo;           /* enum vss_undo */
    struct copy_wish copy;   /* how its resyncs copy */

    /* of GatherWriterMetadata: filled by its operation; kept when a caller frees what it can see */
    struct gathered_writers writers;
    struct writers *writer_host;    /* their processes */
    struct writer_status *statuses; /* of GatherWriterStatus */
    size_t status_count;
    const struct set_record *made_set; /* while writers are told post-snapshot */

    struct set_builder *builder; /* a set in creation */
    VSS_ID set_id;               /* in creation, or made by this session */
    VSS_ID *released_sets;       /* made here, to be deleted at the end */
    size_t released_count;

    struct set_record document_set; /* what the document that was given describes */
    struct set_record recovery_set; /* what recovery works on */
    struct recovery *recovery;
    bool has_run_recovery; /* without a report then: memory was short */
    char *recovery_report;
    struct revert *revert; /* the last one that this session began, in a thread of its own */

    /* arguments of the running operation */
    enum session_method method;
    HRESULT (*run)(struct vss_backup_components *session, struct error *err);
    VSS_ID argument_id;
    uint32_t argument_flags;
    char argument_key[LUN_KEY_BYTES];
};

/* The two ends of every method: begin checks the caller, the state and that the registry is still
 * in its place, empties the error record and ends what is left of the last operation; end applies
 * the state change and closes the list of codes. A NULL session is E_INVALIDARG. After a failure of
 * begin, end must not be called. AbortBackup, which must give up what it can, begins without a look
 * at the registry. */
HRESULT session_begin(struct vss_backup_components *session, enum session_method method);
HRESULT session_begin_abort(struct vss_backup_components *session, enum session_method method);
HRESULT session_end(struct vss_backup_components *session, enum session_method method, HRESULT hr);

/* Runs the rest of a method that session_begin() allowed as an operation; takes the place of
 * session_end(). */
HRESULT session_run(struct vss_backup_components *session, enum session_method method,
                    HRESULT (*run)(struct vss_backup_components *session, struct error *err),
                    struct vss_async **out);

/* Options of an older or newer caller: what both know counts. */
HRESULT session_read_options(const struct vss_session_options *options,
                             struct vss_session_options *out, struct error *err);

/* hr as the platform level of these options has it, for what has no session. */
HRESULT session_at_level(const struct vss_session_options *options, HRESULT hr);

/* Which of the documented codes an environment that does not open comes to. */
HRESULT session_creation_result(HRESULT hr, struct error *err);

/* E_INVALIDARG for the argument of that name, within begin and end. */
HRESULT session_null_argument(struct vss_backup_components *session, const char *name);

/* Waits for the end of a revert that this session began, and forgets it. */
void session_end_revert(struct vss_backup_components *session);

/* Adds conditions that depend on arguments, and takes them away. */
void session_add_conditions(struct vss_backup_components *session, uint32_t conditions);
void session_drop_conditions(struct vss_backup_components *session, uint32_t conditions);

/* SESSION_COMPONENTS as the document has it. */
void session_note_selection(struct vss_backup_components *session, bool selects_components);

/* Writes set id (null: none) to the document's root. */
HRESULT session_note_set(struct vss_backup_components *session, const VSS_ID *set_id,
                         struct error *err);

#endif
