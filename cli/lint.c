/* SPDX-License-Identifier: Apache-2.0 */
#include "lun/lint/lint.h"
#include "cli/commands.h"
#include "cli/text.h"
#include "common/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAUSE_MS 2000u /* between two looks */

/* What was scanned so far. */
struct gathering {
    const struct cli *cli;
    struct lun_options options;
    struct scan **scans;
    size_t count;
    size_t failed;  /* portals, targets, single LUNs: what is behind them is not judged */
    bool is_silent; /* of these */
};

static const char *severity_text(enum lint_severity severity)
{
    return severity == LINT_ERROR ? "error" : "warning";
}

static void print_finding(const struct lint_finding *finding)
{
    (void)printf("%s: %s: ", severity_text(finding->severity), finding->name);
    text_put(stdout, finding->text);
    (void)fputc('\n', stdout);
    for (size_t i = 0; i < finding->url_count; i++) {
        (void)fputs("    ", stdout);
        text_put(stdout, finding->urls[i]);
        (void)fputc('\n', stdout);
    }
    (void)fputs("    mend: ", stdout);
    text_put(stdout, finding->remedy);
    (void)fputc('\n', stdout);
}

static json_t *urls_json(const struct lint_finding *finding)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < finding->url_count; i++) {
        if (json_array_append_new(list, text_to_json(finding->urls[i]))) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

static json_t *report_json(const struct lint_report *report)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < report->count; i++) {
        const struct lint_finding *f = &report->findings[i];
        json_t *item = json_pack("{s:s, s:s, s:o, s:o, s:o}", "name", f->name, "severity",
                                 severity_text(f->severity), "luns", urls_json(f), "text",
                                 text_to_json(f->text), "mend", text_to_json(f->remedy));
        if (json_array_append_new(list, item)) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

static int print_report(const struct cli *cli, const struct lint_report *report)
{
    if (cli->json) {
        return cli_print_json(cli, report_json(report));
    }
    for (size_t i = 0; i < report->count; i++) {
        print_finding(&report->findings[i]);
    }
    if (report->count == 0) {
        (void)puts("No findings.");
    }
    return CLI_OK;
}

static void warn(struct gathering *g, const struct error *err)
{
    if (!g->is_silent) {
        cli_warn(g->cli, err);
    }
    g->failed++;
}

static void warn_of(struct gathering *g, struct error *err, const char *where)
{
    error_prefix(err, "%s was not judged", where);
    warn(g, err);
}

/* g->scans has room for it. */
static void gather_portal(struct gathering *g, const char *portal)
{
    struct scan *scan = NULL;
    struct error err = {0};
    HRESULT hr = scan_portal(portal, NULL, SCAN_FULL_LABEL, &g->options, &scan, &err);
    if (FAILED(hr)) {
        warn(g, &err);
        return;
    }
    for (size_t i = 0; i < scan->target_error_count; i++) {
        warn_of(g, &scan->target_errors[i].error, scan->target_errors[i].target);
    }
    for (size_t i = 0; i < scan->count; i++) {
        if (FAILED(scan->luns[i].result)) {
            warn_of(g, &scan->luns[i].error, scan->luns[i].url);
        }
    }
    g->scans[g->count++] = scan;
}

/* How many portals were asked for. */
static size_t gather(struct gathering *g, const struct config *config)
{
    size_t asked = 0;
    for (int i = 0; i < g->cli->argument_count; i++) {
        gather_portal(g, g->cli->arguments[i]);
        asked++;
    }
    for (size_t i = 0; g->cli->argument_count == 0 && i < config->section_count; i++) {
        const struct config_section *section = &config->sections[i];
        const char *address = config_value(section, "address", NULL);
        if (strcmp(section->kind, "portal") == 0 && address) {
            gather_portal(g, address);
            asked++;
        }
    }
    return asked;
}

static void forget(struct gathering *g)
{
    for (size_t i = 0; i < g->count; i++) {
        scan_free(g->scans[i]);
    }
    g->count = 0;
}

static HRESULT judge(const struct gathering *g, struct lint_report *out, struct error *err)
{
    struct lint_input input = {.scans = g->scans, .scan_count = g->count, .sysfs = "/sys"};
    return lint_run(&input, out, err);
}

/* An import shows a copy before it has ids of its own, a resync wipes a label between two looks at
 * it: what a second look does not have was no finding. Where that one did not see everything, what
 * it has not cannot be told from what it did not see. */
static HRESULT look_again(struct gathering *g, const struct config *config,
                          struct lint_report *report, struct error *err)
{
    struct lint_report later = {0};
    size_t failed = g->failed;
    forget(g);
    g->is_silent = failed > 0; /* told already */
    g->failed = 0;
    clock_sleep_ms(PAUSE_MS);
    (void)gather(g, config);
    HRESULT hr = g->count > 0 ? judge(g, &later, err) : S_OK;
    if (SUCCEEDED(hr) && g->failed == 0) {
        lint_confirm(report, &later);
    }
    g->failed = failed > 0 ? failed : g->failed;
    lint_report_free(&later);
    return hr;
}

static int report_all(struct gathering *g, const struct config *config)
{
    struct error err = {0};
    struct lint_report report = {0};
    if (g->count == 0) {
        return CLI_FAILED;
    }
    HRESULT hr = judge(g, &report, &err);
    if (SUCCEEDED(hr) && report.count > 0) {
        hr = look_again(g, config, &report, &err);
    }
    int exit_code = SUCCEEDED(hr) ? print_report(g->cli, &report) : cli_fail(g->cli, &err);
    if (report.count > 0) {
        exit_code = CLI_FAILED;
    } else if (exit_code == CLI_OK && g->failed > 0) {
        exit_code = CLI_PARTIAL;
    }
    lint_report_free(&report);
    return exit_code;
}

static int run(struct cli *cli)
{
    struct config *config = NULL;
    struct error err = {0};
    if (FAILED(config_load(cli->config_path, &config, &err))) {
        return cli_fail(cli, &err);
    }
    struct gathering g = {.cli = cli, .options = {.config = config}};
    size_t room = config->section_count + (size_t)cli->argument_count;
    int exit_code = CLI_FAILED;
    g.scans = calloc(room + 1, sizeof(struct scan *));
    if (!g.scans) {
        (void)error_set(&err, E_OUTOFMEMORY, "out of memory scanning portals");
        exit_code = cli_fail(cli, &err);
    } else if (gather(&g, config) == 0) {
        exit_code = cli_misuse(cli, "name a portal (host[:port]): the configuration has none");
    } else {
        exit_code = report_all(&g, config);
    }
    forget(&g);
    free(g.scans);
    config_free(config);
    return exit_code;
}

const struct cli_command command_lint = {
    .name = "lint",
    .summary = "identities that are or will be mistaken, and how to mend them",
    .arguments = "[PORTAL]...",
    .help =
        "Looks at all LUNs of the portals named (host[:port]), or of the configuration, "
        "together:\n"
        "designators that are missing, blank, locally assigned, an array's default, on several "
        "LUNs,\n"
        "or told apart only beyond 8 characters; serial numbers that are missing, on several "
        "LUNs, or\n"
        "contradict page 83; disk and partition ids on several LUNs; block devices of this "
        "host that\n"
        "the kernel still takes for another LUN. Each finding has a stable name, the LUNs, "
        "and the\n"
        "command that mends it. Several paths to one LUN are no finding. A finding is told when a\n"
        "second look has it too. Nothing is written.",
    .exit_codes = "0 nothing was found; 1 something was, or no portal answered; 2 wrong use or "
                  "could not\nstart; 3 nothing was found, but not everything answered, or the "
                  "output was not taken.",
    .exit_unread = CLI_PARTIAL,
    .min_arguments = 0,
    .max_arguments = -1,
    .run = run,
};
