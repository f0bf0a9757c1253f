/* SPDX-License-Identifier: Apache-2.0 */
/* What crosses to a host process and back: whole, and only where it is well-formed. */
#include "provider/host/internal.h"
#include "provider/host/wire/flat.h"
#include "provider/host/wire/frame.h"
#include "provider/host/wire/wire.h"

#include "common/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { LUNS = 2, FLIPS = 4 };

static uint8_t designator[] = {0x60, 0x05, 0x07, 0x68};
static uint8_t port[] = "iqn.2026-01.org.lunshadow.test:a";
static uint8_t address[8] = {0, 1};
static struct vss_storage_identifier identifiers[2] = {
    {.code_set = 1, .type = 3, .identifier_bytes = sizeof(designator), .identifier = designator},
    {.code_set = 2, .type = 1}};
static struct vss_interconnect interconnects[1] = {{.address_type = VDS_IA_SCSI,
                                                    .port_bytes = sizeof(port),
                                                    .port = port,
                                                    .address_bytes = sizeof(address),
                                                    .address = address}};

static struct vss_lun_info full_info(void)
{
    return (struct vss_lun_info){
        .version = 1,
        .device_type = 2,
        .device_type_modifier = 3,
        .command_queueing = 1,
        .bus_type = VDSBusTypeiScsi,
        .vendor_id = (char *)"vendor",
        .product_id = (char *)"",
        .product_revision = NULL,
        .serial_number = (char *)"0815",
        .disk_signature = {.data1 = 0x11223344, .data4 = {1, 2, 3}},
        .device_id = {.version = 1, .identifier_count = 2, .identifiers = identifiers},
        .interconnect_count = 1,
        .interconnects = interconnects};
}

static void assert_full_info(const struct vss_lun_info *info)
{
    assert_int_equal(info->version, 1);
    assert_int_equal(info->device_type, 2);
    assert_int_equal(info->device_type_modifier, 3);
    assert_int_equal(info->command_queueing, 1);
    assert_int_equal(info->bus_type, VDSBusTypeiScsi);
    assert_string_equal(info->vendor_id, "vendor");
    assert_string_equal(info->product_id, "");
    assert_null(info->product_revision);
    assert_string_equal(info->serial_number, "0815");
    assert_int_equal(info->disk_signature.data1, 0x11223344);
    assert_int_equal(info->disk_signature.data4[2], 3);
    assert_int_equal(info->device_id.identifier_count, 2);
    assert_int_equal(info->device_id.identifiers[0].type, 3);
    assert_int_equal(info->device_id.identifiers[0].identifier_bytes, sizeof(designator));
    assert_memory_equal(info->device_id.identifiers[0].identifier, designator, sizeof(designator));
    assert_int_equal(info->device_id.identifiers[1].identifier_bytes, 0);
    assert_int_equal(info->interconnect_count, 1);
    assert_memory_equal(info->interconnects[0].port, port, sizeof(port));
    assert_memory_equal(info->interconnects[0].address, address, sizeof(address));
}

static struct wire_content full_request(void)
{
    struct vss_set_lun luns[LUNS] = {
        {.snapshot_id = {.data1 = 7},
         .device = "iscsi://host/target/1",
         .source = full_info(),
         .state = {.bytes = 3, .data = (const uint8_t *)"abc"}},
        {.source = full_info(), .destination = full_info()},
    };
    struct vss_set_in in = {.struct_size = sizeof(in),
                            .context = 0x1234,
                            .set_id = {.data1 = 9},
                            .lun_count = LUNS,
                            .luns = luns,
                            .snapshot_count = 7,
                            .initiator = "iqn.test:me"};
    struct vss_state_change_in change = {
        .struct_size = sizeof(change), .flags = 4, .set = in, .is_resync = 1};
    struct wire_content content = {0};
    assert_int_equal(wire_encode_request(5, VSS_OP_ON_LUN_STATE_CHANGE, 777, &change, &content),
                     S_OK);
    return content;
}

