/* SPDX-License-Identifier: Apache-2.0 */
#include "lun/label/disk_ids.h"

#include "common/buffer.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PUT_BACK_ATTEMPTS 3

/* How far a transaction came: the items before (member, item) may have reached their disks. */
struct progress {
    size_t member;
    size_t item;
};

static void free_member(struct disk_ids_member *member)
{
    disk_ids_free(&member->ids);
    label_writes_free(&member->writes);
}

static HRESULT add_member(struct disk_ids_transaction *transaction,
                          const struct disk_ids_member *member, struct error *err)
{
    struct disk_ids_member *grown =
        realloc(transaction->members, (transaction->count + 1) * sizeof(*grown));
    if (!grown) {
        return error_set(err, E_OUTOFMEMORY, "%s: memory is short for its label",
                         member->dev->name);
    }
    transaction->members = grown;
    grown[transaction->count++] = *member;
    return S_OK;
}

static bool has_device(const struct disk_ids_transaction *transaction,
                       const struct block_device *dev)
{
    for (size_t i = 0; i < transaction->count; i++) {
        if (transaction->members[i].dev == dev) {
            return true;
        }
    }
    return false;
}

HRESULT disk_ids_stage(struct disk_ids_transaction *transaction, struct block_device *dev,
                       const struct vss_disk_ids *ids, bool repair, struct error *err)
{
    struct disk_ids_member member = {.dev = dev};
    struct label *label = NULL;
    HRESULT hr = S_OK;
    if (has_device(transaction, dev)) {
        hr = error_set(err, E_INVALIDARG, "%s: its disk ids are staged already", dev->name);
        goto out;
    }
    hr = label_read(dev, LABEL_FULL, &label, err);
    if (FAILED(hr)) {
        goto out;
    }
    hr = disk_ids_copy(ids, &member.ids);
    if (FAILED(hr)) {
        (void)error_set(err, hr, "%s: its disk ids cannot be copied", dev->name);
        goto out;
    }
    hr = label_stage_ids(dev, label, &member.ids, repair, &member.writes, err);
    if (FAILED(hr)) {
        goto out;
    }
    hr = add_member(transaction, &member, err);
    if (FAILED(hr)) {
        goto out;
    }
    member = (struct disk_ids_member){0};
out:
    free_member(&member);
    label_free(label);
    return hr;
}

/* ---- applying ---- */

static size_t item_bytes(const struct disk_ids_member *member, const struct label_write *item)
{
    return (size_t)item->blocks * member->dev->block_bytes;
}

/* Room for the largest item, had before the first write: putting back must not fail for memory. */
static uint8_t *new_scratch(const struct disk_ids_transaction *transaction)
{
    size_t largest = 1;
    for (size_t m = 0; m < transaction->count; m++) {
        const struct disk_ids_member *member = &transaction->members[m];
        for (size_t i = 0; i < member->writes.count; i++) {
            size_t bytes = item_bytes(member, &member->writes.items[i]);
            largest = bytes > largest ? bytes : largest;
        }
    }
    return malloc(largest);
}

static HRESULT expect(const struct disk_ids_member *member, const struct label_write *item,
                      const uint8_t *wanted, const char *otherwise, uint8_t *scratch,
                      struct error *err)
{
    HRESULT hr = block_read(member->dev, item->lba, item->blocks, scratch, err);
    if (FAILED(hr)) {
        return hr;
    }
    if (memcmp(scratch, wanted, item_bytes(member, item)) == 0) {
        return S_OK;
    }
    return error_set(err, VSS_E_UNEXPECTED, "%s: the label blocks %" PRIu64 " to %" PRIu64 " %s",
                     member->dev->name, item->lba, item->lba + item->blocks - 1, otherwise);
}

static HRESULT expect_all(const struct disk_ids_transaction *transaction, bool is_written,
                          uint8_t *scratch, struct error *err)
{
    const char *otherwise =
        is_written ? "do not read back as they were written" : "changed after they were read";
    for (size_t m = 0; m < transaction->count; m++) {
        const struct disk_ids_member *member = &transaction->members[m];
        for (size_t i = 0; i < member->writes.count; i++) {
            const struct label_write *item = &member->writes.items[i];
            const uint8_t *wanted = is_written ? item->new_data : item->old_data;
            HRESULT hr = expect(member, item, wanted, otherwise, scratch, err);
            if (FAILED(hr)) {
                return hr;
            }
        }
    }
    return S_OK;
}

/* Flushed one by one: the order of items is what keeps the label whole if the power fails. */
static HRESULT write_item(struct block_device *dev, const struct label_write *item,
                          const uint8_t *data, struct error *err)
{
    HRESULT hr = block_write(dev, item->lba, item->blocks, data, err);
    if (FAILED(hr)) {
        return hr;
    }
    return block_flush(dev, err);
}

