/* SPDX-License-Identifier: Apache-2.0 */

/* Sessions over a real registry and no array: what the methods say and refuse, what they leave
 * behind. */

#include "unit/registry_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <lunshadow/requester.h>

#include "common/clock.h"
#include "common/id.h"
#include "requester/document/document.h"
#include "requester/session.h"

#define UNREACHABLE "iscsi://127.0.0.1:1/iqn.2026-11.test:none/1"

struct fixture {
    char *directory; /* state, locks and configuration */
    char config[512];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->directory = fixture_directory();
    (void)snprintf(f->config, sizeof(f->config), "%s", fixture_path(f->directory, "empty.conf"));
    const char *writers = fixture_path(f->directory, "writers.d"); /* never this machine's own */
    char text[600];
    int length = snprintf(text, sizeof(text), "[writers]\ndirectory = %s\n", writers);
    assert_int_equal(mkdir(writers, 0700), 0);
    fixture_write_file(f->config, text, (size_t)length);
    assert_int_equal(setenv("LUNSHADOW_LOCK_DIR", f->directory, 1), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    fixture_remove(f->directory);
    free(f);
    return 0;
}

static struct vss_backup_components *create(const struct fixture *f)
{
    struct vss_session_options options = VSS_SESSION_OPTIONS_INIT;
    options.config_path = f->config;
    options.state_directory = f->directory;
    struct vss_backup_components *session = NULL;
    char *text = NULL;
    if (FAILED(vss_create_backup_components(&options, &session, &text))) {
        fail_msg("%s", text);
    }
    assert_null(text);
    return session;
}

static struct vss_backup_components *create_for_backup(const struct fixture *f, uint32_t context)
{
    struct vss_backup_components *session = create(f);
    assert_int_equal(vss_backup_components_initialize_for_backup(session, NULL), S_OK);
    assert_int_equal(vss_backup_components_set_context(session, context), S_OK);
    return session;
}

/* Waits for an operation that must begin; its status. */
static HRESULT finished(HRESULT hr, struct vss_async **async)
{
    HRESULT status = S_OK;
    assert_int_equal(hr, S_OK);
    (void)vss_async_wait(*async, VSS_INFINITE);
    assert_int_equal(vss_async_query_status(*async, &status), S_OK);
    vss_async_release(*async);
    *async = NULL;
    return status;
}

static void assert_error(const struct vss_backup_components *session, HRESULT hr, HRESULT expected)
{
    const char *text = vss_backup_components_error_text(session);
    if (hr != expected) {
        fail_msg("0x%08x instead of 0x%08x: %s", (unsigned)hr, (unsigned)expected, text);
    }
    assert_true(text[0] != '\0');
    assert_null(strchr(text, '\n'));
}

/* ---- making a session ---- */

static void test_create(void **state)
{
    const struct fixture *f = *state;
    struct vss_session_options options = VSS_SESSION_OPTIONS_INIT;
    struct vss_backup_components *session = NULL;
    char *text = NULL;
    assert_int_equal(vss_create_backup_components(&options, NULL, NULL), E_INVALIDARG);

    options.struct_size = 4;
    assert_int_equal(vss_create_backup_components(&options, &session, &text), E_INVALIDARG);
    assert_non_null(text);
    vss_free_string(text);

    options.struct_size = sizeof(options);
    options.config_path = fixture_path(f->directory, "nowhere.conf");
    options.state_directory = f->directory;
    assert_int_equal(vss_create_backup_components(&options, &session, &text), E_INVALIDARG);
    assert_non_null(strstr(text, "nowhere.conf"));
    assert_null(session);
    vss_free_string(text);

    session = create(f);
    struct vss_backup_components *other = create(f);
    VSS_ID id = id_null;
    VSS_ID again = id_null;
    VSS_ID others = id_null;
    assert_int_equal(vss_backup_components_get_session_id(session, &id), S_OK);
    assert_int_equal(vss_backup_components_get_session_id(session, &again), S_OK);
    assert_int_equal(vss_backup_components_get_session_id(other, &others), S_OK);
    assert_false(id_is_null(&id));
    assert_true(id_equal(&id, &again) && !id_equal(&id, &others));
    vss_backup_components_release(other);
    vss_backup_components_release(session);
    vss_backup_components_release(NULL);
}

static void test_initialize(void **state)
{
    struct vss_backup_components *s = create(*state);
    char *xml = NULL;
    assert_error(s, vss_backup_components_save_as_xml(s, &xml), VSS_E_BAD_STATE);
    assert_error(s, vss_backup_components_initialize_for_backup(s, "not XML"),
                 VSS_E_INVALID_XML_DOCUMENT);
    assert_error(s, vss_backup_components_initialize_for_restore(s, NULL), E_INVALIDARG);
    assert_int_equal(vss_backup_components_initialize_for_backup(s, NULL), S_OK);
    assert_string_equal(vss_backup_components_error_text(s), "");
    assert_error(s, vss_backup_components_initialize_for_restore(s, "<a/>"), VSS_E_BAD_STATE);
    assert_error(s, vss_backup_components_save_as_xml(s, NULL), E_INVALIDARG);
    assert_int_equal(vss_backup_components_save_as_xml(s, &xml), S_OK);
    assert_non_null(strstr(xml, "BACKUP_COMPONENTS"));
    vss_free_string(xml);
    vss_backup_components_release(s);
}

static void test_context(void **state)
{
    static const uint32_t good[] = {
        VSS_CTX_BACKUP,
        VSS_CTX_FILE_SHARE_BACKUP,
        VSS_CTX_ALL,
        VSS_CTX_CLIENT_ACCESSIBLE_WRITERS,
        VSS_CTX_APP_ROLLBACK | VSS_VOLSNAP_ATTR_TRANSPORTABLE | VSS_VOLSNAP_ATTR_PLEX,
        VSS_CTX_NAS_ROLLBACK | VSS_VOLSNAP_ATTR_DIFFERENTIAL | VSS_VOLSNAP_ATTR_TXF_RECOVERY};
    static const uint32_t bad[] = {0x1,
                                   0x8,
                                   0x4,
                                   0x1u << 31,
                                   VSS_CTX_BACKUP | VSS_VOLSNAP_ATTR_HARDWARE_ASSISTED,
                                   VSS_CTX_APP_ROLLBACK | VSS_VOLSNAP_ATTR_IMPORTED,
                                   VSS_CTX_APP_ROLLBACK | VSS_VOLSNAP_ATTR_PLEX |
                                       VSS_VOLSNAP_ATTR_DIFFERENTIAL,
                                   VSS_CTX_CLIENT_ACCESSIBLE | VSS_VOLSNAP_ATTR_TRANSPORTABLE};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        vss_backup_components_release(create_for_backup(*state, good[i]));
    }
    struct vss_backup_components *s = create(*state);
    assert_int_equal(vss_backup_components_initialize_for_backup(s, NULL), S_OK);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_error(s, vss_backup_components_set_context(s, bad[i]), E_INVALIDARG);
    }
    assert_int_equal(vss_backup_components_set_context(s, VSS_CTX_BACKUP), S_OK);
    assert_error(s, vss_backup_components_set_context(s, VSS_CTX_BACKUP), VSS_E_BAD_STATE);
    vss_backup_components_release(s);
}