static void requests_arrive_whole(void **state)
{
    (void)state;
    struct provider_arena arena = PROVIDER_ARENA_INIT;
    struct wire_frame frame;
    struct wire_content content = full_request();
    assert_int_equal(wire_decode(content.data, content.bytes, &arena, &frame), S_OK);
    free(content.data);
    assert_int_equal(frame.kind, WIRE_REQUEST);
    assert_int_equal(frame.request.number, 5);
    assert_int_equal(frame.request.op, VSS_OP_ON_LUN_STATE_CHANGE);
    assert_int_equal(frame.request.deadline_ms, 777);
    const struct vss_state_change_in *in = &frame.request.in.state_change;
    assert_int_equal(in->struct_size, sizeof(*in));
    assert_int_equal(in->flags, 4);
    assert_int_equal(in->is_resync, 1);
    assert_int_equal(in->set.struct_size, sizeof(in->set));
    assert_int_equal(in->set.context, 0x1234);
    assert_int_equal(in->set.set_id.data1, 9);
    assert_int_equal(in->set.lun_count, LUNS);
    assert_string_equal(in->set.initiator, "iqn.test:me");
    assert_int_equal(in->set.snapshot_count, 7);
    assert_int_equal(in->set.luns[0].snapshot_id.data1, 7);
    assert_string_equal(in->set.luns[0].device, "iscsi://host/target/1");
    assert_full_info(&in->set.luns[0].source);
    assert_int_equal(in->set.luns[0].destination.version, 0);
    assert_int_equal(in->set.luns[0].destination.device_id.identifier_count, 0);
    assert_int_equal(in->set.luns[0].state.bytes, 3);
    assert_memory_equal(in->set.luns[0].state.data, "abc", 3);
    assert_null(in->set.luns[1].device);
    assert_null(in->set.luns[1].state.data);
    assert_full_info(&in->set.luns[1].destination);
    provider_arena_free(&arena);
}

static struct wire_content full_reply(enum vss_provider_op op, uint32_t lun_count, const void *out)
{
    struct wire_reply reply = {.number = 5, .result = S_OK, .error = "a line"};
    struct wire_content content = {0};
    assert_int_equal(wire_encode_reply(&reply, op, out, lun_count, &content), S_OK);
    return content;
}

static struct wire_content target_reply(uint32_t lun_count)
{
    struct vss_lun_info luns[LUNS] = {full_info(), full_info()};
    struct vss_target_luns_out out = {.struct_size = sizeof(out), .luns = luns};
    return full_reply(VSS_OP_GET_TARGET_LUNS, lun_count, &out);
}

static HRESULT take(const struct wire_content *content, enum vss_provider_op op, uint32_t lun_count,
                    struct provider_arena *arena, union wire_out *out, struct error *err)
{
    struct wire_frame frame;
    memset(out, 0, sizeof(*out));
    HRESULT hr = wire_decode(content->data, content->bytes, arena, &frame);
    if (FAILED(hr) || frame.kind != WIRE_REPLY || FAILED(frame.reply.result)) {
        return VSS_E_UNEXPECTED;
    }
    return wire_take_out(&frame, op, lun_count, arena, out, err);
}

static void replies_arrive_whole(void **state)
{
    (void)state;
    struct provider_arena arena = PROVIDER_ARENA_INIT;
    struct wire_content content = target_reply(LUNS);
    union wire_out out;
    assert_int_equal(take(&content, VSS_OP_GET_TARGET_LUNS, LUNS, &arena, &out, NULL), S_OK);
    assert_full_info(&out.target_luns.luns[1]);
    free(content.data);
    struct vss_state states[LUNS] = {{.bytes = 2, .data = (const uint8_t *)"xy"}, {0}};
    struct vss_states_out times = {.states = states,
                                   .first_cut_us = 1,
                                   .last_cut_us = UINT64_MAX,
                                   .hold = {.held_at_us = 3, .released_at_us = 4}};
    content = full_reply(VSS_OP_COMMIT_SNAPSHOTS, LUNS, &times);
    assert_int_equal(take(&content, VSS_OP_COMMIT_SNAPSHOTS, LUNS, &arena, &out, NULL), S_OK);
    free(content.data);
    assert_memory_equal(out.states.states[0].data, "xy", 2);
    assert_null(out.states.states[1].data);
    assert_int_equal(out.states.first_cut_us, 1);
    assert_true(out.states.last_cut_us == UINT64_MAX);
    assert_int_equal(out.states.hold.held_at_us, 3);
    assert_int_equal(out.states.hold.released_at_us, 4);
    provider_arena_free(&arena);
}

