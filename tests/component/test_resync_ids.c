/* SPDX-License-Identifier: Apache-2.0 */
/* Disk ids after a RecoverSet onto other LUNs than the originals, which everybody still sees. */
#include "component/array_fixture.h"

#include "common/buffer.h"
#include "common/id.h"
#include "common/process.h"
#include "resync/recovery.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TRANSPORTABLE ((uint32_t)VSS_CTX_APP_ROLLBACK | VSS_VOLSNAP_ATTR_TRANSPORTABLE)
#define OTHER         40 /* the LUN number of another LUN */

static void add_other(struct array *a, uint64_t bytes, char url[400], char file[400])
{
    struct error err = {0};
    struct lab_lun_options options = {.target = ARRAY_TARGET,
                                      .lun = OTHER,
                                      .file = "other.img",
                                      .bytes = bytes,
                                      .block_bytes = 512};
    assert_ok(lab_add_lun(a->lab, &options, &err), &err);
    (void)snprintf(url, 400, "iscsi://%s/" ARRAY_TARGET "/%d", a->lab->portal, OTHER);
    (void)snprintf(file, 400, "%s/other.img", a->lab->disks);
}

static void must_be_sound(const char *file)
{
    struct error err = {0};
    char line[600];
    (void)snprintf(line, sizeof(line),
                   "PATH=$PATH:/usr/sbin:/sbin; t=$(sgdisk -v '%s' 2>&1); "
                   "case $t in *CRC*|*ERROR*) echo \"$t\"; exit 1;; *'No problems found'*) ;; "
                   "*) exit 1;; esac",
                   file);
    const char *const argv[] = {"sh", "-ec", line, NULL};
    assert_ok(process_run(argv, 120000, NULL, &err), &err);
}

static struct recovery *one_onto(struct array *a, const struct set_record *set, const char *url)
{
    struct error err = {0};
    struct recovery *r = NULL;
    assert_ok(recovery_new(a->env, set, &r, &err), &err);
    assert_ok(recovery_add(r, &set->snapshots[1].snapshot_id, url, &err), &err);
    return r;
}

static bool shares_an_id(const struct vss_disk_ids *a, const struct vss_disk_ids *b)
{
    bool shares = id_equal(&a->disk_guid, &b->disk_guid);
    for (uint32_t i = 0; i < a->partition_count; i++) {
        for (uint32_t k = 0; k < b->partition_count; k++) {
            shares = shares || id_equal(&a->partitions[i].guid, &b->partitions[k].guid);
        }
    }
    return shares;
}

static void originals_ids_are_refused_while_it_is_seen(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    char url[400];
    char file[400];
    array_create(a, TRANSPORTABLE, ARRAY_LUNS, &set);
    add_other(a, ARRAY_BYTES, url, file);
    uint64_t before = array_digest(file);
    struct recovery *r = one_onto(a, &set, url);
    HRESULT hr = recovery_run(r, VSS_RECOVERY_REVERT_IDENTITY_ALL, &err);
    assert_refused(hr, VSS_E_CANNOT_REVERT_DISKID, &err, a->urls[1]);
    assert_non_null(strstr(err.text, "disk GUID"));
    recovery_free(r);
    assert_int_equal(array_digest(file), before);
    set_record_free(&set);
}

static void portal_that_does_not_answer_proves_nothing(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct recovery *r = NULL;
    array_create(a, TRANSPORTABLE, ARRAY_LUNS, &set);
    array_configure(a, "\n[portal away]\naddress = 127.0.0.1:1\n");
    char url[400];
    char file[400];
    add_other(a, ARRAY_BYTES, url, file);
    r = one_onto(a, &set, url);
    assert_refused(recovery_run(r, VSS_RECOVERY_REVERT_IDENTITY_ALL, &err),
                   VSS_E_CANNOT_REVERT_DISKID, &err, a->urls[1]);
    recovery_free(r);
    /* The original itself gets its own ids back, whatever answers. */
    error_clear(&err);
    r = one_onto(a, &set, NULL);
    assert_ok(recovery_run(r, VSS_RECOVERY_REVERT_IDENTITY_ALL, &err), &err);
    recovery_free(r);
    set_record_free(&set);
}

/* A destination that is larger than the copy too: the backup header is moved to its end. */
static void blank_destination_gets_ids_of_its_own(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct vss_disk_ids ids;
    char url[400];
    char file[400];
    size_t count = 0;
    array_create(a, TRANSPORTABLE, ARRAY_LUNS, &set);
    add_other(a, ARRAY_BYTES * 2, url, file);
    struct recovery *r = one_onto(a, &set, url);
    assert_ok(recovery_run(r, 0, &err), &err);
    const struct recovery_member_result *results = recovery_results(r, &count);
    assert_int_equal(count, 1);
    assert_non_null(strstr(results[0].ids_note, "new ones"));
    assert_non_null(strstr(results[0].ids_note, a->urls[1]));
    recovery_free(r);
    array_read_ids(a, url, &ids);
    assert_int_equal(ids.partition_count, 3);
    assert_false(shares_an_id(&ids, &set.luns[1].source_ids));
    must_be_sound(file);
    must_be_sound(a->files[1]);
    disk_ids_free(&ids);
    set_record_free(&set);
}

static void run_on(const char *file, const char *line)
{
    struct error err = {0};
    char *text = text_printf("PATH=$PATH:/usr/sbin:/sbin F='%s'; %s", file, line);
    const char *const argv[] = {"sh", "-ec", text, NULL};
    assert_ok(process_run(argv, 120000, NULL, &err), &err);
    free(text);
}

/* Once the label is gone, that it was of another kind is nothing that keeps it from a copy. */
static void ids_of_another_kind_are_kept_as_long_as_their_label_is(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct vss_disk_ids ids;
    char url[400];
    char file[400];
    size_t count = 0;
    array_create(a, TRANSPORTABLE, ARRAY_LUNS, &set);
    add_other(a, ARRAY_BYTES, url, file);
    run_on(file, "echo 'label: dos' | sfdisk -q --no-reread --no-tell-kernel \"$F\"");
    struct recovery *r = one_onto(a, &set, url);
    assert_refused(recovery_run(r, VSS_RECOVERY_NO_VOLUME_CHECK, &err), VSS_E_CANNOT_REVERT_DISKID,
                   &err, "MBR");
    recovery_free(r);
    run_on(file, "dd if=/dev/zero of=\"$F\" bs=512 count=1 conv=notrunc status=none");
    error_clear(&err);
    r = one_onto(a, &set, url);
    assert_ok(recovery_run(r, 0, &err), &err);
    const struct recovery_member_result *results = recovery_results(r, &count);
    assert_non_null(strstr(results[0].ids_note, "new ones"));
    assert_non_null(strstr(results[0].ids_note, "of another kind"));
    recovery_free(r);
    array_read_ids(a, url, &ids);
    assert_int_equal(ids.kind, VSS_DISK_LABEL_GPT);
    assert_false(shares_an_id(&ids, &set.luns[1].source_ids));
    must_be_sound(file);
    disk_ids_free(&ids);
    set_record_free(&set);
}

#define array_test(name) cmocka_unit_test_setup_teardown(name, array_start, array_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        array_test(originals_ids_are_refused_while_it_is_seen),
        array_test(portal_that_does_not_answer_proves_nothing),
        array_test(blank_destination_gets_ids_of_its_own),
        array_test(ids_of_another_kind_are_kept_as_long_as_their_label_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
