/* SPDX-License-Identifier: Apache-2.0 */
#include "provider/set/environment.h"

#include <stdlib.h>

HRESULT set_environment_open(const char *config_path, const char *state_directory,
                             struct set_environment **out, struct error *err)
{
    *out = NULL;
    struct config *config = NULL;
    struct set_environment *env = calloc(1, sizeof(*env));
    if (!env) {
        return error_set(err, E_OUTOFMEMORY, "out of memory opening a session");
    }
    HRESULT hr = config_load(config_path, &config, err);
    if (FAILED(hr)) {
        goto out;
    }
    env->config = config;
    env->lun.config = config;
    hr = store_open(state_directory, &env->store, err);
    if (FAILED(hr)) {
        goto out;
    }
    hr = providers_open(config, env->store, &env->providers, err);
    if (FAILED(hr)) {
        goto out;
    }
    *out = env;
    env = NULL;
out:
    set_environment_close(env);
    return hr;
}

void set_environment_close(struct set_environment *env)
{
    if (!env) {
        return;
    }
    json_decref(env->label_changes);
    providers_close(env->providers);
    store_close(env->store);
    config_free((struct config *)env->config);
    free(env);
}
