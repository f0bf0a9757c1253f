/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_PROVIDER_SET_VISIBLE_H
#define LUNSHADOW_PROVIDER_SET_VISIBLE_H

#include "lun/scan.h"
#include "provider/set/environment.h"

/* What this host can see: the LUNs behind the portals of its configuration ([portal NAME] address =
 * host[:port]), and its own block devices. */
struct visible {
    struct scan **scans;
    size_t count;
    bool all_answered;       /* every configured portal, target and LUN said what it is */
    struct error unanswered; /* the first that was not; it proves nothing about what is behind it */
};

/* Scans all portals; only_target: that target alone, portals that do not have it being no failure.
 * Fails only for want of memory. */
HRESULT visible_scan(struct set_environment *env, const char *only_target, struct visible *out,
                     struct error *err);
/* The same of all portals, with labels. */
HRESULT visible_scan_labels(struct set_environment *env, struct visible *out, struct error *err);
void visible_free(struct visible *visible); /* leaves it all-zero */

/* The LUN with this identity, or NULL. *out_ambiguous (may be NULL) names a LUN whose designators
 * contradict those of info: neither one nor the other can then be trusted. */
const struct scan_lun *visible_find(const struct visible *visible, const struct vss_lun_info *info,
                                    const struct scan_lun **out_ambiguous);

/* The LUN with this key (lun_info_key()): S_OK, the first of its addresses; S_FALSE, and NULL,
 * where there is none. VSS_E_OBJECT_NOT_FOUND: LUNs that are not the same have it (one designator,
 * two serial numbers); a key alone cannot say which is meant, the text names both. */
HRESULT visible_find_key(const struct visible *visible, const char *lun_key,
                         const struct scan_lun **out, struct error *err);

#endif
