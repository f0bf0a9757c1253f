/* SPDX-License-Identifier: Apache-2.0 */
#include "drill/report.h"

#include "common/buffer.h"
#include "common/clock.h"
#include "common/id.h"
#include "drill/evidence.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct check {
    const char *name;
    enum verdict verdict;
    char *text;
};

struct phase {
    const char *name;
    uint64_t started_us;
    uint64_t ended_us;
    uint64_t bytes;
    struct check *checks;
    size_t check_count;
};

struct figure {
    const char *key;
    const char *words;
    uint64_t value;
    const char *unit;
};

struct texts {
    char **items;
    size_t count;
};

struct report {
    FILE *live;
    int64_t started; /* FILETIME */
    struct phase *phases;
    size_t phase_count;
    struct figure *figures;
    size_t figure_count;
    struct texts notes;
    struct texts leftovers;
    json_t *subject;    /* NULL: the drill's own array */
    bool is_incomplete; /* memory was short: something is missing, so it cannot have passed */
};

struct report *report_new(FILE *live)
{
    struct report *r = calloc(1, sizeof(*r));
    if (r) {
        r->live = live;
        r->started = clock_filetime();
    }
    return r;
}

static void texts_free(struct texts *texts)
{
    for (size_t i = 0; i < texts->count; i++) {
        free(texts->items[i]);
    }
    free(texts->items);
}

void report_free(struct report *report)
{
    if (!report) {
        return;
    }
    for (size_t p = 0; p < report->phase_count; p++) {
        for (size_t c = 0; c < report->phases[p].check_count; c++) {
            free(report->phases[p].checks[c].text);
        }
        free(report->phases[p].checks);
    }
    free(report->phases);
    free(report->figures);
    texts_free(&report->notes);
    texts_free(&report->leftovers);
    json_decref(report->subject);
    free(report);
}

/* Room for one more item at the end of an array; the old array where memory is short. */
static void *grow(struct report *r, void *items, size_t count, size_t item_bytes)
{
    void *more = reallocarray(items, count + 1, item_bytes);
    if (!more) {
        r->is_incomplete = true;
        return NULL;
    }
    memset((char *)more + count * item_bytes, 0, item_bytes);
    return more;
}

static struct phase *current(struct report *r)
{
    return r->phase_count ? &r->phases[r->phase_count - 1] : NULL;
}

static const char *verdict_word(enum verdict verdict)
{
    return verdict == VERDICT_HELD ? "ok" : verdict == VERDICT_FAILED ? "FAILED" : "skipped";
}

static struct report_totals count_phase(const struct phase *p)
{
    struct report_totals t = {0};
    for (size_t c = 0; c < p->check_count; c++) {
        t.held += p->checks[c].verdict == VERDICT_HELD;
        t.failed += p->checks[c].verdict == VERDICT_FAILED;
        t.skipped += p->checks[c].verdict == VERDICT_SKIPPED;
    }
    return t;
}

static const char *phase_verdict(const struct phase *p)
{
    struct report_totals t = count_phase(p);
    return t.failed ? "FAILED" : t.skipped ? "skipped" : "ok";
}

void report_end(struct report *report)
{
    struct phase *p = current(report);
    if (!p || p->ended_us != 0) {
        return;
    }
    p->ended_us = clock_monotonic_us();
    if (report->live) {
        (void)fprintf(report->live, "  %s, %zu checks, %.1f s\n", phase_verdict(p), p->check_count,
                      (double)(p->ended_us - p->started_us) / 1e6);
        (void)fflush(report->live);
    }
}

void report_phase(struct report *report, const char *name)
{
    report_end(report);
    struct phase *phases =
        grow(report, report->phases, report->phase_count, sizeof(*report->phases));
    if (!phases) {
        return;
    }
    report->phases = phases;
    report->phases[report->phase_count++] =
        (struct phase){.name = name, .started_us = clock_monotonic_us()};
    if (report->live) {
        (void)fprintf(report->live, "%s\n", name);
        (void)fflush(report->live);
    }
}

