/* SPDX-License-Identifier: Apache-2.0 */
/* BeginPrepareSnapshot, EndPrepareSnapshots, PreCommitSnapshots: everything that may take long, and
 * the decision whether the hold can be short enough. */
#include "daemon.h"
#include "file.h"
#include "identity.h"
#include "original.h"
#include "set.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* Longest foreseen time to finish full copies after the hold: writers stay frozen meanwhile. */
#define FINISH_MS_MAX 30000u

/* What a clone may need for itself: its own extent list and the counts of shared blocks. */
#define CLONE_BASE_BYTES   (4u << 20)
#define CLONE_EXTENT_BYTES 128u

/* Nothing is begun before the whole set is known; a set that never comes so far leaves nothing. */
HRESULT tgt_begin_prepare(void *self, const struct vss_call *call, const void *in, void *out)
{
    (void)out;
    struct vss_supported_out supported = {.struct_size = sizeof(supported)};
    HRESULT hr = tgt_are_luns_supported(self, call, in, &supported);
    if (SUCCEEDED(hr) && !supported.is_supported) {
        struct tgt t;
        hr = tgt_begin(call, &t);
        return FAILED(hr)
                   ? hr
                   : tgt_fail(&t, VSS_E_PROVIDER_VETO,
                              "[array %s] cannot copy the LUNs of this volume now", call->array);
    }
    return hr;
}

static HRESULT check_space(const struct tgt *t, const struct tgt_original *original,
                           enum tgt_mode mode, const char *name)
{
    struct statvfs fs;
    uint64_t extents = 0;
    if (statvfs(original->directory, &fs) != 0) {
        return tgt_fail_errno(t, errno, "%s: free space of %s", name, original->directory);
    }
    int errnum = mode == TGT_MODE_HELD ? 0 : tgt_file_extents(original->fd, &extents);
    if (errnum != 0) {
        return tgt_fail_errno(t, errnum, "%s: extents of %s", name, original->lun->path);
    }
    uint64_t needed = mode == TGT_MODE_HELD ? 0 : CLONE_BASE_BYTES + extents * CLONE_EXTENT_BYTES;
    if (mode != TGT_MODE_CLONE) {
        needed += (uint64_t)original->stat.st_blocks * 512;
    }
    uint64_t available = (uint64_t)fs.f_bavail * fs.f_frsize;
    if (available < needed) {
        return tgt_fail(
            t, VSS_E_INSUFFICIENT_STORAGE, "%s: its copy needs %ju MiB in %s, %ju MiB are free",
            name, (uintmax_t)(needed >> 20), original->directory, (uintmax_t)(available >> 20));
    }
    return S_OK;
}

static HRESULT describe_copy(const struct tgt *t, const struct tgt_original *original,
                             struct tgt_copy_state *s)
{
    const struct tgt_lun *lun = original->lun;
    s->file = tgt_copy_path(t, original->directory, s->set, s->number, TGT_COPY_SUFFIX);
    s->cut = NULL;
    if (s->mode == TGT_MODE_PLEX) {
        s->cut = tgt_copy_path(t, original->directory, s->set, s->number, TGT_CUT_SUFFIX);
    }
    s->source = lun->path;
    s->source_dev = original->stat.st_dev;
    s->source_inode = original->stat.st_ino;
    s->bytes = (uint64_t)original->stat.st_size;
    s->scsi_id = tgt_identity_new_scsi_id(t);
    s->serial = tgt_identity_new_serial(t);
    s->target = tgt_text(t, "%s.%s", t->copies, s->set);
    s->block_bytes = lun->block_bytes;
    s->bstype = lun->bstype;
    s->flags = lun->flags;
    s->is_thin = lun->is_thin;
    bool has_all =
        s->file && s->scsi_id && s->serial && s->target && (s->cut || s->mode != TGT_MODE_PLEX);
    return has_all ? S_OK : E_OUTOFMEMORY;
}

/* Copies the bulk while I/O goes on, then once more what changed meanwhile: the second pass is
 * short, and its time is what the last one will take. */
