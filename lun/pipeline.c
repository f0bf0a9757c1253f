/* SPDX-License-Identifier: Apache-2.0 */
#include "lun/pipeline_ops.h"

#include "common/clock.h"

#include <inttypes.h>
#include <string.h>

HRESULT pipeline_open(const char *name, const struct pipeline_options *options,
                      struct pipeline **out, struct error *err)
{
    *out = NULL;
    return strncmp(name, "iscsi://", 8) == 0 ? pipeline_open_lun(name, options, out, err)
                                             : pipeline_open_file(name, options, out, err);
}

void pipeline_close(struct pipeline *p)
{
    if (p) {
        p->ops->close(p);
    }
}

static bool is_whole_blocks(const struct pipeline *p, const struct pipeline_request *r)
{
    return r->op == PIPELINE_FLUSH || (r->bytes > 0 && r->offset % p->block_bytes == 0 &&
                                       (r->op == PIPELINE_READ || r->bytes % p->block_bytes == 0));
}

void pipeline_submit(struct pipeline *p, struct pipeline_request *request)
{
    p->in_flight++;
    request->result = S_OK;
    request->own.owner = p;
    request->own.next = NULL;
    if (is_whole_blocks(p, request)) {
        p->ops->submit(p, request);
    } else {
        request->own.next = p->refused;
        p->refused = request;
    }
}

/* True where there were any. */
static bool end_refused(struct pipeline *p)
{
    struct pipeline_request *list = p->refused;
    bool is_any = list != NULL;
    p->refused = NULL;
    while (list) {
        struct pipeline_request *r = list;
        struct error err = {0};
        list = r->own.next;
        HRESULT hr = error_set(&err, E_INVALIDARG,
                               "%s: %" PRIu32 " bytes at byte %" PRIu64
                               " are no whole blocks of %" PRIu32 " bytes",
                               p->name, r->bytes, r->offset, p->block_bytes);
        pipeline_finish(p, r, hr, &err);
    }
    return is_any;
}

void pipeline_finish(struct pipeline *p, struct pipeline_request *request, HRESULT result,
                     const struct error *err)
{
    p->in_flight--;
    request->result = result;
    if (FAILED(result)) {
        (void)error_set(&p->err, result, "%s",
                        err && err->text[0] ? err->text : error_text(&p->err));
    }
    request->on_done(request);
}

void pipeline_turn(struct pipeline *a, struct pipeline *b, uint32_t timeout_ms)
{
    struct scsi_transport *waits[2 * PIPELINE_PATHS_MAX];
    bool is_any = end_refused(a);
    is_any = (b && end_refused(b)) || is_any;
    timeout_ms = is_any ? 0 : timeout_ms;
    size_t count = a->ops->waits(a, waits, PIPELINE_PATHS_MAX, &timeout_ms);
    if (b) {
        count += b->ops->waits(b, waits + count, PIPELINE_PATHS_MAX, &timeout_ms);
    }
    if (count > 0) {
        scsi_wait_any(waits, count, timeout_ms);
    } else if (timeout_ms > 0) {
        clock_sleep_ms(timeout_ms);
    }
    a->ops->poll(a);
    if (b) {
        b->ops->poll(b);
    }
}

void pipeline_drop(struct pipeline *p)
{
    p->ops->drop(p);
    (void)end_refused(p);
}

/* ---- holes ---- */

bool pipeline_add_run(struct pipeline *p, uint64_t end, bool is_hole)
{
    end = end < p->bytes ? end : p->bytes;
    struct pipeline_run *last = p->run_count ? &p->runs[p->run_count - 1] : NULL;
    if (last && last->is_hole == is_hole) {
        last->end = end;
        return true;
    }
    if (p->run_count == PIPELINE_RUNS) {
        return false;
    }
    p->runs[p->run_count++] = (struct pipeline_run){end, is_hole};
    return true;
}

/* Refills runs[] from offset on. Whoever cannot say is not asked again. */
static bool remap(struct pipeline *p, uint64_t offset)
{
    p->runs_begin = offset;
    p->run_count = 0;
    p->run_at = 0;
    p->can_map = SUCCEEDED(p->ops->map(p, offset)) && p->run_count > 0 && p->runs[0].end > offset;
    return p->can_map;
}

void pipeline_run_at(struct pipeline *p, uint64_t offset, bool *out_is_hole, uint64_t *out_end)
{
    *out_is_hole = false;
    *out_end = p->bytes;
    if (!p->can_map || offset >= p->bytes) {
        return;
    }
    bool is_covered =
        p->run_count > 0 && offset >= p->runs_begin && offset < p->runs[p->run_count - 1].end;
    if (!is_covered && !remap(p, offset)) {
        return;
    }
    size_t at = p->run_at && p->runs[p->run_at - 1].end <= offset ? p->run_at : 0;
    while (p->runs[at].end <= offset) {
        at++;
    }
    p->run_at = at;
    *out_is_hole = p->runs[at].is_hole;
    *out_end = p->runs[at].end;
}

void pipeline_forget_runs(struct pipeline *p)
{
    p->run_count = 0;
    p->run_at = 0;
}
