/* SPDX-License-Identifier: Apache-2.0 */
#include "writers/postgresql/postgresql.h"

#include "common/buffer.h"
#include "common/clock.h"
#include "common/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define BACKUP_MODE_VERSION 150000 /* pg_backup_start() had another name before */

enum { COMMAND_MS = 20 * 60 * 1000, PING_MS = 200, STOPPED_MS = 10000 };

/* ---- asking ---- */

HRESULT server_connect(struct postgresql *pg, struct error *err)
{
    if (pg->connection && PQstatus(pg->connection) == CONNECTION_OK) {
        return S_OK;
    }
    server_disconnect(pg);
    const char *options = getenv("PGDATABASE") ? "connect_timeout=10 application_name=lunshadow"
                                               : "connect_timeout=10 application_name=lunshadow "
                                                 "dbname=postgres";
    pg->connection = PQconnectdb(options);
    if (!pg->connection) {
        return error_set(err, E_OUTOFMEMORY, "out of memory connecting to the server");
    }
    if (PQstatus(pg->connection) != CONNECTION_OK) {
        HRESULT hr = error_set(err, VSS_E_UNEXPECTED, "%.300s", PQerrorMessage(pg->connection));
        server_disconnect(pg);
        return hr;
    }
    return S_OK;
}

void server_disconnect(struct postgresql *pg)
{
    PQfinish(pg->connection); /* NULL is harmless */
    pg->connection = NULL;
    pg->is_in_backup = false;
}

/* A statement that gives rows, or none. */
static HRESULT ask(struct postgresql *pg, const char *sql, PGresult **out, struct error *err)
{
    PGresult *result = PQexec(pg->connection, sql);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
        HRESULT hr =
            error_set(err, VSS_E_UNEXPECTED, "%s: %.300s", sql, PQerrorMessage(pg->connection));
        PQclear(result);
        return hr;
    }
    *out = result;
    return S_OK;
}

/* The one value of a statement, malloc'ed. */
static HRESULT ask_value(struct postgresql *pg, const char *sql, char **out, struct error *err)
{
    PGresult *result = NULL;
    HRESULT hr = ask(pg, sql, &result, err);
    if (FAILED(hr)) {
        return hr;
    }
    if (PQntuples(result) != 1 || PQgetisnull(result, 0, 0)) {
        hr = error_set(err, VSS_E_UNEXPECTED, "%s: no value; may this user see it?", sql);
    } else {
        *out = text_copy(PQgetvalue(result, 0, 0));
        hr = *out ? S_OK : error_set(err, E_OUTOFMEMORY, "out of memory asking the server");
    }
    PQclear(result);
    return hr;
}

/* ---- who it is ---- */

void server_forget(struct postgresql *pg)
{
    for (size_t i = 0; i < pg->tablespace_count; i++) {
        free(pg->tablespaces[i]);
    }
    free(pg->tablespaces);
    free(pg->data_directory);
    pg->tablespaces = NULL;
    pg->tablespace_count = 0;
    pg->data_directory = NULL;
}

static HRESULT read_tablespaces(struct postgresql *pg, struct error *err)
{
    static const char sql[] = "SELECT pg_tablespace_location(oid) FROM pg_tablespace "
                              "WHERE pg_tablespace_location(oid) <> '' ORDER BY 1";
    PGresult *result = NULL;
    HRESULT hr = ask(pg, sql, &result, err);
    if (FAILED(hr)) {
        return hr;
    }
    size_t count = (size_t)PQntuples(result);
    pg->tablespaces = calloc(count ? count : 1, sizeof(*pg->tablespaces));
    for (size_t i = 0; pg->tablespaces && i < count; i++) {
        pg->tablespaces[i] = text_copy(PQgetvalue(result, (int)i, 0));
        pg->tablespace_count = i + 1;
        if (!pg->tablespaces[i]) {
            hr = E_OUTOFMEMORY;
        }
    }
    PQclear(result);
    return pg->tablespaces && SUCCEEDED(hr)
               ? S_OK
               : error_set(err, E_OUTOFMEMORY, "out of memory asking the server");
}

static HRESULT examine_running(struct postgresql *pg, struct error *err)
{
    char *number = NULL;
    HRESULT hr = ask_value(pg, "SELECT system_identifier FROM pg_control_system()", &number, err);
    if (SUCCEEDED(hr)) {
        pg->system_identifier = strtoull(number, NULL, 10);
        hr = ask_value(pg, "SHOW data_directory", &pg->data_directory, err);
    }
    if (SUCCEEDED(hr)) {
        hr = read_tablespaces(pg, err);
    }
    free(number);
    return hr;
}

/* The identifier is the first thing in pg_control, in this machine's byte order. */
static HRESULT examine_files(struct postgresql *pg, const char *directory, struct error *err)
{
    char *path = text_printf("%s/global/pg_control", directory);
    FILE *file = path ? fopen(path, "re") : NULL;
    HRESULT hr = S_OK;
    if (!path) {
        hr = error_set(err, E_OUTOFMEMORY, "out of memory reading PGDATA");
    } else if (!file) {
        hr = error_set_errno(err, errno, "the server does not run, and %s", path);
    } else if (fread(&pg->system_identifier, sizeof(pg->system_identifier), 1, file) != 1) {
        hr = error_set(err, VSS_E_UNEXPECTED, "%s is too short", path);
    }
    if (file) {
        (void)fclose(file);
    }
    free(path);
    if (SUCCEEDED(hr)) {
        pg->data_directory = text_copy(directory);
        hr = pg->data_directory ? S_OK
                                : error_set(err, E_OUTOFMEMORY, "out of memory reading PGDATA");
    }
    return hr;
}

