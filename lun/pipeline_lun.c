/* SPDX-License-Identifier: Apache-2.0 */
/* A LUN over several sessions. Each command goes to the session with the fewest under way. */
#include "lun/pipeline_ops.h"

#include "common/buffer.h"
#include "common/clock.h"
#include "common/log.h"
#include "lun/big_endian.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define REQUEST_BYTES (512u << 10) /* larger ones are no faster anywhere */
#define STATUS_HEADER 8u
#define STATUS_ENTRY  16u
#define STATUS_BYTES  (STATUS_HEADER + STATUS_ENTRY * PIPELINE_RUNS)
#define STATUS_ROUNDS 16
#define TIMEOUT_MS    30000u /* many large commands may be ahead of one */

struct lun_path {
    struct lun *lun;
    size_t in_flight;
};

struct lun_pipeline {
    struct pipeline pipe; /* first */
    struct lun_path paths[PIPELINE_PATHS_MAX];
    size_t path_count;
    uint32_t command_bytes;           /* the most in one: a power of two */
    struct pipeline_request *waiting; /* for BUSY to pass */
    char *name;
};

static const uint8_t zeros[PIPELINE_BLOCK_MAX];

static struct lun_pipeline *lun_of(struct pipeline *p)
{
    return (struct lun_pipeline *)p;
}

/* ---- requests ---- */

/* What is left of it, as far as one command goes. */
static uint32_t part_bytes(const struct lun_pipeline *l, const struct pipeline_request *r)
{
    uint32_t left = r->bytes - r->own.done_bytes;
    return left < l->command_bytes ? left : l->command_bytes;
}

static bool has_more(const struct lun_pipeline *l, const struct pipeline_request *r)
{
    return r->op != PIPELINE_FLUSH && r->bytes - r->own.done_bytes > l->command_bytes;
}

static void build(const struct lun_pipeline *l, const struct lun *lun, struct pipeline_request *r)
{
    struct scsi_command *c = &r->own.command;
    uint32_t block = lun->block.block_bytes;
    uint32_t bytes = part_bytes(l, r);
    uint64_t lba = (r->offset + r->own.done_bytes) / block;
    uint32_t blocks = bytes / block + (bytes % block != 0);
    uint8_t *data = r->data ? (uint8_t *)r->data + r->own.done_bytes : NULL;
    switch (r->op) {
    case PIPELINE_READ:
        scsi_build_read16(c, lun->address.lun, lba, blocks, block, data);
        break;
    case PIPELINE_WRITE:
        scsi_build_write16(c, lun->address.lun, lba, blocks, block, data, false);
        break;
    case PIPELINE_ZERO:
        scsi_build_write_same16_unmap(c, lun->address.lun, lba, blocks, block, zeros);
        break;
    case PIPELINE_FLUSH:
        scsi_build_synchronize_cache(c, lun->address.lun);
        break;
    }
}

static HRESULT judge(const struct pipeline_request *r, const struct lun *lun, struct error *err)
{
    const struct scsi_command *c = &r->own.command;
    bool has_no_cache = r->op == PIPELINE_FLUSH && SUCCEEDED(c->result) &&
                        c->status == SCSI_STATUS_CHECK_CONDITION &&
                        c->sense.key == SCSI_SENSE_ILLEGAL_REQUEST && c->sense.asc == 0x20;
    return has_no_cache ? S_OK : scsi_error_or_short(lun->session, c, err);
}

static void send_next(struct lun_pipeline *l, struct pipeline_request *r);

static void on_command(struct scsi_command *command, void *user)
{
    struct pipeline_request *r = user;
    struct lun_pipeline *l = lun_of(r->own.owner);
    struct lun_path *path = &l->paths[r->own.path];
    struct error err = {0};
    path->in_flight--;
    if (FAILED(command->result) || scsi_is_attention(command)) {
        l->pipe.is_lost = true;
    } else if (scsi_retry_wanted(&r->own.retry, command) && !l->pipe.is_lost) {
        r->own.next = l->waiting;
        l->waiting = r;
        return;
    }
    HRESULT hr = judge(r, path->lun, &err);
    if (SUCCEEDED(hr) && has_more(l, r)) {
        r->own.done_bytes += l->command_bytes;
        send_next(l, r);
        return;
    }
    pipeline_finish(&l->pipe, r, hr, &err);
}

static void send_to_path(struct lun_pipeline *l, struct pipeline_request *r)
{
    size_t best = 0;
    for (size_t i = 1; i < l->path_count; i++) {
        best = l->paths[i].in_flight < l->paths[best].in_flight ? i : best;
    }
    struct lun_path *path = &l->paths[best];
    r->own.path = best;
    path->in_flight++;
    build(l, path->lun, r);
    r->own.command.timeout_ms = TIMEOUT_MS;
    r->own.command.on_done = on_command;
    r->own.command.user = r;
    path->lun->session->ops->submit(path->lun->session, &r->own.command);
}

