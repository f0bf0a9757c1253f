/* SPDX-License-Identifier: Apache-2.0 */

/* The machine-wide locks: they die with their holder and with nobody else, and nothing that
 * somebody puts in their place is written to. */

#include "registry_fixture.h"

#include "common/process.h"
#include "registry/locks.h"
#include "registry/owner.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define OTHER_UID 65534

static int stat_errno; /* of looking at /run/lock; 0: that answers */

int __real_stat(const char *path, struct stat *out);
int __wrap_stat(const char *path, struct stat *out);

int __wrap_stat(const char *path, struct stat *out)
{
    if (stat_errno && strcmp(path, "/run/lock") == 0) {
        errno = stat_errno;
        return -1;
    }
    return __real_stat(path, out);
}

/* Nothing of the machine's own locks is touched. */
int __real_mkdir(const char *path, mode_t mode);
int __wrap_mkdir(const char *path, mode_t mode);

int __wrap_mkdir(const char *path, mode_t mode)
{
    if (stat_errno) {
        errno = EACCES;
        return -1;
    }
    return __real_mkdir(path, mode);
}

static int set_up(void **data)
{
    char *directory = fixture_directory();
    assert_int_equal(chmod(directory, 0755), 0);
    assert_int_equal(setenv("LUNSHADOW_LOCK_DIR", fixture_path(directory, "locks"), 1), 0);
    *data = directory;
    return 0;
}

static int tear_down(void **data)
{
    stat_errno = 0;
    assert_int_equal(unsetenv("LUNSHADOW_LOCK_DIR"), 0);
    fixture_remove(*data);
    return 0;
}

static struct lock *take(enum lock_kind kind)
{
    struct error err = {0};
    struct lock *lock = NULL;
    if (FAILED(lock_take(kind, &lock, &err))) {
        fail_msg("%s", error_text(&err));
    }
    return lock;
}

static void assert_refused(enum lock_kind kind, HRESULT expected, const char *text)
{
    struct error err = {0};
    struct lock *lock = (struct lock *)&err;
    HRESULT hr = lock_take(kind, &lock, &err);
    if (hr != expected || !strstr(err.text, text)) {
        fail_msg("%s: %s", vss_error_name(hr), err.text);
    }
    assert_null(lock);
}

static const char *pid_text(pid_t pid)
{
    static char text[32];
    (void)snprintf(text, sizeof(text), "process %d (", (int)pid);
    return text;
}

static const char *own_program(void)
{
    static char text[64] = "(";
    FILE *file = fopen("/proc/self/comm", "r");
    assert_non_null(file);
    assert_non_null(fgets(text + 1, sizeof(text) - 2, file));
    (void)fclose(file);
    text[strcspn(text, "\n")] = ')';
    return text;
}

static void test_each_kind_is_exclusive(void **data)
{
    (void)data;
    struct lock *set = take(LOCK_SET_IN_PROGRESS);
    struct lock *import = take(LOCK_IMPORT);
    struct lock *resync = take(LOCK_RESYNC);
    struct lock *recover = take(LOCK_RECOVER);
    assert_refused(LOCK_RECOVER, VSS_E_BAD_STATE, "dead process");
    lock_release(recover);
    assert_refused(LOCK_SET_IN_PROGRESS, VSS_E_SNAPSHOT_SET_IN_PROGRESS, pid_text(getpid()));
    assert_refused(LOCK_IMPORT, VSS_E_BAD_STATE, pid_text(getpid()));
    assert_refused(LOCK_RESYNC, VSS_E_RESYNC_IN_PROGRESS, own_program());
    lock_release(import);
    lock_release(take(LOCK_IMPORT));
    assert_refused(LOCK_RESYNC, VSS_E_RESYNC_IN_PROGRESS, pid_text(getpid()));
    lock_release(set);
    lock_release(resync);
    lock_release(take(LOCK_RESYNC));
    lock_release(NULL);
    struct lock *none;
    assert_int_equal(lock_take((enum lock_kind)4, &none, NULL), E_INVALIDARG);
}

static void test_each_scratch_lun_has_a_lock(void **data)
{
    (void)data;
    static const char *const key = "scsi.iqn.2026-11.example:a/b";
    struct error err = {0};
    struct lock *one = NULL;
    struct lock *other = NULL;
    struct lock *again = NULL;
    assert_int_equal(lock_take_scratch(key, &one, &err), S_OK);
    assert_int_equal(lock_take_scratch("scsi.iqn.2026-11.example:a/c", &other, &err), S_OK);
    assert_int_equal(lock_take_scratch(key, &again, &err), VSS_E_BAD_STATE);
    assert_null(again);
    assert_non_null(strstr(error_text(&err), key));
    assert_non_null(strstr(error_text(&err), pid_text(getpid())));
    lock_release(one);
    assert_int_equal(lock_take_scratch(key, &one, &err), S_OK);
    lock_release(one);
    lock_release(other);
}

/* Takes the lock, starts a helper that outlives it, reports the helper's pid, waits to be killed.
 */
