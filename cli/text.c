/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/text.h"

#include "common/buffer.h"
#include "common/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Length of the UTF-8 sequence at text and its code point; 0 where there is none (overlong forms,
 * surrogates and values above U+10FFFF are none). */
static size_t decode(const unsigned char *text, uint32_t *out_point)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = 1;
    uint32_t point = text[0];
    if (text[0] >= 0xf0 && text[0] < 0xf8) {
        length = 4;
        point = text[0] & 0x07u;
    } else if (text[0] >= 0xe0 && text[0] < 0xf0) {
        length = 3;
        point = text[0] & 0x0fu;
    } else if (text[0] >= 0xc0 && text[0] < 0xe0) {
        length = 2;
        point = text[0] & 0x1fu;
    } else if (text[0] >= 0x80) {
        return 0;
    }
    for (size_t i = 1; i < length; i++) {
        if ((text[i] & 0xc0u) != 0x80) {
            return 0; /* also at the closing NUL */
        }
        point = point << 6 | (text[i] & 0x3fu);
    }
    if (point < smallest[length] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) {
        return 0;
    }
    *out_point = point;
    return length;
}

/* Controls, and what makes a terminal show text in another order than it is written. */
static bool is_printable(uint32_t point)
{
    return point >= 0x20 && !(point >= 0x7f && point <= 0x9f) &&
           !(point >= 0x200e && point <= 0x200f) && !(point >= 0x2028 && point <= 0x202e) &&
           !(point >= 0x2066 && point <= 0x2069);
}

char *text_clean(const char *text)
{
    if (!text) {
        return NULL;
    }
    size_t length = strlen(text);
    char *out = malloc(length + 1);
    if (!out) {
        return NULL;
    }
    size_t used = 0;
    for (size_t i = 0; i < length;) {
        uint32_t point = 0;
        size_t bytes = decode((const unsigned char *)text + i, &point);
        if (bytes > 0 && is_printable(point)) {
            memcpy(out + used, text + i, bytes);
            used += bytes;
        } else {
            out[used++] = '?';
        }
        i += bytes > 0 ? bytes : 1;
    }
    out[used] = '\0';
    return out;
}

void text_put(FILE *stream, const char *text)
{
    char *clean = text_clean(text ? text : "-");
    (void)fputs(clean ? clean : "(out of memory)", stream);
    free(clean);
}

size_t text_columns(const char *text)
{
    size_t columns = 0;
    for (; *text; text++) {
        columns += ((unsigned char)*text & 0xc0u) != 0x80;
    }
    return columns;
}

json_t *text_to_json(const char *text)
{
    if (!text) {
        return json_null();
    }
    char *clean = text_clean(text);
    json_t *json = clean ? json_string(clean) : NULL;
    free(clean);
    return json;
}

json_t *text_id_to_json(const VSS_ID *id)
{
    char text[ID_TEXT_BYTES];
    return json_string(id_text(id, text));
}

json_t *text_time_to_json(int64_t filetime)
{
    time_t seconds = (time_t)clock_filetime_to_unix(filetime);
    struct tm parts;
    char text[64];
    if (!gmtime_r(&seconds, &parts) ||
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts) == 0) {
        return json_null();
    }
    return json_string(text);
}

char *text_size(uint64_t bytes, char out[TEXT_SIZE_BYTES])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        value /= 1024;
        unit++;
    }
    (void)snprintf(out, TEXT_SIZE_BYTES, "%.*f %s", unit == 0 ? 0 : 1, value, units[unit]);
    return out;
}

bool text_parse_size(const char *text, uint64_t *out_bytes)
{
    if (text[0] < '0' || text[0] > '9') {
        return false; /* strtoull would take blanks and signs */
    }
    char *end = NULL;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    unsigned shift = 0;
    if (*end) {
        const char *letters = "KMGT";
        const char *letter = strchr(letters, *end);
        if (!letter || end[1] != '\0') {
            return false;
        }
        shift = 10u * (unsigned)(letter - letters + 1);
    }
    if (errno != 0 || number == 0 || number > UINT64_MAX >> shift) {
        return false;
    }
    *out_bytes = (uint64_t)number << shift;
    return true;
}

char *text_disk_ids(const struct vss_disk_ids *ids)
{
    char id[ID_TEXT_BYTES];
    switch (ids->kind) {
    case VSS_DISK_LABEL_MBR:
        return text_printf("mbr 0x%08" PRIx32, ids->mbr_signature);
    case VSS_DISK_LABEL_GPT:
        return text_printf("gpt %s", id_text(&ids->disk_guid, id));
    default:
        return text_copy("no label");
    }
}

struct bits_name {
    uint32_t bits;
    const char *name;
};

static const struct bits_name context_table[] = {
    {VSS_CTX_APP_ROLLBACK, "app-rollback"},
    {VSS_CTX_BACKUP, "backup"},
    {VSS_CTX_NAS_ROLLBACK, "nas-rollback"},
    {VSS_CTX_FILE_SHARE_BACKUP, "file-share-backup"},
    {VSS_CTX_CLIENT_ACCESSIBLE, "client-accessible"},
    {VSS_CTX_CLIENT_ACCESSIBLE_WRITERS, "client-accessible-writers"},
};

