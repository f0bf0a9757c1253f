/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_LUN_HOST_LOOP_H
#define LUNSHADOW_LUN_HOST_LOOP_H

#include "common/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Loop devices of this host (loop(4)). */

#define LOOP_NAME_BYTES 32
#define LOOP_FILE_BYTES 4096 /* what the kernel says of one is a page at most */

/* What of a file becomes a device. */
struct loop_range {
    uint64_t offset_bytes; /* a multiple of block_bytes */
    uint64_t bytes;
    uint32_t block_bytes; /* of the device: 512..4096 */
    bool read_only;
};

/* Makes a device of a part of a file or block device. *out_fd holds it; it goes by itself when that
 * is closed and nobody else has it open (autoclear): so a process that dies leaves none, and
 * unmounting takes it away. out_name: "/dev/loop3". VSS_E_UNEXPECTED: none is free, or the file
 * does not do. */
HRESULT loop_attach(const char *file, const struct loop_range *range, int *out_fd,
                    char out_name[LOOP_NAME_BYTES], struct error *err);

/* The file behind a loop device, as the kernel names it; S_FALSE where the device is no loop
 * device, or has no file (any more). What cannot be read fails, as host_device_read() does. sysfs
 * is "/sys". */
HRESULT loop_backing_file(const char *sysfs, dev_t device, char out[LOOP_FILE_BYTES],
                          struct error *err);

#endif
