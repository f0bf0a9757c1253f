/* SPDX-License-Identifier: Apache-2.0 */
#include "provider/host/inspect.h"

#include "provider/host/internal.h"
#include "provider/trust.h"

#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static HRESULT find_table(struct inspection *i, const struct vss_provider_table **out,
                          struct error *err)
{
    vss_provider_entry entry = NULL;
    i->library = dlopen(i->path, RTLD_NOW | RTLD_LOCAL);
    if (!i->library) {
        return error_set(err, VSS_E_UNEXPECTED_PROVIDER_ERROR, "cannot load plug-in: %s",
                         dlerror());
    }
    void *symbol = dlsym(i->library, VSS_PROVIDER_ENTRY_SYMBOL);
    if (!symbol) {
        return error_set(err, VSS_E_UNEXPECTED_PROVIDER_ERROR,
                         "plug-in %s exports no " VSS_PROVIDER_ENTRY_SYMBOL, i->path);
    }
    memcpy(&entry, &symbol, sizeof(entry)); /* ISO C has no cast from object to function pointer */
    *out = entry();
    if (!*out || (*out)->magic != VSS_PROVIDER_MAGIC) {
        return error_set(err, VSS_E_UNEXPECTED_PROVIDER_ERROR,
                         "plug-in %s returned no provider table", i->path);
    }
    return S_OK;
}

static void read_table(struct inspection *i, const struct vss_provider_table *table)
{
    struct provider judged = {.path = i->path};
    size_t size = table->struct_size < sizeof(i->table) ? table->struct_size : sizeof(i->table);
    size_t known = offsetof(struct vss_provider_table, abi_major);
    memcpy(&i->table, table, size > known ? size : known);
    uint32_t count = i->table.op_count < VSS_OP_COUNT ? i->table.op_count : VSS_OP_COUNT;
    for (uint32_t op = 0; i->table.ops && op < count; op++) {
        i->has_op[op] = i->table.ops[op] != NULL;
    }
    (void)provider_adopt_table(&judged, table, &i->verdict);
}

HRESULT inspection_open(const char *path, struct inspection *out, struct error *err)
{
    const struct vss_provider_table *table = NULL;
    *out = (struct inspection){0};
    out->path = realpath(path, NULL);
    if (!out->path) {
        return error_set_errno(err, errno, "plug-in %s", path);
    }
    HRESULT hr = trust_check_file("plug-in", out->path, err);
    if (SUCCEEDED(hr)) {
        hr = trust_check_above("plug-in", out->path, err);
    }
    if (SUCCEEDED(hr)) {
        hr = find_table(out, &table, err);
    }
    if (FAILED(hr)) {
        inspection_close(out);
        return hr;
    }
    read_table(out, table);
    return S_OK;
}

void inspection_close(struct inspection *inspection)
{
    if (inspection->library) {
        (void)dlclose(inspection->library);
    }
    free(inspection->path);
    *inspection = (struct inspection){0};
}
