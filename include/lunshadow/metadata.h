/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_METADATA_H
#define LUNSHADOW_METADATA_H

/* What a writer says of itself: VSS's IVssExamineWriterMetadata and what it leads to, in C, by the
 * rules of requester.h for ownership, outputs and threads. A Writer Metadata Document comes from
 * vss_backup_components_get_writer_metadata(), or from a text that was kept with a backup, through
 * vss_create_examine_writer_metadata(). docs/documents.md says what such a document holds.
 *
 * Objects got from others live on their own: each is released with its own function, before or
 * after what it came from and before or after the session. Texts are the document's: paths as their
 * writer's host spells them, variables in them not replaced.
 *
 * Codes. Every function may give E_INVALIDARG (a NULL) and E_OUTOFMEMORY beside those named at it,
 * and no others. VSS_E_INVALID_XML_DOCUMENT: what was asked for is not in the document, or not as
 * the schema has it, and the error text says where; a document is looked at as a whole when it is
 * loaded, and value by value when they are asked for. VSS_E_UNEXPECTED from an examine object means
 * that it holds no document, because its last load_from_xml failed. */

#include <lunshadow/requester.h>

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default) /* what liblunshadow exports */
#endif

struct vss_examine_writer_metadata;
struct vss_wm_component;
struct vss_wm_filedesc;
struct vss_wm_dependency;

/* ---- IVssExamineWriterMetadata, to Ex2 ---------------------------------------------------------
 */

/* CreateVssExamineWriterMetadata. An object over a Writer Metadata Document.
 * options: as for vss_create_backup_components(); only the state directory counts, whose
 * permissions decide who may do backups. xml: UTF-8 (vss_read_document() makes it of a file's
 * bytes). out_error: as there. E_ACCESSDENIED: the state directory is not this user's;
 * VSS_E_INVALID_XML_DOCUMENT: not XML, not a Writer Metadata Document, a DTD, past a limit, ids
 * that are none, a component twice; VSS_E_UNEXPECTED: the registry cannot be opened. */
HRESULT vss_create_examine_writer_metadata(const struct vss_session_options *options,
                                           const char *xml,
                                           struct vss_examine_writer_metadata **out,
                                           char **out_error);

/* NULL is harmless. */
void vss_examine_writer_metadata_release(struct vss_examine_writer_metadata *metadata);

/* The plain line of the last method's failure; "" where there is none. Each object has its own. */
const char *
vss_examine_writer_metadata_error_text(const struct vss_examine_writer_metadata *metadata);

/* IVssExamineWriterMetadata::GetIdentity. out_usage: enum vss_usage_type; out_source: enum
 * vss_source_type; UNDEFINED where the document has a word that is not known.
 * VSS_E_INVALID_XML_DOCUMENT: no name; VSS_E_UNEXPECTED. */
HRESULT vss_examine_writer_metadata_get_identity(struct vss_examine_writer_metadata *metadata,
                                                 VSS_ID *out_instance_id, VSS_ID *out_writer_id,
                                                 char **out_writer_name, int32_t *out_usage,
                                                 int32_t *out_source);

/* IVssExamineWriterMetadataEx::GetIdentityEx. Likewise. *out_instance_name: NULL where the writer
 * has no instances with names. */
HRESULT vss_examine_writer_metadata_get_identity_ex(struct vss_examine_writer_metadata *metadata,
                                                    VSS_ID *out_instance_id, VSS_ID *out_writer_id,
                                                    char **out_writer_name,
                                                    char **out_instance_name, int32_t *out_usage,
                                                    int32_t *out_source);

/* IVssExamineWriterMetadata::GetFileCounts. *out_include_files is always 0: VSS gave up include
 * files. VSS_E_INVALID_XML_DOCUMENT: not one BACKUP_LOCATIONS; VSS_E_UNEXPECTED. */
HRESULT vss_examine_writer_metadata_get_file_counts(struct vss_examine_writer_metadata *metadata,
                                                    uint32_t *out_include_files,
                                                    uint32_t *out_exclude_files,
                                                    uint32_t *out_components);

/* IVssExamineWriterMetadata::GetIncludeFile. There is none: VSS_E_OBJECT_NOT_FOUND for every index.
 * VSS_E_INVALID_XML_DOCUMENT, VSS_E_UNEXPECTED as get_file_counts. */
HRESULT vss_examine_writer_metadata_get_include_file(struct vss_examine_writer_metadata *metadata,
                                                     uint32_t index, struct vss_wm_filedesc **out);

/* IVssExamineWriterMetadata::GetExcludeFile. Files that a backup leaves out. index: from 0.
 * VSS_E_OBJECT_NOT_FOUND: no such index; VSS_E_INVALID_XML_DOCUMENT, VSS_E_UNEXPECTED as
 * get_file_counts. */
