/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/table.h"

#include "cli/text.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static struct table_row *row_for_next_cell(struct table *table)
{
    if (table->row_count > 0 && table->cell_count < table->column_count) {
        return &table->rows[table->row_count - 1];
    }
    struct table_row *rows = realloc(table->rows, (table->row_count + 1) * sizeof(*rows));
    if (!rows) {
        return NULL;
    }
    table->rows = rows;
    rows[table->row_count] = (struct table_row){.notes = BUFFER_INIT};
    table->cell_count = 0;
    return &rows[table->row_count++];
}

void table_add(struct table *table, const char *text)
{
    if (FAILED(table->status)) {
        return;
    }
    struct table_row *row = row_for_next_cell(table);
    char *cell = row ? text_clean(text && *text ? text : "-") : NULL;
    if (!cell) {
        table->status = E_OUTOFMEMORY;
        return;
    }
    row->cells[table->cell_count++] = cell;
}

void table_printf(struct table *table, const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int length = vasprintf(&text, format, args);
    va_end(args);
    if (length < 0) {
        table->status = E_OUTOFMEMORY;
        return;
    }
    table_add(table, text);
    free(text);
}

void table_note(struct table *table, const char *format, ...)
{
    if (FAILED(table->status) || table->row_count == 0) {
        return;
    }
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int length = vasprintf(&text, format, args);
    va_end(args);
    char *clean = length < 0 ? NULL : text_clean(text);
    if (length >= 0) {
        free(text);
    }
    if (!clean) {
        table->status = E_OUTOFMEMORY;
        return;
    }
    buffer_printf(&table->rows[table->row_count - 1].notes, "%s\n", clean);
    free(clean);
}

static const char *cell_text(const struct table *table, const struct table_row *row, size_t column)
{
    const char *text = row ? row->cells[column] : table->columns[column].title;
    return text ? text : ""; /* a last row that was not filled */
}

static size_t column_width(const struct table *table, size_t column)
{
    size_t width = text_columns(table->columns[column].title);
    for (size_t i = 0; i < table->row_count; i++) {
        size_t columns = text_columns(cell_text(table, &table->rows[i], column));
        width = columns > width ? columns : width;
    }
    return width;
}

/* One line; row NULL: the titles. Nothing is padded behind the last column. */
static void print_line(const struct table *table, const struct table_row *row,
                       const size_t widths[TABLE_COLUMNS_MAX], FILE *stream, int indent)
{
    (void)fprintf(stream, "%*s", indent, "");
    for (size_t i = 0; i < table->column_count; i++) {
        const char *text = cell_text(table, row, i);
        int padding = (int)(widths[i] - text_columns(text));
        bool is_last = i + 1 == table->column_count;
        if (table->columns[i].right) {
            (void)fprintf(stream, "%*s%s%s", padding, "", text, is_last ? "" : "  ");
        } else {
            (void)fprintf(stream, "%s%*s", text, is_last ? 0 : padding + 2, "");
        }
    }
    (void)fputc('\n', stream);
}

static void print_notes(const struct table_row *row, FILE *stream, int indent)
{
    const char *line = row->notes.data;
    while (line && *line) {
        const char *end = strchr(line, '\n');
        (void)fprintf(stream, "%*s%.*s\n", indent, "", (int)(end - line), line);
        line = end + 1;
    }
}

HRESULT table_print(const struct table *table, FILE *stream, int indent, int note_indent)
{
    if (FAILED(table->status)) {
        return table->status;
    }
    if (table->row_count == 0) {
        return S_OK;
    }
    size_t widths[TABLE_COLUMNS_MAX] = {0};
    for (size_t i = 0; i < table->column_count; i++) {
        widths[i] = column_width(table, i);
    }
    print_line(table, NULL, widths, stream, indent);
    for (size_t i = 0; i < table->row_count; i++) {
        if (FAILED(buffer_status(&table->rows[i].notes))) {
            return E_OUTOFMEMORY;
        }
        print_line(table, &table->rows[i], widths, stream, indent);
        print_notes(&table->rows[i], stream, note_indent);
    }
    return S_OK;
}

void table_free(struct table *table)
{
    for (size_t i = 0; i < table->row_count; i++) {
        for (size_t j = 0; j < TABLE_COLUMNS_MAX; j++) {
            free(table->rows[i].cells[j]);
        }
        buffer_free(&table->rows[i].notes);
    }
    free(table->rows);
    table->rows = NULL;
    table->row_count = 0;
    table->cell_count = 0;
    table->status = S_OK;
}