static HRESULT copy_ahead(const struct tgt *t, const struct tgt_original *original, int fd,
                          struct tgt_copy_state *s, const char *name)
{
    struct tgt_copier copier;
    HRESULT hr = tgt_copier_init(t, &copier);
    if (FAILED(hr)) {
        return hr;
    }
    for (int pass = 0; pass < 2; pass++) {
        uint64_t started_us = tgt_now_us();
        int errnum = tgt_file_equalize(&copier, fd, original->fd, 0, s->bytes);
        if (errnum != 0) {
            return tgt_fail_errno(t, errnum, "%s: copying %s to %s", name, s->source, s->file);
        }
        s->finish_us = tgt_now_us() - started_us;
        if (pass == 0 && fdatasync(fd) != 0) {
            return tgt_fail_errno(t, errno, "%s: writing %s", name, s->file);
        }
    }
    return S_OK;
}

static HRESULT make_files(const struct tgt *t, const struct tgt_original *original,
                          struct tgt_copy_state *s, const char *name)
{
    int fd = -1;
    int cut_fd = -1;
    HRESULT hr = tgt_file_create(t, s->file, s->mode == TGT_MODE_CLONE ? 0 : s->bytes, &fd);
    if (FAILED(hr)) {
        return hr;
    }
    if (s->cut) {
        hr = tgt_file_create(t, s->cut, 0, &cut_fd);
    }
    bool has_cut = cut_fd >= 0;
    if (SUCCEEDED(hr) && s->mode != TGT_MODE_CLONE) {
        hr = copy_ahead(t, original, fd, s, name);
    }
    (void)close(fd);
    if (has_cut) {
        (void)close(cut_fd);
    }
    if (FAILED(hr)) {
        (void)unlink(s->file);
        if (has_cut) {
            (void)unlink(s->cut);
        }
    }
    return hr;
}

static HRESULT prepare_one(const struct tgt *t, pid_t pid, const struct tgt_view *view,
                           const struct vss_set_in *in, uint32_t i, struct tgt_copy_state *s)
{
    const char *name = tgt_set_name(t, in, i);
    const struct tgt_lun *lun = NULL;
    HRESULT hr = tgt_identity_find(t, view, &in->luns[i].source, &lun);
    if (FAILED(hr)) {
        return hr;
    }
    if (!lun) {
        return tgt_fail(t, VSS_E_OBJECT_NOT_FOUND, "%s is not among the LUNs of tgtd any more",
                        name);
    }
    struct tgt_original original;
    hr = tgt_original_open(t, pid, lun, O_RDONLY, name, &original);
    if (FAILED(hr)) {
        return hr;
    }
    (void)tgt_id_text(&in->set_id, s->set);
    s->number = i + 1;
    hr = tgt_choose_mode(t, &original, in->context, name, &s->mode);
    if (hr == S_FALSE) {
        hr = tgt_fail(t, VSS_E_PROVIDER_VETO, "%s cannot be copied in the way that is asked", name);
    }
    if (SUCCEEDED(hr)) {
        hr = check_space(t, &original, s->mode, name);
    }
    if (SUCCEEDED(hr)) {
        hr = describe_copy(t, &original, s);
    }
    if (SUCCEEDED(hr)) {
        hr = make_files(t, &original, s, name);
    }
    tgt_original_close(&original);
    return hr;
}

HRESULT tgt_end_prepare(void *self, const struct vss_call *call, const void *in, void *out)
{
    (void)self;
    const struct vss_set_in *set = in;
    struct tgt t;
    pid_t pid = 0;
    struct tgt_view view;
    uint32_t made = 0;
    HRESULT hr = tgt_begin(call, &t);
    if (FAILED(hr)) {
        return hr;
    }
    if (set->lun_count == 0 || !set->luns || set->lun_count > 16383) {
        return tgt_fail(&t, E_INVALIDARG, "a set of %u LUNs", set->lun_count);
    }
    struct tgt_copy_state *states = tgt_alloc(&t, set->lun_count * sizeof(*states));
    if (!states) {
        return E_OUTOFMEMORY;
    }
    hr = tgt_daemon_find(&t, &pid);
    if (SUCCEEDED(hr)) {
        hr = tgt_show(&t, &view);
    }
    while (SUCCEEDED(hr) && made < set->lun_count) {
        hr = prepare_one(&t, pid, &view, set, made, &states[made]);
        made += SUCCEEDED(hr) ? 1 : 0;
    }
    if (SUCCEEDED(hr)) {
        hr = tgt_set_write(&t, states, set->lun_count, out);
    }
    for (uint32_t i = 0; FAILED(hr) && i < made; i++) {
        (void)tgt_set_remove_files(&t, &states[i]);
    }
    return hr;
}

