/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions without an array: how they begin, the order of a backup with an empty set, and
 * operations. */
#include "contract/contract.h"

#include "requester/document/document.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROLLBACK      ((uint32_t)VSS_CTX_APP_ROLLBACK)
#define HALF_DOCUMENT "<BACKUP_COMPONENTS xmlns=\"x-schema:#VssComponentMetadata\" vers"
#define DOCUMENT      HALF_DOCUMENT "ion=\"1.2\"/>"

/* ---- how a session begins ---- */

static HRESULT create(struct trial *t, unsigned null)
{
    struct vss_session_options options = VSS_SESSION_OPTIONS_INIT;
    options.config_path = t->bench->config;
    options.state_directory = t->bench->state;
    return vss_create_backup_components(&options, null == 1 ? NULL : &t->session, NULL);
}

static HRESULT initialize_for_backup(struct trial *t, unsigned null)
{
    return vss_backup_components_initialize_for_backup(null == 1 ? NULL : t->session, DOCUMENT);
}

static HRESULT initialize_for_restore(struct trial *t, unsigned null)
{
    return vss_backup_components_initialize_for_restore(null == 1 ? NULL : t->session,
                                                        null == 2 ? NULL : DOCUMENT);
}

static HRESULT set_context(struct trial *t, unsigned null)
{
    return vss_backup_components_set_context(null == 1 ? NULL : t->session, ROLLBACK);
}

static HRESULT set_backup_state(struct trial *t, unsigned null)
{
    return vss_backup_components_set_backup_state(null == 1 ? NULL : t->session, true, true,
                                                  VSS_BT_FULL, false);
}

static HRESULT save_as_xml(struct trial *t, unsigned null)
{
    return vss_backup_components_save_as_xml(null == 1 ? NULL : t->session,
                                             null == 2 ? NULL : &t->text);
}

static HRESULT get_session_id(struct trial *t, unsigned null)
{
    return vss_backup_components_get_session_id(null == 1 ? NULL : t->session,
                                                null == 2 ? NULL : &t->id);
}

static HRESULT abort_backup(struct trial *t, unsigned null)
{
    return vss_backup_components_abort_backup(null == 1 ? NULL : t->session);
}

/* ---- the order of a backup ---- */

static HRESULT gather(struct trial *t, unsigned null)
{
    return trial_finish(t, vss_backup_components_gather_writer_metadata(
                               null == 1 ? NULL : t->session, null == 2 ? NULL : &t->async));
}

static HRESULT get_writer_count(struct trial *t, unsigned null)
{
    uint32_t count = 0;
    return vss_backup_components_get_writer_metadata_count(null == 1 ? NULL : t->session,
                                                           null == 2 ? NULL : &count);
}

static HRESULT free_metadata(struct trial *t, unsigned null)
{
    return vss_backup_components_free_writer_metadata(null == 1 ? NULL : t->session);
}

static HRESULT start_set(struct trial *t, unsigned null)
{
    return vss_backup_components_start_snapshot_set(null == 1 ? NULL : t->session,
                                                    null == 2 ? NULL : &t->id);
}

static HRESULT prepare(struct trial *t, unsigned null)
{
    return trial_finish(t, vss_backup_components_prepare_for_backup(null == 1 ? NULL : t->session,
                                                                    null == 2 ? NULL : &t->async));
}

static HRESULT do_set(struct trial *t, unsigned null)
{
    return trial_finish(t, vss_backup_components_do_snapshot_set(null == 1 ? NULL : t->session,
                                                                 null == 2 ? NULL : &t->async));
}

static HRESULT complete(struct trial *t, unsigned null)
{
    return trial_finish(t, vss_backup_components_backup_complete(null == 1 ? NULL : t->session,
                                                                 null == 2 ? NULL : &t->async));
}

static void ready_to_start(struct trial *t)
{
    trial_context(t, ROLLBACK);
}

static void ready_gathered(struct trial *t)
{
    trial_context(t, ROLLBACK);
    trial_must(t, gather(t, 0));
}

static void ready_to_prepare(struct trial *t)
{
    ready_gathered(t);
    trial_must(t, set_backup_state(t, 0));
    trial_must(t, start_set(t, 0));
}

static void ready_to_commit(struct trial *t)
{
    ready_to_prepare(t);
    trial_must(t, prepare(t, 0));
}

static void ready_to_complete(struct trial *t)
{
    ready_to_commit(t);
    trial_must(t, do_set(t, 0));
}

