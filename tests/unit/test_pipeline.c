/* SPDX-License-Identifier: Apache-2.0 */
/* Pipelines: what is believed of GET LBA STATUS, holes, image files. */
#include "label_util.h"
#include "lun/big_endian.h"
#include "lun/pipeline_ops.h"

#include <fcntl.h>
#include <unistd.h>

#define BLOCK 512u

struct status {
    uint8_t data[8 + 16 * 8];
    uint32_t bytes;
};

static void status_add(struct status *s, uint64_t lba, uint32_t blocks, uint8_t code)
{
    s->bytes = s->bytes ? s->bytes : 8;
    be64_put(s->data + s->bytes, lba);
    be32_put(s->data + s->bytes + 8, blocks);
    s->data[s->bytes + 12] = code;
    s->bytes += 16;
    be32_put(s->data, s->bytes - 4);
}

static struct pipeline device(uint64_t blocks)
{
    return (struct pipeline){.block_bytes = BLOCK, .bytes = blocks * BLOCK};
}

static void status_is_taken_as_far_as_it_is_whole(void **state)
{
    (void)state;
    struct pipeline p = device(1000);
    struct status s = {.bytes = 0};
    uint64_t at = 100 * BLOCK;
    status_add(&s, 90, 20, 0); /* begins before what was asked for */
    status_add(&s, 110, 40, 1);
    status_add(&s, 150, 50, 2); /* anchored: not known to be zero */
    assert_true(pipeline_take_status(&p, s.data, s.bytes, &at));
    assert_int_equal(at, 200 * BLOCK);
    assert_int_equal(p.run_count, 3);
    assert_int_equal(p.runs[0].end, 110 * BLOCK);
    assert_false(p.runs[0].is_hole);
    assert_int_equal(p.runs[1].end, 150 * BLOCK);
    assert_true(p.runs[1].is_hole);
    assert_false(p.runs[2].is_hole);
}

static void hostile_status_ends_what_is_known(void **state)
{
    (void)state;
    static const struct {
        uint64_t lba;
        uint32_t blocks;
    } second[] = {{111, 5}, {105, 2}, {UINT64_MAX, 5}, {110, 0}, {0, 110}};
    for (size_t i = 0; i < sizeof(second) / sizeof(second[0]); i++) {
        struct pipeline p = device(1000);
        struct status s = {.bytes = 0};
        uint64_t at = 100 * BLOCK;
        status_add(&s, 100, 10, 0);
        status_add(&s, second[i].lba, second[i].blocks, 1);
        (void)pipeline_take_status(&p, s.data, s.bytes, &at);
        assert_int_equal(at, 110 * BLOCK);
        assert_int_equal(p.run_count, 1);
    }
}

static void status_is_cut_where_its_bytes_and_the_device_end(void **state)
{
    (void)state;
    struct status s = {.bytes = 0};
    status_add(&s, 0, UINT32_MAX, 1);
    struct pipeline p = device(1000);
    uint64_t at = 0;
    assert_false(pipeline_take_status(&p, s.data, s.bytes, &at)); /* nothing more to say */
    assert_int_equal(p.runs[0].end, 1000 * BLOCK);
    for (uint32_t got = 0; got < s.bytes; got++) {
        struct pipeline cut = device(1000);
        at = 0;
        assert_false(pipeline_take_status(&cut, s.data, got, &at));
        assert_int_equal(cut.run_count, 0);
    }
    be32_put(s.data, UINT32_MAX); /* says more than came */
    struct pipeline lied = device(1000);
    at = 0;
    (void)pipeline_take_status(&lied, s.data, s.bytes, &at);
    assert_int_equal(lied.run_count, 1);
}

static void runs_are_bounded(void **state)
{
    (void)state;
    struct pipeline p = device(1u << 20);
    for (uint64_t i = 1; i <= PIPELINE_RUNS; i++) {
        assert_true(pipeline_add_run(&p, i * BLOCK, i % 2 == 0));
    }
    assert_false(pipeline_add_run(&p, (PIPELINE_RUNS + 1) * BLOCK, false));
    assert_int_equal(p.run_count, PIPELINE_RUNS);
}

