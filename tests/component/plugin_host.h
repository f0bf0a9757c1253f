/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_TESTS_PLUGIN_HOST_H
#define LUNSHADOW_TESTS_PLUGIN_HOST_H

#include <lunshadow/provider.h>
#include <stdbool.h>
#include <stddef.h>

/* The smallest host that a plug-in can live in, for tests of one: loads it, answers its questions
 * from a list of settings, holds processes through the real guard. */
struct plugin_setting {
    char key[32];
    char value[256];
};

struct plugin_host {
    void *library;
    const struct vss_provider_table *table;
    void *self;
    struct vss_call call;
    struct plugin_setting settings[16];
    size_t setting_count;
    char error[1024]; /* the first error line of the last call */
    char log[4096];   /* all log lines of the last call */
    uint32_t hold_count;
    void (*during_hold)(void *user); /* runs when the hold stands; may be NULL */
    void *during_hold_user;
    void *memory; /* of all calls, freed by plugin_host_close() */
};

/* Loads and runs OnLoad. Settings must be there before. */
HRESULT plugin_host_open(struct plugin_host *host, const char *path);
void plugin_host_close(struct plugin_host *host);

void plugin_host_set(struct plugin_host *host, const char *key, const char *value);

HRESULT plugin_host_call(struct plugin_host *host, enum vss_provider_op op, const void *in,
                         void *out);

#endif