static const struct method methods[] = {
    {"CreateVssBackupComponents", WORKS | MEMORY | NULLS | RIGHTS, 0, 1, 0, NULL, create},
    {"InitializeForBackup", WORKS | MEMORY | NULLS | RIGHTS | GONE, 0, 1, 0, trial_create,
     initialize_for_backup},
    {"InitializeForRestore", WORKS | MEMORY | NULLS | RIGHTS | GONE, 0, 2, 0, trial_create,
     initialize_for_restore},
    {"SetContext", WORKS | NULLS | UNBEGUN | GONE, 0, 1, 0, trial_backup, set_context},
    {"SetBackupState", WORKS | MEMORY | NULLS | UNBEGUN | GONE, 0, 1, 0, trial_backup,
     set_backup_state},
    {"IBackupComponents SaveAsXML", WORKS | MEMORY | NULLS | UNBEGUN | GONE, 0, 2, 0, trial_backup,
     save_as_xml},
    {"GetSessionId", WORKS | NULLS, 0, 2, 0, trial_create, get_session_id},
    {"AbortBackup", WORKS | NULLS | UNBEGUN, 0, 1, 0, ready_to_prepare, abort_backup},
    {"GatherWriterMetadata", WORKS | MEMORY | NULLS | RIGHTS | THREAD | UNBEGUN, 0, 2, 0,
     trial_backup, gather},
    {"GetWriterMetadataCount", WORKS | NULLS | UNBEGUN | GONE, 0, 2, 0, ready_gathered,
     get_writer_count},
    {"FreeWriterMetadata", WORKS | NULLS | UNBEGUN, 0, 1, 0, ready_gathered, free_metadata},
    {"StartSnapshotSet", WORKS | MEMORY | NULLS | UNBEGUN | DAMAGE, 0, 2, 0, ready_to_start,
     start_set},
    {"PrepareForBackup", WORKS | MEMORY | NULLS | THREAD | UNBEGUN, 0, 2, 0, ready_to_prepare,
     prepare},
    {"DoSnapshotSet", WORKS | MEMORY | NULLS | RIGHTS | THREAD | UNBEGUN | SPENDING, 0, 2, 0,
     ready_to_commit, do_set},
    {"BackupComplete", WORKS | MEMORY | NULLS | THREAD | UNBEGUN, 0, 2, 0, ready_to_complete,
     complete},
};

/* ---- what is this method's own ---- */

static void try_registry_without_content(const struct bench *b)
{
    struct trial t = {.bench = b};
    char path[600];
    (void)snprintf(path, sizeof(path), "%s/registry.db", b->state);
    registry_damage(b); /* keeps the good one */
    contract_check(truncate(path, 0) == 0, "truncate");
    contract_expect("CreateVssBackupComponents", create(&t, 0), VSS_E_UNEXPECTED, "");
    trial_drop(&t);
    registry_restore(b);
}

static void try_documents(const struct bench *b)
{
    struct trial t = {.bench = b};
    trial_create(&t);
    contract_expect_on(&t, "InitializeForBackup",
                       vss_backup_components_initialize_for_backup(t.session, HALF_DOCUMENT),
                       VSS_E_INVALID_XML_DOCUMENT);
    contract_expect_on(&t, "InitializeForRestore",
                       vss_backup_components_initialize_for_restore(t.session, HALF_DOCUMENT),
                       VSS_E_INVALID_XML_DOCUMENT);
    trial_must(&t, initialize_for_backup(&t, 0));
    contract_expect_on(&t, "InitializeForBackup", initialize_for_backup(&t, 0), VSS_E_BAD_STATE);
    contract_expect_on(&t, "InitializeForRestore", initialize_for_restore(&t, 0), VSS_E_BAD_STATE);
    contract_expect_on(&t, "SetContext", vss_backup_components_set_context(t.session, 1),
                       E_INVALIDARG);
    contract_expect_on(
        &t, "SetBackupState",
        vss_backup_components_set_backup_state(t.session, true, true, VSS_BT_OTHER + 1, false),
        E_INVALIDARG);
    trial_drop(&t);
}

