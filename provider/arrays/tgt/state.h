/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_TGT_STATE_H
#define LUNSHADOW_TGT_STATE_H

#include "tgt.h"

/* How a copy is cut. */
enum tgt_mode {
    TGT_MODE_CLONE, /* shares blocks with the original (FICLONE) */
    TGT_MODE_PLEX,  /* cut as a clone, made a full copy after the hold */
    TGT_MODE_HELD   /* full copy, its last changes copied while I/O is held */
};

/* All that is remembered of one copy between calls: the host keeps it as text, one KEY=VALUE per
 * line, with the LUN. Strings are never NULL except cut. */
struct tgt_copy_state {
    char set[TGT_ID_TEXT_BYTES];
    uint32_t number; /* in the set, from 1; also its LUN number */
    enum tgt_mode mode;
    const char *file;    /* the copy */
    const char *cut;     /* TGT_MODE_PLEX until the full copy is complete: the clone; else NULL */
    const char *source;  /* the original's file as tgtd names it */
    uint64_t source_dev; /* and as the kernel does */
    uint64_t source_inode;
    uint64_t bytes;      /* the original's size when the copy was prepared */
    uint64_t finish_us;  /* TGT_MODE_PLEX, _HELD: time to compare and copy what changed, measured */
    const char *scsi_id; /* of the copy */
    const char *serial;
    const char *target;   /* name of the target that shows it */
    uint32_t block_bytes; /* as the original, like the next ones */
    const char *bstype;
    const char *flags;
    bool is_thin;
    bool is_cut; /* committed */
};

HRESULT tgt_state_write(const struct tgt *t, const struct tgt_copy_state *state,
                        struct vss_state *out);

/* Believes nothing: every field is checked, the file and the target must carry the names that this
 * plug-in gives to those of this set, the file in an absolute path. set_id NULL: of whichever set
 * it says. VSS_E_PROVIDER_VETO names what is wrong; name is the LUN's for the message. */
HRESULT tgt_state_read(const struct tgt *t, const struct vss_state *state, const VSS_ID *set_id,
                       const char *name, struct tgt_copy_state *out);

/* The number behind "KEY=" at the start of a line; false where it is absent, odd or above limit. */
bool tgt_state_number(const struct tgt *t, const char *text, const char *key, uint64_t limit,
                      uint64_t *out);

/* "DIRECTORY/.lunshadow-SET-NUMBER.SUFFIX": a leftover says what it is and whose. */
char *tgt_copy_path(const struct tgt *t, const char *directory, const char *set, uint32_t number,
                    const char *suffix);
#define TGT_COPY_SUFFIX "copy"
#define TGT_CUT_SUFFIX  "cut"

/* Whether path is absolute and its last part is such a name, of this set (NULL: of any). */
bool tgt_path_is_copy(const char *path, const char *set);

/* Paths go through tgtadm, which takes commas apart, and into states, which have 4 KiB. */
#define TGT_PATH_BYTES_MAX 1000u
bool tgt_path_is_usable(const char *path);

bool tgt_bstype_is_supported(const char *bstype);

#endif
