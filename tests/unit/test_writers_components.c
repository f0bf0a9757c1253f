/* SPDX-License-Identifier: Apache-2.0 */

/* What writers are told of their components, and what of their answers is in the document
 * afterwards. The writers are programs. */

#include "unit/writers_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lunshadow/component.h>

#define METADATA_OF(instance)                                                                      \
    "<WRITER_METADATA xmlns=\"x-schema:#VssWriterMetadataInfo\" version=\"1.2\">"                  \
    "<IDENTIFICATION writerId=\"c1a55000-1111-4222-8333-000000000001\""                            \
    " instanceId=\"" instance "\" friendlyName=\"one\""                                            \
    " usage=\"USER_DATA\" dataSource=\"OTHER\"/>"                                                  \
    "<RESTORE_METHOD method=\"CUSTOM\" writerRestore=\"always\"/><BACKUP_LOCATIONS>"               \
    "<FILE_GROUP componentName=\"a\"><FILE_LIST path=\"/srv\" filespec=\"*.db\" "                  \
    "recursive=\"yes\"/></FILE_GROUP><FILE_GROUP logicalPath=\"p q\" componentName=\"b\"/>"        \
    "</BACKUP_LOCATIONS></WRITER_METADATA>"

#define METADATA METADATA_OF("00000001-1111-4222-8333-000000000001")

#define TYPE VSS_CT_FILEGROUP

/* Whether a writer was told a line that begins so, behind "NAME set ". */
static bool was_told_to(const struct writers_fixture *f, const char *name, const char *line)
{
    char command[900];
    (void)snprintf(command, sizeof(command), "grep -q '^%s set %s' %s.set", name, line, f->log);
    return system(command) == 0;
}

static bool was_told(const struct writers_fixture *f, const char *line)
{
    return was_told_to(f, "one", line);
}

static void forget(const struct writers_fixture *f)
{
    char path[600];
    (void)snprintf(path, sizeof(path), "%s.set", f->log);
    fixture_write_file(path, "", 0);
}

