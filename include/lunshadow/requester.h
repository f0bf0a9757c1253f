/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_REQUESTER_H
#define LUNSHADOW_REQUESTER_H

/* The requester API: VSS's IVssBackupComponents and its helpers in C. A method of interface X is
 * vss_<noun of X>_<method>; strings are UTF-8; handles are opaque.
 *
 * Ownership is in the signature: `T **out` is the caller's to release with that type's release
 * function; `const char *` is borrowed until the handle dies, and from a session until its next
 * method; `char **out` is freed by vss_free_string(). Outputs are NULL or 0 at entry and set on
 * success only, unless a function says otherwise. No argument may be NULL unless it is said to.
 *
 * One thread at a time per handle; a vss_async may be waited on, queried and cancelled from any
 * thread. While an asynchronous operation of a session runs, its other methods refuse as in a
 * wrong state; get_session_id and error_text always work.
 *
 * Programs are started and waited for by their process ids: a process that uses this does not
 * ignore SIGCHLD, and waits for no children but its own.
 *
 * Codes. Beside those named at each function every one may give E_OUTOFMEMORY, E_INVALIDARG (a
 * NULL or another argument that is none), E_ACCESSDENIED (the registry or a LUN is not this
 * caller's, who is the user that the calling thread is at that moment) and VSS_E_UNEXPECTED
 * (something else failed; the error text says what, and which code it had; and of every method but
 * abort_backup, once the session's registry was removed or replaced). No others ever come
 * out. VSS_E_BAD_STATE means: not in this state of the session, and the error text says what to
 * call first; methods whose documented list lacks it (break, delete) give VSS_E_UNEXPECTED there.
 *
 * Asynchronous methods (those with a vss_async **out) return what can be said at once: wrong
 * state, wrong arguments, no thread. Then *out is NULL. On S_OK the operation runs, and its
 * result comes through vss_async_query_status(). All other methods block until they are done.
 *
 * The order of a backup: create, initialize_for_backup, set_context, set_backup_state,
 * gather_writer_metadata, start_snapshot_set, add_to_snapshot_set (each volume),
 * prepare_for_backup, do_snapshot_set, save_as_xml, backup_complete, release. In contexts
 * without writers set_backup_state, gather_writer_metadata, prepare_for_backup and
 * backup_complete fall away. Of a resync: create, initialize_for_restore,
 * add_snapshot_to_recovery_set (each), recover_set, release. */

#include <lunshadow/async.h>
#include <lunshadow/lun.h>
#include <lunshadow/vss.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default) /* what liblunshadow exports */
#endif

struct vss_backup_components;
struct vss_enum_object;
struct vss_examine_writer_metadata; /* metadata.h */
struct vss_writer_components;       /* component.h */

/* The system whose codes a session returns. Codes that an older one did not have come as what it
 * said in their place: VSS_E_UNEXPECTED as E_UNEXPECTED up to VISTA and 2008 (documented);
 * where the documentation names no other code, as the nearest one that the method has there
 * (VSS_E_NESTED_VOLUME_LIMIT as VSS_E_VOLUME_NOT_SUPPORTED, VSS_E_REBOOT_REQUIRED as
 * VSS_E_UNEXPECTED_PROVIDER_ERROR, VSS_E_WRITER_STATUS_NOT_AVAILABLE as
 * VSS_E_WRITER_NOT_RESPONDING), else as its unexpected error. The error text stays. */
enum vss_platform_level {
    VSS_PLATFORM_NEWEST = 0, /* Windows 7, Windows Server 2008 R2 and later */
    VSS_PLATFORM_2008 = 1,   /* Windows Server 2008 */
    VSS_PLATFORM_VISTA = 2,  /* Windows Vista */
    VSS_PLATFORM_2003 = 3    /* Windows Server 2003, Windows XP */
};

/* What a RecoverSet of this session does before it overwrites LUNs; no VSS has it. A safety copy is
 * a snapshot set of what is about to be lost, made by the array after every other initiator was
 * shut out; `lunshadow recover --undo` puts it back byte for byte. The report says what became of
 * it. */
enum vss_undo {
    VSS_UNDO_NONE = 0,
    VSS_UNDO_WHERE_CHEAP = 1, /* where the array makes differential copies by itself; should that
                                 fail, the LUNs are overwritten all the same */
    VSS_UNDO_REQUIRED = 2     /* no safety copy, no resync */
};

/* Whether a resync of this session reads back what this host has written and compares it with the
 * copy; no VSS has it. The report says how many bytes were. */
enum vss_copy_verify {
    VSS_COPY_VERIFY_CONFIGURED = 0, /* as the configuration's [copy] says */
    VSS_COPY_VERIFY_NONE = 1,
    VSS_COPY_VERIFY_SAMPLE = 2, /* one stretch in 32, at random */
    VSS_COPY_VERIFY_FULL = 3    /* all of it */
};

#define VSS_COPY_RATE_MIN 65536ull         /* 64 KiB a second */
#define VSS_COPY_RATE_MAX 1099511627776ull /* 1 TiB a second */

/* Where a session finds its configuration and registry. Fields are only appended: a structure of an
 * older header, with its smaller struct_size, is taken with the defaults for the rest. */
struct vss_session_options {
    uint32_t struct_size;
    uint32_t reserved;
    const char *config_path;     /* NULL: the default configuration */
    const char *state_directory; /* NULL: the default state directory */
    uint32_t platform_level;     /* enum vss_platform_level */
    uint32_t undo;               /* enum vss_undo */

    /* How this host copies where an array leaves that to it, over what the configuration says.
     * Where the array copies by itself, either is E_INVALIDARG of add_snapshot_to_recovery_set (and
     * E_FAIL of revert_to_snapshot). */
    uint32_t copy_verify;           /* enum vss_copy_verify */
    uint32_t reserved2;             /* 0 */
    uint64_t copy_bytes_per_second; /* read and written together; 0: as configured; else
                                       VSS_COPY_RATE_MIN..VSS_COPY_RATE_MAX */
};

/* All defaults. */
#define VSS_SESSION_OPTIONS_INIT                                                                   \
    {                                                                                              \
        sizeof(struct vss_session_options), 0, NULL, NULL, VSS_PLATFORM_NEWEST, 0, 0, 0, 0         \
    }

