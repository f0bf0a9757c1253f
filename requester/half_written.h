/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_REQUESTER_HALF_WRITTEN_H
#define LUNSHADOW_REQUESTER_HALF_WRITTEN_H

#include <lunshadow/requester.h>
#include <stdbool.h>

/* Has an earlier resync, which did not end, begun to overwrite a LUN of the session's recovery set?
 * While that is empty: an original of the document's set, or any LUN with that set's copies. No
 * application may be started on it then. True also where that cannot be told. */
bool session_is_half_written(const struct vss_backup_components *session);

/* Did the session's last recovery begin to overwrite a LUN, so that what is there may be neither
 * the old nor the new? By the recovery report; true also where there is none for want of memory. */
bool session_has_written(struct vss_backup_components *session);

#endif
