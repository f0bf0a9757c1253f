/* SPDX-License-Identifier: Apache-2.0 */
#include "resync/engine_pace.h"

#define PARTS    8u     /* the smaller size is such a part of the larger one */
#define SMALLEST 32768u /* below that the commands themselves cost more than the bytes */
#define MARGIN   1.05   /* a change for less is not worth it */

void engine_pace_begin(struct engine_pace *pace, uint32_t largest, uint32_t block_bytes,
                       bool is_steady)
{
    uint32_t least = block_bytes > SMALLEST ? block_bytes : SMALLEST;
    uint32_t smaller = largest / PARTS;
    *pace = (struct engine_pace){
        .sizes = {largest, is_steady || smaller < least ? largest : smaller},
        .interval = ENGINE_PACE_FIRST,
    };
    pace->now = 1; /* nothing is very slow with the small one */
    pace->is_trial = true;
}

static void change(struct engine_pace *p, int to, bool is_trial)
{
    p->now = to;
    p->is_trial = is_trial;
    p->begin_us = 0;
}

/* A stretch has been timed. The first two are trials of either; then the one in use is timed over
 * its last stretch, and the other tried again. */
static void decide(struct engine_pace *p, double rate)
{
    int other = 1 - p->now;
    p->rates[p->now] = rate;
    if (!p->is_trial || p->rates[other] == 0) {
        change(p, other, true);
        return;
    }
    p->interval *= p->interval < ENGINE_PACE_LONGEST ? 2 : 1;
    change(p, rate > p->rates[other] * MARGIN ? p->now : other, false);
}

uint32_t engine_pace_next(struct engine_pace *pace, uint64_t moved, uint64_t now_us)
{
    if (pace->sizes[0] == pace->sizes[1]) {
        return pace->sizes[0];
    }
    if (pace->begin_us == 0) {
        uint64_t wait = pace->is_trial ? ENGINE_PACE_SETTLE : pace->interval;
        pace->begin = pace->begin ? pace->begin : moved + wait;
        if (moved >= pace->begin) {
            pace->begin = moved;
            pace->begin_us = now_us;
        }
    } else if (moved - pace->begin >= ENGINE_PACE_TRIAL) {
        double rate = (double)(moved - pace->begin) / ((double)(now_us - pace->begin_us) + 1);
        pace->begin = 0;
        decide(pace, rate);
    }
    return pace->sizes[pace->now];
}
