/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_REGISTRY_LOCKS_H
#define LUNSHADOW_REGISTRY_LOCKS_H

#include "common/error.h"

/* What is exclusive on a machine, whoever the user is: a set in creation, an import, a resync, the
 * ending of what a dead process left, a scratch LUN. An
 * open file description lock (F_OFD_SETLK) on one machine-wide file each, so that it dies with its
 * holder; the descriptor is close-on-exec, so that helpers never keep it. The files live in
 * $LUNSHADOW_LOCK_DIR, else /run/lock/lunshadow (made 1777), else, on a machine without /run/lock,
 * /tmp/lunshadow-lock; symbolic links are never followed. Which of them it is does not depend on
 * the user, or two users would lock different files. What root finds there it makes its own, so
 * that nobody else can take a held file away; other users can still keep a lock busy, as in every
 * shared place. */
enum lock_kind { LOCK_SET_IN_PROGRESS, LOCK_IMPORT, LOCK_RESYNC, LOCK_RECOVER };

struct lock;

/* Takes it now or fails: VSS_E_SNAPSHOT_SET_IN_PROGRESS, VSS_E_RESYNC_IN_PROGRESS, VSS_E_BAD_STATE
 * (import, recover), the text naming the holder's pid and program. E_ACCESSDENIED: the directory or
 * the file is not what it must be (a symbolic link, a fifo, a directory, a file with a second name,
 * writable for everybody and not sticky) or not this user's to open, path named. Does not block.
 * The lock belongs to the handle, not to the thread or the process: a second take fails in the same
 * process too. */
HRESULT lock_take(enum lock_kind kind, struct lock **out, struct error *err);

/* The same for a LUN that may be overwritten, by its lun_info_key(): held from before something is
 * written to it until that was wiped, or given back. VSS_E_BAD_STATE where it is held. Of several
 * the one with the lesser key is taken first: then of two who want the same, one gets all. */
HRESULT lock_take_scratch(const char *key, struct lock **out, struct error *err);

void lock_release(struct lock *lock); /* NULL is harmless */

#endif
