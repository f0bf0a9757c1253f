/* SPDX-License-Identifier: Apache-2.0 */
#include "requester/writers/writer.h"

#include "common/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define STREAMS   4 /* of one writer: its end, its output, its error output, its input */
#define CANCEL_MS 50

/* ---- one writer ---- */

HRESULT writer_new(const char *path, struct writer **out, struct error *err)
{
    *out = calloc(1, sizeof(**out));
    if (!*out) {
        return error_set(err, E_OUTOFMEMORY, "out of memory for writer %s", path);
    }
    (*out)->channel = (struct channel)CHANNEL_INIT;
    HRESULT hr = writer_settings_load(path, &(*out)->settings, err);
    (*out)->title = text_copy((*out)->settings.name);
    return SUCCEEDED(hr) && !(*out)->title
               ? error_set(err, E_OUTOFMEMORY, "out of memory for writer %s", path)
               : hr;
}

void writer_forget_notes(struct writer *w)
{
    for (size_t i = 0; i < w->note_count; i++) {
        free(w->notes[i].path);
        free(w->notes[i].component);
        free(w->notes[i].text);
    }
    w->note_count = 0;
}

void writer_free(struct writer *w)
{
    if (!w) {
        return;
    }
    channel_end(&w->channel, 0, NULL);
    writer_forget_notes(w);
    free(w->notes);
    free(w->title);
    buffer_free(&w->metadata);
    writer_settings_free(&w->settings);
    free(w);
}

void writer_set_words(struct writer *w, const char *key, const char *const words[], size_t count)
{
    buffer_printf(&w->channel.out, "set %s", key);
    for (size_t i = 0; i < count; i++) {
        buffer_add_text(&w->channel.out, " ");
        protocol_add_word(&w->channel.out, words[i]);
    }
    buffer_add_text(&w->channel.out, "\n");
}

void writer_set(struct writer *w, const char *key, const char *word)
{
    writer_set_words(w, key, &word, 1);
}

void writer_begin(struct writer *w, enum writer_event event, uint32_t limit_ms)
{
    w->event = event;
    w->number++;
    w->answer = ANSWER_NONE;
    w->answered_code = S_OK;
    w->answered_application = S_OK;
    w->answered_text[0] = '\0';
    w->latest_us = clock_monotonic_us() + (uint64_t)limit_ms * 1000;
    w->deadline_us = 0;
    buffer_printf(&w->channel.out, "%s %u\n", writer_event_facts(event)->name, w->number);
    channel_begin(&w->channel);
}

/* ---- what it says ---- */

static void copy_text(struct writer *w, const char *text)
{
    size_t length = 0;
    for (; text[length] != '\0' && length + 1 < sizeof(w->answered_text); length++) {
        unsigned char c = (unsigned char)text[length];
        w->answered_text[length] = (char)(c < ' ' || c == 0x7f ? '?' : c);
    }
    w->answered_text[length] = '\0';
}

static bool add_note(struct writer *w, const struct protocol_line *line)
{
    if (w->note_count == WRITER_NOTES_MAX) {
        return false;
    }
    if (w->note_count == w->note_room) {
        size_t room = w->note_room ? w->note_room * 2 : 8;
        struct writer_note *grown = realloc(w->notes, room * sizeof(*grown));
        if (!grown) {
            return false;
        }
        w->notes = grown;
        w->note_room = room;
    }
    struct writer_note *note = &w->notes[w->note_count++];
    *note = (struct writer_note){.is_failure = line->kind == LINE_FAILED_COMPONENT,
                                 .which = line->which,
                                 .failure = line->code,
                                 .application = w->answered_application,
                                 .component_type = line->component_type,
                                 .path = text_copy(line->path),
                                 .component = text_copy(line->component),
                                 .text = text_copy(line->text)};
    return note->path && note->component && note->text;
}

