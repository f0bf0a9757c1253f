/* SPDX-License-Identifier: Apache-2.0 */
#include "resync/compare.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/session.h"
#include "cli/text.h"
#include "common/buffer.h"
#include "common/clock.h"
#include "common/config.h"
#include "requester/async.h"
#include "resync/policy.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As cmp has them; CLI_UNUSABLE is its third. */
#define COMPARE_EQUAL     0
#define COMPARE_DIFFERENT 1

static const struct cli_option options[] = {
    {"first", 'f', NULL, "stop at the first difference; nothing is counted"},
    {"paths", 'p', "N", "sessions to each LUN, 1 to 8 (2)"},
    {"rate", 'r', "SIZE", "read at most SIZE bytes a second, both together: 100M"},
    {"quiet", 'q', NULL, "print nothing, only the exit code"},
};

/* A device's name as it may be shown: a URL without user and secret. malloc'ed. */
static char *shown_name(const char *name)
{
    struct lun_address address;
    if (FAILED(lun_address_parse(name, &address, NULL))) {
        return text_copy(name);
    }
    char *text = lun_address_text(&address);
    explicit_bzero(&address, sizeof(address));
    return text;
}

static json_t *device_json(const char *name, uint64_t bytes)
{
    char *shown = shown_name(name);
    json_t *json = json_pack("{s:o, s:I}", "name", text_to_json(shown), "bytes", (json_int_t)bytes);
    free(shown);
    return json;
}

static int print_json(const struct cli *cli, const struct compare_result *r, bool is_equal,
                      double seconds)
{
    const struct engine_report *e = &r->report;
    bool has_difference = e->first_difference != UINT64_MAX;
    json_t *json = json_pack(
        "{s:b, s:[o, o], s:I, s:I, s:I, s:o, s:f}", "equal", is_equal, "devices",
        device_json(cli->arguments[0], r->a_bytes), device_json(cli->arguments[1], r->b_bytes),
        "compared_bytes", (json_int_t)r->compared_bytes, "read_bytes", (json_int_t)e->read_bytes,
        "hole_bytes", (json_int_t)e->hole_bytes, "first_difference",
        has_difference ? json_integer((json_int_t)e->first_difference) : json_null(), "seconds",
        seconds);
    if (json && !cli_has(cli, "first")) {
        (void)json_object_set_new(json, "different_bytes",
                                  json_integer((json_int_t)e->different_bytes));
        (void)json_object_set_new(json, "different_blocks",
                                  json_integer((json_int_t)e->different_blocks));
        (void)json_object_set_new(json, "block_bytes", json_integer(r->block_bytes));
    }
    return cli_print_json(cli, json);
}

static void print_difference(const struct cli *cli, const struct compare_result *r)
{
    const struct engine_report *e = &r->report;
    if (e->first_difference == UINT64_MAX) {
        (void)puts("equal as far as the shorter one reaches");
    } else if (cli_has(cli, "first")) {
        (void)printf("differ: first at byte %" PRIu64 "\n", e->first_difference);
    } else {
        (void)printf("differ: first at byte %" PRIu64 ", %" PRIu64 " bytes in %" PRIu64
                     " blocks of %" PRIu32 "\n",
                     e->first_difference, e->different_bytes, e->different_blocks, r->block_bytes);
    }
    if (r->a_bytes != r->b_bytes) {
        (void)printf("sizes differ: %" PRIu64 " and %" PRIu64 " bytes\n", r->a_bytes, r->b_bytes);
    }
}

static void print_text(const struct cli *cli, const struct compare_result *r, bool is_equal,
                       double seconds)
{
    char compared[TEXT_SIZE_BYTES];
    char read[TEXT_SIZE_BYTES];
    if (is_equal) {
        (void)puts("equal");
    } else {
        print_difference(cli, r);
    }
    (void)printf("%s compared, %s read, in %.1f s\n", text_size(r->compared_bytes, compared),
                 text_size(r->report.read_bytes, read), seconds);
}

/* Trouble is 2, for 1 says that they differ. */
static int fail(const struct cli *cli, const struct error *err)
{
    (void)cli_fail(cli, err);
    return CLI_UNUSABLE;
}

