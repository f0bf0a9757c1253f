/* SPDX-License-Identifier: Apache-2.0 */
/* What a Writer Metadata Document says: IVssExamineWriterMetadata and what it leads to. */
#include "contract/contract.h"

#include <stdio.h>
#include <stdlib.h>

#define OPEN                                                                                       \
    "<WRITER_METADATA xmlns=\"x-schema:#VssWriterMetadataInfo\" "                                  \
    "xmlns:ls=\"urn:lunshadow:document:1\" version=\"1.2\""
#define IDS                                                                                        \
    "writerId=\"0bada1de-01a9-4625-8278-69e735f39dd2\" "                                           \
    "instanceId=\"11111111-2222-3333-4444-555555555555\""
#define CLOSE "</WRITER_METADATA>"

static const char whole[] =
    OPEN " backupSchema=\"3\"><IDENTIFICATION " IDS " friendlyName=\"App\" instanceName=\"one\" "
         "usage=\"OTHER\" dataSource=\"OTHER\" majorVersion=\"2\" minorVersion=\"1\"/>"
         "<RESTORE_METHOD method=\"RESTORE_IF_CAN_BE_REPLACED\" writerRestore=\"always\" "
         "rebootRequired=\"no\" ls:service=\"app.service\"><ls:ALTERNATE_LOCATION path=\"/srv\" "
         "filespec=\"*\" alternatePath=\"/other\"/></RESTORE_METHOD><BACKUP_LOCATIONS>"
         "<ls:DATABASE componentName=\"main\" logicalPath=\"a\" selectable=\"yes\">"
         "<ls:DATABASE_FILE path=\"/srv\" filespec=\"main.db\"/>"
         "<ls:LOG_FILE path=\"/srv\" filespec=\"*.wal\"/>"
         "<ls:DEPENDENCY writerId=\"a65faa63-5ea8-4ebc-9dbd-a0c4db26912a\" logicalPath=\"b\" "
         "componentName=\"other\"/></ls:DATABASE>"
         "<FILE_GROUP componentName=\"files\"><FILE_LIST path=\"/srv/files\" filespec=\"*\" "
         "recursive=\"yes\" ls:alternatePath=\"/srv/here\"/>"
         "<FILE_LIST path=\"/srv/plain\" filespec=\"*\"/></FILE_GROUP>"
         "<EXCLUDE_FILES path=\"/srv/tmp\" filespec=\"*\"/>"
         "<EXCLUDE_FILES_FROM_SNAPSHOT path=\"/srv/cache\" filespec=\"*\"/>"
         "</BACKUP_LOCATIONS>" CLOSE;

/* Cut down to what makes a document load: nothing that is asked for is in it. */
static const char bare[] = OPEN " backupSchema=\"many\"><IDENTIFICATION " IDS "/>" CLOSE;

/* With parts whose values make no sense. */
static const char senseless[] =
    OPEN "><IDENTIFICATION " IDS " friendlyName=\"App\" majorVersion=\"two\"/>"
         "<BACKUP_LOCATIONS><FILE_GROUP componentName=\"files\" selectable=\"perhaps\">"
         "<FILE_LIST recursive=\"perhaps\" filespecBackupType=\"all\" ls:alternatePath=\"\"/>"
         "</FILE_GROUP><ls:DATABASE componentName=\"main\"><ls:DEPENDENCY/></ls:DATABASE>"
         "</BACKUP_LOCATIONS>" CLOSE;

static HRESULT open_document(struct trial *t, const char *xml)
{
    struct vss_session_options options = VSS_SESSION_OPTIONS_INIT;
    options.config_path = t->bench->config;
    options.state_directory = t->bench->state;
    return vss_create_examine_writer_metadata(&options, xml, &t->metadata, NULL);
}

