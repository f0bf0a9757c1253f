/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_PROVIDER_HOST_INTERNAL_H
#define LUNSHADOW_PROVIDER_HOST_INTERNAL_H

#include "provider/host/host.h"
#include "provider/host/lun_access.h"
#include "provider/host/ops.h"
#include "provider/shims/stack.h"
#include "registry/providers.h"

#define DEFERRED_EVENTS_MAX 8

struct deferred_event {
    int level;
    struct error event;
};

struct provider {
    const struct config_section *section; /* its [array NAME] */
    struct config_section *own_section;   /* owned; NULL: section is the configuration's */
    int64_t rank;                         /* in the order of registration; 0: not registered */
    const struct config *config;          /* for the portals of lun_open(); NULL: defaults */
    struct store *store;                  /* for events */
    char *path;                           /* resolved once, at loading */
    struct remote *remote;                /* its host process; NULL: the plug-in is loaded here, */
                                          /* as it is in that process itself */
    void *library;
    struct shim_layer *shims;        /* between the host and the plug-in; NULL: none */
    struct vss_provider_table table; /* min(size) of the plug-in's, the rest zero */
    vss_provider_callback ops[VSS_OP_COUNT];
    void *self;
    bool is_loaded; /* OnLoad succeeded */
    struct vss_capabilities_out capabilities;
    char *description; /* owned; what capabilities.description points to */
    bool has_answered; /* the last call: how it ended is the plug-in's own word */
    bool defers_events;
    struct deferred_event
        deferred[DEFERRED_EVENTS_MAX]; /* the first ones; the rest is only logged */
    size_t deferred_count;
};

struct providers {
    struct provider **items;
    size_t count;
};

/* Finds, checks and opens the plug-in of a section: its file must belong to root or this user and
 * be writable by nobody else; puts the shims that the section names above it. Does not call it yet.
 */
HRESULT provider_load(const struct config_section *section, struct store *store,
                      struct provider **out, struct error *err);

/* Copies what both sides know of a table; checks magic, ABI, mandatory operations and coherent
 * pairs. VSS_E_UNEXPECTED_PROVIDER_ERROR names what is missing. */
HRESULT provider_adopt_table(struct provider *provider, const struct vss_provider_table *table,
                             struct error *err);

void provider_unload(struct provider *provider); /* OnUnload, dlclose, free */

/* What the registry keeps of it; borrowed. */
struct provider_record provider_as_record(const struct provider *provider);

/* The same through a host process of its own: starts it and takes the table's facts from it. */
HRESULT provider_attach(const struct config *config, const struct config_section *section,
                        struct store *store, struct provider **out, struct error *err);

/* Runs a callback of a plug-in that is loaded in this process and has it. The result is what it
 * returned, untranslated; error gets its line. */
HRESULT provider_run(struct provider *provider, enum vss_provider_op op, const void *in, void *out,
                     struct provider_arena *arena, uint32_t deadline_ms, struct error *error);

/* The services a plug-in sees; see services.c. */
extern const struct vss_host provider_host_services;

/* What call->host_data points to. */
struct provider_call_context {
    struct provider *provider;
    struct provider_arena *arena;
    bool may_hold;          /* within CommitSnapshots only */
    struct vss_hold *holds; /* that the plug-in has begun and not ended */
    struct lun_access luns; /* that the plug-in has open */
    struct error error;     /* what the plug-in says */
    struct error service;   /* why a service failed first; counts where the plug-in says nothing */
    struct error broken; /* the first hold that did not stand; whatever the plug-in makes of it */
};

void *provider_arena_alloc(struct provider_arena *arena, uint64_t bytes);

/* Ends what a call left held. True where there was anything: that is no point in time. */
bool provider_end_holds(struct provider_call_context *context);

/* Everything of from belongs to arena afterwards. */
void provider_arena_join(struct provider_arena *arena, struct provider_arena *from);

#endif