static HRESULT write_all(const struct disk_ids_transaction *transaction, struct progress *progress,
                         struct error *err)
{
    for (size_t m = 0; m < transaction->count; m++) {
        const struct disk_ids_member *member = &transaction->members[m];
        progress->member = m;
        for (size_t i = 0; i < member->writes.count; i++) {
            const struct label_write *item = &member->writes.items[i];
            progress->item = i + 1;
            HRESULT hr = write_item(member->dev, item, item->new_data, err);
            if (FAILED(hr)) {
                return hr;
            }
        }
        progress->item = 0;
    }
    progress->member = transaction->count;
    return S_OK;
}

/* A disk that takes no writes has its old bytes still. */
static HRESULT put_back_item(const struct disk_ids_member *member, const struct label_write *item,
                             uint8_t *scratch)
{
    HRESULT hr = block_write(member->dev, item->lba, item->blocks, item->old_data, NULL);
    if (SUCCEEDED(hr)) {
        hr = block_flush(member->dev, NULL);
        if (FAILED(hr)) {
            return hr;
        }
    }
    return expect(member, item, item->old_data, "", scratch, NULL);
}

/* The first `items` items of a member get their old bytes again, the last one first. */
static bool put_back_member(const struct disk_ids_member *member, size_t items, uint8_t *scratch)
{
    bool is_whole = true;
    for (size_t i = items; i > 0; i--) {
        HRESULT hr = VSS_E_UNEXPECTED;
        for (int attempt = 0; FAILED(hr) && attempt < PUT_BACK_ATTEMPTS; attempt++) {
            hr = put_back_item(member, &member->writes.items[i - 1], scratch);
        }
        is_whole = is_whole && SUCCEEDED(hr);
    }
    return is_whole;
}

/* Names of the disks that could not be put back are added to failed. */
static void put_back_all(const struct disk_ids_transaction *transaction,
                         const struct progress *progress, uint8_t *scratch, struct buffer *failed)
{
    for (size_t m = transaction->count; m > 0; m--) {
        const struct disk_ids_member *member = &transaction->members[m - 1];
        size_t items = 0;
        if (m - 1 < progress->member) {
            items = member->writes.count;
        } else if (m - 1 == progress->member) {
            items = progress->item;
        }
        if (!put_back_member(member, items, scratch)) {
            buffer_printf(failed, "%s%s", failed->length ? ", " : "", member->dev->name);
        }
    }
}

/* Want of memory says nothing about the disk. */
static HRESULT code_of(const struct error *cause)
{
    return cause->code == E_OUTOFMEMORY ? E_OUTOFMEMORY : VSS_E_CANNOT_REVERT_DISKID;
}

static HRESULT undo(struct disk_ids_transaction *transaction, const struct progress *progress,
                    uint8_t *scratch, const struct error *cause, struct error *err)
{
    struct buffer failed = BUFFER_INIT;
    HRESULT hr = code_of(cause);
    put_back_all(transaction, progress, scratch, &failed);
    bool is_whole = failed.length == 0 && SUCCEEDED(buffer_status(&failed));
    transaction->is_torn = !is_whole;
    if (is_whole) {
        (void)error_set(err, hr, "%.600s; every disk has its old label again", error_text(cause));
    } else {
        hr = error_set(err, VSS_E_CANNOT_REVERT_DISKID,
                       "%.400s; NOT put back, restore the label from the journal: %.400s",
                       error_text(cause), failed.data ? failed.data : "(memory is short)");
    }
    buffer_free(&failed);
    return hr;
}

static HRESULT nothing_written(const struct error *cause, struct error *err)
{
    return error_set(err, code_of(cause), "%.900s; nothing was written", error_text(cause));
}

HRESULT disk_ids_apply(struct disk_ids_transaction *transaction, disk_ids_undo_sink undo_sink,
                       void *user, struct error *err)
{
    struct error cause = {S_OK, ""};
    struct progress progress = {0, 0};
    HRESULT hr = S_OK;
    uint8_t *scratch = new_scratch(transaction);
    if (!scratch) {
        (void)error_set(&cause, E_OUTOFMEMORY, "memory is short for reading labels back");
        hr = nothing_written(&cause, err);
        goto out;
    }
    if (undo_sink) {
        hr = undo_sink(transaction, user, &cause);
    }
    if (SUCCEEDED(hr)) {
        hr = expect_all(transaction, false, scratch, &cause);
    }
    if (FAILED(hr)) {
        (void)error_set(&cause, hr, "the old labels could not be kept");
        hr = nothing_written(&cause, err);
        goto out;
    }
    hr = write_all(transaction, &progress, &cause);
    if (SUCCEEDED(hr)) {
        hr = expect_all(transaction, true, scratch, &cause);
    }
    if (FAILED(hr)) {
        hr = undo(transaction, &progress, scratch, &cause, err);
    }
out:
    free(scratch);
    return hr;
}

void disk_ids_transaction_free(struct disk_ids_transaction *transaction)
{
    for (size_t i = 0; i < transaction->count; i++) {
        free_member(&transaction->members[i]);
    }
    free(transaction->members);
    *transaction = (struct disk_ids_transaction){0};
}
