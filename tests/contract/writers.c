/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions with writers, which are shell scripts: who they are, what they are told, how they stand.
 */
#include "contract/contract.h"

#include "unit/writers_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROLLBACK ((uint32_t)VSS_CTX_APP_ROLLBACK)

static void fixture_begin(struct bench *b, struct writers_fixture **out)
{
    void *state = NULL;
    (void)writers_setup(&state);
    *out = state;
    b->directory = (*out)->directory;
    (void)snprintf(b->state, sizeof(b->state), "%s", (*out)->directory);
    (void)snprintf(b->config, sizeof(b->config), "%s", (*out)->config);
}

static void fixture_end(struct writers_fixture *f)
{
    void *state = f;
    (void)writers_teardown(&state);
}

/* ---- writers that take part ---- */

static HRESULT gather(struct trial *t, unsigned null)
{
    return trial_finish(t, vss_backup_components_gather_writer_metadata(
                               null == 1 ? NULL : t->session, null == 2 ? NULL : &t->async));
}

static HRESULT get_metadata(struct trial *t, unsigned null)
{
    return vss_backup_components_get_writer_metadata(null == 1 ? NULL : t->session, 0,
                                                     null == 2 ? NULL : &t->id,
                                                     null == 3 ? NULL : &t->metadata);
}

static HRESULT get_metadata_ex(struct trial *t, unsigned null)
{
    return vss_backup_components_get_writer_metadata_ex(null == 1 ? NULL : t->session, 0,
                                                        null == 2 ? NULL : &t->id,
                                                        null == 3 ? NULL : &t->metadata);
}

static HRESULT enable_classes(struct trial *t, unsigned null)
{
    VSS_ID id = writers_class(1);
    return vss_backup_components_enable_writer_classes(null == 1 ? NULL : t->session,
                                                       null == 2 ? NULL : &id, 1);
}

static HRESULT disable_classes(struct trial *t, unsigned null)
{
    VSS_ID id = writers_class(1);
    return vss_backup_components_disable_writer_classes(null == 1 ? NULL : t->session,
                                                        null == 2 ? NULL : &id, 1);
}

static HRESULT disable_instances(struct trial *t, unsigned null)
{
    VSS_ID id = writers_instance(1);
    return vss_backup_components_disable_writer_instances(null == 1 ? NULL : t->session,
                                                          null == 2 ? NULL : &id, 1);
}

/* ---- how they stand ---- */

static HRESULT gather_status(struct trial *t, unsigned null)
{
    return trial_finish(t, vss_backup_components_gather_writer_status(
                               null == 1 ? NULL : t->session, null == 2 ? NULL : &t->async));
}

static HRESULT get_status_count(struct trial *t, unsigned null)
{
    uint32_t count = 0;
    return vss_backup_components_get_writer_status_count(null == 1 ? NULL : t->session,
                                                         null == 2 ? NULL : &count);
}

static HRESULT get_status(struct trial *t, unsigned null)
{
    VSS_ID class_id;
    int32_t state;
    HRESULT failure;
    return vss_backup_components_get_writer_status(
        null == 1 ? NULL : t->session, 0, null == 2 ? NULL : &t->id, null == 3 ? NULL : &class_id,
        null == 4 ? NULL : &t->text, null == 5 ? NULL : &state, null == 6 ? NULL : &failure);
}

static HRESULT get_status_ex(struct trial *t, unsigned null)
{
    VSS_ID class_id;
    int32_t state;
    HRESULT failure;
    return vss_backup_components_get_writer_status_ex(
        null == 1 ? NULL : t->session, 0, null == 2 ? NULL : &t->id, null == 3 ? NULL : &class_id,
        null == 4 ? NULL : &t->text, null == 5 ? NULL : &state, &failure, NULL, &t->second_text);
}

static HRESULT free_status(struct trial *t, unsigned null)
{
    return vss_backup_components_free_writer_status(null == 1 ? NULL : t->session);
}

/* ---- restores ---- */

static HRESULT pre_restore(struct trial *t, unsigned null)
{
    return trial_finish(t, vss_backup_components_pre_restore(null == 1 ? NULL : t->session,
                                                             null == 2 ? NULL : &t->async));
}

static HRESULT post_restore(struct trial *t, unsigned null)
{
    return trial_finish(t, vss_backup_components_post_restore(null == 1 ? NULL : t->session,
                                                              null == 2 ? NULL : &t->async));
}

