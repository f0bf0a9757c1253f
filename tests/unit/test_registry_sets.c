/* SPDX-License-Identifier: Apache-2.0 */

/* Snapshot sets in the registry: what goes in comes out, and damage is said, not passed on. */

#include "registry_fixture.h"

#include "common/clock.h"
#include "common/id.h"
#include "lun/info.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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

static void save(struct state *state, const struct set_record *set)
{
    struct error err = {0};
    if (FAILED(sets_save(state->store, set, &err))) {
        fail_msg("%s", error_text(&err));
    }
}

static void assert_stored(struct state *state, const struct set_record *expected)
{
    struct set_record found;
    assert_int_equal(sets_load(state->store, &expected->set_id, &found, NULL), S_OK);
    fixture_assert_same(expected, &found);
    set_record_free(&found);
}

static void test_every_field_comes_back(void **data)
{
    struct state *state = *data;
    struct set_record set = fixture_set(1, 3);
    save(state, &set);
    store_close(state->store);
    state->store = fixture_open(state->directory);
    assert_stored(state, &set);
    set_record_free(&set);
    assert_null(set.luns);
    assert_null(set.snapshots);
}

static void test_empty_set_comes_back(void **data)
{
    struct state *state = *data;
    struct set_record set = {.set_id = id_new()};
    save(state, &set);
    assert_stored(state, &set);
}

static void test_copy_is_deep(void **data)
{
    (void)data;
    struct set_record set = fixture_set(1, 2);
    struct set_record copy;
    assert_int_equal(set_record_copy(&set, &copy), S_OK);
    fixture_assert_same(&set, &copy);
    set.luns[0].state[0] ^= 1;
    set.luns[1].source.device_id.identifiers[0].identifier[3] ^= 1;
    set.snapshots[1].extents[0].first_lba++;
    assert_int_not_equal(copy.luns[0].state[0], set.luns[0].state[0]);
    assert_int_not_equal(copy.luns[1].source.device_id.identifiers[0].identifier[3],
                         set.luns[1].source.device_id.identifiers[0].identifier[3]);
    assert_true(copy.snapshots[1].extents[0].first_lba + 1 ==
                set.snapshots[1].extents[0].first_lba);
    set_record_free(&set);
    set_record_free(&copy);
}

static void test_saving_again_replaces(void **data)
{
    struct state *state = *data;
    struct set_record first = fixture_set(1, 3);
    struct set_record second = fixture_set(2, 1);
    struct set_record changed = fixture_set(3, 1);
    save(state, &first);
    save(state, &second);
    changed.set_id = first.set_id;
    changed.snapshots[0].snapshot_id = first.snapshots[2].snapshot_id;
    save(state, &changed);
    assert_stored(state, &changed);
    assert_stored(state, &second);
    assert_int_equal(fixture_sql_number(state->directory, "SELECT count(*) FROM extents"), 2);
    /* Its age stays: it is still the first of the list. */
    struct set_record *all;
    size_t count;
    assert_int_equal(sets_load_all(state->store, &all, &count, NULL), S_OK);
    assert_int_equal(count, 2);
    fixture_assert_same(&all[0], &changed);
    fixture_assert_same(&all[1], &second);
    sets_free_all(all, count);
    set_record_free(&first);
    set_record_free(&second);
    set_record_free(&changed);
}

static void test_found_by_snapshot(void **data)
{
    struct state *state = *data;
    struct set_record sets[3];
    struct set_record found;
    for (unsigned i = 0; i < 3; i++) {
        sets[i] = fixture_set(i, 2);
        save(state, &sets[i]);
    }
    HRESULT hr =
        sets_find_by_snapshot(state->store, &sets[1].snapshots[1].snapshot_id, &found, NULL);
    assert_int_equal(hr, S_OK);
    fixture_assert_same(&found, &sets[1]);
    set_record_free(&found);
    for (unsigned i = 0; i < 3; i++) {
        set_record_free(&sets[i]);
    }
}

