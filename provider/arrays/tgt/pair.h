/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_TGT_PAIR_H
#define LUNSHADOW_TGT_PAIR_H

#include "original.h"

/* One copy and the LUN that it goes over. Between from and to lies the body, in whole blocks of the
 * filesystem; the rest, which holds the labels, is written last. */
struct tgt_pair {
    struct tgt_copy_state copy;
    int fd;
    struct tgt_original destination;
    const char *name; /* of the destination */
    uint64_t edge_bytes;
    uint64_t from;
    uint64_t to;
    uint64_t extents; /* of the copy; 0 until ResyncLuns counts them */
};

/* Opens all pairs and sees that each is what the host says: the copy as it was cut, a destination
 * that is another LUN, with the same blocks and not smaller. Nothing is written here; flags,
 * O_RDONLY or O_RDWR, are the destinations'. *out is to be closed in any case; NULL: there is
 * nothing to close. E_INVALIDARG, VSS_E_OBJECT_NOT_FOUND (no such destination),
 * VSS_E_PROVIDER_VETO. */
HRESULT tgt_pairs_open(const struct tgt *t, const struct vss_resync_lun *luns, uint32_t count,
                       int flags, struct tgt_view *view, struct tgt_pair **out);
void tgt_pairs_close(struct tgt_pair *pairs, uint32_t count);

#endif
