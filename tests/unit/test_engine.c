/* SPDX-License-Identifier: Apache-2.0 */
/* Comparing and copying LUNs whose blocks and limits are not alike. */
#include "unit/fake_session.h"

#include "lun/big_endian.h"
#include "lun/lun.h"
#include "resync/compare.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BYTES (512u << 10)

/* A LUN of BYTES bytes; its number is its index. */
struct disk {
    uint32_t block_bytes;
    uint32_t most_blocks; /* in one command; 0: any */
    uint32_t largest;     /* bytes that a command moved */
    unsigned moves;
    uint8_t bytes[BYTES];
};

static struct disk disks[2];
static unsigned remark_every; /* command: RECOVERED ERROR where GOOD would be; 0: none */
static unsigned commands;

static void move(struct scsi_command *c, struct disk *d)
{
    uint64_t at = be64_get(c->cdb + 2) * d->block_bytes;
    uint32_t blocks = be32_get(c->cdb + 10);
    assert_true(d->most_blocks == 0 || blocks <= d->most_blocks);
    assert_int_equal(c->data_bytes, blocks * d->block_bytes);
    assert_true(at + c->data_bytes <= BYTES);
    if (c->cdb[0] == FAKE_WRITE_16) {
        memcpy(d->bytes + at, c->data, c->data_bytes);
    } else {
        memcpy(c->data, d->bytes + at, c->data_bytes);
    }
    c->transferred_bytes = c->data_bytes;
    d->largest = c->data_bytes > d->largest ? c->data_bytes : d->largest;
    d->moves++;
}

static void answer(struct scsi_command *c)
{
    struct disk *d = &disks[c->lun];
    const struct fake_disk disk = {.id = (uint8_t)(c->lun + 1), .most_blocks = d->most_blocks};
    bool has_remark = remark_every && ++commands % remark_every == 0;
    if (has_remark) {
        c->status = SCSI_STATUS_CHECK_CONDITION;
        c->sense = (struct scsi_sense_code){SCSI_SENSE_RECOVERED_ERROR, 0x5d, 0, true};
    }
    if (has_remark && c->direction == SCSI_DATA_IN) {
        memset(c->data, 0xee, c->data_bytes); /* no data of the LUN's */
    } else if (c->cdb[0] == FAKE_INQUIRY) {
        fake_answer_inquiry(c, &disk);
    } else if (c->cdb[0] == FAKE_READ_16 || c->cdb[0] == FAKE_WRITE_16) {
        move(c, d);
    } else if (c->cdb[0] != FAKE_SYNCHRONIZE) {
        fake_answer_capacity(c, BYTES / d->block_bytes, d->block_bytes);
    }
}

static const char *const urls[] = {"iscsi://array/iqn.2026-11.lunshadow:fake/0",
                                   "iscsi://array/iqn.2026-11.lunshadow:fake/1"};

static void make_disk(struct disk *d, uint32_t block_bytes, uint32_t most_blocks)
{
    memset(d, 0, sizeof(*d));
    d->block_bytes = block_bytes;
    d->most_blocks = most_blocks;
}

static void test_small_commands_beside_large_blocks(void **state)
{
    (void)state;
    const struct compare_options options = {.paths = 1};
    struct compare_result result;
    struct error err = {0};
    for (uint32_t most_blocks = 1; most_blocks <= 9; most_blocks++) {
        make_disk(&disks[0], 512, most_blocks);
        make_disk(&disks[1], 4096, 0);
        disks[1].bytes[700] = 1; /* within its first block, not in the other's */
        for (int turned = 0; turned < 2; turned++) {
            HRESULT hr = compare_devices(urls[turned], urls[1 - turned], &options, &result, &err);
            if (hr != S_FALSE) {
                fail_msg("%u blocks: %08x %s", most_blocks, (unsigned)hr, err.text);
            }
            assert_int_equal(result.report.first_difference, 700);
            assert_int_equal(result.report.different_bytes, 1);
        }
        disks[1].bytes[700] = 0;
        assert_int_equal(compare_devices(urls[0], urls[1], &options, &result, NULL), S_OK);
    }
    make_disk(&disks[0], 512, 1);
    make_disk(&disks[1], 65536, 1);
    disks[1].bytes[BYTES - 1] = 1;
    assert_int_equal(compare_devices(urls[0], urls[1], &options, &result, NULL), S_FALSE);
    assert_int_equal(result.report.first_difference, BYTES - 1);
}

