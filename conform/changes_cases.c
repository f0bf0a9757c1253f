/* SPDX-License-Identifier: Apache-2.0 */
/* ListChanges: what has changed since a copy was made. */
#include "common/buffer.h"
#include "conform/cases.h"
#include "conform/trial.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define READ_BYTES (1u << 20)
#define CALLS_MAX  100000 /* for one list */

/* Copies of originals that have other content by now, and are ready to be overwritten. */
struct changed {
    struct trial t;
    struct vss_resync_lun pairs[TRIAL_LUNS];
    uint64_t bytes[TRIAL_LUNS];
};

/* One whole list: extents that touch are one. */
struct list {
    struct buffer extents; /* of struct vss_extent */
    bool is_known;
};

/* As what recovers a copy does: a block that nobody has written on the original. */
static bool change_copies(struct changed *k, const uint64_t *wanted)
{
    bool is_done = trial_expect_visible(&k->t);
    for (uint32_t i = 0; is_done && i < k->t.lun_count; i++) {
        uint64_t lba = scratch_gap(&k->t.c->scratch[i]);
        is_done = lba == 0 ||
                  (trial_expect_content(&k->t, i, wanted[i], "its original's: it is not written") &&
                   trial_invert_block(&k->t, i, lba));
    }
    return is_done;
}

static bool changed_prepare(struct changed *k, struct conform *c, bool changes_copies)
{
    uint64_t wanted[TRIAL_LUNS] = {0};
    *k = (struct changed){0};
    if (!trial_prepare_copies(&k->t, c, wanted) || (changes_copies && !change_copies(k, wanted)) ||
        !trial_prepare_pairs(&k->t, k->pairs)) {
        return false;
    }
    for (size_t i = 0; i < k->t.lun_count; i++) {
        k->bytes[i] = c->scratch[i].block_count * c->scratch[i].block_bytes;
    }
    return trial_must_change_destinations(&k->t, VSS_ONLUNSTATECHANGE_NOTIFY_LUN_PRE_RECOVERY);
}

/* ---- lists ----------------------------------------------------------------------------------- */

static const struct vss_extent *extents_of(const struct list *list, size_t *out_count)
{
    *out_count = list->extents.length / sizeof(struct vss_extent);
    return (const struct vss_extent *)(const void *)list->extents.data; /* malloc'ed, so aligned */
}

static void add_extent(struct list *list, struct vss_extent e)
{
    size_t count = list->extents.length / sizeof(e);
    struct vss_extent *last =
        count ? (struct vss_extent *)(void *)list->extents.data + count - 1 : NULL;
    if (last && last->offset + last->bytes == e.offset) {
        last->bytes += e.bytes;
    } else {
        buffer_add(&list->extents, &e, sizeof(e));
    }
}

/* Keeps an answer, after having looked at its form. */
static bool take_answer(struct conform *c, const struct vss_changes_in *in,
                        const struct vss_changes_out *out, struct list *list)
{
    uint64_t end = in->from_byte;
    if (out->next_byte <= in->from_byte) {
        conform_fail(c, "asked from byte %" PRIu64 " on, the next is to be asked from %" PRIu64,
                     in->from_byte, out->next_byte);
        return false;
    }
    if (out->extent_count > in->extent_max || (out->extent_count && !out->extents)) {
        conform_fail(c, "%u extents where %u were asked for", out->extent_count, in->extent_max);
        return false;
    }
    for (uint32_t i = 0; i < out->extent_count; i++) {
        const struct vss_extent *e = &out->extents[i];
        if (e->offset < end || e->bytes == 0 || e->bytes > UINT64_MAX - e->offset) {
            conform_fail(
                c, "extent %u, %" PRIu64 " bytes at %" PRIu64 ", does not lie behind %" PRIu64, i,
                e->bytes, e->offset, end);
            return false;
        }
        end = e->offset + e->bytes;
        add_extent(list, *e);
    }
    return true;
}

static bool ask_once(struct conform *c, const struct vss_changes_in *in, struct list *list,
                     uint64_t *next)
{
    struct provider_arena arena = PROVIDER_ARENA_INIT;
    struct vss_changes_out out = {0};
    struct error err = {0};
    HRESULT hr = conform_call(c, VSS_OP_LIST_CHANGES, in, &out, &arena, &err);
    bool ok = conform_succeeded(c, VSS_OP_LIST_CHANGES, hr, &err);
    list->is_known = ok && out.is_known;
    if (list->is_known) {
        ok = take_answer(c, in, &out, list);
        *next = out.next_byte;
    } else if (ok && in->from_byte > 0) {
        conform_fail(c, "known at first, and no more at byte %" PRIu64, in->from_byte);
        ok = false;
    }
    provider_arena_free(&arena);
    return ok;
}

/* False after a finding. */
static bool ask(struct changed *k, size_t index, uint32_t extent_max, struct list *list)
{
    struct vss_changes_in in = {
        .struct_size = sizeof(in), .extent_max = extent_max, .lun = &k->pairs[index]};
    bool ok = true;
    *list = (struct list){.extents = BUFFER_INIT, .is_known = true};
    for (int calls = 0; ok && list->is_known && in.from_byte < k->bytes[index]; calls++) {
        ok = ask_once(k->t.c, &in, list, &in.from_byte);
        if (ok && calls == CALLS_MAX) {
            conform_fail(k->t.c, "after %d answers the list is at byte %" PRIu64, calls,
                         in.from_byte);
            ok = false;
        }
    }
    return ok;
}

/* ---- cases ----------------------------------------------------------------------------------- */

