/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_DRILL_EVIDENCE_H
#define LUNSHADOW_DRILL_EVIDENCE_H

#include "common/error.h"
#include "drill/drill.h"

#include <jansson.h>

/* A report that is kept as evidence carries a digest of itself: XXH3-128 of its compact JSON with
 * sorted keys, the member "digest" left out. It shows that nothing was changed by accident or in
 * passing; who must prove more signs the file. */

/* Sets the member. E_OUTOFMEMORY. */
HRESULT evidence_seal(json_t *report);

/* Is the report in this file whole, and does it say what its checks say: their number, the result
 * that follows from them, and that the recovery took no longer than it was allowed to? What it
 * found goes to out, a line each or as JSON. DRILL_PASSED, DRILL_LEFT_BEHIND: it is, and so ended
 * the drill. DRILL_FAILED: it is not, or the drill failed. DRILL_DID_NOT_RUN: the file is no
 * report; err. */
enum drill_result evidence_verify(const char *path, bool as_json, FILE *out, struct error *err);

#endif
