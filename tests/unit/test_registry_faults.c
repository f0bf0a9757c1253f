/* SPDX-License-Identifier: Apache-2.0 */

/* The registry when things go wrong below it: memory, damaged files, full and read-only
 * filesystems. */

#include "registry_fixture.h"

#include "common/id.h"
#include "registry/providers.h"
#include "registry/sql.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static int make_directory(void **data)
{
    *data = fixture_directory();
    return 0;
}

static int remove_directory(void **data)
{
    /* Still there where a test failed before its end. */
    (void)umount2(fixture_path(*data, "small"), MNT_DETACH);
    fixture_remove(*data);
    return 0;
}

static void test_results_of_sqlite(void **data)
{
    static const struct {
        int status;
        HRESULT expected;
    } rows[] = {
        {SQLITE_NOMEM, E_OUTOFMEMORY},
        {SQLITE_IOERR_NOMEM, E_OUTOFMEMORY},
        {SQLITE_READONLY, E_ACCESSDENIED},
        {SQLITE_READONLY_DIRECTORY, E_ACCESSDENIED},
        {SQLITE_PERM, E_ACCESSDENIED},
        {SQLITE_CANTOPEN, E_ACCESSDENIED},
        {SQLITE_CANTOPEN_SYMLINK, E_ACCESSDENIED},
        {SQLITE_AUTH, E_ACCESSDENIED},
        {SQLITE_FULL, VSS_E_INSUFFICIENT_STORAGE},
        {SQLITE_IOERR_SHMSIZE, VSS_E_INSUFFICIENT_STORAGE},
        {SQLITE_BUSY, VSS_E_UNEXPECTED},
        {SQLITE_BUSY_SNAPSHOT, VSS_E_UNEXPECTED},
        {SQLITE_LOCKED, VSS_E_UNEXPECTED},
        {SQLITE_CORRUPT, VSS_E_UNEXPECTED},
        {SQLITE_NOTADB, VSS_E_UNEXPECTED},
        {SQLITE_IOERR_WRITE, VSS_E_UNEXPECTED},
        {SQLITE_CONSTRAINT_UNIQUE, VSS_E_UNEXPECTED},
    };
    (void)data;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct error err = {0};
        HRESULT hr = sql_failure(NULL, "/some/registry.db", rows[i].status, "cannot be read", &err);
        assert_int_equal(hr, rows[i].expected);
        assert_int_equal(err.code, rows[i].expected);
        assert_non_null(strstr(err.text, "/some/registry.db cannot be read: "));
    }
}

/* All of a session within a limit of SQLite's memory: it works or says so. */
static HRESULT work_within(const char *directory, int64_t bytes)
{
    struct store *store = NULL;
    struct set_record set = fixture_set(1, 4);
    struct set_record *all = NULL;
    struct provider_record provider = {
        .provider_id = id_new(), .name = (char *)"a", .path = (char *)"/a.so"};
    struct provider_record *providers = NULL;
    size_t count = 0;
    size_t provider_count = 0;
    (void)sqlite3_hard_heap_limit64(bytes);
    HRESULT hr = store_open(directory, &store, NULL);
    if (SUCCEEDED(hr)) {
        hr = sets_save(store, &set, NULL);
    }
    if (SUCCEEDED(hr)) {
        hr = sets_load_all(store, &all, &count, NULL);
    }
    if (SUCCEEDED(hr)) {
        hr = providers_register(store, &provider, NULL);
    }
    if (SUCCEEDED(hr)) {
        hr = providers_load_all(store, &providers, &provider_count, NULL);
    }
    if (SUCCEEDED(hr)) {
        hr = providers_unregister(store, &provider.provider_id, NULL);
    }
    providers_free_all(providers, provider_count);
    sets_free_all(all, count);
    set_record_free(&set);
    store_close(store);
    (void)sqlite3_hard_heap_limit64(0);
    return hr;
}

