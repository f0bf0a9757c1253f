/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_REQUESTER_WRITERS_WRITER_H
#define LUNSHADOW_REQUESTER_WRITERS_WRITER_H

#include "requester/writers/channel.h"

#include <stdatomic.h>

/* One writer of a session: who it is, how it stands, what it said last. */

#define WRITER_METADATA_MAX ((size_t)4 * 1024 * 1024)
#define WRITER_NOTES_MAX    65536u

/* How an event ended for a writer. */
enum writer_answer {
    ANSWER_NONE, /* it has not answered yet; afterwards: the event was cancelled */
    ANSWER_OK,
    ANSWER_FAILED,
    ANSWER_PARTIAL,
    ANSWER_BUSY,
    ANSWER_LATE, /* from here on it is lost */
    ANSWER_GONE,
    ANSWER_GARBAGE,
    ANSWER_TOO_MUCH,
    ANSWER_NO_MEMORY
};

/* What a writer said of one of its components. */
struct writer_note {
    bool is_failure;
    enum protocol_text which; /* no failure */
    HRESULT failure;
    HRESULT application;
    int32_t component_type;
    char *path;
    char *component;
    char *text;
};

struct writer {
    struct writer_settings settings;
    struct channel channel;

    VSS_ID instance_id;
    VSS_ID class_id;
    char *title;            /* its friendly name; that of its file where it has told none */
    struct buffer metadata; /* its document as it gave it */

    bool is_listed;      /* identified, and a part of this session */
    bool is_out;         /* takes no further part in this sequence: failed, busy or gone */
    bool is_in_sequence; /* from prepare-backup to backup-complete or abort */
    bool is_frozen;      /* was sent freeze, and neither thaw nor abort since */
    bool is_told;        /* its failure is in the event log */
    uint64_t frozen_at_us;

    int32_t state; /* enum vss_writer_state */
    HRESULT failure;
    HRESULT application; /* the application's own code; S_OK: none */
    struct error line;   /* why it failed */

    /* the event under way */
    enum writer_event event;
    uint32_t number;
    uint32_t version;     /* what it speaks; 0: not told yet */
    uint64_t latest_us;   /* whatever its own limit is, no later than this */
    uint64_t deadline_us; /* from when its line went out; 0: it has not yet */
    enum writer_answer answer;
    HRESULT answered_code;
    HRESULT answered_application;
    bool is_in_metadata;
    char answered_text[256];
    struct writer_note *notes;
    size_t note_count;
    size_t note_room;
};

/* A writer from its file, not started. It is freed with writer_free() in any case; S_OK, or why it
 * cannot be started. */
HRESULT writer_new(const char *path, struct writer **out, struct error *err);
void writer_free(struct writer *w); /* its process must have ended */

/* Adds "set KEY WORD..." to what goes out with the next event. */
void writer_set_words(struct writer *w, const char *key, const char *const words[], size_t count);
void writer_set(struct writer *w, const char *key, const char *word);

/* Begins an event: its line goes out behind what was set, and only then its own limit begins to
 * run, however long others are being told before it. limit_ms: the most that it may take from now
 * on, whatever its own limit is. */
void writer_begin(struct writer *w, enum writer_event event, uint32_t limit_ms);

/* Waits until each writer answered what it was begun with, or its time was over; all at once.
 * Writes no log and no file. E_ABORT: *cancelled (may be NULL) was set; those that have not
 * answered yet then stay as they are. E_OUTOFMEMORY. What became of each: writer->answer. */
HRESULT writers_wait(struct writer *const *writers, size_t count, const atomic_bool *cancelled);

void writer_forget_notes(struct writer *w);

#endif
