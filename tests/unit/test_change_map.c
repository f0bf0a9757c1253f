/* SPDX-License-Identifier: Apache-2.0 */
/* Change maps against a list of bytes that is kept the simple way. */
#include "resync/change_map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define GRAIN  65536u
#define GRAINS 1000u

static uint32_t random_below(uint32_t limit)
{
    static uint64_t state = 88172645463325252u;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32) % limit;
}

/* All runs of the map, by their grains. */
static void read_runs(const struct change_map *map, uint64_t from, uint8_t seen[GRAINS + 1])
{
    uint64_t end = 0;
    memset(seen, 0, GRAINS + 1);
    for (uint64_t at = change_map_next(map, from, &end); at < map->bytes;
         at = change_map_next(map, end, &end)) {
        assert_true(end > at && end <= map->bytes);
        for (uint64_t grain = at / GRAIN; grain * GRAIN < end; grain++) {
            seen[grain] = 1;
        }
    }
    assert_int_equal(end, map->bytes);
}

static void ranges_are_found_again(void **state)
{
    (void)state;
    for (int round = 0; round < 300; round++) {
        struct change_map map;
        uint8_t expected[GRAINS + 1] = {0};
        uint8_t seen[GRAINS + 1];
        uint64_t bytes = (uint64_t)GRAINS * GRAIN + random_below(GRAIN);
        assert_int_equal(change_map_init(&map, bytes, GRAIN, NULL), S_OK);
        for (uint32_t n = random_below(20); n > 0; n--) {
            uint64_t offset = (uint64_t)random_below(GRAINS) * GRAIN + random_below(GRAIN);
            uint64_t length = random_below(round % 2 ? 4096 : 40 * GRAIN);
            change_map_add(&map, offset, length);
            for (uint64_t at = offset; at < offset + length && at < bytes; at += 512) {
                expected[at / GRAIN] = 1;
            }
            if (length && offset < bytes) {
                uint64_t last = offset + length - 1;
                expected[(last < bytes ? last : bytes - 1) / GRAIN] = 1;
            }
        }
        read_runs(&map, 0, seen);
        assert_memory_equal(seen, expected, sizeof(seen));
        uint64_t marked = 0;
        for (uint64_t i = 0; i <= GRAINS; i++) {
            uint64_t end = (i + 1) * GRAIN < bytes ? (i + 1) * GRAIN : bytes;
            marked += expected[i] && end > i * GRAIN ? end - i * GRAIN : 0;
        }
        assert_int_equal(change_map_marked(&map, 0, bytes), marked);
        change_map_free(&map);
    }
}

static void a_byte_within_a_run_is_where_it_is(void **state)
{
    (void)state;
    struct change_map map;
    uint64_t end = 0;
    assert_int_equal(change_map_init(&map, 100 * GRAIN, GRAIN, NULL), S_OK);
    change_map_add(&map, 10 * GRAIN + 1, 2 * GRAIN);
    assert_int_equal(change_map_next(&map, 0, &end), 10 * GRAIN);
    assert_int_equal(end, 13 * GRAIN);
    assert_int_equal(change_map_next(&map, 11 * GRAIN + 512, &end), 11 * GRAIN + 512);
    assert_int_equal(end, 13 * GRAIN);
    assert_int_equal(change_map_next(&map, 13 * GRAIN, &end), 100 * GRAIN);
    assert_int_equal(change_map_marked(&map, 11 * GRAIN + 512, 12 * GRAIN), GRAIN - 512);
    change_map_add(&map, 0, 100 * GRAIN);
    assert_int_equal(change_map_marked(&map, 0, UINT64_MAX), 100 * GRAIN);
    change_map_free(&map);
}

static void ranges_past_the_end_are_nothing(void **state)
{
    (void)state;
    struct change_map map;
    uint64_t end = 0;
    assert_int_equal(change_map_init(&map, 3 * GRAIN + 512, GRAIN, NULL), S_OK);
    change_map_add(&map, 3 * GRAIN + 512, 1);
    change_map_add(&map, UINT64_MAX, UINT64_MAX);
    change_map_add(&map, 0, 0);
    assert_int_equal(change_map_next(&map, 0, &end), map.bytes);
    change_map_add(&map, 3 * GRAIN, UINT64_MAX - 3 * GRAIN);
    assert_int_equal(change_map_next(&map, 0, &end), 3 * GRAIN);
    assert_int_equal(end, map.bytes);
    change_map_free(&map);
}

/* However large the disk, the map is of a size; an empty one has no bytes. */
static void memory_is_bounded(void **state)
{
    (void)state;
    const uint64_t sizes[] = {0, 512, GRAIN, 4ull << 40, (4ull << 40) + 512, UINT64_MAX};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct change_map map;
        uint64_t end = 0;
        assert_int_equal(change_map_init(&map, sizes[i], GRAIN, NULL), S_OK);
        assert_true(map.grain_count <= 64u << 20);
        change_map_add(&map, sizes[i] ? sizes[i] - 1 : 0, 1);
        uint64_t at = change_map_next(&map, 0, &end);
        assert_int_equal(end, sizes[i]);
        assert_true(sizes[i] == 0 || (at < sizes[i] && sizes[i] - at <= map.grain_bytes));
        change_map_free(&map);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_are_found_again),
        cmocka_unit_test(a_byte_within_a_run_is_where_it_is),
        cmocka_unit_test(ranges_past_the_end_are_nothing),
        cmocka_unit_test(memory_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
