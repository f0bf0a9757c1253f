/* SPDX-License-Identifier: Apache-2.0 */
/* Components in a session's document: what a backup and a restore note of them. */
#include "contract/contract.h"

#include "unit/writers_fixture.h"
#include <lunshadow/component.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROLLBACK ((uint32_t)VSS_CTX_APP_ROLLBACK)
#define TYPE     VSS_CT_FILEGROUP
#define NAME     "files"
#define PATH     "/srv/files"

static const char metadata[] =
    "<WRITER_METADATA xmlns=\"x-schema:#VssWriterMetadataInfo\" "
    "xmlns:ls=\"urn:lunshadow:document:1\" version=\"1.2\"><IDENTIFICATION "
    "writerId=\"0bada1de-01a9-4625-8278-69e735f39dd2\" "
    "instanceId=\"11111111-2222-3333-4444-555555555555\" friendlyName=\"App\" usage=\"OTHER\" "
    "dataSource=\"OTHER\"/><RESTORE_METHOD method=\"RESTORE_IF_CAN_BE_REPLACED\" "
    "writerRestore=\"always\" rebootRequired=\"no\"><ls:ALTERNATE_LOCATION path=\"" PATH "\" "
    "filespec=\"*\" recursive=\"yes\" alternatePath=\"/other\"/></RESTORE_METHOD>"
    "<BACKUP_LOCATIONS><FILE_GROUP componentName=\"" NAME "\" selectable=\"yes\" "
    "selectableForRestore=\"yes\"><FILE_LIST path=\"" PATH "\" filespec=\"*\" recursive=\"yes\"/>"
    "</FILE_GROUP></BACKUP_LOCATIONS></WRITER_METADATA>";

static const VSS_ID writer = {
    0x0bada1de, 0x01a9, 0x4625, {0x82, 0x78, 0x69, 0xe7, 0x35, 0xf3, 0x9d, 0xd2}};
static const VSS_ID instance = {
    0x11111111, 0x2222, 0x3333, {0x44, 0x44, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55}};

static const char *name = NAME; /* of the component that is meant */
static char *document;          /* of a backup of the component */

/* ---- a backup ---- */

static HRESULT gather(struct trial *t)
{
    return trial_finish(t, vss_backup_components_gather_writer_metadata(t->session, &t->async));
}

static HRESULT add_component(struct trial *t, unsigned null)
{
    return vss_backup_components_add_component(
        null == 1 ? NULL : t->session, null == 2 ? NULL : &instance, null == 3 ? NULL : &writer,
        TYPE, NULL, null == 4 ? NULL : name);
}

static HRESULT set_options(struct trial *t, unsigned null)
{
    return vss_backup_components_set_backup_options(
        null == 1 ? NULL : t->session, null == 2 ? NULL : &writer, TYPE, NULL,
        null == 3 ? NULL : name, null == 4 ? NULL : "options");
}

static HRESULT set_stamp(struct trial *t, unsigned null)
{
    return vss_backup_components_set_previous_backup_stamp(
        null == 1 ? NULL : t->session, null == 2 ? NULL : &writer, TYPE, NULL,
        null == 3 ? NULL : name, null == 4 ? NULL : "stamp");
}

static HRESULT set_succeeded(struct trial *t, unsigned null)
{
    return vss_backup_components_set_backup_succeeded(
        null == 1 ? NULL : t->session, null == 2 ? NULL : &instance, null == 3 ? NULL : &writer,
        TYPE, NULL, null == 4 ? NULL : name, true);
}

static void ready_to_choose(struct trial *t)
{
    trial_context(t, ROLLBACK);
    trial_must(t, gather(t));
    trial_must(t,
               vss_backup_components_set_backup_state(t->session, true, false, VSS_BT_FULL, false));
}

static void ready_chosen(struct trial *t)
{
    ready_to_choose(t);
    trial_must(t, add_component(t, 0));
}

