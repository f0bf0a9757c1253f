/* SPDX-License-Identifier: Apache-2.0 */
/* Import, the proof that the copies are one moment, and the controls that must not pass it. */
#include "drill/internal.h"
#include "registry/sets.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RECORDS_WANTED 1000u

/* ---- import ---- */

static HRESULT check_copy(struct drill *d, size_t index, struct error *err)
{
    const struct raw_address *address = &d->sets[SET_CUT].copies[index];
    uint32_t number = d->luns[index].layout.number;
    struct raw *raw = NULL;
    struct raw_page page = {0};
    struct fields *original = NULL;
    struct fields *copy = NULL;
    char text[FIELDS_TEXT_BYTES];
    HRESULT hr = raw_open(address, d->initiator, &raw, err);
    if (SUCCEEDED(hr)) {
        hr = raw_inquiry(raw, 0x83, &page, err);
    }
    raw_close(raw);
    if (SUCCEEDED(hr)) {
        bool is_new = true;
        for (size_t i = 0; i < DRILL_LUNS; i++) {
            is_new = is_new && !raw_page_equal(&page, &d->luns[i].identity);
        }
        (void)report_check(d->report, "the copy has a page 83 of its own", is_new,
                           "LUN %u's copy is %s/%d", number, address->target, address->lun);
        hr = fields_read(&d->luns[index].layout, d->luns[index].image->fixed_bytes, &original, err);
    }
    if (SUCCEEDED(hr)) {
        hr = drill_read_label(d, index, address, &copy, err);
    }
    if (SUCCEEDED(hr)) {
        (void)report_check(d->report, "the copy has fresh disk IDs",
                           fields_ids_all_differ(original, copy), "LUN %u's copy: %s", number,
                           fields_id_text(copy, text));
        if (copy->kind == FIELDS_GPT) {
            (void)report_check(d->report, "the copy is marked as a shadow copy",
                               fields_has_shadow_bits(copy), "LUN %u's copy", number);
        }
    }
    free(original);
    free(copy);
    return hr;
}

HRESULT phase_import(struct drill *d, struct error *err)
{
    HRESULT hr = drill_import_set(d, SET_CUT, err);
    for (size_t i = 0; i < DRILL_LUNS && SUCCEEDED(hr); i++) {
        uint8_t *fixed = NULL;
        struct fields *copy = NULL;
        hr = check_copy(d, i, err);
        if (SUCCEEDED(hr)) {
            hr = drill_read_fixed(d, i, &d->sets[SET_CUT].copies[i], &fixed, err);
        }
        if (SUCCEEDED(hr)) {
            hr = fields_read(&d->luns[i].layout, fixed, &copy, err);
        }
        if (SUCCEEDED(hr)) {
            check_tools(d, i, fixed, copy); /* whatever the ids are: a whole label */
        }
        free(copy);
        free(fixed);
    }
    return hr;
}

/* ---- the proof ---- */

struct copies {
    struct cut_member members[DRILL_LUNS];
};

static void copies_close(struct copies *c)
{
    for (size_t i = 0; i < DRILL_LUNS; i++) {
        raw_close(c->members[i].raw);
    }
}

static HRESULT open_copies(struct drill *d, struct copies *c, struct error *err)
{
    HRESULT hr = S_OK;
    *c = (struct copies){0};
    for (size_t i = 0; i < DRILL_LUNS && SUCCEEDED(hr); i++) {
        c->members[i].before = d->luns[i].image; /* the base fill: the log is not in it yet */
        hr = raw_open(&d->sets[SET_CUT].copies[i], d->initiator, &c->members[i].raw, err);
    }
    return hr;
}

static HRESULT report_window(struct drill *d, struct error *err)
{
    struct store *store = NULL;
    struct set_record set = {0};
    HRESULT hr = store_open(d->state, &store, err);
    if (SUCCEEDED(hr)) {
        hr = sets_load(store, &d->sets[SET_CUT].set_id, &set, err);
    }
    if (SUCCEEDED(hr)) {
        report_figure(d->report, "cut_window_us", "cut window, first LUN cut to last", set.cut_us,
                      "us");
        report_figure(d->report, "hold_us", "hold of I/O, hold to release", set.hold_us, "us");
        (void)report_check(
            d->report, "the cut window was measured", set.hold_us > 0 && set.cut_us <= set.hold_us,
            "%" PRIu64 " us within a hold of %" PRIu64 " us", set.cut_us, set.hold_us);
    }
    set_record_free(&set);
    store_close(store);
    return hr;
}