/* CreateVssBackupComponents. A session that is not initialized yet. The plug-ins of all
 * configured arrays are loaded; one that cannot be is left out, with an event.
 * options: NULL for all defaults; start from VSS_SESSION_OPTIONS_INIT. A platform level, an undo, a
 * way to verify or a rate that is none is E_INVALIDARG. out: the session, to be released with
 * vss_backup_components_release().
 * out_error: may be NULL; on failure a plain line, freed with vss_free_string(); NULL where
 * there was no memory for it.
 * E_ACCESSDENIED: the state directory is not this user's. E_INVALIDARG: the configuration is not
 * there or not valid. Reads files; loading a plug-in may take as long as the plug-in does. */
HRESULT vss_create_backup_components(const struct vss_session_options *options,
                                     struct vss_backup_components **out, char **out_error);

/* IUnknown::Release. Asks a running operation to stop and waits for its end; gives up a set not
 * yet committed; deletes the copies that this session made in an auto-release context (those
 * without NO_AUTO_RELEASE). A copy that cannot be deleted stays in the registry, with an event,
 * for delete_snapshots. A vss_async of the session may be released before or after. NULL is
 * harmless. */
void vss_backup_components_release(struct vss_backup_components *session);

/* The plain line that goes with the last method's failure or partial success: which LUN, what to
 * do next. "" where there is none. What an operation says is in its vss_async. */
const char *vss_backup_components_error_text(const struct vss_backup_components *session);

/* IVssBackupComponents::InitializeForBackup. First call on a session, once; after a failure it
 * may be called again.
 * xml: NULL for a new document; or a saved one, UTF-8, whose snapshots shall be imported: such a
 * session makes no set of its own.
 * VSS_E_BAD_STATE; VSS_E_INVALID_XML_DOCUMENT: not a Backup Components Document, or one that
 * lies. */
HRESULT vss_backup_components_initialize_for_backup(struct vss_backup_components *session,
                                                    const char *xml);

/* IVssBackupComponents::InitializeForRestore. As initialize_for_backup, for a restore or resync;
 * xml may not be NULL here. */
HRESULT vss_backup_components_initialize_for_restore(struct vss_backup_components *session,
                                                     const char *xml);

/* The text of a document from the bytes of its file, for the functions that take xml: UTF-16 with a
 * byte order mark (as tools on Windows write it) or UTF-8, with or without XML declaration, NULs at
 * the end passed over. What comes out is one line of UTF-8. No VSS method: our own.
 * out_error: as for vss_create_backup_components().
 * VSS_E_INVALID_XML_DOCUMENT with line and reason: not XML, a DTD, past a limit; whose document it
 * is is not looked at. Needs no session; does not block. */
HRESULT vss_read_document(const void *bytes, size_t length, char **out_xml, char **out_error);

/* IVssBackupComponents::SetContext. Once, after initialize_for_backup and before
 * start_snapshot_set; without it the context is VSS_CTX_BACKUP.
 * context: VSS_CTX_*. TRANSPORTABLE and one of DIFFERENTIAL, PLEX may be or-ed in, as may
 * NO_AUTORECOVERY, NOT_TRANSACTED, ROLLBACK_RECOVERY, TXF_RECOVERY; nothing on the
 * client-accessible contexts. All else is E_INVALIDARG. VSS_CTX_ALL is for query, break and
 * delete; it makes no sets. VSS_E_BAD_STATE. */
HRESULT vss_backup_components_set_context(struct vss_backup_components *session, uint32_t context);

/* IVssBackupComponents::SetBackupState. Before prepare_for_backup; in both kinds of session; the
 * last call counts. Written to the document.
 * backup_type: enum vss_backup_type, not UNDEFINED.
 * VSS_E_BAD_STATE. */
HRESULT vss_backup_components_set_backup_state(struct vss_backup_components *session,
                                               bool select_components,
                                               bool backup_bootable_system_state,
                                               int32_t backup_type, bool partial_file_support);

/* IVssBackupComponents::EnableWriterClasses, DisableWriterClasses, DisableWriterInstances. Which
 * writers take part, before gather_writer_metadata; later calls succeed and change nothing. Calls
 * add up. With the first enabling only the classes enabled count, and what was disabled by class
 * before is void. Ids that no writer has are harmless: instance ids come from another session.
 * ids: NULL where count is 0. VSS_E_BAD_STATE before initialize_*. */
HRESULT vss_backup_components_enable_writer_classes(struct vss_backup_components *session,
                                                    const VSS_ID *class_ids, uint32_t count);
HRESULT vss_backup_components_disable_writer_classes(struct vss_backup_components *session,
                                                     const VSS_ID *class_ids, uint32_t count);
HRESULT vss_backup_components_disable_writer_instances(struct vss_backup_components *session,
                                                       const VSS_ID *instance_ids, uint32_t count);

/* IVssBackupComponents::GatherWriterMetadata. Starts the writers of writers.d (lunshadow.conf(5)),
 * each as a process that lives as long as the session, and asks them who they are. After
 * initialize_*, once per session; must have ended well before do_snapshot_set in contexts with
 * writers, and before prepare_for_backup, which the writers must be told (too late: abort_backup,
 * and begin anew). In a context without writers it starts none. A writer that cannot be started or
 * makes no sense is left out, and shows as VSS_WS_FAILED_AT_IDENTIFY in gather_writer_status.
 * VSS_E_BAD_STATE. Through QueryStatus VSS_E_WRITER_INFRASTRUCTURE: the directory is missing where
 * one is configured, others may write to it, or it holds more than 64 writers; E_ACCESSDENIED: this
 * user may not read it. Blocks, as all writer events do, no longer than a writer's time limits. */
HRESULT vss_backup_components_gather_writer_metadata(struct vss_backup_components *session,
                                                     struct vss_async **out);

/* IVssBackupComponents::GetWriterMetadataCount. How many writers answered. After the gathering
 * ended and before free_writer_metadata. VSS_E_BAD_STATE. */
HRESULT vss_backup_components_get_writer_metadata_count(struct vss_backup_components *session,
                                                        uint32_t *out_writers);

/* IVssBackupComponents::GetWriterMetadata, IVssBackupComponentsEx::GetWriterMetadataEx. What a
 * writer said of itself, as an object of metadata.h, which may outlive the session; one object
 * serves both methods. State as get_writer_metadata_count. index: from 0. VSS_E_BAD_STATE;
 * VSS_E_OBJECT_NOT_FOUND: no such writer; VSS_E_INVALID_XML_DOCUMENT: the writer's document lacks a
 * part that each has (name, RESTORE_METHOD, BACKUP_LOCATIONS), or one is not valid; the text says
 * where. */
HRESULT vss_backup_components_get_writer_metadata(struct vss_backup_components *session,
                                                  uint32_t index, VSS_ID *out_instance_id,
                                                  struct vss_examine_writer_metadata **out);