static void a_list_of_changes_arrives_whole(void **state)
{
    (void)state;
    struct provider_arena arena = PROVIDER_ARENA_INIT;
    struct wire_frame frame;
    union wire_out out;
    struct vss_resync_lun pair = {.snapshot = full_info(),
                                  .destination = full_info(),
                                  .snapshot_state = {.bytes = 2, .data = (const uint8_t *)"st"},
                                  .edge_bytes = UINT64_MAX - 1};
    struct vss_changes_in in = {
        .struct_size = sizeof(in), .extent_max = 3, .from_byte = UINT64_MAX - 7, .lun = &pair};
    struct wire_content content = {0};
    assert_int_equal(wire_lun_count(VSS_OP_LIST_CHANGES, &in), 1);
    assert_int_equal(wire_encode_request(6, VSS_OP_LIST_CHANGES, 10, &in, &content), S_OK);
    assert_int_equal(wire_decode(content.data, content.bytes, &arena, &frame), S_OK);
    free(content.data);
    const struct vss_changes_in *got = &frame.request.in.changes;
    assert_int_equal(got->struct_size, sizeof(*got));
    assert_int_equal(got->extent_max, 3);
    assert_true(got->from_byte == UINT64_MAX - 7);
    assert_full_info(&got->lun->snapshot);
    assert_full_info(&got->lun->destination);
    assert_memory_equal(got->lun->snapshot_state.data, "st", 2);
    assert_true(got->lun->edge_bytes == UINT64_MAX - 1);

    struct vss_extent extents[2] = {{0, 1}, {UINT64_MAX - 1, 1}};
    struct vss_changes_out list = {
        .is_known = 1, .extent_count = 2, .extents = extents, .next_byte = UINT64_MAX};
    content = full_reply(VSS_OP_LIST_CHANGES, 1, &list);
    assert_int_equal(take(&content, VSS_OP_LIST_CHANGES, 1, &arena, &out, NULL), S_OK);
    assert_int_equal(out.changes.is_known, 1);
    assert_int_equal(out.changes.extent_count, 2);
    assert_memory_equal(out.changes.extents, extents, sizeof(extents));
    assert_true(out.changes.next_byte == UINT64_MAX);
    struct error err = {0};
    assert_true(FAILED(take(&content, VSS_OP_RESYNC_POLL, 1, &arena, &out, &err)));
    assert_non_null(strstr(err.text, "of another kind"));
    free(content.data);
    list.is_known = 0; /* then nothing else of it counts */
    content = full_reply(VSS_OP_LIST_CHANGES, 1, &list);
    assert_int_equal(take(&content, VSS_OP_LIST_CHANGES, 1, &arena, &out, NULL), S_OK);
    assert_int_equal(out.changes.is_known, 0);
    assert_int_equal(out.changes.extent_count, 0);
    free(content.data);
    provider_arena_free(&arena);
}

/* All that an answer may hold, and one more. */
static void a_list_of_changes_has_a_limit(void **state)
{
    (void)state;
    struct provider_arena arena = PROVIDER_ARENA_INIT;
    union wire_out out;
    const uint32_t most = VSS_PROVIDER_EXTENTS_MAX;
    struct vss_extent *extents = calloc(most + 1, sizeof(*extents));
    assert_non_null(extents);
    for (uint32_t i = 0; i <= most; i++) {
        extents[i] = (struct vss_extent){((uint64_t)i << 40) + 1, UINT64_C(1) << 39};
    }
    struct vss_changes_out list = {
        .is_known = 1, .extent_count = most, .extents = extents, .next_byte = UINT64_MAX};
    struct wire_content content = full_reply(VSS_OP_LIST_CHANGES, 1, &list);
    assert_int_equal(take(&content, VSS_OP_LIST_CHANGES, 1, &arena, &out, NULL), S_OK);
    assert_memory_equal(out.changes.extents, extents, most * sizeof(*extents));
    free(content.data);
    struct error err = {0};
    list.extent_count = UINT32_MAX; /* no more is read than what shows that it is too much */
    content = full_reply(VSS_OP_LIST_CHANGES, 1, &list);
    assert_int_equal(take(&content, VSS_OP_LIST_CHANGES, 1, &arena, &out, &err), VSS_E_UNEXPECTED);
    assert_non_null(strstr(err.text, "named 65537 extents; the limit is 65536"));
    free(content.data);
    free(extents);
    provider_arena_free(&arena);
}

