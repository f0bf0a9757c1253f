/* SPDX-License-Identifier: Apache-2.0 */
#include "resync/change_map.h"

#include <stdlib.h>

#define GRAIN_BYTES_MIN (16ull << 10)
#define GRAINS_MAX      (64ull << 20)
#define WORD_BITS       64u

HRESULT change_map_init(struct change_map *out, uint64_t bytes, uint32_t block_bytes,
                        struct error *err)
{
    uint64_t grain = block_bytes > GRAIN_BYTES_MIN ? block_bytes : GRAIN_BYTES_MIN;
    while (bytes / grain >= GRAINS_MAX) {
        grain *= 2;
    }
    uint64_t count = bytes / grain + (bytes % grain != 0);
    *out = (struct change_map){.bytes = bytes, .grain_bytes = grain, .grain_count = count};
    out->words = calloc(count / WORD_BITS + 1, sizeof(*out->words));
    return out->words ? S_OK : error_set(err, E_OUTOFMEMORY, "out of memory listing changes");
}

void change_map_free(struct change_map *map)
{
    free(map->words);
    *map = (struct change_map){0};
}

void change_map_add(struct change_map *map, uint64_t offset, uint64_t bytes)
{
    if (bytes == 0 || offset >= map->bytes) {
        return;
    }
    bytes = bytes < map->bytes - offset ? bytes : map->bytes - offset;
    uint64_t last = (offset + bytes - 1) / map->grain_bytes;
    for (uint64_t grain = offset / map->grain_bytes; grain <= last; grain++) {
        map->words[grain / WORD_BITS] |= UINT64_C(1) << grain % WORD_BITS;
    }
}

/* The first grain from this one on that is marked, or is not; whole words at a time. */
static uint64_t find_grain(const struct change_map *map, uint64_t grain, bool wanted)
{
    const uint64_t flip = wanted ? 0 : UINT64_MAX;
    while (grain < map->grain_count) {
        uint64_t word = (map->words[grain / WORD_BITS] ^ flip) >> grain % WORD_BITS;
        if (word) {
            grain += (uint64_t)__builtin_ctzll(word);
            return grain < map->grain_count ? grain : map->grain_count;
        }
        grain = (grain / WORD_BITS + 1) * WORD_BITS;
    }
    return map->grain_count;
}

static uint64_t byte_of(const struct change_map *map, uint64_t grain)
{
    return grain < map->grain_count ? grain * map->grain_bytes : map->bytes;
}

uint64_t change_map_next(const struct change_map *map, uint64_t offset, uint64_t *out_end)
{
    if (offset >= map->bytes) {
        *out_end = map->bytes;
        return map->bytes;
    }
    uint64_t grain = offset / map->grain_bytes;
    uint64_t found = find_grain(map, grain, true);
    *out_end = byte_of(map, find_grain(map, found, false));
    return found == grain ? offset : byte_of(map, found);
}

uint64_t change_map_marked(const struct change_map *map, uint64_t begin, uint64_t end)
{
    uint64_t marked = 0;
    uint64_t run_end = 0;
    for (uint64_t at = change_map_next(map, begin, &run_end); at < end && at < map->bytes;
         at = change_map_next(map, run_end, &run_end)) {
        marked += (run_end < end ? run_end : end) - at;
    }
    return marked;
}
