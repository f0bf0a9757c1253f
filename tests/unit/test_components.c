/* SPDX-License-Identifier: Apache-2.0 */

/* The methods on components of a backup, and the objects of component.h: each answer, and each code
 * for its reason. */

#include "unit/components_fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/id.h"
#include "requester/document/components.h"

/* ---- writer metadata of a session ---- */

static void test_writer_metadata(void **state)
{
    const struct fixture *f = *state;
    struct vss_backup_components *s = begin_backup(f);
    struct vss_examine_writer_metadata *metadata = NULL;
    VSS_ID id;
    uint32_t count = 0;
    assert_int_equal(vss_backup_components_get_writer_metadata_count(s, &count), S_OK);
    assert_int_equal(count, 2);
    assert_refusal(s, vss_backup_components_get_writer_metadata(s, 2, &id, &metadata),
                   VSS_E_OBJECT_NOT_FOUND, "no writer 2; there are 2");
    assert_refusal(s, vss_backup_components_get_writer_metadata(s, 0, NULL, &metadata),
                   E_INVALIDARG, "out_instance_id");
    assert_refusal(s, vss_backup_components_get_writer_metadata_ex(s, 0, &id, NULL), E_INVALIDARG,
                   "out");
    assert_int_equal(vss_backup_components_get_writer_metadata_ex(s, 1, &id, &metadata), S_OK);
    assert_true(id_equal(&id, &f->other_instance));
    assert_int_equal(vss_backup_components_free_writer_metadata(s), S_OK);
    struct vss_examine_writer_metadata *again = NULL;
    assert_refusal(s, vss_backup_components_get_writer_metadata(s, 0, &id, &again), VSS_E_BAD_STATE,
                   "GetWriterMetadata");
    vss_backup_components_release(s);
    char *xml = NULL; /* it outlives the session */
    assert_text(vss_examine_writer_metadata_save_as_xml(metadata, &xml), xml, OWN_METADATA);
    vss_examine_writer_metadata_release(metadata);
}

static void test_writer_metadata_that_is_not_whole(void **state)
{
    static const char *const bare[] = {METADATA_OPEN "><IDENTIFICATION writerId=\"" DB_WRITER_ID
                                                     "\" instanceId=\"" DB_INSTANCE_ID
                                                     "\" friendlyName=\"half\"/>" METADATA_CLOSE};
    struct vss_backup_components *s = create_session(*state);
    struct vss_examine_writer_metadata *metadata = NULL;
    VSS_ID id;
    assert_int_equal(vss_backup_components_initialize_for_backup(s, NULL), S_OK);
    gather(s, bare, 1);
    assert_refusal(s, vss_backup_components_get_writer_metadata(s, 0, &id, &metadata),
                   VSS_E_INVALID_XML_DOCUMENT, "writer half: the document, line 1");
    assert_refusal(s, vss_backup_components_get_writer_metadata_ex(s, 0, &id, &metadata),
                   VSS_E_INVALID_XML_DOCUMENT, "needs one RESTORE_METHOD");
    assert_true(!metadata && id_is_null(&id));
    vss_backup_components_release(s);
}

/* The dependency of OWN_METADATA is on the database's writer. */
static void assert_manager(const struct fixture *f, const char *const documents[], size_t count,
                           HRESULT expected)
{
    struct vss_backup_components *s = create_session(f);
    struct vss_examine_writer_metadata *metadata = NULL;
    struct vss_wm_component *component = NULL;
    struct vss_wm_dependency *dependency = NULL;
    VSS_ID id;
    char *text = NULL;
    assert_int_equal(vss_backup_components_initialize_for_backup(s, NULL), S_OK);
    gather(s, documents, count);
    assert_int_equal(
        vss_backup_components_get_writer_metadata(s, (uint32_t)count - 1, &id, &metadata), S_OK);
    assert_int_equal(vss_examine_writer_metadata_get_component(metadata, 0, &component), S_OK);
    assert_int_equal(vss_wm_component_get_dependency(component, 0, &dependency), S_OK);
    assert_int_equal(vss_wm_dependency_get_writer_id(dependency, &id), expected);
    assert_true(id_equal(&id, &f->writer));
    assert_int_equal(vss_wm_dependency_get_logical_path(dependency, &text), expected);
    assert_string_equal(text, PATH);
    vss_free_string(text);
    assert_int_equal(vss_wm_dependency_get_component_name(dependency, &text), expected);
    assert_string_equal(text, NAME);
    vss_free_string(text);
    vss_wm_dependency_release(dependency);
    vss_wm_component_release(component);
    vss_examine_writer_metadata_release(metadata);
    vss_backup_components_release(s);
}

