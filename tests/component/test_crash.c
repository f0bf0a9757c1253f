/* SPDX-License-Identifier: Apache-2.0 */
/* SIGKILL in the middle of a create and of a resync, at many moments: what the dead process left is
 * named, refused by others, and mended. */
#include "component/array_fixture.h"

#include "common/clock.h"
#include "provider/set/rollback.h"
#include "registry/journal.h"
#include "resync/recovery.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define ROUNDS        12
#define TRANSPORTABLE ((uint32_t)VSS_CTX_APP_ROLLBACK | VSS_VOLSNAP_ATTR_TRANSPORTABLE)

/* In the child: everything anew, as a process of its own would. */
static void create_in_child(const struct array *a)
{
    struct set_environment *env = NULL;
    struct set_builder *b = NULL;
    struct set_record set;
    VSS_ID id;
    bool ok = SUCCEEDED(set_environment_open(a->config, a->state, &env, NULL)) &&
              SUCCEEDED(set_start(env, TRANSPORTABLE, &b, &id, NULL));
    for (size_t i = 0; ok && i < ARRAY_LUNS; i++) {
        ok = SUCCEEDED(set_add_volume(b, a->urls[i], NULL, &id, NULL));
    }
    ok = ok && SUCCEEDED(set_commit(b, NULL, &set, NULL));
    _exit(ok ? 0 : 1);
}

static void resync_in_child(const struct array *a, const struct set_record *set)
{
    struct set_environment *env = NULL;
    struct recovery *r = NULL;
    bool ok = SUCCEEDED(set_environment_open(a->config, a->state, &env, NULL)) &&
              SUCCEEDED(recovery_new(env, set, &r, NULL));
    for (size_t i = 0; ok && i < set->snapshot_count; i++) {
        ok = SUCCEEDED(recovery_add(r, &set->snapshots[i].snapshot_id, NULL, NULL));
    }
    ok = ok && SUCCEEDED(recovery_run(r, 0, NULL));
    _exit(ok ? 0 : 1);
}

/* Kills the child after delay_us, unless it ended before. True where it was killed. */
static bool kill_after(pid_t child, uint64_t delay_us)
{
    int status = 0;
    (void)usleep((useconds_t)delay_us);
    (void)kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status)) {
        assert_int_equal(WEXITSTATUS(status), 0);
    }
    return WIFSIGNALED(status);
}

/* How long one undisturbed run takes: the span in which the kills fall. */
static uint64_t span_of(uint64_t begun_us, pid_t child)
{
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return clock_monotonic_us() - begun_us;
}

static size_t dead_entries(struct array *a, struct journal_entry **out)
{
    struct error err = {0};
    size_t count = 0;
    assert_ok(journal_load_open(a->env->store, true, out, &count, &err), &err);
    return count;
}

static void delete_all_sets(struct array *a)
{
    struct error err = {0};
    struct set_record *sets = NULL;
    size_t count = 0;
    int32_t deleted = 0;
    assert_ok(sets_load_all(a->env->store, &sets, &count, &err), &err);
    for (size_t i = 0; i < count; i++) {
        assert_ok(
            set_delete(a->env, &sets[i].set_id, VSS_OBJECT_SNAPSHOT_SET, &deleted, NULL, &err),
            &err);
    }
    sets_free_all(sets, count);
}

static void assert_array_answers(struct array *a)
{
    for (size_t i = 0; i < ARRAY_LUNS; i++) {
        struct vss_disk_ids ids;
        array_read_ids(a, a->urls[i], &ids); /* tgtd runs again, whatever was held */
        disk_ids_free(&ids);
    }
}

static void killed_create_is_taken_back(void **state)
{
    struct array *a = *state;
    uint64_t begun = clock_monotonic_us();
    pid_t child = fork();
    if (child == 0) {
        create_in_child(a);
    }
    uint64_t span = span_of(begun, child);
    uint64_t digest = array_digest(a->files[1]);
    delete_all_sets(a);
    int killed = 0;
    int left = 0;
    for (int round = 0; round < ROUNDS; round++) {
        struct error err = {0};
        struct journal_entry *entries = NULL;
        child = fork();
        if (child == 0) {
            create_in_child(a);
        }
        killed += kill_after(child, span * (uint64_t)(round + 1) / (ROUNDS + 1));
        assert_array_answers(a);
        size_t count = dead_entries(a, &entries);
        if (count) {
            struct set_builder *b = NULL;
            VSS_ID id;
            left++;
            assert_refused(set_start(a->env, TRANSPORTABLE, &b, &id, &err), VSS_E_BAD_STATE, &err,
                           "recover");
            error_clear(&err);
            assert_int_equal(count, 1);
            assert_ok(set_rollback(a->env, &entries[0], &err), &err);
        } else {
            delete_all_sets(a); /* it had ended, or not yet begun */
        }
        journal_free_all(entries, count);
        array_assert_nothing_left(a);
        assert_int_equal(array_digest(a->files[1]), digest);
    }
    print_message("create: %d of %d rounds killed, %d left something to take back\n", killed,
                  ROUNDS, left);
}

