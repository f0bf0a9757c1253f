/* SPDX-License-Identifier: Apache-2.0 */
#include "lun/host/in_use.h"

#include "common/buffer.h"
#include "common/log.h"
#include "lun/host/swaps.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define LOOKS_MAX  16 /* at a table of mounts that changes while it is looked through */
#define ROW_BYTES  512
#define NAME_BYTES 64

/* What has been looked at: a LUN's use is searched in many tables that have much in common. */
struct search {
    const struct host_roots *roots;
    const struct vss_lun_info *info;
    char **rows; /* the first of each table of mounts */
    size_t row_count;
    dev_t *devices; /* which do not lie on the LUN */
    size_t device_count;
    size_t denied; /* processes that may not be looked at */
};

/* A process's table of mounts, which is as old as the look through it takes. */
struct look {
    const char *process; /* HOST_SELF, "77" */
    struct host_mount *mounts;
    size_t count;
    size_t at;
};

void host_use_free(struct host_use *use)
{
    free(use->mount_point);
    free(use->text);
    memset(use, 0, sizeof(*use));
}

static HRESULT no_memory(struct error *err)
{
    return error_set(err, E_OUTOFMEMORY, "no memory to find where a LUN is used");
}

/* ---- one table of mounts --------------------------------------------------------------------- */

static bool is_judged(const struct search *s, dev_t device)
{
    for (size_t i = 0; i < s->device_count; i++) {
        if (s->devices[i] == device) {
            return true;
        }
    }
    return false;
}

static HRESULT note_device(struct search *s, dev_t device, struct error *err)
{
    dev_t *grown = realloc(s->devices, (s->device_count + 1) * sizeof(*grown));
    if (!grown) {
        return no_memory(err);
    }
    s->devices = grown;
    s->devices[s->device_count++] = device;
    return S_FALSE;
}

/* A device lies on the same disks wherever it is mounted; so does a filesystem that has a number
 * alone, and to judge one that does not tell its disks is a look at all of the host's. */
static HRESULT look_at_mount(struct search *s, const char *process, const struct host_mount *mount,
                             struct error *err)
{
    char name[HOST_DEVICE_NAME_BYTES];
    if (mount->device && is_judged(s, mount->device)) {
        return S_FALSE;
    }
    const char *other = strcmp(process, HOST_SELF) == 0 ? NULL : process;
    HRESULT hr = host_mount_lies_on(s->roots, other, mount, s->info, name, err);
    return hr == S_FALSE && mount->device ? note_device(s, mount->device, err) : hr;
}

static bool is_among(const struct host_mount *mounts, size_t count, const struct host_mount *sought)
{
    for (size_t i = 0; i < count; i++) {
        if (mounts[i].id == sought->id && mounts[i].device == sought->device &&
            strcmp(mounts[i].path, sought->path) == 0) {
            return true;
        }
    }
    return false;
}

/* S_OK: the mount that it is at lies on the LUN; a failure: of that mount it cannot be told. */
static HRESULT look_through(struct search *s, struct look *l, struct error *err)
{
    HRESULT hr = S_FALSE;
    for (l->at = 0; l->at < l->count; l->at++) {
        hr = look_at_mount(s, l->process, &l->mounts[l->at], err);
        if (hr != S_FALSE) {
            break;
        }
    }
    return hr;
}

/* Has the mount that cannot be told been unmounted meanwhile, and its devices gone with it? Then
 * the table as it is now. */
static bool look_has_aged(struct search *s, struct look *l)
{
    struct host_mount *mounts = NULL;
    size_t count = 0;
    if (FAILED(host_mounts_load(s->roots->proc, l->process, &mounts, &count, NULL)) ||
        is_among(mounts, count, &l->mounts[l->at])) {
        host_mounts_free(mounts, count);
        return false;
    }
    host_mounts_free(l->mounts, l->count);
    l->mounts = mounts;
    l->count = count;
    s->device_count = 0; /* another may have the number by now */
    return true;
}

