/* SPDX-License-Identifier: Apache-2.0 */
/* RecoverSet of one LUN beside qemu-img over iSCSI, and beside FICLONE of the same files. */
#include "resync/recovery.h"

#include "bench/bench.h"
#include "common/buffer.h"
#include "common/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GIB          (1ull << 30)
#define LUN_BYTES    (4 * GIB)
#define EDGE_BYTES   (1u << 20)
#define GOAL_PEER    (1.0 / 50)
#define GOAL_FLOOR   1.5
#define GOAL_LISTED  0.2
#define GOAL_RSS_KIB 65536
#define GOAL_FEW_US  100000

/* One LUN, a clone of it as it was (base), and its shadow copy. */
struct stage {
    struct place *place;
    struct set_record set;
    int lun_fd;
    int base_fd;
    int copy_fd;
    uint64_t copy_extents;
};

struct resync_samples {
    struct samples ours;       /* RecoverSet, whole */
    struct samples array;      /* ResyncLuns alone: what the array does of it */
    struct samples floor;      /* FICLONE alone */
    struct samples floor_sync; /* and made durable */
    struct samples peer;
    uint64_t lun_extents;
    uint64_t peak_kib;
    char method[256]; /* how the last of ours was copied */
};

/* ---- one run of each */

/* The LUN as base, then changed. What a run before wrote is dropped instead of written back. */
static HRESULT reset(struct stage *s, const struct pattern *pattern, struct error *err)
{
    double unused = 0;
    HRESULT hr = bench_check_stop(err);
    if (SUCCEEDED(hr) &&
        (ftruncate(s->lun_fd, 0) != 0 || ftruncate(s->lun_fd, (off_t)s->place->lun_bytes) != 0)) {
        hr = error_set_errno(err, errno, "the LUN's file");
    }
    if (SUCCEEDED(hr)) {
        hr = file_clone(s->lun_fd, s->base_fd, &unused, err);
    }
    return SUCCEEDED(hr) ? pattern_apply(pattern, s->lun_fd, s->place->lun_bytes, err) : hr;
}

static HRESULT ours_once(struct stage *s, struct resync_samples *out, struct error *err)
{
    struct recovery *recovery = NULL;
    memory_reset_peak();
    uint64_t started = clock_monotonic_us();
    HRESULT hr = recovery_new(s->place->env, &s->set, &recovery, err);
    if (SUCCEEDED(hr)) {
        hr = recovery_add(recovery, &s->set.snapshots[0].snapshot_id, NULL, err);
    }
    if (SUCCEEDED(hr)) {
        hr = recovery_run(recovery, 0, err);
    }
    if (SUCCEEDED(hr)) {
        size_t count = 0;
        (void)snprintf(out->method, sizeof(out->method), "%s",
                       recovery_results(recovery, &count)->method);
    }
    recovery_free(recovery);
    samples_add(&out->ours, (double)(clock_monotonic_us() - started));
    uint64_t peak = memory_peak_kib();
    out->peak_kib = peak > out->peak_kib ? peak : out->peak_kib;
    return hr;
}

/* Start and polls of the array's own copying, without what makes it safe around it. */
static HRESULT array_once(struct stage *s, struct resync_samples *out, struct error *err)
{
    const struct lun_mapping *m = &s->set.luns[0];
    struct provider *provider = providers_at(s->place->env->providers, 0);
    struct provider_arena arena = PROVIDER_ARENA_INIT; /* states live in it until the end */
    struct vss_resync_lun pair = {.snapshot = m->copy,
                                  .destination = m->source,
                                  .snapshot_state = {.bytes = m->state_bytes, .data = m->state},
                                  .edge_bytes = EDGE_BYTES};
    struct vss_resync_in in = {.lun_count = 1, .luns = &pair};
    struct vss_resync_out answer = {0};
    uint64_t started = clock_monotonic_us();
    HRESULT hr = provider_call(provider, VSS_OP_RESYNC_START, &in, &answer, &arena, 0, err);
    while (SUCCEEDED(hr) && !answer.is_done) {
        in.state = answer.state;
        hr = provider_call(provider, VSS_OP_RESYNC_POLL, &in, &answer, &arena, 0, err);
    }
    samples_add(&out->array, (double)(clock_monotonic_us() - started));
    provider_arena_free(&arena);
    return hr;
}

