/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the subjects and prints the table. A goal that is missed is printed, not a failure. */
#include "bench/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define PAIRS      15
#define LONG_PAIRS 3

volatile sig_atomic_t bench_is_stopped;

static void on_signal(int number)
{
    (void)number;
    bench_is_stopped = 1;
}

HRESULT bench_check_stop(struct error *err)
{
    return bench_is_stopped ? error_set(err, E_ABORT, "stopped by a signal") : S_OK;
}

static const struct subject {
    const char *name;
    HRESULT (*run)(const struct bench *bench, struct error *err);
} subjects[] = {{"cut", bench_cut},       {"create", bench_create}, {"scan", bench_scan},
                {"resync", bench_resync}, {"sizes", bench_sizes},   {"changes", bench_changes},
                {"engine", bench_engine}};

#define SUBJECT_COUNT (sizeof(subjects) / sizeof(subjects[0]))

static void print_machine(void)
{
    struct utsname name;
    double load = 0;
    if (uname(&name) == 0 && getloadavg(&load, 1) == 1) {
        (void)printf("%s %s, %ld processors, load before the run %.1f.\n", name.sysname,
                     name.release, sysconf(_SC_NPROCESSORS_ONLN), load);
    }
}

static int usage(void)
{
    (void)fputs("usage: lunshadow-bench [cut|create|scan|resync|sizes|changes|engine|all] [PAIRS "
                "[LONG-PAIRS]]\n",
                stderr);
    return 2;
}

static bool parse_pairs(const char *text, size_t *out)
{
    char *end = NULL;
    unsigned long value = strtoul(text, &end, 10);
    *out = value;
    return *text && *end == '\0' && value >= 1 && value <= SAMPLES_MAX;
}

static int run_subjects(const char *wanted, const struct bench *bench)
{
    bool is_known = false;
    for (size_t i = 0; i < SUBJECT_COUNT; i++) {
        struct error err = {0};
        if (strcmp(wanted, "all") != 0 && strcmp(wanted, subjects[i].name) != 0) {
            continue;
        }
        if (!is_known) {
            print_machine();
        }
        is_known = true;
        if (FAILED(subjects[i].run(bench, &err))) {
            progress("lunshadow-bench: %s: %s", subjects[i].name, error_text(&err));
            return 1;
        }
    }
    return is_known ? 0 : usage();
}

int main(int argc, char **argv)
{
    struct bench bench = {PAIRS, LONG_PAIRS};
    struct sigaction action = {.sa_handler = on_signal};
    if (argc > 1 && strcmp(argv[1], "--load") == 0) {
        return child_load_main(argv + 2);
    }
    if (argc > 1 && strcmp(argv[1], "--scan") == 0) {
        return child_scan_main(argv + 2);
    }
    if (argc > 4 || (argc > 2 && !parse_pairs(argv[2], &bench.pairs)) ||
        (argc > 3 && !parse_pairs(argv[3], &bench.long_pairs))) {
        return usage();
    }
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    return run_subjects(argc > 1 ? argv[1] : "all", &bench);
}