/* *out: the mount that lies on the LUN, or of which that cannot be told. */
static HRESULT look_in(struct search *s, const char *process, struct host_mount *out,
                       struct error *err)
{
    struct look l = {.process = process};
    struct error why = {0};
    memset(out, 0, sizeof(*out));
    HRESULT hr = host_mounts_load(s->roots->proc, process, &l.mounts, &l.count, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = look_through(s, &l, &why);
    for (int i = 1; i < LOOKS_MAX && FAILED(hr) && look_has_aged(s, &l); i++) {
        error_clear(&why);
        hr = look_through(s, &l, &why);
    }
    if (hr == S_OK) {
        *out = l.mounts[l.at];
        memset(&l.mounts[l.at], 0, sizeof(*out));
    } else if (FAILED(hr)) {
        hr = error_set(err, hr, "%s", error_text(&why));
    }
    host_mounts_free(l.mounts, l.count);
    return hr;
}

/* ---- the tables of all processes ------------------------------------------------------------- */

/* The first row of a process's table, which no other namespace or root directory has: a mount's
 * number is its own, and its path tells where the root is. S_FALSE: the process has ended, or has
 * nothing mounted. */
static HRESULT read_first_row(const char *proc, const char *process, char out[ROW_BYTES],
                              struct error *err)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof(path), "%s/%s/mountinfo", proc, process);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, out, ROW_BYTES - 1) : -1;
    int reason = errno;
    if (fd >= 0) {
        (void)close(fd);
    }
    if (got < 0) { /* EINVAL: it has ended, and nobody has waited for it */
        return reason == ENOENT || reason == ESRCH || reason == EINVAL
                   ? S_FALSE
                   : error_set_errno(err, reason, "cannot read %s", path);
    }
    out[got] = '\0';
    out[strcspn(out, "\n")] = '\0';
    return got > 0 ? S_OK : S_FALSE;
}

static bool is_looked_through(const struct search *s, const char *row)
{
    for (size_t i = 0; i < s->row_count; i++) {
        if (strcmp(s->rows[i], row) == 0) {
            return true;
        }
    }
    return false;
}

static HRESULT note_row(struct search *s, const char *row, struct error *err)
{
    char **grown = realloc(s->rows, (s->row_count + 1) * sizeof(*grown));
    if (!grown) {
        return no_memory(err);
    }
    s->rows = grown;
    s->rows[s->row_count] = text_copy(row);
    if (!s->rows[s->row_count]) {
        return no_memory(err);
    }
    s->row_count++;
    return S_FALSE;
}

/* A process may call itself anything. */
static void read_process_name(const char *proc, const char *process, char out[NAME_BYTES])
{
    char directory[PATH_MAX];
    uint32_t length = 0;
    (void)snprintf(directory, sizeof(directory), "%s/%s", proc, process);
    (void)host_device_read(directory, "comm", (uint8_t *)out, NAME_BYTES - 1, &length, NULL);
    out[length] = '\0';
    out[strcspn(out, "\n")] = '\0';
    for (char *c = out; *c; c++) {
        *c = *c < ' ' || *c > '~' ? '?' : *c;
    }
}

static HRESULT describe_there(const struct search *s, const char *process, const char *path,
                              struct host_use *out, struct error *err)
{
    char name[NAME_BYTES];
    read_process_name(s->roots->proc, process, name);
    out->text = text_printf("mounted on this host at %s in the mount namespace of process %s (%s)",
                            path, process, name);
    return out->text ? S_OK : no_memory(err);
}

static HRESULT look_in_unknown(struct search *s, const char *process, const char *row,
                               struct host_use *out, struct error *err)
{
    struct host_mount mount;
    struct error why = {0};
    char now[ROW_BYTES];
    HRESULT hr = look_in(s, process, &mount, &why);
    if (hr == S_OK) {
        hr = describe_there(s, process, mount.path, out, err);
    } else if (hr == S_FALSE) {
        hr = note_row(s, row, err);
    } else if (hr != E_OUTOFMEMORY &&
               read_first_row(s->roots->proc, process, now, NULL) == S_FALSE) {
        hr = S_FALSE; /* whoever else has that namespace shows it */
    } else {
        char name[NAME_BYTES];
        read_process_name(s->roots->proc, process, name);
        hr = error_set(err, hr, "%s; seen in the mount namespace of process %s (%s)",
                       error_text(&why), process, name);
    }
    host_mount_free(&mount);
    return hr;
}

static HRESULT look_at_process(struct search *s, const char *process, struct host_use *out,
                               struct error *err)
{
    char row[ROW_BYTES];
    struct error why = {0};
    HRESULT hr = read_first_row(s->roots->proc, process, row, &why);
    if (hr == E_ACCESSDENIED && geteuid() != 0) {
        s->denied++;
        return S_FALSE;
    }
    if (FAILED(hr)) {
        return error_set(err, hr == E_ACCESSDENIED ? VSS_E_UNEXPECTED : hr,
                         "what process %s has mounted is not known: %s", process, error_text(&why));
    }
    return hr == S_OK && !is_looked_through(s, row) ? look_in_unknown(s, process, row, out, err)
                                                    : S_FALSE;
}

