/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_REGISTRY_STORE_H
#define LUNSHADOW_REGISTRY_STORE_H

#include "common/error.h"

/* What is remembered between processes: one SQLite database, registry.db, in the state directory.
 * WAL, synchronous=FULL, foreign keys on, a busy time-out; several processes at once. A handle
 * belongs to one thread at a time (it is opened without SQLite's own mutexes); threads that work at
 * once open one each. A process that forks must not use in the child what it opened before. */
struct store;

/* The state directory: LUNSHADOW_STATE_DIR, /var/lib/lunshadow for root, else
 * $XDG_STATE_HOME/lunshadow or ~/.local/state/lunshadow. malloc'ed. A relative XDG_STATE_HOME is
 * passed over, as its specification asks. E_INVALIDARG: LUNSHADOW_STATE_DIR or HOME is relative, or
 * no HOME. */
HRESULT store_directory(char **out, struct error *err);

/* Opens (and makes, 0700/0600; -wal and -shm alike) the registry of directory; NULL:
 * store_directory(). In a directory that its group may write to and that is set-group-ID (2770),
 * the files are 0660. Modes do not depend on the umask. Brings an older schema to this version in
 * one transaction; a newer one is refused. Waits up to 10 s for other processes. E_ACCESSDENIED:
 * not writable by this user, or writable by everybody, or a symbolic link in the place of the file,
 * path named; VSS_E_UNEXPECTED: damaged or not a registry or newer, path named, nothing written to
 * it; VSS_E_INSUFFICIENT_STORAGE: disk full. */
HRESULT store_open(const char *directory, struct store **out, struct error *err);
void store_close(struct store *store); /* NULL is harmless; an open transaction is undone */
/* Whether the registry that is open is still the one at its path: what is written to one that was
 * removed or replaced is lost to everybody, to a recovery too. Any thread. VSS_E_UNEXPECTED, path
 * named. */
HRESULT store_check_place(const struct store *store, struct error *err);
const char *store_path(const struct store *store); /* of the directory; borrowed */

/* Whether the calling thread, as the user that it is now, may use the registry of directory: who
 * gave up his rights after store_open() has none, whatever is still open. Any thread.
 * E_ACCESSDENIED; what else is wrong with the directory is for those to find that use it. */
HRESULT store_check_caller(const char *directory, struct error *err);

/* Changes between begin and commit happen all or not at all; a rollback after a failure is
 * harmless. Every writing function of this folder also works alone, then as its own transaction,
 * durable when it returns; inside begin..commit it joins, is durable when store_commit() returns,
 * and leaves nothing of itself behind where it fails. VSS_E_BAD_STATE: begin twice, commit without
 * begin. A failed commit has undone everything. */
HRESULT store_begin(struct store *store, struct error *err);
HRESULT store_commit(struct store *store, struct error *err);
void store_rollback(struct store *store);
/* Ends what store_begin() began: commit where hr is a success, else rollback and hr. */
HRESULT store_end(struct store *store, HRESULT hr, struct error *err);

#endif