static void test_dependency_without_writer(void **state)
{
    assert_manager(*state, both_writers, 2, S_OK);
    assert_manager(*state, both_writers + 1, 1, S_FALSE);
}

/* ---- AddComponent, and reading what is there ---- */

static void test_add_component(void **state)
{
    const struct fixture *f = *state;
    struct vss_backup_components *s = begin_backup(f);
    uint32_t count = 7;
    assert_int_equal(vss_backup_components_get_writer_components_count(s, &count), S_OK);
    assert_int_equal(count, 0);
    assert_int_equal(add_component(f, s, PATH, NAME), S_OK);
    assert_int_equal(add_component(f, s, PATH, "K\xc3\xa4ufer"), S_OK);
    assert_int_equal(vss_backup_components_add_component(s, &f->other_instance, &f->other_writer,
                                                         VSS_CT_DATABASE, NULL, "main"),
                     S_OK);
    assert_refusal(s, add_component(f, s, PATH, NAME), VSS_E_OBJECT_ALREADY_EXISTS, "added before");
    assert_int_equal(vss_backup_components_get_writer_components_count(s, &count), S_OK);
    assert_int_equal(count, 2);

    assert_refusal(s, add_component(f, s, NULL, NAME), E_INVALIDARG, "has no component");
    assert_refusal(s, add_component(f, s, PATH, "x"), E_INVALIDARG,
                   "DbServerWriter has no component \"x\"");
    assert_refusal(s, add_component(f, s, PATH, NULL), E_INVALIDARG, "component_name");
    assert_refusal(s, add_component(f, s, PATH, ""), E_INVALIDARG, "component_name");
    assert_refusal(s, add_component(f, s, "\x01", NAME), E_INVALIDARG, "UTF-8");
    assert_refusal(s, add_component(f, s, PATH, "\xff"), E_INVALIDARG, "UTF-8");
    assert_refusal(s, vss_backup_components_add_component(s, NULL, &f->writer, TYPE, PATH, NAME),
                   E_INVALIDARG, "instance_id");
    assert_refusal(s, vss_backup_components_add_component(s, &f->instance, NULL, TYPE, PATH, NAME),
                   E_INVALIDARG, "writer_id");
    assert_refusal(s,
                   vss_backup_components_add_component(s, &f->instance, &f->writer, 0, PATH, NAME),
                   E_INVALIDARG, "type");
    assert_refusal(s,
                   vss_backup_components_add_component(s, &f->instance, &f->writer, VSS_CT_DATABASE,
                                                       PATH, NAME),
                   E_INVALIDARG, "has no component");
    assert_refusal(s,
                   vss_backup_components_add_component(s, &f->writer, &f->writer, TYPE, PATH, NAME),
                   E_INVALIDARG, "no writer instance");
    char *xml = NULL;
    assert_int_equal(vss_backup_components_save_as_xml(s, &xml), S_OK);
    assert_non_null(
        strstr(xml, "<WRITER_COMPONENTS instanceId=\"a6ad56c2-b509-4e6c-bb19-49d8f43532f0\""
                    " writerId=\"" DB_WRITER_ID "\" backupSchema=\"881\" instanceName=\"DB one\">"
                    "<COMPONENT logicalPath=\"SRV\\one\" componentName=\"master\""
                    " componentType=\"filegroup\"/>"));
    vss_free_string(xml);
    vss_backup_components_release(s);
}

