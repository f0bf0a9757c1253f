/* SPDX-License-Identifier: Apache-2.0 */
#include "requester/objects.h"

#include <stdlib.h>
#include <string.h>

struct vss_enum_object {
    struct vss_object_prop *items;
    size_t count;
    size_t next;
};

void object_list_free(struct object_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        vss_free_object_properties(&list->items[i]);
    }
    free(list->items);
    *list = (struct object_list){0};
}

HRESULT object_list_add(struct object_list *list, const struct vss_object_prop *view)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity > 0 ? list->capacity * 2 : 16;
        struct vss_object_prop *grown = realloc(list->items, capacity * sizeof(*grown));
        if (!grown) {
            return E_OUTOFMEMORY;
        }
        list->items = grown;
        list->capacity = capacity;
    }
    HRESULT hr = objects_copy(view, &list->items[list->count]);
    if (SUCCEEDED(hr)) {
        list->count++;
    }
    return hr;
}

HRESULT enum_object_new(struct vss_object_prop *items, size_t count, struct vss_enum_object **out)
{
    struct vss_enum_object *objects = calloc(1, sizeof(*objects));
    if (!objects) {
        return E_OUTOFMEMORY;
    }
    objects->items = items;
    objects->count = count;
    *out = objects;
    return S_OK;
}

static void free_items(struct vss_object_prop *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        vss_free_object_properties(&items[i]);
    }
}

/* How many of count are left. */
static size_t clip(const struct vss_enum_object *objects, uint32_t count)
{
    size_t left = objects->count - objects->next;
    return count < left ? count : left;
}

HRESULT vss_enum_object_next(struct vss_enum_object *objects, uint32_t count,
                             struct vss_object_prop *items, uint32_t *out_fetched)
{
    if (out_fetched) {
        *out_fetched = 0;
    }
    if (!objects || !items || !out_fetched) {
        return E_POINTER;
    }
    size_t wanted = clip(objects, count);
    for (size_t i = 0; i < wanted; i++) {
        HRESULT hr = objects_copy(&objects->items[objects->next + i], &items[i]);
        if (FAILED(hr)) {
            free_items(items, i);
            return hr;
        }
    }
    objects->next += wanted;
    *out_fetched = (uint32_t)wanted;
    return wanted == count ? S_OK : S_FALSE;
}

HRESULT vss_enum_object_skip(struct vss_enum_object *objects, uint32_t count)
{
    if (!objects) {
        return E_INVALIDARG;
    }
    size_t skipped = clip(objects, count);
    objects->next += skipped;
    return skipped == count ? S_OK : S_FALSE;
}

HRESULT vss_enum_object_reset(struct vss_enum_object *objects)
{
    if (!objects) {
        return E_INVALIDARG;
    }
    objects->next = 0;
    return S_OK;
}

HRESULT vss_enum_object_clone(const struct vss_enum_object *objects, struct vss_enum_object **out)
{
    if (out) {
        *out = NULL;
    }
    if (!objects || !out) {
        return E_POINTER;
    }
    struct vss_object_prop *items = calloc(objects->count + 1, sizeof(*items));
    if (!items) {
        return E_OUTOFMEMORY;
    }
    HRESULT hr = S_OK;
    for (size_t i = 0; i < objects->count && SUCCEEDED(hr); i++) {
        hr = objects_copy(&objects->items[i], &items[i]);
    }
    if (SUCCEEDED(hr)) {
        hr = enum_object_new(items, objects->count, out);
    }
    if (FAILED(hr)) {
        free_items(items, objects->count);
        free(items);
        return hr;
    }
    (*out)->next = objects->next;
    return S_OK;
}

void vss_enum_object_release(struct vss_enum_object *objects)
{
    if (!objects) {
        return;
    }
    free_items(objects->items, objects->count);
    free(objects->items);
    free(objects);
}
