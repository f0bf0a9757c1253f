/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_RESYNC_CHANGE_MAP_H
#define LUNSHADOW_RESYNC_CHANGE_MAP_H

#include "common/error.h"

#include <stdbool.h>
#include <stdint.h>

/* The parts of a device that may have changed, a bit for each grain: however many ranges are added,
 * in whatever order and one over another, it takes the same memory, 8 MiB at most. */
struct change_map {
    uint64_t bytes;       /* of the device */
    uint64_t grain_bytes; /* a power of two, 16 KiB at least, and no less than a block */
    uint64_t grain_count;
    uint64_t *words;
};

/* Nothing of it has changed. block_bytes: 512..65536. E_OUTOFMEMORY. change_map_free() ends it. */
HRESULT change_map_init(struct change_map *out, uint64_t bytes, uint32_t block_bytes,
                        struct error *err);
void change_map_free(struct change_map *map);

/* Marks each grain that the range touches. What lies past the end of the device is nothing. */
void change_map_add(struct change_map *map, uint64_t offset, uint64_t bytes);

/* The first byte at or behind offset that lies in a marked grain; *out_end is where its run of
 * marked grains ends. Without one both are the device's length. */
uint64_t change_map_next(const struct change_map *map, uint64_t offset, uint64_t *out_end);

/* All marked grains within [begin, end), in bytes. */
uint64_t change_map_marked(const struct change_map *map, uint64_t begin, uint64_t end);

#endif
