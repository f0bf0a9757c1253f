/* SPDX-License-Identifier: Apache-2.0 */
#include "resync/state_change.h"

HRESULT state_change(struct provider *provider, const VSS_ID *resync_id,
                     const struct vss_set_lun *luns, size_t count, uint32_t flag, struct error *err)
{
    struct vss_state_change_in in = {
        .struct_size = sizeof(in),
        .flags = flag,
        .set = {.struct_size = sizeof(struct vss_set_in),
                .set_id = *resync_id,
                .lun_count = (uint32_t)count,
                .luns = luns},
        .is_resync = 1,
    };
    struct provider_arena arena = PROVIDER_ARENA_INIT;
    struct vss_states_out out = {0};
    HRESULT hr = provider_call(provider, VSS_OP_ON_LUN_STATE_CHANGE, &in, &out, &arena, 0, err);
    provider_arena_free(&arena);
    return hr;
}