static HRESULT make_empty_set(struct trial *t)
{
    trial_must(t, vss_backup_components_start_snapshot_set(t->session, &t->id));
    trial_must(t, trial_finish(t, vss_backup_components_prepare_for_backup(t->session, &t->async)));
    return trial_finish(t, vss_backup_components_do_snapshot_set(t->session, &t->async));
}

static void ready_backed_up(struct trial *t)
{
    ready_chosen(t);
    trial_must(t, make_empty_set(t));
}

/* ---- a restore ---- */

static void ready_with(struct trial *t, const char *xml)
{
    trial_create(t);
    trial_must(t, vss_backup_components_initialize_for_restore(t->session, xml));
    trial_must(t, gather(t));
}

static void ready_to_restore(struct trial *t)
{
    ready_with(t, document);
}

static HRESULT select_component(struct trial *t, unsigned null)
{
    return vss_backup_components_set_selected_for_restore(null == 1 ? NULL : t->session,
                                                          null == 2 ? NULL : &writer, TYPE, NULL,
                                                          null == 3 ? NULL : name, true);
}

static HRESULT select_component_ex(struct trial *t, unsigned null)
{
    return vss_backup_components_set_selected_for_restore_ex(
        null == 1 ? NULL : t->session, null == 2 ? NULL : &writer, TYPE, NULL,
        null == 3 ? NULL : name, true, &instance);
}

static void ready_selected(struct trial *t)
{
    ready_to_restore(t);
    trial_must(t, select_component(t, 0));
}

static HRESULT set_restore_state(struct trial *t, unsigned null)
{
    return vss_backup_components_set_restore_state(null == 1 ? NULL : t->session,
                                                   VSS_RTYPE_BY_COPY);
}

static HRESULT set_restore_options(struct trial *t, unsigned null)
{
    return vss_backup_components_set_restore_options(
        null == 1 ? NULL : t->session, null == 2 ? NULL : &writer, TYPE, NULL,
        null == 3 ? NULL : name, null == 4 ? NULL : "options");
}

static HRESULT set_additional(struct trial *t, unsigned null)
{
    return vss_backup_components_set_additional_restores(null == 1 ? NULL : t->session,
                                                         null == 2 ? NULL : &writer, TYPE, NULL,
                                                         null == 3 ? NULL : name, true);
}

static HRESULT set_authoritative(struct trial *t, unsigned null)
{
    return vss_backup_components_set_authoritative_restore(null == 1 ? NULL : t->session,
                                                           null == 2 ? NULL : &writer, TYPE, NULL,
                                                           null == 3 ? NULL : name, true);
}

static HRESULT set_name(struct trial *t, unsigned null)
{
    return vss_backup_components_set_restore_name(
        null == 1 ? NULL : t->session, null == 2 ? NULL : &writer, TYPE, NULL,
        null == 3 ? NULL : name, null == 4 ? NULL : "other name");
}

static HRESULT set_roll_forward(struct trial *t, unsigned null)
{
    return vss_backup_components_set_roll_forward(
        null == 1 ? NULL : t->session, null == 2 ? NULL : &writer, TYPE, NULL,
        null == 3 ? NULL : name, VSS_RF_PARTIAL, null == 4 ? NULL : "here");
}

static HRESULT add_subcomponent(struct trial *t, unsigned null)
{
    return vss_backup_components_add_restore_subcomponent(
        null == 1 ? NULL : t->session, null == 2 ? NULL : &writer, TYPE, NULL,
        null == 3 ? NULL : name, null == 4 ? NULL : name, null == 5 ? NULL : "part", false);
}

static HRESULT add_new_target(struct trial *t, unsigned null)
{
    return vss_backup_components_add_new_target(
        null == 1 ? NULL : t->session, null == 2 ? NULL : &writer, TYPE, NULL,
        null == 3 ? NULL : name, null == 4 ? NULL : PATH, null == 5 ? NULL : "*", true,
        null == 6 ? NULL : "/new");
}

static HRESULT add_mapping(struct trial *t, unsigned null)
{
    return vss_backup_components_add_alternative_location_mapping(
        null == 1 ? NULL : t->session, null == 2 ? NULL : &writer, TYPE, NULL,
        null == 3 ? NULL : name, null == 4 ? NULL : PATH, null == 5 ? NULL : "*", true,
        null == 6 ? NULL : "/other");
}

