/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_PROVIDER_SET_IMPORT_H
#define LUNSHADOW_PROVIDER_SET_IMPORT_H

#include "provider/set/set.h"

/* The import itself, under a journal entry that is open: LocateLuns, find, fresh disk ids,
 * read-only. Fills in copy_url, copy_ids and device of what was found. S_OK,
 * VSS_S_SOME_SNAPSHOTS_NOT_IMPORTED, VSS_E_NO_SNAPSHOTS_IMPORTED. *out_is_torn: labels are
 * changed, wholly or (see label_change_copies()) in part, and a failure has not put them back.
 * Otherwise copies that were imported before are read-only again after a failure or a dry run. */
HRESULT set_import_copies(struct set_environment *env, struct provider *provider,
                          struct set_record *set, const VSS_ID *journal_id, bool *out_is_torn,
                          struct error *err);

/* Are its copies this host's, as far as is remembered? */
bool set_is_shown(const struct set_record *set);

/* Hides all copies of a set whose import came to nothing. Those that the array does not know are
 * hidden; one that says that it cannot mask, and does not, is no failure but is logged. */
HRESULT set_hide(struct provider *provider, struct set_record *set, struct error *err);

/* LocateLuns for this host's initiator. VSS_E_NO_SNAPSHOTS_IMPORTED where every copy is gone. */
HRESULT set_locate(struct set_environment *env, struct provider *provider, struct set_record *set,
                   struct error *err);

#endif
