/* SPDX-License-Identifier: Apache-2.0 */
/* The writer fsfreeze: holds mounted filesystems for the moment of the cut. See README.md. */
#include "provider/guard.h"
#include "writers/speak.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOUNTS_MAX = 32, HOLD_MAX_MS = 10000 };

struct fsfreeze {
    char *list; /* of MOUNTS, cut up */
    struct guard_target targets[MOUNTS_MAX];
    size_t count;
    uint32_t hold_ms;
    struct guard *guard; /* started, or holding */
    char *writable[8];   /* what must not be frozen, as lunshadow says */
    size_t writable_count;
    struct error why; /* why nothing can be frozen */
};

/* ---- what is held ---- */

static void add_mount(struct fsfreeze *f, const char *path)
{
    if (f->count == MOUNTS_MAX) {
        (void)error_set(&f->why, E_INVALIDARG, "MOUNTS names more than %d", MOUNTS_MAX);
    } else if (path[0] != '/') {
        (void)error_set(&f->why, E_INVALIDARG, "MOUNTS: \"%s\" is no absolute path", path);
    } else {
        f->targets[f->count++] = (struct guard_target){.kind = GUARD_FILESYSTEM, .path = path};
    }
}

static void read_environment(struct fsfreeze *f)
{
    const char *mounts = getenv("MOUNTS");
    const char *hold = getenv("HOLD_MS");
    f->hold_ms = hold ? (uint32_t)strtoul(hold, NULL, 10) : HOLD_MAX_MS;
    if (f->hold_ms < 1 || f->hold_ms > HOLD_MAX_MS) {
        (void)error_set(&f->why, E_INVALIDARG, "HOLD_MS is 1 to %d", HOLD_MAX_MS);
    }
    f->list = text_copy(mounts ? mounts : "");
    char *rest = f->list;
    for (char *path = strsep(&rest, ":"); path; path = strsep(&rest, ":")) {
        if (*path != '\0') {
            add_mount(f, path);
        }
    }
    if (f->count == 0) {
        (void)error_set(&f->why, E_INVALIDARG, "MOUNTS names no mount point");
    }
}

static void on_set(void *user, const char *key, char *words)
{
    struct fsfreeze *f = user;
    if (strcmp(key, "keep-writable") == 0 && f->writable_count < 8) {
        speak_decode(words);
        f->writable[f->writable_count++] = text_copy(words);
    }
}

static HRESULT check_apart(const struct stat *held, const char *mount, const char *path,
                           struct error *err)
{
    struct stat st;
    if (path && stat(path, &st) == 0 && st.st_dev == held->st_dev) {
        return error_set(err, VSS_E_UNEXPECTED,
                         "%s is on %s; freezing that would stop what has to thaw it", path, mount);
    }
    return S_OK;
}

/* A filesystem that is needed to thaw it again is not frozen, nor one that is no mount point: that
 * would be another filesystem than the one meant. */
static HRESULT check_mount(const struct fsfreeze *f, const char *mount, struct error *err)
{
    struct stat held = {0};
    struct stat above = {0};
    char *parent = text_printf("%s/..", mount);
    int failed = parent && stat(mount, &held) == 0 && stat(parent, &above) == 0 ? 0 : errno;
    free(parent);
    if (failed || !parent) {
        return error_set_errno(err, failed ? failed : ENOMEM, "mount point %s", mount);
    }
    HRESULT hr = S_OK;
    if (held.st_dev == above.st_dev) {
        hr = error_set(err, E_INVALIDARG, "nothing is mounted on %s", mount);
    }
    const char *const own[] = {"/", "/proc/self/exe", guard_program(), "/tmp", "/bin/sh"};
    for (size_t i = 0; SUCCEEDED(hr) && i < sizeof(own) / sizeof(own[0]); i++) {
        hr = check_apart(&held, mount, own[i], err);
    }
    for (size_t i = 0; SUCCEEDED(hr) && i < f->writable_count; i++) {
        hr = check_apart(&held, mount, f->writable[i], err);
    }
    return hr;
}

static HRESULT check(const struct fsfreeze *f, struct error *err)
{
    if (FAILED(f->why.code)) {
        return error_set(err, f->why.code, "%s", f->why.text);
    }
    HRESULT hr = S_OK;
    for (size_t i = 0; SUCCEEDED(hr) && i < f->count; i++) {
        hr = check_mount(f, f->targets[i].path, err);
    }
    return hr;
}

/* ---- events ---- */