static void ready_gathered(struct trial *t)
{
    trial_context(t, ROLLBACK);
    trial_must(t, gather(t, 0));
}

static void ready_status(struct trial *t)
{
    ready_gathered(t);
    trial_must(t, gather_status(t, 0));
}

static void ready_to_restore(struct trial *t)
{
    trial_restore(t);
    trial_must(t, gather(t, 0));
}

static void ready_restored(struct trial *t)
{
    ready_to_restore(t);
    trial_must(t, pre_restore(t, 0));
}

static const struct method methods[] = {
    {"GatherWriterMetadata", WORKS | MEMORY, 0, 0, 0, trial_backup, gather},
    {"GetWriterMetadata", WORKS | MEMORY | NULLS | UNBEGUN | GONE, 0, 3, 0, ready_gathered,
     get_metadata},
    {"GetWriterMetadataEx", WORKS | MEMORY | NULLS | UNBEGUN | GONE, 0, 3, 0, ready_gathered,
     get_metadata_ex},
    {"EnableWriterClasses", WORKS | MEMORY | NULLS | RIGHTS | UNBEGUN | GONE, 0, 2, 0, trial_backup,
     enable_classes},
    {"DisableWriterClasses", WORKS | MEMORY | NULLS | RIGHTS | UNBEGUN | GONE, 0, 2, 0,
     trial_backup, disable_classes},
    {"DisableWriterInstances", WORKS | MEMORY | NULLS | RIGHTS | UNBEGUN | GONE, 0, 2, 0,
     trial_backup, disable_instances},
    {"GatherWriterStatus", WORKS | MEMORY | NULLS | RIGHTS | THREAD | UNBEGUN, 0, 2, 0,
     ready_gathered, gather_status},
    {"GetWriterStatusCount", WORKS | NULLS | UNBEGUN | GONE, 0, 2, 0, ready_status,
     get_status_count},
    {"GetWriterStatus", WORKS | MEMORY | NULLS | UNBEGUN | GONE, 0, 6, 0, ready_status, get_status},
    {"GetWriterStatusEx", WORKS | MEMORY | NULLS | UNBEGUN, 0, 5, 0, ready_status, get_status_ex},
    {"FreeWriterStatus", WORKS | NULLS | UNBEGUN, 0, 1, 0, ready_status, free_status},
    {"PreRestore", WORKS | MEMORY | NULLS | THREAD | UNBEGUN, 0, 2, 0, ready_to_restore,
     pre_restore},
    {"PostRestore", WORKS | MEMORY | NULLS | RIGHTS | THREAD | UNBEGUN, 0, 2, 0, ready_restored,
     post_restore},
};

static void try_good_writer(void)
{
    struct bench b;
    struct writers_fixture *f = NULL;
    fixture_begin(&b, &f);
    writers_add(f, "good", NULL, ":");
    CONTRACT_TRY(&b, methods);
    struct trial t = {.bench = &b};
    VSS_ID class_id;
    int32_t state;
    HRESULT failure;
    ready_status(&t);
    contract_expect_on(&t, "GetWriterMetadata",
                       vss_backup_components_get_writer_metadata(t.session, 1, &t.id, &t.metadata),
                       VSS_E_OBJECT_NOT_FOUND);
    contract_expect_on(
        &t, "GetWriterMetadataEx",
        vss_backup_components_get_writer_metadata_ex(t.session, 1, &t.id, &t.metadata),
        VSS_E_OBJECT_NOT_FOUND);
    contract_expect_on(&t, "GetWriterStatus",
                       vss_backup_components_get_writer_status(t.session, 1, &t.id, &class_id,
                                                               &t.text, &state, &failure),
                       VSS_E_OBJECT_NOT_FOUND);
    contract_expect_on(&t, "GetWriterStatusEx",
                       vss_backup_components_get_writer_status_ex(
                           t.session, 1, &t.id, &class_id, &t.text, &state, &failure, NULL, NULL),
                       VSS_E_OBJECT_NOT_FOUND);
    trial_drop(&t);
    /* The directory of the writers is gone, though the configuration names it. */
    trial_backup(&t);
    char moved[600];
    (void)snprintf(moved, sizeof(moved), "%s/moved", f->directory);
    contract_check(rename(f->writers, moved) == 0, "the writers' directory is moved");
    contract_expect_on(&t, "GatherWriterMetadata", gather(&t, 0), VSS_E_WRITER_INFRASTRUCTURE);
    contract_expect_on(&t, "GatherWriterStatus", gather_status(&t, 0), VSS_E_WRITER_INFRASTRUCTURE);
    trial_drop(&t);
    fixture_end(f);
}

