/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_VSS_H
#define LUNSHADOW_VSS_H

/*
 * What every part of lunshadow and every caller shares: result codes, identifiers, enumerations
 * and plain data structures, with the names and values that VSS documents.
 *
 * Enumerations are named after the documented type in lower case (VSS_SNAPSHOT_STATE becomes
 * `enum vss_snapshot_state`). Structures never hold an enum: they hold an int32_t or uint32_t, so
 * that their layout does not depend on the compiler. Strings are UTF-8, NUL-terminated; a string
 * that is absent is NULL. Storage identification (page 83, LUN information) is in lun.h.
 */

#include <stddef.h>
#include <stdint.h>

/*
 * Result code: negative is a failure, zero and positive are successes. S_FALSE is a success, so
 * test with FAILED or SUCCEEDED, never with `if (hr)`.
 */
typedef int32_t HRESULT;

/* Whether a result code is a success. */
#ifndef SUCCEEDED
#define SUCCEEDED(hr) ((HRESULT)(hr) >= 0)
#endif
/* Whether a result code is a failure. */
#ifndef FAILED
#define FAILED(hr) ((HRESULT)(hr) < 0)
#endif

/*
 * Common codes. Source: winerror.h. One list in the VSS documentation prints E_NOTIMPL as
 * 0x80000001; that is a misprint, which vss_error_lookup understands and nothing returns.
 */
#define S_OK               ((HRESULT)0x00000000u)
#define S_FALSE            ((HRESULT)0x00000001u)
#define E_NOTIMPL          ((HRESULT)0x80004001u)
#define E_POINTER          ((HRESULT)0x80004003u)
#define E_ABORT            ((HRESULT)0x80004004u)
#define E_FAIL             ((HRESULT)0x80004005u)
#define E_UNEXPECTED       ((HRESULT)0x8000ffffu)
#define E_ACCESSDENIED     ((HRESULT)0x80070005u)
#define E_OUTOFMEMORY      ((HRESULT)0x8007000eu)
#define E_INVALIDARG       ((HRESULT)0x80070057u)
#define RPC_E_CHANGED_MODE ((HRESULT)0x80010106u)

/*
 * VSS codes. Source: vsserror.h. 0x80042305 and 0x8004231c are not assigned. Mind the pair
 * VSS_S_SOME_SNAPSHOTS_NOT_IMPORTED (success) and VSS_E_SOME_SNAPSHOTS_NOT_IMPORTED (failure).
 */
