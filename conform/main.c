/* SPDX-License-Identifier: Apache-2.0 */
/* lunshadow-conform: is a provider what lunshadow-provider(7) asks for? */
#include "common/clock.h"
#include "common/log.h"
#include "conform/offline.h"
#include "conform/report.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HELD = 0, FAILED_CASES = 1, NOT_RUN = 2 };

struct request {
    struct conform_options options;
    bool *wanted; /* by case; all false: all of them */
    bool has_wanted;
    bool is_json;
    bool is_list;
    bool is_verbose;
};

static volatile sig_atomic_t was_interrupted;

static void interrupt(int number)
{
    (void)number;
    was_interrupted = 1;
}

static void usage(FILE *stream)
{
    (void)fputs(
        "usage: lunshadow-conform [--provider FILE.so] --array SECTION [--config FILE]\n"
        "                         [--case NAME]... [--record FILE] [--json] [--verbose]\n"
        "       lunshadow-conform --offline FILE [--case NAME]... [--json] [--verbose]\n"
        "       lunshadow-conform --list [--json]\n\n"
        "Tries a provider on the LUNs that \"scratch =\" of its [array SECTION] names, and "
        "[scratch\n"
        "NAME] sections with their identities. What is on them is lost; no other is touched.\n\n"
        "  -p, --provider FILE   this plug-in instead of the section's own\n"
        "  -a, --array SECTION   NAME of an [array NAME] section\n"
        "  -c, --config FILE     configuration file\n"
        "      --case NAME       only this case; may be given again\n"
        "      --record FILE     write the calls and answers of this run to a new file\n"
        "      --offline FILE    let such a file answer: no array, no plug-in; cases that look at\n"
        "                        LUNs or measure time are skipped\n"
        "  -l, --list            print the cases\n"
        "      --json            print JSON for a machine\n"
        "  -v, --verbose         say on standard error what is called and what is logged\n"
        "  -h, --help            print this help\n\n"
        "Exit code: 0 every case held; 1 one failed; 2 could not run.\n",
        stream);
}

static bool want_case(struct request *r, const char *name)
{
    for (size_t i = 0; i < conform_case_count; i++) {
        if (strcmp(conform_cases[i].name, name) == 0) {
            r->wanted[i] = true;
            r->has_wanted = true;
            return true;
        }
    }
    (void)fprintf(stderr, "lunshadow-conform: there is no case %s; see --list\n", name);
    return false;
}

static bool take_option(struct request *r, int letter)
{
    switch (letter) {
    case 'p':
        r->options.plugin = optarg;
        return true;
    case 'a':
        r->options.array = optarg;
        return true;
    case 'c':
        r->options.config_path = optarg;
        return true;
    case 'C':
        return want_case(r, optarg);
    case 'R':
        r->options.record = optarg;
        return true;
    case 'O':
        r->options.offline = optarg;
        return true;
    case 'j':
        r->is_json = true;
        return true;
    case 'l':
        r->is_list = true;
        return true;
    case 'v':
        r->is_verbose = true;
        return true;
    default:
        return false;
    }
}

/* A recording stands for the array with all that belongs to it. */
static bool is_complete(const struct request *r)
{
    const struct conform_options *o = &r->options;
    if (o->offline) {
        return !o->array && !o->plugin && !o->config_path && !o->record && !r->is_list;
    }
    return o->array || r->is_list;
}

