/* SPDX-License-Identifier: Apache-2.0 */
/* A set under load, and copies that were taken without the hold for the checks to fail on. */
#include "common/clock.h"
#include "drill/internal.h"
#include "registry/sets.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define SECOND_US       ((uint64_t)1000000)
#define RECORDS_LIMIT   4000000u
#define RATE_WANTED     1500u /* records in a second before a set is begun */
#define RECORDS_WANTED  1050u /* in the second before the cut: as the proof, and a little more */
#define TRIES           6
#define RATE_WAIT_S     60u
#define CONTROLS_CLONED 3

static HRESULT start_load(struct drill *d, struct error *err)
{
    struct workload_lun luns[DRILL_LUNS];
    for (size_t i = 0; i < DRILL_LUNS; i++) {
        luns[i] = (struct workload_lun){d->luns[i].address, &d->luns[i].layout};
    }
    struct workload_plan plan = {.log_path = d->log,
                                 .seed = d->seed,
                                 .first_record = 1,
                                 .record_limit = RECORDS_LIMIT,
                                 .initiator = d->second_initiator,
                                 .luns = luns,
                                 .lun_count = DRILL_LUNS};
    d->load_started_us = clock_monotonic_us();
    return workload_start(&plan, &d->workload, err);
}

static uint64_t records_in_last_second(const struct drill *d)
{
    uint64_t now = clock_monotonic_us();
    return workload_records_between(workload_acks(d->workload), DRILL_LUNS, now - SECOND_US, now);
}

/* Until the load ran as long as asked for and is as heavy as the proof needs. */
static HRESULT let_it_run(struct drill *d, struct error *err)
{
    uint32_t seconds = d->options->seconds ? d->options->seconds : 3;
    uint64_t least = clock_monotonic_us() + (uint64_t)seconds * SECOND_US;
    uint64_t most = least + RATE_WAIT_S * SECOND_US;
    for (;;) {
        uint64_t now = clock_monotonic_us();
        if (drill_was_stopped(d)) {
            return error_set(err, E_ABORT, "the drill was stopped");
        }
        if (now >= least && (records_in_last_second(d) >= RATE_WANTED || now >= most)) {
            return workload_check(d->workload, err);
        }
        clock_sleep_ms(50);
    }
}

/* ---- copies without the hold ---- */

static HRESULT copy_bytes(int in, int out, const char *to, struct error *err)
{
    if (ioctl(out, FICLONE, in) == 0) {
        return S_OK;
    }
    for (;;) {
        ssize_t n = copy_file_range(in, NULL, out, NULL, 1u << 24, 0);
        if (n == 0) {
            return S_OK;
        }
        if (n < 0 && errno != EINTR) {
            return error_set_errno(err, errno, "cannot copy to %s", to);
        }
    }
}

static char *control_path(const struct drill *d, int control, size_t lun)
{
    return text_printf("%s/control-%d-%zu.img", d->lab->disks, control, lun + 1);
}

static HRESULT copy_control(struct drill *d, int control, size_t lun, struct error *err)
{
    char *from = text_printf("%s/%s", d->lab->disks, d->luns[lun].file);
    char *to = control_path(d, control, lun);
    int in = from ? open(from, O_RDONLY | O_CLOEXEC) : -1;
    int out = to ? open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
    HRESULT hr = in < 0 || out < 0
                     ? error_set_errno(err, errno, "cannot copy %s", from ? from : "a LUN's file")
                     : copy_bytes(in, out, to, err);
    if (in >= 0) {
        (void)close(in);
    }
    if (out >= 0) {
        (void)close(out);
    }
    free(from);
    free(to);
    return hr;
}

/* One LUN after the other while records are written: what a set without a common hold would be.
 * Clones are quick, so a gap is forced; a full copy is slow enough by itself, and one is enough. */
static HRESULT take_controls(struct drill *d, struct error *err)
{
    static const uint32_t gaps_ms[CONTROLS_CLONED] = {5, 20, 50};
    int controls = d->lab->has_reflink ? CONTROLS_CLONED : 1;
    HRESULT hr = S_OK;
    for (int c = 0; c < controls && SUCCEEDED(hr); c++) {
        d->control_count = c + 1;
        for (size_t i = 0; i < DRILL_LUNS && SUCCEEDED(hr); i++) {
            hr = copy_control(d, c, i, err);
            clock_sleep_ms(gaps_ms[c]);
        }
    }
    return hr;
}

