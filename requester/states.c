/* SPDX-License-Identifier: Apache-2.0 */
#include "requester/states.h"

#include <lunshadow/requester.h>
#include <stdbool.h>
#include <stddef.h>

#define CODES_MAX 12

/* One method. Beside what is said here every method forbids SESSION_BUSY. */
struct rule {
    const char *name;
    uint32_t needs;            /* all of these */
    uint32_t needs_any;        /* one of these; 0: nothing */
    uint32_t needs_writers;    /* all of these in contexts with writers */
    uint32_t needs_no_writers; /* all of these in the others */
    uint32_t forbids;
    uint32_t sets;   /* after success */
    uint32_t clears; /* after success */
    uint32_t clears_on_failure;
    HRESULT codes[CODES_MAX]; /* documented failures beside the four that all may give; 0 ends */
};

/* What a set in creation is made of. */
#define IN_CREATION (SESSION_SET | SESSION_VOLUMES | SESSION_PREPARED)

/* clang-format off */
static const struct rule rules[METHOD_COUNT] = {
    [METHOD_INITIALIZE_FOR_BACKUP] = {
        .name = "InitializeForBackup",
        .forbids = SESSION_BACKUP | SESSION_RESTORE,
        .sets = SESSION_BACKUP,
        .codes = {VSS_E_BAD_STATE, VSS_E_INVALID_XML_DOCUMENT}},
    [METHOD_INITIALIZE_FOR_RESTORE] = {
        .name = "InitializeForRestore",
        .forbids = SESSION_BACKUP | SESSION_RESTORE,
        .sets = SESSION_RESTORE,
        .codes = {VSS_E_BAD_STATE, VSS_E_INVALID_XML_DOCUMENT}},
    [METHOD_SET_CONTEXT] = {
        .name = "SetContext",
        .needs = SESSION_BACKUP,
        .forbids = SESSION_CONTEXT | SESSION_SET | SESSION_DONE,
        .sets = SESSION_CONTEXT,
        .codes = {VSS_E_BAD_STATE}},
    [METHOD_SET_BACKUP_STATE] = {
        .name = "SetBackupState",
        .needs_any = SESSION_BACKUP | SESSION_RESTORE,
        .forbids = SESSION_PREPARED | SESSION_DONE,
        .sets = SESSION_BACKUP_STATE,
        .codes = {VSS_E_BAD_STATE, VSS_E_INVALID_XML_DOCUMENT}},
    [METHOD_GATHER_WRITER_METADATA] = {
        .name = "GatherWriterMetadata",
        .needs_any = SESSION_BACKUP | SESSION_RESTORE,
        .forbids = SESSION_GATHERED | SESSION_PREPARED,
        .sets = SESSION_GATHERED | SESSION_METADATA,
        .codes = {VSS_E_BAD_STATE, VSS_E_WRITER_INFRASTRUCTURE}},
    [METHOD_GET_WRITER_METADATA_COUNT] = {
        .name = "GetWriterMetadataCount",
        .needs = SESSION_METADATA,
        .codes = {VSS_E_BAD_STATE}},
    [METHOD_GET_WRITER_METADATA] = {
        .name = "GetWriterMetadata",
        .needs = SESSION_METADATA,
        .codes = {VSS_E_BAD_STATE, VSS_E_INVALID_XML_DOCUMENT, VSS_E_OBJECT_NOT_FOUND}},
    [METHOD_GET_WRITER_METADATA_EX] = {
        .name = "GetWriterMetadataEx",
        .needs = SESSION_METADATA,
        .codes = {VSS_E_BAD_STATE, VSS_E_INVALID_XML_DOCUMENT, VSS_E_OBJECT_NOT_FOUND}},
    [METHOD_FREE_WRITER_METADATA] = {
        .name = "FreeWriterMetadata",
        .needs = SESSION_GATHERED,
        .clears = SESSION_METADATA,
        .codes = {VSS_E_BAD_STATE}},
    [METHOD_START_SNAPSHOT_SET] = {
        .name = "StartSnapshotSet",
        .needs = SESSION_BACKUP,
        .forbids = SESSION_ALL | SESSION_DOCUMENT | SESSION_SET | SESSION_DONE,
        .sets = SESSION_SET,
        .clears = SESSION_ABORTED,
        .codes = {VSS_E_BAD_STATE, VSS_E_SNAPSHOT_SET_IN_PROGRESS}},
    [METHOD_ADD_TO_SNAPSHOT_SET] = {
        .name = "AddToSnapshotSet",
        .needs = SESSION_SET,
        .forbids = SESSION_PREPARED,
        .sets = SESSION_VOLUMES,
        .codes = {VSS_E_BAD_STATE, VSS_E_MAXIMUM_NUMBER_OF_VOLUMES_REACHED,
                  VSS_E_MAXIMUM_NUMBER_OF_SNAPSHOTS_REACHED, VSS_E_NESTED_VOLUME_LIMIT,
                  VSS_E_OBJECT_NOT_FOUND, VSS_E_PROVIDER_NOT_REGISTERED, VSS_E_PROVIDER_VETO,
                  VSS_E_SNAPSHOT_SET_IN_PROGRESS, VSS_E_VOLUME_NOT_SUPPORTED,
                  VSS_E_VOLUME_NOT_SUPPORTED_BY_PROVIDER, VSS_E_UNEXPECTED_PROVIDER_ERROR}},
    [METHOD_IS_VOLUME_SUPPORTED] = {
        .name = "IsVolumeSupported",
        .needs = SESSION_BACKUP,
        .codes = {VSS_E_BAD_STATE, VSS_E_NESTED_VOLUME_LIMIT, VSS_E_OBJECT_NOT_FOUND}},
    [METHOD_PREPARE_FOR_BACKUP] = {
        .name = "PrepareForBackup",
        .needs = SESSION_SET | SESSION_BACKUP_STATE,
        .forbids = SESSION_NO_WRITERS | SESSION_PREPARED,
        .sets = SESSION_PREPARED,
        .codes = {VSS_E_BAD_STATE}},
    [METHOD_DO_SNAPSHOT_SET] = {
        .name = "DoSnapshotSet",
        .needs = SESSION_SET,
        .needs_writers = SESSION_GATHERED | SESSION_PREPARED,
        .needs_no_writers = SESSION_VOLUMES,
        .sets = SESSION_DONE,
        .clears = IN_CREATION,
        .clears_on_failure = IN_CREATION,
        .codes = {VSS_E_BAD_STATE, VSS_E_INSUFFICIENT_STORAGE, VSS_E_FLUSH_WRITES_TIMEOUT,
                  VSS_E_HOLD_WRITES_TIMEOUT, VSS_E_NESTED_VOLUME_LIMIT, VSS_E_PROVIDER_VETO,
                  VSS_E_REBOOT_REQUIRED, VSS_E_TRANSACTION_FREEZE_TIMEOUT,
                  VSS_E_TRANSACTION_THAW_TIMEOUT, VSS_E_UNEXPECTED_PROVIDER_ERROR}},
    [METHOD_BACKUP_COMPLETE] = {
        .name = "BackupComplete",
        .needs = SESSION_DONE,
        .forbids = SESSION_NO_WRITERS | SESSION_COMPLETED | SESSION_ABORTED,
        .sets = SESSION_COMPLETED,
        .codes = {VSS_E_BAD_STATE, VSS_E_UNEXPECTED_WRITER_ERROR}},
    [METHOD_ABORT_BACKUP] = {
        .name = "AbortBackup",
        .needs_any = SESSION_BACKUP | SESSION_RESTORE,
        .sets = SESSION_ABORTED,
        .clears = IN_CREATION,
        .codes = {VSS_E_BAD_STATE}},
    [METHOD_SAVE_AS_XML] = {
        .name = "SaveAsXML",
        .needs_any = SESSION_BACKUP | SESSION_RESTORE,
        .codes = {VSS_E_BAD_STATE}},
    [METHOD_GET_SNAPSHOT_PROPERTIES] = {
        .name = "GetSnapshotProperties",
        .needs = SESSION_BACKUP,
        .codes = {VSS_E_BAD_STATE, VSS_E_OBJECT_NOT_FOUND, VSS_E_PROVIDER_VETO,
                  VSS_E_UNEXPECTED_PROVIDER_ERROR}},
    [METHOD_QUERY] = {
        .name = "Query",
        .needs = SESSION_BACKUP,
        .codes = {VSS_E_BAD_STATE, VSS_E_OBJECT_NOT_FOUND, VSS_E_PROVIDER_VETO,
                  VSS_E_UNEXPECTED_PROVIDER_ERROR}},
    [METHOD_IMPORT_SNAPSHOTS] = {
        .name = "ImportSnapshots",
        .needs = SESSION_BACKUP | SESSION_DOCUMENT,
        .forbids = SESSION_IMPORTED,
        .sets = SESSION_IMPORTED,
        .codes = {VSS_E_BAD_STATE, VSS_E_NO_SNAPSHOTS_IMPORTED, VSS_E_SOME_SNAPSHOTS_NOT_IMPORTED}},
    [METHOD_BREAK_SNAPSHOT_SET] = {
        .name = "BreakSnapshotSet",
        .needs = SESSION_BACKUP,
        .codes = {VSS_E_OBJECT_NOT_FOUND, VSS_E_PROVIDER_VETO}},
    [METHOD_BREAK_SNAPSHOT_SET_EX] = {
        .name = "BreakSnapshotSetEx",
        .needs = SESSION_BACKUP,
        .codes = {VSS_E_BREAK_REVERT_ID_FAILED, VSS_E_OBJECT_NOT_FOUND, VSS_E_PROVIDER_VETO}},
    [METHOD_DELETE_SNAPSHOTS] = {
        .name = "DeleteSnapshots",
        .needs = SESSION_BACKUP,
        .codes = {VSS_E_OBJECT_NOT_FOUND, VSS_E_PROVIDER_VETO, VSS_E_UNEXPECTED_PROVIDER_ERROR}},
    [METHOD_ADD_SNAPSHOT_TO_RECOVERY_SET] = {
        .name = "AddSnapshotToRecoverySet",
        .needs = SESSION_RESTORE,
        .sets = SESSION_MEMBERS,
        .codes = {VSS_E_BAD_STATE, VSS_E_LEGACY_PROVIDER, VSS_E_OBJECT_NOT_FOUND,
                  VSS_E_RESYNC_IN_PROGRESS, VSS_E_SNAPSHOT_NOT_IN_SET, VSS_E_VOLUME_NOT_SUPPORTED}},
    [METHOD_RECOVER_SET] = {
        .name = "RecoverSet",
        .needs = SESSION_RESTORE | SESSION_MEMBERS,
        .clears = SESSION_MEMBERS,
        .clears_on_failure = SESSION_MEMBERS,
        .codes = {VSS_E_BAD_STATE, VSS_E_LEGACY_PROVIDER, VSS_E_PROVIDER_VETO,
                  VSS_E_UNSELECTED_VOLUME, VSS_E_CANNOT_REVERT_DISKID, VSS_E_RESYNC_IN_PROGRESS}},
    [METHOD_EXPOSE_SNAPSHOT] = {
        .name = "ExposeSnapshot",
        .needs = SESSION_BACKUP,
        .codes = {VSS_E_BAD_STATE, VSS_E_OBJECT_NOT_FOUND, VSS_E_PROVIDER_VETO,
                  VSS_E_UNEXPECTED_PROVIDER_ERROR}},
    [METHOD_UNEXPOSE_SNAPSHOT] = {
        .name = "UnexposeSnapshot",
        .needs = SESSION_BACKUP,
        .codes = {VSS_E_BAD_STATE, VSS_E_OBJECT_NOT_FOUND, VSS_E_PROVIDER_VETO,
                  VSS_E_UNEXPECTED_PROVIDER_ERROR}},
    [METHOD_REVERT_TO_SNAPSHOT] = {
        .name = "RevertToSnapshot",
        .needs = SESSION_BACKUP,
        .codes = {E_FAIL, E_NOTIMPL, VSS_E_OBJECT_NOT_FOUND, VSS_E_PROVIDER_NOT_REGISTERED,
                  VSS_E_REVERT_IN_PROGRESS, VSS_E_UNSUPPORTED_CONTEXT, VSS_E_VOLUME_IN_USE,
                  VSS_E_VOLUME_NOT_SUPPORTED}},
    [METHOD_QUERY_REVERT_STATUS] = {
        .name = "QueryRevertStatus",
        .needs_any = SESSION_BACKUP | SESSION_RESTORE,
        .codes = {E_FAIL, E_NOTIMPL, E_POINTER, VSS_E_OBJECT_NOT_FOUND,
                  VSS_E_VOLUME_NOT_SUPPORTED}},
    [METHOD_GET_ROOT_AND_LOGICAL_PREFIX_PATHS] = {
        .name = "GetRootAndLogicalPrefixPaths",
        .needs = SESSION_BACKUP},
    [METHOD_RECOVERY_REPORT] = {
        .name = "the recovery report",
        .needs = SESSION_RESTORE,
        .codes = {VSS_E_BAD_STATE}},
    [METHOD_ENABLE_WRITER_CLASSES] = {
        .name = "EnableWriterClasses",
        .needs_any = SESSION_BACKUP | SESSION_RESTORE,
        .codes = {VSS_E_BAD_STATE}},
    [METHOD_DISABLE_WRITER_CLASSES] = {
        .name = "DisableWriterClasses",
        .needs_any = SESSION_BACKUP | SESSION_RESTORE,
        .codes = {VSS_E_BAD_STATE}},
    [METHOD_DISABLE_WRITER_INSTANCES] = {
        .name = "DisableWriterInstances",
        .needs_any = SESSION_BACKUP | SESSION_RESTORE,
        .codes = {VSS_E_BAD_STATE}},
    [METHOD_GATHER_WRITER_STATUS] = {
        .name = "GatherWriterStatus",
        .needs_any = SESSION_BACKUP | SESSION_RESTORE,
        .sets = SESSION_STATUS,
        .codes = {VSS_E_BAD_STATE, VSS_E_WRITER_INFRASTRUCTURE}},
    [METHOD_GET_WRITER_STATUS_COUNT] = {
        .name = "GetWriterStatusCount",
        .needs = SESSION_STATUS,
        .codes = {VSS_E_BAD_STATE}},
    [METHOD_FREE_WRITER_STATUS] = {
        .name = "FreeWriterStatus",
        .needs = SESSION_STATUS,
        .clears = SESSION_STATUS,
        .codes = {VSS_E_BAD_STATE}},
    [METHOD_GET_WRITER_STATUS] = {
        .name = "GetWriterStatus",
        .needs = SESSION_STATUS,
        .codes = {VSS_E_BAD_STATE, VSS_E_OBJECT_NOT_FOUND}},
    [METHOD_GET_WRITER_STATUS_EX] = {
        .name = "GetWriterStatusEx",
        .needs = SESSION_STATUS,
        .codes = {VSS_E_BAD_STATE, VSS_E_OBJECT_NOT_FOUND}},
    [METHOD_PRE_RESTORE] = {
        .name = "PreRestore",
        .needs = SESSION_RESTORE | SESSION_GATHERED,
        .forbids = SESSION_PRE_RESTORED,
        .sets = SESSION_PRE_RESTORED,
        .codes = {VSS_E_BAD_STATE}},
    [METHOD_POST_RESTORE] = {
        .name = "PostRestore",
        .needs = SESSION_RESTORE | SESSION_PRE_RESTORED,
        .forbids = SESSION_POST_RESTORED,
        .sets = SESSION_POST_RESTORED,
        .codes = {VSS_E_BAD_STATE, VSS_E_PROVIDER_VETO, VSS_E_OBJECT_NOT_FOUND}},
    [METHOD_PRE_FAST_RECOVERY] = {
        .name = "PreFastRecovery",
        .needs_any = SESSION_BACKUP | SESSION_RESTORE,
        .codes = {VSS_E_BAD_STATE, E_NOTIMPL}},
    [METHOD_FAST_RECOVERY] = {
        .name = "FastRecovery",
        .needs_any = SESSION_BACKUP | SESSION_RESTORE,
        .codes = {VSS_E_BAD_STATE, E_NOTIMPL}},
    [METHOD_GET_WRITER_COMPONENTS_COUNT] = {
        .name = "GetWriterComponentsCount",
        .needs_any = SESSION_BACKUP | SESSION_RESTORE,
        .codes = {VSS_E_BAD_STATE}},
    [METHOD_GET_WRITER_COMPONENTS] = {
        .name = "GetWriterComponents",
        .needs_any = SESSION_BACKUP | SESSION_RESTORE,
        .codes = {VSS_E_BAD_STATE, VSS_E_OBJECT_NOT_FOUND}},
    [METHOD_ADD_COMPONENT] = {
        .name = "AddComponent",
        .needs = SESSION_BACKUP | SESSION_GATHERED | SESSION_COMPONENTS,
        .forbids = SESSION_NO_WRITERS | SESSION_PREPARED | SESSION_DONE,
        .codes = {VSS_E_BAD_STATE, VSS_E_INVALID_XML_DOCUMENT, VSS_E_OBJECT_ALREADY_EXISTS}},
    [METHOD_SET_BACKUP_OPTIONS] = {
        .name = "SetBackupOptions",
        .needs = SESSION_BACKUP,
        .forbids = SESSION_NO_WRITERS | SESSION_PREPARED | SESSION_DONE,
        .codes = {VSS_E_BAD_STATE, VSS_E_INVALID_XML_DOCUMENT, VSS_E_OBJECT_NOT_FOUND}},
    [METHOD_SET_PREVIOUS_BACKUP_STAMP] = {
        .name = "SetPreviousBackupStamp",
        .needs = SESSION_BACKUP,
        .forbids = SESSION_NO_WRITERS | SESSION_PREPARED | SESSION_DONE,
        .codes = {VSS_E_BAD_STATE, VSS_E_INVALID_XML_DOCUMENT, VSS_E_OBJECT_NOT_FOUND}},
    [METHOD_SET_BACKUP_SUCCEEDED] = {
        .name = "SetBackupSucceeded",
        .needs = SESSION_BACKUP | SESSION_DONE | SESSION_COMPONENTS,
        .forbids = SESSION_NO_WRITERS | SESSION_COMPLETED,
        .codes = {VSS_E_BAD_STATE, VSS_E_INVALID_XML_DOCUMENT, VSS_E_OBJECT_NOT_FOUND}},
    [METHOD_SET_RESTORE_STATE] = {
        .name = "SetRestoreState",
        .needs = SESSION_RESTORE,
        .forbids = SESSION_PRE_RESTORED,
        .codes = {VSS_E_BAD_STATE, VSS_E_INVALID_XML_DOCUMENT}},
    [METHOD_SET_SELECTED_FOR_RESTORE] = {
        .name = "SetSelectedForRestore",
        .needs = SESSION_RESTORE | SESSION_GATHERED | SESSION_COMPONENTS,
        .forbids = SESSION_PRE_RESTORED,
        .codes = {VSS_E_BAD_STATE, VSS_E_INVALID_XML_DOCUMENT, VSS_E_OBJECT_NOT_FOUND}},
    [METHOD_SET_SELECTED_FOR_RESTORE_EX] = {
        .name = "SetSelectedForRestoreEx",
        .needs = SESSION_RESTORE | SESSION_GATHERED | SESSION_COMPONENTS,
        .forbids = SESSION_PRE_RESTORED,
        .codes = {VSS_E_BAD_STATE, VSS_E_INVALID_XML_DOCUMENT, VSS_E_OBJECT_NOT_FOUND}},
    [METHOD_SET_RESTORE_OPTIONS] = {
        .name = "SetRestoreOptions",
        .needs = SESSION_RESTORE,
        .forbids = SESSION_PRE_RESTORED,
        .codes = {VSS_E_BAD_STATE, VSS_E_INVALID_XML_DOCUMENT, VSS_E_OBJECT_NOT_FOUND}},
    [METHOD_SET_ADDITIONAL_RESTORES] = {
        .name = "SetAdditionalRestores",
        .needs = SESSION_RESTORE,
        .forbids = SESSION_PRE_RESTORED,
        .codes = {VSS_E_BAD_STATE, VSS_E_INVALID_XML_DOCUMENT, VSS_E_OBJECT_NOT_FOUND}},
    [METHOD_SET_AUTHORITATIVE_RESTORE] = {
        .name = "SetAuthoritativeRestore",
        .needs = SESSION_RESTORE,
        .forbids = SESSION_PRE_RESTORED,
        .codes = {VSS_E_BAD_STATE, VSS_E_OBJECT_NOT_FOUND}},
    [METHOD_SET_RESTORE_NAME] = {
        .name = "SetRestoreName",
        .needs = SESSION_RESTORE,
        .forbids = SESSION_PRE_RESTORED,
        .codes = {VSS_E_BAD_STATE, VSS_E_OBJECT_NOT_FOUND}},
    [METHOD_SET_ROLL_FORWARD] = {
        .name = "SetRollForward",
        .needs = SESSION_RESTORE,
        .forbids = SESSION_PRE_RESTORED,
        .codes = {VSS_E_BAD_STATE, VSS_E_OBJECT_NOT_FOUND}},
    [METHOD_ADD_RESTORE_SUBCOMPONENT] = {
        .name = "AddRestoreSubcomponent",
        .needs = SESSION_RESTORE,
        .forbids = SESSION_PRE_RESTORED,
        .codes = {VSS_E_BAD_STATE, VSS_E_INVALID_XML_DOCUMENT, VSS_E_OBJECT_NOT_FOUND}},
    [METHOD_ADD_NEW_TARGET] = {
        .name = "AddNewTarget",
        .needs = SESSION_RESTORE | SESSION_GATHERED,
        .forbids = SESSION_PRE_RESTORED,
        .codes = {VSS_E_BAD_STATE, VSS_E_INVALID_XML_DOCUMENT, VSS_E_OBJECT_NOT_FOUND}},
    [METHOD_ADD_ALTERNATIVE_LOCATION_MAPPING] = {
        .name = "AddAlternativeLocationMapping",
        .needs = SESSION_RESTORE | SESSION_GATHERED,
        .forbids = SESSION_POST_RESTORED,
        .codes = {VSS_E_BAD_STATE, VSS_E_INVALID_XML_DOCUMENT, VSS_E_OBJECT_NOT_FOUND}},
    [METHOD_SET_RANGES_FILE_PATH] = {
        .name = "SetRangesFilePath",
        .needs = SESSION_RESTORE,
        .forbids = SESSION_PRE_RESTORED,
        .codes = {VSS_E_BAD_STATE, VSS_E_INVALID_XML_DOCUMENT, VSS_E_OBJECT_NOT_FOUND}},
    [METHOD_SET_FILE_RESTORE_STATUS] = {
        .name = "SetFileRestoreStatus",
        .needs = SESSION_RESTORE,
        .forbids = SESSION_POST_RESTORED,
        .codes = {VSS_E_BAD_STATE, VSS_E_INVALID_XML_DOCUMENT, VSS_E_OBJECT_NOT_FOUND}},
};

