/* SPDX-License-Identifier: Apache-2.0 */
/* Resyncs by this host of an array that lists what has changed: the list of the real tgt plug-in,
 * of one that lies, and of one that talks nonsense. */
#include "component/host_copy_fixture.h"

#include "provider/host/internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DAMAGED_BYTES (7u * HOST_MIB + 16384) /* by host_make() */
#define GRAIN_BYTES   65536u

/* ---- the plug-in's answer, replaced -------------------------------------------------------------
 */

static void replace(struct array *a, vss_provider_callback callback)
{
    providers_at(a->env->providers, 0)->ops[VSS_OP_LIST_CHANGES] = callback;
}

static HRESULT veto(void *self, const struct vss_call *call, const void *in, void *out)
{
    (void)self;
    (void)in;
    (void)out;
    call->host->error(call, "the test says no");
    return VSS_E_PROVIDER_VETO;
}

static HRESULT say_nothing(void *self, const struct vss_call *call, const void *in, void *out)
{
    (void)self;
    (void)call;
    (void)in;
    (void)out;
    return S_OK;
}

/* Nothing has changed, it says. */
static HRESULT lie(void *self, const struct vss_call *call, const void *in, void *out)
{
    (void)self;
    (void)call;
    (void)in;
    struct vss_changes_out *o = out;
    o->is_known = 1;
    o->next_byte = ARRAY_BYTES;
    return S_OK;
}

struct answer {
    const char *what;
    uint32_t count;
    struct vss_extent extents[2];
    uint64_t next_byte;
    bool has_no_extents;
};

static const struct answer *given; /* by give() */

static HRESULT give(void *self, const struct vss_call *call, const void *in, void *out)
{
    (void)self;
    (void)in;
    struct vss_changes_out *o = out;
    o->is_known = 1;
    o->extent_count = given->count;
    o->next_byte = given->next_byte;
    if (!given->has_no_extents) {
        o->extents = call->host->alloc(call, sizeof(given->extents));
        memcpy(o->extents, given->extents, sizeof(given->extents));
    }
    return S_OK;
}

/* One extent at a time, from the real list. */
static vss_provider_callback real;
static int calls;

static HRESULT one_by_one(void *self, const struct vss_call *call, const void *in, void *out)
{
    struct vss_changes_in narrow = *(const struct vss_changes_in *)in;
    narrow.extent_max = 1;
    calls++;
    return real(self, call, &narrow, out);
}

/* ---- tests -------------------------------------------------------------------------------------
 */

static void what_is_listed_is_copied(void **state)
{
    struct array *a = *state;
    struct set_record set;
    char method[2048];
    host_configure(a, "verify = full\\n");
    host_make(a, ARRAY_LUNS, &set);
    host_recover(a, &set, method);
    for (size_t i = 0; i < ARRAY_LUNS; i++) {
        host_assert_original(a, i);
    }
    assert_non_null(strstr(method, "changed-block list (the array lists what has changed)"));
    uint64_t listed = host_number_after(method, "listed ");
    assert_true(listed >= DAMAGED_BYTES && listed <= DAMAGED_BYTES + 4 * GRAIN_BYTES);
    assert_true(host_number_after(method, "read ") <= 2 * listed);
    assert_true(host_number_after(method, "wrote ") <= DAMAGED_BYTES);
    assert_int_equal(host_number_after(method, "verified "), HOST_BODY_BYTES);
    host_recover(a, &set, method); /* what was put back is no more shared, and the same */
    assert_non_null(strstr(method, "changed-block list"));
    assert_int_equal(host_number_after(method, "wrote "), 0);
    array_delete_set(a, &set);
}

/* A disk that is nobody's original shares nothing with the copy. */
static void the_list_of_another_lun_is_everything(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct recovery *r = NULL;
    size_t count = 0;
    host_configure(a, "");
    host_make(a, 1, &set);
    array_fill(a, 1, 0, ARRAY_BYTES, 0x55);
    assert_ok(recovery_new(a->env, &set, &r, &err), &err);
    assert_ok(recovery_add(r, &set.snapshots[0].snapshot_id, a->urls[1], &err), &err);
    assert_ok(recovery_run(r, VSS_RECOVERY_NO_VOLUME_CHECK, &err), &err);
    assert_non_null(
        strstr(recovery_results(r, &count)->method, "full (the destination is another"));
    recovery_free(r);
    char original[256];
    (void)snprintf(original, sizeof(original), "%s/original0", a->base);
    host_assert_same_body(original, a->files[1]);
    array_delete_set(a, &set);
}

static void a_list_comes_in_many_answers(void **state)
{
    struct array *a = *state;
    struct set_record set;
    char method[2048];
    host_configure(a, "");
    host_make(a, 1, &set);
    for (uint32_t i = 0; i < 20; i++) {
        array_fill(a, 0, (10u + 2 * i) * HOST_MIB, 4096, (uint8_t)i);
    }
    real = providers_at(a->env->providers, 0)->ops[VSS_OP_LIST_CHANGES];
    calls = 0;
    replace(a, one_by_one);
    host_recover(a, &set, method);
    replace(a, real);
    assert_true(calls > 20);
    assert_non_null(strstr(method, "changed-block list"));
    host_assert_original(a, 0);
    array_delete_set(a, &set);
}

