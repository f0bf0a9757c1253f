/* SPDX-License-Identifier: Apache-2.0 */
/* The tgt plug-in as a version of it could have been that copies and cannot resync. */
#include <lunshadow/provider.h>
#include <string.h>

const struct vss_provider_table *tgt_entry(void); /* the real one, by another name */
const struct vss_provider_table *lunshadow_provider_entry(void);

__attribute__((visibility("default"))) const struct vss_provider_table *
lunshadow_provider_entry(void)
{
    static struct vss_provider_table table;
    static vss_provider_callback ops[VSS_OP_COUNT];
    const struct vss_provider_table *real = tgt_entry();
    memcpy(ops, real->ops, sizeof(ops));
    ops[VSS_OP_RESYNC_START] = 0;
    ops[VSS_OP_RESYNC_POLL] = 0;
    ops[VSS_OP_RESYNC_CANCEL] = 0;
    table = *real;
    table.ops = ops;
    return &table;
}
