/* SPDX-License-Identifier: Apache-2.0 */
/* ResyncLuns: copies over other LUNs, in place in their live backing files. The work is done by the
 * polls, a slice each, so any process can carry it on: the state says where it stands, and who the
 * LUNs are is found out anew each time. */
#include "daemon.h"
#include "file.h"
#include "pair.h"
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SLICE_US        200000u
#define SLICE_EXTENTS   5000u /* what is cloned in place in one slice, at 40 us each */
#define CLONE_BYTES_MIN (4ull << 20)
#define CLONE_BYTES_MAX (1ull << 30)
#define COPY_BYTES      (16ull << 20)
#define HEAD_BYTES      (128ull << 10)
#define FIRST_BYTES     4096u /* a boot record, and a GPT header where blocks have 512 bytes */

enum phase { PHASE_BODY, PHASE_EDGES, PHASE_DONE };

struct progress {
    uint64_t phase;
    uint64_t lun;
    uint64_t offset; /* PHASE_BODY: how far this LUN is */
    uint64_t done_bytes;
    uint64_t written_bytes; /* what was copied and not cloned */
    uint64_t cloned_bytes;
};

static HRESULT write_progress(const struct tgt *t, const struct progress *p, struct vss_state *out)
{
    char *text =
        tgt_text(t,
                 "version=1\nphase=%" PRIu64 "\nlun=%" PRIu64 "\noffset=%" PRIu64 "\ndone=%" PRIu64
                 "\nwritten=%" PRIu64 "\ncloned=%" PRIu64 "\n",
                 p->phase, p->lun, p->offset, p->done_bytes, p->written_bytes, p->cloned_bytes);
    if (!text) {
        return E_OUTOFMEMORY;
    }
    *out = (struct vss_state){.bytes = (uint32_t)strlen(text), .data = (const uint8_t *)text};
    return S_OK;
}

static HRESULT read_progress(const struct tgt *t, const struct vss_resync_in *in,
                             const struct tgt_pair *pairs, struct progress *out)
{
    struct progress p = {0};
    uint64_t version = 0;
    bool is_good = in->state.data && in->state.bytes <= VSS_PROVIDER_STATE_BYTES_MAX;
    const char *text = is_good ? tgt_copy(t, (const char *)in->state.data, in->state.bytes) : NULL;
    is_good = text && tgt_state_number(t, text, "version", 1, &version) && version == 1 &&
              tgt_state_number(t, text, "phase", PHASE_DONE, &p.phase) &&
              tgt_state_number(t, text, "lun", in->lun_count, &p.lun) &&
              tgt_state_number(t, text, "offset", INT64_MAX, &p.offset) &&
              tgt_state_number(t, text, "done", UINT64_MAX, &p.done_bytes) &&
              tgt_state_number(t, text, "written", UINT64_MAX, &p.written_bytes) &&
              tgt_state_number(t, text, "cloned", UINT64_MAX, &p.cloned_bytes);
    if (is_good && p.phase == PHASE_BODY && p.lun < in->lun_count) {
        const struct tgt_pair *pair = &pairs[p.lun];
        is_good = p.offset >= pair->from && p.offset <= pair->to;
    }
    if (!is_good) {
        return tgt_fail(t, VSS_E_PROVIDER_VETO,
                        "what is remembered of this resync is damaged; start it again");
    }
    *out = p;
    return S_OK;
}

/* ---- start */

/* From here until the end no label is to be found on the destination. */
static HRESULT wipe_edges(const struct tgt *t, const struct tgt_pair *pair, uint64_t bytes)
{
    struct tgt_copier copier;
    HRESULT hr = tgt_copier_init(t, &copier);
    if (FAILED(hr)) {
        return hr;
    }
    uint64_t edge = pair->edge_bytes < bytes ? pair->edge_bytes : bytes;
    int errnum = tgt_file_zero(&copier, pair->destination.fd, 0, edge);
    if (errnum == 0) {
        errnum = tgt_file_zero(&copier, pair->destination.fd, bytes - edge, edge);
    }
    if (errnum == 0 && fdatasync(pair->destination.fd) != 0) {
        errnum = errno;
    }
    return errnum == 0 ? S_OK
                       : tgt_fail_errno(t, errnum, "%s: the labels in %s cannot be wiped",
                                        pair->name, pair->destination.lun->path);
}

