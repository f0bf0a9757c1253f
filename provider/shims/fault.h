/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_PROVIDER_SHIMS_FAULT_H
#define LUNSHADOW_PROVIDER_SHIMS_FAULT_H

#include "provider/shims/shim.h"

#include <stdbool.h>

/* What a fault does. */
enum fault_kind {
    FAULT_CODE, /* the call gives this code */

    /* To the process. Some return: the call goes on then. */
    FAULT_SEGV,
    FAULT_ABORT,
    FAULT_EXIT, /* number: the exit code */
    FAULT_HANG, /* number: milliseconds; 0: until a file is there, or for ever */
    FAULT_SPIN,
    FAULT_CLOSE,   /* the socket to the caller, then hangs */
    FAULT_GARBAGE, /* 4 GiB of it on that socket, or what is taken of it */
    FAULT_LEAK,    /* number: of descriptors, 1 where it is 0 */
    FAULT_ORPHAN,  /* a child keeps all that is open, the process ends */

    /* To what the provider answers. */
    FAULT_IDENTITY, /* page 83 of the first LUN is another's */
    FAULT_LOSE,     /* the last LUN does not reach the provider */
    FAULT_HALF      /* the second half of the LUNs is empty */
};

struct fault {
    char *text; /* as written, for the line that says what happened */
    enum vss_provider_op op;
    uint64_t which; /* which call of it, from 1; 0: every one */
    bool is_after;  /* the provider has done its part first */
    enum fault_kind kind;
    HRESULT code;
    uint32_t number;
};

/* From "OPERATION[:N][:after]:FAILURE". E_INVALIDARG says which part is wrong. text is free()d by
 * the caller. */
HRESULT fault_parse(const char *item, struct fault *out, struct error *err);

/* FAULT_SEGV..FAULT_ORPHAN. until: the file that ends a hang without a number; NULL: none does.
 * S_OK: goes on. E_INVALIDARG: not without a process of its own. */
HRESULT fault_act(const struct fault *fault, const char *until);

/* FAULT_IDENTITY..FAULT_HALF, the call to the provider included. */
HRESULT fault_lie(const struct fault *fault, struct shim_layer *layer, enum vss_provider_op op,
                  const struct vss_call *call, const void *in, void *out);
bool fault_can_lie(enum fault_kind kind, enum vss_provider_op op);

#endif
