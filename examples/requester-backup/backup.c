/* SPDX-License-Identifier: CC0-1.0 */
/* backup FILE VOLUME...: copies the volumes as one set, with the writers of this machine, and keeps
 * the Backup Components Document in FILE. Prints each copy as "ID VOLUME". The copies stay until
 * they are deleted. */
#include <lunshadow/requester.h>
#include <stdio.h>
#include <stdlib.h>

static struct vss_backup_components *session;

static void print_id(const VSS_ID *id)
{
    printf("%08x-%04x-%04x-%02x%02x-", id->data1, id->data2, id->data3, id->data4[0], id->data4[1]);
    for (int i = 2; i < 8; i++) {
        printf("%02x", id->data4[i]);
    }
}

/* Ends the program where a call failed. What the session has begun is given up by its release. */
static void must(const char *what, HRESULT hr)
{
    if (FAILED(hr)) {
        const char *name = vss_error_name(hr);
        fprintf(stderr, "backup: %s: %s: %s\n", what, name ? name : "unknown code",
                vss_backup_components_error_text(session));
        vss_backup_components_release(session);
        exit(1);
    }
}

/* What an asynchronous method returned, then what its operation came to. */
static void must_finish(const char *what, HRESULT hr, struct vss_async **async)
{
    HRESULT status = S_OK;
    must(what, hr);
    vss_async_wait(*async, VSS_INFINITE);
    vss_async_query_status(*async, &status);
    if (FAILED(status)) {
        fprintf(stderr, "backup: %s: %s\n", what, vss_async_error_text(*async));
    }
    vss_async_release(*async);
    must(what, status);
}

/* A writer that failed fails nobody else: whoever makes the backup decides. This one gives up. */
static void check_writers(const char *after)
{
    struct vss_async *async = NULL;
    uint32_t count = 0;
    must_finish("the writers' status", vss_backup_components_gather_writer_status(session, &async),
                &async);
    must("the writers' status", vss_backup_components_get_writer_status_count(session, &count));
    for (uint32_t i = 0; i < count; i++) {
        VSS_ID instance;
        VSS_ID class_id;
        char *name = NULL;
        int32_t state;
        HRESULT failure = S_OK;
        must("a writer's status", vss_backup_components_get_writer_status(
                                      session, i, &instance, &class_id, &name, &state, &failure));
        fprintf(stderr, "%s: writer %s: %s\n", after, name,
                FAILED(failure) ? vss_error_name(failure) : "well");
        vss_free_string(name);
        must("a writer", failure);
    }
}

static void make_set(int count, char **volumes)
{
    struct vss_async *async = NULL;
    VSS_ID set_id;
    must("SetContext", vss_backup_components_set_context(
                           session, VSS_CTX_APP_ROLLBACK | VSS_VOLSNAP_ATTR_TRANSPORTABLE));
    must("SetBackupState",
         vss_backup_components_set_backup_state(session, false, false, VSS_BT_FULL, false));
    must_finish("GatherWriterMetadata",
                vss_backup_components_gather_writer_metadata(session, &async), &async);
    must("StartSnapshotSet", vss_backup_components_start_snapshot_set(session, &set_id));
    for (int i = 0; i < count; i++) {
        VSS_ID copy;
        must(volumes[i],
             vss_backup_components_add_to_snapshot_set(session, volumes[i], NULL, &copy));
        print_id(&copy);
        printf(" %s\n", volumes[i]);
    }
    must_finish("PrepareForBackup", vss_backup_components_prepare_for_backup(session, &async),
                &async);
    check_writers("prepared");
    must_finish("DoSnapshotSet", vss_backup_components_do_snapshot_set(session, &async), &async);
    check_writers("copied");
}

static void keep_document(const char *path)
{
    char *xml = NULL;
    must("SaveAsXML", vss_backup_components_save_as_xml(session, &xml));
    FILE *file = fopen(path, "w");
    if (!file || fputs(xml, file) < 0 || fclose(file) != 0) {
        perror(path);
        exit(1);
    }
    vss_free_string(xml);
}

int main(int argc, char **argv)
{
    char *text = NULL;
    struct vss_async *async = NULL;
    if (argc < 3) {
        fprintf(stderr, "usage: backup FILE VOLUME...\n");
        return 2;
    }
    if (FAILED(vss_create_backup_components(NULL, &session, &text))) {
        fprintf(stderr, "backup: %s\n", text ? text : "out of memory");
        return 1;
    }
    must("InitializeForBackup", vss_backup_components_initialize_for_backup(session, NULL));
    make_set(argc - 2, argv + 2);
    keep_document(argv[1]);
    must_finish("BackupComplete", vss_backup_components_backup_complete(session, &async), &async);
    vss_backup_components_release(session);
    return 0;
}
