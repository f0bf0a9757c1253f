/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/session.h"

#include "cli/interrupt.h"
#include "cli/progress.h"
#include "common/buffer.h"
#include "common/clock.h"
#include "requester/document/document.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define POLL_MS 100u

HRESULT session_open(const struct cli *cli, struct vss_backup_components **out, struct error *err)
{
    struct vss_session_options options = VSS_SESSION_OPTIONS_INIT;
    return session_open_with(cli, &options, out, err);
}

HRESULT session_open_with(const struct cli *cli, const struct vss_session_options *wanted,
                          struct vss_backup_components **out, struct error *err)
{
    struct vss_session_options options = *wanted;
    options.config_path = cli->config_path;
    options.state_directory = cli->state_directory;
    char *text = NULL;
    HRESULT hr = vss_create_backup_components(&options, out, &text);
    if (FAILED(hr)) {
        (void)error_set(err, hr, "%s", text ? text : vss_error_explanation(hr));
    }
    vss_free_string(text);
    return hr;
}

HRESULT session_check(struct vss_backup_components *session, HRESULT hr, struct error *err)
{
    if (FAILED(hr)) {
        const char *text = vss_backup_components_error_text(session);
        (void)error_set(err, hr, "%s", text && *text ? text : vss_error_explanation(hr));
    }
    return hr;
}