/* ---- PreCommit */

static bool is_of_set(const struct tgt_lun *lun, const struct tgt_copy_state *states,
                      uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(lun->path, states[i].source) == 0) {
            return true;
        }
    }
    /* Copies are this plug-in's own, whichever set they came from. */
    return tgt_path_is_copy(lun->path, NULL);
}

static bool is_foreign(const struct tgt_target *target, const struct tgt_copy_state *states,
                       uint32_t count)
{
    for (const struct tgt_lun *lun = target->luns; lun; lun = lun->next) {
        if (tgt_lun_is_disk(lun) && !is_of_set(lun, states, count)) {
            return true;
        }
    }
    return false;
}

/* Stopping tgtd stops everything that it serves: who did not agree to that must not notice. */
static HRESULT check_foreign(const struct tgt *t, const struct tgt_view *view,
                             const struct tgt_copy_state *states, uint32_t count)
{
    const char *names = NULL;
    for (const struct tgt_target *target = view->targets; target; target = target->next) {
        if (!t->allow_hold && is_foreign(target, states, count)) {
            names = names ? tgt_text(t, "%s, %s", names, target->name) : target->name;
            if (!names) {
                return E_OUTOFMEMORY;
            }
        }
    }
    if (!names) {
        return S_OK;
    }
    return tgt_fail(t, VSS_E_PROVIDER_VETO,
                    "tgtd serves LUNs outside of this set, which would be stopped too: targets %s; "
                    "set allow_hold = yes in [array %s] to accept that",
                    names, t->call->array);
}

/* The source is opened, and still is the file that was prepared. */
static HRESULT reopen_source(const struct tgt *t, pid_t pid, const struct tgt_view *view,
                             const struct vss_set_in *in, uint32_t i,
                             const struct tgt_copy_state *s, struct tgt_original *out)
{
    const char *name = tgt_set_name(t, in, i);
    const struct tgt_lun *lun = NULL;
    HRESULT hr = tgt_identity_find(t, view, &in->luns[i].source, &lun);
    if (FAILED(hr)) {
        return hr;
    }
    if (!lun || strcmp(lun->path, s->source) != 0) {
        return tgt_fail(t, VSS_E_OBJECT_NOT_FOUND,
                        "%s is not served from %s any more; was tgtd started anew?", name,
                        s->source);
    }
    hr = tgt_original_open(t, pid, lun, O_RDONLY, name, out);
    if (FAILED(hr)) {
        return hr;
    }
    if (out->stat.st_dev != s->source_dev || out->stat.st_ino != s->source_inode ||
        (uint64_t)out->stat.st_size != s->bytes) {
        tgt_original_close(out);
        return tgt_fail(t, VSS_E_PROVIDER_VETO,
                        "%s: %s was replaced or changed its size since the set was prepared", name,
                        s->source);
    }
    return S_OK;
}

