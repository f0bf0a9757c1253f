/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_REGISTRY_RECOVERIES_H
#define LUNSHADOW_REGISTRY_RECOVERIES_H

#include "registry/store.h"

#include <stddef.h>

/* Resyncs that were run, for listings and reports. */
struct recovery_record {
    VSS_ID resync_id;
    VSS_ID set_id;
    int64_t started; /* FILETIME */
    int64_t ended;   /* 0: not yet */
    uint32_t flags;  /* enum vss_recovery_options */
    HRESULT result;  /* VSS_S_ASYNC_PENDING while it runs */
    char *members;   /* JSON array: snapshot, destination key and url, ids before and after */
};

/* Inserts or replaces. */
HRESULT recoveries_save(struct store *store, const struct recovery_record *recovery,
                        struct error *err);
HRESULT recoveries_load_all(struct store *store, struct recovery_record **out, size_t *out_count,
                            struct error *err);
void recoveries_free_all(struct recovery_record *recoveries, size_t count);

#endif
