/* SPDX-License-Identifier: Apache-2.0 */

/* Operations in threads of their own: results, waiting, cancelling, and who may let go when. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>

#include "common/clock.h"
#include "requester/async.h"

/* What a session would be to its operation. */
struct owner {
    atomic_bool cancelled;
    _Atomic uint64_t done;
    _Atomic uint64_t total;
    atomic_bool may_end; /* the operation runs until this, or until it sees cancelled */
    bool heeds_cancel;
    HRESULT result;
    bool has_all_signals_blocked;
    atomic_int finished;
};

static HRESULT work(void *user, struct error *err)
{
    struct owner *owner = user;
    sigset_t mask;
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &mask), 0);
    owner->has_all_signals_blocked = sigismember(&mask, SIGINT) == 1 &&
                                     sigismember(&mask, SIGTERM) == 1 &&
                                     sigismember(&mask, SIGCHLD) == 1;
    atomic_store(&owner->total, 100);
    atomic_store(&owner->done, 40);
    while (!atomic_load(&owner->may_end)) {
        if (owner->heeds_cancel && atomic_load(&owner->cancelled)) {
            return error_set(err, E_ABORT, "stopped on request");
        }
        clock_sleep_ms(1);
    }
    atomic_store(&owner->done, 100);
    return FAILED(owner->result) ? error_set(err, owner->result, "LUN 3 refused") : owner->result;
}

static HRESULT finish(void *user, HRESULT hr, struct error *err)
{
    struct owner *owner = user;
    (void)err;
    atomic_fetch_add(&owner->finished, 1);
    return hr;
}

static struct vss_async *start(struct owner *owner)
{
    struct async_job job = {owner,        work,          finish, &owner->cancelled,
                            &owner->done, &owner->total, NULL};
    struct vss_async *async = NULL;
    atomic_store(&owner->cancelled, true); /* a leftover, which starting clears */
    assert_int_equal(async_start(&job, &async, NULL), S_OK);
    return async;
}

static HRESULT status_of(struct vss_async *async)
{
    HRESULT status = S_OK;
    assert_int_equal(vss_async_query_status(async, &status), S_OK);
    return status;
}

static void let_go(struct vss_async *async)
{
    vss_async_release(async);
    async_detach(async);
}

static void test_results(void **unused)
{
    (void)unused;
    static const struct {
        HRESULT result;
        HRESULT status;
        HRESULT wait;
        HRESULT cancel;
    } rows[] = {
        {S_OK, VSS_S_ASYNC_FINISHED, S_OK, VSS_S_ASYNC_FINISHED},
        {S_FALSE, VSS_S_ASYNC_FINISHED, S_OK, VSS_S_ASYNC_FINISHED},
        {VSS_S_SOME_SNAPSHOTS_NOT_IMPORTED, VSS_S_SOME_SNAPSHOTS_NOT_IMPORTED, S_OK,
         VSS_S_ASYNC_FINISHED},
        {VSS_E_PROVIDER_VETO, VSS_E_PROVIDER_VETO, VSS_E_PROVIDER_VETO, VSS_E_PROVIDER_VETO},
        {E_ABORT, E_ABORT, E_ABORT, E_ABORT}, /* nobody asked for it */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct owner owner = {.result = rows[i].result, .may_end = true};
        struct vss_async *async = start(&owner);
        assert_int_equal(vss_async_wait(async, VSS_INFINITE), rows[i].wait);
        assert_int_equal(atomic_load(&owner.finished), 1);
        assert_true(owner.has_all_signals_blocked);
        assert_int_equal(status_of(async), rows[i].status);
        assert_int_equal(vss_async_cancel(async), rows[i].cancel);
        assert_int_equal(status_of(async), rows[i].status);
        assert_string_equal(vss_async_error_text(async),
                            FAILED(rows[i].result) ? "LUN 3 refused" : "");
        let_go(async);
    }
}

