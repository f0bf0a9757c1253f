/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_REQUESTER_WRITERS_PROTOCOL_H
#define LUNSHADOW_REQUESTER_WRITERS_PROTOCOL_H

#include "common/buffer.h"

#include <stdbool.h>
#include <stdint.h>

/* What a session and a writer say to each other, as text: docs/writers.md has it for those who
 * write one. Nothing here starts or reads a process. */

#define WRITER_PROTOCOL_VERSION 1

enum writer_event {
    EVENT_IDENTIFY,
    EVENT_PREPARE_BACKUP,
    EVENT_PREPARE_SNAPSHOT,
    EVENT_FREEZE,
    EVENT_THAW,
    EVENT_POST_SNAPSHOT,
    EVENT_BACKUP_COMPLETE,
    EVENT_BACKUP_SHUTDOWN,
    EVENT_PRE_RESTORE,
    EVENT_POST_RESTORE,
    EVENT_ABORT,
    EVENT_STATUS,
    EVENT_COUNT
};

/* What VSS and we say of an event. */
struct writer_event_facts {
    const char *name;      /* its line's first word */
    const char *limit_key; /* in a writer's [limits] */
    uint32_t limit_ms;     /* the most that a writer is waited for */
    int32_t state_ok;      /* enum vss_writer_state after it; VSS_WS_UNKNOWN: as before */
    int32_t state_failed;
};
const struct writer_event_facts *writer_event_facts(enum writer_event event);

/* The longest that a writer may stay frozen, from freeze to thaw: VSS's limit. */
#define WRITER_FROZEN_MAX_MS 60000u

/* Adds text as one word: what is no printable ASCII, blanks, '%' and a lone '-' as %XX, nothing as
 * "-". */
void protocol_add_word(struct buffer *out, const char *text);

/* Undoes that in place; false where it is no such word (NUL included). */
bool protocol_read_word(char *word);

/* A writer's line, cut up in place. */
enum protocol_kind {
    LINE_GARBAGE,
    LINE_VERSION,          /* lunshadow-writer NUMBER */
    LINE_METADATA,         /* what follows is a document, ended by a line that is "." */
    LINE_APPLICATION,      /* application CODE */
    LINE_FAILED_COMPONENT, /* failed-component KIND TYPE PATH NAME [TEXT] */
    LINE_COMPONENT_TEXT,   /* backup-metadata, backup-stamp, ... TYPE PATH NAME TEXT */
    LINE_OK,               /* ok NUMBER */
    LINE_FAILED,           /* failed NUMBER KIND [TEXT] */
    LINE_PARTIAL,          /* partial NUMBER [TEXT] */
    LINE_BUSY              /* busy NUMBER [TEXT] */
};

/* Which text of a component a LINE_COMPONENT_TEXT sets. */
enum protocol_text { TEXT_BACKUP_METADATA, TEXT_BACKUP_STAMP, TEXT_RESTORE_METADATA };

struct protocol_line {
    enum protocol_kind kind;
    uint32_t number; /* version or event */
    HRESULT code;    /* a failure's, or the application's */
    enum protocol_text which;
    int32_t component_type; /* enum vss_component_type */
    const char *path;       /* of a component; "" for none */
    const char *component;
    const char *text; /* free text to the end of the line; "" for none */
};

/* line has no newline. Borrows from it. */
struct protocol_line protocol_parse(char *line);

/* "database" or "file-group". */
const char *protocol_component_type(int32_t type);

#endif
