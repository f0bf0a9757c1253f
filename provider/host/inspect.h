/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_PROVIDER_HOST_INSPECT_H
#define LUNSHADOW_PROVIDER_HOST_INSPECT_H

#include "common/error.h"

#include <lunshadow/provider.h>
#include <stdbool.h>

/* What a plug-in says of itself, whether it could be used or not. */
struct inspection {
    char *path; /* resolved */
    void *library;
    struct vss_provider_table table; /* what both sides know of it; the rest zero */
    bool has_op[VSS_OP_COUNT];
    struct error verdict; /* why a host refuses it; code S_OK and no text where none does */
};

/* Checks the file and the directories above it as for every plug-in (their owners, who may write
 * there), then loads it into this process and reads its table. No callback is called, but the
 * plug-in's constructors run: a plug-in that crashes there ends this process. Fails where there is
 * no table to read; a table that a host would refuse is a success with a verdict. */
HRESULT inspection_open(const char *path, struct inspection *out, struct error *err);
void inspection_close(struct inspection *inspection);

#endif
