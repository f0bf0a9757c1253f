/* SPDX-License-Identifier: Apache-2.0 */
#include "lun/host/loop.h"

#include "lun/host_device.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define TRIES 64

/* One try on the number that the kernel says is free: S_FALSE where another process was quicker. */
static HRESULT configure(int control, const struct loop_config *config, int *out_fd,
                         char out_name[LOOP_NAME_BYTES], struct error *err)
{
    int number = ioctl(control, LOOP_CTL_GET_FREE);
    if (number < 0) {
        return error_set_errno(err, errno, "no loop device is free");
    }
    (void)snprintf(out_name, LOOP_NAME_BYTES, "/dev/loop%d", number);
    int mode = config->info.lo_flags & LO_FLAGS_READ_ONLY ? O_RDONLY : O_RDWR;
    int fd = open(out_name, mode | O_CLOEXEC);
    if (fd < 0) {
        return error_set_errno(err, errno, "cannot open %s", out_name);
    }
    if (ioctl(fd, LOOP_CONFIGURE, config) == 0) {
        *out_fd = fd;
        return S_OK;
    }
    int reason = errno;
    (void)close(fd);
    return reason == EBUSY ? S_FALSE : error_set_errno(err, reason, "cannot set up %s", out_name);
}

HRESULT loop_attach(const char *file, const struct loop_range *range, int *out_fd,
                    char out_name[LOOP_NAME_BYTES], struct error *err)
{
    *out_fd = -1;
    out_name[0] = '\0';
    int backing = open(file, (range->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
    if (backing < 0) {
        return error_set_errno(err, errno, "cannot open %s", file);
    }
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    if (control < 0) {
        HRESULT hr = error_set_errno(err, errno, "cannot open /dev/loop-control");
        (void)close(backing);
        return hr;
    }
    struct loop_config config = {.fd = (uint32_t)backing, .block_size = range->block_bytes};
    config.info.lo_offset = range->offset_bytes;
    config.info.lo_sizelimit = range->bytes;
    config.info.lo_flags = LO_FLAGS_AUTOCLEAR | (range->read_only ? LO_FLAGS_READ_ONLY : 0u);
    HRESULT hr = S_FALSE;
    for (int i = 0; i < TRIES && hr == S_FALSE; i++) {
        hr = configure(control, &config, out_fd, out_name, err);
    }
    if (hr == S_FALSE) {
        hr = error_set(err, VSS_E_UNEXPECTED, "other processes take every free loop device");
    }
    (void)close(control);
    (void)close(backing);
    return hr;
}

HRESULT loop_backing_file(const char *sysfs, dev_t device, char out[LOOP_FILE_BYTES],
                          struct error *err)
{
    char directory[PATH_MAX];
    uint32_t length = 0;
    (void)snprintf(directory, sizeof(directory), "%s/dev/block/%u:%u", sysfs, major(device),
                   minor(device));
    HRESULT hr = host_device_read(directory, "loop/backing_file", (uint8_t *)out,
                                  LOOP_FILE_BYTES - 1, &length, err);
    out[length] = '\0';
    out[strcspn(out, "\n")] = '\0';
    return hr;
}
