/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_TGT_ORIGINAL_H
#define LUNSHADOW_TGT_ORIGINAL_H

#include "show.h"
#include "state.h"

#include <sys/stat.h>
#include <sys/types.h>

/* A LUN of tgtd, looked at closely enough to copy it or to write over it. */
struct tgt_original {
    const struct tgt_lun *lun;
    int fd;
    struct stat stat;
    const char *directory; /* of its file, symbolic links resolved */
};

/* Opens the backing file of a LUN: a disk that is not removable, on a backing store that is a
 * regular file and that tgtd (process pid) has open. VSS_E_PROVIDER_VETO says what is missing; name
 * is the LUN's for messages. tgt_original_close() ends it. */
HRESULT tgt_original_open(const struct tgt *t, pid_t pid, const struct tgt_lun *lun, int flags,
                          const char *name, struct tgt_original *out);
void tgt_original_close(struct tgt_original *original);

/* How a copy under this context is made. S_FALSE: it cannot be (said). */
HRESULT tgt_choose_mode(const struct tgt *t, const struct tgt_original *original, uint32_t context,
                        const char *name, enum tgt_mode *out);

#endif
