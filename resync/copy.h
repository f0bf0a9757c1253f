/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_RESYNC_COPY_H
#define LUNSHADOW_RESYNC_COPY_H

#include "resync/internal.h"

/* True where a provider leaves copying to this host (its capability says EMULATED). */
bool copy_is_by_host(const struct provider *provider);

/* The copies are where they were: another host, with a registry of its own, may have deleted them.
 * VSS_E_BAD_STATE: one is gone. Of those that this host reads copy_prepare() finds it. */
HRESULT copy_check(struct recovery *r, struct error *err);

/* Before anything is written, with the destinations fenced: opens and reads what copying will need,
 * so that it does not fail for want of that afterwards. VSS_E_OBJECT_NOT_FOUND: a copy is not
 * shown to this host. */
HRESULT copy_prepare(struct recovery *r, struct error *err);

/* Copies every disk of a recovery over its destination, whose edges are wiped: body first, edges
 * last. Who copies is decided by what the provider says of itself. r->method says afterwards how it
 * was done. E_ABORT where it was cancelled. */
HRESULT recovery_copy(struct recovery *r, struct error *err);

/* The array does it (ResyncLuns). */
HRESULT copy_in_array(struct recovery *r, struct error *err);

/* A disk as ResyncLuns and ListChanges are told of it; it points into the disk. */
struct vss_resync_lun copy_pair(const struct recovery_disk *disk);

/* Ends what an array still does for resyncs that r takes over: it would write behind our back. */
HRESULT copy_cancel_earlier(struct recovery *r, struct error *err);

/* Where a copy is shown to this host, by identity. malloc'ed. VSS_E_OBJECT_NOT_FOUND. */
HRESULT copy_find(struct recovery *r, const struct lun_mapping *mapping, char **out_url,
                  struct error *err);

/* This host does it. */
HRESULT copy_host_prepare(struct recovery *r, struct error *err);
HRESULT copy_by_host(struct recovery *r, struct error *err);
void copy_host_free(struct recovery *r);

#endif
