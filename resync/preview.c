/* SPDX-License-Identifier: Apache-2.0 */
/* What a dry run says of the destinations: which bytes of their labels would be others because of
 * the disk ids. That all their content becomes the copy's is said by the plan. */
#include "common/buffer.h"
#include "lun/label/disk_ids.h"
#include "provider/set/dry_run.h"
#include "resync/internal.h"

#include <stdlib.h>

/* Where the label as it is cannot carry the ids (other partitions, another kind, none), there is no
 * byte to compare: the whole label comes with the copy. */
static HRESULT preview_disk(struct recovery *r, struct recovery_disk *d, struct error *err)
{
    struct disk_ids_transaction transaction = {0};
    static const struct label_writes nothing = {NULL, 0};
    struct error why = {0};
    const struct label_writes *writes = &nothing;
    HRESULT hr = disk_ids_stage(&transaction, &d->lun->block, &d->wanted, true, &why);
    char *note = SUCCEEDED(hr)
                     ? text_printf("disk ids afterwards: %s", d->ids_note)
                     : text_printf("disk ids afterwards: %s; the whole label comes with the copy "
                                   "(%.300s)",
                                   d->ids_note, error_text(&why));
    if (SUCCEEDED(hr) && transaction.count > 0) {
        writes = &transaction.members[0].writes;
    }
    hr = note ? dry_run_note(r->env, d->lun->url, note, writes, d->lun->block.block_bytes, err)
              : error_set(err, E_OUTOFMEMORY, "out of memory in a dry run");
    free(note);
    disk_ids_transaction_free(&transaction);
    return hr;
}

HRESULT recovery_preview(struct recovery *r, struct error *err)
{
    HRESULT hr = S_OK;
    for (size_t i = 0; i < r->disk_count && SUCCEEDED(hr); i++) {
        hr = preview_disk(r, &r->disks[i], err);
    }
    return SUCCEEDED(hr) ? dry_run_end(r->env, err) : hr;
}
