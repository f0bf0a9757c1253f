/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_TESTS_SHIM_FIXTURE_H
#define LUNSHADOW_TESTS_SHIM_FIXTURE_H

#include "common/config.h"
#include "provider/host/internal.h"
#include "provider/shims/stack.h"

/* Shims above a provider of this process that counts its calls and answers each as it should. */

#define SHIM_LUNS 4

struct shim_host {
    char directory[64];
    struct config *config;
    struct shim_layer *layer;
    struct provider_arena arena;
    VSS_ID set_id;      /* of the calls to come */
    const char *device; /* likewise */
    char error[512];    /* the first line of the last call */
    char log[512];      /* the last line */
};

/* What the provider below has seen. */
struct shim_below {
    int calls[VSS_OP_COUNT];
    uint32_t last_lun_count;
    void *last_self;
};
extern struct shim_below below;

/* What its OnLoad gave. */
extern int below_self;

int shim_set_up(void **state);
int shim_tear_down(void **state);

/* Puts the shims of value above it; lines: further keys of the section. The failure's line is in
 * h->error. */
HRESULT shim_host_open(struct shim_host *h, const char *value, const char *lines);
void shim_host_close(struct shim_host *h);

/* Calls with SHIM_LUNS LUNs; out is of the operation's kind. */
HRESULT shim_host_call(struct shim_host *h, enum vss_provider_op op, void *out);

/* The whole file as text; freed by the caller. */
char *shim_read_file(const char *path);

#endif
