/* SPDX-License-Identifier: Apache-2.0 */
#include "lun/host/swaps.h"

#include "common/buffer.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void host_swaps_free(char **swaps, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(swaps[i]);
    }
    free(swaps);
}

static bool is_octal(const char *text)
{
    return text[0] >= '0' && text[0] <= '3' && text[1] >= '0' && text[1] <= '7' && text[2] >= '0' &&
           text[2] <= '7';
}

/* A row begins with the path, whose blanks and backslashes are \040 and the like, and a blank. */
static void cut_path(char *line)
{
    char *to = line;
    line[strcspn(line, " \t\n")] = '\0';
    for (const char *from = line; *from; to++) {
        bool is_escaped = *from == '\\' && is_octal(from + 1);
        *to =
            is_escaped ? (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + from[3] - '0') : *from;
        from += is_escaped ? 4 : 1;
    }
    *to = '\0';
}

static HRESULT add_path(const char *path, char ***swaps, size_t *count, struct error *err)
{
    char **grown = realloc(*swaps, (*count + 1) * sizeof(*grown));
    if (grown) {
        *swaps = grown;
        grown[*count] = text_copy(path);
    }
    if (!grown || !grown[*count]) {
        return error_set(err, E_OUTOFMEMORY, "no memory for the table of swaps");
    }
    (*count)++;
    return S_OK;
}

static HRESULT read_rows(FILE *file, const char *path, char ***swaps, size_t *count,
                         struct error *err)
{
    char *line = NULL;
    size_t room = 0;
    HRESULT hr = S_OK;
    errno = 0;
    while (SUCCEEDED(hr) && getline(&line, &room, file) >= 0) {
        cut_path(line);
        if (line[0] == '/') { /* not the headings */
            hr = add_path(line, swaps, count, err);
        }
    }
    if (SUCCEEDED(hr) && !feof(file)) {
        hr = error_set_errno(err, errno, "cannot read %s", path);
    }
    free(line);
    return hr;
}

HRESULT host_swaps_load(const char *proc, char ***out, size_t *out_count, struct error *err)
{
    char **swaps = NULL;
    size_t count = 0;
    *out = NULL;
    *out_count = 0;
    char *path = text_printf("%s/swaps", proc);
    if (!path) {
        return error_set(err, E_OUTOFMEMORY, "no memory for the table of swaps");
    }
    FILE *file = fopen(path, "re");
    HRESULT hr = S_OK;
    if (file) {
        hr = read_rows(file, path, &swaps, &count, err);
        (void)fclose(file);
    } else if (errno != ENOENT) {
        hr = error_set_errno(err, errno, "cannot read %s", path);
    }
    free(path);
    if (FAILED(hr)) {
        host_swaps_free(swaps, count);
        return hr;
    }
    *out = swaps;
    *out_count = count;
    return S_OK;
}
