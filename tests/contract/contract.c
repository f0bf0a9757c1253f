/* SPDX-License-Identifier: Apache-2.0 */
/* The table and what was reached of it. */
#include "contract/contract.h"

#include "contract/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS = 4, LINES_MAX = 1000 };

static struct row {
    char *columns[COLUMNS]; /* heading, function, code, cause */
} rows[LINES_MAX];
static size_t row_count;
static char *table;
static FILE *results;
static unsigned reached;
static unsigned wrong;

static void give_up(const char *what)
{
    perror(what);
    exit(2);
}

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "re");
    char *text = NULL;
    size_t room = 0;
    if (!file || getdelim(&text, &room, '\0', file) < 0) {
        give_up(path);
    }
    (void)fclose(file);
    return text;
}

static void read_row(char *line)
{
    if (line[0] == '#' || row_count == LINES_MAX) {
        return;
    }
    for (size_t i = 0; i < COLUMNS; i++) {
        rows[row_count].columns[i] = strsep(&line, "\t");
        if (!rows[row_count].columns[i]) {
            (void)fprintf(stderr, "pairs.tsv: a line of %zu columns\n", i);
            exit(2);
        }
    }
    row_count++;
}

void contract_begin(const char *group)
{
    char path[1024];
    char *line = NULL;
    (void)setvbuf(stdout, NULL, _IOLBF, 0); /* what was said is there if the program dies */
    memory_begin();
    table = read_file(CONTRACT_TABLE);
    char *rest = table;
    while ((line = strsep(&rest, "\n")) != NULL) {
        if (*line) {
            read_row(line);
        }
    }
    (void)snprintf(path, sizeof(path), "%s/%s.reached", CONTRACT_RESULTS, group);
    results = fopen(path, "we");
    if (!results) {
        give_up(path);
    }
    (void)setvbuf(results, NULL, _IOLBF, 0);
}

static const char *code_name(HRESULT hr)
{
    const char *name = vss_error_name(hr);
    return name ? name : "a code without a name";
}

static bool has_pair(const char *heading, HRESULT code)
{
    bool has_heading = false;
    for (size_t i = 0; i < row_count; i++) {
        if (strcmp(rows[i].columns[0], heading) == 0) {
            has_heading = true;
            if (strcmp(rows[i].columns[2], code_name(code)) == 0) {
                return true;
            }
        }
    }
    if (!has_heading) {
        (void)printf("WRONG %s: pairs.tsv has no such heading\n", heading);
        wrong++;
    }
    return false;
}

void contract_expect(const char *heading, HRESULT hr, HRESULT code, const char *text)
{
    bool is_pair = has_pair(heading, code);
    if (hr != code) {
        (void)printf("WRONG %s: %s (0x%08x) instead of %s: %s\n", heading, code_name(hr),
                     (unsigned)hr, code_name(code), text ? text : "");
        wrong++;
    } else if (is_pair) {
        (void)fprintf(results, "%s\t%s\n", heading, code_name(code));
        reached++;
    }
}

void contract_expect_on(const struct trial *t, const char *heading, HRESULT hr, HRESULT code)
{
    const char *text = vss_backup_components_error_text(t->session);
    contract_expect(heading, hr, code, *text ? text : t->status_text);
}

void contract_skip(const char *heading, HRESULT code, const char *why)
{
    (void)printf("skipped %s %s: %s\n", heading, code_name(code), why);
    if (has_pair(heading, code)) {
        (void)fprintf(results, "%s\t%s\tskipped: %s\n", heading, code_name(code), why);
    }
}

void contract_check(bool holds, const char *what)
{
    if (!holds) {
        (void)printf("WRONG %s\n", what);
        wrong++;
    }
}

unsigned contract_wrong(void)
{
    return wrong;
}

int contract_end(void)
{
    (void)printf("%u pairs and successes reached, %u wrong\n", reached, wrong);
    if (fclose(results) != 0) {
        give_up("the list of reached pairs");
    }
    free(table);
    return wrong ? 1 : 0;
}
