/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/commands.h"
#include "cli/table.h"
#include "cli/text.h"
#include "lun/scan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One listing on its way: text goes to the terminal portal by portal, JSON is gathered. */
struct listing {
    const struct cli *cli;
    struct lun_options options;
    json_t *json; /* NULL: text, or memory was short */
    size_t answered;
    size_t failed; /* portals, targets, single LUNs */
};

/* What is worth a second look, one line each. */
static void gather_warnings(const struct scan *scan, const struct scan_lun *lun, struct buffer *out)
{
    const char *reason = NULL;
    const struct scan_lun *twin = scan ? scan_duplicate(scan, lun) : NULL;
    if (FAILED(lun->result)) {
        buffer_printf(out, "%s\n", error_text(&lun->error));
        return;
    }
    if (!lun_info_is_unique(&lun->identity.info, &reason)) {
        buffer_printf(out, "not unique: %s\n", reason);
    }
    if (twin) {
        buffer_printf(out, "same identity as %s, another serial number\n", twin->url);
    }
    if (FAILED(lun->label_result)) {
        buffer_printf(out, "label: %s\n", error_text(&lun->label_error));
    }
    if (lun->label && lun->label->kind == VSS_DISK_LABEL_GPT) {
        const struct label *label = lun->label;
        if (!label->primary.is_valid) {
            buffer_printf(out, "primary GPT header: %s\n", label->primary.reason);
        }
        if (label->backup_was_read && !label->backup.is_valid) {
            buffer_printf(out, "backup GPT header: %s\n", label->backup.reason);
        }
    }
}

static char *label_text(const struct scan_lun *lun)
{
    struct vss_disk_ids ids = {0};
    if (!lun->label || FAILED(label_ids(lun->label, &ids))) {
        return text_copy(FAILED(lun->label_result) ? "label is damaged" : "label was not read");
    }
    char *kind = text_disk_ids(&ids);
    char *text = kind && lun->label->partition_count
                     ? text_printf("%s, %zu partition%s", kind, lun->label->partition_count,
                                   lun->label->partition_count == 1 ? "" : "s")
                     : text_copy(kind);
    free(kind);
    disk_ids_free(&ids);
    return text;
}

static void add_warnings(struct table *table, const struct scan *scan, const struct scan_lun *lun)
{
    struct buffer warnings = BUFFER_INIT;
    gather_warnings(scan, lun, &warnings);
    char *rest = NULL;
    char *line = warnings.data ? strtok_r(warnings.data, "\n", &rest) : NULL;
    for (; line; line = strtok_r(NULL, "\n", &rest)) {
        table_note(table, "warning: %s", line);
    }
    buffer_free(&warnings);
}

static void add_row(struct table *table, const struct scan *scan, const struct scan_lun *lun)
{
    char size[TEXT_SIZE_BYTES];
    char key[LUN_KEY_BYTES];
    const struct lun_identity *identity = &lun->identity;
    const struct vss_lun_info *info = &identity->info;
    table_printf(table, "%" PRIu64, lun->address.lun);
    if (FAILED(lun->result)) {
        for (int i = 0; i < 4; i++) {
            table_add(table, NULL);
        }
        add_warnings(table, scan, lun);
        return;
    }
    char *label = label_text(lun);
    table_add(table, text_size(identity->block_count * identity->block_bytes, size));
    table_printf(table, "%" PRIu32, identity->block_bytes);
    table_add(table, lun_info_key(info, key));
    table_printf(table, "%s %s %s", info->vendor_id ? info->vendor_id : "-",
                 info->product_id ? info->product_id : "-",
                 info->serial_number ? info->serial_number : "-");
    table_note(table, "%s", label ? label : "-");
    add_warnings(table, scan, lun);
    free(label);
}

