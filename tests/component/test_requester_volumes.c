/* SPDX-License-Identifier: Apache-2.0 */

/* What the requester API says of volumes, over a real tgtd. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <lunshadow/requester.h>

#include "common/id.h"
#include "component/array_fixture.h"

static struct vss_session_options options_of(const struct array *a)
{
    struct vss_session_options options = VSS_SESSION_OPTIONS_INIT;
    options.config_path = a->config;
    options.state_directory = a->state;
    return options;
}

static void assert_snapshotted(const struct array *a, const char *volume, bool expected)
{
    struct vss_session_options options = options_of(a);
    bool is_present = !expected;
    int32_t capability = -1;
    char *text = NULL;
    if (FAILED(vss_is_volume_snapshotted(&options, volume, &is_present, &capability, &text))) {
        fail_msg("%s: %s", volume, text);
    }
    assert_int_equal(capability, 0);
    assert_true(is_present == expected);
}

static void assert_not_answered(const struct array *a, const char *volume, HRESULT expected)
{
    struct vss_session_options options = options_of(a);
    bool is_present = true;
    int32_t capability = -1;
    char *text = NULL;
    assert_int_equal(vss_is_volume_snapshotted(&options, volume, &is_present, &capability, &text),
                     expected);
    assert_non_null(text);
    assert_false(is_present);
    vss_free_string(text);
}

/* A set of LUN 1's second partition alone. */
static void is_volume_snapshotted(void **state)
{
    struct array *a = *state;
    struct set_builder *builder = NULL;
    struct set_record set = {0};
    struct error err = {0};
    VSS_ID id;
    char partition[340];
    char other[340];
    int32_t deleted = 0;
    (void)snprintf(partition, sizeof(partition), "%s#2", a->urls[1]);
    (void)snprintf(other, sizeof(other), "%s#1", a->urls[1]);
    assert_snapshotted(a, partition, false);
    HRESULT hr = set_start(a->env, VSS_CTX_NAS_ROLLBACK | VSS_VOLSNAP_ATTR_TRANSPORTABLE, &builder,
                           &id, &err);
    assert_ok(hr, &err);
    assert_ok(set_add_volume(builder, partition, NULL, &id, &err), &err);
    assert_snapshotted(a, partition, false); /* nothing is complete yet */
    assert_ok(set_commit(builder, NULL, &set, &err), &err);
    set_builder_free(builder);

    assert_snapshotted(a, partition, true);
    assert_snapshotted(a, a->urls[1], true); /* a part of it */
    assert_snapshotted(a, other, false);
    assert_snapshotted(a, a->urls[0], false);
    assert_ok(set_delete(a->env, &set.set_id, VSS_OBJECT_SNAPSHOT_SET, &deleted, NULL, &err), &err);
    assert_snapshotted(a, partition, false);
    set_record_free(&set);
    array_assert_nothing_left(a);
}

static void is_volume_snapshotted_refuses(void **state)
{
    struct array *a = *state;
    char volume[400];
    assert_not_answered(a, "lun1", E_INVALIDARG);
    (void)snprintf(volume, sizeof(volume), "%s#9", a->urls[1]);
    assert_not_answered(a, volume, VSS_E_OBJECT_NOT_FOUND);
    (void)snprintf(volume, sizeof(volume), "iscsi://%s/%s/99", a->lab->portal, ARRAY_TARGET);
    assert_not_answered(a, volume, VSS_E_OBJECT_NOT_FOUND);
    assert_not_answered(a, "iscsi://127.0.0.1:1/iqn.2026-11.x:y/1", VSS_E_OBJECT_NOT_FOUND);
}

static int start(void **state)
{
    int failed = array_start(state);
    if (failed) {
        return failed;
    }
    const struct array *a = *state;
    return setenv("LUNSHADOW_LOCK_DIR", a->state, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(is_volume_snapshotted, start, array_stop),
        cmocka_unit_test_setup_teardown(is_volume_snapshotted_refuses, start, array_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
