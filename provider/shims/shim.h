/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_PROVIDER_SHIMS_SHIM_H
#define LUNSHADOW_PROVIDER_SHIMS_SHIM_H

#include "common/config.h"

#include <lunshadow/provider.h>
#include <stdbool.h>

/* What a shim is made of. A layer is one shim above one table of callbacks, and is such a table
 * itself: all of its callbacks come to call(), which passes on what it does not answer. */
struct shim_layer;

typedef HRESULT (*shim_open)(struct shim_layer *layer, const struct config_section *section,
                             struct error *err);
typedef HRESULT (*shim_call_op)(struct shim_layer *layer, enum vss_provider_op op,
                                const struct vss_call *call, const void *in, void *out);

struct shim {
    const char *name;
    bool is_loaded_itself; /* has OnLoad and OnUnload also where the layer below has not */
    shim_open open;        /* reads the section's keys; puts what it needs into layer->data */
    shim_call_op call;
    void (*close)(struct shim_layer *layer); /* also after an open that failed; data may be NULL */
};

struct shim_layer {
    struct vss_provider_table table; /* that of the provider below, with callbacks of our own */
    vss_provider_callback ops[VSS_OP_COUNT];
    const struct shim *shim;
    void *data;
    vss_provider_callback below[VSS_OP_COUNT];
    void *below_self;
    struct shim_layer *next; /* the layer below; NULL: the plug-in itself */
};

/* What the layer below answers. OnLoad and OnUnload that it has not are S_OK. */
HRESULT shim_pass(struct shim_layer *layer, enum vss_provider_op op, const struct vss_call *call,
                  const void *in, void *out);

/* A copy of a call whose error lines are kept on their way up. */
struct shim_call {
    struct vss_call call; /* to be passed on */
    struct vss_host host;
    const struct vss_call *above;
    char line[512]; /* the first one; "" where there was none */
};
void shim_call_begin(struct shim_call *out, const struct vss_call *above);

/* Hands every item of the comma-separated lists "key =", "key2 =", "key3 =" ... to take(), blanks
 * around it removed. Stops where take() fails. */
HRESULT shim_items(const struct config_section *section, const char *key,
                   HRESULT (*take)(void *user, char *item, struct error *err), void *user,
                   struct error *err);

#define SHIM_ANY_OP VSS_OP_COUNT
/* The operation of that name, as lunshadow-provider(7) has it; "*" is SHIM_ANY_OP. */
bool shim_find_op(const char *name, enum vss_provider_op *out);

/* Callbacks that end in call(), of the operations in ops (bit N: operation N). */
void shim_fill_table(struct shim_layer *layer, uint64_t ops);

extern const struct shim shim_trace;
extern const struct shim shim_fault;
extern const struct shim shim_delay;
extern const struct shim shim_record; /* replay, above a provider */
extern const struct shim shim_play; /* replay, in a provider's place; its open() makes the table */

#endif
