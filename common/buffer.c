/* SPDX-License-Identifier: Apache-2.0 */
#include "common/buffer.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool reserve(struct buffer *b, size_t more)
{
    if (FAILED(b->status)) {
        return false;
    }
    if (b->data && more < b->capacity - b->length) {
        return true;
    }
    size_t wanted = b->capacity ? b->capacity : 256;
    while (wanted - b->length <= more) {
        if (wanted > SIZE_MAX / 2) {
            b->status = E_OUTOFMEMORY;
            return false;
        }
        wanted *= 2;
    }
    char *grown = realloc(b->data, wanted);
    if (!grown) {
        b->status = E_OUTOFMEMORY;
        return false;
    }
    b->data = grown;
    b->capacity = wanted;
    return true;
}

void buffer_add(struct buffer *b, const void *bytes, size_t length)
{
    if (!reserve(b, length)) {
        return;
    }
    if (length) {
        memcpy(b->data + b->length, bytes, length);
    }
    b->length += length;
    b->data[b->length] = '\0';
}

void buffer_add_text(struct buffer *b, const char *text)
{
    buffer_add(b, text, strlen(text));
}

__attribute__((format(printf, 2, 0))) static void add_formatted(struct buffer *b,
                                                                const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    if (length >= 0 && reserve(b, (size_t)length)) {
        (void)vsnprintf(b->data + b->length, (size_t)length + 1, format, again);
        b->length += (size_t)length;
    }
    va_end(again);
}

void buffer_printf(struct buffer *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_formatted(b, format, args);
    va_end(args);
}

HRESULT buffer_status(const struct buffer *b)
{
    return b->status;
}

char *buffer_take(struct buffer *b)
{
    char *data = FAILED(b->status) ? NULL : b->data;
    if (!data) {
        free(b->data);
    }
    *b = (struct buffer)BUFFER_INIT;
    return data;
}

void buffer_free(struct buffer *b)
{
    free(b->data);
    *b = (struct buffer)BUFFER_INIT;
}

char *text_printf(const char *format, ...)
{
    struct buffer b = BUFFER_INIT;
    va_list args;
    va_start(args, format);
    add_formatted(&b, format, args);
    va_end(args);
    return buffer_take(&b);
}

char *text_copy(const char *text)
{
    return text ? strdup(text) : NULL;
}