/* By bit: what is wrong where the condition is missing, and where it is there. */
static const struct {
    const char *missing;
    const char *present;
} advice[SESSION_CONDITION_COUNT] = {
    {"", "an asynchronous operation of this session still runs; wait for it"},
    {"the session was not initialized for backup; call InitializeForBackup first",
     "the session is already initialized"},
    {"the session was not initialized for restore; call InitializeForRestore first",
     "the session is already initialized"},
    {"the session was given no document with a snapshot set",
     "the session was given a document; use a new session to make a set"},
    {"the session's context was not set", "the session's context was set before"},
    {"the session's context has writers", "the session's context is one without writers"},
    {"the session's context is not VSS_CTX_ALL",
     "the session's context is VSS_CTX_ALL, which makes no sets"},
    {"call SetBackupState first", "SetBackupState was called before"},
    {"call GatherWriterMetadata and wait for it first",
     "writer metadata was gathered before, which a session does once"},
    {"call GatherWriterMetadata and wait for it first, and do not free what it gathered", ""},
    {"no set is in creation; call StartSnapshotSet first", "a set is already in creation"},
    {"the set has no volume; call AddToSnapshotSet first", "the set already has volumes"},
    {"call PrepareForBackup and wait for it first", "PrepareForBackup was called before"},
    {"no set was made; call DoSnapshotSet and wait for it first",
     "this session has made its set; use a new session"},
    {"the backup was not completed", "BackupComplete was called before"},
    {"nothing was imported", "this session has imported its set before"},
    {"the recovery set is empty; call AddSnapshotToRecoverySet first",
     "the recovery set already has members"},
    {"the session does not select components; call SetBackupState with select_components first",
     "the session selects components"},
    {"call PreRestore and wait for it first", "PreRestore was called before"},
    {"call PostRestore and wait for it first", "PostRestore was called before"},
    {"call GatherWriterStatus and wait for it first, and do not free what it gathered", ""},
    {"", "the backup was aborted, and the writers were told so"},
};
/* clang-format on */

