/* SPDX-License-Identifier: Apache-2.0 */
/* Damage, and RecoverSet twice: with the destinations' own disk ids and with the originals'. */
#include "common/clock.h"
#include "common/id.h"
#include "drill/internal.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* ---- damage ---- */

static HRESULT damage_lun(struct drill *d, size_t lun, uint64_t salt, struct error *err)
{
    struct drill_lun *l = &d->luns[lun];
    struct raw *raw = NULL;
    struct image_difference diff = {0};
    uint64_t blocks = 0;
    HRESULT hr = guarded_damage(d, lun, salt, &blocks, err);
    if (SUCCEEDED(hr)) {
        hr = raw_open(&l->address, d->initiator, &raw, err);
    }
    if (SUCCEEDED(hr)) {
        hr = image_compare(l->image_at_cut, raw, IMAGE_DATA, &diff, err);
    }
    raw_close(raw);
    if (SUCCEEDED(hr)) {
        report_bytes(d->report, (blocks + diff.compared_blocks) * l->layout.block_bytes);
        (void)report_check(d->report, "a third of the data is destroyed",
                           diff.different_blocks * 100 >= diff.compared_blocks * 33,
                           "LUN %u: %" PRIu64 " of %" PRIu64 " blocks are not those of the cut",
                           l->layout.number, diff.different_blocks, diff.compared_blocks);
    }
    return hr;
}

static HRESULT give_new_ids(struct drill *d, size_t lun, struct error *err)
{
    struct drill_lun *l = &d->luns[lun];
    char text[FIELDS_TEXT_BYTES];
    HRESULT hr = guarded_new_ids(d, lun, err);
    if (SUCCEEDED(hr)) {
        (void)report_check(d->report, "the destination has disk ids of its own",
                           fields_ids_all_differ(l->label_at_cut, l->label_before), "LUN %u: %s",
                           l->layout.number, fields_id_text(l->label_before, text));
    }
    return hr;
}

static HRESULT wipe(struct drill *d, struct error *err)
{
    struct drill_lun *l = &d->luns[DRILL_WIPED_LUN];
    struct fields *now = NULL;
    HRESULT hr = guarded_wipe_labels(d, DRILL_WIPED_LUN, err);
    if (SUCCEEDED(hr)) {
        hr = drill_read_label(d, DRILL_WIPED_LUN, &l->address, &now, err);
    }
    if (SUCCEEDED(hr)) {
        (void)report_check(d->report, "both labels of one LUN are wiped", now->kind == FIELDS_NONE,
                           "LUN %u", l->layout.number);
    }
    free(now);
    return hr;
}

/* The LUN that will lose its label gets its new ids first, and a set in between: that is when they
 * are last read, so they are what the default must bring back. */
HRESULT phase_damage(struct drill *d, struct error *err)
{
    HRESULT hr = S_OK;
    for (size_t i = 0; i < DRILL_LUNS && SUCCEEDED(hr); i++) {
        hr = give_new_ids(d, i, err);
    }
    if (SUCCEEDED(hr)) {
        hr = drill_create_set(d, SET_LAST_READ, 0, err);
    }
    for (size_t i = 0; i < DRILL_LUNS && SUCCEEDED(hr); i++) {
        hr = damage_lun(d, i, d->seed + i, err);
    }
    return SUCCEEDED(hr) ? wipe(d, err) : hr;
}

HRESULT phase_damage_again(struct drill *d, struct error *err)
{
    HRESULT hr = S_OK;
    for (size_t i = 0; i < DRILL_LUNS && SUCCEEDED(hr); i++) {
        hr = give_new_ids(d, i, err);
        if (SUCCEEDED(hr)) {
            hr = damage_lun(d, i, ~d->seed + i, err);
        }
    }
    return hr;
}

/* ---- resync ---- */

/* What RecoverSet says of itself; that it says which ids a LUN has now, and why, is a check. */
static HRESULT read_own_report(struct drill *d, struct vss_backup_components *s, struct error *err)
{
    char *text = NULL;
    HRESULT hr =
        drill_call(s, vss_backup_components_recovery_report(s, &text), "recovery report", err);
    if (FAILED(hr)) {
        return hr;
    }
    json_t *members = json_loads(text, 0, NULL);
    size_t said = 0;
    for (size_t i = 0; i < json_array_size(members); i++) {
        const json_t *m = json_array_get(members, i);
        const char *ids = json_string_value(json_object_get(m, "ids"));
        const char *method = json_string_value(json_object_get(m, "method"));
        const char *destination = json_string_value(json_object_get(m, "destination"));
        said += ids && *ids && method && *method;
        report_note(d->report, "%s: %s; disk ids: %s", destination ? destination : "?",
                    method ? method : "?", ids ? ids : "?");
    }
    (void)report_check(d->report, "the resync says which ids it gave and why", said == DRILL_LUNS,
                       "for %zu of %d LUNs", said, DRILL_LUNS);
    json_decref(members);
    vss_free_string(text);
    return S_OK;
}

