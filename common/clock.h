/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_COMMON_CLOCK_H
#define LUNSHADOW_COMMON_CLOCK_H

#include <stdint.h>

/* Monotonic time in microseconds; comparable between processes of one machine. */
uint64_t clock_monotonic_us(void);

/* Wall-clock time in VSS's form: 100 ns since 1601-01-01 UTC (FILETIME). */
int64_t clock_filetime(void);

/* Seconds since 1970-01-01 UTC of such a time. */
int64_t clock_filetime_to_unix(int64_t filetime);

#define CLOCK_TEXT_BYTES 32
/* "2026-11-22 20:15:31 UTC" of a FILETIME. Returns out. */
char *clock_text(int64_t filetime, char out[CLOCK_TEXT_BYTES]);

void clock_sleep_ms(uint32_t ms);

#endif
