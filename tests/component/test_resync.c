/* SPDX-License-Identifier: Apache-2.0 */
/* RecoverSet on a real tgtd: what is overwritten, what is kept, and what is refused before a byte
 * moves. */
#include "component/array_fixture.h"

#include "common/id.h"
#include "registry/journal.h"
#include "resync/recovery.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define TRANSPORTABLE ((uint32_t)VSS_CTX_APP_ROLLBACK | VSS_VOLSNAP_ATTR_TRANSPORTABLE)
#define EDGE_BYTES    (1u << 20)

/* Set of all LUNs, made and damaged behind it: every LUN has other data now. */
static void make_and_damage(struct array *a, struct set_record *set)
{
    array_create(a, TRANSPORTABLE, ARRAY_LUNS, set);
    for (size_t i = 0; i < ARRAY_LUNS; i++) {
        array_fill(a, i, 1u << 20, 7u << 20, (uint8_t)(0x80 + i)); /* short of the boot record */
    }
}

static void read_body(const char *path, uint8_t **out, size_t *out_bytes)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    *out_bytes = (size_t)st.st_size - 2 * EDGE_BYTES;
    *out = malloc(*out_bytes);
    assert_non_null(*out);
    assert_int_equal(pread(fd, *out, *out_bytes, EDGE_BYTES), (ssize_t)*out_bytes);
    assert_int_equal(close(fd), 0);
}

struct bodies {
    uint8_t *data[ARRAY_LUNS];
    size_t bytes[ARRAY_LUNS];
};

static void read_bodies(const struct array *a, struct bodies *out)
{
    for (size_t i = 0; i < ARRAY_LUNS; i++) {
        read_body(a->files[i], &out->data[i], &out->bytes[i]);
    }
}

static void assert_bodies_back(const struct array *a, const struct bodies *expected)
{
    for (size_t i = 0; i < ARRAY_LUNS; i++) {
        uint8_t *now;
        size_t bytes;
        read_body(a->files[i], &now, &bytes);
        assert_int_equal(bytes, expected->bytes[i]);
        assert_int_equal(memcmp(now, expected->data[i], bytes), 0);
        free(now);
    }
}

static void free_bodies(struct bodies *b)
{
    for (size_t i = 0; i < ARRAY_LUNS; i++) {
        free(b->data[i]);
    }
}

static void add_all(struct array *a, const struct set_record *set, struct recovery **out)
{
    struct error err = {0};
    assert_ok(recovery_new(a->env, set, out, &err), &err);
    for (size_t i = 0; i < set->snapshot_count; i++) {
        assert_ok(recovery_add(*out, &set->snapshots[i].snapshot_id, NULL, &err), &err);
    }
}

static void recover_all(struct array *a, const struct set_record *set, uint32_t flags)
{
    struct error err = {0};
    struct recovery *r = NULL;
    add_all(a, set, &r);
    assert_ok(recovery_run(r, flags, &err), &err);
    recovery_free(r);
}

/* New disk ids for a LUN, by another tool than ours. */
static void give_new_ids(const struct array *a, size_t lun)
{
    static const char *const tools[ARRAY_LUNS] = {
        "sfdisk -q --no-reread --disk-id \"$F\" 0x55667788",
        "sgdisk -G \"$F\"",
        "printf 'x\\ni\\n01234567-89AB-4DEF-8123-456789ABCDEF\\nr\\nw\\n' | fdisk -b 4096 \"$F\"",
    };
    char line[512];
    (void)snprintf(line, sizeof(line), "F='%s'; PATH=$PATH:/usr/sbin:/sbin; %s", a->files[lun],
                   tools[lun]);
    const char *const argv[] = {"sh", "-ec", line, NULL};
    struct error err = {0};
    assert_ok(process_run(argv, 120000, NULL, &err), &err);
}

static void content_comes_back_and_own_ids_stay(void **state)
{
    struct array *a = *state;
    struct set_record set;
    struct bodies bodies;
    struct vss_disk_ids own[ARRAY_LUNS];
    read_bodies(a, &bodies);
    make_and_damage(a, &set);
    for (size_t i = 0; i < ARRAY_LUNS; i++) {
        give_new_ids(a, i);
        array_read_ids(a, a->urls[i], &own[i]);
        assert_false(disk_ids_equal(&own[i], &set.luns[i].source_ids));
    }
    recover_all(a, &set, 0);
    assert_bodies_back(a, &bodies);
    for (size_t i = 0; i < ARRAY_LUNS; i++) {
        struct vss_disk_ids now;
        array_read_ids(a, a->urls[i], &now);
        assert_true(disk_ids_equal(&now, &own[i]));
        disk_ids_free(&now);
        disk_ids_free(&own[i]);
    }
    free_bodies(&bodies);
    array_delete_set(a, &set);
}

