/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_COMPONENT_H
#define LUNSHADOW_COMPONENT_H

/* What a Backup Components Document notes of each component: VSS's IVssWriterComponentsExt and
 * IVssComponent to IVssComponentEx2 in C, by the rules of requester.h for ownership and outputs.
 * Objects come from vss_backup_components_get_writer_components().
 *
 * A session and the objects got from it count as one handle: one thread at a time for all of them.
 * Each object is released with its own function, before or after the session; a vss_component shows
 * the session's document as it is now, and once the session is released its methods refuse.
 *
 * In VSS the setters of this header are the writer's. Here a writer is a program that says these
 * things in its answers; a requester that stands in for a writer may use the setters itself.
 *
 * Codes. Every function may give E_INVALIDARG (a NULL, a text that is not UTF-8, has control
 * characters other than tab and line breaks or more than a MiB, a value that the enumeration does
 * not have) and E_OUTOFMEMORY. Every method of vss_component may also give VSS_E_BAD_STATE (an
 * asynchronous operation of the session runs, or the session was released) and
 * VSS_E_INVALID_XML_DOCUMENT (what the document has there is not valid; the text says where). No
 * others ever come out, but for those named at a function. After a failure the document is as
 * before; only set_failure, which sets three things, may have set some of them after E_OUTOFMEMORY.
 * Nothing blocks.
 *
 * A text that the document does not have is S_FALSE, and NULL. */

#include <lunshadow/metadata.h>

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default) /* what liblunshadow exports */
#endif

struct vss_component;

/* ---- IVssWriterComponentsExt --------------------------------------------------------------------
 */

/* IVssWriterComponents::GetComponentCount. */
HRESULT vss_writer_components_get_component_count(struct vss_writer_components *writer,
                                                  uint32_t *out_components);

/* IVssWriterComponents::GetWriterInfo. VSS_E_INVALID_XML_DOCUMENT: the document lacks one of both.
 */
HRESULT vss_writer_components_get_writer_info(struct vss_writer_components *writer,
                                              VSS_ID *out_instance_id, VSS_ID *out_writer_id);

/* IVssWriterComponents::GetComponent. index: from 0. VSS_E_OBJECT_NOT_FOUND: no such component. */
HRESULT vss_writer_components_get_component(struct vss_writer_components *writer, uint32_t index,
                                            struct vss_component **out);

/* The plain line of the last method's failure; "" where there is none. */
const char *vss_writer_components_error_text(const struct vss_writer_components *writer);
void vss_writer_components_release(struct vss_writer_components *writer); /* NULL is harmless */

/* ---- IVssComponent: which one it is -------------------------------------------------------------
 */

/* As vss_writer_components_error_text(). */
const char *vss_component_error_text(const struct vss_component *component);
void vss_component_release(struct vss_component *component); /* NULL is harmless */

/* IVssComponent::GetLogicalPath. S_FALSE: it has none. */
HRESULT vss_component_get_logical_path(struct vss_component *component, char **out_path);

/* IVssComponent::GetComponentType. enum vss_component_type, never UNDEFINED. */
HRESULT vss_component_get_component_type(struct vss_component *component, int32_t *out_type);

/* IVssComponent::GetComponentName. */
HRESULT vss_component_get_component_name(struct vss_component *component, char **out_name);

/* ---- backup -------------------------------------------------------------------------------------
 */

/* IVssComponent::GetBackupSucceeded. What set_backup_succeeded said; false before. */
HRESULT vss_component_get_backup_succeeded(struct vss_component *component, bool *out_succeeded);

/* IVssComponent::GetBackupOptions, GetBackupStamp, GetPreviousBackupStamp, GetBackupMetadata. */
HRESULT vss_component_get_backup_options(struct vss_component *component, char **out_options);
HRESULT vss_component_get_backup_stamp(struct vss_component *component, char **out_stamp);
HRESULT vss_component_get_previous_backup_stamp(struct vss_component *component, char **out_stamp);
HRESULT vss_component_get_backup_metadata(struct vss_component *component, char **out_metadata);

/* IVssComponent::SetBackupStamp, SetBackupMetadata. The last call counts. */
HRESULT vss_component_set_backup_stamp(struct vss_component *component, const char *stamp);
HRESULT vss_component_set_backup_metadata(struct vss_component *component, const char *metadata);

