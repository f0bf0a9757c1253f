/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_LUN_SCAN_H
#define LUNSHADOW_LUN_SCAN_H

#include "lun/label/label.h"
#include "lun/lun.h"

/* What a scan found at one address. */
struct scan_lun {
    struct lun_address address;
    char *url;
    HRESULT result; /* FAILED: it answered, but not with a usable identity; see text */
    struct error error;
    struct lun_identity identity;
    char *key;            /* lun_info_key() of identity; NULL where result is a failure */
    HRESULT label_result; /* S_FALSE: labels were not asked for */
    struct error label_error;
    struct label *label; /* NULL unless read */
};

struct scan {
    struct scan_lun *luns; /* by target, then LUN number */
    size_t count;
    struct scan_target_error { /* targets that were listed but refused the login, went away, or have
                                  LUNs that cannot be addressed */
        char target[256];
        struct error error;
    } * target_errors;
    size_t target_error_count;
};

enum scan_label { SCAN_NO_LABEL, SCAN_PRIMARY_LABEL, SCAN_FULL_LABEL /* backup GPT header too */ };

/* Discovers (SendTargets) the targets that portal ("host[:port]") shows this initiator and
 * identifies all their disk LUNs (IDENTITY_BRIEF), commands pipelined over one session per target;
 * devices that are no disks are left out. A LUN that fails is a row with its failure. A target
 * whose session fails, also in the middle, is in target_errors and has no rows: nothing is known of
 * its LUNs. A target where either happens is looked at once more a moment later, and is left out
 * where the portal then does not list it any more: others delete and mask LUNs, and a resync cuts
 * sessions, while this runs. One that lists LUNs in an address form that is not supported
 * (report_luns()) is in target_errors too, with the rows of its others. only_target: that target
 * alone, without discovery; its failure is the result. NULL: all. Designators seen on two LUNs with
 * different serials lose their rank for both: scan_duplicate(). Fails only where the portal (or
 * only_target) cannot be asked, or memory is short. */
HRESULT scan_portal(const char *portal, const char *only_target, enum scan_label labels,
                    const struct lun_options *options, struct scan **out, struct error *err);
void scan_free(struct scan *scan);

/* Names of the targets that portal shows; *out is an array of *out_count malloc'ed strings. */
HRESULT scan_targets(const char *portal, const struct lun_options *options, char ***out,
                     size_t *out_count, struct error *err);

/* The other LUN that carries the same best designator although its serial differs, or NULL. */
const struct scan_lun *scan_duplicate(const struct scan *scan, const struct scan_lun *lun);

#endif
