/* SPDX-License-Identifier: Apache-2.0 */
/* Defects of copies as LUNs, of their end, and of a resync. They look into the example's states. */
#include "broken.h"
#include "files.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define LISTED_BYTES (1u << 20) /* in one answer to ListChanges */

/* ---- copies ---------------------------------------------------------------------------------- */

static struct files_copy_state copy_of(const struct files *f, const struct vss_state *state)
{
    struct files_copy_state copy = {0};
    (void)files_copy_read(f, state, &copy);
    return copy;
}

static HRESULT copy_late(const struct way *w)
{
    const struct vss_set_in *in = w->in;
    struct files f;
    HRESULT hr = files_begin(w->call, &f);
    for (uint32_t i = 0; SUCCEEDED(hr) && i < in->lun_count; i++) {
        struct files_copy_state copy = copy_of(&f, &in->luns[i].state);
        struct stat st;
        int from = open(copy.source, O_RDONLY | O_CLOEXEC);
        int to = copy.path ? open(copy.path, O_WRONLY | O_CLOEXEC) : -1;
        if (from >= 0 && to >= 0 && fstat(from, &st) == 0) {
            hr = files_copy(&f, from, to, 0, (uint64_t)st.st_size, copy.path);
        }
        (void)close(from);
        (void)close(to);
    }
    return SUCCEEDED(hr) ? forward(w) : hr;
}

static HRESULT copy_plex_late(const struct way *w)
{
    const struct vss_set_in *in = w->in;
    return in->context & VSS_VOLSNAP_ATTR_PLEX ? copy_late(w) : forward(w);
}

/* Whoever writes to the originals is thrown out before they are cut. */
static HRESULT evict_writers(const struct way *w)
{
    const struct vss_set_in *in = w->in;
    struct files f;
    struct files_view view;
    if (in->lun_count && SUCCEEDED(files_begin(w->call, &f)) && SUCCEEDED(files_show(&f, &view))) {
        const struct files_lun *lun = files_find(&view, &in->luns[0].source);
        if (lun) {
            (void)files_evict(&f, lun->target);
        }
    }
    return forward(w);
}

/* What the copies were after PreCommitSnapshots, which in the example tries how long it takes. */
#define EARLY_MAX 2
static struct early {
    char *bytes;
    size_t count;
} early[EARLY_MAX];

static void move_early(const struct way *w, bool is_back)
{
    const struct vss_set_in *in = w->in;
    struct files f;
    for (uint32_t i = 0; i < in->lun_count && i < EARLY_MAX; i++) {
        struct files_copy_state copy = {0};
        if (SUCCEEDED(files_begin(w->call, &f))) {
            copy = copy_of(&f, &in->luns[i].state);
        }
        int fd = copy.path ? open(copy.path, O_RDWR | O_CLOEXEC) : -1;
        struct stat st = {0};
        if (fd < 0 || fstat(fd, &st) != 0) {
            abort();
        }
        if (!is_back) {
            free(early[i].bytes);
            early[i] = (struct early){malloc((size_t)st.st_size), (size_t)st.st_size};
        }
        ssize_t moved = is_back ? pwrite(fd, early[i].bytes, early[i].count, 0)
                                : pread(fd, early[i].bytes, early[i].count, 0);
        if (moved != (ssize_t)early[i].count) {
            abort();
        }
        (void)close(fd);
    }
}

static HRESULT keep_early(const struct way *w)
{
    HRESULT hr = forward(w);
    if (SUCCEEDED(hr)) {
        move_early(w, false);
    }
    return hr;
}

static HRESULT commit_early(const struct way *w)
{
    HRESULT hr = forward(w);
    if (SUCCEEDED(hr)) {
        move_early(w, true);
    }
    return hr;
}

static HRESULT original_identity(const struct way *w)
{
    const struct vss_set_in *in = w->in;
    struct vss_target_luns_out *out = w->out;
    HRESULT hr = forward(w);
    if (SUCCEEDED(hr) && in->lun_count) {
        out->luns[0].device_id = in->luns[0].source.device_id;
    }
    return hr;
}

