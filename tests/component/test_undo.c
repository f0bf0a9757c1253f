/* SPDX-License-Identifier: Apache-2.0 */
/* Safety copies: what a resync overwrote comes back byte for byte; when one is taken, refused, kept
 * and deleted. (A death in the middle of all that: the crash matrix.) */
#include "component/callback_fixture.h"
#include "component/dead_fixture.h"

#include "common/buffer.h"
#include "common/id.h"
#include "registry/recoveries.h"
#include "registry/set_marks.h"

#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define TRANSPORTABLE ((uint32_t)VSS_CTX_APP_ROLLBACK | VSS_VOLSNAP_ATTR_TRANSPORTABLE)

/* The set that the registry cannot be read for, once. */
static const VSS_ID *unreadable;

HRESULT __real_sets_load(struct store *store, const VSS_ID *set_id, struct set_record *out,
                         struct error *err);
HRESULT __wrap_sets_load(struct store *store, const VSS_ID *set_id, struct set_record *out,
                         struct error *err);

HRESULT __wrap_sets_load(struct store *store, const VSS_ID *set_id, struct set_record *out,
                         struct error *err)
{
    if (!unreadable || !id_equal(unreadable, set_id)) {
        return __real_sets_load(store, set_id, out, err);
    }
    unreadable = NULL;
    *out = (struct set_record){0};
    return error_set(err, E_OUTOFMEMORY, "the test has no memory");
}

/* A damaged backup header: bytes that no writing of disk ids would bring back. */
static void damage_backup(const struct array *a)
{
    static const char junk[] = "not a header";
    FILE *file = fopen(a->files[1], "r+e");
    assert_non_null(file);
    assert_int_equal(fseek(file, -512, SEEK_END), 0);
    assert_int_equal(fwrite(junk, 1, sizeof(junk), file), sizeof(junk));
    assert_int_equal(fclose(file), 0);
}

/* Other content, other disk ids. */
static void damage(struct array *a)
{
    static const char *const tools[ARRAY_LUNS] = {
        "sfdisk -q --no-reread --disk-id \"$F\" 0x55667788",
        "sgdisk -G \"$F\"",
        "printf 'x\\ni\\n01234567-89AB-4DEF-8123-456789ABCDEF\\nr\\nw\\n' | fdisk -b 4096 \"$F\"",
    };
    for (size_t i = 0; i < ARRAY_LUNS; i++) {
        struct error err = {0};
        char *line = text_printf("F='%s'; PATH=$PATH:/usr/sbin:/sbin; %s", a->files[i], tools[i]);
        const char *const argv[] = {"sh", "-ec", line, NULL};
        array_fill(a, i, 2u << 20, 5u << 20, (uint8_t)(0x40 + i));
        assert_ok(process_run(argv, 120000, NULL, &err), &err);
        free(line);
    }
}

static void digest_all(const struct array *a, uint64_t out[ARRAY_LUNS])
{
    for (size_t i = 0; i < ARRAY_LUNS; i++) {
        out[i] = array_digest(a->files[i]);
    }
}

static void assert_digests(const struct array *a, const uint64_t expected[ARRAY_LUNS])
{
    for (size_t i = 0; i < ARRAY_LUNS; i++) {
        assert_int_equal(array_digest(a->files[i]), expected[i]);
    }
}

static HRESULT resync(struct array *a, const struct set_record *set, enum recovery_undo undo,
                      char note[1024], struct error *err)
{
    struct recovery *r = NULL;
    size_t count = 0;
    start_recovery(a, set, set->snapshot_count, &r);
    recovery_set_undo(r, undo);
    HRESULT hr = recovery_run(r, VSS_RECOVERY_REVERT_IDENTITY_ALL, err);
    const struct recovery_member_result *results = recovery_results(r, &count);
    (void)snprintf(note, 1024, "%s", count ? results[0].undo_note : "");
    recovery_free(r);
    return hr;
}

/* The one safety copy that there is. */
static struct safety_copy only_copy(struct array *a)
{
    struct error err = {0};
    struct safety_copy *all = NULL;
    size_t count = 0;
    assert_ok(undo_list(a->env->store, a->env->config, &all, &count, &err), &err);
    assert_int_equal(count, 1);
    struct safety_copy copy = all[0];
    free(all);
    return copy;
}