HRESULT vss_backup_components_get_writer_metadata_ex(struct vss_backup_components *session,
                                                     uint32_t index, VSS_ID *out_instance_id,
                                                     struct vss_examine_writer_metadata **out);

/* IVssBackupComponents::FreeWriterMetadata. Ends what the caller can see of it; again is harmless.
 * It still counts as gathered: what the session itself needs to know of its writers it keeps.
 * VSS_E_BAD_STATE before the gathering ended. */
HRESULT vss_backup_components_free_writer_metadata(struct vss_backup_components *session);

/* IVssBackupComponents::StartSnapshotSet. Begins a set; one at a time per machine, from here
 * until do_snapshot_set ended or the session is aborted or released; one that succeeds per
 * session. Its id goes into the document.
 * VSS_E_BAD_STATE (also in VSS_CTX_ALL and client-accessible contexts, in a session that was
 * given a document, and where a dead process left something: see `lunshadow recover`);
 * VSS_E_SNAPSHOT_SET_IN_PROGRESS: another one, the text naming its process. */
HRESULT vss_backup_components_start_snapshot_set(struct vss_backup_components *session,
                                                 VSS_ID *out_set_id);

/* IVssBackupComponents::AddToSnapshotSet. After start_snapshot_set, before prepare_for_backup
 * (which tells writers what is in the set) and do_snapshot_set. Reads the LUN's identity and
 * label; nothing is written to it.
 * volume: iscsi://[user%secret@]host[:port]/target/lun, "#N" behind it for partition N; the
 * secret is used, again by do_snapshot_set, and stored nowhere. Or, absolute, a block device or a
 * mount point of this host: its SCSI disks, through partitions, multipath, LVM, RAID and btrfs, are
 * looked for on the configured portals by their identity. What is a LUN or one partition of it is
 * in the set under its address; a volume of LVM or RAID under its device's name, and its LUNs are
 * copied whole. A filesystem that this host has mounted is flushed before the cut.
 * provider_id: NULL or the null id picks the first array that supports all LUNs of the volume, in
 * the order that admin.h states: registered providers first.
 * VSS_E_BAD_STATE; VSS_E_OBJECT_NOT_FOUND: portal, target, LUN, partition, device or mount is not
 * there; VSS_E_VOLUME_NOT_SUPPORTED: no provider wants it, no configured portal shows it, it is on
 * no SCSI disk, or it cannot be cut at one point in time with the set's other LUNs (another array,
 * or one that cuts each LUN for itself); VSS_E_VOLUME_NOT_SUPPORTED_BY_PROVIDER: the named one does
 * not; VSS_E_NESTED_VOLUME_LIMIT: a loop device on a file on a loop device, or on a file of a
 * volume that is in the set; VSS_E_PROVIDER_NOT_REGISTERED; VSS_E_PROVIDER_VETO;
 * VSS_E_UNEXPECTED_PROVIDER_ERROR; VSS_E_MAXIMUM_NUMBER_OF_VOLUMES_REACHED: the 65th;
 * VSS_E_MAXIMUM_NUMBER_OF_SNAPSHOTS_REACHED: the array's limit; E_ACCESSDENIED: login refused;
 * E_INVALIDARG: no volume name, or one that is in the set; VSS_E_UNEXPECTED: also a disk of this
 * host that no portal shows while one does not answer. After a failure the set is as before. Blocks
 * for the network's time-outs. */
HRESULT vss_backup_components_add_to_snapshot_set(struct vss_backup_components *session,
                                                  const char *volume, const VSS_ID *provider_id,
                                                  VSS_ID *out_snapshot_id);

/* IVssBackupComponents::IsVolumeSupported. Whether add_to_snapshot_set would take it, limits
 * that are reached now aside. After initialize_for_backup. volume, provider_id as there.
 * VSS_E_BAD_STATE, VSS_E_OBJECT_NOT_FOUND, VSS_E_NESTED_VOLUME_LIMIT; VSS_E_UNEXPECTED: also where
 * add_to_snapshot_set says it of a disk of this host. */
HRESULT vss_backup_components_is_volume_supported(struct vss_backup_components *session,
                                                  const VSS_ID *provider_id, const char *volume,
                                                  bool *out_supported);

/* IVssBackupComponents::PrepareForBackup. Tells the writers; what failed in one before is over,
 * unless its process is lost. After set_backup_state and start_snapshot_set; not in contexts
 * without writers. A writer that fails takes no part in the set, and fails nothing but itself: ask
 * gather_writer_status. VSS_E_BAD_STATE. */
HRESULT vss_backup_components_prepare_for_backup(struct vss_backup_components *session,
                                                 struct vss_async **out);

/* IVssBackupComponents::DoSnapshotSet. Makes the copies, all at one moment. After
 * start_snapshot_set; in contexts with writers also after gather_writer_metadata and
 * prepare_for_backup, and then an empty set is legal; in the others after a volume was added.
 * With TRANSPORTABLE the set's description goes into the document and the copies are not shown
 * to this host; without, they are imported here. Writers prepare, freeze, thaw and see the copies
 * on the way; one that fails leaves the set as it is for the others: ask gather_writer_status.
 * VSS_E_BAD_STATE; through QueryStatus too: an original has another size, other partitions or other
 * disk ids than when it was added, or somebody overwrites it; VSS_E_TRANSACTION_FREEZE_TIMEOUT,
 * VSS_E_TRANSACTION_THAW_TIMEOUT (a writer with "transactions = yes" did not freeze or thaw; not
 * with NOT_TRANSACTED in the context), VSS_E_INSUFFICIENT_STORAGE, VSS_E_HOLD_WRITES_TIMEOUT,
 * VSS_E_FLUSH_WRITES_TIMEOUT, VSS_E_PROVIDER_VETO, VSS_E_UNEXPECTED_PROVIDER_ERROR. On any failure,
 * and when it is cancelled, nothing is left behind and a new set may be started. */
HRESULT vss_backup_components_do_snapshot_set(struct vss_backup_components *session,
                                              struct vss_async **out);

/* IVssBackupComponents::BackupComplete. Tells the writers that the backup succeeded. Once, after
 * do_snapshot_set succeeded, not after abort_backup; not in contexts without writers. Cancelled, it
 * may be called again, and tells those that had not answered. VSS_E_BAD_STATE; through QueryStatus
 * VSS_E_UNEXPECTED_WRITER_ERROR: one died, was late or made no sense (all were told; it is complete
 * for the others, and may be called again). */