/* The LUNs from first on that are behind one target; how many goes to *out_count. */
static HRESULT print_target(const struct scan *scan, const struct scan_lun *luns, size_t limit,
                            size_t *out_count)
{
    static const struct table_column columns[] = {{"LUN", true},
                                                  {"SIZE", true},
                                                  {"BLOCK", true},
                                                  {"IDENTITY", false},
                                                  {"VENDOR PRODUCT SERIAL", false}};
    struct table table = {.columns = columns, .column_count = 5};
    size_t count = 0;
    while (count < limit && strcmp(luns[count].address.target, luns[0].address.target) == 0) {
        add_row(&table, scan, &luns[count]);
        count++;
    }
    (void)fputs("iscsi://", stdout);
    text_put(stdout, luns[0].address.portal);
    (void)fputc('/', stdout);
    text_put(stdout, luns[0].address.target);
    (void)fputs("/LUN\n", stdout);
    HRESULT hr = table_print(&table, stdout, 2, 8);
    table_free(&table);
    *out_count = count;
    return hr;
}

static json_t *warnings_json(const struct scan *scan, const struct scan_lun *lun)
{
    struct buffer warnings = BUFFER_INIT;
    json_t *list = json_array();
    gather_warnings(scan, lun, &warnings);
    char *rest = NULL;
    char *line = warnings.data ? strtok_r(warnings.data, "\n", &rest) : NULL;
    for (; list && line; line = strtok_r(NULL, "\n", &rest)) {
        if (json_array_append_new(list, text_to_json(line))) {
            json_decref(list);
            list = NULL;
        }
    }
    buffer_free(&warnings);
    return list;
}

static json_t *ids_json(const struct scan_lun *lun)
{
    struct vss_disk_ids ids = {0};
    json_t *json = json_null();
    if (lun->label && SUCCEEDED(label_ids(lun->label, &ids))) {
        json = disk_ids_to_json(&ids);
        disk_ids_free(&ids);
    }
    return json;
}

static json_t *lun_json(const struct scan *scan, const struct scan_lun *lun)
{
    char key[LUN_KEY_BYTES];
    const struct lun_identity *identity = &lun->identity;
    uint64_t size_bytes = identity->block_count * identity->block_bytes;
    if (FAILED(lun->result)) {
        return json_pack("{s:o, s:b, s:o}", "url", text_to_json(lun->url), "usable", 0, "warnings",
                         warnings_json(scan, lun));
    }
    return json_pack(
        "{s:o, s:b, s:I, s:I, s:I, s:o, s:o, s:o, s:i, s:o}", "url", text_to_json(lun->url),
        "usable", 1, "block_bytes", (json_int_t)identity->block_bytes, "block_count",
        (json_int_t)identity->block_count, "bytes", (json_int_t)size_bytes, "key",
        text_to_json(lun_info_key(&identity->info, key)), "identity",
        lun_info_to_json(&identity->info), "disk_ids", ids_json(lun), "partitions",
        (int)(lun->label ? lun->label->partition_count : 0), "warnings", warnings_json(scan, lun));
}

static HRESULT show_luns(struct listing *listing, const struct scan *scan,
                         const struct scan_lun *luns, size_t count)
{
    HRESULT hr = S_OK;
    size_t step = 0;
    for (size_t i = 0; !listing->cli->json && SUCCEEDED(hr) && i < count; i += step) {
        hr = print_target(scan, luns + i, count - i, &step);
    }
    for (size_t i = 0; listing->cli->json && SUCCEEDED(hr) && i < count; i++) {
        hr = json_array_append_new(listing->json, lun_json(scan, &luns[i])) ? E_OUTOFMEMORY : S_OK;
    }
    return hr;
}

/* A whole portal. Its LUNs that answer badly are listed with the reason; what could not be asked at
 * all is counted as failed. */
