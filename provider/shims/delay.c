/* SPDX-License-Identifier: Apache-2.0 */
/* delay: a provider that takes its time. */
#include "common/clock.h"
#include "provider/shims/shim.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define DELAY_MS_MAX 86400000u

struct delays {
    uint32_t ms[VSS_OP_COUNT + 1]; /* the last one is that of all others */
    bool is_set[VSS_OP_COUNT];
};

static bool parse_ms(const char *text, uint32_t *out)
{
    uintmax_t value = 0;
    if (!*text || strspn(text, "0123456789") != strlen(text)) {
        return false;
    }
    errno = 0;
    value = strtoumax(text, NULL, 10);
    *out = (uint32_t)value;
    return errno == 0 && value <= DELAY_MS_MAX;
}

static HRESULT take_delay(void *user, char *item, struct error *err)
{
    struct delays *d = user;
    enum vss_provider_op op;
    uint32_t ms = 0;
    char *number = strchr(item, ':');
    if (!number || !parse_ms(number + 1, &ms)) {
        return error_set(err, E_INVALIDARG, "\"%s\" is not OPERATION:MS, up to %u", item,
                         DELAY_MS_MAX);
    }
    *number = '\0';
    if (!shim_find_op(item, &op)) {
        return error_set(err, E_INVALIDARG,
                         "there is no operation %s; see lunshadow-provider(7) for their names, * "
                         "is each",
                         item);
    }
    d->ms[op] = ms;
    if (op != SHIM_ANY_OP) {
        d->is_set[op] = true;
    }
    return S_OK;
}

static HRESULT delay_open(struct shim_layer *layer, const struct config_section *section,
                          struct error *err)
{
    struct delays *d = calloc(1, sizeof(*d));
    layer->data = d;
    return d ? shim_items(section, "delay", take_delay, d, err)
             : error_set(err, E_OUTOFMEMORY, "out of memory");
}

static HRESULT delay_call(struct shim_layer *layer, enum vss_provider_op op,
                          const struct vss_call *call, const void *in, void *out)
{
    const struct delays *d = layer->data;
    uint32_t ms = d->is_set[op] ? d->ms[op] : d->ms[SHIM_ANY_OP];
    if (ms) {
        clock_sleep_ms(ms);
    }
    return shim_pass(layer, op, call, in, out);
}

static void delay_close(struct shim_layer *layer)
{
    free(layer->data);
}

const struct shim shim_delay = {
    .name = "delay", .open = delay_open, .call = delay_call, .close = delay_close};