/* IVssComponent::AddPartialFile. A file of which a part only is backed up.
 * ranges: a list of offsets and lengths, or File=PATH, as the writer and the requester of the
 * document agree. metadata: of the writer's own; may be NULL. */
HRESULT vss_component_add_partial_file(struct vss_component *component, const char *path,
                                       const char *filename, const char *ranges,
                                       const char *metadata);

/* IVssComponent::GetPartialFileCount, GetPartialFile. index: from 0; VSS_E_OBJECT_NOT_FOUND.
 * *out_ranges is File=PATH once set_ranges_file_path named one; *out_metadata NULL where there is
 * none. */
HRESULT vss_component_get_partial_file_count(struct vss_component *component, uint32_t *out_count);
HRESULT vss_component_get_partial_file(struct vss_component *component, uint32_t index,
                                       char **out_path, char **out_filename, char **out_ranges,
                                       char **out_metadata);

/* IVssComponent::AddDifferencedFilesByLastModifyTime, AddDifferencedFilesByLastModifyLSN. Files of
 * which only what changed since is backed up. last_modify_time: 100 ns units since 1601-01-01 UTC,
 * not negative. lsn: of the writer's own. */
HRESULT vss_component_add_differenced_files_by_last_modify_time(struct vss_component *component,
                                                                const char *path,
                                                                const char *filespec,
                                                                bool recursive,
                                                                int64_t last_modify_time);
HRESULT vss_component_add_differenced_files_by_last_modify_lsn(struct vss_component *component,
                                                               const char *path,
                                                               const char *filespec, bool recursive,
                                                               const char *lsn);

/* IVssComponent::GetDifferencedFilesCount, GetDifferencedFile. index: from 0;
 * VSS_E_OBJECT_NOT_FOUND. *out_lsn: NULL where it is by time; *out_last_modify_time: 0 where it is
 * by LSN. */
HRESULT vss_component_get_differenced_files_count(struct vss_component *component,
                                                  uint32_t *out_count);
HRESULT vss_component_get_differenced_file(struct vss_component *component, uint32_t index,
                                           char **out_path, char **out_filespec,
                                           bool *out_recursive, char **out_lsn,
                                           int64_t *out_last_modify_time);

/* ---- restore ------------------------------------------------------------------------------------
 */

/* IVssComponent::IsSelectedForRestore, GetAdditionalRestores, GetRestoreOptions. */
HRESULT vss_component_is_selected_for_restore(struct vss_component *component, bool *out_selected);
HRESULT vss_component_get_additional_restores(struct vss_component *component,
                                              bool *out_additional);
HRESULT vss_component_get_restore_options(struct vss_component *component, char **out_options);

/* IVssComponent::SetRestoreMetadata, GetRestoreMetadata. */
HRESULT vss_component_set_restore_metadata(struct vss_component *component, const char *metadata);
HRESULT vss_component_get_restore_metadata(struct vss_component *component, char **out_metadata);

/* IVssComponent::SetRestoreTarget, GetRestoreTarget. enum vss_restore_target; UNDEFINED before it
 * was set, and cannot be set. */
HRESULT vss_component_set_restore_target(struct vss_component *component, int32_t target);
HRESULT vss_component_get_restore_target(struct vss_component *component, int32_t *out_target);

/* IVssComponent::GetFileRestoreStatus. enum vss_file_restore_status; UNDEFINED before it was set.
 */
HRESULT vss_component_get_file_restore_status(struct vss_component *component, int32_t *out_status);

/* IVssComponent::GetAlternateLocationMappingCount, GetAlternateLocationMapping. The mappings that a
 * restore used (add_alternative_location_mapping). index: from 0; VSS_E_OBJECT_NOT_FOUND. */
HRESULT vss_component_get_alternate_location_mapping_count(struct vss_component *component,
                                                           uint32_t *out_count);
HRESULT vss_component_get_alternate_location_mapping(struct vss_component *component,
                                                     uint32_t index, struct vss_wm_filedesc **out);

/* IVssComponent::GetNewTargetCount, GetNewTarget. Where add_new_target sends file sets. As above.
 */
HRESULT vss_component_get_new_target_count(struct vss_component *component, uint32_t *out_count);
HRESULT vss_component_get_new_target(struct vss_component *component, uint32_t index,
                                     struct vss_wm_filedesc **out);