static void test_add_component_states(void **state)
{
    const struct fixture *f = *state;
    struct vss_backup_components *s = create_session(f);
    assert_refusal(s, add_component(f, s, PATH, NAME), VSS_E_BAD_STATE, "InitializeForBackup");
    assert_int_equal(vss_backup_components_initialize_for_backup(s, NULL), S_OK);
    assert_refusal(s, add_component(f, s, PATH, NAME), VSS_E_BAD_STATE, "GatherWriterMetadata");
    gather(s, both_writers, 2);
    assert_refusal(s, add_component(f, s, PATH, NAME), VSS_E_BAD_STATE, "SetBackupState");
    assert_int_equal(vss_backup_components_set_backup_state(s, true, false, VSS_BT_FULL, false),
                     S_OK);
    assert_int_equal(vss_backup_components_set_backup_state(s, false, false, VSS_BT_FULL, false),
                     S_OK);
    assert_refusal(s, add_component(f, s, PATH, NAME), VSS_E_BAD_STATE,
                   "does not select components");
    assert_int_equal(vss_backup_components_set_backup_state(s, true, false, VSS_BT_FULL, false),
                     S_OK);
    assert_int_equal(vss_backup_components_free_writer_metadata(s), S_OK);
    assert_int_equal(add_component(f, s, PATH, NAME), S_OK); /* what was gathered still counts */
    vss_backup_components_release(s);
}

static void test_add_component_of_a_bad_document(void **state)
{
    static const char *const bad[] = {
        METADATA_OPEN
        " backupSchema=\"many\"><IDENTIFICATION writerId=\"" DB_WRITER_ID
        "\" instanceId=\"" DB_INSTANCE_ID "\" friendlyName=\"bad\"/>"
        "<BACKUP_LOCATIONS><FILE_GROUP componentName=\"a\"/></BACKUP_LOCATIONS>" METADATA_CLOSE};
    const struct fixture *f = *state;
    struct vss_backup_components *s = create_session(f);
    assert_int_equal(vss_backup_components_initialize_for_backup(s, NULL), S_OK);
    assert_int_equal(vss_backup_components_set_backup_state(s, true, false, VSS_BT_FULL, false),
                     S_OK);
    gather(s, bad, 1);
    assert_refusal(s, add_component(f, s, NULL, "a"), VSS_E_INVALID_XML_DOCUMENT, "backupSchema");
    vss_backup_components_release(s);
}

static void test_writer_components(void **state)
{
    const struct fixture *f = *state;
    struct vss_backup_components *s = begin_backup(f);
    struct vss_writer_components *writer = NULL;
    struct vss_component *component = NULL;
    VSS_ID ids[2];
    uint32_t count = 0;
    assert_refusal(s, vss_backup_components_get_writer_components(s, 0, &writer),
                   VSS_E_OBJECT_NOT_FOUND, "no writer 0");
    assert_int_equal(add_component(f, s, PATH, NAME), S_OK);
    assert_refusal(s, vss_backup_components_get_writer_components(s, 0, NULL), E_INVALIDARG, "out");
    assert_refusal(s, vss_backup_components_get_writer_components_count(s, NULL), E_INVALIDARG,
                   "out_writers");
    assert_int_equal(vss_backup_components_get_writer_components(s, 0, &writer), S_OK);
    assert_int_equal(vss_writer_components_get_writer_info(writer, &ids[0], &ids[1]), S_OK);
    assert_true(id_equal(&ids[0], &f->instance) && id_equal(&ids[1], &f->writer));
    assert_int_equal(vss_writer_components_get_writer_info(writer, &ids[0], NULL), E_INVALIDARG);
    assert_int_equal(vss_writer_components_get_component_count(writer, &count), S_OK);
    assert_int_equal(count, 1);
    assert_int_equal(vss_writer_components_get_component_count(writer, NULL), E_INVALIDARG);
    assert_int_equal(vss_writer_components_get_component(writer, 0, NULL), E_INVALIDARG);
    assert_int_equal(vss_writer_components_get_component(writer, 1, &component),
                     VSS_E_OBJECT_NOT_FOUND);
    assert_non_null(strstr(vss_writer_components_error_text(writer), "no component 1"));
    assert_null(component);
    assert_int_equal(vss_writer_components_get_component(writer, 0, &component), S_OK);

    char *text = NULL;
    int32_t type = 0;
    assert_text(vss_component_get_logical_path(component, &text), text, PATH);
    assert_text(vss_component_get_component_name(component, &text), text, NAME);
    assert_int_equal(vss_component_get_component_type(component, &type), S_OK);
    assert_int_equal(type, TYPE);

    /* after the session they refuse, and crash nobody */
    vss_backup_components_release(s);
    assert_int_equal(vss_component_get_logical_path(component, &text), VSS_E_BAD_STATE);
    assert_non_null(strstr(vss_component_error_text(component), "released"));
    assert_int_equal(vss_component_set_backup_stamp(component, "x"), VSS_E_BAD_STATE);
    vss_component_release(component);
    vss_writer_components_release(writer);
}

