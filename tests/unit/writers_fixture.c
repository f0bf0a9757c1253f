/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/writers_fixture.h"

#include "common/clock.h"
#include "common/id.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int writers_setup(void **state)
{
    struct writers_fixture *f = calloc(1, sizeof(*f));
    char text[600];
    assert_non_null(f);
    f->directory = fixture_directory();
    (void)snprintf(f->config, sizeof(f->config), "%s/test.conf", f->directory);
    (void)snprintf(f->writers, sizeof(f->writers), "%s/writers.d", f->directory);
    (void)snprintf(f->log, sizeof(f->log), "%s/log", f->directory);
    int length = snprintf(text, sizeof(text), "[writers]\ndirectory = %s\n", f->writers);
    fixture_write_file(f->config, text, (size_t)length);
    assert_int_equal(mkdir(f->writers, 0700), 0);
    assert_int_equal(setenv("LUNSHADOW_LOCK_DIR", f->directory, 1), 0);
    *state = f;
    return 0;
}

int writers_teardown(void **state)
{
    struct writers_fixture *f = *state;
    fixture_remove(f->directory);
    free(f);
    return 0;
}

VSS_ID writers_class(unsigned number)
{
    VSS_ID id = {0xc1a55000, 0x1111, 0x4222, {0x83, 0x33, 0, 0, 0, 0, 0, (uint8_t)number}};
    return id;
}

VSS_ID writers_instance(unsigned number)
{
    VSS_ID id = {number, 0x1111, 0x4222, {0x83, 0x33, 0, 0, 0, 0, 0, 1}};
    return id;
}

static void write_text(const char *path, const char *text, mode_t mode)
{
    fixture_write_file(path, text, strlen(text));
    assert_int_equal(chmod(path, mode), 0);
}

void writers_add_with(struct writers_fixture *f, const char *name, const char *settings,
                      const char *body, const char *metadata)
{
    struct buffer script = BUFFER_INIT;
    struct buffer config = BUFFER_INIT;
    char path[600];
    buffer_printf(
        &script,
        "#!/bin/sh\nname=%s log=%s dir=%s\n"
        "introduce() { cat <<'END'\nlunshadow-writer 1\nmetadata\n%s\n.\nEND\n}\n"
        "while read -r event number rest; do\n"
        "  [ $event = set ] && { echo $name $event $number $rest >>$log.set; continue; }\n"
        "  echo $name $event >>$log\n"
        "  %s\n"
        "  [ $event = identify ] && introduce\n"
        "  echo ok $number\n"
        "done\n"
        "echo $name end >>$log\n",
        name, f->log, f->directory, metadata, body);
    (void)snprintf(path, sizeof(path), "%s/%s", f->directory, name);
    write_text(path, script.data, 0700);
    buffer_printf(&config, "[writer]\nprogram = %s\n%s\n", path, settings ? settings : "");
    (void)snprintf(path, sizeof(path), "%s/%s.conf", f->writers, name);
    write_text(path, config.data, 0600);
    buffer_free(&script);
    buffer_free(&config);
    f->count++;
}

void writers_add(struct writers_fixture *f, const char *name, const char *settings,
                 const char *body)
{
    char class_id[ID_TEXT_BYTES];
    char instance_id[ID_TEXT_BYTES];
    VSS_ID class = writers_class(f->count + 1);
    VSS_ID instance = writers_instance(f->count + 1);
    char *metadata = text_printf(
        "<WRITER_METADATA xmlns=\"x-schema:#VssWriterMetadataInfo\" version=\"1.2\">"
        "<IDENTIFICATION writerId=\"%s\" instanceId=\"%s\" friendlyName=\"%s\" usage=\"USER_DATA\" "
        "dataSource=\"OTHER\"/><RESTORE_METHOD method=\"RESTORE_IF_CAN_BE_REPLACED\" "
        "writerRestore=\"always\" rebootRequired=\"no\"/><BACKUP_LOCATIONS>"
        "<FILE_GROUP componentName=\"files\" selectable=\"yes\"/></BACKUP_LOCATIONS>"
        "</WRITER_METADATA>",
        id_text(&class, class_id), id_text(&instance, instance_id), name);
    assert_non_null(metadata);
    writers_add_with(f, name, settings, body, metadata);
    free(metadata);
}

/* ---- sessions ---- */

struct vss_backup_components *writers_session(const struct writers_fixture *f, uint32_t context)
{
    return writers_session_at(f, context, VSS_PLATFORM_NEWEST);
}