HRESULT vss_backup_components_backup_complete(struct vss_backup_components *session,
                                              struct vss_async **out);

/* IVssBackupComponents::AbortBackup. Gives up a set in creation, and tells writers that are between
 * prepare_for_backup and backup_complete; a new set may be started. Copies that were made stay,
 * but backup_complete is VSS_E_BAD_STATE from then on. With nothing in flight it does nothing.
 * VSS_E_BAD_STATE before initialize, and while an operation runs (cancel that). */
HRESULT vss_backup_components_abort_backup(struct vss_backup_components *session);

/* IVssBackupComponents::GatherWriterStatus. Asks all writers, those that failed and those that are
 * no more included, how they stand. After initialize_*, as often as one likes; before
 * gather_writer_metadata there are none. VSS_E_BAD_STATE. Through QueryStatus
 * VSS_E_WRITER_INFRASTRUCTURE, E_ACCESSDENIED, as gather_writer_metadata. */
HRESULT vss_backup_components_gather_writer_status(struct vss_backup_components *session,
                                                   struct vss_async **out);

/* IVssBackupComponents::GetWriterStatusCount. After gather_writer_status ended and before
 * free_writer_status, as all that follow. VSS_E_BAD_STATE. */
HRESULT vss_backup_components_get_writer_status_count(struct vss_backup_components *session,
                                                      uint32_t *out_writers);

/* IVssBackupComponents::GetWriterStatus. As the last gathering saw it.
 * index: 0 to the count less one. out_instance_id, out_class_id: null for a writer that never said
 * who it is. out_name: freed with vss_free_string(). out_state: enum vss_writer_state.
 * out_failure: S_OK; VSS_E_WRITERERROR_INCONSISTENTSNAPSHOT, OUTOFRESOURCES, TIMEOUT, RETRYABLE,
 * NONRETRYABLE: the writer said so (TIMEOUT also: it was frozen for longer than it may be;
 * NONRETRYABLE also: its introduction is not valid, or some of its components failed);
 * VSS_E_WRITER_NOT_RESPONDING: it died, was late or made no sense;
 * VSS_E_WRITER_STATUS_NOT_AVAILABLE: it takes part in as many sessions as it can.
 * VSS_E_BAD_STATE; VSS_E_OBJECT_NOT_FOUND: no such index. */
HRESULT vss_backup_components_get_writer_status(struct vss_backup_components *session,
                                                uint32_t index, VSS_ID *out_instance_id,
                                                VSS_ID *out_class_id, char **out_name,
                                                int32_t *out_state, HRESULT *out_failure);

/* IVssBackupComponentsEx3::GetWriterStatusEx. As get_writer_status; out_failure may also be
 * VSS_E_WRITERERROR_PARTIAL_FAILURE: some of its components failed, the writer goes on with the
 * others, and each component says its own. out_application: what the application gave as its own
 * code, S_OK for none. out_message: the plain line, "" for none; freed with vss_free_string(). The
 * last three may be NULL. */
HRESULT vss_backup_components_get_writer_status_ex(struct vss_backup_components *session,
                                                   uint32_t index, VSS_ID *out_instance_id,
                                                   VSS_ID *out_class_id, char **out_name,
                                                   int32_t *out_state, HRESULT *out_failure,
                                                   HRESULT *out_application, char **out_message);

/* IVssBackupComponents::FreeWriterStatus. Drops what gather_writer_status gathered.
 * VSS_E_BAD_STATE. */
HRESULT vss_backup_components_free_writer_status(struct vss_backup_components *session);

/* IVssBackupComponents::SaveAsXML. The Backup Components Document: one line of UTF-8 without XML
 * declaration, the same bytes for the same content; what a document that was given had of other
 * products is kept. It holds no secrets. For a transportable set call it after do_snapshot_set
 * ended. VSS_E_BAD_STATE. */
HRESULT vss_backup_components_save_as_xml(struct vss_backup_components *session, char **out_xml);

/* IVssBackupComponents::GetSnapshotProperties. A completed copy that this host's registry has,
 * of whatever context. After initialize_for_backup. out's strings are freed by
 * vss_free_snapshot_properties(); snapshot_device_object is NULL until the copy was imported
 * here. VSS_E_BAD_STATE; VSS_E_OBJECT_NOT_FOUND: also while it is being made. */
HRESULT vss_backup_components_get_snapshot_properties(struct vss_backup_components *session,
                                                      const VSS_ID *snapshot_id,
                                                      struct vss_snapshot_prop *out);

/* IVssBackupComponents::Query. After initialize_for_backup.
 * object_id: NULL or the null id; object_type: VSS_OBJECT_NONE; returned_type:
 * VSS_OBJECT_SNAPSHOT (the completed copies of the session's context, by set, oldest first; all
 * under VSS_CTX_ALL) or VSS_OBJECT_PROVIDER (those loaded). All else is E_INVALIDARG. Nothing
 * found is an empty enumerator. VSS_E_BAD_STATE. */
HRESULT vss_backup_components_query(struct vss_backup_components *session, const VSS_ID *object_id,
                                    int32_t object_type, int32_t returned_type,
                                    struct vss_enum_object **out);

/* IVssBackupComponents::ImportSnapshots. Shows the copies of the given document to this host,
 * finds them by page 83, gives them fresh disk IDs. After initialize_for_backup with a document
 * that has a snapshot set; once it succeeded, not again.
 * VSS_E_BAD_STATE. Through QueryStatus: VSS_S_SOME_SNAPSHOTS_NOT_IMPORTED (a success; the
 * async's text names those missing), VSS_E_NO_SNAPSHOTS_IMPORTED; VSS_E_BAD_STATE: another
 * import runs on this machine, or a dead process left something. */
HRESULT vss_backup_components_import_snapshots(struct vss_backup_components *session,
                                               struct vss_async **out);

/* IVssBackupComponents::BreakSnapshotSet. As break_snapshot_set_ex with flags 0, waited for.
 * VSS_E_OBJECT_NOT_FOUND, VSS_E_PROVIDER_VETO; VSS_E_UNEXPECTED also where that would be
 * VSS_E_BREAK_REVERT_ID_FAILED. */
HRESULT vss_backup_components_break_snapshot_set(struct vss_backup_components *session,
                                                 const VSS_ID *set_id);