static HRESULT keep_image_at_cut(struct drill *d, const struct cut_result *r, struct error *err)
{
    HRESULT hr = S_OK;
    for (size_t i = 0; i < DRILL_LUNS && SUCCEEDED(hr); i++) {
        struct drill_lun *l = &d->luns[i];
        hr = image_copy(l->image, &l->image_at_cut, err);
        if (SUCCEEDED(hr)) {
            hr = image_apply(l->image_at_cut, d->acks, r->newest[i], err);
        }
        if (SUCCEEDED(hr)) {
            hr = fields_read(&l->layout, l->image->fixed_bytes, &l->label_at_cut, err);
        }
    }
    return hr;
}

static HRESULT prove(struct drill *d, struct copies *copies, struct error *err)
{
    struct cut_result r;
    HRESULT hr = cut_check(copies->members, DRILL_LUNS, d->acks, &r, err);
    if (FAILED(hr)) {
        return hr;
    }
    report_bytes(d->report, DRILL_LUNS * d->lun_bytes);
    (void)report_check(d->report, "the copies are one moment", cut_holds(&r), "%s", r.text);
    (void)report_check(d->report, "at least 1,000 records in the second before",
                       r.records_in_second >= RECORDS_WANTED, "%" PRIu64, r.records_in_second);
    report_figure(d->report, "records_before_cut", "records in the second before the cut",
                  r.records_in_second, "");
    hr = report_window(d, err);
    if (SUCCEEDED(hr) && cut_holds(&r)) {
        hr = keep_image_at_cut(d, &r, err);
    } else if (SUCCEEDED(hr)) {
        hr = error_set(err, VSS_E_UNEXPECTED,
                       "without a cut that holds there is nothing to compare a resync with");
    }
    return hr;
}

/* ---- the controls ---- */

static HRESULT check_control(struct drill *d, int control, struct cut_result *out,
                             struct error *err)
{
    struct copies c = {0};
    HRESULT hr = S_OK;
    for (size_t i = 0; i < DRILL_LUNS && SUCCEEDED(hr); i++) {
        char *path = text_printf("%s/control-%d-%zu.img", d->lab->disks, control, i + 1);
        c.members[i].before = d->luns[i].image;
        hr = path ? raw_open_file(path, d->luns[i].layout.block_bytes, true, &c.members[i].raw, err)
                  : error_set(err, E_OUTOFMEMORY, "out of memory for a control");
        free(path);
    }
    if (SUCCEEDED(hr)) {
        hr = cut_check(c.members, DRILL_LUNS, d->acks, out, err);
        report_bytes(d->report, DRILL_LUNS * d->lun_bytes);
    }
    copies_close(&c);
    return hr;
}

/* One that fails is enough: that the check can fail is what is shown. */
static HRESULT control_without_hold(struct drill *d, struct error *err)
{
    struct cut_result r = {0};
    HRESULT hr = S_OK;
    int used = 0;
    bool was_caught = false;
    while (used < d->control_count && SUCCEEDED(hr) && !was_caught) {
        hr = check_control(d, used++, &r, err);
        was_caught = SUCCEEDED(hr) && !r.is_in_order;
    }
    if (SUCCEEDED(hr)) {
        (void)report_check(d->report, "control: copies without the hold do not pass", was_caught,
                           "%d taken, %d looked at: %s", d->control_count, used, r.text);
    }
    return hr;
}

static void remove_controls(struct drill *d)
{
    for (int c = 0; c < d->control_count; c++) {
        for (size_t i = 0; i < DRILL_LUNS; i++) {
            char *path = text_printf("%s/control-%d-%zu.img", d->lab->disks, c, i + 1);
            if (path && unlink(path) != 0 && errno != ENOENT) {
                report_leftover(d->report, "%s", path);
            }
            free(path);
        }
    }
    d->control_count = 0;
}

