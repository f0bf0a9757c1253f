/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_DRILL_INTERNAL_H
#define LUNSHADOW_DRILL_INTERNAL_H

#include "drill/cut.h"
#include "drill/disk_label.h"
#include "drill/drill.h"
#include "drill/image.h"
#include "drill/label_fields.h"
#include "drill/raw.h"
#include "drill/report.h"
#include "drill/workload.h"
#include "lab/lab.h"

#include <lunshadow/requester.h>

#define DRILL_LUNS 3

/* The LUN that loses both labels in the damage, and then its ids are the last that were read. */
#define DRILL_WIPED_LUN 1 /* an index */

/* One of the drill's own LUNs: the only ones it ever writes to. */
struct drill_lun {
    enum label_form form;
    struct raw_address address;
    char *url;
    char *file; /* name below the array's directory */
    struct layout layout;
    struct image *image;         /* what it must contain now */
    struct image *image_at_cut;  /* what the copies of the first set hold */
    struct fields *label_at_cut; /* and their originals' label */
    struct fields *label_before; /* the destination's own label before a resync */
    struct raw_page identity;    /* page 83, byte for byte */
};

/* One snapshot set; copies[i] is of luns[i]. */
struct drill_set {
    VSS_ID set_id;
    VSS_ID snapshots[DRILL_LUNS];
    struct raw_address copies[DRILL_LUNS];
    struct raw_page identities[DRILL_LUNS]; /* page 83 of the copies */
    char *xml;
    bool exists;        /* in the registry */
    bool imported;      /* copies[] and identities[] are known */
    uint64_t create_us; /* all calls of the one that was made */
};

/* What this drill puts its own into: the numbers are indexes of sets[]. */
enum drill_set_use {
    SET_CUT,        /* under load; both resyncs; broken with the originals' ids */
    SET_LAST_READ,  /* reads the new ids before a label is lost; deleted */
    SET_READ_WRITE, /* full copies; broken with MAKE_READ_WRITE */
    SET_MASK,       /* broken with MASK_LUNS */
    SET_COUNT
};

struct drill {
    const struct drill_options *options;
    struct report *report;
    VSS_ID id;
    char short_id[9]; /* for names */
    char *work;       /* all of it lies below */
    bool made_work;
    bool is_set_up; /* it ran: there is something to look at */
    char *scratch;  /* work/tmp: for the tools */
    char *state;    /* work/state: the registry */
    char *config;   /* work/lunshadow.conf */
    char *log;      /* work/acks */
    char *target;
    char *foreign_target;
    char *initiator;
    char *second_initiator;
    uint64_t seed;
    uint64_t lun_bytes;
    struct lab *lab;
    struct drill_lun luns[DRILL_LUNS];
    struct raw_address foreign;
    uint8_t foreign_digest[IMAGE_DIGEST_BYTES];
    struct workload *workload;
    struct acks *acks; /* after the workload's end */
    uint64_t load_started_us;
    struct drill_set sets[SET_COUNT];
    int control_count;
};

/* ---- the order of the drills beside this one (publish.c) ---- */

/* Begins a phase. False: it is left out, which the report says, because an earlier one failed
 * (*failed, NULL at first, is its name) or because the drill was stopped, which *failed says then.
 */
bool drill_phase_begins(struct drill *d, const char *name, const char **failed);
void drill_phase_failed(struct drill *d, const char *name, const struct error *err,
                        const char **failed);

/* ---- the report at the end (publish.c) ---- */

/* <state directory>/drills, which is there then; asked before anything else is done. malloc'ed. */
HRESULT drill_reports_directory(const struct drill_options *options, char **out, struct error *err);

/* Keeps the report there as <time>-<id>.json, prints it, and says what came of the drill: a report
 * that could not be kept is a drill that failed. */
enum drill_result drill_publish(const struct drill_options *options, const struct report *report,
                                const VSS_ID *id, const char *directory, struct error *err);

/* ---- environment (setup.c) ---- */

/* Names, directories, the array, room for that many LUNs of lun_bytes, the configuration. Nothing
 * is written to a LUN. */
HRESULT setup_array(struct drill *d, size_t luns, struct error *err);

/* All that for the LUNs of this drill. */
HRESULT setup_begin(struct drill *d, struct error *err);

/* Takes everything away (keep, and is_set_up: says how to look at it); what stays goes to the
 * report. */
void setup_end(struct drill *d);
bool drill_was_stopped(const struct drill *d);

/* ---- writing, always after looking (guarded.c) ---- */

/* Logs in to one of the drill's own LUNs, and refuses (VSS_E_UNEXPECTED, both named) where the page
 * 83 that answers in this session is not that LUN's. Everything that writes to an original goes
 * through this. */
HRESULT guarded_open(struct drill *d, size_t lun, struct raw **out, struct error *err);

