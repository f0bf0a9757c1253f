/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/store.h"

#include "common/buffer.h"
#include "common/clock.h"
#include "registry/schema.h"
#include "registry/sql.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_NAME       "registry.db"
#define BUSY_TIMEOUT_MS 10000
#define BUSY_PAUSE_MS   10
#define SMALLEST_BYTES  512 /* a database of one page of the smallest size */
/* What a resync journals per LUN may be megabytes: the log is cut back to this afterwards. */
#define SETTINGS                                                                                   \
    "PRAGMA synchronous=FULL;"                                                                     \
    "PRAGMA foreign_keys=ON;"                                                                      \
    "PRAGMA trusted_schema=OFF;"                                                                   \
    "PRAGMA cell_size_check=ON;"                                                                   \
    "PRAGMA journal_size_limit=4194304;"

static HRESULT own_path(const char *variable, const char *value, const char *below, char **out,
                        struct error *err)
{
    if (value[0] != '/') {
        return error_set(err, E_INVALIDARG,
                         "%s is \"%s\", which does not begin with /: set it to an absolute path",
                         variable, value);
    }
    *out = text_printf("%s%s", value, below);
    return *out ? S_OK : error_set(err, E_OUTOFMEMORY, "out of memory");
}

HRESULT store_directory(char **out, struct error *err)
{
    *out = NULL;
    const char *own = getenv("LUNSHADOW_STATE_DIR");
    if (own && *own) {
        return own_path("LUNSHADOW_STATE_DIR", own, "", out, err);
    }
    if (geteuid() == 0) {
        return own_path("", "/var/lib/lunshadow", "", out, err);
    }
    const char *state = getenv("XDG_STATE_HOME");
    if (state && state[0] == '/') {
        return own_path("XDG_STATE_HOME", state, "/lunshadow", out, err);
    }
    const char *home = getenv("HOME");
    return own_path("HOME", home ? home : "", "/.local/state/lunshadow", out, err);
}

/* A new entry counts only once its directory is on the disk. Not every filesystem can do it. */
static void sync_directory(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        (void)close(fd);
    }
}

static HRESULT make_one(const char *path, const char *parent, struct error *err)
{
    if (mkdir(path, 0700) == 0) {
        sync_directory(parent);
        return S_OK;
    }
    int reason = errno;
    struct stat st;
    /* What is there already may answer EROFS or EACCES instead of EEXIST. */
    if (stat(path, &st) == 0) {
        return S_OK;
    }
    return error_set_errno(err, reason, "the state directory %s cannot be made", path);
}

/* Makes path and what is missing above it. */
static HRESULT make_directories(const char *path, struct error *err)
{
    char *walked = text_copy(path);
    char *parent = text_copy(path);
    HRESULT hr = walked && parent ? S_OK : error_set(err, E_OUTOFMEMORY, "out of memory");
    for (size_t i = 1; SUCCEEDED(hr) && path[i - 1]; i++) {
        bool is_end = (path[i] == '/' || path[i] == '\0') && path[i - 1] != '/';
        if (!is_end) {
            continue;
        }
        walked[i] = '\0';
        size_t cut = i;
        while (cut > 0 && path[cut - 1] != '/') {
            cut--;
        }
        (void)memcpy(parent, path, cut);
        parent[cut] = '\0';
        hr = make_one(walked, cut ? parent : ".", err);
        walked[i] = path[i];
    }
    free(walked);
    free(parent);
    return hr;
}

static HRESULT check_directory(const char *path, struct stat *out, struct error *err)
{
    if (stat(path, out) != 0) {
        return error_set_errno(err, errno, "the state directory %s cannot be used", path);
    }
    if (!S_ISDIR(out->st_mode)) {
        return error_set(err, VSS_E_UNEXPECTED,
                         "the state directory %s is not a directory: name another one, or move "
                         "what is there away",
                         path);
    }
    if (out->st_mode & S_IWOTH) {
        return error_set(err, E_ACCESSDENIED,
                         "the state directory %s may be written to by everybody, so nothing in it "
                         "can be trusted: use a directory of your own (chmod 0700)",
                         path);
    }
    if (faccessat(AT_FDCWD, path, R_OK | W_OK | X_OK, AT_EACCESS) != 0) {
        return error_set_errno(err, errno,
                               "the state directory %s belongs to user %u and is not writable for "
                               "user %u: run as its owner or as a member of its group",
                               path, (unsigned)out->st_uid, (unsigned)geteuid());
    }
    return S_OK;
}

/* Who may use the directory may use the file: its group, where the directory hands its group down.
 */
static mode_t file_mode(const struct stat *directory)
{
    bool is_shared = (directory->st_mode & S_IWGRP) && (directory->st_mode & S_ISGID);
    return is_shared ? 0660 : 0600;
}

/* Asks again every few milliseconds: SQLite's own way ends in pauses of 100 ms, and a process that
 * writes without a break lets go for far less between its transactions. */