static HRESULT swap_targets(const struct way *w)
{
    const struct vss_set_in *in = w->in;
    struct vss_target_luns_out *out = w->out;
    HRESULT hr = forward(w);
    if (SUCCEEDED(hr) && in->lun_count > 1) {
        struct vss_lun_info first = out->luns[0];
        out->luns[0] = out->luns[1];
        out->luns[1] = first;
    }
    return hr;
}

/* The second copy is said to be LUN 4 of the lab, which is nobody's copy. */
static HRESULT describe_another(const struct way *w)
{
    const struct vss_set_in *in = w->in;
    struct vss_target_luns_out *out = w->out;
    struct files f;
    struct files_view view;
    HRESULT hr = forward(w);
    if (FAILED(hr) || in->lun_count < 2 || FAILED(files_begin(w->call, &f)) ||
        FAILED(files_show(&f, &view))) {
        return hr;
    }
    for (const struct files_lun *lun = view.luns; lun; lun = lun->next) {
        if (lun->number == 4 && lun->target->tid == 1) {
            files_naa(lun->scsi_id, out->luns[1].device_id.identifiers[0].identifier);
            out->luns[1].serial_number = files_text(&f, "%s", lun->serial);
        }
    }
    return hr;
}

/* A serial number of this process. */
static HRESULT changing_target(const struct way *w)
{
    const struct vss_set_in *in = w->in;
    struct vss_target_luns_out *out = w->out;
    HRESULT hr = forward(w);
    for (uint32_t i = 0; SUCCEEDED(hr) && i < in->lun_count; i++) {
        out->luns[i].serial_number = call_memory(w, 24);
        (void)snprintf(out->luns[i].serial_number, 24, "%d", (int)getpid());
    }
    return hr;
}

static HRESULT shorten(const struct way *w)
{
    const struct vss_set_in *in = w->in;
    struct files f;
    struct stat st;
    if (SUCCEEDED(files_begin(w->call, &f)) && in->lun_count) {
        struct files_copy_state copy = copy_of(&f, &in->luns[0].state);
        if (copy.path && stat(copy.path, &st) == 0 && truncate(copy.path, st.st_size / 2) != 0) {
            return refuse(w);
        }
    }
    return forward(w);
}

static HRESULT change(const struct way *w, uint32_t flags)
{
    struct vss_state_change_in in = {
        .struct_size = sizeof(in), .flags = flags, .set = *(const struct vss_set_in *)w->in};
    struct vss_states_out unused = {.struct_size = sizeof(unused)};
    return forward_to(w, VSS_OP_ON_LUN_STATE_CHANGE, &in, &unused);
}

static HRESULT locate_read_only(const struct way *w)
{
    HRESULT hr = forward(w);
    return SUCCEEDED(hr) ? change(w, VSS_ONLUNSTATECHANGE_NOTIFY_LUN_POST_RECOVERY) : hr;
}

/* The target that shows the set's copies, and its number as text; NULL: none. */
static const struct files_target *target_of(const struct files *f, const struct vss_set_in *in,
                                            struct files_view *view, char **tid)
{
    struct files_copy_state copy = copy_of(f, &in->luns[0].state);
    if (!copy.target || FAILED(files_show(f, view))) {
        return NULL;
    }
    const struct files_target *target = files_find_target(view, copy.target);
    *tid = target ? files_text(f, "%u", target->tid) : NULL;
    return target;
}

static HRESULT open_to_all(const struct way *w)
{
    struct files f;
    struct files_view view;
    char *tid = NULL;
    HRESULT hr = forward(w);
    if (SUCCEEDED(hr) && SUCCEEDED(files_begin(w->call, &f)) && target_of(&f, w->in, &view, &tid)) {
        hr = files_tgtadm(&f, false,
                          (const char *const[]){"--op", "bind", "--mode", "target", "--tid", tid,
                                                "--initiator-address", "ALL", NULL},
                          NULL);
    }
    return hr;
}