static void test_memory_runs_out(void **data)
{
    size_t refused = 0;
    HRESULT hr = E_OUTOFMEMORY;
    store_close(fixture_open(*data));
    for (int64_t bytes = 4000; FAILED(hr) && bytes < 4000000; bytes += 2000) {
        hr = work_within(*data, bytes);
        if (FAILED(hr)) {
            assert_int_equal(hr, E_OUTOFMEMORY);
            refused++;
        }
    }
    assert_int_equal(hr, S_OK);
    assert_true(refused > 5);
}

/* ---- damage ---------------------------------------------------------------------------------- */

/* Opens and reads what may be damaged: any answer but a crash, and failures with the path. */
static HRESULT read_damaged(const char *directory)
{
    struct error err = {0};
    struct store *store = NULL;
    struct set_record *all = NULL;
    struct provider_record *providers = NULL;
    size_t count = 0;
    size_t provider_count = 0;
    HRESULT hr = store_open(directory, &store, &err);
    if (SUCCEEDED(hr)) {
        hr = sets_load_all(store, &all, &count, &err);
    }
    if (SUCCEEDED(hr)) {
        hr = providers_load_all(store, &providers, &provider_count, &err);
    }
    if (FAILED(hr)) {
        assert_int_equal(hr, VSS_E_UNEXPECTED);
        assert_non_null(strstr(err.text, directory));
    }
    providers_free_all(providers, provider_count);
    sets_free_all(all, count);
    store_close(store);
    return hr;
}

static struct buffer make_good_file(const char *directory)
{
    struct store *store = fixture_open(directory);
    struct provider_record provider = {
        .provider_id = id_new(), .name = (char *)"a", .path = (char *)"/a.so"};
    assert_int_equal(providers_register(store, &provider, NULL), S_OK);
    for (unsigned i = 0; i < 20; i++) {
        fixture_save_one(store, i);
    }
    store_close(store);
    return fixture_read_file(fixture_path(directory, "registry.db"));
}

static void restore_file(const char *directory, const void *bytes, size_t length)
{
    (void)unlink(fixture_path(directory, "registry.db-wal"));
    (void)unlink(fixture_path(directory, "registry.db-shm"));
    fixture_write_file(fixture_path(directory, "registry.db"), bytes, length);
    assert_int_equal(chmod(fixture_path(directory, "registry.db"), 0600), 0);
}

static void test_damaged_files(void **data)
{
    struct buffer good = make_good_file(*data);
    size_t noticed = 0;
    srandom(1);
    for (int round = 0; round < 150; round++) {
        struct buffer bad = BUFFER_INIT;
        buffer_add(&bad, good.data, good.length);
        size_t start = (size_t)random() % bad.length;
        size_t end = start + (size_t)random() % 600;
        for (size_t i = start; i < end && i < bad.length; i++) {
            bad.data[i] = (char)random();
        }
        restore_file(*data, bad.data, bad.length);
        noticed += FAILED(read_damaged(*data)) ? 1 : 0;
        buffer_free(&bad);
    }
    assert_true(noticed > 20);
    buffer_free(&good);
}

static void test_truncated_files(void **data)
{
    struct buffer good = make_good_file(*data);
    for (size_t length = 0; length < good.length; length += 4096) {
        restore_file(*data, good.data, length);
        if (read_damaged(*data) != VSS_E_UNEXPECTED) {
            fail_msg("%zu of %zu bytes were taken for a registry", length, good.length);
        }
    }
    buffer_free(&good);
}

/* ---- full and read-only filesystems ---------------------------------------------------------- */

static char *mount_small(const char *directory)
{
    char *path = text_printf("%s/small", directory);
    assert_int_equal(mkdir(path, 0700), 0);
    if (geteuid() != 0 || mount("none", path, "tmpfs", 0, "size=1m,mode=0700") != 0) {
        print_message("skipped: a filesystem cannot be mounted here: %s\n", strerror(errno));
        free(path);
        skip();
    }
    return path;
}

static void unmount_small(char *path)
{
    assert_true(fixture_unmount(path));
    free(path);
}