/* An answer to an event that was cancelled comes late; what belongs to it is dropped. */
static void take_answer(struct writer *w, const struct protocol_line *line,
                        enum writer_answer answer)
{
    if (line->number < w->number) {
        writer_forget_notes(w);
        w->answered_application = S_OK;
        return;
    }
    if (line->number > w->number) {
        w->answer = ANSWER_GARBAGE;
        return;
    }
    w->answer = answer;
    w->answered_code = line->code;
    copy_text(w, line->text);
}

/* A document's line, as it came. */
static void take_metadata(struct writer *w, const char *line, size_t length)
{
    if (strcmp(line, ".") == 0) {
        w->is_in_metadata = false;
        return;
    }
    buffer_add(&w->metadata, line, length);
    buffer_add_text(&w->metadata, "\n");
    if (w->metadata.length > WRITER_METADATA_MAX) {
        w->answer = ANSWER_TOO_MUCH;
    }
    if (FAILED(buffer_status(&w->metadata))) {
        w->answer = ANSWER_NO_MEMORY;
    }
}

/* These lines belong to identify alone, and each comes once. */
static bool take_introduction(struct writer *w, const struct protocol_line *line)
{
    if (w->event != EVENT_IDENTIFY) {
        return false;
    }
    if (line->kind == LINE_VERSION && w->version == 0 && line->number != 0) {
        w->version = line->number;
        return true;
    }
    if (line->kind == LINE_METADATA && w->version != 0 && w->metadata.length == 0) {
        w->is_in_metadata = true;
        return true;
    }
    return false;
}

static void take_line(struct writer *w, char *text, size_t length)
{
    if (strlen(text) != length) {
        w->answer = ANSWER_GARBAGE;
        copy_text(w, "a NUL byte");
        return;
    }
    if (w->is_in_metadata) {
        take_metadata(w, text, length);
        return;
    }
    copy_text(w, text); /* for the message, should it make no sense */
    struct protocol_line line = protocol_parse(text);
    bool is_good = true;
    switch (line.kind) {
    case LINE_OK:
        take_answer(w, &line, ANSWER_OK);
        break;
    case LINE_FAILED:
        take_answer(w, &line, ANSWER_FAILED);
        break;
    case LINE_PARTIAL:
        take_answer(w, &line, ANSWER_PARTIAL);
        break;
    case LINE_BUSY:
        take_answer(w, &line, ANSWER_BUSY);
        break;
    case LINE_APPLICATION:
        w->answered_application = line.code;
        break;
    case LINE_FAILED_COMPONENT:
    case LINE_COMPONENT_TEXT:
        is_good = add_note(w, &line);
        break;
    case LINE_VERSION:
    case LINE_METADATA:
        is_good = take_introduction(w, &line);
        break;
    case LINE_GARBAGE:
        is_good = false;
        break;
    }
    if (!is_good) {
        w->answer = ANSWER_GARBAGE;
    }
}

/* ---- waiting ---- */

static enum writer_answer answer_of(enum channel_end end)
{
    switch (end) {
    case CHANNEL_TOO_MUCH:
        return ANSWER_TOO_MUCH;
    case CHANNEL_NO_MEMORY:
        return ANSWER_NO_MEMORY;
    case CHANNEL_CLOSED:
        return ANSWER_GONE;
    case CHANNEL_OPEN:
        break;
    }
    return ANSWER_NONE;
}

/* Its line is about to go out: its time runs from here. */
static void start_clock(struct writer *w)
{
    uint64_t own = clock_monotonic_us() + (uint64_t)w->settings.limits_ms[w->event] * 1000;
    if (w->deadline_us == 0) {
        w->deadline_us = own < w->latest_us ? own : w->latest_us;
    }
}

/* One step of the conversation; what was said before an end still counts. */
static void step(struct writer *w)
{
    start_clock(w);
    enum channel_end sent = channel_send(&w->channel);
    enum channel_end received = channel_receive(&w->channel);
    size_t length = 0;
    for (char *line = channel_line(&w->channel, &length); line && w->answer == ANSWER_NONE;
         line = w->answer == ANSWER_NONE ? channel_line(&w->channel, &length) : NULL) {
        take_line(w, line, length);
    }
    if (w->answer == ANSWER_NONE) {
        w->answer = answer_of(received != CHANNEL_OPEN ? received : sent);
    }
    if (w->answer == ANSWER_NONE && clock_monotonic_us() >= w->deadline_us) {
        w->answer = ANSWER_LATE;
    }
}

