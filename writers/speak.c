/* SPDX-License-Identifier: Apache-2.0 */
#include "writers/speak.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *cut_word(char **rest)
{
    char *word = *rest + strspn(*rest, " ");
    char *end = word + strcspn(word, " ");
    *rest = *end == '\0' ? end : end + 1;
    *end = '\0';
    return word;
}

bool speak_next(struct speak_event *out, void (*on_set)(void *user, const char *key, char *words),
                void *user)
{
    char *line = NULL;
    size_t room = 0;
    bool has_event = false;
    while (!has_event && getline(&line, &room, stdin) > 0) {
        line[strcspn(line, "\r\n")] = '\0';
        char *rest = line;
        const char *word = cut_word(&rest);
        if (strcmp(word, "set") == 0) {
            const char *key = cut_word(&rest);
            if (on_set) {
                on_set(user, key, rest);
            }
            continue;
        }
        (void)snprintf(out->name, sizeof(out->name), "%s", word);
        out->number = (uint32_t)strtoul(cut_word(&rest), NULL, 10);
        has_event = true;
    }
    free(line);
    return has_event;
}

bool speak_is(const struct speak_event *event, const char *name)
{
    return strcmp(event->name, name) == 0;
}

void speak_ok(const struct speak_event *event)
{
    (void)printf("ok %u\n", event->number);
    (void)fflush(stdout);
}

void speak_failed(const struct speak_event *event, const char *kind, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    for (char *c = text; *c != '\0'; c++) {
        *c = (char)(*c == '\n' || *c == '\r' ? ' ' : *c);
    }
    (void)printf("failed %u %s %s\n", event->number, kind, text);
    (void)fflush(stdout);
}

void speak_introduction(const char *metadata)
{
    (void)printf("lunshadow-writer 1\nmetadata\n%s\n.\n", metadata);
}

static int hex(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void speak_decode(char *word)
{
    char *out = word;
    for (const char *c = word; *c != '\0'; c++) {
        int high = *c == '%' ? hex(c[1]) : -1;
        int low = high < 0 ? -1 : hex(c[2]);
        *out++ = low < 0 ? *c : (char)(high * 16 + low);
        c += low < 0 ? 0 : 2;
    }
    *out = '\0';
}

void speak_add_word(struct buffer *out, const char *text)
{
    if (*text == '\0' || strcmp(text, "-") == 0) {
        buffer_add_text(out, *text == '\0' ? "-" : "%2D");
        return;
    }
    for (const char *c = text; *c != '\0'; c++) {
        bool is_plain = *c > ' ' && *c <= '~' && *c != '%';
        buffer_printf(out, is_plain ? "%c" : "%%%02X", (unsigned char)*c);
    }
}

void speak_add_attribute(struct buffer *out, const char *text)
{
    for (const char *c = text; *c != '\0'; c++) {
        bool is_plain = *c >= ' ' && !strchr("<>&\"'", *c);
        if (is_plain || (unsigned char)*c >= 0x80) {
            buffer_add(out, c, 1);
        } else {
            buffer_printf(out, "&#%d;", (unsigned char)*c);
        }
    }
}