static struct pipeline *open_disk(size_t index)
{
    const struct pipeline_options options = {.paths = 1};
    struct pipeline *p = NULL;
    struct error err = {0};
    if (FAILED(pipeline_open(urls[index], &options, &p, &err))) {
        fail_msg("%s", err.text);
    }
    return p;
}

static void copy(enum engine_mode mode)
{
    struct pipeline *source = open_disk(0);
    struct pipeline *destination = open_disk(1);
    const struct engine_options options = {
        .mode = mode, .end = BYTES, .grain_bytes = disks[1].block_bytes};
    struct engine_report report;
    struct error err = {0};
    if (FAILED(engine_run(&source, &destination, &options, &report, &err))) {
        fail_msg("%s", err.text);
    }
    pipeline_close(source);
    pipeline_close(destination);
    assert_memory_equal(disks[0].bytes, disks[1].bytes, BYTES);
}

static void test_copies_are_whole(void **state)
{
    (void)state;
    static const struct {
        uint32_t block_bytes;
        uint32_t most_blocks;
    } kinds[] = {{512, 1}, {4096, 3}, {65536, 1}, {65536, 4}, {512, 0}};
    const size_t count = sizeof(kinds) / sizeof(kinds[0]);
    for (size_t i = 0; i < count * count; i++) {
        make_disk(&disks[0], kinds[i / count].block_bytes, kinds[i / count].most_blocks);
        make_disk(&disks[1], kinds[i % count].block_bytes, kinds[i % count].most_blocks);
        for (size_t k = 0; k < BYTES; k++) {
            disks[0].bytes[k] = (uint8_t)(k / 512 * 7 + k);
        }
        copy(ENGINE_FULL);
        disks[0].bytes[700] ^= 1;
        disks[0].bytes[BYTES - 1] ^= 1;
        copy(ENGINE_DIFFERENTIAL);
    }
}

/* What is done with a remark is done; and no byte is believed that did not come. */
static void test_remarks_end_nothing(void **state)
{
    (void)state;
    const struct compare_options options = {.paths = 1};
    struct compare_result result;
    for (remark_every = 3; remark_every < 10; remark_every += 2) {
        make_disk(&disks[0], 4096, 3);
        make_disk(&disks[1], 4096, 0);
        disks[0].bytes[BYTES - 1] = 1;
        copy(ENGINE_DIFFERENTIAL);
        copy(ENGINE_FULL);
        assert_int_equal(compare_devices(urls[0], urls[1], &options, &result, NULL), S_OK);
    }
    remark_every = 0;
}

static void on_done(struct pipeline_request *r)
{
    ++*(unsigned *)r->user;
}

/* Its neighbours are never read or written in its place. */
static void test_no_whole_blocks_are_refused(void **state)
{
    (void)state;
    static const struct {
        enum pipeline_op op;
        uint64_t offset;
        uint32_t bytes;
    } rows[] = {{PIPELINE_READ, 512, 4096}, {PIPELINE_WRITE, 4095, 4096},
                {PIPELINE_WRITE, 0, 512},   {PIPELINE_ZERO, 0, 4097},
                {PIPELINE_ZERO, 0, 0},      {PIPELINE_ZERO, 2048, 2048}};
    uint8_t *data = calloc(1, PIPELINE_BLOCK_MAX);
    assert_non_null(data);
    make_disk(&disks[0], 4096, 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct pipeline *p = open_disk(0);
        unsigned done = 0;
        struct pipeline_request r = {.op = rows[i].op,
                                     .offset = rows[i].offset,
                                     .bytes = rows[i].bytes,
                                     .data = data,
                                     .on_done = on_done,
                                     .user = &done};
        pipeline_submit(p, &r);
        assert_int_equal(done, 0);
        assert_int_equal(p->in_flight, 1);
        if (i % 2 == 0) {
            pipeline_turn(p, NULL, 1000);
        } else {
            pipeline_drop(p);
        }
        assert_int_equal(done, 1);
        assert_int_equal(p->in_flight, 0);
        assert_int_equal(r.result, E_INVALIDARG);
        assert_non_null(strstr(p->err.text, "no whole blocks of 4096 bytes"));
        pipeline_close(p);
    }
    assert_int_equal(disks[0].moves, 0);
    free(data);
}

int main(void)
{
    fake_answer = answer;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_commands_beside_large_blocks),
        cmocka_unit_test(test_copies_are_whole),
        cmocka_unit_test(test_remarks_end_nothing),
        cmocka_unit_test(test_no_whole_blocks_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