static HRESULT set_ranges(struct trial *t, unsigned null)
{
    return vss_backup_components_set_ranges_file_path(
        null == 1 ? NULL : t->session, null == 2 ? NULL : &writer, TYPE, NULL,
        null == 3 ? NULL : name, 0, null == 4 ? NULL : "/srv/ranges");
}

static HRESULT set_file_status(struct trial *t, unsigned null)
{
    return vss_backup_components_set_file_restore_status(null == 1 ? NULL : t->session,
                                                         null == 2 ? NULL : &writer, TYPE, NULL,
                                                         null == 3 ? NULL : name, VSS_RS_ALL);
}

/* ---- what the document says ---- */

static HRESULT get_components_count(struct trial *t, unsigned null)
{
    uint32_t count;
    return vss_backup_components_get_writer_components_count(null == 1 ? NULL : t->session,
                                                             null == 2 ? NULL : &count);
}

static HRESULT get_components(struct trial *t, unsigned null)
{
    return vss_backup_components_get_writer_components(null == 1 ? NULL : t->session, 0,
                                                       null == 2 ? NULL : &t->writer);
}

static void ready_writer(struct trial *t)
{
    ready_chosen(t);
    trial_must(t, get_components(t, 0));
}

static HRESULT get_count(struct trial *t, unsigned null)
{
    uint32_t count;
    return vss_writer_components_get_component_count(null == 1 ? NULL : t->writer,
                                                     null == 2 ? NULL : &count);
}

static HRESULT get_info(struct trial *t, unsigned null)
{
    VSS_ID id;
    return vss_writer_components_get_writer_info(null == 1 ? NULL : t->writer,
                                                 null == 2 ? NULL : &t->id, null == 3 ? NULL : &id);
}

static HRESULT get_component(struct trial *t, unsigned null)
{
    return vss_writer_components_get_component(null == 1 ? NULL : t->writer, 0,
                                               null == 2 ? NULL : &t->noted);
}

static void ready_noted(struct trial *t)
{
    ready_writer(t);
    trial_must(t, get_component(t, 0));
    trial_must(t, vss_component_set_failure(t->noted, VSS_E_WRITERERROR_RETRYABLE, S_OK, "why", 0));
}

static HRESULT set_failure(struct trial *t, unsigned null)
{
    return vss_component_set_failure(null == 1 ? NULL : t->noted, VSS_E_WRITERERROR_TIMEOUT, S_OK,
                                     "why", 0);
}

static HRESULT get_failure(struct trial *t, unsigned null)
{
    HRESULT code;
    HRESULT application;
    uint32_t reserved;
    return vss_component_get_failure(null == 1 ? NULL : t->noted, null == 2 ? NULL : &code,
                                     null == 3 ? NULL : &application, null == 4 ? NULL : &t->text,
                                     null == 5 ? NULL : &reserved);
}