static HRESULT create(struct trial *t, unsigned null)
{
    struct vss_session_options options = VSS_SESSION_OPTIONS_INIT;
    options.config_path = t->bench->config;
    options.state_directory = t->bench->state;
    return vss_create_examine_writer_metadata(&options, null == 1 ? NULL : whole,
                                              null == 2 ? NULL : &t->metadata, NULL);
}

static void ready(struct trial *t)
{
    trial_must(t, open_document(t, whole));
}

/* A component, its first file set and its first dependency, by place. */
static void ready_component(struct trial *t)
{
    ready(t);
    trial_must(t, vss_examine_writer_metadata_get_component(t->metadata, 0, &t->component));
}

static void ready_files(struct trial *t)
{
    ready(t);
    trial_must(t, vss_examine_writer_metadata_get_component(t->metadata, 1, &t->component));
}

static void ready_filedesc(struct trial *t)
{
    ready_files(t);
    trial_must(t, vss_wm_component_get_file(t->component, 0, &t->filedesc));
}

static void ready_dependency(struct trial *t)
{
    ready_component(t);
    trial_must(t, vss_wm_component_get_dependency(t->component, 0, &t->dependency));
}

/* ---- the document ---- */

#define METADATA(t) (null == 1 ? NULL : (t)->metadata)

static HRESULT save_as_xml(struct trial *t, unsigned null)
{
    return vss_examine_writer_metadata_save_as_xml(METADATA(t), null == 2 ? NULL : &t->text);
}

static HRESULT load_from_xml(struct trial *t, unsigned null)
{
    return vss_examine_writer_metadata_load_from_xml(METADATA(t), null == 2 ? NULL : whole);
}

static HRESULT get_identity(struct trial *t, unsigned null)
{
    int32_t usage;
    int32_t source;
    VSS_ID writer;
    return vss_examine_writer_metadata_get_identity(
        METADATA(t), null == 2 ? NULL : &t->id, null == 3 ? NULL : &writer,
        null == 4 ? NULL : &t->text, null == 5 ? NULL : &usage, null == 6 ? NULL : &source);
}

static HRESULT get_identity_ex(struct trial *t, unsigned null)
{
    int32_t usage;
    int32_t source;
    VSS_ID writer;
    return vss_examine_writer_metadata_get_identity_ex(
        METADATA(t), null == 2 ? NULL : &t->id, null == 3 ? NULL : &writer,
        null == 4 ? NULL : &t->text, null == 5 ? NULL : &t->second_text, null == 6 ? NULL : &usage,
        null == 7 ? NULL : &source);
}

static HRESULT get_file_counts(struct trial *t, unsigned null)
{
    uint32_t counts[3];
    return vss_examine_writer_metadata_get_file_counts(METADATA(t), null == 2 ? NULL : &counts[0],
                                                       null == 3 ? NULL : &counts[1],
                                                       null == 4 ? NULL : &counts[2]);
}

static HRESULT get_component(struct trial *t, unsigned null)
{
    return vss_examine_writer_metadata_get_component(METADATA(t), 0,
                                                     null == 2 ? NULL : &t->component);
}

static HRESULT get_exclude_file(struct trial *t, unsigned null)
{
    return vss_examine_writer_metadata_get_exclude_file(METADATA(t), 0,
                                                        null == 2 ? NULL : &t->filedesc);
}

static HRESULT get_restore_method(struct trial *t, unsigned null)
{
    int32_t method;
    int32_t restore;
    bool reboot;
    uint32_t mappings;
    return vss_examine_writer_metadata_get_restore_method(
        METADATA(t), null == 2 ? NULL : &method, null == 3 ? NULL : &t->text,
        null == 4 ? NULL : &t->second_text, null == 5 ? NULL : &restore, null == 6 ? NULL : &reboot,
        null == 7 ? NULL : &mappings);
}

static HRESULT get_mapping(struct trial *t, unsigned null)
{
    return vss_examine_writer_metadata_get_alternate_location_mapping(
        METADATA(t), 0, null == 2 ? NULL : &t->filedesc);
}