static HRESULT list_portal(struct listing *listing, const char *portal, struct error *err)
{
    struct scan *scan = NULL;
    HRESULT hr = scan_portal(portal, NULL, SCAN_FULL_LABEL, &listing->options, &scan, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = show_luns(listing, scan, scan->luns, scan->count);
    if (FAILED(hr)) {
        (void)error_set(err, hr, "not enough memory for the listing");
    }
    for (size_t i = 0; i < scan->target_error_count; i++) {
        error_prefix(&scan->target_errors[i].error, "target %s", scan->target_errors[i].target);
        cli_warn(listing->cli, &scan->target_errors[i].error);
        listing->failed++;
    }
    scan_free(scan);
    return hr;
}

/* One LUN by its URL, which may carry a CHAP secret; it takes the form of a scan's line. */
static HRESULT list_url(struct listing *listing, const char *url, struct error *err)
{
    struct lun *lun = NULL;
    HRESULT hr = lun_open(url, &listing->options, true, &lun, err);
    if (FAILED(hr)) {
        return hr;
    }
    struct scan_lun found = {.address = lun->address, .url = lun->url, .identity = lun->identity};
    found.label_result = label_read(&lun->block, LABEL_FULL, &found.label, &found.label_error);
    hr = show_luns(listing, NULL, &found, 1);
    if (FAILED(hr)) {
        (void)error_set(err, hr, "not enough memory for the listing");
    }
    label_free(found.label);
    lun_close(lun);
    return hr;
}

static void list_one(struct listing *listing, const char *address)
{
    struct error err = {0};
    bool is_url = strncmp(address, "iscsi://", strlen("iscsi://")) == 0;
    HRESULT hr = is_url ? list_url(listing, address, &err) : list_portal(listing, address, &err);
    if (FAILED(hr)) {
        cli_warn(listing->cli, &err);
        listing->failed++;
    } else {
        listing->answered++;
    }
}

/* False where the configuration names no portal. */
static bool list_configured(struct listing *listing, const struct config *config)
{
    bool has_portal = false;
    for (size_t i = 0; i < config->section_count; i++) {
        const struct config_section *section = &config->sections[i];
        const char *address = config_value(section, "address", NULL);
        if (strcmp(section->kind, "portal") == 0 && address) {
            list_one(listing, address);
            has_portal = true;
        }
    }
    return has_portal;
}

static int run(struct cli *cli)
{
    struct config *config = NULL;
    struct error err = {0};
    HRESULT hr = config_load(cli->config_path, &config, &err);
    if (FAILED(hr)) {
        return cli_fail(cli, &err);
    }
    struct listing listing = {.cli = cli, .options = {.config = config}};
    listing.json = cli->json ? json_array() : NULL;
    bool has_portal = cli->argument_count > 0 || list_configured(&listing, config);
    for (int i = 0; i < cli->argument_count; i++) {
        list_one(&listing, cli->arguments[i]);
    }
    int exit_code = CLI_OK;
    if (!has_portal) {
        exit_code = cli_misuse(cli, "name a portal (host[:port]): the configuration has none");
    } else if (listing.failed > 0) {
        exit_code = listing.answered > 0 ? CLI_PARTIAL : CLI_FAILED;
    }
    if (!has_portal) {
        json_decref(listing.json);
    } else if (cli->json && cli_print_json(cli, listing.json) != CLI_OK) {
        exit_code = CLI_FAILED;
    }
    config_free(config);
    return exit_code;
}

const struct cli_command command_luns = {
    .name = "luns",
    .summary = "the LUNs that portals show: identity, label, what is wrong with them",
    .arguments = "[PORTAL|URL]...",
    .help = "Asks each PORTAL (host[:port]), or all of the configuration, for its targets and "
            "prints for\n"
            "every LUN: number, size, block size, page-83 identity, INQUIRY strings and serial "
            "number,\n"
            "disk label, and warnings: an identity that is not unique, a damaged label. A URL\n"
            "(iscsi://host[:port]/target/lun) shows that LUN alone. Nothing is written.\n"
            "\n"
            "Exits with 3 where some answered and some did not.",
    .min_arguments = 0,
    .max_arguments = -1,
    .run = run,
};
