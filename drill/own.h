/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_DRILL_OWN_H
#define LUNSHADOW_DRILL_OWN_H

#include "drill/drill.h"

#define DRILL_OWN_LUNS_MAX 64

/* A drill on LUNs that are in use: they are shadow-copied, and only ever read; the copies are
 * recovered onto scratch LUNs, and a command judges what is there. */
struct drill_own_options {
    /* keep: leave the scratch LUNs as they were recovered; otherwise their labels are wiped, so
     * that nothing takes them for the originals. Of the others state_directory, json, out and
     * should_stop count. */
    struct drill_options common;
    const char *config_path;    /* NULL: the default */
    const char *const *volumes; /* iscsi URLs of whole LUNs */
    const char *const *onto;    /* the scratch LUN for each; see own_scratch.c */
    size_t count;               /* 1..DRILL_OWN_LUNS_MAX */
    const char *check;          /* for sh -c; its exit code 0 is the check's success */
    uint32_t max_rto_s;         /* recovery and check take no longer; 0: not judged */
};

/* Writes only to LUNs that a section [scratch NAME] of the configuration names, with "lun" (the
 * URL) and "identity" (the lun_info_key() that it must have), and that have that identity when they
 * are looked at, before every write. DRILL_DID_NOT_RUN where a scratch LUN is not so named, is
 * another LUN, is or may be one of the volumes, has another block size or is smaller than its
 * volume, is in use on this host (lun/host/in_use.h), or is overwritten by another drill or a
 * conformance run: each holds the LUN's lock until it was wiped, or given back (keep).
 *
 * The command's environment has LUNSHADOW_DRILL_COUNT, LUNSHADOW_DRILL_VOLUME_1, ... and
 * LUNSHADOW_DRILL_LUN_1, ... (the URLs of the scratch LUNs). It is killed when the time it may take
 * (what is left of max_rto_s; no limit without that) is over, or the drill is stopped; and what it
 * left running is killed with its process group, before the scratch LUNs are wiped. */
enum drill_result drill_own_run(const struct drill_own_options *options, struct error *err);

#endif
