/* SPDX-License-Identifier: Apache-2.0 */
#include "provider/host/registration.h"

#include "common/buffer.h"
#include "common/id.h"
#include "provider/host/internal.h"
#include "provider/shims/stack.h"
#include "registry/locks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- into the registry and out of it --------------------------------------------------------- */

static HRESULT resolve(const char *path, char **out, struct error *err)
{
    *out = realpath(path, NULL);
    if (*out) {
        return S_OK;
    }
    HRESULT code = error_from_errno(errno);
    bool is_argument = code != E_ACCESSDENIED && code != E_OUTOFMEMORY;
    return error_set(err, is_argument ? E_INVALIDARG : code, "plug-in %s: %s", path,
                     strerrordesc_np(errno));
}

HRESULT registration_add(struct store *store, const char *path, VSS_ID *out_provider_id,
                         struct error *err)
{
    *out_provider_id = id_null;
    char *resolved = NULL;
    HRESULT hr = resolve(path, &resolved, err);
    if (FAILED(hr)) {
        return hr;
    }
    struct config_pair pair = {.key = (char *)"provider", .value = resolved};
    struct config_section section = {
        .kind = (char *)"array", .name = (char *)"to-register", .pairs = &pair, .pair_count = 1};
    struct provider *p = NULL;
    hr = provider_attach(NULL, &section, NULL, &p, err);
    if (SUCCEEDED(hr)) {
        struct provider_record record = provider_as_record(p);
        hr = providers_register(store, &record, err);
        *out_provider_id = SUCCEEDED(hr) ? record.provider_id : id_null;
    }
    provider_unload(p);
    free(resolved);
    return hr;
}

static const enum lock_kind kinds[] = {LOCK_SET_IN_PROGRESS, LOCK_IMPORT, LOCK_RESYNC};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

/* Nobody begins or runs what needs a provider while all of them are held. */
static HRESULT take_locks(struct lock *out[KINDS], struct error *err)
{
    HRESULT hr = S_OK;
    for (size_t i = 0; i < KINDS && SUCCEEDED(hr); i++) {
        struct error why = {0};
        hr = lock_take(kinds[i], &out[i], &why);
        bool is_busy = hr == VSS_E_SNAPSHOT_SET_IN_PROGRESS || hr == VSS_E_RESYNC_IN_PROGRESS ||
                       hr == VSS_E_BAD_STATE;
        if (FAILED(hr)) {
            hr = error_set(err, is_busy ? VSS_E_PROVIDER_IN_USE : hr, "%s", error_text(&why));
        }
    }
    return hr;
}

HRESULT registration_remove(struct store *store, const VSS_ID *provider_id, struct error *err)
{
    struct lock *locks[KINDS] = {NULL};
    HRESULT hr = take_locks(locks, err);
    if (SUCCEEDED(hr)) {
        hr = providers_unregister(store, provider_id, err);
    }
    for (size_t i = 0; i < KINDS; i++) {
        lock_release(locks[i]);
    }
    return hr;
}

/* ---- from a section to a file ---------------------------------------------------------------- */

static HRESULT find_id(const struct config_section *section, const VSS_ID *id,
                       const struct provider_record *all, size_t count,
                       const struct provider_record **out, struct error *err)
{
    for (size_t i = 0; i < count; i++) {
        if (all[i].registered && id_equal(&all[i].provider_id, id)) {
            *out = &all[i];
            return S_OK;
        }
    }
    char text[ID_TEXT_BYTES];
    return error_set(err, VSS_E_PROVIDER_NOT_REGISTERED,
                     "[array %s]: provider %s is not registered; see `lunshadow provider list`",
                     section->name, id_text(id, text));
}

static HRESULT find_name(const struct config_section *section, const char *name,
                         const struct provider_record *all, size_t count,
                         const struct provider_record **out, struct error *err)
{
    for (size_t i = 0; i < count; i++) {
        if (!all[i].registered || !all[i].name || strcmp(all[i].name, name) != 0) {
            continue;
        }
        if (*out) {
            char one[ID_TEXT_BYTES];
            char other[ID_TEXT_BYTES];
            return error_set(err, E_INVALIDARG,
                             "[array %s]: providers %s and %s are both registered as %s; name the "
                             "one that is meant by its id",
                             section->name, id_text(&(*out)->provider_id, one),
                             id_text(&all[i].provider_id, other), name);
        }
        *out = &all[i];
    }
    return S_OK;
}

HRESULT registration_find(const struct config_section *section, const struct provider_record *all,
                          size_t count, const struct provider_record **out, struct error *err)
{
    *out = NULL;
    VSS_ID id;
    const char *wanted = config_value(section, "provider", NULL);
    wanted = wanted ? shims_rest(wanted) : NULL;
    if (!wanted || strchr(wanted, '/') || shims_is_replay(wanted)) {
        return S_OK;
    }
    HRESULT hr = id_parse(wanted, &id) ? find_id(section, &id, all, count, out, err)
                                       : find_name(section, wanted, all, count, out, err);
    if (FAILED(hr)) {
        *out = NULL;
    }
    return hr;
}

struct config_section *registration_section(const struct config_section *section,
                                            const struct provider_record *provider)
{
    size_t pairs_bytes = section->pair_count * sizeof(*section->pairs);
    const char *value = config_value(section, "provider", "");
    size_t shims_bytes = (size_t)(shims_rest(value) - value);
    size_t path_bytes = strlen(provider->path) + 1;
    struct config_section *copy = malloc(sizeof(*copy) + pairs_bytes + shims_bytes + path_bytes);
    if (!copy) {
        return NULL;
    }
    *copy = *section;
    copy->pairs = (struct config_pair *)(copy + 1);
    memcpy(copy->pairs, section->pairs, pairs_bytes);
    char *path = (char *)(copy->pairs + copy->pair_count);
    memcpy(path, value, shims_bytes);
    memcpy(path + shims_bytes, provider->path, path_bytes);
    for (size_t i = 0; i < copy->pair_count; i++) {
        if (strcmp(copy->pairs[i].key, "provider") == 0) {
            copy->pairs[i].value = path;
        }
    }
    return copy;
}

int64_t registration_rank(const struct provider_record *all, size_t count,
                          const VSS_ID *provider_id)
{
    for (size_t i = 0; i < count; i++) {
        if (id_equal(&all[i].provider_id, provider_id)) {
            return all[i].rank;
        }
    }
    return 0;
}
