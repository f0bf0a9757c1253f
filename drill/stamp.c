/* SPDX-License-Identifier: Apache-2.0 */
#include "drill/stamp.h"

#include <endian.h>
#include <stddef.h>
#include <string.h>
#include <xxhash.h>

#define STAMP_MAGIC 0x314c4c495244534cull /* "LSDRILL1" read as little-endian */

struct header {
    uint64_t magic;
    uint64_t seed;
    uint64_t lun;
    uint64_t block;
    uint64_t record;
    uint64_t reserved[2];
    uint64_t checksum; /* of the whole block with this field zero */
};

_Static_assert(sizeof(struct header) == 64, "the header of a block is 64 bytes");

/* splitmix64's output function: each word of the body depends on a counter alone. */
static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

static uint64_t combine(uint64_t seed, uint64_t lun, uint64_t block, uint64_t record)
{
    return mix(mix(mix(seed + lun * 0x9e3779b97f4a7c15ull) + block) + record);
}

static uint64_t checksum(const void *block, uint32_t block_bytes)
{
    const uint8_t *bytes = block;
    uint64_t head = XXH3_64bits(bytes, offsetof(struct header, checksum));
    return XXH3_64bits_withSeed(bytes + sizeof(struct header), block_bytes - sizeof(struct header),
                                head);
}

void stamp_fill(uint64_t seed, const struct stamp *stamp, uint32_t block_bytes, void *out)
{
    struct header h = {.magic = htole64(STAMP_MAGIC),
                       .seed = htole64(seed),
                       .lun = htole64(stamp->lun),
                       .block = htole64(stamp->block),
                       .record = htole64(stamp->record)};
    uint8_t *bytes = out;
    uint64_t state = combine(seed, stamp->lun, stamp->block, stamp->record);
    for (uint32_t at = sizeof(h); at < block_bytes; at += 8) {
        uint64_t word = htole64(mix(state += 0x9e3779b97f4a7c15ull));
        memcpy(bytes + at, &word, sizeof(word));
    }
    memcpy(bytes, &h, sizeof(h));
    h.checksum = htole64(checksum(bytes, block_bytes));
    memcpy(bytes, &h, sizeof(h));
}

bool stamp_read(uint64_t seed, const void *block, uint32_t block_bytes, struct stamp *out)
{
    struct header h;
    memcpy(&h, block, sizeof(h));
    if (le64toh(h.magic) != STAMP_MAGIC || le64toh(h.seed) != seed ||
        le64toh(h.checksum) != checksum(block, block_bytes)) {
        return false;
    }
    *out = (struct stamp){
        .lun = (uint32_t)le64toh(h.lun), .block = le64toh(h.block), .record = le64toh(h.record)};
    return true;
}

uint64_t stamp_index(uint64_t seed, uint32_t lun, uint64_t record, uint64_t data_blocks)
{
    if (data_blocks <= STAMP_PLACES) {
        return combine(~seed, lun, record, 0) % data_blocks;
    }
    uint64_t place = combine(~seed, lun, record, 0) % STAMP_PLACES;
    uint64_t stride = data_blocks / STAMP_PLACES;
    return place * stride + combine(~seed, lun, place, 1) % stride;
}
