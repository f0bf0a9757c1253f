/* SPDX-License-Identifier: Apache-2.0 */
#include "state.h"

#include "identity.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT_VERSION 1u
#define NAME_PREFIX    ".lunshadow-"

static const char *const mode_names[] = {"clone", "plex", "held"};

bool tgt_bstype_is_supported(const char *bstype)
{
    return strcmp(bstype, "rdwr") == 0 || strcmp(bstype, "aio") == 0;
}

bool tgt_path_is_usable(const char *path)
{
    size_t length = strlen(path);
    if (path[0] != '/' || length > TGT_PATH_BYTES_MAX) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)path[i] < ' ' || path[i] == ',') {
            return false;
        }
    }
    return true;
}

char *tgt_copy_path(const struct tgt *t, const char *directory, const char *set, uint32_t number,
                    const char *suffix)
{
    return tgt_text(t, "%s/" NAME_PREFIX "%s-%u.%s", strcmp(directory, "/") == 0 ? "" : directory,
                    set, number, suffix);
}

static bool is_id_text(const char *text)
{
    for (size_t i = 0; i < TGT_ID_TEXT_BYTES - 1; i++) {
        bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (is_dash ? text[i] != '-' : !text[i] || !strchr("0123456789abcdef", text[i])) {
            return false;
        }
    }
    return true;
}

bool tgt_path_is_copy(const char *path, const char *set)
{
    const char *slash = strrchr(path, '/');
    if (path[0] != '/' || strncmp(slash + 1, NAME_PREFIX, strlen(NAME_PREFIX)) != 0) {
        return false;
    }
    const char *id = slash + 1 + strlen(NAME_PREFIX);
    if (!is_id_text(id) || (set && strncmp(id, set, TGT_ID_TEXT_BYTES - 1) != 0)) {
        return false;
    }
    const char *number = id + TGT_ID_TEXT_BYTES - 1;
    size_t digits = *number == '-' ? strspn(number + 1, "0123456789") : 0;
    const char *suffix = number + 1 + digits;
    return digits > 0 && digits < 6 &&
           (strcmp(suffix, "." TGT_COPY_SUFFIX) == 0 || strcmp(suffix, "." TGT_CUT_SUFFIX) == 0);
}

HRESULT tgt_state_write(const struct tgt *t, const struct tgt_copy_state *s, struct vss_state *out)
{
    char *text = tgt_text(
        t,
        "version=%u\nset=%s\nnumber=%u\nmode=%s\nfile=%s\ncut=%s\nsource=%s\nsource_dev=%" PRIu64
        "\nsource_inode=%" PRIu64 "\nbytes=%" PRIu64 "\nfinish_us=%" PRIu64
        "\nscsi_id=%s\nserial=%s\ntarget=%s\nblock_bytes=%u\nbstype=%s\nflags=%s\nthin=%d\n"
        "is_cut=%d\n",
        FORMAT_VERSION, s->set, s->number, mode_names[s->mode], s->file, s->cut ? s->cut : "",
        s->source, s->source_dev, s->source_inode, s->bytes, s->finish_us, s->scsi_id, s->serial,
        s->target, s->block_bytes, s->bstype, s->flags, s->is_thin, s->is_cut);
    if (!text) {
        return E_OUTOFMEMORY;
    }
    size_t length = strlen(text);
    if (length > VSS_PROVIDER_STATE_BYTES_MAX) {
        return tgt_fail(t, VSS_E_PROVIDER_VETO, "%s: the path is too long to be remembered",
                        s->source);
    }
    *out = (struct vss_state){.bytes = (uint32_t)length, .data = (const uint8_t *)text};
    return S_OK;
}

/* The value of "KEY=" at the start of a line, copied; NULL: absent, or memory is short. */
static const char *field(const struct tgt *t, const char *text, const char *key)
{
    size_t length = strlen(key);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, length) == 0 && line[length] == '=') {
            const char *value = line + length + 1;
            return tgt_copy(t, value, strcspn(value, "\n"));
        }
    }
    return NULL;
}

bool tgt_state_number(const struct tgt *t, const char *text, const char *key, uint64_t limit,
                      uint64_t *out)
{
    const char *value = field(t, text, key);
    if (!value || *value < '0' || *value > '9') {
        return false;
    }
    char *end = NULL;
    errno = 0;
    *out = strtoull(value, &end, 10);
    return errno == 0 && *end == '\0' && *out <= limit;
}

/* Each reads its part; they return the key that is wrong, NULL when all is well. */
static const char *read_numbers(const struct tgt *t, const char *text, struct tgt_copy_state *s)
{
    uint64_t version = 0;
    uint64_t number = 0;
    uint64_t block = 0;
    uint64_t is_thin = 0;
    uint64_t is_cut = 0;
    const struct {
        const char *key;
        uint64_t limit;
        uint64_t *out;
    } fields[] = {{"version", UINT32_MAX, &version},
                  {"number", 16383, &number},
                  {"source_dev", UINT64_MAX, &s->source_dev},
                  {"source_inode", UINT64_MAX, &s->source_inode},
                  {"bytes", INT64_MAX, &s->bytes},
                  {"finish_us", UINT64_MAX, &s->finish_us},
                  {"block_bytes", 65536, &block},
                  {"thin", 1, &is_thin},
                  {"is_cut", 1, &is_cut}};
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (!tgt_state_number(t, text, fields[i].key, fields[i].limit, fields[i].out)) {
            return fields[i].key;
        }
    }
    s->number = (uint32_t)number;
    s->block_bytes = (uint32_t)block;
    s->is_thin = is_thin != 0;
    s->is_cut = is_cut != 0;
    if (version != FORMAT_VERSION) {
        return "version";
    }
    return number == 0                                 ? "number"
           : block < 512 || (block & (block - 1)) != 0 ? "block_bytes"
                                                       : NULL;
}

