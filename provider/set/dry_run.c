/* SPDX-License-Identifier: Apache-2.0 */
#include "provider/set/dry_run.h"

#include "lun/label/diff.h"

HRESULT dry_run_note(struct set_environment *env, const char *url, const char *note,
                     const struct label_writes *writes, uint32_t block_bytes, struct error *err)
{
    json_t *item = json_pack("{s:s, s:s*, s:o}", "url", url, "note", note, "changes",
                             label_diff_to_json(writes, block_bytes));
    if (!env->label_changes) {
        env->label_changes = json_array();
    }
    if (!env->label_changes || json_array_append_new(env->label_changes, item)) {
        return error_set(err, E_OUTOFMEMORY, "out of memory noting the changes of a label");
    }
    return S_OK;
}

HRESULT dry_run_end(struct set_environment *env, struct error *err)
{
    env->is_dry_run_over = true;
    return error_set(err, E_ABORT, "a dry run: no label was written");
}
