/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_TGT_FILE_H
#define LUNSHADOW_TGT_FILE_H

#include "tgt.h"

#include <sys/stat.h>

/* Backing files: opening, cloning, comparing and copying, counting extents. The functions that run
 * while I/O is held return an errno value and neither allocate nor print. */

/* Opens a regular file and fills *out_stat. flags as for open(2), O_CLOEXEC is added. */
HRESULT tgt_file_open(const struct tgt *t, const char *path, int flags, int *out_fd,
                      struct stat *out_stat);

/* A new file of this length, empty of data, for us alone. VSS_E_PROVIDER_VETO where one is there.
 */
HRESULT tgt_file_create(const struct tgt *t, const char *path, uint64_t bytes, int *out_fd);

/* Removes it and makes the removal durable; one that is not there is fine. */
HRESULT tgt_file_remove(const struct tgt *t, const char *path);

/* fsync of the directory that path lies in. */
HRESULT tgt_file_sync_directory(const struct tgt *t, const char *path);

/* The directory of path with all symbolic links resolved. */
HRESULT tgt_file_directory(const struct tgt *t, const char *path, const char **out);

/* Whether blocks of fd can be shared with a new file in directory: tried, with one block and a file
 * that has no name. S_FALSE: they cannot. */
HRESULT tgt_file_probe_clone(const struct tgt *t, int fd, const char *directory);

/* Shares all blocks of source with destination. 0 or errno. */
int tgt_file_clone(int destination, int source);

/* The same for one range; aligned to the filesystem's block size. */
int tgt_file_clone_range(int destination, int source, uint64_t offset, uint64_t bytes);

/* Two pieces of memory for comparing; made before a hold. */
struct tgt_copier {
    uint8_t *from;
    uint8_t *to;
    uint64_t written_bytes; /* what had to be written, added up */
};
HRESULT tgt_copier_init(const struct tgt *t, struct tgt_copier *out);

/* Makes [offset, offset + bytes) of destination equal to source: only what differs is written,
 * holes become holes, nothing is shared. 0 or errno; where it cannot be told what is a hole, too.
 */
int tgt_file_equalize(struct tgt_copier *copier, int destination, int source, uint64_t offset,
                      uint64_t bytes);

/* Writes zeros over a range. 0 or errno. */
int tgt_file_zero(struct tgt_copier *copier, int fd, uint64_t offset, uint64_t bytes);

/* How many extents the file has: what cloning costs. 0 or errno. */
int tgt_file_extents(int fd, uint64_t *out);

#endif
