/* SPDX-License-Identifier: Apache-2.0 */

/* ShouldBlockRevert: would a revert of a volume take something away from under those who use it? */
#include "requester/block_revert.h"

#include "common/id.h"
#include "common/log.h"
#include "lun/host/stack.h"
#include "provider/set/candidate.h"

#include <errno.h>
#include <lunshadow/metadata.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SECTION "revert"
#define KEY     "blocking_writers"

/* What is asked: a volume, by all the LUNs that it lies on. */
struct question {
    struct set_environment *env;
    struct candidate volume;
    bool *out_block;
};

static const struct host_roots roots = HOST_ROOTS_INIT;

/* ---- what lies where ------------------------------------------------------------------------- */

/* Does a path lie on the volume, or on another one of its LUNs, which a revert takes along? What is
 * not there does not; what lies where cannot be told may. */
static HRESULT check_path(const struct question *q, const char *path, struct error *err)
{
    char name[HOST_DEVICE_NAME_BYTES];
    struct error why = {0};
    HRESULT hr = access(path, F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR) ? S_OK : S_FALSE;
    for (size_t i = 0; hr == S_FALSE && i < q->volume.lun_count; i++) {
        const struct vss_lun_info *info = &q->volume.luns[i].lun->identity.info;
        hr = host_path_lies_on(&roots, path, info, name, &why);
        *q->out_block = *q->out_block || hr != S_FALSE;
    }
    if (hr == E_OUTOFMEMORY) {
        return error_set(err, hr, "out of memory looking at %s", path);
    }
    if (FAILED(hr)) {
        log_line(LOG_WARNING, "a revert is blocked, since %s may lie on the volume: %s", path,
                 error_text(&why));
    }
    return S_OK;
}

/* ---- writers --------------------------------------------------------------------------------- */

#define WORD_BYTES 64 /* more than the text of an id has */

/* The next word of a list "ID, ID ...", cut short where it is longer than an id; NULL at the end.
 * Nothing is allocated: what fails for want of memory would look like a list without the id. */
static const char *next_word(const char *at, char out[WORD_BYTES])
{
    static const char separators[] = " ,\t";
    at += strspn(at, separators);
    size_t length = strcspn(at, separators);
    (void)snprintf(out, WORD_BYTES, "%.*s", (int)length, at);
    return length ? at + length : NULL;
}

static bool is_listed(const char *list, const VSS_ID *writer_id)
{
    char word[WORD_BYTES];
    for (const char *at = next_word(list, word); at; at = next_word(at, word)) {
        VSS_ID id;
        if (id_parse(word, &id) && id_equal(&id, writer_id)) {
            return true;
        }
    }
    return false;
}

static HRESULT check_list(const char *list, struct error *err)
{
    char word[WORD_BYTES];
    for (const char *at = next_word(list, word); at; at = next_word(at, word)) {
        VSS_ID id;
        if (!id_parse(word, &id)) {
            return error_set(err, E_INVALIDARG,
                             "configuration [" SECTION "] " KEY ": %.60s is not a writer's id",
                             word);
        }
    }
    return S_OK;
}

typedef HRESULT (*get_files)(struct vss_wm_component *component, uint32_t index,
                             struct vss_wm_filedesc **out);

static HRESULT check_files(const struct question *q, struct vss_wm_component *component,
                           get_files get, uint32_t count, struct error *err)
{
    HRESULT hr = S_OK;
    for (uint32_t i = 0; i < count && SUCCEEDED(hr) && !*q->out_block; i++) {
        struct vss_wm_filedesc *file = NULL;
        char *path = NULL;
        hr = get(component, i, &file);
        if (SUCCEEDED(hr)) {
            hr = vss_wm_filedesc_get_path(file, &path);
        }
        hr = SUCCEEDED(hr) ? check_path(q, path, err)
                           : error_set(err, hr, "%s", vss_wm_component_error_text(component));
        vss_free_string(path);
        vss_wm_filedesc_release(file);
    }
    return hr;
}

static HRESULT check_component(const struct question *q, struct vss_wm_component *component,
                               struct error *err)
{
    struct vss_component_info *info = NULL;
    HRESULT hr = vss_wm_component_get_component_info(component, &info);
    if (FAILED(hr)) {
        return error_set(err, hr, "%s", vss_wm_component_error_text(component));
    }
    hr = check_files(q, component, vss_wm_component_get_file, info->file_count, err);
    if (SUCCEEDED(hr)) {
        hr = check_files(q, component, vss_wm_component_get_database_file, info->database_count,
                         err);
    }
    if (SUCCEEDED(hr)) {
        hr = check_files(q, component, vss_wm_component_get_database_log_file, info->log_file_count,
                         err);
    }
    vss_wm_component_free_component_info(component, info);
    return hr;
}

static HRESULT check_writer(const struct question *q, const char *list,
                            struct vss_examine_writer_metadata *writer, struct error *err)
{
    VSS_ID instance;
    VSS_ID id;
    char *name = NULL;
    int32_t usage = 0;
    int32_t source = 0;
    uint32_t none = 0;
    uint32_t components = 0;
    HRESULT hr =
        vss_examine_writer_metadata_get_identity(writer, &instance, &id, &name, &usage, &source);
    vss_free_string(name);
    if (SUCCEEDED(hr) && !is_listed(list, &id)) {
        return S_OK;
    }
    if (SUCCEEDED(hr)) {
        hr = vss_examine_writer_metadata_get_file_counts(writer, &none, &none, &components);
    }
    if (FAILED(hr)) {
        return error_set(err, hr, "%s", vss_examine_writer_metadata_error_text(writer));
    }
    for (uint32_t i = 0; i < components && SUCCEEDED(hr) && !*q->out_block; i++) {
        struct vss_wm_component *component = NULL;
        hr = vss_examine_writer_metadata_get_component(writer, i, &component);
        hr = SUCCEEDED(hr)
                 ? check_component(q, component, err)
                 : error_set(err, hr, "%s", vss_examine_writer_metadata_error_text(writer));
        vss_wm_component_release(component);
    }
    return hr;
}

