/* SPDX-License-Identifier: Apache-2.0 */
/* A scan of 255 LUNs beside iscsi-ls on the same tgtd. */
#include "lun/scan.h"

#include "bench/bench.h"
#include "common/buffer.h"
#include "common/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LUNS      255
#define LUN_BYTES (8ull << 20)
#define DEPTHS    3

#define LABEL_BLOCKS 34 /* protective MBR, GPT header, 128 entries */
#define READ_WINDOW  128

struct scan_samples {
    struct samples process[DEPTHS]; /* whole processes */
    struct samples library[DEPTHS]; /* the call alone */
    struct samples command;         /* lunshadow luns */
    struct samples peer;
    struct samples reads; /* the bare reads that labels need */
};

static HRESULT count_peer(const char *const argv[], struct error *err)
{
    struct buffer text = BUFFER_INIT;
    size_t count = 0;
    HRESULT hr = process_run(argv, 60000, &text, err);
    for (const char *c = text.data; SUCCEEDED(hr) && c && *c; c++) {
        count += *c == '\n';
    }
    buffer_free(&text);
    return FAILED(hr) || count >= LUNS
               ? hr
               : error_set(err, VSS_E_UNEXPECTED, "%s printed %zu lines for %d LUNs", argv[0],
                           count, LUNS);
}

static HRESULT scan_once(const struct place *place, enum scan_label depth, double *out_us,
                         struct error *err)
{
    struct scan *scan = NULL;
    uint64_t started = clock_monotonic_us();
    HRESULT hr = scan_portal(place->lab->portal, NULL, depth, &place->env->lun, &scan, err);
    *out_us = (double)(clock_monotonic_us() - started);
    if (FAILED(hr)) {
        return hr;
    }
    size_t good = 0;
    for (size_t i = 0; i < scan->count; i++) {
        const struct scan_lun *lun = &scan->luns[i];
        bool has_label = SUCCEEDED(lun->label_result) && (depth == SCAN_NO_LABEL || lun->label);
        good += SUCCEEDED(lun->result) && has_label;
    }
    scan_free(scan);
    return good == LUNS
               ? S_OK
               : error_set(err, VSS_E_UNEXPECTED, "the scan found %zu good LUNs of %d", good, LUNS);
}

static HRESULT run_depth(const struct place *place, enum scan_label depth, struct scan_samples *s,
                         struct error *err)
{
    char number[16];
    double us = 0;
    (void)snprintf(number, sizeof(number), "%d", (int)depth);
    const char *const argv[] = {child_self(), "--scan", place->lab->portal, number, NULL};
    HRESULT hr = child_time(argv, NULL, &us, err);
    samples_add(&s->process[depth], us);
    if (SUCCEEDED(hr)) {
        hr = scan_once(place, depth, &us, err);
        samples_add(&s->library[depth], us);
    }
    return hr;
}

static HRESULT run_command(const struct place *place, struct scan_samples *s, struct error *err)
{
#ifdef BENCH_CLI
    char config[128];
    double us = 0;
    if (access(BENCH_CLI, X_OK) != 0) {
        return S_OK; /* not built */
    }
    (void)snprintf(config, sizeof(config), "LUNSHADOW_CONFIG=%s", place->config);
    const char *const environment[] = {config, NULL};
    const char *const argv[] = {BENCH_CLI, "luns", place->lab->portal, NULL};
    HRESULT hr = child_time(argv, environment, &us, err);
    samples_add(&s->command, us);
    return hr;
#else
    (void)place;
    (void)s;
    (void)err;
    return S_OK;
#endif
}

/* One read of a label's size on each LUN, all pipelined, and nothing else: what tgtd takes for it.
 */
