/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_CLI_SESSION_H
#define LUNSHADOW_CLI_SESSION_H

#include "cli/command.h"
#include "common/id.h"
#include "registry/sets.h"

#include <lunshadow/requester.h>

/* What subcommands need around a requester session. */

/* Session with the command's configuration and state directory, not yet initialized. */
HRESULT session_open(const struct cli *cli, struct vss_backup_components **out, struct error *err);

/* The same with options of its own, whose paths are filled in. */
HRESULT session_open_with(const struct cli *cli, const struct vss_session_options *wanted,
                          struct vss_backup_components **out, struct error *err);

/* Session that is initialized for backup and sees all contexts: for list, break, delete. */
HRESULT session_open_for_all(const struct cli *cli, struct vss_backup_components **out,
                             struct error *err);

/* Takes over the code of a method that failed, with the session's own line; passes successes
 * through. */
HRESULT session_check(struct vss_backup_components *session, HRESULT hr, struct error *err);

/* Waits for an operation to its end and releases it, showing its progress on a terminal as "WHAT:
 * ..."; a signal cancels it (E_ABORT). Success codes other than VSS_S_ASYNC_FINISHED come through
 * with their line in *err. async NULL: hr is the failure of the method that should have made it. */
HRESULT session_wait(struct vss_backup_components *session, HRESULT hr, struct vss_async *async,
                     const char *what, struct error *err);

/* The same for what must be done after a signal too: it is not cancelled. The second signal ends
 * the process all the same. */
HRESULT session_wait_to_end(struct vss_backup_components *session, HRESULT hr,
                            struct vss_async *async, const char *what, struct error *err);

/* A whole document from a file ("-": standard input) as text; freed with free(). */
HRESULT session_read_document(const char *path, char **out_xml, struct error *err);

/* The set that a document describes. VSS_E_INVALID_XML_DOCUMENT where it has none. */
HRESULT session_document_set(const char *xml, struct set_record *out, struct error *err);

/* The registry's record of the set with this id, or of the set that the snapshot with this id is
 * in; *out_is_snapshot (may be NULL) says which. */
HRESULT session_find_set(const struct cli *cli, const VSS_ID *id, struct set_record *out,
                         bool *out_is_snapshot, struct error *err);

#endif