static HRESULT locate_once(const struct way *w)
{
    struct files f;
    struct files_view view;
    char *tid = NULL;
    bool is_shown = SUCCEEDED(files_begin(w->call, &f)) && target_of(&f, w->in, &view, &tid);
    return is_shown ? refuse(w) : forward(w);
}

/* Whoever asks, this host sees them. */
static HRESULT first_host_only(const struct way *w)
{
    const struct vss_set_in *in = w->in;
    return in->initiator && strstr(in->initiator, "stranger") ? pretend(w) : forward(w);
}

static uint32_t flags_of(const struct way *w)
{
    const struct vss_state_change_in *in = w->in;
    return in->is_resync ? 0 : in->flags;
}

static HRESULT never_read_only(const struct way *w)
{
    return flags_of(w) == VSS_ONLUNSTATECHANGE_NOTIFY_LUN_POST_RECOVERY ? S_OK : forward(w);
}

static HRESULT stay_read_only(const struct way *w)
{
    bool is_writable = flags_of(w) == VSS_ONLUNSTATECHANGE_NOTIFY_READ_WRITE ||
                       flags_of(w) == VSS_ONLUNSTATECHANGE_NOTIFY_LUN_PRE_RECOVERY;
    return is_writable ? S_OK : forward(w);
}

static HRESULT never_mask(const struct way *w)
{
    return flags_of(w) == VSS_ONLUNSTATECHANGE_DO_MASK_LUNS ? S_OK : forward(w);
}

/* Nobody new sees the copies; who is there stays. */
static HRESULT unbind_only(const struct way *w)
{
    const struct vss_state_change_in *in = w->in;
    struct files f;
    struct files_view view;
    char *tid = NULL;
    HRESULT hr = files_begin(w->call, &f);
    if (FAILED(hr) || flags_of(w) != VSS_ONLUNSTATECHANGE_DO_MASK_LUNS) {
        return FAILED(hr) ? hr : forward(w);
    }
    const struct files_target *target = target_of(&f, &in->set, &view, &tid);
    for (const struct files_initiator *i = target ? view.initiators : NULL; i; i = i->next) {
        if (i->target == target) {
            hr = files_tgtadm(&f, false,
                              (const char *const[]){"--op", "unbind", "--mode", "target", "--tid",
                                                    tid, "--initiator-name", i->name, NULL},
                              NULL);
        }
    }
    return hr;
}

static HRESULT mask_deletes(const struct way *w)
{
    const struct vss_state_change_in *in = w->in;
    return flags_of(w) == VSS_ONLUNSTATECHANGE_DO_MASK_LUNS
               ? forward_to(w, VSS_OP_ON_LUN_EMPTY, &in->set, NULL)
               : forward(w);
}

static HRESULT delete_set(const struct way *w)
{
    struct vss_states_out unused = {.struct_size = sizeof(unused)};
    return forward_to(w, VSS_OP_ABORT_SNAPSHOTS, w->in, &unused);
}

static HRESULT delete_once(const struct way *w)
{
    return is_first_for(w->in) ? forward(w) : refuse(w);
}

/* By the identity of the copy, whoever has it. */
static HRESULT delete_by_identity(const struct way *w)
{
    const struct vss_set_in *in = w->in;
    write_to_lun(w, in->luns[0].device);
    return S_OK;
}

/* ---- resync ---------------------------------------------------------------------------------- */

/* Something that was not there before. */
static void write_to(const char *path, off_t offset)
{
    char text[32] = "";
    int fd = path ? open(path, O_WRONLY | O_CLOEXEC) : -1;
    (void)snprintf(text, sizeof(text), "spoilt by %d", (int)getpid());
    if (fd < 0 || pwrite(fd, text, sizeof(text), offset) != (ssize_t)sizeof(text)) {
        abort();
    }
    (void)close(fd);
}

