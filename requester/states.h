/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_REQUESTER_STATES_H
#define LUNSHADOW_REQUESTER_STATES_H

#include "common/error.h"

#include <stdint.h>

/* The state machine of a session: what has happened to it as a set of conditions, and for each
 * method which of them it needs, forbids, brings about and ends. One const table says all;
 * states_check() and states_next() are all that reads it. Nothing here knows a session. */

enum session_condition {
    SESSION_BUSY = 1u << 0,           /* an asynchronous operation runs */
    SESSION_BACKUP = 1u << 1,         /* InitializeForBackup */
    SESSION_RESTORE = 1u << 2,        /* InitializeForRestore */
    SESSION_DOCUMENT = 1u << 3,       /* a document with a snapshot set was given */
    SESSION_CONTEXT = 1u << 4,        /* SetContext */
    SESSION_NO_WRITERS = 1u << 5,     /* the context is one without writers */
    SESSION_ALL = 1u << 6,            /* VSS_CTX_ALL: administration, never creation */
    SESSION_BACKUP_STATE = 1u << 7,   /* SetBackupState */
    SESSION_GATHERED = 1u << 8,       /* GatherWriterMetadata ended well, once */
    SESSION_METADATA = 1u << 9,       /* what it gathered is still held */
    SESSION_SET = 1u << 10,           /* StartSnapshotSet: a set in creation */
    SESSION_VOLUMES = 1u << 11,       /* the set has a volume */
    SESSION_PREPARED = 1u << 12,      /* PrepareForBackup */
    SESSION_DONE = 1u << 13,          /* DoSnapshotSet succeeded */
    SESSION_COMPLETED = 1u << 14,     /* BackupComplete */
    SESSION_IMPORTED = 1u << 15,      /* ImportSnapshots succeeded */
    SESSION_MEMBERS = 1u << 16,       /* the recovery set has a member */
    SESSION_COMPONENTS = 1u << 17,    /* the session selects components: SetBackupState, document */
    SESSION_PRE_RESTORED = 1u << 18,  /* PreRestore */
    SESSION_POST_RESTORED = 1u << 19, /* PostRestore */
    SESSION_STATUS = 1u << 20,        /* GatherWriterStatus, and what it gathered is still held */
    SESSION_ABORTED = 1u << 21        /* AbortBackup, and no set was started since */
};
#define SESSION_CONDITION_COUNT 22

enum session_method {
    METHOD_INITIALIZE_FOR_BACKUP,
    METHOD_INITIALIZE_FOR_RESTORE,
    METHOD_SET_CONTEXT,
    METHOD_SET_BACKUP_STATE,
    METHOD_GATHER_WRITER_METADATA,
    METHOD_GET_WRITER_METADATA_COUNT,
    METHOD_GET_WRITER_METADATA,
    METHOD_GET_WRITER_METADATA_EX,
    METHOD_FREE_WRITER_METADATA,
    METHOD_START_SNAPSHOT_SET,
    METHOD_ADD_TO_SNAPSHOT_SET,
    METHOD_IS_VOLUME_SUPPORTED,
    METHOD_PREPARE_FOR_BACKUP,
    METHOD_DO_SNAPSHOT_SET,
    METHOD_BACKUP_COMPLETE,
    METHOD_ABORT_BACKUP,
    METHOD_SAVE_AS_XML,
    METHOD_GET_SNAPSHOT_PROPERTIES,
    METHOD_QUERY,
    METHOD_IMPORT_SNAPSHOTS,
    METHOD_BREAK_SNAPSHOT_SET,
    METHOD_BREAK_SNAPSHOT_SET_EX,
    METHOD_DELETE_SNAPSHOTS,
    METHOD_ADD_SNAPSHOT_TO_RECOVERY_SET,
    METHOD_RECOVER_SET,
    METHOD_EXPOSE_SNAPSHOT,
    METHOD_UNEXPOSE_SNAPSHOT,
    METHOD_REVERT_TO_SNAPSHOT,
    METHOD_QUERY_REVERT_STATUS,
    METHOD_GET_ROOT_AND_LOGICAL_PREFIX_PATHS,
    METHOD_RECOVERY_REPORT,
    METHOD_ENABLE_WRITER_CLASSES,
    METHOD_DISABLE_WRITER_CLASSES,
    METHOD_DISABLE_WRITER_INSTANCES,
    METHOD_GATHER_WRITER_STATUS,
    METHOD_GET_WRITER_STATUS_COUNT,
    METHOD_FREE_WRITER_STATUS,
    METHOD_GET_WRITER_STATUS,
    METHOD_GET_WRITER_STATUS_EX,
    METHOD_PRE_RESTORE,
    METHOD_POST_RESTORE,
    METHOD_PRE_FAST_RECOVERY,
    METHOD_FAST_RECOVERY,
    METHOD_GET_WRITER_COMPONENTS_COUNT,
    METHOD_GET_WRITER_COMPONENTS,
    METHOD_ADD_COMPONENT,
    METHOD_SET_BACKUP_OPTIONS,
    METHOD_SET_PREVIOUS_BACKUP_STAMP,
    METHOD_SET_BACKUP_SUCCEEDED,
    METHOD_SET_RESTORE_STATE,
    METHOD_SET_SELECTED_FOR_RESTORE,
    METHOD_SET_SELECTED_FOR_RESTORE_EX,
    METHOD_SET_RESTORE_OPTIONS,
    METHOD_SET_ADDITIONAL_RESTORES,
    METHOD_SET_AUTHORITATIVE_RESTORE,
    METHOD_SET_RESTORE_NAME,
    METHOD_SET_ROLL_FORWARD,
    METHOD_ADD_RESTORE_SUBCOMPONENT,
    METHOD_ADD_NEW_TARGET,
    METHOD_ADD_ALTERNATIVE_LOCATION_MAPPING,
    METHOD_SET_RANGES_FILE_PATH,
    METHOD_SET_FILE_RESTORE_STATUS,
    METHOD_COUNT
};

const char *states_method_name(enum session_method method); /* "StartSnapshotSet" */

/* S_OK, or the code with which the method refuses in this state (VSS_E_BAD_STATE; VSS_E_UNEXPECTED,
 * or E_FAIL, where its documented list has no such code), the text naming the condition and what to
 * call first. */
HRESULT states_check(enum session_method method, uint32_t conditions, struct error *err);

/* The conditions after the method ended with hr. SESSION_NO_WRITERS, SESSION_ALL and
 * SESSION_DOCUMENT depend on arguments and are the caller's to add. */
uint32_t states_next(enum session_method method, uint32_t conditions, HRESULT hr);

/* hr as a system of that level (enum vss_platform_level) says it; for what states_check() and
 * states_result() return. */
HRESULT states_at_level(enum session_method method, uint32_t level, HRESULT hr, struct error *err);

/* The same of what GetWriterStatus says of a writer. */
HRESULT states_failure_at_level(uint32_t level, HRESULT failure);

/* hr where the method's documented list has it, or where it is one of the four codes that any
 * method may give; else VSS_E_UNEXPECTED with err's text kept. Methods that list E_FAIL say that
 * instead of VSS_E_UNEXPECTED. */
HRESULT states_result(enum session_method method, HRESULT hr, struct error *err);

#endif
