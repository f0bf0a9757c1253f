/* SPDX-License-Identifier: Apache-2.0 */
#include "lun/lun.h"

#include "common/buffer.h"
#include "common/clock.h"
#include "common/log.h"
#include "lun/label/label.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define COMMAND_BYTES       (1024u * 1024u)
#define IN_FLIGHT           8u
#define BATCH               32u
#define SAME_TRIES          4 /* a LUN that reports changes again and again is not written to */
#define ASC_NO_SUCH_COMMAND 0x20
#define SESSIONS            4 /* of a LUN whose target closes them */
#define SESSION_PAUSE_MS    100u

static struct lun *lun_of(struct block_device *dev)
{
    return (struct lun *)dev; /* block is the first member */
}

static uint32_t blocks_per_command(const struct lun *lun)
{
    uint32_t blocks = COMMAND_BYTES / lun->block.block_bytes;
    uint32_t limit = lun->identity.max_transfer_blocks;
    return limit > 0 && limit < blocks ? limit : blocks;
}

static HRESULT not_the_same(const struct lun *lun, const struct lun_identity *now,
                            struct error *err)
{
    char key[LUN_KEY_BYTES];
    char found[LUN_KEY_BYTES];
    const char *serial = lun->identity.info.serial_number;
    const char *found_serial = now->info.serial_number;
    return error_set(
        err, VSS_E_PROVIDER_VETO,
        "%s reported a change and is %s (serial %s, %" PRIu64
        " blocks) by now, not %s (serial %s, %" PRIu64 " blocks); nothing more is written to it",
        lun->url, lun_info_key(&now->info, found), found_serial ? found_serial : "none",
        now->block_count, lun_info_key(&lun->identity.info, key), serial ? serial : "none",
        lun->identity.block_count);
}

/* S_FALSE: it is, and reported a change again while that was looked at. */
static HRESULT look_again(struct lun *lun, struct error *err)
{
    struct lun_identity now;
    uint32_t attentions = lun->session->attentions;
    HRESULT hr = identity_read(lun->session, lun->address.lun, &now, err);
    if (FAILED(hr)) {
        return hr;
    }
    if (lun_info_compare(&lun->identity.info, &now.info) != LUN_SAME ||
        lun->identity.block_bytes != now.block_bytes ||
        lun->identity.block_count != now.block_count) {
        hr = not_the_same(lun, &now, err);
    } else if (attentions != lun->session->attentions) {
        hr = S_FALSE;
    } else {
        lun->attentions = attentions;
    }
    identity_free(&now);
    return hr;
}

/* After a unit attention: is it the LUN that was opened? */
static HRESULT check_same(struct lun *lun, struct error *err)
{
    HRESULT hr = lun->attentions == lun->session->attentions ? S_OK : S_FALSE;
    for (int tries = 0; hr == S_FALSE && tries < SAME_TRIES; tries++) {
        hr = look_again(lun, err);
    }
    return hr == S_FALSE ? error_set(err, VSS_E_PROVIDER_VETO,
                                     "%s reports one change after the other; nothing more is "
                                     "written to it; see the array's own log",
                                     lun->url)
                         : hr;
}

/* Writes that meet a unit attention are all sent again, where the LUN is the same. One at a time:
 * what was sent behind one that meets it would be done, by whichever LUN is there now. */
static HRESULT run_writes(struct lun *lun, struct scsi_command *commands, size_t count,
                          struct error *err)
{
    for (int tries = 0; tries < SAME_TRIES; tries++) {
        HRESULT hr = check_same(lun, err);
        if (SUCCEEDED(hr)) {
            hr = scsi_run(lun->session, commands, count, 1, err);
        }
        if (FAILED(hr) || lun->attentions == lun->session->attentions) {
            return hr;
        }
    }
    return error_set(err, VSS_E_PROVIDER_VETO,
                     "%s reported a change before each of %d tries to write to it; see the array's "
                     "own log",
                     lun->url, SAME_TRIES);
}

/* One batch of commands from *lba on; advances lba, blocks and data past what it moved. */
static HRESULT move_batch(struct lun *lun, bool is_write, uint64_t *lba, uint32_t *blocks,
                          uint8_t **data, struct error *err)
{
    struct scsi_command commands[BATCH];
    uint32_t block_bytes = lun->block.block_bytes;
    uint32_t most = blocks_per_command(lun);
    size_t count = 0;
    for (; count<BATCH && * blocks> 0; count++) {
        uint32_t now = *blocks < most ? *blocks : most;
        if (is_write) {
            scsi_build_write16(&commands[count], lun->address.lun, *lba, now, block_bytes, *data,
                               false);
            commands[count].ends_at_attention = true;
        } else {
            scsi_build_read16(&commands[count], lun->address.lun, *lba, now, block_bytes, *data);
        }
        *lba += now;
        *blocks -= now;
        *data += (size_t)now * block_bytes;
    }
    HRESULT hr = is_write ? run_writes(lun, commands, count, err)
                          : scsi_run(lun->session, commands, count, IN_FLIGHT, err);
    for (size_t i = 0; SUCCEEDED(hr) && i < count; i++) {
        hr = scsi_error_or_short(lun->session, &commands[i], err);
    }
    return hr;
}

