/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_DRILL_POSTGRESQL_H
#define LUNSHADOW_DRILL_POSTGRESQL_H

#include "drill/drill.h"

/* The drill of an application: a PostgreSQL cluster of its own, data directory and WAL on the
 * filesystems of two LUNs of a private array, is shadow-copied with its writer while rows are
 * written, loses a table, and is brought back; every row that was acknowledged before the cut must
 * be there, and none that was sent after it. All is taken away again.
 *
 * lun_bytes: 512 MiB at the least and by default; seconds, as drill_run(), is the load before the
 * cut; plain_directory as there; keep leaves the array up, without the server and its mounts. Root
 * alone can run it: DRILL_DID_NOT_RUN says what is missing (the server's programs, its user, the
 * writer, qemu-storage-daemon). */
enum drill_result drill_postgresql_run(const struct drill_options *options, struct error *err);

#endif
