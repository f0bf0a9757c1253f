/* SPDX-License-Identifier: Apache-2.0 */

/* Writers of a session, good ones: what they are told and when, which ones, in which order. */

#include "unit/writers_fixture.h"

#include "common/clock.h"
#include "common/id.h"
#include "lun/identity.h"
#include "provider/set/claim.h"
#include "requester/document/document.h"
#include "requester/writers/protocol.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define EMPTY_DOCUMENT                                                                             \
    "<BACKUP_COMPONENTS xmlns=\"x-schema:#VssComponentMetadata\" version=\"1.2\"/>"

static HRESULT completed(struct vss_backup_components *s)
{
    struct vss_async *async = NULL;
    return writers_finished(vss_backup_components_backup_complete(s, &async), &async);
}

static uint32_t gathered_count(struct vss_backup_components *s)
{
    uint32_t count = 0;
    assert_int_equal(vss_backup_components_get_writer_metadata_count(s, &count), S_OK);
    return count;
}

/* ---- the whole way ---- */

static void test_backup(void **state)
{
    struct writers_fixture *f = *state;
    writers_add(f, "one", NULL, ":");
    struct vss_backup_components *s = writers_session(f, VSS_CTX_APP_ROLLBACK);
    assert_int_equal(writers_gathered(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(gathered_count(s), 1);
    writers_assert(s, "one", VSS_WS_STABLE, S_OK, "");
    assert_int_equal(writers_prepared(s), VSS_S_ASYNC_FINISHED);
    writers_assert(s, "one", VSS_WS_STABLE, S_OK, "");
    assert_int_equal(writers_made(s), VSS_S_ASYNC_FINISHED);
    writers_assert(s, "one", VSS_WS_WAITING_FOR_BACKUP_COMPLETE, S_OK, "");
    assert_int_equal(completed(s), VSS_S_ASYNC_FINISHED);
    writers_assert(s, "one", VSS_WS_STABLE, S_OK, "");
    vss_backup_components_release(s);
    assert_string_equal(writers_log(f),
                        "one identify, one prepare-backup, one prepare-snapshot, one freeze, "
                        "one thaw, one post-snapshot, one backup-complete, one backup-shutdown, "
                        "one end");
}

static void test_what_is_said(void **state)
{
    struct writers_fixture *f = *state;
    writers_add(f, "one", "[environment]\nCOLOUR = deep red\n",
                "[ $event = freeze ] && env >$dir/env");
    char path[600];
    (void)snprintf(path, sizeof(path), "%s.set", f->log);
    assert_int_equal(setenv("LUNSHADOW_TEST_SECRET", "sesame", 1), 0);
    struct vss_backup_components *s = writers_session(f, VSS_CTX_APP_ROLLBACK);
    assert_int_equal(writers_gathered(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(writers_prepared(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(writers_made(s), VSS_S_ASYNC_FINISHED);
    vss_backup_components_release(s);
    assert_int_equal(unsetenv("LUNSHADOW_TEST_SECRET"), 0);
    static const char *const said[] = {"set protocol 1",       "set session ",
                                       "set backup-type full", "set select-components no",
                                       "set snapshot-set ",    "set context 0x9"};
    for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
        char command[800];
        (void)snprintf(command, sizeof(command), "grep -q '%s' %s", said[i], path);
        assert_int_equal(system(command), 0);
    }
    char command[800];
    (void)snprintf(command, sizeof(command),
                   "cd %s && grep -q '^COLOUR=deep red$' env && grep -q '^LUNSHADOW_WRITER=one$' "
                   "env && ! grep -q sesame env",
                   f->directory);
    assert_int_equal(system(command), 0);
}

/* Who is gathered after PrepareForBackup would have no part in the set, and seem well. */
static void test_gathered_too_late(void **state)
{
    struct writers_fixture *f = *state;
    struct vss_async *async = NULL;
    writers_add(f, "one", NULL, ":");
    struct vss_backup_components *s = writers_session(f, VSS_CTX_APP_ROLLBACK);
    assert_int_equal(writers_prepared(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(vss_backup_components_gather_writer_metadata(s, &async), VSS_E_BAD_STATE);
    assert_null(async);
    assert_int_equal(vss_backup_components_abort_backup(s), S_OK);
    assert_int_equal(writers_gathered(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(writers_prepared(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(writers_made(s), VSS_S_ASYNC_FINISHED);
    vss_backup_components_release(s);
    assert_non_null(strstr(writers_log(f), "one prepare-snapshot, one freeze, one thaw"));
}

static void test_abort(void **state)
{
    struct writers_fixture *f = *state;
    writers_add(f, "one", NULL, ":");
    struct vss_backup_components *s = writers_session(f, VSS_CTX_APP_ROLLBACK);
    assert_int_equal(writers_gathered(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(vss_backup_components_abort_backup(s), S_OK); /* nothing to abort */
    assert_int_equal(writers_prepared(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(vss_backup_components_abort_backup(s), S_OK);
    writers_assert(s, "one", VSS_WS_STABLE, S_OK, "");
    assert_int_equal(writers_prepared(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(writers_made(s), VSS_S_ASYNC_FINISHED);
    vss_backup_components_release(s); /* without BackupComplete */
    assert_string_equal(writers_log(f),
                        "one identify, one prepare-backup, one abort, one prepare-backup, "
                        "one prepare-snapshot, one freeze, one thaw, one post-snapshot, one abort, "
                        "one backup-shutdown, one end");
}

static void test_restore(void **state)
{
    struct writers_fixture *f = *state;
    struct vss_session_options options = VSS_SESSION_OPTIONS_INIT;
    struct vss_backup_components *s = NULL;
    struct vss_async *async = NULL;
    writers_add(f, "one", NULL, ":");
    writers_add(f, "two", NULL,
                "[ $event = pre-restore ] && { echo failed $number retryable still running; "
                "continue; }");
    options.config_path = f->config;
    options.state_directory = f->directory;
    assert_int_equal(vss_create_backup_components(&options, &s, NULL), S_OK);
    assert_int_equal(vss_backup_components_initialize_for_restore(s, EMPTY_DOCUMENT), S_OK);
    assert_int_equal(vss_backup_components_pre_restore(s, &async), VSS_E_BAD_STATE);
    assert_int_equal(writers_gathered(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(vss_backup_components_post_restore(s, &async), VSS_E_BAD_STATE);
    assert_int_equal(vss_backup_components_pre_restore(s, NULL), E_INVALIDARG);
    assert_int_equal(writers_finished(vss_backup_components_pre_restore(s, &async), &async),
                     VSS_S_ASYNC_FINISHED);
    writers_assert(s, "one", VSS_WS_STABLE, S_OK, "");
    writers_assert(s, "two", VSS_WS_FAILED_AT_PRE_RESTORE, VSS_E_WRITERERROR_RETRYABLE,
                   "still running");
    assert_int_equal(writers_finished(vss_backup_components_post_restore(s, &async), &async),
                     VSS_S_ASYNC_FINISHED);
    assert_int_equal(vss_backup_components_post_restore(s, &async), VSS_E_BAD_STATE);
    vss_backup_components_release(s);
    assert_non_null(strstr(writers_log(f), "two post-restore"));
    assert_null(strstr(writers_log(f), "shutdown"));
}

static void test_contexts_without_writers(void **state)
{
    struct writers_fixture *f = *state;
    writers_add(f, "one", NULL, ":");
    struct vss_backup_components *s = writers_session(f, VSS_CTX_NAS_ROLLBACK);
    assert_int_equal(writers_gathered(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(gathered_count(s), 0);
    vss_backup_components_release(s);
    assert_int_equal(access(f->log, F_OK), -1);
}

/* The copies are there, and the writers know that nothing came of the backup. */
static void test_abort_of_what_is_made(void **state)
{
    struct writers_fixture *f = *state;
    struct vss_async *async = NULL;
    writers_add(f, "one", NULL, ":");
    struct vss_backup_components *s = writers_session(f, VSS_CTX_APP_ROLLBACK);
    assert_int_equal(vss_backup_components_abort_backup(s), S_OK);
    assert_int_equal(writers_gathered(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(writers_prepared(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(writers_made(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(vss_backup_components_abort_backup(s), S_OK);
    assert_int_equal(vss_backup_components_backup_complete(s, &async), VSS_E_BAD_STATE);
    assert_null(async);
    assert_non_null(strstr(vss_backup_components_error_text(s), "aborted"));
    vss_backup_components_release(s);
    assert_null(strstr(writers_log(f), "backup-complete"));
}

/* ---- which ones ---- */

static uint32_t count_with(
    struct writers_fixture *f,
    HRESULT (*first)(struct vss_backup_components *, const VSS_ID *, uint32_t), VSS_ID first_id,
    HRESULT (*then)(struct vss_backup_components *, const VSS_ID *, uint32_t), VSS_ID then_id)
{
    struct vss_backup_components *s = writers_session(f, VSS_CTX_APP_ROLLBACK);
    assert_int_equal(first(s, &first_id, 1), S_OK);
    assert_int_equal(then(s, &then_id, 1), S_OK);
    assert_int_equal(writers_gathered(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(first(s, &first_id, 1), S_OK); /* too late, and harmless */
    uint32_t count = gathered_count(s);
    vss_backup_components_release(s);
    return count;
}

static void test_choosing(void **state)
{
    struct writers_fixture *f = *state;
    writers_add(f, "one", NULL, ":");
    writers_add(f, "two", NULL, ":");
    writers_add(f, "three", NULL, ":");
    const VSS_ID unknown = {1, 2, 3, {4}};
    assert_int_equal(count_with(f, vss_backup_components_disable_writer_classes, writers_class(1),
                                vss_backup_components_disable_writer_classes, writers_class(2)),
                     1);
    assert_int_equal(count_with(f, vss_backup_components_disable_writer_classes, writers_class(1),
                                vss_backup_components_disable_writer_instances,
                                writers_instance(1)),
                     2);
    assert_int_equal(count_with(f, vss_backup_components_disable_writer_classes, unknown,
                                vss_backup_components_disable_writer_instances, unknown),
                     3);
    /* the first enabling makes the disabling void */
    assert_int_equal(count_with(f, vss_backup_components_disable_writer_classes, writers_class(1),
                                vss_backup_components_enable_writer_classes, writers_class(1)),
                     1);
    assert_int_equal(count_with(f, vss_backup_components_enable_writer_classes, writers_class(1),
                                vss_backup_components_disable_writer_classes, writers_class(1)),
                     0);
    struct vss_backup_components *s = writers_session(f, VSS_CTX_APP_ROLLBACK);
    assert_int_equal(vss_backup_components_enable_writer_classes(s, NULL, 1), E_INVALIDARG);
    assert_int_equal(vss_backup_components_enable_writer_classes(s, NULL, 0), S_OK);
    assert_int_equal(writers_gathered(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(gathered_count(s), 0); /* enabling none: none is enabled */
    vss_backup_components_release(s);
}

/* ---- freezing ---- */

/* Each waits in freeze until the other one has begun to. */
static void test_parallel(void **state)
{
    struct writers_fixture *f = *state;
    writers_add(f, "one", "[limits]\nfreeze_ms = 20000\n",
                "[ $event = freeze ] && { : >$dir/1; until [ -e $dir/2 ]; do sleep 0.01; done; }");
    writers_add(f, "two", "[limits]\nfreeze_ms = 20000\n",
                "[ $event = freeze ] && { : >$dir/2; until [ -e $dir/1 ]; do sleep 0.01; done; }");
    struct vss_backup_components *s = writers_session(f, VSS_CTX_APP_ROLLBACK);
    assert_int_equal(writers_gathered(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(writers_prepared(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(writers_made(s), VSS_S_ASYNC_FINISHED);
    writers_assert(s, "one", VSS_WS_WAITING_FOR_BACKUP_COMPLETE, S_OK, "");
    writers_assert(s, "two", VSS_WS_WAITING_FOR_BACKUP_COMPLETE, S_OK, "");
    vss_backup_components_release(s);
}

static void test_levels(void **state)
{
    struct writers_fixture *f = *state;
    writers_add(f, "a", "level = system\n", ":");
    writers_add(f, "b", "level = back-end\n", ":");
    writers_add(f, "c", "level = front-end\n", ":");
    struct vss_backup_components *s = writers_session(f, VSS_CTX_APP_ROLLBACK);
    assert_int_equal(writers_gathered(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(writers_prepared(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(writers_made(s), VSS_S_ASYNC_FINISHED);
    assert_non_null(strstr(writers_log(f), "c freeze, b freeze, a freeze, a thaw, b thaw, c thaw"));
    vss_backup_components_release(s);
}

static void test_frozen_too_long(void **state)
{
    struct writers_fixture *f = *state;
    writers_add(f, "short", "[limits]\nfrozen_ms = 100\n", ":");
    writers_add(f, "slow", "level = system\n", "[ $event = freeze ] && sleep 0.3");
    struct vss_backup_components *s = writers_session(f, VSS_CTX_APP_ROLLBACK);
    assert_int_equal(writers_gathered(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(writers_prepared(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(writers_made(s), VSS_S_ASYNC_FINISHED);
    writers_assert(s, "short", VSS_WS_FAILED_AT_THAW, VSS_E_WRITERERROR_TIMEOUT, "frozen_ms");
    writers_assert(s, "slow", VSS_WS_WAITING_FOR_BACKUP_COMPLETE, S_OK, "");
    assert_null(strstr(writers_log(f), "short post-snapshot"));
    vss_backup_components_release(s);
}

/* ---- transactions ---- */

static void test_transactions(void **state)
{
    struct writers_fixture *f = *state;
    writers_add(f, "plain", NULL, ":");
    writers_add(f, "coordinator", "transactions = yes\n",
                "[ $event = freeze ] && { echo failed $number timeout in doubt; continue; }");
    struct vss_backup_components *s = writers_session(f, VSS_CTX_APP_ROLLBACK);
    assert_int_equal(writers_gathered(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(writers_prepared(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(writers_made(s), VSS_E_TRANSACTION_FREEZE_TIMEOUT);
    assert_non_null(strstr(writers_log(f), "plain thaw")); /* beside the other's abort */
    assert_non_null(strstr(writers_log(f), "coordinator abort"));
    assert_non_null(strstr(writers_log(f), "plain abort"));
    writers_assert(s, "coordinator", VSS_WS_FAILED_AT_FREEZE, VSS_E_WRITERERROR_TIMEOUT,
                   "in doubt");
    vss_backup_components_release(s);

    s = writers_session(f, VSS_CTX_APP_ROLLBACK | VSS_VOLSNAP_ATTR_NOT_TRANSACTED);
    assert_int_equal(writers_gathered(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(writers_prepared(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(writers_made(s), VSS_S_ASYNC_FINISHED);
    vss_backup_components_release(s);
}

static void test_transactions_thaw(void **state)
{
    struct writers_fixture *f = *state;
    writers_add(f, "coordinator", "transactions = yes\n",
                "[ $event = thaw ] && { echo failed $number inconsistent; continue; }");
    struct vss_backup_components *s = writers_session(f, VSS_CTX_APP_ROLLBACK);
    assert_int_equal(writers_gathered(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(writers_prepared(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(writers_made(s), VSS_E_TRANSACTION_THAW_TIMEOUT);
    vss_backup_components_release(s);
}

/* ---- cancelling ---- */

/* The writer is in the middle of it; its late answer is passed over, and abort reaches it. */
static void test_cancel(void **state)
{
    struct writers_fixture *f = *state;
    writers_add(f, "one", NULL,
                "[ $event = prepare-snapshot ] && [ ! -e $dir/there ] && { " WRITERS_STAY
                "; echo failed $late retryable late; }");
    struct vss_backup_components *s = writers_session(f, VSS_CTX_APP_ROLLBACK);
    struct vss_async *async = NULL;
    assert_int_equal(writers_gathered(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(writers_prepared(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(vss_backup_components_do_snapshot_set(s, &async), S_OK);
    writers_await(f, "there");
    assert_int_equal(vss_async_cancel(async), S_OK);
    vss_async_release(async);
    writers_assert(s, "one", VSS_WS_STABLE, S_OK, "");
    assert_int_equal(writers_prepared(s), VSS_S_ASYNC_FINISHED); /* and once more */
    assert_int_equal(writers_made(s), VSS_S_ASYNC_FINISHED);
    vss_backup_components_release(s);
    assert_non_null(strstr(writers_log(f), "prepare-snapshot, one abort, one prepare-backup"));
}

/* Who was slow to say how it stands has a part in the set all the same. */
static void test_cancel_status(void **state)
{
    struct writers_fixture *f = *state;
    struct vss_async *async = NULL;
    writers_add(f, "one", NULL,
                "[ $event = status ] && [ ! -e $dir/there ] && { " WRITERS_LINGER "; }");
    struct vss_backup_components *s = writers_session(f, VSS_CTX_APP_ROLLBACK);
    assert_int_equal(writers_gathered(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(writers_prepared(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(vss_backup_components_gather_writer_status(s, &async), S_OK);
    writers_await(f, "there");
    assert_int_equal(vss_async_cancel(async), S_OK);
    vss_async_release(async);
    writers_make(f, "go");
    assert_int_equal(writers_made(s), VSS_S_ASYNC_FINISHED);
    writers_assert(s, "one", VSS_WS_WAITING_FOR_BACKUP_COMPLETE, S_OK, "");
    assert_int_equal(completed(s), VSS_S_ASYNC_FINISHED);
    vss_backup_components_release(s);
    assert_string_equal(writers_log(f),
                        "one identify, one prepare-backup, one prepare-snapshot, one freeze, "
                        "one thaw, one post-snapshot, one backup-complete, one backup-shutdown, "
                        "one end");
}

/* The backup is safe all the same: nobody is told otherwise, and who did not answer is asked again.
 */
static void test_cancel_complete(void **state)
{
    struct writers_fixture *f = *state;
    struct vss_async *async = NULL;
    writers_add(f, "one", NULL,
                "[ $event = backup-complete ] && { echo ok $number; : >$dir/done; continue; }");
    writers_add(f, "two", NULL,
                "[ $event = backup-complete ] && [ ! -e $dir/there ] && { until [ -e $dir/done ]; "
                "do sleep 0.01; done; " WRITERS_LINGER "; }");
    struct vss_backup_components *s = writers_session(f, VSS_CTX_APP_ROLLBACK);
    assert_int_equal(writers_gathered(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(writers_prepared(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(writers_made(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(vss_backup_components_backup_complete(s, &async), S_OK);
    writers_await(f, "there");
    assert_int_equal(vss_async_cancel(async), S_OK);
    vss_async_release(async);
    writers_make(f, "go");
    writers_assert(s, "one", VSS_WS_STABLE, S_OK, "");
    writers_assert(s, "two", VSS_WS_WAITING_FOR_BACKUP_COMPLETE, S_OK, "");
    assert_int_equal(completed(s), VSS_S_ASYNC_FINISHED);
    writers_assert(s, "two", VSS_WS_STABLE, S_OK, "");
    vss_backup_components_release(s);
    const char *log = writers_log(f);
    const char *again = strstr(log, "two backup-complete");
    assert_non_null(again);
    assert_non_null(strstr(again + 1, "two backup-complete"));
    assert_null(strstr(log, "abort"));
    again = strstr(log, "one backup-complete");
    assert_non_null(again);
    assert_null(strstr(again + 1, "one backup-complete"));
}

/* A writer that was told first has stopped its application: it is told to go on, and so is the one
 * in the middle of it, although nobody can call PostRestore any more. */
static void test_cancel_pre_restore(void **state)
{
    struct writers_fixture *f = *state;
    struct vss_session_options options = VSS_SESSION_OPTIONS_INIT;
    struct vss_backup_components *s = NULL;
    struct vss_async *async = NULL;
    writers_add(f, "one", NULL, ":");
    writers_add(f, "two", NULL,
                "[ $event = pre-restore ] && { " WRITERS_STAY "; echo failed $late retryable late; "
                "}");
    options.config_path = f->config;
    options.state_directory = f->directory;
    assert_int_equal(vss_create_backup_components(&options, &s, NULL), S_OK);
    assert_int_equal(vss_backup_components_initialize_for_restore(s, EMPTY_DOCUMENT), S_OK);
    assert_int_equal(writers_gathered(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(vss_backup_components_pre_restore(s, &async), S_OK);
    writers_await(f, "there");
    assert_int_equal(vss_async_cancel(async), S_OK);
    assert_non_null(strstr(vss_async_error_text(async), "the applications were told to go on"));
    vss_async_release(async);
    assert_int_equal(vss_backup_components_post_restore(s, &async), VSS_E_BAD_STATE);
    writers_assert(s, "two", VSS_WS_STABLE, S_OK, "");
    vss_backup_components_release(s);
    assert_non_null(strstr(writers_log(f), "one post-restore"));
    assert_non_null(strstr(writers_log(f), "two post-restore"));
}

/* One that a document can hold, its originals being told apart by their identity. */
static struct set_record set_for_document(void)
{
    struct set_record set = fixture_set(1, 1);
    for (size_t i = 0; i < set.lun_count; i++) {
        set.luns[i].block_count = 4096;
        memcpy(set.luns[i].source.device_id.identifiers[0].identifier, "\x60\x01\x40\x5a", 4);
    }
    set.snapshots[0].extents[0].block_count = 1024;
    return set;
}

/* A restore of the set (NULL: of none), whose PreRestore is cancelled before the session knows what
 * will be overwritten. Are the applications told to go on? */
static bool goes_on_after_cancel(struct writers_fixture *f, const struct set_record *set)
{
    struct vss_session_options options = VSS_SESSION_OPTIONS_INIT;
    struct vss_backup_components *s = NULL;
    struct vss_async *async = NULL;
    struct document *document = NULL;
    char *xml = NULL;
    assert_int_equal(document_new(&document, NULL), S_OK);
    assert_int_equal(document_set_set(document, set, NULL), S_OK);
    assert_int_equal(document_save(document, &xml, NULL), S_OK);
    document_free(document);
    writers_add(f, "slow", NULL,
                "[ $event = pre-restore ] && { " WRITERS_STAY "; echo ok $late; }");
    options.config_path = f->config;
    options.state_directory = f->directory;
    assert_int_equal(vss_create_backup_components(&options, &s, NULL), S_OK);
    assert_int_equal(vss_backup_components_initialize_for_restore(s, xml), S_OK);
    vss_free_string(xml);
    assert_int_equal(writers_gathered(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(vss_backup_components_pre_restore(s, &async), S_OK);
    writers_await(f, "there");
    assert_int_equal(vss_async_cancel(async), S_OK);
    bool stays = strstr(vss_async_error_text(async), "stay stopped") != NULL;
    vss_async_release(async);
    vss_backup_components_release(s);
    bool goes_on = strstr(writers_log(f), "slow post-restore") != NULL;
    assert_int_not_equal(stays, goes_on);
    return goes_on;
}

/* The same beside an open resync onto the LUN with this key, of the set with this id. */
static bool goes_on_beside(const struct set_record *set, const char *lun_key, const VSS_ID *set_id,
                           bool is_invalid)
{
    void *state = NULL;
    char text[ID_TEXT_BYTES];
    VSS_ID entry;
    assert_int_equal(writers_setup(&state), 0);
    struct writers_fixture *f = state;
    struct store *store = fixture_open(f->directory);
    assert_int_equal(journal_open(store, JOURNAL_RESYNC, &id_null, "a resync", &entry, NULL), S_OK);
    assert_int_equal(
        journal_step(store, &entry, CLAIM_STEP, NULL, id_text(set_id, text), strlen(text), NULL),
        S_OK);
    assert_int_equal(journal_step(store, &entry, "begin", lun_key, NULL, 0, NULL), S_OK);
    assert_int_equal(journal_mark_invalid(store, &entry, is_invalid, NULL), S_OK);
    store_close(store);
    bool goes_on = goes_on_after_cancel(f, set);
    (void)writers_teardown(&state);
    return goes_on;
}

static void test_half_written(void **unused)
{
    (void)unused;
    struct set_record set = set_for_document();
    const VSS_ID other = {1, 2, 3, {4}};
    char source[LUN_KEY_BYTES];
    (void)lun_info_key(&set.luns[1].source, source);
    assert_string_not_equal(source, "none");
    assert_false(goes_on_beside(&set, source, &other, true));
    assert_true(goes_on_beside(&set, source, &other, false)); /* not a byte was written yet */
    assert_true(goes_on_beside(&set, "naa.6001405aaaaaaaaaaaaaaaaaaaaaaaaa", &other, true));
    assert_false(goes_on_beside(&set, "naa.6001405aaaaaaaaaaaaaaaaaaaaaaaaa", &set.set_id, true));
    assert_false(goes_on_beside(NULL, source, &other, true)); /* which LUNs nobody knows */
    set_record_free(&set);
}

/* A requester that dies without a word: the writer's input ends, and it can thaw. */
static const struct writers_fixture *dying;

static int die_while_frozen(const char *directory)
{
    const struct writers_fixture *f = dying;
    struct vss_async *async = NULL;
    struct vss_backup_components *s = writers_session(f, VSS_CTX_APP_ROLLBACK);
    (void)directory;
    (void)writers_gathered(s);
    (void)writers_prepared(s);
    (void)vss_backup_components_do_snapshot_set(s, &async);
    writers_await(f, "there");
    _exit(7);
}

static void test_dead_requester(void **state)
{
    struct writers_fixture *f = *state;
    writers_add(f, "frozen", NULL, "[ $event = freeze ] && trap ': >$dir/ended' EXIT");
    writers_add(f, "slow", "level = system\n", "[ $event = freeze ] && { " WRITERS_STAY "; }");
    dying = f;
    assert_int_equal(fixture_in_child(0, die_while_frozen, f->directory), 7);
    writers_await(f, "ended");
    assert_non_null(strstr(writers_log(f), "frozen end"));
}

/* ---- status ---- */

static void test_status_methods(void **state)
{
    struct writers_fixture *f = *state;
    writers_add(
        f, "one", NULL,
        "[ $event = prepare-backup ] && { echo application 0x80001234; echo partial $number "
        "one file; continue; }");
    struct vss_backup_components *s = writers_session(f, VSS_CTX_APP_ROLLBACK);
    struct vss_async *async = NULL;
    VSS_ID instance;
    VSS_ID class;
    VSS_ID expected = writers_class(1);
    char *name = NULL;
    char *text = NULL;
    int32_t writer_state = 0;
    HRESULT failure = S_OK;
    HRESULT application = S_OK;
    uint32_t count = 7;
    assert_int_equal(vss_backup_components_free_writer_status(s), VSS_E_BAD_STATE);
    assert_int_equal(vss_backup_components_get_writer_status_count(s, &count), VSS_E_BAD_STATE);
    assert_int_equal(
        writers_finished(vss_backup_components_gather_writer_status(s, &async), &async),
        VSS_S_ASYNC_FINISHED);
    assert_int_equal(vss_backup_components_get_writer_status_count(s, &count), S_OK);
    assert_int_equal(count, 0);
    assert_int_equal(writers_gathered(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(writers_prepared(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(vss_backup_components_gather_writer_status(s, NULL), E_INVALIDARG);
    assert_int_equal(
        writers_finished(vss_backup_components_gather_writer_status(s, &async), &async),
        VSS_S_ASYNC_FINISHED);
    assert_int_equal(vss_backup_components_get_writer_status(s, 0, &instance, &class, &name,
                                                             &writer_state, NULL),
                     E_INVALIDARG);
    assert_int_equal(vss_backup_components_get_writer_status(s, 1, &instance, &class, &name,
                                                             &writer_state, &failure),
                     VSS_E_OBJECT_NOT_FOUND);
    assert_null(name);
    assert_int_equal(vss_backup_components_get_writer_status(s, 0, &instance, &class, &name,
                                                             &writer_state, &failure),
                     S_OK);
    assert_int_equal(failure, VSS_E_WRITERERROR_NONRETRYABLE); /* the list has no partial one */
    assert_true(id_equal(&class, &expected));
    vss_free_string(name);
    assert_int_equal(vss_backup_components_get_writer_status_ex(s, 0, &instance, &class, &name,
                                                                &writer_state, &failure,
                                                                &application, &text),
                     S_OK);
    assert_int_equal(failure, VSS_E_WRITERERROR_PARTIAL_FAILURE);
    assert_int_equal(application, (HRESULT)0x80001234);
    assert_non_null(strstr(text, "one file"));
    vss_free_string(name);
    vss_free_string(text);
    assert_int_equal(vss_backup_components_get_writer_status_ex(s, 0, &instance, &class, &name,
                                                                &writer_state, NULL, NULL, NULL),
                     S_OK);
    vss_free_string(name);
    assert_int_equal(vss_backup_components_free_writer_status(s), S_OK);
    assert_int_equal(vss_backup_components_free_writer_status(s), VSS_E_BAD_STATE);
    assert_int_equal(vss_backup_components_pre_fast_recovery(s, NULL, 0, NULL), E_NOTIMPL);
    assert_int_equal(vss_backup_components_fast_recovery(s, NULL, 0, &async), E_NOTIMPL);
    assert_null(async);
    vss_backup_components_release(s);
}

/* An older system had no code for a writer that is busy. */
static void test_busy_at_an_older_level(void **state)
{
    struct writers_fixture *f = *state;
    static const struct {
        uint32_t level;
        HRESULT failure;
    } levels[] = {{VSS_PLATFORM_NEWEST, VSS_E_WRITER_STATUS_NOT_AVAILABLE},
                  {VSS_PLATFORM_2008, VSS_E_WRITER_STATUS_NOT_AVAILABLE},
                  {VSS_PLATFORM_VISTA, VSS_E_WRITER_NOT_RESPONDING},
                  {VSS_PLATFORM_2003, VSS_E_WRITER_NOT_RESPONDING}};
    writers_add(f, "busy", NULL, "[ $event = prepare-backup ] && { echo busy $number; continue; }");
    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
        VSS_ID instance;
        VSS_ID class;
        char *name = NULL;
        int32_t writer_state = 0;
        HRESULT failure = S_OK;
        struct vss_backup_components *s =
            writers_session_at(f, VSS_CTX_APP_ROLLBACK, levels[i].level);
        assert_int_equal(writers_gathered(s), VSS_S_ASYNC_FINISHED);
        assert_int_equal(writers_prepared(s), VSS_S_ASYNC_FINISHED);
        writers_assert(s, "busy", VSS_WS_UNKNOWN, levels[i].failure, NULL);
        assert_int_equal(vss_backup_components_get_writer_status(s, 0, &instance, &class, &name,
                                                                 &writer_state, &failure),
                         S_OK);
        assert_int_equal(failure, levels[i].failure);
        vss_free_string(name);
        vss_backup_components_release(s);
    }
}

/* What a call that fails leaves in the outputs: in a wrong state, and past the last writer. */
static void test_status_outputs_are_empty_at_a_failure(void **state)
{
    struct vss_backup_components *s = writers_session(*state, VSS_CTX_APP_ROLLBACK);
    struct vss_async *async = NULL;
    for (int gathered = 0; gathered < 2; gathered++) {
        for (int is_ex = 0; is_ex < 2; is_ex++) {
            VSS_ID instance = writers_instance(7);
            VSS_ID class = writers_class(7);
            char *name = (char *)&async;
            char *text = (char *)&async;
            int32_t at = VSS_WS_STABLE;
            HRESULT failure = E_FAIL;
            HRESULT application = is_ex ? E_FAIL : S_OK;
            HRESULT hr = is_ex ? vss_backup_components_get_writer_status_ex(s, 0, &instance, &class,
                                                                            &name, &at, &failure,
                                                                            &application, &text)
                               : vss_backup_components_get_writer_status(s, 0, &instance, &class,
                                                                         &name, &at, &failure);
            assert_int_equal(hr, gathered ? VSS_E_OBJECT_NOT_FOUND : VSS_E_BAD_STATE);
            assert_true(id_is_null(&instance) && id_is_null(&class));
            assert_null(name);
            assert_true(!is_ex || !text);
            assert_int_equal(at, VSS_WS_UNKNOWN);
            assert_int_equal(failure, S_OK);
            assert_int_equal(application, S_OK);
        }
        assert_int_equal(
            writers_finished(vss_backup_components_gather_writer_status(s, &async), &async),
            VSS_S_ASYNC_FINISHED);
    }
    vss_backup_components_release(s);
}

/* ---- words ---- */

static void test_words(void **unused)
{
    (void)unused;
    static const char *const texts[] = {"",     "-",    "plain",         "a b",
                                        "100%", "\t\n", "K\xc3\xa4ufer", "--"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct buffer word = BUFFER_INIT;
        protocol_add_word(&word, texts[i]);
        assert_null(strpbrk(word.data, " \t\n"));
        assert_true(word.length > 0);
        assert_true(protocol_read_word(word.data));
        assert_string_equal(word.data, texts[i]);
        buffer_free(&word);
    }
    static const char *const bad[] = {"%", "%4", "%zz", "%00", "a%"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char word[8];
        (void)snprintf(word, sizeof(word), "%s", bad[i]);
        assert_false(protocol_read_word(word));
    }
}

static void test_lines(void **unused)
{
    (void)unused;
    static const struct {
        const char *line;
        enum protocol_kind kind;
    } lines[] = {
        {"ok 7", LINE_OK},
        {"ok 7\r", LINE_OK},
        {"ok", LINE_GARBAGE},
        {"ok x", LINE_GARBAGE},
        {"ok 7 and more", LINE_GARBAGE},
        {"ok 4294967296", LINE_GARBAGE},
        {"failed 1 retryable", LINE_FAILED},
        {"failed 1 nonsense", LINE_GARBAGE},
        {"failed retryable", LINE_GARBAGE},
        {"partial 1", LINE_PARTIAL},
        {"busy 1 two of two", LINE_BUSY},
        {"application 0x80000001", LINE_APPLICATION},
        {"application 80000001", LINE_GARBAGE},
        {"application 0x800000011", LINE_GARBAGE},
        {"failed-component timeout database - main", LINE_FAILED_COMPONENT},
        {"failed-component timeout table - main", LINE_GARBAGE},
        {"failed-component timeout database - -", LINE_GARBAGE},
        {"failed-component timeout database", LINE_GARBAGE},
        {"backup-stamp file-group a%20b files stamp 1", LINE_COMPONENT_TEXT},
        {"backup-stamp file-group - files", LINE_GARBAGE},
        {"backup-metadata file-group - files one%0Atwo", LINE_COMPONENT_TEXT},
        {"", LINE_GARBAGE},
        {"hello", LINE_GARBAGE},
        {"metadata", LINE_METADATA},
        {"metadata 5", LINE_GARBAGE},
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        char text[80];
        (void)snprintf(text, sizeof(text), "%s", lines[i].line);
        if (protocol_parse(text).kind != lines[i].kind) {
            fail_msg("%s", lines[i].line);
        }
    }
    char text[] = "failed-component timeout database srv%20one main all of it ";
    struct protocol_line line = protocol_parse(text);
    assert_string_equal(line.path, "srv one");
    assert_string_equal(line.component, "main");
    assert_string_equal(line.text, "all of it");
    assert_int_equal(line.code, VSS_E_WRITERERROR_TIMEOUT);
    assert_int_equal(line.component_type, VSS_CT_DATABASE);
}

#define with_writers(test) cmocka_unit_test_setup_teardown(test, writers_setup, writers_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_writers(test_backup),
        with_writers(test_what_is_said),
        with_writers(test_gathered_too_late),
        with_writers(test_abort),
        with_writers(test_abort_of_what_is_made),
        with_writers(test_restore),
        with_writers(test_contexts_without_writers),
        with_writers(test_choosing),
        with_writers(test_parallel),
        with_writers(test_levels),
        with_writers(test_frozen_too_long),
        with_writers(test_transactions),
        with_writers(test_transactions_thaw),
        with_writers(test_cancel),
        with_writers(test_cancel_status),
        with_writers(test_cancel_complete),
        with_writers(test_cancel_pre_restore),
        cmocka_unit_test(test_half_written),
        with_writers(test_dead_requester),
        with_writers(test_status_methods),
        with_writers(test_busy_at_an_older_level),
        with_writers(test_status_outputs_are_empty_at_a_failure),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