/* ---- what a backup says ---- */

static void test_backup_texts(void **state)
{
    const struct fixture *f = *state;
    struct vss_backup_components *s = begin_backup(f);
    assert_refusal(s,
                   vss_backup_components_set_backup_options(s, &f->writer, TYPE, PATH, NAME, "o"),
                   VSS_E_OBJECT_NOT_FOUND, "no filegroup component \"master\"");
    assert_int_equal(add_component(f, s, PATH, NAME), S_OK);
    struct vss_component *component = only_component(s);
    char *text = NULL;
    assert_text(vss_component_get_backup_options(component, &text), text, NULL);
    assert_int_equal(
        vss_backup_components_set_backup_options(s, &f->writer, TYPE, PATH, NAME, "a=\"1\"\n%b"),
        S_OK);
    assert_int_equal(
        vss_backup_components_set_previous_backup_stamp(s, &f->writer, TYPE, PATH, NAME, ""), S_OK);
    assert_text(vss_component_get_backup_options(component, &text), text, "a=\"1\"\n%b");
    assert_text(vss_component_get_previous_backup_stamp(component, &text), text, "");

    assert_refusal(s,
                   vss_backup_components_set_backup_options(s, &f->writer, TYPE, PATH, NAME, NULL),
                   E_INVALIDARG, "NULL");
    assert_refusal(
        s, vss_backup_components_set_backup_options(s, &f->writer, TYPE, PATH, NAME, "\x1b"),
        E_INVALIDARG, "backupOptions");
    assert_refusal(s,
                   vss_backup_components_set_previous_backup_stamp(s, NULL, TYPE, PATH, NAME, "x"),
                   E_INVALIDARG, "writer_id");
    assert_refusal(s,
                   vss_backup_components_set_previous_backup_stamp(s, &f->writer, VSS_CT_DATABASE,
                                                                   PATH, NAME, "x"),
                   VSS_E_OBJECT_NOT_FOUND, "database component");
    char *long_text = calloc(1, COMPONENT_TEXT_MAX + 2);
    assert_non_null(long_text);
    memset(long_text, 'x', COMPONENT_TEXT_MAX + 1);
    assert_refusal(
        s, vss_backup_components_set_backup_options(s, &f->writer, TYPE, PATH, NAME, long_text),
        E_INVALIDARG, "at most");
    free(long_text);
    assert_text(vss_component_get_backup_options(component, &text), text, "a=\"1\"\n%b");
    vss_component_release(component);
    vss_backup_components_release(s);
}