/* IVssBackupComponentsEx2::BreakSnapshotSetEx. Ends the shadow-copy nature of an imported set;
 * its LUNs stay, as plain LUNs that nothing deletes. After initialize_for_backup, in any
 * context. flags: VSS_BREAKEX_FLAG_*; other bits, REVERT_IDENTITY_ALL with REVERT_IDENTITY_NONE,
 * and MASK_LUNS with any other are E_INVALIDARG. Without either REVERT_IDENTITY flag
 * disk IDs are reverted where no original is visible, and the new ones kept where one is.
 * VSS_E_OBJECT_NOT_FOUND: no such set. Through QueryStatus: VSS_E_BREAK_REVERT_ID_FAILED (an
 * original may be visible without being found: a configured portal does not answer, a disk of this
 * host does not tell who it is; with REVERT_IDENTITY_ALL also: one is visible; not one byte was
 * changed, and REVERT_IDENTITY_NONE breaks the set without a look), VSS_E_PROVIDER_VETO. */
HRESULT vss_backup_components_break_snapshot_set_ex(struct vss_backup_components *session,
                                                    const VSS_ID *set_id, uint32_t flags,
                                                    struct vss_async **out);

/* IVssBackupComponents::DeleteSnapshots. One after the other, stopping at the first failure; a
 * copy LUN goes with the last copy on it. After initialize_for_backup, in any context.
 * object_type: VSS_OBJECT_SNAPSHOT or VSS_OBJECT_SNAPSHOT_SET, else E_INVALIDARG. force: no
 * difference; a copy that is in use is deleted either way, as its array allows. out_deleted,
 * out_nondeleted: how many went, and the first that did not (null: none); set on failure too.
 * VSS_E_OBJECT_NOT_FOUND, VSS_E_PROVIDER_VETO, VSS_E_UNEXPECTED_PROVIDER_ERROR. */
HRESULT vss_backup_components_delete_snapshots(struct vss_backup_components *session,
                                               const VSS_ID *object_id, int32_t object_type,
                                               bool force, int32_t *out_deleted,
                                               VSS_ID *out_nondeleted);

/* IVssBackupComponentsEx3::AddSnapshotToRecoverySet. Adds a copy of the given document to those
 * that recover_set brings back. Nothing is written. After initialize_for_restore. Where this
 * host's registry knows the set, it is believed over the document.
 * flags: 0, else E_INVALIDARG.
 * destination_volume: a volume as in add_to_snapshot_set, that is one LUN or a partition of it;
 * NULL: the original, found by its identity; a copy of several LUNs goes back to its originals
 * only. VSS_E_BAD_STATE; VSS_E_SNAPSHOT_NOT_IN_SET: the document has it not;
 * VSS_E_OBJECT_NOT_FOUND: its provider or the destination is not here; VSS_E_LEGACY_PROVIDER:
 * the provider cannot resync; VSS_E_VOLUME_NOT_SUPPORTED: the destination has no unique page-83
 * identity, belongs to no provider, is smaller than the copy, or is the copy;
 * VSS_E_RESYNC_IN_PROGRESS. */
HRESULT vss_backup_components_add_snapshot_to_recovery_set(struct vss_backup_components *session,
                                                           const VSS_ID *snapshot_id,
                                                           uint32_t flags,
                                                           const char *destination_volume);

/* IVssBackupComponentsEx3::RecoverSet. Overwrites the destinations with the copies, which stay
 * reusable. After at least one add_snapshot_to_recovery_set. However it ends, the recovery set
 * is empty afterwards; add again to run again.
 * flags: VSS_RECOVERY_*, else E_INVALIDARG.
 * VSS_E_BAD_STATE. Through QueryStatus: VSS_E_UNSELECTED_VOLUME (a destination has a volume
 * outside the set), VSS_E_CANNOT_REVERT_DISKID, VSS_E_PROVIDER_VETO, VSS_E_LEGACY_PROVIDER;
 * VSS_E_BAD_STATE: a dead process left something; and, though its documented list has it not,
 * VSS_E_RESYNC_IN_PROGRESS. VSS_S_ASYNC_CANCELLED after writing began leaves destinations that
 * are not whole; the text says which. */
HRESULT vss_backup_components_recover_set(struct vss_backup_components *session, uint32_t flags,
                                          struct vss_async **out);

/* IVssBackupComponents::PreRestore. Tells the writers that their data are about to be overwritten:
 * they stop using them. After initialize_for_restore and gather_writer_metadata, once; before
 * recover_set. A writer that fails is seen in gather_writer_status: do not overwrite its data.
 * Where the operation itself fails or is cancelled, the writers are told post-restore at once, so
 * that nobody stays stopped; unless an earlier resync that did not end may have left LUNs
 * half-written, as the text says then. VSS_E_BAD_STATE. */
HRESULT vss_backup_components_pre_restore(struct vss_backup_components *session,
                                          struct vss_async **out);

/* IVssBackupComponents::PostRestore. Tells the writers that their data are there. After
 * pre_restore, once; the writers that failed there are told too. VSS_E_BAD_STATE. */
HRESULT vss_backup_components_post_restore(struct vss_backup_components *session,
                                           struct vss_async **out);

/* IVssBackupComponentsEx2::PreFastRecovery, FastRecovery. Reserved in VSS and here: E_NOTIMPL, or
 * VSS_E_BAD_STATE before initialize_*; no argument is looked at. */
HRESULT vss_backup_components_pre_fast_recovery(struct vss_backup_components *session,
                                                const VSS_ID *id, uint32_t flags,
                                                struct vss_async **out);
HRESULT vss_backup_components_fast_recovery(struct vss_backup_components *session, const VSS_ID *id,
                                            uint32_t flags, struct vss_async **out);

/* What the last recover_set did, also where it failed: a JSON array, one object per member:
 * snapshot (id), destination (URL), method (how the array copied), ids (which disk IDs it has
 * now and why), written (false: its bytes are what they were), result (name of a code); "[]" where
 * none was run. No VSS method: our own. After initialize_for_restore. VSS_E_BAD_STATE. */
HRESULT vss_backup_components_recovery_report(struct vss_backup_components *session,
                                              char **out_json);

/* ---- components ---------------------------------------------------------------------------------
 *
 * Which components a backup is of, and what backup and restore note of each, in the session's
 * document (component.h reads it back). A component is named by the class of its writer, its type
 * (enum vss_component_type: DATABASE or FILEGROUP), its logical path (NULL or "": none) and its
 * name, compared byte by byte. A method that names no instance means the document's only component
 * of that name and class: where several instances have it, it is E_INVALIDARG. Texts are UTF-8
 * without control characters other than tab and line breaks, of a MiB at most, else E_INVALIDARG.
 *
 * All give VSS_E_BAD_STATE; VSS_E_OBJECT_NOT_FOUND: the document has no such component; and
 * VSS_E_INVALID_XML_DOCUMENT: a value that the document has of that component is not valid, the
 * text says which (VSS_E_UNEXPECTED from set_authoritative_restore, set_roll_forward and
 * set_restore_name, whose documented lists lack it). On failure the document is as before; only
 * methods that set two things (set_roll_forward, set_selected_for_restore) may have set one of them
 * after E_OUTOFMEMORY. Nothing blocks. */

