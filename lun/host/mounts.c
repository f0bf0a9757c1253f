/* SPDX-License-Identifier: Apache-2.0 */
#include "lun/host/mounts.h"

#include "common/buffer.h"

#include <errno.h>
#include <libmount.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void host_mount_free(struct host_mount *mount)
{
    free(mount->path);
    free(mount->root);
    free(mount->source);
    free(mount->fs_type);
    memset(mount, 0, sizeof(*mount));
}

/* libmount would pass over a line that it cannot read, for want of memory too: a mount less. */
static int refuse_line(struct libmnt_table *table, const char *file, int line)
{
    (void)table;
    (void)file;
    (void)line;
    return errno == ENOMEM ? -ENOMEM : -EINVAL;
}

static HRESULT read_table(const char *proc, const char *process, struct libmnt_table **out,
                          struct error *err)
{
    char *file = text_printf("%s/%s/mountinfo", proc, process);
    struct libmnt_table *table = file ? mnt_new_table() : NULL;
    int status = table ? mnt_table_set_parser_errcb(table, refuse_line) : -ENOMEM;
    errno = 0;
    status = status == 0 ? mnt_table_parse_file(table, file) : status;
    HRESULT hr = S_OK;
    if (status == -ENOMEM) {
        hr = error_set(err, E_OUTOFMEMORY, "no memory for the table of mounts");
    } else if (status != 0) {
        hr = error_set(err, VSS_E_UNEXPECTED, "cannot read the table of mounts %s", file);
    }
    free(file);
    if (FAILED(hr)) {
        mnt_unref_table(table);
        table = NULL;
    }
    *out = table;
    return hr;
}

static HRESULT copy_mount(struct libmnt_fs *fs, struct host_mount *out, struct error *err)
{
    const char *root = mnt_fs_get_root(fs);
    const char *source = mnt_fs_get_srcpath(fs);
    *out = (struct host_mount){
        .path = text_copy(mnt_fs_get_target(fs)),
        .root = text_copy(root ? root : "/"),
        .source = text_copy(source),
        .fs_type = text_copy(mnt_fs_get_fstype(fs)),
        .id = mnt_fs_get_id(fs) > 0 ? (uint64_t)mnt_fs_get_id(fs) : 0,
        .device = mnt_fs_get_devno(fs),
        .is_network = mnt_fs_is_netfs(fs) == 1,
    };
    if (!out->path || !out->root || !out->fs_type || (source && !out->source)) {
        host_mount_free(out);
        return error_set(err, E_OUTOFMEMORY, "no memory for the table of mounts");
    }
    return S_OK;
}

/* Is path the directory, or below it? */
static bool lies_below(const char *path, const char *directory)
{
    size_t length = strlen(directory);
    while (length > 0 && directory[length - 1] == '/') {
        length--;
    }
    return strncmp(path, directory, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

/* In a changed root that is no mount point the table lacks what that lies on: only the device can
 * be told then. */
static HRESULT describe_root(const char *path, struct host_mount *out, struct error *err)
{
    struct stat st;
    if (stat(path, &st) != 0 || stat("/", &st) != 0) {
        int reason = errno == ENOTDIR ? ENOENT : errno;
        return error_set_errno(err, reason, "no mounted filesystem has %s", path);
    }
    *out = (struct host_mount){.path = text_copy("/"),
                               .root = text_copy("/"),
                               .fs_type = text_copy("none"),
                               .device = st.st_dev};
    if (!out->path || !out->root || !out->fs_type) {
        host_mount_free(out);
        return error_set(err, E_OUTOFMEMORY, "no memory for the table of mounts");
    }
    return S_OK;
}

HRESULT host_mount_find_of(const char *proc, const char *process, const char *path,
                           struct host_mount *out, struct error *err)
{
    memset(out, 0, sizeof(*out));
    struct libmnt_table *table = NULL;
    struct libmnt_fs *fs = NULL;
    struct libmnt_fs *best = NULL;
    size_t best_length = 0;
    HRESULT hr = read_table(proc, process, &table, err);
    if (FAILED(hr)) {
        return hr;
    }
    struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_FORWARD);
    while (iter && mnt_table_next_fs(table, iter, &fs) == 0) {
        const char *target = mnt_fs_get_target(fs);
        if (target && lies_below(path, target) && (!best || strlen(target) >= best_length)) {
            best = fs; /* the later of two at one place hides the earlier */
            best_length = strlen(target);
        }
    }
    if (!iter) {
        hr = error_set(err, E_OUTOFMEMORY, "no memory for the table of mounts");
    } else {
        hr = best ? copy_mount(best, out, err) : S_FALSE;
    }
    mnt_free_iter(iter);
    mnt_unref_table(table);
    return hr;
}

HRESULT host_mount_find(const char *proc, const char *path, struct host_mount *out,
                        struct error *err)
{
    HRESULT hr = host_mount_find_of(proc, HOST_SELF, path, out, err);
    return hr == S_FALSE ? describe_root(path, out, err) : hr;
}

HRESULT host_mount_of_device(const char *proc, dev_t device, struct host_mount *out,
                             struct error *err)
{
    memset(out, 0, sizeof(*out));
    struct libmnt_table *table = NULL;
    HRESULT hr = read_table(proc, HOST_SELF, &table, err);
    if (FAILED(hr)) {
        return hr;
    }
    struct libmnt_fs *fs = mnt_table_find_devno(table, device, MNT_ITER_FORWARD);
    hr = fs ? copy_mount(fs, out, err) : S_FALSE;
    mnt_unref_table(table);
    return hr;
}

void host_mounts_free(struct host_mount *mounts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        host_mount_free(&mounts[i]);
    }
    free(mounts);
}

HRESULT host_mounts_load(const char *proc, const char *process, struct host_mount **out,
                         size_t *out_count, struct error *err)
{
    struct libmnt_table *table = NULL;
    struct libmnt_fs *fs = NULL;
    *out = NULL;
    *out_count = 0;
    HRESULT hr = read_table(proc, process, &table, err);
    if (FAILED(hr)) {
        return hr;
    }
    int entries = mnt_table_get_nents(table);
    struct host_mount *mounts = calloc(entries > 0 ? (size_t)entries : 1, sizeof(*mounts));
    struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_FORWARD);
    size_t count = 0;
    if (!mounts || !iter) {
        hr = error_set(err, E_OUTOFMEMORY, "no memory for the table of mounts");
    }
    while (SUCCEEDED(hr) && mnt_table_next_fs(table, iter, &fs) == 0) {
        hr = copy_mount(fs, &mounts[count], err);
        count += SUCCEEDED(hr);
    }
    mnt_free_iter(iter);
    mnt_unref_table(table);
    if (FAILED(hr)) {
        host_mounts_free(mounts, count);
        return hr;
    }
    *out = mounts;
    *out_count = count;
    return S_OK;
}
