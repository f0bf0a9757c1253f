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

/* ---- the order ------------------------------------------------------------------------------- */

/* Never left out: what the drill made is taken away, however far it came. What looks like an
 * original, or is half of one, goes first. */
static void clean_up(struct own_drill *o)
{
    struct error err = {0};
    report_phase(o->base.report, "clean up");
    bool are_blank = false;
    if (o->was_written && o->options->common.keep) {
        report_note(o->base.report, "the scratch LUNs are left as they were recovered");
    } else if (o->was_written && own_wipe(o)) {
        are_blank = true;
        report_note(o->base.report, "the scratch LUNs carry no label any more");
    }
    if (o->is_unfinished) {
        own_end_recovery(o, are_blank);
    }
    if (o->has_set && FAILED(own_delete(o, &err))) {
        char id[ID_TEXT_BYTES];
        report_error(o->base.report, "copies deleted", &err);
        report_leftover(o->base.report, "set %s", id_text(&o->set_id, id));
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
        {"check", own_judge},
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
