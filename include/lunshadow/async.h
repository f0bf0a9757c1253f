/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_ASYNC_H
#define LUNSHADOW_ASYNC_H

/* VSS's IVssAsync in C: an operation that a method of requester.h started, by the rules of that
 * header, which includes this one. May be waited on, queried and cancelled from any thread. */

#include <lunshadow/vss.h>

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default) /* what liblunshadow exports */
#endif

struct vss_async;

/* vss_async_wait(): without a limit. */
#define VSS_INFINITE 0xffffffffu

/* IVssAsync::Wait. Blocks until the operation ended or the time is over.
 * timeout_ms: 0 only looks; VSS_INFINITE waits for the end.
 * S_OK: ask query_status which of both it was; the operation's code where it failed, now or
 * before. E_ACCESSDENIED: the caller may not use the state directory (any more). */
HRESULT vss_async_wait(struct vss_async *async, uint32_t timeout_ms);

/* IVssAsync::QueryStatus. *out_status: VSS_S_ASYNC_PENDING, VSS_S_ASYNC_FINISHED,
 * VSS_S_ASYNC_CANCELLED, VSS_S_SOME_SNAPSHOTS_NOT_IMPORTED, or the operation's failure. Never
 * S_OK. Once it is not PENDING it never changes, and the session is ready for its next method.
 * E_ACCESSDENIED as for wait. */
HRESULT vss_async_query_status(struct vss_async *async, HRESULT *out_status);

/* IVssAsync::Cancel. Asks the operation to stop at its next safe point and waits for its end,
 * which may still be a success. S_OK: it stopped; VSS_S_ASYNC_CANCELLED: it was cancelled
 * before; VSS_S_ASYNC_FINISHED: it succeeded, before or all the same; the operation's code where
 * it failed. */
HRESULT vss_async_cancel(struct vss_async *async);

/* How far, in bytes; total 0 where it is not known. Either output may be NULL. No VSS method:
 * our own. */
void vss_async_progress(struct vss_async *async, uint64_t *out_done, uint64_t *out_total);

/* vss_progress.remaining_ms: it cannot be told yet. */
#define VSS_PROGRESS_UNKNOWN UINT64_MAX

/* How far an operation is. struct_size is the caller's, the rest is filled in. */
struct vss_progress {
    uint32_t struct_size;
    uint32_t permille;         /* of the total, 0..1000; 0 where that is not known */
    uint64_t done_bytes;       /* of what the operation has to move */
    uint64_t total_bytes;      /* 0: not known */
    uint64_t bytes_per_second; /* on average since bytes are counted; 0: not known yet */
    uint64_t elapsed_ms;       /* since the operation was started, or until its end */
    uint64_t remaining_ms;     /* at that rate; VSS_PROGRESS_UNKNOWN; 0 once it has ended */
};

/* No VSS method: our own. E_INVALIDARG: a NULL, or a struct_size of no version. Does not block. */
HRESULT vss_async_query_progress(struct vss_async *async, struct vss_progress *out);

/* The plain line of this operation's failure or partial success; "" while it runs or where there
 * is none. Borrowed until the release. */
const char *vss_async_error_text(struct vss_async *async);

/* IUnknown::Release. Waits for the operation's end first (cancel it to be quick). Before or
 * after the session's release. NULL is harmless. */
void vss_async_release(struct vss_async *async);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif

#endif
