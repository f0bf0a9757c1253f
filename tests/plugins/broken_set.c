/* SPDX-License-Identifier: Apache-2.0 */
/* Defects of claims, answers, and of a set until its copies are there. */
#include "broken.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void sleep_ms(long ms)
{
    const struct timespec pause = {ms / 1000, ms % 1000 * 1000000L};
    (void)nanosleep(&pause, NULL);
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

static HRESULT claim_emulated(const struct way *w)
{
    struct vss_capabilities_out *out = w->out;
    HRESULT hr = forward(w);
    out->consistent_set = VSS_CAPABILITY_EMULATED;
    return hr;
}

static HRESULT claim_resize(const struct way *w)
{
    struct vss_capabilities_out *out = w->out;
    HRESULT hr = forward(w);
    out->resize = VSS_CAPABILITY_NATIVE;
    return hr;
}

static HRESULT claim_differential(const struct way *w)
{
    struct vss_capabilities_out *out = w->out;
    HRESULT hr = forward(w);
    out->differential = VSS_CAPABILITY_NATIVE;
    return hr;
}

/* Says something else from the second process on. */
static HRESULT changing_claim(const struct way *w)
{
    struct vss_capabilities_out *out = w->out;
    HRESULT hr = forward(w);
    int fd = open(setting(w, "marker"), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
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
    out->luns = call_memory(w, in->lun_count * sizeof(*out->luns));
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
    struct vss_set_lun *luns = call_memory(w, in.lun_count * sizeof(*luns));
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
        out->states[0].data = call_memory(w, out->states[0].bytes);
    }
    return hr;
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

static HRESULT hide_hold(const struct way *w)
{
    struct vss_states_out *out = w->out;
    HRESULT hr = forward(w);
    out->hold = (struct vss_hold_report){0};
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
    struct vss_state *states = call_memory(w, in.lun_count * sizeof(*states));
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

/* ---- what is in order ---- */

/* An array that cuts no two LUNs at one moment: a set of two is no set. */
static HRESULT claim_no_set(const struct way *w)
{
    struct vss_capabilities_out *out = w->out;
    HRESULT hr = forward(w);
    out->consistent_set = VSS_CAPABILITY_NO;
    return hr;
}

static HRESULT support_one(const struct way *w)
{
    const struct vss_luns_in *in = w->in;
    struct vss_supported_out *out = w->out;
    HRESULT hr = forward(w);
    out->is_supported = out->is_supported && in->lun_count == 1;
    return hr;
}

static HRESULT begin_one(const struct way *w)
{
    static VSS_ID set;
    static char serial[64];
    const struct vss_luns_in *in = w->in;
    const char *now = in->luns[0].serial_number ? in->luns[0].serial_number : "";
    if (is_same_id(&set, &in->set_id) && strcmp(serial, now) != 0) {
        return refuse(w);
    }
    set = in->set_id;
    (void)snprintf(serial, sizeof(serial), "%s", now);
    return forward(w);
}

/* An array that keeps in its own memory, which outlives the process, what BeginPrepareSnapshot
 * named, and that takes nothing new while somebody recovers. */
static HRESULT begin_strictly(const struct way *w)
{
    const struct vss_luns_in *in = w->in;
    int fd = open(setting(w, "marker"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    bool is_kept = fd >= 0 && write(fd, &in->snapshot_id, sizeof(VSS_ID)) == sizeof(VSS_ID);
    (void)close(fd);
    return is_kept && !is_recovering() ? forward(w) : refuse(w);
}

static bool has_begun(const struct way *w, const VSS_ID *snapshot_id)
{
    VSS_ID found;
    bool is_found = false;
    int fd = open(setting(w, "marker"), O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && !is_found && read(fd, &found, sizeof(found)) == sizeof(found)) {
        is_found = is_same_id(&found, snapshot_id);
    }
    (void)close(fd);
    return is_found;
}

static HRESULT end_prepare_strictly(const struct way *w)
{
    const struct vss_set_in *in = w->in;
    for (uint32_t i = 0; i < in->lun_count; i++) {
        if (!has_begun(w, &in->luns[i].snapshot_id)) {
            return refuse(w);
        }
    }
    return forward(w);
}

const struct spoil set_spoils[] = {
    {"odd-claim", VSS_OP_GET_CAPABILITIES, odd_claim},
    {"unclaimed-resync", VSS_OP_GET_CAPABILITIES, unclaimed_resync},
    {"resizes-only", VSS_OP_GET_CAPABILITIES, claim_resize},
    {"hides-hold", VSS_OP_GET_CAPABILITIES, claim_emulated},
    {"hides-hold", VSS_OP_COMMIT_SNAPSHOTS, hide_hold},
    {"none-but-single", VSS_OP_GET_CAPABILITIES, claim_no_set},
    {"none-but-single", VSS_OP_ARE_LUNS_SUPPORTED, support_one},
    {"none-but-single", VSS_OP_BEGIN_PREPARE_SNAPSHOT, begin_one},
    {"none-but-strict", VSS_OP_BEGIN_PREPARE_SNAPSHOT, begin_strictly},
    {"none-but-strict", VSS_OP_END_PREPARE_SNAPSHOTS, end_prepare_strictly},
    {"claims-differential", VSS_OP_GET_CAPABILITIES, claim_differential},
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
    {"evicts-and-tears", VSS_OP_COMMIT_SNAPSHOTS, torn},
    {"prepared-in-memory", VSS_OP_END_PREPARE_SNAPSHOTS, note_prepared},
    {"prepared-in-memory", VSS_OP_COMMIT_SNAPSHOTS, only_if_prepared_here},
    {"commits-anything", VSS_OP_COMMIT_SNAPSHOTS, commit_anything},
    {"odd-code", VSS_OP_COMMIT_SNAPSHOTS, odd_code},
    {"counts-on-luns", VSS_OP_PRE_COMMIT_SNAPSHOTS, count_on_luns},
    {"post-commits-anything", VSS_OP_POST_COMMIT_SNAPSHOTS, pretend},
    {"aborts-later", VSS_OP_ABORT_SNAPSHOTS, abort_later},
    {"aborts-once", VSS_OP_ABORT_SNAPSHOTS, abort_once},
    {"aborts-by-state", VSS_OP_ABORT_SNAPSHOTS, abort_by_state},
    {"aborts-first", VSS_OP_END_PREPARE_SNAPSHOTS, note_set},
    {"aborts-first", VSS_OP_ABORT_SNAPSHOTS, abort_first},
    {"locates-nothing", VSS_OP_LOCATE_LUNS, pretend},
    {"deletes-nothing", VSS_OP_ON_LUN_EMPTY, pretend},
    {"no-final", VSS_OP_PRE_FINAL_COMMIT_SNAPSHOTS, refuse},
    {0},
};