static void hold_with_helper(int out)
{
    static const char *const argv[] = {"sleep", "600", NULL};
    struct process_options options = PROCESS_OPTIONS_INIT;
    struct process helper = PROCESS_INIT;
    struct lock *lock = NULL;
    options.new_session = true;
    if (FAILED(lock_take(LOCK_SET_IN_PROGRESS, &lock, NULL)) ||
        FAILED(process_start(argv, &options, &helper, NULL)) ||
        write(out, &helper.pid, sizeof(helper.pid)) != (ssize_t)sizeof(helper.pid)) {
        _exit(1);
    }
    for (;;) {
        (void)pause();
    }
}

static pid_t start_holder(pid_t *out_helper)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        hold_with_helper(fds[1]);
    }
    (void)close(fds[1]);
    assert_int_equal(read(fds[0], out_helper, sizeof(*out_helper)), sizeof(*out_helper));
    (void)close(fds[0]);
    return pid;
}

static void test_lock_dies_with_its_holder_not_its_helper(void **data)
{
    (void)data;
    pid_t helper;
    int status;
    pid_t holder = start_holder(&helper);
    assert_refused(LOCK_SET_IN_PROGRESS, VSS_E_SNAPSHOT_SET_IN_PROGRESS, pid_text(holder));
    assert_int_equal(kill(holder, SIGKILL), 0);
    assert_int_equal(waitpid(holder, &status, 0), holder);
    assert_int_equal(kill(helper, 0), 0);
    struct lock *lock = take(LOCK_SET_IN_PROGRESS);
    assert_int_equal(kill(helper, 0), 0);
    lock_release(lock);
    assert_int_equal(kill(helper, SIGKILL), 0);
}

/* Programs that other code starts, knowing nothing of locks, do not get one either. */
static void test_programs_do_not_inherit(void **data)
{
    (void)data;
    char line[512];
    size_t lines = 0;
    struct lock *lock = take(LOCK_RESYNC);
    FILE *listing = popen("ls -l /proc/self/fd", "r");
    assert_non_null(listing);
    while (fgets(line, sizeof(line), listing)) {
        lines++;
        assert_null(strstr(line, "resync.lock"));
    }
    assert_int_equal(pclose(listing), 0);
    assert_true(lines > 3);
    lock_release(lock);
}

static int take_and_leave(const char *directory)
{
    (void)directory;
    struct lock *lock = NULL;
    struct error err = {0};
    if (FAILED(lock_take(LOCK_RESYNC, &lock, &err))) {
        print_error("%s\n", error_text(&err));
        return 1;
    }
    lock_release(lock);
    return 0;
}

static int take_and_be_refused(const char *directory)
{
    (void)directory;
    struct lock *lock = NULL;
    return lock_take(LOCK_RESYNC, &lock, NULL) == VSS_E_RESYNC_IN_PROGRESS ? 0 : 1;
}