/* A document that could just be loaded, and to which something is added. */
static void try_large_document(const struct bench *b)
{
    static const char part[] = "<x:pad xmlns:x=\"urn:test:pad\">";
    static const char part_end[] = "</x:pad>";
    enum { BYTES = DOCUMENT_BYTES_MAX, PART = 1 << 20 };
    struct trial t = {.bench = b};
    char *xml = malloc(BYTES + 1);
    contract_check(xml != NULL, "memory for a large document");
    size_t used = (size_t)sprintf(xml, HALF_DOCUMENT "ion=\"1.2\">");
    const size_t end = BYTES - 32; /* the closing tag, and less than what is added */
    while (xml && used < end) {
        size_t rest = end - used - (sizeof(part) + sizeof(part_end) - 2);
        size_t room = rest > 2 * PART ? PART : rest;
        used += (size_t)sprintf(xml + used, "%s", part);
        memset(xml + used, '.', room);
        used += room;
        used += (size_t)sprintf(xml + used, "%s", part_end);
    }
    (void)sprintf(xml + used, "</BACKUP_COMPONENTS>");
    trial_create(&t);
    trial_must(&t, vss_backup_components_initialize_for_backup(t.session, xml));
    trial_must(&t, set_backup_state(&t, 0));
    contract_expect_on(&t, "IBackupComponents SaveAsXML", save_as_xml(&t, 0), VSS_E_UNEXPECTED);
    trial_drop(&t);
    free(xml);
}

static void try_order(const struct bench *b)
{
    struct trial t = {.bench = b};
    trial_context(&t, ROLLBACK);
    contract_expect_on(&t, "SetContext", set_context(&t, 0), VSS_E_BAD_STATE);
    contract_expect_on(&t, "GetWriterMetadataCount", get_writer_count(&t, 0), VSS_E_BAD_STATE);
    contract_expect_on(&t, "FreeWriterMetadata", free_metadata(&t, 0), VSS_E_BAD_STATE);
    trial_must(&t, gather(&t, 0));
    contract_expect_on(&t, "GatherWriterMetadata", gather(&t, 0), VSS_E_BAD_STATE);
    contract_expect_on(&t, "PrepareForBackup", prepare(&t, 0), VSS_E_BAD_STATE);
    contract_expect_on(&t, "DoSnapshotSet", do_set(&t, 0), VSS_E_BAD_STATE);
    contract_expect_on(&t, "BackupComplete", complete(&t, 0), VSS_E_BAD_STATE);
    trial_must(&t, start_set(&t, 0));
    contract_expect_on(&t, "StartSnapshotSet", start_set(&t, 0), VSS_E_BAD_STATE);
    contract_expect_on(&t, "DoSnapshotSet", do_set(&t, 0), VSS_E_BAD_STATE);
    trial_drop(&t);
}

static void try_two_sets_at_once(const struct bench *b)
{
    struct trial first = {.bench = b};
    struct trial second = {.bench = b};
    ready_to_start(&first);
    ready_to_start(&second);
    trial_must(&first, start_set(&first, 0));
    contract_expect_on(&second, "StartSnapshotSet", start_set(&second, 0),
                       VSS_E_SNAPSHOT_SET_IN_PROGRESS);
    trial_drop(&first);
    trial_must(&second, start_set(&second, 0)); /* the first one's end gave it up */
    trial_drop(&second);
}

/* ---- operations ---- */

static void ready_gathering(struct trial *t)
{
    trial_context(t, ROLLBACK);
    trial_must(t, vss_backup_components_gather_writer_metadata(t->session, &t->async));
    (void)vss_async_wait(t->async, VSS_INFINITE); /* no thread outlives a fork */
}

static HRESULT wait_for_end(struct trial *t, unsigned null)
{
    return vss_async_wait(null == 1 ? NULL : t->async, VSS_INFINITE);
}

static HRESULT query_status(struct trial *t, unsigned null)
{
    HRESULT status = S_OK;
    return vss_async_query_status(null == 1 ? NULL : t->async, null == 2 ? NULL : &status);
}

static const struct method async_methods[] = {
    {"Wait", WORKS | NULLS | RIGHTS, 0, 1, 0, ready_gathering, wait_for_end},
    {"QueryStatus", WORKS | NULLS | RIGHTS, 0, 2, 0, ready_gathering, query_status},
};

static void try_cancel_after_end(const struct bench *b)
{
    struct trial t = {.bench = b};
    ready_gathering(&t);
    contract_expect_on(&t, "Cancel", vss_async_cancel(t.async), VSS_S_ASYNC_FINISHED);
    trial_drop(&t);
}

int main(void)
{
    struct bench b;
    contract_begin("session");
    bench_start(&b);
    CONTRACT_TRY(&b, methods);
    CONTRACT_TRY(&b, async_methods);
    try_registry_without_content(&b);
    try_documents(&b);
    try_large_document(&b);
    try_order(&b);
    try_two_sets_at_once(&b);
    try_cancel_after_end(&b);
    bench_stop(&b);
    return contract_end();
}
