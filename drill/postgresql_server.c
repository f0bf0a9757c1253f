/* SPDX-License-Identifier: Apache-2.0 */
/* The drill's own PostgreSQL server. */
#include "drill/postgresql_internal.h"

#include "common/buffer.h"
#include "common/process.h"
#include "provider/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define USER       "postgres"
#define PROGRAMS   "/usr/lib/postgresql/*/bin" /* as Debian has them */
#define PORT       "5432"                      /* of a socket in a directory of ours */
#define COMMAND_MS 120000u

static HRESULT out_of_memory(struct error *err)
{
    return error_set(err, E_OUTOFMEMORY, "out of memory for the database");
}

/* ---- what there is ---- */

static bool has_program(const char *directory, const char *name)
{
    char *path = text_printf("%s/%s", directory, name);
    bool is_there = path && access(path, X_OK) == 0;
    free(path);
    return is_there;
}

/* That of the highest version. */
static char *find_programs(void)
{
    glob_t found = {0};
    const char *best = NULL;
    double best_version = 0;
    if (glob(PROGRAMS, 0, NULL, &found) != 0) {
        return NULL;
    }
    for (size_t i = 0; i < found.gl_pathc; i++) {
        double version = strtod(found.gl_pathv[i] + strlen("/usr/lib/postgresql/"), NULL);
        if (version > best_version && has_program(found.gl_pathv[i], "initdb")) {
            best = found.gl_pathv[i];
            best_version = version;
        }
    }
    char *copy = best ? text_copy(best) : NULL;
    globfree(&found);
    return copy;
}

HRESULT pg_server_find(struct pg_server *s, struct error *err)
{
    if (geteuid() != 0) {
        return error_set(err, E_ACCESSDENIED,
                         "the drill of a database mounts filesystems, which takes root");
    }
    s->programs = find_programs();
    if (!s->programs || !getpwnam(USER)) {
        return error_set(err, E_INVALIDARG,
                         "no PostgreSQL server here (" PROGRAMS "/initdb, user " USER
                         "): apt-get install postgresql");
    }
    const char *writer = helper_program("writers/postgresql");
    if (access(writer, X_OK) != 0) {
        return error_set(err, E_INVALIDARG, "no writer %s: lunshadow was built without libpq",
                         writer);
    }
    return S_OK;
}

/* ---- running its programs ---- */

/* As its user, for whom ours may be no place to be. */
static HRESULT run(const struct pg_server *s, const char *program, const char *const more[],
                   struct buffer *out, struct error *err)
{
    const char *argv[24] = {"runuser", "-u", USER, "--"};
    size_t n = 4;
    char *path = text_printf("%s/%s", s->programs, program);
    if (!path) {
        return out_of_memory(err);
    }
    argv[n++] = path;
    for (size_t i = 0; more[i] && n < 23; i++) {
        argv[n++] = more[i];
    }
    HRESULT hr = process_run(argv, COMMAND_MS, out, err);
    free(path);
    return hr;
}

void pg_server_psql(const struct pg_server *s, const char *out[16])
{
    const char *const words[] = {"psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h",
                                 "",     "-p", PORT, "-U", USER, "-d", "postgres",        NULL};
    memcpy(out, words, sizeof(words));
    out[8] = s->sockets;
}

HRESULT pg_server_ask(const struct pg_server *s, const char *statements, char **out,
                      struct error *err)
{
    const char *argv[20];
    struct buffer text = BUFFER_INIT;
    pg_server_psql(s, argv);
    argv[15] = "-c";
    argv[16] = statements;
    argv[17] = NULL;
    HRESULT hr = process_run(argv, COMMAND_MS, &text, err);
    if (SUCCEEDED(hr) && out) {
        *out = text_copy(text.data ? text.data : "");
        hr = *out ? S_OK : out_of_memory(err);
    }
    if (SUCCEEDED(hr) && out) {
        (*out)[strcspn(*out, "\n")] = '\0';
    }
    buffer_free(&text);
    return hr;
}

HRESULT pg_server_amcheck(const struct pg_server *s, struct error *err)
{
    const char *const more[] = {
        "-h", s->sockets, "-p", PORT, "--install-missing", "--heapallindexed", "postgres", NULL};
    return run(s, "pg_amcheck", more, NULL, err);
}

bool pg_server_answers(const struct pg_server *s)
{
    const char *const more[] = {"-q", "-h", s->sockets, "-p", PORT, NULL};
    return SUCCEEDED(run(s, "pg_isready", more, NULL, NULL));
}

/* ---- making one ---- */

static HRESULT give_to_user(const char *path, mode_t mode, struct error *err)
{
    const struct passwd *user = getpwnam(USER);
    if (!user || chown(path, user->pw_uid, user->pw_gid) != 0 || chmod(path, mode) != 0) {
        return error_set_errno(err, errno, "%s cannot become that of " USER, path);
    }
    return S_OK;
}