/* An empty set is legal in a context with writers. */
static void test_backup_succeeded(void **state)
{
    const struct fixture *f = *state;
    struct vss_backup_components *s = begin_backup(f);
    struct vss_async *async = NULL;
    VSS_ID set_id;
    bool succeeded = false;
    assert_int_equal(add_component(f, s, PATH, NAME), S_OK);
    assert_refusal(s,
                   vss_backup_components_set_backup_succeeded(s, &f->instance, &f->writer, TYPE,
                                                              PATH, NAME, true),
                   VSS_E_BAD_STATE, "DoSnapshotSet");
    assert_int_equal(vss_backup_components_start_snapshot_set(s, &set_id), S_OK);
    HRESULT(*const steps[])
    (struct vss_backup_components *, struct vss_async **) = {
        vss_backup_components_prepare_for_backup, vss_backup_components_do_snapshot_set};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(steps[i](s, &async), S_OK);
        assert_int_equal(vss_async_wait(async, VSS_INFINITE), S_OK);
        vss_async_release(async);
        assert_refusal(s, add_component(f, s, PATH, "x"), VSS_E_BAD_STATE, "AddComponent");
        assert_refusal(
            s, vss_backup_components_set_backup_options(s, &f->writer, TYPE, PATH, NAME, "o"),
            VSS_E_BAD_STATE, "SetBackupOptions");
        assert_refusal(
            s,
            vss_backup_components_set_previous_backup_stamp(s, &f->writer, TYPE, PATH, NAME, "o"),
            VSS_E_BAD_STATE, "SetPreviousBackupStamp");
    }
    assert_refusal(s,
                   vss_backup_components_set_backup_succeeded(s, &f->other_instance, &f->writer,
                                                              TYPE, PATH, NAME, true),
                   VSS_E_OBJECT_NOT_FOUND, "no filegroup component");
    assert_refusal(
        s, vss_backup_components_set_backup_succeeded(s, NULL, &f->writer, TYPE, PATH, NAME, true),
        E_INVALIDARG, "instance_id");
    assert_int_equal(vss_backup_components_set_backup_succeeded(s, &f->instance, &f->writer, TYPE,
                                                                PATH, NAME, true),
                     S_OK);
    struct vss_component *component = only_component(s);
    assert_int_equal(vss_component_get_backup_succeeded(component, &succeeded), S_OK);
    assert_true(succeeded);
    vss_component_release(component);
    vss_backup_components_release(s);
}

/* ---- IVssComponent's own setters ---- */

static void test_component_setters(void **state)
{
    const struct fixture *f = *state;
    struct vss_backup_components *s = begin_backup(f);
    assert_int_equal(add_component(f, s, PATH, NAME), S_OK);
    struct vss_component *c = only_component(s);
    static const struct {
        HRESULT (*set)(struct vss_component *, const char *);
        HRESULT (*get)(struct vss_component *, char **);
    } texts[] = {
        {vss_component_set_backup_stamp, vss_component_get_backup_stamp},
        {vss_component_set_backup_metadata, vss_component_get_backup_metadata},
        {vss_component_set_restore_metadata, vss_component_get_restore_metadata},
        {vss_component_set_pre_restore_failure_msg, vss_component_get_pre_restore_failure_msg},
        {vss_component_set_post_restore_failure_msg, vss_component_get_post_restore_failure_msg},
        {vss_component_set_prepare_for_backup_failure_msg,
         vss_component_get_prepare_for_backup_failure_msg},
        {vss_component_set_post_snapshot_failure_msg, vss_component_get_post_snapshot_failure_msg},
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char *text = NULL;
        char value[24];
        assert_text(texts[i].get(c, &text), text, NULL);
        (void)snprintf(value, sizeof(value), "<v\xc3\xa9 \"%zu\">\t\r\n", i);
        assert_int_equal(texts[i].set(c, "first"), S_OK);
        assert_int_equal(texts[i].set(c, value), S_OK);
        assert_text(texts[i].get(c, &text), text, value);
        assert_int_equal(texts[i].set(c, NULL), E_INVALIDARG);
        assert_int_equal(texts[i].set(c, "\x02"), E_INVALIDARG);
        assert_int_equal(texts[i].get(c, NULL), E_INVALIDARG);
        assert_true(vss_component_error_text(c)[0] != '\0');
    }
    int32_t target = 0;
    assert_int_equal(vss_component_set_restore_target(c, VSS_RT_DIRECTED), S_OK);
    assert_int_equal(vss_component_get_restore_target(c, &target), S_OK);
    assert_int_equal(target, VSS_RT_DIRECTED);
    assert_int_equal(vss_component_set_restore_target(c, VSS_RT_UNDEFINED), E_INVALIDARG);
    assert_int_equal(vss_component_set_restore_target(c, 5), E_INVALIDARG);
    vss_component_release(c);

    /* and all of it survives */
    char *xml = NULL;
    assert_int_equal(vss_backup_components_save_as_xml(s, &xml), S_OK);
    vss_backup_components_release(s);
    s = begin_restore(f, xml);
    c = only_component(s);
    char *again = NULL;
    assert_int_equal(vss_backup_components_save_as_xml(s, &again), S_OK);
    assert_string_equal(xml, again);
    vss_free_string(again);
    vss_free_string(xml);
    assert_text(vss_component_get_post_snapshot_failure_msg(c, &xml), xml,
                "<v\xc3\xa9 \"6\">\t\r\n");
    vss_component_release(c);
    vss_backup_components_release(s);
}