#define CONTEXT_COUNT (sizeof(context_table) / sizeof(context_table[0]))
/* The attribute bits that make up the context itself. */
#define CONTEXT_BITS 0x1du

bool text_parse_context(const char *name, uint32_t *out_context)
{
    for (size_t i = 0; i < CONTEXT_COUNT; i++) {
        if (strcmp(context_table[i].name, name) == 0) {
            *out_context = context_table[i].bits;
            return true;
        }
    }
    return false;
}

const char *text_context(uint32_t context)
{
    for (size_t i = 0; i < CONTEXT_COUNT; i++) {
        if (context_table[i].bits == (context & CONTEXT_BITS)) {
            return context_table[i].name;
        }
    }
    return "unknown";
}

const char *text_context_names(void)
{
    return "app-rollback, backup, nas-rollback, file-share-backup, client-accessible, "
           "client-accessible-writers";
}

static const struct bits_name attribute_table[] = {
    {VSS_VOLSNAP_ATTR_PERSISTENT, "persistent"},
    {VSS_VOLSNAP_ATTR_NO_AUTORECOVERY, "no-autorecovery"},
    {VSS_VOLSNAP_ATTR_CLIENT_ACCESSIBLE, "client-accessible"},
    {VSS_VOLSNAP_ATTR_NO_AUTO_RELEASE, "no-auto-release"},
    {VSS_VOLSNAP_ATTR_NO_WRITERS, "no-writers"},
    {VSS_VOLSNAP_ATTR_TRANSPORTABLE, "transportable"},
    {VSS_VOLSNAP_ATTR_NOT_SURFACED, "not-surfaced"},
    {VSS_VOLSNAP_ATTR_NOT_TRANSACTED, "not-transacted"},
    {VSS_VOLSNAP_ATTR_HARDWARE_ASSISTED, "hardware-assisted"},
    {VSS_VOLSNAP_ATTR_DIFFERENTIAL, "differential"},
    {VSS_VOLSNAP_ATTR_PLEX, "plex"},
    {VSS_VOLSNAP_ATTR_IMPORTED, "imported"},
    {VSS_VOLSNAP_ATTR_EXPOSED_LOCALLY, "exposed-locally"},
    {VSS_VOLSNAP_ATTR_EXPOSED_REMOTELY, "exposed-remotely"},
    {VSS_VOLSNAP_ATTR_AUTORECOVER, "autorecover"},
    {VSS_VOLSNAP_ATTR_ROLLBACK_RECOVERY, "rollback-recovery"},
    {VSS_VOLSNAP_ATTR_DELAYED_POSTSNAPSHOT, "delayed-postsnapshot"},
    {VSS_VOLSNAP_ATTR_TXF_RECOVERY, "txf-recovery"},
    {VSS_VOLSNAP_ATTR_FILE_SHARE, "file-share"},
};

#define ATTRIBUTE_COUNT (sizeof(attribute_table) / sizeof(attribute_table[0]))

char *text_attributes(uint32_t attributes)
{
    struct buffer out = BUFFER_INIT;
    buffer_add_text(&out, text_context(attributes));
    for (size_t i = 0; i < ATTRIBUTE_COUNT; i++) {
        if (attributes & attribute_table[i].bits & ~CONTEXT_BITS) {
            buffer_printf(&out, ", %s", attribute_table[i].name);
        }
    }
    return buffer_take(&out);
}

json_t *text_attributes_to_json(uint32_t attributes)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < ATTRIBUTE_COUNT; i++) {
        if ((attributes & attribute_table[i].bits) &&
            json_array_append_new(list, json_string(attribute_table[i].name))) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

const char *text_snapshot_state(int32_t status)
{
    static const char *const names[VSS_SS_COUNT] = {
        [VSS_SS_UNKNOWN] = "unknown",
        [VSS_SS_PREPARING] = "preparing",
        [VSS_SS_PROCESSING_PREPARE] = "processing-prepare",
        [VSS_SS_PREPARED] = "prepared",
        [VSS_SS_PROCESSING_PRECOMMIT] = "processing-precommit",
        [VSS_SS_PRECOMMITTED] = "precommitted",
        [VSS_SS_PROCESSING_COMMIT] = "processing-commit",
        [VSS_SS_COMMITTED] = "committed",
        [VSS_SS_PROCESSING_POSTCOMMIT] = "processing-postcommit",
        [VSS_SS_PROCESSING_PREFINALCOMMIT] = "processing-prefinalcommit",
        [VSS_SS_PREFINALCOMMITTED] = "prefinalcommitted",
        [VSS_SS_PROCESSING_POSTFINALCOMMIT] = "processing-postfinalcommit",
        [VSS_SS_CREATED] = "created",
        [VSS_SS_ABORTED] = "aborted",
        [VSS_SS_DELETED] = "deleted",
        [VSS_SS_POSTCOMMITTED] = "postcommitted",
    };
    return status >= 0 && status < VSS_SS_COUNT ? names[status] : "unknown";
}

char *text_code(HRESULT code, char out[TEXT_CODE_BYTES])
{
    const char *name = vss_error_name(code);
    (void)snprintf(out, TEXT_CODE_BYTES, "%s%s0x%08" PRIx32, name ? name : "", name ? " " : "",
                   (uint32_t)code);
    return out;
}
