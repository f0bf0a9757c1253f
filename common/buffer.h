/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_COMMON_BUFFER_H
#define LUNSHADOW_COMMON_BUFFER_H

#include <lunshadow/vss.h>
#include <stddef.h>

/* Bytes that grow. Start from BUFFER_INIT; data is always followed by a NUL that length leaves out,
 * so text can be read as a string (data is NULL while nothing was ever added). A failed allocation
 * sticks: later calls do nothing, and buffer_status() says E_OUTOFMEMORY; check once, at the end.
 */
struct buffer {
    char *data;
    size_t length;
    size_t capacity;
    HRESULT status;
};

#define BUFFER_INIT                                                                                \
    {                                                                                              \
        NULL, 0, 0, S_OK                                                                           \
    }

void buffer_add(struct buffer *b, const void *bytes, size_t length);
void buffer_add_text(struct buffer *b, const char *text);
void buffer_printf(struct buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
HRESULT buffer_status(const struct buffer *b);

/* Gives the bytes away (free() them) and empties the buffer; NULL where an allocation failed. */
char *buffer_take(struct buffer *b);
void buffer_free(struct buffer *b);

/* malloc'ed printf; NULL when memory is short. */
char *text_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* strdup that takes NULL for NULL. */
char *text_copy(const char *text);

#endif
