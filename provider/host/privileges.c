/* SPDX-License-Identifier: Apache-2.0 */
#include "provider/host/privileges.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <unistd.h>

HRESULT privileges_limit(int keep_fd, struct error *err)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return error_set_errno(err, errno, "cannot give up new privileges");
    }
    if (keep_fd > STDERR_FILENO + 1) {
        (void)close_range(STDERR_FILENO + 1, (unsigned)keep_fd - 1, 0);
    }
    (void)close_range((unsigned)keep_fd + 1, ~0U, 0);
    return S_OK;
}

static bool is_now(const struct passwd *wanted)
{
    uid_t u[3];
    gid_t g[3];
    if (getresuid(&u[0], &u[1], &u[2]) != 0 || getresgid(&g[0], &g[1], &g[2]) != 0) {
        return false;
    }
    for (int i = 0; i < 3; i++) {
        if (u[i] != wanted->pw_uid || g[i] != wanted->pw_gid) {
            return false;
        }
    }
    return wanted->pw_uid == 0 || setuid(0) != 0;
}

HRESULT privileges_become(const char *user, struct error *err)
{
    const struct passwd *wanted = getpwnam(user);
    if (!wanted) {
        return error_set(err, E_INVALIDARG, "there is no user %s to run the provider as", user);
    }
    if (geteuid() == wanted->pw_uid && getuid() == wanted->pw_uid) {
        return S_OK;
    }
    if (geteuid() != 0) {
        return error_set(err, E_ACCESSDENIED,
                         "only root can run the provider as user %s; remove \"user =\" or be root",
                         user);
    }
    if (initgroups(user, wanted->pw_gid) != 0 || setgid(wanted->pw_gid) != 0 ||
        setuid(wanted->pw_uid) != 0) {
        return error_set_errno(err, errno, "cannot become user %s", user);
    }
    return is_now(wanted) ? S_OK
                          : error_set(err, E_ACCESSDENIED, "user %s was not become for good", user);
}