static void revert_identity_gives_the_originals_ids(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct bodies bodies;
    read_bodies(a, &bodies);
    make_and_damage(a, &set);
    assert_ok(set_import(a->env, &set, &err), &err); /* the copies now carry shadow-copy bits */
    for (size_t i = 0; i < ARRAY_LUNS; i++) {
        give_new_ids(a, i);
    }
    recover_all(a, &set, VSS_RECOVERY_REVERT_IDENTITY_ALL);
    assert_bodies_back(a, &bodies);
    for (size_t i = 0; i < ARRAY_LUNS; i++) {
        struct vss_disk_ids now;
        array_read_ids(a, a->urls[i], &now);
        assert_true(disk_ids_equal(&now, &set.luns[i].source_ids));
        disk_ids_free(&now);
    }
    free_bodies(&bodies);
    array_delete_set(a, &set);
}

static void wiped_label_gets_the_last_known_ids(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct vss_disk_ids now;
    make_and_damage(a, &set);
    static const uint8_t zeros[EDGE_BYTES];
    int fd = open(a->files[1], O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, zeros, EDGE_BYTES, 0), EDGE_BYTES);
    assert_int_equal(pwrite(fd, zeros, EDGE_BYTES, ARRAY_BYTES - EDGE_BYTES), EDGE_BYTES);
    assert_int_equal(close(fd), 0);
    struct recovery *r = NULL;
    add_all(a, &set, &r);
    assert_ok(recovery_run(r, 0, &err), &err);
    size_t count = 0;
    const struct recovery_member_result *results = recovery_results(r, &count);
    assert_int_equal(count, ARRAY_LUNS);
    assert_non_null(strstr(results[1].ids_note, "last read"));
    recovery_free(r);
    array_read_ids(a, a->urls[1], &now);
    assert_true(disk_ids_equal(&now, &set.luns[1].source_ids)); /* as read when the set was made */
    disk_ids_free(&now);
    array_delete_set(a, &set);
}

static void a_copy_can_be_used_again(void **state)
{
    struct array *a = *state;
    struct set_record set;
    struct bodies bodies;
    read_bodies(a, &bodies);
    make_and_damage(a, &set);
    recover_all(a, &set, 0);
    array_fill(a, 0, 4u << 20, 4u << 20, 0x11);
    recover_all(a, &set, 0);
    assert_bodies_back(a, &bodies);
    free_bodies(&bodies);
    array_delete_set(a, &set);
}

static void other_sessions_are_cut_off(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct lun *other = NULL;
    uint8_t block[4096];
    make_and_damage(a, &set);
    struct lun_options stranger = {.initiator_name = "iqn.2026-01.org.lunshadow.test:stranger"};
    assert_ok(lun_open(a->urls[0], &stranger, false, &other, &err), &err);
    recover_all(a, &set, 0);
    assert_true(FAILED(block_read(&other->block, 0, 1, block, NULL)));
    lun_close(other);
    assert_ok(lun_open(a->urls[0], &stranger, false, &other, &err), &err);
    assert_ok(block_read(&other->block, 4096, 1, block, &err), &err);
    assert_ok(block_write(&other->block, 4096, 1, block, &err), &err); /* the fence is down */
    lun_close(other);
    array_delete_set(a, &set);
}

/* ---- refused before anything is written -------------------------------------------------------
 */

static void assert_untouched(const struct array *a, const uint64_t digests[ARRAY_LUNS])
{
    for (size_t i = 0; i < ARRAY_LUNS; i++) {
        assert_int_equal(array_digest(a->files[i]), digests[i]);
    }
}

static void digest_all(const struct array *a, uint64_t out[ARRAY_LUNS])
{
    for (size_t i = 0; i < ARRAY_LUNS; i++) {
        out[i] = array_digest(a->files[i]);
    }
}

static void registered_strangers_stop_it(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct lun *other = NULL;
    struct recovery *r = NULL;
    uint64_t digests[ARRAY_LUNS];
    make_and_damage(a, &set);
    digest_all(a, digests);
    struct lun_options stranger = {.initiator_name = "iqn.2026-01.org.lunshadow.test:stranger"};
    assert_ok(lun_open(a->urls[2], &stranger, false, &other, &err), &err);
    assert_ok(scsi_pr_register(other->session, other->address.lun, 0, 0x1234, &err), &err);
    add_all(a, &set, &r);
    assert_refused(recovery_run(r, 0, &err), VSS_E_PROVIDER_VETO, &err, "1234");
    recovery_free(r);
    assert_untouched(a, digests);
    lun_close(other);
    struct journal_entry *entries = NULL;
    size_t count = 0;
    assert_ok(journal_load_open(a->env->store, false, &entries, &count, NULL), &err);
    assert_int_equal(count, 0);
    journal_free_all(entries, count);
    set_record_free(&set);
}

