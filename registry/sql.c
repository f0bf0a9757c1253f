/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/sql.h"

#include "common/id.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool is_out_of_space(sqlite3 *db, int status)
{
    int primary = status & 0xff;
    if (primary == SQLITE_FULL || status == SQLITE_IOERR_SHMSIZE) {
        return true;
    }
    if (!db || (primary != SQLITE_IOERR && primary != SQLITE_CANTOPEN)) {
        return false;
    }
    int errnum = sqlite3_system_errno(db);
    return errnum == ENOSPC || errnum == EDQUOT;
}

static const char *advice(int primary)
{
    switch (primary) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return "another process keeps it locked, try again when that one is done";
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return "it is damaged or no registry: bring it back from a backup, or move it away to "
               "begin "
               "an empty one that knows no shadow copies";
    case SQLITE_IOERR:
        return "look for disk errors in the kernel's log";
    default:
        return "report this with the text above";
    }
}

HRESULT sql_failure(sqlite3 *db, const char *path, int status, const char *what, struct error *err)
{
    int primary = status & 0xff;
    const char *reason = db ? sqlite3_errmsg(db) : sqlite3_errstr(status);
    if (primary == SQLITE_NOMEM || status == SQLITE_IOERR_NOMEM) {
        return error_set(err, E_OUTOFMEMORY, "the registry %s %s: out of memory", path, what);
    }
    if (is_out_of_space(db, status)) {
        return error_set(err, VSS_E_INSUFFICIENT_STORAGE,
                         "the registry %s %s: %s; free space on its filesystem", path, what,
                         reason);
    }
    switch (primary) {
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_CANTOPEN:
    case SQLITE_AUTH:
        return error_set(err, E_ACCESSDENIED,
                         "the registry %s %s: %s; this user must be able to write to it and to its "
                         "directory",
                         path, what, reason);
    default:
        return error_set(err, VSS_E_UNEXPECTED, "the registry %s %s: %s (SQLite %d); %s", path,
                         what, reason, status, advice(primary));
    }
}

static HRESULT fail(struct sql_statement *s, struct error *err)
{
    bool is_reading = s->handle && sqlite3_stmt_readonly(s->handle);
    return sql_failure(s->store->db, s->store->path, s->status,
                       is_reading ? "cannot be read" : "cannot be written", err);
}

HRESULT sql_exec(struct store *store, const char *text, struct error *err)
{
    int status = sqlite3_exec(store->db, text, NULL, NULL, NULL);
    if (status != SQLITE_OK) {
        return sql_failure(store->db, store->path, status, "cannot be used", err);
    }
    return S_OK;
}

void *sql_grow(void *items, size_t count, size_t item_bytes)
{
    bool is_full = (count & (count - 1)) == 0; /* capacities are powers of two */
    if (!is_full) {
        return items;
    }
    return reallocarray(items, count ? count * 2 : 1, item_bytes);
}

static HRESULT prepare(struct store *store, const char *text, sqlite3_stmt **out, struct error *err)
{
    struct sql_cached *grown = sql_grow(store->cached, store->cached_count, sizeof(*store->cached));
    if (!grown) {
        return error_set(err, E_OUTOFMEMORY, "out of memory");
    }
    store->cached = grown;
    int status = sqlite3_prepare_v3(store->db, text, -1, SQLITE_PREPARE_PERSISTENT, out, NULL);
    if (status != SQLITE_OK) {
        return sql_failure(store->db, store->path, status, "cannot be used", err);
    }
    store->cached[store->cached_count].text = text;
    store->cached[store->cached_count].handle = *out;
    store->cached_count++;
    return S_OK;
}

HRESULT sql_use(struct store *store, const char *text, struct sql_statement *out, struct error *err)
{
    *out = (struct sql_statement)SQL_STATEMENT_INIT;
    sqlite3_stmt *handle = NULL;
    for (size_t i = 0; i < store->cached_count && !handle; i++) {
        if (store->cached[i].text == text) {
            handle = store->cached[i].handle;
        }
    }
    if (!handle) {
        HRESULT hr = prepare(store, text, &handle, err);
        if (FAILED(hr)) {
            return hr;
        }
    }
    assert(!sqlite3_stmt_busy(handle));
    out->store = store;
    out->handle = handle;
    return S_OK;
}

static void keep_status(struct sql_statement *s, int status)
{
    if (s->status == SQLITE_OK) {
        s->status = status;
    }
}

void sql_add_text(struct sql_statement *s, const char *text)
{
    keep_status(s, sqlite3_bind_text(s->handle, ++s->position, text, -1, SQLITE_STATIC));
}

void sql_add_blob(struct sql_statement *s, const void *data, size_t bytes)
{
    keep_status(s, sqlite3_bind_blob64(s->handle, ++s->position, data, bytes, SQLITE_STATIC));
}

void sql_add_int(struct sql_statement *s, int64_t value)
{
    keep_status(s, sqlite3_bind_int64(s->handle, ++s->position, value));
}