static HRESULT floor_once(struct stage *s, struct resync_samples *out, struct error *err)
{
    double clone_us = 0;
    uint64_t started = clock_monotonic_us();
    HRESULT hr = file_clone(s->lun_fd, s->copy_fd, &clone_us, err);
    if (SUCCEEDED(hr) && fdatasync(s->lun_fd) != 0) {
        hr = error_set_errno(err, errno, "the LUN's file");
    }
    samples_add(&out->floor, clone_us);
    samples_add(&out->floor_sync, (double)(clock_monotonic_us() - started));
    return hr;
}

static HRESULT peer_once(struct stage *s, struct resync_samples *out, struct error *err)
{
    char url[PLACE_TEXT_BYTES];
    double us = 0;
    const char *const argv[] = {"qemu-img",
                                "convert",
                                "-n",
                                "-m",
                                "16",
                                "-W",
                                "-f",
                                "raw",
                                "-O",
                                "raw",
                                s->set.luns[0].copy_url,
                                place_url(s->place, 1, url),
                                NULL};
    HRESULT hr = child_time(argv, NULL, &us, err);
    samples_add(&out->peer, us);
    return hr;
}

/* The whole and what it must cost at the least, in turns. */
static HRESULT measure_pair(struct stage *s, const struct pattern *pattern,
                            struct resync_samples *out, struct error *err)
{
    HRESULT hr = reset(s, pattern, err);
    out->lun_extents = file_extents(s->lun_fd);
    if (SUCCEEDED(hr)) {
        hr = ours_once(s, out, err);
    }
    if (SUCCEEDED(hr)) {
        hr = reset(s, pattern, err);
    }
    return SUCCEEDED(hr) ? floor_once(s, out, err) : hr;
}

static HRESULT measure(struct stage *s, const struct pattern *pattern, size_t pairs,
                       struct resync_samples *out, struct error *err)
{
    HRESULT hr = S_OK;
    for (size_t i = 0; SUCCEEDED(hr) && i < pairs; i++) {
        progress("resync: %s, pair %zu of %zu", pattern->name, i + 1, pairs);
        hr = measure_pair(s, pattern, out, err);
        if (SUCCEEDED(hr)) {
            hr = reset(s, pattern, err);
        }
        if (SUCCEEDED(hr)) {
            hr = array_once(s, out, err);
        }
        if (SUCCEEDED(hr)) {
            hr = reset(s, pattern, err);
        }
        if (SUCCEEDED(hr)) {
            hr = peer_once(s, out, err);
        }
    }
    return hr;
}

static void report(const struct pattern *pattern, const struct resync_samples *s,
                   const struct limits *limits)
{
    char what[128];
    char limit[160];
    char least[DURATION_BYTES];
    bool has_goal = pattern->kind == PATTERN_RUNS_1MIB;
    double extents = s->lun_extents ? (double)s->lun_extents : 1;
    (void)snprintf(what, sizeof(what), "resync of 4 GiB, %s (%llu extents)", pattern->name,
                   (unsigned long long)s->lun_extents);
    (void)snprintf(limit, sizeof(limit), "reading 4 GiB over this path: %s",
                   duration_text((double)LUN_BYTES / limits->read_bytes_per_us, least));
    struct row row = {.what = what,
                      .ours = &s->ours,
                      .peer_name = "qemu-img convert -n -m 16 -W",
                      .peer = &s->peer,
                      .goal = {.factor = has_goal ? GOAL_PEER : 0},
                      .limit = limit};
    table_row(&row);
    (void)snprintf(limit, sizeof(limit), "per extent: %.1f us, FICLONE %.1f us",
                   samples_median(&s->ours) / extents, samples_median(&s->floor) / extents);
    row.peer_name = "FICLONE of the files";
    row.peer = &s->floor;
    row.goal.factor = has_goal ? GOAL_FLOOR : 0;
    row.limit = limit;
    table_row(&row);
    row.what = "the array's part of it (ResyncLuns), durable";
    row.ours = &s->array;
    row.peer_name = "FICLONE and fdatasync";
    row.peer = &s->floor_sync;
    row.limit = NULL;
    table_row(&row);
}

