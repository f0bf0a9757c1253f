/* SPDX-License-Identifier: Apache-2.0 */
/* The example provider with one thing spoilt: "defect = NAME" of its section says which. Each case
 * of lunshadow-conform has a defect here that it must notice. The example itself is compiled beside
 * this file, its entry under another name. */
#include "broken.h"

#include <stdlib.h>
#include <string.h>

const struct vss_provider_table *files_entry(void);

HRESULT forward_to(const struct way *w, enum vss_provider_op op, const void *in, void *out)
{
    vss_provider_callback example = files_entry()->ops[op];
    return example ? example(w->self, w->call, in, out) : S_OK;
}

HRESULT forward(const struct way *w)
{
    return forward_to(w, w->op, w->in, w->out);
}

const char *setting(const struct way *w, const char *key)
{
    const char *value = w->call->host->config(w->call, key);
    return value ? value : "";
}

void *call_memory(const struct way *w, size_t bytes)
{
    void *memory = w->call->host->alloc(w->call, bytes);
    if (!memory) {
        abort();
    }
    return memory;
}

HRESULT refuse(const struct way *w)
{
    w->call->host->error(w->call, "spoilt on purpose");
    return VSS_E_PROVIDER_VETO;
}

HRESULT pretend(const struct way *w)
{
    (void)w;
    return S_OK;
}

bool is_same_id(const VSS_ID *a, const VSS_ID *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

void write_to_lun(const struct way *w, const char *device)
{
    const struct vss_host *host = w->call->host;
    struct vss_host_lun *lun = NULL;
    if (SUCCEEDED(host->lun_open(w->call, device, VSS_HOST_LUN_WRITE, &lun, NULL))) {
        uint8_t *block = call_memory(w, 4096);
        memset(block, 0xee, 4096);
        (void)host->lun_write(w->call, lun, 3, 1, block);
        (void)host->lun_close(w->call, lun);
    }
}

bool is_first_for(const struct vss_set_in *in)
{
    static VSS_ID last;
    bool is_first = !is_same_id(&last, &in->set_id);
    last = in->set_id;
    return is_first;
}

static HRESULT spoilt(const struct way *w)
{
    const struct spoil *const lists[] = {set_spoils, copy_spoils};
    const char *defect = setting(w, "defect");
    for (size_t i = 0; i < 2; i++) {
        for (const struct spoil *s = lists[i]; s->defect; s++) {
            if (s->op == w->op && strcmp(s->defect, defect) == 0) {
                return s->run(w);
            }
        }
    }
    return w->op == VSS_OP_LIST_CHANGES ? list_own(w) : forward(w);
}

#define WAY(name, number)                                                                          \
    static HRESULT name(void *self, const struct vss_call *call, const void *in, void *out)        \
    {                                                                                              \
        const struct way w = {number, self, call, in, out};                                        \
        return spoilt(&w);                                                                         \
    }
WAY(on_unload, VSS_OP_ON_UNLOAD)
WAY(get_capabilities, VSS_OP_GET_CAPABILITIES)
WAY(are_luns_supported, VSS_OP_ARE_LUNS_SUPPORTED)
WAY(fill_in_lun_info, VSS_OP_FILL_IN_LUN_INFO)
WAY(begin_prepare, VSS_OP_BEGIN_PREPARE_SNAPSHOT)
WAY(end_prepare, VSS_OP_END_PREPARE_SNAPSHOTS)
WAY(pre_commit, VSS_OP_PRE_COMMIT_SNAPSHOTS)
WAY(commit, VSS_OP_COMMIT_SNAPSHOTS)
WAY(post_commit, VSS_OP_POST_COMMIT_SNAPSHOTS)
WAY(pre_final_commit, VSS_OP_PRE_FINAL_COMMIT_SNAPSHOTS)
WAY(post_final_commit, VSS_OP_POST_FINAL_COMMIT_SNAPSHOTS)
WAY(abort_snapshots, VSS_OP_ABORT_SNAPSHOTS)
WAY(get_target_luns, VSS_OP_GET_TARGET_LUNS)
WAY(locate_luns, VSS_OP_LOCATE_LUNS)
WAY(on_lun_empty, VSS_OP_ON_LUN_EMPTY)
WAY(on_lun_state_change, VSS_OP_ON_LUN_STATE_CHANGE)
WAY(resync_start, VSS_OP_RESYNC_START)
WAY(resync_poll, VSS_OP_RESYNC_POLL)
WAY(resync_cancel, VSS_OP_RESYNC_CANCEL)
WAY(list_changes, VSS_OP_LIST_CHANGES)

static const vss_provider_callback ops[VSS_OP_COUNT] = {
    [VSS_OP_ON_UNLOAD] = on_unload,
    [VSS_OP_GET_CAPABILITIES] = get_capabilities,
    [VSS_OP_ARE_LUNS_SUPPORTED] = are_luns_supported,
    [VSS_OP_FILL_IN_LUN_INFO] = fill_in_lun_info,
    [VSS_OP_BEGIN_PREPARE_SNAPSHOT] = begin_prepare,
    [VSS_OP_END_PREPARE_SNAPSHOTS] = end_prepare,
    [VSS_OP_PRE_COMMIT_SNAPSHOTS] = pre_commit,
    [VSS_OP_COMMIT_SNAPSHOTS] = commit,
    [VSS_OP_POST_COMMIT_SNAPSHOTS] = post_commit,
    [VSS_OP_PRE_FINAL_COMMIT_SNAPSHOTS] = pre_final_commit,
    [VSS_OP_POST_FINAL_COMMIT_SNAPSHOTS] = post_final_commit,
    [VSS_OP_ABORT_SNAPSHOTS] = abort_snapshots,
    [VSS_OP_GET_TARGET_LUNS] = get_target_luns,
    [VSS_OP_LOCATE_LUNS] = locate_luns,
    [VSS_OP_ON_LUN_EMPTY] = on_lun_empty,
    [VSS_OP_ON_LUN_STATE_CHANGE] = on_lun_state_change,
    [VSS_OP_RESYNC_START] = resync_start,
    [VSS_OP_RESYNC_POLL] = resync_poll,
    [VSS_OP_RESYNC_CANCEL] = resync_cancel,
    [VSS_OP_LIST_CHANGES] = list_changes,
};

static const struct vss_provider_table table = {
    .magic = VSS_PROVIDER_MAGIC,
    .struct_size = sizeof(struct vss_provider_table),
    .abi_major = VSS_PROVIDER_ABI_MAJOR,
    .abi_minor = VSS_PROVIDER_ABI_MINOR,
    .provider_id = {0x2d4b8f6a, 0x10c3, 0x4e79, {0xa6, 0x5d, 0x83, 0xf1, 0x0b, 0x97, 0xe2, 0x4c}},
    .version_id = {0xc7e15a30, 0x9b48, 0x4d02, {0x8f, 0x6b, 0x21, 0xd4, 0x7a, 0x3e, 0x58, 0x91}},
    .name = "broken",
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