static void test_wait_with_time(void **unused)
{
    (void)unused;
    struct owner owner = {.result = S_OK};
    struct vss_async *async = start(&owner);
    assert_int_equal(vss_async_wait(async, 0), S_OK);
    uint64_t before = clock_monotonic_us();
    assert_int_equal(vss_async_wait(async, 50), S_OK);
    assert_true(clock_monotonic_us() - before >= 49000);
    assert_int_equal(status_of(async), VSS_S_ASYNC_PENDING);
    assert_string_equal(vss_async_error_text(async), "");
    atomic_store(&owner.may_end, true);
    assert_int_equal(vss_async_wait(async, 60000), S_OK);
    assert_int_equal(status_of(async), VSS_S_ASYNC_FINISHED);
    let_go(async);
}

static void test_cancel(void **unused)
{
    (void)unused;
    struct owner owner = {.result = S_OK, .heeds_cancel = true};
    struct vss_async *async = start(&owner);
    assert_int_equal(vss_async_wait(async, 5), S_OK); /* a leftover cancel would end it */
    assert_int_equal(status_of(async), VSS_S_ASYNC_PENDING);
    assert_int_equal(vss_async_cancel(async), S_OK);
    assert_int_equal(status_of(async), VSS_S_ASYNC_CANCELLED);
    assert_int_equal(vss_async_cancel(async), VSS_S_ASYNC_CANCELLED);
    assert_int_equal(vss_async_wait(async, VSS_INFINITE), S_OK);
    assert_string_equal(vss_async_error_text(async), "stopped on request");
    let_go(async);
}

static void *end_soon(void *user)
{
    struct owner *owner = user;
    clock_sleep_ms(30);
    atomic_store(&owner->may_end, true);
    return NULL;
}

/* Past its last safe point an operation ends as it would have. */
static void test_cancel_too_late(void **unused)
{
    (void)unused;
    static const HRESULT results[] = {S_OK, VSS_E_UNEXPECTED};
    static const HRESULT answers[] = {VSS_S_ASYNC_FINISHED, VSS_E_UNEXPECTED};
    for (size_t i = 0; i < 2; i++) {
        struct owner owner = {.result = results[i]};
        struct vss_async *async = start(&owner);
        pthread_t ender;
        assert_int_equal(pthread_create(&ender, NULL, end_soon, &owner), 0);
        assert_int_equal(vss_async_cancel(async), answers[i]);
        assert_int_equal(pthread_join(ender, NULL), 0);
        let_go(async);
    }
}

static void test_progress_outlives_owner(void **unused)
{
    (void)unused;
    struct owner *owner = calloc(1, sizeof(*owner));
    assert_non_null(owner);
    struct vss_async *async = start(owner);
    uint64_t done = 0;
    uint64_t total = 0;
    for (int i = 0; i < 5000 && done != 40; i++) {
        clock_sleep_ms(1);
        vss_async_progress(async, &done, &total);
    }
    assert_true(done == 40 && total == 100);
    atomic_store(&owner->may_end, true);
    async_detach(async);
    memset(owner, 0, sizeof(*owner));
    free(owner); /* the session is gone; the caller still holds the object */
    vss_async_progress(async, &done, &total);
    assert_true(done == 100 && total == 100);
    assert_int_equal(status_of(async), VSS_S_ASYNC_FINISHED);
    assert_int_equal(vss_async_cancel(async), VSS_S_ASYNC_FINISHED);
    assert_int_equal(vss_async_wait(async, VSS_INFINITE), S_OK);
    vss_async_release(async);
}