static void test_unknown_ids(void **data)
{
    struct state *state = *data;
    VSS_ID id = id_new();
    char text[ID_TEXT_BYTES];
    struct set_record set;
    struct error err = {0};
    assert_int_equal(sets_load(state->store, &id, &set, &err), VSS_E_OBJECT_NOT_FOUND);
    assert_non_null(strstr(err.text, id_text(&id, text)));
    assert_int_equal(sets_find_by_snapshot(state->store, &id, &set, NULL), VSS_E_OBJECT_NOT_FOUND);
    assert_int_equal(sets_delete(state->store, &id, NULL), VSS_E_OBJECT_NOT_FOUND);
    assert_int_equal(sets_delete_snapshot(state->store, &id, NULL), VSS_E_OBJECT_NOT_FOUND);
}

static void test_deleting(void **data)
{
    struct state *state = *data;
    struct set_record set = fixture_set(1, 3);
    struct set_record other = fixture_set(2, 1);
    struct set_record found;
    save(state, &set);
    save(state, &other);
    VSS_ID middle = set.snapshots[1].snapshot_id;
    assert_int_equal(sets_delete_snapshot(state->store, &middle, NULL), S_OK);
    assert_int_equal(sets_load(state->store, &set.set_id, &found, NULL), S_OK);
    assert_int_equal(found.snapshot_count, 2);
    assert_true(id_equal(&found.snapshots[1].snapshot_id, &set.snapshots[2].snapshot_id));
    assert_int_equal(found.snapshots[1].extent_count, 3);
    assert_int_equal(found.lun_count, 2);
    set_record_free(&found);

    assert_int_equal(sets_delete_snapshot(state->store, &set.snapshots[0].snapshot_id, NULL), S_OK);
    assert_int_equal(sets_delete_snapshot(state->store, &set.snapshots[2].snapshot_id, NULL), S_OK);
    assert_int_equal(sets_load(state->store, &set.set_id, &found, NULL), VSS_E_OBJECT_NOT_FOUND);
    assert_stored(state, &other);
    assert_int_equal(sets_delete(state->store, &other.set_id, NULL), S_OK);
    assert_int_equal(
        fixture_sql_number(state->directory,
                           "SELECT (SELECT count(*) FROM sets) + (SELECT count(*) FROM "
                           "luns) + (SELECT count(*) FROM snapshots) + (SELECT "
                           "count(*) FROM extents)"),
        0);
    set_record_free(&set);
    set_record_free(&other);
}

static void test_invalid_sets_are_refused(void **data)
{
    struct state *state = *data;
    struct set_record set = fixture_set(1, 2);
    struct set_record good = fixture_set(2, 1);
    VSS_ID id = set.set_id;
    save(state, &good);

    set.set_id = id_null;
    assert_int_equal(sets_save(state->store, &set, NULL), E_INVALIDARG);
    set.set_id = id;
    set.snapshots[1].extents[1].lun_index = 2;
    assert_int_equal(sets_save(state->store, &set, NULL), E_INVALIDARG);
    set.snapshots[1].extents[1].lun_index = 1;
    set.luns[1].state_bytes = 4097;
    assert_int_equal(sets_save(state->store, &set, NULL), E_INVALIDARG);
    set.luns[1].state_bytes = 5;
    id = set.snapshots[1].snapshot_id;
    set.snapshots[1].snapshot_id = set.snapshots[0].snapshot_id;
    assert_int_equal(sets_save(state->store, &set, NULL), E_INVALIDARG);
    set.snapshots[1].snapshot_id = good.snapshots[0].snapshot_id;
    assert_int_equal(sets_save(state->store, &set, NULL), E_INVALIDARG);
    assert_stored(state, &good);
    set.snapshots[1].snapshot_id = id;
    save(state, &set);
    assert_stored(state, &set);
    set_record_free(&set);
    set_record_free(&good);
}

/* Both readers must refuse, and name table and set. */
static void assert_damage_is_said(struct state *state, const struct set_record *set,
                                  const char *table)
{
    char id[ID_TEXT_BYTES];
    struct error err = {0};
    struct set_record found;
    struct set_record *all;
    size_t count;
    assert_int_equal(sets_load(state->store, &set->set_id, &found, &err), VSS_E_UNEXPECTED);
    assert_non_null(strstr(err.text, table));
    if (strcmp(table, "luns") == 0) {
        assert_non_null(strstr(err.text, id_text(&set->set_id, id)));
    }
    assert_int_equal(sets_load_all(state->store, &all, &count, NULL), VSS_E_UNEXPECTED);
    assert_null(all);
    assert_int_equal(count, 0);
}