const char *states_method_name(enum session_method method)
{
    return rules[method].name;
}

/* The failures that any method may give. */
static bool is_common(HRESULT hr)
{
    return hr == E_OUTOFMEMORY || hr == E_INVALIDARG || hr == E_ACCESSDENIED ||
           hr == VSS_E_UNEXPECTED;
}

static bool is_listed(const struct rule *rule, HRESULT hr)
{
    for (size_t i = 0; i < CODES_MAX && rule->codes[i] != 0; i++) {
        if (rule->codes[i] == hr) {
            return true;
        }
    }
    return false;
}

/* How a method says that something else failed: the documented lists have one code for it each. */
static HRESULT unexpected(const struct rule *rule)
{
    return is_listed(rule, E_FAIL) ? E_FAIL : VSS_E_UNEXPECTED;
}

/* Refuses for the lowest bit of bits: they are in the order in which things happen. */
static HRESULT refuse(const struct rule *rule, uint32_t bits, bool is_missing, struct error *err)
{
    size_t bit = 0;
    while ((bits >> bit & 1u) == 0) {
        bit++;
    }
    HRESULT code = is_listed(rule, VSS_E_BAD_STATE) ? VSS_E_BAD_STATE : unexpected(rule);
    return error_set(err, code, "%s: %s", rule->name,
                     is_missing ? advice[bit].missing : advice[bit].present);
}

