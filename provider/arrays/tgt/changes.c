/* SPDX-License-Identifier: Apache-2.0 */
/* ListChanges: a copy that was made by sharing blocks differs from its original where they share
 * none any more, and the filesystem knows where that is. */
#include "extents.h"
#include "pair.h"

#include <errno.h>
#include <fcntl.h>

/* The bytes that both files have in common from `at` on are the same. */
static bool is_same(const struct tgt_piece *a, const struct tgt_piece *b, uint64_t at)
{
    if (a->kind == TGT_PIECE_SHARED && b->kind == TGT_PIECE_SHARED) {
        return a->physical + (at - a->begin) == b->physical + (at - b->begin);
    }
    return a->kind == TGT_PIECE_ZERO && b->kind == TGT_PIECE_ZERO;
}

/* False: there is no room for another one. */
static bool add(const struct vss_changes_in *in, struct vss_changes_out *out, uint64_t begin,
                uint64_t end)
{
    struct vss_extent *last = out->extent_count ? &out->extents[out->extent_count - 1] : NULL;
    if (last && last->offset + last->bytes == begin) {
        last->bytes += end - begin;
        return true;
    }
    if (out->extent_count == in->extent_max) {
        return false;
    }
    out->extents[out->extent_count++] = (struct vss_extent){begin, end - begin};
    return true;
}

/* Both maps side by side. 0 or errno. */
static int compare(const struct tgt *t, const struct tgt_pair *pair,
                   const struct vss_changes_in *in, struct vss_changes_out *out)
{
    struct tgt_extents *copy = NULL;
    struct tgt_extents *destination = NULL;
    struct tgt_piece a = {0};
    struct tgt_piece b = {0};
    uint64_t at = in->from_byte;
    int errnum = tgt_extents_open(t, pair->fd, at, pair->copy.bytes, &copy);
    if (errnum == 0) {
        errnum = tgt_extents_open(t, pair->destination.fd, at, pair->copy.bytes, &destination);
    }
    a.end = b.end = at;
    while (errnum == 0 && at < pair->copy.bytes) {
        if (a.end == at) {
            errnum = tgt_extents_next(copy, &a);
        }
        if (errnum == 0 && b.end == at) {
            errnum = tgt_extents_next(destination, &b);
        }
        uint64_t end = a.end < b.end ? a.end : b.end;
        if (errnum != 0 || (!is_same(&a, &b, at) && !add(in, out, at, end))) {
            break;
        }
        at = end;
    }
    out->next_byte = at;
    return errnum;
}

static HRESULT list(const struct tgt *t, const struct tgt_pair *pair,
                    const struct vss_changes_in *in, struct vss_changes_out *out)
{
    out->extents = tgt_alloc(t, in->extent_max * sizeof(*out->extents));
    if (!out->extents) {
        return E_OUTOFMEMORY;
    }
    int errnum = compare(t, pair, in, out);
    if (errnum == EOPNOTSUPP || errnum == ENOTTY) {
        return S_OK; /* a filesystem without maps: is_known stays 0 */
    }
    if (errnum != 0) {
        return tgt_fail_errno(t, errnum, "%s: the maps of %s and %s cannot be compared", pair->name,
                              pair->copy.file, pair->destination.lun->path);
    }
    out->is_known = 1;
    return S_OK;
}

/* Whether an address means the same in both files. */
static HRESULT has_one_device(const struct tgt *t, const struct tgt_pair *pair)
{
    struct stat copy;
    if (fstat(pair->fd, &copy) != 0) {
        return tgt_fail_errno(t, errno, "%s", pair->copy.file);
    }
    return copy.st_dev == pair->destination.stat.st_dev ? S_OK : S_FALSE;
}

HRESULT tgt_list_changes(void *self, const struct vss_call *call, const void *in, void *out)
{
    (void)self;
    const struct vss_changes_in *i = in;
    struct tgt t;
    struct tgt_view view;
    struct tgt_pair *pair = NULL;
    HRESULT hr = tgt_begin(call, &t);
    if (SUCCEEDED(hr) && (i->extent_max < 1 || i->extent_max > VSS_PROVIDER_EXTENTS_MAX)) {
        hr = tgt_fail(&t, E_INVALIDARG, "a list of %u extents at a time", i->extent_max);
    }
    if (SUCCEEDED(hr)) {
        hr = tgt_pairs_open(&t, i->lun, 1, O_RDONLY, &view, &pair);
    }
    if (SUCCEEDED(hr) && i->from_byte >= pair->copy.bytes) {
        hr = tgt_fail(&t, E_INVALIDARG, "changes from byte %ju of %ju on", (uintmax_t)i->from_byte,
                      (uintmax_t)pair->copy.bytes);
    }
    if (SUCCEEDED(hr)) {
        hr = has_one_device(&t, pair);
    }
    if (hr == S_OK) {
        hr = list(&t, pair, i, out);
    }
    if (pair) {
        tgt_pairs_close(pair, 1);
    }
    return SUCCEEDED(hr) ? S_OK : hr;
}