static void test_damaged_rows(void **data)
{
    static const struct {
        const char *sql;
        const char *table;
    } damages[] = {
        {"UPDATE luns SET source = '{\"version\": ' WHERE lun_index = 1", "luns"},
        {"UPDATE luns SET copy = '' WHERE lun_index = 0", "luns"},
        {"UPDATE luns SET source_ids = '[]'", "luns"},
        {"UPDATE luns SET copy_ids = '{\"kind\": \"no such label\"}'", "luns"},
        {"UPDATE luns SET state = zeroblob(4097)", "luns"},
        {"UPDATE luns SET set_seq = 99 WHERE lun_index = 0", "extents"},
        {"UPDATE snapshots SET provider_id = 'no id'", "snapshots"},
        {"UPDATE snapshots SET attributes = 4294967296", "snapshots"},
        {"UPDATE extents SET lun_index = 7", "extents"},
        {"UPDATE sets SET context = -1", "sets"},
    };
    struct state *state = *data;
    struct set_record set = fixture_set(1, 2);
    for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
        fixture_sql(state->directory, "DELETE FROM luns; DELETE FROM sets");
        fixture_sql(state->directory, "DELETE FROM extents; DELETE FROM snapshots");
        save(state, &set);
        assert_stored(state, &set);
        fixture_sql(state->directory, damages[i].sql);
        assert_damage_is_said(state, &set, damages[i].table);
    }
    set_record_free(&set);
}

static void test_json_of_hostile_depth(void **data)
{
    struct state *state = *data;
    struct set_record set = fixture_set(1, 1);
    save(state, &set);
    fixture_sql(state->directory,
                "UPDATE luns SET source = replace(hex(zeroblob(500000)), '00', '[')");
    assert_damage_is_said(state, &set, "luns");
    set_record_free(&set);
}

/* What this process was at work, whatever else the machine did meanwhile. */
static uint64_t own_time_us(void)
{
    struct timespec now = {0};
    assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now), 0);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void test_thousands_of_sets(void **data)
{
    enum { COUNT = 2000 };
    struct state *state = *data;
    struct set_record last = {0};
    struct set_record *all;
    size_t count;
    uint64_t start_us = own_time_us();
    assert_int_equal(store_begin(state->store, NULL), S_OK);
    for (unsigned i = 0; i < COUNT; i++) {
        set_record_free(&last);
        last = fixture_set(i, 2);
        save(state, &last);
    }
    assert_int_equal(store_commit(state->store, NULL), S_OK);
    uint64_t saved_us = own_time_us();
    assert_int_equal(sets_load_all(state->store, &all, &count, NULL), S_OK);
    uint64_t loaded_us = own_time_us();
    assert_int_equal(count, COUNT);
    fixture_assert_same(&all[COUNT - 1], &last);
    for (unsigned i = 0; i < COUNT; i++) {
        assert_true(all[i].hold_us == i);
        assert_int_equal(all[i].snapshots[1].extent_count, 2);
    }
    print_message("%d sets of 2 snapshots and 2 LUNs: saved in %llu ms, loaded in %llu ms\n", COUNT,
                  (unsigned long long)(saved_us - start_us) / 1000,
                  (unsigned long long)(loaded_us - saved_us) / 1000);
    /* A look through whole tables per set takes far longer. */
    assert_true(loaded_us - saved_us < 2 * (saved_us - start_us));
    sets_free_all(all, count);
    set_record_free(&last);
}

static struct vss_disk_ids mbr_ids(uint32_t signature)
{
    return (struct vss_disk_ids){.kind = VSS_DISK_LABEL_MBR, .mbr_signature = signature};
}

