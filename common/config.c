/* SPDX-License-Identifier: Apache-2.0 */
#include "common/config.h"

#include "common/buffer.h"

#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_FILE_BYTES   ((size_t)1024 * 1024)
#define MAX_LINE_BYTES   190u /* inih cuts lines at 200 bytes without a word */
#define MAX_HEADER_BYTES 120u

#define BLANKS " \t\r\n\v\f"

/* What one parse carries through inih's callbacks. */
struct parse {
    const char *next; /* rest of the text */
    const char *name; /* for messages */
    unsigned line;
    struct config *config;
    HRESULT result;
    struct error *err;
};

static HRESULT refuse(struct parse *p, const char *what, const char *which)
{
    if (SUCCEEDED(p->result)) {
        p->result = error_set(p->err, E_INVALIDARG, "%s:%u: %s%s%s%s", p->name, p->line, what,
                              which ? " \"" : "", which ? which : "", which ? "\"" : "");
    }
    return p->result;
}

static HRESULT no_memory(struct parse *p)
{
    p->result = error_set(p->err, E_OUTOFMEMORY, "%s: not enough memory to read it", p->name);
    return p->result;
}

static struct config_section *grow_sections(struct config *c)
{
    size_t bytes = (c->section_count + 1) * sizeof(*c->sections);
    struct config_section *grown = realloc(c->sections, bytes);
    if (!grown) {
        return NULL;
    }
    c->sections = grown;
    struct config_section *added = &grown[c->section_count++];
    memset(added, 0, sizeof(*added));
    return added;
}

/* text is what stands between the brackets; it is cut up. */
static HRESULT add_section(struct parse *p, char *text)
{
    text += strspn(text, BLANKS);
    char *kind_end = text + strcspn(text, BLANKS);
    char *name = kind_end + strspn(kind_end, BLANKS);
    char *end = name + strlen(name);
    while (end > name && strchr(BLANKS, end[-1])) {
        end--;
    }
    *end = '\0';
    *kind_end = '\0';
    if (text[0] == '\0') {
        return refuse(p, "a section without a name", NULL);
    }
    if (config_find(p->config, text, name)) {
        return refuse(p, "this section was there before; put its keys together:", text);
    }
    struct config_section *section = grow_sections(p->config);
    if (!section) {
        return no_memory(p);
    }
    section->kind = text_copy(text);
    section->name = text_copy(name);
    return section->kind && section->name ? S_OK : no_memory(p);
}

/* inih reports no section that has no keys, so the headers are read here. */
static void see_header(struct parse *p, const char *line)
{
    const char *end = strchr(line, ']');
    if (!end) {
        (void)refuse(p, "a section header without its ']'", NULL);
        return;
    }
    const char *after = end + 1 + strspn(end + 1, BLANKS);
    if (*after != '\0' && *after != ';' && *after != '#') {
        (void)refuse(p, "text behind a section header", NULL);
        return;
    }
    char text[MAX_HEADER_BYTES];
    size_t length = (size_t)(end - line) - 1;
    if (length >= sizeof(text)) {
        (void)refuse(p, "a section header that is too long", NULL);
        return;
    }
    memcpy(text, line + 1, length);
    text[length] = '\0';
    (void)add_section(p, text);
}

/* inih's fgets: one line, leading blanks off (inih would take an indented line for a continuation).
 */
static char *next_line(char *out, int size, void *stream)
{
    struct parse *p = stream;
    if (FAILED(p->result) || *p->next == '\0') {
        return NULL;
    }
    p->line++;
    if (p->line == 1 && strncmp(p->next, "\xef\xbb\xbf", 3) == 0) {
        p->next += 3;
    }
    size_t whole = strcspn(p->next, "\n");
    const char *start = p->next + strspn(p->next, " \t\r\v\f");
    const char *end = p->next + whole;
    size_t length = start < end ? (size_t)(end - start) : 0;
    p->next = end + (*end == '\n');
    if (length > MAX_LINE_BYTES || length + 2 > (size_t)size) {
        (void)refuse(p, "a line of more than 190 bytes", NULL);
        return NULL;
    }
    memcpy(out, start, length);
    out[length] = '\0';
    if (out[0] == '[') {
        see_header(p, out);
    }
    memcpy(out + length, "\n", 2);
    return SUCCEEDED(p->result) ? out : NULL;
}

