/* SPDX-License-Identifier: Apache-2.0 */
/* How long I/O is held for a cut, beside the bare system calls that it consists of. */
#include "bench/bench.h"

#include "common/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CONTEXT      ((uint32_t)VSS_CTX_APP_ROLLBACK | VSS_VOLSNAP_ATTR_TRANSPORTABLE)
#define LUNS_MOST    64
#define SMALL_BYTES  (16ull << 20)
#define LARGE_BYTES  (4ull << 30)
#define GOAL_64_US   15000.0
#define GOAL_APART   1.1 /* in its own process, against in ours */
#define WAIT_PAUSE   50000L
#define STOP_US_MOST 3000000u

/* ---- the floor: stop, wait for the main thread, clone, continue; no code of ours */

static char main_thread_state(pid_t pid)
{
    char path[64];
    char text[512];
    (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", (int)pid, (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
    if (fd >= 0) {
        (void)close(fd);
    }
    text[n > 0 ? n : 0] = '\0';
    const char *at = strrchr(text, ')');
    return at && at[1] == ' ' ? at[2] : 'X';
}

static HRESULT stop_and_clone(const struct place *place, const int *from, const int *to,
                              size_t count, double *out_us, struct error *err)
{
    const struct timespec pause = {.tv_nsec = WAIT_PAUSE};
    pid_t pid = place->lab->tgtd_pid;
    HRESULT hr = S_OK;
    double clone_us = 0;
    if (kill(pid, SIGSTOP) != 0) {
        return error_set_errno(err, errno, "tgtd cannot be stopped");
    }
    uint64_t asked = clock_monotonic_us();
    while (main_thread_state(pid) != 'T' && clock_monotonic_us() - asked < STOP_US_MOST) {
        (void)ppoll(NULL, 0, &pause, NULL);
    }
    uint64_t started = clock_monotonic_us();
    for (size_t i = 0; SUCCEEDED(hr) && i < count; i++) {
        hr = file_clone(to[i], from[i], &clone_us, err);
    }
    *out_us = (double)(clock_monotonic_us() - started);
    (void)kill(pid, SIGCONT);
    return hr;
}

static HRESULT floor_once(const struct place *place, size_t count, double *out_us,
                          struct error *err)
{
    int from[LUNS_MOST];
    int to[LUNS_MOST];
    char path[PLACE_TEXT_BYTES];
    size_t opened = 0;
    HRESULT hr = S_OK;
    for (; SUCCEEDED(hr) && opened < count; opened++) {
        from[opened] = to[opened] = -1;
        hr = file_open(place_file(place, opened + 1, path), O_RDONLY, &from[opened], err);
        if (SUCCEEDED(hr) && fdatasync(from[opened]) != 0) {
            hr = error_set_errno(err, errno, "%s", path);
        }
        if (SUCCEEDED(hr)) {
            hr = file_open(place->lab->disks, O_TMPFILE | O_RDWR, &to[opened], err);
        }
    }
    if (SUCCEEDED(hr)) {
        hr = stop_and_clone(place, from, to, count, out_us, err);
    }
    while (opened-- > 0) {
        (void)close(from[opened]);
        (void)close(to[opened]);
    }
    return hr;
}

/* ---- pairs */

struct cut_samples {
    struct samples hold;
    struct samples cut;
    struct samples floor;
};

static HRESULT measure(const struct bench *bench, struct place *place, size_t count,
                       struct cut_samples *out, struct error *err)
{
    HRESULT hr = S_OK;
    *out = (struct cut_samples){0};
    for (size_t i = 0; SUCCEEDED(hr) && i < bench->pairs; i++) {
        struct set_record set;
        double floor_us = 0;
        hr = place_create(place, CONTEXT, count, &set, err);
        if (FAILED(hr)) {
            break;
        }
        samples_add(&out->hold, (double)set.hold_us);
        samples_add(&out->cut, (double)set.cut_us);
        hr = place_delete(place, &set, err);
        if (SUCCEEDED(hr)) {
            hr = floor_once(place, count, &floor_us, err);
            samples_add(&out->floor, floor_us);
        }
    }
    return hr;
}

static void report(size_t count, bool is_loaded, const struct cut_samples *s)
{
    char what[96];
    char cut[DURATION_BYTES];
    char limit[96];
    (void)snprintf(what, sizeof(what), "hold of %zu LUN%s, clean files, %s", count,
                   count == 1 ? "" : "s", is_loaded ? "under a light writing load" : "idle");
    (void)snprintf(limit, sizeof(limit), "first LUN cut to last: %s",
                   duration_text(samples_median(&s->cut), cut));
    struct row row = {.what = what,
                      .ours = &s->hold,
                      .peer_name = "bare stop, FICLONE, continue",
                      .peer = &s->floor,
                      .goal = {.most_us = count == LUNS_MOST ? GOAL_64_US : 0},
                      .limit = limit};
    table_row(&row);
}

static HRESULT measure_loaded(const struct bench *bench, struct place *place, size_t count,
                              bool is_loaded, struct error *err)
{
    struct process load = PROCESS_INIT;
    struct cut_samples s;
    progress("cut: %zu LUNs, %s", count, is_loaded ? "load" : "idle");
    HRESULT hr = is_loaded ? child_load_start(place, count, &load, err) : S_OK;
    if (SUCCEEDED(hr)) {
        hr = measure(bench, place, count, &s, err);
    }
    int status = 0;
    if (is_loaded && SUCCEEDED(hr) && process_wait(&load, 0, &status) != S_FALSE) {
        hr = error_set(err, VSS_E_UNEXPECTED, "the writing load ended by itself");
    }
    process_kill(&load);
    if (SUCCEEDED(hr)) {
        report(count, is_loaded, &s);
    }
    return hr;
}

/* ---- what a process of its own adds */

static HRESULT cut_once(struct place *place, const char *config, struct samples *hold,
                        struct samples *cut, struct error *err)
{
    struct set_record set;
    HRESULT hr = place_reopen(place, config, err);
    if (SUCCEEDED(hr)) {
        hr = place_create(place, CONTEXT, place->luns, &set, err);
    }
    if (FAILED(hr)) {
        return hr;
    }
    samples_add(hold, (double)set.hold_us);
    samples_add(cut, (double)set.cut_us);
    return place_delete(place, &set, err);
}

static HRESULT compare_isolation(const struct bench *bench, struct place *place, struct error *err)
{
    struct cut_samples apart = {0};
    struct cut_samples within = {0};
    HRESULT hr = S_OK;
    progress("cut: with and without isolation");
    for (size_t i = 0; SUCCEEDED(hr) && i < bench->pairs; i++) {
        hr = cut_once(place, "isolation = yes\n", &apart.hold, &apart.cut, err);
        if (SUCCEEDED(hr)) {
            hr = cut_once(place, "isolation = no\n", &within.hold, &within.cut, err);
        }
    }
    if (FAILED(hr)) {
        return hr;
    }
    struct row row = {.what = "hold of 64 LUNs, clean files, idle, isolated",
                      .ours = &apart.hold,
                      .peer_name = "`isolation = no`",
                      .peer = &within.hold,
                      .goal = {.factor = GOAL_APART}};
    table_row(&row);
    row.what = "the same, first LUN cut to last";
    row.ours = &apart.cut;
    row.peer = &within.cut;
    table_row(&row);
    return place_reopen(place, NULL, err);
}

static HRESULT clean_files(const struct bench *bench, struct error *err)
{
    static const size_t counts[] = {1, 8, LUNS_MOST};
    struct place *place = NULL;
    struct place_options options = {.luns = LUNS_MOST,
                                    .lun_bytes = SMALL_BYTES,
                                    .written_bytes = SMALL_BYTES,
                                    .has_label = true};
    HRESULT hr = place_open(&options, &place, err);
    if (SUCCEEDED(hr)) {
        hr = compare_isolation(bench, place, err);
    }
    for (size_t i = 0; SUCCEEDED(hr) && i < 6; i++) {
        hr = measure_loaded(bench, place, counts[i / 2], i % 2 == 1, err);
    }
    place_close(place);
    return hr;
}

/* ---- many extents */

/* A clone is kept beside the file, so that each rewritten block gets an extent of its own. */
static HRESULT shatter(const struct place *place, uint64_t *out_extents, struct error *err)
{
    static const struct pattern pattern = {"", PATTERN_RANDOM_4KIB, 1};
    char path[PLACE_TEXT_BYTES];
    char base[PLACE_TEXT_BYTES];
    int fd = -1;
    int base_fd = -1;
    double unused = 0;
    (void)snprintf(base, sizeof(base), "%s/base.img", place->lab->disks);
    HRESULT hr = file_open(place_file(place, 1, path), O_RDWR, &fd, err);
    if (SUCCEEDED(hr)) {
        hr = file_open(base, O_RDWR | O_CREAT, &base_fd, err);
    }
    if (SUCCEEDED(hr)) {
        hr = file_clone(base_fd, fd, &unused, err);
    }
    if (SUCCEEDED(hr)) {
        hr = pattern_apply(&pattern, fd, place->lun_bytes, err);
    }
    *out_extents = fd >= 0 ? file_extents(fd) : 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    if (base_fd >= 0) {
        (void)close(base_fd);
    }
    return hr;
}

static void report_extents(const struct cut_samples *s, uint64_t extents)
{
    char what[96];
    char limit[96];
    double count = extents ? (double)extents : 1;
    (void)snprintf(what, sizeof(what),
                   "hold of 1 LUN of 4 GiB, 1 %% in random 4 KiB (%llu extents)",
                   (unsigned long long)extents);
    (void)snprintf(limit, sizeof(limit), "per extent: %.1f us, bare FICLONE %.1f us",
                   samples_median(&s->hold) / count, samples_median(&s->floor) / count);
    struct row row = {.what = what,
                      .ours = &s->hold,
                      .peer_name = "bare stop, FICLONE, continue",
                      .peer = &s->floor,
                      .limit = limit};
    table_row(&row);
}

/* Above max_hold_ms nothing is held at all. */
static HRESULT show_veto(struct place *place, struct error *err)
{
    struct set_record set;
    struct error why = {0};
    place->max_hold_ms = 100;
    HRESULT hr = place_reopen(place, NULL, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = place_create(place, CONTEXT, 1, &set, &why);
    table_note("The same with max_hold_ms = 100: %s%s",
               hr == VSS_E_PROVIDER_VETO ? "vetoed before any hold: " : "NOT VETOED ",
               error_text(&why));
    return SUCCEEDED(hr) ? place_delete(place, &set, err) : S_OK;
}

static HRESULT many_extents(const struct bench *bench, struct error *err)
{
    struct place *place = NULL;
    struct cut_samples s;
    uint64_t extents = 0;
    struct place_options options = {
        .luns = 1, .lun_bytes = LARGE_BYTES, .written_bytes = LARGE_BYTES, .has_label = true};
    progress("cut: a LUN of many extents");
    HRESULT hr = place_open(&options, &place, err);
    if (SUCCEEDED(hr)) {
        hr = shatter(place, &extents, err);
    }
    if (SUCCEEDED(hr)) {
        hr = measure(bench, place, 1, &s, err);
    }
    if (SUCCEEDED(hr)) {
        report_extents(&s, extents);
        hr = show_veto(place, err);
    }
    place_close(place);
    return hr;
}

HRESULT bench_cut(const struct bench *bench, struct error *err)
{
    table_head("Cut: how long I/O is held");
    HRESULT hr = clean_files(bench, err);
    return SUCCEEDED(hr) ? many_extents(bench, err) : hr;
}