/* IVssBackupComponents::GetWriterComponentsCount. How many writers have components in the document.
 * After initialize_*. VSS_E_BAD_STATE. */
HRESULT vss_backup_components_get_writer_components_count(struct vss_backup_components *session,
                                                          uint32_t *out_writers);

/* IVssBackupComponents::GetWriterComponents. One of these writers, as an object of component.h.
 * index: from 0. VSS_E_BAD_STATE; VSS_E_OBJECT_NOT_FOUND: no such writer. */
HRESULT vss_backup_components_get_writer_components(struct vss_backup_components *session,
                                                    uint32_t index,
                                                    struct vss_writer_components **out);

/* IVssBackupComponents::AddComponent. Puts a component of a writer that was gathered into the
 * backup; components below it come with it. After gather_writer_metadata and set_backup_state with
 * select_components, before prepare_for_backup; not in contexts without writers.
 * E_INVALIDARG: also where no such instance was gathered, or it has no such component;
 * VSS_E_OBJECT_ALREADY_EXISTS: a component of that path and name was added for the instance;
 * VSS_E_INVALID_XML_DOCUMENT: the writer's document is not valid where it speaks of it. */
HRESULT vss_backup_components_add_component(struct vss_backup_components *session,
                                            const VSS_ID *instance_id, const VSS_ID *writer_id,
                                            int32_t component_type, const char *logical_path,
                                            const char *component_name);

/* IVssBackupComponents::SetBackupOptions. A text for the writer, in words that the two have agreed
 * on. In a backup, before prepare_for_backup; not in contexts without writers. */
HRESULT vss_backup_components_set_backup_options(struct vss_backup_components *session,
                                                 const VSS_ID *writer_id, int32_t component_type,
                                                 const char *logical_path,
                                                 const char *component_name, const char *options);

/* IVssBackupComponents::SetPreviousBackupStamp. For an incremental or differential backup: the
 * backup stamp that the document of the one before has. State as set_backup_options. */
HRESULT vss_backup_components_set_previous_backup_stamp(
    struct vss_backup_components *session, const VSS_ID *writer_id, int32_t component_type,
    const char *logical_path, const char *component_name, const char *stamp);

/* IVssBackupComponents::SetBackupSucceeded. Whether the component's files were backed up. After
 * do_snapshot_set succeeded, before backup_complete, in a session that selects components. */
HRESULT vss_backup_components_set_backup_succeeded(struct vss_backup_components *session,
                                                   const VSS_ID *instance_id,
                                                   const VSS_ID *writer_id, int32_t component_type,
                                                   const char *logical_path,
                                                   const char *component_name, bool succeeded);

/* IVssBackupComponents::SetRestoreState. What kind of restore it is; written to the document. In a
 * restore, before pre_restore. restore_type: enum vss_restore_type, not UNDEFINED.
 * VSS_E_INVALID_XML_DOCUMENT: the document has one that is not known. */
HRESULT vss_backup_components_set_restore_state(struct vss_backup_components *session,
                                                int32_t restore_type);

/* IVssBackupComponents::SetSelectedForRestore, IVssBackupComponentsEx::SetSelectedForRestoreEx.
 * Whether the component shall be restored. In a restore, after gather_writer_metadata, before
 * pre_restore, where the document (or set_backup_state) says that components are selected.
 * VSS_E_OBJECT_NOT_FOUND: also where no writer of that class runs here.
 * instance_id: NULL or the null id for any; else the running instance that shall restore it, which
 * need not be the one that the document has it of; where it is, that one's component is meant. */
HRESULT vss_backup_components_set_selected_for_restore(struct vss_backup_components *session,
                                                       const VSS_ID *writer_id,
                                                       int32_t component_type,
                                                       const char *logical_path,
                                                       const char *component_name, bool selected);
HRESULT vss_backup_components_set_selected_for_restore_ex(
    struct vss_backup_components *session, const VSS_ID *writer_id, int32_t component_type,
    const char *logical_path, const char *component_name, bool selected, const VSS_ID *instance_id);

/* IVssBackupComponents::SetRestoreOptions, SetAdditionalRestores,
 * IVssBackupComponentsEx2::SetAuthoritativeRestore, SetRestoreName. A text for the writer; whether
 * more restores of this component follow; whether its data wins over that of other copies of the
 * application; the name to restore it under. In a restore, before pre_restore. */
HRESULT vss_backup_components_set_restore_options(struct vss_backup_components *session,
                                                  const VSS_ID *writer_id, int32_t component_type,
                                                  const char *logical_path,
                                                  const char *component_name, const char *options);
HRESULT vss_backup_components_set_additional_restores(struct vss_backup_components *session,
                                                      const VSS_ID *writer_id,
                                                      int32_t component_type,
                                                      const char *logical_path,
                                                      const char *component_name, bool additional);
HRESULT vss_backup_components_set_authoritative_restore(
    struct vss_backup_components *session, const VSS_ID *writer_id, int32_t component_type,
    const char *logical_path, const char *component_name, bool authoritative);
HRESULT vss_backup_components_set_restore_name(struct vss_backup_components *session,
                                               const VSS_ID *writer_id, int32_t component_type,
                                               const char *logical_path, const char *component_name,
                                               const char *name);

/* IVssBackupComponentsEx2::SetRollForward. How far the application's logs are applied.
 * type: enum vss_rollforward_type, not UNDEFINED. point: where to stop, in the writer's words; with
 * VSS_RF_PARTIAL, and only there, it must be given; else NULL or "". State as set_restore_options.
 */
HRESULT vss_backup_components_set_roll_forward(struct vss_backup_components *session,
                                               const VSS_ID *writer_id, int32_t component_type,
                                               const char *logical_path, const char *component_name,
                                               int32_t type, const char *point);

/* IVssBackupComponents::AddRestoreSubcomponent. Restores a part of a component that was selected.
 * State as set_restore_options; VSS_E_BAD_STATE also where it is not selected. repair: false. */
HRESULT vss_backup_components_add_restore_subcomponent(
    struct vss_backup_components *session, const VSS_ID *writer_id, int32_t component_type,
    const char *logical_path, const char *component_name, const char *subcomponent_logical_path,
    const char *subcomponent_name, bool repair);

