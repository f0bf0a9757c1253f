/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/schema.h"

#include "registry/sql.h"

#include <stdio.h>

/* Ids are lower-case text, times FILETIME, 64-bit unsigned numbers their signed twins. A set's rows
 * hang on seq, which also is its age. Extents hang on the snapshot's id, so that removing one
 * snapshot renumbers nothing. */
static const char version_1[] =
    "CREATE TABLE sets("
    " seq INTEGER PRIMARY KEY AUTOINCREMENT,"
    " set_id TEXT NOT NULL UNIQUE,"
    " context INTEGER NOT NULL,"
    " originating_machine TEXT,"
    " service_machine TEXT,"
    " cut_us INTEGER NOT NULL,"
    " hold_us INTEGER NOT NULL) STRICT;"
    "CREATE TABLE luns("
    " set_seq INTEGER NOT NULL REFERENCES sets(seq) ON DELETE CASCADE,"
    " lun_index INTEGER NOT NULL,"
    " provider TEXT,"
    " array TEXT,"
    " source_url TEXT,"
    " copy_url TEXT,"
    " source TEXT NOT NULL,"
    " copy TEXT NOT NULL,"
    " source_ids TEXT NOT NULL,"
    " copy_ids TEXT NOT NULL,"
    " block_bytes INTEGER NOT NULL,"
    " block_count INTEGER NOT NULL,"
    " state BLOB,"
    " is_empty INTEGER NOT NULL,"
    " PRIMARY KEY(set_seq, lun_index)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE snapshots("
    " set_seq INTEGER NOT NULL REFERENCES sets(seq) ON DELETE CASCADE,"
    " snapshot_index INTEGER NOT NULL,"
    " snapshot_id TEXT NOT NULL UNIQUE,"
    " provider_id TEXT NOT NULL,"
    " original_volume TEXT,"
    " device TEXT,"
    " exposed_name TEXT,"
    " exposed_path TEXT,"
    " attributes INTEGER NOT NULL,"
    " status INTEGER NOT NULL,"
    " created INTEGER NOT NULL,"
    " PRIMARY KEY(set_seq, snapshot_index)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE extents("
    " snapshot_id TEXT NOT NULL REFERENCES snapshots(snapshot_id) ON DELETE CASCADE,"
    " extent_index INTEGER NOT NULL,"
    " lun_index INTEGER NOT NULL,"
    " first_lba INTEGER NOT NULL,"
    " block_count INTEGER NOT NULL,"
    " volume_offset_blocks INTEGER NOT NULL,"
    " PRIMARY KEY(snapshot_id, extent_index)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE disk_ids("
    " seq INTEGER PRIMARY KEY AUTOINCREMENT,"
    " lun_key TEXT NOT NULL,"
    " first_read INTEGER NOT NULL,"
    " last_read INTEGER NOT NULL,"
    " ids TEXT NOT NULL) STRICT;"
    "CREATE INDEX disk_ids_by_lun ON disk_ids(lun_key, seq);"
    "CREATE TABLE providers("
    " provider_id TEXT NOT NULL PRIMARY KEY,"
    " version_id TEXT NOT NULL,"
    " name TEXT,"
    " version TEXT,"
    " type INTEGER NOT NULL,"
    " path TEXT) STRICT, WITHOUT ROWID;"
    "CREATE TABLE recoveries("
    " seq INTEGER PRIMARY KEY AUTOINCREMENT,"
    " resync_id TEXT NOT NULL UNIQUE,"
    " set_id TEXT NOT NULL,"
    " started INTEGER NOT NULL,"
    " ended INTEGER NOT NULL,"
    " flags INTEGER NOT NULL,"
    " result INTEGER NOT NULL,"
    " members TEXT NOT NULL) STRICT;"
    "CREATE TABLE journal_entries("
    " seq INTEGER PRIMARY KEY AUTOINCREMENT,"
    " entry_id TEXT NOT NULL UNIQUE,"
    " operation INTEGER NOT NULL,"
    " object_id TEXT NOT NULL,"
    " opened INTEGER NOT NULL,"
    " boot_id TEXT NOT NULL,"
    " pid INTEGER NOT NULL,"
    " pid_start INTEGER NOT NULL,"
    " description TEXT,"
    " destination_invalid INTEGER NOT NULL) STRICT;"
    "CREATE TABLE journal_steps("
    " seq INTEGER PRIMARY KEY AUTOINCREMENT,"
    " entry_seq INTEGER NOT NULL REFERENCES journal_entries(seq) ON DELETE CASCADE,"
    " time INTEGER NOT NULL,"
    " name TEXT NOT NULL,"
    " lun_key TEXT,"
    " data BLOB) STRICT;"
    "CREATE INDEX journal_steps_by_entry ON journal_steps(entry_seq, seq);"
    "CREATE TABLE events("
    " seq INTEGER PRIMARY KEY AUTOINCREMENT,"
    " time INTEGER NOT NULL,"
    " level INTEGER NOT NULL,"
    " code INTEGER NOT NULL,"
    " object_id TEXT NOT NULL,"
    " text TEXT NOT NULL) STRICT;";