#define VSS_E_BAD_STATE                                                   ((HRESULT)0x80042301u)
#define VSS_E_UNEXPECTED                                                  ((HRESULT)0x80042302u)
#define VSS_E_PROVIDER_ALREADY_REGISTERED                                 ((HRESULT)0x80042303u)
#define VSS_E_PROVIDER_NOT_REGISTERED                                     ((HRESULT)0x80042304u)
#define VSS_E_PROVIDER_VETO                                               ((HRESULT)0x80042306u)
#define VSS_E_PROVIDER_IN_USE                                             ((HRESULT)0x80042307u)
#define VSS_E_OBJECT_NOT_FOUND                                            ((HRESULT)0x80042308u)
#define VSS_S_ASYNC_PENDING                                               ((HRESULT)0x00042309u)
#define VSS_S_ASYNC_FINISHED                                              ((HRESULT)0x0004230au)
#define VSS_S_ASYNC_CANCELLED                                             ((HRESULT)0x0004230bu)
#define VSS_E_VOLUME_NOT_SUPPORTED                                        ((HRESULT)0x8004230cu)
#define VSS_E_OBJECT_ALREADY_EXISTS                                       ((HRESULT)0x8004230du)
#define VSS_E_VOLUME_NOT_SUPPORTED_BY_PROVIDER                            ((HRESULT)0x8004230eu)
#define VSS_E_UNEXPECTED_PROVIDER_ERROR                                   ((HRESULT)0x8004230fu)
#define VSS_E_CORRUPT_XML_DOCUMENT                                        ((HRESULT)0x80042310u)
#define VSS_E_INVALID_XML_DOCUMENT                                        ((HRESULT)0x80042311u)
#define VSS_E_MAXIMUM_NUMBER_OF_VOLUMES_REACHED                           ((HRESULT)0x80042312u)
#define VSS_E_FLUSH_WRITES_TIMEOUT                                        ((HRESULT)0x80042313u)
#define VSS_E_HOLD_WRITES_TIMEOUT                                         ((HRESULT)0x80042314u)
#define VSS_E_UNEXPECTED_WRITER_ERROR                                     ((HRESULT)0x80042315u)
#define VSS_E_SNAPSHOT_SET_IN_PROGRESS                                    ((HRESULT)0x80042316u)
#define VSS_E_MAXIMUM_NUMBER_OF_SNAPSHOTS_REACHED                         ((HRESULT)0x80042317u)
#define VSS_E_WRITER_INFRASTRUCTURE                                       ((HRESULT)0x80042318u)
#define VSS_E_WRITER_NOT_RESPONDING                                       ((HRESULT)0x80042319u)
#define VSS_E_WRITER_ALREADY_SUBSCRIBED                                   ((HRESULT)0x8004231au)
#define VSS_E_UNSUPPORTED_CONTEXT                                         ((HRESULT)0x8004231bu)
#define VSS_E_VOLUME_IN_USE                                               ((HRESULT)0x8004231du)
#define VSS_E_MAXIMUM_DIFFAREA_ASSOCIATIONS_REACHED                       ((HRESULT)0x8004231eu)
#define VSS_E_INSUFFICIENT_STORAGE                                        ((HRESULT)0x8004231fu)
#define VSS_E_NO_SNAPSHOTS_IMPORTED                                       ((HRESULT)0x80042320u)
#define VSS_S_SOME_SNAPSHOTS_NOT_IMPORTED                                 ((HRESULT)0x00042321u)
#define VSS_E_SOME_SNAPSHOTS_NOT_IMPORTED                                 ((HRESULT)0x80042321u)
#define VSS_E_MAXIMUM_NUMBER_OF_REMOTE_MACHINES_REACHED                   ((HRESULT)0x80042322u)
#define VSS_E_REMOTE_SERVER_UNAVAILABLE                                   ((HRESULT)0x80042323u)
#define VSS_E_REMOTE_SERVER_UNSUPPORTED                                   ((HRESULT)0x80042324u)
#define VSS_E_REVERT_IN_PROGRESS                                          ((HRESULT)0x80042325u)
#define VSS_E_REVERT_VOLUME_LOST                                          ((HRESULT)0x80042326u)
#define VSS_E_REBOOT_REQUIRED                                             ((HRESULT)0x80042327u)
#define VSS_E_TRANSACTION_FREEZE_TIMEOUT                                  ((HRESULT)0x80042328u)
#define VSS_E_TRANSACTION_THAW_TIMEOUT                                    ((HRESULT)0x80042329u)
#define VSS_E_UNSELECTED_VOLUME                                           ((HRESULT)0x8004232au)
#define VSS_E_SNAPSHOT_NOT_IN_SET                                         ((HRESULT)0x8004232bu)
#define VSS_E_NESTED_VOLUME_LIMIT                                         ((HRESULT)0x8004232cu)
#define VSS_E_VOLUME_NOT_LOCAL                                            ((HRESULT)0x8004232du)
#define VSS_E_CLUSTER_TIMEOUT                                             ((HRESULT)0x8004232eu)
#define VSS_E_NOT_SUPPORTED                                               ((HRESULT)0x8004232fu)
#define VSS_E_WRITERERROR_PARTIAL_FAILURE                                 ((HRESULT)0x80042336u)
#define VSS_E_WRITERERROR_INCONSISTENTSNAPSHOT                            ((HRESULT)0x800423f0u)
#define VSS_E_WRITERERROR_OUTOFRESOURCES                                  ((HRESULT)0x800423f1u)
#define VSS_E_WRITERERROR_TIMEOUT                                         ((HRESULT)0x800423f2u)
#define VSS_E_WRITERERROR_RETRYABLE                                       ((HRESULT)0x800423f3u)
#define VSS_E_WRITERERROR_NONRETRYABLE                                    ((HRESULT)0x800423f4u)
#define VSS_E_WRITERERROR_RECOVERY_FAILED                                 ((HRESULT)0x800423f5u)
#define VSS_E_BREAK_REVERT_ID_FAILED                                      ((HRESULT)0x800423f6u)
#define VSS_E_LEGACY_PROVIDER                                             ((HRESULT)0x800423f7u)
#define VSS_E_MISSING_DISK                                                ((HRESULT)0x800423f8u)
#define VSS_E_MISSING_HIDDEN_VOLUME                                       ((HRESULT)0x800423f9u)
#define VSS_E_MISSING_VOLUME                                              ((HRESULT)0x800423fau)
#define VSS_E_AUTORECOVERY_FAILED                                         ((HRESULT)0x800423fbu)
#define VSS_E_DYNAMIC_DISK_ERROR                                          ((HRESULT)0x800423fcu)
#define VSS_E_NONTRANSPORTABLE_BCD                                        ((HRESULT)0x800423fdu)
#define VSS_E_CANNOT_REVERT_DISKID                                        ((HRESULT)0x800423feu)
#define VSS_E_RESYNC_IN_PROGRESS                                          ((HRESULT)0x800423ffu)
#define VSS_E_CLUSTER_ERROR                                               ((HRESULT)0x80042400u)
#define VSS_E_ASRERROR_DISK_ASSIGNMENT_FAILED                             ((HRESULT)0x80042401u)
#define VSS_E_ASRERROR_DISK_RECREATION_FAILED                             ((HRESULT)0x80042402u)
#define VSS_E_ASRERROR_NO_ARCPATH                                         ((HRESULT)0x80042403u)
#define VSS_E_ASRERROR_MISSING_DYNDISK                                    ((HRESULT)0x80042404u)
#define VSS_E_ASRERROR_SHARED_CRIDISK                                     ((HRESULT)0x80042405u)
#define VSS_E_ASRERROR_DATADISK_RDISK0                                    ((HRESULT)0x80042406u)
#define VSS_E_ASRERROR_RDISK0_TOOSMALL                                    ((HRESULT)0x80042407u)
#define VSS_E_ASRERROR_CRITICAL_DISKS_TOO_SMALL                           ((HRESULT)0x80042408u)
#define VSS_E_WRITER_STATUS_NOT_AVAILABLE                                 ((HRESULT)0x80042409u)
#define VSS_E_ASRERROR_DYNAMIC_VHD_NOT_SUPPORTED                          ((HRESULT)0x8004240au)
#define VSS_E_CRITICAL_VOLUME_ON_INVALID_DISK                             ((HRESULT)0x80042411u)
#define VSS_E_ASRERROR_RDISK_FOR_SYSTEM_DISK_NOT_FOUND                    ((HRESULT)0x80042412u)
#define VSS_E_ASRERROR_NO_PHYSICAL_DISK_AVAILABLE                         ((HRESULT)0x80042413u)
#define VSS_E_ASRERROR_FIXED_PHYSICAL_DISK_AVAILABLE_AFTER_DISK_EXCLUSION ((HRESULT)0x80042414u)
#define VSS_E_ASRERROR_CRITICAL_DISK_CANNOT_BE_EXCLUDED                   ((HRESULT)0x80042415u)
#define VSS_E_ASRERROR_SYSTEM_PARTITION_HIDDEN                            ((HRESULT)0x80042416u)
#define VSS_E_FSS_TIMEOUT                                                 ((HRESULT)0x80042417u)

