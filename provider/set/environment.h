/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_PROVIDER_SET_ENVIRONMENT_H
#define LUNSHADOW_PROVIDER_SET_ENVIRONMENT_H

#include "lun/lun.h"
#include "provider/host/host.h"
#include "registry/store.h"

#include <jansson.h>
#include <stdatomic.h>
#include <stdbool.h>

/* What every operation on sets and recoveries works in. One thread at a time. */
struct set_environment {
    struct store *store;
    const struct config *config;
    struct providers *providers;
    struct lun_options lun;

    /* Set by another thread to ask a running operation to stop at its next safe point; it then ends
     * with E_ABORT and everything undone. */
    atomic_bool cancelled;

    /* Operations stage what they would write to labels, note it, and end with E_ABORT and
     * everything undone: see dry_run.h. */
    bool is_dry_run;
    bool is_dry_run_over;  /* one came to its end */
    json_t *label_changes; /* NULL: none were noted */

    /* How far a long operation is, for another thread to read. */
    _Atomic uint64_t progress_done;  /* bytes */
    _Atomic uint64_t progress_total; /* bytes; 0: not known */
};

/* Opens configuration (NULL: the default file), registry (NULL: the default directory) and
 * providers. */
HRESULT set_environment_open(const char *config_path, const char *state_directory,
                             struct set_environment **out, struct error *err);
void set_environment_close(struct set_environment *env); /* NULL is harmless */

#endif