HRESULT vss_examine_writer_metadata_get_exclude_file(struct vss_examine_writer_metadata *metadata,
                                                     uint32_t index, struct vss_wm_filedesc **out);

/* IVssExamineWriterMetadata::GetComponent. index: from 0. Codes as get_exclude_file. */
HRESULT vss_examine_writer_metadata_get_component(struct vss_examine_writer_metadata *metadata,
                                                  uint32_t index, struct vss_wm_component **out);

/* IVssExamineWriterMetadata::GetRestoreMethod. How the writer wants its files back.
 * out_method: enum vss_restoremethod_enum; out_service, out_user_procedure: NULL where there is
 * none; out_writer_restore: enum vss_writerrestore_enum, when the writer takes part; out_mappings:
 * how many alternate locations. VSS_E_INVALID_XML_DOCUMENT: no RESTORE_METHOD, or a word in it that
 * is not known (a restore should not guess); VSS_E_UNEXPECTED. */
HRESULT vss_examine_writer_metadata_get_restore_method(struct vss_examine_writer_metadata *metadata,
                                                       int32_t *out_method, char **out_service,
                                                       char **out_user_procedure,
                                                       int32_t *out_writer_restore,
                                                       bool *out_reboot_required,
                                                       uint32_t *out_mappings);

/* IVssExamineWriterMetadata::GetAlternateLocationMapping. Where a file set goes when it cannot go
 * back to its place: vss_wm_filedesc_get_alternate_location(). index: from 0.
 * VSS_E_OBJECT_NOT_FOUND: no such index; VSS_E_INVALID_XML_DOCUMENT: no RESTORE_METHOD;
 * VSS_E_UNEXPECTED. */
HRESULT vss_examine_writer_metadata_get_alternate_location_mapping(
    struct vss_examine_writer_metadata *metadata, uint32_t index, struct vss_wm_filedesc **out);

/* IVssExamineWriterMetadata::GetBackupSchema. Bits of enum vss_backup_schema; 0 where the document
 * says none. VSS_E_INVALID_XML_DOCUMENT: also where there is no document. */
HRESULT vss_examine_writer_metadata_get_backup_schema(struct vss_examine_writer_metadata *metadata,
                                                      uint32_t *out_schema);

/* IVssExamineWriterMetadata::SaveAsXML. One line of UTF-8 without XML declaration, the same bytes
 * for the same document; what is not known to us is kept. VSS has GetDocument too, which gives a
 * COM object of an XML parser: use this. VSS_E_UNEXPECTED. */
HRESULT vss_examine_writer_metadata_save_as_xml(struct vss_examine_writer_metadata *metadata,
                                                char **out_xml);

/* IVssExamineWriterMetadata::LoadFromXML. Another document in place of this one; objects got before
 * stay those of the old one. xml: UTF-8.
 * S_FALSE, which FAILED() does not see: the text is not XML and could not be loaded;
 * VSS_E_INVALID_XML_DOCUMENT: XML, but not a Writer Metadata Document, or one that is not accepted.
 * After both, and VSS_E_UNEXPECTED and E_OUTOFMEMORY, the object is empty, lest the old document be
 * taken for the new one: all methods but this one fail until a load succeeds. After E_INVALIDARG it
 * is as before. */
HRESULT vss_examine_writer_metadata_load_from_xml(struct vss_examine_writer_metadata *metadata,
                                                  const char *xml);

/* IVssExamineWriterMetadataEx2::GetVersion. Of the writer; 0 where it says none. VSS_E_UNEXPECTED:
 * also where the document's are no numbers. */
HRESULT vss_examine_writer_metadata_get_version(struct vss_examine_writer_metadata *metadata,
                                                uint32_t *out_major, uint32_t *out_minor);

/* IVssExamineWriterMetadataEx2::GetExcludeFromSnapshotCount. VSS_E_UNEXPECTED: also where there is
 * not one BACKUP_LOCATIONS. */
HRESULT vss_examine_writer_metadata_get_exclude_from_snapshot_count(
    struct vss_examine_writer_metadata *metadata, uint32_t *out_count);

/* IVssExamineWriterMetadataEx2::GetExcludeFromSnapshotFile. Files that the writer removes from a
 * copy. index: from 0; E_INVALIDARG: no such index. VSS_E_UNEXPECTED as the count. */
HRESULT vss_examine_writer_metadata_get_exclude_from_snapshot_file(
    struct vss_examine_writer_metadata *metadata, uint32_t index, struct vss_wm_filedesc **out);

/* ---- IVssWMComponent ----------------------------------------------------------------------------
 */