/*
 * A GUID, fields in host byte order. Passed by value. All zero means "none".
 * Source: VSS_ID, vss.h.
 */
typedef struct vss_id {
    uint32_t data1;
    uint16_t data2;
    uint16_t data3;
    uint8_t data4[8];
} VSS_ID;

/*
 * What a query looks for or an enumerated object is.
 * Source: VSS_OBJECT_TYPE, vss.h.
 */
enum vss_object_type {
    VSS_OBJECT_UNKNOWN = 0,
    VSS_OBJECT_NONE = 1,
    VSS_OBJECT_SNAPSHOT_SET = 2,
    VSS_OBJECT_SNAPSHOT = 3,
    VSS_OBJECT_PROVIDER = 4,
    VSS_OBJECT_TYPE_COUNT = 5,
};

/*
 * Life of one shadow copy. A requester only ever sees VSS_SS_CREATED; the rest is kept by the
 * coordinator and the registry. The values do not follow the order in time: VSS_SS_POSTCOMMITTED
 * comes after VSS_SS_PROCESSING_POSTCOMMIT.
 * Source: VSS_SNAPSHOT_STATE, vss.h.
 */
enum vss_snapshot_state {
    VSS_SS_UNKNOWN = 0,
    VSS_SS_PREPARING = 1,
    VSS_SS_PROCESSING_PREPARE = 2,
    VSS_SS_PREPARED = 3,
    VSS_SS_PROCESSING_PRECOMMIT = 4,
    VSS_SS_PRECOMMITTED = 5,
    VSS_SS_PROCESSING_COMMIT = 6,
    VSS_SS_COMMITTED = 7,
    VSS_SS_PROCESSING_POSTCOMMIT = 8,
    VSS_SS_PROCESSING_PREFINALCOMMIT = 9,
    VSS_SS_PREFINALCOMMITTED = 10,
    VSS_SS_PROCESSING_POSTFINALCOMMIT = 11,
    VSS_SS_CREATED = 12,
    VSS_SS_ABORTED = 13,
    VSS_SS_DELETED = 14,
    VSS_SS_POSTCOMMITTED = 15,
    VSS_SS_COUNT = 16,
};