static const struct method methods[] = {
    {"AddComponent", WORKS | MEMORY | NULLS | UNBEGUN | GONE, 0, 4, 0, ready_to_choose,
     add_component},
    {"SetBackupOptions", WORKS | MEMORY | NULLS | UNBEGUN | GONE, 0, 4, 0, ready_chosen,
     set_options},
    {"SetPreviousBackupStamp", WORKS | MEMORY | NULLS | UNBEGUN | GONE, 0, 4, 0, ready_chosen,
     set_stamp},
    {"SetBackupSucceeded", WORKS | MEMORY | NULLS | UNBEGUN | GONE, 0, 4, 0, ready_backed_up,
     set_succeeded},
    {"SetRestoreState", WORKS | MEMORY | NULLS | UNBEGUN | GONE, 0, 1, 0, ready_to_restore,
     set_restore_state},
    {"SetSelectedForRestore", WORKS | MEMORY | NULLS | UNBEGUN | GONE, 0, 3, 0, ready_to_restore,
     select_component},
    {"SetSelectedForRestoreEx", WORKS | MEMORY | NULLS | UNBEGUN | GONE, 0, 3, 0, ready_to_restore,
     select_component_ex},
    {"SetRestoreOptions", WORKS | MEMORY | NULLS | UNBEGUN | GONE, 0, 4, 0, ready_selected,
     set_restore_options},
    {"SetAdditionalRestores", WORKS | MEMORY | NULLS | UNBEGUN | GONE, 0, 3, 0, ready_selected,
     set_additional},
    {"SetAuthoritativeRestore", WORKS | MEMORY | NULLS | UNBEGUN, 0, 3, 0, ready_selected,
     set_authoritative},
    {"SetRestoreName", WORKS | MEMORY | NULLS | UNBEGUN, 0, 4, 0, ready_selected, set_name},
    {"SetRollForward", WORKS | MEMORY | NULLS | UNBEGUN, 0, 4, 0, ready_selected, set_roll_forward},
    {"AddRestoreSubcomponent", WORKS | MEMORY | NULLS | UNBEGUN | GONE, 0, 5, 0, ready_selected,
     add_subcomponent},
    {"AddNewTarget", WORKS | MEMORY | NULLS | UNBEGUN | GONE, 0, 6, 0, ready_selected,
     add_new_target},
    {"AddAlternativeLocationMapping", WORKS | MEMORY | NULLS | UNBEGUN | GONE, 0, 6, 0,
     ready_selected, add_mapping},
    {"SetRangesFilePath", WORKS | MEMORY | NULLS | UNBEGUN | GONE, 0, 4, 0, ready_selected,
     set_ranges},
    {"SetFileRestoreStatus", WORKS | MEMORY | NULLS | UNBEGUN | GONE, 0, 3, 0, ready_selected,
     set_file_status},
    {"GetWriterComponentsCount", WORKS | NULLS | UNBEGUN | GONE, 0, 2, 0, ready_chosen,
     get_components_count},
    {"GetWriterComponents", WORKS | MEMORY | NULLS | UNBEGUN | GONE, 0, 2, 0, ready_chosen,
     get_components},
    {"GetComponentCount", WORKS | NULLS, 0, 2, 0, ready_writer, get_count},
    {"GetWriterInfo", WORKS | NULLS, 0, 3, 0, ready_writer, get_info},
    {"WriterComponents GetComponent", WORKS | MEMORY | NULLS, 0, 2, 0, ready_writer, get_component},
    {"IComponentEx2 SetFailure", WORKS | MEMORY | NULLS, 0, 1, 0, ready_noted, set_failure},
    {"GetFailure", WORKS | MEMORY | NULLS, 0, 5, 0, ready_noted, get_failure},
};

/* ---- documents ---- */

/* A component of a backup whose writer noted a partial file. */
static void make_document(const struct bench *b)
{
    struct trial t = {.bench = b};
    ready_writer(&t);
    trial_must(&t, get_component(&t, 0));
    trial_must(&t, vss_component_add_partial_file(t.noted, "/srv", "big", "0:1", NULL));
    trial_must(&t, vss_backup_components_save_as_xml(t.session, &document));
    trial_drop(&t);
}

/* The document with something in it replaced. */
static char *replaced(const char *from, const char *to)
{
    const char *at = strstr(document, from);
    char *text = malloc(strlen(document) + strlen(to) + 1);
    if (!at || !text) {
        (void)fprintf(stderr, "the document has no %s\n", from);
        exit(2);
    }
    (void)sprintf(text, "%.*s%s%s", (int)(at - document), document, to, at + strlen(from));
    return text;
}

/* ---- components that are not there, or make no sense ---- */

struct attempt {
    const char *heading;
    HRESULT (*call)(struct trial *t, unsigned null);
    HRESULT senseless_code;
};

static const struct attempt in_backup[] = {
    {"SetBackupOptions", set_options, VSS_E_INVALID_XML_DOCUMENT},
    {"SetPreviousBackupStamp", set_stamp, VSS_E_INVALID_XML_DOCUMENT},
};