/* rank is the order of registration, from 1, and registered its time; both 0 for a provider that
 * was only seen in a configuration. */
static const char version_2[] =
    "ALTER TABLE providers ADD COLUMN abi_major INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE providers ADD COLUMN abi_minor INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE providers ADD COLUMN registered INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE providers ADD COLUMN rank INTEGER NOT NULL DEFAULT 0;";

/* Auto-release sets belong to a process: owner, as in journal_entries. A safety copy of what a
 * resync overwrote is a set like any other. */
static const char version_3[] =
    "CREATE TABLE set_owners("
    " set_seq INTEGER NOT NULL PRIMARY KEY REFERENCES sets(seq) ON DELETE CASCADE,"
    " boot_id TEXT NOT NULL,"
    " pid INTEGER NOT NULL,"
    " pid_start INTEGER NOT NULL) STRICT;"
    "CREATE TABLE safety_copies("
    " set_seq INTEGER NOT NULL PRIMARY KEY REFERENCES sets(seq) ON DELETE CASCADE,"
    " resync_id TEXT NOT NULL,"
    " taken INTEGER NOT NULL) STRICT;";

/* What read or wrote the ids; NULL in rows from before. */
static const char version_4[] = "ALTER TABLE disk_ids ADD COLUMN why TEXT;";

/* The step at index N leads from version N to N + 1. A released step is never changed: append. */
static const char *const steps[] = {version_1, version_2, version_3, version_4};

#define SCHEMA_VERSION ((int64_t)(sizeof(steps) / sizeof(steps[0])))

struct header {
    int64_t application_id;
    int64_t version;
};

static HRESULT read_number(struct store *store, const char *text, int64_t *out, struct error *err)
{
    *out = 0;
    sqlite3_stmt *statement = NULL;
    int status = sqlite3_prepare_v2(store->db, text, -1, &statement, NULL);
    if (status == SQLITE_OK) {
        status = sqlite3_step(statement);
    }
    if (status == SQLITE_ROW) {
        *out = sqlite3_column_int64(statement, 0);
    }
    HRESULT hr = S_OK;
    if (status != SQLITE_ROW && status != SQLITE_DONE) {
        hr = sql_failure(store->db, store->path, status, "cannot be opened", err);
    }
    (void)sqlite3_finalize(statement);
    return hr;
}

static HRESULT read_header(struct store *store, struct header *out, struct error *err)
{
    HRESULT hr = read_number(store, "PRAGMA application_id", &out->application_id, err);
    if (SUCCEEDED(hr)) {
        hr = read_number(store, "PRAGMA user_version", &out->version, err);
    }
    return hr;
}

static HRESULT judge(const struct store *store, const struct header *header, struct error *err)
{
    if (header->application_id != SCHEMA_APPLICATION_ID || header->version < 0) {
        return error_set(err, VSS_E_UNEXPECTED,
                         "%s is a database of another program, not a registry: name another state "
                         "directory, or move the file away",
                         store->path);
    }
    if (header->version > SCHEMA_VERSION) {
        return error_set(err, VSS_E_UNEXPECTED,
                         "the registry %s is of version %lld, written by a newer lunshadow than "
                         "this one, which knows version %lld: use the newer one",
                         store->path, (long long)header->version, (long long)SCHEMA_VERSION);
    }
    return S_OK;
}

static HRESULT read_and_judge(struct store *store, struct header *out, struct error *err)
{
    HRESULT hr = sql_read_begin(store, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = read_header(store, out, err);
    sql_read_end(store);
    return SUCCEEDED(hr) ? judge(store, out, err) : hr;
}

HRESULT schema_check(struct store *store, struct error *err)
{
    struct header header = {0};
    return read_and_judge(store, &header, err);
}

static HRESULT run_steps(struct store *store, int64_t version, struct error *err)
{
    HRESULT hr = S_OK;
    for (int64_t v = version; v < SCHEMA_VERSION && SUCCEEDED(hr); v++) {
        hr = sql_exec(store, steps[v], err);
    }
    if (FAILED(hr)) {
        return hr;
    }
    char text[96];
    (void)snprintf(text, sizeof(text), "PRAGMA application_id=%d; PRAGMA user_version=%lld",
                   SCHEMA_APPLICATION_ID, (long long)SCHEMA_VERSION);
    return sql_exec(store, text, err);
}

HRESULT schema_create(struct store *store, struct error *err)
{
    HRESULT hr = sql_write_begin(store, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = run_steps(store, 0, err);
    return sql_write_end(store, hr, err);
}

HRESULT schema_upgrade(struct store *store, struct error *err)
{
    struct header header = {0};
    HRESULT hr = read_and_judge(store, &header, err);
    if (FAILED(hr) || header.version == SCHEMA_VERSION) {
        return hr;
    }
    hr = sql_write_begin(store, err);
    if (FAILED(hr)) {
        return hr;
    }
    /* Another process may have been first. */
    hr = read_and_judge(store, &header, err);
    if (SUCCEEDED(hr)) {
        hr = run_steps(store, header.version, err);
    }
    return sql_write_end(store, hr, err);
}