static void test_backup_state_is_saved(void **state)
{
    struct vss_backup_components *s = create_for_backup(*state, VSS_CTX_APP_ROLLBACK);
    char *xml = NULL;
    assert_error(s, vss_backup_components_set_backup_state(s, true, false, VSS_BT_UNDEFINED, false),
                 E_INVALIDARG);
    assert_error(s, vss_backup_components_set_backup_state(s, true, false, 7, false), E_INVALIDARG);
    assert_int_equal(vss_backup_components_set_backup_state(s, true, false, VSS_BT_COPY, false),
                     S_OK);
    assert_int_equal(vss_backup_components_save_as_xml(s, &xml), S_OK);
    assert_non_null(strstr(xml, "selectComponents=\"yes\""));
    assert_non_null(strstr(xml, "backupType=\"copy\""));
    vss_free_string(xml);
    vss_backup_components_release(s);
}

/* ---- writers ---- */

static void test_writers(void **state)
{
    struct vss_backup_components *s = create_for_backup(*state, VSS_CTX_APP_ROLLBACK);
    struct vss_async *async = NULL;
    uint32_t count = 7;
    assert_error(s, vss_backup_components_get_writer_metadata_count(s, &count), VSS_E_BAD_STATE);
    assert_error(s, vss_backup_components_gather_writer_metadata(s, NULL), E_INVALIDARG);
    assert_int_equal(finished(vss_backup_components_gather_writer_metadata(s, &async), &async),
                     VSS_S_ASYNC_FINISHED);
    assert_int_equal(vss_backup_components_get_writer_metadata_count(s, &count), S_OK);
    assert_int_equal(count, 0);
    assert_error(s, vss_backup_components_gather_writer_metadata(s, &async), VSS_E_BAD_STATE);
    assert_null(async);
    assert_int_equal(vss_backup_components_free_writer_metadata(s), S_OK);
    assert_error(s, vss_backup_components_get_writer_metadata_count(s, &count), VSS_E_BAD_STATE);
    vss_backup_components_release(s);
}