/* The process ended: what it left in the pipe is read before that is its answer. */
static void drain(struct writer *w)
{
    uint64_t before;
    do {
        before = w->channel.received_bytes;
        step(w);
    } while (w->answer == ANSWER_NONE && w->channel.received_bytes > before);
    if (w->answer == ANSWER_NONE) {
        w->answer = ANSWER_GONE;
    }
}

static size_t add_polls(const struct writer *w, struct pollfd *polls)
{
    const struct channel *c = &w->channel;
    polls[0] = (struct pollfd){.fd = c->process.pidfd, .events = POLLIN};
    polls[1] = (struct pollfd){.fd = c->from, .events = POLLIN};
    polls[2] = (struct pollfd){.fd = c->says, .events = POLLIN};
    bool has_more = c->sent < c->out.length;
    polls[3] = (struct pollfd){.fd = has_more ? c->to : -1, .events = POLLOUT};
    return STREAMS;
}

/* The soonest deadline of those still asked, in milliseconds from now. */
static int poll_ms(struct writer *const *writers, size_t count, bool may_be_cancelled)
{
    uint64_t now = clock_monotonic_us();
    uint64_t least = may_be_cancelled ? CANCEL_MS : INT32_MAX;
    for (size_t i = 0; i < count; i++) {
        if (writers[i]->answer == ANSWER_NONE) {
            uint64_t deadline = writers[i]->deadline_us;
            uint64_t left = deadline > now ? (deadline - now) / 1000 + 1 : 0;
            least = left < least ? left : least;
        }
    }
    return (int)least;
}

/* Lets each writer that has not answered take a step. True while there are such. */
static bool step_all(struct writer *const *writers, size_t count, const struct pollfd *polls)
{
    bool goes_on = false;
    for (size_t i = 0; i < count; i++) {
        struct writer *w = writers[i];
        if (w->answer == ANSWER_NONE) {
            if (!channel_is_open(&w->channel)) {
                w->answer = ANSWER_GONE;
            } else if (polls[i * STREAMS].revents) {
                drain(w);
            } else {
                step(w);
            }
        }
        goes_on = goes_on || w->answer == ANSWER_NONE;
    }
    return goes_on;
}

static HRESULT wait_with(struct writer *const *writers, size_t count, struct pollfd *polls,
                         const atomic_bool *cancelled)
{
    for (;;) {
        /* looked at first: what was answered by then counts */
        bool is_cancelled = cancelled && atomic_load(cancelled);
        if (!step_all(writers, count, polls)) {
            break;
        }
        if (is_cancelled) {
            return E_ABORT;
        }
        for (size_t i = 0; i < count; i++) {
            (void)add_polls(writers[i], polls + i * STREAMS);
            for (size_t s = 0; s < STREAMS && writers[i]->answer != ANSWER_NONE; s++) {
                polls[i * STREAMS + s].fd = -1;
            }
        }
        (void)poll(polls, count * STREAMS, poll_ms(writers, count, cancelled != NULL));
    }
    for (size_t i = 0; i < count; i++) {
        if (writers[i]->answer == ANSWER_NO_MEMORY) {
            return E_OUTOFMEMORY;
        }
    }
    return S_OK;
}

HRESULT writers_wait(struct writer *const *writers, size_t count, const atomic_bool *cancelled)
{
    if (count == 0) {
        return S_OK;
    }
    struct pollfd *polls = calloc(count * STREAMS, sizeof(*polls));
    if (!polls) {
        return E_OUTOFMEMORY;
    }
    HRESULT hr = wait_with(writers, count, polls, cancelled);
    free(polls);
    return hr;
}