static void test_progress_in_numbers(void **unused)
{
    (void)unused;
    struct owner owner = {.result = S_OK};
    struct vss_async *async = start(&owner);
    struct vss_progress p = {.struct_size = sizeof(p)};
    while (p.done_bytes < 40) {
        assert_int_equal(vss_async_query_progress(async, &p), S_OK);
    }
    assert_int_equal(p.total_bytes, 100);
    assert_int_equal(p.permille, 400);
    uint64_t first_bytes = p.done_bytes;
    clock_sleep_ms(50);
    atomic_store(&owner.done, 70); /* 30 bytes in some 50 ms, 30 more to go */
    assert_int_equal(vss_async_query_progress(async, &p), S_OK);
    assert_int_equal(p.permille, 700);
    assert_true(first_bytes == 40 && p.bytes_per_second > 0 && p.bytes_per_second <= 1400);
    assert_true(p.remaining_ms >= 20 && p.remaining_ms < 60000);
    assert_true(p.elapsed_ms >= 50);
    atomic_store(&owner.done, 1000); /* more than there is counts as all */
    assert_int_equal(vss_async_query_progress(async, &p), S_OK);
    assert_int_equal(p.permille, 1000);
    atomic_store(&owner.may_end, true);
    assert_int_equal(vss_async_wait(async, VSS_INFINITE), S_OK);
    assert_int_equal(vss_async_query_progress(async, &p), S_OK);
    assert_int_equal(p.remaining_ms, 0);
    uint64_t elapsed_ms = p.elapsed_ms;
    clock_sleep_ms(20);
    assert_int_equal(vss_async_query_progress(async, &p), S_OK);
    assert_int_equal(p.elapsed_ms, elapsed_ms);
    p.struct_size = sizeof(p) - 1;
    assert_int_equal(vss_async_query_progress(async, &p), E_INVALIDARG);
    assert_int_equal(vss_async_query_progress(NULL, &p), E_INVALIDARG);
    assert_int_equal(vss_async_query_progress(async, NULL), E_INVALIDARG);
    let_go(async);
}

static void *wait_forever(void *user)
{
    HRESULT hr = vss_async_wait(user, VSS_INFINITE);
    return hr == S_OK && status_of(user) == VSS_S_ASYNC_CANCELLED ? user : NULL;
}

static void *release(void *user)
{
    vss_async_release(user);
    return user;
}

/* Waiters, a canceller, and both owners letting go at once, each from a thread of its own. */
static void test_many_threads(void **unused)
{
    (void)unused;
    for (int round = 0; round < 50; round++) {
        struct owner owner = {.heeds_cancel = true};
        struct vss_async *async = start(&owner);
        pthread_t waiters[4];
        for (size_t i = 0; i < 4; i++) {
            assert_int_equal(pthread_create(&waiters[i], NULL, wait_forever, async), 0);
        }
        async_request_cancel(async);
        for (size_t i = 0; i < 4; i++) {
            void *seen = NULL;
            assert_int_equal(pthread_join(waiters[i], &seen), 0);
            assert_ptr_equal(seen, async);
        }
        pthread_t releaser;
        assert_int_equal(pthread_create(&releaser, NULL, release, async), 0);
        async_detach(async);
        assert_int_equal(pthread_join(releaser, NULL), 0);
    }
}

static void test_bad_arguments(void **unused)
{
    (void)unused;
    HRESULT status = E_FAIL;
    uint64_t number = 7;
    assert_int_equal(vss_async_wait(NULL, 0), E_INVALIDARG);
    assert_int_equal(vss_async_query_status(NULL, &status), E_INVALIDARG);
    assert_int_equal(status, S_OK); /* 0, as every output of a call that fails */
    assert_int_equal(vss_async_cancel(NULL), E_INVALIDARG);
    assert_string_equal(vss_async_error_text(NULL), "");
    vss_async_progress(NULL, &number, NULL);
    assert_int_equal(number, 0);
    vss_async_release(NULL);
    async_detach(NULL);
    struct owner owner = {.may_end = true};
    struct vss_async *async = start(&owner);
    assert_int_equal(vss_async_query_status(async, NULL), E_INVALIDARG);
    let_go(async);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_results),
        cmocka_unit_test(test_wait_with_time),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_cancel_too_late),
        cmocka_unit_test(test_progress_outlives_owner),
        cmocka_unit_test(test_progress_in_numbers),
        cmocka_unit_test(test_many_threads),
        cmocka_unit_test(test_bad_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