static bool read_options(const struct cli *cli, struct compare_options *out)
{
    unsigned long paths = 0;
    const char *rate = cli_value(cli, "rate");
    if (!cli_number(cli, "paths", 1, PIPELINE_PATHS_MAX, 2, &paths)) {
        return false;
    }
    if (rate && !text_parse_size(rate, &out->bytes_per_second)) {
        (void)cli_misuse(cli, "--rate takes a size: 100M");
        return false;
    }
    out->paths = (uint32_t)paths;
    out->stops_at_first = cli_has(cli, "first");
    return true;
}

/* ---- the operation --------------------------------------------------------------------------- */

struct comparison {
    const struct cli *cli;
    struct compare_options options;
    struct compare_result result;
    bool is_equal;
    atomic_bool cancelled;
    _Atomic uint64_t done;
    _Atomic uint64_t total;
};

static HRESULT run_comparison(void *user, struct error *err)
{
    struct comparison *c = user;
    HRESULT hr =
        compare_devices(c->cli->arguments[0], c->cli->arguments[1], &c->options, &c->result, err);
    c->is_equal = hr == S_OK;
    return FAILED(hr) ? hr : S_OK;
}

static HRESULT finish_comparison(void *user, HRESULT hr, struct error *err)
{
    (void)user;
    (void)err;
    return hr;
}

/* In a thread of its own, so that its progress can be shown. */
static HRESULT compare(struct comparison *c, struct error *err)
{
    struct vss_async *async = NULL;
    struct async_job job = {.user = c,
                            .run = run_comparison,
                            .finish = finish_comparison,
                            .cancelled = &c->cancelled,
                            .progress_done = &c->done,
                            .progress_total = &c->total};
    c->options.cancelled = &c->cancelled;
    c->options.progress = &c->done;
    c->options.progress_total = &c->total;
    HRESULT hr = async_start(&job, &async, err);
    if (SUCCEEDED(hr)) {
        hr = session_wait(NULL, hr, async, "compare", err);
        async_detach(async); /* a session's part is ours too */
    }
    return hr;
}

static int print_result(const struct comparison *c, double seconds)
{
    const struct cli *cli = c->cli;
    if (!cli_has(cli, "quiet") && cli->json) {
        if (print_json(cli, &c->result, c->is_equal, seconds) != CLI_OK) {
            return CLI_UNUSABLE;
        }
    } else if (!cli_has(cli, "quiet")) {
        print_text(cli, &c->result, c->is_equal, seconds);
    }
    return c->is_equal ? COMPARE_EQUAL : COMPARE_DIFFERENT;
}

static int run(struct cli *cli)
{
    static const struct copy_wish no_wish;
    struct config *config = NULL;
    struct error err = {0};
    struct comparison c = {.cli = cli};
    struct copy_policy policy;
    if (!read_options(cli, &c.options)) {
        return CLI_UNUSABLE;
    }
    if (cli_has(cli, "quiet")) {
        progress_hide();
    }
    HRESULT hr = config_load(cli->config_path, &config, &err);
    if (SUCCEEDED(hr)) {
        hr = copy_policy_read(config, &no_wish, &policy, &err);
    }
    if (FAILED(hr)) {
        config_free(config);
        return fail(cli, &err);
    }
    struct lun_options lun = {.config = config};
    c.options.lun = &lun;
    c.options.patience_ms = policy.patience_ms;
    uint64_t started = clock_monotonic_us();
    hr = compare(&c, &err);
    double seconds = (double)(clock_monotonic_us() - started) / 1e6;
    config_free(config);
    return FAILED(hr) ? fail(cli, &err) : print_result(&c, seconds);
}

const struct cli_command command_compare = {
    .name = "compare",
    .summary = "compare two LUNs or image files",
    .arguments = "A B",
    .help =
        "Reads two devices and says whether they hold the same bytes: a LUN (its URL), a raw "
        "image\n"
        "file or a local block device each. What both are known to have as holes is not read. On "
        "a\n"
        "difference the first byte that differs is named (the first byte of a device is byte 0),\n"
        "and bytes and blocks that differ are counted.",
    .exit_codes = "0 equal; 1 different, in content or in size; 2 it could not be told.",
    .exit_unread = CLI_UNUSABLE,
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .min_arguments = 2,
    .max_arguments = 2,
    .run = run,
};
