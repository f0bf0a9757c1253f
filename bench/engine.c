/* SPDX-License-Identifier: Apache-2.0 */
/* The host's copy engine between two LUNs, beside qemu-img over iSCSI and dd of the files. */
#include "resync/compare.h"

#include "bench/bench.h"
#include "common/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LUN_BYTES         (2ull << 30)
#define EDGE_BYTES        (1u << 20)
#define PATHS             2u
#define LIMIT_MOST        (512u << 10)
#define LIMIT_IN_FLIGHT   32u
#define GOAL_FULL         0.5
#define GOAL_DIFFERENTIAL 0.2
#define GOAL_COMPARE      (1.0 / 3)
#define GOAL_RSS_KIB      131072

/* LUN 1 is copied over LUN 2; base is a clone of what LUN 2 was. */
struct stage {
    struct place *place;
    int lun_fd;
    int base_fd;
    uint64_t peak_kib;
    double read_us;  /* bare pipelined reads of a LUN */
    double write_us; /* and writes, flushed */
};

/* ---- the limit of the path: as many of the same commands, and nothing else */

struct limit_run {
    struct pipeline *pipe;
    struct pipeline_request requests[LIMIT_IN_FLIGHT];
    enum pipeline_op op;
    uint32_t bytes; /* of a command */
    uint64_t next;
    HRESULT result;
};

static void limit_next(struct limit_run *run, struct pipeline_request *r);

static void limit_done(struct pipeline_request *r)
{
    struct limit_run *run = r->user;
    run->result = FAILED(r->result) ? r->result : run->result;
    limit_next(run, r);
}

static void limit_next(struct limit_run *run, struct pipeline_request *r)
{
    if (run->next + run->bytes > LUN_BYTES || FAILED(run->result)) {
        return;
    }
    r->op = run->op;
    r->offset = run->next;
    r->bytes = run->bytes;
    r->on_done = limit_done;
    r->user = run;
    run->next += run->bytes;
    pipeline_submit(run->pipe, r);
}

static HRESULT flush_pipe(struct limit_run *run)
{
    run->next = LUN_BYTES; /* nothing follows */
    struct pipeline_request *r = &run->requests[0];
    *r = (struct pipeline_request){.op = PIPELINE_FLUSH, .on_done = limit_done, .user = run};
    pipeline_submit(run->pipe, r);
    while (run->pipe->in_flight > 0) {
        pipeline_turn(run->pipe, NULL, 100);
    }
    return run->result;
}

static HRESULT limit_once(struct stage *s, enum pipeline_op op, uint32_t bytes, double *out_us,
                          struct error *err)
{
    char url[PLACE_TEXT_BYTES];
    struct pipeline_options options = {.lun = &s->place->env->lun, .paths = PATHS};
    struct limit_run run = {.op = op, .bytes = bytes};
    uint8_t *data = calloc(LIMIT_IN_FLIGHT, LIMIT_MOST);
    HRESULT hr = data ? pipeline_open(place_url(s->place, 2, url), &options, &run.pipe, err)
                      : error_set(err, E_OUTOFMEMORY, "no memory");
    uint64_t started = clock_monotonic_us();
    for (size_t i = 0; SUCCEEDED(hr) && i < LIMIT_IN_FLIGHT; i++) {
        run.requests[i].data = data + i * LIMIT_MOST;
        limit_next(&run, &run.requests[i]);
    }
    while (SUCCEEDED(hr) && run.pipe->in_flight > 0) {
        pipeline_turn(run.pipe, NULL, 100);
    }
    if (SUCCEEDED(hr) && op == PIPELINE_WRITE) {
        hr = flush_pipe(&run);
    }
    *out_us = (double)(clock_monotonic_us() - started);
    hr = SUCCEEDED(hr) && FAILED(run.result)
             ? error_set(err, run.result, "%s", error_text(&run.pipe->err))
             : hr;
    pipeline_close(run.pipe);
    free(data);
    return hr;
}

static double faster(double best_us, double us)
{
    return best_us == 0 || us < best_us ? us : best_us;
}