static HRESULT get_schema(struct trial *t, unsigned null)
{
    uint32_t schema;
    return vss_examine_writer_metadata_get_backup_schema(METADATA(t), null == 2 ? NULL : &schema);
}

static HRESULT get_version(struct trial *t, unsigned null)
{
    uint32_t major;
    uint32_t minor;
    return vss_examine_writer_metadata_get_version(METADATA(t), null == 2 ? NULL : &major,
                                                   null == 3 ? NULL : &minor);
}

static HRESULT get_exclude_count(struct trial *t, unsigned null)
{
    uint32_t count;
    return vss_examine_writer_metadata_get_exclude_from_snapshot_count(METADATA(t),
                                                                       null == 2 ? NULL : &count);
}

static HRESULT get_snapshot_exclude(struct trial *t, unsigned null)
{
    return vss_examine_writer_metadata_get_exclude_from_snapshot_file(
        METADATA(t), 0, null == 2 ? NULL : &t->filedesc);
}

/* ---- components ---- */

#define COMPONENT(t) (null == 1 ? NULL : (t)->component)

static HRESULT get_info(struct trial *t, unsigned null)
{
    struct vss_component_info *info = NULL;
    HRESULT hr = vss_wm_component_get_component_info(COMPONENT(t), null == 2 ? NULL : &info);
    vss_wm_component_free_component_info(t->component, info);
    return hr;
}

static HRESULT get_file(struct trial *t, unsigned null)
{
    return vss_wm_component_get_file(COMPONENT(t), 0, null == 2 ? NULL : &t->filedesc);
}

static HRESULT get_database_file(struct trial *t, unsigned null)
{
    return vss_wm_component_get_database_file(COMPONENT(t), 0, null == 2 ? NULL : &t->filedesc);
}

static HRESULT get_log_file(struct trial *t, unsigned null)
{
    return vss_wm_component_get_database_log_file(COMPONENT(t), 0, null == 2 ? NULL : &t->filedesc);
}

static HRESULT get_dependency(struct trial *t, unsigned null)
{
    return vss_wm_component_get_dependency(COMPONENT(t), 0, null == 2 ? NULL : &t->dependency);
}

/* ---- file sets and dependencies ---- */

#define FILEDESC(t)   (null == 1 ? NULL : (t)->filedesc)
#define DEPENDENCY(t) (null == 1 ? NULL : (t)->dependency)

static HRESULT get_path(struct trial *t, unsigned null)
{
    return vss_wm_filedesc_get_path(FILEDESC(t), null == 2 ? NULL : &t->text);
}

static HRESULT get_filespec(struct trial *t, unsigned null)
{
    return vss_wm_filedesc_get_filespec(FILEDESC(t), null == 2 ? NULL : &t->text);
}

static HRESULT get_recursive(struct trial *t, unsigned null)
{
    bool is_recursive;
    return vss_wm_filedesc_get_recursive(FILEDESC(t), null == 2 ? NULL : &is_recursive);
}

static HRESULT get_alternate(struct trial *t, unsigned null)
{
    return vss_wm_filedesc_get_alternate_location(FILEDESC(t), null == 2 ? NULL : &t->text);
}

static HRESULT get_mask(struct trial *t, unsigned null)
{
    uint32_t mask;
    return vss_wm_filedesc_get_backup_type_mask(FILEDESC(t), null == 2 ? NULL : &mask);
}

static HRESULT get_writer_id(struct trial *t, unsigned null)
{
    return vss_wm_dependency_get_writer_id(DEPENDENCY(t), null == 2 ? NULL : &t->id);
}

static HRESULT get_logical_path(struct trial *t, unsigned null)
{
    return vss_wm_dependency_get_logical_path(DEPENDENCY(t), null == 2 ? NULL : &t->text);
}

static HRESULT get_component_name(struct trial *t, unsigned null)
{
    return vss_wm_dependency_get_component_name(DEPENDENCY(t), null == 2 ? NULL : &t->text);
}