static size_t count_copies(struct array *a)
{
    struct error err = {0};
    struct safety_copy *all = NULL;
    size_t count = 0;
    assert_ok(undo_list(a->env->store, a->env->config, &all, &count, &err), &err);
    free(all);
    return count;
}

static void what_was_overwritten_comes_back(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    char note[1024];
    uint64_t original[ARRAY_LUNS];
    uint64_t damaged[ARRAY_LUNS];
    digest_all(a, original);
    array_create(a, TRANSPORTABLE, ARRAY_LUNS, &set);
    damage(a);
    damage_backup(a);
    digest_all(a, damaged);
    assert_ok(resync(a, &set, UNDO_WHERE_CHEAP, note, &err), &err);
    assert_digests(a, original);
    struct safety_copy copy = only_copy(a);
    char id[ID_TEXT_BYTES];
    assert_non_null(strstr(note, id_text(&copy.resync_id, id)));
    assert_int_equal(copy.lun_count, ARRAY_LUNS);
    assert_int_equal(copy.bytes, (uint64_t)ARRAY_LUNS * ARRAY_BYTES);
    assert_true(copy.expires > copy.taken);
    assert_ok(undo_run(a->env, &copy.resync_id, &err), &err);
    assert_digests(a, damaged);
    assert_ok(resync(a, &set, UNDO_NONE, note, &err), &err);
    assert_digests(a, original);
    assert_ok(undo_run(a->env, &copy.set_id, &err), &err); /* it stays, and has its id */
    assert_digests(a, damaged);
    assert_ok(undo_discard(a->env, &copy.resync_id, &err), &err);
    assert_refused(undo_run(a->env, &copy.resync_id, &err), VSS_E_OBJECT_NOT_FOUND, &err, "--list");
    array_delete_set(a, &set);
}

static void a_set_deleted_as_usual_is_no_safety_copy_any_more(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    char note[1024];
    int32_t deleted = 0;
    array_create(a, TRANSPORTABLE, 1, &set);
    assert_ok(resync(a, &set, UNDO_REQUIRED, note, &err), &err);
    struct safety_copy copy = only_copy(a);
    assert_ok(set_delete(a->env, &copy.set_id, VSS_OBJECT_SNAPSHOT_SET, &deleted, NULL, &err),
              &err);
    assert_int_equal(count_copies(a), 0);
    array_delete_set(a, &set);
}

/* What was deleted of it cannot come back, and the rest alone is neither state of the LUNs. */
static void a_part_of_a_safety_copy_puts_nothing_back(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct set_record safety = {0};
    char note[1024];
    uint64_t original[ARRAY_LUNS];
    int32_t deleted = 0;
    digest_all(a, original);
    array_create(a, TRANSPORTABLE, ARRAY_LUNS, &set);
    damage(a);
    assert_ok(resync(a, &set, UNDO_REQUIRED, note, &err), &err);
    struct safety_copy copy = only_copy(a);
    assert_ok(sets_load(a->env->store, &copy.set_id, &safety, &err), &err);
    assert_ok(set_delete(a->env, &safety.snapshots[0].snapshot_id, VSS_OBJECT_SNAPSHOT, &deleted,
                         NULL, &err),
              &err);
    set_record_free(&safety);
    assert_refused(undo_run(a->env, &copy.resync_id, &err), VSS_E_BAD_STATE, &err,
                   "1 of 3 LUNs were deleted");
    assert_digests(a, original);
    error_clear(&err);
    assert_ok(undo_discard(a->env, &copy.resync_id, &err), &err);
    array_delete_set(a, &set);
}

static void limits_hold(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    char note[1024];
    uint64_t damaged[ARRAY_LUNS];
    array_configure(a, "[limits]\nundo_max_mib = 100\nundo_max_age_hours = 1\n");
    array_create(a, TRANSPORTABLE, ARRAY_LUNS, &set);
    damage(a);
    digest_all(a, damaged);
    assert_refused(resync(a, &set, UNDO_REQUIRED, note, &err), VSS_E_INSUFFICIENT_STORAGE, &err,
                   "undo_max_mib");
    assert_digests(a, damaged); /* nothing was written */
    error_clear(&err);
    assert_ok(resync(a, &set, UNDO_WHERE_CHEAP, note, &err), &err);
    assert_non_null(strstr(note, "undo_max_mib"));
    assert_int_equal(count_copies(a), 0);
    array_delete_set(a, &set);
}

