/* SPDX-License-Identifier: Apache-2.0 */
/* What a run begins and ends with. */
#include "common/clock.h"
#include "common/process.h"
#include "conform/offline.h"
#include "lun/scratch.h"
#include "registry/events.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the configuration, with one array ------------------------------------------------------- */

static void free_section(struct config_section *section)
{
    for (size_t i = 0; i < section->pair_count; i++) {
        free(section->pairs[i].key);
        free(section->pairs[i].value);
    }
    free(section->pairs);
    free(section->kind);
    free(section->name);
}

/* Other arrays' plug-ins are none of this run's business. */
static void drop_other_arrays(struct config *config, const char *array)
{
    size_t kept = 0;
    for (size_t i = 0; i < config->section_count; i++) {
        struct config_section *section = &config->sections[i];
        if (strcmp(section->kind, "array") == 0 && strcmp(section->name, array) != 0) {
            free_section(section);
        } else {
            config->sections[kept++] = *section;
        }
    }
    config->section_count = kept;
}

/* "provider =" of the section is this file from now on. */
static HRESULT use_plugin(struct config_section *section, const char *path, struct error *err)
{
    char *value = realpath(path, NULL);
    if (!value) {
        return error_set(err, VSS_E_OBJECT_NOT_FOUND, "there is no plug-in %s", path);
    }
    return offline_set_key(section, "provider", value, err);
}

static HRESULT read_config(struct conform *c, const struct conform_options *options,
                           struct error *err)
{
    HRESULT hr = config_load(options->config_path, &c->config, err);
    if (FAILED(hr)) {
        return hr;
    }
    drop_other_arrays(c->config, options->array);
    c->section = config_find(c->config, "array", options->array);
    if (!c->section) {
        return error_set(err, VSS_E_OBJECT_NOT_FOUND, "%s has no [array %s] section",
                         *c->config->path ? c->config->path : "the configuration", options->array);
    }
    /* The section is an element of what was just read into this run's own memory. */
    struct config_section *section = (struct config_section *)c->section;
    hr = options->plugin ? use_plugin(section, options->plugin, err) : S_OK;
    if (SUCCEEDED(hr) && options->record) {
        hr = offline_record_to(c, section, options->record, err);
    }
    return hr;
}

/* ---- the scratch LUNs ------------------------------------------------------------------------ */

/* First the lock: a drill may be about to let somebody mount it. */
static HRESULT lock_scratch(struct scratch *s, struct error *err)
{
    char key[LUN_KEY_BYTES];
    HRESULT hr = lock_take_scratch(lun_info_key(&s->info, key), &s->lock, err);
    return SUCCEEDED(hr) ? scratch_check_unused(s->url, &s->info, err) : hr;
}

static HRESULT add_scratch(struct conform *c, const char *url, struct error *err)
{
    struct lun *lun = NULL;
    const char *reason = NULL;
    if (c->scratch_count == SCRATCH_MAX) {
        return error_set(err, E_INVALIDARG, "[array %s]: more than %d scratch LUNs",
                         c->section->name, SCRATCH_MAX);
    }
    HRESULT hr = lun_open(url, &c->env.lun, true, &lun, err);
    if (FAILED(hr)) {
        error_prefix(err, "scratch LUN %s", url);
        return hr;
    }
    struct scratch *s = &c->scratch[c->scratch_count];
    if (!lun_info_is_unique(&lun->identity.info, &reason)) {
        hr = error_set(err, VSS_E_VOLUME_NOT_SUPPORTED,
                       "scratch LUN %s cannot be told from others: %s", lun->url, reason);
    }
    if (SUCCEEDED(hr)) {
        hr = scratch_check(c->config, lun, err);
    }
    for (size_t i = 0; SUCCEEDED(hr) && i < c->scratch_count; i++) {
        if (lun_info_compare(&c->scratch[i].info, &lun->identity.info) != LUN_DIFFERENT) {
            hr = error_set(err, E_INVALIDARG, "scratch LUNs %s and %s are one", c->scratch[i].url,
                           lun->url);
        }
    }
    if (SUCCEEDED(hr)) {
        s->url = text_copy(lun->url);
        s->block_bytes = lun->block.block_bytes;
        s->block_count = lun->block.block_count;
        hr = s->url ? lun_info_copy(&lun->identity.info, &s->info) : E_OUTOFMEMORY;
        c->scratch_count++;
    }
    if (SUCCEEDED(hr)) {
        hr = lock_scratch(s, err);
    }
    lun_close(lun);
    return hr;
}

