/* SPDX-License-Identifier: Apache-2.0 */
#include "drill/drill.h"

#include "drill/internal.h"

#include <signal.h>
#include <stdlib.h>

struct drill_phase {
    const char *name;
    HRESULT (*run)(struct drill *d, struct error *err);
};

static const struct drill_phase phases[] = {
    {"make the LUNs", phase_make_luns},
    {"identify", phase_identify},
    {"create a set under load", phase_create},
    {"import", phase_import},
    {"prove the cut", phase_cut},
    {"originals untouched", phase_untouched},
    {"damage", phase_damage},
    {"resync, own disk ids", phase_resync_default},
    {"damage again", phase_damage_again},
    {"resync, the originals' disk ids", phase_resync_revert},
    {"break refused", phase_break_refused},
    {"break, the originals' disk ids", phase_break_revert},
    {"break, read-write and masked", phase_break_others},
    {"delete", phase_delete},
    {"nothing left", phase_nothing_left},
};

/* In order; after the first phase that could not be done the rest are skipped, each of them said.
 */
static void run_phases(struct drill *d)
{
    const char *failed = NULL;
    for (size_t i = 0; i < sizeof(phases) / sizeof(phases[0]); i++) {
        struct error err = {0};
        report_phase(d->report, phases[i].name);
        if (failed) {
            report_skip(d->report, "all of it", "not done, because of '%s'", failed);
        } else if (drill_was_stopped(d)) {
            failed = "stopped";
            report_skip(d->report, "all of it", "the drill was stopped");
        } else if (FAILED(phases[i].run(d, &err))) {
            failed = phases[i].name;
            report_error(d->report, "done", &err);
        }
    }
    report_end(d->report);
}

static enum drill_result run(struct drill *d, struct error *err)
{
    char *directory = NULL;
    HRESULT hr = drill_reports_directory(d->options, &directory, err);
    if (SUCCEEDED(hr)) {
        hr = setup_begin(d, err);
    }
    if (FAILED(hr)) {
        setup_end(d);
        free(directory);
        if (report_count(d->report).leftovers) {
            report_print(d->report, d->options->out);
        }
        return DRILL_DID_NOT_RUN;
    }
    d->is_set_up = true;
    run_phases(d);
    setup_end(d);
    enum drill_result result = drill_publish(d->options, d->report, &d->id, directory, err);
    free(directory);
    return result;
}

enum drill_result drill_run(const struct drill_options *options, struct error *err)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct sigaction before;
    struct drill *d = calloc(1, sizeof(*d));
    struct report *report = report_new(options->json ? NULL : options->out);
    enum drill_result result = DRILL_DID_NOT_RUN;
    if (d && report) {
        (void)sigaction(SIGPIPE, &ignore, &before);
        d->options = options;
        d->report = report;
        result = run(d, err);
        (void)sigaction(SIGPIPE, &before, NULL);
    } else {
        (void)error_set(err, E_OUTOFMEMORY, "out of memory for the drill");
    }
    report_free(report);
    free(d);
    return result;
}
