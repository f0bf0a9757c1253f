/* SPDX-License-Identifier: Apache-2.0 */

/* Recoveries and events in the registry. */

#include "registry_fixture.h"

#include "common/id.h"
#include "common/log.h"
#include "registry/events.h"
#include "registry/recoveries.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct state {
    char *directory;
    struct store *store;
};

static int set_up(void **data)
{
    struct state *state = calloc(1, sizeof(*state));
    assert_non_null(state);
    state->directory = fixture_directory();
    state->store = fixture_open(state->directory);
    *data = state;
    return 0;
}

static int tear_down(void **data)
{
    struct state *state = *data;
    store_close(state->store);
    fixture_remove(state->directory);
    free(state);
    return 0;
}

static void test_recoveries(void **data)
{
    struct state *state = *data;
    char members[] = "[{\"destination\":\"naa.1\"}]";
    char object[] = "{}";
    char id[ID_TEXT_BYTES];
    struct error err = {0};
    struct recovery_record recovery = {.resync_id = id_new(),
                                       .set_id = id_new(),
                                       .started = 133444736000000000,
                                       .flags = 0x300,
                                       .result = VSS_S_ASYNC_PENDING,
                                       .members = members};
    struct recovery_record *all;
    size_t count;
    assert_int_equal(recoveries_save(state->store, &recovery, NULL), S_OK);
    recovery.ended = recovery.started + 1;
    recovery.result = VSS_E_CANNOT_REVERT_DISKID;
    assert_int_equal(recoveries_save(state->store, &recovery, NULL), S_OK);
    assert_int_equal(recoveries_load_all(state->store, &all, &count, NULL), S_OK);
    assert_int_equal(count, 1);
    assert_true(id_equal(&all[0].set_id, &recovery.set_id));
    assert_true(all[0].ended == recovery.ended && all[0].started == recovery.started);
    assert_int_equal(all[0].result, VSS_E_CANNOT_REVERT_DISKID);
    assert_int_equal(all[0].flags, 0x300);
    assert_string_equal(all[0].members, members);
    recoveries_free_all(all, count);

    recovery.members = object;
    assert_int_equal(recoveries_save(state->store, &recovery, NULL), E_INVALIDARG);
    recovery.members = NULL;
    assert_int_equal(recoveries_save(state->store, &recovery, NULL), E_INVALIDARG);
    fixture_sql(state->directory, "UPDATE recoveries SET members = '[1,'");
    assert_int_equal(recoveries_load_all(state->store, &all, &count, &err), VSS_E_UNEXPECTED);
    assert_null(all);
    assert_non_null(strstr(err.text, "recoveries"));
    assert_non_null(strstr(err.text, id_text(&recovery.resync_id, id)));
}

static void test_events(void **data)
{
    struct state *state = *data;
    VSS_ID object = id_new();
    struct event_record *all;
    size_t count;
    events_add(state->store, LOG_WARNING, VSS_E_PROVIDER_VETO, &object, "first");
    events_add(state->store, LOG_ERROR, S_OK, NULL, NULL);
    events_add(NULL, LOG_ERROR, S_OK, NULL, "nowhere");
    assert_int_equal(events_load(state->store, SIZE_MAX, &all, &count, NULL), S_OK);
    assert_int_equal(count, 2);
    assert_string_equal(all[0].text, "");
    assert_true(id_is_null(&all[0].object_id));
    assert_string_equal(all[1].text, "first");
    assert_true(id_equal(&all[1].object_id, &object));
    assert_int_equal(all[1].code, VSS_E_PROVIDER_VETO);
    assert_int_equal(all[1].level, LOG_WARNING);
    events_free_all(all, count);
    assert_int_equal(events_load(state->store, 1, &all, &count, NULL), S_OK);
    assert_int_equal(count, 1);
    events_free_all(all, count);
    assert_int_equal(events_load(state->store, 0, &all, &count, NULL), S_OK);
    assert_int_equal(count, 0);
    events_free_all(all, count);
}

static void test_old_events_go(void **data)
{
    struct state *state = *data;
    fixture_sql(state->directory,
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10500)"
                " INSERT INTO events(time, level, code, object_id, text)"
                " SELECT i, 0, 0, '00000000-0000-0000-0000-000000000000', 'e' || i FROM n");
    events_add(state->store, LOG_ERROR, S_OK, NULL, "newest");
    struct event_record *all;
    size_t count;
    assert_int_equal(events_load(state->store, 20000, &all, &count, NULL), S_OK);
    assert_int_equal(count, 10000);
    assert_string_equal(all[0].text, "newest");
    assert_string_equal(all[count - 1].text, "e502");
    events_free_all(all, count);
}

#define RECORDS_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RECORDS_TEST(test_recoveries),
        RECORDS_TEST(test_events),
        RECORDS_TEST(test_old_events_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