/* tgtd reads a file's size when it opens it: the file is cut and opened again in one request, which
 * keeps the LUN, its identifiers and its reservations. */
static HRESULT shrink(const struct tgt *t, const struct tgt_view *view, const struct tgt_pair *pair)
{
    const char *path = pair->destination.lun->path;
    char *params = tgt_text(t, "online=0,path=%s", path);
    if (!params) {
        return E_OUTOFMEMORY;
    }
    tgt_log(t, VSS_LOG_INFO, "%s: made %ju bytes long, from %jd", pair->name,
            (uintmax_t)pair->copy.bytes, (intmax_t)pair->destination.stat.st_size);
    if (ftruncate(pair->destination.fd, (off_t)pair->copy.bytes) != 0) {
        return tgt_fail_errno(t, errno, "%s: %s cannot be made as large as the copy", pair->name,
                              path);
    }
    HRESULT hr = S_OK;
    for (const struct tgt_lun *lun = tgt_view_by_path(view, path, NULL); SUCCEEDED(hr) && lun;
         lun = tgt_view_by_path(view, path, lun)) {
        hr = tgt_target_update_lun(t, lun, params);
    }
    return SUCCEEDED(hr) ? wipe_edges(t, pair, pair->copy.bytes) : hr;
}

static HRESULT begin_pair(const struct tgt *t, const struct tgt_view *view,
                          const struct tgt_pair *pair)
{
    HRESULT hr = wipe_edges(t, pair, (uint64_t)pair->destination.stat.st_size);
    if (SUCCEEDED(hr) && (uint64_t)pair->destination.stat.st_size > pair->copy.bytes) {
        hr = shrink(t, view, pair);
    }
    return hr;
}

static uint64_t total_bytes(const struct tgt_pair *pairs, uint32_t count)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < count; i++) {
        total += pairs[i].copy.bytes;
    }
    return total;
}

HRESULT tgt_resync_start(void *self, const struct vss_call *call, const void *in, void *out)
{
    (void)self;
    const struct vss_resync_in *resync = in;
    struct vss_resync_out *o = out;
    struct tgt t;
    struct tgt_view view;
    struct tgt_pair *pairs = NULL;
    HRESULT hr = tgt_begin(call, &t);
    if (SUCCEEDED(hr)) {
        hr = tgt_pairs_open(&t, resync->luns, resync->lun_count, O_RDWR, &view, &pairs);
    }
    if (!pairs) {
        return hr;
    }
    for (uint32_t i = 0; SUCCEEDED(hr) && i < resync->lun_count; i++) {
        hr = begin_pair(&t, &view, &pairs[i]);
    }
    if (SUCCEEDED(hr)) {
        const struct progress progress = {.phase = PHASE_BODY, .offset = pairs[0].from};
        hr = write_progress(&t, &progress, &o->state);
        o->bytes_total = total_bytes(pairs, resync->lun_count);
    }
    tgt_pairs_close(pairs, resync->lun_count);
    return hr;
}

/* ---- poll */

static bool is_no_clone(int errnum)
{
    return errnum == EOPNOTSUPP || errnum == EXDEV || errnum == EINVAL || errnum == ENOTTY;
}

static void count_extents(struct tgt_pair *pairs, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (tgt_file_extents(pairs[i].fd, &pairs[i].extents) != 0) {
            pairs[i].extents = 0;
        }
    }
}