static HRESULT add_pair(struct parse *p, struct config_section *section, const char *key,
                        const char *value)
{
    size_t bytes = (section->pair_count + 1) * sizeof(*section->pairs);
    struct config_pair *grown = realloc(section->pairs, bytes);
    if (!grown) {
        return no_memory(p);
    }
    section->pairs = grown;
    struct config_pair *pair = &grown[section->pair_count++];
    pair->key = text_copy(key);
    pair->value = text_copy(value);
    return pair->key && pair->value ? S_OK : no_memory(p);
}

/* inih's handler; its section text may be cut short, so the last header seen counts. */
static int see_pair(void *user, const char *section_text, const char *key, const char *value)
{
    (void)section_text;
    struct parse *p = user;
    if (FAILED(p->result)) {
        return 0;
    }
    if (p->config->section_count == 0) {
        return SUCCEEDED(refuse(p, "a key before the first [section]:", key));
    }
    struct config_section *section = &p->config->sections[p->config->section_count - 1];
    if (key[0] == '\0') {
        return SUCCEEDED(refuse(p, "a value without a key", NULL));
    }
    if (config_value(section, key, NULL)) {
        return SUCCEEDED(refuse(p, "this key was there before in its section:", key));
    }
    return SUCCEEDED(add_pair(p, section, key, value ? value : ""));
}

HRESULT config_parse(const char *text, const char *name, struct config **out, struct error *err)
{
    *out = NULL;
    struct parse p = {text, name, 0, NULL, S_OK, err};
    p.config = calloc(1, sizeof(*p.config));
    if (!p.config) {
        return no_memory(&p);
    }
    p.config->path = text_copy(name);
    if (!p.config->path) {
        (void)no_memory(&p);
        goto out;
    }
    int bad_line = ini_parse_stream(next_line, &p, see_pair, &p);
    if (SUCCEEDED(p.result) && bad_line < 0) {
        (void)no_memory(&p);
    }
    if (SUCCEEDED(p.result) && bad_line > 0) {
        p.line = (unsigned)bad_line;
        (void)refuse(&p, "neither [section] nor key = value", NULL);
    }
    if (FAILED(p.result)) {
        goto out;
    }
    *out = p.config;
    p.config = NULL;
out:
    config_free(p.config);
    return p.result;
}

/* The whole file as text. */
static HRESULT read_text(const char *path, FILE *file, struct buffer *text, struct error *err)
{
    char chunk[4096];
    size_t got = 0;
    do {
        got = fread(chunk, 1, sizeof(chunk), file);
        if (memchr(chunk, '\0', got) || text->length + got > MAX_FILE_BYTES) {
            return error_set(err, E_INVALIDARG, "%s: not a configuration file (%s)", path,
                             memchr(chunk, '\0', got) ? "it holds NUL bytes" : "over 1 MiB");
        }
        buffer_add(text, chunk, got);
    } while (got == sizeof(chunk));
    if (ferror(file)) {
        return error_set_errno(err, errno, "%s: cannot be read", path);
    }
    buffer_add_text(text, "");
    HRESULT hr = buffer_status(text);
    return FAILED(hr) ? error_set(err, hr, "%s: not enough memory to read it", path) : S_OK;
}

static HRESULT load_file(const char *path, struct config **out, struct error *err)
{
    struct buffer text = BUFFER_INIT;
    FILE *file = fopen(path, "re");
    if (!file) {
        return error_set_errno(err, errno, "configuration file %s", path);
    }
    HRESULT hr = read_text(path, file, &text, err);
    if (SUCCEEDED(hr)) {
        hr = config_parse(text.data ? text.data : "", path, out, err);
    }
    (void)fclose(file);
    buffer_free(&text);
    return hr;
}