/* ---- the stage */

static void stage_close(struct stage *s)
{
    const int fds[] = {s->lun_fd, s->base_fd, s->copy_fd};
    for (size_t i = 0; i < 3; i++) {
        if (fds[i] >= 0) {
            (void)close(fds[i]);
        }
    }
    set_record_free(&s->set);
    place_close(s->place);
}

/* config: further lines of the array's section; NULL: none. */
static HRESULT stage_open(struct stage *s, uint64_t lun_bytes, const char *config,
                          struct error *err)
{
    char path[PLACE_TEXT_BYTES];
    double unused = 0;
    struct place_options options = {.luns = 1,
                                    .lun_bytes = lun_bytes,
                                    .written_bytes = lun_bytes,
                                    .has_label = true,
                                    .config = config};
    progress("resync: filling a LUN of %llu GiB", (unsigned long long)(lun_bytes / GIB));
    HRESULT hr = place_open(&options, &s->place, err);
    if (SUCCEEDED(hr)) {
        hr = file_open(place_file(s->place, 1, path), O_RDWR, &s->lun_fd, err);
    }
    if (SUCCEEDED(hr)) {
        (void)snprintf(path, sizeof(path), "%s/base.img", s->place->lab->disks);
        hr = file_open(path, O_RDWR | O_CREAT, &s->base_fd, err);
    }
    if (SUCCEEDED(hr)) {
        hr = file_clone(s->base_fd, s->lun_fd, &unused, err);
    }
    if (SUCCEEDED(hr)) {
        hr = place_create(s->place, (uint32_t)VSS_CTX_APP_ROLLBACK, 1, &s->set, err);
    }
    if (SUCCEEDED(hr)) {
        hr = file_find_copy(s->place, path, err);
    }
    if (SUCCEEDED(hr)) {
        hr = file_open(path, O_RDONLY, &s->copy_fd, err);
    }
    return hr;
}

HRESULT bench_resync(const struct bench *bench, struct error *err)
{
    static const struct pattern patterns[] = {
        {"1 % changed in 1 MiB runs", PATTERN_RUNS_1MIB, 1},
        {"30 % changed in 1 MiB runs", PATTERN_RUNS_1MIB, 30},
        {"1 % changed in random 4 KiB", PATTERN_RANDOM_4KIB, 1},
        {"30 % changed in random 4 KiB", PATTERN_RANDOM_4KIB, 30},
    };
    struct stage s = {.lun_fd = -1, .base_fd = -1, .copy_fd = -1};
    struct limits limits;
    uint64_t peak_kib = 0;
    table_head("Resync: a copy over its original");
    HRESULT hr = stage_open(&s, LUN_BYTES, NULL, err);
    if (SUCCEEDED(hr)) {
        hr = limits_measure(s.place, &limits, err);
    }
    for (size_t i = 0; SUCCEEDED(hr) && i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        struct resync_samples samples = {.peak_kib = 0};
        size_t pairs = i < 3 ? bench->long_pairs : 1;
        hr = measure(&s, &patterns[i], pairs, &samples, err);
        if (SUCCEEDED(hr)) {
            report(&patterns[i], &samples, &limits);
        }
        peak_kib = samples.peak_kib > peak_kib ? samples.peak_kib : peak_kib;
    }
    if (SUCCEEDED(hr)) {
        table_note("Peak memory of the process during a resync: %.1f MiB; goal <= 64 MiB: %s.",
                   (double)peak_kib / 1024, peak_kib <= GOAL_RSS_KIB ? "held" : "MISSED");
    }
    stage_close(&s);
    return hr;
}

