/* SPDX-License-Identifier: Apache-2.0 */
#include "lun/scan.h"

#include "common/buffer.h"
#include "common/clock.h"
#include "common/log.h"
#include "lun/report_luns.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW            64u /* commands under way: more keep a target's threads waking each other */
#define CHUNK_LUNS        256u /* identified while the labels of the chunk before are read: 9 MiB */
#define GPT_ENTRIES_BYTES 16384u /* the usual 128 entries of 128 bytes */
#define READ_MAX_BYTES    (1024u * 1024u)
#define SETTLE_MS         200u /* before what failed is looked at once more */

/* A target being scanned. */
struct target_scan {
    struct scan *scan;
    const struct lun_address *address; /* its lun is not looked at */
    struct scsi_transport *session;
    enum scan_label labels;
    uint64_t *numbers;
    size_t number_count;
    struct error left_out; /* a LUN without a number */
};

/* A LUN as a device to read its label from: what was fetched ahead, and the LUN itself behind it.
 */
struct ahead {
    struct block_device block; /* first */
    struct scsi_transport *session;
    uint64_t lun;
    uint32_t head_blocks;
    uint32_t tail_blocks;
    uint8_t *head; /* NULL: not there */
    uint8_t *tail;
    struct scsi_command *head_command; /* NULL: not sent */
    struct scsi_command *tail_command;
};

/* ---- labels ---- */

static HRESULT read_directly(struct ahead *a, uint64_t lba, uint32_t blocks, uint8_t *data,
                             struct error *err)
{
    uint32_t most = READ_MAX_BYTES / a->block.block_bytes;
    while (blocks > 0) {
        struct scsi_command c;
        uint32_t now = blocks < most ? blocks : most;
        scsi_build_read16(&c, a->lun, lba, now, a->block.block_bytes, data);
        HRESULT hr = scsi_run(a->session, &c, 1, 1, err);
        if (SUCCEEDED(hr)) {
            hr = scsi_error_or_short(a->session, &c, err);
        }
        if (FAILED(hr)) {
            return hr;
        }
        lba += now;
        blocks -= now;
        data += (size_t)now * a->block.block_bytes;
    }
    return S_OK;
}

static HRESULT ahead_read(struct block_device *dev, uint64_t lba, uint32_t blocks, void *data,
                          struct error *err)
{
    struct ahead *a = (struct ahead *)dev;
    size_t bytes = (size_t)blocks * dev->block_bytes;
    uint64_t tail_lba = dev->block_count - a->tail_blocks;
    if (a->head && lba + blocks <= a->head_blocks) {
        memcpy(data, a->head + lba * dev->block_bytes, bytes);
        return S_OK;
    }
    if (a->tail && lba >= tail_lba) {
        memcpy(data, a->tail + (lba - tail_lba) * dev->block_bytes, bytes);
        return S_OK;
    }
    return read_directly(a, lba, blocks, data, err);
}

static HRESULT ahead_write(struct block_device *dev, uint64_t lba, uint32_t blocks,
                           const void *data, struct error *err)
{
    (void)lba;
    (void)blocks;
    (void)data;
    return error_set(err, E_ACCESSDENIED, "%s: a scan writes nothing", dev->name);
}

static HRESULT ahead_flush(struct block_device *dev, struct error *err)
{
    (void)dev;
    (void)err;
    return S_OK;
}

static void ahead_close(struct block_device *dev)
{
    (void)dev;
}

static const struct block_device_ops ahead_ops = {ahead_read, ahead_write, ahead_flush,
                                                  ahead_close};

static void aheads_free(struct ahead *aheads, size_t count)
{
    for (size_t i = 0; aheads && i < count; i++) {
        free(aheads[i].head);
        free(aheads[i].tail);
    }
    free(aheads);
}

static uint32_t at_most(uint64_t blocks, uint64_t most)
{
    return (uint32_t)(blocks < most ? blocks : most);
}

