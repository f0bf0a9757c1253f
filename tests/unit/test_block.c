/* SPDX-License-Identifier: Apache-2.0 */

/* Block devices: ranges, read-only devices, image files. */

#include "label_util.h"

#include <sys/stat.h>
#include <unistd.h>

static void ranges_are_checked(void **state)
{
    (void)state;
    struct memory_disk *disk = memory_new("disk", 10, 512);
    struct faults faults = {0};
    uint8_t data[512 * 2] = {0};
    disk->faults = &faults;
    assert_int_equal(block_read(&disk->dev, 9, 2, data, NULL), E_INVALIDARG);
    assert_int_equal(block_read(&disk->dev, 10, 1, data, NULL), E_INVALIDARG);
    assert_int_equal(block_read(&disk->dev, UINT64_MAX, 2, data, NULL), E_INVALIDARG);
    assert_int_equal(block_write(&disk->dev, 9, 2, data, NULL), E_INVALIDARG);
    assert_int_equal(block_write(&disk->dev, 0, UINT32_MAX, data, NULL), E_INVALIDARG);
    assert_int_equal(block_read(&disk->dev, 10, 0, data, NULL), S_OK);
    assert_int_equal(block_write(&disk->dev, 10, 0, data, NULL), S_OK);
    disk->dev.is_read_only = true;
    assert_int_equal(block_write(&disk->dev, 0, 1, data, NULL), E_ACCESSDENIED);
    assert_int_equal(block_flush(&disk->dev, NULL), S_OK);
    assert_int_equal(faults.calls, 0); /* none of these reached the device */
    assert_int_equal(block_read(&disk->dev, 8, 2, data, NULL), S_OK);
    assert_int_equal(faults.calls, 1);
    block_close(&disk->dev);
    block_close(NULL);
}

static void files_are_read_and_written(void **state)
{
    (void)state;
    char *dir = image_dir();
    char *path = image_new(dir, "a.img", 100 * 4096);
    uint8_t out[3 * 4096];
    uint8_t in[3 * 4096];
    memset(out, 0x5a, sizeof(out));
    struct block_device *dev = NULL;
    assert_int_equal(block_open_file(path, 4096, false, &dev, NULL), S_OK);
    assert_int_equal(dev->block_count, 100);
    assert_int_equal(dev->block_bytes, 4096);
    assert_int_equal(block_write(dev, 97, 3, out, NULL), S_OK);
    assert_int_equal(block_flush(dev, NULL), S_OK);
    block_close(dev);
    assert_int_equal(block_open_file(path, 4096, true, &dev, NULL), S_OK);
    assert_int_equal(block_read(dev, 96, 3, in, NULL), S_OK);
    assert_int_equal(in[4095], 0);
    assert_memory_equal(in + 4096, out, 2 * 4096);
    assert_int_equal(block_write(dev, 0, 1, out, NULL), E_ACCESSDENIED);
    assert_int_equal(truncate(path, 50 * 4096), 0); /* under our feet */
    struct error err = {S_OK, ""};
    assert_int_equal(block_read(dev, 49, 2, in, &err), VSS_E_UNEXPECTED);
    assert_non_null(strstr(err.text, "block 50"));
    block_close(dev);
    free(path);
    image_dir_remove(dir);
}

static void refuse_file(const char *path, uint32_t block_bytes, HRESULT code)
{
    struct block_device *dev = NULL;
    struct error err = {S_OK, ""};
    assert_int_equal(block_open_file(path, block_bytes, true, &dev, &err), code);
    assert_null(dev);
    assert_non_null(strstr(err.text, path));
}

static void what_is_no_image_is_refused(void **state)
{
    (void)state;
    char *dir = image_dir();
    char *path = image_new(dir, "a.img", 1000);
    refuse_file(path, 512, E_INVALIDARG);
    refuse_file(path, 0, E_INVALIDARG);
    refuse_file(path, 256, E_INVALIDARG);
    refuse_file(path, 513, E_INVALIDARG);
    refuse_file(path, 131072, E_INVALIDARG);
    refuse_file(dir, 512, E_INVALIDARG);
    assert_int_equal(unlink(path), 0);
    refuse_file(path, 512, VSS_E_OBJECT_NOT_FOUND);
    assert_int_equal(mkfifo(path, 0600), 0);
    refuse_file(path, 512, E_INVALIDARG); /* and does not wait for a writer */
    free(path);
    image_dir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_are_checked),
        cmocka_unit_test(files_are_read_and_written),
        cmocka_unit_test(what_is_no_image_is_refused),
    };
    return cmocka_run_group_tests_name("block", tests, NULL, NULL);
}
