/* SPDX-License-Identifier: Apache-2.0 */
#include "drill/own.h"

#include "common/buffer.h"
#include "common/clock.h"
#include "common/id.h"
#include "drill/own_internal.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECK_MS_DEFAULT 3600000u
#define OUTPUT_BYTES     2000u /* of the command's, in the report: the last ones */

/* ---- the check ------------------------------------------------------------------------------- */

static void free_environment(char **environment)
{
    for (size_t i = 0; environment && environment[i]; i++) {
        free(environment[i]);
    }
    free(environment);
}

static char **new_environment(const struct own_drill *o)
{
    size_t count = o->options->count;
    char **all = calloc(2 * count + 2, sizeof(*all));
    bool has_all = all;
    for (size_t i = 0; has_all && i < count; i++) {
        all[2 * i] = text_printf("LUNSHADOW_DRILL_VOLUME_%zu=%s", i + 1, o->volumes[i].url);
        all[2 * i + 1] = text_printf("LUNSHADOW_DRILL_LUN_%zu=%s", i + 1, o->scratch[i].url);
        has_all = all[2 * i] && all[2 * i + 1];
    }
    if (has_all) {
        all[2 * count] = text_printf("LUNSHADOW_DRILL_COUNT=%zu", count);
        has_all = all[2 * count];
    }
    if (!has_all) {
        free_environment(all);
        return NULL;
    }
    return all;
}

/* What is left of the time that recovery and check may take together; 1 ms where nothing is. */
static uint32_t time_left_ms(const struct own_drill *o)
{
    uint64_t most = (uint64_t)o->options->max_rto_s * 1000;
    if (most == 0) {
        return CHECK_MS_DEFAULT;
    }
    return most > o->recover_ms ? (uint32_t)(most - o->recover_ms) : 1;
}

static void note_output(struct own_drill *o, const struct buffer *output)
{
    size_t skipped = output->length > OUTPUT_BYTES ? output->length - OUTPUT_BYTES : 0;
    if (output->length > 0) {
        report_note(o->base.report, "the command printed: %s%s", skipped ? "..." : "",
                    output->data + skipped);
    }
}

static HRESULT phase_check(struct own_drill *o, struct error *err)
{
    const char *const argv[] = {"sh", "-c", o->options->check, NULL};
    struct buffer output = BUFFER_INIT;
    struct error why = {0};
    char **environment = new_environment(o);
    if (!environment) {
        return error_set(err, E_OUTOFMEMORY, "out of memory for the check");
    }
    uint64_t started_us = clock_monotonic_us();
    HRESULT hr =
        process_run_with(argv, (const char *const *)environment, time_left_ms(o), &output, &why);
    uint64_t check_ms = (clock_monotonic_us() - started_us) / 1000;
    uint64_t rto_ms = o->recover_ms + check_ms;
    free_environment(environment);
    note_output(o, &output);
    buffer_free(&output);
    (void)report_check(o->base.report, "the command is content", SUCCEEDED(hr), "%s%s%s",
                       o->options->check, FAILED(hr) ? ": " : "",
                       FAILED(hr) ? error_text(&why) : "");
    report_figure(o->base.report, "check_ms", "the command", check_ms, "ms");
    report_figure(o->base.report, "rto_ms", "recovery and the command (RTO)", rto_ms, "ms");
    if (o->options->max_rto_s > 0) {
        (void)report_check(o->base.report, "in time",
                           rto_ms < (uint64_t)o->options->max_rto_s * 1000, "%llu ms of %u s",
                           (unsigned long long)rto_ms, o->options->max_rto_s);
    }
    return S_OK;
}

/* ---- the order ------------------------------------------------------------------------------- */

/* Never left out: what the drill made is taken away, however far it came. */
static void clean_up(struct own_drill *o)
{
    struct error err = {0};
    report_phase(o->base.report, "clean up");
    if (o->has_set && FAILED(own_delete(o, &err))) {
        char id[ID_TEXT_BYTES];
        report_error(o->base.report, "copies deleted", &err);
        report_leftover(o->base.report, "set %s", id_text(&o->set_id, id));
    }
    if (o->was_written && o->options->common.keep) {
        report_note(o->base.report, "the scratch LUNs are left as they were recovered");
    } else if (o->was_written) {
        own_wipe(o);
    }
    report_end(o->base.report);
}

