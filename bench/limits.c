/* SPDX-License-Identifier: Apache-2.0 */
/* What the machine itself costs: the least that any program here has to pay. */
#include "bench/bench.h"

#include "common/clock.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define READY_RUNS  200
#define TGTADM_RUNS 15
#define READ_BYTES  (1u << 20)
#define READS       256u
#define IN_FLIGHT   16u

static HRESULT measure_ready(struct lun *lun, struct limits *out, struct error *err)
{
    HRESULT hr = S_OK;
    for (size_t i = 0; SUCCEEDED(hr) && i < READY_RUNS; i++) {
        struct scsi_command c;
        scsi_build_test_unit_ready(&c, lun->address.lun);
        uint64_t started = clock_monotonic_us();
        hr = scsi_execute(lun->session, &c, err);
        samples_add(&out->ready_us, (double)(clock_monotonic_us() - started));
    }
    return hr;
}

/* The same buffer for the same place in flight: what arrives is not looked at. */
static HRESULT measure_reads(struct lun *lun, struct limits *out, struct error *err)
{
    uint32_t blocks = READ_BYTES / lun->block.block_bytes;
    uint64_t places = lun->block.block_count / blocks;
    struct scsi_command *commands = calloc(READS, sizeof(*commands));
    uint8_t *data = malloc((size_t)READ_BYTES * IN_FLIGHT);
    HRESULT hr = commands && data && places ? S_OK : error_set(err, E_OUTOFMEMORY, "no memory");
    for (uint32_t i = 0; SUCCEEDED(hr) && i < READS; i++) {
        scsi_build_read16(&commands[i], lun->address.lun, i % places * blocks, blocks,
                          lun->block.block_bytes, data + (size_t)(i % IN_FLIGHT) * READ_BYTES);
    }
    for (int pass = 0; SUCCEEDED(hr) && pass < 2; pass++) { /* the first one fills the cache */
        uint64_t started = clock_monotonic_us();
        hr = scsi_run(lun->session, commands, READS, IN_FLIGHT, err);
        out->read_bytes_per_us =
            (double)READS * READ_BYTES / (double)(clock_monotonic_us() - started + 1);
    }
    free(commands);
    free(data);
    return hr;
}

static HRESULT measure_tgtadm(struct place *place, struct limits *out, struct error *err)
{
    static const char *const arguments[] = {"--op", "show", "--mode", "system", NULL};
    HRESULT hr = S_OK;
    for (size_t i = 0; SUCCEEDED(hr) && i < TGTADM_RUNS; i++) {
        uint64_t started = clock_monotonic_us();
        hr = lab_tgtadm(place->lab, arguments, NULL, err);
        samples_add(&out->tgtadm_us, (double)(clock_monotonic_us() - started));
    }
    return hr;
}

HRESULT limits_measure(struct place *place, struct limits *out, struct error *err)
{
    char url[PLACE_TEXT_BYTES];
    struct lun *lun = NULL;
    *out = (struct limits){0};
    HRESULT hr = lun_open(place_url(place, 1, url), &place->env->lun, true, &lun, err);
    if (SUCCEEDED(hr)) {
        hr = measure_ready(lun, out, err);
    }
    if (SUCCEEDED(hr)) {
        hr = measure_reads(lun, out, err);
    }
    lun_close(lun);
    return SUCCEEDED(hr) ? measure_tgtadm(place, out, err) : hr;
}

void memory_reset_peak(void)
{
    int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        (void)!write(fd, "5", 1);
        (void)close(fd);
    }
}

uint64_t memory_peak_kib(void)
{
    char line[256];
    unsigned long long kib = 0;
    FILE *file = fopen("/proc/self/status", "re");
    while (file && fgets(line, sizeof(line), file) && sscanf(line, "VmHWM: %llu", &kib) != 1) {
    }
    if (file) {
        (void)fclose(file);
    }
    return kib;
}