/* A count without a list is not the list of no changes. */
static void a_list_of_changes_that_is_not_there_is_refused(void **state)
{
    (void)state;
    static const uint32_t counts[] = {1, VSS_PROVIDER_EXTENTS_MAX, UINT32_MAX};
    struct provider_arena arena = PROVIDER_ARENA_INIT;
    union wire_out out;
    struct vss_changes_out list = {.is_known = 1, .next_byte = UINT64_MAX};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        struct error err = {0};
        list.extent_count = counts[i];
        struct wire_content content = full_reply(VSS_OP_LIST_CHANGES, 1, &list);
        HRESULT hr = take(&content, VSS_OP_LIST_CHANGES, 1, &arena, &out, &err);
        assert_int_equal(hr, VSS_E_UNEXPECTED);
        assert_non_null(strstr(err.text, "ListChanges counts extents that it does not give"));
        free(content.data);
    }
    list.extent_count = 0; /* this is one: nothing has changed */
    struct wire_content content = full_reply(VSS_OP_LIST_CHANGES, 1, &list);
    assert_int_equal(take(&content, VSS_OP_LIST_CHANGES, 1, &arena, &out, NULL), S_OK);
    assert_int_equal(out.changes.is_known, 1);
    assert_int_equal(out.changes.extent_count, 0);
    free(content.data);
    provider_arena_free(&arena);
}

static void replies_to_another_question_are_refused(void **state)
{
    (void)state;
    struct provider_arena arena = PROVIDER_ARENA_INIT;
    struct wire_content content = target_reply(LUNS);
    struct error err = {0};
    union wire_out out;
    assert_true(FAILED(take(&content, VSS_OP_GET_TARGET_LUNS, LUNS - 1, &arena, &out, &err)));
    assert_non_null(strstr(err.text, "answered with 2 LUNs where 1 were asked about"));
    assert_true(FAILED(take(&content, VSS_OP_GET_TARGET_LUNS, LUNS + 1, &arena, &out, NULL)));
    static const enum vss_provider_op others[] = {VSS_OP_GET_CAPABILITIES, VSS_OP_COMMIT_SNAPSHOTS,
                                                  VSS_OP_RESYNC_POLL};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        struct error why = {0};
        assert_true(FAILED(take(&content, others[i], LUNS, &arena, &out, &why)));
        assert_non_null(strstr(why.text, "of another kind"));
    }
    free(content.data);
    provider_arena_free(&arena);
}

/* Where sanitizers watch, reading past the end of what came would be seen. */
static void try_bytes(const uint8_t *data, size_t bytes)
{
    struct provider_arena arena = PROVIDER_ARENA_INIT;
    uint8_t *exact = malloc(bytes ? bytes : 1);
    union wire_out out;
    assert_non_null(exact);
    memcpy(exact, data, bytes);
    struct wire_content content = {.data = exact, .bytes = bytes};
    HRESULT hr = take(&content, VSS_OP_GET_TARGET_LUNS, LUNS, &arena, &out, NULL);
    if (SUCCEEDED(hr) && out.target_luns.luns) {
        for (size_t i = 0; i < LUNS; i++) {
            assert_true(out.target_luns.luns[i].device_id.identifier_count <= bytes);
        }
    }
    free(exact);
    provider_arena_free(&arena);
}

