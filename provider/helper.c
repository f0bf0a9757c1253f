/* SPDX-License-Identifier: Apache-2.0 */
#include "provider/helper.h"

#include "common/buffer.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Directory of the running program; "" where it cannot be told. */
static void own_directory(char out[PATH_MAX])
{
    ssize_t n = readlink("/proc/self/exe", out, PATH_MAX - 1);
    out[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(out, '/');
    if (slash) {
        *slash = '\0';
    }
}

/* The first that is there of: where a build has it (only for programs of that build: an installed
 * one must not run what lies in a build directory), beside us, beside a program in libexec or a
 * folder of it; else the configured place. */
static void find(const char *environment, const char *build, const char *relative,
                 const char *configured, const char *file, char out[PATH_MAX])
{
    char own[PATH_MAX];
    own_directory(own);
    const char *named = secure_getenv(environment);
    if (named && *named) {
        (void)snprintf(out, PATH_MAX, "%s/%s", named, file);
        return;
    }
    if (strncmp(own, LUNSHADOW_BUILD_DIR "/", sizeof(LUNSHADOW_BUILD_DIR)) == 0) {
        (void)snprintf(out, PATH_MAX, "%s/%s", build, file);
        if (access(out, R_OK) == 0) {
            return;
        }
    }
    static const char *const ups[] = {"..", "../..", "../../.."};
    for (size_t i = 0; *own && i < sizeof(ups) / sizeof(ups[0]); i++) {
        (void)snprintf(out, PATH_MAX, "%s/%s/%s/%s", own, ups[i], relative, file);
        if (access(out, R_OK) == 0) {
            return;
        }
    }
    (void)snprintf(out, PATH_MAX, "%s/%s", configured, file);
}

const char *helper_program(const char *name)
{
    static _Thread_local char path[PATH_MAX];
    find("LUNSHADOW_LIBEXECDIR", LUNSHADOW_BUILD_HELPERS, LUNSHADOW_RELATIVE_LIBEXECDIR,
         LUNSHADOW_LIBEXECDIR, name, path);
    return path;
}

char *helper_plugin(const char *provider)
{
    char path[PATH_MAX];
    char *file = text_printf("lunshadow-provider-%s.so", provider);
    if (!file) {
        return NULL;
    }
    find("LUNSHADOW_PROVIDER_DIR", LUNSHADOW_BUILD_PROVIDER_DIR, LUNSHADOW_RELATIVE_PROVIDER_DIR,
         LUNSHADOW_PROVIDER_DIR, file, path);
    free(file);
    return text_copy(path);
}