static const char *read_mode(const struct tgt *t, const char *text, struct tgt_copy_state *s)
{
    const char *mode = field(t, text, "mode");
    for (size_t i = 0; mode && i < sizeof(mode_names) / sizeof(mode_names[0]); i++) {
        if (strcmp(mode, mode_names[i]) == 0) {
            s->mode = (enum tgt_mode)i;
            return NULL;
        }
    }
    return "mode";
}

static bool is_plain(const char *text, const char *further, size_t limit)
{
    size_t length = strlen(text);
    for (size_t i = 0; i < length; i++) {
        bool is_alnum = (text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'z') ||
                        (text[i] >= 'A' && text[i] <= 'Z');
        if (!is_alnum && !strchr(further, text[i])) {
            return false;
        }
    }
    return length > 0 && length <= limit;
}

/* "PREFIX.SET": the prefix is configured, and may have been another when the set was made. */
static bool is_target_of(const char *name, const char *set)
{
    size_t length = strlen(name);
    size_t id = strlen(set);
    return is_plain(name, ".:-", 223) && length > id + 1 && name[length - id - 1] == '.' &&
           strcmp(name + length - id, set) == 0;
}

static const char *read_names(const struct tgt *t, const char *text, struct tgt_copy_state *s)
{
    s->scsi_id = field(t, text, "scsi_id");
    s->serial = field(t, text, "serial");
    s->target = field(t, text, "target");
    s->bstype = field(t, text, "bstype");
    s->flags = field(t, text, "flags");
    if (!s->scsi_id || !tgt_scsi_id_is_unique(s->scsi_id)) {
        return "scsi_id";
    }
    if (!s->serial || !is_plain(s->serial, "", TGT_SERIAL_TEXT_MAX)) {
        return "serial";
    }
    if (!s->target || !is_target_of(s->target, s->set)) {
        return "target";
    }
    if (!s->bstype || !tgt_bstype_is_supported(s->bstype)) {
        return "bstype";
    }
    return !s->flags || (*s->flags && !is_plain(s->flags, ":", 32)) ? "flags" : NULL;
}

static const char *read_files(const struct tgt *t, const char *text, struct tgt_copy_state *s)
{
    s->file = field(t, text, "file");
    s->cut = field(t, text, "cut");
    s->source = field(t, text, "source");
    if (!s->file || !tgt_path_is_usable(s->file) || !tgt_path_is_copy(s->file, s->set)) {
        return "file";
    }
    if (!s->cut ||
        (*s->cut && (!tgt_path_is_usable(s->cut) || !tgt_path_is_copy(s->cut, s->set)))) {
        return "cut";
    }
    if (!*s->cut) {
        s->cut = NULL;
    }
    return !s->source || !tgt_path_is_usable(s->source) ? "source" : NULL;
}

static const char *read_all(const struct tgt *t, const char *text, struct tgt_copy_state *s)
{
    const char *set = field(t, text, "set");
    bool is_any = *s->set == '\0';
    if (!set || strlen(set) != TGT_ID_TEXT_BYTES - 1 || !is_id_text(set) ||
        (!is_any && strcmp(set, s->set) != 0)) {
        return "set";
    }
    memcpy(s->set, set, TGT_ID_TEXT_BYTES);
    const char *wrong = read_numbers(t, text, s);
    if (!wrong) {
        wrong = read_mode(t, text, s);
    }
    if (!wrong) {
        wrong = read_names(t, text, s);
    }
    return wrong ? wrong : read_files(t, text, s);
}

HRESULT tgt_state_read(const struct tgt *t, const struct vss_state *state, const VSS_ID *set_id,
                       const char *name, struct tgt_copy_state *out)
{
    struct tgt_copy_state s = {.set = ""};
    if (set_id) {
        (void)tgt_id_text(set_id, s.set);
    }
    if (!state->data || state->bytes == 0 || state->bytes > VSS_PROVIDER_STATE_BYTES_MAX) {
        return tgt_fail(t, VSS_E_PROVIDER_VETO, "%s: nothing is remembered of its copy", name);
    }
    const char *text = tgt_copy(t, (const char *)state->data, state->bytes);
    if (!text) {
        return E_OUTOFMEMORY;
    }
    const char *wrong = read_all(t, text, &s);
    if (wrong) {
        return tgt_fail(t, VSS_E_PROVIDER_VETO,
                        "%s: what is remembered of its copy is damaged at \"%s\"", name, wrong);
    }
    *out = s;
    return S_OK;
}
