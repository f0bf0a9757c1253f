/* SPDX-License-Identifier: Apache-2.0 */
/* The LUNs that may be overwritten, and the content of LUNs. */
#include "lun/scratch.h"
#include "conform/conform.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define MARK_BYTES (64u << 10)
#define MARKS      32u
#define READ_BYTES (1u << 20)

static bool is_same(const struct scratch *s, const struct lun *lun)
{
    const struct vss_lun_info *info = &lun->identity.info;
    const char *was = s->info.serial_number ? s->info.serial_number : "";
    return lun_info_compare(&s->info, info) == LUN_SAME &&
           strcmp(was, info->serial_number ? info->serial_number : "") == 0;
}

bool scratch_is_own(struct conform *c, size_t index)
{
    struct provider_arena arena = PROVIDER_ARENA_INIT;
    struct vss_supported_out out = {0};
    const char *device = c->scratch[index].url;
    const struct vss_luns_in in = {.struct_size = sizeof(in),
                                   .lun_count = 1,
                                   .devices = &device,
                                   .luns = &c->scratch[index].info};
    HRESULT hr = conform_call(c, VSS_OP_FILL_IN_LUN_INFO, &in, &out, &arena, NULL);
    provider_arena_free(&arena);
    return SUCCEEDED(hr) && out.is_supported == 1;
}

bool scratch_is_unused(struct conform *c, size_t index)
{
    struct error err = {0};
    HRESULT hr = scratch_check_unused(c->scratch[index].url, &c->scratch[index].info, &err);
    if (FAILED(hr)) {
        conform_fail(c, "%s", error_text(&err));
    }
    return SUCCEEDED(hr);
}

struct lun *scratch_open(struct conform *c, size_t index, bool read_only)
{
    struct error err = {0};
    struct lun *lun = NULL;
    if (conform_skip_offline(c, CONFORM_LOOKS)) {
        return NULL;
    }
    if (!read_only && !c->scratch[index].is_own) {
        conform_fail_op(c, VSS_OP_FILL_IN_LUN_INFO,
                        "FillInLunInfo: the answer for %s was not 1: nothing is written to it",
                        c->scratch[index].url);
        return NULL;
    }
    if (FAILED(lun_open(c->scratch[index].url, &c->env.lun, read_only, &lun, &err))) {
        conform_fail(c, "scratch LUN %s: %s", c->scratch[index].url, error_text(&err));
        return NULL;
    }
    if (!is_same(&c->scratch[index], lun)) {
        conform_fail(c, "%s is not the LUN any more that it was at the start", lun->url);
        lun_close(lun);
        return NULL;
    }
    if (!read_only && !scratch_is_unused(c, index)) {
        lun_close(lun);
        return NULL;
    }
    return lun;
}

static bool digest_lun(struct conform *c, struct lun *lun, uint64_t *out)
{
    struct error err = {0};
    uint32_t step = READ_BYTES / lun->block.block_bytes;
    uint8_t *data = malloc(READ_BYTES);
    XXH64_state_t *state = XXH64_createState();
    HRESULT hr = data && state ? S_OK : error_set(&err, E_OUTOFMEMORY, "out of memory");
    if (SUCCEEDED(hr)) {
        (void)XXH64_reset(state, 0);
    }
    for (uint64_t lba = 0; SUCCEEDED(hr) && lba < lun->block.block_count; lba += step) {
        uint64_t left = lun->block.block_count - lba;
        uint32_t blocks = left < step ? (uint32_t)left : step;
        hr = block_read(&lun->block, lba, blocks, data, &err);
        if (SUCCEEDED(hr)) {
            (void)XXH64_update(state, data, (size_t)blocks * lun->block.block_bytes);
        }
    }
    if (SUCCEEDED(hr)) {
        *out = XXH64_digest(state);
    } else {
        conform_fail(c, "%s cannot be read: %s", lun->url, error_text(&err));
    }
    (void)XXH64_freeState(state);
    free(data);
    return SUCCEEDED(hr);
}

