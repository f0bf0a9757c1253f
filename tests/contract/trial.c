/* SPDX-License-Identifier: Apache-2.0 */
/* Where methods are tried. */
#include "contract/contract.h"

#include "common/process.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY 65534

static void must_be(bool holds, const char *what)
{
    if (!holds) {
        perror(what);
        exit(2);
    }
}

/* ---- benches ---- */

void bench_start(struct bench *b)
{
    const char *base = getenv("TMPDIR");
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/lunshadow-contract-XXXXXX", base ? base : "/tmp");
    must_be(mkdtemp(path) != NULL, path);
    b->directory = strdup(path);
    must_be(b->directory != NULL, "a directory's name");
    (void)snprintf(b->state, sizeof(b->state), "%s/state", b->directory);
    (void)snprintf(b->config, sizeof(b->config), "%s/lunshadow.conf", b->directory);
    FILE *config = fopen(b->config, "we");
    must_be(config && fclose(config) == 0, b->config);
    (void)snprintf(path, sizeof(path), "%s/locks", b->directory);
    must_be(mkdir(path, 0700) == 0 && setenv("LUNSHADOW_LOCK_DIR", path, 1) == 0, path);
}

void bench_stop(struct bench *b)
{
    const char *const argv[] = {"rm", "-rf", "--one-file-system", b->directory, NULL};
    (void)process_run(argv, 10000, NULL, NULL);
    free(b->directory);
}

/* ---- trials ---- */

void trial_create(struct trial *t)
{
    struct vss_session_options options = VSS_SESSION_OPTIONS_INIT;
    struct vss_backup_components **out = t->session ? &t->other : &t->session;
    char *text = NULL;
    options.config_path = t->bench->config;
    options.state_directory = t->bench->state;
    if (FAILED(vss_create_backup_components(&options, out, &text))) {
        (void)fprintf(stderr, "no session: %s\n", text ? text : "out of memory");
        exit(2);
    }
}

void trial_must(struct trial *t, HRESULT hr)
{
    if (FAILED(hr)) {
        (void)fprintf(stderr, "a step before the call failed: %s: %s\n", vss_error_name(hr),
                      vss_backup_components_error_text(t->session));
        exit(2);
    }
}

void trial_backup(struct trial *t)
{
    trial_create(t);
    trial_must(t, vss_backup_components_initialize_for_backup(t->session, NULL));
}

void trial_restore(struct trial *t)
{
    trial_create(t);
    trial_must(t, vss_backup_components_initialize_for_restore(
                      t->session, "<BACKUP_COMPONENTS xmlns=\"x-schema:#VssComponentMetadata\" "
                                  "version=\"1.2\"/>"));
}

void trial_context(struct trial *t, uint32_t context)
{
    trial_backup(t);
    trial_must(t, vss_backup_components_set_context(t->session, context));
}

HRESULT trial_finish(struct trial *t, HRESULT hr)
{
    HRESULT status = hr;
    if (hr == S_OK) {
        (void)vss_async_wait(t->async, VSS_INFINITE);
        (void)vss_async_query_status(t->async, &status);
        (void)snprintf(t->status_text, sizeof(t->status_text), "%s",
                       vss_async_error_text(t->async));
        vss_async_release(t->async);
        t->async = NULL;
    }
    return status == VSS_S_ASYNC_FINISHED ? S_OK : status;
}

void trial_drop(struct trial *t)
{
    vss_async_release(t->async);
    vss_enum_object_release(t->objects);
    vss_enum_object_release(t->clone);
    vss_free_snapshot_properties(&t->snapshot);
    vss_free_object_properties(&t->object);
    vss_component_release(t->noted);
    vss_writer_components_release(t->writer);
    vss_wm_dependency_release(t->dependency);
    vss_wm_filedesc_release(t->filedesc);
    vss_wm_component_release(t->component);
    vss_examine_writer_metadata_release(t->metadata);
    vss_free_string(t->text);
    vss_free_string(t->second_text);
    vss_backup_components_release(t->session);
    vss_backup_components_release(t->other);
    *t = (struct trial){.bench = t->bench};
}

/* ---- another user ---- */

bool caller_can_change(void)
{
    return geteuid() == 0;
}

static _Noreturn void be_another(int out, const struct bench *b, void (*ready)(struct trial *t),
                                 HRESULT (*call)(struct trial *t, unsigned null))
{
    struct trial t = {.bench = b};
    if (ready) {
        ready(&t);
    }
    if (setresgid(NOBODY, NOBODY, NOBODY) != 0 || setresuid(NOBODY, NOBODY, NOBODY) != 0) {
        _exit(1);
    }
    HRESULT hr = call(&t, 0);
    _exit(write(out, &hr, sizeof(hr)) == sizeof(hr) ? 0 : 1);
}

HRESULT caller_call(const struct bench *b, void (*ready)(struct trial *t),
                    HRESULT (*call)(struct trial *t, unsigned null))
{
    int ends[2];
    HRESULT hr = E_FAIL;
    must_be(pipe2(ends, O_CLOEXEC) == 0, "a pipe");
    (void)fflush(NULL);
    pid_t child = fork();
    must_be(child >= 0, "a child");
    if (child == 0) {
        be_another(ends[1], b, ready, call);
    }
    (void)close(ends[1]);
    if (read(ends[0], &hr, sizeof(hr)) != sizeof(hr)) {
        hr = E_FAIL;
    }
    (void)close(ends[0]);
    (void)waitpid(child, NULL, 0);
    return hr;
}

/* ---- the registry's file ---- */

enum { PAGE = 4096 };
static char *saved;
static size_t saved_bytes;

static void registry_path(const struct bench *b, const char *suffix, char path[600])
{
    (void)snprintf(path, 600, "%s/registry.db%s", b->state, suffix);
}

/* Through one descriptor more; that closing it drops SQLite's own locks harms nobody here. */
void registry_damage(const struct bench *b)
{
    char path[600];
    struct stat st;
    registry_path(b, "", path);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    must_be(fd >= 0 && fstat(fd, &st) == 0, path);
    saved_bytes = (size_t)st.st_size;
    saved = malloc(saved_bytes);
    must_be(saved && pread(fd, saved, saved_bytes, 0) == st.st_size, path);
    char garbage[PAGE];
    memset(garbage, 0xa5, sizeof(garbage));
    for (off_t at = PAGE; at < st.st_size; at += PAGE) {
        must_be(pwrite(fd, garbage, PAGE, at) == PAGE, path);
    }
    (void)close(fd);
}

void registry_restore(const struct bench *b)
{
    char path[600];
    registry_path(b, "-wal", path);
    (void)unlink(path);
    registry_path(b, "-shm", path);
    (void)unlink(path);
    registry_path(b, "", path);
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    must_be(fd >= 0 && write(fd, saved, saved_bytes) == (ssize_t)saved_bytes, path);
    (void)close(fd);
    free(saved);
    saved = NULL;
}

void registry_take_away(const struct bench *b)
{
    char path[600];
    char away[600];
    registry_path(b, "", path);
    registry_path(b, ".away", away);
    must_be(rename(path, away) == 0, path);
}

void registry_bring_back(const struct bench *b)
{
    char path[600];
    char away[600];
    registry_path(b, "", path);
    registry_path(b, ".away", away);
    must_be(rename(away, path) == 0, path);
}