static const struct method methods[] = {
    {"CreateVssExamineWriterMetadata", WORKS | MEMORY | NULLS | RIGHTS, 0, 2, 0, NULL, create},
    {"ExamineWriterMetadata SaveAsXML", WORKS | MEMORY | NULLS, 0, 2, 0, ready, save_as_xml},
    {"LoadFromXML", WORKS | MEMORY | NULLS, 0, 2, 0, ready, load_from_xml},
    {"GetIdentity", WORKS | MEMORY | NULLS, 0, 6, 0, ready, get_identity},
    {"GetIdentityEx", WORKS | MEMORY | NULLS, 0, 7, 0, ready, get_identity_ex},
    {"GetFileCounts", WORKS | NULLS, 0, 4, 0, ready, get_file_counts},
    {"ExamineWriterMetadata GetComponent", WORKS | MEMORY | NULLS, 0, 2, 0, ready, get_component},
    {"GetExcludeFile", WORKS | MEMORY | NULLS, 0, 2, 0, ready, get_exclude_file},
    {"GetRestoreMethod", WORKS | MEMORY | NULLS, 0, 7, 0, ready, get_restore_method},
    {"GetAlternateLocationMapping", WORKS | MEMORY | NULLS, 0, 2, 0, ready, get_mapping},
    {"GetBackupSchema", WORKS | NULLS, 0, 2, 0, ready, get_schema},
    {"GetVersion", WORKS | NULLS, 0, 3, 0, ready, get_version},
    {"GetExcludeFromSnapshotCount", WORKS | NULLS, 0, 2, 0, ready, get_exclude_count},
    {"GetExcludeFromSnapshotFile", WORKS | MEMORY | NULLS, 0, 2, 0, ready, get_snapshot_exclude},
    {"GetComponentInfo", WORKS | MEMORY | NULLS, 0, 2, 0, ready_component, get_info},
    {"GetFile", WORKS | MEMORY | NULLS, 0, 2, 0, ready_files, get_file},
    {"GetDatabaseFile", WORKS | MEMORY | NULLS, 0, 2, 0, ready_component, get_database_file},
    {"GetDatabaseLogFile", WORKS | MEMORY | NULLS, 0, 2, 0, ready_component, get_log_file},
    {"GetDependency", WORKS | MEMORY | NULLS, 0, 2, 0, ready_component, get_dependency},
    {"GetPath", WORKS | MEMORY | NULLS, 0, 2, 0, ready_filedesc, get_path},
    {"GetFilespec", WORKS | MEMORY | NULLS, 0, 2, 0, ready_filedesc, get_filespec},
    {"GetRecursive", WORKS | NULLS, 0, 2, 0, ready_filedesc, get_recursive},
    {"GetAlternateLocation", WORKS | MEMORY | NULLS, 0, 2, 0, ready_filedesc, get_alternate},
    {"GetBackupTypeMask", WORKS | NULLS, 0, 2, 0, ready_filedesc, get_mask},
    {"GetWriterId", WORKS | NULLS, 0, 2, 0, ready_dependency, get_writer_id},
    {"GetLogicalPath", WORKS | MEMORY | NULLS, 0, 2, 0, ready_dependency, get_logical_path},
    {"GetComponentName", WORKS | MEMORY | NULLS, 0, 2, 0, ready_dependency, get_component_name},
};

/* ---- documents that lack something ---- */

struct attempt {
    const char *heading;
    HRESULT (*call)(struct trial *t, unsigned null);
    HRESULT code;
};

static void try_all(struct trial *t, const struct attempt *attempts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        contract_expect(attempts[i].heading, attempts[i].call(t, 0), attempts[i].code,
                        vss_examine_writer_metadata_error_text(t->metadata));
        vss_free_string(t->text);
        vss_free_string(t->second_text);
        t->text = NULL;
        t->second_text = NULL;
    }
}
#define TRY_ALL(t, attempts) try_all((t), (attempts), sizeof(attempts) / sizeof((attempts)[0]))

