/* SPDX-License-Identifier: Apache-2.0 */
/* The sessions of a disk that this host copies, how they come back, and what is noted of it. */
#include "resync/host_copy.h"

#include "common/buffer.h"
#include "common/clock.h"
#include "common/log.h"
#include "provider/set/visible.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define NOTE_STEP    "copied"
#define PAUSE_MS     200u
#define CONNECT_MS   1000u /* of one try, so that a wish to stop is seen */
#define NOTE_VERSION 2

/* ---- where the copy is ---- */

static bool is_copy(struct recovery *r, const struct lun_mapping *m, const char *url)
{
    struct lun *lun = NULL;
    bool is = url && SUCCEEDED(lun_open(url, &r->env->lun, true, &lun, NULL)) &&
              lun_info_compare(&m->copy, &lun->identity.info) == LUN_SAME;
    lun_close(lun);
    return is;
}

HRESULT copy_find(struct recovery *r, const struct lun_mapping *m, char **out_url,
                  struct error *err)
{
    char key[LUN_KEY_BYTES];
    struct visible visible = {0};
    const struct scan_lun *ambiguous = NULL;
    const struct scan_lun *found = NULL;
    HRESULT hr = S_OK;
    *out_url = NULL;
    if (is_copy(r, m, m->copy_url)) {
        *out_url = text_copy(m->copy_url);
        return *out_url ? S_OK : error_set(err, E_OUTOFMEMORY, "out of memory finding a copy");
    }
    hr = visible_scan(r->env, NULL, &visible, err);
    if (FAILED(hr)) {
        return hr;
    }
    found = visible_find(&visible, &m->copy, &ambiguous);
    if (!found || ambiguous) {
        hr = error_set(err, VSS_E_OBJECT_NOT_FOUND,
                       "the copy of %s (%s) is %s; this host reads it to copy it: import the set "
                       "first",
                       m->source_url, lun_info_key(&m->copy, key),
                       ambiguous ? "contradicted by another LUN" : "not shown to this host");
    } else {
        *out_url = text_copy(found->url);
        hr = *out_url ? S_OK : error_set(err, E_OUTOFMEMORY, "out of memory finding a copy");
    }
    visible_free(&visible);
    return hr;
}

/* ---- sessions ---- */

static HRESULT on_destination_path(void *user, struct lun *path, struct error *err)
{
    struct host_copy *c = user;
    return fence_add_path(c->r, c->disk, path, err);
}

static HRESULT check_size(const struct host_copy *c, const struct pipeline *p, struct error *err)
{
    uint64_t bytes = c->disk->mapping->block_bytes * c->disk->mapping->block_count;
    if (p->bytes == bytes && p->block_bytes == c->disk->mapping->block_bytes) {
        return S_OK;
    }
    return error_set(err, VSS_E_PROVIDER_VETO,
                     "%s has %" PRIu64 " bytes by now, not %" PRIu64 "; nothing more is written",
                     p->name, p->bytes, bytes);
}

HRESULT host_copy_open(struct host_copy *c, struct error *err)
{
    const struct lun_options *lun = &c->r->env->lun;
    struct pipeline_options source = {.lun = lun,
                                      .is_read_only = true,
                                      .paths = c->r->policy.paths,
                                      .expected = &c->disk->mapping->copy};
    struct pipeline_options destination = {.lun = lun,
                                           .paths = c->r->policy.paths,
                                           .expected = &c->disk->info,
                                           .on_path = on_destination_path,
                                           .user = c};
    HRESULT hr = pipeline_open(c->url, &source, &c->source, err);
    if (SUCCEEDED(hr)) {
        hr = check_size(c, c->source, err);
    }
    if (SUCCEEDED(hr)) {
        hr = pipeline_open(c->disk->open_name, &destination, &c->destination, err);
    }
    if (SUCCEEDED(hr)) {
        hr = check_size(c, c->destination, err);
    }
    if (FAILED(hr)) {
        host_copy_close(c);
    }
    return hr;
}

void host_copy_close(struct host_copy *c)
{
    pipeline_close(c->destination);
    pipeline_close(c->source);
    c->destination = NULL;
    c->source = NULL;
}

/* One try. What was learned stays true for the next one. */
static HRESULT reconnect_once(struct host_copy *c, struct error *err)
{
    HRESULT hr = destination_reopen(c->r, c->disk, err);
    if (SUCCEEDED(hr)) {
        hr = fence_restore(c->r, c->disk, err);
    }
    if (hr == S_FALSE) {
        c->is_distrusted = true;
        c->is_to_be_wiped = true;
    }
    if (SUCCEEDED(hr) && c->is_to_be_wiped) {
        hr = edges_wipe(&c->disk->lun->block, c->disk->edges, err);
    }
    if (SUCCEEDED(hr)) {
        c->is_to_be_wiped = false;
        hr = host_copy_open(c, err);
    }
    return hr;
}