/* Room for what is fetched ahead of one row; S_FALSE where the row has no identity. */
static HRESULT ahead_prepare(struct ahead *a, const struct target_scan *t,
                             const struct scan_lun *row)
{
    memset(a, 0, sizeof(*a));
    if (FAILED(row->result)) {
        return S_FALSE;
    }
    const struct lun_identity *id = &row->identity;
    uint32_t entries = GPT_ENTRIES_BYTES / id->block_bytes;
    entries = entries > 0 ? entries : 1;
    a->block.ops = &ahead_ops;
    a->block.name = row->url;
    a->block.block_bytes = id->block_bytes;
    a->block.block_count = id->block_count;
    a->block.is_read_only = true;
    a->session = t->session;
    a->lun = row->address.lun;
    a->head_blocks = at_most(2 + entries, id->block_count);
    a->tail_blocks = at_most(1 + entries, id->block_count);
    a->head = malloc((size_t)a->head_blocks * id->block_bytes);
    if (t->labels == SCAN_FULL_LABEL) {
        a->tail = malloc((size_t)a->tail_blocks * id->block_bytes);
    }
    return a->head && (a->tail || t->labels != SCAN_FULL_LABEL) ? S_OK : E_OUTOFMEMORY;
}

/* What did not arrive is read again when the label asks for it, and fails with its own text. */
static void drop_unless_good(const struct scsi_command *c, uint8_t **data)
{
    if (!c || FAILED(c->result) || c->status != SCSI_STATUS_GOOD ||
        c->transferred_bytes != c->data_bytes) {
        free(*data);
        *data = NULL;
    }
}

/* Reading ahead for all of rows; NULL only when memory is short. */
static struct ahead *aheads_new(const struct target_scan *t, const struct scan_lun *rows,
                                size_t count)
{
    struct ahead *aheads = calloc(count + 1, sizeof(*aheads));
    HRESULT hr = S_OK;
    for (size_t i = 0; aheads && SUCCEEDED(hr) && i < count; i++) {
        hr = ahead_prepare(&aheads[i], t, &rows[i]);
    }
    if (FAILED(hr)) {
        aheads_free(aheads, count);
        return NULL;
    }
    return aheads;
}

static size_t ahead_commands(struct ahead *a, struct scsi_command *commands)
{
    size_t used = 0;
    uint64_t tail_lba = a->block.block_count - a->tail_blocks;
    if (a->head) {
        a->head_command = &commands[used++];
        scsi_build_read16(a->head_command, a->lun, 0, a->head_blocks, a->block.block_bytes,
                          a->head);
    }
    if (a->tail) {
        a->tail_command = &commands[used++];
        scsi_build_read16(a->tail_command, a->lun, tail_lba, a->tail_blocks, a->block.block_bytes,
                          a->tail);
    }
    return used;
}

static void read_label(const struct target_scan *t, struct ahead *a, struct scan_lun *row)
{
    if (FAILED(row->result)) {
        return;
    }
    enum label_depth depth = t->labels == SCAN_FULL_LABEL ? LABEL_FULL : LABEL_PRIMARY_ONLY;
    drop_unless_good(a->head_command, &a->head);
    drop_unless_good(a->tail_command, &a->tail);
    row->label_result = label_read(&a->block, depth, &row->label, &row->label_error);
}

/* ---- rows ---- */

static void free_row(struct scan_lun *row)
{
    label_free(row->label);
    identity_free(&row->identity);
    free(row->key);
    free(row->url);
}

static void drop_rows(struct scan *scan, size_t count)
{
    while (scan->count > count) {
        free_row(&scan->luns[--scan->count]);
    }
}

static struct scan_lun *add_row(const struct target_scan *t, uint64_t number)
{
    struct scan *scan = t->scan;
    struct scan_lun *grown = realloc(scan->luns, (scan->count + 1) * sizeof(*grown));
    if (!grown) {
        return NULL;
    }
    scan->luns = grown;
    struct scan_lun *row = &grown[scan->count];
    memset(row, 0, sizeof(*row));
    row->address = *t->address;
    row->address.lun = number;
    row->label_result = S_FALSE;
    row->url = lun_address_text(&row->address);
    if (!row->url) {
        return NULL;
    }
    scan->count++;
    return row;
}

static HRESULT take_probe(struct target_scan *t, struct identity_probe *probe, struct error *err)
{
    if (identity_probe_is_other_device(probe)) {
        return S_OK;
    }
    struct scan_lun *row = add_row(t, probe->lun);
    if (!row) {
        return error_set(err, E_OUTOFMEMORY, "no memory for the LUNs of %s", t->session->name);
    }
    row->result = identity_probe_end(probe, t->session, &row->identity, &row->error);
    if (SUCCEEDED(row->result)) {
        row->result =
            lun_add_interconnect(&row->identity.info, t->address->target, probe->lun, &row->error);
    }
    if (SUCCEEDED(row->result)) {
        char key[LUN_KEY_BYTES];
        row->key = text_copy(lun_info_key(&row->identity.info, key));
        return row->key ? S_OK
                        : error_set(err, E_OUTOFMEMORY, "no memory for %s", t->session->name);
    }
    return S_OK;
}

