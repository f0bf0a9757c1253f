/* SPDX-License-Identifier: Apache-2.0 */
/* Real sets on a real array whose plug-in's process is killed between any two calls, and at any
 * moment: the set is made or it leaves nothing, and the next one works. */
#include "component/array_fixture.h"

#include "common/clock.h"
#include "provider/host/internal.h"
#include "provider/host/remote.h"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include <cmocka.h>

enum { ROUNDS = 24, SET_LUNS = 2 };

static struct remote *remote_of(const struct array *a)
{
    struct remote *remote = providers_at(a->env->providers, 0)->remote;
    assert_non_null(remote);
    return remote;
}

static int open_host(const struct array *a)
{
    int fd = pidfd_open(remote_pid(remote_of(a)), 0);
    assert_true(fd >= 0);
    return fd;
}

static void delete_set(struct array *a, struct set_record *set)
{
    struct error err = {0};
    int32_t deleted = 0;
    assert_ok(set_delete(a->env, &set->set_id, VSS_OBJECT_SNAPSHOT_SET, &deleted, NULL, &err),
              &err);
    assert_int_equal(deleted, SET_LUNS);
    set_record_free(set);
    array_assert_nothing_left(a);
}

static struct set_builder *build(struct array *a)
{
    struct error err = {0};
    struct set_builder *builder = NULL;
    VSS_ID set_id;
    VSS_ID snapshot_id;
    assert_ok(set_start(a->env, (uint32_t)VSS_CTX_APP_ROLLBACK, &builder, &set_id, &err), &err);
    for (size_t i = 0; i < SET_LUNS; i++) {
        assert_ok(set_add_volume(builder, a->urls[i], NULL, &snapshot_id, &err), &err);
    }
    return builder;
}

/* ---- between calls -----------------------------------------------------------------------------
 */

struct hook_data {
    struct array *array;
    int kills;
};

static HRESULT kill_host(void *user, struct error *err)
{
    struct hook_data *data = user;
    (void)err;
    int fd = open_host(data->array);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    assert_int_equal(pidfd_send_signal(fd, SIGKILL, NULL, 0), 0);
    assert_int_equal(poll(&p, 1, 5000), 1);
    assert_int_equal(close(fd), 0);
    data->kills++;
    return S_OK;
}

static HRESULT kill_host_last(void *user, struct set_record *set, struct error *err)
{
    (void)set;
    return kill_host(user, err);
}

static void each_call_may_meet_a_new_process(void **state)
{
    struct array *a = *state;
    struct hook_data data = {.array = a};
    struct set_hooks hooks = {.user = &data,
                              .prepare = kill_host,
                              .freeze = kill_host,
                              .thaw = kill_host,
                              .post_snapshot = kill_host_last};
    struct error err = {0};
    struct set_record set = {0};
    struct set_builder *builder = build(a);
    assert_ok(set_commit(builder, &hooks, &set, &err), &err);
    set_builder_free(builder);
    assert_int_equal(data.kills, 4);
    delete_set(a, &set);
}

/* ---- at any moment -----------------------------------------------------------------------------
 */

struct killer {
    int pidfd;
    uint64_t at_us;
    bool has_killed;
};

static void *kill_later(void *argument)
{
    struct killer *killer = argument;
    while (clock_monotonic_us() < killer->at_us) {
        (void)usleep(200);
    }
    killer->has_killed = pidfd_send_signal(killer->pidfd, SIGKILL, NULL, 0) == 0;
    return NULL;
}

/* True where the set was made all the same. */
static bool run_round(struct array *a, uint64_t after_us)
{
    struct error err = {0};
    struct set_record set = {0};
    pthread_t thread;
    struct set_builder *builder = build(a);
    struct killer killer = {.pidfd = open_host(a), .at_us = clock_monotonic_us() + after_us};
    assert_int_equal(pthread_create(&thread, NULL, kill_later, &killer), 0);
    HRESULT hr = set_commit(builder, NULL, &set, &err);
    set_builder_free(builder);
    assert_int_equal(pthread_join(thread, NULL), 0);
    struct pollfd p = {.fd = killer.pidfd, .events = POLLIN};
    assert_int_equal(poll(&p, 1, 5000), 1); /* else it could still take the next call with it */
    assert_int_equal(close(killer.pidfd), 0);
    assert_true(killer.has_killed);
    if (SUCCEEDED(hr)) {
        delete_set(a, &set);
        return true;
    }
    assert_refused(hr, VSS_E_UNEXPECTED_PROVIDER_ERROR, &err, "died of signal 9 (SIGKILL) in ");
    array_assert_nothing_left(a);
    return false;
}

static void a_kill_at_any_moment_leaves_nothing(void **state)
{
    struct array *a = *state;
    struct set_record set = {0};
    size_t made = 0;
    uint64_t digests[SET_LUNS];
    for (size_t i = 0; i < SET_LUNS; i++) {
        digests[i] = array_digest(a->files[i]);
    }
    uint64_t start_us = clock_monotonic_us();
    array_create(a, (uint32_t)VSS_CTX_APP_ROLLBACK, SET_LUNS, &set);
    uint64_t usual_us = clock_monotonic_us() - start_us;
    delete_set(a, &set);
    for (uint64_t i = 0; i < ROUNDS; i++) {
        made += run_round(a, i * usual_us / ROUNDS);
    }
    print_message("%d kills, evenly over the %llu ms that a set of %d LUNs takes: %zu sets were "
                  "made all the same, %zu were taken back\n",
                  ROUNDS, (unsigned long long)(usual_us / 1000), SET_LUNS, made, ROUNDS - made);
    assert_true(made < ROUNDS); /* some did hit a call */
    for (size_t i = 0; i < SET_LUNS; i++) {
        assert_true(digests[i] == array_digest(a->files[i]));
    }
    array_create(a, (uint32_t)VSS_CTX_APP_ROLLBACK, SET_LUNS, &set);
    delete_set(a, &set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_call_may_meet_a_new_process),
        cmocka_unit_test(a_kill_at_any_moment_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, array_start, array_stop);
}
