/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_PROVIDER_HOST_WIRE_SHAPE_H
#define LUNSHADOW_PROVIDER_HOST_WIRE_SHAPE_H

#include <lunshadow/provider.h>

/* Which structures an operation takes and gives. */
enum in_shape {
    IN_NONE,
    IN_LOAD,
    IN_UNLOAD,
    IN_LUNS,
    IN_SET,
    IN_STATE_CHANGE,
    IN_RESYNC,
    IN_CHANGES
};
enum out_shape {
    OUT_NONE,
    OUT_LOAD,
    OUT_CAPABILITIES,
    OUT_SUPPORTED,
    OUT_STATES,
    OUT_TARGETS,
    OUT_RESYNC,
    OUT_CHANGES
};

enum in_shape in_shape_of(enum vss_provider_op op);
enum out_shape out_shape_of(enum vss_provider_op op);

#endif
