/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_DRILL_REPORT_H
#define LUNSHADOW_DRILL_REPORT_H

#include "common/error.h"
#include "drill/judge.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* What a drill found: phases in order, checks within them, figures and notes. One report, two
 * forms: for a person and as JSON. A skipped check is shown and never counts as held. */
struct report;

/* live: phases, notes and every check that does not hold are also printed there as they come; NULL:
 * not. NULL when memory is short. */
struct report *report_new(FILE *live);
void report_free(struct report *report); /* NULL is harmless */

/* Names are static texts. A phase ends where the next one begins. */
void report_phase(struct report *report, const char *name);
void report_bytes(struct report *report,
                  uint64_t bytes);      /* read, compared or written in this phase */
void report_end(struct report *report); /* of the last phase */

/* One check of the phase. Returns held. */
bool report_check(struct report *report, const char *name, bool held, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* A check that could not be made, and why. */
void report_skip(struct report *report, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A check that must hold but whose making failed: counts as failed. */
void report_error(struct report *report, const char *name, const struct error *err);

void report_note(struct report *report, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A figure: key for JSON ("cut_window_us"), words for a person ("cut window"). Both static. */
void report_figure(struct report *report, const char *key, const char *words, uint64_t value,
                   const char *unit);

/* Something that was not taken away. */
void report_leftover(struct report *report, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

struct report_totals {
    size_t held;
    size_t failed;
    size_t skipped;
    size_t leftovers;
};
struct report_totals report_count(const struct report *report);

/* What the drill was of, for the JSON form; takes the reference. */
void report_subject(struct report *report, json_t *subject);

/* The table at the end. */
void report_print(const struct report *report, FILE *out);

/* The JSON form, sealed (evidence.h); malloc'ed, NULL when memory is short. id: of the drill. */
char *report_json(const struct report *report, const VSS_ID *id, int exit_code);

#endif
