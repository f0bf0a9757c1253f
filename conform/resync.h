/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_CONFORM_RESYNC_H
#define LUNSHADOW_CONFORM_RESYNC_H

#include "conform/trial.h"

/* One resync of a trial's copies over the LUNs that trial.onto names: those that they were made of,
 * unless a case says otherwise. */
struct resync {
    struct trial t;
    VSS_ID id;
    struct vss_resync_lun luns[TRIAL_LUNS];
    struct vss_state state; /* owned */
    uint64_t bytes_total;
    uint64_t bytes_done;
    bool is_started; /* and not cancelled since */
    bool is_done;
    uint64_t end_us;             /* when it takes too long */
    uint64_t wanted[TRIAL_LUNS]; /* digests of the copies */
};

/* A set whose originals have other content by now, and everything set for start. resync_end() ends
 * it also where this is false, after a finding. */
bool resync_prepare(struct resync *r, struct conform *c);

/* PRE_RECOVERY and start, under a new id; both must succeed. */
bool resync_start(struct resync *r);

/* The call of start alone, whatever comes of it. Of one that succeeds the destinations are written
 * to. */
HRESULT resync_try_start(struct resync *r, struct error *err);

/* Poll, after a pause. False, with the finding, where it fails, the resync takes too long, or the
 * run was interrupted. */
bool resync_poll(struct resync *r);

/* Polls to the end, and POST_RECOVERY; renews: each poll in a process of its own. */
bool resync_finish(struct resync *r, bool renews);

/* Cancel; and that as often as one likes. */
HRESULT resync_cancel(struct resync *r, struct error *err);
bool resync_must_cancel(struct resync *r);

/* As if the answer to start had been lost. */
void resync_forget_state(struct resync *r);

/* The destinations are what their copies are. */
void resync_expect_content(struct resync *r);

/* Cancels what goes on, tells the destinations of POST_RECOVERY, ends the trial, frees. */
void resync_end(struct resync *r);

#endif
