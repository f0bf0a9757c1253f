/* SPDX-License-Identifier: Apache-2.0 */
#include "requester/writers/protocol.h"

#include <string.h>

#define SECOND 1000u
#define MINUTE (60u * SECOND)

/* clang-format off */
static const struct writer_event_facts facts[EVENT_COUNT] = {
    [EVENT_IDENTIFY] = {"identify", "identify_ms", 30 * SECOND,
                        VSS_WS_STABLE, VSS_WS_FAILED_AT_IDENTIFY},
    [EVENT_PREPARE_BACKUP] = {"prepare-backup", "prepare_backup_ms", 10 * MINUTE,
                              VSS_WS_STABLE, VSS_WS_FAILED_AT_PREPARE_BACKUP},
    [EVENT_PREPARE_SNAPSHOT] = {"prepare-snapshot", "prepare_snapshot_ms", 10 * MINUTE,
                                VSS_WS_WAITING_FOR_FREEZE, VSS_WS_FAILED_AT_PREPARE_SNAPSHOT},
    [EVENT_FREEZE] = {"freeze", "freeze_ms", WRITER_FROZEN_MAX_MS,
                      VSS_WS_WAITING_FOR_THAW, VSS_WS_FAILED_AT_FREEZE},
    [EVENT_THAW] = {"thaw", "thaw_ms", MINUTE,
                    VSS_WS_WAITING_FOR_POST_SNAPSHOT, VSS_WS_FAILED_AT_THAW},
    [EVENT_POST_SNAPSHOT] = {"post-snapshot", "post_snapshot_ms", 30 * MINUTE,
                             VSS_WS_WAITING_FOR_BACKUP_COMPLETE, VSS_WS_FAILED_AT_POST_SNAPSHOT},
    [EVENT_BACKUP_COMPLETE] = {"backup-complete", "backup_complete_ms", 10 * MINUTE,
                               VSS_WS_STABLE, VSS_WS_FAILED_AT_BACKUP_COMPLETE},
    [EVENT_BACKUP_SHUTDOWN] = {"backup-shutdown", "backup_shutdown_ms", 10 * SECOND,
                               VSS_WS_STABLE, VSS_WS_FAILED_AT_BACKUPSHUTDOWN},
    [EVENT_PRE_RESTORE] = {"pre-restore", "pre_restore_ms", 30 * MINUTE,
                           VSS_WS_STABLE, VSS_WS_FAILED_AT_PRE_RESTORE},
    [EVENT_POST_RESTORE] = {"post-restore", "post_restore_ms", 30 * MINUTE,
                            VSS_WS_STABLE, VSS_WS_FAILED_AT_POST_RESTORE},
    [EVENT_ABORT] = {"abort", "abort_ms", MINUTE, VSS_WS_STABLE, VSS_WS_UNKNOWN},
    [EVENT_STATUS] = {"status", "status_ms", 10 * SECOND, VSS_WS_UNKNOWN, VSS_WS_UNKNOWN},
};
/* clang-format on */

/* What a writer may report (VSS's ReportableWriterFailure). */
static const struct {
    const char *name;
    HRESULT code;
} kinds[] = {
    {"inconsistent", VSS_E_WRITERERROR_INCONSISTENTSNAPSHOT},
    {"out-of-resources", VSS_E_WRITERERROR_OUTOFRESOURCES},
    {"timeout", VSS_E_WRITERERROR_TIMEOUT},
    {"retryable", VSS_E_WRITERERROR_RETRYABLE},
    {"non-retryable", VSS_E_WRITERERROR_NONRETRYABLE},
};

static const char *const texts[] = {
    [TEXT_BACKUP_METADATA] = "backup-metadata",
    [TEXT_BACKUP_STAMP] = "backup-stamp",
    [TEXT_RESTORE_METADATA] = "restore-metadata",
};

const struct writer_event_facts *writer_event_facts(enum writer_event event)
{
    return &facts[event];
}

/* ---- words ---- */

static bool is_plain(char c)
{
    return c > ' ' && c <= '~' && c != '%';
}

void protocol_add_word(struct buffer *out, const char *text)
{
    if (!text || *text == '\0') {
        buffer_add_text(out, "-");
        return;
    }
    bool is_dash = strcmp(text, "-") == 0;
    for (const char *c = text; *c != '\0'; c++) {
        if (is_plain(*c) && !is_dash) {
            buffer_add(out, c, 1);
        } else {
            buffer_printf(out, "%%%02X", (unsigned char)*c);
        }
    }
}

static int digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    char lower = (char)(c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c);
    const char *found = c != '\0' ? strchr(digits, lower) : NULL;
    return found ? (int)(found - digits) : -1;
}

