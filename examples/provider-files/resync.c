/* SPDX-License-Identifier: CC0-1.0 */
/* ResyncLuns: in pieces, one for each poll; the ends of every disk, which carry its labels, last of
 * all. */
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define POLL_BYTES  (64u << 20)
#define FIRST_BYTES 4096u

struct pair {
    int from;
    int to;
    uint64_t bytes;
    uint64_t head; /* where the body begins */
    uint64_t tail; /* and ends */
    const char *path;
};

static HRESULT open_pair(const struct files *f, const struct files_view *view,
                         const struct vss_resync_lun *lun, struct pair *p)
{
    struct files_copy_state copy;
    struct stat from_st;
    struct stat to_st;
    HRESULT hr = files_copy_read(f, &lun->snapshot_state, &copy);
    const struct files_lun *served = files_find(view, &lun->destination);
    if (SUCCEEDED(hr) && !served) {
        hr = files_fail(f, VSS_E_OBJECT_NOT_FOUND, "a destination is not served by this tgtd");
    }
    if (SUCCEEDED(hr) && access(copy.path, F_OK) != 0 && errno == ENOENT) {
        hr = files_fail(f, VSS_E_OBJECT_NOT_FOUND, "%s, a copy, is gone", copy.path);
    }
    if (SUCCEEDED(hr)) {
        hr = files_open(f, copy.path, O_RDONLY, &p->from, &from_st);
    }
    if (SUCCEEDED(hr)) {
        hr = files_open(f, served->path, O_RDWR, &p->to, &to_st);
    }
    if (FAILED(hr)) {
        return hr;
    }
    if (from_st.st_ino == to_st.st_ino || from_st.st_size != to_st.st_size ||
        served->block_bytes != copy.block_bytes) {
        return files_fail(f, VSS_E_PROVIDER_VETO,
                          "%s is not of the same size and block size as the copy", served->path);
    }
    p->path = served->path;
    p->bytes = (uint64_t)to_st.st_size;
    p->head = lun->edge_bytes < p->bytes / 2 ? lun->edge_bytes : p->bytes / 2;
    p->tail = p->bytes - p->head;
    return S_OK;
}

static void close_pair(struct pair *p)
{
    if (p->from >= 0) {
        (void)close(p->from);
    }
    if (p->to >= 0) {
        (void)close(p->to);
    }
}

static HRESULT write_back(const struct files *f, const struct pair *p)
{
    return fdatasync(p->to) == 0 ? S_OK : files_fail_errno(f, "cannot write back", p->path);
}

/* When the body is durable. The first block is what makes a disk of the rest, so it waits until
 * that is durable too. */
static HRESULT copy_edges(const struct files *f, const struct pair *p)
{
    uint64_t first = p->head < FIRST_BYTES ? p->head : FIRST_BYTES;
    HRESULT hr = write_back(f, p);
    if (SUCCEEDED(hr)) {
        hr = files_copy(f, p->from, p->to, p->tail, p->bytes, p->path);
    }
    if (SUCCEEDED(hr)) {
        hr = files_copy(f, p->from, p->to, first, p->head, p->path);
    }
    if (SUCCEEDED(hr)) {
        hr = write_back(f, p);
    }
    if (SUCCEEDED(hr)) {
        hr = files_copy(f, p->from, p->to, 0, first, p->path);
    }
    return SUCCEEDED(hr) ? write_back(f, p) : hr;
}

/* Goes on at done, which counts the bytes of all bodies, for one piece. */
static HRESULT copy_bodies(const struct files *f, const struct pair *pairs, uint32_t count,
                           uint64_t *done)
{
    uint64_t passed = 0;
    uint64_t room = POLL_BYTES;
    HRESULT hr = S_OK;
    for (uint32_t i = 0; SUCCEEDED(hr) && i < count && room > 0; i++) {
        uint64_t body = pairs[i].tail - pairs[i].head;
        if (*done < passed + body) {
            uint64_t at = *done - passed;
            uint64_t piece = body - at < room ? body - at : room;
            hr = files_copy(f, pairs[i].from, pairs[i].to, pairs[i].head + at,
                            pairs[i].head + at + piece, pairs[i].path);
            *done += piece;
            room -= piece;
        }
        passed += body;
    }
    return hr;
}

static HRESULT go_on(const struct files *f, const struct vss_resync_in *in, struct pair *pairs,
                     uint64_t done, struct vss_resync_out *out)
{
    uint64_t bodies = 0;
    for (uint32_t i = 0; i < in->lun_count; i++) {
        bodies += pairs[i].tail - pairs[i].head;
        out->bytes_total += pairs[i].bytes;
    }
    HRESULT hr = done <= bodies ? copy_bodies(f, pairs, in->lun_count, &done)
                                : files_fail(f, E_INVALIDARG, "a state of another resync");
    bool is_last = SUCCEEDED(hr) && done == bodies;
    for (uint32_t i = 0; SUCCEEDED(hr) && is_last && i < in->lun_count; i++) {
        hr = copy_edges(f, &pairs[i]);
    }
    char *state = files_text(f, "%llu", (unsigned long long)done);
    out->method = files_text(f, "copied file to file");
    if (SUCCEEDED(hr) && (!state || !out->method)) {
        hr = E_OUTOFMEMORY;
    }
    if (SUCCEEDED(hr)) {
        out->state.data = (const uint8_t *)state;
        out->state.bytes = (uint32_t)strlen(state);
        out->is_done = is_last;
        out->bytes_done = is_last ? out->bytes_total : done;
    }
    return hr;
}

/* start and poll: start is the first piece. */
HRESULT files_resync(void *self, const struct vss_call *call, const void *in, void *out)
{
    (void)self;
    const struct vss_resync_in *i = in;
    struct files_view view;
    struct files f;
    char text[24] = "0";
    HRESULT hr = files_begin(call, &f);
    if (SUCCEEDED(hr)) {
        hr = files_show(&f, &view);
    }
    if (FAILED(hr)) {
        return hr;
    }
    struct pair *pairs = files_alloc(&f, i->lun_count * sizeof(*pairs));
    if (!pairs || i->state.bytes >= sizeof(text)) {
        return pairs ? E_INVALIDARG : E_OUTOFMEMORY;
    }
    if (i->state.data) {
        memcpy(text, i->state.data, i->state.bytes);
        text[i->state.bytes] = '\0';
    }
    for (uint32_t n = 0; n < i->lun_count; n++) {
        pairs[n].from = pairs[n].to = -1;
    }
    for (uint32_t n = 0; SUCCEEDED(hr) && n < i->lun_count; n++) {
        hr = open_pair(&f, &view, &i->luns[n], &pairs[n]);
    }
    if (SUCCEEDED(hr)) {
        hr = go_on(&f, i, pairs, strtoull(text, NULL, 10), out);
    }
    for (uint32_t n = 0; n < i->lun_count; n++) {
        close_pair(&pairs[n]);
    }
    return hr;
}
