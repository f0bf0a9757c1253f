/* SPDX-License-Identifier: Apache-2.0 */
/* Calls, and what is made of their results. */
#include "conform/conform.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Lines quote what a plug-in said: one line of printable text, whatever that was. */
static char *format_line(const char *format, va_list arguments)
{
    char *line = NULL;
    if (vasprintf(&line, format, arguments) < 0) {
        return NULL;
    }
    for (char *p = line; *p; p++) {
        *p = *p >= ' ' && *p <= '~' ? *p : '?';
    }
    return line;
}

static void add_line(struct conform *c, const char *line)
{
    if (c->skipped) {
        return;
    }
    if (c->seen.length) {
        buffer_add_text(&c->seen, "\n");
    }
    buffer_add_text(&c->seen, line ? line : "out of memory");
}

void conform_fail(struct conform *c, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *line = format_line(format, arguments);
    va_end(arguments);
    add_line(c, line);
    free(line);
}

bool conform_has_failed(const struct conform *c)
{
    return c->skipped || c->seen.length > 0 || FAILED(buffer_status(&c->seen));
}

bool conform_skip_offline(struct conform *c, const char *why)
{
    bool had_failed = c->seen.length > 0;
    if (c->is_offline && !c->skipped && !had_failed) {
        c->skipped = why;
    }
    return c->is_offline;
}

void conform_fail_op(struct conform *c, enum vss_provider_op op, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *line = format_line(format, arguments);
    va_end(arguments);
    add_line(c, line);
    if (c->to_do[op] || c->skipped) {
        free(line);
    } else {
        c->to_do[op] = line;
    }
}

HRESULT conform_call(struct conform *c, enum vss_provider_op op, const void *in, void *out,
                     struct provider_arena *arena, struct error *err)
{
    if (c->skipped) {
        return error_set(err, E_ABORT, "skipped: %s", c->skipped);
    }
    if (!c->provider) {
        return error_set(err, c->refusal.code, "%s", error_text(&c->refusal));
    }
    return provider_call(c->provider, op, in, out, arena, 0, err);
}

/* Without the array's name in front, which is the same all over the report. */
static const char *said(const struct conform *c, const struct error *err)
{
    const char *text = error_text(err);
    size_t length = strlen(c->section->name);
    bool has_name = strncmp(text, "array ", 6) == 0 &&
                    strncmp(text + 6, c->section->name, length) == 0 &&
                    strncmp(text + 6 + length, ": ", 2) == 0;
    return has_name ? text + 6 + length + 2 : text;
}

bool conform_succeeded(struct conform *c, enum vss_provider_op op, HRESULT hr,
                       const struct error *err)
{
    if (FAILED(hr)) {
        conform_fail_op(c, op, "%s", said(c, err));
    }
    return SUCCEEDED(hr);
}

bool conform_survived(struct conform *c, enum vss_provider_op op, HRESULT hr,
                      const struct error *err, const char *what)
{
    if (hr == VSS_E_UNEXPECTED_PROVIDER_ERROR) {
        conform_fail(c, "%s of %s: %s", provider_op_name(op), what, said(c, err));
    }
    return hr != VSS_E_UNEXPECTED_PROVIDER_ERROR;
}

bool conform_refused(struct conform *c, enum vss_provider_op op, HRESULT hr,
                     const struct error *err, const char *what)
{
    if (SUCCEEDED(hr)) {
        conform_fail(c, "%s of %s succeeded", provider_op_name(op), what);
        return false;
    }
    return conform_survived(c, op, hr, err, what);
}
