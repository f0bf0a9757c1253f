/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_LUN_LINT_LINT_H
#define LUNSHADOW_LUN_LINT_LINT_H

#include "lun/scan.h"

/* What is wrong with the identities of LUNs that are seen together. It judges what scans brought
 * and this host's sysfs, and asks no LUN anything itself. */

enum lint_severity {
    LINT_WARNING, /* other software may mistake the LUN; lunshadow does not */
    LINT_ERROR    /* the LUN is or will be taken for another one */
};

/* Names are stable. Of page 83: "designator-missing", "designator-local", "designator-blank",
 * "designator-default", "designator-duplicate" (LUNs that differ in serial number, size, INQUIRY
 * strings or disk id, or a designator that does not count in two targets), "designator-truncated"
 * (T10 ids that differ only beyond 8 characters of their body, of LUNs that have nothing better).
 * Of page 80: "serial-missing", "serial-duplicate", "serial-mismatch" (a T10 designator made of
 * product and serial number, SPC-4 7.8.6.4, has another one). Of labels: "mbr-signature-duplicate",
 * "disk-guid-duplicate", "partition-guid-duplicate". Of this host: "wwid-stale" (the kernel still
 * has an identity that the LUN no longer has). */
struct lint_finding {
    const char *name; /* static */
    enum lint_severity severity;
    char **urls; /* the LUNs that it is about, without secrets */
    size_t url_count;
    char *text;   /* what is wrong, one line */
    char *remedy; /* the command that mends it, or what to do where the array is not known */
};

struct lint_report {
    struct lint_finding *findings; /* LUN by LUN, then what several share, then this host */
    size_t count;
};

struct lint_input {
    struct scan *const *scans; /* SCAN_FULL_LABEL, or nothing is said of labels */
    size_t scan_count;
    const char *sysfs; /* "/sys"; NULL: this host's own devices are left out */
};

/* Several paths to one LUN are no finding. Fails only where memory is short, *out then being empty.
 * Freed by lint_report_free(). */
HRESULT lint_run(const struct lint_input *in, struct lint_report *out, struct error *err);

/* Leaves in report what a later look has found too, about the same LUNs or some of them, as the one
 * of both has it that is about fewer: what is being changed looks wrong for a moment. What it keeps
 * may be taken from later, which is to be freed all the same. */
void lint_confirm(struct lint_report *report, struct lint_report *later);
void lint_report_free(struct lint_report *report); /* leaves it all-zero */

#endif
