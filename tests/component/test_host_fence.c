/* SPDX-License-Identifier: Apache-2.0 */
/* What others do while the host copies: sessions that are cut, fences that are broken, a target
 * that is restarted, an initiator that keeps writing. Judged on content. */
#include "component/host_copy_fixture.h"

#include "common/clock.h"
#include "common/log.h"
#include "resync/host_copy.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* So many RESERVE are done, and their answers get lost. */
static int lost_answers;

HRESULT __real_scsi_pr_reserve(struct scsi_transport *transport, uint64_t lun, uint64_t key,
                               struct error *err);
HRESULT __wrap_scsi_pr_reserve(struct scsi_transport *transport, uint64_t lun, uint64_t key,
                               struct error *err);

HRESULT __wrap_scsi_pr_reserve(struct scsi_transport *transport, uint64_t lun, uint64_t key,
                               struct error *err)
{
    HRESULT hr = __real_scsi_pr_reserve(transport, lun, key, err);
    return SUCCEEDED(hr) && lost_answers > 0 && lost_answers--
               ? error_set(err, VSS_E_UNEXPECTED, "the answer got lost")
               : hr;
}

/* Closes all sessions on the array's target, three times. */
static void cut_sessions(struct host_meanwhile *m)
{
    char line[1024];
    (void)snprintf(
        line, sizeof(line),
        "export TGT_IPC_SOCKET=%s PATH=$PATH:/usr/sbin; for i in 1 2 3; do "
        "tgtadm -C %u --lld iscsi --op show --mode conn --tid 1 | awk '/^Session/ { s = $2 } "
        "/Connection/ { print s, $2 }' | while read s c; do tgtadm -C %u --lld iscsi --op delete "
        "--mode conn --tid 1 --sid $s --cid $c || true; done; sleep 0.7; done",
        m->a->lab->socket, m->a->lab->control_port, m->a->lab->control_port);
    host_run_shell(line);
}

static void lost_sessions_are_opened_anew(void **state)
{
    struct array *a = *state;
    struct set_record set;
    struct host_meanwhile m;
    char method[2048];
    host_configure(a, "method = full\\nrate = 24\\nverify = full\\nreconnect_seconds = 10\\n");
    host_make(a, 1, &set);
    array_fill(a, 0, 2u * HOST_MIB, 60u * HOST_MIB, 0x99); /* a block that gets lost shall show */
    host_start_meanwhile(&m, a, 8u * HOST_MIB, cut_sessions);
    host_recover(a, &set, method);
    assert_int_equal(pthread_join(m.thread, NULL), 0);
    assert_true(host_number_after(method, "unmapped ") == 0);
    assert_non_null(strstr(method, "lost sessions opened anew"));
    host_assert_original(a, 0);
    array_delete_set(a, &set); /* no registration is left: the set could not be deleted, and: */
    struct error err = {0};
    struct lun *lun = NULL;
    size_t count = 1;
    assert_ok(lun_open(a->urls[0], &a->env->lun, true, &lun, &err), &err);
    assert_ok(scsi_pr_read_keys(lun->session, lun->address.lun, NULL, 0, &count, &err), &err);
    assert_int_equal(count, 0);
    lun_close(lun);
}

/* Another administrator's tool takes our reservation away, writes, and leaves. */
static void break_fence(const struct array *a)
{
    const struct lun_options options = {.initiator_name =
                                            "iqn.2026-01.org.lunshadow.test:stranger"};
    struct error err = {0};
    struct lun *lun = NULL;
    uint64_t keys[64];
    size_t count = 0;
    static uint8_t garbage[65536];
    memset(garbage, 0xee, sizeof(garbage));
    assert_ok(lun_open(a->urls[0], &options, false, &lun, &err), &err);
    uint64_t n = lun->address.lun;
    assert_ok(scsi_pr_read_keys(lun->session, n, keys, 64, &count, &err), &err);
    assert_true(count > 0 && count <= 64);
    assert_ok(scsi_pr_register(lun->session, n, 0, 0x5757, &err), &err);
    for (size_t i = 0; i < count; i++) {
        assert_ok(scsi_pr_preempt(lun->session, n, 0x5757, keys[i], &err), &err);
    }
    /* Over the label, over what is copied already, and over what is not. */
    static const uint64_t places[] = {0, 2u * HOST_MIB, 50u * HOST_MIB, ARRAY_BYTES - 65536};
    for (size_t i = 0; i < 4; i++) {
        assert_ok(block_write(&lun->block, places[i] / 512, 128, garbage, &err), &err);
    }
    assert_ok(scsi_pr_register(lun->session, n, 0x5757, 0, &err), &err);
    lun_close(lun);
}

