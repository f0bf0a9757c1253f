/* SPDX-License-Identifier: Apache-2.0 */
#include "provider/trust.h"

#include "common/buffer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

HRESULT trust_check_file(const char *what, const char *path, struct error *err)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        return error_set_errno(err, errno, "%s %s", what, path);
    }
    if (!S_ISREG(st.st_mode)) {
        return error_set(err, E_ACCESSDENIED, "%s %s is not a regular file", what, path);
    }
    if (st.st_uid != 0 && st.st_uid != geteuid()) {
        return error_set(err, E_ACCESSDENIED,
                         "%s %s belongs to uid %u; it must be root's or this user's", what, path,
                         st.st_uid);
    }
    if (st.st_mode & (S_IWGRP | S_IWOTH)) {
        return error_set(err, E_ACCESSDENIED, "%s %s is writable by others; mend with: chmod go-w",
                         what, path);
    }
    return S_OK;
}

HRESULT trust_check_directory(const char *what, const char *path, struct error *err)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        return error_set_errno(err, errno, "directory %s of a %s", path, what);
    }
    if (!S_ISDIR(st.st_mode)) {
        return error_set(err, E_ACCESSDENIED, "%s is not a directory, as that of a %s is", path,
                         what);
    }
    if (st.st_uid != 0 && st.st_uid != geteuid()) {
        return error_set(err, E_ACCESSDENIED,
                         "directory %s of a %s belongs to uid %u; it must be root's or this user's",
                         path, what, st.st_uid);
    }
    if ((st.st_mode & (S_IWGRP | S_IWOTH)) && !(st.st_mode & S_ISVTX)) {
        return error_set(err, E_ACCESSDENIED,
                         "directory %s of a %s is writable by others; mend with: chmod go-w", path,
                         what);
    }
    return S_OK;
}

HRESULT trust_check_above(const char *what, const char *path, struct error *err)
{
    char *directory = text_copy(path);
    if (!directory) {
        return error_set(err, E_OUTOFMEMORY, "out of memory while looking at a %s", what);
    }
    HRESULT hr = S_OK;
    for (char *slash = strrchr(directory, '/'); slash && SUCCEEDED(hr);
         slash = strrchr(directory, '/')) {
        *slash = '\0';
        hr = trust_check_directory(what, *directory ? directory : "/", err);
    }
    free(directory);
    return hr;
}