/*
 * Bits of vss_snapshot_prop.snapshot_attributes. All fit an int32_t, so they are plain enumerators
 * that combine with the signed field without a cast. PERSISTENT, CLIENT_ACCESSIBLE, NO_AUTO_RELEASE
 * and NO_WRITERS come with the context; NOT_SURFACED, HARDWARE_ASSISTED, IMPORTED, AUTORECOVER and
 * the two EXPOSED bits are set by lunshadow, never by a caller.
 * Source: VSS_VOLUME_SNAPSHOT_ATTRIBUTES, vss.h.
 */
enum vss_volume_snapshot_attributes {
    VSS_VOLSNAP_ATTR_PERSISTENT = 0x1,
    VSS_VOLSNAP_ATTR_NO_AUTORECOVERY = 0x2,
    VSS_VOLSNAP_ATTR_CLIENT_ACCESSIBLE = 0x4,
    VSS_VOLSNAP_ATTR_NO_AUTO_RELEASE = 0x8,
    VSS_VOLSNAP_ATTR_NO_WRITERS = 0x10,
    VSS_VOLSNAP_ATTR_TRANSPORTABLE = 0x20,
    VSS_VOLSNAP_ATTR_NOT_SURFACED = 0x40,
    VSS_VOLSNAP_ATTR_NOT_TRANSACTED = 0x80,
    VSS_VOLSNAP_ATTR_HARDWARE_ASSISTED = 0x10000,
    VSS_VOLSNAP_ATTR_DIFFERENTIAL = 0x20000,
    VSS_VOLSNAP_ATTR_PLEX = 0x40000,
    VSS_VOLSNAP_ATTR_IMPORTED = 0x80000,
    VSS_VOLSNAP_ATTR_EXPOSED_LOCALLY = 0x100000,
    VSS_VOLSNAP_ATTR_EXPOSED_REMOTELY = 0x200000,
    VSS_VOLSNAP_ATTR_AUTORECOVER = 0x400000,
    VSS_VOLSNAP_ATTR_ROLLBACK_RECOVERY = 0x800000,
    VSS_VOLSNAP_ATTR_DELAYED_POSTSNAPSHOT = 0x1000000,
    VSS_VOLSNAP_ATTR_TXF_RECOVERY = 0x2000000,
    VSS_VOLSNAP_ATTR_FILE_SHARE = 0x4000000,
};

/*
 * What a provider says it can do. Documented as reserved; kept for document and listing.
 * Source: VSS_PROVIDER_CAPABILITIES, vss.h.
 */
enum vss_provider_capabilities {
    VSS_PRV_CAPABILITY_LEGACY = 0x1,
    VSS_PRV_CAPABILITY_COMPLIANT = 0x2,
    VSS_PRV_CAPABILITY_LUN_REPOINT = 0x4,
    VSS_PRV_CAPABILITY_LUN_RESYNC = 0x8,
    VSS_PRV_CAPABILITY_OFFLINE_CREATION = 0x10,
    VSS_PRV_CAPABILITY_MULTIPLE_IMPORT = 0x20,
    VSS_PRV_CAPABILITY_RECYCLING = 0x40,
    VSS_PRV_CAPABILITY_PLEX = 0x80,
    VSS_PRV_CAPABILITY_DIFFERENTIAL = 0x100,
    VSS_PRV_CAPABILITY_CLUSTERED = 0x200,
};

/*
 * BREAKEX: flags of BreakSnapshotSetEx. ONLUNSTATECHANGE: flags of the provider's
 * OnLunStateChange, which a requester never passes.
 * Source: VSS_HARDWARE_OPTIONS, vss.h.
 */
enum vss_hardware_options {
    VSS_BREAKEX_FLAG_MASK_LUNS = 0x1,
    VSS_BREAKEX_FLAG_MAKE_READ_WRITE = 0x2,
    VSS_BREAKEX_FLAG_REVERT_IDENTITY_ALL = 0x4,
    VSS_BREAKEX_FLAG_REVERT_IDENTITY_NONE = 0x8,
    VSS_ONLUNSTATECHANGE_NOTIFY_READ_WRITE = 0x100,
    VSS_ONLUNSTATECHANGE_NOTIFY_LUN_PRE_RECOVERY = 0x200,
    VSS_ONLUNSTATECHANGE_NOTIFY_LUN_POST_RECOVERY = 0x400,
    VSS_ONLUNSTATECHANGE_DO_MASK_LUNS = 0x800,
};

/*
 * Flags of RecoverSet. Not the values of the break flags of the same meaning.
 * Source: VSS_RECOVERY_OPTIONS, vss.h.
 */
