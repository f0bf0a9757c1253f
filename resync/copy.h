/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_RESYNC_COPY_H
#define LUNSHADOW_RESYNC_COPY_H

#include "resync/internal.h"

/* Copies every disk of a recovery over its destination, whose edges are wiped: body first, edges
 * last. Who copies is decided by what the provider says of itself. r->method says afterwards how it
 * was done. E_ABORT where it was cancelled. */
HRESULT recovery_copy(struct recovery *r, struct error *err);

/* The array does it (ResyncLuns). */
HRESULT copy_in_array(struct recovery *r, struct error *err);

/* Ends what an array still does for resyncs that r takes over: it would write behind our back. */
HRESULT copy_cancel_earlier(struct recovery *r, struct error *err);

#endif
