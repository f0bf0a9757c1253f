/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_COMMON_LOG_H
#define LUNSHADOW_COMMON_LOG_H

enum log_level { LOG_ERROR = 0, LOG_WARNING = 1, LOG_INFO = 2, LOG_DEBUG = 3, LOG_TRACE = 4 };

/* Receives every line at or below the level set; called from any thread, one line at a time. */
typedef void (*log_sink)(enum log_level level, const char *line, void *user);

/* The library is silent until a sink is set; NULL makes it silent again. Set it before threads run.
 */
void log_set_sink(log_sink sink, void *user, enum log_level level);

/* True where a line of this level would be shown: lets a caller skip building it. */
int log_wants(enum log_level level);

/* One line, no newline, no secrets; ids (set, snapshot, LUN) as "key=value" at its end. */
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A ready sink: "lunshadow: LINE" on standard error. */
void log_to_stderr(enum log_level level, const char *line, void *user);

#endif