static struct vss_backup_components *begin(const struct writers_fixture *f)
{
    const VSS_ID writer = writers_class(1);
    const VSS_ID instance = writers_instance(1);
    struct vss_backup_components *s = writers_session(f, VSS_CTX_APP_ROLLBACK);
    assert_int_equal(writers_gathered(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(vss_backup_components_set_backup_state(s, true, false, VSS_BT_FULL, false),
                     S_OK);
    assert_int_equal(vss_backup_components_add_component(s, &instance, &writer, TYPE, NULL, "a"),
                     S_OK);
    assert_int_equal(vss_backup_components_add_component(s, &instance, &writer, TYPE, "p q", "b"),
                     S_OK);
    return s;
}

static struct vss_component *component_at(struct vss_backup_components *s, uint32_t index)
{
    struct vss_writer_components *writer = NULL;
    struct vss_component *component = NULL;
    assert_int_equal(vss_backup_components_get_writer_components(s, 0, &writer), S_OK);
    assert_int_equal(vss_writer_components_get_component(writer, index, &component), S_OK);
    vss_writer_components_release(writer);
    return component;
}

static void assert_failure(struct vss_backup_components *s, uint32_t index, HRESULT code,
                           HRESULT application, const char *message)
{
    struct vss_component *component = component_at(s, index);
    HRESULT got[2];
    char *text = NULL;
    uint32_t reserved = 0;
    assert_int_equal(vss_component_get_failure(component, &got[0], &got[1], &text, &reserved),
                     S_OK);
    assert_int_equal(got[0], code);
    assert_int_equal(got[1], application);
    if (message) {
        assert_string_equal(text, message);
    } else {
        assert_null(text);
    }
    vss_free_string(text);
    vss_component_release(component);
}

/* The document of a backup in which component b failed and a left metadata. */
static char *make_backup(struct writers_fixture *f)
{
    const VSS_ID writer = writers_class(1);
    const VSS_ID instance = writers_instance(1);
    struct vss_async *async = NULL;
    char *xml = NULL;
    writers_add_with(f, "one", NULL,
                     "[ $event = post-snapshot ] && { echo application 0x00000007; "
                     "echo 'backup-metadata file-group - a two%0Alines <&>'; "
                     "echo 'backup-stamp file-group - a s1'; "
                     "echo 'failed-component retryable file-group p%20q b disk full'; "
                     "echo 'failed-component retryable file-group - nobody x'; "
                     "echo partial $number; continue; }",
                     METADATA);
    struct vss_backup_components *s = begin(f);
    assert_int_equal(vss_backup_components_set_backup_options(s, &writer, TYPE, "p q", "b", "fast"),
                     S_OK);
    assert_int_equal(writers_prepared(s), VSS_S_ASYNC_FINISHED);
    assert_true(was_told(f, "component file-group - a$"));
    assert_true(was_told(f, "component file-group p%20q b$"));
    assert_true(was_told(f, "backup-options file-group p%20q b fast$"));
    assert_false(was_told(f, "backup-options file-group - a"));
    assert_int_equal(writers_made(s), VSS_S_ASYNC_FINISHED);
    writers_assert(s, "one", VSS_WS_WAITING_FOR_BACKUP_COMPLETE, VSS_E_WRITERERROR_PARTIAL_FAILURE,
                   NULL);
    assert_failure(s, 0, S_OK, S_OK, NULL);
    assert_failure(s, 1, VSS_E_WRITERERROR_RETRYABLE, 7, "disk full");
    struct vss_component *component = component_at(s, 0);
    assert_int_equal(vss_component_add_partial_file(component, "/srv", "one.db", "0:8", NULL),
                     S_OK);
    vss_component_release(component);
    assert_int_equal(
        vss_backup_components_set_backup_succeeded(s, &instance, &writer, TYPE, NULL, "a", true),
        S_OK);
    assert_int_equal(writers_finished(vss_backup_components_backup_complete(s, &async), &async),
                     VSS_S_ASYNC_FINISHED);
    assert_int_equal(vss_backup_components_save_as_xml(s, &xml), S_OK);
    vss_backup_components_release(s);
    return xml;
}

static void test_backup(void **state)
{
    struct writers_fixture *f = *state;
    char *xml = make_backup(f);
    assert_non_null(strstr(xml, "<BACKUP_METADATA metadata=\"two&#10;lines &lt;&amp;&gt;\"/>"));
    assert_non_null(strstr(xml, "backupStamp=\"s1\""));
    vss_free_string(xml);
}

static void test_succeeded(void **state)
{
    struct writers_fixture *f = *state;
    const VSS_ID writer = writers_class(1);
    const VSS_ID instance = writers_instance(1);
    struct vss_async *async = NULL;
    writers_add_with(f, "one", NULL, ":", METADATA);
    struct vss_backup_components *s = begin(f);
    assert_int_equal(writers_prepared(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(writers_made(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(
        vss_backup_components_set_backup_succeeded(s, &instance, &writer, TYPE, NULL, "a", true),
        S_OK);
    assert_int_equal(writers_finished(vss_backup_components_backup_complete(s, &async), &async),
                     VSS_S_ASYNC_FINISHED);
    assert_true(was_told(f, "succeeded file-group - a$"));
    assert_false(was_told(f, "succeeded file-group p%20q b"));
    vss_backup_components_release(s);
}

static void test_restore(void **state)
{
    struct writers_fixture *f = *state;
    const VSS_ID writer = writers_class(1);
    struct vss_session_options options = VSS_SESSION_OPTIONS_INIT;
    struct vss_backup_components *s = NULL;
    struct vss_async *async = NULL;
    char *xml = make_backup(f);
    forget(f);
    /* one more instance of its class, which the backup had nothing of */
    writers_add_with(f, "two", NULL,
                     "[ $event = pre-restore ] && "
                     "echo 'failed-component retryable file-group - a not mine'",
                     METADATA_OF("00000002-1111-4222-8333-000000000001"));
    options.config_path = f->config;
    options.state_directory = f->directory;
    assert_int_equal(vss_create_backup_components(&options, &s, NULL), S_OK);
    assert_int_equal(vss_backup_components_initialize_for_restore(s, xml), S_OK);
    vss_free_string(xml);
    assert_int_equal(writers_gathered(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(
        vss_backup_components_set_selected_for_restore(s, &writer, TYPE, NULL, "a", true), S_OK);
    assert_int_equal(vss_backup_components_set_restore_options(s, &writer, TYPE, NULL, "a", "o"),
                     S_OK);
    assert_int_equal(
        vss_backup_components_set_roll_forward(s, &writer, TYPE, NULL, "a", VSS_RF_PARTIAL, "12"),
        S_OK);
    assert_int_equal(
        vss_backup_components_set_authoritative_restore(s, &writer, TYPE, NULL, "a", true), S_OK);
    assert_int_equal(vss_backup_components_add_restore_subcomponent(s, &writer, TYPE, NULL, "a",
                                                                    "s p", "sub", false),
                     S_OK);
    assert_int_equal(vss_backup_components_add_new_target(s, &writer, TYPE, NULL, "a", "/srv/",
                                                          "*.db", true, "/mnt/x y"),
                     S_OK);
    assert_int_equal(writers_finished(vss_backup_components_pre_restore(s, &async), &async),
                     VSS_S_ASYNC_FINISHED);
    assert_true(was_told(f, "restore-subcomponent file-group - a s%20p sub$"));
    assert_true(was_told(f, "new-target file-group - a /srv/ \\*.db yes /mnt/x%20y$"));
    assert_true(was_told(f, "partial-file file-group - a /srv one.db 0:8 -$"));
    assert_true(was_told(f, "component file-group - a$"));
    assert_false(was_told(f, "component file-group p%20q b"));
    assert_true(was_told(f, "backup-metadata file-group - a two%0Alines%20<&>$"));
    assert_true(was_told(f, "backup-stamp file-group - a s1$"));
    assert_true(was_told(f, "restore-options file-group - a o$"));
    assert_true(was_told(f, "roll-forward file-group - a partial$"));
    assert_true(was_told(f, "roll-forward-point file-group - a 12$"));
    assert_true(was_told(f, "authoritative-restore file-group - a$"));
    assert_false(was_told(f, "additional-restores"));
    assert_false(was_told_to(f, "two", "component"));
    assert_failure(s, 0, S_OK, S_OK, NULL);
    assert_int_equal(
        vss_backup_components_set_file_restore_status(s, &writer, TYPE, NULL, "a", VSS_RS_ALL),
        S_OK);
    assert_int_equal(writers_finished(vss_backup_components_post_restore(s, &async), &async),
                     VSS_S_ASYNC_FINISHED);
    assert_true(was_told(f, "file-restore-status file-group - a all$"));
    vss_backup_components_release(s);
}

/* Its own words are kept of a component, whatever other instances of its class say. */
static void check_other_instance(const char *other)
{
    void *state = NULL;
    char *stamp = NULL;
    assert_int_equal(writers_setup(&state), 0);
    struct writers_fixture *f = state;
    writers_add_with(f, "one", NULL, "[ $event = thaw ] && echo 'backup-stamp file-group - a own'",
                     METADATA);
    writers_add_with(f, other, NULL,
                     "[ $event = thaw ] && { echo 'backup-stamp file-group - a foreign'; "
                     "echo 'backup-stamp file-group p%20q b foreign'; }",
                     METADATA_OF("00000002-1111-4222-8333-000000000001"));
    struct vss_backup_components *s = begin(f);
    assert_int_equal(writers_prepared(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(writers_made(s), VSS_S_ASYNC_FINISHED);
    struct vss_component *component = component_at(s, 0);
    assert_int_equal(vss_component_get_backup_stamp(component, &stamp), S_OK);
    assert_string_equal(stamp, "own");
    vss_free_string(stamp);
    vss_component_release(component);
    component = component_at(s, 1); /* of which its own writer says nothing */
    assert_int_equal(vss_component_get_backup_stamp(component, &stamp), S_FALSE);
    vss_component_release(component);
    vss_backup_components_release(s);
    (void)writers_teardown(&state);
}

static void test_instances(void **unused)
{
    (void)unused;
    check_other_instance("a-other"); /* in the order of their files */
    check_other_instance("z-other");
}

/* The instance that the backup had is gone: another one is told of its component, and speaks of it.
 */
static void test_restore_by_another(void **state)
{
    struct writers_fixture *f = *state;
    const VSS_ID writer = writers_class(1);
    struct vss_session_options options = VSS_SESSION_OPTIONS_INIT;
    struct vss_backup_components *s = NULL;
    struct vss_async *async = NULL;
    char path[600];
    char *xml = make_backup(f);
    (void)snprintf(path, sizeof(path), "%s/one.conf", f->writers);
    assert_int_equal(unlink(path), 0);
    writers_add_with(f, "anew", NULL,
                     "[ $event = pre-restore ] && { echo 'restore-metadata file-group - a kept'; "
                     "echo 'restore-metadata file-group p%20q b dropped'; }",
                     METADATA_OF("00000002-1111-4222-8333-000000000001"));
    options.config_path = f->config;
    options.state_directory = f->directory;
    assert_int_equal(vss_create_backup_components(&options, &s, NULL), S_OK);
    assert_int_equal(vss_backup_components_initialize_for_restore(s, xml), S_OK);
    vss_free_string(xml);
    assert_int_equal(writers_gathered(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(
        vss_backup_components_set_selected_for_restore(s, &writer, TYPE, NULL, "a", true), S_OK);
    assert_int_equal(writers_finished(vss_backup_components_pre_restore(s, &async), &async),
                     VSS_S_ASYNC_FINISHED);
    assert_true(was_told_to(f, "anew", "component file-group - a$"));
    assert_int_equal(vss_backup_components_save_as_xml(s, &xml), S_OK);
    assert_non_null(strstr(xml, "\"kept\""));
    assert_null(strstr(xml, "\"dropped\""));
    vss_free_string(xml);
    vss_backup_components_release(s);
}

/* A writer that is gone says nothing of its components any more. */
static void test_lost(void **state)
{
    struct writers_fixture *f = *state;
    writers_add_with(f, "one", NULL,
                     "[ $event = prepare-snapshot ] && { "
                     "echo 'failed-component timeout file-group - a slow'; exit 1; }",
                     METADATA);
    struct vss_backup_components *s = begin(f);
    assert_int_equal(writers_prepared(s), VSS_S_ASYNC_FINISHED);
    (void)writers_made(s);
    assert_failure(s, 0, VSS_E_WRITERERROR_TIMEOUT, S_OK, "slow");
    assert_failure(s, 1, VSS_E_WRITER_NOT_RESPONDING, S_OK, NULL);
    vss_backup_components_release(s);
}

/* One that never said who it is has no components, not even those that name no instance. */
static void test_lost_stranger(void **state)
{
    static const char xml[] =
        "<BACKUP_COMPONENTS xmlns=\"x-schema:#VssComponentMetadata\" version=\"1.2\">"
        "<WRITER_COMPONENTS writerId=\"c1a55000-1111-4222-8333-000000000001\">"
        "<COMPONENT componentName=\"a\" componentType=\"file_group\"/></WRITER_COMPONENTS>"
        "</BACKUP_COMPONENTS>";
    struct writers_fixture *f = *state;
    struct vss_session_options options = VSS_SESSION_OPTIONS_INIT;
    struct vss_backup_components *s = NULL;
    struct vss_async *async = NULL;
    writers_add(f, "stranger", NULL, "exit 1");
    options.config_path = f->config;
    options.state_directory = f->directory;
    assert_int_equal(vss_create_backup_components(&options, &s, NULL), S_OK);
    assert_int_equal(vss_backup_components_initialize_for_restore(s, xml), S_OK);
    assert_int_equal(writers_gathered(s), VSS_S_ASYNC_FINISHED);
    writers_assert(s, "stranger", VSS_WS_FAILED_AT_IDENTIFY, VSS_E_WRITER_NOT_RESPONDING, NULL);
    assert_int_equal(writers_finished(vss_backup_components_pre_restore(s, &async), &async),
                     VSS_S_ASYNC_FINISHED);
    assert_failure(s, 0, S_OK, S_OK, NULL);
    vss_backup_components_release(s);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, writers_setup, writers_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_backup),
        TEST(test_succeeded),
        TEST(test_restore),
        TEST(test_restore_by_another),
        cmocka_unit_test(test_instances),
        TEST(test_lost),
        TEST(test_lost_stranger),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
