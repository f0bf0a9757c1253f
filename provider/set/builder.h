/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_PROVIDER_SET_BUILDER_H
#define LUNSHADOW_PROVIDER_SET_BUILDER_H

#include "lun/label/label.h"
#include "provider/set/set.h"
#include "registry/locks.h"

/* An original as it was when it was added, and how it is opened again. */
struct set_original {
    char *open_name; /* with a URL's secret: never shown */
    struct label *label;
};

/* A set in creation, between create.c (the sequence) and add.c (one volume more). */
struct set_builder {
    struct set_environment *env;
    struct lock *lock;
    struct provider *provider; /* of the first volume; all others must be its too */
    struct set_record record;
    struct set_original *originals; /* one for each LUN of the record, until it is announced */
    size_t original_count;
    char **mount_points; /* of the volumes that this host has mounted */
    size_t mount_point_count;
    VSS_ID journal_id;
    bool is_journaled; /* EndPrepare was announced: the array may hold something of ours */
    bool is_spent;
    bool is_beside;      /* of LUNs that an operation of this process is about to overwrite */
    uint32_t frozen_ms;  /* the most from freeze to thaw */
    uint64_t thaw_by_us; /* UINT64_MAX: nobody is told to freeze */
};

/* Forgets all but the first count. */
void set_builder_drop_originals(struct set_builder *builder, size_t count);

#endif
