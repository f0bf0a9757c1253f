/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_REQUESTER_DOCUMENT_METADATA_H
#define LUNSHADOW_REQUESTER_DOCUMENT_METADATA_H

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>

/* The Writer Metadata Document: what a writer says of itself and its files. It is never changed
 * once it was loaded, and shared by count, across threads too.
 *
 * Element and attribute names of VSS where they are known, in x-schema:#VssWriterMetadataInfo:
 *
 *   WRITER_METADATA version backupSchema?
 *     IDENTIFICATION writerId instanceId instanceName? friendlyName usage dataSource majorVersion?
 *                    minorVersion?
 *     RESTORE_METHOD method writerRestore rebootRequired
 *     BACKUP_LOCATIONS
 *       FILE_GROUP logicalPath? componentName caption? restoreMetadata? notifyOnBackupComplete?
 *                  selectable? selectableForRestore? componentFlags?
 *         FILE_LIST path filespec recursive? filespecBackupType?
 *       EXCLUDE_FILES path filespec recursive?
 *       EXCLUDE_FILES_FROM_SNAPSHOT path filespec recursive?
 *
 * and in the namespace urn:lunshadow:document:1 (prefix ls) what no public source names:
 * RESTORE_METHOD may have ls:service, ls:userProcedure and children ls:ALTERNATE_LOCATION (path
 * filespec recursive? alternatePath); BACKUP_LOCATIONS may have ls:DATABASE, with the attributes of
 * a FILE_GROUP and children ls:DATABASE_FILE and ls:LOG_FILE (path filespec filespecBackupType?);
 * either component may have ls:DEPENDENCY (writerId logicalPath? componentName) and, on a
 * FILE_GROUP with the prefix, icon (hex digits); a FILE_LIST may have ls:alternatePath.
 *
 * Ids in either case; booleans are yes and no, an absent one no. What is not known survives a load
 * and save. */
struct metadata;

/* As document_load(): limits, encodings, codes, and VSS_E_CORRUPT_XML_DOCUMENT for what is not XML
 * at all. Looked at now: the root, one IDENTIFICATION with two ids, each component once. Every
 * other value is looked at when it is asked for. */
HRESULT metadata_load(const void *xml, size_t length, struct metadata **out, struct error *err);

/* The same object once more; each is released. */
struct metadata *metadata_share(struct metadata *metadata);
void metadata_release(struct metadata *metadata); /* NULL is harmless */

/* As document_save(). */
HRESULT metadata_save(const struct metadata *metadata, char **out_xml, struct error *err);

void metadata_ids(const struct metadata *metadata, VSS_ID *out_instance_id, VSS_ID *out_writer_id);

/* Texts below are borrowed from the document. */

struct metadata_identity {
    const char *name;          /* friendlyName */
    const char *instance_name; /* NULL: none */
    int32_t usage;             /* enum vss_usage_type; a word that is not known: UNDEFINED */
    int32_t source;            /* enum vss_source_type; likewise */
};
HRESULT metadata_identity(const struct metadata *metadata, struct metadata_identity *out,
                          struct error *err);

/* Absent ones are 0. */
HRESULT metadata_version(const struct metadata *metadata, uint32_t *out_major, uint32_t *out_minor,
                         struct error *err);
HRESULT metadata_backup_schema(const struct metadata *metadata, uint32_t *out, struct error *err);

struct metadata_restore_method {
    int32_t method;         /* enum vss_restoremethod_enum */
    int32_t writer_restore; /* enum vss_writerrestore_enum */
    bool is_reboot_required;
    const char *service;        /* NULL: none */
    const char *user_procedure; /* NULL: none */
};
HRESULT metadata_restore_method(const struct metadata *metadata,
                                struct metadata_restore_method *out, struct error *err);

/* Which component. */
struct component_name {
    int32_t type;             /* enum vss_component_type */
    const char *logical_path; /* NULL and "": none */
    const char *name;
};

/* Which files: a separator at the end of path makes no difference. */
struct file_set {
    const char *path;
    const char *filespec;
    bool is_recursive;
};

/* Whether the document has the component; whether the component, or one below it, has the files. */
HRESULT metadata_has_component(const struct metadata *metadata, const struct component_name *name,
                               bool *out, struct error *err);
HRESULT metadata_has_file_set(const struct metadata *metadata, const struct component_name *name,
                              const struct file_set *files, bool *out, struct error *err);

/* Whether there is one BACKUP_LOCATIONS; likewise all that stands in the document's head. */
HRESULT metadata_check_locations(const struct metadata *metadata, struct error *err);
HRESULT metadata_check(const struct metadata *metadata, struct error *err);

#endif
