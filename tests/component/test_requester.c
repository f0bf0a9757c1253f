/* SPDX-License-Identifier: Apache-2.0 */

/* The requester API over a real tgtd: the whole way of a backup, an import, a resync and a break,
 * as a caller goes it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <lunshadow/requester.h>

#include "common/id.h"
#include "component/array_fixture.h"
#include "registry/events.h"
#include "registry/journal.h"

#define TRANSPORTABLE (VSS_CTX_APP_ROLLBACK | VSS_VOLSNAP_ATTR_TRANSPORTABLE)
#define FILL_AT       (8u << 20)
#define FILL_BYTES    (1u << 20)

static void must(struct vss_backup_components *s, HRESULT hr)
{
    if (FAILED(hr)) {
        fail_msg("%s: %s", vss_error_name(hr), vss_backup_components_error_text(s));
    }
}

/* The status of an operation that must begin; its text, where it has one, into text. */
static HRESULT run(struct vss_backup_components *s, HRESULT hr, struct vss_async **async,
                   char text[1024])
{
    HRESULT status = S_OK;
    must(s, hr);
    (void)vss_async_wait(*async, VSS_INFINITE);
    assert_int_equal(vss_async_query_status(*async, &status), S_OK);
    (void)strncpy(text, vss_async_error_text(*async), 1023);
    text[1023] = '\0';
    vss_async_release(*async);
    *async = NULL;
    return status;
}

static void run_well(struct vss_backup_components *s, HRESULT hr, struct vss_async **async)
{
    char text[1024];
    HRESULT status = run(s, hr, async, text);
    if (status != VSS_S_ASYNC_FINISHED) {
        fail_msg("%s: %s", vss_error_name(status), text);
    }
}

static struct vss_backup_components *create(const struct array *a)
{
    struct vss_session_options options = VSS_SESSION_OPTIONS_INIT;
    struct vss_backup_components *s = NULL;
    char *text = NULL;
    options.config_path = a->config;
    options.state_directory = a->state;
    if (FAILED(vss_create_backup_components(&options, &s, &text))) {
        fail_msg("%s", text);
    }
    return s;
}

static struct vss_backup_components *create_for_all(const struct array *a)
{
    struct vss_backup_components *s = create(a);
    must(s, vss_backup_components_initialize_for_backup(s, NULL));
    must(s, vss_backup_components_set_context(s, VSS_CTX_ALL));
    return s;
}

struct made {
    VSS_ID set_id;
    VSS_ID snapshots[ARRAY_LUNS];
    char *xml;
};

/* All LUNs, up to DoSnapshotSet; the session is the caller's. */
static struct vss_backup_components *make_set(struct array *a, uint32_t context, struct made *out)
{
    struct vss_backup_components *s = create(a);
    struct vss_async *async = NULL;
    must(s, vss_backup_components_initialize_for_backup(s, NULL));
    must(s, vss_backup_components_set_context(s, context));
    must(s, vss_backup_components_set_backup_state(s, false, false, VSS_BT_FULL, false));
    run_well(s, vss_backup_components_gather_writer_metadata(s, &async), &async);
    must(s, vss_backup_components_start_snapshot_set(s, &out->set_id));
    for (size_t i = 0; i < ARRAY_LUNS; i++) {
        must(s, vss_backup_components_add_to_snapshot_set(s, a->urls[i], NULL, &out->snapshots[i]));
    }
    run_well(s, vss_backup_components_prepare_for_backup(s, &async), &async);
    run_well(s, vss_backup_components_do_snapshot_set(s, &async), &async);
    must(s, vss_backup_components_save_as_xml(s, &out->xml));
    run_well(s, vss_backup_components_backup_complete(s, &async), &async);
    return s;
}

static void delete_set(struct array *a, const struct made *made, int32_t expected)
{
    struct vss_backup_components *s = create_for_all(a);
    int32_t deleted = 0;
    VSS_ID left;
    must(s, vss_backup_components_delete_snapshots(s, &made->set_id, VSS_OBJECT_SNAPSHOT_SET, false,
                                                   &deleted, &left));
    assert_int_equal(deleted, expected);
    assert_true(id_is_null(&left));
    vss_backup_components_release(s);
}

