/* SPDX-License-Identifier: Apache-2.0 */
#include "resync/policy.h"

#include <string.h>

#define MIB_BYTES      1048576u
#define RATE_MAX_MIB   (COPY_RATE_MAX / MIB_BYTES)
#define PATHS_DEFAULT  2u
#define PATHS_MAX      8u
#define PATIENCE_MAX_S 3600u
#define PATIENCE_S     30u

static bool find_word(const char *const *words, size_t count, const char *text, size_t *out)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(words[i], text) == 0) {
            *out = i;
            return true;
        }
    }
    return false;
}

bool copy_choice_parse(const char *text, enum copy_choice *out)
{
    static const char *const words[] = {"auto", "compare", "full"}; /* in the enum's order */
    size_t at = 0;
    bool is_known = find_word(words, 3, text, &at);
    *out = is_known ? (enum copy_choice)at : COPY_AUTO;
    return is_known;
}

bool copy_verify_parse(const char *text, enum copy_verify *out)
{
    static const char *const words[] = {"none", "sample", "full"}; /* in the enum's order */
    size_t at = 0;
    bool is_known = find_word(words, 3, text, &at);
    *out = is_known ? (enum copy_verify)at : VERIFY_NONE;
    return is_known;
}

HRESULT copy_policy_read(const struct config *config, const struct copy_wish *wish,
                         struct copy_policy *out, struct error *err)
{
    const struct config_section *s = config_find(config, "copy", "");
    uint64_t rate = 0;
    uint64_t paths = 0;
    uint64_t patience = 0;
    *out = (struct copy_policy){.choice = COPY_AUTO};
    if (!copy_choice_parse(config_value(s, "method", "auto"), &out->choice)) {
        return error_set(err, E_INVALIDARG, "configuration [copy] method is auto, compare or full");
    }
    if (!copy_verify_parse(config_value(s, "verify", "none"), &out->verify)) {
        return error_set(err, E_INVALIDARG, "configuration [copy] verify is none, sample or full");
    }
    HRESULT hr = config_number(s, "rate", 1, RATE_MAX_MIB, 0, &rate, err);
    if (SUCCEEDED(hr)) {
        hr = config_number(s, "sessions", 1, PATHS_MAX, PATHS_DEFAULT, &paths, err);
    }
    if (SUCCEEDED(hr)) {
        hr = config_number(s, "reconnect_seconds", 1, PATIENCE_MAX_S, PATIENCE_S, &patience, err);
    }
    out->verify = wish->has_verify ? wish->verify : out->verify;
    out->bytes_per_second = wish->bytes_per_second ? wish->bytes_per_second : rate * MIB_BYTES;
    out->paths = (uint32_t)paths;
    out->patience_ms = (uint32_t)patience * 1000;
    return hr;
}