bool conform_digest(struct conform *c, const char *url, uint64_t *out)
{
    struct error err = {0};
    struct lun *lun = NULL;
    if (conform_skip_offline(c, CONFORM_LOOKS)) {
        return false;
    }
    if (FAILED(lun_open(url, &c->env.lun, true, &lun, &err))) {
        conform_fail(c, "%s cannot be opened: %s", url, error_text(&err));
        return false;
    }
    bool is_read = digest_lun(c, lun, out);
    lun_close(lun);
    return is_read;
}

/* Of one fill and one place, no eight bytes of it like others. */
static void make_mark(uint8_t *data, uint64_t fill, uint64_t lba)
{
    const uint64_t from[] = {fill, lba};
    uint64_t value = XXH64(from, sizeof(from), 0);
    for (uint32_t i = 0; i < MARK_BYTES; i += sizeof(value)) {
        value = value * 6364136223846793005u + 1442695040888963407u;
        memcpy(data + i, &value, sizeof(value));
    }
}

/* The first block of each mark, the last one ending with the LUN. */
static HRESULT write_marks(struct lun *lun, uint64_t fill, uint8_t *data, struct error *err)
{
    uint64_t count = lun->block.block_count;
    uint32_t blocks = MARK_BYTES / lun->block.block_bytes;
    HRESULT hr = S_OK;
    if (count < (uint64_t)blocks * MARKS) {
        return error_set(err, E_INVALIDARG, "%s is smaller than %u MiB", lun->url,
                         MARK_BYTES / 1024 * MARKS / 1024);
    }
    for (uint64_t i = 0; SUCCEEDED(hr) && i < MARKS; i++) {
        uint64_t lba = (count - blocks) / (MARKS - 1) * i;
        lba = i == MARKS - 1 ? count - blocks : lba;
        make_mark(data, fill, lba);
        hr = block_write(&lun->block, lba, blocks, data, err);
    }
    return SUCCEEDED(hr) ? block_flush(&lun->block, err) : hr;
}

uint64_t scratch_gap(const struct scratch *s)
{
    uint64_t blocks = MARK_BYTES / s->block_bytes;
    uint64_t step = (s->block_count - blocks) / (MARKS - 1);
    return step > blocks ? blocks + (step - blocks) / 2 : 0;
}

void scratch_fill(struct conform *c, size_t index)
{
    struct error err = {0};
    if (c->is_offline) {
        return; /* it was written when the recording was made */
    }
    uint8_t *data = malloc(MARK_BYTES);
    struct lun *lun = data ? scratch_open(c, index, false) : NULL;
    c->scratch[index].is_onto = false;
    if (lun && FAILED(write_marks(lun, ++c->fills, data, &err))) {
        conform_fail(c, "scratch LUN %s cannot be written: %s", lun->url, error_text(&err));
    } else if (lun) {
        (void)digest_lun(c, lun, &c->scratch[index].digest);
    }
    lun_close(lun);
    free(data);
}

struct vss_lun_info conform_foreign_lun(void)
{
    /* NAA 6, OpenFabrics' OUI, and once drawn at random: the same in each run, so that a recording
     * of one answers the next. */
    uint8_t naa[16] = {0x60, 0x01, 0x40, 0x5e, 0x1b, 0xd3, 0x0f, 0x2a,
                       0x97, 0x44, 0xc8, 0x61, 0x7d, 0x05, 0xb2, 0xe9};
    char serial[] = "CONFORM-FOREIGN";
    struct vss_storage_identifier designator = {VDSStorageIdCodeSetBinary, VDSStorageIdTypeFCPHName,
                                                sizeof(naa), naa};
    struct vss_lun_info borrowed = {.version = 1,
                                    .bus_type = VDSBusTypeiScsi,
                                    .vendor_id = serial,
                                    .product_id = serial,
                                    .product_revision = serial,
                                    .serial_number = serial,
                                    .device_id = {1, 1, &designator}};
    struct vss_lun_info info = {0};
    (void)lun_info_copy(&borrowed, &info);
    return info;
}