/* "scratch", "scratch2", "scratch3": a line of the file holds 190 bytes. */
static bool is_scratch_key(const char *key)
{
    return strncmp(key, "scratch", 7) == 0 && strspn(key + 7, "0123456789") == strlen(key + 7);
}

static HRESULT read_scratch_line(struct conform *c, const char *value, struct error *err)
{
    char *rest = text_copy(value);
    char *line = rest;
    HRESULT hr = rest ? S_OK : error_set(err, E_OUTOFMEMORY, "out of memory");
    for (char *url = strsep(&rest, " ,\t"); SUCCEEDED(hr) && url; url = strsep(&rest, " ,\t")) {
        if (*url) {
            hr = add_scratch(c, url, err);
        }
    }
    free(line);
    return hr;
}

static HRESULT read_scratch(struct conform *c, struct error *err)
{
    HRESULT hr = S_OK;
    for (size_t i = 0; SUCCEEDED(hr) && i < c->section->pair_count; i++) {
        if (is_scratch_key(c->section->pairs[i].key)) {
            hr = read_scratch_line(c, c->section->pairs[i].value, err);
        }
    }
    if (SUCCEEDED(hr) && c->scratch_count < 2) {
        hr = error_set(err, E_INVALIDARG,
                       "[array %s] must name two LUNs or more that may be overwritten, as "
                       "\"scratch = URL URL\", each with its identity in a section [scratch NAME]; "
                       "nothing else is touched",
                       c->section->name);
    }
    const struct scratch *s = c->scratch;
    if (SUCCEEDED(hr) &&
        (s[0].block_bytes != s[1].block_bytes || s[0].block_count != s[1].block_count)) {
        hr = error_set(err, E_INVALIDARG, "the first two scratch LUNs must be of one size");
    }
    return hr;
}

/* ---- what is visible ------------------------------------------------------------------------- */

static size_t portal_count(const struct config *config)
{
    size_t count = 0;
    for (size_t i = 0; i < config->section_count; i++) {
        count += strcmp(config->sections[i].kind, "portal") == 0;
    }
    return count;
}

/* A target that does not let us in shows us nothing; a portal that does not answer proves nothing.
 */
static HRESULT scan(struct conform *c, struct visible *out, struct error *err)
{
    *out = (struct visible){0};
    HRESULT hr = visible_scan(&c->env, NULL, out, err);
    if (SUCCEEDED(hr) && out->count < portal_count(c->config)) {
        hr = error_set(err, VSS_E_OBJECT_NOT_FOUND, "what is visible is not known: %s",
                       error_text(&out->unanswered));
    }
    return hr;
}

bool conform_scan(struct conform *c, struct visible *out)
{
    struct error err = {0};
    HRESULT hr = scan(c, out, &err);
    if (FAILED(hr)) {
        conform_fail(c, "%s", error_text(&err));
    }
    return SUCCEEDED(hr);
}

const char *conform_was_there(const struct conform *c, const struct vss_lun_info *info)
{
    const struct scan_lun *doubtful = NULL;
    for (size_t i = 0; i < c->scratch_count; i++) {
        if (lun_info_compare(&c->scratch[i].info, info) == LUN_SAME) {
            return NULL;
        }
    }
    const struct scan_lun *lun = visible_find(&c->before, info, &doubtful);
    lun = lun ? lun : doubtful;
    return lun ? lun->url : NULL;
}

/* ---- the provider ---------------------------------------------------------------------------- */

/* The host leaves out what it cannot use, and says why in an event. */
static void read_refusal(struct conform *c)
{
    struct event_record *events = NULL;
    size_t count = 0;
    bool is_known = SUCCEEDED(events_load(c->env.store, 1, &events, &count, NULL)) && count > 0;
    error_clear(&c->refusal);
    (void)error_set(&c->refusal, is_known ? events[0].code : VSS_E_UNEXPECTED_PROVIDER_ERROR, "%s",
                    is_known ? events[0].text : "the host refuses the plug-in");
    events_free_all(events, count);
}

static HRESULT open_provider(struct conform *c, struct error *err)
{
    HRESULT hr = providers_open(c->config, c->env.store, &c->env.providers, err);
    c->provider = SUCCEEDED(hr) ? providers_at(c->env.providers, 0) : NULL;
    if (SUCCEEDED(hr) && !c->provider) {
        read_refusal(c);
    }
    return hr;
}

bool conform_is_interrupted(const struct conform *c)
{
    return c->interrupted && *c->interrupted;
}

void conform_stop(struct conform *c)
{
    providers_close(c->env.providers);
    c->env.providers = NULL;
    c->provider = NULL;
}

