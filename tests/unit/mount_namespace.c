/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/mount_namespace.h"

#include <limits.h>
#include <mntent.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

static bool is_below(const char *path, const char *directory)
{
    size_t length = strlen(directory);
    return strncmp(path, directory, length) == 0 && path[length] == '/';
}

static bool find_beside(const char *directory, const char *parent, char out[PATH_MAX])
{
    char text[2 * PATH_MAX];
    struct mntent entry;
    bool found = false;
    FILE *mounts = setmntent("/proc/self/mounts", "re");
    while (mounts && !found && getmntent_r(mounts, &entry, text, sizeof(text))) {
        const char *at = entry.mnt_dir;
        found = is_below(at, parent) && strcmp(at, directory) != 0 && !is_below(at, directory) &&
                snprintf(out, PATH_MAX, "%s", at) < PATH_MAX;
    }
    if (mounts) {
        (void)endmntent(mounts);
    }
    return found;
}

bool mount_namespace_enter(const char *directory)
{
    char parent[PATH_MAX];
    char at[PATH_MAX];
    if (unshare(CLONE_NEWNS) != 0) {
        return false;
    }
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        return true;
    }
    (void)snprintf(parent, sizeof(parent), "%s", directory);
    *strrchr(parent, '/') = '\0';
    while (*parent && find_beside(directory, parent, at) &&
           umount2(at, MNT_DETACH | UMOUNT_NOFOLLOW) == 0) {
    }
    return true;
}
