/* SPDX-License-Identifier: Apache-2.0 */

/* The registry's file: who may use it, what it is brought up from, what is refused, what survives.
 */

#include "registry_fixture.h"

#include "common/clock.h"
#include "common/id.h"
#include "registry/sql.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define OTHER_UID      65534
#define APPLICATION_ID "1280526404" /* "LSHD" */

static int make_directory(void **data)
{
    *data = fixture_directory();
    return 0;
}

static int remove_directory(void **data)
{
    fixture_remove(*data);
    return 0;
}

static mode_t mode_of(const char *path)
{
    struct stat st;
    assert_int_equal(lstat(path, &st), 0);
    return st.st_mode & 07777;
}

/* ---- files and rights ------------------------------------------------------------------------ */

static void test_modes_do_not_depend_on_the_umask(void **data)
{
    static const mode_t umasks[] = {0, 022, 0277};
    for (size_t i = 0; i < sizeof(umasks) / sizeof(umasks[0]); i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "a%zu/b//c", i);
        const char *directory = fixture_path(*data, name);
        mode_t old = umask(i < 2 ? umasks[i] : 022);
        if (i == 2) {
            assert_int_equal(mkdir(fixture_path(*data, "a2"), 0700), 0);
            assert_int_equal(mkdir(fixture_path(*data, "a2/b"), 0700), 0);
            assert_int_equal(mkdir(directory, 0700), 0);
            (void)umask(umasks[i]);
        }
        struct store *store = fixture_open(directory);
        fixture_save_one(store, 1);
        (void)umask(old);
        assert_int_equal(mode_of(directory), 0700);
        assert_int_equal(mode_of(fixture_path(directory, "..")), 0700);
        assert_int_equal(mode_of(fixture_path(directory, "registry.db")), 0600);
        assert_int_equal(mode_of(fixture_path(directory, "registry.db-wal")), 0600);
        assert_int_equal(mode_of(fixture_path(directory, "registry.db-shm")), 0600);
        store_close(store);
    }
}

static void test_group_directory_has_group_files(void **data)
{
    assert_int_equal(chmod(*data, 02770), 0);
    mode_t old = umask(077);
    struct store *store = fixture_open(*data);
    fixture_save_one(store, 1);
    (void)umask(old);
    assert_int_equal(mode_of(fixture_path(*data, "registry.db")), 0660);
    assert_int_equal(mode_of(fixture_path(*data, "registry.db-wal")), 0660);
    assert_int_equal(mode_of(fixture_path(*data, "registry.db-shm")), 0660);
    store_close(store);
}

static void test_directory_of_everybody_is_refused(void **data)
{
    assert_int_equal(chmod(*data, 01777), 0);
    fixture_assert_refused(*data, E_ACCESSDENIED);
    assert_int_not_equal(access(fixture_path(*data, "registry.db"), F_OK), 0);
}

static void test_links_are_not_followed(void **data)
{
    const char *target = fixture_path(*data, "victim");
    const char *link = fixture_path(*data, "registry.db");
    fixture_write_file(target, "", 0);
    assert_int_equal(symlink(target, link), 0);
    fixture_assert_refused(*data, E_ACCESSDENIED);
    struct buffer bytes = fixture_read_file(target);
    assert_int_equal(bytes.length, 0);
    assert_int_equal(unlink(link), 0);
    assert_int_equal(mkfifo(link, 0600), 0);
    fixture_assert_refused(*data, E_ACCESSDENIED);
}

static void test_linked_directory_is_followed(void **data)
{
    const char *real = fixture_path(*data, "real");
    const char *name = fixture_path(*data, "name");
    assert_int_equal(mkdir(real, 0700), 0);
    assert_int_equal(symlink("real", name), 0);
    struct store *store = fixture_open(name);
    assert_string_equal(store_path(store), real);
    store_close(store);
}

static void test_file_in_the_way(void **data)
{
    fixture_write_file(fixture_path(*data, "file"), "x", 1);
    fixture_assert_refused(fixture_path(*data, "file"), VSS_E_UNEXPECTED);
    struct store *store = NULL;
    assert_true(FAILED(store_open(fixture_path(*data, "file/below"), &store, NULL)));
    assert_null(store);
}