static void test_failure(void **state)
{
    const struct fixture *f = *state;
    struct vss_backup_components *s = begin_backup(f);
    assert_int_equal(add_component(f, s, PATH, NAME), S_OK);
    struct vss_component *c = only_component(s);
    static const HRESULT reportable[] = {
        S_OK,
        VSS_E_WRITERERROR_INCONSISTENTSNAPSHOT,
        VSS_E_WRITERERROR_OUTOFRESOURCES,
        VSS_E_WRITERERROR_TIMEOUT,
        VSS_E_WRITERERROR_RETRYABLE,
        VSS_E_WRITERERROR_NONRETRYABLE,
    };
    HRESULT code = -1;
    HRESULT application = -1;
    uint32_t reserved = 7;
    char *message = NULL;
    assert_int_equal(vss_component_get_failure(c, &code, &application, &message, &reserved), S_OK);
    assert_true(code == S_OK && application == S_OK && !message && reserved == 0);
    for (size_t i = 0; i < sizeof(reportable) / sizeof(reportable[0]); i++) {
        assert_int_equal(vss_component_set_failure(c, reportable[i], (HRESULT)i - 3, "why", 0),
                         S_OK);
        assert_int_equal(vss_component_get_failure(c, &code, &application, &message, &reserved),
                         S_OK);
        assert_true(code == reportable[i] && application == (HRESULT)i - 3);
        assert_text(S_OK, message, "why");
    }
    assert_int_equal(vss_component_set_failure(c, VSS_E_WRITER_NOT_RESPONDING, 0, NULL, 0),
                     E_INVALIDARG);
    assert_int_equal(vss_component_set_failure(c, VSS_E_WRITERERROR_PARTIAL_FAILURE, 0, NULL, 0),
                     E_INVALIDARG);
    assert_int_equal(vss_component_set_failure(c, S_OK, 0, NULL, 1), E_INVALIDARG);
    assert_int_equal(vss_component_set_failure(c, S_OK, 0, NULL, 0), S_OK);
    assert_int_equal(vss_component_get_failure(c, &code, &application, &message, &reserved), S_OK);
    assert_true(code == S_OK && !message);
    assert_int_equal(vss_component_get_failure(c, &code, &application, &message, NULL),
                     E_INVALIDARG);
    assert_int_equal(vss_component_get_failure(c, NULL, &application, &message, &reserved),
                     E_INVALIDARG);
    vss_component_release(c);
    vss_backup_components_release(s);
}