/* One turn: identities of some LUNs, and the labels of those that the turn before identified.
 * Reading is what costs an array most, and so it goes on beside the rest. */
struct turn {
    const uint64_t *numbers;
    size_t number_count;
    size_t first_row; /* labels are for rows from here up to the end */
    size_t row_count;
    struct identity_probe *probes;
    struct ahead *aheads; /* NULL: no labels */
    struct scsi_command *commands;
    size_t command_count;
};

static void turn_free(struct turn *turn)
{
    aheads_free(turn->aheads, turn->row_count);
    free(turn->probes);
    free(turn->commands);
}

static HRESULT turn_prepare(struct target_scan *t, struct turn *turn)
{
    size_t most = turn->number_count * IDENTITY_MAX_COMMANDS + turn->row_count * 2;
    turn->probes = calloc(turn->number_count + 1, sizeof(*turn->probes));
    turn->commands = calloc(most + 1, sizeof(*turn->commands));
    if (!turn->probes || !turn->commands) {
        return E_OUTOFMEMORY;
    }
    if (t->labels != SCAN_NO_LABEL) {
        turn->aheads = aheads_new(t, t->scan->luns + turn->first_row, turn->row_count);
        if (!turn->aheads) {
            return E_OUTOFMEMORY;
        }
    }
    for (size_t i = 0; i < turn->number_count || (turn->aheads && i < turn->row_count); i++) {
        if (turn->aheads && i < turn->row_count) {
            turn->command_count +=
                ahead_commands(&turn->aheads[i], turn->commands + turn->command_count);
        }
        if (i < turn->number_count) {
            turn->command_count +=
                identity_probe_begin(&turn->probes[i], turn->numbers[i], IDENTITY_BRIEF,
                                     turn->commands + turn->command_count);
        }
    }
    return S_OK;
}

static HRESULT turn_run(struct target_scan *t, struct turn *turn, struct error *err)
{
    HRESULT hr = turn_prepare(t, turn);
    if (FAILED(hr)) {
        return error_set(err, hr, "no memory for the LUNs of %s", t->session->name);
    }
    hr = scsi_run(t->session, turn->commands, turn->command_count, WINDOW, err);
    if (FAILED(hr)) {
        return hr;
    }
    for (size_t i = 0; turn->aheads && i < turn->row_count; i++) {
        read_label(t, &turn->aheads[i], &t->scan->luns[turn->first_row + i]);
    }
    for (size_t i = 0; SUCCEEDED(hr) && i < turn->number_count; i++) {
        hr = take_probe(t, &turn->probes[i], err);
    }
    return hr;
}

static HRESULT scan_session(struct target_scan *t, struct error *err)
{
    size_t first_row = t->scan->count;
    size_t labelled = first_row;
    HRESULT hr = report_luns(t->session, &t->numbers, &t->number_count, &t->left_out, err);
    for (size_t i = 0; SUCCEEDED(hr) && (i < t->number_count || labelled < t->scan->count);) {
        size_t left = t->number_count - i;
        struct turn turn = {.numbers = t->numbers + i,
                            .number_count = left < CHUNK_LUNS ? left : CHUNK_LUNS,
                            .first_row = labelled,
                            .row_count = t->scan->count - labelled};
        hr = turn_run(t, &turn, err);
        i += turn.number_count;
        labelled += turn.row_count;
        turn_free(&turn);
    }
    if (FAILED(hr)) {
        drop_rows(t->scan, first_row);
    }
    return hr;
}

static void free_names(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(names[i]);
    }
    free(names);
}

/* A portal may say anything: what is shown is printable. */
static void put_name(const char *target, char out[256])
{
    (void)snprintf(out, 256, "%s", target);
    for (char *c = out; *c; c++) {
        if (*c <= ' ' || *c > '~') {
            *c = '?';
        }
    }
}

static HRESULT add_target_error(struct scan *scan, const char *target, const struct error *failure)
{
    size_t bytes = (scan->target_error_count + 1) * sizeof(*scan->target_errors);
    struct scan_target_error *grown = realloc(scan->target_errors, bytes);
    if (!grown) {
        return E_OUTOFMEMORY;
    }
    scan->target_errors = grown;
    struct scan_target_error *added = &grown[scan->target_error_count++];
    put_name(target, added->target);
    added->error = *failure;
    return S_OK;
}

