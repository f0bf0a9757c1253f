/* SPDX-License-Identifier: Apache-2.0 */
#include "provider/host/ops.h"

#include <stddef.h>

/* Deadlines: Commit within the 10 s that VSS gives all holds together; PreCommit is quick by
 * contract but syncs data, so it gets all of the minute between freeze and thaw, and PostCommit
 * what is left of it: its own limit is for sets that nobody is frozen for (provider/set/create.c);
 * ListChanges may have to write back what the array has in memory; EndPrepare may copy whole LUNs.
 */
#define QUICK_MS  60000u
#define COMMIT_MS 20000u
#define LIST_MS   (600u * 1000u)
#define LONG_MS   (4u * 3600u * 1000u)

#define SET_IN     sizeof(struct vss_set_in)
#define LUNS_IN    sizeof(struct vss_luns_in)
#define STATES_OUT sizeof(struct vss_states_out)
#define RESYNC_IN  sizeof(struct vss_resync_in)
#define RESYNC_OUT sizeof(struct vss_resync_out)

static const struct provider_op ops[VSS_OP_COUNT] = {
    [VSS_OP_ON_LOAD] = {"OnLoad",
                        sizeof(struct vss_on_load_in),
                        sizeof(struct vss_on_load_out),
                        false,
                        false,
                        QUICK_MS,
                        {0}},
    [VSS_OP_ON_UNLOAD] =
        {"OnUnload", sizeof(struct vss_on_unload_in), 0, false, true, QUICK_MS, {0}},
    [VSS_OP_GET_CAPABILITIES] = {"GetProviderCapabilities",
                                 0,
                                 sizeof(struct vss_capabilities_out),
                                 true,
                                 false,
                                 QUICK_MS,
                                 {0}},
    [VSS_OP_ARE_LUNS_SUPPORTED] =
        {"AreLunsSupported", LUNS_IN, sizeof(struct vss_supported_out), true, false, QUICK_MS, {0}},
    [VSS_OP_FILL_IN_LUN_INFO] =
        {"FillInLunInfo", LUNS_IN, sizeof(struct vss_supported_out), true, false, QUICK_MS, {0}},
    [VSS_OP_BEGIN_PREPARE_SNAPSHOT] = {"BeginPrepareSnapshot",
                                       LUNS_IN,
                                       STATES_OUT,
                                       true,
                                       false,
                                       QUICK_MS,
                                       {VSS_E_MAXIMUM_NUMBER_OF_VOLUMES_REACHED,
                                        VSS_E_MAXIMUM_NUMBER_OF_SNAPSHOTS_REACHED,
                                        VSS_E_NESTED_VOLUME_LIMIT,
                                        VSS_E_VOLUME_NOT_SUPPORTED_BY_PROVIDER,
                                        VSS_E_UNSUPPORTED_CONTEXT, VSS_E_INSUFFICIENT_STORAGE}},
    [VSS_OP_END_PREPARE_SNAPSHOTS] = {"EndPrepareSnapshots",
                                      SET_IN,
                                      STATES_OUT,
                                      true,
                                      false,
                                      LONG_MS,
                                      {VSS_E_INSUFFICIENT_STORAGE, VSS_E_OBJECT_NOT_FOUND,
                                       VSS_E_REBOOT_REQUIRED}},
    [VSS_OP_PRE_COMMIT_SNAPSHOTS] = {"PreCommitSnapshots",
                                     SET_IN,
                                     STATES_OUT,
                                     true,
                                     false,
                                     QUICK_MS,
                                     {VSS_E_INSUFFICIENT_STORAGE, VSS_E_OBJECT_NOT_FOUND,
                                      VSS_E_REBOOT_REQUIRED, VSS_E_FLUSH_WRITES_TIMEOUT}},
    [VSS_OP_COMMIT_SNAPSHOTS] = {"CommitSnapshots",
                                 SET_IN,
                                 STATES_OUT,
                                 true,
                                 false,
                                 COMMIT_MS,
                                 {VSS_E_INSUFFICIENT_STORAGE, VSS_E_OBJECT_NOT_FOUND,
                                  VSS_E_REBOOT_REQUIRED, VSS_E_HOLD_WRITES_TIMEOUT}},
    [VSS_OP_POST_COMMIT_SNAPSHOTS] = {"PostCommitSnapshots",
                                      SET_IN,
                                      STATES_OUT,
                                      true,
                                      false,
                                      LONG_MS,
                                      {VSS_E_INSUFFICIENT_STORAGE, VSS_E_OBJECT_NOT_FOUND,
                                       VSS_E_REBOOT_REQUIRED}},
    [VSS_OP_PRE_FINAL_COMMIT_SNAPSHOTS] = {"PreFinalCommitSnapshots",
                                           SET_IN,
                                           STATES_OUT,
                                           true,
                                           false,
                                           QUICK_MS,
                                           {VSS_E_INSUFFICIENT_STORAGE, VSS_E_OBJECT_NOT_FOUND}},
    [VSS_OP_POST_FINAL_COMMIT_SNAPSHOTS] = {"PostFinalCommitSnapshots",
                                            SET_IN,
                                            STATES_OUT,
                                            true,
                                            false,
                                            QUICK_MS,
                                            {VSS_E_INSUFFICIENT_STORAGE, VSS_E_OBJECT_NOT_FOUND}},
    [VSS_OP_ABORT_SNAPSHOTS] = {"AbortSnapshots", SET_IN, STATES_OUT, true, true, QUICK_MS, {0}},
    [VSS_OP_GET_TARGET_LUNS] = {"GetTargetLuns",
                                SET_IN,
                                sizeof(struct vss_target_luns_out),
                                true,
                                false,
                                QUICK_MS,
                                {VSS_E_OBJECT_NOT_FOUND}},
    [VSS_OP_LOCATE_LUNS] = {"LocateLuns",
                            SET_IN,
                            STATES_OUT,
                            true,
                            false,
                            QUICK_MS,
                            {VSS_E_INSUFFICIENT_STORAGE, VSS_E_OBJECT_NOT_FOUND}},
    [VSS_OP_ON_LUN_EMPTY] = {"OnLunEmpty",
                             SET_IN,
                             0,
                             true,
                             false,
                             QUICK_MS,
                             {VSS_E_INSUFFICIENT_STORAGE, VSS_E_OBJECT_NOT_FOUND}},
    [VSS_OP_ON_LUN_STATE_CHANGE] = {"OnLunStateChange",
                                    sizeof(struct vss_state_change_in),
                                    STATES_OUT,
                                    true,
                                    false,
                                    QUICK_MS,
                                    {VSS_E_OBJECT_NOT_FOUND}},
    [VSS_OP_RESYNC_START] = {"ResyncLuns",
                             RESYNC_IN,
                             RESYNC_OUT,
                             false,
                             false,
                             QUICK_MS,
                             {VSS_E_INSUFFICIENT_STORAGE, VSS_E_OBJECT_NOT_FOUND}},
    [VSS_OP_RESYNC_POLL] = {"ResyncLuns poll",
                            RESYNC_IN,
                            RESYNC_OUT,
                            false,
                            false,
                            QUICK_MS,
                            {VSS_E_INSUFFICIENT_STORAGE, VSS_E_OBJECT_NOT_FOUND}},
    [VSS_OP_RESYNC_CANCEL] =
        {"ResyncLuns cancel", RESYNC_IN, RESYNC_OUT, false, true, QUICK_MS, {0}},
    [VSS_OP_ON_REUSE_LUNS] = {"OnReuseLuns", SET_IN, STATES_OUT, false, false, QUICK_MS, {0}},
    [VSS_OP_LIST_CHANGES] = {"ListChanges",
                             sizeof(struct vss_changes_in),
                             sizeof(struct vss_changes_out),
                             false,
                             false,
                             LIST_MS,
                             {VSS_E_OBJECT_NOT_FOUND}},
};

const struct provider_op *op_find(enum vss_provider_op op)
{
    return (uint32_t)op < VSS_OP_COUNT ? &ops[op] : NULL;
}

bool op_allows(const struct provider_op *op, HRESULT code)
{
    if (code == S_OK || op->is_code_free || code == E_OUTOFMEMORY || code == E_INVALIDARG ||
        code == VSS_E_PROVIDER_VETO) {
        return true;
    }
    for (size_t i = 0; i < OP_CODES_MAX && op->codes[i]; i++) {
        if (op->codes[i] == code) {
            return true;
        }
    }
    return false;
}