/* ---- writers that fail ---- */

static const struct failing {
    const char *name;
    const char *at_freeze;
    HRESULT code;
    HRESULT plain; /* what the older method says of it */
} failing[] = {
    {"inconsistent", "echo failed $number inconsistent; continue",
     VSS_E_WRITERERROR_INCONSISTENTSNAPSHOT, VSS_E_WRITERERROR_INCONSISTENTSNAPSHOT},
    {"resources", "echo failed $number out-of-resources; continue",
     VSS_E_WRITERERROR_OUTOFRESOURCES, VSS_E_WRITERERROR_OUTOFRESOURCES},
    {"timeout", "echo failed $number timeout; continue", VSS_E_WRITERERROR_TIMEOUT,
     VSS_E_WRITERERROR_TIMEOUT},
    {"retryable", "echo failed $number retryable; continue", VSS_E_WRITERERROR_RETRYABLE,
     VSS_E_WRITERERROR_RETRYABLE},
    {"nonretryable", "echo failed $number non-retryable; continue", VSS_E_WRITERERROR_NONRETRYABLE,
     VSS_E_WRITERERROR_NONRETRYABLE},
    {"hanging", "sleep 1000", VSS_E_WRITER_NOT_RESPONDING, VSS_E_WRITER_NOT_RESPONDING},
    {"busy", "echo busy $number; continue", VSS_E_WRITER_STATUS_NOT_AVAILABLE,
     VSS_E_WRITER_STATUS_NOT_AVAILABLE},
    {"partial",
     "echo failed-component retryable file-group - files; echo partial $number; continue",
     VSS_E_WRITERERROR_PARTIAL_FAILURE, VSS_E_WRITERERROR_NONRETRYABLE},
};

static void expect_status(struct trial *t, uint32_t index)
{
    VSS_ID id;
    VSS_ID class_id;
    char *name = NULL;
    int32_t state = 0;
    HRESULT plain = S_OK;
    HRESULT ex = S_OK;
    trial_must(t, vss_backup_components_get_writer_status_ex(t->session, index, &id, &class_id,
                                                             &name, &state, &ex, NULL, NULL));
    vss_free_string(name);
    trial_must(t, vss_backup_components_get_writer_status(t->session, index, &id, &class_id, &name,
                                                          &state, &plain));
    for (size_t i = 0; i < sizeof(failing) / sizeof(failing[0]); i++) {
        if (strcmp(failing[i].name, name) == 0) {
            contract_expect("WriterFailureEx", ex, failing[i].code, name);
            contract_expect("WriterFailure", plain, failing[i].plain, name);
        }
    }
    vss_free_string(name);
}

static HRESULT make_empty_set(struct trial *t)
{
    trial_must(
        t, vss_backup_components_set_backup_state(t->session, false, false, VSS_BT_FULL, false));
    trial_must(t, vss_backup_components_start_snapshot_set(t->session, &t->id));
    trial_must(t, trial_finish(t, vss_backup_components_prepare_for_backup(t->session, &t->async)));
    return trial_finish(t, vss_backup_components_do_snapshot_set(t->session, &t->async));
}

static void try_failing_writers(void)
{
    struct bench b;
    struct writers_fixture *f = NULL;
    const size_t count = sizeof(failing) / sizeof(failing[0]);
    fixture_begin(&b, &f);
    for (size_t i = 0; i < count; i++) {
        char body[256];
        (void)snprintf(body, sizeof(body), "[ $event = freeze ] && { %s; }", failing[i].at_freeze);
        bool is_late = failing[i].code == VSS_E_WRITER_NOT_RESPONDING;
        writers_add(f, failing[i].name, is_late ? "[limits]\nfreeze_ms = 500\n" : NULL, body);
    }
    struct trial t = {.bench = &b};
    ready_gathered(&t);
    trial_must(&t, make_empty_set(&t));
    trial_must(&t, gather_status(&t, 0));
    for (uint32_t i = 0; i < count; i++) {
        expect_status(&t, i);
    }
    trial_drop(&t);
    fixture_end(f);
}

