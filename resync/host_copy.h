/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_RESYNC_HOST_COPY_H
#define LUNSHADOW_RESYNC_HOST_COPY_H

#include "resync/copy.h"
#include "resync/engine.h"

/* One disk that this host copies. */
struct host_copy {
    struct recovery *r;
    struct recovery_disk *disk;
    char *url; /* of the copy */
    struct pipeline *source;
    struct pipeline *destination;
    struct edges *edges; /* the copy's, written last */
    uint64_t begin;      /* the body, in bytes */
    uint64_t end;
    uint64_t resumed_from; /* begin, where nothing of an earlier resync is made use of */
    bool is_distrusted;    /* others may have written to the destination: all is compared again */
    bool is_to_be_wiped;   /* then: its edges, first */
    const char *reason;    /* why it is copied as it is; static */
    struct change_map changes; /* what the array says may differ; empty: all is looked at */
    bool is_by_list;           /* what is noted was copied by it */
    uint64_t listed_bytes;     /* of the body: what that was at first */
    enum engine_mode mode;
    struct engine_report total;
    uint64_t verified_bytes;
    uint64_t progress_base;
};

/* Opens all sessions of a disk that this host copies: those to the copy read-only, those to the
 * destination registered behind the fence. Both show who they were (VSS_E_PROVIDER_VETO). */
HRESULT host_copy_open(struct host_copy *c, struct error *err);
void host_copy_close(struct host_copy *c);

/* Brings a disk back whose sessions are lost, or that may have lost its fence: a new session, page
 * 83 read again, the fence taken over or raised anew, all tried for as long as the policy says.
 * S_OK: nobody can have written to the destination meanwhile; S_FALSE: somebody can
 * (is_distrusted), and its edges are wiped again. E_ABORT. */
HRESULT host_copy_reconnect(struct host_copy *c, struct error *err);

/* Reconnects where disk->lun does not answer, is another LUN or holds its reservation no more. As
 * host_copy_reconnect(). */
HRESULT host_copy_ensure(struct host_copy *c, struct error *err);

/* The journal's notes of how far a disk is: what was noted is durable. */
HRESULT host_copy_note(struct host_copy *c, uint64_t offset, struct error *err);
/* How far the resyncs that this one takes over came with this disk, where nobody else can have
 * written to it since; else c->begin. */
uint64_t host_copy_noted(const struct host_copy *c);

#endif
