/* SPDX-License-Identifier: Apache-2.0 */
#include "lun/host/flush.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Between the caller and the thread: whoever lets go last frees it. */
struct flush {
    pthread_mutex_t mutex;
    pthread_cond_t ended;
    int fd;
    int owners;
    bool is_done;
    int reason; /* errno; 0: written */
};

static void let_go(struct flush *f)
{
    (void)pthread_mutex_lock(&f->mutex);
    bool is_last = --f->owners == 0;
    (void)pthread_mutex_unlock(&f->mutex);
    if (is_last) {
        (void)close(f->fd);
        (void)pthread_cond_destroy(&f->ended);
        (void)pthread_mutex_destroy(&f->mutex);
        free(f);
    }
}

static void *run(void *user)
{
    struct flush *f = user;
    int reason = syncfs(f->fd) == 0 ? 0 : errno;
    (void)pthread_mutex_lock(&f->mutex);
    f->reason = reason;
    f->is_done = true;
    (void)pthread_cond_signal(&f->ended);
    (void)pthread_mutex_unlock(&f->mutex);
    let_go(f);
    return NULL;
}

/* Signals are the caller's business. */
static int start(struct flush *f)
{
    pthread_t thread;
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&thread, NULL, run, f);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc == 0) {
        (void)pthread_detach(thread);
    }
    return rc;
}

static struct flush *make(int fd)
{
    struct flush *f = calloc(1, sizeof(*f));
    pthread_condattr_t attributes;
    if (!f) {
        return NULL;
    }
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&f->mutex, NULL);
    (void)pthread_cond_init(&f->ended, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    f->fd = fd;
    f->owners = 2;
    return f;
}

static HRESULT wait_for(struct flush *f, const char *path, uint32_t timeout_ms, struct error *err)
{
    struct timespec deadline;
    (void)clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec += timeout_ms / 1000;
    deadline.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (deadline.tv_nsec >= 1000000000) {
        deadline.tv_sec++;
        deadline.tv_nsec -= 1000000000;
    }
    int rc = 0;
    (void)pthread_mutex_lock(&f->mutex);
    while (!f->is_done && rc == 0) {
        rc = pthread_cond_timedwait(&f->ended, &f->mutex, &deadline);
    }
    bool is_done = f->is_done;
    int reason = f->reason;
    (void)pthread_mutex_unlock(&f->mutex);
    if (!is_done) {
        return error_set(err, VSS_E_FLUSH_WRITES_TIMEOUT,
                         "%s was not written out within %u ms; is its disk still there?", path,
                         timeout_ms);
    }
    return reason ? error_set(err, VSS_E_FLUSH_WRITES_TIMEOUT, "%s cannot be written out: %s", path,
                              strerror(reason))
                  : S_OK;
}

HRESULT host_flush(const char *path, uint32_t timeout_ms, struct error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return error_set_errno(err, errno, "%s cannot be flushed", path);
    }
    struct flush *f = make(fd);
    if (!f) {
        (void)close(fd);
        return error_set(err, E_OUTOFMEMORY, "no memory to flush %s", path);
    }
    int rc = start(f);
    if (rc != 0) {
        f->owners = 1; /* there is no thread */
        let_go(f);
        return error_set(err, VSS_E_FLUSH_WRITES_TIMEOUT, "%s cannot be flushed: %s", path,
                         strerror(rc));
    }
    HRESULT hr = wait_for(f, path, timeout_ms, err);
    let_go(f);
    return hr;
}
