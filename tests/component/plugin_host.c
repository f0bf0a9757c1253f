/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin_host.h"

#include "provider/guard.h"

#include <dlfcn.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct piece {
    struct piece *next;
    alignas(max_align_t) unsigned char data[];
};

struct vss_hold {
    struct guard *guard;
};

static struct plugin_host *host_of(const struct vss_call *call)
{
    return call->host_data;
}

static void *give_memory(const struct vss_call *call, uint64_t bytes)
{
    struct plugin_host *host = host_of(call);
    struct piece *piece = calloc(1, sizeof(*piece) + bytes);
    if (!piece) {
        return NULL;
    }
    piece->next = host->memory;
    host->memory = piece;
    return piece->data;
}

static void take_log(const struct vss_call *call, uint32_t level, const char *line)
{
    struct plugin_host *host = host_of(call);
    size_t used = strlen(host->log);
    (void)snprintf(host->log + used, sizeof(host->log) - used, "%u %s\n", level, line);
}

static void take_error(const struct vss_call *call, const char *line)
{
    struct plugin_host *host = host_of(call);
    if (!host->error[0]) {
        (void)snprintf(host->error, sizeof(host->error), "%s", line);
    }
}

static const char *give_setting(const struct vss_call *call, const char *key)
{
    const struct plugin_host *host = host_of(call);
    for (size_t i = 0; i < host->setting_count; i++) {
        if (strcmp(host->settings[i].key, key) == 0) {
            return host->settings[i].value;
        }
    }
    return NULL;
}

static HRESULT begin_hold(const struct vss_call *call, const struct vss_hold_target *targets,
                          uint32_t target_count, uint32_t deadline_ms, struct vss_hold **out_hold)
{
    struct plugin_host *host = host_of(call);
    struct error err = {0};
    struct guard_target one = {.kind = GUARD_PROCESS, .pid = targets[0].pid};
    struct vss_hold *hold = calloc(1, sizeof(*hold));
    HRESULT hr = target_count == 1 && hold ? S_OK : E_INVALIDARG;
    if (SUCCEEDED(hr)) {
        hr = guard_start(&one, 1, deadline_ms, &hold->guard, &err);
    }
    if (SUCCEEDED(hr)) {
        hr = guard_hold(hold->guard, &err);
        if (FAILED(hr)) {
            (void)guard_release(hold->guard, NULL, NULL);
        }
    }
    if (FAILED(hr)) {
        take_error(call, err.text);
        free(hold);
        return hr;
    }
    host->hold_count++;
    if (host->during_hold) {
        host->during_hold(host->during_hold_user);
    }
    *out_hold = hold;
    return S_OK;
}

static HRESULT end_hold(const struct vss_call *call, struct vss_hold *hold,
                        struct vss_hold_report *out_report)
{
    struct error err = {0};
    struct guard_report report = {0};
    HRESULT hr = guard_release(hold->guard, &report, &err);
    free(hold);
    out_report->held_at_us = report.held_at_us;
    out_report->released_at_us = report.released_at_us;
    if (FAILED(hr)) {
        take_error(call, err.text);
    }
    return hr;
}

static const struct vss_host services = {
    .struct_size = sizeof(struct vss_host),
    .alloc = give_memory,
    .log = take_log,
    .error = take_error,
    .config = give_setting,
    .hold_begin = begin_hold,
    .hold_end = end_hold,
};

void plugin_host_set(struct plugin_host *host, const char *key, const char *value)
{
    size_t i = 0;
    while (i < host->setting_count && strcmp(host->settings[i].key, key) != 0) {
        i++;
    }
    if (i == sizeof(host->settings) / sizeof(host->settings[0])) {
        abort();
    }
    host->setting_count = i == host->setting_count ? i + 1 : host->setting_count;
    (void)snprintf(host->settings[i].key, sizeof(host->settings[i].key), "%s", key);
    (void)snprintf(host->settings[i].value, sizeof(host->settings[i].value), "%s", value);
}

HRESULT plugin_host_open(struct plugin_host *host, const char *path)
{
    host->call = (struct vss_call){
        .struct_size = sizeof(host->call), .host = &services, .array = "lab", .host_data = host};
    host->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!host->library) {
        (void)fprintf(stderr, "%s\n", dlerror());
        return VSS_E_OBJECT_NOT_FOUND;
    }
    vss_provider_entry entry = NULL;
    void *symbol = dlsym(host->library, VSS_PROVIDER_ENTRY_SYMBOL);
    memcpy(&entry, &symbol, sizeof(entry));
    host->table = entry ? entry() : NULL;
    if (!host->table || host->table->magic != VSS_PROVIDER_MAGIC) {
        return VSS_E_UNEXPECTED;
    }
    const struct vss_on_load_in in = {.struct_size = sizeof(in)};
    struct vss_on_load_out out = {.struct_size = sizeof(out)};
    HRESULT hr = plugin_host_call(host, VSS_OP_ON_LOAD, &in, &out);
    host->self = out.self;
    return hr;
}

void plugin_host_close(struct plugin_host *host)
{
    if (host->library) {
        (void)dlclose(host->library);
    }
    struct piece *piece = host->memory;
    while (piece) {
        struct piece *next = piece->next;
        free(piece);
        piece = next;
    }
    *host = (struct plugin_host){0};
}

HRESULT plugin_host_call(struct plugin_host *host, enum vss_provider_op op, const void *in,
                         void *out)
{
    host->error[0] = '\0';
    host->log[0] = '\0';
    return host->table->ops[op](host->self, &host->call, in, out);
}
