/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_REQUESTER_OBJECTS_H
#define LUNSHADOW_REQUESTER_OBJECTS_H

#include "common/error.h"

#include <lunshadow/requester.h>

/* What a query returns, and copies of it. */

/* A deep copy; *out all-zero on E_OUTOFMEMORY. */
HRESULT objects_copy(const struct vss_object_prop *from, struct vss_object_prop *out);

/* A list that grows by one object at a time. */
struct object_list {
    struct vss_object_prop *items;
    size_t count;
    size_t capacity;
};

/* Adds a copy of a view. E_OUTOFMEMORY. */
HRESULT object_list_add(struct object_list *list, const struct vss_object_prop *view);
void object_list_free(struct object_list *list);

/* An enumerator at its start, over items that become its own on success (malloc'ed; NULL for none).
 */
HRESULT enum_object_new(struct vss_object_prop *items, size_t count, struct vss_enum_object **out);

#endif