static const struct attempt in_restore[] = {
    {"SetSelectedForRestore", select_component, VSS_E_INVALID_XML_DOCUMENT},
    {"SetSelectedForRestoreEx", select_component_ex, VSS_E_INVALID_XML_DOCUMENT},
    {"SetRestoreOptions", set_restore_options, VSS_E_INVALID_XML_DOCUMENT},
    {"SetAdditionalRestores", set_additional, VSS_E_INVALID_XML_DOCUMENT},
    {"SetAuthoritativeRestore", set_authoritative, VSS_E_UNEXPECTED},
    {"SetRestoreName", set_name, VSS_E_UNEXPECTED},
    {"SetRollForward", set_roll_forward, VSS_E_UNEXPECTED},
    {"AddRestoreSubcomponent", add_subcomponent, VSS_E_INVALID_XML_DOCUMENT},
    {"AddNewTarget", add_new_target, VSS_E_INVALID_XML_DOCUMENT},
    {"AddAlternativeLocationMapping", add_mapping, VSS_E_INVALID_XML_DOCUMENT},
    {"SetRangesFilePath", set_ranges, VSS_E_INVALID_XML_DOCUMENT},
    {"SetFileRestoreStatus", set_file_status, VSS_E_INVALID_XML_DOCUMENT},
};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void try_unknown(const struct bench *b)
{
    struct trial t = {.bench = b};
    ready_backed_up(&t);
    name = "unknown";
    contract_expect_on(&t, "SetBackupSucceeded", set_succeeded(&t, 0), VSS_E_OBJECT_NOT_FOUND);
    trial_drop(&t);
    name = NAME;
    ready_chosen(&t);
    contract_expect_on(&t, "AddComponent", add_component(&t, 0), VSS_E_OBJECT_ALREADY_EXISTS);
    name = "unknown";
    for (size_t i = 0; i < COUNT(in_backup); i++) {
        contract_expect_on(&t, in_backup[i].heading, in_backup[i].call(&t, 0),
                           VSS_E_OBJECT_NOT_FOUND);
    }
    trial_drop(&t);
    name = NAME;
    ready_selected(&t);
    name = "unknown";
    for (size_t i = 0; i < COUNT(in_restore); i++) {
        contract_expect_on(&t, in_restore[i].heading, in_restore[i].call(&t, 0),
                           VSS_E_OBJECT_NOT_FOUND);
    }
    trial_drop(&t);
    name = NAME;
}

static void try_senseless(const struct bench *b)
{
    struct trial t = {.bench = b};
    char *xml = replaced("componentType=\"filegroup\"", "componentType=\"perhaps\"");
    ready_with(&t, xml);
    for (size_t i = 0; i < COUNT(in_restore); i++) {
        contract_expect_on(&t, in_restore[i].heading, in_restore[i].call(&t, 0),
                           in_restore[i].senseless_code);
    }
    trial_drop(&t);
    trial_create(&t);
    trial_must(&t, vss_backup_components_initialize_for_backup(t.session, xml));
    trial_must(&t, vss_backup_components_set_context(t.session, ROLLBACK));
    trial_must(&t, gather(&t));
    trial_must(&t,
               vss_backup_components_set_backup_state(t.session, true, false, VSS_BT_FULL, false));
    for (size_t i = 0; i < COUNT(in_backup); i++) {
        contract_expect_on(&t, in_backup[i].heading, in_backup[i].call(&t, 0),
                           in_backup[i].senseless_code);
    }
    trial_must(&t, make_empty_set(&t));
    contract_expect_on(&t, "SetBackupSucceeded", set_succeeded(&t, 0), VSS_E_INVALID_XML_DOCUMENT);
    trial_drop(&t);
    free(xml);
    xml = replaced(" instanceId=\"11111111-2222-3333-4444-555555555555\"", "");
    ready_with(&t, xml);
    trial_must(&t, get_components(&t, 0));
    contract_expect("GetWriterInfo", get_info(&t, 0), VSS_E_INVALID_XML_DOCUMENT, "");
    trial_drop(&t);
    free(xml);
    xml = replaced("version=\"1.2\"", "version=\"1.2\" ls:restoreType=\"perhaps\"");
    ready_with(&t, xml);
    contract_expect_on(&t, "SetRestoreState", set_restore_state(&t, 0), VSS_E_INVALID_XML_DOCUMENT);
    trial_drop(&t);
    free(xml);
}