static HRESULT reads_once(const struct place *place, struct scan_samples *s, struct error *err)
{
    static struct scsi_command commands[LUNS];
    static uint8_t data[LABEL_BLOCKS * 512];
    char url[PLACE_TEXT_BYTES];
    struct lun *lun = NULL;
    HRESULT hr = lun_open(place_url(place, 1, url), &place->env->lun, true, &lun, err);
    for (int pass = 0; SUCCEEDED(hr) && pass < 2; pass++) { /* the first takes unit attentions */
        for (size_t i = 0; i < LUNS; i++) {
            scsi_build_read16(&commands[i], i + 1, 0, LABEL_BLOCKS, 512, data);
        }
        uint64_t started = clock_monotonic_us();
        hr = scsi_run(lun->session, commands, LUNS, READ_WINDOW, err);
        if (pass == 1) {
            samples_add(&s->reads, (double)(clock_monotonic_us() - started));
        }
    }
    lun_close(lun);
    return hr;
}

static HRESULT measure(const struct bench *bench, const struct place *place, const char *url,
                       struct scan_samples *s, struct error *err)
{
    const char *const peer[] = {"iscsi-ls", "-s", url, NULL};
    HRESULT hr = count_peer(peer, err);
    for (size_t i = 0; SUCCEEDED(hr) && i < bench->pairs; i++) {
        double us = 0;
        hr = bench_check_stop(err);
        for (int depth = 0; SUCCEEDED(hr) && depth < DEPTHS; depth++) {
            hr = run_depth(place, (enum scan_label)depth, s, err);
        }
        if (SUCCEEDED(hr)) {
            hr = child_time(peer, NULL, &us, err);
            samples_add(&s->peer, us);
        }
        if (SUCCEEDED(hr)) {
            hr = run_command(place, s, err);
        }
        if (SUCCEEDED(hr)) {
            hr = reads_once(place, s, err);
        }
    }
    return hr;
}

static void report(const struct scan_samples *s, const struct limits *limits)
{
    static const char *const names[DEPTHS] = {"no labels", "primary labels",
                                              "full labels (backup GPT header too)"};
    static const double goals[DEPTHS] = {0, 0.8, 1.1};
    char ready[DURATION_BYTES];
    char reads[DURATION_BYTES];
    char limit[160];
    (void)snprintf(limit, sizeof(limit),
                   "%d bare pipelined label reads: %s; one round trip (TEST UNIT READY): %s", LUNS,
                   duration_text(samples_median(&s->reads), reads),
                   duration_text(samples_median(&limits->ready_us), ready));
    for (int i = 0; i < DEPTHS; i++) {
        char what[96];
        (void)snprintf(what, sizeof(what), "scan of %d LUNs, %s, process", LUNS, names[i]);
        struct row row = {.what = what,
                          .ours = &s->process[i],
                          .peer_name = "iscsi-ls -s",
                          .peer = &s->peer,
                          .goal = {.factor = goals[i]},
                          .limit = limit};
        table_row(&row);
        (void)snprintf(what, sizeof(what), "the same, library call");
        row.ours = &s->library[i];
        row.goal.factor = 0;
        table_row(&row);
    }
    if (s->command.count) {
        struct row row = {.what = "`lunshadow luns PORTAL` (full labels, printed as a table)",
                          .ours = &s->command,
                          .peer_name = "iscsi-ls -s",
                          .peer = &s->peer,
                          .goal = {.factor = goals[SCAN_FULL_LABEL]},
                          .limit = limit};
        table_row(&row);
    }
}

HRESULT bench_scan(const struct bench *bench, struct error *err)
{
    struct place *place = NULL;
    struct limits limits;
    static struct scan_samples s;
    struct place_options options = {.luns = LUNS, .lun_bytes = LUN_BYTES, .has_label = true};
    progress("scan: making %d LUNs", LUNS);
    table_head("Scan: INQUIRY, pages 83 and 80, capacity, label");
    HRESULT hr = place_open(&options, &place, err);
    char *url = SUCCEEDED(hr) ? text_printf("iscsi://%s", place->lab->portal) : NULL;
    if (SUCCEEDED(hr) && !url) {
        hr = error_set(err, E_OUTOFMEMORY, "no memory for a scan");
    }
    if (SUCCEEDED(hr)) {
        hr = limits_measure(place, &limits, err);
    }
    if (SUCCEEDED(hr)) {
        hr = measure(bench, place, url, &s, err);
    }
    if (SUCCEEDED(hr)) {
        report(&s, &limits);
    }
    free(url);
    place_close(place);
    return hr;
}