HRESULT host_copy_reconnect(struct host_copy *c, struct error *err)
{
    struct error why = {0};
    uint64_t until_us = clock_monotonic_us() + (uint64_t)c->r->policy.patience_ms * 1000;
    bool was_distrusted = c->is_distrusted;
    host_copy_close(c);
    c->is_distrusted = false;
    log_line(LOG_WARNING, "%s: a session is lost, or the fence is; opening it anew", c->disk->key);
    c->r->env->lun.timeout_ms = CONNECT_MS;
    HRESULT hr = reconnect_once(c, &why);
    while (FAILED(hr) && !atomic_load(&c->r->env->cancelled) && clock_monotonic_us() < until_us) {
        clock_sleep_ms(PAUSE_MS);
        error_clear(&why);
        hr = reconnect_once(c, &why);
    }
    c->r->env->lun.timeout_ms = 0;
    bool may_be_changed = c->is_distrusted;
    c->is_distrusted = was_distrusted || may_be_changed;
    if (SUCCEEDED(hr)) {
        return may_be_changed ? S_FALSE : S_OK;
    }
    return atomic_load(&c->r->env->cancelled)
               ? error_set(err, E_ABORT, "cancelled while a lost session was opened anew")
               : error_set(err, hr, "a session was lost and did not come back: %s",
                           error_text(&why));
}

HRESULT host_copy_ensure(struct host_copy *c, struct error *err)
{
    struct error why = {0};
    HRESULT hr = c->disk->lun ? destination_check_identity(c->disk, &why) : VSS_E_OBJECT_NOT_FOUND;
    if (SUCCEEDED(hr)) {
        hr = fence_check(c->disk, &why);
    }
    if (hr == S_OK && c->source && c->destination) {
        return S_OK;
    }
    if (hr == S_OK) {
        return host_copy_open(c, err);
    }
    return host_copy_reconnect(c, err);
}

/* ---- notes ---- */

HRESULT host_copy_note(struct host_copy *c, uint64_t offset, struct error *err)
{
    char key[LUN_KEY_BYTES];
    json_t *json =
        json_pack("{s:i, s:s, s:I, s:I, s:I, s:b}", "version", NOTE_VERSION, "copy",
                  lun_info_key(&c->disk->mapping->copy, key), "begin", (json_int_t)c->begin, "end",
                  (json_int_t)c->end, "offset", (json_int_t)offset, "listed", (int)c->is_by_list);
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    HRESULT hr = text ? journal_step(c->r->env->store, &c->r->journal_id, NOTE_STEP, c->disk->key,
                                     text, strlen(text), err)
                      : error_set(err, E_OUTOFMEMORY, "out of memory journaling a copy");
    free(text);
    json_decref(json);
    return hr;
}

/* The offset of a note that is about this very copying; 0 for any other. What a list of changes
 * left out counts only where there is a list again: a sample of it is looked at then. */
static uint64_t read_note(const struct host_copy *c, const struct journal_step *step)
{
    char key[LUN_KEY_BYTES];
    json_int_t version = 0;
    json_int_t begin = 0;
    json_int_t end = 0;
    json_int_t offset = 0;
    int is_listed = 0;
    const char *copy = NULL;
    json_t *json = json_loadb((const char *)step->data, step->data_bytes, 0, NULL);
    bool is_good = json && json_unpack(json, "{s:I, s:s, s:I, s:I, s:I, s:b}", "version", &version,
                                       "copy", &copy, "begin", &begin, "end", &end, "offset",
                                       &offset, "listed", &is_listed) == 0;
    is_good = is_good && version == NOTE_VERSION && (!is_listed || c->changes.words) &&
              (uint64_t)begin == c->begin && (uint64_t)end == c->end && offset >= begin &&
              offset <= end && offset % (json_int_t)c->disk->mapping->block_bytes == 0 &&
              strcmp(copy, lun_info_key(&c->disk->mapping->copy, key)) == 0;
    json_decref(json);
    return is_good ? (uint64_t)offset : 0;
}

/* The note that counts after one step more. What may have been written over what was copied ends
 * all before it: by others, while a fence that had to be raised anew did not stand, or by the
 * array.
 */
static const struct journal_step *follow(const struct host_copy *c,
                                         const struct journal_entry *entry, size_t step,
                                         const struct journal_step *last)
{
    const struct journal_step *s = &entry->steps[step];
    if (strcmp(s->name, RESYNC_STEP_COPY) == 0) {
        return NULL;
    }
    if (!s->lun_key || strcmp(s->lun_key, c->disk->key) != 0) {
        return last;
    }
    if (strcmp(s->name, RESYNC_STEP_ANEW) == 0) {
        return NULL;
    }
    bool is_note = entry->destination_invalid && strcmp(s->name, NOTE_STEP) == 0 && s->data;
    return is_note ? s : last;
}

uint64_t host_copy_noted(const struct host_copy *c)
{
    uint64_t offset = c->begin;
    if (!c->disk->fence_was_kept) {
        return offset;
    }
    const struct journal_step *last = NULL;
    for (size_t i = 0; i < c->r->adopted_kept; i++) {
        const struct journal_entry *entry = &c->r->adopted[i];
        for (size_t s = 0; s < entry->step_count; s++) {
            last = follow(c, entry, s, last);
        }
    }
    uint64_t noted = last ? read_note(c, last) : 0;
    return noted > offset ? noted : offset;
}
