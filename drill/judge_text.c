/* SPDX-License-Identifier: Apache-2.0 */
#include "drill/judge.h"

#include "common/id.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* What follows "name" at the beginning of a line, blanks passed over; NULL where there is no such
 * line. */
static const char *value_of(const char *text, const char *name)
{
    size_t length = strlen(name);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, length) == 0) {
            line += length;
            return line + strspn(line, " \t");
        }
        if (*line == '\0') {
            break;
        }
    }
    return NULL;
}

static bool is_id(const char *text, const VSS_ID *id)
{
    char wanted[ID_TEXT_BYTES];
    return text && strncasecmp(text, id_text(id, wanted), ID_TEXT_BYTES - 1) == 0;
}

static bool is_number(const char *text, uint64_t wanted, int base)
{
    char *end = NULL;
    return text && strtoull(text, &end, base) == wanted && end != text;
}

static bool fault(char *why, size_t bytes, const char *what)
{
    (void)snprintf(why, bytes, "%s", what);
    return false;
}

static bool partition_fault(char *why, size_t bytes, uint32_t number, const char *what)
{
    (void)snprintf(why, bytes, "partition %u: %s is not the expected one", number, what);
    return false;
}

bool judge_sgdisk_verify(const char *text, char *why, size_t bytes)
{
    static const char *const bad[] = {"Problem:", "Caution: invalid", "damaged",
                                      "corrupt",  "Creating new GPT", "converting MBR"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const char *at = strcasestr(text, bad[i]);
        if (at) {
            (void)snprintf(why, bytes, "it says: %.*s", (int)strcspn(at, "\n"), at);
            return false;
        }
    }
    return strstr(text, "No problems found") ? true
                                             : fault(why, bytes, "no 'No problems found' in it");
}

bool judge_sgdisk_print(const char *text, const struct fields *expected, char *why, size_t bytes)
{
    if (!is_id(value_of(text, "Disk identifier (GUID):"), &expected->primary.disk_guid)) {
        return fault(why, bytes, "the disk GUID is not the expected one");
    }
    return true;
}

bool judge_sgdisk_info(const char *text, const struct fields_partition *expected, char *why,
                       size_t bytes)
{
    uint32_t n = expected->number;
    if (!is_id(value_of(text, "Partition GUID code:"), &expected->type)) {
        return partition_fault(why, bytes, n, "type GUID");
    }
    if (!is_id(value_of(text, "Partition unique GUID:"), &expected->guid)) {
        return partition_fault(why, bytes, n, "unique GUID");
    }
    if (!is_number(value_of(text, "First sector:"), expected->first_lba, 10) ||
        !is_number(value_of(text, "Last sector:"), expected->last_lba, 10)) {
        return partition_fault(why, bytes, n, "place");
    }
    if (!is_number(value_of(text, "Attribute flags:"), expected->attributes, 16)) {
        return partition_fault(why, bytes, n, "attribute flags");
    }
    return true;
}

/* ---- sfdisk ---- */

static bool is_label_id(const char *text, const struct fields *expected)
{
    return expected->kind == FIELDS_MBR ? is_number(text, expected->mbr_signature, 16)
                                        : is_id(text, &expected->primary.disk_guid);
}

static const char *kind_name(const struct fields *expected)
{
    return expected->kind == FIELDS_MBR ? "dos" : "gpt";
}

static const char *string_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* The number behind the device's name in a node's: "label.img5", "/dev/loop0p3". */
static uint32_t number_of(const char *node, const char *device)
{
    size_t length = strlen(device);
    if (strncmp(node, device, length) != 0) {
        return 0;
    }
    const char *rest = node + length + (node[length] == 'p');
    return (uint32_t)strtoul(rest, NULL, 10);
}

static bool judge_json_partition(const json_t *table, const json_t *found,
                                 const struct fields_partition *p, bool is_gpt, char *why,
                                 size_t bytes)
{
    if (number_of(string_of(found, "node"), string_of(table, "device")) != p->number) {
        return partition_fault(why, bytes, p->number, "number");
    }
    uint64_t start = (uint64_t)json_integer_value(json_object_get(found, "start"));
    uint64_t size = (uint64_t)json_integer_value(json_object_get(found, "size"));
    if (start != p->first_lba || size != p->last_lba - p->first_lba + 1) {
        return partition_fault(why, bytes, p->number, "place");
    }
    if (!is_gpt) {
        return is_number(string_of(found, "type"), p->mbr_type, 16)
                   ? true
                   : partition_fault(why, bytes, p->number, "type");
    }
    if (!is_id(string_of(found, "type"), &p->type)) {
        return partition_fault(why, bytes, p->number, "type GUID");
    }
    if (!is_id(string_of(found, "uuid"), &p->guid)) {
        return partition_fault(why, bytes, p->number, "GUID");
    }
    return (p->attributes != 0) == (*string_of(found, "attrs") != '\0')
               ? true
               : partition_fault(why, bytes, p->number, "attributes");
}

