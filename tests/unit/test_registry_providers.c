/* SPDX-License-Identifier: Apache-2.0 */

/* Providers in the registry: seen and registered. */

#include "registry_fixture.h"

#include "common/id.h"
#include "registry/providers.h"

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

static struct provider_record make(const char *name, const char *path)
{
    return (struct provider_record){.provider_id = id_new(),
                                    .version_id = id_new(),
                                    .name = (char *)name,
                                    .version = (char *)"1",
                                    .type = VSS_PROV_HARDWARE,
                                    .path = (char *)path,
                                    .abi_minor = 9};
}

struct rows {
    struct provider_record *items;
    size_t count;
};

static struct rows load(struct state *state)
{
    struct rows rows;
    assert_int_equal(providers_load_all(state->store, &rows.items, &rows.count, NULL), S_OK);
    return rows;
}

static void assert_row(const struct rows *rows, size_t index, const struct provider_record *wanted,
                       int64_t rank)
{
    const struct provider_record *row = &rows->items[index];
    assert_true(index < rows->count);
    assert_true(id_equal(&row->provider_id, &wanted->provider_id));
    assert_true(id_equal(&row->version_id, &wanted->version_id));
    assert_string_equal(row->name, wanted->name);
    assert_string_equal(row->path, wanted->path);
    assert_int_equal(row->abi_minor, 9);
    assert_int_equal(row->rank, rank);
    assert_true((row->registered != 0) == (rank != 0));
}

static void test_seen(void **data)
{
    struct state *state = *data;
    struct provider_record later = make("zfs", "/usr/lib/x.so");
    struct provider_record other = {.provider_id = id_new(), .name = (char *)"tgt"};
    assert_int_equal(providers_save(state->store, &later, NULL), S_OK);
    assert_int_equal(providers_save(state->store, &other, NULL), S_OK);
    later.version_id = id_new();
    assert_int_equal(providers_save(state->store, &later, NULL), S_OK);
    struct rows rows = load(state);
    assert_int_equal(rows.count, 2);
    assert_string_equal(rows.items[0].name, "tgt");
    assert_null(rows.items[0].path);
    assert_null(rows.items[0].version);
    assert_row(&rows, 1, &later, 0);
    assert_int_equal(rows.items[1].type, VSS_PROV_HARDWARE);
    providers_free_all(rows.items, rows.count);
    other.provider_id = id_null;
    assert_int_equal(providers_save(state->store, &other, NULL), E_INVALIDARG);
}

static void test_damaged_rows_are_refused(void **data)
{
    static const char *const damages[] = {
        "UPDATE providers SET version_id = 'x'",
        "UPDATE providers SET abi_major = -1, version_id = provider_id",
        "UPDATE providers SET abi_major = 0, registered = 1, rank = 1, path = NULL"};
    struct state *state = *data;
    struct provider_record provider = make("tgt", "/a.so");
    assert_int_equal(providers_register(state->store, &provider, NULL), S_OK);
    for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
        struct provider_record *all;
        size_t count;
        fixture_sql(state->directory, damages[i]);
        assert_int_equal(providers_load_all(state->store, &all, &count, NULL), VSS_E_UNEXPECTED);
        assert_null(all);
    }
}

static void test_order_of_registration(void **data)
{
    struct state *state = *data;
    struct provider_record first = make("z", "/z.so");
    struct provider_record second = make("a", "/a.so");
    struct provider_record seen = make("b", "/b.so");
    assert_int_equal(providers_save(state->store, &second, NULL), S_OK);
    assert_int_equal(providers_save(state->store, &seen, NULL), S_OK);
    assert_int_equal(providers_register(state->store, &first, NULL), S_OK);
    assert_int_equal(providers_register(state->store, &second, NULL), S_OK);
    struct rows rows = load(state);
    assert_int_equal(rows.count, 3);
    assert_row(&rows, 0, &first, 1);
    assert_row(&rows, 1, &second, 2);
    assert_row(&rows, 2, &seen, 0);
    providers_free_all(rows.items, rows.count);
    /* Who comes back comes last. */
    assert_int_equal(providers_unregister(state->store, &first.provider_id, NULL), S_OK);
    assert_int_equal(providers_register(state->store, &first, NULL), S_OK);
    rows = load(state);
    assert_row(&rows, 0, &second, 2);
    assert_row(&rows, 1, &first, 3);
    providers_free_all(rows.items, rows.count);
}