void report_bytes(struct report *report, uint64_t bytes)
{
    struct phase *p = current(report);
    if (p) {
        p->bytes += bytes;
    }
}

__attribute__((format(printf, 1, 0))) static char *format_text(const char *format, va_list args)
{
    char *text = NULL;
    return vasprintf(&text, format, args) < 0 ? NULL : text;
}

/* Takes text over. */
static void add_check(struct report *r, const char *name, enum verdict verdict, char *text)
{
    struct phase *p = current(r);
    struct check *checks = p ? grow(r, p->checks, p->check_count, sizeof(*p->checks)) : NULL;
    if (r->live && verdict != VERDICT_HELD) {
        (void)fprintf(r->live, "  %s: %s%s%s\n", verdict_word(verdict), name,
                      text && *text ? ": " : "", text ? text : "");
        (void)fflush(r->live);
    }
    if (!checks) {
        r->is_incomplete = true;
        free(text);
        return;
    }
    p->checks = checks;
    p->checks[p->check_count++] = (struct check){name, verdict, text};
}

bool report_check(struct report *report, const char *name, bool held, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_check(report, name, held ? VERDICT_HELD : VERDICT_FAILED, format_text(format, args));
    va_end(args);
    return held;
}

void report_skip(struct report *report, const char *name, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_check(report, name, VERDICT_SKIPPED, format_text(format, args));
    va_end(args);
}

void report_error(struct report *report, const char *name, const struct error *err)
{
    const char *code = vss_error_name(err->code);
    add_check(report, name, VERDICT_FAILED,
              text_printf("%s%s%s", code ? code : "", code ? ": " : "", error_text(err)));
}

static void add_text(struct report *r, struct texts *texts, char *text)
{
    char **items = text ? grow(r, texts->items, texts->count, sizeof(*texts->items)) : NULL;
    if (!items) {
        r->is_incomplete = true;
        free(text);
        return;
    }
    texts->items = items;
    texts->items[texts->count++] = text;
}

void report_note(struct report *report, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = format_text(format, args);
    va_end(args);
    if (report->live && text) {
        (void)fprintf(report->live, "  %s\n", text);
        (void)fflush(report->live);
    }
    add_text(report, &report->notes, text);
}

void report_leftover(struct report *report, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_text(report, &report->leftovers, format_text(format, args));
    va_end(args);
}

void report_figure(struct report *report, const char *key, const char *words, uint64_t value,
                   const char *unit)
{
    struct figure *figures =
        grow(report, report->figures, report->figure_count, sizeof(*report->figures));
    if (figures) {
        report->figures = figures;
        report->figures[report->figure_count++] = (struct figure){key, words, value, unit};
    }
}

void report_subject(struct report *report, json_t *subject)
{
    json_decref(report->subject);
    report->subject = subject;
    report->is_incomplete = report->is_incomplete || !subject;
}

struct report_totals report_count(const struct report *report)
{
    struct report_totals all = {.failed = report->is_incomplete};
    for (size_t i = 0; i < report->phase_count; i++) {
        struct report_totals t = count_phase(&report->phases[i]);
        all.held += t.held;
        all.failed += t.failed;
        all.skipped += t.skipped;
    }
    all.leftovers = report->leftovers.count;
    return all;
}

/* ---- for a person ---- */

static void print_phases(const struct report *r, FILE *out)
{
    (void)fprintf(out, "\n%-44s %9s %10s %7s  %s\n", "phase", "seconds", "MiB", "checks",
                  "verdict");
    for (size_t i = 0; i < r->phase_count; i++) {
        const struct phase *p = &r->phases[i];
        (void)fprintf(out, "%-44s %9.2f %10.1f %7zu  %s\n", p->name,
                      (double)(p->ended_us - p->started_us) / 1e6, (double)p->bytes / 1048576.0,
                      p->check_count, phase_verdict(p));
    }
}

