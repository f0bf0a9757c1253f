/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/ids_wanted.h"

#include "common/id.h"
#include "lun/info.h"
#include "registry/sets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool ids_wanted_any(const struct cli *cli)
{
    return cli_has(cli, "fresh") || cli_has(cli, "set") || cli_has(cli, "restore");
}

/* "0x" and up to digits hexadecimal digits. */
static bool parse_hex(const char *text, size_t digits, uint64_t *out)
{
    size_t length = strlen(text);
    *out = 0;
    if (length < 3 || length > 2 + digits || strncmp(text, "0x", 2) != 0 ||
        strspn(text + 2, "0123456789abcdefABCDEF") != length - 2) {
        return false;
    }
    *out = strtoull(text + 2, NULL, 16);
    return true;
}

/* From 1; 0 for what is no number. */
static unsigned long parse_number(const char *text, const char **out_end)
{
    char *end = NULL;
    errno = 0;
    unsigned long number = *text >= '1' && *text <= '9' ? strtoul(text, &end, 10) : 0;
    *out_end = end ? end : text;
    return errno == 0 ? number : 0;
}

static bool is_restore_value(const char *value)
{
    const char *end = NULL;
    return strcmp(value, "previous") == 0 || (parse_number(value, &end) > 0 && *end == '\0');
}

const char *ids_wanted_wrong(const struct cli *cli)
{
    const char *restore = cli_value(cli, "restore");
    int ways = cli_has(cli, "fresh") + cli_has(cli, "set") + (restore ? 1 : 0);
    if (ways > 1) {
        return "--fresh, --set and --restore exclude each other";
    }
    if (ways == 0 && (cli_has(cli, "yes") || cli_has(cli, "dry-run") || cli_has(cli, "repair"))) {
        return "nothing is asked for: --fresh, --set or --restore says which ids";
    }
    if (cli_has(cli, "set") && cli->argument_count != 1) {
        return "--set is for one LUN";
    }
    if (restore && !is_restore_value(restore)) {
        return "--restore takes a number of the listing, or \"previous\"";
    }
    return NULL;
}

/* ---- --set ----------------------------------------------------------------------------------- */

static struct vss_partition_id *find_partition(struct vss_disk_ids *ids, unsigned long number)
{
    for (uint32_t i = 0; i < ids->partition_count; i++) {
        if (ids->partitions[i].number == number) {
            return &ids->partitions[i];
        }
    }
    return NULL;
}

/* "N=GUID" and "N.attributes=0x...". */
static bool set_partition(const char *key, const char *value, struct vss_disk_ids *ids)
{
    const char *end = NULL;
    struct vss_partition_id *p = find_partition(ids, parse_number(key, &end));
    if (!p) {
        return false;
    }
    if (*end == '=') {
        return id_parse(value, &p->guid);
    }
    return strncmp(end, ".attributes=", strlen(".attributes=")) == 0 &&
           parse_hex(value, 16, &p->attributes);
}

static bool set_one(const char *text, struct vss_disk_ids *ids)
{
    const char *equals = strchr(text, '=');
    uint64_t number = 0;
    if (!equals || ids->kind == VSS_DISK_LABEL_NONE) {
        return false;
    }
    if (strncmp(text, "mbr=", 4) == 0) {
        bool is_good = parse_hex(equals + 1, 8, &number);
        ids->mbr_signature = (uint32_t)number;
        return is_good;
    }
    if (ids->kind != VSS_DISK_LABEL_GPT) {
        return false;
    }
    return strncmp(text, "disk=", 5) == 0 ? id_parse(equals + 1, &ids->disk_guid)
                                          : set_partition(text, equals + 1, ids);
}

static HRESULT set_all(const struct cli *cli, const struct ids_change_lun *lun,
                       struct vss_disk_ids *ids, struct error *err)
{
    for (size_t i = 0; i < cli->given_count; i++) {
        const char *value = cli->given[i].value;
        if (strcmp(cli->given[i].option->name, "set") == 0 && !set_one(value, ids)) {
            return error_set(err, E_INVALIDARG,
                             "--set %s does not fit %s: mbr=0xSIGNATURE; on a GPT also disk=GUID, "
                             "N=GUID and N.attributes=0xBITS for a partition N that is there",
                             value, lun->url);
        }
    }
    return S_OK;
}

/* ---- --restore ------------------------------------------------------------------------------- */

static HRESULT restore(const struct cli *cli, struct store *store, const struct ids_change_lun *lun,
                       struct vss_disk_ids *out, struct error *err)
{
    struct disk_ids_record *history = NULL;
    size_t count = 0;
    size_t index = 0;
    const char *end = NULL;
    const char *value = cli_value(cli, "restore");
    HRESULT hr = disk_ids_history(store, lun->key, &history, &count, err);
    if (FAILED(hr)) {
        return hr;
    }
    if (strcmp(value, "previous") == 0) {
        while (index < count && disk_ids_equal(&history[index].ids, &lun->current)) {
            index++;
        }
    } else {
        index = parse_number(value, &end) - 1;
    }
    if (index < count) {
        hr = disk_ids_copy(&history[index].ids, out);
        hr = FAILED(hr) ? error_set(err, hr, "out of memory restoring disk ids") : hr;
    } else {
        hr = error_set(err, VSS_E_OBJECT_NOT_FOUND,
                       "the history of %s (%s) has %zu entries, and no \"%s\"", lun->url, lun->key,
                       count, value);
    }
    disk_ids_history_free(history, count);
    return hr;
}

HRESULT ids_wanted(const struct cli *cli, struct store *store, const struct ids_change_lun *lun,
                   struct vss_disk_ids *out, struct error *err)
{
    *out = (struct vss_disk_ids){0};
    if (cli_has(cli, "restore")) {
        return restore(cli, store, lun, out, err);
    }
    HRESULT hr = cli_has(cli, "fresh") ? label_fresh_ids(&lun->current, 0, 0, out)
                                       : disk_ids_copy(&lun->current, out);
    if (FAILED(hr)) {
        return error_set(err, hr, "out of memory making disk ids");
    }
    hr = set_all(cli, lun, out, err);
    if (FAILED(hr)) {
        disk_ids_free(out);
    }
    return hr;
}

const char *ids_wanted_why(const struct cli *cli)
{
    if (cli_has(cli, "restore")) {
        return "restored by lunshadow ids";
    }
    return cli_has(cli, "fresh") ? "fresh, by lunshadow ids" : "set by lunshadow ids";
}
