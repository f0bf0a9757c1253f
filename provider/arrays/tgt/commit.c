/* SPDX-License-Identifier: Apache-2.0 */
/* CommitSnapshots and what follows: the cut itself, making it durable, giving it up. */
#include "daemon.h"
#include "file.h"
#include "identity.h"
#include "set.h"
#include "target.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define DEADLINE_MS_MIN 3000u

/* One LUN, with all that the hold needs already open. */
struct cut {
    struct tgt_copy_state *state;
    int source_fd;
    int destination_fd;
};

static HRESULT open_cut(const struct tgt *t, pid_t pid, struct tgt_copy_state *s, struct cut *cut)
{
    struct stat st;
    cut->state = s;
    HRESULT hr = tgt_file_open(t, s->source, O_RDONLY, &cut->source_fd, &st);
    if (FAILED(hr)) {
        return hr;
    }
    if (st.st_dev != s->source_dev || st.st_ino != s->source_inode ||
        (uint64_t)st.st_size != s->bytes) {
        return tgt_fail(t, VSS_E_PROVIDER_VETO,
                        "%s was replaced or changed its size since the set was prepared",
                        s->source);
    }
    hr = tgt_daemon_check_file(t, pid, &st, s->source);
    if (FAILED(hr)) {
        return hr;
    }
    const char *path = s->cut ? s->cut : s->file;
    hr = tgt_file_open(t, path, O_RDWR | O_NOFOLLOW, &cut->destination_fd, &st);
    if (SUCCEEDED(hr) && st.st_nlink != 1) {
        return tgt_fail(t, VSS_E_PROVIDER_VETO, "%s is not the file that was prepared", path);
    }
    return hr;
}

static int cut_one(const struct cut *cut, struct tgt_copier *copier)
{
    if (cut->state->mode == TGT_MODE_HELD) {
        return tgt_file_equalize(copier, cut->destination_fd, cut->source_fd, 0, cut->state->bytes);
    }
    return tgt_file_clone(cut->destination_fd, cut->source_fd);
}

/* A clone writes out what its source has in memory. What gathered there since PreCommit is sent on
 * its way now, for all files at once, lest it be written while I/O is held. Failing changes nothing
 * but the length of the hold. */
static void write_out(const struct cut *cuts, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        (void)sync_file_range(cuts[i].source_fd, 0, 0, SYNC_FILE_RANGE_WRITE);
    }
    for (uint32_t i = 0; i < count; i++) {
        (void)sync_file_range(cuts[i].source_fd, 0, 0,
                              SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
                                  SYNC_FILE_RANGE_WAIT_AFTER);
    }
}

/* The time in which nothing is allocated, printed, or asked of tgtd. */
static HRESULT cut_all(const struct tgt *t, pid_t pid, const struct cut *cuts, uint32_t count,
                       struct tgt_copier *copier, struct vss_states_out *out)
{
    const struct vss_host *host = t->call->host;
    const struct vss_hold_target target = {.pid = pid};
    uint32_t deadline_ms = t->max_hold_ms * 3;
    deadline_ms = deadline_ms < DEADLINE_MS_MIN ? DEADLINE_MS_MIN : deadline_ms;
    deadline_ms = deadline_ms > TGT_HOLD_MS_MAX ? TGT_HOLD_MS_MAX : deadline_ms;
    struct vss_hold *hold = NULL;
    write_out(cuts, count);
    HRESULT hr = host->hold_begin(t->call, &target, 1, deadline_ms, &hold);
    if (FAILED(hr)) {
        return hr;
    }
    int errnum = 0;
    uint32_t done = 0;
    out->first_cut_us = tgt_now_us();
    while (errnum == 0 && done < count) {
        errnum = cut_one(&cuts[done], copier);
        done += errnum == 0 ? 1 : 0;
    }
    out->last_cut_us = tgt_now_us();
    hr = host->hold_end(t->call, hold, &out->hold);
    if (errnum != 0) {
        return tgt_fail_errno(t, errnum, "%s cannot be copied to %s", cuts[done].state->source,
                              cuts[done].state->file);
    }
    if (FAILED(hr)) {
        return hr;
    }
    pid_t pid_now = 0;
    if (tgt_daemon_look(t, &pid_now) != S_OK || pid_now != pid) {
        return tgt_fail(t, VSS_E_PROVIDER_VETO, "tgtd (process %d) ended while I/O was held",
                        (int)pid);
    }
    uint64_t held_us = out->hold.released_at_us - out->hold.held_at_us;
    if (held_us > t->max_hold_ms * 1000ull) {
        return tgt_fail(t, VSS_E_HOLD_WRITES_TIMEOUT,
                        "I/O was held for %ju ms, max_hold_ms of [array %s] is %u: the copies are "
                        "given up",
                        (uintmax_t)(held_us / 1000), t->call->array, t->max_hold_ms);
    }
    return S_OK;
}

