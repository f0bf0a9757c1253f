/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_TGT_EXTENTS_H
#define LUNSHADOW_TGT_EXTENTS_H

#include "tgt.h"

/* A file's map, piece by piece: which bytes read as zero, and where those lie that it shares.
 * Source: FIEMAP (Linux, Documentation/filesystems/fiemap.rst). */
enum tgt_piece_kind {
    TGT_PIECE_ZERO,   /* a hole, or blocks that were never written */
    TGT_PIECE_SHARED, /* with other files, at `physical` of the filesystem */
    TGT_PIECE_OWN     /* shared with none, or where it lies is not said */
};

struct tgt_piece {
    uint64_t begin;
    uint64_t end;
    enum tgt_piece_kind kind;
    uint64_t physical; /* of begin */
};

struct tgt_extents;

/* Begins at offset; pieces end at limit. What is in memory is written back first: until then the
 * map is of what was there before. 0 or errno (ENOMEM, EOPNOTSUPP: the filesystem has no maps). */
int tgt_extents_open(const struct tgt *t, int fd, uint64_t offset, uint64_t limit,
                     struct tgt_extents **out);

/* The next piece, which begins where the last one ended; begin == end: that was all. 0 or errno. */
int tgt_extents_next(struct tgt_extents *e, struct tgt_piece *out);

#endif
