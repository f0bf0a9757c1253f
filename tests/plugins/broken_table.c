/* SPDX-License-Identifier: Apache-2.0 */
/* Plug-ins whose table is wrong, one for each value of BROKEN_TABLE; their operations do nothing.
 */
#include <lunshadow/provider.h>

static HRESULT do_nothing(void *self, const struct vss_call *call, const void *in, void *out)
{
    (void)self;
    (void)call;
    (void)in;
    (void)out;
    return S_OK;
}

enum { OPERATION_MISSING = 1, VERSION_MISSING = 2 };

static const vss_provider_callback ops[VSS_OP_COUNT] = {
    [VSS_OP_GET_CAPABILITIES] = do_nothing,
    [VSS_OP_ARE_LUNS_SUPPORTED] = do_nothing,
    [VSS_OP_FILL_IN_LUN_INFO] = do_nothing,
    [VSS_OP_BEGIN_PREPARE_SNAPSHOT] = do_nothing,
    [VSS_OP_END_PREPARE_SNAPSHOTS] = do_nothing,
    [VSS_OP_PRE_COMMIT_SNAPSHOTS] = do_nothing,
    [VSS_OP_COMMIT_SNAPSHOTS] = do_nothing,
    [VSS_OP_POST_COMMIT_SNAPSHOTS] = do_nothing,
    [VSS_OP_PRE_FINAL_COMMIT_SNAPSHOTS] = do_nothing,
    [VSS_OP_POST_FINAL_COMMIT_SNAPSHOTS] = do_nothing,
    [VSS_OP_ABORT_SNAPSHOTS] = do_nothing,
    [VSS_OP_GET_TARGET_LUNS] = do_nothing,
    [VSS_OP_LOCATE_LUNS] = do_nothing,
    [VSS_OP_ON_LUN_EMPTY] =
        BROKEN_TABLE == OPERATION_MISSING ? (vss_provider_callback)0 : do_nothing,
    [VSS_OP_ON_LUN_STATE_CHANGE] = do_nothing,
};

static const struct vss_provider_table table = {
    .magic = VSS_PROVIDER_MAGIC,
    .struct_size = sizeof(struct vss_provider_table),
    .abi_major = VSS_PROVIDER_ABI_MAJOR,
    .abi_minor = VSS_PROVIDER_ABI_MINOR,
    .provider_id = {0x7e3a91c5, 0x4d28, 0x4b60, {0x9c, 0x17, 0xe5, 0x02, 0x6f, 0xb8, 0xd3, 0x4a}},
    .version_id = {BROKEN_TABLE == VERSION_MISSING ? 0 : 0x18f0a2d7, 0, 0, {0}},
    .name = "table",
    .version = "1",
    .type = VSS_PROV_HARDWARE,
    .thread_model = VSS_THREADS_SERIALIZED,
    .op_count = VSS_OP_COUNT,
    .ops = ops,
};

__attribute__((visibility("default"))) const struct vss_provider_table *
lunshadow_provider_entry(void);

const struct vss_provider_table *lunshadow_provider_entry(void)
{
    return &table;
}