static int wait_for_lock(void *user, int tries)
{
    struct store *store = user;
    uint64_t now = clock_monotonic_us();
    uint16_t random = 0;
    if (tries == 0) {
        store->waits_since_us = now;
    }
    if (now - store->waits_since_us >= (uint64_t)BUSY_TIMEOUT_MS * 1000) {
        return 0;
    }
    (void)getrandom(&random, sizeof(random), GRND_NONBLOCK);
    clock_sleep_ms(1 + random % BUSY_PAUSE_MS);
    return 1;
}

static HRESULT connect_file(struct store *store, struct error *err)
{
    int flags =
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE;
    int status = sqlite3_open_v2(store->path, &store->db, flags, NULL);
    if (status != SQLITE_OK) {
        return sql_failure(store->db, store->path, status, "cannot be opened", err);
    }
    (void)sqlite3_db_config(store->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_busy_handler(store->db, wait_for_lock, store);
    if (sqlite3_db_readonly(store->db, "main") != 0) {
        return error_set(err, E_ACCESSDENIED,
                         "the registry %s can only be read: make it writable for this user, or its "
                         "filesystem writable",
                         store->path);
    }
    return sql_exec(store, SETTINGS, err);
}

/* Two processes that meet at a fresh file can each find it locked without SQLite waiting. */
static HRESULT switch_to_wal(struct store *store, struct error *err)
{
    uint64_t deadline_us = clock_monotonic_us() + (uint64_t)BUSY_TIMEOUT_MS * 1000;
    for (;;) {
        sqlite3_stmt *statement = NULL;
        int status = sqlite3_prepare_v2(store->db, "PRAGMA journal_mode=WAL", -1, &statement, NULL);
        if (status == SQLITE_OK) {
            status = sqlite3_step(statement);
        }
        const unsigned char *mode = status == SQLITE_ROW ? sqlite3_column_text(statement, 0) : NULL;
        bool is_wal = mode && strcmp((const char *)mode, "wal") == 0;
        (void)sqlite3_finalize(statement);
        if (is_wal) {
            return S_OK;
        }
        if (status == SQLITE_ROW) {
            return error_set(err, VSS_E_UNEXPECTED,
                             "the registry %s cannot use a write-ahead log: put the state "
                             "directory on a local filesystem",
                             store->path);
        }
        if ((status & 0xff) != SQLITE_BUSY || clock_monotonic_us() > deadline_us) {
            return sql_failure(store->db, store->path, status, "cannot be opened", err);
        }
        clock_sleep_ms(5);
    }
}

static void close_database(struct store *store)
{
    for (size_t i = 0; i < store->cached_count; i++) {
        (void)sqlite3_finalize(store->cached[i].handle);
    }
    free(store->cached);
    (void)sqlite3_close_v2(store->db);
    store->cached = NULL;
    store->cached_count = 0;
    store->db = NULL;
}

/* Nothing is written to a file before it is known to be a registry. */
static HRESULT open_database(struct store *store, struct error *err)
{
    HRESULT hr = connect_file(store, err);
    if (SUCCEEDED(hr)) {
        hr = schema_check(store, err);
    }
    if (SUCCEEDED(hr)) {
        hr = switch_to_wal(store, err);
    }
    if (SUCCEEDED(hr)) {
        hr = schema_upgrade(store, err);
    }
    if (SUCCEEDED(hr)) {
        hr = sql_prepare_ends(store, err);
    }
    return hr;
}

static HRESULT create_database(const char *path, struct error *err)
{
    struct store fresh = {0};
    fresh.path = text_copy(path);
    HRESULT hr =
        fresh.path ? connect_file(&fresh, err) : error_set(err, E_OUTOFMEMORY, "out of memory");
    if (SUCCEEDED(hr)) {
        hr = schema_create(&fresh, err);
    }
    if (SUCCEEDED(hr)) {
        hr = switch_to_wal(&fresh, err);
    }
    close_database(&fresh);
    free(fresh.path);
    return hr;
}

/* An empty file with the right mode and owner. It is never opened here, for closing a descriptor
 * would drop the locks that SQLite has on it. */
static HRESULT make_empty(const char *path, const struct stat *directory, struct error *err)
{
    bool is_done = mknod(path, S_IFREG | 0600, 0) == 0 &&
                   fchmodat(AT_FDCWD, path, file_mode(directory), AT_SYMLINK_NOFOLLOW) == 0;
    if (is_done && geteuid() == 0 && directory->st_uid != 0) {
        is_done = lchown(path, directory->st_uid, directory->st_gid) == 0;
    }
    return is_done ? S_OK : error_set_errno(err, errno, "the registry %s cannot be made", path);
}

/* Builds the registry under a name of its own, then links it: nobody ever sees it half made, so
 * that an empty one is known to be damaged, not new. Who comes second takes what the first has
 * made. */
static HRESULT make_file(const char *path, const struct stat *directory, struct error *err)
{
    char *own = text_printf("%s.new-%ld-%llx", path, (long)gettid(),
                            (unsigned long long)clock_monotonic_us());
    if (!own) {
        return error_set(err, E_OUTOFMEMORY, "out of memory");
    }
    HRESULT hr = make_empty(own, directory, err);
    if (SUCCEEDED(hr)) {
        hr = create_database(own, err);
    }
    if (SUCCEEDED(hr) && link(own, path) != 0 && errno != EEXIST) {
        hr = error_set_errno(err, errno, "the registry %s cannot be made", path);
    }
    (void)unlink(own);
    free(own);
    return hr;
}

static HRESULT check_file(const char *path, const struct stat *st, struct error *err)
{
    if (!S_ISREG(st->st_mode)) {
        return error_set(err, E_ACCESSDENIED,
                         "the registry %s is not a plain file (a link, a directory or a device): "
                         "look who put it there, and remove it",
                         path);
    }
    if (st->st_mode & S_IWOTH) {
        return error_set(err, E_ACCESSDENIED,
                         "the registry %s may be written to by everybody, so it cannot be trusted: "
                         "look what is in it, then chmod 0600",
                         path);
    }
    if (faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS) != 0) {
        return error_set_errno(err, errno, "the registry %s belongs to user %u and is not writable",
                               path, (unsigned)st->st_uid);
    }
    /* SQLite would take it for a new database, and all shadow copies would be forgotten unsaid. */
    if (st->st_size < SMALLEST_BYTES) {
        return error_set(err, VSS_E_UNEXPECTED,
                         "the registry %s is empty or cut short: bring it back from a backup, or "
                         "move it away to begin an empty one that knows no shadow copies",
                         path);
    }
    return S_OK;
}