static HRESULT lun_read(struct block_device *dev, uint64_t lba, uint32_t blocks, void *data,
                        struct error *err)
{
    uint8_t *at = data;
    HRESULT hr = S_OK;
    while (SUCCEEDED(hr) && blocks > 0) {
        hr = move_batch(lun_of(dev), false, &lba, &blocks, &at, err);
    }
    return hr;
}

static HRESULT lun_write(struct block_device *dev, uint64_t lba, uint32_t blocks, const void *data,
                         struct error *err)
{
    uint8_t *at = (uint8_t *)(uintptr_t)data; /* only read: see scsi_build_write16() */
    HRESULT hr = S_OK;
    while (SUCCEEDED(hr) && blocks > 0) {
        hr = move_batch(lun_of(dev), true, &lba, &blocks, &at, err);
    }
    return hr;
}

static HRESULT lun_flush(struct block_device *dev, struct error *err)
{
    struct lun *lun = lun_of(dev);
    struct scsi_command c;
    scsi_build_synchronize_cache(&c, lun->address.lun);
    HRESULT hr = scsi_run(lun->session, &c, 1, 1, err);
    if (FAILED(hr)) {
        return hr;
    }
    if (c.status == SCSI_STATUS_CHECK_CONDITION && c.sense.key == SCSI_SENSE_ILLEGAL_REQUEST &&
        c.sense.asc == ASC_NO_SUCH_COMMAND) {
        log_line(LOG_DEBUG, "%s has no write cache to flush", lun->url);
        return S_OK;
    }
    return scsi_error(lun->session, &c, err);
}

static void lun_end(struct block_device *dev)
{
    struct lun *lun = lun_of(dev);
    if (lun->owns_session) {
        scsi_close(lun->session);
    }
    identity_free(&lun->identity);
    explicit_bzero(lun->address.secret, sizeof(lun->address.secret));
    free(lun->url);
    free(lun);
}

static const struct block_device_ops lun_ops = {lun_read, lun_write, lun_flush, lun_end};

void lun_close(struct lun *lun)
{
    if (lun) {
        lun_end(&lun->block);
    }
}

/* SAM-5 4.7.3: the first two bytes of the eight; peripheral addressing up to 255, flat space above.
 */
static void encode_lun(uint64_t lun, uint8_t out[8])
{
    memset(out, 0, 8);
    out[0] = lun < 256 ? 0 : (uint8_t)(0x40 | (lun >> 8 & 0x3f));
    out[1] = (uint8_t)lun;
}

HRESULT lun_add_interconnect(struct vss_lun_info *info, const char *target, uint64_t lun,
                             struct error *err)
{
    struct vss_interconnect *path = calloc(1, sizeof(*path));
    uint8_t *port = (uint8_t *)text_copy(target);
    uint8_t *address = calloc(1, 8);
    if (!path || !port || !address) {
        free(path);
        free(port);
        free(address);
        return error_set(err, E_OUTOFMEMORY, "no memory for the path to %s", target);
    }
    encode_lun(lun, address);
    path->address_type = VDS_IA_SCSI;
    path->port_bytes = (uint32_t)strlen(target);
    path->port = port;
    path->address_bytes = 8;
    path->address = address;
    info->bus_type = VDSBusTypeiScsi;
    info->interconnect_count = 1;
    info->interconnects = path;
    return S_OK;
}