static uint32_t count_copies(struct array *a)
{
    struct vss_backup_components *s = create_for_all(a);
    struct vss_enum_object *objects = NULL;
    struct vss_object_prop items[8];
    uint32_t fetched = 0;
    must(s, vss_backup_components_query(s, NULL, VSS_OBJECT_NONE, VSS_OBJECT_SNAPSHOT, &objects));
    assert_int_equal(vss_enum_object_next(objects, 8, items, &fetched), S_FALSE);
    for (uint32_t i = 0; i < fetched; i++) {
        vss_free_object_properties(&items[i]);
    }
    vss_enum_object_release(objects);
    vss_backup_components_release(s);
    return fetched;
}

/* ---- tests ---- */

static void transportable_set_outlives_its_session(void **state)
{
    struct array *a = *state;
    struct made made = {0};
    struct vss_backup_components *s = make_set(a, TRANSPORTABLE, &made);
    struct vss_snapshot_prop prop;
    assert_non_null(strstr(made.xml, "SNAPSHOT_SET_DESCRIPTION"));
    assert_null(strchr(made.xml, '\n'));
    must(s, vss_backup_components_get_snapshot_properties(s, &made.snapshots[1], &prop));
    assert_true(id_equal(&prop.snapshot_set_id, &made.set_id));
    assert_int_equal(prop.snapshots_count, ARRAY_LUNS);
    assert_int_equal(prop.status, VSS_SS_CREATED);
    assert_null(prop.snapshot_device_object);
    vss_free_snapshot_properties(&prop);
    vss_backup_components_release(s);
    assert_int_equal(count_copies(a), ARRAY_LUNS);
    delete_set(a, &made, ARRAY_LUNS);
    vss_free_string(made.xml);
    array_assert_nothing_left(a);
}

static void auto_release_set_goes_with_its_session(void **state)
{
    struct array *a = *state;
    struct made made = {0};
    struct vss_backup_components *s = make_set(a, VSS_CTX_BACKUP, &made);
    assert_null(strstr(made.xml, "SNAPSHOT_SET_DESCRIPTION"));
    assert_non_null(strstr(made.xml, "snapshotSetId"));
    assert_int_equal(count_copies(a), ARRAY_LUNS);
    vss_backup_components_release(s);
    assert_int_equal(count_copies(a), 0);
    vss_free_string(made.xml);
    array_assert_nothing_left(a);
}

static bool has_event(struct array *a, HRESULT code, const VSS_ID *id, const char *words)
{
    struct event_record *events = NULL;
    size_t count = 0;
    bool is_found = false;
    assert_int_equal(events_load(a->env->store, 100, &events, &count, NULL), S_OK);
    for (size_t i = 0; i < count; i++) {
        is_found = is_found || (events[i].code == code && id_equal(&events[i].object_id, id) &&
                                strstr(events[i].text, words));
    }
    events_free_all(events, count);
    return is_found;
}

/* Somebody is at work on the set: no provider is asked, and it stays. */
static void auto_release_set_that_stays_is_told(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct made made = {0};
    VSS_ID entry_id;
    struct vss_backup_components *s = make_set(a, VSS_CTX_BACKUP, &made);
    assert_ok(journal_open(a->env->store, JOURNAL_DELETE, &made.set_id, "a test", &entry_id, &err),
              &err);
    vss_backup_components_release(s);
    assert_int_equal(count_copies(a), ARRAY_LUNS);
    assert_true(has_event(a, VSS_E_BAD_STATE, &made.set_id, "was not deleted"));
    assert_ok(journal_close(a->env->store, &entry_id, &err), &err);
    delete_set(a, &made, ARRAY_LUNS);
    vss_free_string(made.xml);
    array_assert_nothing_left(a);
}

