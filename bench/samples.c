/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/bench.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void samples_add(struct samples *s, double value)
{
    if (s->count < SAMPLES_MAX) {
        s->values[s->count++] = value;
    }
}

static int compare(const void *a, const void *b)
{
    const double *x = a;
    const double *y = b;
    return *x < *y ? -1 : *x > *y;
}

double samples_median(const struct samples *s)
{
    double sorted[SAMPLES_MAX];
    if (s->count == 0) {
        return 0;
    }
    memcpy(sorted, s->values, s->count * sizeof(sorted[0]));
    qsort(sorted, s->count, sizeof(sorted[0]), compare);
    size_t middle = s->count / 2;
    return s->count % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

double samples_min(const struct samples *s)
{
    double least = s->count ? s->values[0] : 0;
    for (size_t i = 1; i < s->count; i++) {
        least = s->values[i] < least ? s->values[i] : least;
    }
    return least;
}

double samples_max(const struct samples *s)
{
    double most = 0;
    for (size_t i = 0; i < s->count; i++) {
        most = s->values[i] > most ? s->values[i] : most;
    }
    return most;
}

char *duration_text(double us, char out[DURATION_BYTES])
{
    double value = us >= 1e6 ? us / 1e6 : us >= 1e3 ? us / 1e3 : us;
    const char *unit = us >= 1e6 ? "s" : us >= 1e3 ? "ms" : "us";
    (void)snprintf(out, DURATION_BYTES, value >= 100 ? "%.0f %s" : "%.3g %s", value, unit);
    return out;
}

static void print_samples(const struct samples *s)
{
    char median[DURATION_BYTES];
    char least[DURATION_BYTES];
    char most[DURATION_BYTES];
    (void)printf("%s (%s .. %s, %zu)", duration_text(samples_median(s), median),
                 duration_text(samples_min(s), least), duration_text(samples_max(s), most),
                 s->count);
}

static void print_ratio(double ours, double peer)
{
    if (ours <= 0 || peer <= 0) {
        (void)printf("-");
    } else if (ours * 10 < peer) {
        (void)printf("1/%.0f", peer / ours);
    } else {
        (void)printf("%.2f", ours / peer);
    }
}

static void print_goal(const struct row *row, double ours, double peer)
{
    char most[DURATION_BYTES];
    const struct goal *g = &row->goal;
    bool is_met =
        (g->factor <= 0 || ours <= g->factor * peer) && (g->most_us <= 0 || ours <= g->most_us);
    if (g->factor <= 0 && g->most_us <= 0) {
        (void)printf("-");
        return;
    }
    if (g->most_us > 0) {
        (void)printf("<= %s: ", duration_text(g->most_us, most));
    } else if (g->factor < 0.1) {
        (void)printf("<= 1/%.0f: ", 1 / g->factor);
    } else {
        (void)printf("<= %.2g: ", g->factor);
    }
    (void)printf("%s", is_met ? "held" : "MISSED");
}

void table_head(const char *title)
{
    (void)printf("\n### %s\n\n"
                 "| what | lunshadow: median (min .. max, runs) | beside it | ratio | goal | limit "
                 "|\n|---|---|---|---|---|---|\n",
                 title);
    (void)fflush(stdout);
}

void table_row(const struct row *row)
{
    double ours = samples_median(row->ours);
    double peer = row->peer ? samples_median(row->peer) : 0;
    (void)printf("| %s | ", row->what);
    print_samples(row->ours);
    (void)printf(" | ");
    if (row->peer) {
        (void)printf("%s: ", row->peer_name);
        print_samples(row->peer);
    } else {
        (void)printf("-");
    }
    (void)printf(" | ");
    print_ratio(ours, peer);
    (void)printf(" | ");
    print_goal(row, ours, peer);
    (void)printf(" | %s |\n", row->limit ? row->limit : "-");
    (void)fflush(stdout);
}

void table_note(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)printf("\n");
    (void)vprintf(format, args);
    (void)printf("\n");
    va_end(args);
    (void)fflush(stdout);
}

void progress(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    (void)fputc('\n', stderr);
    va_end(args);
}
