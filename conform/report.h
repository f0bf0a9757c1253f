/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_CONFORM_REPORT_H
#define LUNSHADOW_CONFORM_REPORT_H

#include "conform/cases.h"

#include <jansson.h>

enum conform_verdict { CONFORM_HELD, CONFORM_FAILED, CONFORM_NOT_CLAIMED, CONFORM_SKIPPED };

/* What comes of a run: lines as the cases end, or one JSON document at the end. */
struct report {
    bool is_json;
    json_t *cases;
    size_t held;
    size_t failed;
    size_t not_claimed;
    size_t skipped; /* offline only */
};

void report_begin(struct report *r, const struct conform *c, bool is_json);
/* seen: what was not as it must be, or why the case was skipped. */
void report_case(struct report *r, const struct conform_case *what, enum conform_verdict verdict,
                 const char *seen, uint64_t taken_us);

/* The score, and what is left to do. */
void report_end(struct report *r, const struct conform *c);

/* What could be run. */
void report_list(bool is_json);

#endif