enum vss_recovery_options {
    VSS_RECOVERY_REVERT_IDENTITY_ALL = 0x100,
    VSS_RECOVERY_NO_VOLUME_CHECK = 0x200,
};

/*
 * Where a writer stands in its session; FAILED_AT_x means it failed in event x.
 * Source: VSS_WRITER_STATE, vss.h.
 */
enum vss_writer_state {
    VSS_WS_UNKNOWN = 0,
    VSS_WS_STABLE = 1,
    VSS_WS_WAITING_FOR_FREEZE = 2,
    VSS_WS_WAITING_FOR_THAW = 3,
    VSS_WS_WAITING_FOR_POST_SNAPSHOT = 4,
    VSS_WS_WAITING_FOR_BACKUP_COMPLETE = 5,
    VSS_WS_FAILED_AT_IDENTIFY = 6,
    VSS_WS_FAILED_AT_PREPARE_BACKUP = 7,
    VSS_WS_FAILED_AT_PREPARE_SNAPSHOT = 8,
    VSS_WS_FAILED_AT_FREEZE = 9,
    VSS_WS_FAILED_AT_THAW = 10,
    VSS_WS_FAILED_AT_POST_SNAPSHOT = 11,
    VSS_WS_FAILED_AT_BACKUP_COMPLETE = 12,
    VSS_WS_FAILED_AT_PRE_RESTORE = 13,
    VSS_WS_FAILED_AT_POST_RESTORE = 14,
    VSS_WS_FAILED_AT_BACKUPSHUTDOWN = 15,
    VSS_WS_COUNT = 16,
};

/*
 * Type of backup that the requester makes.
 * Source: VSS_BACKUP_TYPE, vss.h.
 */
enum vss_backup_type {
    VSS_BT_UNDEFINED = 0,
    VSS_BT_FULL = 1,
    VSS_BT_INCREMENTAL = 2,
    VSS_BT_DIFFERENTIAL = 3,
    VSS_BT_LOG = 4,
    VSS_BT_COPY = 5,
    VSS_BT_OTHER = 6,
};

/*
 * Type of restore that the requester makes.
 * Source: VSS_RESTORE_TYPE, vss.h.
 */
enum vss_restore_type {
    VSS_RTYPE_UNDEFINED = 0,
    VSS_RTYPE_BY_COPY = 1,
    VSS_RTYPE_IMPORT = 2,
    VSS_RTYPE_OTHER = 3,
};

/*
 * How far a component is rolled forward at restore.
 * Source: VSS_ROLLFORWARD_TYPE, vss.h.
 */
enum vss_rollforward_type {
    VSS_RF_UNDEFINED = 0,
    VSS_RF_NONE = 1,
    VSS_RF_ALL = 2,
    VSS_RF_PARTIAL = 3,
};

/*
 * Who makes the copies. lunshadow's own are hardware providers.
 * Source: VSS_PROVIDER_TYPE, vss.h.
 */
enum vss_provider_type {
    VSS_PROV_UNKNOWN = 0,
    VSS_PROV_SYSTEM = 1,
    VSS_PROV_SOFTWARE = 2,
    VSS_PROV_HARDWARE = 3,
    VSS_PROV_FILESHARE = 4,
};

/*
 * The order in which writers are frozen: front end first, back end, then system.
 * Source: VSS_APPLICATION_LEVEL, vss.h.
 */
enum vss_application_level {
    VSS_APP_UNKNOWN = 0,
    VSS_APP_SYSTEM = 1,
    VSS_APP_BACK_END = 2,
    VSS_APP_FRONT_END = 3,
    VSS_APP_SYSTEM_RM = 4,
    VSS_APP_AUTO = -1,
};

/*
 * Bits that IsVolumeSnapshotted reports.
 * Source: VSS_SNAPSHOT_COMPATIBILITY, vss.h.
 */
enum vss_snapshot_compatibility {
    VSS_SC_DISABLE_DEFRAG = 0x1,
    VSS_SC_DISABLE_CONTENTINDEX = 0x2,
};

/*
 * One member of vss_snapshot_prop, for SetSnapshotProperty.
 * Source: VSS_SNAPSHOT_PROPERTY_ID, vss.h.
 */