static void identify(const struct fsfreeze *f)
{
    struct buffer b = BUFFER_INIT;
    const char *instance = getenv("INSTANCE");
    buffer_add_text(&b,
                    "<WRITER_METADATA xmlns=\"x-schema:#VssWriterMetadataInfo\" version=\"1.2\">"
                    "<IDENTIFICATION writerId=\"6f1ac9b1-4f1b-4f86-8ac5-3d8bd2f8a001\" "
                    "instanceId=\"");
    speak_add_attribute(&b, instance ? instance : "6f1ac9b1-4f1b-4f86-8ac5-3d8bd2f8a002");
    buffer_add_text(&b, "\" friendlyName=\"fsfreeze\" usage=\"OTHER\" dataSource=\"OTHER\"/>"
                        "<RESTORE_METHOD method=\"RESTORE_IF_CAN_BE_REPLACED\" "
                        "writerRestore=\"never\" rebootRequired=\"no\"/><BACKUP_LOCATIONS>");
    for (size_t i = 0; i < f->count; i++) {
        buffer_add_text(&b, "<FILE_GROUP componentName=\"");
        speak_add_attribute(&b, f->targets[i].path);
        buffer_add_text(&b, "\" selectable=\"yes\"><FILE_LIST path=\"");
        speak_add_attribute(&b, f->targets[i].path);
        buffer_add_text(&b, "\" filespec=\"*\" recursive=\"yes\"/></FILE_GROUP>");
    }
    buffer_add_text(&b, "</BACKUP_LOCATIONS></WRITER_METADATA>");
    speak_introduction(b.data ? b.data : "");
    buffer_free(&b);
}

/* Of one filesystem: another one of the machine may not answer for as long as it likes. */
static HRESULT flush(const char *mount, struct error *err)
{
    int fd = open(mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int failed = fd >= 0 && syncfs(fd) == 0 ? 0 : errno;
    if (fd >= 0) {
        (void)close(fd);
    }
    return failed ? error_set_errno(err, failed, "cannot flush the filesystem at %s", mount) : S_OK;
}

/* Flushes while nothing is held yet, so that the freeze has little left to write. */
static HRESULT prepare(struct fsfreeze *f, struct error *err)
{
    HRESULT hr = check(f, err);
    for (size_t i = 0; SUCCEEDED(hr) && i < f->count; i++) {
        hr = flush(f->targets[i].path, err);
    }
    if (SUCCEEDED(hr)) {
        (void)guard_release(f->guard, NULL, NULL); /* of a sequence that came to nothing */
        f->guard = NULL;
        hr = guard_start(f->targets, f->count, f->hold_ms, &f->guard, err);
    }
    return hr;
}

static HRESULT freeze(struct fsfreeze *f, struct error *err)
{
    return f->guard ? guard_hold(f->guard, err)
                    : error_set(err, VSS_E_BAD_STATE, "freeze without prepare-snapshot");
}

static HRESULT thaw(struct fsfreeze *f, struct error *err)
{
    struct guard *guard = f->guard;
    f->guard = NULL;
    return guard_release(guard, NULL, err);
}

static const char *kind_of(HRESULT hr)
{
    switch (hr) {
    case E_OUTOFMEMORY:
        return "out-of-resources";
    case VSS_E_HOLD_WRITES_TIMEOUT:
        return "timeout";
    case E_INVALIDARG:
    case E_ACCESSDENIED:
    case VSS_E_OBJECT_NOT_FOUND:
        return "non-retryable";
    default:
        return "retryable";
    }
}

static void handle(struct fsfreeze *f, const struct speak_event *event)
{
    struct error err = {0};
    HRESULT hr = S_OK;
    if (speak_is(event, "identify")) {
        identify(f);
    } else if (speak_is(event, "prepare-backup")) {
        hr = check(f, &err);
    } else if (speak_is(event, "prepare-snapshot")) {
        hr = prepare(f, &err);
    } else if (speak_is(event, "freeze")) {
        hr = freeze(f, &err);
    } else if (speak_is(event, "thaw")) {
        hr = thaw(f, &err);
    } else if (speak_is(event, "abort")) {
        (void)thaw(f, NULL);
    }
    if (FAILED(hr)) {
        speak_failed(event, kind_of(hr), "%s", error_text(&err));
    } else {
        speak_ok(event);
    }
}

int main(void)
{
    struct fsfreeze f = {0};
    struct speak_event event;
    read_environment(&f);
    while (speak_next(&event, on_set, &f)) {
        handle(&f, &event);
    }
    (void)thaw(&f, NULL); /* nobody is left to say so */
    for (size_t i = 0; i < f.writable_count; i++) {
        free(f.writable[i]);
    }
    free(f.list);
    return EXIT_SUCCESS;
}
