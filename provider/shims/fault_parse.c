/* SPDX-License-Identifier: Apache-2.0 */
/* The language of faults: OPERATION[:N][:after]:FAILURE */
#include "common/buffer.h"
#include "provider/shims/fault.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- numbers and codes ------------------------------------------------------------------------
 */

static bool parse_number(const char *text, uint64_t max, uint64_t *out)
{
    char *end = NULL;
    if (!*text || strspn(text, "0123456789") != strlen(text)) {
        return false;
    }
    errno = 0;
    *out = strtoumax(text, &end, 10);
    return errno == 0 && *out <= max;
}

/* A name that is known, or any 0x number: a provider may give what nobody knows. */
static bool parse_code(const char *text, HRESULT *out)
{
    bool is_hex = strncmp(text, "0x", 2) == 0 && text[2] && strlen(text) <= 10 &&
                  strspn(text + 2, "0123456789abcdefABCDEF") == strlen(text + 2);
    if (is_hex) {
        *out = (HRESULT)(uint32_t)strtoul(text + 2, NULL, 16);
        return true;
    }
    bool is_number = strspn(text, "0123456789") == strlen(text);
    return !is_number && vss_error_lookup(text, out) != 0;
}

/* ---- failures ----------------------------------------------------------------------------------
 */

static const struct {
    const char *name;
    enum fault_kind kind;
    uint32_t most; /* of the number behind "="; 0: takes none */
} failures[] = {
    {"segv", FAULT_SEGV, 0},         {"abort", FAULT_ABORT, 0},  {"exit", FAULT_EXIT, 255},
    {"hang", FAULT_HANG, 86400000},  {"spin", FAULT_SPIN, 0},    {"close", FAULT_CLOSE, 0},
    {"garbage", FAULT_GARBAGE, 0},   {"leak", FAULT_LEAK, 1000}, {"orphan", FAULT_ORPHAN, 0},
    {"identity", FAULT_IDENTITY, 0}, {"lose", FAULT_LOSE, 0},    {"half", FAULT_HALF, 0},
};
enum { FAILURES = sizeof(failures) / sizeof(failures[0]) };

#define FAILURE_NAMES                                                                              \
    "a code, segv, abort, exit[=CODE], hang[=MS], spin, close, garbage, leak[=N], orphan, "        \
    "identity, lose, half"

static HRESULT parse_failure(char *text, struct fault *out, struct error *err)
{
    if (parse_code(text, &out->code)) {
        out->kind = FAULT_CODE;
        return S_OK;
    }
    char *number = strchr(text, '=');
    if (number) {
        *number++ = '\0';
    }
    for (size_t i = 0; i < FAILURES; i++) {
        uint64_t value = 0;
        if (strcmp(failures[i].name, text) != 0) {
            continue;
        }
        if (number && !(failures[i].most && parse_number(number, failures[i].most, &value))) {
            return failures[i].most
                       ? error_set(err, E_INVALIDARG, "\"%s\": %s takes a number up to %u",
                                   out->text, text, failures[i].most)
                       : error_set(err, E_INVALIDARG, "\"%s\": %s takes no number", out->text,
                                   text);
        }
        out->kind = failures[i].kind;
        out->number = (uint32_t)value;
        return S_OK;
    }
    return error_set(err, E_INVALIDARG, "\"%s\": %s is none of " FAILURE_NAMES, out->text, text);
}

/* ---- the whole ---------------------------------------------------------------------------------
 */

static HRESULT check(const struct fault *fault, struct error *err)
{
    if (fault->kind < FAULT_IDENTITY) {
        return S_OK;
    }
    if (fault->is_after) {
        return error_set(err, E_INVALIDARG,
                         "\"%s\": what the provider answers is changed anyway after it did",
                         fault->text);
    }
    if (!fault_can_lie(fault->kind, fault->op)) {
        return error_set(err, E_INVALIDARG, "\"%s\": that operation has no such answer",
                         fault->text);
    }
    return S_OK;
}

static HRESULT parse_fields(char *text, struct fault *out, struct error *err)
{
    char *operation = strsep(&text, ":");
    char *field = strsep(&text, ":");
    if (!shim_find_op(operation, &out->op)) {
        return error_set(err, E_INVALIDARG,
                         "\"%s\": there is no operation %s; see lunshadow-provider(7) for their "
                         "names, * is each",
                         out->text, operation);
    }
    if (field && *field && strspn(field, "0123456789") == strlen(field)) {
        if (!parse_number(field, UINT64_MAX, &out->which) || out->which == 0) {
            return error_set(err, E_INVALIDARG, "\"%s\": calls are counted from 1", out->text);
        }
        field = strsep(&text, ":");
    }
    if (field && strcmp(field, "after") == 0) {
        out->is_after = true;
        field = strsep(&text, ":");
    }
    if (!field || !*field || text) {
        return error_set(err, E_INVALIDARG, "\"%s\" is not OPERATION[:N][:after]:FAILURE",
                         out->text);
    }
    HRESULT hr = parse_failure(field, out, err);
    return SUCCEEDED(hr) ? check(out, err) : hr;
}

HRESULT fault_parse(const char *item, struct fault *out, struct error *err)
{
    *out = (struct fault){.text = text_copy(item)};
    char *fields = text_copy(item);
    HRESULT hr = out->text && fields ? parse_fields(fields, out, err)
                                     : error_set(err, E_OUTOFMEMORY, "out of memory");
    free(fields);
    if (FAILED(hr)) {
        free(out->text);
        *out = (struct fault){0};
    }
    return hr;
}
