/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_RESYNC_INTERNAL_H
#define LUNSHADOW_RESYNC_INTERNAL_H

#include "lun/label/disk_ids.h"
#include "lun/label/edges.h"
#include "lun/volume.h"
#include "registry/journal.h"
#include "registry/locks.h"
#include "resync/recovery.h"

/* Where the disk ids that a destination had come from. */
enum ids_origin { IDS_READ, IDS_REMEMBERED, IDS_UNKNOWN };

/* One destination LUN, however many volumes on it are recovered. */
struct recovery_disk {
    const struct lun_mapping *mapping; /* the copy that goes over it */
    char *open_name;                   /* as the caller gave it, with a URL's secret: never shown */
    struct lun *lun;
    struct vss_lun_info info; /* who it was when it was added: who it must be ever after */
    char key[LUN_KEY_BYTES];
    struct label *label; /* before; NULL where it could not be read */
    struct vss_disk_ids before;
    enum ids_origin before_origin;
    int64_t before_when; /* IDS_REMEMBERED: when they were read, FILETIME */
    struct vss_disk_ids wanted;
    char *ids_note;
    struct edges *edges; /* as they were before the wipe */
    bool is_fenced;
    bool is_others;       /* others were registered when it was to be fenced */
    struct error failure; /* of a step on this destination; code S_OK: none */
    bool was_invalid;     /* an earlier resync that did not end had begun to overwrite it */
    bool fence_was_kept;  /* a taken over resync's fence still stood when ours was raised */
    bool fence_was_down;  /* it had gone since, which fence_restore() has not told yet */
    uint64_t *fence_keys; /* every key that this resync registered; one for each session */
    size_t fence_key_count;
};

struct recovery_member {
    const struct snapshot_record *snapshot;
    struct volume_name destination;
    bool is_named;   /* the caller named it; else it is the original */
    bool is_stacked; /* it was copied as a volume of LVM or RAID, beside which others may lie */
    size_t disk;
};

struct recovery {
    struct set_environment *env;
    const struct set_record *set;
    bool is_registered; /* this host's registry has the set */
    struct provider *provider;
    bool copies_by_host;       /* the array leaves that to us */
    struct copy_wish wish;     /* what the caller asked for */
    struct copy_policy policy; /* then: how */
    struct host_copy *host;    /* then: one for each disk, from copy_prepare() on */
    struct lock *lock;
    struct recovery_member *members;
    size_t member_count;
    struct recovery_disk *disks;
    size_t disk_count;
    struct recovery_member_result *results;
    bool may_be_mounted; /* for now: that is not checked yet */
    bool was_run;        /* past its checks: it cannot be run again */
    VSS_ID resync_id;
    VSS_ID journal_id;
    bool is_written;   /* a destination's bytes were touched */
    bool is_not_begun; /* by the array, which says so: what it was to copy was not there */
    bool was_invalid;  /* or one's had been, by an earlier resync that did not end */
    bool is_done;      /* all are what they shall be, and the journal says so */
    bool is_verbatim;  /* destinations get the copy's content as it is, labels too: an undo */
    enum recovery_undo undo;
    VSS_ID takes_over;          /* the journal entry that this one is about to end; null: none */
    struct set_builder *safety; /* the set that shall be the safety copy, not yet taken */
    VSS_ID safety_planned;      /* its id */
    VSS_ID safety_id;           /* the safety copy that this resync itself took; null: none */
    char *undo_note;
    char *method;
    struct journal_entry
        *adopted; /* of earlier resyncs; the first adopted_kept are made whole by this one */
    size_t adopted_count;
    size_t adopted_kept;
};

/* Opens the destination of a snapshot and runs the checks of one member; see recovery_add(). */
HRESULT destination_open(struct recovery *r, const struct lun_mapping *mapping,
                         const char *destination, struct recovery_disk *out, struct error *err);
void destination_free(struct recovery_disk *disk);

/* Opens it again after its sessions were closed, and checks that it is the LUN that it was. */
HRESULT destination_reopen(struct recovery *r, struct recovery_disk *disk, struct error *err);

/* Reads the identity once more in the running session: VSS_E_PROVIDER_VETO where it is another LUN
 * by now. */
HRESULT destination_check_identity(struct recovery_disk *disk, struct error *err);

/* The same in a session that works, a new one where it was lost, behind the fence. S_OK: it stood
 * all the time; S_FALSE: others may have written. */
HRESULT destination_regain(struct recovery *r, struct recovery_disk *disk, struct error *err);
/* The same; VSS_E_PROVIDER_VETO where others may have written. */
HRESULT destination_check_guarded(struct recovery *r, struct recovery_disk *disk,
                                  struct error *err);

/* Reads the label once more. S_FALSE: partitions or ids are not what they were; disk->label and
 * disk->before are now what is there. */
HRESULT destination_refresh_label(struct recovery *r, struct recovery_disk *disk,
                                  struct error *err);

/* This host has nothing of the disk mounted, in no mount namespace, and does not swap to it: a
 * kernel would go on with what it remembers of it, and write that over what was brought back.
 * VSS_E_PROVIDER_VETO names the place. */
HRESULT destination_check_unmounted(const struct recovery_disk *disk, struct error *err);

/* Every volume on the disk is a destination of the set: VSS_E_UNSELECTED_VOLUME names the first
 * that is not. */