static void run_phases(struct own_drill *o)
{
    static const struct {
        const char *name;
        HRESULT (*run)(struct own_drill *o, struct error *err);
    } phases[] = {
        {"shadow-copy the LUNs", own_create},
        {"recover onto the scratch LUNs", own_recover},
        {"compare with the copies", own_compare},
        {"check", phase_check},
    };
    const char *failed = NULL;
    for (size_t i = 0; i < sizeof(phases) / sizeof(phases[0]); i++) {
        struct error err = {0};
        if (drill_phase_begins(&o->base, phases[i].name, &failed) &&
            FAILED(phases[i].run(o, &err))) {
            drill_phase_failed(&o->base, phases[i].name, &err, &failed);
        }
    }
    clean_up(o);
}

static json_t *luns_json(const struct own_lun *luns, size_t count)
{
    json_t *array = json_array();
    for (size_t i = 0; array && i < count; i++) {
        json_t *one = json_pack("{s:s, s:s}", "url", luns[i].url, "identity", luns[i].key);
        if (json_array_append_new(array, one)) {
            json_decref(array);
            array = NULL;
        }
    }
    return array;
}

static json_t *subject_json(const struct own_drill *o)
{
    char host[256] = "";
    (void)gethostname(host, sizeof(host) - 1);
    json_t *check = json_string(o->options->check);
    return json_pack("{s:s, s:o, s:o, s:o, s:I}", "host", host, "volumes",
                     luns_json(o->volumes, o->options->count), "onto",
                     luns_json(o->scratch, o->options->count), "check",
                     check ? check : json_string("(not UTF-8)"), "max_rto_ms",
                     (json_int_t)o->options->max_rto_s * 1000);
}

static HRESULT prepare(struct own_drill *o, struct error *err)
{
    HRESULT hr = config_load(o->options->config_path, &o->config, err);
    const struct lun_options options = {.config = o->config};
    if (SUCCEEDED(hr)) {
        hr = lun_initiator_name(&options, &o->base.initiator, err);
    }
    if (SUCCEEDED(hr)) {
        hr = own_look(o, err);
    }
    if (SUCCEEDED(hr)) {
        report_subject(o->base.report, subject_json(o));
    }
    return hr;
}

static enum drill_result run(struct own_drill *o, struct error *err)
{
    char *directory = NULL;
    enum drill_result result = DRILL_DID_NOT_RUN;
    HRESULT hr = drill_reports_directory(&o->options->common, &directory, err);
    if (SUCCEEDED(hr)) {
        hr = prepare(o, err);
    }
    if (SUCCEEDED(hr)) {
        run_phases(o);
        result = drill_publish(&o->options->common, o->base.report, &o->base.id, directory, err);
    }
    free(directory);
    return result;
}

enum drill_result drill_own_run(const struct drill_own_options *options, struct error *err)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct sigaction before;
    struct own_drill *o = calloc(1, sizeof(*o));
    struct report *report = report_new(options->common.json ? NULL : options->common.out);
    char *config_path = text_copy(options->config_path);
    char *state = text_copy(options->common.state_directory);
    enum drill_result result = DRILL_DID_NOT_RUN;
    if (o && report) {
        o->options = options;
        o->base = (struct drill){.options = &options->common,
                                 .report = report,
                                 .id = id_new(),
                                 .config = config_path,
                                 .state = state};
        (void)sigaction(SIGPIPE, &ignore, &before);
        result = run(o, err);
        (void)sigaction(SIGPIPE, &before, NULL);
        own_forget(o);
        vss_free_string(o->xml);
        free(o->base.initiator);
        config_free(o->config);
    } else {
        (void)error_set(err, E_OUTOFMEMORY, "out of memory for the drill");
    }
    free(state);
    free(config_path);
    report_free(report);
    free(o);
    return result;
}