static HRESULT scan_target(struct scan *scan, const char *portal, const char *target,
                           enum scan_label labels, const struct lun_options *options,
                           struct error *err)
{
    struct lun_address address;
    struct target_scan t = {.scan = scan, .address = &address, .labels = labels};
    memset(&address, 0, sizeof(address));
    if (!lun_is_iscsi_name(target)) {
        return error_set(err, E_INVALIDARG, "the target's name is not an iSCSI name");
    }
    (void)snprintf(address.portal, sizeof(address.portal), "%s", portal);
    (void)snprintf(address.target, sizeof(address.target), "%s", target);
    HRESULT hr = lun_open_session(&address, options, &t.session, err);
    if (SUCCEEDED(hr)) {
        hr = scan_session(&t, err);
    }
    if (SUCCEEDED(hr) && FAILED(t.left_out.code) &&
        FAILED(add_target_error(scan, target, &t.left_out))) {
        hr = error_set(err, E_OUTOFMEMORY, "no memory for the scan of %s", portal);
    }
    scsi_close(t.session);
    free(t.numbers);
    return hr;
}

/* ---- all targets of a portal ---- */

struct portal_scan {
    const char *portal;
    enum scan_label labels;
    const struct lun_options *options;
    struct look {
        char *target;
        struct scan found;
        struct error failure; /* its session's: nothing is known of its LUNs */
    } * looks;
    size_t count;
};

static void free_found(struct scan *scan)
{
    drop_rows(scan, 0);
    free(scan->luns);
    free(scan->target_errors);
    *scan = (struct scan){0};
}

static void portal_scan_free(struct portal_scan *p)
{
    for (size_t i = 0; i < p->count; i++) {
        free(p->looks[i].target);
        free_found(&p->looks[i].found);
    }
    free(p->looks);
}

/* Fails only for want of memory. */
static HRESULT look_at(const struct portal_scan *p, const char *target, struct scan *out,
                       struct error *out_failure, struct error *err)
{
    HRESULT hr = scan_target(out, p->portal, target, p->labels, p->options, out_failure);
    return hr == E_OUTOFMEMORY ? error_set(err, hr, "%s", error_text(out_failure)) : S_OK;
}

static HRESULT look_at_all(struct portal_scan *p, struct error *err)
{
    char **targets = NULL;
    HRESULT hr = scan_targets(p->portal, p->options, &targets, &p->count, err);
    p->looks = calloc(p->count + 1, sizeof(*p->looks));
    for (size_t i = 0; p->looks && i < p->count; i++) {
        p->looks[i].target = targets[i];
    }
    if (!p->looks) {
        free_names(targets, p->count);
        p->count = 0;
        return error_set(err, E_OUTOFMEMORY, "no memory for the scan of %s", p->portal);
    }
    free(targets);
    for (size_t i = 0; SUCCEEDED(hr) && i < p->count; i++) {
        struct look *look = &p->looks[i];
        hr = look_at(p, look->target, &look->found, &look->failure, err);
    }
    return hr;
}

/* Something there did not say what it is. */
static bool is_in_doubt(const struct look *look)
{
    bool is = FAILED(look->failure.code);
    for (size_t i = 0; !is && i < look->found.count; i++) {
        is = FAILED(look->found.luns[i].result);
    }
    return is;
}

static bool has_doubts(const struct portal_scan *p)
{
    for (size_t i = 0; i < p->count; i++) {
        if (is_in_doubt(&p->looks[i])) {
            return true;
        }
    }
    return false;
}

/* The second look counts, but where it tells less. */
static HRESULT look_again(const struct portal_scan *p, struct look *look, struct error *err)
{
    struct look second = {.target = look->target};
    HRESULT hr = look_at(p, look->target, &second.found, &second.failure, err);
    if (FAILED(hr) || (FAILED(second.failure.code) && SUCCEEDED(look->failure.code))) {
        free_found(&second.found);
        return hr;
    }
    free_found(&look->found);
    *look = second;
    return S_OK;
}