HRESULT session_open_for_all(const struct cli *cli, struct vss_backup_components **out,
                             struct error *err)
{
    *out = NULL;
    struct vss_backup_components *session = NULL;
    HRESULT hr = session_open(cli, &session, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = session_check(session, vss_backup_components_initialize_for_backup(session, NULL), err);
    if (FAILED(hr)) {
        goto out;
    }
    hr = session_check(session, vss_backup_components_set_context(session, VSS_CTX_ALL), err);
    if (FAILED(hr)) {
        goto out;
    }
    *out = session;
    session = NULL;
out:
    vss_backup_components_release(session);
    return hr;
}

static HRESULT wait_until_done(struct vss_async *async, const char *what, bool may_be_cancelled)
{
    struct progress progress;
    HRESULT status = VSS_S_ASYNC_PENDING;
    HRESULT hr = S_OK;
    progress_begin(&progress, what);
    while (SUCCEEDED(hr) && status == VSS_S_ASYNC_PENDING) {
        if (may_be_cancelled && interrupt_was_asked()) {
            (void)vss_async_cancel(async); /* waits; what became of it is asked below */
        } else {
            /* A failure that is waited for comes back here too; query_status has it as well. */
            (void)vss_async_wait(async, POLL_MS);
        }
        hr = vss_async_query_status(async, &status);
        if (SUCCEEDED(hr) && status == VSS_S_ASYNC_PENDING) {
            progress_show(&progress, async);
        }
    }
    progress_end(&progress, async);
    return FAILED(hr) ? hr : status;
}

static HRESULT wait_for(struct vss_backup_components *session, HRESULT hr, struct vss_async *async,
                        const char *what, bool may_be_cancelled, struct error *err)
{
    if (FAILED(hr) || !async) {
        return session_check(session, hr, err);
    }
    hr = wait_until_done(async, what, may_be_cancelled);
    if (hr == VSS_S_ASYNC_FINISHED) {
        hr = S_OK;
    } else if (hr == VSS_S_ASYNC_CANCELLED) {
        const char *text = vss_async_error_text(async);
        hr = error_set(err, E_ABORT, "%s was cancelled; %s", what,
                       text && *text ? text
                                     : "lunshadow recover --list says whether it left anything");
    } else {
        const char *text = vss_async_error_text(async);
        (void)error_set(err, hr, "%s", text && *text ? text : vss_error_explanation(hr));
    }
    vss_async_release(async);
    return hr;
}

HRESULT session_wait(struct vss_backup_components *session, HRESULT hr, struct vss_async *async,
                     const char *what, struct error *err)
{
    return wait_for(session, hr, async, what, true, err);
}

HRESULT session_wait_to_end(struct vss_backup_components *session, HRESULT hr,
                            struct vss_async *async, const char *what, struct error *err)
{
    return wait_for(session, hr, async, what, false, err);
}

static HRESULT read_stream(FILE *stream, const char *path, struct buffer *out, struct error *err)
{
    char block[16384];
    size_t got = 0;
    do {
        got = fread(block, 1, sizeof(block), stream);
        buffer_add(out, block, got);
        if (out->length > DOCUMENT_BYTES_MAX) {
            return error_set(err, VSS_E_INVALID_XML_DOCUMENT,
                             "%s is larger than %zu MiB: not a Backup Components Document", path,
                             DOCUMENT_BYTES_MAX >> 20);
        }
    } while (got == sizeof(block));
    if (ferror(stream)) {
        return error_set_errno(err, errno, "cannot read %s", path);
    }
    if (FAILED(buffer_status(out))) {
        return error_set(err, E_OUTOFMEMORY, "not enough memory for %s", path);
    }
    if (out->length == 0) {
        return error_set(err, VSS_E_INVALID_XML_DOCUMENT, "%s is empty", path);
    }
    return S_OK;
}

/* The requester takes text; a document in UTF-16 goes through a load and save to become that. */
static HRESULT to_text(struct buffer *content, char **out_xml, struct error *err)
{
    if (!memchr(content->data, '\0', content->length)) {
        *out_xml = buffer_take(content);
        return S_OK;
    }
    struct document *document = NULL;
    HRESULT hr = document_load(content->data, content->length, &document, err);
    if (SUCCEEDED(hr)) {
        hr = document_save(document, out_xml, err);
    }
    document_free(document);
    return hr;
}

HRESULT session_read_document(const char *path, char **out_xml, struct error *err)
{
    *out_xml = NULL;
    struct buffer content = BUFFER_INIT;
    bool is_stdin = strcmp(path, "-") == 0;
    FILE *stream = is_stdin ? stdin : fopen(path, "re");
    if (!stream) {
        return error_set_errno(err, errno, "cannot open the document %s", path);
    }
    HRESULT hr = read_stream(stream, path, &content, err);
    if (SUCCEEDED(hr)) {
        hr = to_text(&content, out_xml, err);
    }
    buffer_free(&content);
    if (!is_stdin) {
        (void)fclose(stream);
    }
    return hr;
}

HRESULT session_document_set(const char *xml, struct set_record *out, struct error *err)
{
    struct document *document = NULL;
    HRESULT hr = document_load(xml, strlen(xml), &document, err);
    if (SUCCEEDED(hr)) {
        hr = document_get_set(document, out, err);
    }
    if (hr == S_FALSE) {
        hr =
            error_set(err, VSS_E_INVALID_XML_DOCUMENT,
                      "the document describes no snapshot set: save it with create --transportable "
                      "--output");
    }
    document_free(document);
    return hr;
}

HRESULT session_find_set(const struct cli *cli, const VSS_ID *id, struct set_record *out,
                         bool *out_is_snapshot, struct error *err)
{
    struct store *store = NULL;
    struct error not_found = {0};
    bool is_snapshot = false;
    HRESULT hr = store_open(cli->state_directory, &store, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = sets_load(store, id, out, &not_found);
    if (hr == VSS_E_OBJECT_NOT_FOUND) {
        error_clear(&not_found);
        is_snapshot = true;
        hr = sets_find_by_snapshot(store, id, out, &not_found);
    }
    if (hr == VSS_E_OBJECT_NOT_FOUND) {
        char text[ID_TEXT_BYTES];
        (void)error_set(err, hr, "no set and no snapshot has the id %s: see lunshadow list",
                        id_text(id, text));
    } else if (FAILED(hr) && err) {
        *err = not_found;
    }
    if (SUCCEEDED(hr) && out_is_snapshot) {
        *out_is_snapshot = is_snapshot;
    }
    store_close(store);
    return hr;
}
