/* SPDX-License-Identifier: Apache-2.0 */
/* What a dead process left, at chosen steps of each operation: which way is possible, and what it
 * leaves. (Every step of all of them: the crash matrix.) */
#include "component/array_fixture.h"

#include "common/id.h"
#include "lun/scsi.h"
#include "provider/host/internal.h"
#include "provider/set/claim.h"
#include "provider/set/claimed.h"
#include "provider/set/import.h"
#include "provider/set/label_change.h"
#include "registry/set_marks.h"
#include "resync/recover.h"
#include "resync/recovery.h"

#include <endian.h>
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

#define TRANSPORTABLE ((uint32_t)VSS_CTX_APP_ROLLBACK | VSS_VOLSNAP_ATTR_TRANSPORTABLE)
#define COPIES        2
#define FENCE_KEY     UINT64_C(0x6c756e736861646f)

/* Runs act in a process that ends without a word when it is done. */
static void in_dead_process(struct array *a, const struct set_record *set,
                            bool (*act)(struct set_environment *, const struct set_record *))
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        struct set_environment *env = NULL;
        bool ok = SUCCEEDED(set_environment_open(a->config, a->state, &env, NULL)) && act(env, set);
        _exit(ok ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void load_one(struct array *a, struct journal_entry **out)
{
    struct error err = {0};
    size_t count = 0;
    assert_ok(journal_load_open(a->env->store, true, out, &count, &err), &err);
    assert_int_equal(count, 1);
}

static void assert_none_open(struct array *a)
{
    struct error err = {0};
    struct journal_entry *entries = NULL;
    size_t count = 0;
    assert_ok(journal_load_open(a->env->store, false, &entries, &count, &err), &err);
    journal_free_all(entries, count);
    assert_int_equal(count, 0);
}

static void deal_with(struct array *a, enum recover_way way)
{
    struct error err = {0};
    struct journal_entry *entry = NULL;
    load_one(a, &entry);
    assert_null(recover_refusal(entry, way));
    assert_ok(recover_entry(a->env, &entry->entry_id, way, &err), &err);
    journal_free_all(entry, 1);
    assert_none_open(a);
}

static void assert_impossible(struct array *a, enum recover_way way, const char *words)
{
    struct error err = {0};
    struct journal_entry *entry = NULL;
    load_one(a, &entry);
    assert_non_null(recover_refusal(entry, way));
    assert_refused(recover_entry(a->env, &entry->entry_id, way, &err), VSS_E_BAD_STATE, &err,
                   words);
    journal_free_all(entry, 1);
}

static void load_set(struct array *a, struct set_record *set)
{
    struct error err = {0};
    VSS_ID id = set->set_id;
    set_record_free(set);
    assert_ok(sets_load(a->env->store, &id, set, &err), &err);
}

static void copy_ids(struct array *a, const struct set_record *set, struct vss_disk_ids *out)
{
    for (size_t i = 0; i < COPIES; i++) {
        array_read_ids(a, set->luns[i].copy_url, &out[i]);
    }
}

static void free_ids(struct vss_disk_ids *ids)
{
    for (size_t i = 0; i < COPIES; i++) {
        disk_ids_free(&ids[i]);
    }
}

static void assert_ids(struct array *a, const struct set_record *set,
                       const struct vss_disk_ids *expected)
{
    for (size_t i = 0; i < COPIES; i++) {
        struct vss_disk_ids now;
        array_read_ids(a, set->luns[i].copy_url, &now);
        assert_true(disk_ids_equal(&now, &expected[i]));
        disk_ids_free(&now);
    }
}

static void delete_set(struct array *a, struct set_record *set)
{
    struct error err = {0};
    int32_t deleted = 0;
    assert_ok(set_delete(a->env, &set->set_id, VSS_OBJECT_SNAPSHOT_SET, &deleted, NULL, &err),
              &err);
    set_record_free(set);
    array_assert_nothing_left(a);
}

/* ---- two LUNs with one key: which one the journal means is not known ---------------------------
 */

#define TWIN_TARGET "iqn.2026-01.org.lunshadow.a-twin" /* before the array's own in a scan */

/* A LUN with the designator of another one, and a serial number of its own. */
static void add_twin(struct array *a, const struct vss_lun_info *info)
{
    struct error err = {0};
    char scsi_id[33] = "";
    for (uint32_t i = 0; i < info->device_id.identifier_count; i++) {
        const struct vss_storage_identifier *id = &info->device_id.identifiers[i];
        bool is_naa = id->type == VDSStorageIdTypeFCPHName && id->identifier_bytes == 16;
        for (size_t n = 0; is_naa && n < 16; n++) {
            (void)snprintf(scsi_id + 2 * n, 3, "%02x", id->identifier[n]);
        }
    }
    struct lab_lun_options options = {.target = TWIN_TARGET,
                                      .lun = 1,
                                      .file = "twin.img",
                                      .bytes = ARRAY_BYTES,
                                      .block_bytes = 512,
                                      .scsi_id = scsi_id,
                                      .serial = "TWIN"};
    assert_int_equal(strlen(scsi_id), 32);
    assert_ok(lab_add_lun(a->lab, &options, &err), &err);
}

/* Refused, with both named, until the twin has gone. */
static void assert_twin_refused(struct array *a, enum recover_way way, const char *url)
{
    struct error err = {0};
    struct journal_entry *entry = NULL;
    load_one(a, &entry);
    assert_refused(recover_entry(a->env, &entry->entry_id, way, &err), VSS_E_OBJECT_NOT_FOUND, &err,
                   TWIN_TARGET "/1 and ");
    assert_non_null(strstr(err.text, url));
    journal_free_all(entry, 1);
    assert_ok(lab_remove_target(a->lab, TWIN_TARGET, &err), &err);
}

/* ---- break: the labels are changed, and nothing more came to be --------------------------------
 */

static bool break_half(struct set_environment *env, const struct set_record *set)
{
    VSS_ID entry;
    bool is_torn = false;
    struct set_record copy;
    return SUCCEEDED(set_record_copy(set, &copy)) &&
           SUCCEEDED(
               claim_open(env->store, JOURNAL_BREAK, &set->set_id, "break",
                          json_pack("{s:i}", "flags", (int)VSS_BREAKEX_FLAG_REVERT_IDENTITY_NONE),
                          &entry, NULL)) &&
           SUCCEEDED(label_change_copies(env, providers_at(env->providers, 0), &copy,
                                         LABEL_CHANGE_REVERT_RW, &entry, &is_torn, NULL));
}

static void dead_break_is_taken_back(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct vss_disk_ids before[COPIES];
    array_create(a, VSS_CTX_APP_ROLLBACK, COPIES, &set);
    copy_ids(a, &set, before);
    in_dead_process(a, &set, break_half);
    assert_refused(set_break(a->env, &set.set_id, 0, &err), VSS_E_BAD_STATE, &err, "recover");
    deal_with(a, RECOVER_ROLLBACK);
    assert_ids(a, &set, before);
    free_ids(before);
    load_set(a, &set);
    delete_set(a, &set);
}

static struct array *with_twin;
static const struct vss_lun_info *twin_of;
static vss_provider_callback real_before;

/* The last that the array is asked before the labels are written. */
static HRESULT change_then_add_twin(void *self, const struct vss_call *call, const void *in,
                                    void *out)
{
    HRESULT hr = real_before(self, call, in, out);
    add_twin(with_twin, twin_of);
    return hr;
}

/* The array shows no copy beside a LUN with its identity; one that comes later the host finds. */
static void old_labels_are_not_given_to_a_twin(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct journal_entry *entry = NULL;
    struct provider *p = providers_at(a->env->providers, 0);
    struct set_record set;
    struct vss_disk_ids before[COPIES];
    char twin[256];
    array_create(a, VSS_CTX_APP_ROLLBACK, COPIES, &set);
    copy_ids(a, &set, before);
    in_dead_process(a, &set, break_half);
    add_twin(a, &set.luns[0].copy);
    (void)snprintf(twin, sizeof(twin), "%s/twin.img", a->lab->disks);
    uint64_t digest = array_digest(twin);
    load_one(a, &entry);
    assert_refused(recover_entry(a->env, &entry->entry_id, RECOVER_ROLLBACK, &err),
                   VSS_E_PROVIDER_VETO, &err, TWIN_TARGET " LUN 1");
    journal_free_all(entry, 1);
    error_clear(&err);
    assert_ok(lab_remove_target(a->lab, TWIN_TARGET, &err), &err);
    with_twin = a;
    twin_of = &set.luns[0].copy;
    real_before = p->ops[VSS_OP_ON_LUN_STATE_CHANGE];
    p->ops[VSS_OP_ON_LUN_STATE_CHANGE] = change_then_add_twin;
    assert_twin_refused(a, RECOVER_ROLLBACK, set.luns[0].copy_url);
    p->ops[VSS_OP_ON_LUN_STATE_CHANGE] = real_before;
    assert_int_equal(array_digest(twin), digest);
    deal_with(a, RECOVER_ROLLBACK);
    assert_ids(a, &set, before);
    free_ids(before);
    load_set(a, &set);
    delete_set(a, &set);
}

static void dead_break_is_finished(void **state)
{
    struct array *a = *state;
    struct set_record set;
    struct vss_disk_ids before[COPIES];
    array_create(a, VSS_CTX_APP_ROLLBACK, COPIES, &set);
    copy_ids(a, &set, before);
    in_dead_process(a, &set, break_half);
    deal_with(a, RECOVER_RESUME);
    assert_int_equal(sets_load(a->env->store, &set.set_id, &(struct set_record){0}, NULL),
                     VSS_E_OBJECT_NOT_FOUND);
    for (size_t i = 0; i < COPIES; i++) { /* as asked for: own ids kept, shadow-copy bit gone */
        struct vss_disk_ids now;
        array_read_ids(a, set.luns[i].copy_url, &now);
        assert_memory_equal(&now.disk_guid, &before[i].disk_guid, sizeof(now.disk_guid));
        assert_int_equal(now.mbr_signature, before[i].mbr_signature);
        disk_ids_free(&now);
    }
    free_ids(before);
    set_record_free(&set);
}

static bool break_announced(struct set_environment *env, const struct set_record *set)
{
    VSS_ID entry;
    return SUCCEEDED(claim_open(env->store, JOURNAL_BREAK, &set->set_id, "break",
                                json_pack("{s:i}", "flags", 0), &entry, NULL));
}

/* An array that was started anew shows its own LUNs, and no copies until it is asked for them. */
static void dead_break_is_finished_on_a_restarted_array(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct lun *lun = NULL;
    array_create(a, VSS_CTX_APP_ROLLBACK, COPIES, &set);
    in_dead_process(a, &set, break_announced);
    for (size_t i = 0; i < COPIES; i++) {
        struct lun_address copy;
        assert_ok(lun_address_parse(set.luns[i].copy_url, &copy, &err), &err);
        assert_ok(lab_remove_lun(a->lab, copy.target, (uint32_t)copy.lun, &err), &err);
    }
    deal_with(a, RECOVER_RESUME);
    assert_int_equal(sets_load(a->env->store, &set.set_id, &(struct set_record){0}, NULL),
                     VSS_E_OBJECT_NOT_FOUND);
    assert_ok(lun_open(set.luns[0].copy_url, &a->env->lun, true, &lun, &err), &err);
    lun_close(lun);
    set_record_free(&set);
}

/* ---- import ---------------------------------------------------------------------------------- */

static bool import_half(struct set_environment *env, const struct set_record *set)
{
    VSS_ID entry;
    bool is_torn = false;
    struct set_record copy;
    return SUCCEEDED(set_record_copy(set, &copy)) &&
           SUCCEEDED(claim_open(env->store, JOURNAL_IMPORT, &set->set_id, "import", json_object(),
                                &entry, NULL)) &&
           SUCCEEDED(journal_step(env->store, &entry, IS_KNOWN_STEP, NULL, NULL, 0, NULL)) &&
           SUCCEEDED(set_import_copies(env, providers_at(env->providers, 0), &copy, &entry,
                                       &is_torn, NULL));
}

/* No target lets anybody see a copy. */
static void assert_hidden(struct array *a)
{
    struct array_shown shown;
    array_look(a, &shown);
    assert_int_equal(shown.let_in, 0);
}

static void dead_import_is_taken_back(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct array_shown shown;
    uint64_t digests[COPIES];
    char files[COPIES][320];
    array_create(a, TRANSPORTABLE, COPIES, &set);
    for (size_t i = 0; i < COPIES; i++) {
        char id[ID_TEXT_BYTES];
        (void)snprintf(files[i], sizeof(files[i]), "%s/.lunshadow-%s-%zu.copy", a->lab->disks,
                       id_text(&set.set_id, id), i + 1);
        digests[i] = array_digest(files[i]);
    }
    in_dead_process(a, &set, import_half);
    assert_int_not_equal(array_digest(files[1]), digests[1]);
    array_look(a, &shown);
    assert_int_equal(shown.let_in, 1);
    assert_int_equal(shown.luns, COPIES);
    deal_with(a, RECOVER_ROLLBACK);
    assert_hidden(a);
    for (size_t i = 0; i < COPIES; i++) {
        assert_int_equal(array_digest(files[i]), digests[i]);
    }
    assert_ok(set_import(a->env, &set, &err), &err);
    delete_set(a, &set);
}

/* LocateLuns was called, and nothing more: no label was written, and nobody knows the places. */
static bool import_shown(struct set_environment *env, const struct set_record *set)
{
    VSS_ID entry;
    struct set_record copy;
    return SUCCEEDED(set_record_copy(set, &copy)) && SUCCEEDED(sets_save(env->store, set, NULL)) &&
           SUCCEEDED(claim_open(env->store, JOURNAL_IMPORT, &set->set_id, "import", json_object(),
                                &entry, NULL)) &&
           SUCCEEDED(journal_step(env->store, &entry, IS_NEW_STEP, NULL, NULL, 0, NULL)) &&
           SUCCEEDED(set_locate(env, providers_at(env->providers, 0), &copy, NULL));
}

static void dead_import_of_a_document_is_taken_back(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct array_shown shown;
    array_create(a, TRANSPORTABLE, COPIES, &set);
    assert_ok(sets_delete(a->env->store, &set.set_id, &err), &err); /* another host's set */
    in_dead_process(a, &set, import_shown);
    array_look(a, &shown);
    assert_int_equal(shown.writable, COPIES);
    assert_int_equal(shown.let_in, 1);
    deal_with(a, RECOVER_ROLLBACK);
    assert_hidden(a);
    assert_int_equal(sets_load(a->env->store, &set.set_id, &(struct set_record){0}, NULL),
                     VSS_E_OBJECT_NOT_FOUND);
    assert_ok(set_import(a->env, &set, &err), &err);
    delete_set(a, &set);
}

static void dead_import_is_finished(void **state)
{
    struct array *a = *state;
    struct set_record set;
    array_create(a, TRANSPORTABLE, COPIES, &set);
    in_dead_process(a, &set, import_half);
    deal_with(a, RECOVER_RESUME);
    load_set(a, &set);
    for (size_t i = 0; i < COPIES; i++) {
        assert_non_null(set.luns[i].copy_url);
        assert_true(set.snapshots[i].attributes & VSS_VOLSNAP_ATTR_IMPORTED);
        struct vss_disk_ids now;
        array_read_ids(a, set.luns[i].copy_url, &now);
        assert_true(disk_ids_equal(&now, &set.luns[i].copy_ids));
        disk_ids_free(&now);
    }
    delete_set(a, &set);
}

/* ---- delete ---------------------------------------------------------------------------------- */

static bool delete_announced(struct set_environment *env, const struct set_record *set)
{
    char id[ID_TEXT_BYTES];
    VSS_ID entry;
    return SUCCEEDED(claim_open(env->store, JOURNAL_DELETE, &set->set_id, "delete",
                                json_pack("{s:s, s:i}", "object", id_text(&set->set_id, id), "type",
                                          (int)VSS_OBJECT_SNAPSHOT_SET),
                                &entry, NULL));
}

static bool delete_half(struct set_environment *env, const struct set_record *set)
{
    struct journal_entry *entries = NULL;
    size_t count = 0;
    return delete_announced(env, set) &&
           SUCCEEDED(journal_load_open(env->store, false, &entries, &count, NULL)) && count == 1 &&
           SUCCEEDED(journal_step(env->store, &entries[0].entry_id, LUN_EMPTY_STEP, "some", NULL, 0,
                                  NULL));
}

static void dead_delete_is_closed_or_finished(void **state)
{
    struct array *a = *state;
    struct set_record set;
    array_create(a, TRANSPORTABLE, COPIES, &set);
    in_dead_process(a, &set, delete_announced);
    deal_with(a, RECOVER_ROLLBACK);
    load_set(a, &set);
    in_dead_process(a, &set, delete_half);
    assert_impossible(a, RECOVER_ROLLBACK, "cannot come back");
    deal_with(a, RECOVER_RESUME);
    set_record_free(&set);
    array_assert_nothing_left(a);
}

/* ---- create, and copies without a session ---------------------------------------------------- */

static bool create_auto_release(struct set_environment *env, const struct set_record *set)
{
    struct set_builder *b = NULL;
    struct set_record out;
    VSS_ID id;
    return SUCCEEDED(set_start(env, VSS_CTX_BACKUP, &b, &id, NULL)) &&
           SUCCEEDED(set_add_volume(b, set->luns[0].source_url, NULL, &id, NULL)) &&
           SUCCEEDED(set_commit(b, NULL, &out, NULL));
}

static void copies_of_a_dead_session_are_deleted(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct lun_mapping lun = {.source_url = a->urls[0]};
    struct set_record asked = {.luns = &lun, .lun_count = 1};
    VSS_ID *sets = NULL;
    size_t count = 0;
    struct set_record own;
    array_create(a, VSS_CTX_BACKUP, 1, &own); /* of this process, which lives */
    in_dead_process(a, &asked, create_auto_release);
    assert_ok(set_marks_load_abandoned(a->env->store, &sets, &count, &err), &err);
    assert_int_equal(count, 1);
    assert_refused(recover_abandoned(a->env, &own.set_id, &err), VSS_E_BAD_STATE, &err, "none");
    error_clear(&err);
    assert_ok(recover_abandoned(a->env, &sets[0], &err), &err);
    free(sets);
    delete_set(a, &own);
}

static bool announce_create(struct set_environment *env, const struct set_record *set)
{
    VSS_ID entry;
    return SUCCEEDED(
        journal_open(env->store, JOURNAL_CREATE, &set->set_id, "create", &entry, NULL));
}

static void a_create_is_never_finished(void **state)
{
    struct array *a = *state;
    struct set_record set = {.set_id = id_new()};
    in_dead_process(a, &set, announce_create);
    assert_impossible(a, RECOVER_RESUME, "create the set again");
    deal_with(a, RECOVER_ROLLBACK);
    array_assert_nothing_left(a);
}

/* ---- resync: as a process leaves it that dies right before the wipe, or in the middle of it -----
 */

static bool resync_announced(struct set_environment *env, const struct set_record *set)
{
    char id[ID_TEXT_BYTES];
    char snapshot[ID_TEXT_BYTES];
    char key[LUN_KEY_BYTES];
    VSS_ID resync_id = id_new();
    VSS_ID entry;
    char *plan =
        json_dumps(json_pack("{s:i, s:[{s:s, s:n}]}", "flags", 0, "members", "snapshot",
                             id_text(&set->snapshots[0].snapshot_id, snapshot), "destination"),
                   0);
    char *ids = json_dumps(disk_ids_to_json(&set->luns[0].source_ids), 0);
    (void)id_text(&set->set_id, id);
    return plan && ids &&
           SUCCEEDED(
               journal_open(env->store, JOURNAL_RESYNC, &resync_id, "resync", &entry, NULL)) &&
           SUCCEEDED(journal_step(env->store, &entry, CLAIM_STEP, NULL, id, strlen(id), NULL)) &&
           SUCCEEDED(journal_step(env->store, &entry, PLAN_STEP, NULL, plan, strlen(plan), NULL)) &&
           SUCCEEDED(journal_step(env->store, &entry, "ids-before",
                                  lun_info_key(&set->luns[0].source, key), ids, strlen(ids), NULL));
}

static bool resync_half(struct set_environment *env, const struct set_record *set)
{
    struct journal_entry *entries = NULL;
    size_t count = 0;
    return resync_announced(env, set) &&
           SUCCEEDED(journal_load_open(env->store, false, &entries, &count, NULL)) && count == 1 &&
           SUCCEEDED(journal_mark_invalid(env->store, &entries[0].entry_id, true, NULL));
}

static void dead_resync_is_finished(void **state)
{
    struct array *a = *state;
    struct set_record set;
    uint64_t digest = array_digest(a->files[0]);
    array_create(a, TRANSPORTABLE, 1, &set);
    array_fill(a, 0, 4u << 20, 1u << 20, 0x77);
    in_dead_process(a, &set, resync_announced);
    deal_with(a, RECOVER_RESUME);
    assert_int_equal(array_digest(a->files[0]), digest);
    array_fill(a, 0, 4u << 20, 1u << 20, 0x78);
    in_dead_process(a, &set, resync_announced);
    deal_with(a, RECOVER_ROLLBACK);
    assert_int_not_equal(array_digest(a->files[0]), digest);
    in_dead_process(a, &set, resync_half);
    assert_impossible(a, RECOVER_ROLLBACK, "resume it");
    deal_with(a, RECOVER_RESUME);
    assert_int_equal(array_digest(a->files[0]), digest);
    delete_set(a, &set);
}

/* Done, but the target was away when the fence was to be taken off; and who took it off later may
 * have died too, with registrations of its own: LEFT_... */
enum { LEFT_FENCE = 1, LEFT_FIRST_BROOM = 2, LEFT_SECOND_BROOM = 4, LEFT_ALL = 7 };
static unsigned left;

static bool leave_registrations(struct set_environment *env, const char *url)
{
    static const uint64_t keys[] = {FENCE_KEY, FENCE_KEY ^ 0x5a5a5a5a5a5a5a5a,
                                    FENCE_KEY ^ 0xa5a5a5a5a5a5a5a5};
    bool ok = true;
    for (unsigned i = 0, reserved = 0; ok && i < 3; i++) {
        struct lun *lun = NULL;
        if (!(left >> i & 1)) {
            continue;
        }
        ok = SUCCEEDED(lun_open(url, &env->lun, true, &lun, NULL)) &&
             SUCCEEDED(scsi_pr_register(lun->session, lun->address.lun, 0, keys[i], NULL));
        if (ok && !reserved++) {
            ok = SUCCEEDED(scsi_pr_reserve(lun->session, lun->address.lun, keys[i], NULL));
        }
    }
    return ok;
}

static bool resync_fenced(struct set_environment *env, const struct set_record *set)
{
    struct journal_entry *entries = NULL;
    size_t count = 0;
    char key[LUN_KEY_BYTES];
    const uint64_t stored = htole64(FENCE_KEY);
    bool ok = resync_announced(env, set) && leave_registrations(env, set->luns[0].source_url) &&
              SUCCEEDED(journal_load_open(env->store, false, &entries, &count, NULL)) && count == 1;
    const VSS_ID *entry = ok ? &entries[0].entry_id : NULL;
    return ok &&
           SUCCEEDED(journal_step(env->store, entry, "fence",
                                  lun_info_key(&set->luns[0].source, key), &stored, sizeof(stored),
                                  NULL)) &&
           SUCCEEDED(journal_step(env->store, entry, "done", NULL, NULL, 0, NULL));
}

static void assert_no_registration(struct array *a)
{
    struct error err = {0};
    struct lun *lun = NULL;
    uint64_t keys[1];
    size_t count = 0;
    assert_ok(lun_open(a->urls[0], &a->env->lun, true, &lun, &err), &err);
    assert_ok(scsi_pr_read_keys(lun->session, lun->address.lun, keys, 1, &count, &err), &err);
    lun_close(lun);
    assert_int_equal(count, 0);
}

static void a_resync_that_is_done_only_loses_its_fence(void **state)
{
    struct array *a = *state;
    struct set_record set;
    array_create(a, TRANSPORTABLE, 1, &set);
    array_fill(a, 0, 4u << 20, 1u << 20, 0x77); /* written since: another resync would undo it */
    uint64_t digest = array_digest(a->files[0]);
    for (left = LEFT_FENCE; left <= LEFT_ALL; left++) {
        in_dead_process(a, &set, resync_fenced);
        assert_impossible(a, RECOVER_ROLLBACK, "it was done");
        deal_with(a, RECOVER_RESUME);
        assert_no_registration(a);
        assert_int_equal(array_digest(a->files[0]), digest);
    }
    delete_set(a, &set);
}

static void no_fence_is_looked_for_on_a_twin(void **state)
{
    struct array *a = *state;
    struct set_record set;
    array_create(a, TRANSPORTABLE, 1, &set);
    left = LEFT_FENCE;
    in_dead_process(a, &set, resync_fenced);
    add_twin(a, &set.luns[0].source);
    assert_twin_refused(a, RECOVER_RESUME, set.luns[0].source_url);
    deal_with(a, RECOVER_RESUME);
    assert_no_registration(a);
    delete_set(a, &set);
}

/* Nor does what a dying recovery left keep the same resync from running. */
static void another_resync_takes_what_is_left_of_a_fence(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    uint64_t digest = array_digest(a->files[0]);
    array_create(a, TRANSPORTABLE, 1, &set);
    for (left = LEFT_FENCE; left <= LEFT_ALL; left++) {
        struct recovery *r = NULL;
        array_fill(a, 0, 4u << 20, 1u << 20, 0x77);
        in_dead_process(a, &set, resync_fenced);
        assert_ok(recovery_new(a->env, &set, &r, &err), &err);
        assert_ok(recovery_add(r, &set.snapshots[0].snapshot_id, NULL, &err), &err);
        assert_ok(recovery_run(r, 0, &err), &err);
        recovery_free(r);
        assert_none_open(a);
        assert_no_registration(a);
        assert_int_equal(array_digest(a->files[0]), digest);
    }
    delete_set(a, &set);
}

/* ---- what is whole, and not let go of ----------------------------------------------------------
 */

static vss_provider_callback real_change;
static int let_in; /* POST_RECOVERY of a resync */

static HRESULT refuse_to_let_in(void *self, const struct vss_call *call, const void *in, void *out)
{
    const struct vss_state_change_in *change = in;
    if (change->is_resync && change->flags == VSS_ONLUNSTATECHANGE_NOTIFY_LUN_POST_RECOVERY) {
        call->host->error(call, "the test says no");
        return VSS_E_PROVIDER_VETO;
    }
    return real_change(self, call, in, out);
}

static HRESULT count_let_in(void *self, const struct vss_call *call, const void *in, void *out)
{
    const struct vss_state_change_in *change = in;
    let_in += change->is_resync && change->flags == VSS_ONLUNSTATECHANGE_NOTIFY_LUN_POST_RECOVERY &&
              change->set.lun_count == 1 && change->set.luns[0].source.version;
    return real_change(self, call, in, out);
}

static HRESULT die(void *self, const struct vss_call *call, const void *in, void *out)
{
    const struct vss_state_change_in *change = in;
    HRESULT hr = real_change(self, call, in, out);
    if (change->is_resync && change->flags == VSS_ONLUNSTATECHANGE_NOTIFY_LUN_PRE_RECOVERY) {
        _exit(0);
    }
    return hr;
}

static void replace(struct set_environment *env, vss_provider_callback callback)
{
    struct provider *p = providers_at(env->providers, 0);
    real_change = p->ops[VSS_OP_ON_LUN_STATE_CHANGE];
    p->ops[VSS_OP_ON_LUN_STATE_CHANGE] = callback;
}

static HRESULT resync_first(struct set_environment *env, const struct set_record *set,
                            struct error *err)
{
    struct recovery *r = NULL;
    HRESULT hr = recovery_new(env, set, &r, err);
    if (SUCCEEDED(hr)) {
        hr = recovery_add(r, &set->snapshots[0].snapshot_id, NULL, err);
    }
    if (SUCCEEDED(hr)) {
        hr = recovery_run(r, 0, err);
    }
    recovery_free(r);
    return hr;
}

static bool resync_not_let_go(struct set_environment *env, const struct set_record *set)
{
    struct error err = {0};
    replace(env, refuse_to_let_in);
    return resync_first(env, set, &err) == VSS_E_PROVIDER_VETO &&
           strstr(err.text, "are whole") != NULL;
}

static bool resync_dies_before_the_wipe(struct set_environment *env, const struct set_record *set)
{
    replace(env, die);
    (void)resync_first(env, set, NULL);
    return false;
}

/* Hosts use it by then: to copy again would take what they wrote. */
static void a_resync_that_is_done_is_not_done_again(void **state)
{
    struct array *a = *state;
    struct set_record set;
    uint64_t digest = array_digest(a->files[0]);
    array_create(a, TRANSPORTABLE, 1, &set);
    array_fill(a, 0, 4u << 20, 1u << 20, 0x77);
    in_dead_process(a, &set, resync_not_let_go);
    assert_int_equal(array_digest(a->files[0]), digest);
    array_fill(a, 0, 4u << 20, 1u << 20, 0x78);
    digest = array_digest(a->files[0]);
    assert_impossible(a, RECOVER_ROLLBACK, "it was done");
    let_in = 0;
    replace(a->env, count_let_in);
    deal_with(a, RECOVER_RESUME);
    assert_int_equal(let_in, 1);
    assert_int_equal(array_digest(a->files[0]), digest);
    delete_set(a, &set);
}

static void hosts_are_let_in_again_where_nothing_was_done(void **state)
{
    struct array *a = *state;
    struct set_record set;
    array_create(a, TRANSPORTABLE, 1, &set);
    array_fill(a, 0, 4u << 20, 1u << 20, 0x77);
    uint64_t digest = array_digest(a->files[0]);
    in_dead_process(a, &set, resync_dies_before_the_wipe);
    let_in = 0;
    replace(a->env, count_let_in);
    deal_with(a, RECOVER_ROLLBACK);
    assert_int_equal(let_in, 1);
    assert_int_equal(array_digest(a->files[0]), digest);
    delete_set(a, &set);
}

/* ---- forgetting ------------------------------------------------------------------------------ */

static void a_hopeless_entry_can_be_forgotten(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct journal_entry *entry = NULL;
    array_create(a, VSS_CTX_APP_ROLLBACK, COPIES, &set);
    in_dead_process(a, &set, break_half);
    for (size_t i = 0; i < COPIES; i++) { /* somebody deletes the copies on the array */
        char target[128];
        const char *name = strstr(set.luns[i].copy_url, "iqn.");
        (void)snprintf(target, sizeof(target), "%.*s", (int)strcspn(name, "/"), name);
        (void)lab_remove_target(a->lab, target, NULL);
    }
    char line[160];
    (void)snprintf(line, sizeof(line), "rm -f %s/.lunshadow-*", a->lab->disks);
    const char *const argv[] = {"sh", "-c", line, NULL};
    assert_ok(process_run(argv, 10000, NULL, &err), &err);
    load_one(a, &entry);
    assert_true(FAILED(recover_entry(a->env, &entry->entry_id, RECOVER_ROLLBACK, NULL)));
    assert_true(FAILED(recover_entry(a->env, &entry->entry_id, RECOVER_RESUME, NULL)));
    assert_ok(recover_forget(a->env, &entry->entry_id, &err), &err);
    assert_none_open(a);
    assert_refused(recover_forget(a->env, &entry->entry_id, &err), VSS_E_OBJECT_NOT_FOUND, &err,
                   "dealt with");
    journal_free_all(entry, 1);
    delete_set(a, &set); /* nothing keeps others from working any more */
}

int main(void)
{
    /* Callbacks can be replaced only where the plug-in is loaded. */
    (void)setenv("LUNSHADOW_PROVIDER_IN_PROCESS", "1", 1);
#define array_test(name) cmocka_unit_test_setup_teardown(name, array_start, array_stop)
    const struct CMUnitTest tests[] = {
        array_test(dead_break_is_taken_back),
        array_test(old_labels_are_not_given_to_a_twin),
        array_test(dead_break_is_finished),
        array_test(dead_break_is_finished_on_a_restarted_array),
        array_test(dead_import_is_taken_back),
        array_test(dead_import_of_a_document_is_taken_back),
        array_test(dead_import_is_finished),
        array_test(dead_delete_is_closed_or_finished),
        array_test(copies_of_a_dead_session_are_deleted),
        array_test(a_create_is_never_finished),
        array_test(dead_resync_is_finished),
        array_test(a_resync_that_is_done_is_not_done_again),
        array_test(hosts_are_let_in_again_where_nothing_was_done),
        array_test(a_resync_that_is_done_only_loses_its_fence),
        array_test(no_fence_is_looked_for_on_a_twin),
        array_test(another_resync_takes_what_is_left_of_a_fence),
        array_test(a_hopeless_entry_can_be_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