/* The copy's blocks in a file, where one byte can be changed without touching the copy. */
static HRESULT dump(struct raw *from, const char *path, struct raw **out, struct error *err)
{
    uint64_t step = IMAGE_STEP_BYTES / from->block_bytes;
    uint8_t *data = malloc(IMAGE_STEP_BYTES);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    HRESULT hr = data ? S_OK : error_set(err, E_OUTOFMEMORY, "out of memory for a control");
    if (fd < 0 || ftruncate(fd, (off_t)(from->block_count * from->block_bytes)) != 0) {
        hr = error_set_errno(err, errno, "cannot make %s", path);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    if (SUCCEEDED(hr)) {
        hr = raw_open_file(path, from->block_bytes, false, out, err);
    }
    for (uint64_t at = 0; SUCCEEDED(hr) && at < from->block_count; at += step) {
        uint64_t blocks = from->block_count - at < step ? from->block_count - at : step;
        hr = raw_read(from, at, blocks, data, err);
        if (SUCCEEDED(hr)) {
            hr = raw_write(*out, at, blocks, data, err);
        }
    }
    free(data);
    return hr;
}

static HRESULT flip(struct raw *raw, uint64_t block, struct error *err)
{
    uint8_t *data = malloc(raw->block_bytes);
    HRESULT hr = data ? raw_read(raw, block, 1, data, err)
                      : error_set(err, E_OUTOFMEMORY, "out of memory for a control");
    if (SUCCEEDED(hr)) {
        data[raw->block_bytes - 77] ^= 0x04;
        hr = raw_write(raw, block, 1, data, err);
    }
    free(data);
    return hr;
}

/* The same copies, which just passed, with one bit of one byte changed. */
static HRESULT control_flipped(struct drill *d, struct copies *copies, struct error *err)
{
    enum { VICTIM = DRILL_LUNS - 1 };
    const struct layout *layout = &d->luns[VICTIM].layout;
    uint64_t block = layout_block(layout, layout->data_blocks / 3);
    struct raw *on_array = copies->members[VICTIM].raw;
    struct raw *in_file = NULL;
    struct cut_result r = {0};
    char *path = text_printf("%s/flipped.img", d->scratch);
    HRESULT hr = path ? dump(on_array, path, &in_file, err)
                      : error_set(err, E_OUTOFMEMORY, "out of memory for a control");
    if (SUCCEEDED(hr)) {
        hr = flip(in_file, block, err);
    }
    if (SUCCEEDED(hr)) {
        copies->members[VICTIM].raw = in_file;
        hr = cut_check(copies->members, DRILL_LUNS, d->acks, &r, err);
        copies->members[VICTIM].raw = on_array;
        report_bytes(d->report, (DRILL_LUNS + 1) * d->lun_bytes);
    }
    if (SUCCEEDED(hr)) {
        (void)report_check(d->report, "control: one flipped bit does not pass",
                           !r.is_whole && r.bad_blocks == 1 && r.first_bad_member == VICTIM &&
                               r.first_bad_block == block,
                           "%s", r.text);
    }
    raw_close(in_file);
    if (path) {
        (void)unlink(path);
    }
    free(path);
    return hr;
}

HRESULT phase_cut(struct drill *d, struct error *err)
{
    struct copies copies;
    HRESULT hr = open_copies(d, &copies, err);
    if (SUCCEEDED(hr)) {
        hr = prove(d, &copies, err);
    }
    if (SUCCEEDED(hr)) {
        hr = control_without_hold(d, err);
    }
    if (SUCCEEDED(hr)) {
        hr = control_flipped(d, &copies, err);
    }
    copies_close(&copies);
    remove_controls(d);
    return hr;
}

/* The originals are what the whole log says: creating and importing the set touched no byte of
 * them. */
HRESULT phase_untouched(struct drill *d, struct error *err)
{
    for (size_t i = 0; i < DRILL_LUNS; i++) {
        HRESULT hr = image_apply(d->luns[i].image, d->acks, UINT64_MAX, err);
        if (FAILED(hr)) {
            return hr;
        }
        check_image(d, "the original is as the workload left it", d->luns[i].image,
                    &d->luns[i].address, IMAGE_ALL);
    }
    return S_OK;
}