/* Whose fence is to be broken once a part is noted as copied, and another is not; NULL: nobody's.
 * So many answers get lost from then on. */
static const struct array *to_be_broken;
static int to_be_lost;

HRESULT __real_host_copy_note(struct host_copy *c, uint64_t offset, struct error *err);
HRESULT __wrap_host_copy_note(struct host_copy *c, uint64_t offset, struct error *err);

HRESULT __wrap_host_copy_note(struct host_copy *c, uint64_t offset, struct error *err)
{
    const struct array *a = to_be_broken;
    HRESULT hr = __real_host_copy_note(c, offset, err);
    if (a && offset > c->begin && offset < c->end) {
        to_be_broken = NULL;
        lost_answers = to_be_lost;
        break_fence(a);
    }
    return hr;
}

static void break_fence_of(struct array *a, const char *copy, int lost)
{
    struct set_record set;
    struct vss_disk_ids before;
    struct vss_disk_ids after;
    char method[2048];
    host_configure(a, copy);
    host_make(a, 1, &set);
    array_fill(a, 0, 2u * HOST_MIB, 30u * HOST_MIB, 0x77);
    array_read_ids(a, a->urls[0], &before);
    to_be_broken = a;
    to_be_lost = lost;
    host_recover(a, &set, method);
    assert_null(to_be_broken);
    assert_int_equal(lost_answers, 0);
    host_assert_original(a, 0);
    array_read_ids(a, a->urls[0], &after);
    assert_true(disk_ids_equal(&before, &after));
    disk_ids_free(&before);
    disk_ids_free(&after);
    array_delete_set(a, &set);
}

static void broken_fence_makes_all_be_compared_again(void **state)
{
    break_fence_of(*state, "method = full\\nrate = 16\\nreconnect_seconds = 10\\n", 0);
}

/* And the new one is there before we know of it. */
static void broken_fence_is_not_forgotten(void **state)
{
    break_fence_of(*state, "method = full\\nrate = 16\\nreconnect_seconds = 10\\n", 2);
}

/* What the array said of changes is as old as the fence: a place that it did not name is written by
 * the stranger too. */
static void broken_fence_makes_a_list_worthless(void **state)
{
    break_fence_of(*state, "rate = 16\\nreconnect_seconds = 10\\n", 0);
}

/* Serves a file again as the LUN that it was, with tgtadm: a copy's name is none for lab_add_lun().
 */
static void serve_again(struct array *a, const char *tid, const char *url, const char *file,
                        const struct vss_lun_info *info)
{
    struct error err = {0};
    struct lun_address address;
    char scsi_id[33];
    char line[2048];
    assert_ok(lun_address_parse(url, &address, &err), &err);
    array_scsi_id(info, scsi_id);
    (void)snprintf(line, sizeof(line),
                   "PATH=$PATH:/usr/sbin; export TGT_IPC_SOCKET=%s; t() { tgtadm -C %u --lld iscsi "
                   "--op \"$@\"; }; t new --mode target --tid %s -T %s; "
                   "t new --mode logicalunit --tid %s --lun %u -b '%s'; "
                   "t update --mode logicalunit --tid %s --lun %u --params scsi_id=%s,scsi_sn=%s; "
                   "t bind --mode target --tid %s -I 127.0.0.1",
                   a->lab->socket, a->lab->control_port, tid, address.target, tid,
                   (unsigned)address.lun, file, tid, (unsigned)address.lun, scsi_id,
                   info->serial_number, tid);
    host_run_shell(line);
}

struct run {
    struct recovery *recovery;
    struct error err;
    HRESULT result;
};

static void *run_recovery(void *user)
{
    struct run *run = user;
    run->result = recovery_run(run->recovery, 0, &run->err);
    return NULL;
}

/* A stranger who is there as soon as the LUN is. */
static bool write_as_stranger(const struct array *a)
{
    const struct lun_options options = {.initiator_name =
                                            "iqn.2026-01.org.lunshadow.test:stranger"};
    static uint8_t garbage[65536];
    struct lun *lun = NULL;
    memset(garbage, 0xee, sizeof(garbage));
    bool is_in = SUCCEEDED(lun_open(a->urls[0], &options, false, &lun, NULL)) &&
                 SUCCEEDED(block_write(&lun->block, 3u * HOST_MIB / 512, 128, garbage, NULL)) &&
                 SUCCEEDED(block_write(&lun->block, 0, 128, garbage, NULL));
    lun_close(lun);
    return is_in;
}

