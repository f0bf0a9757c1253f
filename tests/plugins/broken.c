/* SPDX-License-Identifier: Apache-2.0 */
/* The example provider with one thing spoilt: "defect = NAME" of its section says which. Each case
 * of lunshadow-conform has a defect here that it must notice. The example itself is compiled beside
 * this file, its entry under another name. */
#include "files.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

const struct vss_provider_table *files_entry(void);

/* One call on its way to the example. */
struct way {
    enum vss_provider_op op;
    void *self;
    const struct vss_call *call;
    const void *in;
    void *out;
};

static HRESULT forward_to(const struct way *w, enum vss_provider_op op, const void *in, void *out)
{
    vss_provider_callback example = files_entry()->ops[op];
    return example ? example(w->self, w->call, in, out) : S_OK;
}

static HRESULT forward(const struct way *w)
{
    return forward_to(w, w->op, w->in, w->out);
}

static const char *config(const struct way *w, const char *key)
{
    const char *value = w->call->host->config(w->call, key);
    return value ? value : "";
}

static void *alloc(const struct way *w, size_t bytes)
{
    void *memory = w->call->host->alloc(w->call, bytes);
    if (!memory) {
        abort();
    }
    return memory;
}

static HRESULT refuse(const struct way *w)
{
    w->call->host->error(w->call, "spoilt on purpose");
    return VSS_E_PROVIDER_VETO;
}

static HRESULT pretend(const struct way *w)
{
    (void)w;
    return S_OK;
}

static void sleep_ms(long ms)
{
    const struct timespec pause = {ms / 1000, ms % 1000 * 1000000L};
    (void)nanosleep(&pause, NULL);
}

