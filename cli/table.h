/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_CLI_TABLE_H
#define LUNSHADOW_CLI_TABLE_H

#include "common/buffer.h"

#include <stdbool.h>
#include <stdio.h>

#define TABLE_COLUMNS_MAX 8

struct table_column {
    const char *title;
    bool right; /* numbers */
};

struct table_row {
    char *cells[TABLE_COLUMNS_MAX];
    struct buffer notes; /* lines below the row, each ended by a newline */
};

/* Rows that are aligned when all are known. Starts all-zero but for columns and column_count. A
 * failed allocation sticks and comes out of table_print(). */
struct table {
    const struct table_column *columns;
    size_t column_count; /* up to TABLE_COLUMNS_MAX */
    struct table_row *rows;
    size_t row_count;
    size_t cell_count; /* of the last row */
    HRESULT status;
};

/* The next cell, left to right, a new row after the last column; cleaned of control characters;
 * NULL or empty text is shown as "-". */
void table_add(struct table *table, const char *text);
void table_printf(struct table *table, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* A line of its own below the row that was begun last. */
void table_note(struct table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Titles (where there is a row) and rows, indented; notes are indented by note_indent. */
HRESULT table_print(const struct table *table, FILE *stream, int indent, int note_indent);
void table_free(struct table *table); /* leaves it empty */

#endif