/* One writer of its own, which hangs in this event, and what its set comes to. */
static void try_transactions(const char *event, HRESULT code)
{
    char settings[80];
    char body[64];
    struct bench b;
    struct writers_fixture *f = NULL;
    fixture_begin(&b, &f);
    (void)snprintf(settings, sizeof(settings), "transactions = yes\n[limits]\n%s_ms = 200\n",
                   event);
    (void)snprintf(body, sizeof(body), "[ $event = %s ] && sleep 1000", event);
    writers_add(f, "dtc", settings, body);
    struct trial t = {.bench = &b};
    ready_gathered(&t);
    contract_expect_on(&t, "DoSnapshotSet", make_empty_set(&t), code);
    trial_drop(&t);
    fixture_end(f);
}

static void try_dying_at_the_end(void)
{
    struct bench b;
    struct writers_fixture *f = NULL;
    fixture_begin(&b, &f);
    writers_add(f, "dying", NULL, "[ $event = backup-complete ] && exit 1");
    struct trial t = {.bench = &b};
    ready_gathered(&t);
    trial_must(&t, make_empty_set(&t));
    contract_expect_on(&t, "BackupComplete",
                       trial_finish(&t, vss_backup_components_backup_complete(t.session, &t.async)),
                       VSS_E_UNEXPECTED_WRITER_ERROR);
    trial_drop(&t);
    fixture_end(f);
}

/* ---- documents of writers ---- */

#define HEAD                                                                                       \
    "<WRITER_METADATA xmlns=\"x-schema:#VssWriterMetadataInfo\" "                                  \
    "xmlns:ls=\"urn:lunshadow:document:1\" version=\"1.2\"><IDENTIFICATION "                       \
    "writerId=\"0bada1de-01a9-4625-8278-69e735f39dd2\" "                                           \
    "instanceId=\"11111111-2222-3333-4444-555555555555\" friendlyName=\"App\" usage=\"OTHER\" "    \
    "dataSource=\"OTHER\"/>"
#define TAIL "</WRITER_METADATA>"

/* Depends on a component of a writer that nobody gathered. */
static void try_lonely_writer(void)
{
    struct bench b;
    struct writers_fixture *f = NULL;
    char *text = NULL;
    fixture_begin(&b, &f);
    writers_add_with(f, "lonely", NULL, ":",
                     HEAD "<RESTORE_METHOD method=\"RESTORE_IF_CAN_BE_REPLACED\" "
                          "writerRestore=\"always\" rebootRequired=\"no\"/><BACKUP_LOCATIONS>"
                          "<ls:DATABASE componentName=\"main\" selectable=\"yes\"><ls:DEPENDENCY "
                          "writerId=\"a65faa63-5ea8-4ebc-9dbd-a0c4db26912a\" logicalPath=\"b\" "
                          "componentName=\"other\"/></ls:DATABASE></BACKUP_LOCATIONS>" TAIL);
    struct trial t = {.bench = &b};
    ready_gathered(&t);
    trial_must(&t, get_metadata(&t, 0));
    trial_must(&t, vss_examine_writer_metadata_get_component(t.metadata, 0, &t.component));
    trial_must(&t, vss_wm_component_get_dependency(t.component, 0, &t.dependency));
    contract_expect("GetWriterId", vss_wm_dependency_get_writer_id(t.dependency, &t.id), S_FALSE,
                    "");
    contract_expect("GetLogicalPath", vss_wm_dependency_get_logical_path(t.dependency, &text),
                    S_FALSE, "");
    vss_free_string(text);
    contract_expect("GetComponentName", vss_wm_dependency_get_component_name(t.dependency, &text),
                    S_FALSE, "");
    vss_free_string(text);
    trial_drop(&t);
    fixture_end(f);
}

static void try_half_a_document(void)
{
    struct bench b;
    struct writers_fixture *f = NULL;
    fixture_begin(&b, &f);
    writers_add_with(f, "half", NULL, ":", HEAD TAIL);
    struct trial t = {.bench = &b};
    ready_gathered(&t);
    contract_expect_on(&t, "GetWriterMetadata", get_metadata(&t, 0), VSS_E_INVALID_XML_DOCUMENT);
    contract_expect_on(&t, "GetWriterMetadataEx", get_metadata_ex(&t, 0),
                       VSS_E_INVALID_XML_DOCUMENT);
    trial_drop(&t);
    fixture_end(f);
}

int main(void)
{
    contract_begin("writers");
    try_good_writer();
    try_failing_writers();
    try_transactions("freeze", VSS_E_TRANSACTION_FREEZE_TIMEOUT);
    try_transactions("thaw", VSS_E_TRANSACTION_THAW_TIMEOUT);
    try_dying_at_the_end();
    try_lonely_writer();
    try_half_a_document();
    return contract_end();
}