enum vss_snapshot_property_id {
    VSS_SPROPID_UNKNOWN = 0x0,
    VSS_SPROPID_SNAPSHOT_ID = 0x1,
    VSS_SPROPID_SNAPSHOT_SET_ID = 0x2,
    VSS_SPROPID_SNAPSHOTS_COUNT = 0x3,
    VSS_SPROPID_SNAPSHOT_DEVICE = 0x4,
    VSS_SPROPID_ORIGINAL_VOLUME = 0x5,
    VSS_SPROPID_ORIGINATING_MACHINE = 0x6,
    VSS_SPROPID_SERVICE_MACHINE = 0x7,
    VSS_SPROPID_EXPOSED_NAME = 0x8,
    VSS_SPROPID_EXPOSED_PATH = 0x9,
    VSS_SPROPID_PROVIDER_ID = 0xa,
    VSS_SPROPID_SNAPSHOT_ATTRIBUTES = 0xb,
    VSS_SPROPID_CREATION_TIMESTAMP = 0xc,
    VSS_SPROPID_STATUS = 0xd,
};

/*
 * What a file set of a writer needs at each type of backup (bits).
 * Source: VSS_FILE_SPEC_BACKUP_TYPE, vss.h.
 */
enum vss_file_spec_backup_type {
    VSS_FSBT_FULL_BACKUP_REQUIRED = 0x1,
    VSS_FSBT_DIFFERENTIAL_BACKUP_REQUIRED = 0x2,
    VSS_FSBT_INCREMENTAL_BACKUP_REQUIRED = 0x4,
    VSS_FSBT_LOG_BACKUP_REQUIRED = 0x8,
    VSS_FSBT_FULL_SNAPSHOT_REQUIRED = 0x100,
    VSS_FSBT_DIFFERENTIAL_SNAPSHOT_REQUIRED = 0x200,
    VSS_FSBT_INCREMENTAL_SNAPSHOT_REQUIRED = 0x400,
    VSS_FSBT_LOG_SNAPSHOT_REQUIRED = 0x800,
    VSS_FSBT_CREATED_DURING_BACKUP = 0x10000,
    VSS_FSBT_ALL_BACKUP_REQUIRED = 0xf,
    VSS_FSBT_ALL_SNAPSHOT_REQUIRED = 0xf00,
};

/*
 * Which backup types and restore abilities a writer declares (bits).
 * Source: VSS_BACKUP_SCHEMA, vss.h.
 */
enum vss_backup_schema {
    VSS_BS_UNDEFINED = 0x0,
    VSS_BS_DIFFERENTIAL = 0x1,
    VSS_BS_INCREMENTAL = 0x2,
    VSS_BS_EXCLUSIVE_INCREMENTAL_DIFFERENTIAL = 0x4,
    VSS_BS_LOG = 0x8,
    VSS_BS_COPY = 0x10,
    VSS_BS_TIMESTAMPED = 0x20,
    VSS_BS_LAST_MODIFY = 0x40,
    VSS_BS_LSN = 0x80,
    VSS_BS_WRITER_SUPPORTS_NEW_TARGET = 0x100,
    VSS_BS_WRITER_SUPPORTS_RESTORE_WITH_MOVE = 0x200,
    VSS_BS_INDEPENDENT_SYSTEM_STATE = 0x400,
    VSS_BS_ROLLFORWARD_RESTORE = 0x1000,
    VSS_BS_RESTORE_RENAME = 0x2000,
    VSS_BS_AUTHORITATIVE_RESTORE = 0x4000,
    VSS_BS_WRITER_SUPPORTS_PARALLEL_RESTORES = 0x8000,
};

/*
 * What a writer's data is for.
 * Source: VSS_USAGE_TYPE, vswriter.h.
 */
enum vss_usage_type {
    VSS_UT_UNDEFINED = 0,
    VSS_UT_BOOTABLESYSTEMSTATE = 1,
    VSS_UT_SYSTEMSERVICE = 2,
    VSS_UT_USERDATA = 3,
    VSS_UT_OTHER = 4,
};

/*
 * What manages a writer's data.
 * Source: VSS_SOURCE_TYPE, vswriter.h.
 */
enum vss_source_type {
    VSS_ST_UNDEFINED = 0,
    VSS_ST_TRANSACTEDDB = 1,
    VSS_ST_NONTRANSACTEDDB = 2,
    VSS_ST_OTHER = 3,
};

/*
 * How a writer wants its files restored.
 * Source: VSS_RESTOREMETHOD_ENUM, vswriter.h.
 */
enum vss_restoremethod_enum {
    VSS_RME_UNDEFINED = 0,
    VSS_RME_RESTORE_IF_NOT_THERE = 1,
    VSS_RME_RESTORE_IF_CAN_REPLACE = 2,
    VSS_RME_STOP_RESTORE_START = 3,
    VSS_RME_RESTORE_TO_ALTERNATE_LOCATION = 4,
    VSS_RME_RESTORE_AT_REBOOT = 5,
    VSS_RME_RESTORE_AT_REBOOT_IF_CANNOT_REPLACE = 6,
    VSS_RME_CUSTOM = 7,
    VSS_RME_RESTORE_STOP_START = 8,
};