/* ---- by the size of the LUN: what costs is what changed */

static HRESULT measure_size(uint64_t lun_bytes, size_t pairs, struct error *err)
{
    static const struct pattern pattern = {"1 % changed in 1 MiB runs", PATTERN_RUNS_1MIB, 1};
    struct stage s = {.lun_fd = -1, .base_fd = -1, .copy_fd = -1};
    struct resync_samples samples = {.peak_kib = 0};
    char what[128];
    HRESULT hr = stage_open(&s, lun_bytes, NULL, err);
    for (size_t i = 0; SUCCEEDED(hr) && i < pairs; i++) {
        hr = measure_pair(&s, &pattern, &samples, err);
    }
    (void)snprintf(what, sizeof(what), "resync of %llu GiB, %s (%llu extents)",
                   (unsigned long long)(lun_bytes / GIB), pattern.name,
                   (unsigned long long)samples.lun_extents);
    struct row row = {.what = what,
                      .ours = &samples.ours,
                      .peer_name = "FICLONE of the files",
                      .peer = &samples.floor,
                      .goal = {.most_us = GOAL_FEW_US}};
    if (SUCCEEDED(hr)) {
        table_row(&row);
    }
    stage_close(&s);
    return hr;
}

HRESULT bench_sizes(const struct bench *bench, struct error *err)
{
    static const uint64_t sizes[] = {GIB, 4 * GIB, 16 * GIB};
    table_head("Resync, by the size of the LUN");
    HRESULT hr = S_OK;
    for (size_t i = 0; SUCCEEDED(hr) && i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        hr = measure_size(sizes[i], bench->long_pairs, err);
    }
    return hr;
}

/* ---- by the host, of an array that lists what has changed */

static HRESULT measure_listed(struct stage *s, const struct pattern *pattern, size_t pairs,
                              struct resync_samples *out, struct error *err)
{
    HRESULT hr = S_OK;
    for (size_t i = 0; SUCCEEDED(hr) && i < pairs; i++) {
        progress("changes: %s, pair %zu of %zu", pattern->name, i + 1, pairs);
        hr = reset(s, pattern, err);
        if (SUCCEEDED(hr)) {
            hr = ours_once(s, out, err);
        }
        if (SUCCEEDED(hr) && !strstr(out->method, "changed-block list")) {
            hr = error_set(err, VSS_E_UNEXPECTED, "copied otherwise: %s", out->method);
        }
        if (SUCCEEDED(hr)) {
            hr = reset(s, pattern, err);
        }
        if (SUCCEEDED(hr)) {
            hr = peer_once(s, out, err);
        }
    }
    return hr;
}

HRESULT bench_changes(const struct bench *bench, struct error *err)
{
    static const struct pattern patterns[] = {
        {"1 % changed in 1 MiB runs", PATTERN_RUNS_1MIB, 1},
        {"1 % changed in random 4 KiB", PATTERN_RANDOM_4KIB, 1},
    };
    struct stage s = {.lun_fd = -1, .base_fd = -1, .copy_fd = -1};
    table_head("Resync by the host, of an array that lists what has changed");
    HRESULT hr = stage_open(&s, LUN_BYTES, "resync = emulated\n", err);
    for (size_t i = 0; SUCCEEDED(hr) && i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        struct resync_samples samples = {.peak_kib = 0};
        char what[128];
        hr = measure_listed(&s, &patterns[i], bench->long_pairs, &samples, err);
        const char *figures = strstr(samples.method, "): ");
        (void)snprintf(what, sizeof(what), "RecoverSet of 4 GiB, %s", patterns[i].name);
        struct row row = {.what = what,
                          .ours = &samples.ours,
                          .peer_name = "qemu-img convert -n -m 16 -W",
                          .peer = &samples.peer,
                          .goal = {.factor = GOAL_LISTED},
                          .limit = figures ? figures + 3 : NULL};
        if (SUCCEEDED(hr)) {
            table_row(&row);
        }
    }
    stage_close(&s);
    return hr;
}