/* IVssBackupComponents::AddNewTarget. Sends a file set of the component, or of one below it, to
 * another place. State as set_restore_options, and after gather_writer_metadata.
 * path, filename, recursive: of the file set, as the running writer's metadata has it (a separator
 * at the end of path makes no difference). VSS_E_OBJECT_NOT_FOUND: also where it has no such file
 * set. */
HRESULT vss_backup_components_add_new_target(struct vss_backup_components *session,
                                             const VSS_ID *writer_id, int32_t component_type,
                                             const char *logical_path, const char *component_name,
                                             const char *path, const char *filename, bool recursive,
                                             const char *alternate_path);

/* IVssBackupComponents::AddAlternativeLocationMapping. Says that a file set was restored to the
 * alternate location that its writer named. As add_new_target, but until post_restore. */
HRESULT vss_backup_components_add_alternative_location_mapping(
    struct vss_backup_components *session, const VSS_ID *writer_id, int32_t component_type,
    const char *logical_path, const char *component_name, const char *path, const char *filespec,
    bool recursive, const char *destination);

/* IVssBackupComponents::SetRangesFilePath. Where the file lies now that lists the ranges of a
 * partial file. partial_file: its index in the component, from 0. State as set_restore_options.
 * VSS_E_OBJECT_NOT_FOUND: also where there is no such partial file. */
HRESULT vss_backup_components_set_ranges_file_path(struct vss_backup_components *session,
                                                   const VSS_ID *writer_id, int32_t component_type,
                                                   const char *logical_path,
                                                   const char *component_name,
                                                   uint32_t partial_file, const char *ranges_file);

/* IVssBackupComponents::SetFileRestoreStatus. How the restore of the component's files went. In a
 * restore, before post_restore. status: enum vss_file_restore_status, not UNDEFINED. */
HRESULT vss_backup_components_set_file_restore_status(struct vss_backup_components *session,
                                                      const VSS_ID *writer_id,
                                                      int32_t component_type,
                                                      const char *logical_path,
                                                      const char *component_name, int32_t status);

/* ---- the session itself ------------------------------------------------------------------------
 */

/* IVssBackupComponentsEx3::GetSessionId. The same for the session's life, another for each; in
 * any state. */
HRESULT vss_backup_components_get_session_id(struct vss_backup_components *session, VSS_ID *out);

/* ---- volumes and the host
 * ------------------------------------------------------------------------------ */

/* IVssBackupComponents::ExposeSnapshot. Mounts the copy of a volume read-only at a directory of
 * this host, without set-ID programs and device nodes. The copy is persistent (APP_ROLLBACK,
 * NAS_ROLLBACK), imported here and on one LUN. qemu-storage-daemon shows the LUN as a file (FUSE),
 * logging in by iSCSI where the kernel has no block device for it. A log of the filesystem is
 * replayed into a file beside, so the copy stays as it was cut. The mount stays until
 * unexpose_snapshot, delete or break, or a restart of the machine. Where the array goes away
 * meanwhile, reading from the mount waits for it, as from any disk of a SAN. After
 * initialize_for_backup, in any context; only root can.
 * path_from_root: NULL. attributes: VSS_VOLSNAP_ATTR_EXPOSED_LOCALLY; EXPOSED_REMOTELY is
 * E_INVALIDARG like anything else, since this host has no file shares of its own: expose locally
 * and share that directory. expose: an empty directory, absolute. out_exposed: the mount point,
 * freed with vss_free_string(); get_snapshot_properties has it as exposed_name.
 * VSS_E_BAD_STATE: also not imported, exposed already, or somebody is at work on the set;
 * VSS_E_OBJECT_NOT_FOUND: no such copy, or its LUN is not there any more; E_INVALIDARG: also a copy
 * that is not of the kind; VSS_E_UNEXPECTED: no filesystem on it, or the host lacks what it takes;
 * VSS_E_PROVIDER_VETO: its array is not configured, or answered so when it was asked for the copy;
 * VSS_E_UNEXPECTED_PROVIDER_ERROR. Blocks for the network's time-outs. */
HRESULT vss_backup_components_expose_snapshot(struct vss_backup_components *session,
                                              const VSS_ID *snapshot_id, const char *path_from_root,
                                              int32_t attributes, const char *expose,
                                              char **out_exposed);

/* IVssBackupComponentsEx2::UnexposeSnapshot. Unmounts the copy; it stays as it was before
 * expose_snapshot. After initialize_for_backup, in any context. VSS_E_BAD_STATE: also somebody is
 * at work on the set; VSS_E_OBJECT_NOT_FOUND: no such copy, or it is not exposed;
 * VSS_E_PROVIDER_VETO: the mount is in use. */
HRESULT vss_backup_components_unexpose_snapshot(struct vss_backup_components *session,
                                                const VSS_ID *snapshot_id);

/* IVssBackupComponents::RevertToSnapshot. Overwrites a volume with its persistent copy, which
 * stays: a resync of the volume's LUN with all its checks, in the background, by the rules of
 * recover_set with flags 0. Returns once it began; query_revert_status waits for its end. It
 * belongs to this process: the session's release waits for it, and should the process die, what it
 * left is for `lunshadow recover`. It cannot be cancelled. After initialize_for_backup, in any
 * context. force_dismount: unmount the volume where this process sees it mounted; files that are
 * open still keep it in use, as do other mount namespaces and swap. VSS_E_OBJECT_NOT_FOUND: no such
 * copy, or its volume is not there; VSS_E_UNSUPPORTED_CONTEXT: the copy is not persistent;
 * VSS_E_PROVIDER_NOT_REGISTERED: its array is not configured or not usable; E_NOTIMPL: its provider
 * cannot resync; VSS_E_VOLUME_NOT_SUPPORTED: the LUN has other volumes too, or the volume is of
 * several LUNs, LVM or RAID; VSS_E_VOLUME_IN_USE: this host has it mounted, in whatever mount
 * namespace, or swaps to it; VSS_E_REVERT_IN_PROGRESS: a revert or resync runs on this machine.
 * E_FAIL: anything else, also a wrong state; its documented list has no VSS_E_UNEXPECTED. */
HRESULT vss_backup_components_revert_to_snapshot(struct vss_backup_components *session,
                                                 const VSS_ID *snapshot_id, bool force_dismount);

