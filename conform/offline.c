/* SPDX-License-Identifier: Apache-2.0 */
#include "conform/offline.h"

#include "lun/info.h"
#include "provider/host/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RUN_NOTE  "run "
#define CASE_NOTE "case "

HRESULT offline_set_key(struct config_section *section, const char *key, char *value,
                        struct error *err)
{
    for (size_t i = 0; value && i < section->pair_count; i++) {
        if (strcmp(section->pairs[i].key, key) == 0) {
            free(section->pairs[i].value);
            section->pairs[i].value = value;
            return S_OK;
        }
    }
    struct config_pair *pairs = realloc(section->pairs, (section->pair_count + 1) * sizeof(*pairs));
    char *own_key = text_copy(key);
    if (pairs) {
        section->pairs = pairs;
    }
    if (!pairs || !own_key || !value) {
        free(own_key);
        free(value);
        return error_set(err, E_OUTOFMEMORY, "out of memory reading the configuration");
    }
    section->pairs[section->pair_count++] = (struct config_pair){own_key, value};
    return S_OK;
}

/* ---- recording ------------------------------------------------------------------------------- */

HRESULT offline_record_to(struct conform *c, struct config_section *section, const char *path,
                          struct error *err)
{
    const char *provider = config_value(section, "provider", NULL);
    if (!provider) {
        return error_set(err, E_INVALIDARG, "[array %s] has no \"provider =\" line", section->name);
    }
    if (access(path, F_OK) == 0) {
        return error_set(err, VSS_E_OBJECT_ALREADY_EXISTS, "%s is there already", path);
    }
    c->record_path = path;
    HRESULT hr = offline_set_key(section, "provider", text_printf("replay/%s", provider), err);
    return SUCCEEDED(hr) ? offline_set_key(section, "replay_file", text_copy(path), err) : hr;
}

static json_t *scratch_json(const struct scratch *s)
{
    return json_pack("{s:s, s:I, s:I, s:o}", "url", s->url, "block_bytes",
                     (json_int_t)s->block_bytes, "block_count", (json_int_t)s->block_count, "info",
                     lun_info_to_json(&s->info));
}

HRESULT offline_note_run(const struct conform *c, struct error *err)
{
    json_t *list = json_array();
    for (size_t i = 0; i < c->scratch_count; i++) {
        (void)json_array_append_new(list, scratch_json(&c->scratch[i]));
    }
    json_t *run = json_pack("{s:s, s:s, s:o}", "array", c->section->name, "initiator", c->initiator,
                            "scratch", list);
    char *text = run ? json_dumps(run, JSON_COMPACT) : NULL;
    char *note = text ? text_printf(RUN_NOTE "%s", text) : NULL;
    HRESULT hr = note ? recording_note(c->record_path, note, err)
                      : error_set(err, E_OUTOFMEMORY, "out of memory recording");
    free(note);
    free(text);
    json_decref(run);
    return hr;
}

void offline_note_case(struct conform *c, const char *name)
{
    struct error err = {0};
    char *note = text_printf(CASE_NOTE "%s", name);
    if (!note || FAILED(recording_note(c->record_path, note, &err))) {
        conform_fail(c, "it cannot be recorded: %s", error_text(&err));
    }
    free(note);
}

/* ---- without the array ------------------------------------------------------------------------
 */

/* The first note that begins with prefix, or, where rest is not NULL, is prefix and rest. *out is
 * what is behind prefix, malloc'ed; *out_at is where the note ends. */
static bool find_note(const struct recording *r, const char *prefix, const char *rest, char **out,
                      size_t *out_at)
{
    size_t at = 0;
    HRESULT hr = S_OK;
    bool found = false;
    *out = NULL;
    while (hr == S_OK && !found) {
        struct provider_arena arena = PROVIDER_ARENA_INIT;
        struct wire_frame frame;
        hr = recording_next(r, &at, &arena, &frame);
        const char *text = hr == S_OK && frame.kind == WIRE_LOG ? frame.log.text : "";
        size_t length = strlen(prefix);
        found = strncmp(text, prefix, length) == 0 && (!rest || strcmp(text + length, rest) == 0);
        *out = found ? text_copy(text + length) : NULL;
        provider_arena_free(&arena);
    }
    *out_at = at;
    return found && *out;
}