HRESULT states_check(enum session_method method, uint32_t conditions, struct error *err)
{
    const struct rule *rule = &rules[method];
    uint32_t needs = rule->needs;
    needs |= conditions & SESSION_NO_WRITERS ? rule->needs_no_writers : rule->needs_writers;
    uint32_t missing = needs & ~conditions;
    uint32_t forbidden = (rule->forbids | SESSION_BUSY) & conditions;
    if (forbidden & SESSION_BUSY) {
        return refuse(rule, SESSION_BUSY, false, err);
    }
    if (rule->needs_any && (rule->needs_any & conditions) == 0) {
        return refuse(rule, rule->needs_any, true, err);
    }
    if (forbidden) {
        return refuse(rule, forbidden, false, err);
    }
    return missing ? refuse(rule, missing, true, err) : S_OK;
}

uint32_t states_next(enum session_method method, uint32_t conditions, HRESULT hr)
{
    const struct rule *rule = &rules[method];
    if (FAILED(hr)) {
        return conditions & ~rule->clears_on_failure;
    }
    return (conditions & ~rule->clears) | rule->sets;
}

/* ---- platform levels ---- */

/* Codes that older systems did not have; the first that the method lists in its place counts. */
static const struct {
    HRESULT code;
    uint32_t from_level; /* the newest level without it */
    HRESULT instead;     /* S_OK: none */
} older[] = {
    {VSS_E_NESTED_VOLUME_LIMIT, VSS_PLATFORM_2008, VSS_E_VOLUME_NOT_SUPPORTED},
    {VSS_E_REBOOT_REQUIRED, VSS_PLATFORM_2003, VSS_E_UNEXPECTED_PROVIDER_ERROR},
    {VSS_E_TRANSACTION_FREEZE_TIMEOUT, VSS_PLATFORM_2003, S_OK},
    {VSS_E_TRANSACTION_THAW_TIMEOUT, VSS_PLATFORM_2003, S_OK},
};

