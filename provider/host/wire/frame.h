/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_PROVIDER_HOST_WIRE_FRAME_H
#define LUNSHADOW_PROVIDER_HOST_WIRE_FRAME_H

#include "common/buffer.h"

#include <stdint.h>

/* Frames over a stream socket: four bytes of length, little-endian, then so many bytes, 1 to
 * FRAME_BYTES_MAX. Anything else is not a frame. */
#define FRAME_BYTES_MAX (16u << 20)
#define FRAME_FOREVER   UINT64_MAX

/* How waiting for the far side ended. */
enum frame_end {
    FRAME_OK,
    FRAME_LATE,    /* the deadline passed */
    FRAME_CLOSED,  /* the far side closed its end, or its process ended */
    FRAME_GARBAGE, /* what came is no frame */
    FRAME_MEMORY   /* memory is short */
};

/* Bytes that arrived and were not taken yet. Starts zeroed. */
struct frame_reader {
    uint8_t *data;
    size_t length;
    size_t capacity;
    size_t taken; /* bytes of the frame handed out last, dropped by the next call */
};
void frame_reader_free(struct frame_reader *reader);

/* Puts the length in front of content and sends both until deadline_us (CLOCK_MONOTONIC). */
enum frame_end frame_send(int socket, const uint8_t *content, size_t bytes, uint64_t deadline_us);

/* Waits for a whole frame; *out lives until the next call. pidfd, or -1: once that process ended
 * and all it wrote was read, the answer is FRAME_CLOSED even where somebody else keeps the socket
 * open. */
enum frame_end frame_receive(int socket, int pidfd, struct frame_reader *reader,
                             uint64_t deadline_us, const uint8_t **out, size_t *out_bytes);

#endif