static void close_cuts(struct cut *cuts, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (cuts[i].source_fd >= 0) {
            (void)close(cuts[i].source_fd);
        }
        if (cuts[i].destination_fd >= 0) {
            (void)close(cuts[i].destination_fd);
        }
    }
}

HRESULT tgt_commit(void *self, const struct vss_call *call, const void *in, void *out)
{
    (void)self;
    const struct vss_set_in *set = in;
    struct tgt t;
    struct tgt_copy_state *states = NULL;
    struct tgt_copier copier;
    pid_t pid = 0;
    HRESULT hr = tgt_begin(call, &t);
    if (SUCCEEDED(hr)) {
        hr = tgt_set_read(&t, set, &states);
    }
    if (FAILED(hr)) {
        return hr;
    }
    struct cut *cuts = tgt_alloc(&t, set->lun_count * sizeof(*cuts));
    if (!cuts) {
        return E_OUTOFMEMORY;
    }
    for (uint32_t i = 0; i < set->lun_count; i++) {
        cuts[i] = (struct cut){NULL, -1, -1};
    }
    hr = tgt_daemon_find(&t, &pid);
    if (SUCCEEDED(hr)) {
        hr = tgt_copier_init(&t, &copier);
    }
    for (uint32_t i = 0; SUCCEEDED(hr) && i < set->lun_count; i++) {
        hr = open_cut(&t, pid, &states[i], &cuts[i]);
    }
    if (SUCCEEDED(hr)) {
        hr = cut_all(&t, pid, cuts, set->lun_count, &copier, out);
    }
    close_cuts(cuts, set->lun_count);
    for (uint32_t i = 0; i < set->lun_count; i++) {
        states[i].is_cut = true;
        if (FAILED(hr)) {
            (void)tgt_set_remove_files(&t, &states[i]);
        }
    }
    return SUCCEEDED(hr) ? tgt_set_write(&t, states, set->lun_count, out) : hr;
}

/* ---- PostCommit */

/* Copies out of the clone what changed since the bulk was copied; afterwards nothing is shared. */
static HRESULT finish_plex(const struct tgt *t, struct tgt_copy_state *s, int fd)
{
    int cut_fd = -1;
    struct stat st;
    struct tgt_copier copier;
    HRESULT hr = tgt_file_open(t, s->cut, O_RDONLY | O_NOFOLLOW, &cut_fd, &st);
    if (FAILED(hr)) {
        return hr;
    }
    hr = tgt_copier_init(t, &copier);
    if (SUCCEEDED(hr)) {
        int errnum = tgt_file_equalize(&copier, fd, cut_fd, 0, s->bytes);
        if (errnum != 0) {
            hr = tgt_fail_errno(t, errnum, "%s: the full copy %s cannot be finished", s->source,
                                s->file);
        }
    }
    (void)close(cut_fd);
    return hr;
}

static HRESULT make_durable(const struct tgt *t, struct tgt_copy_state *s)
{
    int fd = -1;
    struct stat st;
    if (!s->is_cut) {
        return tgt_fail(t, VSS_E_PROVIDER_VETO, "%s: no copy was cut of it", s->source);
    }
    HRESULT hr = tgt_file_open(t, s->file, O_RDWR | O_NOFOLLOW, &fd, &st);
    if (FAILED(hr)) {
        return hr;
    }
    if (s->cut) {
        hr = finish_plex(t, s, fd);
    }
    if (SUCCEEDED(hr) && fsync(fd) != 0) {
        hr = tgt_fail_errno(t, errno, "%s cannot be made durable", s->file);
    }
    if (SUCCEEDED(hr) && fstat(fd, &st) == 0 && (uint64_t)st.st_size != s->bytes) {
        hr = tgt_fail(t, VSS_E_PROVIDER_VETO, "%s is %jd bytes long instead of %ju", s->file,
                      (intmax_t)st.st_size, (uintmax_t)s->bytes);
    }
    (void)close(fd);
    if (SUCCEEDED(hr) && s->cut) {
        hr = tgt_file_remove(t, s->cut);
        s->cut = NULL;
    }
    return SUCCEEDED(hr) ? tgt_file_sync_directory(t, s->file) : hr;
}

HRESULT tgt_post_commit(void *self, const struct vss_call *call, const void *in, void *out)
{
    (void)self;
    const struct vss_set_in *set = in;
    struct tgt t;
    struct tgt_copy_state *states = NULL;
    HRESULT hr = tgt_begin(call, &t);
    if (SUCCEEDED(hr)) {
        hr = tgt_set_read(&t, set, &states);
    }
    for (uint32_t i = 0; SUCCEEDED(hr) && i < set->lun_count; i++) {
        hr = make_durable(&t, &states[i]);
    }
    return SUCCEEDED(hr) ? tgt_set_write(&t, states, set->lun_count, out) : hr;
}