void sql_add_uint(struct sql_statement *s, uint64_t value)
{
    sql_add_int(s, (int64_t)value);
}

void sql_add_id(struct sql_statement *s, const VSS_ID *id)
{
    char text[ID_TEXT_BYTES];
    (void)id_text(id, text);
    keep_status(s, sqlite3_bind_text(s->handle, ++s->position, text, -1, SQLITE_TRANSIENT));
}

HRESULT sql_next(struct sql_statement *s, struct error *err)
{
    if (s->status != SQLITE_OK) {
        return fail(s, err);
    }
    s->position = -1;
    int status = sqlite3_step(s->handle);
    if (status == SQLITE_ROW) {
        return S_OK;
    }
    if (status == SQLITE_DONE) {
        return S_FALSE;
    }
    s->status = status;
    return fail(s, err);
}

HRESULT sql_run(struct sql_statement *s, struct error *err)
{
    HRESULT hr = S_OK;
    while (hr == S_OK) {
        hr = sql_next(s, err);
    }
    sql_end(s);
    return FAILED(hr) ? hr : S_OK;
}

int64_t sql_get_int(struct sql_statement *s)
{
    return sqlite3_column_int64(s->handle, ++s->position);
}

uint64_t sql_get_uint(struct sql_statement *s)
{
    return (uint64_t)sql_get_int(s);
}

int32_t sql_get_int32(struct sql_statement *s)
{
    int64_t value = sql_get_int(s);
    if (value < INT32_MIN || value > INT32_MAX) {
        keep_status(s, SQLITE_MISMATCH);
        return 0;
    }
    return (int32_t)value;
}

uint32_t sql_get_uint32(struct sql_statement *s)
{
    int64_t value = sql_get_int(s);
    if (value < 0 || value > UINT32_MAX) {
        keep_status(s, SQLITE_MISMATCH);
        return 0;
    }
    return (uint32_t)value;
}

/* NULL for a NULL column; a column that should have bytes and has none means that memory ran out.
 */
static const unsigned char *column_text(struct sql_statement *s)
{
    s->position++;
    if (sqlite3_column_type(s->handle, s->position) == SQLITE_NULL) {
        return NULL;
    }
    const unsigned char *text = sqlite3_column_text(s->handle, s->position);
    if (!text) {
        keep_status(s, SQLITE_NOMEM);
    }
    return text;
}

const char *sql_get_borrowed(struct sql_statement *s)
{
    const char *text = (const char *)column_text(s);
    return text ? text : "";
}

void sql_get_text(struct sql_statement *s, char **out)
{
    const char *text = (const char *)column_text(s);
    *out = text ? strdup(text) : NULL;
    if (text && !*out) {
        keep_status(s, SQLITE_NOMEM);
    }
}

void sql_get_blob(struct sql_statement *s, uint8_t **out, size_t *out_bytes)
{
    *out = NULL;
    *out_bytes = 0;
    s->position++;
    const void *data = sqlite3_column_blob(s->handle, s->position);
    size_t bytes = (size_t)sqlite3_column_bytes(s->handle, s->position);
    if (!data || bytes == 0) {
        return;
    }
    *out = malloc(bytes);
    if (!*out) {
        keep_status(s, SQLITE_NOMEM);
        return;
    }
    memcpy(*out, data, bytes);
    *out_bytes = bytes;
}

void sql_get_id(struct sql_statement *s, VSS_ID *out)
{
    if (!id_parse(sql_get_borrowed(s), out)) {
        *out = id_null;
        keep_status(s, SQLITE_MISMATCH);
    }
}

HRESULT sql_get_json(struct sql_statement *s, json_t **out, struct error *err)
{
    *out = NULL;
    json_error_t problem;
    const char *text = sql_get_borrowed(s);
    if (s->status == SQLITE_NOMEM) {
        return error_set(err, E_OUTOFMEMORY, "out of memory while reading the registry");
    }
    *out = json_loads(text, JSON_REJECT_DUPLICATES, &problem);
    if (*out) {
        return S_OK;
    }
    if (json_error_code(&problem) == json_error_out_of_memory) {
        return error_set(err, E_OUTOFMEMORY, "out of memory while reading the registry");
    }
    return error_set(err, VSS_E_UNEXPECTED, "not JSON from byte %d on", problem.position);
}

char *sql_json_text(json_t *json)
{
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    return text;
}

int64_t sql_changed_rows(struct store *store)
{
    return sqlite3_changes64(store->db);
}

HRESULT sql_row_check(struct sql_statement *s, const char *table, const VSS_ID *id,
                      struct error *err)
{
    if (s->status == SQLITE_OK) {
        return S_OK;
    }
    if (s->status == SQLITE_NOMEM) {
        return error_set(err, E_OUTOFMEMORY, "out of memory while reading the registry");
    }
    char text[ID_TEXT_BYTES];
    return error_set(err, VSS_E_UNEXPECTED,
                     "the registry %s: table %s: the row of %s holds an id or a number that cannot "
                     "be one; bring the registry back from a backup",
                     s->store->path, table, id_text(id, text));
}

