/* SPDX-License-Identifier: Apache-2.0 */

/* Which volume a file is on. */
#include "requester/paths.h"
#include "requester/session.h"

#include "common/buffer.h"
#include "lun/host/mounts.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* path without symbolic links, its last parts as they are where they do not exist (yet). */
static HRESULT resolve(const char *path, char **out, struct error *err)
{
    char *head = text_copy(path);
    char *real = NULL;
    while (head && !real) {
        real = realpath(head, NULL);
        if (real || (errno != ENOENT && errno != ENOTDIR)) {
            break;
        }
        char *slash = strrchr(head, '/');
        slash[slash == head] = '\0'; /* "/" itself exists */
    }
    int reason = errno;
    if (!head || (!real && reason == ENOMEM)) {
        free(head);
        return error_set(err, E_OUTOFMEMORY, "out of memory resolving a path");
    }
    if (!real) {
        free(head);
        return error_set_errno(err, reason, "cannot look at %s", path);
    }
    bool is_top = strcmp(head, "/") == 0;
    *out = text_printf("%s%s", is_top ? "" : real, is_top ? path : path + strlen(head));
    free(real);
    free(head);
    return *out ? S_OK : error_set(err, E_OUTOFMEMORY, "out of memory resolving a path");
}

/* The host's part of "host:/export" or "//host/share": where it begins and how long it is. */
static size_t find_host(const char *source, const char **out)
{
    if (strncmp(source, "//", 2) == 0) {
        *out = source + 2;
        return strcspn(*out, "/");
    }
    const char *colon = strstr(source, ":/");
    *out = source;
    return colon ? (size_t)(colon - source) : 0;
}

/* The resolver's full name of a host; NULL where it has none. */
static char *canonical_host(const char *host)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_flags = AI_CANONNAME};
    struct addrinfo *found = NULL;
    if (getaddrinfo(host, NULL, &hints, &found) != 0) {
        return NULL;
    }
    char *name = text_copy(found->ai_canonname);
    freeaddrinfo(found);
    return name;
}

static char *network_root(const char *source, bool normalize)
{
    const char *host = NULL;
    size_t length = find_host(source, &host);
    char *name = length > 0 && normalize ? strndup(host, length) : NULL;
    char *full = name ? canonical_host(name) : NULL;
    free(name);
    if (!full) {
        return text_copy(source);
    }
    char *root = text_printf("%.*s%s%s", (int)(host - source), source, full, host + length);
    free(full);
    return root;
}

HRESULT paths_find(const char *proc, const char *file_path, bool normalize, char **out_root,
                   char **out_prefix, struct error *err)
{
    char *path = NULL;
    struct host_mount mount;
    if (file_path[0] != '/') {
        return error_set(err, E_INVALIDARG, "%.200s is not an absolute path", file_path);
    }
    HRESULT hr = resolve(file_path, &path, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = host_mount_find(proc, path, &mount, err);
    free(path);
    if (FAILED(hr)) {
        return hr;
    }
    char *prefix = text_printf("%s%s", mount.path, strcmp(mount.path, "/") == 0 ? "" : "/");
    char *root = mount.is_network && mount.source ? network_root(mount.source, normalize)
                                                  : text_copy(prefix);
    host_mount_free(&mount);
    if (!prefix || !root) {
        free(prefix);
        free(root);
        return error_set(err, E_OUTOFMEMORY, "out of memory resolving a path");
    }
    *out_prefix = prefix;
    *out_root = root;
    return S_OK;
}

HRESULT
vss_backup_components_get_root_and_logical_prefix_paths(struct vss_backup_components *session,
                                                        const char *file_path, bool normalize_fqdn,
                                                        char **out_root, char **out_logical_prefix)
{
    if (out_root) {
        *out_root = NULL;
    }
    if (out_logical_prefix) {
        *out_logical_prefix = NULL;
    }
    HRESULT hr = session_begin(session, METHOD_GET_ROOT_AND_LOGICAL_PREFIX_PATHS);
    if (FAILED(hr)) {
        return hr;
    }
    if (!file_path || !out_root || !out_logical_prefix) {
        hr = session_null_argument(session, "file_path, out_root or out_logical_prefix");
    } else {
        hr = paths_find("/proc", file_path, normalize_fqdn, out_root, out_logical_prefix,
                        &session->err);
    }
    return session_end(session, METHOD_GET_ROOT_AND_LOGICAL_PREFIX_PATHS, hr);
}
