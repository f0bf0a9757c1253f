/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_LUN_HOST_EXPORT_DAEMON_H
#define LUNSHADOW_LUN_HOST_EXPORT_DAEMON_H

/* The process behind an export; for export.c and its keeper. */
#define EXPORT_DAEMON "qemu-storage-daemon"

/* A pidfd of the daemon that serves the export in directory; -1: none runs. Never that of another
 * process, whatever the directory's pid file says. */
int export_daemon_open(const char *directory);

#endif