HRESULT destination_check_volumes(const struct recovery *r, size_t disk, struct error *err);

/* Which ids the disk shall have; see recovery_run(). Nothing is written.
 * VSS_E_CANNOT_REVERT_DISKID. */
HRESULT ids_plan(struct recovery_disk *disk, uint32_t flags, struct error *err);

/* When all is copied: the partitions are those of the cut, not those that the original had when it
 * was added to its set. The planned ids for the ones that there are. */
HRESULT ids_fit(struct recovery_disk *disk, struct error *err);

/* Would the original's ids be seen twice? Asked for (REVERT_IDENTITY_ALL), that is
 * VSS_E_CANNOT_REVERT_DISKID as collisions_check() says it; all must answer where a destination is
 * another LUN than the original. A destination of no known ids gets new ones instead. */
HRESULT ids_check_collisions(struct recovery *r, uint32_t flags, struct error *err);

/* Steps of a resync's journal entry beside PLAN_STEP (flags, and destination by snapshot) and those
 * of single disks. */
#define RESYNC_STEP_EDGES   "edges-before" /* of a disk; again where they changed until its fence */
#define RESYNC_STEP_WANTED  "ids-wanted"   /* of a disk; one for each */
#define RESYNC_STEP_SAFETY  "safety-copy"  /* id of the set that holds what is overwritten */
#define RESYNC_STEP_WIPE    "wipe"         /* from here on destinations are not what they were */
#define RESYNC_STEP_COPY    "copy"         /* the array's state; empty until it gave one */
#define RESYNC_STEP_STOPPED "copy-stopped" /* the array said that it copies no more */
#define RESYNC_STEP_DONE    "done"         /* all are what they shall be; others are to be let in */
#define RESYNC_STEP_FENCE   "fence"        /* of a disk: a key that is registered */
#define RESYNC_STEP_ANEW    "fence-anew"   /* the same where none stood: notes before it are void */

/* Opens the journal entry, with all that is known of the destinations, in one transaction.
 * VSS_E_BAD_STATE where a copy is gone or somebody is at work on the set. */
HRESULT entry_open(struct recovery *r, uint32_t flags, struct error *err);
/* Says that the array copies no more. Failing to say so is no failure. */
void entry_note_stopped(struct recovery *r);
/* Keeps what changed at the edges of a disk before the fence was up. */
HRESULT entry_keep_edges(struct recovery *r, const struct recovery_disk *disk, struct error *err);
/* Says that the destinations are about to become invalid, and who will copy to them. */
HRESULT entry_announce_wipe(struct recovery *r, struct error *err);
/* Says that they are what they shall be, and closes the entries that this resync took over. From
 * then on nothing overwrites them again, whatever fails. */
HRESULT entry_announce_done(struct recovery *r, struct error *err);

/* What was done, member by member, into r->results, in place of what is there. E_OUTOFMEMORY. */
HRESULT results_keep(struct recovery *r, HRESULT result);
void results_free(struct recovery *r);
/* The registry's row for listings: a failure to write it changes nothing. */
void results_record(struct recovery *r, uint32_t flags, int64_t started, HRESULT result);

/* Notes which label bytes would change, and ends with E_ABORT: see dry_run.h. */
HRESULT recovery_preview(struct recovery *r, struct error *err);

/* A persistent reservation that keeps every other initiator from writing: write exclusive for
 * registrants, one registration of ours for each session that writes, each with a key of its own
 * that is journaled first. Refused (VSS_E_PROVIDER_VETO) where somebody else is registered: a
 * registrant could write. What an adopted entry registered is preempted. A LUN without persistent
 * reservations is left unfenced, and the log says so. */
HRESULT fence_raise(struct recovery *r, struct recovery_disk *disk, struct error *err);
/* Is it to be had? VSS_E_PROVIDER_VETO where somebody else is registered: perhaps another host's
 * resync, whose sessions are not to be cut, and whose half-written LUN is not to be shown. */
HRESULT fence_check_others(const struct recovery *r, const struct recovery_disk *disk,
                           struct error *err);
/* Registers a session more, which shall write. Does nothing where the LUN is unfenced. */
HRESULT fence_add_path(struct recovery *r, struct recovery_disk *disk, struct lun *path,
                       struct error *err);
/* After disk->lun was opened anew: takes the reservation over from the session that is lost, which
 * leaves no gap. S_FALSE: it was gone (the target was restarted) and is raised again; meanwhile
 * others may have written. VSS_E_PROVIDER_VETO as fence_raise(). */
HRESULT fence_restore(struct recovery *r, struct recovery_disk *disk, struct error *err);
/* S_OK: disk->lun holds the reservation still, or never had one; S_FALSE: not any more. */
HRESULT fence_check(struct recovery_disk *disk, struct error *err);
/* Takes it off again, over a new session where the old one is lost. A failure says that it is still
 * there. Harmless where none is up. */
HRESULT fence_lower(struct recovery *r, struct recovery_disk *disk, struct error *err);
/* Takes another session's registration off a LUN. A LUN that has it no more is done. */
HRESULT fence_drop_key(struct lun *lun, uint64_t key, struct error *err);
/* A registration of this key, or one that fence_drop_key() left when it died. */
bool fence_is_of_key(uint64_t key, uint64_t seen);

#endif