static HRESULT make_names(struct pg_drill *p, struct error *err)
{
    struct pg_server *s = &p->server;
    s->sockets = text_printf("%s/socket", p->base.work);
    s->data = text_printf("%s/cluster", p->volumes[PG_DATA].mount_path);
    s->wal = text_printf("%s/wal", p->volumes[PG_WAL].mount_path);
    if (!s->sockets || !s->data || !s->wal) {
        return out_of_memory(err);
    }
    if (mkdir(s->sockets, 0700) != 0) {
        return error_set_errno(err, errno, "cannot make %s", s->sockets);
    }
    HRESULT hr = give_to_user(s->sockets, 0700, err);
    for (size_t i = 0; i < PG_VOLUMES && SUCCEEDED(hr); i++) {
        hr = give_to_user(p->volumes[i].mount_path, 0700, err);
    }
    return hr;
}

/* Small, and with no way to it but our socket. */
static HRESULT write_settings(const struct pg_server *s, struct error *err)
{
    char *path = text_printf("%s/postgresql.auto.conf", s->data);
    FILE *file = path ? fopen(path, "ae") : NULL;
    bool is_written =
        file && fprintf(file,
                        "listen_addresses = ''\nunix_socket_directories = '%s'\nport = " PORT "\n"
                        "shared_buffers = 32MB\nmax_wal_size = 128MB\n",
                        s->sockets) > 0;
    int reason = errno;
    if (file && fclose(file) != 0) {
        is_written = false;
        reason = errno;
    }
    HRESULT hr = is_written ? S_OK : error_set_errno(err, reason, "settings of the database");
    free(path);
    return hr;
}

static char *log_path(const struct pg_server *s)
{
    return text_printf("%s/log", s->sockets);
}

static HRESULT start(struct pg_server *s, struct error *err)
{
    char *log = log_path(s);
    const char *const more[] = {"-D", s->data, "-l", log, "-w", "start", NULL};
    HRESULT hr = log ? S_OK : out_of_memory(err);
    if (SUCCEEDED(hr)) {
        s->may_run = true;
        hr = run(s, "pg_ctl", more, NULL, err);
    }
    free(log);
    return hr;
}

HRESULT pg_server_make(struct pg_drill *p, struct error *err)
{
    struct pg_server *s = &p->server;
    HRESULT hr = make_names(p, err);
    const char *const more[] = {"-D",    s->data,       "--waldir", s->wal, "-A",
                                "trust", "--no-locale", "-E",       "UTF8", NULL};
    if (SUCCEEDED(hr)) {
        hr = run(s, "initdb", more, NULL, err);
    }
    if (SUCCEEDED(hr)) {
        hr = write_settings(s, err);
    }
    if (SUCCEEDED(hr)) {
        hr = start(s, err);
    }
    return SUCCEEDED(hr) ? pg_server_ask(s,
                                         "CREATE TABLE ledger (session int, n int, pad text, "
                                         "PRIMARY KEY (session, n))",
                                         NULL, err)
                         : hr;
}

void pg_server_kill(struct pg_drill *p)
{
    struct pg_server *s = &p->server;
    const char *const more[] = {"-D", s->data, "-m", "immediate", "-w", "stop", NULL};
    struct error err = {0};
    if (s->may_run && pg_server_answers(s) && FAILED(run(s, "pg_ctl", more, NULL, &err))) {
        report_leftover(p->base.report, "the server of %s (%s)", s->data, error_text(&err));
    }
    s->may_run = false;
}

void pg_server_free(struct pg_server *s)
{
    free(s->programs);
    free(s->sockets);
    free(s->data);
    free(s->wal);
}

/* ---- its writer ---- */

/* Beside the array, where its user can reach it: the build may lie in somebody's home. */
static HRESULT copy_writer(const struct pg_drill *p, char **out, struct error *err)
{
    *out = text_printf("%s/postgresql-writer", p->base.work);
    const char *const argv[] = {"install", "-m", "755", helper_program("writers/postgresql"),
                                *out,      NULL};
    return *out ? process_run(argv, COMMAND_MS, NULL, err) : out_of_memory(err);
}

HRESULT pg_server_add_writer(struct pg_drill *p, struct error *err)
{
    const struct pg_server *s = &p->server;
    char *program = NULL;
    char *path = text_printf("%s/writers.d/postgresql.conf", p->base.lab->directory);
    HRESULT hr = path ? copy_writer(p, &program, err) : out_of_memory(err);
    FILE *file = SUCCEEDED(hr) ? fopen(path, "we") : NULL;
    if (SUCCEEDED(hr) && !file) {
        hr = error_set_errno(err, errno, "cannot write %s", path);
    }
    if (file) {
        int length = fprintf(
            file,
            "[writer]\nprogram = %s\nuser = " USER "\nlevel = back-end\n[environment]\n"
            "PGHOST = %s\nPGPORT = " PORT "\nPGDATA = %s\n"
            "STOP = %s/pg_ctl -D %s -m fast -w stop\n"
            "START = %s/pg_ctl -D %s -l %s/log -w start\n",
            program, s->sockets, s->data, s->programs, s->data, s->programs, s->data, s->sockets);
        if (fclose(file) != 0 || length < 0) {
            hr = error_set_errno(err, errno, "cannot write %s", path);
        }
    }
    free(program);
    free(path);
    return hr;
}
