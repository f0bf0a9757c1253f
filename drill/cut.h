/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_DRILL_CUT_H
#define LUNSHADOW_DRILL_CUT_H

#include "drill/acks.h"
#include "drill/image.h"

#define CUT_LUNS_MAX 64

/* One copy: how to read it, and what its original held before the load began. */
struct cut_member {
    struct raw *raw;
    const struct image *before;
};

struct cut_result {
    uint64_t newest[CUT_LUNS_MAX]; /* by member: the newest record on that copy */
    bool is_in_order;              /* newest[0] >= newest[1] >= ... and first - last <= 1 */
    bool is_whole; /* every data block of every copy is what the log says up to newest[] */
    uint64_t bad_blocks;
    size_t first_bad_member;
    uint64_t first_bad_block;
    uint64_t cut_us;            /* when the last record that is on every copy was acknowledged */
    uint64_t records_in_second; /* records acknowledged in the second that ends there */
    char text[256];             /* the verdict in one line */
};

/* Are these copies one moment of a load that wrote record n to the first LUN, then to the second,
 * ...? The copies' newest records are found by their stamps, then every data block is compared with
 * what the log makes of it. What does not hold is a result, not a failure of the call. */
HRESULT cut_check(const struct cut_member *members, size_t count, const struct acks *acks,
                  struct cut_result *out, struct error *err);

static inline bool cut_holds(const struct cut_result *result)
{
    return result->is_in_order && result->is_whole;
}

#endif
