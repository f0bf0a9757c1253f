/* SPDX-License-Identifier: Apache-2.0 */
/* Labels as they were before a change that nobody ended: out of the journal onto the disk. */
#include "common/id.h"
#include "provider/set/label_change.h"
#include "provider/set/visible.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

/* One run of old bytes, as label_journal_sink() packs it. */
struct run {
    uint64_t lba;
    uint32_t blocks;
    const uint8_t *data;
};

/* A step as runs: all of it is checked against the disk before anything is written. */
struct runs {
    struct run *items;
    size_t count;
};

static HRESULT refuse_damaged(const struct journal_step *step, struct error *err)
{
    return error_set(err, VSS_E_UNEXPECTED,
                     "what the journal keeps of the label of %s is damaged, or of another disk; "
                     "nothing was written to it",
                     step->lun_key);
}

static HRESULT read_run(const struct journal_step *step, const struct block_device *dev, size_t *at,
                        struct run *out, struct error *err)
{
    uint64_t head[2];
    if (step->data_bytes - *at < sizeof(head)) {
        return refuse_damaged(step, err);
    }
    memcpy(head, step->data + *at, sizeof(head));
    uint64_t lba = le64toh(head[0]);
    uint64_t blocks = le64toh(head[1]);
    *at += sizeof(head);
    if (blocks == 0 || lba >= dev->block_count || blocks > dev->block_count - lba ||
        blocks > (step->data_bytes - *at) / dev->block_bytes) {
        return refuse_damaged(step, err);
    }
    *out = (struct run){.lba = lba, .blocks = (uint32_t)blocks, .data = step->data + *at};
    *at += (size_t)blocks * dev->block_bytes;
    return S_OK;
}

static HRESULT read_runs(const struct journal_step *step, const struct block_device *dev,
                         struct runs *out, struct error *err)
{
    *out = (struct runs){0};
    size_t room = step->data_bytes / ((size_t)dev->block_bytes + 2 * sizeof(uint64_t)) + 1;
    out->items = calloc(room, sizeof(*out->items));
    if (!out->items) {
        return error_set(err, E_OUTOFMEMORY, "out of memory putting a label back");
    }
    HRESULT hr = S_OK;
    for (size_t at = 0; SUCCEEDED(hr) && at < step->data_bytes; out->count += SUCCEEDED(hr)) {
        hr = out->count < room ? read_run(step, dev, &at, &out->items[out->count], err)
                               : refuse_damaged(step, err);
    }
    return hr;
}

static HRESULT put_run(struct block_device *dev, const struct run *run, struct error *err)
{
    size_t bytes = (size_t)run->blocks * dev->block_bytes;
    uint8_t *now = malloc(bytes);
    if (!now) {
        return error_set(err, E_OUTOFMEMORY, "out of memory putting a label back");
    }
    HRESULT hr = block_read(dev, run->lba, run->blocks, now, err);
    if (SUCCEEDED(hr) && memcmp(now, run->data, bytes) != 0) {
        hr = block_write(dev, run->lba, run->blocks, run->data, err);
        if (SUCCEEDED(hr)) {
            hr = block_flush(dev, err);
        }
        if (SUCCEEDED(hr)) {
            hr = block_read(dev, run->lba, run->blocks, now, err);
        }
        if (SUCCEEDED(hr) && memcmp(now, run->data, bytes) != 0) {
            hr = error_set(err, VSS_E_UNEXPECTED, "%s: block %llu does not keep what is written",
                           dev->name, (unsigned long long)run->lba);
        }
    }
    free(now);
    return hr;
}

/* The last run first: the order in which a change is undone, so that one header is whole at each
 * moment. */
static HRESULT put_step(struct lun *lun, const struct journal_step *step, struct error *err)
{
    struct runs runs;
    HRESULT hr = read_runs(step, &lun->block, &runs, err);
    for (size_t i = runs.count; SUCCEEDED(hr) && i-- > 0;) {
        hr = put_run(&lun->block, &runs.items[i], err);
    }
    free(runs.items);
    return hr;
}

static HRESULT open_lun(struct set_environment *env, const struct visible *visible,
                        const char *lun_key, struct lun **out, struct error *err)
{
    char now[LUN_KEY_BYTES];
    const struct scan_lun *found = NULL;
    HRESULT hr = visible_find_key(visible, lun_key, &found, err);
    if (FAILED(hr)) {
        return hr;
    }
    if (!found) {
        return error_set(err, VSS_E_OBJECT_NOT_FOUND,
                         "%s, whose label a dead process was changing, is on no configured "
                         "portal%s%s: bring it back",
                         lun_key, visible->all_answered ? "" : "; also: ",
                         visible->all_answered ? "" : error_text(&visible->unanswered));
    }
    hr = lun_open(found->url, &env->lun, false, out, err);
    if (SUCCEEDED(hr) &&
        lun_info_compare(&found->identity.info, &(*out)->identity.info) != LUN_SAME) {
        hr = error_set(err, VSS_E_OBJECT_NOT_FOUND, "%s is %s by now, not %s; nothing was written",
                       found->url, lun_info_key(&(*out)->identity.info, now), lun_key);
    }
    return hr;
}

static HRESULT put_back(struct set_environment *env, const struct visible *visible,
                        const struct journal_step *step, struct error *err)
{
    struct lun *lun = NULL;
    HRESULT hr =
        step->lun_key && step->data ? open_lun(env, visible, step->lun_key, &lun, err) : S_OK;
    if (lun && SUCCEEDED(hr)) {
        hr = put_step(lun, step, err);
    }
    lun_close(lun);
    return hr;
}

HRESULT label_put_back(struct set_environment *env, const struct journal_entry *entry,
                       struct error *err)
{
    struct visible visible;
    HRESULT hr = visible_scan(env, NULL, &visible, err);
    if (FAILED(hr)) {
        return hr;
    }
    for (size_t i = entry->step_count; SUCCEEDED(hr) && i-- > 0;) {
        if (strcmp(entry->steps[i].name, OLD_LABEL_STEP) == 0) {
            hr = put_back(env, &visible, &entry->steps[i], err);
        }
    }
    visible_free(&visible);
    return hr;
}