static HRESULT check_gathered(const struct question *q, const char *list,
                              struct vss_backup_components *session, struct error *err)
{
    uint32_t count = 0;
    HRESULT hr = vss_backup_components_get_writer_metadata_count(session, &count);
    for (uint32_t i = 0; i < count && SUCCEEDED(hr) && !*q->out_block; i++) {
        struct vss_examine_writer_metadata *writer = NULL;
        VSS_ID instance;
        hr = vss_backup_components_get_writer_metadata(session, i, &instance, &writer);
        if (SUCCEEDED(hr)) {
            hr = check_writer(q, list, writer, err);
        }
        vss_examine_writer_metadata_release(writer);
    }
    return FAILED(hr) ? error_set(err, hr, "%s", vss_backup_components_error_text(session)) : S_OK;
}

/* One that does not say who it is may be one of those that block, with files anywhere. */
static HRESULT check_status(const struct question *q, const char *list,
                            struct vss_backup_components *session, uint32_t index)
{
    VSS_ID instance;
    VSS_ID id;
    char *name = NULL;
    int32_t state = 0;
    HRESULT failure = S_OK;
    HRESULT hr = vss_backup_components_get_writer_status(session, index, &instance, &id, &name,
                                                         &state, &failure);
    if (SUCCEEDED(hr) && state == VSS_WS_FAILED_AT_IDENTIFY &&
        (id_is_null(&id) || is_listed(list, &id))) {
        log_line(LOG_WARNING, "a revert is blocked, since writer %s does not say what it has",
                 name ? name : "");
        *q->out_block = true;
    }
    vss_free_string(name);
    return hr;
}

/* Waits for what a method of the session started, and lets go of it. */
static HRESULT finish(struct vss_backup_components *session, HRESULT hr, struct vss_async *async,
                      struct error *err)
{
    HRESULT status = S_OK;
    if (SUCCEEDED(hr)) {
        (void)vss_async_wait(async, VSS_INFINITE);
        hr = vss_async_query_status(async, &status);
        hr = SUCCEEDED(hr) && FAILED(status) ? status : hr;
    }
    if (FAILED(hr)) {
        hr = error_set(err, hr, "the writers could not be asked: %s",
                       async ? vss_async_error_text(async)
                             : vss_backup_components_error_text(session));
    }
    vss_async_release(async);
    return hr;
}

static HRESULT check_silent(const struct question *q, const char *list,
                            struct vss_backup_components *session, struct error *err)
{
    struct vss_async *async = NULL;
    uint32_t count = 0;
    HRESULT hr = vss_backup_components_gather_writer_status(session, &async);
    hr = finish(session, hr, async, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = vss_backup_components_get_writer_status_count(session, &count);
    for (uint32_t i = 0; i < count && SUCCEEDED(hr) && !*q->out_block; i++) {
        hr = check_status(q, list, session, i);
    }
    return FAILED(hr) ? error_set(err, hr, "%s", vss_backup_components_error_text(session)) : S_OK;
}

/* Asks the writers who they are, in a session that does nothing else. */
static HRESULT check_writers(const struct question *q, const char *list,
                             const struct vss_session_options *options, struct error *err)
{
    struct vss_backup_components *session = NULL;
    struct vss_async *async = NULL;
    char *text = NULL;
    HRESULT hr = vss_create_backup_components(options, &session, &text);
    if (FAILED(hr)) {
        hr = error_set(err, hr, "%s", text ? text : "no session could be made");
        vss_free_string(text);
        return hr;
    }
    hr = vss_backup_components_initialize_for_backup(session, NULL);
    if (SUCCEEDED(hr)) {
        hr = vss_backup_components_gather_writer_metadata(session, &async);
    }
    hr = finish(session, hr, async, err);
    if (SUCCEEDED(hr)) {
        hr = check_gathered(q, list, session, err);
    }
    if (SUCCEEDED(hr) && !*q->out_block) {
        hr = check_silent(q, list, session, err);
    }
    vss_backup_components_release(session);
    return hr;
}

/* ---- the question ---------------------------------------------------------------------------- */

HRESULT block_revert_check(struct set_environment *env, const struct vss_session_options *options,
                           const char *volume, bool *out_block, struct error *err)
{
    static const char *const places[] = {"/", "/usr", "/boot", "/boot/efi", "/var", "/etc"};
    struct question q = {.env = env, .out_block = out_block};
    const char *list = config_value(config_find(env->config, SECTION, ""), KEY, "");
    *out_block = false;
    HRESULT hr = check_list(list, err);
    if (SUCCEEDED(hr)) {
        hr = candidate_find(env, volume, &q.volume, err);
    }
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]) && SUCCEEDED(hr); i++) {
        hr = check_path(&q, places[i], err);
    }
    if (SUCCEEDED(hr)) {
        hr = check_path(&q, store_path(env->store), err);
    }
    if (SUCCEEDED(hr) && !*out_block && list[0]) {
        hr = check_writers(&q, list, options, err);
    }
    candidate_free(&q.volume);
    return hr;
}