static void damaged_frames_do_no_harm(void **state)
{
    (void)state;
    static const uint8_t flips[FLIPS] = {0x01, 0x08, 0x80, 0xff};
    struct wire_content contents[] = {target_reply(LUNS), full_request()};
    for (size_t c = 0; c < 2; c++) {
        for (size_t i = 0; i < contents[c].bytes; i++) {
            try_bytes(contents[c].data, i);
            for (size_t f = 0; f < FLIPS; f++) {
                contents[c].data[i] ^= flips[f];
                try_bytes(contents[c].data, contents[c].bytes);
                contents[c].data[i] ^= flips[f];
            }
        }
        free(contents[c].data);
    }
}

static size_t put_length(uint8_t *out, uint8_t tag, size_t length)
{
    size_t n = 0;
    out[n++] = tag;
    for (; length > 0x7f; length >>= 7) {
        out[n++] = (uint8_t)((length & 0x7f) | 0x80);
    }
    out[n++] = (uint8_t)length;
    return n;
}

/* WireFrame.hello with count sections that have neither kind nor name. */
static HRESULT decode_empty_sections(size_t count)
{
    static const uint8_t section[] = {0x0a, 4, 0x0a, 0, 0x12, 0};
    static const uint8_t level[] = {0x10, 0};
    struct provider_arena arena = PROVIDER_ARENA_INIT;
    struct wire_frame frame;
    size_t bytes = count * sizeof(section) + sizeof(level);
    uint8_t *data = calloc(1, bytes + 16);
    assert_non_null(data);
    size_t n = put_length(data, 0x0a, bytes);
    for (size_t i = 0; i < count; i++, n += sizeof(section)) {
        memcpy(data + n, section, sizeof(section));
    }
    memcpy(data + n, level, sizeof(level));
    HRESULT hr = wire_decode(data, n + sizeof(level), &arena, &frame);
    provider_arena_free(&arena);
    free(data);
    return hr;
}

static void small_frames_do_not_take_much_memory(void **state)
{
    (void)state;
    assert_int_equal(decode_empty_sections(1000), S_OK);
    assert_true(
        FAILED(decode_empty_sections(1500000))); /* 9 MB of frame, 100 MB and more of memory */
}

/* The piece that a reader is at its end with, or that is not what it must be, ends all that follow.
 */
static void flat_pieces_are_checked(void **state)
{
    (void)state;
    struct provider_arena arena = PROVIDER_ARENA_INIT;
    const uint32_t numbers[] = {3, 2, VSS_PROVIDER_STATE_BYTES_MAX + 2};
    const uint8_t data[VSS_PROVIDER_STATE_BYTES_MAX + 8] = "abcd";
    const struct flat_reader whole = {.arena = &arena,
                                      .numbers = numbers,
                                      .number_count = 3,
                                      .data = data,
                                      .data_bytes = sizeof(data)};
    struct flat_reader r = whole;
    struct vss_state found;
    assert_null(flat_take_text(&r)); /* "abc" has no end */
    assert_true(r.is_bad);
    assert_int_equal(flat_take_number(&r), 0);
    r = whole;
    assert_int_equal(flat_take_number(&r), 3);
    flat_take_state(&r, &found);
    assert_int_equal(found.bytes, 1);
    assert_int_equal(found.data[0], 'a');
    flat_take_state(&r, &found);
    assert_true(r.is_bad && r.long_state_bytes == VSS_PROVIDER_STATE_BYTES_MAX + 1);
    r = whole;
    r.data_bytes = 2;
    assert_null(flat_take_text(&r));
    assert_true(r.is_bad);
    r = whole;
    assert_null(flat_take_room(&r, 4, 1, 1));
    assert_true(r.is_bad);
    r = whole;
    assert_non_null(flat_take_room(&r, 3, 1, 1));
    assert_null(flat_take_room(&r, SIZE_MAX, 1, SIZE_MAX));
    provider_arena_free(&arena);
}

/* WireFrame.reply.luns.luns with a count of 2^24, no numbers and no bytes. */
static void more_luns_than_came_are_refused(void **state)
{
    (void)state;
    static uint8_t frame[] = {0x22, 17, 0x08, 5,    0x10, 0,    0x2a, 11,   0x08, 1,
                              0x12, 7,  0x08, 0x80, 0x80, 0x80, 0x08, 0x1a, 0};
    const struct wire_content content = {.data = frame, .bytes = sizeof(frame)};
    struct provider_arena arena = PROVIDER_ARENA_INIT;
    struct error err = {0};
    union wire_out out;
    assert_true(FAILED(take(&content, VSS_OP_GET_TARGET_LUNS, 1u << 24, &arena, &out, &err)));
    assert_non_null(strstr(err.text, "with an info that no LUN can have"));
    provider_arena_free(&arena);
}