static void volumes_outside_the_set_stop_it(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_builder *b = NULL;
    struct set_record set;
    struct recovery *r = NULL;
    uint64_t digests[ARRAY_LUNS];
    VSS_ID id;
    char url[400];
    (void)snprintf(url, sizeof(url), "%s#2", a->urls[1]);
    assert_ok(set_start(a->env, TRANSPORTABLE, &b, &id, &err), &err);
    assert_ok(set_add_volume(b, url, NULL, &id, &err), &err);
    assert_ok(set_commit(b, NULL, &set, &err), &err);
    set_builder_free(b);
    array_fill(a, 1, 4u << 20, 1u << 20, 0x33);
    digest_all(a, digests);
    add_all(a, &set, &r);
    assert_refused(recovery_run(r, 0, &err), VSS_E_UNSELECTED_VOLUME, &err, "#1");
    assert_untouched(a, digests);
    recovery_free(r);
    recover_all(a, &set, VSS_RECOVERY_NO_VOLUME_CHECK);
    assert_int_not_equal(array_digest(a->files[1]), digests[1]);
    array_delete_set(a, &set);
}

/* A volume that came to be after the snapshots were added is in no set either. */
static void a_new_volume_stops_it(void **state)
{
    static const char *const partitions[] = {"#1", "#2", "#3"};
    struct array *a = *state;
    struct error err = {0};
    struct set_builder *b = NULL;
    struct set_record set;
    struct recovery *r = NULL;
    VSS_ID id;
    char text[512];
    assert_ok(set_start(a->env, TRANSPORTABLE, &b, &id, &err), &err);
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(text, sizeof(text), "%s%s", a->urls[1], partitions[i]);
        assert_ok(set_add_volume(b, text, NULL, &id, &err), &err);
    }
    assert_ok(set_commit(b, NULL, &set, &err), &err);
    set_builder_free(b);
    add_all(a, &set, &r);
    (void)snprintf(text, sizeof(text), "PATH=$PATH:/usr/sbin:/sbin; sgdisk -n 4:0:+64K '%s'",
                   a->files[1]);
    const char *const argv[] = {"sh", "-ec", text, NULL};
    assert_ok(process_run(argv, 120000, NULL, &err), &err);
    uint64_t digest = array_digest(a->files[1]);
    assert_refused(recovery_run(r, 0, &err), VSS_E_UNSELECTED_VOLUME, &err, "#4");
    assert_int_equal(array_digest(a->files[1]), digest);
    recovery_free(r);
    array_delete_set(a, &set);
}

static void add_lun(struct array *a, uint32_t lun, uint64_t bytes, uint32_t block_bytes,
                    const char *scsi_id, char url[400])
{
    struct error err = {0};
    char name[32];
    (void)snprintf(name, sizeof(name), "extra%u.img", lun);
    struct lab_lun_options options = {.target = ARRAY_TARGET,
                                      .lun = lun,
                                      .file = name,
                                      .bytes = bytes,
                                      .block_bytes = block_bytes,
                                      .scsi_id = scsi_id,
                                      .serial = scsi_id};
    assert_ok(lab_add_lun(a->lab, &options, &err), &err);
    (void)snprintf(url, 400, "iscsi://%s/" ARRAY_TARGET "/%u", a->lab->portal, lun);
}

static void unfit_destinations_are_refused(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct recovery *r = NULL;
    char url[400];
    make_and_damage(a, &set);
    assert_ok(set_import(a->env, &set, &err), &err);
    assert_ok(recovery_new(a->env, &set, &r, &err), &err);
    const VSS_ID *id = &set.snapshots[1].snapshot_id;
    add_lun(a, 20, ARRAY_BYTES / 2, 512, NULL, url);
    assert_refused(recovery_add(r, id, url, &err), VSS_E_VOLUME_NOT_SUPPORTED, &err, "smaller");
    error_clear(&err);
    add_lun(a, 21, ARRAY_BYTES, 4096, NULL, url);
    assert_refused(recovery_add(r, id, url, &err), VSS_E_VOLUME_NOT_SUPPORTED, &err, "4096");
    error_clear(&err);
    add_lun(a, 22, ARRAY_BYTES, 512, "", url);
    assert_refused(recovery_add(r, id, url, &err), VSS_E_VOLUME_NOT_SUPPORTED, &err, "page-83");
    error_clear(&err);
    assert_refused(recovery_add(r, id, set.luns[1].copy_url, &err), VSS_E_VOLUME_NOT_SUPPORTED,
                   &err, "shadow copy");
    error_clear(&err);
    assert_refused(recovery_add(r, id, "iscsi://127.0.0.1:9/iqn.2026-01.x:y/1", &err),
                   VSS_E_OBJECT_NOT_FOUND, &err, "127.0.0.1:9");
    error_clear(&err);
    VSS_ID other = id_new();
    assert_refused(recovery_add(r, &other, NULL, &err), VSS_E_SNAPSHOT_NOT_IN_SET, &err, NULL);
    error_clear(&err);
    assert_refused(recovery_run(r, 0, &err), VSS_E_BAD_STATE, &err, "empty");
    recovery_free(r);
    set_record_free(&set);
}

