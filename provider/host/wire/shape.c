/* SPDX-License-Identifier: Apache-2.0 */
#include "provider/host/wire/shape.h"

enum in_shape in_shape_of(enum vss_provider_op op)
{
    switch (op) {
    case VSS_OP_ON_LOAD:
        return IN_LOAD;
    case VSS_OP_ON_UNLOAD:
        return IN_UNLOAD;
    case VSS_OP_ARE_LUNS_SUPPORTED:
    case VSS_OP_FILL_IN_LUN_INFO:
    case VSS_OP_BEGIN_PREPARE_SNAPSHOT:
        return IN_LUNS;
    case VSS_OP_ON_LUN_STATE_CHANGE:
        return IN_STATE_CHANGE;
    case VSS_OP_RESYNC_START:
    case VSS_OP_RESYNC_POLL:
    case VSS_OP_RESYNC_CANCEL:
        return IN_RESYNC;
    case VSS_OP_LIST_CHANGES:
        return IN_CHANGES;
    case VSS_OP_GET_CAPABILITIES:
    case VSS_OP_COUNT:
        return IN_NONE;
    default:
        return IN_SET;
    }
}

enum out_shape out_shape_of(enum vss_provider_op op)
{
    switch (op) {
    case VSS_OP_ON_LOAD:
        return OUT_LOAD;
    case VSS_OP_GET_CAPABILITIES:
        return OUT_CAPABILITIES;
    case VSS_OP_ARE_LUNS_SUPPORTED:
    case VSS_OP_FILL_IN_LUN_INFO:
        return OUT_SUPPORTED;
    case VSS_OP_GET_TARGET_LUNS:
        return OUT_TARGETS;
    case VSS_OP_RESYNC_START:
    case VSS_OP_RESYNC_POLL:
    case VSS_OP_RESYNC_CANCEL:
        return OUT_RESYNC;
    case VSS_OP_LIST_CHANGES:
        return OUT_CHANGES;
    case VSS_OP_ON_UNLOAD:
    case VSS_OP_ON_LUN_EMPTY:
    case VSS_OP_COUNT:
        return OUT_NONE;
    default:
        return OUT_STATES;
    }
}
