/* SPDX-License-Identifier: Apache-2.0 */
#include "drill/evidence.h"

#include "common/buffer.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define REPORT_VERSION    1
#define DIGEST_TEXT_BYTES 48

/* Of report without its "digest". */
static HRESULT compute(json_t *report, char out[DIGEST_TEXT_BYTES])
{
    json_t *bare = json_copy(report);
    (void)json_object_del(bare, "digest");
    char *text = bare ? json_dumps(bare, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    json_decref(bare);
    if (!text) {
        return E_OUTOFMEMORY;
    }
    XXH128_hash_t hash = XXH3_128bits(text, strlen(text));
    (void)snprintf(out, DIGEST_TEXT_BYTES, "xxh3-128:%016" PRIx64 "%016" PRIx64,
                   (uint64_t)hash.high64, (uint64_t)hash.low64);
    free(text);
    return S_OK;
}

HRESULT evidence_seal(json_t *report)
{
    char digest[DIGEST_TEXT_BYTES];
    HRESULT hr = compute(report, digest);
    if (SUCCEEDED(hr) && json_object_set_new(report, "digest", json_string(digest))) {
        hr = E_OUTOFMEMORY;
    }
    return hr;
}

/* ---- verifying ------------------------------------------------------------------------------- */

struct counts {
    json_int_t held;
    json_int_t failed;
    json_int_t skipped;
    json_int_t leftovers;
};

static struct counts count(const json_t *report)
{
    struct counts c = {0};
    size_t p = 0;
    size_t k = 0;
    const json_t *phase = NULL;
    const json_t *check = NULL;
    json_array_foreach(json_object_get(report, "phases"), p, phase)
    {
        json_array_foreach(json_object_get(phase, "checks"), k, check)
        {
            const char *verdict = json_string_value(json_object_get(check, "verdict"));
            c.held += verdict && strcmp(verdict, "held") == 0;
            c.skipped += verdict && strcmp(verdict, "skipped") == 0;
            c.failed += !verdict || strcmp(verdict, "FAILED") == 0;
        }
    }
    c.leftovers = (json_int_t)json_array_size(json_object_get(report, "left_behind"));
    return c;
}

static json_int_t number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

struct verdict {
    bool is_sound;
    json_t *problems; /* what does not hold, a text each */
    enum drill_result result;
};

static void expect(struct verdict *v, bool holds, const char *text)
{
    if (!holds) {
        v->is_sound = false;
        (void)json_array_append_new(v->problems, json_string(text));
    }
}

static enum drill_result result_of(const struct counts *c)
{
    if (c->failed || c->skipped || c->held == 0) {
        return DRILL_FAILED;
    }
    return c->leftovers ? DRILL_LEFT_BEHIND : DRILL_PASSED;
}

/* A drill that says it passed cannot have taken longer than it was allowed to. */
static bool is_in_time(const json_t *report, enum drill_result result)
{
    json_int_t most = number(json_object_get(report, "subject"), "max_rto_ms");
    json_int_t took = number(json_object_get(report, "figures"), "rto_ms");
    return most == 0 || result == DRILL_FAILED || (took > 0 && took < most);
}

static void check_all(json_t *report, struct verdict *v)
{
    char digest[DIGEST_TEXT_BYTES] = "";
    struct counts c = count(report);
    const json_t *said = json_object_get(report, "checks");
    const char *kept = json_string_value(json_object_get(report, "digest"));
    v->is_sound = true;
    v->result = result_of(&c);
    (void)compute(report, digest);
    expect(v, kept && strcmp(kept, digest) == 0,
           "the report is not the one that its digest was made of");
    expect(v,
           number(said, "held") == c.held && number(said, "failed") == c.failed &&
               number(said, "skipped") == c.skipped,
           "it counts other checks than it has");
    expect(v, number(report, "exit_code") == (json_int_t)v->result,
           "its result does not follow from its checks");
    expect(v, is_in_time(report, v->result), "the recovery took longer than it was allowed to");
}

static void print_text(const json_t *report, const struct verdict *v, FILE *out)
{
    struct counts c = count(report);
    const char *id = json_string_value(json_object_get(report, "drill"));
    const char *started = json_string_value(json_object_get(report, "started"));
    json_int_t rto_ms = number(json_object_get(report, "figures"), "rto_ms");
    size_t index = 0;
    const json_t *problem = NULL;
    json_array_foreach(v->problems, index, problem)
    {
        (void)fprintf(out, "NOT SOUND: %s\n", json_string_value(problem));
    }
    (void)fprintf(out, "drill %s of %s: %lld checks held, %lld failed, %lld skipped\n",
                  id ? id : "?", started ? started : "?", (long long)c.held, (long long)c.failed,
                  (long long)c.skipped);
    if (rto_ms > 0) {
        (void)fprintf(out, "recovery and check took %lld ms\n", (long long)rto_ms);
    }
    (void)fprintf(out, "%s\n",
                  v->result == DRILL_PASSED        ? "the drill passed"
                  : v->result == DRILL_LEFT_BEHIND ? "the drill passed and left something behind"
                                                   : "the drill FAILED");
}

static HRESULT print_json(const json_t *report, const struct verdict *v, FILE *out)
{
    struct counts c = count(report);
    json_int_t rto_ms = number(json_object_get(report, "figures"), "rto_ms");
    json_t *said =
        json_pack("{s:s?, s:s?, s:b, s:O, s:b, s:{s:I, s:I, s:I}, s:I, s:o}", "drill",
                  json_string_value(json_object_get(report, "drill")), "started",
                  json_string_value(json_object_get(report, "started")), "sound", v->is_sound,
                  "problems", v->problems, "passed", v->result != DRILL_FAILED, "checks", "held",
                  c.held, "failed", c.failed, "skipped", c.skipped, "left_behind", c.leftovers,
                  "rto_ms", rto_ms > 0 ? json_integer(rto_ms) : json_null());
    int failed = said ? json_dumpf(said, out, JSON_INDENT(2)) : -1;
    (void)fputc('\n', out);
    json_decref(said);
    return failed ? E_OUTOFMEMORY : S_OK;
}

static bool is_report(const json_t *report)
{
    return json_is_object(report) && number(report, "version") == REPORT_VERSION &&
           json_object_get(report, "phases") && json_object_get(report, "digest");
}

enum drill_result evidence_verify(const char *path, bool as_json, FILE *out, struct error *err)
{
    json_error_t why;
    json_t *report = json_load_file(path, JSON_REJECT_DUPLICATES, &why);
    struct verdict v = {.problems = json_array()};
    if (!is_report(report)) {
        (void)error_set(err, E_INVALIDARG, "%s is no report of a drill%s%s", path,
                        report ? "" : ": ", report ? "" : why.text);
        json_decref(report);
        json_decref(v.problems);
        return DRILL_DID_NOT_RUN;
    }
    check_all(report, &v);
    if (!as_json) {
        print_text(report, &v, out);
    } else if (FAILED(print_json(report, &v, out))) {
        (void)error_set(err, E_OUTOFMEMORY, "the verdict on %s could not be written", path);
    }
    json_decref(report);
    json_decref(v.problems);
    return v.is_sound ? v.result : DRILL_FAILED;
}