/* ---- while an operation runs ---- */

static HRESULT until_cancelled(struct vss_backup_components *session, struct error *err)
{
    atomic_store(&session->env->progress_done, 5);
    while (!atomic_load(&session->env->cancelled)) {
        clock_sleep_ms(1);
    }
    return error_set(err, E_ABORT, "stopped");
}

static struct vss_async *start_endless(struct vss_backup_components *session)
{
    struct vss_async *async = NULL;
    assert_int_equal(session_begin(session, METHOD_PREPARE_FOR_BACKUP), S_OK);
    assert_int_equal(session_run(session, METHOD_PREPARE_FOR_BACKUP, until_cancelled, &async),
                     S_OK);
    return async;
}

/* A session about to prepare. */
static struct vss_backup_components *create_with_set(const struct fixture *f)
{
    struct vss_backup_components *s = create_for_backup(f, VSS_CTX_APP_ROLLBACK);
    VSS_ID set_id;
    assert_int_equal(vss_backup_components_set_backup_state(s, false, false, VSS_BT_FULL, false),
                     S_OK);
    assert_int_equal(vss_backup_components_start_snapshot_set(s, &set_id), S_OK);
    return s;
}

static void test_busy(void **state)
{
    struct vss_backup_components *s = create_with_set(*state);
    struct vss_async *async = start_endless(s);
    struct vss_async *other = NULL;
    VSS_ID id = {1, 2, 3, {4}};
    VSS_ID left;
    int32_t deleted;
    char *xml = NULL;
    assert_error(s, vss_backup_components_save_as_xml(s, &xml), VSS_E_BAD_STATE);
    assert_error(s, vss_backup_components_abort_backup(s), VSS_E_BAD_STATE);
    assert_error(s, vss_backup_components_gather_writer_metadata(s, &other), VSS_E_BAD_STATE);
    assert_error(
        s,
        vss_backup_components_delete_snapshots(s, &id, VSS_OBJECT_SNAPSHOT, false, &deleted, &left),
        VSS_E_UNEXPECTED);
    assert_int_equal(vss_backup_components_get_session_id(s, &id), S_OK);
    assert_int_equal(vss_async_cancel(async), S_OK);
    vss_async_release(async);

    /* not prepared, since that was cancelled; and the cancel does not reach the next operation */
    assert_error(s, vss_backup_components_do_snapshot_set(s, &async), VSS_E_BAD_STATE);
    assert_int_equal(finished(vss_backup_components_gather_writer_metadata(s, &async), &async),
                     VSS_S_ASYNC_FINISHED);
    assert_int_equal(finished(vss_backup_components_prepare_for_backup(s, &async), &async),
                     VSS_S_ASYNC_FINISHED);
    assert_error(s, vss_backup_components_prepare_for_backup(s, &async), VSS_E_BAD_STATE);
    vss_backup_components_release(s);
}

/* The session stops its operation and waits; whoever holds the async may still ask it. */
static void test_release_while_busy(void **state)
{
    struct vss_backup_components *s = create_with_set(*state);
    struct vss_async *async = start_endless(s);
    vss_backup_components_release(s);
    HRESULT status = S_OK;
    assert_int_equal(vss_async_query_status(async, &status), S_OK);
    assert_int_equal(status, VSS_S_ASYNC_CANCELLED);
    uint64_t done = 0;
    vss_async_progress(async, &done, NULL);
    assert_true(done == 0 || done == 5);
    vss_async_release(async);
    s = create_with_set(*state); /* the lock is free again */
    vss_backup_components_release(s);
}

/* ---- sets ---- */

