/* SPDX-License-Identifier: Apache-2.0 */
/* What a drill stands on: a directory, an array of its own, LUNs with labels and data. */
#include "common/buffer.h"
#include "common/id.h"
#include "drill/internal.h"
#include "drill/stamp.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define GIB           ((uint64_t)1 << 30)
#define MIB           ((uint64_t)1 << 20)
#define IQN           "iqn.2026-11.org.lunshadow:"
#define FOREIGN_BYTES (32 * MIB)
#define WORK_MAX      60

bool drill_was_stopped(const struct drill *d)
{
    return d->options->should_stop && d->options->should_stop();
}

static HRESULT out_of_memory(struct error *err)
{
    return error_set(err, E_OUTOFMEMORY, "out of memory preparing the drill");
}

/* ---- directories and names ---- */

static HRESULT make_work(struct drill *d, struct error *err)
{
    const char *named = d->options->work_directory;
    if (named) {
        d->work = text_copy(named);
        if (!d->work) {
            return out_of_memory(err);
        }
        if (strlen(named) > WORK_MAX) {
            return error_set(err, E_INVALIDARG, "the path of %s is longer than %d bytes", named,
                             WORK_MAX);
        }
        if (mkdir(named, 0700) != 0) {
            /* An empty one will do; rmdir() is the test that cannot be fooled. */
            if (errno != EEXIST || rmdir(named) != 0 || mkdir(named, 0700) != 0) {
                return error_set_errno(err, errno, "%s is not an empty directory of ours", named);
            }
        }
        d->made_work = true;
        return S_OK;
    }
    const char *base = secure_getenv("TMPDIR");
    d->work = text_printf("%s/lunshadow-drill-XXXXXX", base && *base == '/' ? base : "/var/tmp");
    if (!d->work) {
        return out_of_memory(err);
    }
    if (!mkdtemp(d->work)) {
        return error_set_errno(err, errno, "cannot make %s", d->work);
    }
    d->made_work = true;
    return S_OK;
}

static HRESULT make_names(struct drill *d, struct error *err)
{
    d->scratch = text_printf("%s/tmp", d->work);
    d->state = text_printf("%s/state", d->work);
    d->config = text_printf("%s/lunshadow.conf", d->work);
    d->log = text_printf("%s/acknowledged", d->work);
    d->target = text_printf(IQN "drill-%s", d->short_id);
    d->foreign_target = text_printf(IQN "foreign-%s", d->short_id);
    d->initiator = text_printf(IQN "initiator-%s", d->short_id);
    d->second_initiator = text_printf(IQN "second-%s", d->short_id);
    if (!d->scratch || !d->state || !d->config || !d->log || !d->target || !d->foreign_target ||
        !d->initiator || !d->second_initiator) {
        return out_of_memory(err);
    }
    if (mkdir(d->scratch, 0700) != 0 || mkdir(d->state, 0700) != 0) {
        return error_set_errno(err, errno, "cannot make directories below %s", d->work);
    }
    return S_OK;
}

/* The originals and what a set of them may grow to; without clones every set is a full copy. */
static HRESULT check_room(const struct drill *d, size_t luns, struct error *err)
{
    struct statvfs fs;
    uint64_t files = luns * (d->lab->has_reflink ? 4 : SET_COUNT + 2);
    uint64_t needed = files * d->lun_bytes + 256 * MIB;
    if (statvfs(d->work, &fs) != 0) {
        return error_set_errno(err, errno, "cannot look at %s", d->work);
    }
    uint64_t free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    if (free_bytes < needed) {
        return error_set(err, VSS_E_INSUFFICIENT_STORAGE,
                         "the drill needs %" PRIu64 " MiB below %s and %" PRIu64
                         " MiB are free: choose another directory or smaller LUNs",
                         needed / MIB, d->work, free_bytes / MIB);
    }
    return S_OK;
}

static HRESULT start_array(struct drill *d, size_t luns, struct error *err)
{
    char *directory = text_printf("%s/lab", d->work);
    if (!directory) {
        return out_of_memory(err);
    }
    uint64_t image_bytes = 8 * luns * d->lun_bytes;
    struct lab_options options = {.directory = directory,
                                  .image_bytes = image_bytes > 16 * GIB ? image_bytes : 16 * GIB,
                                  .plain_directory = d->options->plain_directory,
                                  .detached = d->options->keep};
    HRESULT hr = lab_up(&options, &d->lab, err);
    if (SUCCEEDED(hr)) {
        /* A heavy load is part of the proof, also on a busy host; root alone may ask for it. The
         * threads that serve LUNs come later and take it over. */
        (void)setpriority(PRIO_PROCESS, (id_t)d->lab->tgtd_pid, -10);
    }
    free(directory);
    return hr;
}