static void test_lists(void **state)
{
    const struct fixture *f = *state;
    struct vss_backup_components *s = begin_backup(f);
    assert_int_equal(add_component(f, s, PATH, NAME), S_OK);
    struct vss_component *c = only_component(s);
    uint32_t count = 0;
    char *t[6];
    bool recursive = false;
    int64_t time = 0;
    for (int i = 0; i < 3; i++) {
        char name[2] = {(char)('a' + i), '\0'};
        assert_int_equal(vss_component_add_partial_file(c, "p", name, "0:8", i == 1 ? "m" : NULL),
                         S_OK);
    }
    assert_int_equal(vss_component_get_partial_file_count(c, &count), S_OK);
    assert_int_equal(count, 3);
    static const uint32_t order[] = {0, 1, 2, 0, 2, 1};
    for (size_t i = 0; i < 6; i++) {
        char name[2] = {(char)('a' + (int)order[i]), '\0'};
        assert_int_equal(vss_component_get_partial_file(c, order[i], &t[0], &t[1], &t[2], &t[3]),
                         S_OK);
        assert_text(S_OK, t[1], name);
        assert_text(order[i] == 1 ? S_OK : S_FALSE, t[3], order[i] == 1 ? "m" : NULL);
        vss_free_string(t[0]);
        vss_free_string(t[2]);
    }
    assert_int_equal(vss_component_get_partial_file(c, 3, &t[0], &t[1], &t[2], &t[3]),
                     VSS_E_OBJECT_NOT_FOUND);
    assert_int_equal(vss_component_add_partial_file(c, NULL, "a", "r", NULL), E_INVALIDARG);
    assert_int_equal(vss_component_add_partial_file(c, "p", "a", "\x03", NULL), E_INVALIDARG);

    assert_int_equal(
        vss_component_add_differenced_files_by_last_modify_time(c, "p", "*", true, 134), S_OK);
    assert_int_equal(
        vss_component_add_differenced_files_by_last_modify_lsn(c, "p", "*", false, "l"), S_OK);
    assert_int_equal(vss_component_add_differenced_files_by_last_modify_time(c, "p", "*", true, -1),
                     E_INVALIDARG);
    assert_int_equal(
        vss_component_add_differenced_files_by_last_modify_lsn(c, "p", "*", false, NULL),
        E_INVALIDARG);
    assert_int_equal(vss_component_get_differenced_files_count(c, &count), S_OK);
    assert_int_equal(count, 2);
    assert_int_equal(
        vss_component_get_differenced_file(c, 0, &t[0], &t[1], &recursive, &t[2], &time), S_OK);
    assert_true(recursive && time == 134 && !t[2]);
    vss_free_string(t[0]);
    vss_free_string(t[1]);
    assert_int_equal(
        vss_component_get_differenced_file(c, 1, &t[0], &t[1], &recursive, &t[2], &time), S_OK);
    assert_true(!recursive && time == 0);
    assert_text(S_OK, t[2], "l");
    vss_free_string(t[0]);
    vss_free_string(t[1]);
    assert_int_equal(
        vss_component_get_differenced_file(c, 2, &t[0], &t[1], &recursive, &t[2], &time),
        VSS_E_OBJECT_NOT_FOUND);

    assert_int_equal(vss_component_add_directed_target(c, "1", "2", "3", "4", "5", "6"), S_OK);
    assert_int_equal(vss_component_add_directed_target(c, "1", "2", "3", "4", "5", NULL),
                     E_INVALIDARG);
    assert_int_equal(vss_component_get_directed_target_count(c, &count), S_OK);
    assert_int_equal(count, 1);
    assert_int_equal(
        vss_component_get_directed_target(c, 0, &t[0], &t[1], &t[2], &t[3], &t[4], &t[5]), S_OK);
    for (int i = 0; i < 6; i++) {
        char value[2] = {(char)('1' + i), '\0'};
        assert_text(S_OK, t[i], value);
    }
    vss_component_release(c);
    vss_backup_components_release(s);
}

/* While an operation runs the document is that operation's. */
static void test_busy(void **state)
{
    const struct fixture *f = *state;
    struct vss_backup_components *s = begin_backup(f);
    assert_int_equal(add_component(f, s, PATH, NAME), S_OK);
    struct vss_component *c = only_component(s);
    char *text = NULL;
    document_set_busy(s->document, true);
    assert_int_equal(vss_component_get_component_name(c, &text), VSS_E_BAD_STATE);
    assert_int_equal(vss_component_set_failure(c, S_OK, 0, NULL, 0), VSS_E_BAD_STATE);
    assert_non_null(strstr(vss_component_error_text(c), "still runs"));
    document_set_busy(s->document, false);
    assert_text(vss_component_get_component_name(c, &text), text, NAME);
    vss_component_release(c);
    vss_backup_components_release(s);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, components_setup, components_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_writer_metadata),
        TEST(test_writer_metadata_that_is_not_whole),
        TEST(test_dependency_without_writer),
        TEST(test_add_component),
        TEST(test_add_component_states),
        TEST(test_add_component_of_a_bad_document),
        TEST(test_writer_components),
        TEST(test_backup_texts),
        TEST(test_backup_succeeded),
        TEST(test_component_setters),
        TEST(test_failure),
        TEST(test_lists),
        TEST(test_busy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
