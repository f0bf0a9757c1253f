/* SPDX-License-Identifier: Apache-2.0 */
#include "extents.h"

#include <errno.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>

#define BATCH 512u /* extents that are asked for at a time */

/* Not where, or not as, the file's bytes lie. */
#define UNSURE_FLAGS                                                                               \
    (FIEMAP_EXTENT_UNKNOWN | FIEMAP_EXTENT_DELALLOC | FIEMAP_EXTENT_ENCODED |                      \
     FIEMAP_EXTENT_DATA_ENCRYPTED | FIEMAP_EXTENT_NOT_ALIGNED | FIEMAP_EXTENT_DATA_INLINE |        \
     FIEMAP_EXTENT_DATA_TAIL)

struct tgt_extents {
    int fd;
    uint64_t at;
    uint64_t limit;
    uint32_t next; /* of the batch in hand */
    bool is_last;  /* no extent comes behind the batch */
    struct fiemap *map;
};

static int fetch(struct tgt_extents *e, uint32_t flags)
{
    memset(e->map, 0, offsetof(struct fiemap, fm_extents));
    e->map->fm_start = e->at;
    e->map->fm_length = e->limit - e->at;
    e->map->fm_flags = flags;
    e->map->fm_extent_count = BATCH;
    if (ioctl(e->fd, FS_IOC_FIEMAP, e->map) != 0) {
        return errno;
    }
    e->next = 0;
    e->is_last = e->map->fm_mapped_extents < BATCH;
    return 0;
}

int tgt_extents_open(const struct tgt *t, int fd, uint64_t offset, uint64_t limit,
                     struct tgt_extents **out)
{
    struct tgt_extents *e = tgt_alloc(t, sizeof(*e));
    size_t bytes = offsetof(struct fiemap, fm_extents) + BATCH * sizeof(struct fiemap_extent);
    *out = e;
    if (!e || !(e->map = tgt_alloc(t, bytes))) {
        return ENOMEM;
    }
    e->fd = fd;
    e->at = offset;
    e->limit = limit;
    return offset < limit ? fetch(e, FIEMAP_FLAG_SYNC) : 0;
}

static enum tgt_piece_kind kind_of(const struct fiemap_extent *extent)
{
    return extent->fe_flags & FIEMAP_EXTENT_UNWRITTEN ? TGT_PIECE_ZERO
           : extent->fe_flags & UNSURE_FLAGS          ? TGT_PIECE_OWN
           : extent->fe_flags & FIEMAP_EXTENT_SHARED  ? TGT_PIECE_SHARED
                                                      : TGT_PIECE_OWN;
}

int tgt_extents_next(struct tgt_extents *e, struct tgt_piece *out)
{
    *out = (struct tgt_piece){.begin = e->at, .end = e->limit, .kind = TGT_PIECE_ZERO};
    if (e->at >= e->limit) {
        out->end = out->begin;
        return 0;
    }
    if (e->next == e->map->fm_mapped_extents && !e->is_last) {
        int errnum = fetch(e, 0);
        if (errnum != 0) {
            return errnum;
        }
    }
    if (e->next < e->map->fm_mapped_extents) {
        const struct fiemap_extent *extent = &e->map->fm_extents[e->next];
        uint64_t end = extent->fe_logical + extent->fe_length;
        if (end <= e->at || end < extent->fe_logical) {
            return EIO; /* a map that does not go on */
        }
        if (extent->fe_logical > e->at) {
            out->end = extent->fe_logical < e->limit ? extent->fe_logical : e->limit;
        } else {
            out->kind = kind_of(extent);
            out->physical = extent->fe_physical + (e->at - extent->fe_logical);
            out->end = end < e->limit ? end : e->limit;
            e->next++;
        }
    }
    e->at = out->end;
    return 0;
}
