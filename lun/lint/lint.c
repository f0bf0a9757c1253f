/* SPDX-License-Identifier: Apache-2.0 */
#include "common/buffer.h"
#include "lun/lint/internal.h"

#include <stdlib.h>
#include <string.h>

static void free_finding(struct lint_finding *finding)
{
    for (size_t i = 0; i < finding->url_count; i++) {
        free(finding->urls[i]);
    }
    free(finding->urls);
    free(finding->text);
    free(finding->remedy);
}

void lint_report_free(struct lint_report *report)
{
    for (size_t i = 0; i < report->count; i++) {
        free_finding(&report->findings[i]);
    }
    free(report->findings);
    *report = (struct lint_report){0};
}

static bool has_url(const struct lint_finding *finding, const char *url)
{
    for (size_t i = 0; i < finding->url_count; i++) {
        if (strcmp(finding->urls[i], url) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_within(const struct lint_finding *part, const struct lint_finding *whole)
{
    bool is_it = part->name && strcmp(part->name, whole->name) == 0;
    for (size_t i = 0; i < part->url_count && is_it; i++) {
        is_it = has_url(whole, part->urls[i]);
    }
    return is_it;
}

/* A finding of the later look stands for one of the earlier: there may be two of one name and of
 * the same LUNs. */
static bool confirm_one(struct lint_finding *finding, struct lint_report *later)
{
    bool is_confirmed = false;
    for (size_t i = 0; i < later->count; i++) {
        struct lint_finding *other = &later->findings[i];
        if (is_within(other, finding)) {
            free_finding(finding);
            *finding = *other;
            *other = (struct lint_finding){.name = NULL};
            return true;
        }
        is_confirmed = is_confirmed || (other->name && is_within(finding, other));
    }
    return is_confirmed;
}

void lint_confirm(struct lint_report *report, struct lint_report *later)
{
    size_t kept = 0;
    for (size_t i = 0; i < report->count; i++) {
        if (confirm_one(&report->findings[i], later)) {
            report->findings[kept++] = report->findings[i];
        } else {
            free_finding(&report->findings[i]);
        }
    }
    report->count = kept;
}

static HRESULT add_urls(struct lint_finding *finding, const struct scan_lun *const *luns,
                        size_t count)
{
    finding->urls = calloc(count, sizeof(*finding->urls));
    if (!finding->urls) {
        return E_OUTOFMEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        if (has_url(finding, luns[i]->url)) {
            continue;
        }
        char *url = text_copy(luns[i]->url);
        if (!url) {
            return E_OUTOFMEMORY;
        }
        finding->urls[finding->url_count++] = url;
    }
    return S_OK;
}

void lint_add(struct lint *lint, const char *name, enum lint_severity severity,
              const struct scan_lun *const *luns, size_t count, char *text, char *remedy)
{
    struct lint_report *report = lint->report;
    struct lint_finding finding = {.name = name, .severity = severity};
    finding.text = text;
    finding.remedy = remedy;
    HRESULT hr = text && remedy ? add_urls(&finding, luns, count) : E_OUTOFMEMORY;
    struct lint_finding *grown = NULL;
    if (SUCCEEDED(hr)) {
        grown = realloc(report->findings, (report->count + 1) * sizeof(*grown));
    }
    if (!grown) {
        free_finding(&finding);
        lint->status = E_OUTOFMEMORY;
        return;
    }
    report->findings = grown;
    grown[report->count++] = finding;
}

static HRESULT gather(const struct lint_input *in, struct lint *lint)
{
    size_t room = 1;
    for (size_t s = 0; s < in->scan_count; s++) {
        room += in->scans[s]->count;
    }
    lint->luns = calloc(room, sizeof(*lint->luns));
    if (!lint->luns) {
        return E_OUTOFMEMORY;
    }
    for (size_t s = 0; s < in->scan_count; s++) {
        for (size_t i = 0; i < in->scans[s]->count; i++) {
            const struct scan_lun *lun = &in->scans[s]->luns[i];
            if (SUCCEEDED(lun->result)) {
                lint->luns[lint->count++] = lun;
            }
        }
    }
    return S_OK;
}

HRESULT lint_run(const struct lint_input *in, struct lint_report *out, struct error *err)
{
    *out = (struct lint_report){0};
    struct lint lint = {.report = out};
    lint.status = gather(in, &lint);
    if (SUCCEEDED(lint.status)) {
        lint_single(&lint);
        lint_shared(&lint);
    }
    if (SUCCEEDED(lint.status) && in->sysfs) {
        lint_host(&lint, in->sysfs);
    }
    free(lint.luns);
    if (FAILED(lint.status)) {
        lint_report_free(out);
        return error_set(err, lint.status, "out of memory comparing the identities of LUNs");
    }
    return S_OK;
}