static void try_bare(const struct bench *b)
{
    static const struct attempt attempts[] = {
        {"GetIdentity", get_identity, VSS_E_INVALID_XML_DOCUMENT},
        {"GetIdentityEx", get_identity_ex, VSS_E_INVALID_XML_DOCUMENT},
        {"GetFileCounts", get_file_counts, VSS_E_INVALID_XML_DOCUMENT},
        {"ExamineWriterMetadata GetComponent", get_component, VSS_E_INVALID_XML_DOCUMENT},
        {"GetExcludeFile", get_exclude_file, VSS_E_INVALID_XML_DOCUMENT},
        {"GetRestoreMethod", get_restore_method, VSS_E_INVALID_XML_DOCUMENT},
        {"GetAlternateLocationMapping", get_mapping, VSS_E_INVALID_XML_DOCUMENT},
        {"GetBackupSchema", get_schema, VSS_E_INVALID_XML_DOCUMENT},
        {"GetExcludeFromSnapshotCount", get_exclude_count, VSS_E_UNEXPECTED},
        {"GetExcludeFromSnapshotFile", get_snapshot_exclude, VSS_E_UNEXPECTED},
    };
    struct trial t = {.bench = b};
    trial_must(&t, open_document(&t, bare));
    TRY_ALL(&t, attempts);
    trial_drop(&t);
}

/* After a load that failed an object holds no document. */
static void try_empty(const struct bench *b)
{
    static const struct attempt attempts[] = {
        {"ExamineWriterMetadata SaveAsXML", save_as_xml, VSS_E_UNEXPECTED},
        {"GetIdentity", get_identity, VSS_E_UNEXPECTED},
        {"GetIdentityEx", get_identity_ex, VSS_E_UNEXPECTED},
        {"GetFileCounts", get_file_counts, VSS_E_UNEXPECTED},
        {"ExamineWriterMetadata GetComponent", get_component, VSS_E_UNEXPECTED},
        {"GetExcludeFile", get_exclude_file, VSS_E_UNEXPECTED},
        {"GetRestoreMethod", get_restore_method, VSS_E_UNEXPECTED},
        {"GetAlternateLocationMapping", get_mapping, VSS_E_UNEXPECTED},
    };
    struct trial t = {.bench = b};
    ready(&t);
    contract_expect("LoadFromXML", vss_examine_writer_metadata_load_from_xml(t.metadata, "no XML"),
                    S_FALSE, "");
    TRY_ALL(&t, attempts);
    contract_expect("LoadFromXML",
                    vss_examine_writer_metadata_load_from_xml(t.metadata, "<WRITER_METADATA/>"),
                    VSS_E_INVALID_XML_DOCUMENT, "");
    trial_must(&t, load_from_xml(&t, 0)); /* it can be filled again */
    trial_drop(&t);
    char half[sizeof(whole)];
    (void)snprintf(half, sizeof(whole) / 2, "%s", whole);
    contract_expect("CreateVssExamineWriterMetadata", open_document(&t, half),
                    VSS_E_INVALID_XML_DOCUMENT, "");
    trial_drop(&t);
}

