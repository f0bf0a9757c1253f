/* SPDX-License-Identifier: Apache-2.0 */
/* The one symbol that this plug-in exports. */
#include "tgt.h"

#define VERSION "0.1.0"

static const vss_provider_callback ops[VSS_OP_COUNT] = {
    [VSS_OP_ON_LOAD] = tgt_on_load,
    [VSS_OP_GET_CAPABILITIES] = tgt_get_capabilities,
    [VSS_OP_ARE_LUNS_SUPPORTED] = tgt_are_luns_supported,
    [VSS_OP_FILL_IN_LUN_INFO] = tgt_fill_in_lun_info,
    [VSS_OP_BEGIN_PREPARE_SNAPSHOT] = tgt_begin_prepare,
    [VSS_OP_END_PREPARE_SNAPSHOTS] = tgt_end_prepare,
    [VSS_OP_PRE_COMMIT_SNAPSHOTS] = tgt_pre_commit,
    [VSS_OP_COMMIT_SNAPSHOTS] = tgt_commit,
    [VSS_OP_POST_COMMIT_SNAPSHOTS] = tgt_post_commit,
    [VSS_OP_PRE_FINAL_COMMIT_SNAPSHOTS] = tgt_pre_final_commit,
    [VSS_OP_POST_FINAL_COMMIT_SNAPSHOTS] = tgt_post_final_commit,
    [VSS_OP_ABORT_SNAPSHOTS] = tgt_abort,
    [VSS_OP_GET_TARGET_LUNS] = tgt_get_target_luns,
    [VSS_OP_LOCATE_LUNS] = tgt_locate_luns,
    [VSS_OP_ON_LUN_EMPTY] = tgt_on_lun_empty,
    [VSS_OP_ON_LUN_STATE_CHANGE] = tgt_on_lun_state_change,
    [VSS_OP_RESYNC_START] = tgt_resync_start,
    [VSS_OP_RESYNC_POLL] = tgt_resync_poll,
    [VSS_OP_RESYNC_CANCEL] = tgt_resync_cancel,
    [VSS_OP_LIST_CHANGES] = tgt_list_changes,
};

static const struct vss_provider_table table = {
    .magic = VSS_PROVIDER_MAGIC,
    .struct_size = sizeof(struct vss_provider_table),
    .abi_major = VSS_PROVIDER_ABI_MAJOR,
    .abi_minor = VSS_PROVIDER_ABI_MINOR,
    .provider_id = {0x6f1d0c5e, 0x2b7a, 0x4e0b, {0x9a, 0x41, 0x3d, 0x8e, 0x57, 0xc2, 0x10, 0x7b}},
    .version_id = {0x0c94e6d1, 0x83f5, 0x4b26, {0xb1, 0x0e, 0x6a, 0x2f, 0x94, 0xd8, 0x35, 0xe0}},
    .name = "tgt",
    .version = VERSION,
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