static void test_one_set_at_a_time(void **state)
{
    struct vss_backup_components *s = create_for_backup(*state, VSS_CTX_NAS_ROLLBACK);
    struct vss_backup_components *other = create_for_backup(*state, VSS_CTX_NAS_ROLLBACK);
    VSS_ID set_id;
    VSS_ID other_id;
    VSS_ID snapshot_id;
    struct vss_async *async = NULL;
    char *xml = NULL;
    char text[ID_TEXT_BYTES];
    assert_error(s, vss_backup_components_start_snapshot_set(s, NULL), E_INVALIDARG);
    assert_int_equal(vss_backup_components_start_snapshot_set(s, &set_id), S_OK);
    assert_error(other, vss_backup_components_start_snapshot_set(other, &other_id),
                 VSS_E_SNAPSHOT_SET_IN_PROGRESS);
    assert_true(id_is_null(&other_id));
    assert_int_equal(vss_backup_components_save_as_xml(s, &xml), S_OK);
    assert_non_null(strstr(xml, id_text(&set_id, text)));
    vss_free_string(xml);

    assert_error(s, vss_backup_components_add_to_snapshot_set(s, UNREACHABLE, NULL, &snapshot_id),
                 VSS_E_OBJECT_NOT_FOUND);
    assert_true(id_is_null(&snapshot_id));
    assert_error(s, vss_backup_components_add_to_snapshot_set(s, NULL, NULL, &snapshot_id),
                 E_INVALIDARG);
    assert_error(s, vss_backup_components_do_snapshot_set(s, &async), VSS_E_BAD_STATE);

    assert_int_equal(vss_backup_components_abort_backup(s), S_OK);
    assert_int_equal(vss_backup_components_abort_backup(s), S_OK);
    assert_int_equal(vss_backup_components_save_as_xml(s, &xml), S_OK);
    assert_null(strstr(xml, "snapshotSetId"));
    vss_free_string(xml);
    assert_int_equal(vss_backup_components_start_snapshot_set(other, &other_id), S_OK);
    vss_backup_components_release(other); /* gives its set up */
    assert_int_equal(vss_backup_components_start_snapshot_set(s, &set_id), S_OK);
    vss_backup_components_release(s);
}

/* Legal where there are writers: the whole way, with nothing to copy. */
static void test_empty_set(void **state)
{
    struct vss_backup_components *s = create_with_set(*state);
    struct vss_async *async = NULL;
    VSS_ID set_id;
    assert_int_equal(finished(vss_backup_components_gather_writer_metadata(s, &async), &async),
                     VSS_S_ASYNC_FINISHED);
    assert_int_equal(finished(vss_backup_components_prepare_for_backup(s, &async), &async),
                     VSS_S_ASYNC_FINISHED);
    assert_int_equal(finished(vss_backup_components_do_snapshot_set(s, &async), &async),
                     VSS_S_ASYNC_FINISHED);
    assert_error(s, vss_backup_components_start_snapshot_set(s, &set_id), VSS_E_BAD_STATE);
    assert_int_equal(finished(vss_backup_components_backup_complete(s, &async), &async),
                     VSS_S_ASYNC_FINISHED);
    vss_backup_components_release(s);
    s = create_with_set(*state); /* the lock is free again */
    vss_backup_components_release(s);
}

static void test_contexts_that_make_nothing(void **state)
{
    static const uint32_t contexts[] = {VSS_CTX_ALL, VSS_CTX_CLIENT_ACCESSIBLE};
    for (size_t i = 0; i < 2; i++) {
        struct vss_backup_components *s = create_for_backup(*state, contexts[i]);
        VSS_ID set_id;
        assert_error(s, vss_backup_components_start_snapshot_set(s, &set_id), VSS_E_BAD_STATE);
        vss_backup_components_release(s);
    }
}