struct vss_backup_components *writers_session_at(const struct writers_fixture *f, uint32_t context,
                                                 uint32_t platform_level)
{
    struct vss_session_options options = VSS_SESSION_OPTIONS_INIT;
    struct vss_backup_components *s = NULL;
    char *text = NULL;
    options.config_path = f->config;
    options.state_directory = f->directory;
    options.platform_level = platform_level;
    if (FAILED(vss_create_backup_components(&options, &s, &text))) {
        fail_msg("%s", text);
    }
    assert_int_equal(vss_backup_components_initialize_for_backup(s, NULL), S_OK);
    assert_int_equal(vss_backup_components_set_context(s, context), S_OK);
    assert_int_equal(vss_backup_components_set_backup_state(s, false, false, VSS_BT_FULL, false),
                     S_OK);
    return s;
}

HRESULT writers_finished(HRESULT hr, struct vss_async **async)
{
    HRESULT status = S_OK;
    assert_int_equal(hr, S_OK);
    (void)vss_async_wait(*async, VSS_INFINITE);
    assert_int_equal(vss_async_query_status(*async, &status), S_OK);
    if (FAILED(status)) {
        assert_true(vss_async_error_text(*async)[0] != '\0');
    }
    vss_async_release(*async);
    *async = NULL;
    return status;
}

HRESULT writers_gathered(struct vss_backup_components *s)
{
    struct vss_async *async = NULL;
    return writers_finished(vss_backup_components_gather_writer_metadata(s, &async), &async);
}

HRESULT writers_prepared(struct vss_backup_components *s)
{
    struct vss_async *async = NULL;
    VSS_ID set_id;
    assert_int_equal(vss_backup_components_start_snapshot_set(s, &set_id), S_OK);
    return writers_finished(vss_backup_components_prepare_for_backup(s, &async), &async);
}

HRESULT writers_made(struct vss_backup_components *s)
{
    struct vss_async *async = NULL;
    return writers_finished(vss_backup_components_do_snapshot_set(s, &async), &async);
}

void writers_assert_status(struct vss_backup_components *s, const char *name, int32_t state,
                           HRESULT failure, const char *words, const char *file, int line)
{
    struct vss_async *async = NULL;
    uint32_t count = 0;
    assert_int_equal(
        writers_finished(vss_backup_components_gather_writer_status(s, &async), &async),
        VSS_S_ASYNC_FINISHED);
    assert_int_equal(vss_backup_components_get_writer_status_count(s, &count), S_OK);
    for (uint32_t i = 0; i < count; i++) {
        VSS_ID instance;
        VSS_ID class;
        int32_t has_state = -1;
        HRESULT has_failure = S_OK;
        HRESULT application = S_OK;
        char *has_name = NULL;
        char *text = NULL;
        assert_int_equal(
            vss_backup_components_get_writer_status_ex(
                s, i, &instance, &class, &has_name, &has_state, &has_failure, &application, &text),
            S_OK);
        bool is_it = strcmp(has_name, name) == 0;
        if (is_it &&
            (has_state != state || has_failure != failure || (words && !strstr(text, words)))) {
            print_error("%s:%d: %s: state %d, failure 0x%08x, \"%s\"\n", file, line, name,
                        has_state, (unsigned)has_failure, text);
            fail();
        }
        vss_free_string(has_name);
        vss_free_string(text);
        if (is_it) {
            return;
        }
    }
    print_error("%s:%d: no writer %s\n", file, line, name);
    fail();
}

const char *writers_log(const struct writers_fixture *f)
{
    static char all[8192];
    char line[512];
    FILE *file = fopen(f->log, "re");
    all[0] = '\0';
    while (file && fgets(line, sizeof(line), file)) {
        line[strcspn(line, "\n")] = '\0';
        size_t length = strlen(all);
        if (!strstr(line, " status")) {
            (void)snprintf(all + length, sizeof(all) - length, "%s%s", length ? ", " : "", line);
        }
    }
    if (file) {
        (void)fclose(file);
    }
    return all;
}

void writers_await(const struct writers_fixture *f, const char *name)
{
    char path[600];
    (void)snprintf(path, sizeof(path), "%s/%s", f->directory, name);
    for (int i = 0; access(path, F_OK) != 0; i++) {
        assert_true(i < 6000);
        clock_sleep_ms(10);
    }
}

void writers_make(const struct writers_fixture *f, const char *name)
{
    char path[600];
    (void)snprintf(path, sizeof(path), "%s/%s", f->directory, name);
    fixture_write_file(path, "", 0);
}