static void without_a_list_all_is_compared(void **state)
{
    struct array *a = *state;
    const vss_provider_callback callbacks[] = {NULL, say_nothing, veto};
    for (size_t i = 0; i < sizeof(callbacks) / sizeof(callbacks[0]); i++) {
        struct set_record set;
        char method[2048];
        host_configure(a, "");
        host_make(a, 1, &set);
        replace(a, callbacks[i]);
        host_recover(a, &set, method);
        assert_non_null(strstr(method, "compare (the destination is the original)"));
        assert_null(strstr(method, "listed"));
        host_assert_original(a, 0);
        array_delete_set(a, &set);
    }
}

static void nonsense_is_no_list(void **state)
{
    static const struct answer answers[] = {
        {"does not go on", 0, {{0}}, 0, false},
        {"has no extents where it says so", 1, {{0}}, ARRAY_BYTES, true},
        {"has more than were asked for", UINT32_MAX, {{0}}, ARRAY_BYTES, false},
        {"goes backwards", 2, {{HOST_MIB, HOST_MIB}, {0, HOST_MIB}}, ARRAY_BYTES, false},
        {"has one over another", 2, {{0, HOST_MIB}, {4096, HOST_MIB}}, ARRAY_BYTES, false},
        {"has an empty one", 1, {{HOST_MIB, 0}}, ARRAY_BYTES, false},
        {"leaves the numbers", 1, {{UINT64_MAX - 1, 4096}}, ARRAY_BYTES, false},
    };
    struct array *a = *state;
    struct set_record set;
    host_configure(a, "");
    host_make(a, 1, &set);
    replace(a, give);
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        char method[2048];
        given = &answers[i];
        print_message("an answer that %s\n", given->what);
        array_fill(a, 0, 10u * HOST_MIB, 4096, (uint8_t)(0xa0 + i));
        host_recover(a, &set, method);
        assert_non_null(strstr(method, "compare (the destination is the original)"));
        host_assert_original(a, 0);
    }
    array_delete_set(a, &set);
}

/* What it names past the end of the disk is nothing, and the rest holds. */
static void a_list_may_name_too_much(void **state)
{
    static const struct answer all = {
        "names all and more", 1, {{0, UINT64_MAX / 2}}, UINT64_MAX, false};
    struct array *a = *state;
    struct set_record set;
    char method[2048];
    host_configure(a, "");
    host_make(a, 1, &set);
    given = &all;
    replace(a, give);
    host_recover(a, &set, method);
    assert_int_equal(host_number_after(method, "listed "), HOST_BODY_BYTES);
    host_assert_original(a, 0);
    array_delete_set(a, &set);
}

static void a_lie_is_found_out(void **state)
{
    static const char *const verify[] = {"none", "sample", "full"};
    struct array *a = *state;
    for (size_t i = 0; i < 3; i++) {
        struct set_record set;
        char copy[64];
        char method[2048];
        (void)snprintf(copy, sizeof(copy), "verify = %s\\n", verify[i]);
        host_configure(a, copy);
        host_make(a, 1, &set);
        array_fill(a, 0, HOST_MIB, 40u * HOST_MIB, 0x42); /* too much for a sample to miss */
        replace(a, lie);
        host_recover(a, &set, method);
        assert_non_null(strstr(method, "compare (the array's list of changes was wrong)"));
        host_assert_original(a, 0);
        array_delete_set(a, &set);
    }
}

/* Asked to stop while the array lists: nothing was written yet, and nothing is. */
static struct array *running;

static HRESULT cancel(void *self, const struct vss_call *call, const void *in, void *out)
{
    atomic_store(&running->env->cancelled, true);
    return say_nothing(self, call, in, out);
}

static void a_cancel_before_the_wipe_writes_nothing(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    char method[2048];
    host_configure(a, "");
    host_make(a, 1, &set);
    uint64_t digest = array_digest(a->files[0]);
    running = a;
    replace(a, cancel);
    struct recovery *r = host_add_all(a, &set);
    assert_refused(recovery_run(r, 0, &err), E_ABORT, &err, "before anything was written");
    recovery_free(r);
    assert_int_equal(array_digest(a->files[0]), digest);
    atomic_store(&a->env->cancelled, false);
    replace(a, say_nothing);
    host_recover(a, &set, method);
    host_assert_original(a, 0);
    array_delete_set(a, &set);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, array_start, array_stop)
    const struct CMUnitTest tests[] = {
        CASE(what_is_listed_is_copied),     CASE(the_list_of_another_lun_is_everything),
        CASE(a_list_comes_in_many_answers), CASE(without_a_list_all_is_compared),
        CASE(nonsense_is_no_list),          CASE(a_list_may_name_too_much),
        CASE(a_lie_is_found_out),           CASE(a_cancel_before_the_wipe_writes_nothing),
    };
    (void)setenv("LUNSHADOW_PROVIDER_IN_PROCESS", "1", 1);
    cmocka_set_test_filter(getenv("TEST_CASE"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
