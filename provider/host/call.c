/* SPDX-License-Identifier: Apache-2.0 */
/* provider_call(): the one way to a plug-in. */
#include "common/clock.h"
#include "common/log.h"
#include "provider/host/internal.h"
#include "provider/host/remote.h"
#include "registry/events.h"

#include <stdio.h>

bool provider_has(const struct provider *provider, enum vss_provider_op op)
{
    if ((uint32_t)op >= VSS_OP_COUNT) {
        return false;
    }
    return provider->remote ? remote_has(provider->remote, op) : provider->ops[op] != NULL;
}

static void add_event(struct provider *provider, int level, const struct error *event)
{
    log_line((enum log_level)level, "%s", event->text);
    if (!provider->defers_events) {
        events_add(provider->store, level, event->code, &provider->table.provider_id, event->text);
    } else if (provider->deferred_count < DEFERRED_EVENTS_MAX) {
        provider->deferred[provider->deferred_count++] =
            (struct deferred_event){.level = level, .event = *event};
    }
}

void provider_defer_events(struct provider *provider, bool defer)
{
    provider->defers_events = defer;
    if (defer) {
        return;
    }
    for (size_t i = 0; i < provider->deferred_count; i++) {
        const struct deferred_event *d = &provider->deferred[i];
        events_add(provider->store, d->level, d->event.code, &provider->table.provider_id,
                   d->event.text);
    }
    provider->deferred_count = 0;
}

/* A code that the operation may not give becomes the documented one; what happened goes to the log.
 */
static HRESULT judge(struct provider *provider, const struct provider_op *op, HRESULT result,
                     const struct error *line, struct error *err)
{
    if (SUCCEEDED(result) && (result == S_OK || op->is_code_free)) {
        return result;
    }
    bool is_allowed = op_allows(op, result);
    const char *name = vss_error_name(result);
    const char *text = line->text[0] ? line->text : "the provider gave no reason";
    HRESULT code = is_allowed ? result : VSS_E_UNEXPECTED_PROVIDER_ERROR;
    char code_text[64] = "";
    if (!is_allowed) {
        (void)snprintf(code_text, sizeof(code_text), " with %s (0x%08x), which it may not give",
                       name ? name : "an unknown code", (unsigned)result);
    }
    struct error event = {0};
    (void)error_set(&event, code, "array %s: %s failed%s: %s", provider_array(provider), op->name,
                    code_text, text);
    add_event(provider, LOG_ERROR, &event);
    return error_set(err, code, "%s", event.text);
}

static void note_lateness(struct provider *provider, const struct provider_op *op,
                          uint64_t taken_us, uint32_t deadline_ms)
{
    if (taken_us <= (uint64_t)deadline_ms * 1000) {
        return;
    }
    struct error late = {0};
    (void)error_set(&late, S_OK, "array %s: %s took %llu ms; its limit is %u ms",
                    provider_array(provider), op->name, (unsigned long long)(taken_us / 1000),
                    deadline_ms);
    add_event(provider, LOG_WARNING, &late);
}

/* The call had no answer: its host process ended, was killed, or could not start. */
static HRESULT report_loss(struct provider *provider, HRESULT code, const struct error *line,
                           struct error *err)
{
    struct error event = {0};
    (void)error_set(&event, code, "array %s: %s", provider_array(provider), error_text(line));
    add_event(provider, LOG_ERROR, &event);
    return error_set(err, code, "%s", event.text);
}

HRESULT provider_call(struct provider *provider, enum vss_provider_op op, const void *in, void *out,
                      struct provider_arena *arena, uint32_t deadline_ms, struct error *err)
{
    const struct provider_op *known = op_find(op);
    if (!known || !provider_has(provider, op)) {
        return error_set(err, E_NOTIMPL, "array %s: the provider has no %s",
                         provider_array(provider), provider_op_name(op));
    }
    struct error line = {0};
    HRESULT result = S_OK;
    HRESULT hr = S_OK;
    bool is_capped = deadline_ms && deadline_ms < known->deadline_ms;
    uint32_t limit_ms = is_capped ? deadline_ms : known->deadline_ms;
    uint64_t start_us = clock_monotonic_us();
    if (provider->remote) {
        hr = remote_call(provider->remote, op, in, out, arena, limit_ms, &result, &line);
    } else {
        result = provider_run(provider, op, in, out, arena, limit_ms, &line);
    }
    uint64_t taken_us = clock_monotonic_us() - start_us;
    provider->has_answered = SUCCEEDED(hr);
    if (FAILED(hr)) {
        return report_loss(provider, hr, &line, err);
    }
    log_line(LOG_DEBUG, "%s returned 0x%08x after %llu us array=%s", known->name, (unsigned)result,
             (unsigned long long)taken_us, provider_array(provider));
    note_lateness(provider, known, taken_us, limit_ms);
    return judge(provider, known, result, &line, err);
}
