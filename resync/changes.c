/* SPDX-License-Identifier: Apache-2.0 */
/* ListChanges. A plug-in that fails here, or answers nonsense, costs a comparison and no more. */
#include "resync/changes.h"

#include "common/log.h"
#include "resync/copy.h"

#include <inttypes.h>

#define CALLS_MAX 65536 /* for one disk: a list that never ends is none */

static bool is_sound(const struct vss_changes_out *answer, uint64_t from)
{
    uint64_t end = from;
    bool is_sound = answer->next_byte > from && answer->extent_count <= VSS_PROVIDER_EXTENTS_MAX &&
                    (answer->extents || answer->extent_count == 0);
    for (uint32_t i = 0; is_sound && i < answer->extent_count; i++) {
        const struct vss_extent *e = &answer->extents[i];
        is_sound = e->offset >= end && e->bytes > 0 && e->bytes <= UINT64_MAX - e->offset;
        end = e->offset + e->bytes;
    }
    return is_sound;
}

/* Adds one answer; *from is where the next one begins. */
static HRESULT add_answer(struct change_map *map, const struct vss_changes_out *answer,
                          uint64_t *from, struct error *err)
{
    if (!is_sound(answer, *from)) {
        return error_set(err, VSS_E_UNEXPECTED_PROVIDER_ERROR,
                         "its answer makes no sense: %" PRIu32 " extents from byte %" PRIu64
                         ", the next from %" PRIu64,
                         answer->extent_count, *from, answer->next_byte);
    }
    for (uint32_t i = 0; i < answer->extent_count; i++) {
        change_map_add(map, answer->extents[i].offset, answer->extents[i].bytes);
    }
    *from = answer->next_byte;
    return S_OK;
}

/* S_FALSE: it cannot be said of this pair. */
static HRESULT ask_once(struct recovery *r, const struct vss_resync_lun *pair,
                        struct change_map *map, uint64_t *from, struct error *err)
{
    struct provider_arena arena = PROVIDER_ARENA_INIT;
    struct vss_changes_in in = {.struct_size = sizeof(in),
                                .extent_max = VSS_PROVIDER_EXTENTS_MAX,
                                .from_byte = *from,
                                .lun = pair};
    struct vss_changes_out out = {0};
    HRESULT hr = provider_call(r->provider, VSS_OP_LIST_CHANGES, &in, &out, &arena, 0, err);
    if (SUCCEEDED(hr)) {
        hr = out.is_known ? add_answer(map, &out, from, err) : S_FALSE;
    }
    provider_arena_free(&arena);
    return hr;
}

static HRESULT ask(struct recovery *r, const struct recovery_disk *disk, struct change_map *map,
                   struct error *err)
{
    struct vss_resync_lun pair = copy_pair(disk);
    uint64_t from = 0;
    HRESULT hr = block_flush(&disk->lun->block, err);
    for (int calls = 0; hr == S_OK && from < map->bytes; calls++) {
        if (calls == CALLS_MAX || atomic_load(&r->env->cancelled)) {
            return error_set(err, VSS_E_UNEXPECTED_PROVIDER_ERROR,
                             "it was at byte %" PRIu64 " after %d answers", from, calls);
        }
        hr = ask_once(r, &pair, map, &from, err);
    }
    return hr;
}

bool changes_list(struct recovery *r, const struct recovery_disk *disk, struct change_map *out)
{
    struct error err = {0};
    *out = (struct change_map){0};
    if (!provider_has(r->provider, VSS_OP_LIST_CHANGES)) {
        return false;
    }
    const struct lun_mapping *m = disk->mapping;
    HRESULT hr =
        change_map_init(out, m->block_bytes * m->block_count, (uint32_t)m->block_bytes, &err);
    if (SUCCEEDED(hr)) {
        hr = ask(r, disk, out, &err);
    }
    if (FAILED(hr) && !atomic_load(&r->env->cancelled)) {
        log_line(LOG_WARNING, "%s: no list of changes, so all of it is compared: %s", disk->key,
                 error_text(&err));
    }
    if (hr != S_OK) {
        change_map_free(out);
    }
    return hr == S_OK;
}