/* Brings a copy that is finished under the hold up to now and measures how long that takes. */
static HRESULT catch_up(const struct tgt *t, const struct tgt_original *original,
                        struct tgt_copy_state *s, const char *name)
{
    int fd = -1;
    struct stat st;
    struct tgt_copier copier;
    HRESULT hr = tgt_file_open(t, s->file, O_RDWR | O_NOFOLLOW, &fd, &st);
    if (SUCCEEDED(hr)) {
        hr = tgt_copier_init(t, &copier);
    }
    if (SUCCEEDED(hr)) {
        uint64_t started_us = tgt_now_us();
        int errnum = tgt_file_equalize(&copier, fd, original->fd, 0, s->bytes);
        s->finish_us = tgt_now_us() - started_us;
        if (errnum == 0 && fdatasync(fd) != 0) {
            errnum = errno;
        }
        hr = errnum == 0
                 ? S_OK
                 : tgt_fail_errno(t, errnum, "%s: copying %s to %s", name, s->source, s->file);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return hr;
}

static HRESULT flush_sources(const struct tgt *t, const struct tgt_original *originals,
                             uint32_t count)
{
    /* Under load the first flush takes what gathered, the second the little that came meanwhile. */
    for (uint32_t i = 0; i < 2 * count; i++) {
        if (fdatasync(originals[i % count].fd) != 0) {
            return tgt_fail_errno(t, errno, "%s cannot be flushed", originals[i % count].lun->path);
        }
    }
    return S_OK;
}

/* The foreseen length of the hold and of what follows it, against the limits. */
static HRESULT check_times(const struct tgt *t, const struct tgt_original *originals,
                           const struct tgt_copy_state *states, uint32_t count)
{
    uint64_t extents = 0;
    uint64_t hold_us = 0;
    uint64_t finish_us = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t n = 0;
        if (states[i].mode == TGT_MODE_HELD) {
            hold_us += states[i].finish_us;
            continue;
        }
        int errnum = tgt_file_extents(originals[i].fd, &n);
        if (errnum != 0) {
            return tgt_fail_errno(t, errnum, "extents of %s", states[i].source);
        }
        extents += n;
        finish_us += states[i].mode == TGT_MODE_PLEX ? states[i].finish_us : 0;
    }
    hold_us += extents * t->extent_cost_us;
    if (hold_us > t->max_hold_ms * 1000ull) {
        return tgt_fail(t, VSS_E_PROVIDER_VETO,
                        "I/O would be held for %ju ms (%u LUNs, %ju extents at %u us), max_hold_ms "
                        "of [array %s] is %u: raise it, or copy the backing files to new ones with "
                        "fewer extents",
                        (uintmax_t)(hold_us / 1000), count, (uintmax_t)extents, t->extent_cost_us,
                        t->call->array, t->max_hold_ms);
    }
    if (finish_us > FINISH_MS_MAX * 1000ull) {
        return tgt_fail(t, VSS_E_PROVIDER_VETO,
                        "finishing full copies would take %ju s with the writers frozen, the limit "
                        "is %u s: ask for DIFFERENTIAL copies or for fewer LUNs at once",
                        (uintmax_t)(finish_us / 1000000), FINISH_MS_MAX / 1000);
    }
    return S_OK;
}

static HRESULT get_ready(const struct tgt *t, const struct vss_set_in *set,
                         struct tgt_copy_state *states, struct tgt_original *originals)
{
    pid_t pid = 0;
    struct tgt_view view;
    HRESULT hr = tgt_daemon_find(t, &pid);
    if (SUCCEEDED(hr)) {
        hr = tgt_show(t, &view);
    }
    if (SUCCEEDED(hr)) {
        hr = check_foreign(t, &view, states, set->lun_count);
    }
    for (uint32_t i = 0; SUCCEEDED(hr) && i < set->lun_count; i++) {
        hr = reopen_source(t, pid, &view, set, i, &states[i], &originals[i]);
    }
    if (SUCCEEDED(hr)) {
        hr = flush_sources(t, originals, set->lun_count);
    }
    for (uint32_t i = 0; SUCCEEDED(hr) && i < set->lun_count; i++) {
        if (states[i].mode == TGT_MODE_HELD) {
            hr = catch_up(t, &originals[i], &states[i], tgt_set_name(t, set, i));
        }
    }
    return SUCCEEDED(hr) ? check_times(t, originals, states, set->lun_count) : hr;
}

HRESULT tgt_pre_commit(void *self, const struct vss_call *call, const void *in, void *out)
{
    (void)self;
    const struct vss_set_in *set = in;
    struct tgt t;
    struct tgt_copy_state *states = NULL;
    HRESULT hr = tgt_begin(call, &t);
    if (SUCCEEDED(hr)) {
        hr = tgt_set_read(&t, set, &states);
    }
    if (FAILED(hr)) {
        return hr;
    }
    struct tgt_original *originals = tgt_alloc(&t, set->lun_count * sizeof(*originals));
    if (!originals) {
        return E_OUTOFMEMORY;
    }
    for (uint32_t i = 0; i < set->lun_count; i++) {
        originals[i].fd = -1;
    }
    hr = get_ready(&t, set, states, originals);
    for (uint32_t i = 0; i < set->lun_count; i++) {
        tgt_original_close(&originals[i]);
    }
    return SUCCEEDED(hr) ? tgt_set_write(&t, states, set->lun_count, out) : hr;
}
