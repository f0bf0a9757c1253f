/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_TESTS_FUZZ_H
#define LUNSHADOW_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* One input. Whatever it is, nothing crashes, and what fuzz_check() states holds. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define fuzz_check(condition)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                  \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* One line of text for a person: not empty, and nothing in it that steers a terminal. */
static inline bool fuzz_is_line(const char *text)
{
    const char *at = text;
    while (*at != '\0' && (uint8_t)*at >= ' ' && *at != 0x7f) {
        at++;
    }
    return at > text && *at == '\0';
}

#endif
