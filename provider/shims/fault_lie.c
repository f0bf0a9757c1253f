/* SPDX-License-Identifier: Apache-2.0 */
/* What a fault does to an answer. */
#include "provider/host/wire/shape.h"
#include "provider/host/wire/wire.h"
#include "provider/shims/fault.h"

#include <string.h>

bool fault_can_lie(enum fault_kind kind, enum vss_provider_op op)
{
    if (op == SHIM_ANY_OP) {
        return false;
    }
    enum out_shape shape = out_shape_of(op);
    switch (kind) {
    case FAULT_IDENTITY:
        return op == VSS_OP_GET_TARGET_LUNS || op == VSS_OP_FILL_IN_LUN_INFO;
    case FAULT_LOSE:
        return in_shape_of(op) == IN_SET;
    default:
        return shape == OUT_STATES || shape == OUT_TARGETS;
    }
}

/* count things of bytes each, the first ones as they were: what a provider gave may be constant. */
static void *copy_of(const struct vss_call *call, const void *from, size_t kept, size_t count,
                     size_t bytes)
{
    void *copy = call->host->alloc(call, count * bytes);
    if (copy && kept) {
        memcpy(copy, from, kept * bytes);
    }
    return copy;
}

/* The first kept LUNs of the answer stay, the others are empty. */
static HRESULT keep_first(enum vss_provider_op op, const struct vss_call *call, uint32_t kept,
                          uint32_t count, void *out)
{
    struct vss_states_out *states = out;
    struct vss_target_luns_out *targets = out;
    if (out_shape_of(op) == OUT_STATES && states->states) {
        states->states = copy_of(call, states->states, kept, count, sizeof(*states->states));
        return states->states ? S_OK : E_OUTOFMEMORY;
    }
    if (out_shape_of(op) == OUT_TARGETS && targets->luns) {
        targets->luns = copy_of(call, targets->luns, kept, count, sizeof(*targets->luns));
        return targets->luns ? S_OK : E_OUTOFMEMORY;
    }
    return S_OK;
}

static HRESULT lose(struct shim_layer *layer, enum vss_provider_op op, const struct vss_call *call,
                    const struct vss_set_in *in, void *out)
{
    struct vss_set_in fewer = *in;
    if (in->lun_count == 0) {
        return shim_pass(layer, op, call, in, out);
    }
    fewer.lun_count--;
    HRESULT hr = fewer.lun_count ? shim_pass(layer, op, call, &fewer, out) : S_OK;
    return SUCCEEDED(hr) ? keep_first(op, call, fewer.lun_count, in->lun_count, out) : hr;
}

/* The copy says that it is its original. */
static HRESULT claim_original(const struct vss_call *call, const struct vss_set_in *in,
                              struct vss_target_luns_out *out)
{
    if (!out->luns || in->lun_count == 0) {
        return S_OK;
    }
    out->luns = copy_of(call, out->luns, in->lun_count, in->lun_count, sizeof(*out->luns));
    if (!out->luns) {
        return E_OUTOFMEMORY;
    }
    out->luns[0].device_id = in->luns[0].source.device_id;
    out->luns[0].serial_number = in->luns[0].source.serial_number;
    return S_OK;
}

/* A designator of the LUN is "corrected" to one that it has not. */
static HRESULT change_designator(const struct vss_call *call, const struct vss_lun_info *lun,
                                 struct vss_supported_out *out)
{
    const struct vss_storage_device_id_descriptor *from = &lun->device_id;
    struct vss_lun_info *info = copy_of(call, out->luns ? out->luns : lun, 1, 1, sizeof(*info));
    if (!info || from->identifier_count == 0) {
        return info ? S_OK : E_OUTOFMEMORY;
    }
    struct vss_storage_identifier *ids = copy_of(call, from->identifiers, from->identifier_count,
                                                 from->identifier_count, sizeof(*ids));
    for (uint32_t i = 0; ids && i < from->identifier_count; i++) {
        uint32_t bytes = ids[i].identifier_bytes;
        uint8_t *changed = copy_of(call, ids[i].identifier, bytes, bytes, 1);
        if (!changed) {
            return E_OUTOFMEMORY;
        }
        if (bytes) {
            changed[bytes - 1] ^= 1;
        }
        ids[i].identifier = changed;
    }
    info->device_id.identifier_count = from->identifier_count;
    info->device_id.identifiers = ids;
    out->luns = info;
    return ids ? S_OK : E_OUTOFMEMORY;
}

HRESULT fault_lie(const struct fault *fault, struct shim_layer *layer, enum vss_provider_op op,
                  const struct vss_call *call, const void *in, void *out)
{
    if (fault->kind == FAULT_LOSE) {
        return lose(layer, op, call, in, out);
    }
    HRESULT hr = shim_pass(layer, op, call, in, out);
    if (FAILED(hr)) {
        return hr;
    }
    uint32_t count = wire_lun_count(op, in);
    if (fault->kind == FAULT_HALF) {
        return keep_first(op, call, count / 2, count, out);
    }
    return op == VSS_OP_GET_TARGET_LUNS
               ? claim_original(call, in, out)
               : change_designator(call, ((const struct vss_luns_in *)in)->luns, out);
}
