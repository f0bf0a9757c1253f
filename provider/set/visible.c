/* SPDX-License-Identifier: Apache-2.0 */
#include "provider/set/visible.h"

#include "common/log.h"

#include <stdlib.h>
#include <string.h>

static void note_unanswered(struct visible *visible, const struct error *why, const char *what)
{
    visible->all_answered = false;
    if (!visible->unanswered.text[0]) {
        (void)error_set(&visible->unanswered, why->code, "%s: %s", what, error_text(why));
    }
    log_line(LOG_INFO, "not visible: %s: %s", what, error_text(why));
}

static HRESULT scan_one(struct set_environment *env, const struct config_section *portal,
                        const char *only_target, enum scan_label labels, struct visible *out)
{
    struct error why = {0};
    struct scan *scan = NULL;
    const char *address = config_value(portal, "address", NULL);
    if (!address) {
        (void)error_set(&why, E_INVALIDARG, "the section has no \"address =\" line");
        note_unanswered(out, &why, portal->name);
        return S_OK;
    }
    HRESULT hr = scan_portal(address, only_target, labels, &env->lun, &scan, &why);
    if (hr == E_OUTOFMEMORY) {
        return hr;
    }
    if (FAILED(hr)) {
        note_unanswered(out, &why, address);
        return S_OK;
    }
    for (size_t i = 0; i < scan->target_error_count; i++) {
        note_unanswered(out, &scan->target_errors[i].error, scan->target_errors[i].target);
    }
    for (size_t i = 0; i < scan->count; i++) {
        if (FAILED(scan->luns[i].result)) { /* it may be any LUN */
            note_unanswered(out, &scan->luns[i].error, scan->luns[i].url);
        }
    }
    out->scans[out->count++] = scan;
    return S_OK;
}

static HRESULT scan_all(struct set_environment *env, const char *only_target,
                        enum scan_label labels, struct visible *out, struct error *err)
{
    *out = (struct visible){.all_answered = true};
    const struct config *config = env->config;
    out->scans = calloc(config->section_count + 1, sizeof(struct scan *));
    HRESULT hr = out->scans ? S_OK : E_OUTOFMEMORY;
    for (size_t i = 0; i < config->section_count && SUCCEEDED(hr); i++) {
        if (strcmp(config->sections[i].kind, "portal") == 0) {
            hr = scan_one(env, &config->sections[i], only_target, labels, out);
        }
    }
    if (FAILED(hr)) {
        visible_free(out);
        return error_set(err, hr, "out of memory scanning the configured portals");
    }
    return S_OK;
}

HRESULT visible_scan(struct set_environment *env, const char *only_target, struct visible *out,
                     struct error *err)
{
    return scan_all(env, only_target, SCAN_NO_LABEL, out, err);
}

HRESULT visible_scan_labels(struct set_environment *env, struct visible *out, struct error *err)
{
    return scan_all(env, NULL, SCAN_FULL_LABEL, out, err);
}

void visible_free(struct visible *visible)
{
    for (size_t i = 0; visible->scans && i < visible->count; i++) {
        scan_free(visible->scans[i]);
    }
    free(visible->scans);
    *visible = (struct visible){0};
}

const struct scan_lun *visible_find(const struct visible *visible, const struct vss_lun_info *info,
                                    const struct scan_lun **out_ambiguous)
{
    const struct scan_lun *found = NULL;
    const struct scan_lun *ambiguous = NULL;
    for (size_t s = 0; s < visible->count; s++) {
        for (size_t i = 0; i < visible->scans[s]->count; i++) {
            const struct scan_lun *lun = &visible->scans[s]->luns[i];
            if (FAILED(lun->result)) {
                continue;
            }
            enum lun_match match = lun_info_compare(info, &lun->identity.info);
            if (match == LUN_SAME && !found) {
                found = lun;
            } else if (match == LUN_AMBIGUOUS) {
                ambiguous = lun;
            }
        }
    }
    if (out_ambiguous) {
        *out_ambiguous = ambiguous;
    }
    return found;
}

static bool has_key(const struct scan_lun *lun, const char *lun_key)
{
    char key[LUN_KEY_BYTES];
    return SUCCEEDED(lun->result) && strcmp(lun_info_key(&lun->identity.info, key), lun_key) == 0;
}

HRESULT visible_find_key(const struct visible *visible, const char *lun_key,
                         const struct scan_lun **out, struct error *err)
{
    *out = NULL;
    for (size_t s = 0; s < visible->count; s++) {
        for (size_t i = 0; i < visible->scans[s]->count; i++) {
            const struct scan_lun *lun = &visible->scans[s]->luns[i];
            if (!has_key(lun, lun_key)) {
                continue;
            }
            if (*out && lun_info_compare(&(*out)->identity.info, &lun->identity.info) != LUN_SAME) {
                HRESULT hr = error_set(err, VSS_E_OBJECT_NOT_FOUND,
                                       "%s and %s are both %s, but not one LUN: which is meant "
                                       "cannot be told; give one another identity on the array, or "
                                       "mask it, and try again",
                                       (*out)->url, lun->url, lun_key);
                *out = NULL;
                return hr;
            }
            *out = *out ? *out : lun;
        }
    }
    return *out ? S_OK : S_FALSE;
}