/* As many writers as a document may have, none of them the component's. */
static void try_full_document(const struct bench *b)
{
    enum { WRITERS = 1024, WRITER_BYTES = 200 };
    struct trial t = {.bench = b};
    char *xml = malloc(WRITERS * WRITER_BYTES + 200);
    contract_check(xml != NULL, "memory for a document");
    int used = sprintf(xml, "<BACKUP_COMPONENTS xmlns=\"x-schema:#VssComponentMetadata\" "
                            "version=\"1.2\">");
    for (int i = 0; i < WRITERS; i++) {
        used += sprintf(xml + used,
                        "<WRITER_COMPONENTS instanceId=\"22222222-2222-3333-4444-%012x\" "
                        "writerId=\"33333333-2222-3333-4444-555555555555\"/>",
                        (unsigned)i + 1);
    }
    (void)sprintf(xml + used, "</BACKUP_COMPONENTS>");
    trial_create(&t);
    trial_must(&t, vss_backup_components_initialize_for_backup(t.session, xml));
    trial_must(&t, vss_backup_components_set_context(t.session, ROLLBACK));
    trial_must(&t, gather(&t));
    trial_must(&t,
               vss_backup_components_set_backup_state(t.session, true, false, VSS_BT_FULL, false));
    contract_expect_on(&t, "AddComponent", add_component(&t, 0), VSS_E_UNEXPECTED);
    trial_drop(&t);
    free(xml);
}

static void try_ends(const struct bench *b)
{
    struct trial t = {.bench = b};
    ready_writer(&t);
    contract_expect("WriterComponents GetComponent",
                    vss_writer_components_get_component(t.writer, 1, &t.noted),
                    VSS_E_OBJECT_NOT_FOUND, "");
    vss_writer_components_release(t.writer);
    t.writer = NULL;
    contract_expect_on(&t, "GetWriterComponents",
                       vss_backup_components_get_writer_components(t.session, 1, &t.writer),
                       VSS_E_OBJECT_NOT_FOUND);
    trial_drop(&t);
    ready_noted(&t);
    vss_backup_components_release(t.session);
    t.session = NULL;
    contract_expect("GetFailure", get_failure(&t, 0), VSS_E_BAD_STATE, "");
    trial_drop(&t);
}

/* ---- failures of components ---- */

static const struct report {
    const char *name;
    const char *at_freeze;
    HRESULT code;
} reports[] = {
    {"inconsistent", "echo failed-component inconsistent file-group - files",
     VSS_E_WRITERERROR_INCONSISTENTSNAPSHOT},
    {"resources", "echo failed-component out-of-resources file-group - files",
     VSS_E_WRITERERROR_OUTOFRESOURCES},
    {"timeout", "echo failed-component timeout file-group - files", VSS_E_WRITERERROR_TIMEOUT},
    {"retryable", "echo failed-component retryable file-group - files",
     VSS_E_WRITERERROR_RETRYABLE},
    {"nonretryable", "echo failed-component non-retryable file-group - files",
     VSS_E_WRITERERROR_NONRETRYABLE},
    {"hanging", "sleep 1000", VSS_E_WRITER_NOT_RESPONDING},
    {"busy", "echo busy $number; continue", VSS_E_WRITER_STATUS_NOT_AVAILABLE},
};

