/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_DRILL_OWN_INTERNAL_H
#define LUNSHADOW_DRILL_OWN_INTERNAL_H

#include "drill/internal.h"
#include "drill/own.h"
#include "lun/lun.h"
#include "registry/locks.h"

/* A LUN of the drill: one that is in use, or the scratch LUN for it. */
struct own_lun {
    const char *name; /* as the caller gave it; may carry a secret: never shown */
    char *url;
    char key[LUN_KEY_BYTES];
    struct vss_lun_info info;
    struct raw_address address;
    struct raw_page identity; /* page 83, byte for byte */
    uint32_t block_bytes;
    uint64_t block_count;
    struct lock *lock; /* of a scratch LUN: no other program overwrites it meanwhile */
};

struct own_drill {
    struct drill base; /* what the drill's client of the requester API needs of one */
    const struct drill_own_options *options;
    struct config *config;
    struct own_lun volumes[DRILL_OWN_LUNS_MAX];
    struct own_lun scratch[DRILL_OWN_LUNS_MAX];
    VSS_ID snapshots[DRILL_OWN_LUNS_MAX];
    VSS_ID set_id;
    char *xml;
    bool has_set;       /* in the registry, to be deleted */
    bool was_written;   /* by this drill: the scratch LUNs may be other than they were */
    bool is_unfinished; /* RecoverSet failed since */
    uint64_t recover_ms;
};

/* ---- who the LUNs are (own_scratch.c) ---- */

/* Looks at all, takes the locks of the scratch LUNs, and refuses what must not be written to.
 * Nothing is written. own_forget() gives the locks back. */
HRESULT own_look(struct own_drill *o, struct error *err);
void own_forget(struct own_drill *o);

/* The scratch LUN is still the one that was looked at. */
HRESULT own_check_scratch(struct own_drill *o, size_t index, struct error *err);

/* Zeros over the first and the last MiB of the scratch LUNs that are still the same and that this
 * host does not use; what could not be wiped goes to the report. True: all were. After was_written
 * alone. */
bool own_wipe(struct own_drill *o);

/* ---- the command that judges (own_check.c) ---- */

/* Runs it, in a session of its own which ends with it, and records whether it is content. */
HRESULT own_judge(struct own_drill *o, struct error *err);

/* ---- the requester API (own_sets.c) ---- */

HRESULT own_create(struct own_drill *o, struct error *err);
HRESULT own_recover(struct own_drill *o, struct error *err);

/* After a RecoverSet that failed: where all scratch LUNs are blank now, what it left is ended, so
 * that it keeps nothing else on this host from writing; what stays unfinished goes to the report.
 */
void own_end_recovery(struct own_drill *o, bool are_blank);

/* Imports the set and compares each scratch LUN with its copy, but for the first and last MiB,
 * where disk ids differ; digests go to the report. */
HRESULT own_compare(struct own_drill *o, struct error *err);
HRESULT own_delete(struct own_drill *o, struct error *err);

#endif