static void frames_have_a_length(void **state)
{
    (void)state;
    static const uint8_t bad[][4] = {{0, 0, 0, 0}, {1, 0, 0, 1}, {0xff, 0xff, 0xff, 0xff}};
    const uint8_t *content;
    size_t bytes;
    for (size_t i = 0; i < 3; i++) {
        int ends[2];
        struct frame_reader reader = {0};
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
        assert_int_equal(write(ends[1], bad[i], 4), 4);
        assert_int_equal(frame_receive(ends[0], -1, &reader, FRAME_FOREVER, &content, &bytes),
                         FRAME_GARBAGE);
        frame_reader_free(&reader);
        assert_int_equal(close(ends[0]), 0);
        assert_int_equal(close(ends[1]), 0);
    }
}

static void frames_come_in_pieces_and_together(void **state)
{
    (void)state;
    static const uint8_t stream[] = {3, 0, 0, 0, 'a', 'b', 'c', 1, 0, 0, 0, 'd', 9, 0};
    int ends[2];
    struct frame_reader reader = {0};
    const uint8_t *content;
    size_t bytes;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(write(ends[1], stream, 2), 2);
    uint64_t soon = clock_monotonic_us() + 20000;
    assert_int_equal(frame_receive(ends[0], -1, &reader, soon, &content, &bytes), FRAME_LATE);
    assert_int_equal(write(ends[1], stream + 2, sizeof(stream) - 2), sizeof(stream) - 2);
    assert_int_equal(frame_receive(ends[0], -1, &reader, FRAME_FOREVER, &content, &bytes),
                     FRAME_OK);
    assert_int_equal(bytes, 3);
    assert_memory_equal(content, "abc", 3);
    assert_int_equal(frame_receive(ends[0], -1, &reader, FRAME_FOREVER, &content, &bytes),
                     FRAME_OK);
    assert_int_equal(bytes, 1);
    assert_int_equal(content[0], 'd');
    assert_int_equal(close(ends[1]), 0);
    assert_int_equal(frame_receive(ends[0], -1, &reader, FRAME_FOREVER, &content, &bytes),
                     FRAME_CLOSED);
    frame_reader_free(&reader);
    assert_int_equal(close(ends[0]), 0);
}

static void nobody_reading_is_late(void **state)
{
    (void)state;
    int ends[2];
    uint8_t *data = calloc(1, FRAME_BYTES_MAX);
    assert_non_null(data);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    uint64_t soon = clock_monotonic_us() + 20000;
    assert_int_equal(frame_send(ends[0], data, FRAME_BYTES_MAX, soon), FRAME_LATE);
    assert_int_equal(close(ends[1]), 0);
    assert_int_equal(frame_send(ends[0], data, 16, FRAME_FOREVER), FRAME_CLOSED);
    assert_int_equal(frame_send(ends[0], data, FRAME_BYTES_MAX + 1, soon), FRAME_GARBAGE);
    assert_int_equal(close(ends[0]), 0);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_arrive_whole),
        cmocka_unit_test(replies_arrive_whole),
        cmocka_unit_test(a_list_of_changes_arrives_whole),
        cmocka_unit_test(a_list_of_changes_has_a_limit),
        cmocka_unit_test(a_list_of_changes_that_is_not_there_is_refused),
        cmocka_unit_test(replies_to_another_question_are_refused),
        cmocka_unit_test(damaged_frames_do_no_harm),
        cmocka_unit_test(small_frames_do_not_take_much_memory),
        cmocka_unit_test(flat_pieces_are_checked),
        cmocka_unit_test(more_luns_than_came_are_refused),
        cmocka_unit_test(frames_have_a_length),
        cmocka_unit_test(frames_come_in_pieces_and_together),
        cmocka_unit_test(nobody_reading_is_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