static void test_break_and_delete_what_is_not_there(void **state)
{
    struct vss_backup_components *s = create(*state);
    VSS_ID id = {1, 2, 3, {4}};
    struct vss_async *async = NULL;
    int32_t deleted = 7;
    VSS_ID left;
    assert_error(s, vss_backup_components_break_snapshot_set(s, &id), VSS_E_UNEXPECTED);
    assert_int_equal(vss_backup_components_initialize_for_backup(s, NULL), S_OK);
    assert_int_equal(vss_backup_components_set_context(s, VSS_CTX_ALL), S_OK);
    assert_error(s, vss_backup_components_break_snapshot_set(s, &id), VSS_E_OBJECT_NOT_FOUND);
    assert_error(s, vss_backup_components_break_snapshot_set_ex(s, &id, 0, &async),
                 VSS_E_OBJECT_NOT_FOUND);
    assert_error(s, vss_backup_components_break_snapshot_set_ex(s, &id, 0x10, &async),
                 E_INVALIDARG);
    assert_error(s, vss_backup_components_break_snapshot_set_ex(s, &id, 0x100, &async),
                 E_INVALIDARG);
    assert_error(s, vss_backup_components_break_snapshot_set_ex(s, &id, 0x4 | 0x8, &async),
                 E_INVALIDARG);
    assert_error(s, vss_backup_components_break_snapshot_set_ex(s, &id, 0x1 | 0x2, &async),
                 E_INVALIDARG);
    assert_error(s, vss_backup_components_break_snapshot_set_ex(s, NULL, 0, &async), E_INVALIDARG);
    assert_null(async);
    assert_error(s,
                 vss_backup_components_delete_snapshots(s, &id, VSS_OBJECT_SNAPSHOT_SET, false,
                                                        &deleted, &left),
                 VSS_E_OBJECT_NOT_FOUND);
    assert_int_equal(deleted, 0);
    assert_error(
        s,
        vss_backup_components_delete_snapshots(s, &id, VSS_OBJECT_PROVIDER, false, &deleted, &left),
        E_INVALIDARG);
    vss_backup_components_release(s);
}

/* ---- queries ---- */

/* Two sets of the fixture's in the registry, complete, of different contexts. */
static void save_sets(const struct fixture *f, struct set_record sets[2])
{
    struct store *store = fixture_open(f->directory);
    for (unsigned i = 0; i < 2; i++) {
        sets[i] = fixture_set(i + 1, 2);
        sets[i].context = i == 0 ? VSS_CTX_APP_ROLLBACK | 0x20 : VSS_CTX_NAS_ROLLBACK;
        sets[i].snapshots[0].status = VSS_SS_CREATED;
        sets[i].snapshots[1].status = i == 0 ? VSS_SS_CREATED : VSS_SS_PREPARING;
        free(sets[i].snapshots[1].exposed_name);
        sets[i].snapshots[1].exposed_name = text_copy("/nowhere");
        assert_int_equal(sets_save(store, &sets[i], NULL), S_OK);
    }
    store_close(store);
}

static uint32_t count_snapshots(const struct fixture *f, uint32_t context)
{
    struct vss_backup_components *s = create_for_backup(f, context);
    struct vss_enum_object *objects = NULL;
    struct vss_object_prop items[8];
    uint32_t fetched = 0;
    assert_int_equal(
        vss_backup_components_query(s, NULL, VSS_OBJECT_NONE, VSS_OBJECT_SNAPSHOT, &objects), S_OK);
    assert_int_equal(vss_enum_object_next(objects, 8, items, &fetched), S_FALSE);
    for (uint32_t i = 0; i < fetched; i++) {
        assert_int_equal(items[i].type, VSS_OBJECT_SNAPSHOT);
        assert_int_equal(items[i].obj.snap.status, VSS_SS_CREATED);
        vss_free_object_properties(&items[i]);
    }
    vss_enum_object_release(objects);
    vss_backup_components_release(s);
    return fetched;
}

static void test_query(void **state)
{
    struct fixture *f = *state;
    struct set_record sets[2];
    save_sets(f, sets);
    assert_int_equal(count_snapshots(f, VSS_CTX_APP_ROLLBACK), 2);
    assert_int_equal(count_snapshots(f, VSS_CTX_NAS_ROLLBACK), 1);
    assert_int_equal(count_snapshots(f, VSS_CTX_BACKUP), 0);
    assert_int_equal(count_snapshots(f, VSS_CTX_ALL), 3);

    struct vss_backup_components *s = create_for_backup(f, VSS_CTX_ALL);
    struct vss_enum_object *objects = NULL;
    assert_error(s,
                 vss_backup_components_query(s, &sets[0].set_id, VSS_OBJECT_SNAPSHOT_SET,
                                             VSS_OBJECT_SNAPSHOT, &objects),
                 E_INVALIDARG);
    assert_error(
        s, vss_backup_components_query(s, NULL, VSS_OBJECT_SNAPSHOT, VSS_OBJECT_SNAPSHOT, &objects),
        E_INVALIDARG);
    assert_error(
        s, vss_backup_components_query(s, NULL, VSS_OBJECT_NONE, VSS_OBJECT_SNAPSHOT_SET, &objects),
        E_INVALIDARG);
    assert_null(objects);
    assert_int_equal(
        vss_backup_components_query(s, &id_null, VSS_OBJECT_NONE, VSS_OBJECT_PROVIDER, &objects),
        S_OK);
    struct vss_object_prop item;
    uint32_t fetched = 7;
    assert_int_equal(vss_enum_object_next(objects, 1, &item, &fetched), S_FALSE);
    assert_int_equal(fetched, 0);
    vss_enum_object_release(objects);
    vss_backup_components_release(s);
    set_record_free(&sets[0]);
    set_record_free(&sets[1]);
}

