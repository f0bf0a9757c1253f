/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_PROVIDER_SET_CLAIMED_H
#define LUNSHADOW_PROVIDER_SET_CLAIMED_H

#include "provider/set/set.h"

/* Operations under a journal entry that is open already: opened by their own beginning, or by a
 * process that is gone and that `recover` finishes for. Each closes the entry with its success; a
 * failure leaves it to the caller. */

struct claimed_failure {
    bool is_torn; /* a label is not what the registry says: the entry must stay open */
    bool is_new;  /* the set was not in the registry before, and is now */
};

/* set as set_import(). Where the registry does not know it, it is put there before the array shows
 * anything, so that it can be taken back. */
HRESULT claimed_import(struct set_environment *env, struct set_record *set,
                       const VSS_ID *journal_id, struct claimed_failure *out, struct error *err);

HRESULT claimed_break(struct set_environment *env, const VSS_ID *set_id, uint32_t flags,
                      const VSS_ID *journal_id, struct claimed_failure *out, struct error *err);

/* out_nondeleted is not NULL here. */
HRESULT claimed_delete(struct set_environment *env, const VSS_ID *object_id, int32_t type,
                       const VSS_ID *journal_id, int32_t *out_deleted, VSS_ID *out_nondeleted,
                       struct error *err);

/* Steps by which `recover` tells how far a dead process came, beside PLAN_STEP and OLD_LABEL_STEP.
 */
#define LUN_EMPTY_STEP "lun-empty" /* this copy may be deleted from here on */
#define IS_KNOWN_STEP  "is-known"  /* an import: the registry knew the set before */
#define IS_NEW_STEP    "is-new"    /* an import: it did not, and now it does */

#endif
