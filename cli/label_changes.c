/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/label_changes.h"

#include "cli/text.h"
#include "requester/dry_run.h"

#include <string.h>

#define LINE_DIGITS 32 /* 16 bytes */

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static void print_bytes(const char *name, const char *hex, size_t from)
{
    size_t left = strlen(hex) > from ? strlen(hex) - from : 0;
    (void)printf("%s", name);
    for (size_t i = 0; i < left && i < LINE_DIGITS; i += 2) {
        (void)printf(" %.2s", hex + from + i);
    }
    (void)fputc('\n', stdout);
}

static void print_run(const json_t *run)
{
    const char *old = text_of(run, "old");
    const char *new = text_of(run, "new");
    long long offset = json_integer_value(json_object_get(run, "offset"));
    for (size_t at = 0; at < strlen(old); at += LINE_DIGITS) {
        (void)printf("  %12lld", offset + (long long)(at / 2));
        print_bytes("  old", old, at);
        print_bytes("                new", new, at);
    }
}

void label_changes_print(const json_t *changes)
{
    size_t i = 0;
    size_t k = 0;
    const json_t *disk = NULL;
    const json_t *run = NULL;
    json_array_foreach(changes, i, disk)
    {
        const json_t *runs = json_object_get(disk, "changes");
        text_put(stdout, text_of(disk, "url"));
        (void)fputc('\n', stdout);
        if (json_object_get(disk, "note")) {
            (void)fputs("  ", stdout);
            text_put(stdout, text_of(disk, "note"));
            (void)fputc('\n', stdout);
        }
        if (json_array_size(runs) == 0) {
            (void)puts("  no byte of its label changes");
        } else {
            (void)puts("  byte offset      bytes");
        }
        json_array_foreach(runs, k, run)
        {
            print_run(run);
        }
    }
}

int label_changes_report(const struct cli *cli, const struct vss_backup_components *session,
                         HRESULT hr, const struct error *err)
{
    const json_t *changes = NULL;
    if (FAILED(hr) && (!session || !session_ended_dry_run(session, &changes))) {
        return cli_fail(cli, err);
    }
    if (cli->json) {
        return cli_print_json(cli, changes ? json_deep_copy(changes) : json_array());
    }
    label_changes_print(changes);
    (void)puts("Nothing was written.");
    return CLI_OK;
}
