/* SPDX-License-Identifier: Apache-2.0 */
/* A plug-in that answers at once: what is left is the way to it. */
#include <lunshadow/provider.h>
#include <stddef.h>

static HRESULT succeed(void *self, const struct vss_call *call, const void *in, void *out)
{
    (void)self;
    (void)call;
    (void)in;
    (void)out;
    return S_OK;
}

static HRESULT fill_in(void *self, const struct vss_call *call, const void *in, void *out)
{
    const struct vss_luns_in *luns = in;
    struct vss_supported_out *supported = out;
    (void)self;
    supported->luns = call->host->alloc(call, luns->lun_count * sizeof(*supported->luns));
    if (!supported->luns) {
        return E_OUTOFMEMORY;
    }
    for (uint32_t i = 0; i < luns->lun_count; i++) {
        supported->luns[i] = luns->luns[i];
    }
    supported->is_supported = 1;
    return S_OK;
}

static const vss_provider_callback ops[VSS_OP_COUNT] = {
    [VSS_OP_GET_CAPABILITIES] = succeed,
    [VSS_OP_ARE_LUNS_SUPPORTED] = fill_in,
    [VSS_OP_FILL_IN_LUN_INFO] = fill_in,
    [VSS_OP_BEGIN_PREPARE_SNAPSHOT] = succeed,
    [VSS_OP_END_PREPARE_SNAPSHOTS] = succeed,
    [VSS_OP_PRE_COMMIT_SNAPSHOTS] = succeed,
    [VSS_OP_COMMIT_SNAPSHOTS] = succeed,
    [VSS_OP_POST_COMMIT_SNAPSHOTS] = succeed,
    [VSS_OP_PRE_FINAL_COMMIT_SNAPSHOTS] = succeed,
    [VSS_OP_POST_FINAL_COMMIT_SNAPSHOTS] = succeed,
    [VSS_OP_ABORT_SNAPSHOTS] = succeed,
    [VSS_OP_GET_TARGET_LUNS] = succeed,
    [VSS_OP_LOCATE_LUNS] = succeed,
    [VSS_OP_ON_LUN_EMPTY] = succeed,
    [VSS_OP_ON_LUN_STATE_CHANGE] = succeed,
};

static const struct vss_provider_table table = {.magic = VSS_PROVIDER_MAGIC,
                                                .struct_size = sizeof(table),
                                                .abi_major = VSS_PROVIDER_ABI_MAJOR,
                                                .abi_minor = VSS_PROVIDER_ABI_MINOR,
                                                .provider_id = {.data1 = 0xbe},
                                                .version_id = {.data1 = 1},
                                                .name = "bench",
                                                .version = "1",
                                                .type = VSS_PROV_HARDWARE,
                                                .thread_model = VSS_THREADS_SERIALIZED,
                                                .op_count = VSS_OP_COUNT,
                                                .ops = ops};

const struct vss_provider_table *lunshadow_provider_entry(void);
__attribute__((visibility("default"))) const struct vss_provider_table *
lunshadow_provider_entry(void)
{
    return &table;
}