static HRESULT prepare_file(const char *path, const struct stat *directory, const char *parent,
                            struct error *err)
{
    struct stat st;
    HRESULT hr = S_OK;
    if (lstat(path, &st) != 0) {
        if (errno != ENOENT) {
            return error_set_errno(err, errno, "the registry %s cannot be used", path);
        }
        hr = make_file(path, directory, err);
        if (FAILED(hr)) {
            return hr;
        }
        sync_directory(parent);
        if (lstat(path, &st) != 0) {
            return error_set_errno(err, errno, "the registry %s cannot be used", path);
        }
    }
    return check_file(path, &st, err);
}

static HRESULT set_paths(struct store *store, const char *directory, struct error *err)
{
    /* Resolved here, because SQLite is told to follow no link at all. */
    store->directory = realpath(directory, NULL);
    if (!store->directory) {
        return error_set_errno(err, errno, "the state directory %s cannot be used", directory);
    }
    store->path = text_printf("%s/%s", store->directory, FILE_NAME);
    return store->path ? S_OK : error_set(err, E_OUTOFMEMORY, "out of memory");
}

static HRESULT note_file(struct store *store, struct error *err)
{
    struct stat st;
    if (lstat(store->path, &st) != 0) {
        return error_set_errno(err, errno, "the registry %s cannot be used", store->path);
    }
    store->device = st.st_dev;
    store->inode = st.st_ino;
    return S_OK;
}

HRESULT store_check_place(const struct store *store, struct error *err)
{
    struct stat st;
    if (lstat(store->path, &st) == 0 && st.st_dev == store->device && st.st_ino == store->inode) {
        return S_OK;
    }
    return error_set(err, VSS_E_UNEXPECTED,
                     "the registry %s was removed or replaced while it was in use: bring it back "
                     "before anything else is done, and begin a new session",
                     store->path);
}

HRESULT store_open(const char *directory, struct store **out, struct error *err)
{
    *out = NULL;
    HRESULT hr = S_OK;
    struct stat st;
    char *standard = NULL;
    struct store *store = calloc(1, sizeof(*store));
    if (!store) {
        return error_set(err, E_OUTOFMEMORY, "out of memory");
    }
    if (!directory) {
        hr = store_directory(&standard, err);
        if (FAILED(hr)) {
            goto out;
        }
        directory = standard;
    }
    hr = make_directories(directory, err);
    if (FAILED(hr)) {
        goto out;
    }
    hr = check_directory(directory, &st, err);
    if (FAILED(hr)) {
        goto out;
    }
    hr = set_paths(store, directory, err);
    if (FAILED(hr)) {
        goto out;
    }
    hr = prepare_file(store->path, &st, store->directory, err);
    if (FAILED(hr)) {
        goto out;
    }
    hr = open_database(store, err);
    if (FAILED(hr)) {
        goto out;
    }
    hr = note_file(store, err);
    if (FAILED(hr)) {
        goto out;
    }
    *out = store;
    store = NULL;

out:
    store_close(store);
    free(standard);
    return hr;
}

void store_close(struct store *store)
{
    if (!store) {
        return;
    }
    if (store->db) {
        store_rollback(store);
    }
    close_database(store);
    free(store->directory);
    free(store->path);
    free(store);
}

HRESULT store_check_caller(const char *directory, struct error *err)
{
    if (faccessat(AT_FDCWD, directory, R_OK | W_OK | X_OK, AT_EACCESS) == 0 || errno != EACCES) {
        return S_OK;
    }
    return error_set(err, E_ACCESSDENIED,
                     "user %u may not use the state directory %s: ask as its owner or as a member "
                     "of its group",
                     (unsigned)geteuid(), directory);
}

const char *store_path(const struct store *store)
{
    return store->directory;
}