/* The array crashes: sessions, reservation and registrations are gone with it. */
static void a_restarted_target_is_gone_on_with(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct run run = {.result = E_FAIL};
    pthread_t thread;
    char copy[512];
    size_t count = 0;
    host_configure(a, "method = full\\nrate = 24\\nverify = full\\nreconnect_seconds = 30\\n");
    host_make(a, 1, &set);
    host_find_copy(a, copy);
    run.recovery = host_add_all(a, &set);
    atomic_store(&a->env->progress_total, 0);
    atomic_store(&a->env->progress_done, 0);
    assert_int_equal(pthread_create(&thread, NULL, run_recovery, &run), 0);
    while (atomic_load(&a->env->progress_done) < 8u * HOST_MIB) {
        clock_sleep_ms(2);
    }
    host_wait_until_noted(a);
    assert_ok(lab_restart(a->lab, &err), &err);
    clock_sleep_ms(300);
    serve_again(a, "1", a->urls[0], a->files[0], &set.luns[0].source);
    print_message("restarted; a stranger %s\n", write_as_stranger(a) ? "got in" : "came too late");
    serve_again(a, "2", set.luns[0].copy_url, copy, &set.luns[0].copy);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_ok(run.result, &run.err);
    const char *method = recovery_results(run.recovery, &count)->method;
    print_message("%s\n", method);
    assert_non_null(strstr(method, "lost sessions opened anew"));
    host_assert_original(a, 0);
    recovery_free(run.recovery);
    array_delete_set(a, &set);
}

/* Before a resync, and so after one that a crash of the array ended. */
static void a_copy_that_the_array_forgot_is_shown_again(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    char method[2048];
    host_configure(a, "");
    host_make(a, 1, &set);
    assert_ok(lab_restart(a->lab, &err), &err);
    serve_again(a, "1", a->urls[0], a->files[0], &set.luns[0].source);
    host_recover(a, &set, method);
    host_assert_original(a, 0);
    array_delete_set(a, &set);
}

static atomic_bool may_leave;

/* Somebody else holds on to the LUN: nothing more is written to it. */
static void take_fence_and_stay(struct host_meanwhile *m)
{
    const struct lun_options options = {.initiator_name =
                                            "iqn.2026-01.org.lunshadow.test:stranger"};
    struct lun *lun = NULL;
    uint64_t keys[64];
    size_t count = 0;
    assert_true(SUCCEEDED(lun_open(m->a->urls[0], &options, false, &lun, NULL)));
    uint64_t n = lun->address.lun;
    assert_true(SUCCEEDED(scsi_pr_read_keys(lun->session, n, keys, 64, &count, NULL)));
    assert_true(SUCCEEDED(scsi_pr_register(lun->session, n, 0, 0x5757, NULL)));
    for (size_t i = 0; i < count && i < 64; i++) {
        assert_true(SUCCEEDED(scsi_pr_preempt(lun->session, n, 0x5757, keys[i], NULL)));
    }
    while (!atomic_load(&may_leave)) {
        clock_sleep_ms(20);
    }
    (void)scsi_pr_register(lun->session, n, 0x5757, 0, NULL);
    lun_close(lun);
}

static void a_stranger_who_stays_ends_it(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct host_meanwhile m;
    char method[2048];
    host_configure(a, "method = full\\nrate = 24\\nreconnect_seconds = 4\\n");
    host_make(a, 1, &set);
    struct recovery *r = host_add_all(a, &set);
    atomic_store(&may_leave, false);
    host_start_meanwhile(&m, a, 20u * HOST_MIB, take_fence_and_stay);
    HRESULT hr = recovery_run(r, 0, &err);
    atomic_store(&may_leave, true);
    assert_int_equal(pthread_join(m.thread, NULL), 0);
    assert_refused(hr, VSS_E_PROVIDER_VETO, &err, "registered by others");
    recovery_free(r);
    host_recover(a, &set, method);
    host_assert_original(a, 0);
    array_delete_set(a, &set);
}

/* ---- a second initiator that keeps writing ---- */

struct hammer {
    struct array *a;
    atomic_bool stop;
    _Atomic uint64_t fenced_us; /* the reservation was made */
    atomic_bool is_watching;
    bool is_running; /* the thread is to be joined */
    uint64_t tries;
    _Atomic uint64_t before; /* writes that were done before the fence */
    uint64_t between;        /* that got in */
    uint64_t refused;
    pthread_t thread;
};

static struct hammer hammer;

static void stop_hammer(struct hammer *h)
{
    atomic_store(&h->stop, true);
    if (h->is_running) {
        assert_int_equal(pthread_join(h->thread, NULL), 0);
        h->is_running = false;
    }
}

HRESULT __real_scsi_pr_release(struct scsi_transport *transport, uint64_t lun, uint64_t key,
                               struct error *err);
HRESULT __wrap_scsi_pr_release(struct scsi_transport *transport, uint64_t lun, uint64_t key,
                               struct error *err);

