/* SPDX-License-Identifier: Apache-2.0 */
/* Phases in the report, its file, and what is printed at the end. */
#include "common/buffer.h"
#include "common/clock.h"
#include "common/id.h"
#include "drill/internal.h"
#include "registry/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static HRESULT write_all(const char *path, const char *text, struct error *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return error_set_errno(err, errno, "cannot make %s", path);
    }
    size_t length = strlen(text);
    bool is_good = write(fd, text, length) == (ssize_t)length && fsync(fd) == 0;
    HRESULT hr = is_good ? S_OK : error_set_errno(err, errno, "cannot write %s", path);
    (void)close(fd);
    return hr;
}

/* With all that are above it. */
static HRESULT make_directory(char *path, struct error *err)
{
    for (char *slash = path; slash;) {
        slash = strchr(slash + 1, '/');
        if (slash) {
            *slash = '\0';
        }
        if (mkdir(path, 0700) != 0 && errno != EEXIST) {
            return error_set_errno(err, errno, "cannot make %s", path);
        }
        if (slash) {
            *slash = '/';
        }
    }
    return S_OK;
}

bool drill_phase_begins(struct drill *d, const char *name, const char **failed)
{
    report_phase(d->report, name);
    if (!*failed && drill_was_stopped(d)) {
        *failed = "stopped";
    }
    if (*failed) {
        report_skip(d->report, "all of it", "not done, because of '%s'", *failed);
    }
    return !*failed;
}

void drill_phase_failed(struct drill *d, const char *name, const struct error *err,
                        const char **failed)
{
    *failed = name;
    report_error(d->report, "done", err);
}

HRESULT drill_reports_directory(const struct drill_options *options, char **out, struct error *err)
{
    char *state = NULL;
    *out = NULL;
    HRESULT hr = S_OK;
    if (options->state_directory) {
        state = text_copy(options->state_directory);
    } else {
        hr = store_directory(&state, err);
    }
    char *path = state ? text_printf("%s/drills", state) : NULL;
    if (SUCCEEDED(hr)) {
        hr = path ? make_directory(path, err)
                  : error_set(err, E_OUTOFMEMORY, "out of memory for the report");
    }
    if (SUCCEEDED(hr) && access(path, W_OK) != 0) {
        hr = error_set_errno(err, errno, "the report cannot be kept in %s", path);
    }
    free(state);
    if (FAILED(hr)) {
        free(path);
        return hr;
    }
    *out = path;
    return S_OK;
}

/* <time>-<id>.json */
static HRESULT keep_report(const char *directory, const char *short_id, const char *json,
                           char **out_path, struct error *err)
{
    char when[CLOCK_TEXT_BYTES];
    (void)clock_text(clock_filetime(), when);
    for (char *c = when; *c; c++) { /* "2026-11-22 20:15:31 UTC" to "2026-11-22T20-15-31" */
        *c = *c == ':' ? '-' : *c;
    }
    when[10] = 'T';
    when[19] = '\0';
    char *path = text_printf("%s/%sZ-%s.json", directory, when, short_id);
    HRESULT hr = path ? write_all(path, json, err)
                      : error_set(err, E_OUTOFMEMORY, "out of memory for the report");
    if (FAILED(hr)) {
        free(path);
        return hr;
    }
    *out_path = path;
    return S_OK;
}

static enum drill_result judge(const struct report *report)
{
    struct report_totals t = report_count(report);
    if (t.failed || t.skipped || t.held == 0) {
        return DRILL_FAILED;
    }
    return t.leftovers ? DRILL_LEFT_BEHIND : DRILL_PASSED;
}

static void print_result(const struct drill_options *options, const struct report *report,
                         enum drill_result result, const char *path)
{
    report_print(report, options->out);
    if (path) {
        (void)fprintf(options->out, "report: %s\n", path);
    }
    (void)fprintf(options->out, "%s\n",
                  result == DRILL_PASSED        ? "the drill passed"
                  : result == DRILL_LEFT_BEHIND ? "the drill passed and left something behind"
                                                : "the drill FAILED");
}

enum drill_result drill_publish(const struct drill_options *options, const struct report *report,
                                const VSS_ID *id, const char *directory, struct error *err)
{
    enum drill_result result = judge(report);
    char text[ID_TEXT_BYTES];
    char *path = NULL;
    char *json = report_json(report, id, (int)result);
    (void)id_text(id, text);
    text[8] = '\0'; /* as in the names of this drill */
    HRESULT hr = json ? keep_report(directory, text, json, &path, err)
                      : error_set(err, E_OUTOFMEMORY, "out of memory for the report");
    if (options->json && json) {
        (void)fprintf(options->out, "%s\n", json);
    } else {
        print_result(options, report, result, path);
    }
    free(json);
    free(path);
    /* A drill whose report could not be kept has not done what it promises. */
    return FAILED(hr) ? DRILL_FAILED : result;
}
