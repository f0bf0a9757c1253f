/* SPDX-License-Identifier: Apache-2.0 */
/* The labels of this host's disks, over trees as /sys and /dev are: a disk that cannot be looked at
 * for want of what a process may have is not passed over, for it may have the ids that are sought.
 */
#include "unit/registry_fixture.h"

#include "lun/host/disks.h"
#include "unit/host_tree.h"

#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define SIGNATURE 0x11223344u

static char dev[256];

static int set_up(void **state)
{
    uint8_t blocks[8192] = {0};
    int rc = tree_setup(state);
    blocks[440] = 0x44;
    blocks[441] = 0x33;
    blocks[442] = 0x22;
    blocks[443] = 0x11;
    blocks[446 + 4] = 0x83;
    blocks[446 + 8] = 1;
    blocks[446 + 12] = 8;
    blocks[510] = 0x55;
    blocks[511] = 0xaa;
    tree_make_directories(fixture_path(tree_top, "sys/block"));
    assert_int_equal(symlink("../devices/sda", fixture_path(tree_top, "sys/block/sda")), 0);
    assert_int_equal(symlink("../devices/dm-0", fixture_path(tree_top, "sys/block/dm-0")), 0);
    tree_put_text("sys/devices/sda/queue/logical_block_size", "512\n");
    tree_put("dev/sda", blocks, sizeof(blocks));
    tree_put("dev/dm-0", blocks, sizeof(blocks));
    (void)snprintf(dev, sizeof(dev), "%s/dev", tree_top);
    return rc;
}

static HRESULT take(const struct host_disk *disk, void *user, struct error *err)
{
    unsigned *seen = user;
    (void)err;
    assert_non_null(strstr(disk->name, "/dev/sda"));
    assert_non_null(disk->info);
    assert_int_equal(disk->ids->mbr_signature, SIGNATURE);
    (*seen)++;
    return S_OK;
}

static void test_disks_that_have_labels(void **state)
{
    (void)state;
    struct error err = {0};
    unsigned seen = 0;
    assert_int_equal(host_disks_each(tree_roots.sys, dev, take, &seen, &err), S_OK);
    assert_int_equal(seen, 1);
    assert_int_equal(host_disks_each("/no/such/sys", dev, take, &seen, &err), S_OK);
    assert_int_equal(unlink(fixture_path(tree_top, "dev/sda")), 0); /* as without a medium */
    assert_int_equal(host_disks_each(tree_roots.sys, dev, take, &seen, &err), S_OK);
    assert_int_equal(seen, 1);
}

/* At no count of files that may be opened is there no disk. */
static void test_no_file_to_open(void **state)
{
    (void)state;
    struct rlimit before;
    unsigned seen = 0;
    int failures = 0;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int next = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(close(next), 0);
    for (int spare = 0; spare < 8 && seen == 0; spare++) {
        struct error err = {0};
        struct rlimit limit = {.rlim_cur = (rlim_t)(next + spare), .rlim_max = before.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        HRESULT hr = host_disks_each(tree_roots.sys, dev, take, &seen, &err);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        if (SUCCEEDED(hr) && seen == 0) {
            fail_msg("with %d files to open there is no disk", spare);
        }
        failures += FAILED(hr);
    }
    assert_int_equal(seen, 1);
    assert_true(failures >= 2); /* the folder, and what is in it */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tree_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_disks_that_have_labels),
        TEST(test_no_file_to_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
