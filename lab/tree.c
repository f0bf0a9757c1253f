/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEEPEST = 64 }; /* each level holds a descriptor; nothing of a lab is near this deep */

static HRESULT clear_below(int fd, const char *path, const char *keep, unsigned depth,
                           struct error *err);

/* Opens the directory name inside parent where it is on the same filesystem. */
static HRESULT open_below(int parent, const char *path, const char *name, int *out,
                          struct error *err)
{
    struct stat above;
    struct stat here;
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return error_set_errno(err, errno, "cannot open %s/%s", path, name);
    }
    if (fstat(parent, &above) != 0 || fstat(fd, &here) != 0 || above.st_dev != here.st_dev) {
        (void)close(fd);
        return error_set(err, VSS_E_UNEXPECTED,
                         "%s/%s is another filesystem and was left alone; unmount it first", path,
                         name);
    }
    *out = fd;
    return S_OK;
}

static HRESULT remove_entry(int parent, const char *path, const char *name, unsigned depth,
                            struct error *err)
{
    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT) {
        return S_OK;
    }
    if (errno != EISDIR || depth >= DEEPEST) {
        return error_set_errno(err, errno, "cannot remove %s/%s", path, name);
    }
    int fd = -1;
    HRESULT hr = open_below(parent, path, name, &fd, err);
    if (SUCCEEDED(hr)) {
        hr = clear_below(fd, name, NULL, depth + 1, err);
    }
    if (SUCCEEDED(hr) && unlinkat(parent, name, AT_REMOVEDIR) != 0) {
        hr = error_set_errno(err, errno, "cannot remove %s/%s", path, name);
    }
    return hr;
}

/* Takes fd. Goes on past what cannot be removed; the first failure is the answer. */
static HRESULT clear_below(int fd, const char *path, const char *keep, unsigned depth,
                           struct error *err)
{
    HRESULT first = S_OK;
    DIR *dir = fdopendir(fd);
    if (!dir) {
        first = error_set_errno(err, errno, "cannot read %s", path);
        (void)close(fd);
        return first;
    }
    for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            (keep && strcmp(e->d_name, keep) == 0)) {
            continue;
        }
        HRESULT hr = remove_entry(fd, path, e->d_name, depth, err);
        first = FAILED(first) ? first : hr;
    }
    (void)closedir(dir);
    return first;
}

HRESULT lab_tree_clear(const char *directory, const char *keep, struct error *err)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT ? S_OK : error_set_errno(err, errno, "cannot open %s", directory);
    }
    return clear_below(fd, directory, keep, 0, err);
}

HRESULT lab_tree_is_empty(const char *directory, bool *out, struct error *err)
{
    *out = true;
    DIR *dir = opendir(directory);
    if (!dir) {
        return error_set_errno(err, errno, "cannot read %s", directory);
    }
    for (struct dirent *e = readdir(dir); e && *out; e = readdir(dir)) {
        *out = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
    }
    (void)closedir(dir);
    return S_OK;
}