static void test_properties(void **state)
{
    struct fixture *f = *state;
    struct set_record sets[2];
    save_sets(f, sets);
    struct vss_backup_components *s = create_for_backup(f, VSS_CTX_BACKUP);
    const struct snapshot_record *wanted = &sets[0].snapshots[1];
    struct vss_snapshot_prop prop;
    assert_int_equal(vss_backup_components_get_snapshot_properties(s, &wanted->snapshot_id, &prop),
                     S_OK);
    assert_true(id_equal(&prop.snapshot_set_id, &sets[0].set_id));
    assert_true(id_equal(&prop.provider_id, &wanted->provider_id));
    assert_int_equal(prop.snapshots_count, 2);
    assert_string_equal(prop.original_volume_name, wanted->original_volume);
    assert_string_equal(prop.originating_machine, sets[0].originating_machine);
    /* the record says exposed, and nothing is mounted */
    assert_int_equal(prop.snapshot_attributes,
                     (int32_t)(wanted->attributes & ~(uint32_t)VSS_VOLSNAP_ATTR_EXPOSED_LOCALLY));
    assert_null(prop.exposed_name);
    assert_true(prop.creation_timestamp == wanted->created);
    vss_free_snapshot_properties(&prop);
    assert_null(prop.original_volume_name);
    assert_error(
        s,
        vss_backup_components_get_snapshot_properties(s, &sets[1].snapshots[1].snapshot_id, &prop),
        VSS_E_OBJECT_NOT_FOUND);
    assert_error(s, vss_backup_components_get_snapshot_properties(s, &id_null, &prop),
                 VSS_E_OBJECT_NOT_FOUND);
    vss_backup_components_release(s);
    set_record_free(&sets[0]);
    set_record_free(&sets[1]);
}

static void test_enumerator(void **state)
{
    struct fixture *f = *state;
    struct set_record sets[2];
    save_sets(f, sets);
    struct vss_backup_components *s = create_for_backup(f, VSS_CTX_ALL);
    struct vss_enum_object *objects = NULL;
    struct vss_enum_object *clone = NULL;
    struct vss_object_prop items[3];
    uint32_t fetched = 7;
    assert_int_equal(
        vss_backup_components_query(s, NULL, VSS_OBJECT_NONE, VSS_OBJECT_SNAPSHOT, &objects), S_OK);
    vss_backup_components_release(s); /* the enumerator is its own */

    assert_int_equal(vss_enum_object_next(objects, 1, items, NULL), E_POINTER);
    assert_int_equal(vss_enum_object_next(objects, 1, NULL, &fetched), E_POINTER);
    assert_int_equal(vss_enum_object_clone(objects, NULL), E_POINTER);
    assert_int_equal(vss_enum_object_skip(objects, 1), S_OK);
    assert_int_equal(vss_enum_object_clone(objects, &clone), S_OK);
    assert_int_equal(vss_enum_object_next(objects, 2, items, &fetched), S_OK);
    assert_int_equal(fetched, 2);
    assert_true(id_equal(&items[0].obj.snap.snapshot_id, &sets[0].snapshots[1].snapshot_id));
    vss_free_object_properties(&items[0]);
    vss_free_object_properties(&items[1]);
    assert_int_equal(vss_enum_object_next(objects, 1, items, &fetched), S_FALSE);
    assert_int_equal(vss_enum_object_next(objects, 0, items, &fetched), S_OK);
    assert_int_equal(vss_enum_object_reset(objects), S_OK);
    assert_int_equal(vss_enum_object_skip(objects, 4), S_FALSE);
    vss_enum_object_release(objects);

    assert_int_equal(vss_enum_object_next(clone, 3, items, &fetched), S_FALSE);
    assert_int_equal(fetched, 2);
    assert_true(id_equal(&items[1].obj.snap.snapshot_id, &sets[1].snapshots[0].snapshot_id));
    vss_free_object_properties(&items[0]);
    vss_free_object_properties(&items[1]);
    vss_enum_object_release(clone);
    vss_enum_object_release(NULL);
    set_record_free(&sets[0]);
    set_record_free(&sets[1]);
}