/* Whoever is not root may be shown a part of the processes: hidepid. */
static void tell_unseen(const struct search *s)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof(path), "%s/1", s->roots->proc);
    if (s->denied > 0 || access(path, F_OK) != 0) {
        log_line(LOG_WARNING,
                 "%s hides processes: what they alone have mounted is not looked at; root sees it",
                 s->roots->proc);
    }
}

static HRESULT look_at_processes(struct search *s, struct host_use *out, struct error *err)
{
    DIR *dir = opendir(s->roots->proc);
    if (!dir) {
        return error_set_errno(err, errno, "cannot read %s", s->roots->proc);
    }
    HRESULT hr = S_FALSE;
    errno = 0;
    for (struct dirent *e = readdir(dir); e && hr == S_FALSE; e = readdir(dir)) {
        if (e->d_name[strspn(e->d_name, "0123456789")] == '\0') {
            hr = look_at_process(s, e->d_name, out, err);
        }
        errno = 0; /* of readdir(), which says so of its failures alone */
    }
    if (hr == S_FALSE && errno != 0) {
        hr = error_set_errno(err, errno, "cannot read %s", s->roots->proc);
    }
    (void)closedir(dir);
    if (hr == S_FALSE) {
        tell_unseen(s);
    }
    return hr;
}

/* ---- this one's, and swap -------------------------------------------------------------------- */

static HRESULT look_here(struct search *s, struct host_use *out, struct error *err)
{
    struct host_mount mount;
    char row[ROW_BYTES];
    HRESULT hr = look_in(s, HOST_SELF, &mount, err);
    if (hr == S_OK) {
        out->mount_point = text_copy(mount.path);
        out->text = text_printf("mounted on this host at %s", mount.path);
        hr = out->mount_point && out->text ? S_OK : no_memory(err);
    } else if (hr == S_FALSE && read_first_row(s->roots->proc, HOST_SELF, row, NULL) == S_OK) {
        hr = note_row(s, row, err);
    }
    host_mount_free(&mount);
    return hr;
}

static bool is_swapped_to(const char *proc, const char *file)
{
    char **swaps = NULL;
    size_t count = 0;
    bool is_found = FAILED(host_swaps_load(proc, &swaps, &count, NULL));
    for (size_t i = 0; i < count && !is_found; i++) {
        is_found = strcmp(swaps[i], file) == 0;
    }
    host_swaps_free(swaps, count);
    return is_found;
}

static HRESULT look_at_swap(const struct search *s, const char *file, struct host_use *out,
                            struct error *err)
{
    char name[HOST_DEVICE_NAME_BYTES];
    struct error why = {0};
    HRESULT hr = host_swap_lies_on(s->roots, file, s->info, name, &why);
    if (hr == S_OK) {
        out->text = text_printf("used on this host for swap at %s", file);
        return out->text ? S_OK : no_memory(err);
    }
    if (FAILED(hr) && !is_swapped_to(s->roots->proc, file)) {
        return S_FALSE;
    }
    return FAILED(hr) ? error_set(err, hr, "%s", error_text(&why)) : S_FALSE;
}

static HRESULT look_at_swaps(const struct search *s, struct host_use *out, struct error *err)
{
    char **swaps = NULL;
    size_t count = 0;
    HRESULT hr = host_swaps_load(s->roots->proc, &swaps, &count, err);
    hr = SUCCEEDED(hr) ? S_FALSE : hr;
    for (size_t i = 0; i < count && hr == S_FALSE; i++) {
        hr = look_at_swap(s, swaps[i], out, err);
    }
    host_swaps_free(swaps, count);
    return hr;
}

HRESULT host_lun_in_use(const struct host_roots *roots, const struct vss_lun_info *info,
                        struct host_use *out, struct error *err)
{
    struct search s = {.roots = roots, .info = info};
    memset(out, 0, sizeof(*out));
    HRESULT hr = look_here(&s, out, err);
    if (hr == S_FALSE) {
        hr = look_at_swaps(&s, out, err);
    }
    if (hr == S_FALSE) {
        hr = look_at_processes(&s, out, err);
    }
    if (FAILED(hr)) {
        host_use_free(out);
    }
    for (size_t i = 0; i < s.row_count; i++) {
        free(s.rows[i]);
    }
    free(s.rows);
    free(s.devices);
    return hr;
}