static void try_senseless(const struct bench *b)
{
    static const struct attempt files[] = {
        {"GetVersion", get_version, VSS_E_UNEXPECTED},
        {"GetComponentInfo", get_info, VSS_E_INVALID_XML_DOCUMENT},
        {"GetPath", get_path, VSS_E_INVALID_XML_DOCUMENT},
        {"GetFilespec", get_filespec, VSS_E_INVALID_XML_DOCUMENT},
        {"GetRecursive", get_recursive, VSS_E_INVALID_XML_DOCUMENT},
        {"GetAlternateLocation", get_alternate, VSS_E_INVALID_XML_DOCUMENT},
        {"GetBackupTypeMask", get_mask, VSS_E_INVALID_XML_DOCUMENT},
    };
    static const struct attempt dependency[] = {
        {"GetWriterId", get_writer_id, VSS_E_INVALID_XML_DOCUMENT},
        {"GetLogicalPath", get_logical_path, VSS_E_INVALID_XML_DOCUMENT},
        {"GetComponentName", get_component_name, VSS_E_INVALID_XML_DOCUMENT},
    };
    struct trial t = {.bench = b};
    trial_must(&t, open_document(&t, senseless));
    trial_must(&t, vss_examine_writer_metadata_get_component(t.metadata, 0, &t.component));
    trial_must(&t, vss_wm_component_get_file(t.component, 0, &t.filedesc));
    TRY_ALL(&t, files);
    vss_wm_component_release(t.component);
    trial_must(&t, vss_examine_writer_metadata_get_component(t.metadata, 1, &t.component));
    trial_must(&t, vss_wm_component_get_dependency(t.component, 0, &t.dependency));
    TRY_ALL(&t, dependency);
    trial_drop(&t);
}

/* Numbers past the last, and a file set without another place. */
static void try_ends(const struct bench *b)
{
    struct trial t = {.bench = b};
    ready(&t);
    contract_expect("ExamineWriterMetadata GetComponent",
                    vss_examine_writer_metadata_get_component(t.metadata, 2, &t.component),
                    VSS_E_OBJECT_NOT_FOUND, "");
    trial_drop(&t);
    ready_files(&t);
    contract_expect("GetExcludeFile",
                    vss_examine_writer_metadata_get_exclude_file(t.metadata, 1, &t.filedesc),
                    VSS_E_OBJECT_NOT_FOUND, "");
    contract_expect(
        "GetAlternateLocationMapping",
        vss_examine_writer_metadata_get_alternate_location_mapping(t.metadata, 1, &t.filedesc),
        VSS_E_OBJECT_NOT_FOUND, "");
    contract_expect(
        "GetExcludeFromSnapshotFile",
        vss_examine_writer_metadata_get_exclude_from_snapshot_file(t.metadata, 1, &t.filedesc),
        E_INVALIDARG, "");
    contract_expect("GetFile", vss_wm_component_get_file(t.component, 2, &t.filedesc),
                    VSS_E_OBJECT_NOT_FOUND, "");
    contract_expect("GetDatabaseFile", get_database_file(&t, 0), VSS_E_OBJECT_NOT_FOUND, "");
    contract_expect("GetDatabaseLogFile", get_log_file(&t, 0), VSS_E_OBJECT_NOT_FOUND, "");
    contract_expect("GetDependency", get_dependency(&t, 0), VSS_E_OBJECT_NOT_FOUND, "");
    trial_must(&t, vss_wm_component_get_file(t.component, 1, &t.filedesc));
    contract_expect("GetAlternateLocation", get_alternate(&t, 0), S_FALSE, "");
    trial_drop(&t);
}

/* The state directory decides who may create one, so its registry must open. */
static void try_damaged_registry(const struct bench *b)
{
    struct trial t = {.bench = b};
    char path[600];
    trial_create(&t);
    trial_drop(&t);
    registry_damage(b);
    (void)snprintf(path, sizeof(path), "%s/registry.db", b->state);
    FILE *file = fopen(path, "we"); /* to nothing */
    contract_check(file && fclose(file) == 0, "a registry is emptied");
    contract_expect("CreateVssExamineWriterMetadata", create(&t, 0), VSS_E_UNEXPECTED, "");
    trial_drop(&t);
    registry_restore(b);
}

int main(void)
{
    struct bench b;
    contract_begin("metadata");
    bench_start(&b);
    CONTRACT_TRY(&b, methods);
    try_bare(&b);
    try_empty(&b);
    try_senseless(&b);
    try_ends(&b);
    try_damaged_registry(&b);
    bench_stop(&b);
    return contract_end();
}