/*
 * When a writer takes part in a restore.
 * Source: VSS_WRITERRESTORE_ENUM, vswriter.h.
 */
enum vss_writerrestore_enum {
    VSS_WRE_UNDEFINED = 0,
    VSS_WRE_NEVER = 1,
    VSS_WRE_IF_REPLACE_FAILS = 2,
    VSS_WRE_ALWAYS = 3,
};

/*
 * Kind of component.
 * Source: VSS_COMPONENT_TYPE, vswriter.h.
 */
enum vss_component_type {
    VSS_CT_UNDEFINED = 0,
    VSS_CT_DATABASE = 1,
    VSS_CT_FILEGROUP = 2,
};

/*
 * Whether another writer stands in for this one. Reserved in VSS.
 * Source: VSS_ALTERNATE_WRITER_STATE, vswriter.h.
 */
enum vss_alternate_writer_state {
    VSS_AWS_UNDEFINED = 0,
    VSS_AWS_NO_ALTERNATE_WRITER = 1,
    VSS_AWS_ALTERNATE_WRITER_EXISTS = 2,
    VSS_AWS_THIS_IS_ALTERNATE_WRITER = 3,
};

/*
 * Events a writer subscribes to (bits). VSS_SM_ALL_FLAGS does not fit an int: macro below.
 * Source: VSS_SUBSCRIBE_MASK, vswriter.h.
 */
enum vss_subscribe_mask {
    VSS_SM_POST_SNAPSHOT_FLAG = 0x1,
    VSS_SM_BACKUP_EVENTS_FLAG = 0x2,
    VSS_SM_RESTORE_EVENTS_FLAG = 0x4,
    VSS_SM_IO_THROTTLING_FLAG = 0x8,
};

/* All bits of enum vss_subscribe_mask, and those to come. */
#define VSS_SM_ALL_FLAGS ((uint32_t)0xffffffffu)

/*
 * Where a component's files are restored to.
 * Source: VSS_RESTORE_TARGET, vswriter.h.
 */
enum vss_restore_target {
    VSS_RT_UNDEFINED = 0,
    VSS_RT_ORIGINAL = 1,
    VSS_RT_ALTERNATE = 2,
    VSS_RT_DIRECTED = 3,
    VSS_RT_ORIGINAL_LOCATION = 4,
};

/*
 * How the restore of a component went.
 * Source: VSS_FILE_RESTORE_STATUS, vswriter.h.
 */
enum vss_file_restore_status {
    VSS_RS_UNDEFINED = 0,
    VSS_RS_NONE = 1,
    VSS_RS_ALL = 2,
    VSS_RS_FAILED = 3,
};

/*
 * Bits of vss_component_info.component_flags.
 * Source: VSS_COMPONENT_FLAGS, vswriter.h.
 */
enum vss_component_flags {
    VSS_CF_BACKUP_RECOVERY = 0x1,
    VSS_CF_APP_ROLLBACK_RECOVERY = 0x2,
    VSS_CF_NOT_SYSTEM_STATE = 0x4,
};

/*
 * Contexts: what a shadow copy is for, given once per session. Macros of type uint32_t because
 * VSS_CTX_ALL does not fit an int. Attribute bits that a requester may choose are or-ed in:
 * VSS_CTX_BACKUP | VSS_VOLSNAP_ATTR_TRANSPORTABLE. VSS_CTX_ALL is for query, delete, break and
 * expose, never for creating. Source: VSS_SNAPSHOT_CONTEXT, vss.h.
 */
#define VSS_CTX_BACKUP                    ((uint32_t)0x00u)
#define VSS_CTX_APP_ROLLBACK              ((uint32_t)0x09u)
#define VSS_CTX_CLIENT_ACCESSIBLE_WRITERS ((uint32_t)0x0du)
#define VSS_CTX_FILE_SHARE_BACKUP         ((uint32_t)0x10u)
#define VSS_CTX_NAS_ROLLBACK              ((uint32_t)0x19u)
#define VSS_CTX_CLIENT_ACCESSIBLE         ((uint32_t)0x1du)
#define VSS_CTX_ALL                       ((uint32_t)0xffffffffu)

/*
 * What is known of one shadow copy.
 * Ownership: whoever was given the filled structure owns its strings and frees them with
 * vss_free_snapshot_properties, which leaves the structure itself alone. Copying the structure
 * copies the pointers, not the strings: only one of the two may be freed.
 * Source: VSS_SNAPSHOT_PROP, vss.h.
 */
