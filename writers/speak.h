/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_WRITERS_SPEAK_H
#define LUNSHADOW_WRITERS_SPEAK_H

#include "common/buffer.h"

#include <stdbool.h>
#include <stdint.h>

/* The writer's side of docs/writers.md, for writers in C. */

struct speak_event {
    char name[32];
    uint32_t number;
};

/* Waits for the next event. false: the session has ended. on_set (may be NULL) sees each "set" line
 * before it: its key, and the words behind it, blanks between them and %XX in them as they came. */
bool speak_next(struct speak_event *out, void (*on_set)(void *user, const char *key, char *words),
                void *user);

bool speak_is(const struct speak_event *event, const char *name);

/* The answers; one for each event. kind: "retryable" and its like. */
void speak_ok(const struct speak_event *event);
void speak_failed(const struct speak_event *event, const char *kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The first part of the answer to identify. */
void speak_introduction(const char *metadata);

/* Undoes %XX in place. */
void speak_decode(char *word);

/* text as a word: what a line cannot carry as %XX. */
void speak_add_word(struct buffer *out, const char *text);

/* text for an attribute of a document. */
void speak_add_attribute(struct buffer *out, const char *text);

#endif
