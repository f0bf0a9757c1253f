/* SPDX-License-Identifier: Apache-2.0 */
/* The plug-in for tgt makes two files equal, over a disk that cannot tell where the data are. */
#include "../provider/arrays/tgt/file.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define BYTES (256u << 10) /* data, a hole, data */
#define PART  (64u << 10)

static int fail_fd = -1;
static int fail_whence;
static int fail_errno;
static unsigned passes; /* so many are answered first */

off_t __real_lseek(int fd, off_t offset, int whence);
off_t __wrap_lseek(int fd, off_t offset, int whence);

off_t __wrap_lseek(int fd, off_t offset, int whence)
{
    if (fd != fail_fd || whence != fail_whence) {
        return __real_lseek(fd, offset, whence);
    }
    if (passes > 0) {
        passes--;
        return __real_lseek(fd, offset, whence);
    }
    errno = fail_errno;
    return -1;
}

struct files {
    int source;
    int destination;
    struct tgt_copier copier;
};

static int make_file(void)
{
    char name[] = "/tmp/lunshadow-tgt-file-XXXXXX";
    int fd = mkostemp(name, O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(unlink(name), 0);
    assert_int_equal(ftruncate(fd, BYTES), 0);
    return fd;
}

static void fill(int fd, uint8_t byte, uint32_t offset, uint32_t bytes)
{
    uint8_t *data = malloc(bytes);
    assert_non_null(data);
    memset(data, byte, bytes);
    assert_int_equal(pwrite(fd, data, bytes, offset), (ssize_t)bytes);
    free(data);
}

static uint8_t byte_at(int fd, uint32_t offset)
{
    uint8_t byte = 0xff;
    assert_int_equal(pread(fd, &byte, 1, offset), 1);
    return byte;
}

static int setup(void **state)
{
    struct files *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->source = make_file();
    f->destination = make_file();
    f->copier = (struct tgt_copier){.from = malloc(BYTES), .to = malloc(BYTES)};
    assert_true(f->copier.from && f->copier.to);
    fill(f->source, 1, 0, PART);
    fill(f->source, 1, 2 * PART, PART);
    fill(f->destination, 2, 0, BYTES);
    fail_fd = -1;
    passes = 0;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct files *f = *state;
    (void)close(f->source);
    (void)close(f->destination);
    free(f->copier.from);
    free(f->copier.to);
    free(f);
    return 0;
}

static int equalize(struct files *f)
{
    return tgt_file_equalize(&f->copier, f->destination, f->source, 0, BYTES);
}

static void test_equal(void **state)
{
    struct files *f = *state;
    assert_int_equal(equalize(f), 0);
    for (uint32_t at = 0; at < BYTES; at += PART) {
        assert_int_equal(byte_at(f->destination, at), at == 0 || at == 2 * PART ? 1 : 0);
    }
}

static void fail_at(int fd, int whence, int errnum, unsigned after)
{
    fail_fd = fd;
    fail_whence = whence;
    fail_errno = errnum;
    passes = after;
}

/* No answer is no hole: nothing of the destination is zeroed for it. */
static void test_source_that_fails(void **state)
{
    struct files *f = *state;
    fail_at(f->source, SEEK_DATA, EIO, 0);
    assert_int_equal(equalize(f), EIO);
    assert_int_equal(byte_at(f->destination, 0), 2);
    fail_at(f->source, SEEK_DATA, EIO, 1); /* behind the first data */
    assert_int_equal(equalize(f), EIO);
    assert_int_equal(byte_at(f->destination, 0), 1);
    assert_int_equal(byte_at(f->destination, 2 * PART), 2);
    fail_at(f->source, SEEK_HOLE, EIO, 0);
    assert_int_equal(equalize(f), EIO);
    fail_fd = -1;
    assert_int_equal(equalize(f), 0);
    assert_int_equal(byte_at(f->destination, 2 * PART), 1);
}

/* Nor is one of the destination's a hole that can stay. */
static void test_destination_that_fails(void **state)
{
    struct files *f = *state;
    fail_at(f->destination, SEEK_DATA, EINVAL, 0);
    assert_int_equal(equalize(f), EINVAL);
    assert_int_equal(byte_at(f->destination, PART), 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_equal),
        TEST(test_source_that_fails),
        TEST(test_destination_that_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
