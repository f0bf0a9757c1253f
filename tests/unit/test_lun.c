/* SPDX-License-Identifier: Apache-2.0 */
/* An opened LUN behind whose number another one appears: a unit attention is all the notice. */
#include "unit/fake_session.h"

#include "lun/lun.h"
#include "lun/pipeline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BLOCK  512u
#define BLOCKS 256u

/* An array with one LUN number, 0. */
struct array {
    uint8_t id; /* the last byte of the LUN's NAA */
    uint8_t next_id;
    uint32_t blocks;
    uint32_t next_blocks;
    bool is_pending;      /* a unit attention */
    bool is_restless;     /* one before every write */
    unsigned writes;      /* WRITE commands that arrived */
    unsigned change_at;   /* the change comes with this one; 0: never */
    unsigned busy_status; /* so many GET LBA STATUS are answered BUSY */
    unsigned identified;
    uint32_t status_ms; /* what GET LBA STATUS and READ were given to answer in */
    uint32_t read_ms;
    unsigned written[256]; /* blocks, by LUN */
    uint8_t bytes[BLOCKS * BLOCK];
};

static struct array array;

/* READ CAPACITY(16), and GET LBA STATUS: all is a hole. */
static void answer_service(struct scsi_command *c)
{
    uint8_t status[24] = {
        [3] = 20, [18] = (uint8_t)(array.blocks >> 8), [19] = (uint8_t)array.blocks, [20] = 1};
    if ((c->cdb[1] & 0x1f) == FAKE_CAPACITY_16) {
        fake_answer_capacity(c, array.blocks, BLOCK);
    } else if (array.busy_status > 0) {
        array.busy_status--;
        c->status = SCSI_STATUS_BUSY;
    } else {
        fake_give(c, status, sizeof(status));
    }
}

static void move(struct scsi_command *c)
{
    size_t lba = (size_t)c->cdb[8] << 8 | c->cdb[9];
    uint8_t *at = array.bytes + lba * BLOCK;
    if (c->cdb[0] == FAKE_WRITE_16) {
        array.written[array.id] += c->data_bytes / BLOCK;
        memcpy(at, c->data, c->data_bytes);
    } else {
        memcpy(c->data, at, c->data_bytes);
    }
    c->transferred_bytes = c->data_bytes;
}

static void change(void)
{
    array.id = array.next_id;
    array.blocks = array.next_blocks;
    array.is_pending = true;
}

static void answer(struct scsi_command *c)
{
    bool is_write = c->cdb[0] == FAKE_WRITE_16;
    bool is_status = c->cdb[0] == FAKE_SERVICE_IN && (c->cdb[1] & 0x1f) == 0x12;
    array.status_ms = is_status ? c->timeout_ms : array.status_ms;
    array.read_ms = c->cdb[0] == FAKE_READ_16 ? c->timeout_ms : array.read_ms;
    if (is_write && (++array.writes == array.change_at || array.is_restless)) {
        change();
    }
    if (array.is_pending && c->cdb[0] != FAKE_INQUIRY) {
        array.is_pending = false;
        c->status = SCSI_STATUS_CHECK_CONDITION;
        c->sense = (struct scsi_sense_code){SCSI_SENSE_UNIT_ATTENTION, 0x3f, 0x0e, false};
    } else if (c->cdb[0] == FAKE_INQUIRY) {
        const struct fake_disk disk = {.id = array.id, .most_blocks = 1};
        array.identified += (c->cdb[1] & 1) && c->cdb[2] == 0x83;
        fake_answer_inquiry(c, &disk);
    } else if (c->cdb[0] == FAKE_SERVICE_IN) {
        answer_service(c);
    } else if (is_write || c->cdb[0] == FAKE_READ_16) {
        move(c);
    }
}

static const char url[] = "iscsi://array/iqn.2026-11.lunshadow:fake/0";

/* A LUN, opened, that has just been switched on. */
static int setup(void **state)
{
    struct lun *lun = NULL;
    struct error err = {0};
    memset(&array, 0, sizeof(array));
    array.id = array.next_id = 1;
    array.blocks = array.next_blocks = BLOCKS;
    array.is_pending = true;
    if (FAILED(lun_open(url, NULL, false, &lun, &err))) {
        fail_msg("%s", err.text);
    }
    *state = lun;
    return 0;
}

static int teardown(void **state)
{
    lun_close(*state);
    return 0;
}

static HRESULT write_blocks(struct lun *lun, uint32_t lba, uint32_t blocks, struct error *err)
{
    uint8_t *data = malloc((size_t)blocks * BLOCK);
    assert_non_null(data);
    memset(data, 0x5a, (size_t)blocks * BLOCK);
    HRESULT hr = block_write(&lun->block, lba, blocks, data, err);
    free(data);
    return hr;
}

static void assert_written(uint32_t lba, uint32_t blocks)
{
    for (size_t i = 0; i < BLOCKS * BLOCK; i++) {
        bool is_in = i / BLOCK >= lba && i / BLOCK < lba + blocks;
        assert_int_equal(array.bytes[i], is_in ? 0x5a : 0);
    }
}

