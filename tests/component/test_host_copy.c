/* SPDX-License-Identifier: Apache-2.0 */
/* RecoverSet where the array leaves copying to the host, on a real tgtd: content is judged by cmp
 * and qemu-img compare, on the backing files. */
#include "component/host_copy_fixture.h"

#include "common/clock.h"
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

/* ---- what is copied ---------------------------------------------------------------------------
 */

static void differences_alone_are_written(void **state)
{
    struct array *a = *state;
    struct set_record set;
    struct vss_disk_ids own[ARRAY_LUNS];
    char method[2048];
    host_configure(a, "method = compare\\nverify = full\\n");
    host_make(a, ARRAY_LUNS, &set);
    for (size_t i = 0; i < ARRAY_LUNS; i++) {
        array_read_ids(a, a->urls[i], &own[i]);
    }
    host_recover(a, &set, method);
    for (size_t i = 0; i < ARRAY_LUNS; i++) {
        struct vss_disk_ids now;
        host_assert_original(a, i);
        array_read_ids(a, a->urls[i], &now);
        assert_true(disk_ids_equal(&now, &own[i]));
        disk_ids_free(&now);
        disk_ids_free(&own[i]);
    }
    assert_non_null(strstr(method, "compare (as asked for)"));
    assert_true(host_number_after(method, "read ") >= 2ull * HOST_BODY_BYTES * 9 / 10);
    assert_true(host_number_after(method, "wrote ") <= 8u * HOST_MIB);
    assert_true(host_number_after(method, "different ") >= 7u * HOST_MIB);
    assert_true(host_number_after(method, "different ") <= 7u * HOST_MIB + 16384);
    assert_int_equal(host_number_after(method, "verified "), HOST_BODY_BYTES);
    host_recover(a, &set, method); /* there is nothing left to do, and the copy can be used again */
    assert_int_equal(host_number_after(method, "wrote "), 0);
    array_delete_set(a, &set);
}

/* A LUN of another content and label, which can have holes. */
static void add_other_lun(struct array *a, char url[400], char path[256])
{
    struct error err = {0};
    char line[1024];
    const char *const thin[] = {"--op",  "update", "--mode",   "logicalunit",         "--tid", "1",
                                "--lun", "9",      "--params", "thin_provisioning=1", NULL};
    (void)snprintf(path, 256, "%s/other.img", a->lab->disks);
    (void)snprintf(url, 400, "iscsi://%s/" ARRAY_TARGET "/9", a->lab->portal);
    (void)snprintf(line, sizeof(line),
                   "PATH=$PATH:/usr/sbin:/sbin; truncate -s 64M '%s'; sgdisk -n 1:0:0 '%s'; yes | "
                   "dd of='%s' bs=1M seek=40 count=20 iflag=fullblock conv=notrunc status=none",
                   path, path, path);
    host_run_shell(line);
    struct lab_lun_options lun = {
        .target = ARRAY_TARGET, .lun = 9, .file = "other.img", .block_bytes = 512};
    assert_ok(lab_add_lun(a->lab, &lun, &err), &err);
    assert_ok(lab_tgtadm(a->lab, thin, NULL, &err), &err);
}

/* Everything, over another LUN; zeros of the copy become holes where the LUN can have some. */
static void another_lun_is_written_whole(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct recovery *r = NULL;
    size_t count = 0;
    struct stat after;
    char url[400];
    char path[256];
    host_configure(a, "verify = full\\nsessions = 4\\n");
    host_make(a, 2, &set);
    add_other_lun(a, url, path);
    assert_ok(recovery_new(a->env, &set, &r, &err), &err);
    assert_ok(recovery_add(r, &set.snapshots[1].snapshot_id, url, &err), &err);
    assert_ok(recovery_run(r, VSS_RECOVERY_NO_VOLUME_CHECK, &err), &err);
    const char *method = recovery_results(r, &count)->method;
    print_message("%s\n", method);
    assert_non_null(strstr(method, "full (the destination is another LUN"));
    assert_true(host_number_after(method, "unmapped ") >= 9u * HOST_MIB);
    assert_true(host_number_after(method, "wrote ") < 48u * HOST_MIB);
    assert_int_equal(host_number_after(method, "verified "), HOST_BODY_BYTES);
    char original[256];
    (void)snprintf(original, sizeof(original), "%s/original1", a->base);
    host_assert_same_body(original, path);
    assert_int_equal(stat(path, &after), 0);
    assert_true(after.st_blocks < (blkcnt_t)(50u * HOST_MIB / 512));
    recovery_free(r);
    array_delete_set(a, &set);
}