/* The faster of two sizes of commands. The first read fills the page cache. */
static HRESULT measure_limits(struct stage *s, struct error *err)
{
    static const uint32_t sizes[] = {64u << 10, LIMIT_MOST};
    HRESULT hr = limit_once(s, PIPELINE_READ, sizes[0], &s->read_us, err);
    s->read_us = s->write_us = 0;
    for (size_t i = 0; SUCCEEDED(hr) && i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        double read_us = 0;
        double write_us = 0;
        hr = limit_once(s, PIPELINE_READ, sizes[i], &read_us, err);
        if (SUCCEEDED(hr)) {
            hr = limit_once(s, PIPELINE_WRITE, sizes[i], &write_us, err);
        }
        s->read_us = faster(s->read_us, read_us);
        s->write_us = faster(s->write_us, write_us);
    }
    return hr;
}

/* ---- one run of each */

/* LUN 2 as it was, then changed (pattern may be NULL); what is dirty does not count for the next.
 */
static HRESULT reset(struct stage *s, const struct pattern *pattern, struct error *err)
{
    double unused = 0;
    HRESULT hr = bench_check_stop(err);
    if (SUCCEEDED(hr)) {
        hr = file_clone(s->lun_fd, s->base_fd, &unused, err);
    }
    if (SUCCEEDED(hr) && pattern) {
        hr = pattern_apply(pattern, s->lun_fd, LUN_BYTES, err);
    }
    sync();
    return hr;
}

static HRESULT engine_once(struct stage *s, enum engine_mode mode, struct samples *out,
                           struct engine_report *report, struct error *err)
{
    char url[PLACE_TEXT_BYTES];
    struct pipeline *source = NULL;
    struct pipeline *destination = NULL;
    struct pipeline_options open = {
        .lun = &s->place->env->lun, .is_read_only = true, .paths = PATHS};
    struct engine_options options = {.mode = mode,
                                     .begin = EDGE_BYTES,
                                     .from = EDGE_BYTES,
                                     .end = LUN_BYTES - EDGE_BYTES,
                                     .grain_bytes = 512};
    memory_reset_peak();
    uint64_t started = clock_monotonic_us();
    HRESULT hr = pipeline_open(place_url(s->place, 1, url), &open, &source, err);
    open.is_read_only = mode == ENGINE_COMPARE;
    if (SUCCEEDED(hr)) {
        hr = pipeline_open(place_url(s->place, 2, url), &open, &destination, err);
    }
    if (SUCCEEDED(hr)) {
        hr = engine_run(&source, &destination, &options, report, err);
    }
    pipeline_close(destination);
    pipeline_close(source);
    samples_add(out, (double)(clock_monotonic_us() - started));
    uint64_t peak = memory_peak_kib();
    s->peak_kib = peak > s->peak_kib ? peak : s->peak_kib;
    return hr;
}

/* cache: of qemu-img convert; "unsafe" is its default and does not flush. NULL: it compares. */
static HRESULT qemu_once(struct stage *s, const char *cache, struct samples *out, struct error *err)
{
    char from[PLACE_TEXT_BYTES];
    char to[PLACE_TEXT_BYTES];
    double us = 0;
    (void)place_url(s->place, 1, from);
    (void)place_url(s->place, 2, to);
    const char *const convert[] = {"qemu-img", "convert", "-n", "-m",  "16", "-W", "-t", cache,
                                   "-f",       "raw",     "-O", "raw", from, to,   NULL};
    const char *const compare[] = {"qemu-img", "compare", "-f", "raw", "-F", "raw", from, to, NULL};
    HRESULT hr = child_time(cache ? convert : compare, NULL, &us, err);
    samples_add(out, us);
    return hr;
}

static HRESULT dd_once(struct stage *s, struct samples *out, struct error *err)
{
    char from[PLACE_TEXT_BYTES + 3];
    char to[PLACE_TEXT_BYTES + 3];
    char path[PLACE_TEXT_BYTES];
    double us = 0;
    (void)snprintf(from, sizeof(from), "if=%s", place_file(s->place, 1, path));
    (void)snprintf(to, sizeof(to), "of=%s", place_file(s->place, 2, path));
    const char *const argv[] = {"dd", from, to, "bs=1M", "conv=notrunc,fsync", "status=none", NULL};
    HRESULT hr = child_time(argv, NULL, &us, err);
    samples_add(out, us);
    return hr;
}