static void assert_refused(struct lun *lun, const char *words)
{
    struct error err = {0};
    assert_int_equal(write_blocks(lun, 0, 1, &err), VSS_E_PROVIDER_VETO);
    if (!strstr(err.text, words)) {
        fail_msg("\"%s\" does not say \"%s\"", err.text, words);
    }
}

static void test_the_same_lun_is_written_on(void **state)
{
    struct lun *lun = *state;
    array.is_pending = true; /* the first command of a session meets one */
    assert_int_equal(write_blocks(lun, 3, 1, NULL), S_OK);
    assert_written(3, 1);
    unsigned identified = array.identified;
    assert_int_equal(write_blocks(lun, 3, 1, NULL), S_OK);
    assert_int_equal(array.identified, identified); /* without a notice nothing is asked */
    array.change_at = array.writes + 41;            /* in the second batch */
    assert_int_equal(write_blocks(lun, 3, 100, NULL), S_OK);
    assert_written(3, 100);
    assert_true(array.identified > identified);
}

static void test_another_lun_is_not_written_to(void **state)
{
    struct lun *lun = *state;
    struct error err = {0};
    array.next_id = 2;
    array.change_at = 1;
    assert_refused(lun, "naa.6001405a000000000000000000000002");
    assert_refused(lun, "by now, not naa.6001405a000000000000000000000001");
    assert_int_equal(array.written[2], 0);
    /* in the middle of many */
    array.id = array.next_id = 1;
    array.change_at = 0;
    assert_int_equal(write_blocks(lun, 0, 1, NULL), S_OK);
    array.next_id = 2;
    array.change_at = array.writes + 10;
    assert_int_equal(write_blocks(lun, 0, 100, &err), VSS_E_PROVIDER_VETO);
    assert_int_equal(array.written[2], 0);
}

/* The notice went to another command: it is the last one all the same. */
static void test_whoever_met_the_attention(void **state)
{
    struct lun *lun = *state;
    uint8_t data[BLOCK];
    assert_int_equal(write_blocks(lun, 0, 1, NULL), S_OK);
    array.next_id = 2;
    change();
    assert_int_equal(block_flush(&lun->block, NULL), S_OK);
    assert_refused(lun, "by now");
    array.id = array.next_id = 1;
    assert_int_equal(write_blocks(lun, 0, 1, NULL), S_OK);
    array.next_id = 2;
    change();
    assert_int_equal(block_read(&lun->block, 0, 1, data, NULL), S_OK);
    assert_refused(lun, "by now");
    assert_int_equal(array.written[2], 0);
}

static void test_what_else_is_no_more_the_same(void **state)
{
    struct lun *lun = *state;
    array.next_blocks = BLOCKS - 1;
    array.change_at = 1;
    assert_refused(lun, "255 blocks");
    array.blocks = array.next_blocks = BLOCKS;
    array.is_restless = true;
    assert_refused(lun, "reported a change before each of");
    assert_int_equal(array.written[1], 0);
}

/* Whoever reads a map of holes of another LUN leaves its data out. */
static void test_a_map_meets_an_attention(void **state)
{
    (void)state;
    struct pipeline_options options = {.paths = 1};
    struct pipeline *p = NULL;
    bool is_hole = false;
    uint64_t end = 0;
    assert_int_equal(pipeline_open(url, &options, &p, NULL), S_OK);
    array.busy_status = 2; /* is no change */
    pipeline_run_at(p, 0, &is_hole, &end);
    assert_true(is_hole);
    assert_int_equal(end, BLOCKS * BLOCK);
    assert_false(p->is_lost);
    pipeline_forget_runs(p);
    array.next_id = 2;
    change();
    pipeline_run_at(p, 0, &is_hole, &end);
    assert_false(is_hole);
    assert_true(p->is_lost);
    assert_non_null(strstr(p->err.text, "6/3f/0e"));
    pipeline_close(p);
}

static void on_done(struct pipeline_request *r)
{
    *(bool *)r->user = true;
}

/* The look at the holes waits in the same queue as the data, and would lose them their session. */
static void test_a_map_waits_as_long_as_data(void **state)
{
    (void)state;
    struct pipeline_options options = {.paths = 1};
    struct pipeline *p = NULL;
    uint8_t data[BLOCK];
    bool is_done = false;
    bool is_hole = false;
    uint64_t end = 0;
    struct pipeline_request r = {
        .op = PIPELINE_READ, .bytes = BLOCK, .data = data, .on_done = on_done, .user = &is_done};
    assert_int_equal(pipeline_open(url, &options, &p, NULL), S_OK);
    pipeline_submit(p, &r);
    while (!is_done) {
        pipeline_turn(p, NULL, 0);
    }
    pipeline_run_at(p, 0, &is_hole, &end);
    assert_true(array.read_ms > SCSI_DEFAULT_TIMEOUT_MS);
    assert_int_equal(array.status_ms, array.read_ms);
    pipeline_close(p);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    fake_answer = answer;
    const struct CMUnitTest tests[] = {
        TEST(test_the_same_lun_is_written_on), TEST(test_another_lun_is_not_written_to),
        TEST(test_whoever_met_the_attention),  TEST(test_what_else_is_no_more_the_same),
        TEST(test_a_map_meets_an_attention),   TEST(test_a_map_waits_as_long_as_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