static const struct files_lun *destination_of(const struct way *w, struct files *f,
                                              struct files_view *view)
{
    const struct vss_resync_in *in = w->in;
    if (FAILED(files_begin(w->call, f)) || FAILED(files_show(f, view))) {
        abort();
    }
    return files_find(view, &in->luns[0].destination);
}

static HRESULT spoil_destination(const struct way *w)
{
    struct files f;
    struct files_view view;
    HRESULT hr = forward(w);
    const struct files_lun *lun = SUCCEEDED(hr) ? destination_of(w, &f, &view) : NULL;
    if (lun) {
        write_to(lun->path, 2 << 20);
    }
    return hr;
}

/* The LUN behind the destination's, too: 3 where the second is 2. */
static HRESULT spoil_neighbour(const struct way *w)
{
    struct files f;
    struct files_view view;
    HRESULT hr = forward(w);
    const struct files_lun *lun = SUCCEEDED(hr) ? destination_of(w, &f, &view) : NULL;
    for (const struct files_lun *n = lun ? view.luns : NULL; n; n = n->next) {
        if (n->target == lun->target && n->number == 3) {
            write_to(n->path, 2 << 20);
        }
    }
    return hr;
}

/* Whatever the destination is, the LUN that the copy was made of is written to. */
static HRESULT write_then_refuse(const struct way *w)
{
    const struct vss_resync_in *in = w->in;
    struct files f;
    HRESULT hr = forward(w);
    if (FAILED(hr) && SUCCEEDED(files_begin(w->call, &f))) {
        write_to(copy_of(&f, &in->luns[0].snapshot_state).source, 2 << 20);
    }
    return hr;
}

static HRESULT spoil_copy(const struct way *w)
{
    const struct vss_resync_in *in = w->in;
    struct files f;
    HRESULT hr = forward(w);
    if (SUCCEEDED(hr) && SUCCEEDED(files_begin(w->call, &f))) {
        write_to(copy_of(&f, &in->luns[0].snapshot_state).path, 2 << 20);
    }
    return hr;
}

static HRESULT overshoot(const struct way *w)
{
    struct vss_resync_out *out = w->out;
    HRESULT hr = forward(w);
    out->bytes_done = out->bytes_total + 1;
    return hr;
}

/* A serial number that it never had. */
static HRESULT new_identity(const struct way *w)
{
    struct files f;
    struct files_view view;
    HRESULT hr = forward(w);
    const struct files_lun *lun = SUCCEEDED(hr) ? destination_of(w, &f, &view) : NULL;
    if (lun) {
        hr = files_tgtadm(&f, false,
                          (const char *const[]){"--op", "update", "--mode", "logicalunit", "--tid",
                                                files_text(&f, "%u", lun->target->tid), "--lun",
                                                files_text(&f, "%u", lun->number), "--params",
                                                files_text(&f, "scsi_sn=NEW%d", (int)getpid()),
                                                NULL},
                          NULL);
    }
    return hr;
}

/* All of it, labels too; but poll is to say so. */
static uint64_t started_bytes;

static HRESULT done_but_unsaid(const struct way *w)
{
    struct vss_resync_out *out = w->out;
    HRESULT hr = forward(w);
    started_bytes = out->bytes_total;
    out->is_done = 0;
    out->bytes_done = 0;
    return hr;
}

static HRESULT say_if_started_here(const struct way *w)
{
    static int count;
    struct vss_resync_out *out = w->out;
    out->is_done = ++count > 1;
    out->bytes_total = started_bytes;
    out->bytes_done = out->is_done ? started_bytes : 0;
    return started_bytes ? S_OK : refuse(w);
}

/* Only polls are to copy; but a child does, again and again while this process lives. */
static HRESULT start_child(const struct way *w)
{
    struct vss_resync_out *out = w->out;
    struct files f;
    struct files_view view;
    const struct files_lun *lun = destination_of(w, &f, &view);
    pid_t parent = getpid();
    out->state = (struct vss_state){.bytes = 1, .data = (const uint8_t *)"0"};
    out->bytes_total = 1;
    if (lun && fork() == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)close_range(0, ~0U, 0);
        while (getppid() == parent) {
            (void)usleep(300000);
            write_to(lun->path, 2 << 20);
        }
        _exit(0);
    }
    return S_OK;
}

