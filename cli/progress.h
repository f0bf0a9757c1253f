/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_CLI_PROGRESS_H
#define LUNSHADOW_CLI_PROGRESS_H

#include <lunshadow/requester.h>
#include <stdbool.h>

/* How far an operation is, on standard error: a bar that is drawn again and again on a terminal;
 * else a JSON object in a line, at most one a second, where the operation counts bytes. */
struct progress {
    const char *what;
    bool is_bar;
    bool was_shown;
    uint64_t started_us;
    uint64_t shown_us;
};

/* --json was given: lines, also on a terminal, and a last one however short the operation was. */
void progress_use_json(bool is_asked_for);
/* Nothing is shown at all. */
void progress_hide(void);

void progress_begin(struct progress *progress, const char *what);
void progress_show(struct progress *progress, struct vss_async *async);
void progress_end(struct progress *progress, struct vss_async *async);

#endif
