/* SPDX-License-Identifier: Apache-2.0 */
/* Copies that a resync by this host has the array show once more: whom that keeps out, and what is
 * left where it dies. */
#include "component/callback_fixture.h"
#include "component/host_copy_fixture.h"

#include "registry/journal.h"
#include "resync/recover.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* A set of one LUN, imported. */
static void make(struct array *a, struct set_record *set)
{
    host_configure(a, "");
    host_make(a, 1, set);
}

/* The array has forgotten to show the copy. */
static void take_away(struct array *a, const struct set_record *set)
{
    struct error err = {0};
    struct lun_address address;
    assert_ok(lun_address_parse(set->luns[0].copy_url, &address, &err), &err);
    assert_ok(lab_mask_target(a->lab, address.target, &err), &err);
}

static void assert_read_only(struct array *a)
{
    struct array_shown shown;
    array_look(a, &shown);
    assert_int_equal(shown.luns, 1);
    assert_int_equal(shown.writable, 0);
    assert_int_equal(shown.let_in, 1);
}

/* ---- another process ------------------------------------------------------------------------- */

static const struct set_record *victim;
static HRESULT break_result;
static HRESULT delete_result;
static HRESULT import_result;

/* The copy is shown, and writable still. */
static HRESULT locate_then_meddle(void *self, const struct vss_call *call, const void *in,
                                  void *out)
{
    struct set_environment *env = NULL;
    struct set_record copy = {0};
    int32_t deleted = 0;
    HRESULT hr = real[VSS_OP_LOCATE_LUNS](self, call, in, out);
    calls++;
    assert_int_equal(set_environment_open(running->config, running->state, &env, NULL), S_OK);
    break_result = set_break(env, &victim->set_id, VSS_BREAKEX_FLAG_REVERT_IDENTITY_NONE, NULL);
    delete_result = set_delete(env, &victim->set_id, VSS_OBJECT_SNAPSHOT_SET, &deleted, NULL, NULL);
    assert_int_equal(set_record_copy(victim, &copy), S_OK);
    import_result = set_import(env, &copy, NULL);
    set_record_free(&copy);
    set_environment_close(env);
    return hr;
}

static void set_is_not_taken_away_while_it_is_shown_again(void **state)
{
    struct array *a = *state;
    struct set_record set;
    char method[2048];
    make(a, &set);
    take_away(a, &set);
    victim = &set;
    replace(a, VSS_OP_LOCATE_LUNS, locate_then_meddle);
    host_recover(a, &set, method);
    restore(a, VSS_OP_LOCATE_LUNS);
    assert_int_equal(calls, 1);
    assert_int_equal(break_result, VSS_E_BAD_STATE);
    assert_int_equal(delete_result, VSS_E_BAD_STATE);
    assert_int_equal(import_result, VSS_E_BAD_STATE);
    assert_int_equal(open_entries(a), 0);
    assert_read_only(a);
    host_assert_original(a, 0);
    array_delete_set(a, &set);
}

/* Somebody is at work on it already, who does not want it shown. */
static void set_at_work_is_not_shown_again(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct recovery *r = NULL;
    VSS_ID entry_id;
    make(a, &set);
    take_away(a, &set);
    assert_ok(journal_open(a->env->store, JOURNAL_BREAK, &set.set_id, "break", &entry_id, &err),
              &err);
    replace(a, VSS_OP_LOCATE_LUNS, veto);
    assert_ok(recovery_new(a->env, &set, &r, &err), &err);
    assert_refused(recovery_add(r, &set.snapshots[0].snapshot_id, NULL, &err), VSS_E_BAD_STATE,
                   &err, "break");
    recovery_free(r);
    restore(a, VSS_OP_LOCATE_LUNS);
    assert_int_equal(calls, 0);
    assert_int_equal(open_entries(a), 1);
    error_clear(&err);
    assert_ok(journal_close(a->env->store, &entry_id, &err), &err);
    array_delete_set(a, &set);
}

/* An array that does not show them leaves nothing behind. */
static void set_that_is_not_shown_is_left_alone(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct recovery *r = NULL;
    make(a, &set);
    take_away(a, &set);
    replace(a, VSS_OP_LOCATE_LUNS, veto);
    assert_ok(recovery_new(a->env, &set, &r, &err), &err);
    assert_refused(recovery_add(r, &set.snapshots[0].snapshot_id, NULL, &err),
                   VSS_E_OBJECT_NOT_FOUND, &err, "import the set");
    recovery_free(r);
    restore(a, VSS_OP_LOCATE_LUNS);
    assert_int_equal(calls, 1);
    assert_int_equal(open_entries(a), 0);
    array_delete_set(a, &set);
}

/* ---- a process that dies --------------------------------------------------------------------- */

static HRESULT locate_then_die(void *self, const struct vss_call *call, const void *in, void *out)
{
    (void)real[VSS_OP_LOCATE_LUNS](self, call, in, out);
    (void)raise(SIGKILL);
    return E_FAIL;
}

static void die_in_child(struct array *a, const struct set_record *set)
{
    struct array own = *a;
    struct recovery *r = NULL;
    if (SUCCEEDED(set_environment_open(a->config, a->state, &own.env, NULL)) &&
        SUCCEEDED(recovery_new(own.env, set, &r, NULL))) {
        replace(&own, VSS_OP_LOCATE_LUNS, locate_then_die);
        (void)recovery_add(r, &set->snapshots[0].snapshot_id, NULL, NULL);
    }
    _exit(1);
}

static void leave_writable(struct array *a, const struct set_record *set)
{
    int status = 0;
    struct array_shown shown;
    take_away(a, set);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        die_in_child(a, set);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    array_look(a, &shown);
    assert_int_equal(shown.writable, 1);
}

static void deal_with(struct array *a, enum recover_way way)
{
    struct error err = {0};
    struct journal_entry *entries = NULL;
    size_t count = 0;
    assert_ok(journal_load_open(a->env->store, true, &entries, &count, &err), &err);
    assert_int_equal(count, 1);
    assert_int_equal(entries[0].operation, JOURNAL_IMPORT);
    assert_null(recover_refusal(&entries[0], way));
    assert_ok(recover_entry(a->env, &entries[0].entry_id, way, &err), &err);
    journal_free_all(entries, count);
    assert_int_equal(open_entries(a), 0);
}

static void what_a_dead_one_left_is_finished_or_taken_back(void **state)
{
    struct array *a = *state;
    struct set_record set;
    char method[2048];
    static const enum recover_way ways[] = {RECOVER_ROLLBACK, RECOVER_RESUME};
    make(a, &set);
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        leave_writable(a, &set);
        assert_int_equal(set_break(a->env, &set.set_id, 0, NULL), VSS_E_BAD_STATE);
        deal_with(a, ways[i]);
        assert_read_only(a);
    }
    host_recover(a, &set, method);
    host_assert_original(a, 0);
    array_delete_set(a, &set);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, array_start, array_stop)
    const struct CMUnitTest tests[] = {
        CASE(set_is_not_taken_away_while_it_is_shown_again),
        CASE(set_at_work_is_not_shown_again),
        CASE(set_that_is_not_shown_is_left_alone),
        CASE(what_a_dead_one_left_is_finished_or_taken_back),
    };
    (void)setenv("LUNSHADOW_PROVIDER_IN_PROCESS", "1", 1);
    cmocka_set_test_filter(getenv("TEST_CASE"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