HRESULT states_at_level(enum session_method method, uint32_t level, HRESULT hr, struct error *err)
{
    HRESULT old = hr;
    for (size_t i = 0; i < sizeof(older) / sizeof(older[0]); i++) {
        if (older[i].code == hr && level >= older[i].from_level) {
            old = is_listed(&rules[method], older[i].instead) ? older[i].instead : VSS_E_UNEXPECTED;
        }
    }
    if (old == VSS_E_UNEXPECTED && level >= VSS_PLATFORM_2008) {
        old = E_UNEXPECTED;
    }
    return old == hr ? hr : error_translate(err, old);
}

HRESULT states_failure_at_level(uint32_t level, HRESULT failure)
{
    bool is_newer = failure == VSS_E_WRITER_STATUS_NOT_AVAILABLE && level >= VSS_PLATFORM_VISTA;
    return is_newer ? VSS_E_WRITER_NOT_RESPONDING : failure;
}

HRESULT states_result(enum session_method method, HRESULT hr, struct error *err)
{
    const struct rule *rule = &rules[method];
    if (hr == VSS_E_UNEXPECTED && unexpected(rule) != hr) {
        return error_translate(err, unexpected(rule));
    }
    if (SUCCEEDED(hr) || is_common(hr) || is_listed(rule, hr)) {
        return hr;
    }
    const char *name = vss_error_name(hr);
    (void)error_set(err, hr, "%s", vss_error_explanation(hr));
    error_prefix(err, "%s (%s)", rule->name, name ? name : "an unknown code");
    return error_translate(err, unexpected(rule));
}