static bool judge_json_table(const json_t *table, uint32_t block_bytes,
                             const struct fields *expected, char *why, size_t bytes)
{
    const json_t *partitions = json_object_get(table, "partitions");
    if (strcmp(string_of(table, "label"), kind_name(expected)) != 0) {
        return fault(why, bytes, "another kind of label");
    }
    if (!is_label_id(string_of(table, "id"), expected)) {
        return fault(why, bytes, "the disk's id is not the expected one");
    }
    if (json_integer_value(json_object_get(table, "sectorsize")) != (json_int_t)block_bytes) {
        return fault(why, bytes, "another sector size");
    }
    if (json_array_size(partitions) != expected->partition_count) {
        return fault(why, bytes, "another number of partitions");
    }
    for (size_t i = 0; i < expected->partition_count; i++) {
        if (!judge_json_partition(table, json_array_get(partitions, i), &expected->partitions[i],
                                  expected->kind == FIELDS_GPT, why, bytes)) {
            return false;
        }
    }
    return true;
}

bool judge_sfdisk_json(const char *text, uint32_t block_bytes, const struct fields *expected,
                       char *why, size_t bytes)
{
    json_error_t where;
    json_t *root = json_loads(text, 0, &where);
    if (!root) {
        return fault(why, bytes, "no JSON came out");
    }
    bool held = judge_json_table(json_object_get(root, "partitiontable"), block_bytes, expected,
                                 why, bytes);
    json_decref(root);
    return held;
}

bool judge_sfdisk_dump(const char *text, const struct fields *expected, char *why, size_t bytes)
{
    const char *kind = value_of(text, "label:");
    if (!kind || strncmp(kind, kind_name(expected), 3) != 0) {
        return fault(why, bytes, "another kind of label");
    }
    if (!is_label_id(value_of(text, "label-id:"), expected)) {
        return fault(why, bytes, "the disk's id is not the expected one");
    }
    size_t partitions = 0;
    const char *at = text;
    for (at = strstr(at, "start="); at; at = strstr(at + 1, "start=")) {
        const struct fields_partition *p = &expected->partitions[partitions];
        if (partitions == expected->partition_count || !is_number(at + 6, p->first_lba, 10)) {
            return fault(why, bytes, "another set of partitions");
        }
        partitions++;
    }
    return partitions == expected->partition_count
               ? true
               : fault(why, bytes, "another number of partitions");
}

/* ---- fdisk -l -o Start,End,Type-UUID,UUID ---- */

static bool judge_row(const char *row, const struct fields_partition *p)
{
    uint64_t first = 0;
    uint64_t last = 0;
    char type[ID_TEXT_BYTES] = "";
    char guid[ID_TEXT_BYTES] = "";
    return sscanf(row, " %" SCNu64 " %" SCNu64 " %36s %36s", &first, &last, type, guid) == 4 &&
           first == p->first_lba && last == p->last_lba && is_id(type, &p->type) &&
           is_id(guid, &p->guid);
}

bool judge_fdisk_list(const char *text, const struct fields *expected, char *why, size_t bytes)
{
    if (!is_label_id(value_of(text, "Disk identifier:"), expected)) {
        return fault(why, bytes, "the disk's id is not the expected one");
    }
    size_t partitions = 0;
    for (const char *line = strchr(text, '\n'); line; line = strchr(line, '\n')) {
        line++;
        const char *word = line + strspn(line, " ");
        if (*word < '0' || *word > '9') {
            continue;
        }
        if (partitions == expected->partition_count ||
            !judge_row(word, &expected->partitions[partitions])) {
            return fault(why, bytes, "another set of partitions");
        }
        partitions++;
    }
    return partitions == expected->partition_count
               ? true
               : fault(why, bytes, "another number of partitions");
}