HRESULT lun_identify(struct lun *lun, struct error *err)
{
    struct lun_identity identity;
    /* One that is met while it is read may be of a LUN that came in the middle: the first write
     * looks again. So it does after the one that every session begins with. */
    uint32_t attentions = lun->session->attentions;
    HRESULT hr = identity_read(lun->session, lun->address.lun, &identity, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = lun_add_interconnect(&identity.info, lun->address.target, lun->address.lun, err);
    if (FAILED(hr)) {
        identity_free(&identity);
        return hr;
    }
    identity_free(&lun->identity);
    lun->identity = identity;
    lun->attentions = attentions;
    lun->block.block_bytes = identity.block_bytes;
    lun->block.block_count = identity.block_count;
    return S_OK;
}

HRESULT lun_open_on(struct scsi_transport *session, const struct lun_address *address,
                    bool read_only, struct lun **out, struct error *err)
{
    *out = NULL;
    struct lun *lun = calloc(1, sizeof(*lun));
    char *url = lun_address_text(address);
    HRESULT hr = S_OK;
    if (!lun || !url) {
        free(lun);
        free(url);
        return error_set(err, E_OUTOFMEMORY, "no memory to open a LUN");
    }
    lun->session = session;
    lun->address = *address;
    lun->url = url;
    lun->block.ops = &lun_ops;
    lun->block.name = url;
    lun->block.is_read_only = read_only;
    hr = lun_identify(lun, err);
    if (FAILED(hr)) {
        lun_close(lun);
        return hr;
    }
    *out = lun;
    return S_OK;
}

static HRESULT open_once(const struct lun_address *address, const struct lun_options *options,
                         bool read_only, struct lun **out, bool *out_is_cut, struct error *err)
{
    struct scsi_transport *session = NULL;
    *out_is_cut = false;
    HRESULT hr = lun_open_session(address, options, &session, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = lun_open_on(session, address, read_only, out, err);
    if (FAILED(hr)) {
        *out_is_cut = session->is_cut;
        scsi_close(session);
        return hr;
    }
    (*out)->owns_session = true;
    return S_OK;
}

static HRESULT open_at(const struct lun_address *address, const struct lun_options *options,
                       bool read_only, struct lun **out, struct error *err)
{
    struct error why = {0};
    bool is_cut = false;
    HRESULT hr = open_once(address, options, read_only, out, &is_cut, &why);
    for (int sessions = 1; FAILED(hr) && is_cut && sessions < SESSIONS; sessions++) {
        log_line(LOG_INFO, "%s; opening it anew", error_text(&why));
        clock_sleep_ms(SESSION_PAUSE_MS);
        error_clear(&why);
        hr = open_once(address, options, read_only, out, &is_cut, &why);
    }
    return FAILED(hr) ? error_set(err, hr, "%s", error_text(&why)) : hr;
}

HRESULT lun_open(const char *url, const struct lun_options *options, bool read_only,
                 struct lun **out, struct error *err)
{
    struct lun_address address;
    *out = NULL;
    HRESULT hr = lun_address_parse(url, &address, err);
    if (SUCCEEDED(hr)) {
        hr = open_at(&address, options, read_only, out, err);
    }
    explicit_bzero(&address, sizeof(address));
    return hr;
}

/* Gives lun the session of now, which is the same LUN. */
static void take_session(struct lun *lun, struct lun *now)
{
    struct scsi_transport *lost = lun->session;
    lun->session = now->session;
    lun->attentions = now->attentions;
    now->session = lost;
    lun_close(now);
}

HRESULT lun_renew(struct lun *lun, const struct lun_options *options, struct error *err)
{
    struct lun *now = NULL;
    char key[LUN_KEY_BYTES];
    char found[LUN_KEY_BYTES];
    if (!lun->owns_session || !lun->session->is_cut) {
        return S_FALSE;
    }
    log_line(LOG_INFO, "%s: the target closed its session; opening it anew", lun->url);
    HRESULT hr = open_at(&lun->address, options, lun->block.is_read_only, &now, err);
    if (FAILED(hr)) {
        return hr;
    }
    if (lun_info_compare(&lun->identity.info, &now->identity.info) != LUN_SAME ||
        lun->identity.block_bytes != now->identity.block_bytes ||
        lun->identity.block_count != now->identity.block_count) {
        hr = error_set(err, VSS_E_OBJECT_NOT_FOUND,
                       "%s is %s of %" PRIu64 " blocks by now, not %s of %" PRIu64, lun->url,
                       lun_info_key(&now->identity.info, found), now->identity.block_count,
                       lun_info_key(&lun->identity.info, key), lun->identity.block_count);
        lun_close(now);
        return hr;
    }
    take_session(lun, now);
    return S_OK;
}

HRESULT lun_read_label(struct lun *lun, const struct lun_options *options, struct label **out,
                       struct error *err)
{
    struct error why = {0};
    HRESULT hr = label_read(&lun->block, LABEL_FULL, out, &why);
    for (int sessions = 1; FAILED(hr) && sessions < SESSIONS; sessions++) {
        HRESULT renewed = lun_renew(lun, options, NULL);
        if (renewed != S_OK) {
            break;
        }
        error_clear(&why);
        hr = label_read(&lun->block, LABEL_FULL, out, &why);
    }
    return FAILED(hr) ? error_set(err, hr, "%s", error_text(&why)) : hr;
}
