/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_TGT_TGTADM_H
#define LUNSHADOW_TGT_TGTADM_H

#include "tgt.h"

/* Runs `tgtadm -C PORT --lld iscsi ARGUMENT...` (the arguments end with NULL) and collects what it
 * prints. Never called in a hold of our own: it would wait for tgtd, as it does for the end of
 * somebody else's hold. VSS_E_PROVIDER_VETO, with tgtadm's own words, where tgtd does not run or
 * stays stopped, tgtadm fails, or it takes longer than TGT_PATIENCE_MS. out may be NULL. */
HRESULT tgt_run(const struct tgt *t, const char *const arguments[], char **out);

/* The same where tgtadm saying no is an answer: S_FALSE then, and no message. */
HRESULT tgt_try(const struct tgt *t, const char *const arguments[]);

#endif
