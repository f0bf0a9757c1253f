/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_PROVIDER_HOST_OPS_H
#define LUNSHADOW_PROVIDER_HOST_OPS_H

#include <lunshadow/provider.h>
#include <stdbool.h>

#define OP_CODES_MAX 8

/* What is known of an operation, in one place. */
struct provider_op {
    const char *name;
    uint32_t in_bytes;  /* size of its input structure; 0: none */
    uint32_t out_bytes; /* of its output structure; 0: none */
    bool is_mandatory;
    bool is_code_free;    /* any failure passes untranslated: it changes nothing */
    uint32_t deadline_ms; /* default */
    HRESULT
    codes[OP_CODES_MAX]; /* failures allowed beside the three that always are; 0 at the end */
};

const struct provider_op *op_find(enum vss_provider_op op);

/* May this operation return this code? */
bool op_allows(const struct provider_op *op, HRESULT code);

#endif
