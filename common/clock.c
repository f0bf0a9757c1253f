/* SPDX-License-Identifier: Apache-2.0 */
#include "common/clock.h"

#include <errno.h>
#include <time.h>

/* Seconds from 1601-01-01 to 1970-01-01. */
#define FILETIME_EPOCH_S 11644473600LL

uint64_t clock_monotonic_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

int64_t clock_filetime(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return ((int64_t)now.tv_sec + FILETIME_EPOCH_S) * 10000000 + now.tv_nsec / 100;
}

int64_t clock_filetime_to_unix(int64_t filetime)
{
    return filetime / 10000000 - FILETIME_EPOCH_S;
}

char *clock_text(int64_t filetime, char out[CLOCK_TEXT_BYTES])
{
    time_t seconds = (time_t)clock_filetime_to_unix(filetime);
    struct tm utc;
    (void)gmtime_r(&seconds, &utc);
    (void)strftime(out, CLOCK_TEXT_BYTES, "%Y-%m-%d %H:%M:%S UTC", &utc);
    return out;
}

void clock_sleep_ms(uint32_t ms)
{
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}
