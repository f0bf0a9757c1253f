/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/commands.h"
#include "cli/table.h"
#include "cli/text.h"

#include <inttypes.h>
#include <stdio.h>

static json_t *code_json(HRESULT code)
{
    char value[16];
    (void)snprintf(value, sizeof(value), "0x%08" PRIx32, (uint32_t)code);
    return json_pack("{s:s?, s:s, s:i, s:b, s:s}", "name", vss_error_name(code), "value", value,
                     "number", (int)code, "failure", FAILED(code), "explanation",
                     vss_error_explanation(code));
}

static int print_all(const struct cli *cli)
{
    static const struct table_column columns[] = {{"VALUE", false}, {"NAME", false}};
    struct table table = {.columns = columns, .column_count = 2};
    json_t *list = cli->json ? json_array() : NULL;
    HRESULT code = S_OK;
    const char *name = NULL;
    for (size_t i = 0; vss_error_at(i, &code, &name); i++) {
        if (!cli->json) {
            table_printf(&table, "0x%08" PRIx32, (uint32_t)code);
            table_add(&table, name);
        } else if (list && json_array_append_new(list, code_json(code))) {
            json_decref(list);
            list = NULL;
        }
    }
    if (cli->json) {
        return cli_print_json(cli, list);
    }
    HRESULT hr = table_print(&table, stdout, 0, 0);
    table_free(&table);
    return SUCCEEDED(hr) ? CLI_OK : CLI_FAILED;
}

static int run(struct cli *cli)
{
    HRESULT code = S_OK;
    if (cli->argument_count == 0) {
        return print_all(cli);
    }
    if (!vss_error_lookup(cli->arguments[0], &code)) {
        return cli_misuse(cli,
                          "%s is no code known here: give a name (VSS_E_BAD_STATE) or a value "
                          "(0x80042301)",
                          cli->arguments[0]);
    }
    if (cli->json) {
        return cli_print_json(cli, code_json(code));
    }
    (void)printf("%s  0x%08" PRIx32 "  (%s)\n%s\n", vss_error_name(code), (uint32_t)code,
                 FAILED(code) ? "failure" : "success", vss_error_explanation(code));
    return CLI_OK;
}

const struct cli_command command_error = {
    .name = "error",
    .summary = "explain a result code",
    .arguments = "[CODE|NAME]",
    .help = "Prints name, value and meaning of a result code, which may be given as its name in\n"
            "any case, as hexadecimal with 0x, or as a signed decimal number (behind --). Without "
            "one: all.",
    .min_arguments = 0,
    .max_arguments = 1,
    .run = run,
};
