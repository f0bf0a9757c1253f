/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_PROVIDER_SET_DRY_RUN_H
#define LUNSHADOW_PROVIDER_SET_DRY_RUN_H

#include "lun/label/label.h"
#include "provider/set/environment.h"

/* An operation that shows what it would write to labels, and writes nothing. */

/* Keeps a disk's staged writes in env->label_changes: {"url", "note", "changes"}; note may be NULL.
 */
HRESULT dry_run_note(struct set_environment *env, const char *url, const char *note,
                     const struct label_writes *writes, uint32_t block_bytes, struct error *err);

/* What such an operation ends with, once everything is noted: E_ABORT. */
HRESULT dry_run_end(struct set_environment *env, struct error *err);

#endif
