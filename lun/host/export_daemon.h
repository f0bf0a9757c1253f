/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_LUN_HOST_EXPORT_DAEMON_H
#define LUNSHADOW_LUN_HOST_EXPORT_DAEMON_H

#include "common/error.h"

/* The process behind an export; for export.c and its keeper. */
#define EXPORT_DAEMON "qemu-storage-daemon"

/* A pidfd of the daemon that serves the export in directory; S_FALSE and -1: none runs. Never that
 * of another process, whatever the directory's pid file says. An error where that cannot be told.
 */
HRESULT export_daemon_open(const char *directory, int *out_pidfd, struct error *err);

#endif
