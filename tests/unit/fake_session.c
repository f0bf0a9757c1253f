/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/fake_session.h"

#include "lun/big_endian.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define QUEUE 256

void (*fake_answer)(struct scsi_command *command);
HRESULT (*fake_refuse_session)(const struct lun_address *address);

struct session {
    struct scsi_transport transport; /* first */
    struct scsi_command *queue[QUEUE];
    size_t queued;
};

/* ---- commands -------------------------------------------------------------------------------- */

void fake_give(struct scsi_command *c, const void *data, size_t bytes)
{
    size_t given = bytes < c->data_bytes ? bytes : c->data_bytes;
    memcpy(c->data, data, given);
    c->transferred_bytes = (uint32_t)given;
}

void fake_refuse(struct scsi_command *c)
{
    c->status = SCSI_STATUS_CHECK_CONDITION;
    c->sense = (struct scsi_sense_code){.key = SCSI_SENSE_ILLEGAL_REQUEST, .asc = 0x24};
}

void fake_answer_inquiry(struct scsi_command *c, const struct fake_disk *disk)
{
    static const char standard[] = "\0\0\6\2\37\0\0\0VENDOR  PRODUCT         0001";
    static const uint8_t pages[] = {0, 0, 0, 4, 0x00, 0x80, 0x83, 0xb0};
    static const uint8_t serial[] = {0, 0x80, 0, 4, 's', 'n', '1', '2'};
    uint8_t ids[24] = {0, 0x83, 0, 20, 0x01, 0x03, 0, 16, 0x60, 0x01, 0x40, 0x5a};
    uint8_t limits[64] = {0, 0xb0, 0, 60};
    ids[23] = disk->id;
    be32_put(limits + 8, disk->most_blocks);
    if ((c->cdb[1] & 1) == 0) {
        fake_give(c, standard, sizeof(standard) - 1);
    } else if (c->cdb[2] == 0x00) {
        fake_give(c, pages, sizeof(pages));
    } else if (c->cdb[2] == 0x80) {
        fake_give(c, serial, sizeof(serial));
    } else if (c->cdb[2] == 0x83) {
        fake_give(c, ids, sizeof(ids));
    } else if (c->cdb[2] == 0xb0) {
        fake_give(c, limits, sizeof(limits));
    } else {
        fake_refuse(c);
    }
}

void fake_answer_capacity(struct scsi_command *c, uint64_t blocks, uint32_t block_bytes)
{
    uint8_t capacity[32] = {[14] = 0xc0}; /* thin, and what was unmapped reads as zeros */
    be64_put(capacity, blocks - 1);
    be32_put(capacity + 8, block_bytes);
    fake_give(c, capacity, sizeof(capacity));
}

/* ---- sessions -------------------------------------------------------------------------------- */

static void fake_submit(struct scsi_transport *transport, struct scsi_command *command)
{
    struct session *s = (struct session *)transport;
    assert_true(s->queued < QUEUE);
    s->queue[s->queued++] = command;
}

static HRESULT fake_poll(struct scsi_transport *transport, uint32_t timeout_ms, struct error *err)
{
    struct session *s = (struct session *)transport;
    (void)timeout_ms;
    (void)err;
    if (s->queued > 0) {
        struct scsi_command *c = s->queue[0];
        memmove(s->queue, s->queue + 1, --s->queued * sizeof(c));
        c->result = S_OK;
        c->status = SCSI_STATUS_GOOD;
        fake_answer(c);
        scsi_finish(transport, c);
    }
    return S_OK;
}

static void fake_close(struct scsi_transport *transport)
{
    free(transport);
}

static const struct scsi_transport_ops fake_ops = {fake_submit, fake_poll, fake_close, NULL};

HRESULT __wrap_lun_open_session(const struct lun_address *address,
                                const struct lun_options *options, struct scsi_transport **out,
                                struct error *err);

HRESULT __wrap_lun_open_session(const struct lun_address *address,
                                const struct lun_options *options, struct scsi_transport **out,
                                struct error *err)
{
    (void)options;
    HRESULT hr = fake_refuse_session ? fake_refuse_session(address) : S_OK;
    if (FAILED(hr)) {
        *out = NULL;
        return error_set(err, hr, "the test says no");
    }
    struct session *s = calloc(1, sizeof(*s));
    assert_non_null(s);
    s->transport =
        (struct scsi_transport){.ops = &fake_ops, .name = "fake://array", .max_in_flight = 32};
    *out = &s->transport;
    return S_OK;
}