struct vss_snapshot_prop {
    VSS_ID snapshot_id;
    VSS_ID snapshot_set_id;
    int32_t snapshots_count; /* as created: deleted members still count */
    char *snapshot_device_object;
    char *original_volume_name;
    char *originating_machine;
    char *service_machine;
    char *exposed_name; /* NULL unless exposed */
    char *exposed_path; /* NULL unless exposed remotely */
    VSS_ID provider_id;
    int32_t snapshot_attributes; /* bits of enum vss_volume_snapshot_attributes */
    int64_t creation_timestamp;  /* 100 ns units since 1601-01-01 00:00 UTC */
    int32_t status;              /* enum vss_snapshot_state */
};

/*
 * What is known of one provider.
 * Ownership: as for vss_snapshot_prop; the strings are freed by vss_free_provider_properties.
 * Source: VSS_PROVIDER_PROP, vss.h.
 */
struct vss_provider_prop {
    VSS_ID provider_id;
    char *provider_name;
    int32_t provider_type; /* enum vss_provider_type */
    char *provider_version;
    VSS_ID provider_version_id; /* changes with every version of the provider */
    VSS_ID class_id;            /* COM's; all zero here, kept for documents */
};

/*
 * One object that a query returns. `type` says which member of the union counts:
 * VSS_OBJECT_SNAPSHOT for snap, VSS_OBJECT_PROVIDER for prov; others hold neither.
 * Ownership: that of the member, freed by its own function. Source: VSS_OBJECT_PROP, vss.h.
 */
struct vss_object_prop {
    int32_t type; /* enum vss_object_type */
    union {
        struct vss_snapshot_prop snap;
        struct vss_provider_prop prov;
    } obj;
};

/*
 * One component of a Writer Metadata Document. Flags of type int32_t are 0 or 1.
 * Ownership: strings and icon belong to the structure, which the object that returned it frees
 * as a whole (FreeComponentInfo in VSS); a caller frees no member itself.
 * Source: VSS_COMPONENTINFO, vsbackup.h.
 */
struct vss_component_info {
    int32_t type;       /* enum vss_component_type */
    char *logical_path; /* NULL: at the root */
    char *component_name;
    char *caption;
    uint8_t *icon;
    uint32_t icon_size_bytes;
    int32_t restore_metadata;
    int32_t notify_on_backup_complete;
    int32_t selectable;
    int32_t selectable_for_restore;
    uint32_t component_flags; /* bits of enum vss_component_flags */
    uint32_t file_count;
    uint32_t database_count;
    uint32_t log_file_count;
    uint32_t dependency_count;
};

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default) /* what liblunshadow exports */
#endif

/*
 * The documented constant name of a code: "VSS_E_BAD_STATE".
 * code: any value.
 * Returns a static string that the caller does not free, or NULL where the code is not one of the
 * constants above. No VSS method: our own. Any time, any thread; does not block, cannot fail.
 * Source: vsserror.h, winerror.h.
 */
const char *vss_error_name(HRESULT code);

/*
 * What a code means in lunshadow and what to do next, in one or two plain English sentences.
 * code: any value.
 * Returns a static string that the caller does not free; never NULL: a code that is not one of
 * the constants above gets a general sentence, one for failures and one for successes. The text is
 * for people and may change; do not compare it. The error record of a handle says more (which LUN,
 * which offset), show it first. No VSS method: our own. Any time, any thread; does not block.
 */
const char *vss_error_explanation(HRESULT code);

/*
 * Finds a code by what a person has in front of them.
 * text: the constant's name in any case ("vss_e_bad_state"), or its value as hexadecimal with 0x
 *   and at most 8 digits ("0x80042301"), or as a signed decimal ("-2147212543"). No surrounding
 *   blanks. NULL finds nothing.
 * out_code: set to the code, or to S_OK where nothing is found; may be NULL.
 * Returns 1 if text names one of the constants above, 0 if not (a well-formed number without a name
 * is not found either). 0x80000001 finds E_NOTIMPL, as which one documented list misprints it.
 * No VSS method: our own. Any time, any thread, in every locale; does not block.
 */
int vss_error_lookup(const char *text, HRESULT *out_code);

/*
 * Walks the constants above in a fixed order that may change between releases.
 * index: from 0.
 * out_code, out_name: set to the code and its name (static, not freed by the caller), or to S_OK
 *   and NULL past the end; each may be NULL.
 * Returns 1, or 0 past the end. No VSS method: our own. Any time, any thread; does not block.
 */
int vss_error_at(size_t index, HRESULT *out_code, const char **out_name);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif

#endif