static int open_expecting_denial(const char *directory)
{
    struct error err = {0};
    struct store *store = NULL;
    HRESULT hr = store_open(directory, &store, &err);
    if (hr != E_ACCESSDENIED || store || !strstr(err.text, directory)) {
        print_error("%s: %s\n", vss_error_name(hr), err.text);
        return 1;
    }
    return 0;
}

static int open_and_save(const char *directory)
{
    struct store *store = NULL;
    struct set_record set = fixture_set(7, 1);
    HRESULT hr = store_open(directory, &store, NULL);
    if (SUCCEEDED(hr)) {
        hr = sets_save(store, &set, NULL);
    }
    set_record_free(&set);
    store_close(store);
    return FAILED(hr) ? 1 : 0;
}

static void test_another_user(void **data)
{
    if (geteuid() != 0) {
        print_message("skipped: only root can become another user\n");
        skip();
    }
    const char *own = fixture_path(*data, "own");
    const char *shared = fixture_path(*data, "shared");
    assert_int_equal(chmod(*data, 0755), 0);
    struct store *store = fixture_open(own);
    fixture_save_one(store, 1);
    store_close(store);
    /* Not even to be looked into; then readable, but not writable. */
    assert_int_equal(fixture_in_child(OTHER_UID, open_expecting_denial, own), 0);
    assert_int_equal(chmod(own, 0755), 0);
    assert_int_equal(fixture_in_child(OTHER_UID, open_expecting_denial, own), 0);
    assert_int_equal(fixture_in_child(OTHER_UID, open_expecting_denial, fixture_path(*data, "new")),
                     0);
    /* The directory is theirs by its group, the file is not. */
    assert_int_equal(chown(own, 0, OTHER_UID), 0);
    assert_int_equal(chmod(own, 0770), 0);
    assert_int_equal(fixture_in_child(OTHER_UID, open_expecting_denial, own), 0);
    /* A group that is meant to. */
    assert_int_equal(mkdir(shared, 0700), 0);
    assert_int_equal(chown(shared, 0, OTHER_UID), 0);
    assert_int_equal(chmod(shared, 02770), 0);
    store = fixture_open(shared);
    fixture_save_one(store, 1);
    assert_int_equal(fixture_in_child(OTHER_UID, open_and_save, shared), 0);
    assert_int_equal(fixture_count_sets(store), 2);
    store_close(store);
}

static void test_root_leaves_a_users_directory_usable(void **data)
{
    if (geteuid() != 0) {
        print_message("skipped: only root can become another user\n");
        skip();
    }
    const char *theirs = fixture_path(*data, "theirs");
    assert_int_equal(chmod(*data, 0755), 0);
    assert_int_equal(mkdir(theirs, 0700), 0);
    assert_int_equal(chown(theirs, OTHER_UID, OTHER_UID), 0);
    struct store *store = fixture_open(theirs);
    fixture_save_one(store, 1);
    assert_int_equal(fixture_in_child(OTHER_UID, open_and_save, theirs), 0);
    assert_int_equal(fixture_count_sets(store), 2);
    store_close(store);
}

static void test_standard_directories(void **data)
{
    (void)data;
    char *path = NULL;
    assert_int_equal(setenv("LUNSHADOW_STATE_DIR", "/some/where", 1), 0);
    assert_int_equal(store_directory(&path, NULL), S_OK);
    assert_string_equal(path, "/some/where");
    free(path);
    assert_int_equal(setenv("LUNSHADOW_STATE_DIR", "some/where", 1), 0);
    assert_int_equal(store_directory(&path, NULL), E_INVALIDARG);
    assert_null(path);
    assert_int_equal(unsetenv("LUNSHADOW_STATE_DIR"), 0);
    assert_int_equal(store_directory(&path, NULL), S_OK);
    assert_non_null(strstr(path, geteuid() == 0 ? "/var/lib/lunshadow" : "/lunshadow"));
    free(path);
}

static int check_user_directories(const char *directory)
{
    (void)directory;
    char *path = NULL;
    (void)setenv("HOME", "/home/x", 1);
    (void)setenv("XDG_STATE_HOME", "relative", 1);
    if (FAILED(store_directory(&path, NULL)) ||
        strcmp(path, "/home/x/.local/state/lunshadow") != 0) {
        return 1;
    }
    free(path);
    (void)setenv("XDG_STATE_HOME", "/xdg", 1);
    if (FAILED(store_directory(&path, NULL)) || strcmp(path, "/xdg/lunshadow") != 0) {
        return 2;
    }
    free(path);
    (void)unsetenv("XDG_STATE_HOME");
    (void)unsetenv("HOME");
    return store_directory(&path, NULL) == E_INVALIDARG ? 0 : 3;
}

