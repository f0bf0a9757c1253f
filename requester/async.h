/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_REQUESTER_ASYNC_H
#define LUNSHADOW_REQUESTER_ASYNC_H

#include "common/error.h"

#include <lunshadow/requester.h>
#include <stdatomic.h>

/* An operation in a thread of its own, behind struct vss_async.
 *
 * Two own one: its caller, who lets go with vss_async_release(), and the session that started it,
 * with async_detach(); in whatever order, the last one joins the thread and frees. The pointers of
 * the job are used until the operation ended and never after: so the session may close its
 * environment once async_detach() returned, while a caller still holds the object. */
struct async_job {
    void *user;

    /* Does the work, in the thread. err is this operation's own record. */
    HRESULT (*run)(void *user, struct error *err);

    /* Called in the thread after run(), before any waiter wakes: brings the owner's state up to
     * date. Returns the result that counts, with err's text to fit. E_ABORT after a cancel stands.
     */
    HRESULT (*finish)(void *user, HRESULT hr, struct error *err);

    atomic_bool *cancelled;          /* set by vss_async_cancel(); cleared by async_start() */
    _Atomic uint64_t *progress_done; /* both set to 0 by async_start() */
    _Atomic uint64_t *progress_total;

    /* A state directory: whoever may not use it may neither wait nor ask. Copied. NULL: all may. */
    const char *directory;
};

/* Starts the thread, with all signals blocked in it. VSS_E_UNEXPECTED where there can be no thread;
 * then neither run() nor finish() is called. */
HRESULT async_start(const struct async_job *job, struct vss_async **out, struct error *err);

/* Asks the operation to stop where it still runs, and returns at once. */
void async_request_cancel(struct vss_async *async);

/* The session's end of it: waits for the operation's end and lets go. NULL is harmless. */
void async_detach(struct vss_async *async);

#endif