static void refused_before_anything_is_written(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct recovery *r = NULL;
    host_configure(a, "method = full\\n");
    array_create(a, HOST_CONTEXT | VSS_VOLSNAP_ATTR_TRANSPORTABLE, 1, &set); /* not shown */
    assert_ok(recovery_new(a->env, &set, &r, &err), &err);
    assert_refused(recovery_add(r, &set.snapshots[0].snapshot_id, NULL, &err),
                   VSS_E_OBJECT_NOT_FOUND, &err, "import the set first");
    recovery_free(r);
    error_clear(&err);
    char line[512];
    (void)snprintf(line, sizeof(line), "sed -i 's/^method = .*/method = clone/' %s", a->config);
    host_run_shell(line);
    array_reopen(a);
    assert_ok(recovery_new(a->env, &set, &r, &err), &err);
    assert_refused(recovery_add(r, &set.snapshots[0].snapshot_id, NULL, &err), E_INVALIDARG, &err,
                   "[copy] method");
    recovery_free(r);
    error_clear(&err);
    host_configure(a, "");
    assert_ok(set_import(a->env, &set, &err), &err);
    struct lab_lun_options larger = {.target = ARRAY_TARGET,
                                     .lun = 9,
                                     .file = "larger.img",
                                     .bytes = ARRAY_BYTES + HOST_MIB,
                                     .block_bytes = 512};
    assert_ok(lab_add_lun(a->lab, &larger, &err), &err);
    char url[400];
    (void)snprintf(url, sizeof(url), "iscsi://%s/" ARRAY_TARGET "/9", a->lab->portal);
    assert_ok(recovery_new(a->env, &set, &r, &err), &err);
    assert_refused(recovery_add(r, &set.snapshots[0].snapshot_id, url, &err),
                   VSS_E_VOLUME_NOT_SUPPORTED, &err, "same size");
    recovery_free(r);
    array_delete_set(a, &set);
}

/* A safety copy that could not be put back is none. */
static void no_undo_is_promised(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    size_t count = 0;
    host_configure(a, "");
    host_make(a, 1, &set);
    uint64_t digest = array_digest(a->files[0]);
    struct recovery *r = host_add_all(a, &set);
    recovery_set_undo(r, UNDO_REQUIRED);
    assert_refused(recovery_run(r, 0, &err), VSS_E_PROVIDER_VETO, &err, "no safety copy");
    recovery_free(r);
    assert_int_equal(array_digest(a->files[0]), digest);
    error_clear(&err);
    r = host_add_all(a, &set);
    recovery_set_undo(r, UNDO_WHERE_CHEAP);
    assert_ok(recovery_run(r, 0, &err), &err);
    assert_non_null(strstr(recovery_results(r, &count)->undo_note, "cannot be undone"));
    recovery_free(r);
    host_assert_original(a, 0);
    array_delete_set(a, &set);
}

/* ---- what happens meanwhile -------------------------------------------------------------------
 */

/* More than may be under way at the rate that the test has, and far less than is left. */
#define CANCEL_MOST (8u * HOST_MIB)

static void ask_to_stop(struct host_meanwhile *m)
{
    m->acted_us = clock_monotonic_us();
    atomic_store(&m->a->env->cancelled, true);
    m->done_bytes = atomic_load(&m->a->env->progress_done);
}

static void a_cancelled_copy_goes_no_further(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct host_meanwhile m;
    char method[2048];
    host_configure(a, "method = full\\nrate = 16\\n");
    host_make(a, 1, &set);
    struct recovery *r = host_add_all(a, &set);
    host_start_meanwhile(&m, a, 8u * HOST_MIB, ask_to_stop);
    assert_refused(recovery_run(r, 0, &err), E_ABORT, &err, "run the same resync again");
    uint64_t ended_us = clock_monotonic_us();
    assert_int_equal(pthread_join(m.thread, NULL), 0);
    uint64_t more = atomic_load(&a->env->progress_done) - m.done_bytes;
    print_message("cancelled: stopped after %llu ms and %llu bytes\n",
                  (unsigned long long)((ended_us - m.acted_us) / 1000), (unsigned long long)more);
    assert_true(more <= CANCEL_MOST);
    recovery_free(r);
    struct lun *lun = NULL; /* half-written, it looks like nothing */
    struct label *label = NULL;
    error_clear(&err);
    assert_ok(lun_open(a->urls[0], &a->env->lun, true, &lun, &err), &err);
    assert_ok(label_read(&lun->block, LABEL_FULL, &label, &err), &err);
    assert_int_equal(label->kind, VSS_DISK_LABEL_NONE);
    label_free(label);
    lun_close(lun);
    atomic_store(&a->env->cancelled, false);
    host_configure(a, "");
    host_recover(a, &set, method);
    host_assert_original(a, 0);
    array_delete_set(a, &set);
}

