/* SPDX-License-Identifier: Apache-2.0 */
#include "lun/scratch.h"

#include "lun/host/in_use.h"

#include <stdlib.h>
#include <string.h>

static bool has_address(const struct config_section *section, const char *url)
{
    struct lun_address address;
    if (strcmp(section->kind, "scratch") != 0 ||
        FAILED(lun_address_parse(config_value(section, "lun", ""), &address, NULL))) {
        return false;
    }
    char *named = lun_address_text(&address);
    bool is_it = named && strcmp(named, url) == 0;
    free(named);
    return is_it;
}

HRESULT scratch_check(const struct config *config, const struct lun *lun, struct error *err)
{
    char key[LUN_KEY_BYTES];
    (void)lun_info_key(&lun->identity.info, key);
    for (size_t i = 0; i < config->section_count; i++) {
        const struct config_section *s = &config->sections[i];
        const char *identity = config_value(s, "identity", "");
        if (!has_address(s, lun->url)) {
            continue;
        }
        return strcmp(identity, key) == 0
                   ? S_OK
                   : error_set(err, VSS_E_VOLUME_NOT_SUPPORTED,
                               "%s is %s, and [scratch %s] says that the scratch LUN there is %s: "
                               "nothing is written to it",
                               lun->url, key, s->name, *identity ? identity : "(no identity)");
    }
    return error_set(err, VSS_E_VOLUME_NOT_SUPPORTED,
                     "%s is no scratch LUN of the configuration: nothing is written to it; where "
                     "it is one, add a section [scratch NAME] with lun = %s and identity = %s",
                     lun->url, lun->url, key);
}

HRESULT scratch_check_unused(const char *url, const struct vss_lun_info *info, struct error *err)
{
    static const struct host_roots roots = HOST_ROOTS_INIT;
    struct host_use use;
    HRESULT hr = host_lun_in_use(&roots, info, &use, err);
    if (hr == S_OK) {
        hr = error_set(err, VSS_E_PROVIDER_VETO, "scratch LUN %s is %s: nothing is written to it",
                       url, use.text);
    }
    host_use_free(&use);
    return FAILED(hr) ? hr : S_OK;
}
