/* SPDX-License-Identifier: Apache-2.0 */
/* The writer postgresql. See README.md. */
#include "writers/postgresql/postgresql.h"

#include "writers/speak.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMPONENT "file-group - cluster "

/* ---- who it is ---- */

static void add_files(struct buffer *b, const char *path)
{
    buffer_add_text(b, "<FILE_LIST path=\"");
    speak_add_attribute(b, path);
    buffer_add_text(b, "\" filespec=\"*\" recursive=\"yes\"/>");
}

/* WAL that was moved to another filesystem is a part of the cluster all the same. */
static void add_wal(struct buffer *b, const char *data_directory)
{
    char link[PATH_MAX];
    char real[PATH_MAX];
    (void)snprintf(link, sizeof(link), "%s/pg_wal", data_directory);
    if (realpath(link, real) && strcmp(link, real) != 0) {
        add_files(b, real);
    }
}

/* The same for the same cluster on the same port, on every run. */
static void add_instance(struct buffer *b, const struct postgresql *pg)
{
    const char *port = getenv("PGPORT");
    unsigned long number = port ? strtoul(port, NULL, 10) : 5432;
    uint64_t id = pg->system_identifier;
    buffer_printf(b, "%08x-%04x-4a60-8000-%04x0000%04lx", (uint32_t)(id >> 32),
                  (uint32_t)(id >> 16 & 0xffff), (uint32_t)(id & 0xffff), number & 0xffff);
}

static HRESULT identify(struct postgresql *pg, struct error *err)
{
    HRESULT hr = server_examine(pg, err);
    if (FAILED(hr)) {
        return hr;
    }
    struct buffer b = BUFFER_INIT;
    buffer_add_text(&b,
                    "<WRITER_METADATA xmlns=\"x-schema:#VssWriterMetadataInfo\" version=\"1.2\">"
                    "<IDENTIFICATION writerId=\"8c1d0d4e-9f0a-4a60-bb2e-7d7c3b2a9001\" "
                    "instanceId=\"");
    add_instance(&b, pg);
    buffer_add_text(&b, "\" instanceName=\"");
    speak_add_attribute(&b, pg->data_directory);
    buffer_add_text(&b, "\" friendlyName=\"PostgreSQL\" usage=\"USER_DATA\" "
                        "dataSource=\"TRANSACTION_DB\"/><RESTORE_METHOD "
                        "method=\"RESTORE_IF_CAN_BE_REPLACED\" writerRestore=\"always\" "
                        "rebootRequired=\"no\"/><BACKUP_LOCATIONS><FILE_GROUP "
                        "componentName=\"cluster\" selectable=\"yes\" selectableForRestore=\"yes\" "
                        "notifyOnBackupComplete=\"no\">");
    add_files(&b, pg->data_directory);
    add_wal(&b, pg->data_directory);
    for (size_t i = 0; i < pg->tablespace_count; i++) {
        add_files(&b, pg->tablespaces[i]);
    }
    buffer_add_text(&b, "</FILE_GROUP></BACKUP_LOCATIONS></WRITER_METADATA>");
    hr = buffer_status(&b);
    if (SUCCEEDED(hr)) {
        speak_introduction(b.data);
    }
    buffer_free(&b);
    return FAILED(hr) ? error_set(err, hr, "out of memory telling who we are") : S_OK;
}

/* ---- events ---- */

/* What a restore from the copy to another point in time needs goes into the requester's document.
 */
static HRESULT thaw(struct postgresql *pg, struct error *err)
{
    char *label = NULL;
    char *lsn = NULL;
    HRESULT hr = server_finish(pg, &label, &lsn, err);
    if (SUCCEEDED(hr) && label) {
        struct buffer word = BUFFER_INIT;
        speak_add_word(&word, label);
        (void)printf("backup-metadata " COMPONENT "%s\nbackup-stamp " COMPONENT "%s\n",
                     word.data ? word.data : "-", lsn);
        buffer_free(&word);
    }
    free(label);
    free(lsn);
    return hr;
}

static HRESULT handle(struct postgresql *pg, const struct speak_event *event, struct error *err)
{
    if (speak_is(event, "identify")) {
        return identify(pg, err);
    }
    if (speak_is(event, "prepare-backup")) {
        return server_begin(pg, err);
    }
    if (speak_is(event, "prepare-snapshot")) {
        return server_prepare(pg, err);
    }
    if (speak_is(event, "freeze")) {
        return server_check(pg, err);
    }
    if (speak_is(event, "thaw")) {
        return thaw(pg, err);
    }
    if (speak_is(event, "abort")) {
        server_disconnect(pg); /* which ends backup mode */
    }
    if (speak_is(event, "pre-restore")) {
        return server_stop(pg, getenv("STOP"), err);
    }
    if (speak_is(event, "post-restore")) {
        return server_start(pg, getenv("START"), err);
    }
    return S_OK;
}

static const char *kind_of(HRESULT hr)
{
    return hr == E_OUTOFMEMORY  ? "out-of-resources"
           : hr == E_INVALIDARG ? "non-retryable"
                                : "retryable";
}

int main(void)
{
    struct postgresql pg = {0};
    struct speak_event event;
    const char *mode = getenv("MODE");
    pg.uses_backup_mode = mode && strcmp(mode, "backup") == 0;
    bool is_mode = !mode || pg.uses_backup_mode || strcmp(mode, "checkpoint") == 0;
    while (speak_next(&event, NULL, NULL)) {
        struct error err = {0};
        HRESULT hr = is_mode ? handle(&pg, &event, &err)
                             : error_set(&err, E_INVALIDARG, "MODE is checkpoint or backup");
        if (FAILED(hr)) {
            speak_failed(&event, kind_of(hr), "%s", error_text(&err));
        } else {
            speak_ok(&event);
        }
    }
    server_disconnect(&pg);
    server_forget(&pg);
    return EXIT_SUCCESS;
}