static void test_disk_ids(void **data)
{
    struct state *state = *data;
    struct set_record set = fixture_set(1, 1);
    struct vss_disk_ids first = mbr_ids(0x12345678);
    struct vss_disk_ids none = {0};
    struct vss_disk_ids found;
    int64_t when = -1;
    const char *key = "naa.6001405'; --";

    assert_int_equal(disk_ids_recall(state->store, key, &found, &when, NULL), S_FALSE);
    assert_int_equal(found.kind, VSS_DISK_LABEL_NONE);
    assert_int_equal(when, 0);
    assert_int_equal(disk_ids_remember(state->store, key, &first, "first", NULL), S_OK);
    assert_int_equal(disk_ids_remember(state->store, key, &set.luns[0].source_ids, "second", NULL),
                     S_OK);
    assert_int_equal(disk_ids_remember(state->store, "naa.other", &first, "test", NULL), S_OK);
    int64_t before = clock_filetime();
    assert_int_equal(disk_ids_remember(state->store, key, &set.luns[0].source_ids, "test", NULL),
                     S_OK);
    /* A wiped label must not hide what was known. */
    assert_int_equal(disk_ids_remember(state->store, key, &none, "test", NULL), S_FALSE);
    assert_int_equal(disk_ids_recall(state->store, key, &found, &when, NULL), S_OK);
    assert_true(disk_ids_equal(&found, &set.luns[0].source_ids));
    assert_true(when >= before);
    disk_ids_free(&found);
    /* Two changes of the one and one of the other LUN. */
    assert_int_equal(fixture_sql_number(state->directory, "SELECT count(*) FROM disk_ids"), 3);
    struct disk_ids_record *history = NULL;
    size_t count = 0;
    assert_int_equal(disk_ids_history(state->store, key, &history, &count, NULL), S_OK);
    assert_int_equal(count, 2);
    assert_true(disk_ids_equal(&history[0].ids, &set.luns[0].source_ids));
    assert_true(disk_ids_equal(&history[1].ids, &first));
    assert_true(history[0].first_read < before && history[0].last_read >= before);
    assert_string_equal(history[0].why, "second");
    assert_string_equal(history[1].why, "first");
    disk_ids_history_free(history, count);
    set_record_free(&set);
}

static void test_disk_ids_of_unidentified_luns(void **data)
{
    struct state *state = *data;
    struct vss_disk_ids ids = mbr_ids(1);
    struct vss_disk_ids found;
    assert_int_equal(disk_ids_remember(state->store, "none", &ids, "test", NULL), E_INVALIDARG);
    assert_int_equal(disk_ids_remember(state->store, "", &ids, "test", NULL), E_INVALIDARG);
    assert_int_equal(disk_ids_recall(state->store, "none", &found, NULL, NULL), S_FALSE);
}

static void test_damaged_disk_ids(void **data)
{
    struct state *state = *data;
    struct vss_disk_ids ids = mbr_ids(1);
    struct vss_disk_ids found;
    struct error err = {0};
    assert_int_equal(disk_ids_remember(state->store, "naa.1", &ids, "test", NULL), S_OK);
    fixture_sql(state->directory, "UPDATE disk_ids SET ids = '{'");
    assert_int_equal(disk_ids_recall(state->store, "naa.1", &found, NULL, &err), VSS_E_UNEXPECTED);
    assert_non_null(strstr(err.text, "disk_ids"));
    assert_non_null(strstr(err.text, "naa.1"));
    assert_int_equal(disk_ids_remember(state->store, "naa.1", &ids, "test", NULL), S_OK);
    assert_int_equal(disk_ids_recall(state->store, "naa.1", &found, NULL, NULL), S_OK);
    disk_ids_free(&found);
    struct disk_ids_record *history = NULL;
    size_t count = 0;
    assert_int_equal(disk_ids_history(state->store, "naa.1", &history, &count, NULL), S_OK);
    assert_int_equal(count, 1); /* the damaged one is left out */
    disk_ids_history_free(history, count);
    assert_int_equal(disk_ids_history(state->store, "none", &history, &count, NULL), S_OK);
    assert_int_equal(count, 0);
}

#define REGISTRY_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        REGISTRY_TEST(test_every_field_comes_back),
        REGISTRY_TEST(test_empty_set_comes_back),
        cmocka_unit_test(test_copy_is_deep),
        REGISTRY_TEST(test_saving_again_replaces),
        REGISTRY_TEST(test_found_by_snapshot),
        REGISTRY_TEST(test_unknown_ids),
        REGISTRY_TEST(test_deleting),
        REGISTRY_TEST(test_invalid_sets_are_refused),
        REGISTRY_TEST(test_damaged_rows),
        REGISTRY_TEST(test_json_of_hostile_depth),
        REGISTRY_TEST(test_thousands_of_sets),
        REGISTRY_TEST(test_disk_ids),
        REGISTRY_TEST(test_disk_ids_of_unidentified_luns),
        REGISTRY_TEST(test_damaged_disk_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
