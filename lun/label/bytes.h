/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_LUN_LABEL_BYTES_H
#define LUNSHADOW_LUN_LABEL_BYTES_H

#include <stdint.h>

/* Little-endian numbers as labels keep them. */

static inline uint32_t get_le32(const uint8_t *b)
{
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static inline uint64_t get_le64(const uint8_t *b)
{
    return (uint64_t)get_le32(b) | (uint64_t)get_le32(b + 4) << 32;
}

static inline void put_le32(uint8_t *b, uint32_t value)
{
    for (int i = 0; i < 4; i++) {
        b[i] = (uint8_t)(value >> (8 * i));
    }
}

static inline void put_le64(uint8_t *b, uint64_t value)
{
    put_le32(b, (uint32_t)value);
    put_le32(b + 4, (uint32_t)(value >> 32));
}

#endif
