/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/progress.h"

#include "cli/text.h"
#include "common/clock.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define BAR_CELLS     20
#define LINE_PAUSE_US 1000000u

static bool is_json;
static bool is_hidden;

void progress_use_json(bool is_asked_for)
{
    is_json = is_asked_for;
}

void progress_hide(void)
{
    is_hidden = true;
}

void progress_begin(struct progress *progress, const char *what)
{
    uint64_t now = clock_monotonic_us();
    *progress = (struct progress){.what = what,
                                  .is_bar = !is_json && isatty(STDERR_FILENO) == 1,
                                  .started_us = now,
                                  .shown_us = now};
}

static void draw_bar(const struct progress *progress, const struct vss_progress *p)
{
    char done[TEXT_SIZE_BYTES];
    char total[TEXT_SIZE_BYTES];
    char rate[TEXT_SIZE_BYTES];
    char bar[BAR_CELLS + 1];
    size_t filled = (size_t)p->permille * BAR_CELLS / 1000;
    memset(bar, '#', filled);
    memset(bar + filled, '.', BAR_CELLS - filled);
    bar[BAR_CELLS] = '\0';
    (void)fprintf(stderr, "\r%s: [%s] %3" PRIu32 " %%  %s of %s", progress->what, bar,
                  p->permille / 10, text_size(p->done_bytes, done),
                  text_size(p->total_bytes, total));
    if (p->bytes_per_second > 0) {
        (void)fprintf(stderr, "  %s/s", text_size(p->bytes_per_second, rate));
    }
    if (p->remaining_ms != VSS_PROGRESS_UNKNOWN) {
        uint64_t seconds = (p->remaining_ms + 999) / 1000;
        (void)fprintf(stderr, "  %" PRIu64 ":%02" PRIu64 " left", seconds / 60, seconds % 60);
    }
    (void)fputs("\033[K", stderr);
}

static void draw(struct progress *progress, const struct vss_progress *p)
{
    if (p->total_bytes > 0) {
        draw_bar(progress, p);
    } else {
        (void)fprintf(stderr, "\r%s: %" PRIu64 " s\033[K", progress->what, p->elapsed_ms / 1000);
    }
    progress->was_shown = true;
}

static void print_line(struct progress *progress, const struct vss_progress *p)
{
    json_t *remaining = p->remaining_ms == VSS_PROGRESS_UNKNOWN
                            ? json_null()
                            : json_integer((json_int_t)p->remaining_ms);
    json_t *line = json_pack("{s:s, s:f, s:I, s:I, s:I, s:I, s:o}", "progress", progress->what,
                             "percent", (double)p->permille / 10.0, "done_bytes",
                             (json_int_t)p->done_bytes, "total_bytes", (json_int_t)p->total_bytes,
                             "bytes_per_second", (json_int_t)p->bytes_per_second, "elapsed_ms",
                             (json_int_t)p->elapsed_ms, "remaining_ms", remaining);
    if (line && json_dumpf(line, stderr, JSON_COMPACT | JSON_REAL_PRECISION(4)) == 0) {
        (void)fputc('\n', stderr);
    }
    json_decref(line);
    progress->was_shown = true;
    progress->shown_us = clock_monotonic_us();
}

void progress_show(struct progress *progress, struct vss_async *async)
{
    struct vss_progress p = {.struct_size = sizeof(p)};
    bool is_due = clock_monotonic_us() - progress->shown_us >= LINE_PAUSE_US;
    (void)vss_async_query_progress(async, &p); /* each time: the rate counts from the first look */
    if (is_hidden) {
        return;
    }
    if (progress->is_bar) {
        draw(progress, &p);
    } else if (is_due && p.total_bytes > 0) {
        print_line(progress, &p);
    }
}

void progress_end(struct progress *progress, struct vss_async *async)
{
    struct vss_progress p = {.struct_size = sizeof(p)};
    (void)vss_async_query_progress(async, &p);
    if (progress->is_bar && progress->was_shown) {
        (void)fputs("\r\033[K", stderr);
    } else if (!is_hidden && !progress->is_bar && p.total_bytes > 0 &&
               (progress->was_shown || is_json)) {
        print_line(progress, &p);
    }
}
