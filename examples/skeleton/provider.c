/* The provider "@NAME@", as `lunshadow provider new` wrote it: it builds and loads, supports no LUN yet, and says
 * of every operation what is to be done. lunshadow-provider(7) has a section for each. Yours to license. */
#include <lunshadow/provider.h>

#include <string.h>

static HRESULT not_yet(const struct vss_call *call, const char *what)
{
    call->host->error(call, what);
    return VSS_E_PROVIDER_VETO;
}

#define NOT_YET(function, what)                                                                    \
    static HRESULT function(void *self, const struct vss_call *call, const void *in, void *out)    \
    {                                                                                              \
        (void)self;                                                                                \
        (void)in;                                                                                  \
        (void)out;                                                                                 \
        return not_yet(call, #function ": to do: " what);                                          \
    }

static char *copy_text(const struct vss_call *call, const char *text)
{
    char *copy = call->host->alloc(call, strlen(text) + 1);
    return copy ? strcpy(copy, text) : NULL;
}

/* To do: say what the array can do, truthfully. consistent_set: all LUNs of a set at one point in time. */
static HRESULT get_capabilities(void *self, const struct vss_call *call, const void *in, void *out)
{
    struct vss_capabilities_out *answer = out;
    (void)self;
    (void)in;
    answer->plex = VSS_CAPABILITY_NO;
    answer->consistent_set = VSS_CAPABILITY_NO;
    answer->description = copy_text(call, "@NAME@ (not finished)");
    return answer->description ? S_OK : E_OUTOFMEMORY;
}

/* To do: is_supported 1 where ALL LUNs are the array's, by page 83 and serial number, and can be copied now. */
static HRESULT are_luns_supported(void *self, const struct vss_call *call, const void *in, void *out)
{
    struct vss_supported_out *answer = out;
    (void)self;
    (void)call;
    (void)in;
    answer->is_supported = 0;
    return S_OK;
}

/* To do: is_supported 1 where the one LUN is the array's. A foreign LUN is S_OK and 0. */
static HRESULT fill_in_lun_info(void *self, const struct vss_call *call, const void *in, void *out)
{
    return are_luns_supported(self, call, in, out);
}

NOT_YET(begin_prepare, "start what takes time, return at once")
NOT_YET(end_prepare, "reserve space, return a state for each LUN")
NOT_YET(pre_commit, "check, and veto a cut that would take too long")
NOT_YET(commit, "cut all LUNs at one point in time")
NOT_YET(post_commit, "make the copies durable")
NOT_YET(pre_final_commit, "let the host write to the copies")
NOT_YET(post_final_commit, "make the copies read-only where the array can")
NOT_YET(abort_snapshots, "leave nothing of the set, whatever state it is in")
NOT_YET(get_target_luns, "describe each copy: INQUIRY strings, pages 80 and 83")
NOT_YET(locate_luns, "show the copies to the initiator and to nobody else")
NOT_YET(on_lun_empty, "delete the copy")
NOT_YET(on_lun_state_change, "mask, make writable, make read-only")

/* To do, where the array can: VSS_OP_RESYNC_START, _POLL and _CANCEL, all three or none. */
static const vss_provider_callback ops[VSS_OP_COUNT] = {
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
};

static const struct vss_provider_table table = {
    .magic = VSS_PROVIDER_MAGIC,
    .struct_size = sizeof(struct vss_provider_table),
    .abi_major = VSS_PROVIDER_ABI_MAJOR,
    .abi_minor = VSS_PROVIDER_ABI_MINOR,
    .provider_id = @PROVIDER_ID@, /* for ever */
    .version_id = @VERSION_ID@, /* new with each release: uuidgen */
    .name = "@NAME@",
    .version = "0.1",
    .type = VSS_PROV_HARDWARE,
    .thread_model = VSS_THREADS_SERIALIZED,
    .op_count = VSS_OP_COUNT,
    .ops = ops,
};

__attribute__((visibility("default"))) const struct vss_provider_table *lunshadow_provider_entry(void);

const struct vss_provider_table *lunshadow_provider_entry(void)
{
    return &table;
}