/* What the hammer writes once the fence is down again is nobody's fault. */
HRESULT __wrap_scsi_pr_release(struct scsi_transport *transport, uint64_t lun, uint64_t key,
                               struct error *err)
{
    stop_hammer(&hammer);
    return __real_scsi_pr_release(transport, lun, key, err);
}

/* Sees the reservation come in the trace of our own commands. */
static void watch_trace(enum log_level level, const char *line, void *user)
{
    (void)user;
    if (level != LOG_TRACE || !atomic_load(&hammer.is_watching)) {
        return;
    }
    if (strstr(line, "cdb=5f 01") && strstr(line, "status=00") &&
        atomic_load(&hammer.fenced_us) == 0) {
        atomic_store(&hammer.fenced_us, clock_monotonic_us());
    }
}

static void hammer_once(struct hammer *h, struct lun *lun, size_t turn)
{
    static const uint64_t places[] = {
        0, HOST_MIB, 9u * HOST_MIB, 33u * HOST_MIB, 47u * HOST_MIB, ARRAY_BYTES - 4096};
    uint8_t block[4096];
    memset(block, (int)(0xa0 + turn % 16), sizeof(block));
    uint64_t begun = clock_monotonic_us();
    HRESULT hr = block_write(&lun->block, places[turn % 6] / 512, 8, block, NULL);
    h->tries++;
    uint64_t fenced = atomic_load(&h->fenced_us);
    if (FAILED(hr)) {
        h->refused += hr == E_ACCESSDENIED;
    } else if (fenced && begun > fenced) {
        h->between++;
    } else {
        atomic_fetch_add(&h->before, 1);
    }
}

static void *run_hammer(void *user)
{
    struct hammer *h = user;
    const struct lun_options options = {.initiator_name = "iqn.2026-01.org.lunshadow.test:hammer"};
    struct lun *lun = NULL;
    for (size_t turn = 0; !atomic_load(&h->stop); turn++) {
        if (!lun && FAILED(lun_open(h->a->urls[0], &options, false, &lun, NULL))) {
            lun = NULL;
            clock_sleep_ms(5);
            continue;
        }
        hammer_once(h, lun, turn);
        /* A session that was closed under it is opened again. */
        uint8_t probe[512];
        if (FAILED(block_read(&lun->block, 0, 1, probe, NULL))) {
            lun_close(lun);
            lun = NULL;
        }
    }
    lun_close(lun);
    return NULL;
}

static void a_hammering_initiator_gets_no_write_in(void **state)
{
    struct array *a = *state;
    struct set_record set;
    struct vss_disk_ids own;
    char method[2048];
    host_configure(a, "rate = 48\\nverify = full\\n");
    host_make(a, 1, &set);
    array_read_ids(a, a->urls[0], &own);
    hammer = (struct hammer){.a = a};
    log_set_sink(watch_trace, NULL, LOG_TRACE);
    struct recovery *r = host_add_all(a, &set);
    struct error err = {0};
    atomic_store(&hammer.is_watching, true);
    assert_int_equal(pthread_create(&hammer.thread, NULL, run_hammer, &hammer), 0);
    hammer.is_running = true;
    while (atomic_load(&hammer.before) == 0) { /* it can write, where it may */
        clock_sleep_ms(5);
    }
    HRESULT hr = recovery_run(r, 0, &err);
    stop_hammer(&hammer);
    log_set_sink(NULL, NULL, LOG_ERROR);
    assert_ok(hr, &err);
    size_t count = 0;
    (void)snprintf(method, sizeof(method), "%s", recovery_results(r, &count)[0].method);
    recovery_free(r);
    print_message("hammer: %llu writes, %llu before the fence, %llu refused, %llu got in\n",
                  (unsigned long long)hammer.tries, (unsigned long long)hammer.before,
                  (unsigned long long)hammer.refused, (unsigned long long)hammer.between);
    assert_true(atomic_load(&hammer.fenced_us) > 0);
    assert_true(hammer.refused > 20); /* it tried */
    assert_int_equal(hammer.between, 0);
    host_assert_original(a, 0);
    disk_ids_free(&own);
    array_delete_set(a, &set);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, array_start, array_stop)
    const struct CMUnitTest tests[] = {
        CASE(lost_sessions_are_opened_anew),
        CASE(broken_fence_makes_all_be_compared_again),
        CASE(broken_fence_is_not_forgotten),
        CASE(broken_fence_makes_a_list_worthless),
        CASE(a_copy_that_the_array_forgot_is_shown_again),
        CASE(a_restarted_target_is_gone_on_with),
        CASE(a_stranger_who_stays_ends_it),
        CASE(a_hammering_initiator_gets_no_write_in),
    };
    cmocka_set_test_filter(getenv("TEST_CASE"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