static bool is_same_id(const VSS_ID *a, const VSS_ID *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

static bool is_foreign(const struct vss_lun_info *info)
{
    return info->serial_number && strcmp(info->serial_number, "CONFORM-FOREIGN") == 0;
}

/* ---- claims ---------------------------------------------------------------------------------- */

static HRESULT odd_claim(const struct way *w)
{
    struct vss_capabilities_out *out = w->out;
    HRESULT hr = forward(w);
    out->mask = 7;
    return hr;
}

static HRESULT unclaimed_resync(const struct way *w)
{
    struct vss_capabilities_out *out = w->out;
    HRESULT hr = forward(w);
    out->resync = VSS_CAPABILITY_NO;
    return hr;
}

/* Says something else from the second process on. */
static HRESULT changing_claim(const struct way *w)
{
    struct vss_capabilities_out *out = w->out;
    HRESULT hr = forward(w);
    int fd = open(config(w, "marker"), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0) {
        (void)close(fd);
    } else {
        out->mask = VSS_CAPABILITY_NO;
    }
    return hr;
}

static HRESULT stay(const struct way *w)
{
    (void)w;
    return S_FALSE;
}

/* ---- questions ------------------------------------------------------------------------------- */

static HRESULT support_none(const struct way *w)
{
    struct vss_supported_out *out = w->out;
    HRESULT hr = forward(w);
    out->is_supported = 0;
    return hr;
}

static HRESULT refuse_foreign(const struct way *w)
{
    const struct vss_supported_out *out = w->out;
    HRESULT hr = forward(w);
    return SUCCEEDED(hr) && !out->is_supported ? refuse(w) : hr;
}

static HRESULT look_at_first(const struct way *w)
{
    struct vss_luns_in in = *(const struct vss_luns_in *)w->in;
    in.lun_count = 1;
    return forward_to(w, w->op, &in, w->out);
}

static HRESULT ignore_context(const struct way *w)
{
    struct vss_luns_in in = *(const struct vss_luns_in *)w->in;
    in.context = 0;
    return forward_to(w, w->op, &in, w->out);
}

static struct vss_lun_info *correct(const struct way *w)
{
    const struct vss_luns_in *in = w->in;
    struct vss_supported_out *out = w->out;
    out->luns = alloc(w, in->lun_count * sizeof(*out->luns));
    memcpy(out->luns, in->luns, in->lun_count * sizeof(*out->luns));
    return out->luns;
}

static HRESULT drop_paths(const struct way *w)
{
    HRESULT hr = forward(w);
    correct(w)[0].interconnect_count = 0;
    return hr;
}

static HRESULT other_serial(const struct way *w)
{
    static char wrong[] = "WRONG";
    HRESULT hr = forward(w);
    correct(w)[0].serial_number = wrong;
    return hr;
}

/* ---- begin and end of preparation ------------------------------------------------------------ */

static HRESULT once_per_lun(const struct way *w)
{
    static char last[64];
    const struct vss_luns_in *in = w->in;
    const char *serial = in->luns[0].serial_number ? in->luns[0].serial_number : "";
    if (strcmp(serial, last) == 0) {
        return refuse(w);
    }
    (void)snprintf(last, sizeof(last), "%s", serial);
    return forward(w);
}

static HRESULT one_set_only(const struct way *w)
{
    static VSS_ID first;
    static bool has_first;
    const struct vss_luns_in *in = w->in;
    first = has_first ? first : in->set_id;
    has_first = true;
    return is_same_id(&first, &in->set_id) ? forward(w) : refuse(w);
}

static HRESULT few_volumes(const struct way *w)
{
    static int count;
    return ++count > 10 ? refuse(w) : forward(w);
}

static HRESULT slow_begin(const struct way *w)
{
    static int count;
    if (++count % 2) {
        sleep_ms(2100);
    }
    return forward(w);
}

/* As if it were the set's first LUN. */
static HRESULT adopt_foreign(const struct way *w)
{
    struct vss_set_in in = *(const struct vss_set_in *)w->in;
    struct vss_set_lun *luns = alloc(w, in.lun_count * sizeof(*luns));
    memcpy(luns, in.luns, in.lun_count * sizeof(*luns));
    for (uint32_t i = 0; i < in.lun_count; i++) {
        luns[i].source = is_foreign(&luns[i].source) ? luns[0].source : luns[i].source;
    }
    in.luns = luns;
    return forward_to(w, w->op, &in, w->out);
}

static HRESULT huge_state(const struct way *w)
{
    struct vss_states_out *out = w->out;
    HRESULT hr = forward(w);
    if (SUCCEEDED(hr)) {
        out->states[0].bytes = VSS_PROVIDER_STATE_BYTES_MAX + 1;
        out->states[0].data = alloc(w, out->states[0].bytes);
    }
    return hr;
}

static void write_to_lun(const struct way *w, const char *device)
{
    const struct vss_host *host = w->call->host;
    struct vss_host_lun *lun = NULL;
    if (SUCCEEDED(host->lun_open(w->call, device, VSS_HOST_LUN_WRITE, &lun, NULL))) {
        uint8_t *block = alloc(w, 4096);
        memset(block, 0xee, 4096);
        (void)host->lun_write(w->call, lun, 3, 1, block);
        (void)host->lun_close(w->call, lun);
    }
}

static HRESULT scribble(const struct way *w)
{
    const struct vss_set_in *in = w->in;
    HRESULT hr = forward(w);
    if (SUCCEEDED(hr)) {
        write_to_lun(w, in->luns[0].device);
    }
    return hr;
}

/* The second set of a process takes the first one away. */
static HRESULT replace_set(const struct way *w)
{
    static VSS_ID first;
    static bool has_first;
    struct vss_set_in in = *(const struct vss_set_in *)w->in;
    struct vss_states_out unused = {.struct_size = sizeof(unused)};
    if (has_first) {
        in.set_id = first;
        (void)forward_to(w, VSS_OP_ABORT_SNAPSHOTS, &in, &unused);
    } else {
        first = in.set_id;
        has_first = true;
    }
    return forward(w);
}

/* ---- commit ---------------------------------------------------------------------------------- */

static HRESULT no_figures(const struct way *w)
{
    struct vss_states_out *out = w->out;
    HRESULT hr = forward(w);
    out->first_cut_us = out->last_cut_us = 0;
    return hr;
}

static HRESULT slow_commit(const struct way *w)
{
    sleep_ms(1100);
    return forward(w);
}

/* One LUN after the other, each under a hold of its own. */
static HRESULT torn(const struct way *w)
{
    struct vss_set_in in = *(const struct vss_set_in *)w->in;
    struct vss_states_out *out = w->out;
    struct vss_state *states = alloc(w, in.lun_count * sizeof(*states));
    const struct vss_set_lun *luns = in.luns;
    uint32_t count = in.lun_count;
    HRESULT hr = S_OK;
    in.lun_count = 1;
    for (uint32_t i = 0; SUCCEEDED(hr) && i < count; i++) {
        in.luns = &luns[i];
        hr = forward_to(w, w->op, &in, out);
        states[i] = SUCCEEDED(hr) ? out->states[0] : (struct vss_state){0};
        sleep_ms(500);
    }
    out->states = states;
    return hr;
}

static bool prepared_here;

static HRESULT note_prepared(const struct way *w)
{
    prepared_here = true;
    return forward(w);
}

static HRESULT only_if_prepared_here(const struct way *w)
{
    return prepared_here ? forward(w) : refuse(w);
}

static HRESULT commit_anything(const struct way *w)
{
    const struct vss_set_in *in = w->in;
    return in->lun_count && !in->luns[0].state.data ? S_OK : forward(w);
}

static HRESULT odd_code(const struct way *w)
{
    const struct vss_set_in *in = w->in;
    bool is_odd = in->lun_count && in->luns[0].state.bytes == VSS_PROVIDER_STATE_BYTES_MAX;
    return is_odd ? E_FAIL : forward(w);
}

static HRESULT count_on_luns(const struct way *w)
{
    const struct vss_set_in *in = w->in;
    if (in->lun_count == 0) {
        _exit(3);
    }
    return forward(w);
}

/* ---- abort ----------------------------------------------------------------------------------- */

/* True at the first call for this set. */
static bool is_first_for(const struct vss_set_in *in)
{
    static VSS_ID last;
    bool is_first = !is_same_id(&last, &in->set_id);
    last = in->set_id;
    return is_first;
}

static HRESULT abort_later(const struct way *w)
{
    return is_first_for(w->in) ? S_OK : forward(w);
}

static HRESULT abort_once(const struct way *w)
{
    return is_first_for(w->in) ? forward(w) : E_FAIL;
}

static HRESULT abort_by_state(const struct way *w)
{
    const struct vss_set_in *in = w->in;
    return in->lun_count && !in->luns[0].state.data ? S_OK : forward(w);
}

static VSS_ID first_prepared;
static bool has_prepared;

static HRESULT note_set(const struct way *w)
{
    const struct vss_set_in *in = w->in;
    first_prepared = has_prepared ? first_prepared : in->set_id;
    has_prepared = true;
    return forward(w);
}

/* The first abort takes the first set away, whichever is meant. */
static HRESULT abort_first(const struct way *w)
{
    struct vss_set_in in = *(const struct vss_set_in *)w->in;
    in.set_id = has_prepared ? first_prepared : in.set_id;
    has_prepared = false;
    return forward_to(w, w->op, &in, w->out);
}

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

/* A serial number of this process. */
static HRESULT changing_target(const struct way *w)
{
    const struct vss_set_in *in = w->in;
    struct vss_target_luns_out *out = w->out;
    HRESULT hr = forward(w);
    for (uint32_t i = 0; SUCCEEDED(hr) && i < in->lun_count; i++) {
        out->luns[i].serial_number = alloc(w, 24);
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
    struct vss_resync_out *out = w->out;
    out->is_done = 1;
    out->bytes_done = out->bytes_total = started_bytes;
    return started_bytes ? S_OK : refuse(w);
}

static HRESULT cancel_once(const struct way *w)
{
    static int count;
    return ++count > 1 ? E_FAIL : forward(w);
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

/* ---- the table ------------------------------------------------------------------------------- */

static const struct {
    const char *defect;
    enum vss_provider_op op;
    HRESULT (*spoil)(const struct way *w);
} spoils[] = {
    {"odd-claim", VSS_OP_GET_CAPABILITIES, odd_claim},
    {"unclaimed-resync", VSS_OP_GET_CAPABILITIES, unclaimed_resync},
    {"changing-claim", VSS_OP_GET_CAPABILITIES, changing_claim},
    {"stays-loaded", VSS_OP_ON_UNLOAD, stay},
    {"supports-none", VSS_OP_ARE_LUNS_SUPPORTED, support_none},
    {"refuses-foreign", VSS_OP_ARE_LUNS_SUPPORTED, refuse_foreign},
    {"refuses-foreign", VSS_OP_FILL_IN_LUN_INFO, refuse_foreign},
    {"looks-at-first", VSS_OP_ARE_LUNS_SUPPORTED, look_at_first},
    {"ignores-context", VSS_OP_ARE_LUNS_SUPPORTED, ignore_context},
    {"drops-paths", VSS_OP_ARE_LUNS_SUPPORTED, drop_paths},
    {"other-serial", VSS_OP_FILL_IN_LUN_INFO, other_serial},
    {"once-per-lun", VSS_OP_BEGIN_PREPARE_SNAPSHOT, once_per_lun},
    {"one-set-only", VSS_OP_BEGIN_PREPARE_SNAPSHOT, one_set_only},
    {"few-volumes", VSS_OP_BEGIN_PREPARE_SNAPSHOT, few_volumes},
    {"slow-begin", VSS_OP_BEGIN_PREPARE_SNAPSHOT, slow_begin},
    {"adopts-foreign", VSS_OP_END_PREPARE_SNAPSHOTS, adopt_foreign},
    {"huge-state", VSS_OP_END_PREPARE_SNAPSHOTS, huge_state},
    {"scribbles", VSS_OP_END_PREPARE_SNAPSHOTS, scribble},
    {"replaces-set", VSS_OP_END_PREPARE_SNAPSHOTS, replace_set},
    {"no-figures", VSS_OP_COMMIT_SNAPSHOTS, no_figures},
    {"slow-commit", VSS_OP_COMMIT_SNAPSHOTS, slow_commit},
    {"torn", VSS_OP_COMMIT_SNAPSHOTS, torn},
    {"prepared-in-memory", VSS_OP_END_PREPARE_SNAPSHOTS, note_prepared},
    {"prepared-in-memory", VSS_OP_COMMIT_SNAPSHOTS, only_if_prepared_here},
    {"commits-anything", VSS_OP_COMMIT_SNAPSHOTS, commit_anything},
    {"odd-code", VSS_OP_COMMIT_SNAPSHOTS, odd_code},
    {"counts-on-luns", VSS_OP_PRE_COMMIT_SNAPSHOTS, count_on_luns},
    {"post-commits-anything", VSS_OP_POST_COMMIT_SNAPSHOTS, pretend},
    {"copies-late", VSS_OP_LOCATE_LUNS, copy_late},
    {"aborts-later", VSS_OP_ABORT_SNAPSHOTS, abort_later},
    {"aborts-once", VSS_OP_ABORT_SNAPSHOTS, abort_once},
    {"aborts-by-state", VSS_OP_ABORT_SNAPSHOTS, abort_by_state},
    {"aborts-first", VSS_OP_END_PREPARE_SNAPSHOTS, note_set},
    {"aborts-first", VSS_OP_ABORT_SNAPSHOTS, abort_first},
    {"original-identity", VSS_OP_GET_TARGET_LUNS, original_identity},
    {"swaps-targets", VSS_OP_GET_TARGET_LUNS, swap_targets},
    {"changing-target", VSS_OP_GET_TARGET_LUNS, changing_target},
    {"short-copy", VSS_OP_LOCATE_LUNS, shorten},
    {"locates-nothing", VSS_OP_LOCATE_LUNS, pretend},
    {"locates-read-only", VSS_OP_LOCATE_LUNS, locate_read_only},
    {"open-to-all", VSS_OP_LOCATE_LUNS, open_to_all},
    {"locates-once", VSS_OP_LOCATE_LUNS, locate_once},
    {"never-read-only", VSS_OP_ON_LUN_STATE_CHANGE, never_read_only},
    {"stays-read-only", VSS_OP_ON_LUN_STATE_CHANGE, stay_read_only},
    {"never-masks", VSS_OP_ON_LUN_STATE_CHANGE, never_mask},
    {"unbinds-only", VSS_OP_ON_LUN_STATE_CHANGE, unbind_only},
    {"mask-deletes", VSS_OP_ON_LUN_STATE_CHANGE, mask_deletes},
    {"deletes-nothing", VSS_OP_ON_LUN_EMPTY, pretend},
    {"deletes-set", VSS_OP_ON_LUN_EMPTY, delete_set},
    {"deletes-once", VSS_OP_ON_LUN_EMPTY, delete_once},
    {"deletes-by-identity", VSS_OP_ON_LUN_EMPTY, delete_by_identity},
    {"spoils-destination", VSS_OP_RESYNC_START, spoil_destination},
    {"spoils-copy", VSS_OP_RESYNC_START, spoil_copy},
    {"overshoots", VSS_OP_RESYNC_START, overshoot},
    {"new-identity", VSS_OP_RESYNC_START, new_identity},
    {"labels-first", VSS_OP_RESYNC_START, done_but_unsaid},
    {"labels-first", VSS_OP_RESYNC_POLL, say_if_started_here},
    {"cancels-once", VSS_OP_RESYNC_CANCEL, cancel_once},
    {"takes-any", VSS_OP_RESYNC_START, take_any},
    {"leaves-sessions", VSS_OP_ON_LUN_STATE_CHANGE, leave_sessions},
    {"no-final", VSS_OP_PRE_FINAL_COMMIT_SNAPSHOTS, refuse},
};

static HRESULT spoilt(const struct way *w)
{
    for (size_t i = 0; i < sizeof(spoils) / sizeof(spoils[0]); i++) {
        if (spoils[i].op == w->op && strcmp(spoils[i].defect, config(w, "defect")) == 0) {
            return spoils[i].spoil(w);
        }
    }
    return forward(w);
}

#define WAY(name, number)                                                                          \
    static HRESULT name(void *self, const struct vss_call *call, const void *in, void *out)        \
    {                                                                                              \
        const struct way w = {number, self, call, in, out};                                        \
        return spoilt(&w);                                                                         \
    }
WAY(on_unload, VSS_OP_ON_UNLOAD)
WAY(get_capabilities, VSS_OP_GET_CAPABILITIES)
WAY(are_luns_supported, VSS_OP_ARE_LUNS_SUPPORTED)
WAY(fill_in_lun_info, VSS_OP_FILL_IN_LUN_INFO)
WAY(begin_prepare, VSS_OP_BEGIN_PREPARE_SNAPSHOT)
WAY(end_prepare, VSS_OP_END_PREPARE_SNAPSHOTS)
WAY(pre_commit, VSS_OP_PRE_COMMIT_SNAPSHOTS)
WAY(commit, VSS_OP_COMMIT_SNAPSHOTS)
WAY(post_commit, VSS_OP_POST_COMMIT_SNAPSHOTS)
WAY(pre_final_commit, VSS_OP_PRE_FINAL_COMMIT_SNAPSHOTS)
WAY(post_final_commit, VSS_OP_POST_FINAL_COMMIT_SNAPSHOTS)
WAY(abort_snapshots, VSS_OP_ABORT_SNAPSHOTS)
WAY(get_target_luns, VSS_OP_GET_TARGET_LUNS)
WAY(locate_luns, VSS_OP_LOCATE_LUNS)
WAY(on_lun_empty, VSS_OP_ON_LUN_EMPTY)
WAY(on_lun_state_change, VSS_OP_ON_LUN_STATE_CHANGE)
WAY(resync_start, VSS_OP_RESYNC_START)
WAY(resync_poll, VSS_OP_RESYNC_POLL)
WAY(resync_cancel, VSS_OP_RESYNC_CANCEL)

static const vss_provider_callback ops[VSS_OP_COUNT] = {
    [VSS_OP_ON_UNLOAD] = on_unload,
    [VSS_OP_GET_CAPABILITIES] = get_capabilities,
    [VSS_OP_ARE_LUNS_SUPPORTED] = are_luns_supported,
    [VSS_OP_FILL_IN_LUN_INFO] = fill_in_lun_info,
    [VSS_OP_BEGIN_PREPARE_SNAPSHOT] = begin_prepare,
    [VSS_OP_END_PREPARE_SNAPSHOTS] = end_prepare,
    [VSS_OP_PRE_COMMIT_SNAPSHOTS] = pre_commit,
    [VSS_OP_COMMIT_SNAPSHOTS] = commit,
    [VSS_OP_POST_COMMIT_SNAPSHOTS] = post_commit,
    [VSS_OP_PRE_FINAL_COMMIT_SNAPSHOTS] = pre_final_commit,
    [VSS_OP_POST_FINAL_COMMIT_SNAPSHOTS] = post_final_commit,
    [VSS_OP_ABORT_SNAPSHOTS] = abort_snapshots,
    [VSS_OP_GET_TARGET_LUNS] = get_target_luns,
    [VSS_OP_LOCATE_LUNS] = locate_luns,
    [VSS_OP_ON_LUN_EMPTY] = on_lun_empty,
    [VSS_OP_ON_LUN_STATE_CHANGE] = on_lun_state_change,
    [VSS_OP_RESYNC_START] = resync_start,
    [VSS_OP_RESYNC_POLL] = resync_poll,
    [VSS_OP_RESYNC_CANCEL] = resync_cancel,
};

static const struct vss_provider_table table = {
    .magic = VSS_PROVIDER_MAGIC,
    .struct_size = sizeof(struct vss_provider_table),
    .abi_major = VSS_PROVIDER_ABI_MAJOR,
    .abi_minor = VSS_PROVIDER_ABI_MINOR,
    .provider_id = {0x2d4b8f6a, 0x10c3, 0x4e79, {0xa6, 0x5d, 0x83, 0xf1, 0x0b, 0x97, 0xe2, 0x4c}},
    .version_id = {0xc7e15a30, 0x9b48, 0x4d02, {0x8f, 0x6b, 0x21, 0xd4, 0x7a, 0x3e, 0x58, 0x91}},
    .name = "broken",
    .version = "1",
    .type = VSS_PROV_HARDWARE,
    .thread_model = VSS_THREADS_SERIALIZED,
    .op_count = VSS_OP_COUNT,
    .ops = ops,
};

__attribute__((visibility("default"))) const struct vss_provider_table *
lunshadow_provider_entry(void);

const struct vss_provider_table *lunshadow_provider_entry(void)
{
    return &table;
}
