/* SPDX-License-Identifier: Apache-2.0 */
/* lunshadow-workload: the drill's dependent writer, as a process with sessions of its own. */
#include "drill/workload.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define FIXED_ARGUMENTS 6

static volatile sig_atomic_t was_told_to_stop;

static void on_signal(int number)
{
    (void)number;
    was_told_to_stop = 1;
}

/* Standard input closes when whoever started us says stop, or dies. */
static bool should_stop(void *user)
{
    (void)user;
    struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
    return was_told_to_stop || (poll(&p, 1, 0) > 0 && p.revents != 0);
}

static bool take_number(const char *text, uint64_t *out)
{
    char *end = NULL;
    errno = 0;
    *out = strtoull(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && *text != '-';
}

/* A LUN of the plan: its address, and its size as the LUN itself says. */
static HRESULT take_lun(const char *url, const char *ranges_text, const char *initiator,
                        uint32_t number, struct workload_lun *lun, struct layout *layout,
                        struct error *err)
{
    struct range *ranges = NULL;
    size_t count = 0;
    struct raw *raw = NULL;
    HRESULT hr = raw_parse(url, &lun->address, err);
    if (SUCCEEDED(hr)) {
        hr = layout_parse_ranges(ranges_text, &ranges, &count, err);
    }
    if (SUCCEEDED(hr)) {
        hr = raw_open(&lun->address, initiator, &raw, err);
    }
    if (SUCCEEDED(hr)) {
        hr = layout_make(number, raw->block_bytes, raw->block_count, ranges, count, layout, err);
        lun->layout = layout;
    }
    raw_close(raw);
    free(ranges);
    return hr;
}

static HRESULT take_plan(char **argv, size_t lun_count, struct workload_plan *plan,
                         struct workload_lun *luns, struct layout *layouts, struct error *err)
{
    plan->log_path = argv[1];
    plan->initiator = argv[5];
    plan->luns = luns;
    plan->lun_count = lun_count;
    if (!take_number(argv[2], &plan->seed) || !take_number(argv[3], &plan->first_record) ||
        !take_number(argv[4], &plan->record_limit) || plan->record_limit == 0 ||
        plan->record_limit > UINT32_MAX || plan->first_record > UINT32_MAX) {
        return error_set(err, E_INVALIDARG, "SEED, FIRST and LIMIT are decimal numbers");
    }
    for (size_t i = 0; i < lun_count; i++) {
        char **words = argv + FIXED_ARGUMENTS + 2 * i;
        HRESULT hr = take_lun(words[0], words[1], plan->initiator, (uint32_t)(i + 1), &luns[i],
                              &layouts[i], err);
        if (FAILED(hr)) {
            return hr;
        }
    }
    return S_OK;
}

static void catch_signals(void)
{
    struct sigaction stop = {.sa_handler = on_signal};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    (void)sigaction(SIGTERM, &stop, NULL);
    (void)sigaction(SIGINT, &stop, NULL);
    (void)sigaction(SIGPIPE, &ignore, NULL); /* a lost session is an error code, not a death */
}

int main(int argc, char **argv)
{
    if (argc < FIXED_ARGUMENTS + 2 || (argc - FIXED_ARGUMENTS) % 2 != 0) {
        (void)fprintf(stderr,
                      "usage: lunshadow-workload LOG SEED FIRST LIMIT INITIATOR {URL RANGES}...\n"
                      "Writes stamped records, one LUN after the other, until standard input "
                      "closes; started by lunshadow drill.\n");
        return 2;
    }
    size_t lun_count = (size_t)(argc - FIXED_ARGUMENTS) / 2;
    struct workload_plan plan = {0};
    struct workload_lun *luns = calloc(lun_count, sizeof(*luns));
    struct layout *layouts = calloc(lun_count, sizeof(*layouts));
    struct error err = {0};
    catch_signals();
    (void)setpriority(PRIO_PROCESS, 0, -10); /* heavy also on a busy host; root alone may */
    HRESULT hr = luns && layouts ? take_plan(argv, lun_count, &plan, luns, layouts, &err)
                                 : error_set(&err, E_OUTOFMEMORY, "out of memory");
    if (SUCCEEDED(hr)) {
        hr = workload_run(&plan, should_stop, NULL, &err);
    }
    for (size_t i = 0; layouts && i < lun_count; i++) {
        layout_free(&layouts[i]);
    }
    free(layouts);
    free(luns);
    if (FAILED(hr)) {
        (void)fprintf(stderr, "lunshadow-workload: %s\n", error_text(&err));
        return 1;
    }
    return 0;
}
