/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_LUN_VOLUME_H
#define LUNSHADOW_LUN_VOLUME_H

#include "lun/lun.h"

/* A volume as its user names it: a LUN's URL, "#N" behind it for partition N. */
struct volume_name {
    struct lun_address address;
    uint32_t partition; /* 0: the whole LUN */
};

/* E_INVALIDARG for what is not a name; VSS_E_VOLUME_NOT_SUPPORTED for block devices and mount
 * points, which are names of one host: provider/set/candidate.h resolves them. The text says what
 * to write instead. */
HRESULT volume_parse(const char *name, struct volume_name *out, struct error *err);

/* The canonical name, without secrets: two names of one volume are equal as text. malloc'ed. */
char *volume_text(const struct volume_name *volume);

#endif