static void report_load(struct drill *d)
{
    uint64_t entries = acks_count(d->acks);
    uint64_t longest_us = 0;
    uint64_t last_us = 0;
    for (uint64_t i = 0; i < entries; i++) {
        const struct ack *a = acks_at(d->acks, i);
        uint64_t took_us = a->acknowledged_us - a->sent_us;
        longest_us = took_us > longest_us ? took_us : longest_us;
        last_us = a->acknowledged_us;
    }
    uint64_t span_us = last_us > d->load_started_us ? last_us - d->load_started_us : 1;
    report_figure(d->report, "records", "records written on all LUNs", entries / DRILL_LUNS, "");
    report_figure(d->report, "records_per_second", "records per second",
                  entries / DRILL_LUNS * SECOND_US / span_us, "/s");
    report_figure(d->report, "longest_write_us", "longest that a write waited for its answer",
                  longest_us, "us");
}

static HRESULT stop_load(struct drill *d, struct error *err)
{
    HRESULT hr = workload_stop(d->workload, err);
    d->workload = NULL;
    if (SUCCEEDED(hr)) {
        hr = acks_open(d->log, &d->acks, err);
    }
    if (SUCCEEDED(hr)) {
        report_load(d);
        report_bytes(d->report, acks_count(d->acks) / DRILL_LUNS * (512 + 512 + 4096));
    }
    return hr;
}

/* How many records were acknowledged in the second before the set was cut, as its time stamp says.
 */
static HRESULT count_before_cut(struct drill *d, uint64_t *out_records, struct error *err)
{
    struct store *store = NULL;
    struct set_record set = {0};
    HRESULT hr = store_open(d->state, &store, err);
    if (SUCCEEDED(hr)) {
        hr = sets_load(store, &d->sets[SET_CUT].set_id, &set, err);
    }
    if (SUCCEEDED(hr)) {
        uint64_t now_us = clock_monotonic_us();
        int64_t ago_us = (clock_filetime() - set.snapshots[0].created) / 10;
        uint64_t cut_us = ago_us > 0 ? now_us - (uint64_t)ago_us : now_us;
        *out_records = workload_records_between(workload_acks(d->workload), DRILL_LUNS,
                                                cut_us - SECOND_US, cut_us);
    }
    set_record_free(&set);
    store_close(store);
    return hr;
}

/* S_OK: a set was cut under a heavy load. S_FALSE: it was not, and there is nothing of it any more.
 */
static HRESULT try_to_create(struct drill *d, bool is_last, struct error *err)
{
    struct drill_set *set = &d->sets[SET_CUT];
    uint64_t records = 0;
    HRESULT hr = drill_create_set(d, SET_CUT, 0, err);
    if (SUCCEEDED(hr)) {
        hr = count_before_cut(d, &records, err);
    }
    if (FAILED(hr)) {
        return hr;
    }
    if (records >= RECORDS_WANTED || is_last) {
        report_figure(d->report, "create_us", "making the set, all calls", set->create_us, "us");
        return S_OK;
    }
    report_note(d->report,
                "about %" PRIu64 " records in the second before the cut: the host is busy, the set "
                "is made again",
                records);
    int32_t deleted = 0;
    hr = drill_delete(d, &set->set_id, VSS_OBJECT_SNAPSHOT_SET, &deleted, err);
    vss_free_string(set->xml);
    *set = (struct drill_set){0};
    return FAILED(hr) ? hr : S_FALSE;
}

/* A set that was cut while the host was too busy for a heavy load proves little: such a one is
 * given up and made again. The last one counts whatever it is, so a load that is never heavy enough
 * fails its check. */
static HRESULT create_under_load(struct drill *d, struct error *err)
{
    HRESULT hr = S_FALSE;
    for (int n = 1; hr == S_FALSE && n <= TRIES; n++) {
        hr = let_it_run(d, err);
        if (SUCCEEDED(hr)) {
            hr = try_to_create(d, n == TRIES, err);
        }
    }
    return hr;
}

HRESULT phase_create(struct drill *d, struct error *err)
{
    HRESULT hr = start_load(d, err);
    if (SUCCEEDED(hr)) {
        hr = create_under_load(d, err);
    }
    if (SUCCEEDED(hr)) {
        hr = workload_check(d->workload, err);
        (void)report_check(d->report, "the load ran through the creation", SUCCEEDED(hr), "%s",
                           SUCCEEDED(hr) ? "no write failed" : error_text(err));
    }
    if (SUCCEEDED(hr)) {
        hr = take_controls(d, err);
    }
    return SUCCEEDED(hr) ? stop_load(d, err) : hr;
}