/* ---- a second initiator that keeps writing ----------------------------------------------------
 */

/* ---- verification, and a process that dies -----------------------------------------------------
 */

/* The array forgets what it took: behind its back, in its file. */
static void spoil(struct host_meanwhile *m)
{
    array_fill(m->a, 0, 30u * HOST_MIB, 4096, 0xdd);
}

static void what_reads_back_otherwise_is_told(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct host_meanwhile m;
    char method[2048];
    host_configure(a, "method = full\\nrate = 32\\nverify = full\\n");
    host_make(a, 1, &set);
    struct recovery *r = host_add_all(a, &set);
    host_start_meanwhile(&m, a, 45u * HOST_MIB, spoil);
    assert_refused(recovery_run(r, 0, &err), VSS_E_UNEXPECTED, &err, "byte 31457280");
    assert_int_equal(pthread_join(m.thread, NULL), 0);
    recovery_free(r);
    host_configure(a, "");
    host_recover(a, &set, method);
    host_assert_original(a, 0);
    array_delete_set(a, &set);
}

/* Where a resync dies, in a process of its own. */
enum death {
    NEVER,
    WIPED,   /* the edges are wiped, and nothing is noted */
    COPYING, /* a part is copied, and not noted */
    NOTED    /* some is noted as copied */
};

static enum death death;
static const struct set_environment *dying;

/* As this process is, in the place of one that is killed from outside at just this moment. */
static void die_if(bool is_here)
{
    if (is_here) {
        (void)raise(SIGKILL);
    }
}

HRESULT __real_host_copy_note(struct host_copy *c, uint64_t offset, struct error *err);
HRESULT __wrap_host_copy_note(struct host_copy *c, uint64_t offset, struct error *err);

/* The first note says where the copying begins. */
HRESULT __wrap_host_copy_note(struct host_copy *c, uint64_t offset, struct error *err)
{
    bool is_of_progress = offset > c->resumed_from;
    die_if(death == WIPED || (death == COPYING && is_of_progress));
    HRESULT hr = __real_host_copy_note(c, offset, err);
    die_if(death == NOTED && is_of_progress);
    return hr;
}

void __real_pipeline_turn(struct pipeline *a, struct pipeline *b, uint32_t timeout_ms);
void __wrap_pipeline_turn(struct pipeline *a, struct pipeline *b, uint32_t timeout_ms);

/* What is done by the first turn may be what a dead process had done. */
void __wrap_pipeline_turn(struct pipeline *a, struct pipeline *b, uint32_t timeout_ms)
{
    static uint64_t first;
    uint64_t done = dying ? atomic_load(&dying->progress_done) : 0;
    first = first ? first : done;
    die_if(death == COPYING && done > first);
    __real_pipeline_turn(a, b, timeout_ms);
}

static void resync_in_child(const struct array *a, const struct set_record *set)
{
    struct set_environment *env = NULL;
    struct recovery *r = NULL;
    struct error err = {0};
    bool ok = SUCCEEDED(set_environment_open(a->config, a->state, &env, &err));
    dying = env;
    ok = ok && SUCCEEDED(recovery_new(env, set, &r, &err)) &&
         SUCCEEDED(recovery_add(r, &set->snapshots[0].snapshot_id, NULL, &err)) &&
         SUCCEEDED(recovery_run(r, 0, &err));
    (void)fprintf(stderr, "child: ended, not killed: %s\n", error_text(&err));
    _exit(ok ? 0 : 1);
}

static void die_at(struct array *a, const struct set_record *set, enum death where)
{
    int status = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        death = where;
        resync_in_child(a, set);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
}

/* Behind its fence nobody can have written what a dead process had copied. */
static void a_dead_process_is_gone_on_with(void **state)
{
    struct array *a = *state;
    struct set_record set;
    char method[2048];
    host_configure(a, "rate = 24\\n");
    host_make(a, 1, &set);
    die_at(a, &set, NOTED);
    struct lun_options stranger = {.initiator_name = "iqn.2026-01.org.lunshadow.test:stranger"};
    struct lun *lun = NULL;
    struct error err = {0};
    uint8_t block[512] = {0};
    assert_ok(lun_open(a->urls[0], &stranger, false, &lun, &err), &err);
    assert_int_equal(block_write(&lun->block, 9000, 1, block, NULL), E_ACCESSDENIED);
    lun_close(lun);
    host_configure(a, "verify = sample\\n");
    host_recover(a, &set, method);
    assert_true(host_number_after(method, "resumed at byte ") > HOST_EDGE_BYTES);
    assert_true(host_number_after(method, "read ") < 2ull * HOST_BODY_BYTES);
    host_assert_original(a, 0);
    array_delete_set(a, &set);
}