/* The other user comes first once, and second once; a narrow umask must not matter. */
static void test_users_share_the_locks(void **data)
{
    if (geteuid() != 0) {
        print_message("skipped: only root can become another user\n");
        skip();
    }
    mode_t old = umask(077);
    struct lock *lock = take(LOCK_RESYNC);
    assert_int_equal(fixture_in_child(OTHER_UID, take_and_be_refused, *data), 0);
    lock_release(lock);
    assert_int_equal(fixture_in_child(OTHER_UID, take_and_leave, *data), 0);

    assert_int_equal(chmod(*data, 0777), 0);
    assert_int_equal(setenv("LUNSHADOW_LOCK_DIR", fixture_path(*data, "theirs"), 1), 0);
    assert_int_equal(fixture_in_child(OTHER_UID, take_and_leave, *data), 0);
    lock_release(take(LOCK_RESYNC));
    assert_int_equal(fixture_in_child(OTHER_UID, take_and_leave, *data), 0);
    (void)umask(old);
    struct stat st;
    assert_int_equal(stat(fixture_path(*data, "theirs"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 01777);
    assert_int_equal(stat(fixture_path(*data, "theirs/resync.lock"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0666);
    assert_int_equal(st.st_uid, 0);
}

static void test_named_directory_keeps_its_mode(void **data)
{
    const char *named = fixture_path(*data, "named");
    struct stat st;
    assert_int_equal(mkdir(named, 0700), 0);
    assert_int_equal(setenv("LUNSHADOW_LOCK_DIR", named, 1), 0);
    lock_release(take(LOCK_RESYNC));
    assert_int_equal(stat(named, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(chmod(named, 0777), 0);
    assert_refused(LOCK_RESYNC, E_ACCESSDENIED, named);
}

static void write_victim(const char *path)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs("precious", file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void assert_victim(const char *path)
{
    char text[32] = "";
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(text, sizeof(text), file));
    assert_string_equal(text, "precious");
    (void)fclose(file);
}

static void test_what_others_put_there_is_refused(void **data)
{
    const char *victim = fixture_path(*data, "victim");
    const char *path = fixture_path(*data, "locks/resync.lock");
    write_victim(victim);
    lock_release(take(LOCK_IMPORT)); /* makes the directory */

    assert_int_equal(symlink(victim, path), 0);
    assert_refused(LOCK_RESYNC, E_ACCESSDENIED, path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink(fixture_path(*data, "not-there"), path), 0);
    assert_refused(LOCK_RESYNC, E_ACCESSDENIED, path);
    assert_int_not_equal(access(fixture_path(*data, "not-there"), F_OK), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(link(victim, path), 0);
    assert_refused(LOCK_RESYNC, E_ACCESSDENIED, path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0666), 0);
    assert_refused(LOCK_RESYNC, E_ACCESSDENIED, path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0777), 0);
    assert_refused(LOCK_RESYNC, E_ACCESSDENIED, path);
    assert_int_equal(rmdir(path), 0);
    assert_victim(victim);
    lock_release(take(LOCK_RESYNC));
}

static void test_linked_directory_is_refused(void **data)
{
    const char *real = fixture_path(*data, "real");
    const char *name = fixture_path(*data, "name");
    assert_int_equal(mkdir(real, 0755), 0);
    assert_int_equal(symlink(real, name), 0);
    assert_int_equal(setenv("LUNSHADOW_LOCK_DIR", name, 1), 0);
    assert_refused(LOCK_RESYNC, E_ACCESSDENIED, name);
    assert_int_not_equal(access(fixture_path(real, "resync.lock"), F_OK), 0);
    assert_int_equal(setenv("LUNSHADOW_LOCK_DIR", fixture_path(*data, "no/where"), 1), 0);
    assert_refused(LOCK_RESYNC, VSS_E_UNEXPECTED, "no/where");
}

/* A file that was removed under its holder is not what newcomers lock: they get the new one. */
/* Elsewhere it would be no lock to all others. */
static void test_where_locks_lie(void **data)
{
    static const struct {
        int reason;
        const char *directory;
    } rows[] = {{ENOMEM, "lock /run/lock/lunshadow "},
                {EACCES, "lock /run/lock/lunshadow "},
                {ENOENT, "lock /tmp/lunshadow-lock "}};
    (void)data;
    assert_int_equal(unsetenv("LUNSHADOW_LOCK_DIR"), 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        stat_errno = rows[i].reason;
        assert_refused(LOCK_RESYNC, E_ACCESSDENIED, rows[i].directory);
    }
}

static void test_removed_file_is_made_anew(void **data)
{
    struct lock *old = take(LOCK_RESYNC);
    assert_int_equal(unlink(fixture_path(*data, "locks/resync.lock")), 0);
    struct lock *lock = take(LOCK_RESYNC);
    assert_refused(LOCK_RESYNC, VSS_E_RESYNC_IN_PROGRESS, pid_text(getpid()));
    lock_release(old);
    assert_refused(LOCK_RESYNC, VSS_E_RESYNC_IN_PROGRESS, pid_text(getpid()));
    lock_release(lock);
}

/* Anybody can write there; a lie about the holder is not repeated. */
/* What it is at work on would be taken back under its hands. */
static void test_an_owner_of_an_unknown_boot_may_live(void **data)
{
    struct owner self;
    struct error err = {0};
    (void)data;
    assert_int_equal(owner_self(&self, &err), S_OK);
    assert_true(owner_lives(&self));
    self.boot_id[0] = '\0'; /* it could not be read */
    assert_true(owner_lives(&self));
    self.pid_start++;
    assert_false(owner_lives(&self));
}

static void test_forged_holder_is_not_named(void **data)
{
    static const char *const lies[] = {"1 1 00000000-0000-0000-0000-000000000000\n",
                                       "999999999999999999999999 1 x", "-1", "", "%s%n%s %n %s\n"};
    struct lock *lock = take(LOCK_RESYNC);
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        FILE *file = fopen(fixture_path(*data, "locks/resync.lock"), "w");
        assert_non_null(file);
        assert_true(fputs(lies[i], file) >= 0);
        assert_int_equal(fclose(file), 0);
        assert_refused(LOCK_RESYNC, VSS_E_RESYNC_IN_PROGRESS, "does not name");
    }
    lock_release(lock);
}

#define LOCK_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOCK_TEST(test_each_kind_is_exclusive),
        LOCK_TEST(test_each_scratch_lun_has_a_lock),
        LOCK_TEST(test_lock_dies_with_its_holder_not_its_helper),
        LOCK_TEST(test_programs_do_not_inherit),
        LOCK_TEST(test_users_share_the_locks),
        LOCK_TEST(test_named_directory_keeps_its_mode),
        LOCK_TEST(test_what_others_put_there_is_refused),
        LOCK_TEST(test_linked_directory_is_refused),
        LOCK_TEST(test_where_locks_lie),
        LOCK_TEST(test_removed_file_is_made_anew),
        LOCK_TEST(test_an_owner_of_an_unknown_boot_may_live),
        LOCK_TEST(test_forged_holder_is_not_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
