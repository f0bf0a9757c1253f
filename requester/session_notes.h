/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_REQUESTER_SESSION_NOTES_H
#define LUNSHADOW_REQUESTER_SESSION_NOTES_H

#include "requester/session.h"
#include "requester/writers/writers.h"

/* Between the writers of a session and the components in its document: what a writer is told of its
 * components before an event, and what it says of them. For the operation that runs. */

/* "set component TYPE PATH NAME" and so on, for the components that the event concerns. */
void session_describe_components(struct vss_backup_components *session, struct writer *writer,
                                 enum writer_event event);

/* struct writers_call.keep: the notes go into the document. One on a component that the document
 * does not have, or that no document can hold, is logged and dropped (dropped alone
 * between freeze and thaw). E_OUTOFMEMORY. */
HRESULT session_keep_notes(void *user, const struct writer *writer, struct error *err);

/* Components of writers that were lost get that as their failure, where they have none. */
void session_note_lost(struct vss_backup_components *session);

#endif