/* IVssBackupComponents::QueryRevertStatus. An operation that ends when the revert, or resync, of
 * the volume ends, in whatever process it runs, with its result; at once where none runs, or where
 * one has failed and left the volume unfinished. vss_async_cancel() ends the watching alone: the
 * revert goes on. In both kinds of session.
 * E_POINTER for a NULL; VSS_E_OBJECT_NOT_FOUND, VSS_E_VOLUME_NOT_SUPPORTED: the volume, as in
 * add_to_snapshot_set, or one of no array or of several LUNs; E_NOTIMPL: its provider cannot
 * resync. Through QueryStatus: E_FAIL, the revert failed, or its process is gone. E_FAIL for
 * anything else too, also a wrong state. */
HRESULT vss_backup_components_query_revert_status(struct vss_backup_components *session,
                                                  const char *volume, struct vss_async **out);

/* IVssBackupComponentsEx4::GetRootAndLogicalPrefixPaths. Which volume a file is on, and how its
 * path begins there. After initialize_for_backup. Nothing but the host's table of mounts is looked
 * at.
 * file_path: absolute; symbolic links are resolved as far as the path exists.
 * out_root: what add_to_snapshot_set takes for the volume of the file: the mount point with one '/'
 * at its end; of a network filesystem its source ("host:/export", "//host/share").
 * out_logical_prefix: the leading part of the resolved path that stands for the root, with one '/'
 * at its end: with an exposed copy's path in its place it names the copied file. Both freed with
 * vss_free_string().
 * normalize_fqdn: write the host of a network filesystem's source as its fully qualified name,
 * where the resolver has one. Use one value for all files of a set.
 * Its documented list is E_OUTOFMEMORY alone; E_INVALIDARG (a path that is not absolute),
 * E_ACCESSDENIED and VSS_E_UNEXPECTED, also for a wrong state, are the extras of all methods. */
HRESULT
vss_backup_components_get_root_and_logical_prefix_paths(struct vss_backup_components *session,
                                                        const char *file_path, bool normalize_fqdn,
                                                        char **out_root, char **out_logical_prefix);

/* IsVolumeSnapshotted. Whether this host's registry has completed shadow copies of a volume.
 * options: NULL for all defaults. volume: as in add_to_snapshot_set. out_capability: bits of enum
 * vss_snapshot_compatibility that the copies take away from the volume; always 0 here: copies in an
 * array take nothing.
 * out_error: may be NULL; on failure a plain line, freed with vss_free_string().
 * The array that owns the volume is asked whether it does; a volume of no array is one without
 * copies. VSS_E_OBJECT_NOT_FOUND: no such volume; VSS_E_PROVIDER_VETO,
 * VSS_E_UNEXPECTED_PROVIDER_ERROR: what an array answered, while none says that it is its;
 * VSS_E_UNEXPECTED: also a disk of this host that no portal shows while one does not answer. Blocks
 * for the network's time-outs. */
HRESULT vss_is_volume_snapshotted(const struct vss_session_options *options, const char *volume,
                                  bool *out_snapshots_present, int32_t *out_capability,
                                  char **out_error);

/* ShouldBlockRevert. Whether revert_to_snapshot should not be used on a volume, because it, or
 * another volume on its LUNs, holds files of a writer that [revert] blocking_writers of the
 * configuration names (or may, as a writer does not say who it is), what this host runs from (/,
 * /usr, /boot, /var, /etc), or the state directory. It is advice: revert_to_snapshot does not ask.
 * options, out_error: as for vss_is_volume_snapshotted(). volume: as in add_to_snapshot_set; one
 * that is not there or cannot be copied is E_INVALIDARG. With blocking writers the writers are
 * asked who they are. Blocks for their time limit, and the network's time-outs. */
HRESULT vss_should_block_revert(const struct vss_session_options *options, const char *volume,
                                bool *out_block, char **out_error);

/* How vss_co_initialize_ex() is called. Source: COINIT, objbase.h. */
enum vss_coinit {
    COINIT_MULTITHREADED = 0x0,
    COINIT_APARTMENTTHREADED = 0x2,
    COINIT_DISABLE_OLE1DDE = 0x4,  /* no meaning here */
    COINIT_SPEED_OVER_MEMORY = 0x8 /* likewise */
};

/* CoInitializeEx. Keeps the rule that programs are written to: a thread says once how it means to
 * be called, and every success is taken back by one vss_co_uninitialize() on the same thread. No
 * other function here asks for it: a program that never calls it works.
 * reserved: NULL. concurrency: enum vss_coinit.
 * S_OK: the first call on this thread; S_FALSE: one more in the same model; RPC_E_CHANGED_MODE: the
 * thread is in the other model, and nothing changed (not to be taken back). E_INVALIDARG. Does not
 * block. */
HRESULT vss_co_initialize_ex(void *reserved, uint32_t concurrency);

/* CoUninitialize. Takes one success of this thread back; with the last one the thread may choose
 * its model anew. Harmless where nothing is left to take back. */
void vss_co_uninitialize(void);

/* ---- IVssEnumObject -----------------------------------------------------------------------------
 */

/* IVssEnumObject::Next. Up to count objects into items[], which has room for them; each item's
 * strings are freed by vss_free_object_properties(). S_FALSE: fewer were left. E_POINTER for a
 * NULL. E_OUTOFMEMORY leaves the position as it was. */
HRESULT vss_enum_object_next(struct vss_enum_object *objects, uint32_t count,
                             struct vss_object_prop *items, uint32_t *out_fetched);

/* IVssEnumObject::Skip. S_FALSE: fewer were left, and it is at the end now. */
HRESULT vss_enum_object_skip(struct vss_enum_object *objects, uint32_t count);

/* IVssEnumObject::Reset. Back to the first object of the same query. */
HRESULT vss_enum_object_reset(struct vss_enum_object *objects);

/* IVssEnumObject::Clone. One of its own, at the same position. E_POINTER for a NULL. */
HRESULT vss_enum_object_clone(const struct vss_enum_object *objects, struct vss_enum_object **out);

/* An enumerator may outlive its session. NULL is harmless. */
void vss_enum_object_release(struct vss_enum_object *objects);

/* ---- memory
 * --------------------------------------------------------------------------------------- */

/* VssFreeSnapshotProperties and its like. Free the strings within and zero the structure, which
 * stays the caller's; NULL and an all-zero structure are harmless. */
void vss_free_snapshot_properties(struct vss_snapshot_prop *properties);
void vss_free_provider_properties(struct vss_provider_prop *properties);
void vss_free_object_properties(struct vss_object_prop *properties); /* by its type */

/* Any text that came as `char **out`. NULL is harmless. */
void vss_free_string(char *text);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif

#endif