static void run_again(struct array *a, const struct set_record *set)
{
    struct error err = {0};
    struct recovery *r = NULL;
    assert_ok(recovery_new(a->env, set, &r, &err), &err);
    for (size_t i = 0; i < set->snapshot_count; i++) {
        assert_ok(recovery_add(r, &set->snapshots[i].snapshot_id, NULL, &err), &err);
    }
    assert_ok(recovery_run(r, 0, &err), &err);
    recovery_free(r);
}

/* What a killed resync left is either nothing, or something that only its repetition may touch. */
static bool judge_killed_resync(struct array *a, const struct set_record *set)
{
    struct error err = {0};
    struct journal_entry *entries = NULL;
    size_t count = dead_entries(a, &entries);
    bool is_invalid = count && entries[0].destination_invalid;
    if (count) {
        struct set_builder *b = NULL;
        VSS_ID id;
        assert_int_equal(count, 1);
        assert_refused(set_start(a->env, TRANSPORTABLE, &b, &id, &err), VSS_E_BAD_STATE, &err,
                       "recover");
        error_clear(&err);
    }
    if (is_invalid) {
        assert_refused(recovery_rollback(a->env, &entries[0], &err), VSS_E_BAD_STATE, &err,
                       "again");
    }
    journal_free_all(entries, count);
    run_again(a, set);
    return is_invalid;
}

static void killed_resync_is_made_whole_by_repeating_it(void **state)
{
    struct array *a = *state;
    struct set_record set;
    uint64_t digests[ARRAY_LUNS];
    array_create(a, TRANSPORTABLE, ARRAY_LUNS, &set);
    for (size_t i = 0; i < ARRAY_LUNS; i++) {
        digests[i] =
            array_digest(a->files[i]); /* own ids are the original's here: all bytes equal */
    }
    uint64_t begun = clock_monotonic_us();
    pid_t child = fork();
    if (child == 0) {
        resync_in_child(a, &set);
    }
    uint64_t span = span_of(begun, child);
    int killed = 0;
    int invalid = 0;
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < ARRAY_LUNS; i++) {
            array_fill(a, i, 1u << 20, 7u << 20, (uint8_t)(round + 1));
        }
        child = fork();
        if (child == 0) {
            resync_in_child(a, &set);
        }
        killed += kill_after(child, span * (uint64_t)(round + 1) / (ROUNDS + 1));
        invalid += judge_killed_resync(a, &set);
        for (size_t i = 0; i < ARRAY_LUNS; i++) {
            assert_int_equal(array_digest(a->files[i]), digests[i]);
        }
    }
    print_message("resync: %d of %d rounds killed, %d with half-written destinations\n", killed,
                  ROUNDS, invalid);
    delete_all_sets(a);
    set_record_free(&set);
    array_assert_nothing_left(a);
}

static void killed_resync_that_wrote_nothing_is_taken_back(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct lun *other = NULL;
    uint8_t block[512] = {0};
    array_create(a, TRANSPORTABLE, 1, &set);
    /* As a process leaves it that dies between raising the fence and the first wipe. */
    pid_t child = fork();
    if (child == 0) {
        struct set_environment *env = NULL;
        struct lun *lun = NULL;
        char key[LUN_KEY_BYTES];
        uint64_t stored = 0x1122334455667788ull;
        VSS_ID entry;
        bool ok = SUCCEEDED(set_environment_open(a->config, a->state, &env, NULL)) &&
                  SUCCEEDED(lun_open(a->urls[0], &env->lun, false, &lun, NULL)) &&
                  SUCCEEDED(journal_open(env->store, JOURNAL_RESYNC, &set.set_id, "resync", &entry,
                                         NULL)) &&
                  SUCCEEDED(journal_step(env->store, &entry, "fence",
                                         lun_info_key(&lun->identity.info, key), &stored,
                                         sizeof(stored), NULL)) &&
                  SUCCEEDED(scsi_pr_register(lun->session, 1, 0, stored, NULL)) &&
                  SUCCEEDED(scsi_pr_reserve(lun->session, 1, stored, NULL));
        _exit(ok ? 0 : 1);
    }
    (void)span_of(0, child);
    assert_ok(lun_open(a->urls[0], &a->env->lun, false, &other, &err), &err);
    assert_int_equal(block_write(&other->block, 4096, 1, block, NULL), E_ACCESSDENIED);
    struct journal_entry *entries = NULL;
    assert_int_equal(dead_entries(a, &entries), 1);
    assert_ok(recovery_rollback(a->env, &entries[0], &err), &err);
    journal_free_all(entries, 1);
    assert_ok(block_write(&other->block, 4096, 1, block, &err), &err);
    lun_close(other);
    delete_all_sets(a);
    set_record_free(&set);
    array_assert_nothing_left(a);
}

int main(void)
{
#define array_test(name) cmocka_unit_test_setup_teardown(name, array_start, array_stop)
    const struct CMUnitTest tests[] = {
        array_test(killed_create_is_taken_back),
        array_test(killed_resync_is_made_whole_by_repeating_it),
        array_test(killed_resync_that_wrote_nothing_is_taken_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