void case_changes_form(struct conform *c)
{
    static const uint32_t sizes[] = {VSS_PROVIDER_EXTENTS_MAX, 1, 3};
    struct changed k;
    struct list lists[3] = {
        {.extents = BUFFER_INIT}, {.extents = BUFFER_INIT}, {.extents = BUFFER_INIT}};
    bool goes_on = changed_prepare(&k, c, false);
    for (size_t i = 0; goes_on && i < 3; i++) {
        goes_on = ask(&k, 0, sizes[i], &lists[i]);
        const struct buffer *first = &lists[0].extents;
        const struct buffer *now = &lists[i].extents;
        if (goes_on && (now->length != first->length ||
                        (now->length && memcmp(now->data, first->data, now->length) != 0))) {
            conform_fail(c, "%zu extents in answers of %u, %zu in answers of %u",
                         now->length / sizeof(struct vss_extent), sizes[i],
                         first->length / sizeof(struct vss_extent), sizes[0]);
            goes_on = false;
        }
    }
    for (size_t i = 0; i < 3; i++) {
        buffer_free(&lists[i].extents);
    }
    trial_end(&k.t);
}

/* Do the extents, from *at on, have all of these bytes? *at follows. */
static bool covers(const struct vss_extent *extents, size_t count, size_t *at, uint64_t begin,
                   uint64_t end)
{
    while (*at < count && extents[*at].offset + extents[*at].bytes <= begin) {
        (*at)++;
    }
    return *at < count && extents[*at].offset <= begin &&
           extents[*at].offset + extents[*at].bytes >= end;
}

/* The first of these blocks that differs and is in no extent; UINT64_MAX: none. */
static uint64_t find_missing(const uint8_t *a, const uint8_t *b, uint32_t bytes, uint32_t block,
                             uint64_t offset, const struct list *list, size_t *at)
{
    size_t count = 0;
    const struct vss_extent *extents = extents_of(list, &count);
    for (uint32_t i = 0; i < bytes; i += block) {
        if (memcmp(a + i, b + i, block) != 0 &&
            !covers(extents, count, at, offset + i, offset + i + block)) {
            return offset + i;
        }
    }
    return UINT64_MAX;
}

/* Both LUNs side by side, block for block. */
static void compare(struct conform *c, struct lun *copy, struct lun *original,
                    const struct list *list)
{
    struct error err = {0};
    uint32_t block = original->block.block_bytes;
    uint32_t step = READ_BYTES / block;
    uint8_t *a = malloc(READ_BYTES);
    uint8_t *b = malloc(READ_BYTES);
    size_t at = 0;
    uint64_t missing = UINT64_MAX;
    HRESULT hr = a && b ? S_OK : error_set(&err, E_OUTOFMEMORY, "out of memory");
    for (uint64_t lba = 0; SUCCEEDED(hr) && missing == UINT64_MAX && lba < copy->block.block_count;
         lba += step) {
        uint64_t left = copy->block.block_count - lba;
        uint32_t blocks = left < step ? (uint32_t)left : step;
        hr = block_read(&copy->block, lba, blocks, a, &err);
        if (SUCCEEDED(hr)) {
            hr = block_read(&original->block, lba, blocks, b, &err);
        }
        if (SUCCEEDED(hr)) {
            missing = find_missing(a, b, blocks * block, block, lba * block, list, &at);
        }
    }
    if (FAILED(hr)) {
        conform_fail(c, "%s and its copy cannot be compared: %s", original->url, error_text(&err));
    } else if (missing != UINT64_MAX) {
        conform_fail(c, "%s differs from its copy at byte %" PRIu64 ", which is not in the list",
                     original->url, missing);
    }
    free(a);
    free(b);
}

static void expect_covered(struct changed *k, size_t index, const struct list *list)
{
    struct conform *c = k->t.c;
    struct error err = {0};
    struct lun *copy = NULL;
    struct lun *original = scratch_open(c, index, true);
    if (original && FAILED(trial_open_copy(&k->t, (uint32_t)index, true, &copy, &err))) {
        conform_fail(c, "%s cannot be opened: %s", k->t.urls[index], error_text(&err));
    } else if (original) {
        compare(c, copy, original, list);
    }
    lun_close(copy);
    lun_close(original);
}

void case_changes_cover(struct conform *c)
{
    struct changed k;
    bool goes_on = changed_prepare(&k, c, true) && trial_expect_visible(&k.t);
    for (size_t i = 0; goes_on && i < k.t.lun_count; i++) {
        struct list list;
        goes_on = ask(&k, i, VSS_PROVIDER_EXTENTS_MAX, &list);
        if (goes_on && list.is_known) {
            expect_covered(&k, i, &list);
        }
        buffer_free(&list.extents);
    }
    trial_end(&k.t);
}

/* A failure that it may give is as good as "not known". */
void case_changes_foreign(struct conform *c)
{
    struct changed k;
    struct error err = {0};
    struct vss_lun_info foreign = conform_foreign_lun();
    if (changed_prepare(&k, c, false)) {
        struct provider_arena arena = PROVIDER_ARENA_INIT;
        struct vss_changes_out out = {0};
        k.pairs[0].destination = foreign;
        const struct vss_changes_in in = {
            .struct_size = sizeof(in), .extent_max = VSS_PROVIDER_EXTENTS_MAX, .lun = &k.pairs[0]};
        HRESULT hr = conform_call(c, VSS_OP_LIST_CHANGES, &in, &out, &arena, &err);
        if (FAILED(hr)) {
            (void)conform_refused(c, VSS_OP_LIST_CHANGES, hr, &err,
                                  "a destination of another array");
        } else if (out.is_known) {
            conform_fail_op(c, VSS_OP_LIST_CHANGES,
                            "it knows what has changed on a LUN of another array");
        }
        provider_arena_free(&arena);
    }
    trial_end(&k.t);
    lun_info_free(&foreign);
}