static bool deletes_meanwhile;

HRESULT __real_set_marks_load_safety(struct store *store, struct safety_mark **out,
                                     size_t *out_count, struct error *err);
HRESULT __wrap_set_marks_load_safety(struct store *store, struct safety_mark **out,
                                     size_t *out_count, struct error *err);

HRESULT __wrap_set_marks_load_safety(struct store *store, struct safety_mark **out,
                                     size_t *out_count, struct error *err)
{
    int32_t deleted = 0;
    HRESULT hr = __real_set_marks_load_safety(store, out, out_count, err);
    if (SUCCEEDED(hr) && deletes_meanwhile) {
        deletes_meanwhile = false;
        assert_ok(set_delete_beside(running->env, &(*out)[0].set_id, VSS_OBJECT_SNAPSHOT_SET,
                                    &deleted, NULL, err),
                  err);
    }
    return hr;
}

/* By another process, while they are listed, or looked through by a resync. */
static void a_safety_copy_may_be_deleted_meanwhile(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    char note[1024];
    running = a;
    array_configure(a, "[limits]\nundo_max_mib = 1000\n");
    array_create(a, TRANSPORTABLE, 1, &set);
    assert_ok(resync(a, &set, UNDO_WHERE_CHEAP, note, &err), &err);
    assert_ok(resync(a, &set, UNDO_WHERE_CHEAP, note, &err), &err);
    deletes_meanwhile = true;
    assert_int_equal(count_copies(a), 1);
    deletes_meanwhile = true;
    assert_ok(resync(a, &set, UNDO_WHERE_CHEAP, note, &err), &err);
    assert_null(strstr(note, "cannot be undone"));
    VSS_ID id = only_copy(a).set_id;
    assert_ok(undo_discard(a->env, &id, &err), &err);
    array_delete_set(a, &set);
}

