/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/drill_own.h"

#include "cli/interrupt.h"
#include "common/config.h"
#include "drill/own.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_RTO_S 604800u

/* What is to be drilled: of the command line, or of a section [drill NAME]. Borrowed. */
struct plan {
    const char *volumes[DRILL_OWN_LUNS_MAX];
    const char *onto[DRILL_OWN_LUNS_MAX];
    size_t volume_count;
    size_t onto_count;
    const char *check;
    uint64_t max_rto_s;
};

bool drill_own_is_asked(const struct cli *cli)
{
    return cli_has(cli, "volume") || cli_has(cli, "onto") || cli_has(cli, "check") ||
           cli_has(cli, "max-rto") || cli_has(cli, "plan");
}

static const char *read_arguments(const struct cli *cli, struct plan *out)
{
    for (size_t i = 0; i < cli->given_count; i++) {
        const char *name = cli->given[i].option->name;
        bool is_volume = strcmp(name, "volume") == 0;
        bool is_onto = strcmp(name, "onto") == 0;
        size_t *count = is_volume ? &out->volume_count : &out->onto_count;
        if ((is_volume || is_onto) && *count == DRILL_OWN_LUNS_MAX) {
            return "that is more LUNs than a set can have";
        }
        if (is_volume || is_onto) {
            (is_volume ? out->volumes : out->onto)[(*count)++] = cli->given[i].value;
        }
    }
    out->check = cli_value(cli, "check");
    return NULL;
}

/* volume1, onto1, volume2, ... */
static HRESULT read_section(const struct config_section *section, struct plan *out,
                            struct error *err)
{
    for (size_t i = 0; i < DRILL_OWN_LUNS_MAX; i++) {
        char volume[16];
        char onto[16];
        (void)snprintf(volume, sizeof(volume), "volume%zu", i + 1);
        (void)snprintf(onto, sizeof(onto), "onto%zu", i + 1);
        const char *from = config_value(section, volume, NULL);
        const char *to = config_value(section, onto, NULL);
        if (!from && !to) {
            break;
        }
        if (!from || !to) {
            return error_set(err, E_INVALIDARG, "[drill %s]: %s goes with %s", section->name,
                             volume, onto);
        }
        out->volumes[out->volume_count++] = from;
        out->onto[out->onto_count++] = to;
    }
    out->check = config_value(section, "check", NULL);
    return config_number(section, "max_rto", 1, MAX_RTO_S, 0, &out->max_rto_s, err);
}

static HRESULT read_plan(const struct cli *cli, const struct config *config, struct plan *out,
                         struct error *err)
{
    const char *name = cli_value(cli, "plan");
    const struct config_section *section = config_find(config, "drill", name);
    return section ? read_section(section, out, err)
                   : error_set(err, VSS_E_OBJECT_NOT_FOUND,
                               "the configuration has no section [drill %s]", name);
}

static const char *wrong_plan(const struct plan *plan)
{
    if (plan->volume_count == 0 || plan->volume_count != plan->onto_count) {
        return "each --volume needs one --onto, in the same order";
    }
    return plan->check ? NULL : "--check says what judges the recovered LUNs";
}

static int run_plan(const struct cli *cli, const struct plan *plan)
{
    struct error err = {0};
    const struct drill_own_options options = {
        .common = {.state_directory = cli->state_directory,
                   .keep = cli_has(cli, "keep"),
                   .json = cli->json,
                   .out = stdout,
                   .should_stop = interrupt_was_asked},
        .config_path = cli->config_path,
        .volumes = plan->volumes,
        .onto = plan->onto,
        .count = plan->volume_count,
        .check = plan->check,
        .max_rto_s = (uint32_t)plan->max_rto_s,
    };
    interrupt_install();
    enum drill_result result = drill_own_run(&options, &err);
    if (FAILED(err.code)) {
        cli_warn(cli, &err);
    }
    return (int)result; /* drill's results are its exit codes */
}

int drill_own(const struct cli *cli)
{
    struct plan plan = {.check = NULL};
    struct config *config = NULL;
    struct error err = {0};
    const char *wrong = NULL;
    unsigned long max_rto_s = 0;
    bool is_planned = cli_has(cli, "plan");
    if (!cli_number(cli, "max-rto", 1, MAX_RTO_S, 0, &max_rto_s)) {
        return CLI_UNUSABLE;
    }
    if (is_planned && (cli_has(cli, "volume") || cli_has(cli, "onto") || cli_has(cli, "check") ||
                       max_rto_s > 0)) {
        return cli_misuse(cli, "--plan says it all: it goes with --keep only");
    }
    HRESULT hr = config_load(cli->config_path, &config, &err);
    if (SUCCEEDED(hr) && is_planned) {
        hr = read_plan(cli, config, &plan, &err);
    } else if (SUCCEEDED(hr)) {
        plan.max_rto_s = max_rto_s;
        wrong = read_arguments(cli, &plan);
    }
    int exit_code = CLI_UNUSABLE;
    if (FAILED(hr)) {
        cli_warn(cli, &err); /* and nothing was written: 2 */
    } else if (wrong || wrong_plan(&plan)) {
        exit_code = cli_misuse(cli, "%s", wrong ? wrong : wrong_plan(&plan));
    } else {
        exit_code = run_plan(cli, &plan);
    }
    config_free(config);
    return exit_code;
}