static void larger_destination_becomes_as_large(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct recovery *r = NULL;
    struct lun *lun = NULL;
    char url[400];
    struct stat original;
    array_create(a, TRANSPORTABLE, ARRAY_LUNS, &set);
    add_lun(a, 30, ARRAY_BYTES * 2, 512, NULL, url);
    assert_ok(lun_open(url, &a->env->lun, true, &lun, &err), &err);
    struct vss_lun_info who = {0};
    assert_ok(lun_info_copy(&lun->identity.info, &who), &err);
    lun_close(lun);
    assert_ok(recovery_new(a->env, &set, &r, &err), &err);
    assert_ok(recovery_add(r, &set.snapshots[1].snapshot_id, url, &err), &err);
    assert_ok(recovery_run(r, 0, &err), &err);
    recovery_free(r);
    assert_ok(lun_open(url, &a->env->lun, true, &lun, &err), &err);
    assert_int_equal(stat(a->files[1], &original), 0);
    assert_int_equal(lun->block.block_count * 512, original.st_size);
    assert_int_equal(lun_info_compare(&lun->identity.info, &who), LUN_SAME);
    lun_info_free(&who);
    lun_close(lun);
    struct vss_disk_ids ids;
    array_read_ids(a, url, &ids); /* a whole GPT, backup header at the new end */
    assert_int_equal(ids.partition_count, 3);
    disk_ids_free(&ids);
    set_record_free(&set);
}

static void ids_of_another_label_kind_cannot_be_kept(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct recovery *r = NULL;
    uint64_t digests[ARRAY_LUNS];
    array_create(a, TRANSPORTABLE, ARRAY_LUNS, &set);
    digest_all(a, digests);
    /* The GPT copy over the MBR disk. */
    assert_ok(recovery_new(a->env, &set, &r, &err), &err);
    assert_ok(recovery_add(r, &set.snapshots[1].snapshot_id, a->urls[0], &err), &err);
    assert_refused(recovery_run(r, VSS_RECOVERY_NO_VOLUME_CHECK, &err), VSS_E_CANNOT_REVERT_DISKID,
                   &err, "REVERT_IDENTITY_ALL");
    assert_untouched(a, digests);
    recovery_free(r);
    set_record_free(&set);
}

static void one_recovery_at_a_time(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct recovery *first = NULL;
    struct recovery *second = NULL;
    array_create(a, TRANSPORTABLE, ARRAY_LUNS, &set);
    add_all(a, &set, &first);
    assert_ok(recovery_new(a->env, &set, &second, &err), &err);
    const VSS_ID *id = &set.snapshots[0].snapshot_id;
    assert_refused(recovery_add(second, id, NULL, &err), VSS_E_RESYNC_IN_PROGRESS, &err, NULL);
    recovery_free(first);
    error_clear(&err);
    assert_ok(recovery_add(second, id, NULL, &err), &err);
    recovery_free(second);
    array_delete_set(a, &set);
}

static void cancelled_before_the_wipe_writes_nothing(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct recovery *r = NULL;
    uint64_t digests[ARRAY_LUNS];
    make_and_damage(a, &set);
    digest_all(a, digests);
    add_all(a, &set, &r);
    atomic_store(&a->env->cancelled, true);
    assert_refused(recovery_run(r, 0, &err), E_ABORT, &err, "before anything was written");
    atomic_store(&a->env->cancelled, false);
    assert_untouched(a, digests);
    recovery_free(r);
    array_delete_set(a, &set);
}

int main(void)
{
#define array_test(name) cmocka_unit_test_setup_teardown(name, array_start, array_stop)
    const struct CMUnitTest tests[] = {
        array_test(content_comes_back_and_own_ids_stay),
        array_test(revert_identity_gives_the_originals_ids),
        array_test(wiped_label_gets_the_last_known_ids),
        array_test(a_copy_can_be_used_again),
        array_test(other_sessions_are_cut_off),
        array_test(registered_strangers_stop_it),
        array_test(volumes_outside_the_set_stop_it),
        array_test(a_new_volume_stops_it),
        array_test(unfit_destinations_are_refused),
        array_test(larger_destination_becomes_as_large),
        array_test(ids_of_another_label_kind_cannot_be_kept),
        array_test(one_recovery_at_a_time),
        array_test(cancelled_before_the_wipe_writes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
