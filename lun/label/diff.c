/* SPDX-License-Identifier: Apache-2.0 */
#include "lun/label/diff.h"

#include <stdio.h>
#include <stdlib.h>

#define GAP_BYTES 8u

/* Behind the last byte of the run that begins at `at`. */
static size_t find_end(const struct label_write *item, size_t at, size_t size)
{
    size_t end = at + 1;
    for (size_t i = end; i < size && i - end < GAP_BYTES; i++) {
        if (item->old_data[i] != item->new_data[i]) {
            end = i + 1;
        }
    }
    return end;
}

bool label_diff_next(const struct label_writes *writes, uint32_t block_bytes,
                     struct label_diff_walk *walk, struct label_diff *out)
{
    for (; walk->item < writes->count; walk->item++, walk->at = 0) {
        const struct label_write *item = &writes->items[walk->item];
        size_t size = (size_t)item->blocks * block_bytes;
        while (walk->at < size && item->old_data[walk->at] == item->new_data[walk->at]) {
            walk->at++;
        }
        if (walk->at < size) {
            size_t end = find_end(item, walk->at, size);
            *out = (struct label_diff){.offset = item->lba * block_bytes + walk->at,
                                       .bytes = (uint32_t)(end - walk->at),
                                       .old_data = item->old_data + walk->at,
                                       .new_data = item->new_data + walk->at};
            walk->at = end;
            return true;
        }
    }
    return false;
}

static json_t *hex_to_json(const uint8_t *data, uint32_t bytes)
{
    char *text = malloc(2 * (size_t)bytes + 1);
    json_t *json = NULL;
    if (text) {
        text[0] = '\0';
        for (uint32_t i = 0; i < bytes; i++) {
            (void)sprintf(text + 2 * (size_t)i, "%02x", data[i]);
        }
        json = json_string(text);
    }
    free(text);
    return json;
}

static int compare_offsets(const void *a, const void *b)
{
    const struct label_diff *x = a;
    const struct label_diff *y = b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static json_t *list_to_json(const struct label_diff *runs, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < count; i++) {
        json_t *item = json_pack("{s:I, s:o, s:o}", "offset", (json_int_t)runs[i].offset, "old",
                                 hex_to_json(runs[i].old_data, runs[i].bytes), "new",
                                 hex_to_json(runs[i].new_data, runs[i].bytes));
        if (json_array_append_new(list, item)) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

json_t *label_diff_to_json(const struct label_writes *writes, uint32_t block_bytes)
{
    struct label_diff_walk walk = {0};
    struct label_diff run;
    size_t count = 0;
    while (label_diff_next(writes, block_bytes, &walk, &run)) {
        count++;
    }
    struct label_diff *runs = calloc(count + 1, sizeof(*runs));
    if (!runs) {
        return NULL;
    }
    walk = (struct label_diff_walk){0};
    for (size_t i = 0; i < count; i++) {
        (void)label_diff_next(writes, block_bytes, &walk, &runs[i]);
    }
    qsort(runs, count, sizeof(*runs), compare_offsets);
    json_t *list = list_to_json(runs, count);
    free(runs);
    return list;
}