static void print_bad_checks(const struct report *r, FILE *out)
{
    for (size_t i = 0; i < r->phase_count; i++) {
        const struct phase *p = &r->phases[i];
        for (size_t c = 0; c < p->check_count; c++) {
            const struct check *k = &p->checks[c];
            if (k->verdict != VERDICT_HELD) {
                (void)fprintf(out, "%s: %s: %s: %s\n", verdict_word(k->verdict), p->name, k->name,
                              k->text ? k->text : "");
            }
        }
    }
}

void report_print(const struct report *report, FILE *out)
{
    struct report_totals t = report_count(report);
    print_phases(report, out);
    (void)fputc('\n', out);
    for (size_t i = 0; i < report->figure_count; i++) {
        const struct figure *f = &report->figures[i];
        (void)fprintf(out, "%-44s %9" PRIu64 " %s\n", f->words, f->value, f->unit);
    }
    (void)fputc('\n', out);
    print_bad_checks(report, out);
    for (size_t i = 0; i < report->leftovers.count; i++) {
        (void)fprintf(out, "left behind: %s\n", report->leftovers.items[i]);
    }
    (void)fprintf(out, "%zu checks held, %zu failed, %zu skipped\n", t.held, t.failed, t.skipped);
}

/* ---- JSON ---- */

static json_t *text_json(const char *text)
{
    json_t *json = text ? json_string(text) : json_null();
    return json ? json : json_string("(not UTF-8)");
}

static json_t *checks_json(const struct phase *p)
{
    json_t *array = json_array();
    for (size_t c = 0; c < p->check_count; c++) {
        const struct check *k = &p->checks[c];
        (void)json_array_append_new(
            array, json_pack("{s:s, s:s, s:o}", "name", k->name, "verdict",
                             k->verdict == VERDICT_HELD ? "held" : verdict_word(k->verdict), "text",
                             text_json(k->text)));
    }
    return array;
}

static json_t *phases_json(const struct report *r)
{
    json_t *array = json_array();
    for (size_t i = 0; i < r->phase_count; i++) {
        const struct phase *p = &r->phases[i];
        (void)json_array_append_new(array, json_pack("{s:s, s:I, s:I, s:s, s:o}", "name", p->name,
                                                     "duration_us",
                                                     (json_int_t)(p->ended_us - p->started_us),
                                                     "bytes", (json_int_t)p->bytes, "verdict",
                                                     phase_verdict(p), "checks", checks_json(p)));
    }
    return array;
}

static json_t *texts_json(const struct texts *texts)
{
    json_t *array = json_array();
    for (size_t i = 0; i < texts->count; i++) {
        (void)json_array_append_new(array, text_json(texts->items[i]));
    }
    return array;
}

static json_t *figures_json(const struct report *r)
{
    json_t *object = json_object();
    for (size_t i = 0; i < r->figure_count; i++) {
        (void)json_object_set_new(object, r->figures[i].key,
                                  json_integer((json_int_t)r->figures[i].value));
    }
    return object;
}

char *report_json(const struct report *report, const VSS_ID *id, int exit_code)
{
    char id_string[ID_TEXT_BYTES];
    char when[CLOCK_TEXT_BYTES];
    struct report_totals t = report_count(report);
    json_t *root = json_pack(
        "{s:i, s:s, s:s, s:i, s:{s:I, s:I, s:I}, s:o, s:o, s:o, s:o}", "version", 1, "drill",
        id_text(id, id_string), "started", clock_text(report->started, when), "exit_code",
        exit_code, "checks", "held", (json_int_t)t.held, "failed", (json_int_t)t.failed, "skipped",
        (json_int_t)t.skipped, "figures", figures_json(report), "phases", phases_json(report),
        "notes", texts_json(&report->notes), "left_behind", texts_json(&report->leftovers));
    if (root && report->subject && json_object_set(root, "subject", report->subject)) {
        json_decref(root);
        root = NULL;
    }
    char *text = root && SUCCEEDED(evidence_seal(root)) ? json_dumps(root, JSON_INDENT(2)) : NULL;
    json_decref(root);
    return text;
}
