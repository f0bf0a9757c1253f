/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_REGISTRY_SQL_H
#define LUNSHADOW_REGISTRY_SQL_H

#include "registry/store.h"

#include <jansson.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Private to this folder: what its tables share in speaking to SQLite. */

struct sql_cached {
    const char *text;
    sqlite3_stmt *handle;
};

struct store {
    sqlite3 *db;
    char *directory;
    char *path;   /* of registry.db */
    dev_t device; /* and the file that was there when it was opened */
    ino_t inode;
    bool in_transaction;
    uint64_t waits_since_us; /* for a lock that another process has */
    struct sql_cached *cached;
    size_t cached_count;
};

/* A statement in use. Parameters are added and columns read one after the other; the first thing
 * that goes wrong sticks in status and is reported by sql_next(), sql_run() or sql_row_check(). */
struct sql_statement {
    struct store *store;
    sqlite3_stmt *handle;
    int status;
    int position; /* of the parameter or column that was touched last */
};

#define SQL_STATEMENT_INIT                                                                         \
    {                                                                                              \
        NULL, NULL, SQLITE_OK, 0                                                                   \
    }

/* The one mapping of SQLite's results, extended codes included: NOMEM E_OUTOFMEMORY; READONLY,
 * PERM, CANTOPEN, AUTH E_ACCESSDENIED; FULL and every failure whose errno is ENOSPC or EDQUOT
 * VSS_E_INSUFFICIENT_STORAGE; all others VSS_E_UNEXPECTED. The text names the file and what to do.
 * db may be NULL. */
HRESULT sql_failure(sqlite3 *db, const char *path, int status, const char *what, struct error *err);

/* Runs text as it stands, several statements too. */
HRESULT sql_exec(struct store *store, const char *text, struct error *err);

/* Makes the statements that end transactions and undo them, so that doing it needs no memory. */
HRESULT sql_prepare_ends(struct store *store, struct error *err);

/* Prepares text, or takes it up again: text must be static, for a statement is kept with the
 * address of its text until the store closes. */
HRESULT sql_use(struct store *store, const char *text, struct sql_statement *out,
                struct error *err);

/* text, blob and id stay the caller's and must live until sql_end(). NULL text and blob are NULL.
 */
void sql_add_text(struct sql_statement *s, const char *text);
void sql_add_blob(struct sql_statement *s, const void *data, size_t bytes);
void sql_add_int(struct sql_statement *s, int64_t value);
void sql_add_uint(struct sql_statement *s, uint64_t value); /* all 64 bits come back */
void sql_add_id(struct sql_statement *s, const VSS_ID *id);

/* The next row: S_OK; S_FALSE past the last one. */
HRESULT sql_next(struct sql_statement *s, struct error *err);

/* Runs a statement whose rows nobody needs, and ends it. */
HRESULT sql_run(struct sql_statement *s, struct error *err);

/* Columns of the row, left to right. Copies are malloc'ed; NULL stays NULL. */
int64_t sql_get_int(struct sql_statement *s);
uint64_t sql_get_uint(struct sql_statement *s);
int32_t sql_get_int32(struct sql_statement *s);
uint32_t sql_get_uint32(struct sql_statement *s);
const char *sql_get_borrowed(struct sql_statement *s); /* "" for NULL; until the next row */
void sql_get_text(struct sql_statement *s, char **out);
void sql_get_blob(struct sql_statement *s, uint8_t **out, size_t *out_bytes);
void sql_get_id(struct sql_statement *s, VSS_ID *out);

/* A column of JSON text: a new reference, or VSS_E_UNEXPECTED saying where it stops being JSON. */
HRESULT sql_get_json(struct sql_statement *s, json_t **out, struct error *err);
/* The text to store; takes the reference. malloc'ed; NULL for NULL and when memory is short. */
char *sql_json_text(json_t *json);

/* After the columns of a row: S_OK, or what went wrong with them, naming the table and the id that
 * the row belongs to. */
HRESULT sql_row_check(struct sql_statement *s, const char *table, const VSS_ID *id,
                      struct error *err);

/* Lets go of the row and the parameters; harmless twice and on SQL_STATEMENT_INIT. */
void sql_end(struct sql_statement *s);

/* A writing function's own transaction, or a savepoint within the caller's. sql_write_end() undoes
 * what was written since where hr is a failure, and returns hr or what the commit made of it. */
HRESULT sql_write_begin(struct store *store, struct error *err);
HRESULT sql_write_end(struct store *store, HRESULT hr, struct error *err);

/* How many rows the last writing statement touched. */
int64_t sql_changed_rows(struct store *store);

/* One view of the database for several SELECTs. */
HRESULT sql_read_begin(struct store *store, struct error *err);
void sql_read_end(struct store *store);

/* Room for one more item behind count items; NULL when memory is short, items then as before. The
 * array must have grown by this function alone. */
void *sql_grow(void *items, size_t count, size_t item_bytes);

#endif