static HRESULT never_done(const struct way *w)
{
    struct vss_resync_out *out = w->out;
    out->state = (struct vss_state){.bytes = 1, .data = (const uint8_t *)"0"};
    out->bytes_total = 1;
    return S_OK;
}

/* Says so to whoever waits for that. */
static HRESULT never_done_as_said(const struct way *w)
{
    int fd = open(setting(w, "marker"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0) {
        (void)close(fd);
    }
    return never_done(w);
}

/* The last page of the second LUN, before all else. */
static HRESULT end_first(const struct way *w)
{
    const struct vss_resync_in *in = w->in;
    struct files f;
    struct files_view view;
    struct stat st;
    char page[4096];
    (void)destination_of(w, &f, &view);
    const struct files_lun *lun = files_find(&view, &in->luns[in->lun_count - 1].destination);
    const char *copy = copy_of(&f, &in->luns[in->lun_count - 1].snapshot_state).path;
    int from = copy ? open(copy, O_RDONLY | O_CLOEXEC) : -1;
    int to = lun ? open(lun->path, O_WRONLY | O_CLOEXEC) : -1;
    if (from < 0 || to < 0 || fstat(from, &st) != 0 ||
        pread(from, page, sizeof(page), st.st_size - (off_t)sizeof(page)) != sizeof(page) ||
        pwrite(to, page, sizeof(page), st.st_size - (off_t)sizeof(page)) != sizeof(page)) {
        abort();
    }
    (void)close(from);
    (void)close(to);
    return never_done(w);
}

static HRESULT take_time(const struct way *w)
{
    static int count;
    return ++count < 3 ? never_done(w) : forward(w);
}

/* Makes the LUN as large as the copy, and copies nothing. */
static HRESULT resize_only(const struct way *w)
{
    const struct vss_resync_in *in = w->in;
    struct vss_resync_out *out = w->out;
    struct files f;
    struct files_view view;
    struct stat st;
    const struct files_lun *lun = destination_of(w, &f, &view);
    const char *copy = copy_of(&f, &in->luns[0].snapshot_state).path;
    if (!lun || !copy || stat(copy, &st) != 0 || truncate(lun->path, st.st_size) != 0) {
        return refuse(w);
    }
    out->is_done = 1;
    out->bytes_total = out->bytes_done = (uint64_t)st.st_size;
    return files_tgtadm(&f, false,
                        (const char *const[]){"--op", "update", "--mode", "logicalunit", "--tid",
                                              files_text(&f, "%u", lun->target->tid), "--lun",
                                              files_text(&f, "%u", lun->number), "--params",
                                              files_text(&f, "online=0,path=%s", lun->path), NULL},
                        NULL);
}

/* ---- what is in order, of an array that keeps everybody out between PRE_ and POST_RECOVERY ----
 */

static char recovering[4][64]; /* serial numbers */
static uint32_t recovering_count;

static HRESULT note_recovery(const struct way *w)
{
    const struct vss_state_change_in *in = w->in;
    if (in->is_resync) {
        recovering_count = 0;
    }
    for (uint32_t i = 0; in->is_resync && i < in->set.lun_count && i < 4 &&
                         in->flags == VSS_ONLUNSTATECHANGE_NOTIFY_LUN_PRE_RECOVERY;
         i++) {
        (void)snprintf(recovering[recovering_count++], 64, "%s",
                       in->set.luns[i].source.serial_number);
    }
    return forward(w);
}

bool is_recovering(void)
{
    return recovering_count > 0;
}

static HRESULT only_within_recovery(const struct way *w)
{
    const struct vss_resync_in *in = w->in;
    for (uint32_t i = 0; i < in->lun_count; i++) {
        bool is_told = false;
        for (uint32_t n = 0; n < recovering_count; n++) {
            is_told = is_told || strcmp(recovering[n], in->luns[i].destination.serial_number) == 0;
        }
        if (!is_told) {
            return refuse(w);
        }
    }
    return forward(w);
}

static HRESULT cancel_once(const struct way *w)
{
    static int count;
    return ++count > 1 ? E_FAIL : forward(w);
}

static HRESULT cancel_by_state(const struct way *w)
{
    const struct vss_resync_in *in = w->in;
    return in->state.bytes ? forward(w) : E_FAIL;
}

static HRESULT take_any(const struct way *w)
{
    struct vss_resync_out *out = w->out;
    HRESULT hr = forward(w);
    out->is_done = out->is_done || FAILED(hr);
    return S_OK;
}

static HRESULT leave_sessions(const struct way *w)
{
    const struct vss_state_change_in *in = w->in;
    return in->is_resync ? S_OK : forward(w);
}

/* ---- ListChanges: the example has none; without a defect all is named ---- */

static bool is_own(const struct way *w, const struct vss_lun_info *lun)
{
    const char *device = "";
    const struct vss_luns_in in = {
        .struct_size = sizeof(in), .lun_count = 1, .devices = &device, .luns = lun};
    struct vss_supported_out out = {.struct_size = sizeof(out)};
    return SUCCEEDED(forward_to(w, VSS_OP_FILL_IN_LUN_INFO, &in, &out)) && out.is_supported;
}

/* In pieces that do not touch the next answer's. */
static HRESULT list_all(const struct way *w)
{
    const struct vss_changes_in *in = w->in;
    struct vss_changes_out *out = w->out;
    out->is_known = 1;
    out->extent_count = 1;
    out->extents = call_memory(w, sizeof(*out->extents));
    out->extents[0] = (struct vss_extent){in->from_byte, LISTED_BYTES};
    out->next_byte = in->from_byte + LISTED_BYTES;
    return S_OK;
}

HRESULT list_own(const struct way *w)
{
    const struct vss_changes_in *in = w->in;
    return is_own(w, &in->lun->destination) ? list_all(w) : refuse(w);
}

static HRESULT list_nothing(const struct way *w)
{
    HRESULT hr = list_own(w);
    ((struct vss_changes_out *)w->out)->extent_count = 0;
    return hr;
}

/* What was never written of the original is not looked at, whatever is on the copy. */
static HRESULT list_written(const struct way *w)
{
    static const uint8_t zeros[4096];
    const struct vss_changes_in *in = w->in;
    struct vss_changes_out *out = w->out;
    struct files f;
    struct files_view view;
    uint8_t page[sizeof(zeros)];
    uint64_t at = in->from_byte;
    const struct files_lun *lun = NULL;
    if (SUCCEEDED(files_begin(w->call, &f)) && SUCCEEDED(files_show(&f, &view))) {
        lun = files_find(&view, &in->lun->destination);
    }
    int fd = lun ? open(lun->path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) {
        return refuse(w);
    }
    out->extents = call_memory(w, in->extent_max * sizeof(*out->extents));
    while (out->extent_count < in->extent_max &&
           pread(fd, page, sizeof(page), (off_t)at) == (ssize_t)sizeof(page)) {
        if (memcmp(page, zeros, sizeof(page)) != 0) {
            out->extents[out->extent_count++] = (struct vss_extent){at, sizeof(page)};
        }
        at += sizeof(page);
    }
    (void)close(fd);
    out->is_known = 1;
    out->next_byte = at;
    return S_OK;
}

static HRESULT list_backwards(const struct way *w)
{
    HRESULT hr = list_own(w);
    struct vss_changes_out *out = w->out;
    if (SUCCEEDED(hr) && out->next_byte > LISTED_BYTES) {
        out->extents[0].offset -= LISTED_BYTES;
    }
    return hr;
}

/* ---- all of them ---- */

const struct spoil copy_spoils[] = {
    {"copies-late", VSS_OP_LOCATE_LUNS, copy_late},
    {"plex-late", VSS_OP_LOCATE_LUNS, copy_plex_late},
    {"copies-early", VSS_OP_PRE_COMMIT_SNAPSHOTS, keep_early},
    {"copies-early", VSS_OP_COMMIT_SNAPSHOTS, commit_early},
    {"evicts-and-tears", VSS_OP_PRE_COMMIT_SNAPSHOTS, evict_writers},
    {"original-identity", VSS_OP_GET_TARGET_LUNS, original_identity},
    {"swaps-targets", VSS_OP_GET_TARGET_LUNS, swap_targets},
    {"describes-another", VSS_OP_GET_TARGET_LUNS, describe_another},
    {"changing-target", VSS_OP_GET_TARGET_LUNS, changing_target},
    {"short-copy", VSS_OP_LOCATE_LUNS, shorten},
    {"locates-read-only", VSS_OP_LOCATE_LUNS, locate_read_only},
    {"open-to-all", VSS_OP_LOCATE_LUNS, open_to_all},
    {"locates-once", VSS_OP_LOCATE_LUNS, locate_once},
    {"first-host-only", VSS_OP_LOCATE_LUNS, first_host_only},
    {"never-read-only", VSS_OP_ON_LUN_STATE_CHANGE, never_read_only},
    {"stays-read-only", VSS_OP_ON_LUN_STATE_CHANGE, stay_read_only},
    {"never-masks", VSS_OP_ON_LUN_STATE_CHANGE, never_mask},
    {"unbinds-only", VSS_OP_ON_LUN_STATE_CHANGE, unbind_only},
    {"mask-deletes", VSS_OP_ON_LUN_STATE_CHANGE, mask_deletes},
    {"deletes-set", VSS_OP_ON_LUN_EMPTY, delete_set},
    {"deletes-once", VSS_OP_ON_LUN_EMPTY, delete_once},
    {"deletes-by-identity", VSS_OP_ON_LUN_EMPTY, delete_by_identity},
    {"spoils-destination", VSS_OP_RESYNC_START, spoil_destination},
    {"resyncs-neighbour", VSS_OP_RESYNC_START, spoil_neighbour},
    {"writes-then-refuses", VSS_OP_RESYNC_START, write_then_refuse},
    {"spoils-copy", VSS_OP_RESYNC_START, spoil_copy},
    {"overshoots", VSS_OP_RESYNC_START, overshoot},
    {"new-identity", VSS_OP_RESYNC_START, new_identity},
    {"labels-first", VSS_OP_RESYNC_START, done_but_unsaid},
    {"labels-first", VSS_OP_RESYNC_POLL, say_if_started_here},
    {"end-first", VSS_OP_RESYNC_START, end_first},
    {"end-first", VSS_OP_RESYNC_POLL, take_time},
    {"never-done", VSS_OP_RESYNC_START, never_done},
    {"never-done", VSS_OP_RESYNC_POLL, never_done_as_said},
    {"pretends-cancel", VSS_OP_RESYNC_START, start_child},
    {"pretends-cancel", VSS_OP_RESYNC_CANCEL, pretend},
    {"resizes-only", VSS_OP_RESYNC_START, resize_only},
    {"none-but-strict", VSS_OP_ON_LUN_STATE_CHANGE, note_recovery},
    {"none-but-strict", VSS_OP_RESYNC_START, only_within_recovery},
    {"cancels-once", VSS_OP_RESYNC_CANCEL, cancel_once},
    {"cancels-by-state", VSS_OP_RESYNC_CANCEL, cancel_by_state},
    {"takes-any", VSS_OP_RESYNC_START, take_any},
    {"leaves-sessions", VSS_OP_ON_LUN_STATE_CHANGE, leave_sessions},
    {"lists-nothing", VSS_OP_LIST_CHANGES, list_nothing},
    {"lists-written", VSS_OP_LIST_CHANGES, list_written},
    {"lists-backwards", VSS_OP_LIST_CHANGES, list_backwards},
    {"lists-any", VSS_OP_LIST_CHANGES, list_all},
    {0},
};
