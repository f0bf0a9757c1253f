/* SPDX-License-Identifier: Apache-2.0 */
#include "provider/host/wire/frame.h"

#include "common/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { HEADER_BYTES = 4, ROOM_BYTES = 65536 };

void frame_reader_free(struct frame_reader *reader)
{
    free(reader->data);
    *reader = (struct frame_reader){0};
}

static int ms_until(uint64_t deadline_us)
{
    if (deadline_us == FRAME_FOREVER) {
        return -1;
    }
    uint64_t now = clock_monotonic_us();
    uint64_t left = now >= deadline_us ? 0 : (deadline_us - now + 999) / 1000;
    return left > INT32_MAX ? INT32_MAX : (int)left;
}

static bool is_transient(int errnum)
{
    return errnum == EINTR || errnum == EAGAIN;
}

enum frame_end frame_send(int socket, const uint8_t *content, size_t bytes, uint64_t deadline_us)
{
    uint8_t header[HEADER_BYTES];
    size_t sent = 0;
    if (bytes < 1 || bytes > FRAME_BYTES_MAX) {
        return FRAME_GARBAGE;
    }
    for (size_t i = 0; i < HEADER_BYTES; i++) {
        header[i] = (uint8_t)(bytes >> (8 * i));
    }
    while (sent < HEADER_BYTES + bytes) {
        size_t of_header = sent < HEADER_BYTES ? HEADER_BYTES - sent : 0;
        size_t of_content = of_header ? 0 : sent - HEADER_BYTES;
        struct iovec parts[2] = {
            {.iov_base = header + HEADER_BYTES - of_header, .iov_len = of_header},
            {.iov_base = (uint8_t *)content + of_content, .iov_len = bytes - of_content}};
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
        ssize_t n = sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0) {
            sent += (size_t)n;
            continue;
        }
        if (!is_transient(errno)) {
            return FRAME_CLOSED;
        }
        struct pollfd p = {.fd = socket, .events = POLLOUT};
        if (poll(&p, 1, ms_until(deadline_us)) == 0) {
            return FRAME_LATE;
        }
    }
    return FRAME_OK;
}

static bool make_room(struct frame_reader *r, size_t wanted)
{
    if (r->capacity >= wanted) {
        return true;
    }
    uint8_t *larger = realloc(r->data, wanted);
    if (!larger) {
        return false;
    }
    r->data = larger;
    r->capacity = wanted;
    return true;
}

static void drop_taken(struct frame_reader *r)
{
    r->length -= r->taken;
    memmove(r->data, r->data + r->taken, r->length);
    r->taken = 0;
}

/* FRAME_OK with *out_bytes 0: more is needed, and there is room for it. Memory grows with what
 * arrived, never with what was only announced. */
static enum frame_end look(struct frame_reader *r, size_t *out_bytes)
{
    size_t bytes = 0;
    *out_bytes = 0;
    if (r->length >= HEADER_BYTES) {
        for (size_t i = 0; i < HEADER_BYTES; i++) {
            bytes |= (size_t)r->data[i] << (8 * i);
        }
        if (bytes < 1 || bytes > FRAME_BYTES_MAX) {
            return FRAME_GARBAGE;
        }
        if (r->length >= HEADER_BYTES + bytes) {
            *out_bytes = bytes;
            return FRAME_OK;
        }
    }
    bool is_full = r->length == r->capacity;
    return is_full && !make_room(r, r->capacity ? 2 * r->capacity : ROOM_BYTES) ? FRAME_MEMORY
                                                                                : FRAME_OK;
}

/* One recv(); waits first where nothing is there. */
static enum frame_end read_some(int socket, int pidfd, struct frame_reader *r, uint64_t deadline_us)
{
    struct pollfd p[2] = {{.fd = socket, .events = POLLIN}, {.fd = pidfd, .events = POLLIN}};
    int rc = poll(p, pidfd >= 0 ? 2 : 1, ms_until(deadline_us));
    if (rc == 0) {
        return FRAME_LATE;
    }
    if (rc < 0) {
        return errno == EINTR ? FRAME_OK : FRAME_CLOSED;
    }
    ssize_t n = recv(socket, r->data + r->length, r->capacity - r->length, MSG_DONTWAIT);
    if (n > 0) {
        r->length += (size_t)n;
        return FRAME_OK;
    }
    bool has_ended = pidfd >= 0 && p[1].revents != 0;
    return n < 0 && is_transient(errno) && !has_ended ? FRAME_OK : FRAME_CLOSED;
}

enum frame_end frame_receive(int socket, int pidfd, struct frame_reader *reader,
                             uint64_t deadline_us, const uint8_t **out, size_t *out_bytes)
{
    *out = NULL;
    *out_bytes = 0;
    if (reader->taken) {
        drop_taken(reader);
    }
    for (;;) {
        size_t bytes;
        enum frame_end end = look(reader, &bytes);
        if (end != FRAME_OK) {
            return end;
        }
        if (bytes) {
            reader->taken = HEADER_BYTES + bytes;
            *out = reader->data + HEADER_BYTES;
            *out_bytes = bytes;
            return FRAME_OK;
        }
        end = read_some(socket, pidfd, reader, deadline_us);
        if (end != FRAME_OK) {
            return end;
        }
    }
}