/* Opens what must have this page 83. */
HRESULT guarded_open_known(const struct raw_address *address, const char *initiator,
                           const struct raw_page *identity, struct raw **out, struct error *err);

/* The same for a copy of an imported set. */
HRESULT guarded_open_copy(struct drill *d, const struct drill_set *set, size_t lun,
                          struct raw **out, struct error *err);

/* Overwrites a third of the data ranges, chosen by salt, and forgets nothing: the image
 * is left as it was, so it now says what was lost. */
HRESULT guarded_damage(struct drill *d, size_t lun, uint64_t salt, uint64_t *out_blocks,
                       struct error *err);
HRESULT guarded_wipe_labels(struct drill *d, size_t lun, struct error *err);

/* Other disk ids by outside tools; label_before becomes what is on the LUN then. */
HRESULT guarded_new_ids(struct drill *d, size_t lun, struct error *err);

/* ---- the requester API (sets.c) ---- */

HRESULT drill_session(struct drill *d, const char *xml, bool for_restore,
                      struct vss_backup_components **out, struct error *err);

/* A call's code with the session's own line. */
HRESULT drill_call(struct vss_backup_components *session, HRESULT hr, const char *method,
                   struct error *err);

/* Waits for the end of an operation that was just started with result hr; releases async. out_steps
 * (may be NULL) counts how often its progress was seen to grow. */
HRESULT drill_wait(struct drill *d, struct vss_backup_components *session, HRESULT hr,
                   struct vss_async *async, const char *method, uint32_t *out_steps,
                   struct error *err);

/* Starts an operation and waits for its end. */
HRESULT drill_async(struct drill *d, struct vss_backup_components *session, const char *method,
                    HRESULT (*start)(struct vss_backup_components *, struct vss_async **),
                    struct error *err);

/* InitializeForBackup to GetSnapshotProperties; extra: attributes ORed into the context. Made again
 * some times where the answer is VSS_E_HOLD_WRITES_TIMEOUT, which asks for just that. */
HRESULT drill_create_set(struct drill *d, enum drill_set_use use, uint32_t extra,
                         struct error *err);

/* ImportSnapshots in a session of its own, which is the caller's to release. Where another import
 * runs on this machine (VSS_E_BAD_STATE) it is waited for, two minutes at most. */
HRESULT drill_import(struct drill *d, const char *xml, struct vss_backup_components **out,
                     struct error *err);
HRESULT drill_import_set(struct drill *d, enum drill_set_use use, struct error *err);

/* The code of BreakSnapshotSetEx, whatever it is; its line in err. */
HRESULT drill_break_set(struct drill *d, enum drill_set_use use, uint32_t flags, struct error *err);
HRESULT drill_delete(struct drill *d, const VSS_ID *id, int32_t type, int32_t *out_deleted,
                     struct error *err);

/* ---- checks that several phases make (checks.c) ---- */

/* Reads a LUN's fixed areas; freed with free(). */
HRESULT drill_read_fixed(struct drill *d, size_t lun, const struct raw_address *address,
                         uint8_t **out, struct error *err);
HRESULT drill_read_label(struct drill *d, size_t lun, const struct raw_address *address,
                         struct fields **out, struct error *err);

/* The LUN at address holds what image says, in these parts. */
void check_image(struct drill *d, const char *name, const struct image *image,
                 const struct raw_address *address, enum image_part parts);

/* The label at address is `expected`: field by field, byte by byte as the label at the cut with
 * those ids, and as outside tools see it. */
void check_label(struct drill *d, size_t lun, const struct raw_address *address,
                 const struct fields *expected);

/* Outside tools alone. */
void check_tools(struct drill *d, size_t lun, const uint8_t *fixed, const struct fields *expected);

/* ---- the phases; each records its checks. A failure ends the drill's remaining phases. ---- */

/* LUNs with labels and data, and the foreign LUN (setup.c). */
HRESULT phase_make_luns(struct drill *d, struct error *err);
HRESULT phase_identify(struct drill *d, struct error *err);
HRESULT phase_create(struct drill *d, struct error *err);
HRESULT phase_import(struct drill *d, struct error *err);
HRESULT phase_cut(struct drill *d, struct error *err);
HRESULT phase_untouched(struct drill *d, struct error *err);
HRESULT phase_damage(struct drill *d, struct error *err);
HRESULT phase_resync_default(struct drill *d, struct error *err);
HRESULT phase_damage_again(struct drill *d, struct error *err);
HRESULT phase_resync_revert(struct drill *d, struct error *err);
HRESULT phase_break_refused(struct drill *d, struct error *err);
HRESULT phase_break_revert(struct drill *d, struct error *err);
HRESULT phase_break_others(struct drill *d, struct error *err);
HRESULT phase_delete(struct drill *d, struct error *err);
HRESULT phase_nothing_left(struct drill *d, struct error *err);

#endif