static void age(const struct array *a)
{
    char path[128];
    sqlite3 *db = NULL;
    (void)snprintf(path, sizeof(path), "%s/registry.db", a->state);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(db, "UPDATE safety_copies SET taken = taken - 36001000000", NULL, NULL, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void copies_expire(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    char note[1024];
    int32_t deleted = 0;
    array_configure(a, "[limits]\nundo_max_age_hours = 1\n");
    array_create(a, TRANSPORTABLE, 1, &set);
    assert_ok(resync(a, &set, UNDO_REQUIRED, note, &err), &err);
    VSS_ID first = only_copy(a).set_id;
    assert_ok(undo_expire(a->env, &deleted, &err), &err);
    assert_int_equal(deleted, 0);
    age(a);
    assert_ok(resync(a, &set, UNDO_REQUIRED, note, &err), &err); /* takes the old one away */
    struct safety_copy second = only_copy(a);
    assert_false(id_equal(&second.set_id, &first));
    age(a);
    assert_ok(undo_expire(a->env, &deleted, &err), &err);
    assert_int_equal(deleted, 1);
    array_delete_set(a, &set);
}

/* ---- beside a set that somebody else creates ---------------------------------------------------
 */

static struct set_builder *others; /* it */
static void (*while_waiting)(void);

void __real_clock_sleep_ms(uint32_t ms);
void __wrap_clock_sleep_ms(uint32_t ms);

void __wrap_clock_sleep_ms(uint32_t ms)
{
    if (while_waiting) {
        while_waiting();
        while_waiting = NULL;
    }
    __real_clock_sleep_ms(ms);
}

static void end_others(void)
{
    set_builder_free(others);
    others = NULL;
}

static void cancel(void)
{
    atomic_store(&running->env->cancelled, true);
}

static void start_others(struct array *a)
{
    struct error err = {0};
    VSS_ID id;
    assert_ok(set_start(a->env, TRANSPORTABLE, &others, &id, &err), &err);
}

/* Nothing is overwritten without the undo that was promised: it would be gone by chance. */
static void a_set_in_creation_is_no_reason_to_go_without(void **state)
{
    static const enum recovery_undo undo[] = {UNDO_WHERE_CHEAP, UNDO_REQUIRED};
    struct array *a = *state;
    struct set_record set;
    char note[1024];
    uint64_t damaged[ARRAY_LUNS];
    array_configure(a, "[limits]\nundo_wait_s = 1\n");
    array_create(a, TRANSPORTABLE, 1, &set);
    damage(a);
    digest_all(a, damaged);
    start_others(a);
    for (size_t i = 0; i < 2; i++) {
        struct error err = {0};
        assert_refused(resync(a, &set, undo[i], note, &err), VSS_E_BAD_STATE, &err, "--no-undo");
        assert_non_null(strstr(err.text, "a snapshot set is being created"));
        assert_digests(a, damaged);
        assert_none_open(a);
    }
    struct error err = {0};
    assert_ok(resync(a, &set, UNDO_NONE, note, &err), &err); /* has no use for it */
    end_others();
    array_delete_set(a, &set);
}

static void a_set_in_creation_is_waited_for(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    char note[1024];
    uint64_t damaged[ARRAY_LUNS];
    array_create(a, TRANSPORTABLE, 1, &set);
    damage(a);
    digest_all(a, damaged);
    running = a;
    start_others(a);
    while_waiting = cancel;
    assert_refused(resync(a, &set, UNDO_WHERE_CHEAP, note, &err), E_ABORT, &err, "cancelled");
    assert_digests(a, damaged);
    assert_none_open(a);
    atomic_store(&a->env->cancelled, false);
    error_clear(&err);
    while_waiting = end_others;
    assert_ok(resync(a, &set, UNDO_WHERE_CHEAP, note, &err), &err);
    struct safety_copy copy = only_copy(a);
    start_others(a); /* the lock of sets is free again */
    end_others();
    assert_ok(undo_run(a->env, &copy.resync_id, &err), &err);
    assert_digests(a, damaged);
    assert_ok(undo_discard(a->env, &copy.resync_id, &err), &err);
    array_delete_set(a, &set);
}

/* ---- copies of what was not overwritten -------------------------------------------------------
 */

static HRESULT die(void *self, const struct vss_call *call, const void *in, void *out)
{
    (void)self;
    (void)call;
    (void)in;
    (void)out;
    _exit(0);
}

static void run_all(struct set_environment *env, const struct set_record *set,
                    enum recovery_undo undo)
{
    struct recovery *r = NULL;
    bool ok = SUCCEEDED(recovery_new(env, set, &r, NULL));
    for (size_t i = 0; ok && i < set->snapshot_count; i++) {
        ok = SUCCEEDED(recovery_add(r, &set->snapshots[i].snapshot_id, NULL, NULL));
    }
    if (ok) {
        recovery_set_undo(r, undo);
        (void)recovery_run(r, VSS_RECOVERY_REVERT_IDENTITY_ALL, NULL);
    }
    recovery_free(r);
}

static bool resync_until_eviction(struct set_environment *env, const struct set_record *set)
{
    providers_at(env->providers, 0)->ops[VSS_OP_ON_LUN_STATE_CHANGE] = die;
    run_all(env, set, UNDO_NONE);
    return false;
}

static bool dies_before_the_wipe;

HRESULT __real_entry_announce_wipe(struct recovery *r, struct error *err);
HRESULT __wrap_entry_announce_wipe(struct recovery *r, struct error *err);

HRESULT __wrap_entry_announce_wipe(struct recovery *r, struct error *err)
{
    if (dies_before_the_wipe) {
        _exit(0);
    }
    return __real_entry_announce_wipe(r, err);
}

static bool resync_until_the_wipe(struct set_environment *env, const struct set_record *set)
{
    dies_before_the_wipe = true;
    run_all(env, set, UNDO_REQUIRED);
    return false;
}

/* A safety copy is taken, and LUN 2 then refuses the wipe. */
static void fail_to_wipe(struct array *a, const struct set_record *set, char note[1024])
{
    struct error err = {0};
    uint64_t digests[ARRAY_LUNS];
    digest_all(a, digests);
    update_lun(a, 2, "readonly=1");
    assert_true(FAILED(resync(a, set, UNDO_REQUIRED, note, &err)));
    assert_null(strstr(error_text(&err), "safety copy"));
    update_lun(a, 2, "readonly=0");
    assert_digests(a, digests);
}

static void no_safety_copy_of_nothing_stays(void **state)
{
    struct array *a = *state;
    struct set_record set;
    char note[1024];
    array_create(a, TRANSPORTABLE, 2, &set);
    in_dead_process(a, &set, resync_until_eviction);
    fail_to_wipe(a, &set, note);
    assert_string_equal(note, "");
    assert_int_equal(count_copies(a), 0);
    deal_with(a, RECOVER_ROLLBACK);
    array_delete_set(a, &set);
}

static HRESULT told; /* of the newest resync, when the array deletes */

static HRESULT look_then_delete(void *self, const struct vss_call *call, const void *in, void *out)
{
    struct error err = {0};
    struct recovery_record *all = NULL;
    size_t count = 0;
    assert_ok(recoveries_load_all(running->env->store, &all, &count, &err), &err);
    int64_t newest = 0;
    for (size_t i = 0; i < count; i++) {
        if (all[i].started >= newest) {
            newest = all[i].started;
            told = all[i].result;
        }
    }
    recoveries_free_all(all, count);
    calls++;
    return real[VSS_OP_ON_LUN_EMPTY](self, call, in, out);
}

/* Who waits for the end of a resync does not wait for what the array then deletes. */
static void the_end_is_told_before_a_copy_is_deleted(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    char note[1024];
    uint64_t damaged[ARRAY_LUNS];
    array_create(a, TRANSPORTABLE, 2, &set);
    replace(a, VSS_OP_ON_LUN_EMPTY, look_then_delete);
    told = VSS_S_ASYNC_PENDING;
    fail_to_wipe(a, &set, note);
    assert_int_not_equal(calls, 0);
    assert_true(FAILED(told));
    damage(a);
    digest_all(a, damaged);
    in_dead_process(a, &set, resync_until_the_wipe);
    calls = 0;
    told = VSS_S_ASYNC_PENDING;
    assert_ok(resync(a, &set, UNDO_NONE, note, &err), &err);
    assert_int_not_equal(calls, 0);
    assert_int_equal(told, S_OK);
    restore(a, VSS_OP_ON_LUN_EMPTY);
    assert_int_equal(count_copies(a), 0);
    array_delete_set(a, &set);
}

/* It stays as a set like any other. */
static void what_cannot_be_deleted_is_no_safety_copy(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct set_record *sets = NULL;
    size_t count = 0;
    int32_t deleted = 0;
    char note[1024];
    char id[ID_TEXT_BYTES];
    array_create(a, TRANSPORTABLE, 2, &set);
    replace(a, VSS_OP_ON_LUN_EMPTY, veto);
    fail_to_wipe(a, &set, note);
    restore(a, VSS_OP_ON_LUN_EMPTY);
    assert_int_not_equal(calls, 0);
    assert_int_equal(count_copies(a), 0);
    assert_ok(sets_load_all(a->env->store, &sets, &count, &err), &err);
    assert_int_equal(count, 2);
    assert_non_null(strstr(note, id_text(&sets[1].set_id, id)));
    assert_null(strstr(note, "--undo"));
    assert_ok(set_delete(a->env, &sets[1].set_id, VSS_OBJECT_SNAPSHOT_SET, &deleted, NULL, &err),
              &err);
    sets_free_all(sets, count);
    array_delete_set(a, &set);
}

/* ---- copies that several resyncs have -----------------------------------------------------------
 */

static bool resync_until_it_copies(struct set_environment *env, const struct set_record *set)
{
    providers_at(env->providers, 0)->ops[VSS_OP_RESYNC_POLL] = die;
    run_all(env, set, UNDO_REQUIRED);
    return false;
}

/* The first one died when it had overwritten, the second, which goes on with its safety copy,
 * before that. */
static VSS_ID leave_two(struct array *a, struct set_record *set, uint64_t damaged[ARRAY_LUNS])
{
    array_create(a, TRANSPORTABLE, 2, set);
    damage(a);
    digest_all(a, damaged);
    in_dead_process(a, set, resync_until_it_copies);
    VSS_ID safety = only_copy(a).set_id;
    in_dead_process(a, set, resync_until_the_wipe);
    return safety;
}

static void a_copy_of_what_was_overwritten_stays_for_its_undo(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    char note[1024];
    uint64_t damaged[ARRAY_LUNS];
    VSS_ID safety = leave_two(a, &set, damaged);
    assert_ok(resync(a, &set, UNDO_REQUIRED, note, &err), &err);
    VSS_ID kept = only_copy(a).set_id;
    assert_true(id_equal(&kept, &safety));
    assert_ok(undo_run(a->env, &safety, &err), &err);
    assert_digests(a, damaged);
    assert_ok(undo_discard(a->env, &safety, &err), &err);
    array_delete_set(a, &set);
}

static void a_copy_that_was_put_back_stays(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct journal_entry *entries = NULL;
    size_t count = 0;
    uint64_t damaged[ARRAY_LUNS];
    VSS_ID safety = leave_two(a, &set, damaged);
    assert_ok(journal_load_open(a->env->store, true, &entries, &count, &err), &err);
    assert_int_equal(count, 2);
    assert_ok(recover_entry(a->env, &entries[0].entry_id, RECOVER_ROLLBACK, &err), &err);
    journal_free_all(entries, count);
    assert_none_open(a);
    assert_digests(a, damaged);
    VSS_ID kept = only_copy(a).set_id;
    assert_true(id_equal(&kept, &safety));
    assert_ok(undo_discard(a->env, &safety, &err), &err);
    array_delete_set(a, &set);
}

static void copies_expire_beside_what_is_dead(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    char note[1024];
    array_configure(a, "[limits]\nundo_max_age_hours = 1\n");
    array_create(a, TRANSPORTABLE, 1, &set);
    assert_ok(resync(a, &set, UNDO_REQUIRED, note, &err), &err);
    VSS_ID first = only_copy(a).set_id;
    age(a);
    in_dead_process(a, &set, resync_until_eviction);
    assert_ok(resync(a, &set, UNDO_REQUIRED, note, &err), &err);
    struct safety_copy second = only_copy(a);
    assert_false(id_equal(&second.set_id, &first));
    assert_ok(undo_discard(a->env, &second.set_id, &err), &err);
    array_delete_set(a, &set);
}

/* ---- after a resync that failed ----------------------------------------------------------------
 */

/* A resync of the first count LUNs, which ends when they are wiped. */
static void fail_in_the_middle(struct array *a, const struct set_record *set, size_t count,
                               enum recovery_undo undo)
{
    struct error err = {0};
    struct recovery *r = NULL;
    replace(a, VSS_OP_RESYNC_POLL, veto);
    start_recovery(a, set, count, &r);
    recovery_set_undo(r, undo);
    assert_refused(recovery_run(r, 0, &err), VSS_E_PROVIDER_VETO, &err, "not whole");
    recovery_free(r);
    restore(a, VSS_OP_RESYNC_POLL);
}

/* The safety copy of a resync that failed is that of the one which makes its destinations whole. */
static void the_next_resync_keeps_the_safety_copy(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    char note[1024];
    uint64_t damaged[ARRAY_LUNS];
    array_create(a, TRANSPORTABLE, ARRAY_LUNS, &set);
    damage(a);
    digest_all(a, damaged);
    fail_in_the_middle(a, &set, ARRAY_LUNS, UNDO_REQUIRED);
    VSS_ID first = only_copy(a).set_id;
    assert_ok(resync(a, &set, UNDO_REQUIRED, note, &err), &err);
    char id[ID_TEXT_BYTES];
    assert_non_null(strstr(note, id_text(&first, id)));
    assert_ok(undo_run(a->env, &first, &err), &err);
    assert_digests(a, damaged);
    assert_ok(undo_discard(a->env, &first, &err), &err);
    array_delete_set(a, &set);
}

/* Without it the next resync would be one that cannot be undone. */
static void a_safety_copy_that_cannot_be_read_is_there_still(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    char note[1024];
    array_create(a, TRANSPORTABLE, 1, &set);
    fail_in_the_middle(a, &set, 1, UNDO_REQUIRED);
    VSS_ID first = only_copy(a).set_id;
    unreadable = &first;
    assert_refused(resync(a, &set, UNDO_WHERE_CHEAP, note, &err), E_OUTOFMEMORY, &err,
                   "the test has no memory");
    assert_null(unreadable);
    error_clear(&err);
    assert_ok(resync(a, &set, UNDO_REQUIRED, note, &err), &err);
    char id[ID_TEXT_BYTES];
    assert_non_null(strstr(note, id_text(&first, id)));
    assert_ok(undo_discard(a->env, &first, &err), &err);
    array_delete_set(a, &set);
}

/* For another host's set nobody looks whether its copies are still there. */
static void a_set_that_cannot_be_read_is_not_another_hosts(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct recovery *r = NULL;
    array_create(a, TRANSPORTABLE, 1, &set);
    assert_ok(recovery_new(a->env, &set, &r, &err), &err);
    unreadable = &set.set_id;
    assert_refused(recovery_add(r, &set.snapshots[0].snapshot_id, NULL, &err), E_OUTOFMEMORY, &err,
                   "the test has no memory");
    assert_null(unreadable);
    error_clear(&err);
    assert_ok(recovery_add(r, &set.snapshots[0].snapshot_id, NULL, &err), &err);
    recovery_free(r);
    array_delete_set(a, &set);
}

/* It holds one LUN; the others were whole until now, and would have no undo. */
static void an_undo_of_a_part_is_none_of_all(void **state)
{
    static const enum recovery_undo earlier[] = {UNDO_NONE, UNDO_REQUIRED};
    struct array *a = *state;
    for (size_t i = 0; i < 2; i++) {
        struct error err = {0};
        struct set_record set;
        char note[1024];
        uint64_t original[ARRAY_LUNS];
        int32_t deleted = 0;
        digest_all(a, original);
        array_create(a, TRANSPORTABLE, ARRAY_LUNS, &set);
        damage(a);
        uint64_t whole = array_digest(a->files[1]);
        fail_in_the_middle(a, &set, 1, earlier[i]);
        assert_refused(resync(a, &set, UNDO_REQUIRED, note, &err), VSS_E_PROVIDER_VETO, &err,
                       "an earlier resync");
        assert_int_equal(array_digest(a->files[1]), whole);
        error_clear(&err);
        assert_ok(resync(a, &set, UNDO_WHERE_CHEAP, note, &err), &err);
        assert_non_null(strstr(note, "cannot be undone"));
        assert_digests(a, original);
        if (earlier[i] == UNDO_REQUIRED) {
            VSS_ID id = only_copy(a).set_id;
            assert_ok(set_delete(a->env, &id, VSS_OBJECT_SNAPSHOT_SET, &deleted, NULL, &err), &err);
        }
        array_delete_set(a, &set);
    }
}

static void a_larger_destination_has_no_undo(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct recovery *r = NULL;
    char url[400];
    struct lab_lun_options options = {.target = ARRAY_TARGET,
                                      .lun = 30,
                                      .file = "larger.img",
                                      .bytes = ARRAY_BYTES * 2ull,
                                      .block_bytes = 512};
    assert_ok(lab_add_lun(a->lab, &options, &err), &err);
    (void)snprintf(url, sizeof(url), "iscsi://%s/" ARRAY_TARGET "/30", a->lab->portal);
    array_create(a, TRANSPORTABLE, 1, &set);
    assert_ok(recovery_new(a->env, &set, &r, &err), &err);
    assert_ok(recovery_add(r, &set.snapshots[0].snapshot_id, url, &err), &err);
    recovery_set_undo(r, UNDO_REQUIRED);
    assert_refused(recovery_run(r, 0, &err), VSS_E_VOLUME_NOT_SUPPORTED, &err, "larger");
    recovery_free(r);
    array_delete_set(a, &set);
}

int main(void)
{
    /* Callbacks can be replaced only where the plug-in is loaded. */
    (void)setenv("LUNSHADOW_PROVIDER_IN_PROCESS", "1", 1);
#define array_test(name) cmocka_unit_test_setup_teardown(name, array_start, array_stop)
    const struct CMUnitTest tests[] = {
        array_test(what_was_overwritten_comes_back),
        array_test(a_set_deleted_as_usual_is_no_safety_copy_any_more),
        array_test(a_part_of_a_safety_copy_puts_nothing_back),
        array_test(limits_hold),
        array_test(a_safety_copy_may_be_deleted_meanwhile),
        array_test(copies_expire),
        array_test(a_set_in_creation_is_no_reason_to_go_without),
        array_test(a_set_in_creation_is_waited_for),
        array_test(no_safety_copy_of_nothing_stays),
        array_test(the_end_is_told_before_a_copy_is_deleted),
        array_test(what_cannot_be_deleted_is_no_safety_copy),
        array_test(copies_expire_beside_what_is_dead),
        array_test(a_copy_of_what_was_overwritten_stays_for_its_undo),
        array_test(a_copy_that_was_put_back_stays),
        array_test(the_next_resync_keeps_the_safety_copy),
        array_test(a_safety_copy_that_cannot_be_read_is_there_still),
        array_test(a_set_that_cannot_be_read_is_not_another_hosts),
        array_test(an_undo_of_a_part_is_none_of_all),
        array_test(a_larger_destination_has_no_undo),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