static void test_user_directories(void **data)
{
    uid_t uid = geteuid() == 0 ? OTHER_UID : 0;
    assert_int_equal(fixture_in_child(uid, check_user_directories, *data), 0);
}

/* ---- versions and strangers ------------------------------------------------------------------ */

static void assert_refused_untouched(const char *directory)
{
    const char *path = fixture_path(directory, "registry.db");
    struct buffer before = fixture_read_file(path);
    fixture_assert_refused(directory, VSS_E_UNEXPECTED);
    struct buffer after = fixture_read_file(path);
    assert_int_equal(before.length, after.length);
    if (before.length > 0) {
        assert_memory_equal(before.data, after.data, before.length);
    }
    buffer_free(&before);
    buffer_free(&after);
}

static void test_strangers_are_refused(void **data)
{
    const char *path = fixture_path(*data, "registry.db");
    static const char text[] = "This is no database, and long enough to look at all of a header of "
                               "one hundred bytes, which SQLite wants to see.";
    fixture_write_file(path, text, sizeof(text));
    assert_refused_untouched(*data);
    assert_int_equal(unlink(path), 0);
    fixture_sql(*data, "CREATE TABLE t(x)");
    assert_refused_untouched(*data);
    fixture_sql(*data, "PRAGMA application_id=77");
    assert_refused_untouched(*data);
    fixture_sql(*data, "DROP TABLE t; PRAGMA application_id=0");
    assert_refused_untouched(*data);
}

static void test_empty_file_is_damage(void **data)
{
    struct error err = {0};
    struct store *store;
    fixture_write_file(fixture_path(*data, "registry.db"), "", 0);
    assert_refused_untouched(*data);
    assert_int_equal(store_open(*data, &store, &err), VSS_E_UNEXPECTED);
    assert_non_null(strstr(err.text, "cut short"));
}

static void test_newer_version_is_refused(void **data)
{
    store_close(fixture_open(*data));
    fixture_sql(*data, "PRAGMA journal_mode=DELETE; PRAGMA user_version=9999");
    assert_refused_untouched(*data);
    fixture_sql(*data, "PRAGMA user_version=-1");
    assert_refused_untouched(*data);
}

static void test_older_version_is_brought_up(void **data)
{
    fixture_sql(*data, "PRAGMA application_id=" APPLICATION_ID "; CREATE TABLE kept(x);"
                       "INSERT INTO kept VALUES(42)");
    struct store *store = fixture_open(*data);
    fixture_save_one(store, 1);
    assert_int_equal(fixture_count_sets(store), 1);
    store_close(store);
    assert_int_equal(fixture_sql_number(*data, "PRAGMA user_version"), 4);
    assert_int_equal(fixture_sql_number(*data, "SELECT x FROM kept"), 42);
}

/* A registry as version 1 left it, with rows of every day: all of them are there afterwards. */
static void test_version_1_is_brought_up(void **data)
{
    struct buffer text = fixture_read_file(TEST_DATA_DIR "/registry/version-1.sql");
    struct set_record *sets = NULL;
    struct error err = {0};
    size_t count = 0;
    fixture_sql(*data, text.data);
    buffer_free(&text);
    assert_int_equal(fixture_sql_number(*data, "PRAGMA user_version"), 1);
    struct store *store = fixture_open(*data);
    assert_int_equal(sets_load_all(store, &sets, &count, &err), S_OK);
    assert_int_equal(count, 2);
    assert_int_equal(sets[0].snapshot_count, 2);
    assert_int_equal(sets[0].lun_count, 2);
    assert_true(sets[0].luns[1].state_bytes > 0);
    assert_int_equal(sets[1].snapshot_count, 1);
    sets_free_all(sets, count);
    store_close(store);
    assert_int_equal(fixture_sql_number(*data, "PRAGMA user_version"), 4);
    static const struct {
        const char *sql;
        int64_t rows;
    } tables[] = {{"SELECT count(*) FROM events", 1},
                  {"SELECT count(*) FROM recoveries", 1},
                  {"SELECT count(*) FROM extents", 3},
                  {"SELECT count(*) FROM providers WHERE name = 'tgt' AND registered = 0", 1}};
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        assert_int_equal(fixture_sql_number(*data, tables[i].sql), tables[i].rows);
    }
}

