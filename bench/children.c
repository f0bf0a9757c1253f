/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/bench.h"

#include "common/buffer.h"
#include "common/clock.h"
#include "lun/scan.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define CHILD_MS       600000
#define LOAD_BLOCKS    64u
#define LOAD_FIRST_LBA 4096u
#define LOAD_PAUSE_MS  2
#define LOAD_SETTLE_MS 300
#define LOAD_IO_BLOCKS 8u
#define BLOCK_BYTES    512u

const char *child_self(void)
{
    static char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
    path[n > 0 ? n : 0] = '\0';
    return path;
}

HRESULT child_time(const char *const argv[], const char *const environment[], double *out_us,
                   struct error *err)
{
    uint64_t started = clock_monotonic_us();
    HRESULT hr = process_run_with(argv, environment, CHILD_MS, NULL, err);
    *out_us = (double)(clock_monotonic_us() - started);
    return hr;
}

HRESULT child_load_start(const struct place *place, size_t count, struct process *out,
                         struct error *err)
{
    char number[24];
    (void)snprintf(number, sizeof(number), "%zu", count);
    const char *const argv[] = {child_self(), "--load", place->lab->portal, number, NULL};
    struct process_options options = PROCESS_OPTIONS_INIT;
    HRESULT hr = process_start(argv, &options, out, err);
    if (SUCCEEDED(hr)) {
        clock_sleep_ms(LOAD_SETTLE_MS);
    }
    return hr;
}

static int fail(const struct error *err)
{
    (void)fprintf(stderr, "lunshadow-bench: %s\n", error_text(err));
    return 1;
}

/* Goes over few places again and again, so that the files keep their few extents. */
int child_load_main(char **argv)
{
    static uint8_t data[LOAD_IO_BLOCKS * BLOCK_BYTES];
    struct error err = {0};
    struct scsi_transport *session = NULL;
    struct lun_address address;
    struct lun_options options = {.initiator_name = "iqn.2026-11.lunshadow.bench:load"};
    if (!argv[0] || !argv[1] || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) {
        return 2;
    }
    size_t count = strtoul(argv[1], NULL, 10);
    char *url = text_printf("iscsi://%s/" PLACE_TARGET "/1", argv[0]);
    HRESULT hr = url ? lun_address_parse(url, &address, &err) : E_OUTOFMEMORY;
    free(url);
    if (SUCCEEDED(hr)) {
        hr = lun_open_session(&address, &options, &session, &err);
    }
    for (uint64_t n = 0; SUCCEEDED(hr) && count > 0; n++) {
        struct scsi_command c;
        uint64_t lba = LOAD_FIRST_LBA + n / count % LOAD_BLOCKS * LOAD_IO_BLOCKS;
        memset(data, (int)(n % 255) + 1, sizeof(data));
        scsi_build_write16(&c, n % count + 1, lba, LOAD_IO_BLOCKS, BLOCK_BYTES, data, false);
        hr = scsi_run(session, &c, 1, 1, &err);
        hr = SUCCEEDED(hr) ? scsi_error(session, &c, &err) : hr;
        clock_sleep_ms(LOAD_PAUSE_MS);
    }
    scsi_close(session);
    return fail(&err);
}

int child_scan_main(char **argv)
{
    struct error err = {0};
    struct scan *scan = NULL;
    if (!argv[0] || !argv[1]) {
        return 2;
    }
    enum scan_label depth = (enum scan_label)strtoul(argv[1], NULL, 10);
    struct lun_options options = {.initiator_name = PLACE_INITIATOR};
    HRESULT hr = scan_portal(argv[0], NULL, depth, &options, &scan, &err);
    if (FAILED(hr)) {
        return fail(&err);
    }
    for (size_t i = 0; i < scan->count; i++) {
        char key[LUN_KEY_BYTES];
        const struct scan_lun *lun = &scan->luns[i];
        (void)printf("%s %llu %u %s %s\n", lun->url, (unsigned long long)lun->identity.block_count,
                     lun->identity.block_bytes, lun_info_key(&lun->identity.info, key),
                     lun->label ? "labelled" : "-");
    }
    scan_free(scan);
    return 0;
}
