/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_CONFORM_TRIAL_H
#define LUNSHADOW_CONFORM_TRIAL_H

#include "conform/conform.h"

/* A snapshot set of the first scratch LUNs, made step by step as the set sequence makes one, and
 * taken away again whatever became of it. */

#define TRIAL_LUNS 2 /* at most: of an array that cuts no two at one moment, one */

/* What was done last, in order. */
enum trial_stage {
    TRIAL_NEW,
    TRIAL_BEGUN,         /* BeginPrepareSnapshot, each LUN a volume */
    TRIAL_PREPARED,      /* EndPrepareSnapshots */
    TRIAL_PRE_COMMITTED, /* PreCommitSnapshots */
    TRIAL_COMMITTED,     /* CommitSnapshots */
    TRIAL_POST_COMMITTED,
    TRIAL_DESCRIBED, /* GetTargetLuns: luns[].destination is filled */
    TRIAL_SHOWN,     /* LocateLuns */
    TRIAL_FINISHED   /* POST_RECOVERY, PreFinalCommitSnapshots, PostFinalCommitSnapshots */
};

struct trial {
    struct conform *c;
    VSS_ID set_id;
    uint32_t context;
    struct vss_set_lun luns[TRIAL_LUNS]; /* states are owned, destinations too */
    uint32_t lun_count;
    bool has_begun[TRIAL_LUNS];
    enum trial_stage stage;
    bool may_hold_copies;  /* EndPrepareSnapshots was called */
    uint64_t called_at_us; /* of the last call */
    uint64_t taken_us;
    struct vss_states_out times; /* what CommitSnapshots reported, without states */
    size_t onto[TRIAL_LUNS]; /* scratch LUNs that a resync overwrites; the originals unless set */
    uint32_t onto_count;
    bool is_recovering;     /* PRE_RECOVERY was told of them, POST_RECOVERY not yet */
    char *urls[TRIAL_LUNS]; /* where trial_look() found the copies; NULL: nowhere */
};

void trial_start(struct trial *t, struct conform *c);

/* Deletes the copies, aborts the set, frees. What may be left behind is a finding. */
void trial_end(struct trial *t);

/* Goes on until `to` is done. False, with the finding, where an operation fails. */
bool trial_advance(struct trial *t, enum trial_stage to);

/* One operation that takes vss_set_in, for luns[first .. first + count), whatever the stage; keeps
 * the states. */
HRESULT trial_call(struct trial *t, enum vss_provider_op op, uint32_t first, uint32_t count,
                   struct error *err);

/* trial_call() for the whole set, which must succeed. */
bool trial_do(struct trial *t, enum vss_provider_op op);

/* BeginPrepareSnapshot of one LUN as a volume of its own: of the snapshot that later calls name,
 * and from the second time on of another. */
HRESULT trial_begin(struct trial *t, uint32_t lun, struct error *err);

/* GetTargetLuns; keeps the infos as destinations. VSS_E_UNEXPECTED_PROVIDER_ERROR, and none is
 * kept, where one is that of a LUN that was there before and is not scratch. */
HRESULT trial_describe(struct trial *t, struct error *err);

/* OnLunStateChange of the copies. */
HRESULT trial_change(struct trial *t, uint32_t flag, uint32_t first, uint32_t count,
                     struct error *err);
bool trial_must_change(struct trial *t, uint32_t flag);

/* OnLunEmpty of copy i, which must succeed. */
bool trial_must_delete(struct trial *t, uint32_t i);

/* Starts a set of LUNs that were just filled, up to TRIAL_SHOWN; wanted: digests of the copies.
 * Then finishes it, gives the originals another content, and fills in the pairs that a resync would
 * be told of. trial_end() ends it also where one of them is false, after a finding. */
bool trial_prepare_copies(struct trial *t, struct conform *c, uint64_t *wanted);
#define TRIAL_EDGE_BYTES (1u << 20) /* that a resync takes for labels */
bool trial_prepare_pairs(struct trial *t, struct vss_resync_lun *luns);

/* OnLunStateChange of the LUNs of onto, as destinations of a resync, which must succeed. What
 * PRE_RECOVERY began trial_end() ends. */
bool trial_must_change_destinations(struct trial *t, uint32_t flag);

/* LocateLuns for this initiator name; NULL: this host's. */
HRESULT trial_locate(struct trial *t, const char *initiator, uint32_t first, uint32_t count,
                     struct error *err);

void trial_forget_urls(struct trial *t);

/* Looks on all portals for the copies. */
void trial_look(struct trial *t);

/* Looks, and all copies must be there; or none. */
bool trial_expect_visible(struct trial *t);
bool trial_expect_invisible(struct trial *t, const char *when);

/* After the set's end: not visible, and the copies can neither be cut nor shown. */
void trial_expect_gone(struct trial *t, uint32_t first, uint32_t count, const char *when);

/* Opens copy i where trial_look() found it. Another LUN may have that address by now:
 * VSS_E_OBJECT_NOT_FOUND where the identity is not the copy's. */
HRESULT trial_open_copy(struct trial *t, uint32_t i, bool read_only, struct lun **out,
                        struct error *err);

/* The content of copy i must be this. */
bool trial_expect_content(struct trial *t, uint32_t i, uint64_t digest, const char *what);

/* Inverts a block of copy i, which must be writable. False after a finding. */
bool trial_invert_block(struct trial *t, uint32_t i, uint64_t lba);

/* Writes to copy i, compares the outcome, and puts back what was there. Nothing is written where
 * the copy has not the content that its original has now. */
void trial_expect_writable(struct trial *t, uint32_t i, bool is_writable, const char *when);

#endif