HRESULT server_examine(struct postgresql *pg, struct error *err)
{
    struct error why = {0};
    const char *directory = getenv("PGDATA");
    server_forget(pg);
    HRESULT hr = server_connect(pg, &why);
    if (SUCCEEDED(hr)) {
        return examine_running(pg, err);
    }
    if (!directory) {
        return error_set(err, hr, "%s (and PGDATA is not set)", why.text);
    }
    return examine_files(pg, directory, err);
}

/* ---- around a copy ---- */

/* The server syncs what it needs; what people wrote beside it, its configuration, it does not. */
static void sync_directory(const char *directory)
{
    int fd = directory ? open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        (void)syncfs(fd);
        (void)close(fd);
    }
}

HRESULT server_begin(struct postgresql *pg, struct error *err)
{
    HRESULT hr = server_connect(pg, err);
    int version = SUCCEEDED(hr) ? PQserverVersion(pg->connection) : 0;
    if (SUCCEEDED(hr) && pg->uses_backup_mode && version < BACKUP_MODE_VERSION) {
        return error_set(err, E_INVALIDARG,
                         "MODE = backup needs PostgreSQL %d or later, and this server is of "
                         "version %d: use MODE = checkpoint",
                         BACKUP_MODE_VERSION / 10000, version / 10000);
    }
    return hr;
}

HRESULT server_prepare(struct postgresql *pg, struct error *err)
{
    PGresult *result = NULL;
    HRESULT hr = server_begin(pg, err);
    if (FAILED(hr)) {
        return hr;
    }
    if (pg->is_in_backup) { /* of a sequence that came to nothing */
        server_disconnect(pg);
        hr = server_connect(pg, err);
    }
    sync_directory(pg->data_directory);
    if (SUCCEEDED(hr)) {
        hr = ask(pg,
                 pg->uses_backup_mode ? "SELECT pg_backup_start('lunshadow', true)" : "CHECKPOINT",
                 &result, err);
    }
    pg->is_in_backup = SUCCEEDED(hr) && pg->uses_backup_mode;
    PQclear(result);
    return hr;
}

HRESULT server_check(struct postgresql *pg, struct error *err)
{
    PGresult *result = NULL;
    if (!pg->connection) {
        return error_set(err, VSS_E_BAD_STATE, "not prepared: there is no session with the server");
    }
    HRESULT hr = ask(pg, "SELECT 1", &result, err);
    PQclear(result);
    return hr;
}

HRESULT server_finish(struct postgresql *pg, char **out_label, char **out_lsn, struct error *err)
{
    PGresult *result = NULL;
    *out_label = NULL;
    *out_lsn = NULL;
    HRESULT hr = server_check(pg, err);
    if (FAILED(hr) || !pg->is_in_backup) {
        return hr;
    }
    hr = ask(pg, "SELECT lsn, labelfile, spcmapfile FROM pg_backup_stop(false)", &result, err);
    if (FAILED(hr)) {
        return hr;
    }
    pg->is_in_backup = false;
    const char *map = PQgetvalue(result, 0, 2);
    *out_lsn = text_copy(PQgetvalue(result, 0, 0));
    *out_label = text_printf("%s%s%s", PQgetvalue(result, 0, 1),
                             *map != '\0' ? "# tablespace_map\n" : "", map);
    PQclear(result);
    return *out_lsn && *out_label
               ? S_OK
               : error_set(err, E_OUTOFMEMORY, "out of memory ending backup mode");
}

/* ---- around a restore ---- */

static HRESULT run_command(const char *command, struct error *err)
{
    const char *const argv[] = {"/bin/sh", "-c", command, NULL};
    struct process_options options = PROCESS_OPTIONS_INIT;
    struct process process = PROCESS_INIT;
    int status = 0;
    options.new_session = true; /* a server that it starts does not end with us */
    HRESULT hr = process_start(argv, &options, &process, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = process_wait(&process, COMMAND_MS, &status);
    process_kill(&process);
    if (hr != S_OK || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        return error_set(err, VSS_E_UNEXPECTED, "\"%.200s\" failed (status %d)", command, status);
    }
    return S_OK;
}

static PGPing ping(void)
{
    return PQping("connect_timeout=5 dbname=postgres");
}

HRESULT server_stop(struct postgresql *pg, const char *command, struct error *err)
{
    server_disconnect(pg);
    if (ping() == PQPING_NO_RESPONSE) {
        return S_OK;
    }
    if (!command) {
        return error_set(err, E_INVALIDARG,
                         "the server runs on the data that will be overwritten; stop it, or set "
                         "STOP");
    }
    HRESULT hr = run_command(command, err);
    for (int ms = 0; SUCCEEDED(hr) && ping() != PQPING_NO_RESPONSE; ms += PING_MS) {
        if (ms > STOPPED_MS) {
            return error_set(err, VSS_E_UNEXPECTED, "the server still answers after \"%.200s\"",
                             command);
        }
        clock_sleep_ms(PING_MS);
    }
    return hr;
}

HRESULT server_start(struct postgresql *pg, const char *command, struct error *err)
{
    (void)pg;
    if (!command) {
        return S_OK; /* whoever stopped it starts it */
    }
    HRESULT hr = run_command(command, err);
    for (int ms = 0; SUCCEEDED(hr) && ping() != PQPING_OK; ms += PING_MS) {
        if (ms > COMMAND_MS) {
            return error_set(err, VSS_E_UNEXPECTED, "the server does not accept sessions");
        }
        clock_sleep_ms(PING_MS);
    }
    return hr;
}
