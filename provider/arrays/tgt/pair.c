/* SPDX-License-Identifier: Apache-2.0 */
#include "pair.h"

#include "daemon.h"
#include "file.h"
#include "identity.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define EDGE_BYTES_LIMIT (1ull << 30)

void tgt_pairs_close(struct tgt_pair *pairs, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (pairs[i].fd >= 0) {
            (void)close(pairs[i].fd);
        }
        tgt_original_close(&pairs[i].destination);
    }
}

/* The copy: as remembered, as the host knows it, and as tgtd shows it where it does. */
static HRESULT open_copy(const struct tgt *t, pid_t pid, const struct tgt_view *view,
                         const struct vss_resync_lun *in, struct tgt_pair *pair)
{
    struct tgt_copy_state *s = &pair->copy;
    const char *name = tgt_identity_name(t, NULL, &in->snapshot);
    const struct tgt_lun *lun = NULL;
    struct stat st;
    HRESULT hr = tgt_state_read(t, &in->snapshot_state, NULL, name, s);
    if (FAILED(hr)) {
        return hr;
    }
    if (!tgt_identity_matches(&in->snapshot, s->scsi_id, s->serial) || !s->is_cut || s->cut) {
        return tgt_fail(t, VSS_E_PROVIDER_VETO,
                        "%s: what is remembered is of another copy, or of "
                        "one that was never finished",
                        name);
    }
    hr = tgt_identity_find(t, view, &in->snapshot, &lun);
    if (SUCCEEDED(hr) && lun && strcmp(lun->path, s->file) != 0) {
        hr = tgt_fail(t, VSS_E_PROVIDER_VETO, "the copy %s is shown from %s instead of %s", name,
                      lun->path, s->file);
    }
    if (SUCCEEDED(hr) && lstat(s->file, &st) != 0 && errno == ENOENT) {
        hr = tgt_fail(t, VSS_E_OBJECT_NOT_FOUND, "the copy %s (%s) is gone", name, s->file);
    }
    if (SUCCEEDED(hr)) {
        hr = tgt_file_open(t, s->file, O_RDONLY | O_NOFOLLOW, &pair->fd, &st);
    }
    if (SUCCEEDED(hr) && lun) {
        hr = tgt_daemon_check_file(t, pid, &st, s->file);
    }
    if (SUCCEEDED(hr) && (uint64_t)st.st_size != s->bytes) {
        hr = tgt_fail(t, VSS_E_PROVIDER_VETO, "the copy %s (%s) is %jd bytes long instead of %ju",
                      name, s->file, (intmax_t)st.st_size, (uintmax_t)s->bytes);
    }
    return hr;
}

static HRESULT open_destination(const struct tgt *t, pid_t pid, const struct tgt_view *view,
                                const struct vss_resync_lun *in, int flags, struct tgt_pair *pair)
{
    const struct tgt_lun *lun = NULL;
    struct stat copy;
    pair->name = tgt_identity_name(t, NULL, &in->destination);
    HRESULT hr = tgt_identity_find(t, view, &in->destination, &lun);
    if (FAILED(hr)) {
        return hr;
    }
    if (!lun) {
        return tgt_fail(t, VSS_E_OBJECT_NOT_FOUND, "destination %s is not among the LUNs of tgtd",
                        pair->name);
    }
    hr = tgt_original_open(t, pid, lun, flags, pair->name, &pair->destination);
    if (FAILED(hr)) {
        return hr;
    }
    const struct stat *st = &pair->destination.stat;
    if (fstat(pair->fd, &copy) != 0 || (copy.st_dev == st->st_dev && copy.st_ino == st->st_ino)) {
        return tgt_fail(t, VSS_E_PROVIDER_VETO, "destination %s is the copy itself", pair->name);
    }
    if (lun->block_bytes != pair->copy.block_bytes) {
        return tgt_fail(t, VSS_E_PROVIDER_VETO,
                        "destination %s has blocks of %u bytes, the copy of %u: choose another",
                        pair->name, lun->block_bytes, pair->copy.block_bytes);
    }
    if ((uint64_t)st->st_size < pair->copy.bytes) {
        return tgt_fail(
            t, VSS_E_PROVIDER_VETO,
            "destination %s has %jd bytes, the copy %ju: choose one that is not smaller",
            pair->name, (intmax_t)st->st_size, (uintmax_t)pair->copy.bytes);
    }
    return S_OK;
}

/* Where the body lies. */
static HRESULT measure(const struct tgt *t, const struct vss_resync_lun *in, struct tgt_pair *pair)
{
    if (in->edge_bytes > EDGE_BYTES_LIMIT) {
        return tgt_fail(t, E_INVALIDARG, "edges of %ju bytes", (uintmax_t)in->edge_bytes);
    }
    uint64_t block =
        pair->destination.stat.st_blksize > 0 ? (uint64_t)pair->destination.stat.st_blksize : 4096;
    uint64_t bytes = pair->copy.bytes;
    pair->edge_bytes = in->edge_bytes;
    pair->from = (in->edge_bytes + block - 1) / block * block;
    pair->to = bytes > in->edge_bytes ? (bytes - in->edge_bytes) / block * block : 0;
    if (pair->from >= pair->to) {
        pair->from = pair->to = bytes; /* no body: all of it is edge */
    }
    return S_OK;
}

static HRESULT check_distinct(const struct tgt *t, const struct tgt_pair *pairs, uint32_t index)
{
    for (uint32_t i = 0; i < index; i++) {
        const struct stat *a = &pairs[i].destination.stat;
        const struct stat *b = &pairs[index].destination.stat;
        if (a->st_dev == b->st_dev && a->st_ino == b->st_ino) {
            return tgt_fail(t, E_INVALIDARG, "%s is the destination of two copies", pairs[i].name);
        }
    }
    return S_OK;
}

HRESULT tgt_pairs_open(const struct tgt *t, const struct vss_resync_lun *luns, uint32_t count,
                       int flags, struct tgt_view *view, struct tgt_pair **out)
{
    *out = NULL;
    if (count == 0 || !luns) {
        return tgt_fail(t, E_INVALIDARG, "a resync without LUNs");
    }
    struct tgt_pair *pairs = tgt_alloc(t, count * sizeof(*pairs));
    if (!pairs) {
        return E_OUTOFMEMORY;
    }
    for (uint32_t i = 0; i < count; i++) {
        pairs[i].fd = -1;
        pairs[i].destination.fd = -1;
    }
    *out = pairs;
    pid_t pid = 0;
    HRESULT hr = tgt_daemon_find(t, &pid);
    if (SUCCEEDED(hr)) {
        hr = tgt_show(t, view);
    }
    for (uint32_t i = 0; SUCCEEDED(hr) && i < count; i++) {
        hr = open_copy(t, pid, view, &luns[i], &pairs[i]);
        if (SUCCEEDED(hr)) {
            hr = open_destination(t, pid, view, &luns[i], flags, &pairs[i]);
        }
        if (SUCCEEDED(hr)) {
            hr = check_distinct(t, pairs, i);
        }
        if (SUCCEEDED(hr)) {
            hr = measure(t, &luns[i], &pairs[i]);
        }
    }
    return hr;
}
