/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_REGISTRY_SET_MARKS_H
#define LUNSHADOW_REGISTRY_SET_MARKS_H

#include "registry/store.h"

#include <stddef.h>
#include <stdint.h>

/* What the registry remembers about a set beside the set itself. A mark goes with its set, however
 * that goes; sets_save() leaves marks as they are. */

/* The set ends with this process: an auto-release one. VSS_E_OBJECT_NOT_FOUND. */
HRESULT set_marks_own(struct store *store, const VSS_ID *set_id, struct error *err);

/* Auto-release sets whose process is gone and that no journal entry speaks of, oldest first. *out
 * is freed with free(). */
HRESULT set_marks_load_abandoned(struct store *store, VSS_ID **out, size_t *out_count,
                                 struct error *err);

/* A set holds what a resync overwrote. */
struct safety_mark {
    VSS_ID set_id;
    VSS_ID resync_id;
    int64_t taken; /* FILETIME */
};

/* A set is marked for the last resync that it serves; the time is that of the first.
 * VSS_E_OBJECT_NOT_FOUND. */
HRESULT set_marks_add_safety(struct store *store, const VSS_ID *set_id, const VSS_ID *resync_id,
                             struct error *err);

/* What the set holds was not overwritten after all. S_OK also where it has no such mark. */
HRESULT set_marks_drop_safety(struct store *store, const VSS_ID *set_id, struct error *err);

/* All, oldest set first. *out is freed with free(). */
HRESULT set_marks_load_safety(struct store *store, struct safety_mark **out, size_t *out_count,
                              struct error *err);

#endif
