/* SPDX-License-Identifier: Apache-2.0 */
/* Which size of commands the engine settles on, before targets that prefer one or the other. */
#include "resync/engine_pace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define LARGEST  524288u
#define SMALLER  65536u
#define BLOCK    512u
#define GIB      (1ull << 30)
#define START_US 77u

/* Bytes in a microsecond. */
struct target {
    double large;
    double small;
};

struct course {
    struct engine_pace pace;
    uint64_t moved;
    double us;
    uint64_t in_large; /* bytes that went in large commands */
};

static void begin(struct course *c, bool is_steady)
{
    *c = (struct course){.us = START_US};
    engine_pace_begin(&c->pace, LARGEST, BLOCK, is_steady);
}

/* What one command takes is known at the next one. Returns the microseconds. */
static double copy(struct course *c, const struct target *t, uint64_t bytes)
{
    uint64_t end = c->moved + bytes;
    double begun = c->us;
    c->in_large = 0;
    while (c->moved < end) {
        uint32_t size = engine_pace_next(&c->pace, c->moved, (uint64_t)c->us);
        assert_true(size == LARGEST || size == SMALLER);
        c->moved += size;
        c->us += size / (size == LARGEST ? t->large : t->small);
        c->in_large += size == LARGEST ? size : 0;
    }
    return c->us - begun;
}

static void test_the_faster_size_is_used(void **state)
{
    (void)state;
    static const struct target prefers_large = {.large = 1600, .small = 1000};
    static const struct target prefers_small = {.large = 200, .small = 1000};
    struct course c;
    begin(&c, false);
    double us = copy(&c, &prefers_large, 8 * GIB);
    assert_true(c.in_large > 7 * GIB);
    assert_true(us < 1.1 * (8 * GIB / prefers_large.large));

    begin(&c, false);
    us = copy(&c, &prefers_small, 8 * GIB);
    assert_true(c.in_large < GIB / 2);
    assert_true(us < 1.3 * (8 * GIB / prefers_small.small));
    us = copy(&c, &prefers_small, 64 * GIB); /* it tries ever more seldom */
    assert_true(us < 1.05 * (64 * GIB / prefers_small.small));
}

static void test_no_difference_is_no_change(void **state)
{
    (void)state;
    static const struct target same = {.large = 1020, .small = 1000};
    struct course c;
    begin(&c, false);
    (void)copy(&c, &same, 8 * GIB);
    assert_true(c.in_large < GIB / 2);
}

static void test_a_target_that_changes(void **state)
{
    (void)state;
    static const struct target before = {.large = 200, .small = 1000};
    static const struct target after = {.large = 1600, .small = 1000};
    struct course c;
    begin(&c, false);
    (void)copy(&c, &before, 2 * GIB);
    (void)copy(&c, &after, 8 * GIB);
    (void)copy(&c, &after, 4 * GIB);
    assert_true(c.in_large > 3 * GIB);
    (void)copy(&c, &before, 64 * GIB);
    (void)copy(&c, &before, 8 * GIB);
    assert_true(c.in_large < GIB);
}

static void test_one_size_alone(void **state)
{
    (void)state;
    static const struct target slow = {.large = 10, .small = 1000};
    struct course c;
    begin(&c, true);
    (void)copy(&c, &slow, GIB);
    assert_int_equal(c.in_large, GIB);
    engine_pace_begin(&c.pace, 65536, BLOCK, false); /* an eighth of it is not worth trying */
    assert_int_equal(engine_pace_next(&c.pace, 0, START_US), 65536);
    assert_int_equal(engine_pace_next(&c.pace, GIB, START_US), 65536);
}

static void test_no_size_is_less_than_a_block(void **state)
{
    (void)state;
    struct engine_pace pace;
    engine_pace_begin(&pace, 262144, 65536, false);
    assert_int_equal(engine_pace_next(&pace, 0, START_US), 262144);
    engine_pace_begin(&pace, 262144, 32768, false);
    assert_int_equal(engine_pace_next(&pace, 0, START_US), 32768);
    engine_pace_begin(&pace, LARGEST, 65536, false);
    assert_int_equal(engine_pace_next(&pace, 0, START_US), SMALLER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_faster_size_is_used),
        cmocka_unit_test(test_no_difference_is_no_change),
        cmocka_unit_test(test_a_target_that_changes),
        cmocka_unit_test(test_one_size_alone),
        cmocka_unit_test(test_no_size_is_less_than_a_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
