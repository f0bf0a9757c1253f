/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_PROVIDER_HOST_WIRE_FLAT_H
#define LUNSHADOW_PROVIDER_HOST_WIRE_FLAT_H

#include "common/buffer.h"
#include "provider/host/internal.h"

#include <lunshadow/provider.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a frame says of its LUNs, as one list of numbers and one run of bytes (WireLuns): each piece
 * adds its numbers to the one, its length among them, and its bytes to the other. What is put in
 * some order is taken in the same order. */

/* Starts as FLAT_WRITER_INIT. Memory that runs short is told once, by flat_status(). */
struct flat_writer {
    struct buffer numbers; /* uint32_t each */
    struct buffer data;
};
#define FLAT_WRITER_INIT                                                                           \
    {                                                                                              \
        BUFFER_INIT, BUFFER_INIT                                                                   \
    }
void flat_put_number(struct flat_writer *w, uint32_t number);
void flat_put_id(struct flat_writer *w, const VSS_ID *id);
void flat_put_text(struct flat_writer *w, const char *text); /* or NULL */
void flat_put_state(struct flat_writer *w, const struct vss_state *state);
void flat_put_info(struct flat_writer *w, const struct vss_lun_info *info);
HRESULT flat_status(const struct flat_writer *w);
void flat_writer_free(struct flat_writer *w);

/* The fewest numbers that a piece has. */
enum { FLAT_TEXT_NUMBERS = 1, FLAT_STATE_NUMBERS = 1, FLAT_INFO_NUMBERS = 12 };

/* The far side wrote it: whatever is not as it must be makes it bad, and what is taken from then on
 * is empty. Texts, states and designators point into data. */
struct flat_reader {
    struct provider_arena *arena;
    const uint32_t *numbers;
    size_t number_count;
    const uint8_t *data;
    size_t data_bytes;
    bool is_bad;
    size_t long_state_bytes; /* not 0: it is bad because a state had so many */
};
/* Zeroed room for count things of bytes each that have so many numbers at least; NULL, and bad,
 * where there are not so many, so that a small frame cannot ask for much memory. */
void *flat_take_room(struct flat_reader *r, size_t count, size_t numbers, size_t bytes);
uint32_t flat_take_number(struct flat_reader *r);
VSS_ID flat_take_id(struct flat_reader *r);
const char *flat_take_text(struct flat_reader *r); /* or NULL */
void flat_take_state(struct flat_reader *r, struct vss_state *out);
void flat_take_info(struct flat_reader *r, struct vss_lun_info *out);

#endif