/* ---- the rows */

static HRESULT measure_full(struct stage *s, size_t pairs, struct error *err)
{
    struct samples ours = {.count = 0};
    struct samples qemu = {.count = 0};
    struct samples flushed = {.count = 0};
    struct samples dd = {.count = 0};
    struct engine_report report;
    char least[DURATION_BYTES];
    char limit[160];
    HRESULT hr = S_OK;
    for (size_t i = 0; SUCCEEDED(hr) && i < pairs; i++) {
        progress("engine: full copy, pair %zu of %zu", i + 1, pairs);
        hr = reset(s, NULL, err);
        hr = SUCCEEDED(hr) ? engine_once(s, ENGINE_FULL, &ours, &report, err) : hr;
        hr = SUCCEEDED(hr) ? reset(s, NULL, err) : hr;
        hr = SUCCEEDED(hr) ? qemu_once(s, "unsafe", &qemu, err) : hr;
        hr = SUCCEEDED(hr) ? reset(s, NULL, err) : hr;
        hr = SUCCEEDED(hr) ? qemu_once(s, "none", &flushed, err) : hr;
        hr = SUCCEEDED(hr) ? reset(s, NULL, err) : hr;
        hr = SUCCEEDED(hr) ? dd_once(s, &dd, err) : hr;
    }
    if (FAILED(hr)) {
        return hr;
    }
    (void)snprintf(limit, sizeof(limit), "bare reads and writes, flushed: %s (%.0f %% of it)",
                   duration_text(s->read_us + s->write_us, least),
                   100 * (s->read_us + s->write_us) / samples_median(&ours));
    struct row row = {.what = "full copy of 2 GiB between two LUNs",
                      .ours = &ours,
                      .peer_name = "qemu-img convert -n -m 16 -W",
                      .peer = &qemu,
                      .goal = {.factor = GOAL_FULL},
                      .limit = limit};
    table_row(&row);
    row.goal.factor = 0;
    row.peer_name = "the same with -t none: flushed at the end, as ours is";
    row.peer = &flushed;
    table_row(&row);
    row.peer_name = "dd of the files, on the array itself";
    row.peer = &dd;
    table_row(&row);
    return hr;
}

static HRESULT measure_differential(struct stage *s, const struct pattern *pattern, size_t pairs,
                                    struct error *err)
{
    struct samples ours = {.count = 0};
    struct samples qemu = {.count = 0};
    struct engine_report report = {.read_bytes = 0};
    char least[DURATION_BYTES];
    char limit[200];
    char what[128];
    HRESULT hr = S_OK;
    for (size_t i = 0; SUCCEEDED(hr) && i < pairs; i++) {
        progress("engine: %s, pair %zu of %zu", pattern->name, i + 1, pairs);
        hr = reset(s, pattern, err);
        hr = SUCCEEDED(hr) ? engine_once(s, ENGINE_DIFFERENTIAL, &ours, &report, err) : hr;
        hr = SUCCEEDED(hr) ? reset(s, pattern, err) : hr;
        hr = SUCCEEDED(hr) ? qemu_once(s, "unsafe", &qemu, err) : hr;
    }
    if (FAILED(hr)) {
        return hr;
    }
    (void)snprintf(what, sizeof(what), "differential copy of 2 GiB, %s", pattern->name);
    (void)snprintf(limit, sizeof(limit),
                   "bare reads of both: %s; different %.1f MiB, written %.1f MiB",
                   duration_text(2 * s->read_us, least), (double)report.different_blocks / 2048,
                   (double)report.written_bytes / 1048576);
    struct row row = {.what = what,
                      .ours = &ours,
                      .peer_name = "qemu-img convert -n -m 16 -W",
                      .peer = &qemu,
                      .goal = {.factor = GOAL_DIFFERENTIAL},
                      .limit = limit};
    table_row(&row);
    return hr;
}