void sql_end(struct sql_statement *s)
{
    if (s->handle) {
        (void)sqlite3_reset(s->handle); /* repeats the failure of the last step */
        (void)sqlite3_clear_bindings(s->handle);
    }
    *s = (struct sql_statement)SQL_STATEMENT_INIT;
}

/* What ends or undoes something must not fail for want of memory, or it would stay open and keep
 * others out: these are prepared with the registry's opening. */
static const char commit_text[] = "COMMIT";
static const char rollback_text[] = "ROLLBACK";
static const char release_joined_text[] = "RELEASE joined";
static const char undo_joined_text[] = "ROLLBACK TO joined";
static const char release_reading_text[] = "RELEASE reading";

HRESULT sql_prepare_ends(struct store *store, struct error *err)
{
    static const char *const texts[] = {commit_text, rollback_text, release_joined_text,
                                        undo_joined_text, release_reading_text};
    struct sql_statement unused;
    HRESULT hr = S_OK;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]) && SUCCEEDED(hr); i++) {
        hr = sql_use(store, texts[i], &unused, err);
    }
    return hr;
}

static HRESULT run_end(struct store *store, const char *text, struct error *err)
{
    struct sql_statement s;
    HRESULT hr = sql_use(store, text, &s, err);
    if (FAILED(hr)) {
        return hr;
    }
    int status = sqlite3_step(s.handle);
    if (status != SQLITE_DONE) {
        hr = sql_failure(store->db, store->path, status, "cannot be used", err);
    }
    (void)sqlite3_reset(s.handle);
    return hr;
}

/* SQLite undoes a whole transaction by itself on some failures (disk full, I/O error). */
static HRESULT check_still_open(struct store *store, struct error *err)
{
    if (sqlite3_get_autocommit(store->db)) {
        return error_set(err, VSS_E_UNEXPECTED,
                         "the registry %s: an earlier failure has undone this transaction; nothing "
                         "of it was stored, repeat it",
                         store->path);
    }
    return S_OK;
}

HRESULT store_begin(struct store *store, struct error *err)
{
    if (store->in_transaction) {
        return error_set(err, VSS_E_BAD_STATE, "the registry %s: a transaction is open already",
                         store->path);
    }
    /* Immediate: a later change from reading to writing could fail with no way to wait for it. */
    HRESULT hr = sql_exec(store, "BEGIN IMMEDIATE", err);
    if (SUCCEEDED(hr)) {
        store->in_transaction = true;
    }
    return hr;
}

HRESULT store_commit(struct store *store, struct error *err)
{
    if (!store->in_transaction) {
        return error_set(err, VSS_E_BAD_STATE, "the registry %s: no transaction is open",
                         store->path);
    }
    HRESULT hr = check_still_open(store, err);
    if (SUCCEEDED(hr)) {
        hr = run_end(store, commit_text, err);
    }
    if (FAILED(hr)) {
        store_rollback(store);
        return hr;
    }
    store->in_transaction = false;
    return S_OK;
}

void store_rollback(struct store *store)
{
    if (store->in_transaction && !sqlite3_get_autocommit(store->db)) {
        (void)run_end(store, rollback_text, NULL);
    }
    store->in_transaction = false;
}

HRESULT store_end(struct store *store, HRESULT hr, struct error *err)
{
    if (SUCCEEDED(hr)) {
        return store_commit(store, err);
    }
    store_rollback(store);
    return hr;
}

HRESULT sql_write_begin(struct store *store, struct error *err)
{
    if (!store->in_transaction) {
        return sql_exec(store, "BEGIN IMMEDIATE", err);
    }
    HRESULT hr = check_still_open(store, err);
    if (FAILED(hr)) {
        return hr;
    }
    return sql_exec(store, "SAVEPOINT joined", err);
}

static void undo_write(struct store *store)
{
    if (sqlite3_get_autocommit(store->db)) {
        return;
    }
    (void)run_end(store, store->in_transaction ? undo_joined_text : rollback_text, NULL);
    if (store->in_transaction) {
        (void)run_end(store, release_joined_text, NULL);
    }
}

HRESULT sql_write_end(struct store *store, HRESULT hr, struct error *err)
{
    if (SUCCEEDED(hr)) {
        HRESULT end =
            run_end(store, store->in_transaction ? release_joined_text : commit_text, err);
        hr = FAILED(end) ? end : hr;
    }
    if (FAILED(hr)) {
        undo_write(store);
    }
    return hr;
}

HRESULT sql_read_begin(struct store *store, struct error *err)
{
    return sql_exec(store, "SAVEPOINT reading", err);
}

void sql_read_end(struct store *store)
{
    if (!sqlite3_get_autocommit(store->db)) {
        (void)run_end(store, release_reading_text, NULL);
    }
}