/* IVssComponent::AddDirectedTarget. Where parts of a file are restored to; the two range lists are
 * of as many ranges, which is the writer's to see to. */
HRESULT vss_component_add_directed_target(struct vss_component *component, const char *source_path,
                                          const char *source_filename, const char *source_ranges,
                                          const char *destination_path,
                                          const char *destination_filename,
                                          const char *destination_ranges);

/* IVssComponent::GetDirectedTargetCount, GetDirectedTarget. index: from 0; VSS_E_OBJECT_NOT_FOUND.
 */
HRESULT vss_component_get_directed_target_count(struct vss_component *component,
                                                uint32_t *out_count);
HRESULT vss_component_get_directed_target(struct vss_component *component, uint32_t index,
                                          char **out_source_path, char **out_source_filename,
                                          char **out_source_ranges, char **out_destination_path,
                                          char **out_destination_filename,
                                          char **out_destination_ranges);

/* IVssComponent::GetRestoreSubcomponentCount, GetRestoreSubcomponent. What add_restore_subcomponent
 * chose. index: from 0; VSS_E_OBJECT_NOT_FOUND. */
HRESULT vss_component_get_restore_subcomponent_count(struct vss_component *component,
                                                     uint32_t *out_count);
HRESULT vss_component_get_restore_subcomponent(struct vss_component *component, uint32_t index,
                                               char **out_logical_path, char **out_component_name,
                                               bool *out_repair);

/* IVssComponentEx::GetAuthoritativeRestore, GetRollForward, GetRestoreName. out_type: enum
 * vss_rollforward_type, UNDEFINED before it was set; *out_point: NULL where there is none. */
HRESULT vss_component_get_authoritative_restore(struct vss_component *component,
                                                bool *out_authoritative);
HRESULT vss_component_get_roll_forward(struct vss_component *component, int32_t *out_type,
                                       char **out_point);
HRESULT vss_component_get_restore_name(struct vss_component *component, char **out_name);

/* ---- failures -----------------------------------------------------------------------------------
 */

/* IVssComponent::SetPreRestoreFailureMsg and so on: why the writer failed for this component in
 * that event, for people. */
HRESULT vss_component_set_pre_restore_failure_msg(struct vss_component *component,
                                                  const char *message);
HRESULT vss_component_get_pre_restore_failure_msg(struct vss_component *component,
                                                  char **out_message);
HRESULT vss_component_set_post_restore_failure_msg(struct vss_component *component,
                                                   const char *message);
HRESULT vss_component_get_post_restore_failure_msg(struct vss_component *component,
                                                   char **out_message);
HRESULT vss_component_set_prepare_for_backup_failure_msg(struct vss_component *component,
                                                         const char *message);
HRESULT vss_component_get_prepare_for_backup_failure_msg(struct vss_component *component,
                                                         char **out_message);
HRESULT vss_component_set_post_snapshot_failure_msg(struct vss_component *component,
                                                    const char *message);
HRESULT vss_component_get_post_snapshot_failure_msg(struct vss_component *component,
                                                    char **out_message);

/* IVssComponentEx2::SetFailure. What went wrong with this component, where others of its writer did
 * well (the writer itself then says VSS_E_WRITERERROR_PARTIAL_FAILURE).
 * code: S_OK, or VSS_E_WRITERERROR_INCONSISTENTSNAPSHOT, _OUTOFRESOURCES, _TIMEOUT, _RETRYABLE or
 * _NONRETRYABLE; all else is E_INVALIDARG. application_code: of the application's own.
 * application_message: may be NULL. reserved: 0. */
HRESULT vss_component_set_failure(struct vss_component *component, HRESULT code,
                                  HRESULT application_code, const char *application_message,
                                  uint32_t reserved);

/* IVssComponentEx2::GetFailure. *out_code: what set_failure said, or, of a writer that said
 * nothing, VSS_E_WRITER_NOT_RESPONDING or VSS_E_WRITER_STATUS_NOT_AVAILABLE; S_OK where nothing
 * failed. *out_application_message: NULL where there is none. *out_reserved: 0. */
HRESULT vss_component_get_failure(struct vss_component *component, HRESULT *out_code,
                                  HRESULT *out_application_code, char **out_application_message,
                                  uint32_t *out_reserved);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif

#endif
