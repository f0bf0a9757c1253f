/* SPDX-License-Identifier: Apache-2.0 */
#include "requester/async.h"

#include "common/buffer.h"
#include "common/clock.h"
#include "registry/store.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#define OWNERS 2 /* the caller and the session */

struct vss_async {
    pthread_mutex_t mutex; /* all below */
    pthread_cond_t changed;
    pthread_t thread;
    struct async_job job;
    char *directory; /* the job's; never changes */
    unsigned owners;
    bool has_ended;
    bool is_cancel_asked;
    HRESULT status; /* VSS_S_ASYNC_PENDING until has_ended */
    uint64_t done;  /* what progress was at the end */
    uint64_t total;
    uint64_t started_us;
    uint64_t ended_us; /* 0: not yet */
    uint64_t
        first_us; /* when bytes were first counted, and how many: what was done by an earlier */
    uint64_t first_done; /* run must not count as speed */
    struct error err;
};

/* What QueryStatus shows of an operation's result. */
static HRESULT status_of(const struct vss_async *async, HRESULT hr)
{
    if (hr == E_ABORT && async->is_cancel_asked) {
        return VSS_S_ASYNC_CANCELLED;
    }
    return hr == S_OK || hr == S_FALSE ? VSS_S_ASYNC_FINISHED : hr;
}

static void *run_job(void *argument)
{
    struct vss_async *async = argument;
    struct async_job job = async->job;
    struct error err = {0};
    HRESULT hr = job.run(job.user, &err);
    hr = job.finish(job.user, hr, &err);

    (void)pthread_mutex_lock(&async->mutex);
    async->status = status_of(async, hr);
    async->err = err;
    async->done = atomic_load(job.progress_done);
    async->total = atomic_load(job.progress_total);
    async->ended_us = clock_monotonic_us();
    async->has_ended = true;
    (void)pthread_cond_broadcast(&async->changed);
    (void)pthread_mutex_unlock(&async->mutex);
    return NULL;
}

/* Time-outs are measured on a clock that nobody sets. */
static int init_condition(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    int failed = pthread_condattr_init(&attributes);
    if (failed) {
        return failed;
    }
    failed = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    if (!failed) {
        failed = pthread_cond_init(condition, &attributes);
    }
    (void)pthread_condattr_destroy(&attributes);
    return failed;
}

/* A signal of the caller's process is for the caller's threads. */
static int start_thread(struct vss_async *async)
{
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    int failed = pthread_sigmask(SIG_SETMASK, &all, &before);
    if (failed) {
        return failed;
    }
    failed = pthread_create(&async->thread, NULL, run_job, async);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed;
}

static void destroy(struct vss_async *async)
{
    (void)pthread_cond_destroy(&async->changed);
    (void)pthread_mutex_destroy(&async->mutex);
    free(async->directory);
    free(async);
}

HRESULT async_start(const struct async_job *job, struct vss_async **out, struct error *err)
{
    *out = NULL;
    struct vss_async *async = calloc(1, sizeof(*async));
    char *directory = text_copy(job->directory);
    if (!async || (job->directory && !directory)) {
        free(directory);
        free(async);
        return error_set(err, E_OUTOFMEMORY, "out of memory while starting an operation");
    }
    async->directory = directory;
    async->job = *job;
    async->owners = OWNERS;
    async->status = VSS_S_ASYNC_PENDING;
    async->started_us = clock_monotonic_us();
    atomic_store(job->cancelled, false);
    atomic_store(job->progress_done, 0);
    atomic_store(job->progress_total, 0);
    int failed = init_condition(&async->changed);
    if (failed) {
        free(directory);
        free(async);
        return error_set_errno(err, failed, "cannot make a condition variable");
    }
    (void)pthread_mutex_init(&async->mutex, NULL); /* cannot fail without attributes */
    failed = start_thread(async);
    if (failed) {
        destroy(async);
        (void)error_set_errno(err, failed, "cannot start a thread for the operation");
        return error_translate(err, VSS_E_UNEXPECTED);
    }
    *out = async;
    return S_OK;
}

static void wait_for_end(struct vss_async *async)
{
    while (!async->has_ended) {
        (void)pthread_cond_wait(&async->changed, &async->mutex);
    }
}

/* Waits for the end, then lets go for one owner. */
static void let_go(struct vss_async *async)
{
    (void)pthread_mutex_lock(&async->mutex);
    wait_for_end(async);
    async->owners--;
    bool is_last = async->owners == 0;
    (void)pthread_mutex_unlock(&async->mutex);
    if (is_last) {
        (void)pthread_join(async->thread, NULL);
        destroy(async);
    }
}

static void ask_to_stop(struct vss_async *async)
{
    if (!async->has_ended) {
        async->is_cancel_asked = true;
        atomic_store(async->job.cancelled, true);
    }
}

void async_request_cancel(struct vss_async *async)
{
    (void)pthread_mutex_lock(&async->mutex);
    ask_to_stop(async);
    (void)pthread_mutex_unlock(&async->mutex);
}

void async_detach(struct vss_async *async)
{
    if (async) {
        let_go(async);
    }
}

static struct timespec deadline_after(uint32_t timeout_ms)
{
    struct timespec at = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += timeout_ms / 1000;
    at.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return at;
}