static void recovery_brings_the_bytes_back(void **state)
{
    struct array *a = *state;
    struct made made = {0};
    struct vss_async *async = NULL;
    char *report = NULL;
    uint64_t before[ARRAY_LUNS];
    for (size_t i = 0; i < ARRAY_LUNS; i++) {
        before[i] = array_digest(a->files[i]);
    }
    vss_backup_components_release(make_set(a, TRANSPORTABLE, &made));
    for (size_t i = 0; i < ARRAY_LUNS; i++) {
        array_fill(a, i, FILL_AT, FILL_BYTES, 77);
        assert_true(array_digest(a->files[i]) != before[i]);
    }
    struct vss_backup_components *s = create(a);
    must(s, vss_backup_components_initialize_for_restore(s, made.xml));
    for (size_t i = 0; i < ARRAY_LUNS; i++) {
        must(s, vss_backup_components_add_snapshot_to_recovery_set(s, &made.snapshots[i], 0, NULL));
    }
    run_well(s, vss_backup_components_recover_set(s, 0, &async), &async);
    must(s, vss_backup_components_recovery_report(s, &report));
    assert_non_null(strstr(report, "\"written\":true,\"result\":\"S_OK\""));
    assert_non_null(strstr(report, a->urls[0]));
    assert_int_equal(vss_backup_components_recover_set(s, 0, &async), VSS_E_BAD_STATE);
    vss_backup_components_release(s);
    for (size_t i = 0; i < ARRAY_LUNS; i++) {
        assert_true(array_digest(a->files[i]) == before[i]);
    }
    delete_set(a, &made, ARRAY_LUNS);
    vss_free_string(report);
    vss_free_string(made.xml);
    array_assert_nothing_left(a);
}

static void import_then_break(void **state)
{
    struct array *a = *state;
    struct made made = {0};
    struct vss_async *async = NULL;
    struct vss_snapshot_prop prop;
    char text[1024];
    vss_backup_components_release(make_set(a, TRANSPORTABLE, &made));
    struct vss_backup_components *s = create(a);
    must(s, vss_backup_components_initialize_for_backup(s, made.xml));
    run_well(s, vss_backup_components_import_snapshots(s, &async), &async);
    assert_int_equal(vss_backup_components_import_snapshots(s, &async), VSS_E_BAD_STATE);
    must(s, vss_backup_components_get_snapshot_properties(s, &made.snapshots[0], &prop));
    assert_non_null(prop.snapshot_device_object);
    assert_true(prop.snapshot_attributes & VSS_VOLSNAP_ATTR_IMPORTED);
    vss_free_snapshot_properties(&prop);

    /* the originals are visible: refused through the operation, and nothing changed */
    HRESULT hr = vss_backup_components_break_snapshot_set_ex(
        s, &made.set_id, VSS_BREAKEX_FLAG_REVERT_IDENTITY_ALL, &async);
    assert_int_equal(run(s, hr, &async, text), VSS_E_BREAK_REVERT_ID_FAILED);
    assert_true(text[0] != '\0');
    assert_int_equal(count_copies(a), ARRAY_LUNS);

    must(s, vss_backup_components_break_snapshot_set(s, &made.set_id));
    assert_int_equal(vss_backup_components_break_snapshot_set(s, &made.set_id),
                     VSS_E_OBJECT_NOT_FOUND);
    assert_int_equal(count_copies(a), 0);
    vss_backup_components_release(s);
    vss_free_string(made.xml);
}

/* Locks of its own: what else this machine does at the moment must not count. */
static int start(void **state)
{
    int failed = array_start(state);
    if (failed) {
        return failed;
    }
    const struct array *a = *state;
    return setenv("LUNSHADOW_LOCK_DIR", a->state, 1);
}

int main(void)
{
#define array_test(name) cmocka_unit_test_setup_teardown(name, start, array_stop)
    const struct CMUnitTest tests[] = {
        array_test(transportable_set_outlives_its_session),
        array_test(auto_release_set_goes_with_its_session),
        array_test(auto_release_set_that_stays_is_told),
        array_test(recovery_brings_the_bytes_back),
        array_test(import_then_break),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