static HRESULT read_scratch(struct conform *c, const json_t *list, struct error *err)
{
    HRESULT hr = S_OK;
    for (size_t i = 0; i < json_array_size(list) && i < SCRATCH_MAX && SUCCEEDED(hr); i++) {
        const json_t *item = json_array_get(list, i);
        const char *url = json_string_value(json_object_get(item, "url"));
        struct scratch *s = &c->scratch[c->scratch_count];
        hr = lun_info_from_json(json_object_get(item, "info"), &s->info, err);
        s->url = text_copy(url);
        s->block_bytes = (uint32_t)json_integer_value(json_object_get(item, "block_bytes"));
        s->block_count = (uint64_t)json_integer_value(json_object_get(item, "block_count"));
        c->scratch_count += SUCCEEDED(hr);
        if (SUCCEEDED(hr) && !s->url) {
            hr = error_set(err, E_INVALIDARG, "scratch LUN %zu has no address", i + 1);
        }
    }
    return hr;
}

/* What offline_note_run() wrote; but this file may have been anywhere since. */
static HRESULT read_run(struct conform *c, char **out_array, struct error *err)
{
    size_t at;
    char *text = NULL;
    json_t *run = NULL;
    *out_array = NULL;
    if (find_note(&c->recording, RUN_NOTE, NULL, &text, &at)) {
        run = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    }
    free(text);
    const char *array = json_string_value(json_object_get(run, "array"));
    const char *initiator = json_string_value(json_object_get(run, "initiator"));
    HRESULT hr =
        array && initiator ? read_scratch(c, json_object_get(run, "scratch"), err) : E_INVALIDARG;
    if (FAILED(hr) || c->scratch_count < 2) {
        error_prefix(err, "%s", c->recording.path);
        hr = error_set(err, E_INVALIDARG, "%s is no recording of lunshadow-conform --record",
                       c->recording.path);
    } else {
        *out_array = text_copy(array);
        c->initiator = text_copy(initiator);
        hr = *out_array && c->initiator ? S_OK
                                        : error_set(err, E_OUTOFMEMORY, "out of memory reading");
    }
    json_decref(run);
    return hr;
}

static HRESULT make_config(struct conform *c, const char *array, const char *position_path,
                           struct error *err)
{
    HRESULT hr = config_parse("[array recording]\n", c->recording.path, &c->config, err);
    if (FAILED(hr)) {
        return hr;
    }
    struct config_section *section = &c->config->sections[0];
    char *name = text_copy(array);
    if (name) {
        free(section->name);
        section->name = name;
    }
    c->section = section;
    hr = offline_set_key(section, "provider", text_copy("replay"), err);
    if (SUCCEEDED(hr)) {
        hr = offline_set_key(section, "replay_file", text_copy(c->recording.path), err);
    }
    if (SUCCEEDED(hr)) {
        hr = offline_set_key(section, "replay_position", text_copy(position_path), err);
    }
    return hr;
}

HRESULT offline_open(struct conform *c, const char *path, const char *position_path,
                     struct error *err)
{
    char *array = NULL;
    c->is_offline = true;
    HRESULT hr = recording_load(path, &c->recording, err);
    if (SUCCEEDED(hr)) {
        hr = read_run(c, &array, err);
    }
    if (SUCCEEDED(hr)) {
        hr = make_config(c, array, position_path, err);
    }
    free(array);
    return hr;
}

void offline_close(struct conform *c)
{
    recording_free(&c->recording);
}

bool offline_seek_case(struct conform *c, const char *name)
{
    size_t at;
    char *text = NULL;
    const char *position = config_value(c->section, "replay_position", "");
    bool found = find_note(&c->recording, CASE_NOTE, name, &text, &at);
    free(text);
    if (!found) {
        return false;
    }
    conform_stop(c); /* which the recording answers too */
    if (FAILED(recording_keep_position(position, at))) {
        conform_fail(c, "the place of the case cannot be kept in %s", position);
    }
    conform_start(c);
    return true;
}
