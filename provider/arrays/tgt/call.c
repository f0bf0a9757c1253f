/* SPDX-License-Identifier: Apache-2.0 */
#include "tgt.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* The longest line that is handed to the host; longer ones are cut. */
#define LINE_BYTES 1024

void *tgt_alloc(const struct tgt *t, size_t bytes)
{
    return t->call->host->alloc(t->call, bytes);
}

char *tgt_text(const struct tgt *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = length >= 0 ? tgt_alloc(t, (size_t)length + 1) : NULL;
    if (!text) {
        return NULL;
    }
    va_start(args, format);
    (void)vsnprintf(text, (size_t)length + 1, format, args);
    va_end(args);
    return text;
}

char *tgt_copy(const struct tgt *t, const char *text, size_t length)
{
    size_t bytes = strnlen(text, length);
    char *copy = tgt_alloc(t, bytes + 1);
    if (copy) {
        memcpy(copy, text, bytes);
        copy[bytes] = '\0';
    }
    return copy;
}

/* Messages quote names and program output: what would break the line becomes a space. */
static void make_one_line(char *line)
{
    for (char *p = line; *p; p++) {
        if ((unsigned char)*p < ' ' || *p == 0x7f) {
            *p = ' ';
        }
    }
}

HRESULT tgt_fail(const struct tgt *t, HRESULT code, const char *format, ...)
{
    char line[LINE_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    make_one_line(line);
    t->call->host->error(t->call, line);
    return code;
}

static HRESULT code_from_errno(int errnum)
{
    switch (errnum) {
    case ENOMEM:
        return E_OUTOFMEMORY;
    case ENOSPC:
    case EDQUOT:
        return VSS_E_INSUFFICIENT_STORAGE;
    default:
        return VSS_E_PROVIDER_VETO;
    }
}

HRESULT tgt_fail_errno(const struct tgt *t, int errnum, const char *format, ...)
{
    char line[LINE_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    char reason[128];
    return tgt_fail(t, code_from_errno(errnum), "%s: %s", line,
                    strerror_r(errnum, reason, sizeof(reason)));
}

void tgt_log(const struct tgt *t, uint32_t level, const char *format, ...)
{
    char line[LINE_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    make_one_line(line);
    t->call->host->log(t->call, level, line);
}

char *tgt_id_text(const VSS_ID *id, char out[TGT_ID_TEXT_BYTES])
{
    const uint8_t *d = id->data4;
    (void)snprintf(out, TGT_ID_TEXT_BYTES, "%08x-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x",
                   id->data1, id->data2, id->data3, d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7]);
    return out;
}

uint64_t tgt_now_us(void)
{
    struct timespec now = {0, 0};
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}
