/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_LUN_LINT_INTERNAL_H
#define LUNSHADOW_LUN_LINT_INTERNAL_H

#include "lun/lint/lint.h"

/* A run of the linter. Failures of memory stick. */
struct lint {
    const struct scan_lun **luns; /* of all scans, those that have an identity */
    size_t count;
    struct lint_report *report;
    HRESULT status;
};

/* Takes text and remedy over (malloc'ed; NULL: memory was short). A LUN that comes twice in luns is
 * named once. */
void lint_add(struct lint *lint, const char *name, enum lint_severity severity,
              const struct scan_lun *const *luns, size_t count, char *text, char *remedy);

/* The checks. */
void lint_single(struct lint *lint);
void lint_shared(struct lint *lint);
void lint_host(struct lint *lint, const char *sysfs);

/* Two addresses with one LUN behind them, as far as the scan can tell. */
bool lint_is_one_lun(const struct scan_lun *a, const struct scan_lun *b);

/* In what two LUNs differ that one LUN has only once: "serial number", ...; NULL: in nothing. */
const char *lint_difference(const struct scan_lun *a, const struct scan_lun *b);

/* Any designator in common, whether it counts or not, but for blank ones. */
bool lint_shares_designator(const struct scan_lun *a, const struct scan_lun *b);

/* Commands, as far as the INQUIRY strings tell what array it is; malloc'ed. */
char *lint_remedy_designator(const struct scan_lun *lun);
char *lint_remedy_serial(const struct scan_lun *lun);
char *lint_remedy_disk_ids(const struct scan_lun *lun);

#endif
