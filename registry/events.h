/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_REGISTRY_EVENTS_H
#define LUNSHADOW_REGISTRY_EVENTS_H

#include "registry/store.h"

#include <stddef.h>

/* The log an operator reads after something failed: provider vetoes, translated codes, holds over
 * budget. Kept to the newest 10,000. */
struct event_record {
    int64_t when;  /* FILETIME */
    int32_t level; /* enum log_level */
    HRESULT code;
    VSS_ID object_id; /* set, snapshot, resync or provider; null: none */
    char *text;
};

/* Best effort by design: a full disk must not turn an operation's result into another one. */
void events_add(struct store *store, int level, HRESULT code, const VSS_ID *object_id,
                const char *text);

/* Newest first, at most limit. */
HRESULT events_load(struct store *store, size_t limit, struct event_record **out, size_t *out_count,
                    struct error *err);
void events_free_all(struct event_record *events, size_t count);

#endif
