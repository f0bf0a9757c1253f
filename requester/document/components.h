/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_REQUESTER_DOCUMENT_COMPONENTS_H
#define LUNSHADOW_REQUESTER_DOCUMENT_COMPONENTS_H

#include "requester/document/index.h"
#include "requester/document/internal.h"
#include "requester/document/metadata.h"

/* The writers and components of a Backup Components Document, and what a backup or a restore notes
 * of each component. Elements and attributes of VSS where they are known:
 *
 *   WRITER_COMPONENTS instanceId writerId backupSchema instanceName?
 *     COMPONENT componentName componentType logicalPath? backupStamp?
 *       BACKUP_METADATA metadata
 *
 * All else is ours, in our namespace: attributes of COMPONENT (component_text, component_flag,
 * component_word and the failure below) and its child elements (component_list).
 *
 * Texts must pass xml_can_hold(); they are written as they are. No component is ever removed, so
 * nodes stay valid as long as their document. */

#define DOCUMENT_WRITERS_MAX 1024u
#define COMPONENT_TEXT_MAX   ((size_t)1024 * 1024) /* bytes of one text */

struct document_writer {
    xmlNodePtr node;
    VSS_ID instance_id; /* null: absent */
    VSS_ID writer_id;   /* likewise */
    struct node_index components;
};

/* Finds all writers and components of document->root. VSS_E_INVALID_XML_DOCUMENT: an id that is
 * none, an instance or a component twice, a component without a name, too many writers. */
HRESULT document_index_writers(struct document *document, struct error *err);
void document_free_writers(struct document *document);

/* Those that have a component; NULL past the end. */
size_t document_count_writers(const struct document *document);
const struct document_writer *document_writer_at(const struct document *document, size_t place);

/* Whose component. */
struct component_owner {
    VSS_ID instance_id;
    VSS_ID writer_id;
    uint32_t backup_schema;
    const char *instance_name; /* NULL: none */
};

/* Adds a component, and its writer where that has none yet. VSS_E_OBJECT_ALREADY_EXISTS. After a
 * failure the document is as before. */
HRESULT document_add_component(struct document *document, const struct component_owner *owner,
                               const struct component_name *name, struct error *err);

/* *out: a component of the writer instance; with instance_id NULL, of the class, where
 * E_INVALIDARG says that several instances have it. VSS_E_OBJECT_NOT_FOUND. */
HRESULT document_find_component(const struct document *document, const VSS_ID *instance_id,
                                const VSS_ID *writer_id, const struct component_name *name,
                                xmlNodePtr *out, struct error *err);

/* ---- what is noted of a component ---- */

enum component_text {
    COMPONENT_BACKUP_METADATA,
    COMPONENT_BACKUP_STAMP,
    COMPONENT_BACKUP_OPTIONS,
    COMPONENT_RESTORE_OPTIONS,
    COMPONENT_PREVIOUS_BACKUP_STAMP,
    COMPONENT_RESTORE_METADATA,
    COMPONENT_PRE_RESTORE_FAILURE,
    COMPONENT_POST_RESTORE_FAILURE,
    COMPONENT_PREPARE_FOR_BACKUP_FAILURE,
    COMPONENT_POST_SNAPSHOT_FAILURE,
    COMPONENT_ROLL_FORWARD_POINT,
    COMPONENT_RESTORE_NAME,
    COMPONENT_RESTORE_INSTANCE, /* id of the writer instance that it was selected for */
    COMPONENT_TEXT_COUNT
};

enum component_flag {
    COMPONENT_BACKUP_SUCCEEDED,
    COMPONENT_SELECTED_FOR_RESTORE,
    COMPONENT_ADDITIONAL_RESTORES,
    COMPONENT_AUTHORITATIVE_RESTORE,
    COMPONENT_FLAG_COUNT
};

enum component_word {
    COMPONENT_RESTORE_TARGET,      /* enum vss_restore_target */
    COMPONENT_FILE_RESTORE_STATUS, /* enum vss_file_restore_status */
    COMPONENT_ROLL_FORWARD,        /* enum vss_rollforward_type */
    COMPONENT_WORD_COUNT
};

/* Setters: E_OUTOFMEMORY, and the component as it was; E_INVALIDARG: a text that XML cannot hold or
 * that is too long, a word that is none. text NULL takes it away. */
HRESULT component_set_text(xmlNodePtr component, enum component_text which, const char *text,
                           struct error *err);
HRESULT component_set_flag(xmlNodePtr component, enum component_flag which, bool value,
                           struct error *err);
HRESULT component_set_word(xmlNodePtr component, enum component_word which, int32_t value,
                           struct error *err);

/* Getters: VSS_E_INVALID_XML_DOCUMENT. *out_text is borrowed, NULL where there is none; flags that
 * are absent are false, words UNDEFINED. */
HRESULT component_get_text(const xmlNode *component, enum component_text which,
                           const char **out_text, struct error *err);
HRESULT component_get_flag(const xmlNode *component, enum component_flag which, bool *out,
                           struct error *err);
HRESULT component_get_word(const xmlNode *component, enum component_word which, int32_t *out,
                           struct error *err);

/* Name, path (NULL: none) and type. */
HRESULT component_get_name(const xmlNode *component, struct component_name *out, struct error *err);

/* What a writer said of this component alone. S_OK and NULL where it said nothing. */
struct component_failure {
    HRESULT code;
    HRESULT application_code;
    const char *application_message; /* NULL: none */
};
HRESULT component_set_failure(xmlNodePtr component, const struct component_failure *failure,
                              struct error *err);
HRESULT component_get_failure(const xmlNode *component, struct component_failure *out,
                              struct error *err);

/* All of the above that is there: what is not valid is not built upon. */
HRESULT component_check(const xmlNode *component, struct error *err);

/* ---- lists below a component ---- */

enum component_list {
    COMPONENT_ALTERNATE_LOCATIONS,   /* path filespec recursive alternatePath */
    COMPONENT_NEW_TARGETS,           /* likewise */
    COMPONENT_PARTIAL_FILES,         /* path filename ranges metadata rangesFile? */
    COMPONENT_DIRECTED_TARGETS,      /* sourcePath sourceFilename sourceRanges and destination... */
    COMPONENT_RESTORE_SUBCOMPONENTS, /* logicalPath componentName repair */
    COMPONENT_DIFFERENCED_FILES,     /* path filespec recursive lsn? lastModifyTime? */
    COMPONENT_LIST_COUNT
};

struct component_value {
    const char *name;
    const char *text; /* NULL: leaves the attribute out */
};

/* Adds an entry with count attributes. E_INVALIDARG, E_OUTOFMEMORY: nothing was added. */
HRESULT component_add_entry(xmlNodePtr component, enum component_list list,
                            const struct component_value *values, size_t count, struct error *err);

size_t component_count_entries(const xmlNode *component, enum component_list list);

/* NULL: no such entry. Entries that are asked for in their order cost the same each. */
xmlNodePtr component_entry(struct document *document, xmlNodePtr component,
                           enum component_list list, size_t place);

/* Sets an attribute of an entry; codes as component_set_text(). */
HRESULT component_set_entry_text(xmlNodePtr entry, const char *name, const char *text,
                                 struct error *err);

#endif