static void send_next(struct lun_pipeline *l, struct pipeline_request *r)
{
    memset(&r->own.retry, 0, sizeof(r->own.retry));
    if (l->pipe.is_lost) {
        r->own.next = l->waiting;
        l->waiting = r;
        return;
    }
    send_to_path(l, r);
}

static void lun_submit(struct pipeline *p, struct pipeline_request *r)
{
    r->own.done_bytes = 0;
    send_next(lun_of(p), r);
}

/* Sends again what has waited long enough; a lost pipeline ends what waits. */
static void serve_waiting(struct lun_pipeline *l)
{
    struct pipeline_request *list = l->waiting;
    uint64_t now = clock_monotonic_us();
    l->waiting = NULL;
    while (list) {
        struct pipeline_request *r = list;
        list = r->own.next;
        if (l->pipe.is_lost) {
            pipeline_finish(&l->pipe, r, VSS_E_UNEXPECTED, NULL);
        } else if (r->own.retry.at_us <= now) {
            send_to_path(l, r);
        } else {
            r->own.next = l->waiting;
            l->waiting = r;
        }
    }
}

static void lun_poll(struct pipeline *p)
{
    struct lun_pipeline *l = lun_of(p);
    for (size_t i = 0; i < l->path_count; i++) {
        struct scsi_transport *t = l->paths[i].lun->session;
        struct error err = {0};
        if (FAILED(t->ops->poll(t, 0, &err))) {
            p->is_lost = true;
            (void)error_set(&p->err, err.code, "%s", err.text);
        }
    }
    serve_waiting(l);
}

static size_t lun_waits(struct pipeline *p, struct scsi_transport **out, size_t capacity,
                        uint32_t *timeout_ms)
{
    struct lun_pipeline *l = lun_of(p);
    size_t count = 0;
    for (; count < l->path_count && count < capacity; count++) {
        out[count] = l->paths[count].lun->session;
    }
    uint64_t now = clock_monotonic_us();
    for (const struct pipeline_request *r = l->waiting; r; r = r->own.next) {
        uint64_t left = r->own.retry.at_us > now ? (r->own.retry.at_us - now) / 1000 + 1 : 0;
        *timeout_ms = left < *timeout_ms ? (uint32_t)left : *timeout_ms;
    }
    return count;
}

/* ---- holes ---- */

bool pipeline_take_status(struct pipeline *p, const uint8_t *data, uint32_t got, uint64_t *offset)
{
    uint32_t block = p->block_bytes;
    uint32_t said = got >= STATUS_HEADER ? be32_get(data) : 0;
    uint32_t end = said < got - 4 ? said + 4 : got; /* the length field does not count itself */
    uint64_t before = *offset;
    for (uint32_t at = STATUS_HEADER; at + STATUS_ENTRY <= end; at += STATUS_ENTRY) {
        uint64_t lba = be64_get(data + at);
        uint64_t blocks = be32_get(data + at + 8);
        uint64_t left = (p->bytes - *offset) / block;
        if (lba > *offset / block || lba + blocks <= *offset / block || left == 0) {
            break;
        }
        blocks -= *offset / block - lba;
        blocks = blocks < left ? blocks : left;
        if (!pipeline_add_run(p, *offset + blocks * block, (data[at + 12] & 0x0f) == 1)) {
            return false;
        }
        *offset += blocks * block;
    }
    return *offset > before && *offset < p->bytes;
}

static HRESULT lun_map(struct pipeline *p, uint64_t offset)
{
    struct lun_pipeline *l = lun_of(p);
    struct lun *lun = l->paths[0].lun;
    uint8_t data[STATUS_BYTES];
    uint64_t at = offset;
    bool goes_on = true;
    for (int round = 0; goes_on && round < STATUS_ROUNDS; round++) {
        struct scsi_command c;
        struct error err = {0};
        scsi_build_lba_status(&c, lun->address.lun, at / p->block_bytes, data, sizeof(data));
        c.ends_at_attention = true;
        c.timeout_ms = TIMEOUT_MS;
        HRESULT hr = scsi_execute(lun->session, &c, &err);
        if (FAILED(c.result) || scsi_is_attention(&c)) {
            p->is_lost = true; /* as for every request */
            (void)error_set(&p->err, hr, "%s", err.text);
        }
        if (FAILED(hr)) {
            return hr;
        }
        goes_on = pipeline_take_status(p, data, c.transferred_bytes, &at);
    }
    return S_OK;
}

/* ---- opening and closing ---- */

static void lun_drop(struct pipeline *p)
{
    struct lun_pipeline *l = lun_of(p);
    p->is_lost = true;
    for (size_t i = 0; i < l->path_count; i++) {
        struct lun *lun = l->paths[i].lun;
        scsi_close(lun->session); /* ends what it has under way */
        lun->owns_session = false;
        lun->session = NULL;
    }
    serve_waiting(l);
    for (size_t i = 0; i < l->path_count; i++) {
        lun_close(l->paths[i].lun);
    }
    l->path_count = 0;
}

static void lun_end(struct pipeline *p)
{
    struct lun_pipeline *l = lun_of(p);
    lun_drop(p);
    free(l->name);
    free(l);
}

