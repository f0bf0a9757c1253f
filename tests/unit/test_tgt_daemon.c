/* SPDX-License-Identifier: Apache-2.0 */
/* How the tgt plug-in finds its tgtd: where that cannot be told, there may be one, and the files of
 * copies that it serves are not removed. */
#include "provider/arrays/tgt/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char last_error[1024];
static int stat_errno; /* of opening a file of /proc; 0: it opens */

static void take_error(const struct vss_call *call, const char *line)
{
    (void)call;
    (void)snprintf(last_error, sizeof(last_error), "%s", line);
}

static const struct vss_host services = {.struct_size = sizeof(services), .error = take_error};
static const struct vss_call call = {.struct_size = sizeof(call), .host = &services, .array = "x"};

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);

int __wrap_open(const char *path, int flags, ...)
{
    if (stat_errno && strncmp(path, "/proc/", 6) == 0) {
        errno = stat_errno;
        return -1;
    }
    va_list list;
    va_start(list, flags);
    mode_t mode = flags & O_CREAT ? va_arg(list, mode_t) : 0;
    va_end(list);
    return __real_open(path, flags, mode);
}

/* Calls itself tgtd, and holds the lock until it is killed. */
static void hold_lock(const char *path, int out)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
    int fd = open(path, O_RDWR | O_CLOEXEC);
    bool is_held = fd >= 0 && fcntl(fd, F_SETLK, &lock) == 0 && prctl(PR_SET_NAME, "tgtd") == 0;
    if (!is_held || write(out, "x", 1) != 1) {
        _exit(1);
    }
    for (;;) {
        (void)pause();
    }
}

static pid_t start_daemon(const char *path)
{
    int ends[2];
    char byte = 0;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        hold_lock(path, ends[1]);
    }
    assert_int_equal(close(ends[1]), 0);
    assert_int_equal(read(ends[0], &byte, 1), 1);
    assert_int_equal(close(ends[0]), 0);
    return pid;
}

static void one_that_cannot_be_looked_at_may_be_there(void **state)
{
    static const int errnos[] = {EMFILE, EACCES, ENOENT}; /* the last one: /proc hides it */
    (void)state;
    char path[] = "/tmp/lunshadow-tgt-daemon-XXXXXX";
    int fd = mkostemp(path, O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    struct tgt t = {.call = &call, .lock_path = path};
    pid_t found = 0;
    assert_int_equal(tgt_daemon_look(&t, &found), S_FALSE);
    pid_t pid = start_daemon(path);
    for (size_t i = 0; i < sizeof(errnos) / sizeof(errnos[0]); i++) {
        stat_errno = errnos[i];
        HRESULT hr = tgt_daemon_look(&t, &found);
        stat_errno = 0;
        assert_int_equal(hr, VSS_E_PROVIDER_VETO);
        assert_int_equal(found, 0);
        assert_non_null(strstr(last_error, "cannot be looked at"));
    }
    assert_int_equal(tgt_daemon_look(&t, &found), S_OK);
    assert_int_equal(found, pid);
    assert_int_equal(tgt_daemon_find(&t, &found), S_OK);
    assert_int_equal(found, pid);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(tgt_daemon_look(&t, &found), S_FALSE);
    assert_int_equal(unlink(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_cannot_be_looked_at_may_be_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