/* The user's own file; NULL where there is none or memory is short. */
static char *user_path(void)
{
    if (geteuid() == 0) {
        return NULL;
    }
    const char *base = secure_getenv("XDG_CONFIG_HOME");
    if (base && base[0] == '/') {
        return text_printf("%s/lunshadow/lunshadow.conf", base);
    }
    const char *home = secure_getenv("HOME");
    return home ? text_printf("%s/.config/lunshadow/lunshadow.conf", home) : NULL;
}

HRESULT config_load(const char *path, struct config **out, struct error *err)
{
    *out = NULL;
    if (!path) {
        path = secure_getenv("LUNSHADOW_CONFIG");
    }
    if (path) {
        return load_file(path, out, err);
    }
    char *own = user_path();
    const char *found = own && access(own, F_OK) == 0 ? own : "/etc/lunshadow/lunshadow.conf";
    HRESULT hr = S_OK;
    if (access(found, F_OK) != 0 && errno == ENOENT) {
        hr = config_parse("", "", out, err);
    } else {
        hr = load_file(found, out, err);
    }
    free(own);
    return hr;
}

static void free_section(struct config_section *section)
{
    for (size_t i = 0; i < section->pair_count; i++) {
        free(section->pairs[i].key);
        free(section->pairs[i].value);
    }
    free(section->pairs);
    free(section->kind);
    free(section->name);
}

void config_free(struct config *config)
{
    if (!config) {
        return;
    }
    for (size_t i = 0; i < config->section_count; i++) {
        free_section(&config->sections[i]);
    }
    free(config->sections);
    free(config->path);
    free(config);
}

const struct config_section *config_find(const struct config *config, const char *kind,
                                         const char *name)
{
    for (size_t i = 0; config && i < config->section_count; i++) {
        const struct config_section *s = &config->sections[i];
        if (strcmp(s->kind, kind) == 0 && strcmp(s->name, name) == 0) {
            return s;
        }
    }
    return NULL;
}

const char *config_value(const struct config_section *section, const char *key,
                         const char *fallback)
{
    for (size_t i = 0; section && i < section->pair_count; i++) {
        if (strcmp(section->pairs[i].key, key) == 0) {
            return section->pairs[i].value;
        }
    }
    return fallback;
}

/* Digits only: strtoull would take blanks and signs. */
static bool parse_decimal(const char *text, uint64_t *out)
{
    uint64_t value = 0;
    if (*text == '\0') {
        return false;
    }
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9') {
            return false;
        }
        uint64_t digit = (uint64_t)(*text - '0');
        if (value > (UINT64_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    *out = value;
    return true;
}

/* Between a section's kind and its name, which it may not have. */
static const char *gap_of(const struct config_section *section)
{
    return section->name[0] ? " " : "";
}

HRESULT config_number(const struct config_section *section, const char *key, uint64_t min,
                      uint64_t max, uint64_t fallback, uint64_t *out, struct error *err)
{
    *out = fallback;
    const char *text = config_value(section, key, NULL);
    if (!text) {
        return S_OK;
    }
    uint64_t value = 0;
    if (!parse_decimal(text, &value) || value < min || value > max) {
        return error_set(err, E_INVALIDARG,
                         "configuration [%s%s%s] %s: \"%.60s\" is not a number from %llu to %llu",
                         section->kind, gap_of(section), section->name, key, text,
                         (unsigned long long)min, (unsigned long long)max);
    }
    *out = value;
    return S_OK;
}

HRESULT config_bool(const struct config_section *section, const char *key, bool fallback, bool *out,
                    struct error *err)
{
    static const char *const words[] = {"no", "yes", "false", "true", "off", "on", "0", "1"};
    *out = fallback;
    const char *text = config_value(section, key, NULL);
    if (!text) {
        return S_OK;
    }
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(text, words[i]) == 0) {
            *out = i % 2 == 1;
            return S_OK;
        }
    }
    return error_set(err, E_INVALIDARG, "configuration [%s%s%s] %s: \"%.60s\" is not yes or no",
                     section->kind, gap_of(section), section->name, key, text);
}
