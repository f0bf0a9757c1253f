/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_RESYNC_POLICY_H
#define LUNSHADOW_RESYNC_POLICY_H

#include "common/config.h"

/* How this host copies where an array leaves that to it. */
enum copy_choice {
    COPY_AUTO,    /* COMPARE where the destination is the original, else FULL */
    COPY_COMPARE, /* read both, write what differs */
    COPY_FULL     /* write everything */
};

enum copy_verify {
    VERIFY_NONE,
    VERIFY_SAMPLE, /* one chunk of each 32, at random, is read back and compared with the copy */
    VERIFY_FULL
};

struct copy_policy {
    enum copy_choice choice;
    enum copy_verify verify;
    uint64_t bytes_per_second; /* read and written, all together; 0: no limit */
    uint32_t paths;            /* sessions to each LUN, 1..8 */
    uint32_t patience_ms;      /* how long a lost target may stay away */
};

/* What one resync was asked for, over what the configuration says. All zero: nothing. */
struct copy_wish {
    bool has_verify;
    enum copy_verify verify;   /* then */
    uint64_t bytes_per_second; /* 0: as configured; else COPY_RATE_MIN..COPY_RATE_MAX */
};

#define COPY_RATE_MIN (64u << 10)
#define COPY_RATE_MAX (1ull << 40)

/* From the configuration's section [copy]: method = auto|compare|full, verify = none|sample|full,
 * rate (MiB per second), sessions (1..8; 2), reconnect_seconds (1..3600; 30). E_INVALIDARG names
 * the key. What is wished for takes the place of what is there; that must be valid all the same. */
HRESULT copy_policy_read(const struct config *config, const struct copy_wish *wish,
                         struct copy_policy *out, struct error *err);

bool copy_choice_parse(const char *text, enum copy_choice *out);
bool copy_verify_parse(const char *text, enum copy_verify *out);

#endif
