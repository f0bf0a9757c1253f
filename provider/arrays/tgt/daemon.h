/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_TGT_DAEMON_H
#define LUNSHADOW_TGT_DAEMON_H

#include "tgt.h"

#include <sys/stat.h>
#include <sys/types.h>

/* tgtd as a process. It is found by the lock that it holds beside its control socket: the kernel
 * names the holder, a dead tgtd holds nothing, and tgtd itself is not bothered. */

/* The longest time for which a hold stops tgtd, and how long we wait for the end of one: it may be
 * that of another process, which makes a set meanwhile. Never waited for inside of an own hold. */
#define TGT_HOLD_MS_MAX 10000u
#define TGT_PATIENCE_MS (TGT_HOLD_MS_MAX + 1000u)

/* S_OK: *out_pid is tgtd's. S_FALSE: there is none (no message). Else a failure that is said. */
HRESULT tgt_daemon_look(const struct tgt *t, pid_t *out_pid);

/* As above, and it must be running: none, or one that is still stopped after TGT_PATIENCE_MS, is
 * VSS_E_PROVIDER_VETO. */
HRESULT tgt_daemon_find(const struct tgt *t, pid_t *out_pid);

/* tgtd must have this very file open: a file that was replaced under its name is not what it
 * serves. VSS_E_PROVIDER_VETO where it has not; name is for the message. */
HRESULT tgt_daemon_check_file(const struct tgt *t, pid_t pid, const struct stat *file,
                              const char *name);

#endif