static void test_failed_upgrade_leaves_nothing(void **data)
{
    fixture_sql(*data, "PRAGMA application_id=" APPLICATION_ID "; CREATE TABLE events(old)");
    fixture_assert_refused(*data, VSS_E_UNEXPECTED);
    assert_int_equal(fixture_sql_number(*data, "PRAGMA user_version"), 0);
    assert_int_equal(fixture_sql_number(*data, "SELECT count(*) FROM sqlite_schema"), 1);
}

static int64_t setting(struct store *store, const char *text)
{
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_prepare_v2(store->db, text, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(statement, 0);
    (void)sqlite3_finalize(statement);
    return value;
}

static void test_settings(void **data)
{
    struct store *store = fixture_open(*data);
    assert_int_equal(setting(store, "PRAGMA synchronous"), 2); /* FULL: a commit is on the disk */
    assert_int_equal(setting(store, "PRAGMA foreign_keys"), 1);
    assert_int_equal(setting(store, "PRAGMA trusted_schema"), 0);
    store_close(store);
    assert_int_equal(fixture_sql_number(*data, "PRAGMA application_id"),
                     strtol(APPLICATION_ID, NULL, 10));
    assert_int_equal(
        fixture_sql_number(*data, "SELECT journal_mode = 'wal' FROM pragma_journal_mode"), 1);
}

/* ---- transactions ---------------------------------------------------------------------------- */

static void test_transactions(void **data)
{
    struct store *store = fixture_open(*data);
    assert_int_equal(store_commit(store, NULL), VSS_E_BAD_STATE);
    assert_int_equal(store_begin(store, NULL), S_OK);
    assert_int_equal(store_begin(store, NULL), VSS_E_BAD_STATE);
    fixture_save_one(store, 1);
    fixture_save_one(store, 2);
    assert_int_equal(fixture_count_sets(store), 2);
    store_rollback(store);
    store_rollback(store);
    assert_int_equal(fixture_count_sets(store), 0);
    assert_int_equal(store_begin(store, NULL), S_OK);
    fixture_save_one(store, 3);
    assert_int_equal(store_commit(store, NULL), S_OK);
    assert_int_equal(fixture_count_sets(store), 1);
    /* Closing with one open undoes it. */
    assert_int_equal(store_begin(store, NULL), S_OK);
    fixture_save_one(store, 4);
    store_close(store);
    store = fixture_open(*data);
    assert_int_equal(fixture_count_sets(store), 1);
    store_close(store);
}

/* Makes every set with a second LUN fail after its first rows were written. */
static void break_saving(const char *directory)
{
    fixture_sql(directory, "CREATE TRIGGER stop BEFORE INSERT ON extents WHEN NEW.lun_index = 1"
                           " BEGIN SELECT RAISE(ABORT, 'enough'); END");
}

static void test_failed_write_leaves_nothing(void **data)
{
    struct store *store = fixture_open(*data);
    struct set_record bad = fixture_set(2, 2);
    break_saving(*data);
    assert_int_equal(sets_save(store, &bad, NULL), VSS_E_UNEXPECTED);
    assert_int_equal(fixture_count_sets(store), 0);
    fixture_save_one(store, 1);
    assert_int_equal(fixture_count_sets(store), 1);
    set_record_free(&bad);
    store_close(store);
}

static void test_failed_write_leaves_the_transaction_whole(void **data)
{
    struct store *store = fixture_open(*data);
    struct set_record bad = fixture_set(2, 2);
    struct set_record found;
    break_saving(*data);
    assert_int_equal(store_begin(store, NULL), S_OK);
    fixture_save_one(store, 3);
    assert_int_equal(sets_save(store, &bad, NULL), VSS_E_UNEXPECTED);
    fixture_save_one(store, 4);
    assert_int_equal(store_commit(store, NULL), S_OK);
    assert_int_equal(fixture_count_sets(store), 2);
    assert_int_equal(sets_load(store, &bad.set_id, &found, NULL), VSS_E_OBJECT_NOT_FOUND);
    set_record_free(&bad);
    store_close(store);
}

/* ---- several processes ----------------------------------------------------------------------- */

#define ROWS 200

/* The parent's and the child's half of the race begin when this descriptor becomes readable. */
static int start_pipe[2];

static int write_rows(const char *directory)
{
    char byte;
    struct store *store = NULL;
    struct error err = {0};
    (void)close(start_pipe[1]);
    (void)read(start_pipe[0], &byte, 1);
    HRESULT hr = store_open(directory, &store, &err);
    for (unsigned i = 0; i < ROWS && SUCCEEDED(hr); i++) {
        struct set_record set = fixture_set(i, 1);
        hr = sets_save(store, &set, &err);
        set_record_free(&set);
    }
    store_close(store);
    if (FAILED(hr)) {
        print_error("%s\n", error_text(&err));
    }
    return FAILED(hr) ? 1 : 0;
}

static int open_once(const char *directory)
{
    char byte;
    struct store *store = NULL;
    struct error err = {0};
    (void)close(start_pipe[1]);
    (void)read(start_pipe[0], &byte, 1);
    HRESULT hr = store_open(directory, &store, &err);
    if (FAILED(hr)) {
        print_error("%s\n", error_text(&err));
    }
    store_close(store);
    return FAILED(hr) ? 1 : 0;
}

/* Has the registry locked for a moment, from before the pipe is readable. */
static int hold_lock(const char *directory)
{
    struct store *store = NULL;
    (void)close(start_pipe[0]);
    HRESULT hr = store_open(directory, &store, NULL);
    hr = SUCCEEDED(hr) ? store_begin(store, NULL) : hr;
    (void)write(start_pipe[1], "", 1);
    clock_sleep_ms(100);
    hr = SUCCEEDED(hr) ? store_commit(store, NULL) : hr;
    store_close(store);
    return FAILED(hr) ? 1 : 0;
}

static void test_a_lock_is_waited_for(void **data)
{
    struct store *store = fixture_open(*data);
    char byte;
    int status = -1;
    assert_int_equal(pipe(start_pipe), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        _exit(hold_lock(*data));
    }
    assert_int_equal(read(start_pipe[0], &byte, 1), 1);
    fixture_save_one(store, 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    (void)close(start_pipe[0]);
    (void)close(start_pipe[1]);
    store_close(store);
}

static void race(size_t count, int (*body)(const char *directory), const char *directory)
{
    pid_t pids[16];
    assert_int_equal(pipe(start_pipe), 0);
    for (size_t i = 0; i < count; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0) {
            _exit(body(directory));
        }
    }
    (void)close(start_pipe[1]);
    (void)close(start_pipe[0]);
    for (size_t i = 0; i < count; i++) {
        int status = -1;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
}

static void test_two_writers_lose_nothing(void **data)
{
    race(2, write_rows, *data);
    struct store *store = fixture_open(*data);
    assert_int_equal(fixture_count_sets(store), 2 * ROWS);
    store_close(store);
}

static void test_many_first_openers(void **data)
{
    for (int round = 0; round < 5; round++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "r%d/deep", round);
        race(8, open_once, fixture_path(*data, name));
    }
}

#define STORE_TEST(f) cmocka_unit_test_setup_teardown(f, make_directory, remove_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(test_modes_do_not_depend_on_the_umask),
        STORE_TEST(test_group_directory_has_group_files),
        STORE_TEST(test_directory_of_everybody_is_refused),
        STORE_TEST(test_links_are_not_followed),
        STORE_TEST(test_linked_directory_is_followed),
        STORE_TEST(test_file_in_the_way),
        STORE_TEST(test_another_user),
        STORE_TEST(test_root_leaves_a_users_directory_usable),
        STORE_TEST(test_standard_directories),
        STORE_TEST(test_user_directories),
        STORE_TEST(test_strangers_are_refused),
        STORE_TEST(test_empty_file_is_damage),
        STORE_TEST(test_newer_version_is_refused),
        STORE_TEST(test_older_version_is_brought_up),
        STORE_TEST(test_version_1_is_brought_up),
        STORE_TEST(test_failed_upgrade_leaves_nothing),
        STORE_TEST(test_settings),
        STORE_TEST(test_transactions),
        STORE_TEST(test_failed_write_leaves_nothing),
        STORE_TEST(test_failed_write_leaves_the_transaction_whole),
        STORE_TEST(test_a_lock_is_waited_for),
        STORE_TEST(test_two_writers_lose_nothing),
        STORE_TEST(test_many_first_openers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