static void fill_filesystem(const char *path)
{
    static const char block[4096] = {1};
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    while (write(fd, block, sizeof(block)) > 0) {
    }
    assert_int_equal(errno, ENOSPC);
    (void)close(fd);
}

static size_t count_files(const char *directory)
{
    size_t count = 0;
    DIR *listing = opendir(directory);
    assert_non_null(listing);
    for (struct dirent *entry = readdir(listing); entry; entry = readdir(listing)) {
        count += entry->d_name[0] != '.' ? 1 : 0;
    }
    (void)closedir(listing);
    return count;
}

static void test_full_disk_at_opening(void **data)
{
    char *small = mount_small(*data);
    fill_filesystem(fixture_path(small, "filler"));
    fixture_assert_refused(small, VSS_E_INSUFFICIENT_STORAGE);
    assert_int_equal(count_files(small), 1); /* the filler: nothing half made is left */
    assert_int_equal(unlink(fixture_path(small, "filler")), 0);
    struct store *store = fixture_open(small);
    fixture_save_one(store, 1);
    assert_int_equal(fixture_count_sets(store), 1);
    store_close(store);
    unmount_small(small);
}

static void test_full_disk_while_writing(void **data)
{
    char *small = mount_small(*data);
    struct store *store = fixture_open(small);
    struct error err = {0};
    size_t saved = 0;
    HRESULT hr = S_OK;
    while (SUCCEEDED(hr) && saved < 10000) {
        struct set_record set = fixture_set((unsigned)saved, 1);
        hr = sets_save(store, &set, &err);
        saved += SUCCEEDED(hr) ? 1 : 0;
        set_record_free(&set);
    }
    assert_int_equal(hr, VSS_E_INSUFFICIENT_STORAGE);
    assert_non_null(strstr(err.text, small));
    assert_true(saved > 0);
    assert_int_equal(fixture_count_sets(store), saved);
    store_close(store);
    store = fixture_open(small);
    assert_int_equal(fixture_count_sets(store), saved);
    store_close(store);
    unmount_small(small);
}

static void test_full_disk_in_a_transaction(void **data)
{
    char *small = mount_small(*data);
    struct store *store = fixture_open(small);
    HRESULT hr = S_OK;
    fixture_save_one(store, 0);
    assert_int_equal(store_begin(store, NULL), S_OK);
    for (unsigned i = 1; i < 10000 && SUCCEEDED(hr); i++) {
        struct set_record set = fixture_set(i, 8);
        hr = sets_save(store, &set, NULL);
        set_record_free(&set);
    }
    if (SUCCEEDED(hr)) {
        hr = store_commit(store, NULL);
    } else {
        /* Committing what a failure has undone must not look like a success. */
        HRESULT commit = store_commit(store, NULL);
        assert_true(FAILED(commit) || fixture_count_sets(store) > 1);
    }
    store_rollback(store);
    assert_int_equal(hr, VSS_E_INSUFFICIENT_STORAGE);
    store_close(store);
    unmount_small(small);
}

static void test_read_only_filesystem(void **data)
{
    char *small = mount_small(*data);
    store_close(fixture_open(small));
    assert_int_equal(mkdir(fixture_path(small, "empty"), 0700), 0);
    assert_int_equal(mount("none", small, "tmpfs", MS_REMOUNT | MS_RDONLY, NULL), 0);
    fixture_assert_refused(small, E_ACCESSDENIED);
    fixture_assert_refused(fixture_path(small, "empty"), E_ACCESSDENIED);
    fixture_assert_refused(fixture_path(small, "missing"), E_ACCESSDENIED);
    unmount_small(small);
}

#define FAULT_TEST(f) cmocka_unit_test_setup_teardown(f, make_directory, remove_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_results_of_sqlite),
        FAULT_TEST(test_memory_runs_out),
        FAULT_TEST(test_damaged_files),
        FAULT_TEST(test_truncated_files),
        FAULT_TEST(test_full_disk_at_opening),
        FAULT_TEST(test_full_disk_while_writing),
        FAULT_TEST(test_full_disk_in_a_transaction),
        FAULT_TEST(test_read_only_filesystem),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