static HRESULT recover(struct drill *d, uint32_t flags, struct error *err)
{
    const struct drill_set *set = &d->sets[SET_CUT];
    struct vss_backup_components *s = NULL;
    struct vss_async *async = NULL;
    uint32_t steps = 0;
    HRESULT hr = drill_session(d, set->xml, true, &s, err);
    for (size_t i = 0; i < DRILL_LUNS && SUCCEEDED(hr); i++) {
        /* the first one by itself: the original is to be found by its identity */
        hr = drill_call(s,
                        vss_backup_components_add_snapshot_to_recovery_set(
                            s, &set->snapshots[i], 0, i == 0 ? NULL : d->luns[i].url),
                        "AddSnapshotToRecoverySet", err);
    }
    if (SUCCEEDED(hr)) {
        hr = vss_backup_components_recover_set(s, flags, &async);
        hr = drill_wait(d, s, hr, async, "RecoverSet", &steps, err);
    }
    if (SUCCEEDED(hr)) {
        (void)report_check(d->report, "progress was reported", steps > 0, "%u times", steps);
        hr = read_own_report(d, s, err);
    }
    vss_backup_components_release(s);
    return hr;
}

/* A stranger that was logged in: evicted, and after a new login it reads what was brought back. */
static HRESULT check_second_initiator(struct drill *d, struct raw *second, size_t lun,
                                      struct error *err)
{
    struct drill_lun *l = &d->luns[lun];
    struct raw *again = NULL;
    struct image_difference diff = {0};
    (void)report_check(d->report, "another initiator's session was ended", !raw_is_alive(second),
                       "LUN %u, %s", l->layout.number, d->second_initiator);
    HRESULT hr = raw_open(&l->address, d->second_initiator, &again, err);
    if (SUCCEEDED(hr)) {
        hr = image_compare(l->image_at_cut, again, IMAGE_DATA, &diff, err);
    }
    if (SUCCEEDED(hr)) {
        report_bytes(d->report, diff.compared_blocks * l->layout.block_bytes);
        (void)report_check(d->report, "it reads the new content after a new login",
                           diff.different_blocks == 0, "LUN %u: %" PRIu64 " blocks differ",
                           l->layout.number, diff.different_blocks);
    }
    raw_close(again);
    return hr;
}

static HRESULT check_identity(struct drill *d, size_t lun, struct error *err)
{
    struct drill_lun *l = &d->luns[lun];
    struct raw *raw = NULL;
    struct raw_page page = {0};
    HRESULT hr = raw_open(&l->address, d->initiator, &raw, err);
    if (SUCCEEDED(hr)) {
        hr = raw_inquiry(raw, 0x83, &page, err);
    }
    if (SUCCEEDED(hr)) {
        (void)report_check(d->report, "page 83 is unchanged", raw_page_equal(&page, &l->identity),
                           "LUN %u", l->layout.number);
    }
    raw_close(raw);
    return hr;
}

static HRESULT check_destination(struct drill *d, size_t lun, bool revert, struct error *err)
{
    struct drill_lun *l = &d->luns[lun];
    struct fields *expected = malloc(sizeof(*expected));
    HRESULT hr = expected ? S_OK : error_set(err, E_OUTOFMEMORY, "out of memory for a label");
    if (SUCCEEDED(hr)) {
        *expected = *l->label_at_cut;
        hr = revert ? S_OK : fields_take_ids(expected, l->label_before, err);
    }
    if (SUCCEEDED(hr)) {
        hr = check_identity(d, lun, err);
    }
    if (SUCCEEDED(hr)) {
        check_label(d, lun, &l->address, expected);
    }
    free(expected);
    return hr;
}

struct resync_words {
    uint32_t flags;
    bool revert;
    const char *recover_key;
    const char *recover_words;
    const char *rto_key;
    const char *rto_words;
};

static HRESULT recover_and_time(struct drill *d, const struct resync_words *w, struct error *err)
{
    uint64_t started_us = clock_monotonic_us();
    HRESULT hr = recover(d, w->flags, err);
    if (FAILED(hr)) {
        return hr;
    }
    report_figure(d->report, w->recover_key, w->recover_words, clock_monotonic_us() - started_us,
                  "us");
    for (size_t i = 0; i < DRILL_LUNS; i++) {
        check_image(d, "the LUN is what it was at the cut", d->luns[i].image_at_cut,
                    &d->luns[i].address, IMAGE_DATA);
    }
    report_figure(d->report, w->rto_key, w->rto_words, clock_monotonic_us() - started_us, "us");
    return S_OK;
}

static HRESULT resync(struct drill *d, const struct resync_words *w, struct error *err)
{
    struct raw *second = NULL;
    uint8_t block[4096];
    HRESULT hr = raw_open(&d->luns[0].address, d->second_initiator, &second, err);
    if (SUCCEEDED(hr)) {
        hr = raw_read(second, 0, 1, block, err);
    }
    if (SUCCEEDED(hr)) {
        hr = recover_and_time(d, w, err);
    }
    if (SUCCEEDED(hr)) {
        hr = check_second_initiator(d, second, 0, err);
    }
    raw_close(second);
    for (size_t i = 0; i < DRILL_LUNS && SUCCEEDED(hr); i++) {
        hr = check_destination(d, i, w->revert, err);
    }
    return hr;
}

HRESULT phase_resync_default(struct drill *d, struct error *err)
{
    static const struct resync_words words = {0,
                                              false,
                                              "recover_us",
                                              "RecoverSet, own ids kept",
                                              "rto_us",
                                              "RTO: RecoverSet, new login, all data compared"};
    return resync(d, &words, err);
}

HRESULT phase_resync_revert(struct drill *d, struct error *err)
{
    static const struct resync_words words = {VSS_RECOVERY_REVERT_IDENTITY_ALL,
                                              true,
                                              "recover_revert_us",
                                              "RecoverSet, the originals' ids",
                                              "rto_revert_us",
                                              "RTO of that one, the same way"};
    return resync(d, &words, err);
}
