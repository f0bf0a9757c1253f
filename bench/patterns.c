/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/bench.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/clock.h"

#define EDGE_BYTES (2u << 20)
#define MIB        (1u << 20)

HRESULT file_open(const char *path, int flags, int *out, struct error *err)
{
    *out = open(path, flags | O_CLOEXEC, 0600);
    return *out >= 0 ? S_OK : error_set_errno(err, errno, "%s cannot be opened", path);
}

HRESULT file_clone(int destination, int source, double *out_us, struct error *err)
{
    uint64_t started = clock_monotonic_us();
    if (ioctl(destination, FICLONE, source) != 0) {
        return error_set_errno(err, errno, "FICLONE");
    }
    *out_us = (double)(clock_monotonic_us() - started);
    return S_OK;
}

uint64_t file_extents(int fd)
{
    struct fsxattr attributes;
    return ioctl(fd, FS_IOC_FSGETXATTR, &attributes) == 0 ? attributes.fsx_nextents : 0;
}

HRESULT file_find_copy(const struct place *place, char out[PLACE_TEXT_BYTES], struct error *err)
{
    size_t found = 0;
    DIR *dir = opendir(place->lab->disks);
    for (struct dirent *e = dir ? readdir(dir) : NULL; e; e = readdir(dir)) {
        if (strstr(e->d_name, ".lunshadow-")) {
            (void)snprintf(out, PLACE_TEXT_BYTES, "%s/%.200s", place->lab->disks, e->d_name);
            found++;
        }
    }
    if (dir) {
        (void)closedir(dir);
    }
    return found == 1 ? S_OK
                      : error_set(err, VSS_E_UNEXPECTED, "%zu copy files in %s instead of one",
                                  found, place->lab->disks);
}

/* The same places in each run: what differs between runs is not the pattern. */
static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

HRESULT pattern_apply(const struct pattern *pattern, int fd, uint64_t bytes, struct error *err)
{
    uint64_t state = 0x9e3779b97f4a7c15u;
    size_t unit = pattern->kind == PATTERN_RUNS_1MIB ? MIB : 4096;
    uint64_t units = (bytes - 2 * EDGE_BYTES) / unit;
    uint64_t wanted = units * pattern->percent / 100;
    uint8_t *data = malloc(unit);
    uint8_t *is_taken = calloc(units + 1, 1);
    HRESULT hr = data && is_taken ? S_OK : error_set(err, E_OUTOFMEMORY, "out of memory");
    while (SUCCEEDED(hr) && wanted > 0) {
        uint64_t at = next_random(&state) % units;
        if (is_taken[at]) {
            continue;
        }
        is_taken[at] = 1;
        wanted--;
        memset(data, (int)(at % 251) + 1, unit);
        if (pwrite(fd, data, unit, (off_t)(EDGE_BYTES + at * unit)) != (ssize_t)unit) {
            hr = error_set_errno(err, errno, "changing a LUN");
        }
    }
    if (SUCCEEDED(hr) && fsync(fd) != 0) {
        hr = error_set_errno(err, errno, "changing a LUN");
    }
    free(data);
    free(is_taken);
    return hr;
}