bool protocol_read_word(char *word)
{
    char *out = word;
    if (strcmp(word, "-") == 0) {
        *word = '\0';
        return true;
    }
    for (const char *c = word; *c != '\0'; c++) {
        if (*c != '%') {
            *out++ = *c;
            continue;
        }
        int high = digit(c[1]);
        int low = high < 0 ? -1 : digit(c[2]);
        if (low < 0 || high * 16 + low == 0) {
            return false;
        }
        *out++ = (char)(high * 16 + low);
        c += 2;
    }
    *out = '\0';
    return true;
}

/* ---- lines ---- */

/* The next word of *rest, cut off; "" at the end. */
static char *next(char **rest)
{
    char *word = *rest + strspn(*rest, " \t\r");
    char *end = word + strcspn(word, " \t\r");
    *rest = *end == '\0' ? end : end + 1;
    *end = '\0';
    return word;
}

static const char *trimmed(char *rest)
{
    rest += strspn(rest, " \t");
    size_t length = strlen(rest);
    while (length > 0 && strchr(" \t\r", rest[length - 1])) {
        rest[--length] = '\0';
    }
    return rest;
}

static bool read_number(const char *word, uint32_t base, uint32_t *out)
{
    uint64_t value = 0;
    if (*word == '\0') {
        return false;
    }
    for (; *word != '\0'; word++) {
        int d = digit(*word);
        if (d < 0 || (uint32_t)d >= base) {
            return false;
        }
        value = value * base + (uint32_t)d;
        if (value > UINT32_MAX) {
            return false;
        }
    }
    *out = (uint32_t)value;
    return true;
}

static bool read_kind(const char *word, HRESULT *out)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(word, kinds[i].name) == 0) {
            *out = kinds[i].code;
            return true;
        }
    }
    return false;
}

const char *protocol_component_type(int32_t type)
{
    return type == VSS_CT_DATABASE ? "database" : "file-group";
}

static bool read_component(char **rest, struct protocol_line *out)
{
    const char *type = next(rest);
    char *path = next(rest);
    char *name = next(rest);
    bool is_database = strcmp(type, "database") == 0;
    out->component_type = is_database ? VSS_CT_DATABASE : VSS_CT_FILEGROUP;
    out->path = path;
    out->component = name;
    out->text = trimmed(*rest);
    return (is_database || strcmp(type, "file-group") == 0) && *path != '\0' &&
           protocol_read_word(path) && protocol_read_word(name) && *name != '\0';
}

/* An answer: its number, then its text. */
static bool read_answer(char **rest, struct protocol_line *out)
{
    bool is_good = read_number(next(rest), 10, &out->number);
    if (is_good && out->kind == LINE_FAILED) {
        is_good = read_kind(next(rest), &out->code);
    }
    out->text = trimmed(*rest);
    return is_good && (out->kind != LINE_OK || *out->text == '\0');
}

static bool read_application(char **rest, struct protocol_line *out)
{
    const char *word = next(rest);
    uint32_t value = 0;
    bool is_good =
        strncmp(word, "0x", 2) == 0 && strlen(word) <= 10 && read_number(word + 2, 16, &value);
    out->code = (HRESULT)value;
    return is_good;
}

static bool read_text(const char *word, struct protocol_line *out)
{
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (strcmp(word, texts[i]) == 0) {
            out->which = (enum protocol_text)i;
            return true;
        }
    }
    return false;
}

static enum protocol_kind kind_of(const char *word, struct protocol_line *out)
{
    static const struct {
        const char *word;
        enum protocol_kind kind;
    } words[] = {
        {"ok", LINE_OK},
        {"failed", LINE_FAILED},
        {"partial", LINE_PARTIAL},
        {"busy", LINE_BUSY},
        {"lunshadow-writer", LINE_VERSION},
        {"metadata", LINE_METADATA},
        {"application", LINE_APPLICATION},
        {"failed-component", LINE_FAILED_COMPONENT},
    };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(word, words[i].word) == 0) {
            return words[i].kind;
        }
    }
    return read_text(word, out) ? LINE_COMPONENT_TEXT : LINE_GARBAGE;
}

static bool read_rest(char **rest, struct protocol_line *out)
{
    switch (out->kind) {
    case LINE_OK:
    case LINE_FAILED:
    case LINE_PARTIAL:
    case LINE_BUSY:
        return read_answer(rest, out);
    case LINE_VERSION:
        return read_number(next(rest), 10, &out->number);
    case LINE_METADATA:
        return *trimmed(*rest) == '\0';
    case LINE_APPLICATION:
        return read_application(rest, out);
    case LINE_FAILED_COMPONENT:
        return read_kind(next(rest), &out->code) && read_component(rest, out);
    case LINE_COMPONENT_TEXT:
        return read_component(rest, out) && *out->text != '\0';
    case LINE_GARBAGE:
        break;
    }
    return false;
}

struct protocol_line protocol_parse(char *line)
{
    struct protocol_line out = {.path = "", .component = "", .text = ""};
    char *rest = line;
    out.kind = kind_of(next(&rest), &out);
    if (!read_rest(&rest, &out)) {
        out.kind = LINE_GARBAGE;
    }
    return out;
}