static HRESULT check_caller(const struct vss_async *async)
{
    return async->directory ? store_check_caller(async->directory, NULL) : S_OK;
}

HRESULT vss_async_wait(struct vss_async *async, uint32_t timeout_ms)
{
    if (!async) {
        return E_INVALIDARG;
    }
    HRESULT hr = check_caller(async);
    if (FAILED(hr)) {
        return hr;
    }
    struct timespec deadline = deadline_after(timeout_ms);
    (void)pthread_mutex_lock(&async->mutex);
    int failed = 0;
    while (!async->has_ended && failed != ETIMEDOUT) {
        failed = timeout_ms == VSS_INFINITE
                     ? pthread_cond_wait(&async->changed, &async->mutex)
                     : pthread_cond_timedwait(&async->changed, &async->mutex, &deadline);
    }
    hr = FAILED(async->status) ? async->status : S_OK;
    (void)pthread_mutex_unlock(&async->mutex);
    return hr;
}

HRESULT vss_async_query_status(struct vss_async *async, HRESULT *out_status)
{
    if (out_status) {
        *out_status = S_OK;
    }
    if (!async || !out_status) {
        return E_INVALIDARG;
    }
    HRESULT hr = check_caller(async);
    if (FAILED(hr)) {
        return hr;
    }
    (void)pthread_mutex_lock(&async->mutex);
    *out_status = async->status;
    (void)pthread_mutex_unlock(&async->mutex);
    return S_OK;
}

/* What Cancel answers about an operation that has ended. */
static HRESULT answer_ended(const struct vss_async *async, bool was_asked_by_us)
{
    if (async->status == VSS_S_ASYNC_CANCELLED) {
        return was_asked_by_us ? S_OK : VSS_S_ASYNC_CANCELLED;
    }
    return FAILED(async->status) ? async->status : VSS_S_ASYNC_FINISHED;
}

HRESULT vss_async_cancel(struct vss_async *async)
{
    if (!async) {
        return E_INVALIDARG;
    }
    (void)pthread_mutex_lock(&async->mutex);
    bool is_ours = !async->has_ended && !async->is_cancel_asked;
    ask_to_stop(async);
    wait_for_end(async);
    HRESULT hr = answer_ended(async, is_ours);
    (void)pthread_mutex_unlock(&async->mutex);
    return hr;
}

void vss_async_progress(struct vss_async *async, uint64_t *out_done, uint64_t *out_total)
{
    uint64_t done = 0;
    uint64_t total = 0;
    if (async) {
        (void)pthread_mutex_lock(&async->mutex);
        done = async->has_ended ? async->done : atomic_load(async->job.progress_done);
        total = async->has_ended ? async->total : atomic_load(async->job.progress_total);
        (void)pthread_mutex_unlock(&async->mutex);
    }
    if (out_done) {
        *out_done = done;
    }
    if (out_total) {
        *out_total = total;
    }
}

static void estimate(struct vss_async *async, struct vss_progress *p)
{
    uint64_t now = async->has_ended ? async->ended_us : clock_monotonic_us();
    p->elapsed_ms = (now - async->started_us) / 1000;
    p->remaining_ms = async->has_ended ? 0 : VSS_PROGRESS_UNKNOWN;
    if (p->total_bytes == 0) {
        return;
    }
    if (p->done_bytes > p->total_bytes) {
        p->done_bytes = p->total_bytes;
    }
    if (async->first_us == 0 && !async->has_ended) {
        async->first_us = now;
        async->first_done = p->done_bytes;
    }
    uint64_t since_us = async->first_us ? async->first_us : async->started_us;
    double bytes = (double)p->done_bytes - (double)async->first_done;
    double seconds = (double)(now - since_us) / 1e6;
    p->permille = (uint32_t)(1000.0 * (double)p->done_bytes / (double)p->total_bytes);
    if (bytes > 0 && seconds > 0) {
        double rate = bytes / seconds;
        p->bytes_per_second = (uint64_t)rate;
        if (!async->has_ended) {
            p->remaining_ms = (uint64_t)((double)(p->total_bytes - p->done_bytes) / rate * 1000.0);
        }
    }
}

HRESULT vss_async_query_progress(struct vss_async *async, struct vss_progress *out)
{
    if (!async || !out || out->struct_size < sizeof(struct vss_progress)) {
        return E_INVALIDARG;
    }
    uint32_t struct_size = out->struct_size;
    *out = (struct vss_progress){.struct_size = struct_size};
    vss_async_progress(async, &out->done_bytes, &out->total_bytes);
    (void)pthread_mutex_lock(&async->mutex);
    estimate(async, out);
    (void)pthread_mutex_unlock(&async->mutex);
    return S_OK;
}

const char *vss_async_error_text(struct vss_async *async)
{
    if (!async) {
        return "";
    }
    (void)pthread_mutex_lock(&async->mutex);
    bool has_text = async->has_ended && async->err.text[0] != '\0';
    HRESULT status = async->status;
    (void)pthread_mutex_unlock(&async->mutex);
    if (has_text) {
        return async->err.text; /* never changes once the operation ended */
    }
    return FAILED(status) ? vss_error_explanation(status) : "";
}

void vss_async_release(struct vss_async *async)
{
    if (async) {
        let_go(async);
    }
}