static void ended(struct pipeline_request *r)
{
    *(bool *)r->user = true;
}

static HRESULT read_at(struct pipeline *p, uint64_t offset, uint32_t bytes, void *data)
{
    bool is_done = false;
    struct pipeline_request r = {.op = PIPELINE_READ,
                                 .offset = offset,
                                 .bytes = bytes,
                                 .data = data,
                                 .on_done = ended,
                                 .user = &is_done};
    pipeline_submit(p, &r);
    assert_false(is_done);
    assert_int_equal(p->in_flight, 1);
    pipeline_turn(p, NULL, 1000);
    assert_true(is_done);
    assert_int_equal(p->in_flight, 0);
    return r.result;
}

static void image_files_are_read_and_their_holes_known(void **state)
{
    (void)state;
    char *dir = image_dir();
    char *path = image_new(dir, "a.img", (4u << 20) + 3); /* no whole number of blocks */
    const struct pipeline_options options = {.is_read_only = true};
    struct pipeline *p = NULL;
    uint8_t data[4096];
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "xyz", 3, 4 << 20), 3);
    assert_int_equal(close(fd), 0);
    assert_int_equal(pipeline_open(path, &options, &p, NULL), S_OK);
    assert_int_equal(p->bytes, (4u << 20) + 3);
    assert_int_equal(read_at(p, 4 << 20, 3, data), S_OK);
    assert_memory_equal(data, "xyz", 3);
    bool is_hole = false;
    uint64_t end = 0;
    pipeline_run_at(p, 4096, &is_hole, &end);
    if (is_hole) { /* a filesystem that knows none says "data" */
        assert_int_equal(end, 4 << 20);
    }
    pipeline_run_at(p, (4 << 20) + 1, &is_hole, &end);
    assert_false(is_hole);
    pipeline_run_at(p, 0, &is_hole, &end); /* and back again */
    assert_true(end >= 4096);
    assert_int_equal(truncate(path, 4 << 20), 0); /* under our feet */
    assert_int_equal(read_at(p, 4 << 20, 3, data), VSS_E_UNEXPECTED);
    assert_non_null(strstr(p->err.text, "ends at byte 4194304"));
    pipeline_close(p);
    free(path);
    image_dir_remove(dir);
}

static void other_things_are_refused(void **state)
{
    (void)state;
    const struct pipeline_options options = {.is_read_only = true};
    const struct pipeline_options writing = {.is_read_only = false};
    struct pipeline *p = NULL;
    char *dir = image_dir();
    char *path = image_new(dir, "a.img", 4096);
    assert_int_equal(pipeline_open(dir, &options, &p, NULL), E_INVALIDARG);
    assert_int_equal(pipeline_open(path, &writing, &p, NULL), E_INVALIDARG);
    assert_int_equal(pipeline_open("/nowhere", &options, &p, NULL), VSS_E_OBJECT_NOT_FOUND);
    assert_int_equal(pipeline_open("iscsi://", &options, &p, NULL), E_INVALIDARG);
    assert_null(p);
    assert_int_equal(pipeline_open(path, &options, &p, NULL), S_OK);
    uint8_t data[512];
    bool is_done = false;
    struct pipeline_request r = {.op = PIPELINE_READ,
                                 .bytes = sizeof(data),
                                 .data = data,
                                 .on_done = ended,
                                 .user = &is_done};
    pipeline_submit(p, &r);
    pipeline_drop(p); /* what is under way ends, failed */
    assert_true(is_done);
    assert_true(FAILED(r.result));
    assert_true(p->is_lost);
    pipeline_close(p);
    free(path);
    image_dir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(status_is_taken_as_far_as_it_is_whole),
        cmocka_unit_test(hostile_status_ends_what_is_known),
        cmocka_unit_test(status_is_cut_where_its_bytes_and_the_device_end),
        cmocka_unit_test(runs_are_bounded),
        cmocka_unit_test(image_files_are_read_and_their_holes_known),
        cmocka_unit_test(other_things_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
