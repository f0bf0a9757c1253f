/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_REQUESTER_DRY_RUN_H
#define LUNSHADOW_REQUESTER_DRY_RUN_H

#include <jansson.h>
#include <lunshadow/requester.h>
#include <stdbool.h>

/* Dry runs of a session's import, break and RecoverSet, for the command alone. */

/* From now on these run up to the first byte that they would write to a label, and end with a
 * failure, everything undone. */
void session_begin_dry_run(struct vss_backup_components *session);

/* Did one come to that point? *out_changes: what it would have written, one object for each disk
 * (see label_diff_to_json()); borrowed until the next one or the release, NULL for nothing. */
bool session_ended_dry_run(const struct vss_backup_components *session, const json_t **out_changes);

#endif