/* What is cloned at once: no more than a slice's work. */
static uint64_t piece_bytes(const struct tgt_pair *pair)
{
    if (pair->extents <= SLICE_EXTENTS) {
        return CLONE_BYTES_MAX;
    }
    uint64_t bytes = pair->copy.bytes / pair->extents * SLICE_EXTENTS;
    bytes = bytes < CLONE_BYTES_MAX ? bytes / CLONE_BYTES_MIN * CLONE_BYTES_MIN : CLONE_BYTES_MAX;
    return bytes > CLONE_BYTES_MIN ? bytes : CLONE_BYTES_MIN;
}

/* A piece of the body: cloned where the filesystem can, else compared and copied. */
static int copy_piece(struct tgt_copier *copier, const struct tgt_pair *pair, struct progress *p)
{
    uint64_t left = pair->to - p->offset;
    uint64_t piece = piece_bytes(pair);
    uint64_t bytes = left < piece ? left : piece;
    int errnum = tgt_file_clone_range(pair->destination.fd, pair->fd, p->offset, bytes);
    if (errnum == 0) {
        p->cloned_bytes += bytes;
    } else if (is_no_clone(errnum)) {
        bytes = left < COPY_BYTES ? left : COPY_BYTES;
        copier->written_bytes = 0;
        errnum = tgt_file_equalize(copier, pair->destination.fd, pair->fd, p->offset, bytes);
        p->written_bytes += copier->written_bytes;
    }
    if (errnum == 0) {
        p->offset += bytes;
        p->done_bytes += bytes;
    }
    return errnum;
}

static int sync_file(int fd)
{
    return fdatasync(fd) == 0 ? 0 : errno;
}

/* The head from its end: what stands in the first block makes a disk out of the rest, and is
 * written when all of that is durable. */
static int copy_head(struct tgt_copier *copier, const struct tgt_pair *pair)
{
    int fd = pair->destination.fd;
    int errnum = 0;
    for (uint64_t end = pair->from; errnum == 0 && end > FIRST_BYTES;) {
        uint64_t bytes = end - FIRST_BYTES < HEAD_BYTES ? end - FIRST_BYTES : HEAD_BYTES;
        end -= bytes;
        errnum = tgt_file_equalize(copier, fd, pair->fd, end, bytes);
    }
    if (errnum == 0) {
        errnum = sync_file(fd);
    }
    uint64_t first = pair->from < FIRST_BYTES ? pair->from : FIRST_BYTES;
    return errnum == 0 ? tgt_file_equalize(copier, fd, pair->fd, 0, first) : errnum;
}

/* The tail first: a label counts from its head, so that comes last of all. */
static int copy_edges(struct tgt_copier *copier, const struct tgt_pair *pair, struct progress *p)
{
    int fd = pair->destination.fd;
    uint64_t bytes = pair->copy.bytes;
    int errnum = 0;
    if (pair->to < bytes) {
        errnum = tgt_file_equalize(copier, fd, pair->fd, pair->to, bytes - pair->to);
    }
    if (errnum == 0) {
        errnum = sync_file(fd);
    }
    if (errnum == 0) {
        errnum = copy_head(copier, pair);
    }
    if (errnum == 0) {
        errnum = sync_file(fd);
    }
    p->done_bytes += bytes - (pair->to - pair->from);
    return errnum;
}

/* One step: a piece, the end of a body, or the edges of one LUN. */
static int step(struct tgt_copier *copier, const struct tgt_pair *pairs, uint32_t count,
                struct progress *p)
{
    int errnum = 0;
    if (p->phase == PHASE_BODY && p->lun == count) {
        p->phase = PHASE_EDGES;
        p->lun = 0;
    } else if (p->phase == PHASE_BODY && p->offset < pairs[p->lun].to) {
        errnum = copy_piece(copier, &pairs[p->lun], p);
    } else if (p->phase == PHASE_BODY) {
        errnum = sync_file(pairs[p->lun].destination.fd);
        p->lun++;
        p->offset = p->lun < count ? pairs[p->lun].from : 0;
    } else if (p->lun < count) {
        errnum = copy_edges(copier, &pairs[p->lun], p);
        p->lun++;
    } else {
        p->phase = PHASE_DONE;
    }
    return errnum;
}