void conform_start(struct conform *c)
{
    struct error err = {0};
    if (FAILED(open_provider(c, &err))) {
        conform_fail(c, "the provider does not start again: %s", error_text(&err));
    } else if (!c->provider) {
        conform_fail(c, "the provider does not start again: %s", error_text(&c->refusal));
    }
}

void conform_renew(struct conform *c)
{
    if (c->provider) {
        conform_stop(c);
        conform_start(c);
    }
}

/* ---- all of it ------------------------------------------------------------------------------- */

static HRESULT open_state(struct conform *c, struct error *err)
{
    const char *tmp = getenv("TMPDIR");
    c->state_directory = text_printf("%s/lunshadow-conform-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!c->state_directory || !mkdtemp(c->state_directory)) {
        free(c->state_directory);
        c->state_directory = NULL;
        return error_set(err, VSS_E_UNEXPECTED, "cannot make a directory for this run's registry");
    }
    return store_open(c->state_directory, &c->env.store, err);
}

static HRESULT open_array(struct conform *c, const struct conform_options *options,
                          struct error *err)
{
    HRESULT hr = read_config(c, options, err);
    if (SUCCEEDED(hr)) {
        c->env.config = c->config;
        c->env.lun.config = c->config;
        hr = lun_initiator_name(&c->env.lun, &c->initiator, err);
    }
    if (SUCCEEDED(hr)) {
        hr = lock_take(LOCK_SET_IN_PROGRESS, &c->lock, err);
    }
    if (SUCCEEDED(hr)) {
        hr = read_scratch(c, err);
    }
    if (SUCCEEDED(hr)) {
        hr = scan(c, &c->before, err);
    }
    if (SUCCEEDED(hr) && c->record_path) {
        hr = offline_note_run(c, err);
    }
    if (SUCCEEDED(hr)) {
        hr = open_state(c, err);
    }
    return hr;
}

/* The first bytes that are written. Where the provider does not know the LUN, or nothing at all
 * yet, none are: it is only read. */
static HRESULT fill_scratch(struct conform *c, struct error *err)
{
    HRESULT hr = S_OK;
    for (size_t i = 0; SUCCEEDED(hr) && i < c->scratch_count; i++) {
        struct scratch *s = &c->scratch[i];
        s->is_own = scratch_is_own(c, i);
        if (s->is_own) {
            scratch_fill(c, i);
        } else {
            (void)conform_digest(c, s->url, &s->digest);
        }
        if (conform_has_failed(c)) {
            hr = error_set(err, VSS_E_UNEXPECTED, "%s", c->seen.data);
        }
    }
    return hr;
}

/* Nothing of it is about this machine: no lock, no LUN. */
static HRESULT open_recording(struct conform *c, const char *path, struct error *err)
{
    HRESULT hr = open_state(c, err);
    char *position = SUCCEEDED(hr) ? text_printf("%s/position", c->state_directory) : NULL;
    if (SUCCEEDED(hr)) {
        hr = position ? offline_open(c, path, position, err)
                      : error_set(err, E_OUTOFMEMORY, "out of memory");
    }
    c->env.config = c->config;
    free(position);
    return hr;
}

HRESULT conform_open(struct conform *c, const struct conform_options *options, struct error *err)
{
    *c = (struct conform){.fills = (uint64_t)clock_filetime(), .interrupted = options->interrupted};
    HRESULT hr =
        options->offline ? open_recording(c, options->offline, err) : open_array(c, options, err);
    if (SUCCEEDED(hr)) {
        hr = open_provider(c, err);
    }
    return SUCCEEDED(hr) && !c->is_offline ? fill_scratch(c, err) : hr;
}

static void remove_state(const char *directory)
{
    const char *const argv[] = {"rm", "-rf", "--one-file-system", directory, NULL};
    if (directory) {
        (void)process_run(argv, 10000, NULL, NULL);
    }
}

void conform_close(struct conform *c)
{
    providers_close(c->env.providers);
    store_close(c->env.store);
    remove_state(c->state_directory);
    free(c->state_directory);
    for (size_t i = 0; i < c->scratch_count; i++) {
        lun_info_free(&c->scratch[i].info);
        free(c->scratch[i].url);
        lock_release(c->scratch[i].lock);
    }
    for (size_t op = 0; op < VSS_OP_COUNT; op++) {
        free(c->to_do[op]);
    }
    buffer_free(&c->seen);
    visible_free(&c->before);
    offline_close(c);
    free(c->initiator);
    lock_release(c->lock);
    config_free(c->config);
    *c = (struct conform){0};
}