static const struct pipeline_ops lun_ops = {.submit = lun_submit,
                                            .poll = lun_poll,
                                            .waits = lun_waits,
                                            .map = lun_map,
                                            .drop = lun_drop,
                                            .close = lun_end};

static HRESULT not_the_same(const struct lun *lun, const struct vss_lun_info *expected,
                            struct error *err)
{
    char key[LUN_KEY_BYTES];
    char found[LUN_KEY_BYTES];
    const char *reason = NULL;
    if (!lun_info_is_unique(expected, &reason)) {
        return error_set(err, VSS_E_PROVIDER_VETO,
                         "whether %s is the LUN that was opened before cannot be known: %s; start "
                         "again",
                         lun->url, reason);
    }
    return error_set(err, VSS_E_PROVIDER_VETO, "%s is %s by now, not %s", lun->url,
                     lun_info_key(&lun->identity.info, found), lun_info_key(expected, key));
}

static HRESULT check_path(const struct lun_pipeline *l, const struct pipeline_options *o,
                          struct lun *lun, struct error *err)
{
    const struct lun *first = l->paths[0].lun;
    const struct vss_lun_info *expected = o->expected ? o->expected : &first->identity.info;
    bool is_same = first == lun || (lun->block.block_bytes == first->block.block_bytes &&
                                    lun->block.block_count == first->block.block_count);
    if (first != lun || o->expected) {
        is_same = is_same && lun_info_compare(expected, &lun->identity.info) == LUN_SAME;
    }
    if (!is_same) {
        return not_the_same(lun, expected, err);
    }
    uint32_t attentions = lun->session->attentions;
    HRESULT hr = o->on_path ? o->on_path(o->user, lun, err) : S_OK;
    if (SUCCEEDED(hr) && attentions != lun->session->attentions) {
        hr = error_set(err, VSS_E_UNEXPECTED, "%s reported a change while it was opened; try again",
                       lun->url);
    }
    return hr;
}

static HRESULT open_path(struct lun_pipeline *l, const char *url, const struct pipeline_options *o,
                         struct error *err)
{
    struct lun *lun = NULL;
    HRESULT hr = lun_open(url, o->lun, o->is_read_only, &lun, err);
    if (FAILED(hr)) {
        return hr;
    }
    l->paths[l->path_count++].lun = lun;
    return check_path(l, o, lun, err);
}

static uint32_t power_of_two_below(uint64_t most)
{
    uint32_t power = 1;
    while ((uint64_t)power * 2 <= most) {
        power *= 2;
    }
    return power;
}

static HRESULT take_limits(struct lun_pipeline *l, struct error *err)
{
    const struct lun *lun = l->paths[0].lun;
    const struct lun_identity *id = &lun->identity;
    struct pipeline *p = &l->pipe;
    uint64_t most = REQUEST_BYTES;
    uint64_t limit = (uint64_t)id->max_transfer_blocks * id->block_bytes;
    most = limit > 0 && limit < most ? limit : most;
    p->block_bytes = id->block_bytes;
    p->bytes = id->block_count * id->block_bytes;
    l->command_bytes = power_of_two_below(most);
    p->max_bytes = l->command_bytes > PIPELINE_BLOCK_MAX ? l->command_bytes : PIPELINE_BLOCK_MAX;
    p->can_map = id->unmapped_reads_zero;
    p->can_zero = id->unmapped_reads_zero && id->can_write_same_unmap &&
                  (id->max_write_same_blocks == 0 ||
                   id->max_write_same_blocks >= l->command_bytes / id->block_bytes);
    l->name = text_copy(lun->url);
    p->name = l->name;
    return l->name ? S_OK : error_set(err, E_OUTOFMEMORY, "no memory to open a LUN");
}

/* Where nothing says that two sessions show one LUN, it can be read through one of them. */
static uint32_t paths_to_open(const struct lun_pipeline *l, const struct pipeline_options *o)
{
    const char *reason = NULL;
    uint32_t paths = o->paths ? o->paths : 1;
    bool is_one = l->path_count > 0 && o->is_read_only &&
                  !lun_info_is_unique(&l->paths[0].lun->identity.info, &reason);
    paths = is_one ? 1 : paths;
    return paths < PIPELINE_PATHS_MAX ? paths : PIPELINE_PATHS_MAX;
}

HRESULT pipeline_open_lun(const char *url, const struct pipeline_options *options,
                          struct pipeline **out, struct error *err)
{
    struct lun_pipeline *l = calloc(1, sizeof(*l));
    if (!l) {
        return error_set(err, E_OUTOFMEMORY, "no memory to open a LUN");
    }
    l->pipe.ops = &lun_ops;
    l->pipe.name = "LUN";
    HRESULT hr = S_OK;
    while (SUCCEEDED(hr) && l->path_count < paths_to_open(l, options)) {
        hr = open_path(l, url, options, err);
    }
    if (SUCCEEDED(hr)) {
        hr = take_limits(l, err);
    }
    if (FAILED(hr)) {
        lun_end(&l->pipe);
        return hr;
    }
    *out = &l->pipe;
    return S_OK;
}
