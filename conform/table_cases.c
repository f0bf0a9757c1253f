/* SPDX-License-Identifier: Apache-2.0 */
/* What the table and the claims say, before anything is copied. */
#include "common/id.h"
#include "conform/cases.h"

#include <string.h>

#define CLAIMS 7

static void claims_of(const struct vss_capabilities_out *from, uint32_t out[CLAIMS])
{
    const uint32_t all[CLAIMS] = {from->differential, from->plex,      from->resync,
                                  from->mask,         from->read_only, from->consistent_set,
                                  from->resize};
    memcpy(out, all, sizeof(all));
}

void case_table_accepted(struct conform *c)
{
    if (!c->provider) {
        conform_fail(c, "%s", error_text(&c->refusal));
    }
}

static bool is_plain_text(const char *text)
{
    size_t length = text ? strlen(text) : 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < ' ' || text[i] > '~') {
            return false;
        }
    }
    return length > 0 && length <= 64;
}

void case_table_version(struct conform *c)
{
    const struct vss_provider_table *table = provider_table(c->provider);
    if (id_is_null(&table->version_id) || id_equal(&table->version_id, &table->provider_id)) {
        conform_fail(c, "version_id is null or equal to provider_id");
    }
    if (!is_plain_text(table->name) || !is_plain_text(table->version)) {
        conform_fail(c, "name or version is empty, longer than 64 characters, or not ASCII");
    }
}

void case_claims_values(struct conform *c)
{
    const struct vss_capabilities_out *said = provider_capabilities(c->provider);
    uint32_t claims[CLAIMS];
    claims_of(said, claims);
    for (size_t i = 0; i < CLAIMS; i++) {
        if (claims[i] > VSS_CAPABILITY_NATIVE) {
            conform_fail(c, "the answer %u is none of NO, EMULATED and NATIVE", claims[i]);
        }
    }
    if (said->differential != VSS_CAPABILITY_NATIVE && said->plex != VSS_CAPABILITY_NATIVE) {
        conform_fail_op(
            c, VSS_OP_GET_CAPABILITIES,
            "GetProviderCapabilities: neither plex nor differential copies are claimed");
    }
    if (!said->description || !*said->description || strchr(said->description, '\n')) {
        conform_fail(c, "the description is not one line of text");
    }
}

void case_claims_resync(struct conform *c)
{
    bool has = provider_has(c->provider, VSS_OP_RESYNC_START);
    uint32_t claim = provider_capabilities(c->provider)->resync;
    bool says = claim == VSS_CAPABILITY_NATIVE;
    if (has != says && claim != VSS_CAPABILITY_EMULATED) { /* the host then never asks for it */
        conform_fail(c, "resync is %sclaimed, ResyncLuns is %sin the table", says ? "" : "not ",
                     has ? "" : "not ");
    }
}

void case_claims_stable(struct conform *c)
{
    uint32_t before[CLAIMS];
    uint32_t after[CLAIMS];
    claims_of(provider_capabilities(c->provider), before);
    conform_renew(c);
    if (!c->provider) {
        return;
    }
    claims_of(provider_capabilities(c->provider), after);
    if (memcmp(before, after, sizeof(before)) != 0) {
        conform_fail(c, "a new process claims something else");
    }
}

void case_unload_forced(struct conform *c)
{
    struct provider_arena arena = PROVIDER_ARENA_INIT;
    struct vss_on_unload_in in = {.struct_size = sizeof(in), .is_forced = 1};
    struct error err = {0};
    HRESULT hr = conform_call(c, VSS_OP_ON_UNLOAD, &in, NULL, &arena, &err);
    if (hr != S_OK) {
        conform_fail(c, "OnUnload gave 0x%08x", (unsigned)hr);
    }
    if (provider_has(c->provider, VSS_OP_ON_LOAD)) { /* so that it is not unloaded twice */
        struct vss_on_load_in load = {.struct_size = sizeof(load)};
        struct vss_on_load_out out = {0};
        hr = conform_call(c, VSS_OP_ON_LOAD, &load, &out, &arena, &err);
        (void)conform_succeeded(c, VSS_OP_ON_LOAD, hr, &err);
    }
    provider_arena_free(&arena);
}
