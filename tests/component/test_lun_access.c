/* SPDX-License-Identifier: Apache-2.0 */
/* lun_open() .. lun_close() and now_us() of struct vss_host, as a plug-in calls them, on LUNs of
 * tgtd. */
#include "common/clock.h"
#include "component/array_fixture.h"
#include "provider/host/internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define TEST_LBA 4096u /* behind the labels and the pattern of every LUN of the fixture */

struct fixture {
    struct array *array;
    struct provider provider;
    struct config *config;
    struct provider_call_context context;
    struct vss_call call;
};

static struct fixture fixture_of(struct array *array)
{
    struct error err = {0};
    struct fixture f = {.array = array};
    assert_ok(config_load(array->config, &f.config, &err), &err);
    f.provider.config = f.config;
    return f;
}

static void begin(struct fixture *f)
{
    f->context = (struct provider_call_context){.provider = &f->provider};
    f->call = (struct vss_call){.struct_size = sizeof(f->call),
                                .host = &provider_host_services,
                                .array = "test",
                                .host_data = &f->context};
}

static void end(struct fixture *f)
{
    lun_access_close_all(&f->context.luns);
    config_free(f->config);
}

static void blocks_are_written_and_read_back(void **state)
{
    struct fixture f = fixture_of(*state);
    begin(&f);
    const struct vss_host *host = f.call.host;
    for (size_t i = 0; i < ARRAY_LUNS; i++) {
        uint8_t written[2 * 4096];
        uint8_t read[sizeof(written)] = {0};
        struct vss_host_lun *lun = NULL;
        struct vss_host_lun_info info = {.struct_size = sizeof(info)};
        memset(written, (int)(0x51 + i), sizeof(written));
        assert_ok(host->lun_open(&f.call, f.array->urls[i], VSS_HOST_LUN_WRITE, &lun, &info),
                  &f.context.service);
        assert_int_equal(info.block_bytes, array_block_bytes[i]);
        assert_int_equal(info.block_count * info.block_bytes, ARRAY_BYTES);
        assert_true(info.info->device_id.identifier_count > 0);
        uint32_t blocks = (uint32_t)sizeof(written) / info.block_bytes;
        uint64_t lba = (uint64_t)TEST_LBA * 4096 / info.block_bytes;
        assert_int_equal(host->lun_write(&f.call, lun, lba, blocks, written), S_OK);
        assert_int_equal(host->lun_close(&f.call, lun), S_OK);

        assert_int_equal(host->lun_open(&f.call, f.array->urls[i], 0, &lun, NULL), S_OK);
        assert_int_equal(host->lun_read(&f.call, lun, lba, blocks, read), S_OK);
        assert_memory_equal(read, written, sizeof(read));
        assert_int_equal(host->lun_close(&f.call, lun), S_OK);
    }
    end(&f);
}

static void wrong_uses_are_refused(void **state)
{
    struct fixture f = fixture_of(*state);
    begin(&f);
    const struct vss_host *host = f.call.host;
    uint64_t before = array_digest(f.array->files[0]);
    uint8_t block[512] = {0xee};
    struct vss_host_lun *lun = NULL;
    struct vss_host_lun_info info = {.struct_size = sizeof(info)};
    char absent[320];
    (void)snprintf(absent, sizeof(absent), "iscsi://%s/" ARRAY_TARGET "/77", f.array->lab->portal);

    assert_int_equal(host->lun_open(&f.call, absent, 0, &lun, &info), VSS_E_OBJECT_NOT_FOUND);
    assert_null(lun);
    assert_int_equal(host->lun_open(&f.call, "/dev/null", 0, &lun, &info), E_INVALIDARG);
    assert_int_equal(host->lun_open(&f.call, NULL, 0, &lun, &info), E_INVALIDARG);
    assert_int_equal(host->lun_open(&f.call, f.array->urls[0], 2, &lun, &info), E_INVALIDARG);

    assert_int_equal(host->lun_open(&f.call, f.array->urls[0], 0, &lun, &info), S_OK);
    assert_int_equal(host->lun_write(&f.call, lun, 0, 1, block), E_ACCESSDENIED);
    assert_int_equal(host->lun_read(&f.call, lun, info.block_count, 1, block), E_INVALIDARG);
    assert_int_equal(host->lun_read(&f.call, lun, 0, 1, NULL), E_INVALIDARG);
    assert_int_equal(host->lun_close(&f.call, lun), S_OK);
    assert_int_equal(host->lun_read(&f.call, lun, 0, 1, block), E_INVALIDARG); /* closed */
    assert_int_equal(host->lun_close(&f.call, lun), E_INVALIDARG);
    assert_int_equal(host->lun_read(&f.call, NULL, 0, 1, block), E_INVALIDARG);
    assert_true(array_digest(f.array->files[0]) == before);
    end(&f);
}

static void nothing_is_opened_while_io_is_held(void **state)
{
    struct fixture f = fixture_of(*state);
    begin(&f);
    struct vss_host_lun *lun = NULL;
    f.context.may_hold = true;
    assert_int_equal(f.call.host->lun_open(&f.call, f.array->urls[0], 0, &lun, NULL), E_INVALIDARG);
    assert_non_null(strstr(f.context.service.text, "CommitSnapshots"));
    end(&f);
}

/* A plug-in that knew less of vss_host_lun_info gets no byte more than it has room for. */
static void older_structures_stay_whole(void **state)
{
    struct fixture f = fixture_of(*state);
    begin(&f);
    struct {
        struct vss_host_lun_info info;
        uint8_t behind[16];
    } old;
    struct vss_host_lun *lun = NULL;
    memset(&old, 0xa5, sizeof(old));
    old.info.struct_size = offsetof(struct vss_host_lun_info, block_count);
    assert_int_equal(f.call.host->lun_open(&f.call, f.array->urls[1], 0, &lun, &old.info), S_OK);
    assert_int_equal(old.info.block_bytes, 512);
    assert_true(old.info.block_count == 0xa5a5a5a5a5a5a5a5u);
    end(&f); /* closes what the plug-in left open */
    assert_null(f.context.luns.first);
}

static void the_clock_is_that_of_the_hold_reports(void **state)
{
    struct fixture f = fixture_of(*state);
    begin(&f);
    uint64_t before = clock_monotonic_us();
    uint64_t now = f.call.host->now_us(&f.call);
    assert_true(now >= before && now <= clock_monotonic_us());
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_written_and_read_back),
        cmocka_unit_test(wrong_uses_are_refused),
        cmocka_unit_test(nothing_is_opened_while_io_is_held),
        cmocka_unit_test(older_structures_stay_whole),
        cmocka_unit_test(the_clock_is_that_of_the_hold_reports),
    };
    return cmocka_run_group_tests(tests, array_start, array_stop);
}
