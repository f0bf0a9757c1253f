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

/* Says what does not hold. */
static bool expect(bool holds, FILE *out, const char *text)
{
    if (!holds) {
        (void)fprintf(out, "NOT SOUND: %s\n", text);
    }
    return holds;
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

static bool check_all(json_t *report, FILE *out, enum drill_result *out_result)
{
    char digest[DIGEST_TEXT_BYTES];
    struct counts c = count(report);
    const json_t *said = json_object_get(report, "checks");
    const char *kept = json_string_value(json_object_get(report, "digest"));
    *out_result = result_of(&c);
    bool is_sound = SUCCEEDED(compute(report, digest)) &&
                    expect(kept && strcmp(kept, digest) == 0, out,
                           "the report is not the one that its digest was made of");
    is_sound = expect(number(said, "held") == c.held && number(said, "failed") == c.failed &&
                          number(said, "skipped") == c.skipped,
                      out, "it counts other checks than it has") &&
               is_sound;
    is_sound = expect(number(report, "exit_code") == (json_int_t)*out_result, out,
                      "its result does not follow from its checks") &&
               is_sound;
    is_sound = expect(is_in_time(report, *out_result), out,
                      "the recovery took longer than it was allowed to") &&
               is_sound;
    return is_sound;
}

static void print_summary(const json_t *report, enum drill_result result, FILE *out)
{
    struct counts c = count(report);
    const char *id = json_string_value(json_object_get(report, "drill"));
    const char *started = json_string_value(json_object_get(report, "started"));
    json_int_t rto_ms = number(json_object_get(report, "figures"), "rto_ms");
    (void)fprintf(out, "drill %s of %s: %lld checks held, %lld failed, %lld skipped\n",
                  id ? id : "?", started ? started : "?", (long long)c.held, (long long)c.failed,
                  (long long)c.skipped);
    if (rto_ms > 0) {
        (void)fprintf(out, "recovery and check took %lld ms\n", (long long)rto_ms);
    }
    (void)fprintf(out, "%s\n",
                  result == DRILL_PASSED        ? "the drill passed"
                  : result == DRILL_LEFT_BEHIND ? "the drill passed and left something behind"
                                                : "the drill FAILED");
}

enum drill_result evidence_verify(const char *path, FILE *out, struct error *err)
{
    json_error_t why;
    enum drill_result result = DRILL_FAILED;
    json_t *report = json_load_file(path, JSON_REJECT_DUPLICATES, &why);
    if (!json_is_object(report) || number(report, "version") != REPORT_VERSION ||
        !json_object_get(report, "phases") || !json_object_get(report, "digest")) {
        (void)error_set(err, E_INVALIDARG, "%s is no report of a drill%s%s", path,
                        report ? "" : ": ", report ? "" : why.text);
        json_decref(report);
        return DRILL_DID_NOT_RUN;
    }
    bool is_sound = check_all(report, out, &result);
    print_summary(report, result, out);
    json_decref(report);
    return is_sound ? result : DRILL_FAILED;
}