static void test_the_same_version_is_registered_once(void **data)
{
    struct state *state = *data;
    struct error err = {0};
    struct provider_record provider = make("tgt", "/one.so");
    struct provider_record other = make("rbd", "/rbd.so");
    assert_int_equal(providers_register(state->store, &provider, NULL), S_OK);
    assert_int_equal(providers_register(state->store, &other, NULL), S_OK);
    provider.path = (char *)"/two.so";
    assert_int_equal(providers_register(state->store, &provider, &err),
                     VSS_E_PROVIDER_ALREADY_REGISTERED);
    assert_non_null(strstr(err.text, "/one.so"));
    /* Another version takes its place. */
    provider.version_id = id_new();
    assert_int_equal(providers_register(state->store, &provider, NULL), S_OK);
    struct rows rows = load(state);
    assert_int_equal(rows.count, 2);
    assert_row(&rows, 0, &provider, 1);
    assert_row(&rows, 1, &other, 2);
    providers_free_all(rows.items, rows.count);
    provider.path = NULL;
    assert_int_equal(providers_register(state->store, &provider, NULL), E_INVALIDARG);
    other.provider_id = id_null;
    assert_int_equal(providers_register(state->store, &other, NULL), E_INVALIDARG);
}

static void test_seeing_does_not_change_a_registration(void **data)
{
    struct state *state = *data;
    struct provider_record provider = make("tgt", "/one.so");
    struct provider_record trial = provider;
    assert_int_equal(providers_register(state->store, &provider, NULL), S_OK);
    trial.path = (char *)"/home/dev/trial.so";
    trial.version_id = id_new();
    assert_int_equal(providers_save(state->store, &trial, NULL), S_OK);
    struct rows rows = load(state);
    assert_row(&rows, 0, &provider, 1);
    providers_free_all(rows.items, rows.count);
    /* The registered file itself was updated. */
    provider.version_id = id_new();
    assert_int_equal(providers_save(state->store, &provider, NULL), S_OK);
    rows = load(state);
    assert_int_equal(rows.count, 1);
    assert_row(&rows, 0, &provider, 1);
    providers_free_all(rows.items, rows.count);
}

static void test_unregister(void **data)
{
    struct state *state = *data;
    struct error err = {0};
    struct provider_record provider = make("tgt", "/one.so");
    struct set_record set = fixture_set(1, 2);
    char id[ID_TEXT_BYTES];
    assert_int_equal(providers_unregister(state->store, &provider.provider_id, &err),
                     VSS_E_PROVIDER_NOT_REGISTERED);
    assert_non_null(strstr(err.text, id_text(&provider.provider_id, id)));
    assert_int_equal(providers_save(state->store, &provider, NULL), S_OK);
    assert_int_equal(providers_unregister(state->store, &provider.provider_id, NULL),
                     VSS_E_PROVIDER_NOT_REGISTERED);
    assert_int_equal(providers_register(state->store, &provider, NULL), S_OK);
    set.snapshots[0].provider_id = provider.provider_id;
    set.snapshots[1].provider_id = provider.provider_id;
    assert_int_equal(sets_save(state->store, &set, NULL), S_OK);
    error_clear(&err);
    assert_int_equal(providers_unregister(state->store, &provider.provider_id, &err),
                     VSS_E_PROVIDER_IN_USE);
    assert_non_null(strstr(err.text, "2 shadow copies"));
    assert_int_equal(sets_delete_snapshot(state->store, &set.snapshots[0].snapshot_id, NULL), S_OK);
    error_clear(&err);
    assert_int_equal(providers_unregister(state->store, &provider.provider_id, &err),
                     VSS_E_PROVIDER_IN_USE);
    assert_non_null(strstr(err.text, "1 shadow copy,"));
    struct rows rows = load(state);
    assert_row(&rows, 0, &provider, 1);
    providers_free_all(rows.items, rows.count);
    assert_int_equal(sets_delete(state->store, &set.set_id, NULL), S_OK);
    assert_int_equal(providers_unregister(state->store, &provider.provider_id, NULL), S_OK);
    rows = load(state);
    assert_int_equal(rows.count, 0);
    providers_free_all(rows.items, rows.count);
    set_record_free(&set);
}

#define PROVIDERS_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROVIDERS_TEST(test_seen),
        PROVIDERS_TEST(test_damaged_rows_are_refused),
        PROVIDERS_TEST(test_order_of_registration),
        PROVIDERS_TEST(test_the_same_version_is_registered_once),
        PROVIDERS_TEST(test_seeing_does_not_change_a_registration),
        PROVIDERS_TEST(test_unregister),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
