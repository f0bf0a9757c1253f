/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/components_fixture.h"

#include <stdlib.h>

#include "common/id.h"

int components_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->directory = fixture_directory();
    fixture_write_file(fixture_path(f->directory, "empty.conf"), "", 0);
    assert_int_equal(setenv("LUNSHADOW_LOCK_DIR", f->directory, 1), 0);
    assert_true(id_parse(DB_INSTANCE_ID, &f->instance) && id_parse(DB_WRITER_ID, &f->writer));
    assert_true(id_parse(BOOT_INSTANCE_ID, &f->other_instance) &&
                id_parse(BOOT_WRITER_ID, &f->other_writer));
    *state = f;
    return 0;
}

int components_teardown(void **state)
{
    struct fixture *f = *state;
    fixture_remove(f->directory);
    free(f);
    return 0;
}

struct vss_backup_components *create_session(const struct fixture *f)
{
    struct vss_session_options options = VSS_SESSION_OPTIONS_INIT;
    options.config_path = fixture_path(f->directory, "empty.conf");
    options.state_directory = f->directory;
    struct vss_backup_components *session = NULL;
    char *text = NULL;
    if (FAILED(vss_create_backup_components(&options, &session, &text))) {
        fail_msg("%s", text);
    }
    return session;
}

void gather(struct vss_backup_components *session, const char *const documents[], size_t count)
{
    struct vss_async *async = NULL;
    assert_int_equal(vss_backup_components_gather_writer_metadata(session, &async), S_OK);
    assert_int_equal(vss_async_wait(async, VSS_INFINITE), S_OK);
    vss_async_release(async);
    for (size_t i = 0; i < count; i++) {
        struct error err = {0};
        if (FAILED(gathered_writers_add(&session->writers, documents[i], strlen(documents[i]),
                                        &err))) {
            fail_msg("%s", err.text);
        }
    }
}

const char *const both_writers[2] = {WINDOWS_DB_METADATA, OWN_METADATA};

struct vss_backup_components *begin_backup(const struct fixture *f)
{
    struct vss_backup_components *s = create_session(f);
    assert_int_equal(vss_backup_components_initialize_for_backup(s, NULL), S_OK);
    assert_int_equal(vss_backup_components_set_backup_state(s, true, false, VSS_BT_FULL, true),
                     S_OK);
    gather(s, both_writers, 2);
    return s;
}

HRESULT add_component(const struct fixture *f, struct vss_backup_components *s, const char *path,
                      const char *name)
{
    return vss_backup_components_add_component(s, &f->instance, &f->writer, TYPE, path, name);
}

void check_text(HRESULT hr, char *text, const char *expected)
{
    assert_int_equal(hr, expected ? S_OK : S_FALSE);
    if (expected) {
        assert_string_equal(text, expected);
    } else {
        assert_null(text);
    }
    vss_free_string(text);
}

struct vss_component *only_component(struct vss_backup_components *s)
{
    struct vss_writer_components *writer = NULL;
    struct vss_component *component = NULL;
    assert_int_equal(vss_backup_components_get_writer_components(s, 0, &writer), S_OK);
    assert_int_equal(vss_writer_components_get_component(writer, 0, &component), S_OK);
    vss_writer_components_release(writer);
    return component;
}

struct vss_backup_components *begin_restore(const struct fixture *f, const char *xml)
{
    struct vss_backup_components *s = create_session(f);
    if (FAILED(vss_backup_components_initialize_for_restore(s, xml))) {
        fail_msg("%s", vss_backup_components_error_text(s));
    }
    return s;
}