/* Negative: go on; else the exit code. */
static int parse(struct request *r, int argc, char **argv)
{
    static const struct option options[] = {{"provider", required_argument, NULL, 'p'},
                                            {"array", required_argument, NULL, 'a'},
                                            {"config", required_argument, NULL, 'c'},
                                            {"case", required_argument, NULL, 'C'},
                                            {"record", required_argument, NULL, 'R'},
                                            {"offline", required_argument, NULL, 'O'},
                                            {"list", no_argument, NULL, 'l'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"verbose", no_argument, NULL, 'v'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    int letter = 0;
    while ((letter = getopt_long(argc, argv, "p:a:c:lvh", options, NULL)) >= 0) {
        if (letter == 'h') {
            usage(stdout);
            return HELD;
        }
        if (!take_option(r, letter)) {
            return NOT_RUN;
        }
    }
    if (optind < argc || !is_complete(r)) {
        usage(stderr);
        return NOT_RUN;
    }
    return -1;
}

/* What is on a scratch LUN is what the case itself wrote there, unless a resync had begun onto it.
 */
static void check_scratch(struct conform *c)
{
    for (size_t i = 0; !c->is_offline && i < c->scratch_count; i++) {
        uint64_t now = 0;
        if (!conform_digest(c, c->scratch[i].url, &now)) {
            continue;
        }
        if (now != c->scratch[i].digest && !c->scratch[i].is_onto) {
            conform_fail(c, "%s was written to", c->scratch[i].url);
        }
        c->scratch[i].digest = now;
        c->scratch[i].is_onto = false;
    }
}

static void begin_case(struct conform *c, const struct conform_case *what)
{
    if (c->record_path) {
        offline_note_case(c, what->name);
    }
    if (c->is_offline && !offline_seek_case(c, what->name)) {
        (void)conform_skip_offline(c, "not recorded");
    }
}

static enum conform_verdict run_case(struct conform *c, const struct conform_case *what)
{
    bool is_first = what == &conform_cases[0];
    buffer_free(&c->seen);
    c->skipped = NULL;
    if (!c->provider && !is_first) {
        conform_fail(c, "not reached: %s", error_text(&c->refusal));
        return CONFORM_FAILED;
    }
    if (c->provider && !conform_is_claimed(c, what->need)) {
        return CONFORM_NOT_CLAIMED;
    }
    begin_case(c, what);
    if (!conform_has_failed(c)) {
        what->run(c);
        check_scratch(c);
    }
    if (c->skipped) {
        return CONFORM_SKIPPED;
    }
    return conform_has_failed(c) ? CONFORM_FAILED : CONFORM_HELD;
}

static int run(const struct request *r, struct conform *c)
{
    struct report report;
    report_begin(&report, c, r->is_json);
    for (size_t i = 0; i < conform_case_count && !was_interrupted; i++) {
        if (r->has_wanted && !r->wanted[i]) {
            continue;
        }
        uint64_t start_us = clock_monotonic_us();
        enum conform_verdict verdict = run_case(c, &conform_cases[i]);
        const char *seen = verdict == CONFORM_SKIPPED ? c->skipped : c->seen.data;
        report_case(&report, &conform_cases[i], verdict, seen, clock_monotonic_us() - start_us);
    }
    bool has_failed = report.failed > 0;
    report_end(&report, c);
    if (was_interrupted) {
        (void)fprintf(stderr, "lunshadow-conform: interrupted; what a case made is deleted\n");
        return NOT_RUN;
    }
    return has_failed ? FAILED_CASES : HELD;
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = interrupt, .sa_flags = SA_RESTART};
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGCHLD, SIG_DFL); /* whoever started us may have it ignored */
}

static int open_and_run(const struct request *r)
{
    struct conform c;
    struct error err = {0};
    int exit_code = NOT_RUN;
    catch_signals();
    if (r->is_verbose) {
        log_set_sink(log_to_stderr, NULL, LOG_DEBUG);
    }
    if (SUCCEEDED(conform_open(&c, &r->options, &err))) {
        exit_code = run(r, &c);
    } else {
        const char *name = vss_error_name(err.code);
        (void)fprintf(stderr, "lunshadow-conform: %s (%s)\n", error_text(&err),
                      name ? name : "unknown code");
    }
    conform_close(&c);
    return exit_code;
}

int main(int argc, char **argv)
{
    struct request r = {.options.interrupted = &was_interrupted,
                        .wanted = calloc(conform_case_count, sizeof(bool))};
    if (!r.wanted) {
        return NOT_RUN;
    }
    int exit_code = parse(&r, argc, argv);
    if (exit_code < 0 && r.is_list) {
        report_list(r.is_json);
        exit_code = HELD;
    } else if (exit_code < 0) {
        exit_code = open_and_run(&r);
    }
    free(r.wanted);
    return fflush(stdout) == 0 && !ferror(stdout) ? exit_code : NOT_RUN;
}
