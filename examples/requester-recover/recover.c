/* SPDX-License-Identifier: CC0-1.0 */
/* recover FILE COPY-ID...: overwrites the originals of the copies that the Backup Components
 * Document in FILE describes. The writers of this machine are told before and after. */
#include <lunshadow/requester.h>
#include <stdio.h>
#include <stdlib.h>

static struct vss_backup_components *session;

static void must(const char *what, HRESULT hr)
{
    if (FAILED(hr)) {
        const char *name = vss_error_name(hr);
        fprintf(stderr, "recover: %s: %s: %s\n", what, name ? name : "unknown code",
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
        fprintf(stderr, "recover: %s: %s\n", what, vss_async_error_text(*async));
    }
    vss_async_release(*async);
    must(what, status);
}

static int parse_id(const char *text, VSS_ID *out)
{
    unsigned d[8];
    int end = 0;
    int n = sscanf(text, "%8x-%4hx-%4hx-%2x%2x-%2x%2x%2x%2x%2x%2x%n", &out->data1, &out->data2,
                   &out->data3, &d[0], &d[1], &d[2], &d[3], &d[4], &d[5], &d[6], &d[7], &end);
    for (int i = 0; n == 11 && i < 8; i++) {
        out->data4[i] = (uint8_t)d[i];
    }
    return n == 11 && text[end] == '\0';
}

/* The text of a document, whatever its encoding. */
static char *read_document(const char *path)
{
    static char bytes[16 << 20];
    char *xml = NULL;
    char *text = NULL;
    FILE *file = fopen(path, "r");
    if (!file) {
        perror(path);
        exit(1);
    }
    size_t length = fread(bytes, 1, sizeof(bytes), file);
    fclose(file);
    if (FAILED(vss_read_document(bytes, length, &xml, &text))) {
        fprintf(stderr, "recover: %s: %s\n", path, text ? text : "out of memory");
        exit(1);
    }
    return xml;
}

static void recover(int count, char **ids)
{
    struct vss_async *async = NULL;
    for (int i = 0; i < count; i++) {
        VSS_ID id;
        if (!parse_id(ids[i], &id)) {
            fprintf(stderr, "recover: %s is not an id\n", ids[i]);
            exit(2);
        }
        must(ids[i], vss_backup_components_add_snapshot_to_recovery_set(session, &id, 0, NULL));
    }
    must_finish("PreRestore", vss_backup_components_pre_restore(session, &async), &async);
    must_finish("RecoverSet", vss_backup_components_recover_set(session, 0, &async), &async);
    must_finish("PostRestore", vss_backup_components_post_restore(session, &async), &async);
}

int main(int argc, char **argv)
{
    char *text = NULL;
    char *report = NULL;
    struct vss_async *async = NULL;
    if (argc < 3) {
        fprintf(stderr, "usage: recover FILE COPY-ID...\n");
        return 2;
    }
    if (FAILED(vss_create_backup_components(NULL, &session, &text))) {
        fprintf(stderr, "recover: %s\n", text ? text : "out of memory");
        return 1;
    }
    char *xml = read_document(argv[1]);
    must("InitializeForRestore", vss_backup_components_initialize_for_restore(session, xml));
    vss_free_string(xml);
    must_finish("GatherWriterMetadata",
                vss_backup_components_gather_writer_metadata(session, &async), &async);
    recover(argc - 2, argv + 2);
    must("the report", vss_backup_components_recovery_report(session, &report));
    puts(report);
    vss_free_string(report);
    vss_backup_components_release(session);
    return 0;
}