static bool has_name(char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* A target that is not listed any more has nothing that could be told. */
static HRESULT drop_gone(struct portal_scan *p, struct error *err)
{
    char **targets = NULL;
    size_t count = 0;
    struct error why = {0};
    HRESULT hr = scan_targets(p->portal, p->options, &targets, &count, &why);
    for (size_t i = 0; SUCCEEDED(hr) && i < p->count; i++) {
        struct look *look = &p->looks[i];
        if (is_in_doubt(look) && !has_name(targets, count, look->target)) {
            char name[256];
            put_name(look->target, name);
            log_line(LOG_INFO, "%s went away from %s while it was looked at", name, p->portal);
            free_found(&look->found);
            error_clear(&look->failure);
        }
    }
    free_names(targets, count);
    return hr == E_OUTOFMEMORY ? error_set(err, hr, "%s", error_text(&why)) : S_OK;
}

/* Others delete and mask LUNs, and a resync cuts sessions, while a scan is under way. */
static HRESULT settle_doubts(struct portal_scan *p, struct error *err)
{
    HRESULT hr = S_OK;
    if (!has_doubts(p)) {
        return hr;
    }
    clock_sleep_ms(SETTLE_MS);
    for (size_t i = 0; SUCCEEDED(hr) && i < p->count; i++) {
        hr = is_in_doubt(&p->looks[i]) ? look_again(p, &p->looks[i], err) : S_OK;
    }
    return SUCCEEDED(hr) && has_doubts(p) ? drop_gone(p, err) : hr;
}

static HRESULT append_rows(struct scan *scan, struct scan *found)
{
    size_t count = scan->count + found->count;
    struct scan_lun *grown = realloc(scan->luns, (count + 1) * sizeof(*grown));
    if (!grown) {
        return E_OUTOFMEMORY;
    }
    scan->luns = grown;
    for (size_t i = 0; i < found->count; i++) {
        grown[scan->count + i] = found->luns[i];
    }
    scan->count = count;
    found->count = 0;
    return S_OK;
}

static HRESULT gather(struct portal_scan *p, struct scan *scan, struct error *err)
{
    HRESULT hr = S_OK;
    for (size_t i = 0; SUCCEEDED(hr) && i < p->count; i++) {
        struct look *look = &p->looks[i];
        hr = append_rows(scan, &look->found);
        for (size_t e = 0; SUCCEEDED(hr) && e < look->found.target_error_count; e++) {
            hr = add_target_error(scan, look->target, &look->found.target_errors[e].error);
        }
        if (SUCCEEDED(hr) && FAILED(look->failure.code)) {
            hr = add_target_error(scan, look->target, &look->failure);
        }
    }
    return SUCCEEDED(hr) ? hr : error_set(err, hr, "no memory for the scan of %s", p->portal);
}

static HRESULT scan_all(struct scan *scan, const char *portal, enum scan_label labels,
                        const struct lun_options *options, struct error *err)
{
    struct portal_scan p = {.portal = portal, .labels = labels, .options = options};
    HRESULT hr = look_at_all(&p, err);
    if (SUCCEEDED(hr)) {
        hr = settle_doubts(&p, err);
    }
    if (SUCCEEDED(hr)) {
        hr = gather(&p, scan, err);
    }
    portal_scan_free(&p);
    return hr;
}

HRESULT scan_portal(const char *portal, const char *only_target, enum scan_label labels,
                    const struct lun_options *options, struct scan **out, struct error *err)
{
    char text[272];
    *out = NULL;
    HRESULT hr = lun_portal_parse(portal, text, err);
    if (FAILED(hr)) {
        return hr;
    }
    struct scan *scan = calloc(1, sizeof(*scan));
    if (!scan) {
        return error_set(err, E_OUTOFMEMORY, "no memory for the scan of %s", text);
    }
    hr = only_target ? scan_target(scan, text, only_target, labels, options, err)
                     : scan_all(scan, text, labels, options, err);
    if (FAILED(hr)) {
        scan_free(scan);
        return hr;
    }
    *out = scan;
    return S_OK;
}

void scan_free(struct scan *scan)
{
    if (!scan) {
        return;
    }
    free_found(scan);
    free(scan);
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

HRESULT scan_targets(const char *portal, const struct lun_options *options, char ***out,
                     size_t *out_count, struct error *err)
{
    HRESULT hr = lun_discover(portal, options, out, out_count, err);
    if (SUCCEEDED(hr) && *out_count > 1) {
        qsort(*out, *out_count, sizeof(**out), compare_texts);
    }
    return hr;
}

const struct scan_lun *scan_duplicate(const struct scan *scan, const struct scan_lun *lun)
{
    const char *serial = lun->identity.info.serial_number;
    if (!lun->key || !serial || strcmp(lun->key, "none") == 0) {
        return NULL;
    }
    for (size_t i = 0; i < scan->count; i++) {
        const struct scan_lun *other = &scan->luns[i];
        const char *other_serial = other->identity.info.serial_number;
        if (other != lun && other->key && other_serial && strcmp(lun->key, other->key) == 0 &&
            strcmp(serial, other_serial) != 0) {
            return other;
        }
    }
    return NULL;
}
