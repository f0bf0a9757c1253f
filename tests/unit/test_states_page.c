/* SPDX-License-Identifier: Apache-2.0 */

/* docs/states.md is the table of requester/states.c, and nothing else. With --write it is written
 * anew. The table itself is read, so its source is part of this program. */
#include "requester/states.c"

#include "common/buffer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The names of the conditions, and what they mean, as the header has them. */
static struct condition {
    char name[32];
    char meaning[128];
} conditions[SESSION_CONDITION_COUNT];

static char *read_text(const char *path)
{
    FILE *file = fopen(path, "re");
    char *text = NULL;
    size_t room = 0;
    if (!file || getdelim(&text, &room, '\0', file) < 0) {
        perror(path);
        exit(1);
    }
    (void)fclose(file);
    return text;
}

static void read_conditions(void)
{
    char *text = read_text(STATES_HEADER);
    char *rest = text;
    char *line = NULL;
    unsigned found = 0;
    while ((line = strsep(&rest, "\n")) != NULL) {
        char name[32];
        char meaning[128];
        unsigned bit;
        if (sscanf(line, " SESSION_%31[A-Z_] = 1u << %u%*[, ]/* %127[^*]", name, &bit, meaning) ==
                3 &&
            bit < SESSION_CONDITION_COUNT) {
            (void)snprintf(conditions[bit].name, sizeof(conditions[bit].name), "%s", name);
            meaning[strcspn(meaning, "*") - 1] = '\0';
            (void)snprintf(conditions[bit].meaning, sizeof(conditions[bit].meaning), "%s", meaning);
            found++;
        }
    }
    if (found != SESSION_CONDITION_COUNT) {
        (void)printf("%s: %u conditions are named, each on one line with what it means, not %d\n",
                     STATES_HEADER, found, SESSION_CONDITION_COUNT);
        exit(1);
    }
    free(text);
}

static void add_conditions(struct buffer *b, const char *label, uint32_t bits, const char *between)
{
    const char *separator = label;
    for (size_t bit = 0; bit < SESSION_CONDITION_COUNT; bit++) {
        if (bits >> bit & 1u) {
            buffer_printf(b, "%s%s", separator, conditions[bit].name);
            separator = between;
        }
    }
    if (bits) {
        buffer_add_text(b, "; ");
    }
}

/* A cell ends without what would separate it from more. */
static void end_cell(struct buffer *b)
{
    if (b->length >= 2 && strcmp(b->data + b->length - 2, "; ") == 0) {
        b->length -= 2;
        b->data[b->length] = '\0';
    }
    buffer_add_text(b, " | ");
}

static void add_rule(struct buffer *b, const struct rule *rule)
{
    buffer_printf(b, "| %s | ", rule->name);
    add_conditions(b, "", rule->needs, ", ");
    add_conditions(b, "", rule->needs_any, " or ");
    add_conditions(b, "with writers ", rule->needs_writers, ", ");
    add_conditions(b, "without writers ", rule->needs_no_writers, ", ");
    end_cell(b);
    add_conditions(b, "", rule->forbids, ", ");
    end_cell(b);
    add_conditions(b, "", rule->sets, ", ");
    end_cell(b);
    add_conditions(b, "", rule->clears, ", ");
    add_conditions(b, "on failure ", rule->clears_on_failure, ", ");
    end_cell(b);
    for (size_t i = 0; i < CODES_MAX && rule->codes[i] != 0; i++) {
        buffer_printf(b, "%s; ", vss_error_name(rule->codes[i]));
    }
    end_cell(b);
    b->data[b->length - 1] = '\n';
}

static char *make_page(void)
{
    struct buffer b = BUFFER_INIT;
    buffer_add_text(&b,
                    "# The states of a session\n\n"
                    "Made from the table in `requester/states.c` by `test_states_page --write`; "
                    "a test fails where both differ.\n\n"
                    "What has happened to a session is a set of conditions:\n\n"
                    "| condition | meaning |\n|---|---|\n");
    for (size_t i = 0; i < SESSION_CONDITION_COUNT; i++) {
        buffer_printf(&b, "| %s | %s |\n", conditions[i].name, conditions[i].meaning);
    }
    buffer_add_text(
        &b,
        "\nWhat each method needs and forbids, and what it brings about and ends where it "
        "succeeds. Each forbids BUSY too. The codes are those beside E_OUTOFMEMORY, "
        "E_INVALIDARG, E_ACCESSDENIED and VSS_E_UNEXPECTED, which all may give. A method whose "
        "codes lack VSS_E_BAD_STATE refuses with VSS_E_UNEXPECTED, or E_FAIL where it has "
        "that.\n\n"
        "| method | needs | forbids | brings about | ends | codes |\n|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < METHOD_COUNT; i++) {
        add_rule(&b, &rules[i]);
    }
    return buffer_take(&b);
}

int main(int argc, char **argv)
{
    read_conditions();
    char *page = make_page();
    if (!page) {
        return 1;
    }
    int failed = 0;
    if (argc > 1 && strcmp(argv[1], "--write") == 0) {
        FILE *file = fopen(STATES_PAGE, "we");
        failed = !file || fputs(page, file) < 0 || fclose(file) != 0;
    } else {
        char *there = read_text(STATES_PAGE);
        failed = strcmp(there, page) != 0;
        free(there);
        if (failed) {
            (void)printf("%s is not what requester/states.c says: run %s --write\n", STATES_PAGE,
                         argv[0]);
        }
    }
    free(page);
    return failed;
}
