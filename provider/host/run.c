/* SPDX-License-Identifier: Apache-2.0 */
/* A callback of a plug-in that is loaded in this process. */
#include "provider/host/internal.h"

#include <string.h>

const char *provider_op_name(enum vss_provider_op op)
{
    const struct provider_op *known = op_find(op);
    return known ? known->name : "unknown operation";
}

/* Every structure that crosses starts with its size. */
static void set_size(void *structure, uint32_t bytes)
{
    if (structure && bytes) {
        memcpy(structure, &bytes, sizeof(bytes));
    }
}

/* A hold that did not stand, or was never ended, makes no point in time, though the plug-in says
 * so.
 */
static HRESULT judge_holds(struct provider_call_context *context, HRESULT result)
{
    if (provider_end_holds(context) && SUCCEEDED(result)) {
        (void)error_set(&context->broken, VSS_E_HOLD_WRITES_TIMEOUT, "it left I/O held");
    }
    if (SUCCEEDED(result) && FAILED(context->broken.code)) {
        context->error = context->broken;
        return error_translate(&context->error, VSS_E_HOLD_WRITES_TIMEOUT);
    }
    return result;
}

/* The plug-in's own line; else the one that explains best why it failed. */
static const struct error *line_of(const struct provider_call_context *context)
{
    if (context->error.text[0]) {
        return &context->error;
    }
    return context->broken.text[0] ? &context->broken : &context->service;
}

HRESULT provider_run(struct provider *provider, enum vss_provider_op op, const void *in, void *out,
                     struct provider_arena *arena, uint32_t deadline_ms, struct error *error)
{
    struct provider_call_context context = {
        .provider = provider, .arena = arena, .may_hold = op == VSS_OP_COMMIT_SNAPSHOTS};
    struct vss_call call = {.struct_size = sizeof(call),
                            .deadline_ms = deadline_ms,
                            .host = &provider_host_services,
                            .array = provider->section->name,
                            .host_data = &context};
    set_size(out, op_find(op)->out_bytes);
    HRESULT result = provider->ops[op](provider->self, &call, in, out);
    lun_access_close_all(&context.luns);
    result = judge_holds(&context, result);
    *error = *line_of(&context);
    return result;
}