static HRESULT write_config(struct drill *d, struct error *err)
{
    struct buffer text = BUFFER_INIT;
    (void)lab_config(d->lab, &text);
    buffer_printf(&text, "\n[initiator]\nname = %s\n", d->initiator);
    if (FAILED(buffer_status(&text))) {
        buffer_free(&text);
        return out_of_memory(err);
    }
    int fd = open(d->config, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    HRESULT hr = S_OK;
    if (fd < 0 || write(fd, text.data, text.length) != (ssize_t)text.length) {
        hr = error_set_errno(err, errno, "cannot write %s", d->config);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    buffer_free(&text);
    return hr;
}

HRESULT setup_array(struct drill *d, size_t luns, struct error *err)
{
    char id[ID_TEXT_BYTES];
    d->id = id_new();
    d->seed = ((uint64_t)d->id.data1 << 16) | d->id.data2;
    (void)snprintf(d->short_id, sizeof(d->short_id), "%.8s", id_text(&d->id, id));
    if (d->lun_bytes > 16 * GIB || d->options->seconds > 600 || d->options->seconds == 1) {
        return error_set(err, E_INVALIDARG, "LUNs of at most 16 GiB and 2 to 600 seconds of load");
    }
    HRESULT hr = judge_check_tools(err);
    if (SUCCEEDED(hr)) {
        hr = make_work(d, err);
    }
    if (SUCCEEDED(hr)) {
        hr = make_names(d, err);
    }
    if (SUCCEEDED(hr)) {
        hr = start_array(d, luns, err);
    }
    if (SUCCEEDED(hr)) {
        hr = check_room(d, luns, err);
    }
    return SUCCEEDED(hr) ? write_config(d, err) : hr;
}

HRESULT setup_begin(struct drill *d, struct error *err)
{
    struct layout probe = {0}; /* is a LUN of this size one that we can label? */
    d->lun_bytes = d->options->lun_bytes ? d->options->lun_bytes : 256 * MIB;
    HRESULT hr = disk_label_layout(LABEL_FORM_MBR, 1, d->lun_bytes, &probe, err);
    layout_free(&probe);
    return SUCCEEDED(hr) ? setup_array(d, DRILL_LUNS, err) : hr;
}

/* ---- LUNs ---- */

static void set_address(const struct drill *d, const char *target, uint32_t lun,
                        struct raw_address *out)
{
    (void)snprintf(out->portal, sizeof(out->portal), "%s", d->lab->portal);
    (void)snprintf(out->target, sizeof(out->target), "%s", target);
    out->lun = (int)lun;
}

/* Its label, from an outside tool, and its data; then who it is. It was made a moment ago under a
 * target name that nobody else knows. */
static HRESULT fill_lun(struct drill *d, struct drill_lun *l, struct error *err)
{
    struct raw *raw = NULL;
    uint8_t *fixed = NULL;
    HRESULT hr = disk_label_make(l->form, &l->layout, d->scratch, &fixed, err);
    if (SUCCEEDED(hr)) {
        hr = raw_open(&l->address, d->initiator, &raw, err);
    }
    if (SUCCEEDED(hr)) {
        hr = raw_inquiry(raw, 0x83, &l->identity, err);
    }
    if (SUCCEEDED(hr)) {
        hr = image_write_fixed(&l->layout, raw, fixed, err);
    }
    if (SUCCEEDED(hr)) {
        hr = image_write(l->image, raw, err);
    }
    if (SUCCEEDED(hr)) {
        hr = image_capture(l->image, raw, err);
    }
    if (SUCCEEDED(hr) &&
        memcmp(l->image->fixed_bytes, fixed, l->layout.fixed_blocks * l->layout.block_bytes) != 0) {
        hr = error_set(err, VSS_E_UNEXPECTED, "%s does not keep what is written to it", raw->name);
    }
    raw_close(raw);
    free(fixed);
    return hr;
}

static HRESULT add_lun(struct drill *d, size_t index, struct error *err)
{
    struct drill_lun *l = &d->luns[index];
    uint32_t number = (uint32_t)index + 1;
    l->form = (enum label_form)index;
    l->file = text_printf("original-%u.img", number);
    l->url = text_printf("iscsi://%s/%s/%u", d->lab->portal, d->target, number);
    if (!l->file || !l->url) {
        return out_of_memory(err);
    }
    set_address(d, d->target, number, &l->address);
    HRESULT hr = disk_label_layout(l->form, number, d->lun_bytes, &l->layout, err);
    if (SUCCEEDED(hr)) {
        hr = image_new(&l->layout, d->seed, &l->image, err);
    }
    struct lab_lun_options options = {.target = d->target,
                                      .lun = number,
                                      .file = l->file,
                                      .bytes = d->lun_bytes,
                                      .block_bytes = l->layout.block_bytes};
    return SUCCEEDED(hr) ? lab_add_lun(d->lab, &options, err) : hr;
}

/* Somebody else's LUN on the same portal: filled once, never given to anything. */
static HRESULT add_foreign(struct drill *d, struct error *err)
{
    struct raw *raw = NULL;
    struct image *image = NULL;
    struct layout layout = {0};
    struct range all = {0, FOREIGN_BYTES / 512};
    struct lab_lun_options options = {.target = d->foreign_target,
                                      .lun = 1,
                                      .file = "foreign.img",
                                      .bytes = FOREIGN_BYTES,
                                      .block_bytes = 512};
    set_address(d, d->foreign_target, 1, &d->foreign);
    HRESULT hr = lab_add_lun(d->lab, &options, err);
    if (SUCCEEDED(hr)) {
        hr = layout_make(99, 512, all.block_count, &all, 1, &layout, err);
    }
    if (SUCCEEDED(hr)) {
        hr = image_new(&layout, ~d->seed, &image, err);
    }
    if (SUCCEEDED(hr)) {
        hr = raw_open(&d->foreign, d->initiator, &raw, err);
    }
    if (SUCCEEDED(hr)) {
        hr = image_write(image, raw, err);
    }
    if (SUCCEEDED(hr)) {
        hr = image_digest(raw, d->foreign_digest, err);
    }
    raw_close(raw);
    image_free(image);
    layout_free(&layout);
    return hr;
}

HRESULT phase_make_luns(struct drill *d, struct error *err)
{
    report_note(d->report, "array at %s, LUN files in %s (%s: copies are %s)", d->lab->portal,
                d->lab->disks, d->lab->is_mounted ? "XFS on a loop device" : "a plain directory",
                d->lab->has_reflink ? "clones" : "full copies, not clones");
    HRESULT hr = S_OK;
    for (size_t i = 0; i < DRILL_LUNS && SUCCEEDED(hr); i++) {
        hr = add_lun(d, i, err); /* all of them first: only the first one makes the target */
    }
    for (size_t i = 0; i < DRILL_LUNS && SUCCEEDED(hr); i++) {
        hr = fill_lun(d, &d->luns[i], err);
        report_bytes(d->report, d->lun_bytes);
    }
    if (FAILED(hr)) {
        return hr;
    }
    for (size_t i = 0; i < DRILL_LUNS; i++) {
        check_image(d, "the fill is on the LUN", d->luns[i].image, &d->luns[i].address, IMAGE_ALL);
    }
    return add_foreign(d, err);
}

/* ---- the end ---- */

static void say_how_to_look(struct drill *d)
{
    report_note(d->report, "kept: the array at %s, everything of it below %s", d->lab->portal,
                d->work);
    report_note(d->report, "look at it: lunshadow luns --config %s", d->config);
    report_note(d->report, "            lunshadow list --config %s --state-dir %s", d->config,
                d->state);
    report_note(d->report,
                "            TGT_IPC_SOCKET=%s tgtadm -C %u --lld iscsi --op show --mode "
                "target",
                d->lab->socket, d->lab->control_port);
    report_note(d->report, "take it away: lunshadow lab down %s/lab && rm -r %s", d->work, d->work);
    lab_detach(d->lab);
    d->lab = NULL;
}

static void remove_work(struct drill *d)
{
    const char *command[] = {"rm", "-rf", "--one-file-system", "--", d->work, NULL};
    struct error err = {0};
    if (FAILED(judge_run(command, NULL, &err)) || access(d->work, F_OK) == 0) {
        report_leftover(d->report, "%s (%s)", d->work, error_text(&err));
    }
}

static void free_luns(struct drill *d)
{
    for (size_t i = 0; i < DRILL_LUNS; i++) {
        struct drill_lun *l = &d->luns[i];
        image_free(l->image);
        image_free(l->image_at_cut);
        free(l->label_at_cut);
        free(l->label_before);
        layout_free(&l->layout);
        free(l->url);
        free(l->file);
    }
    for (size_t i = 0; i < SET_COUNT; i++) {
        vss_free_string(d->sets[i].xml);
    }
}

static void free_names(struct drill *d)
{
    char *const names[] = {d->work,   d->scratch,        d->state,     d->config,          d->log,
                           d->target, d->foreign_target, d->initiator, d->second_initiator};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        free(names[i]);
    }
}

void setup_end(struct drill *d)
{
    struct error err = {0};
    (void)workload_stop(d->workload, NULL);
    d->workload = NULL;
    acks_close(d->acks);
    if (d->options->keep && d->is_set_up && d->lab) {
        say_how_to_look(d);
    } else {
        HRESULT hr = lab_down(d->lab, &err);
        d->lab = NULL;
        if (FAILED(hr)) {
            report_leftover(d->report, "%s", error_text(&err));
        } else if (d->made_work) {
            remove_work(d);
        }
    }
    free_luns(d);
    free_names(d);
}