/* Takes the reservation away, and writes where the dead process had copied. */
static void write_as_stranger(struct array *a)
{
    struct error err = {0};
    struct lun *lun = NULL;
    uint64_t keys[64];
    size_t count = 0;
    struct lun_options stranger = {.initiator_name = "iqn.2026-01.org.lunshadow.test:stranger"};
    assert_ok(lun_open(a->urls[0], &stranger, false, &lun, &err), &err);
    assert_ok(scsi_pr_read_keys(lun->session, 1, keys, 64, &count, &err), &err);
    assert_ok(scsi_pr_register(lun->session, 1, 0, 0x5757, &err), &err);
    for (size_t i = 0; i < count; i++) {
        assert_ok(scsi_pr_preempt(lun->session, 1, 0x5757, keys[i], &err), &err);
    }
    uint8_t block[4096];
    memset(block, 0xcc, sizeof(block));
    assert_ok(block_write(&lun->block, 2u * HOST_MIB / 512, 8, block, &err), &err);
    assert_ok(scsi_pr_register(lun->session, 1, 0x5757, 0, &err), &err);
    lun_close(lun);
}

/* The next one relies on nothing of what was noted. */
static void assert_begun_anew(struct array *a, struct set_record *set, const char *copy)
{
    char method[2048];
    host_configure(a, copy);
    host_recover(a, set, method);
    assert_null(strstr(method, "resumed"));
    host_assert_original(a, 0);
    array_delete_set(a, set);
}

/* Without the fence they can: what was noted is not believed. */
static void without_its_fence_all_is_compared(void **state)
{
    struct array *a = *state;
    struct set_record set;
    host_configure(a, "rate = 24\\n");
    host_make(a, 1, &set);
    die_at(a, &set, NOTED);
    write_as_stranger(a);
    assert_begun_anew(a, &set, "");
}

/* Nor is it where one that raised the fence anew died too, before it had noted anything. */
static void a_fence_raised_anew_proves_nothing(void **state)
{
    struct array *a = *state;
    struct set_record set;
    host_configure(a, "rate = 24\\n");
    host_make(a, 1, &set);
    die_at(a, &set, NOTED);
    write_as_stranger(a);
    die_at(a, &set, WIPED);
    assert_begun_anew(a, &set, "");
}

/* Nor where another copy was written over a part since. */
static void another_copy_voids_what_was_noted(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    char method[2048];
    int32_t deleted = 0;
    struct set_record first;
    struct set_record second;
    host_configure(a, "rate = 24\\n");
    host_make(a, 1, &first);
    array_create(a, HOST_CONTEXT, 1, &second); /* of what is damaged */
    die_at(a, &first, NOTED);
    die_at(a, &second, COPYING);
    host_configure(a, "");
    host_recover(a, &first, method);
    assert_null(strstr(method, "resumed"));
    host_assert_original(a, 0);
    assert_ok(set_delete(a->env, &second.set_id, VSS_OBJECT_SNAPSHOT_SET, &deleted, NULL, &err),
              &err);
    set_record_free(&second);
    array_delete_set(a, &first);
}

/* What a list of changes left out was never looked at: who wants no list does not rely on it. */
static void what_a_list_left_out_is_not_noted_as_copied(void **state)
{
    struct array *a = *state;
    struct set_record set;
    host_configure(a, "rate = 2\\n");
    host_make(a, 1, &set);
    die_at(a, &set, NOTED);
    assert_begun_anew(a, &set, "method = compare\\n");
}

/* Nor by one that went on with it, and died as soon as it had begun. */
static void what_a_list_left_out_is_never_noted_as_copied(void **state)
{
    struct array *a = *state;
    struct set_record set;
    host_configure(a, "rate = 2\\n");
    host_make(a, 1, &set);
    die_at(a, &set, NOTED);
    die_at(a, &set, COPYING);
    assert_begun_anew(a, &set, "method = compare\\n");
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, array_start, array_stop)
    const struct CMUnitTest tests[] = {
        CASE(differences_alone_are_written),
        CASE(another_lun_is_written_whole),
        CASE(refused_before_anything_is_written),
        CASE(no_undo_is_promised),
        CASE(a_cancelled_copy_goes_no_further),
        CASE(what_reads_back_otherwise_is_told),
        CASE(a_dead_process_is_gone_on_with),
        CASE(without_its_fence_all_is_compared),
        CASE(another_copy_voids_what_was_noted),
        CASE(a_fence_raised_anew_proves_nothing),
        CASE(what_a_list_left_out_is_not_noted_as_copied),
        CASE(what_a_list_left_out_is_never_noted_as_copied),
    };
    cmocka_set_test_filter(getenv("TEST_CASE"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
