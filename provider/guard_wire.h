/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_PROVIDER_GUARD_WIRE_H
#define LUNSHADOW_PROVIDER_GUARD_WIRE_H

#include <stdint.h>

/* What the guard and its caller say to each other, one packet each, over a
 * socketpair(SOCK_SEQPACKET). Both ends are built together and run on one machine, so the structure
 * goes as it is. The caller sends single bytes: hold, release. Its end closing means release, too.
 */
enum guard_word { GUARD_WORD_HOLD = 'h', GUARD_WORD_RELEASE = 'r' };

enum guard_message_kind {
    GUARD_READY = 1, /* targets understood; errnum: why memory could not be locked, or 0 */
    GUARD_TOOK,      /* target index is about to be held: to be released by whoever outlives whom */
    GUARD_HELD,      /* all are held; held_at_us */
    GUARD_FAILED,    /* target index could not be held (reason, errnum); none is held */
    GUARD_REPORT     /* the answer to release */
};

enum guard_reason {
    GUARD_REASON_NONE = 0,
    GUARD_REASON_ERRNO = 1,       /* see errnum */
    GUARD_REASON_GONE,            /* the process has ended */
    GUARD_REASON_ALREADY_STOPPED, /* stopped, traced or frozen by someone else */
    GUARD_REASON_TIMEOUT          /* the deadline came first */
};

struct guard_message {
    uint32_t kind;
    uint32_t index;
    uint32_t reason;
    int32_t errnum;
    uint64_t held_at_us;
    uint64_t released_at_us;
    uint32_t by_deadline;
    uint32_t has_broken; /* somebody else released target index during the hold */
};

enum { GUARD_MOST_TARGETS = 64 };

#endif