static void expect_failure(struct trial *t, uint32_t index)
{
    VSS_ID class_id;
    HRESULT code = S_OK;
    HRESULT application;
    uint32_t reserved;
    trial_must(t, vss_backup_components_get_writer_components(t->session, index, &t->writer));
    trial_must(t, vss_writer_components_get_writer_info(t->writer, &t->id, &class_id));
    trial_must(t, get_component(t, 0));
    trial_must(t, vss_component_get_failure(t->noted, &code, &application, &t->text, &reserved));
    const struct report *r = &reports[t->id.data1 - 1]; /* instance ids begin with the number */
    contract_expect("IVssComponentEx2 WriterFailure", code, r->code, r->name);
    if (r->code != VSS_E_WRITER_NOT_RESPONDING && r->code != VSS_E_WRITER_STATUS_NOT_AVAILABLE) {
        contract_expect("ReportableWriterFailure", code, r->code, r->name);
    }
    vss_component_release(t->noted);
    vss_writer_components_release(t->writer);
    vss_free_string(t->text);
    t->noted = NULL;
    t->writer = NULL;
    t->text = NULL;
}

static void try_failures(void)
{
    struct bench b = {0};
    void *state = NULL;
    (void)writers_setup(&state);
    struct writers_fixture *f = state;
    (void)snprintf(b.state, sizeof(b.state), "%s", f->directory);
    (void)snprintf(b.config, sizeof(b.config), "%s", f->config);
    for (size_t i = 0; i < COUNT(reports); i++) {
        char body[256];
        bool is_partial = strncmp(reports[i].at_freeze, "echo failed", 11) == 0;
        (void)snprintf(body, sizeof(body), "[ $event = freeze ] && { %s%s; }", reports[i].at_freeze,
                       is_partial ? "; echo partial $number; continue" : "");
        bool is_late = reports[i].code == VSS_E_WRITER_NOT_RESPONDING;
        writers_add(f, reports[i].name, is_late ? "[limits]\nfreeze_ms = 500\n" : NULL, body);
    }
    struct trial t = {.bench = &b};
    ready_to_choose(&t);
    for (unsigned i = 1; i <= COUNT(reports); i++) {
        VSS_ID one = writers_instance(i);
        VSS_ID class_id = writers_class(i);
        trial_must(&t, vss_backup_components_add_component(t.session, &one, &class_id, TYPE, NULL,
                                                           "files"));
    }
    trial_must(&t, make_empty_set(&t));
    for (uint32_t i = 0; i < COUNT(reports); i++) {
        expect_failure(&t, i);
    }
    trial_drop(&t);
    (void)writers_teardown(&state);
}

/* A writer whose document makes no sense where it speaks of the component. */
static void try_senseless_metadata(void)
{
    struct bench b = {0};
    void *state = NULL;
    char text[sizeof(metadata) + 32];
    const char *at = strstr(metadata, " version=");
    (void)snprintf(text, sizeof(text), "%.*s backupSchema=\"no\"%s", (int)(at - metadata), metadata,
                   at);
    (void)writers_setup(&state);
    struct writers_fixture *f = state;
    (void)snprintf(b.state, sizeof(b.state), "%s", f->directory);
    (void)snprintf(b.config, sizeof(b.config), "%s", f->config);
    writers_add_with(f, "app", NULL, ":", text);
    struct trial t = {.bench = &b};
    ready_to_choose(&t);
    contract_expect_on(&t, "AddComponent", add_component(&t, 0), VSS_E_INVALID_XML_DOCUMENT);
    trial_drop(&t);
    (void)writers_teardown(&state);
}

int main(void)
{
    struct bench b = {0};
    struct writers_fixture *f = NULL;
    void *state = NULL;
    contract_begin("components");
    (void)writers_setup(&state);
    f = state;
    (void)snprintf(b.state, sizeof(b.state), "%s", f->directory);
    (void)snprintf(b.config, sizeof(b.config), "%s", f->config);
    b.directory = f->directory;
    writers_add_with(f, "app", NULL, ":", metadata);
    make_document(&b);
    CONTRACT_TRY(&b, methods);
    try_unknown(&b);
    try_senseless(&b);
    try_full_document(&b);
    try_ends(&b);
    try_failures();
    try_senseless_metadata();
    vss_free_string(document);
    (void)writers_teardown(&state);
    return contract_end();
}
