/* SPDX-License-Identifier: Apache-2.0 */
#include "conform/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const verdict_names[] = {"ok", "FAIL", "not claimed", "skipped"};

/* Each line of text behind its own indent; the label stands before the first. */
static void print_lines(const char *label, const char *text)
{
    for (const char *line = text; *line;) {
        size_t length = strcspn(line, "\n");
        (void)printf("    %-10s%.*s\n", line == text ? label : "", (int)length, line);
        line += length + (line[length] == '\n');
    }
}

void report_begin(struct report *r, const struct conform *c, bool is_json)
{
    *r = (struct report){.is_json = is_json, .cases = json_array()};
    if (is_json) {
        return;
    }
    (void)printf("%sarray %s", c->is_offline ? "recorded " : "", c->section->name);
    if (c->provider) {
        const struct vss_provider_table *table = provider_table(c->provider);
        (void)printf(": provider %s %s, %s", table->name, table->version,
                     provider_path(c->provider));
    }
    (void)putchar('\n');
    for (size_t i = 0; i < c->scratch_count; i++) {
        (void)printf("scratch %s\n", c->scratch[i].url);
    }
}

static void print_case(const struct conform_case *what, enum conform_verdict verdict,
                       const char *seen)
{
    (void)printf("%-12s %s", verdict_names[verdict], what->name);
    if (verdict == CONFORM_NOT_CLAIMED) {
        (void)printf(" (%s)", conform_need_name(what->need));
    }
    if (verdict == CONFORM_SKIPPED) {
        (void)printf(" (%s)", seen);
    }
    (void)putchar('\n');
    if (verdict == CONFORM_FAILED) {
        print_lines("expected", what->expected);
        print_lines("seen", seen);
        print_lines("source", what->source);
    }
    (void)fflush(stdout);
}

static json_t *case_json(const struct conform_case *what)
{
    return json_pack("{s:s, s:s, s:s, s:s}", "name", what->name, "needs",
                     conform_need_name(what->need), "source", what->source, "expected",
                     what->expected);
}

void report_case(struct report *r, const struct conform_case *what, enum conform_verdict verdict,
                 const char *seen, uint64_t taken_us)
{
    size_t *const counts[] = {&r->held, &r->failed, &r->not_claimed, &r->skipped};
    (*counts[verdict])++;
    if (!r->is_json) {
        print_case(what, verdict, seen);
        return;
    }
    json_t *row = case_json(what);
    (void)json_object_set_new(row, "verdict", json_string(verdict_names[verdict]));
    (void)json_object_set_new(row, "seen", seen ? json_string(seen) : json_null());
    (void)json_object_set_new(row, "taken_us", json_integer((json_int_t)taken_us));
    (void)json_array_append_new(r->cases, row);
}

static void print_end(const struct report *r, const struct conform *c)
{
    bool has_more = false;
    for (size_t op = 0; op < VSS_OP_COUNT; op++) {
        if (c->to_do[op]) {
            (void)printf("%s    %s\n", has_more ? "" : "\nTo do, in this order:\n", c->to_do[op]);
            has_more = true;
        }
    }
    (void)printf("\nconform: %zu of %zu cases held, %zu not claimed", r->held, r->held + r->failed,
                 r->not_claimed);
    if (c->is_offline) {
        (void)printf(", %zu skipped without LUNs", r->skipped);
    }
    (void)putchar('\n');
}

static json_t *to_do_json(const struct conform *c)
{
    json_t *list = json_array();
    for (size_t op = 0; op < VSS_OP_COUNT; op++) {
        if (c->to_do[op]) {
            (void)json_array_append_new(list, json_pack("{s:s, s:s}", "operation",
                                                        provider_op_name((enum vss_provider_op)op),
                                                        "seen", c->to_do[op]));
        }
    }
    return list;
}

static void print_json(json_t *root)
{
    (void)json_dumpf(root, stdout, JSON_INDENT(2));
    (void)putchar('\n');
    json_decref(root);
}

void report_end(struct report *r, const struct conform *c)
{
    if (!r->is_json) {
        print_end(r, c);
        json_decref(r->cases);
        return;
    }
    print_json(json_pack("{s:s, s:I, s:I, s:I, s:I, s:o, s:o}", "array", c->section->name, "held",
                         (json_int_t)r->held, "failed", (json_int_t)r->failed, "not_claimed",
                         (json_int_t)r->not_claimed, "skipped", (json_int_t)r->skipped, "to_do",
                         to_do_json(c), "cases", r->cases));
}

void report_list(bool is_json)
{
    json_t *list = json_array();
    for (size_t i = 0; i < conform_case_count; i++) {
        const struct conform_case *what = &conform_cases[i];
        if (is_json) {
            (void)json_array_append_new(list, case_json(what));
        } else {
            const char *needs = conform_need_name(what->need);
            (void)printf("%s%s%s%s\n", what->name, *needs ? " (" : "", needs, *needs ? ")" : "");
            print_lines("expected", what->expected);
            print_lines("source", what->source);
        }
    }
    if (is_json) {
        print_json(list);
    } else {
        json_decref(list);
    }
}
