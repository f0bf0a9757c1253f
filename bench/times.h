/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_BENCH_TIMES_H
#define LUNSHADOW_BENCH_TIMES_H

#include "common/clock.h"

/* For the programs that run alone: milliseconds of CLOCK_MONOTONIC, and their order for qsort(). */
static inline double now_ms(void)
{
    return (double)clock_monotonic_us() / 1e3;
}

static inline int by_value(const void *a, const void *b)
{
    const double *x = a;
    const double *y = b;
    return *x < *y ? -1 : *x > *y;
}

#endif
