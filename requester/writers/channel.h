/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_REQUESTER_WRITERS_CHANNEL_H
#define LUNSHADOW_REQUESTER_WRITERS_CHANNEL_H

#include "common/process.h"
#include "requester/writers/settings.h"

/* A writer's process and the three streams to it. Nothing here blocks but channel_start() (for the
 * spawn) and channel_end(). */
struct channel {
    struct process process;
    int to;            /* a socket, its standard input: no SIGPIPE comes of it; -1: closed */
    int from;          /* its standard output */
    int says;          /* its standard error */
    struct buffer out; /* to send, from sent on */
    size_t sent;
    struct buffer in; /* received, from used on not yet read as lines */
    size_t used;
    uint64_t received_bytes; /* since channel_begin(), both streams */
    char said[200];          /* the last line of its standard error, printable */
    size_t said_length;
    bool said_is_whole; /* the next byte begins another line */
};

#define CHANNEL_INIT                                                                               \
    {                                                                                              \
        .process = PROCESS_INIT, .to = -1, .from = -1, .says = -1                                  \
    }

/* What a writer may say in answer to one event. */
#define CHANNEL_BYTES_MAX ((uint64_t)8 * 1024 * 1024)

/* Starts the program in a session of its own, with no descriptor but these three and nothing of our
 * environment; as another user through setpriv(1), which only root may. */
HRESULT channel_start(struct channel *c, const struct writer_settings *settings, struct error *err);
bool channel_is_open(const struct channel *c);

/* A new event: what was received before no longer counts against the limit. */
void channel_begin(struct channel *c);

enum channel_end {
    CHANNEL_OPEN,
    CHANNEL_CLOSED,   /* it ended, or closed its input or output */
    CHANNEL_TOO_MUCH, /* more than CHANNEL_BYTES_MAX, or a line of more */
    CHANNEL_NO_MEMORY
};

/* Send and receive what there is, without waiting. */
enum channel_end channel_send(struct channel *c);
enum channel_end channel_receive(struct channel *c);

/* The next whole line, cut off its newline; NULL where there is none yet. Valid until the next
 * channel_receive(). A line with a NUL in it is returned up to there, and *out_length tells. */
char *channel_line(struct channel *c, size_t *out_length);

/* Closes its input, which tells it to end; channel_end() goes on from there. */
void channel_hang_up(struct channel *c);

/* Waits until deadline_us (CLOCK_MONOTONIC) for its own end, then kills it with all that is in its
 * process group; reaps it and closes everything. Harmless where nothing is open. *out_status (may
 * be NULL) is its waitpid status, -1 where it was killed. */
void channel_end(struct channel *c, uint64_t deadline_us, int *out_status);

#endif