static HRESULT work(const struct tgt *t, const struct tgt_pair *pairs, uint32_t count,
                    struct progress *p)
{
    struct tgt_copier copier;
    HRESULT hr = tgt_copier_init(t, &copier);
    uint64_t deadline_us = tgt_now_us() + SLICE_US;
    while (SUCCEEDED(hr) && p->phase != PHASE_DONE && tgt_now_us() < deadline_us) {
        uint64_t lun = p->lun < count ? p->lun : 0;
        int errnum = step(&copier, pairs, count, p);
        if (errnum != 0) {
            hr = tgt_fail_errno(t, errnum, "%s: copying %s over %s at byte %ju", pairs[lun].name,
                                pairs[lun].copy.file, pairs[lun].destination.lun->path,
                                (uintmax_t)p->offset);
        }
    }
    return hr;
}

static HRESULT describe_method(const struct tgt *t, const struct tgt_pair *pairs, uint32_t count,
                               const struct progress *p, char **out)
{
    uint64_t extents = 0;
    for (uint32_t i = 0; i < count; i++) {
        extents += pairs[i].extents;
    }
    if (p->cloned_bytes > 0) {
        *out = tgt_text(t, "reflink, %ju extents", (uintmax_t)extents);
    } else {
        *out = tgt_text(t, "compared and copied, %ju of %ju bytes written",
                        (uintmax_t)p->written_bytes, (uintmax_t)total_bytes(pairs, count));
    }
    return *out ? S_OK : E_OUTOFMEMORY;
}

/* Destinations have the size of their copies since the start. */
static HRESULT check_sizes(const struct tgt *t, const struct tgt_pair *pairs, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if ((uint64_t)pairs[i].destination.stat.st_size != pairs[i].copy.bytes) {
            return tgt_fail(t, VSS_E_PROVIDER_VETO,
                            "destination %s changed its size during the resync; start it again",
                            pairs[i].name);
        }
    }
    return S_OK;
}

HRESULT tgt_resync_poll(void *self, const struct vss_call *call, const void *in, void *out)
{
    (void)self;
    const struct vss_resync_in *resync = in;
    struct vss_resync_out *o = out;
    struct tgt t;
    struct tgt_view view;
    struct tgt_pair *pairs = NULL;
    struct progress progress = {0};
    HRESULT hr = tgt_begin(call, &t);
    if (SUCCEEDED(hr)) {
        hr = tgt_pairs_open(&t, resync->luns, resync->lun_count, O_RDWR, &view, &pairs);
    }
    if (!pairs) {
        return hr;
    }
    if (SUCCEEDED(hr)) {
        hr = check_sizes(&t, pairs, resync->lun_count);
    }
    if (SUCCEEDED(hr)) {
        hr = read_progress(&t, resync, pairs, &progress);
    }
    if (SUCCEEDED(hr)) {
        count_extents(pairs, resync->lun_count);
        hr = work(&t, pairs, resync->lun_count, &progress);
    }
    if (SUCCEEDED(hr)) {
        hr = describe_method(&t, pairs, resync->lun_count, &progress, &o->method);
    }
    if (SUCCEEDED(hr)) {
        hr = write_progress(&t, &progress, &o->state);
    }
    if (SUCCEEDED(hr)) {
        o->is_done = progress.phase == PHASE_DONE;
        o->bytes_total = total_bytes(pairs, resync->lun_count);
        o->bytes_done = progress.done_bytes;
    }
    tgt_pairs_close(pairs, resync->lun_count);
    return hr;
}

/* Work is done inside of polls only: without further ones it has stopped. The destinations stay
 * without labels, as they have been since the start. */
HRESULT tgt_resync_cancel(void *self, const struct vss_call *call, const void *in, void *out)
{
    (void)self;
    const struct vss_resync_in *resync = in;
    struct vss_resync_out *o = out;
    struct tgt t;
    HRESULT hr = tgt_begin(call, &t);
    if (SUCCEEDED(hr)) {
        o->state = resync->state;
    }
    return hr;
}