/* IVssWMComponent::GetComponentInfo. *out is freed by vss_wm_component_free_component_info() of any
 * component object, with all that is in it. VSS_E_INVALID_XML_DOCUMENT. */
HRESULT vss_wm_component_get_component_info(struct vss_wm_component *component,
                                            struct vss_component_info **out);

/* IVssWMComponent::FreeComponentInfo. NULL is harmless, for both. */
void vss_wm_component_free_component_info(struct vss_wm_component *component,
                                          struct vss_component_info *info);

/* IVssWMComponent::GetFile, GetDatabaseFile, GetDatabaseLogFile. A file group has files, a database
 * has database and log files. index: from 0, below the count in vss_component_info.
 * VSS_E_OBJECT_NOT_FOUND: no such index. */
HRESULT vss_wm_component_get_file(struct vss_wm_component *component, uint32_t index,
                                  struct vss_wm_filedesc **out);
HRESULT vss_wm_component_get_database_file(struct vss_wm_component *component, uint32_t index,
                                           struct vss_wm_filedesc **out);
HRESULT vss_wm_component_get_database_log_file(struct vss_wm_component *component, uint32_t index,
                                               struct vss_wm_filedesc **out);

/* IVssWMComponent::GetDependency. A component, of this or another writer, that has to be backed up
 * and restored with this one. index, VSS_E_OBJECT_NOT_FOUND as get_file. */
HRESULT vss_wm_component_get_dependency(struct vss_wm_component *component, uint32_t index,
                                        struct vss_wm_dependency **out);

/* The plain line of the last method's failure; "" where there is none. */
const char *vss_wm_component_error_text(const struct vss_wm_component *component);
void vss_wm_component_release(struct vss_wm_component *component); /* NULL is harmless */

/* ---- IVssWMFiledesc -----------------------------------------------------------------------------
 */

/* IVssWMFiledesc::GetPath: the directory; a separator at its end or none.
 * VSS_E_INVALID_XML_DOCUMENT.
 */
HRESULT vss_wm_filedesc_get_path(struct vss_wm_filedesc *filedesc, char **out_path);

/* IVssWMFiledesc::GetFilespec: the files in it; ? and * are wildcards. VSS_E_INVALID_XML_DOCUMENT.
 */
HRESULT vss_wm_filedesc_get_filespec(struct vss_wm_filedesc *filedesc, char **out_filespec);

/* IVssWMFiledesc::GetRecursive: whether directories below count too. VSS_E_INVALID_XML_DOCUMENT. */
HRESULT vss_wm_filedesc_get_recursive(struct vss_wm_filedesc *filedesc, bool *out_recursive);

/* IVssWMFiledesc::GetAlternateLocation: of a file set, where its files lie for a backup instead; of
 * a mapping or new target, where they are restored to. S_FALSE, and NULL: there is none.
 * VSS_E_INVALID_XML_DOCUMENT. */
HRESULT vss_wm_filedesc_get_alternate_location(struct vss_wm_filedesc *filedesc,
                                               char **out_alternate_location);

/* IVssWMFiledesc::GetBackupTypeMask: bits of enum vss_file_spec_backup_type; where the document
 * says none, every backup and every copy needs the files. VSS_E_INVALID_XML_DOCUMENT. */
HRESULT vss_wm_filedesc_get_backup_type_mask(struct vss_wm_filedesc *filedesc, uint32_t *out_mask);

/* The plain line of the last method's failure; "" where there is none. */
const char *vss_wm_filedesc_error_text(const struct vss_wm_filedesc *filedesc);
void vss_wm_filedesc_release(struct vss_wm_filedesc *filedesc); /* NULL is harmless */

/* ---- IVssWMDependency ---------------------------------------------------------------------------
 */

/* IVssWMDependency::GetWriterId, GetLogicalPath, GetComponentName: the component that is depended
 * on. *out_path is NULL where it has no logical path.
 * S_FALSE, the output set all the same: the session that this came from gathered no writer of that
 * class, so nobody manages that component here. An object of vss_create_examine_writer_metadata()
 * knows no other writers and never says so. VSS_E_INVALID_XML_DOCUMENT. */
HRESULT vss_wm_dependency_get_writer_id(struct vss_wm_dependency *dependency,
                                        VSS_ID *out_writer_id);
HRESULT vss_wm_dependency_get_logical_path(struct vss_wm_dependency *dependency, char **out_path);
HRESULT vss_wm_dependency_get_component_name(struct vss_wm_dependency *dependency, char **out_name);

/* The plain line of the last method's failure; "" where there is none. */
const char *vss_wm_dependency_error_text(const struct vss_wm_dependency *dependency);
void vss_wm_dependency_release(struct vss_wm_dependency *dependency); /* NULL is harmless */

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif

#endif