/* ---- documents of others ---- */

/* The fixture's numbers are any; a document's must be possible. */
static void make_documentable(struct set_record *set)
{
    for (size_t i = 0; i < set->lun_count; i++) {
        set->luns[i].block_bytes = 512;
        set->luns[i].block_count = 1u << 20;
    }
    for (size_t i = 0; i < set->snapshot_count; i++) {
        for (size_t j = 0; j < set->snapshots[i].extent_count; j++) {
            set->snapshots[i].extents[j].first_lba = 2048;
            set->snapshots[i].extents[j].block_count = 4096;
            set->snapshots[i].extents[j].volume_offset_blocks = 4096 * j;
        }
    }
}

static char *transportable_xml(const struct set_record *set)
{
    struct document *document = NULL;
    char *xml = NULL;
    struct error err = {0};
    assert_int_equal(document_new(&document, NULL), S_OK);
    if (FAILED(document_set_set(document, set, &err))) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(document_save(document, &xml, NULL), S_OK);
    document_free(document);
    return xml;
}

static const char empty_document[] =
    "<BACKUP_COMPONENTS xmlns=\"x-schema:#VssComponentMetadata\" version=\"1.2\"/>";

static void test_import_needs_a_set(void **state)
{
    struct vss_backup_components *s = create(*state);
    struct vss_async *async = NULL;
    assert_int_equal(vss_backup_components_initialize_for_backup(s, empty_document), S_OK);
    assert_error(s, vss_backup_components_import_snapshots(s, &async), VSS_E_BAD_STATE);
    vss_backup_components_release(s);
}

static void test_recovery_set(void **state)
{
    struct fixture *f = *state;
    struct set_record set = fixture_set(3, 2);
    make_documentable(&set);
    char *xml = transportable_xml(&set);
    struct vss_backup_components *s = create(f);
    struct vss_async *async = NULL;
    char *report = NULL;
    VSS_ID stranger = {9, 9, 9, {9}};
    assert_int_equal(vss_backup_components_initialize_for_restore(s, xml), S_OK);
    assert_error(s, vss_backup_components_recover_set(s, 0, &async), VSS_E_BAD_STATE);
    assert_error(s, vss_backup_components_add_snapshot_to_recovery_set(s, &stranger, 0, NULL),
                 VSS_E_SNAPSHOT_NOT_IN_SET);
    assert_error(s,
                 vss_backup_components_add_snapshot_to_recovery_set(
                     s, &set.snapshots[0].snapshot_id, 1, NULL),
                 E_INVALIDARG);
    assert_error(s, vss_backup_components_add_snapshot_to_recovery_set(s, NULL, 0, NULL),
                 E_INVALIDARG);
    /* no array is configured here */
    assert_error(s,
                 vss_backup_components_add_snapshot_to_recovery_set(
                     s, &set.snapshots[0].snapshot_id, 0, NULL),
                 VSS_E_OBJECT_NOT_FOUND);
    assert_error(s, vss_backup_components_recover_set(s, 0, &async), VSS_E_BAD_STATE);
    assert_int_equal(vss_backup_components_recovery_report(s, &report), S_OK);
    assert_string_equal(report, "[]");
    vss_free_string(report);
    char *saved = NULL;
    assert_int_equal(vss_backup_components_save_as_xml(s, &saved), S_OK);
    assert_string_equal(saved, xml);
    vss_free_string(saved);
    vss_backup_components_release(s);
    free(xml);
    set_record_free(&set);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_create),
        TEST(test_initialize),
        TEST(test_context),
        TEST(test_backup_state_is_saved),
        TEST(test_writers),
        TEST(test_busy),
        TEST(test_release_while_busy),
        TEST(test_one_set_at_a_time),
        TEST(test_empty_set),
        TEST(test_contexts_that_make_nothing),
        TEST(test_break_and_delete_what_is_not_there),
        TEST(test_query),
        TEST(test_properties),
        TEST(test_enumerator),
        TEST(test_import_needs_a_set),
        TEST(test_recovery_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
