/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_TGT_TGTADM_H
#define LUNSHADOW_TGT_TGTADM_H

#include "tgt.h"

/* Runs `tgtadm -C PORT --lld iscsi ARGUMENT...` (the arguments end with NULL) and collects what it
 * prints. Never called while tgtd is held: it would wait for tgtd. VSS_E_PROVIDER_VETO, with
 * tgtadm's own words, where tgtd does not run, tgtadm fails, or it takes longer than 10 seconds.
 * out may be NULL. */
HRESULT tgt_run(const struct tgt *t, const char *const arguments[], char **out);

/* The same where tgtadm saying no is an answer: S_FALSE then, and no message. */
HRESULT tgt_try(const struct tgt *t, const char *const arguments[]);

#endif