static HRESULT measure_compare(struct stage *s, size_t pairs, struct error *err)
{
    struct samples ours = {.count = 0};
    struct samples qemu = {.count = 0};
    struct engine_report report;
    char least[DURATION_BYTES];
    char limit[160];
    /* Equal, labels too: qemu-img stops at the first difference. */
    HRESULT hr = engine_once(s, ENGINE_FULL, &ours, &report, err);
    hr = SUCCEEDED(hr) ? qemu_once(s, "unsafe", &qemu, err) : hr;
    ours.count = 0;
    qemu.count = 0;
    for (size_t i = 0; SUCCEEDED(hr) && i < pairs; i++) {
        progress("engine: compare, pair %zu of %zu", i + 1, pairs);
        hr = bench_check_stop(err);
        hr = SUCCEEDED(hr) ? engine_once(s, ENGINE_COMPARE, &ours, &report, err) : hr;
        hr = SUCCEEDED(hr) ? qemu_once(s, NULL, &qemu, err) : hr;
    }
    if (FAILED(hr)) {
        return hr;
    }
    (void)snprintf(limit, sizeof(limit), "bare reads of both: %s (%.0f %% of it)",
                   duration_text(2 * s->read_us, least), 200 * s->read_us / samples_median(&ours));
    struct row row = {.what = "compare of 2 GiB with 2 GiB, equal",
                      .ours = &ours,
                      .peer_name = "qemu-img compare",
                      .peer = &qemu,
                      .goal = {.factor = GOAL_COMPARE},
                      .limit = limit};
    table_row(&row);
    return hr;
}

/* ---- the stage */

static HRESULT stage_open(struct stage *s, bool stock_tgtd, struct error *err)
{
    char path[PLACE_TEXT_BYTES];
    double unused = 0;
    struct place_options options = {.luns = 2,
                                    .lun_bytes = LUN_BYTES,
                                    .written_bytes = LUN_BYTES,
                                    .has_label = true,
                                    .stock_tgtd = stock_tgtd};
    progress("engine: filling two LUNs of 2 GiB");
    HRESULT hr = place_open(&options, &s->place, err);
    if (SUCCEEDED(hr)) {
        hr = file_open(place_file(s->place, 2, path), O_RDWR, &s->lun_fd, err);
    }
    if (SUCCEEDED(hr)) {
        (void)snprintf(path, sizeof(path), "%s/base.img", s->place->lab->disks);
        hr = file_open(path, O_RDWR | O_CREAT, &s->base_fd, err);
    }
    return SUCCEEDED(hr) ? file_clone(s->base_fd, s->lun_fd, &unused, err) : hr;
}

static void stage_close(struct stage *s)
{
    if (s->lun_fd >= 0) {
        (void)close(s->lun_fd);
    }
    if (s->base_fd >= 0) {
        (void)close(s->base_fd);
    }
    place_close(s->place);
}

static HRESULT measure_all(const struct bench *bench, bool stock_tgtd, struct error *err)
{
    static const struct pattern patterns[] = {
        {"1 % changed in 1 MiB runs", PATTERN_RUNS_1MIB, 1},
        {"1 % changed in random 4 KiB", PATTERN_RANDOM_4KIB, 1},
    };
    struct stage s = {.lun_fd = -1, .base_fd = -1};
    table_head(stock_tgtd ? "Engine: copies and compares by the host, tgtd as it comes"
                          : "Engine: copies and compares by the host, tgtd as the lab starts it");
    HRESULT hr = stage_open(&s, stock_tgtd, err);
    if (SUCCEEDED(hr)) {
        hr = measure_limits(&s, err);
    }
    if (SUCCEEDED(hr)) {
        hr = measure_full(&s, bench->long_pairs, err);
    }
    for (size_t i = 0; SUCCEEDED(hr) && i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        hr = measure_differential(&s, &patterns[i], bench->long_pairs, err);
    }
    if (SUCCEEDED(hr)) {
        hr = measure_compare(&s, bench->long_pairs, err);
    }
    if (SUCCEEDED(hr)) {
        table_note("Peak memory of the process: %.1f MiB; goal <= 128 MiB: %s.",
                   (double)s.peak_kib / 1024, s.peak_kib <= GOAL_RSS_KIB ? "held" : "MISSED");
    }
    stage_close(&s);
    return hr;
}

HRESULT bench_engine(const struct bench *bench, struct error *err)
{
    HRESULT hr = measure_all(bench, true, err);
    return SUCCEEDED(hr) ? measure_all(bench, false, err) : hr;
}