/* Copies can be written from the moment they are cut; there is nothing to allow or to forbid. */
HRESULT tgt_pre_final_commit(void *self, const struct vss_call *call, const void *in, void *out)
{
    (void)self;
    (void)call;
    (void)in;
    (void)out;
    return S_OK;
}

HRESULT tgt_post_final_commit(void *self, const struct vss_call *call, const void *in, void *out)
{
    return tgt_pre_final_commit(self, call, in, out);
}

/* ---- Abort */

/* Removes every file in the directory that carries the set's name. */
static HRESULT sweep(const struct tgt *t, const char *directory, const char *set)
{
    HRESULT hr = S_OK;
    DIR *dir = opendir(directory);
    if (!dir) {
        return errno == ENOENT ? S_OK : tgt_fail_errno(t, errno, "%s cannot be read", directory);
    }
    errno = 0;
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        char *path = tgt_text(t, "%s/%s", directory, entry->d_name);
        if (!path) {
            hr = E_OUTOFMEMORY;
            break;
        }
        if (tgt_path_is_copy(path, set)) {
            HRESULT remove_hr = tgt_file_remove(t, path);
            hr = FAILED(hr) ? hr : remove_hr;
        }
        errno = 0; /* of readdir(), which says so of its failures alone */
    }
    if (SUCCEEDED(hr) && errno != 0) {
        hr = tgt_fail_errno(t, errno, "%s cannot be read", directory);
    }
    (void)closedir(dir);
    return hr;
}

/* By what is remembered of the LUN; nothing remembered is fine. */
static HRESULT abort_by_state(const struct tgt *t, const struct vss_set_in *set, uint32_t i)
{
    struct tgt_copy_state state;
    if (!set->luns[i].state.data) {
        return S_OK;
    }
    HRESULT hr =
        tgt_state_read(t, &set->luns[i].state, &set->set_id, tgt_set_name(t, set, i), &state);
    return FAILED(hr) ? hr : tgt_set_remove_files(t, &state);
}

/* By where the original lies: finds what a call left that never returned a state. Where neither
 * tells a place, full copies may lie there for ever, so the set must not be forgotten. */
static HRESULT abort_by_original(const struct tgt *t, const struct tgt_view *view,
                                 const struct vss_set_in *set, uint32_t i)
{
    char id[TGT_ID_TEXT_BYTES];
    const struct tgt_lun *lun = NULL;
    const char *directory = NULL;
    HRESULT hr = tgt_identity_find(t, view, &set->luns[i].source, &lun);
    (void)tgt_id_text(&set->set_id, id);
    if (SUCCEEDED(hr) && !lun && !set->luns[i].state.data) {
        return tgt_fail(t, VSS_E_PROVIDER_VETO,
                        "%s is not among the LUNs of tgtd now, and nothing is remembered of its "
                        "copy: a file .lunshadow-%s-%u." TGT_COPY_SUFFIX " may lie beside its own; "
                        "start tgtd with this LUN, then roll back again (lunshadow recover "
                        "--rollback), or, where the LUN is gone for good, remove that file and use "
                        "--forget",
                        tgt_set_name(t, set, i), id, i + 1);
    }
    if (FAILED(hr) || !lun || !tgt_path_is_usable(lun->path)) {
        return FAILED(hr) ? hr : S_OK;
    }
    hr = tgt_file_directory(t, lun->path, &directory);
    return FAILED(hr) ? hr : sweep(t, directory, id);
}

HRESULT tgt_abort(void *self, const struct vss_call *call, const void *in, void *out)
{
    (void)self;
    (void)out;
    const struct vss_set_in *set = in;
    struct tgt t;
    struct tgt_view view = {NULL};
    pid_t pid = 0;
    HRESULT hr = tgt_begin(call, &t);
    if (FAILED(hr)) {
        return hr;
    }
    HRESULT first = tgt_daemon_look(&t, &pid);
    if (first == S_OK) {
        first = tgt_show(&t, &view);
    }
    if (first == S_OK) {
        first = tgt_target_remove_set(&t, &view, &set->set_id);
    }
    for (uint32_t i = 0; i < set->lun_count; i++) {
        hr = abort_by_state(&t, set, i);
        first = FAILED(first) ? first : hr;
        hr = abort_by_original(&t, &view, set, i);
        first = FAILED(first) ? first : hr;
    }
    return FAILED(first) ? first : S_OK;
}
