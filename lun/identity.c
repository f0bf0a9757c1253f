/* SPDX-License-Identifier: Apache-2.0 */
#include "lun/identity.h"

#include "lun/big_endian.h"

#include <scsi/sg_lib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INQUIRY_MIN_BYTES  36u
#define VPD_HEADER_BYTES   4u
#define DESIGNATOR_HEADER  4u
#define CAPACITY_MIN_BYTES 16u
#define VPD83_MAX_BYTES    65535u
#define MIN_BLOCK_BYTES    512u
#define MAX_BLOCK_BYTES    65536u

static HRESULT bad_page(struct error *err, const char *page, uint32_t offset, const char *what)
{
    return error_set(err, VSS_E_VOLUME_NOT_SUPPORTED, "%s at byte %u: %s", page, offset, what);
}

static bool is_blank(uint8_t byte)
{
    return byte == ' ' || byte == '\0';
}

/* A text field as a string of printable ASCII; NULL when memory is short. */
static char *field_text(const uint8_t *data, size_t length)
{
    while (length > 0 && is_blank(data[length - 1])) {
        length--;
    }
    while (length > 0 && is_blank(data[0])) {
        data++;
        length--;
    }
    char *text = malloc(3 * length + 1);
    char *end = text;
    for (size_t i = 0; text && i < length; i++) {
        if (data[i] >= ' ' && data[i] <= '~') {
            *end++ = (char)data[i];
        } else {
            end += sprintf(end, "%%%02X", data[i]);
        }
    }
    if (text) {
        *end = '\0';
    }
    return text;
}

HRESULT identity_parse_inquiry(const uint8_t *data, uint32_t length, struct lun_identity *out,
                               struct error *err)
{
    struct vss_lun_info *info = &out->info;
    if (length < INQUIRY_MIN_BYTES) {
        return bad_page(err, "INQUIRY data", length, "they end before the product revision");
    }
    if ((uint32_t)data[4] + 5 < INQUIRY_MIN_BYTES) {
        return bad_page(err, "INQUIRY data", 4, "the length leaves no room for vendor and product");
    }
    char *vendor = field_text(data + 8, 8);
    char *product = field_text(data + 16, 16);
    char *revision = field_text(data + 32, 4);
    if (!vendor || !product || !revision) {
        free(vendor);
        free(product);
        free(revision);
        return error_set(err, E_OUTOFMEMORY, "no memory for INQUIRY data");
    }
    info->version = 1;
    info->device_type = data[0] & 0x1f;
    info->command_queueing = data[7] >> 1 & 1;
    info->vendor_id = vendor;
    info->product_id = product;
    info->product_revision = revision;
    return S_OK;
}

/* Page code right, and all that the length field promises is there. */
static HRESULT check_page(const uint8_t *data, uint32_t length, uint8_t page, const char *name,
                          uint32_t *out_body, struct error *err)
{
    if (length < VPD_HEADER_BYTES) {
        return bad_page(err, name, length, "it ends inside its header");
    }
    if (data[1] != page) {
        return bad_page(err, name, 1, "another page came instead");
    }
    uint32_t body = be16_get(data + 2);
    if (body > length - VPD_HEADER_BYTES) {
        return bad_page(err, name, 2, "its length promises more bytes than arrived");
    }
    *out_body = body;
    return S_OK;
}

HRESULT identity_parse_vpd80(const uint8_t *data, uint32_t length, struct lun_identity *out,
                             struct error *err)
{
    uint32_t body = 0;
    HRESULT hr = check_page(data, length, 0x80, "VPD page 80", &body, err);
    if (FAILED(hr)) {
        return hr;
    }
    out->info.serial_number = field_text(data + VPD_HEADER_BYTES, body);
    return out->info.serial_number
               ? S_OK
               : error_set(err, E_OUTOFMEMORY, "no memory for the serial number");
}

/* Appends the designator that starts at d, whose body is known to be there. */
static HRESULT add_designator(struct vss_storage_device_id_descriptor *ids, const uint8_t *d)
{
    uint8_t bytes = d[3];
    size_t size = (ids->identifier_count + 1) * sizeof(*ids->identifiers);
    struct vss_storage_identifier *grown = realloc(ids->identifiers, size);
    if (!grown) {
        return E_OUTOFMEMORY;
    }
    ids->identifiers = grown;
    struct vss_storage_identifier *added = &grown[ids->identifier_count];
    memset(added, 0, sizeof(*added));
    if (bytes > 0) {
        added->identifier = malloc(bytes);
        if (!added->identifier) {
            return E_OUTOFMEMORY;
        }
        memcpy(added->identifier, d + DESIGNATOR_HEADER, bytes);
    }
    added->code_set = d[0] & 0x0f;
    added->type = d[1] & 0x0f;
    added->identifier_bytes = bytes;
    ids->identifier_count++;
    return S_OK;
}

static void free_designators(struct vss_storage_device_id_descriptor *ids)
{
    for (uint32_t i = 0; i < ids->identifier_count; i++) {
        free(ids->identifiers[i].identifier);
    }
    free(ids->identifiers);
    memset(ids, 0, sizeof(*ids));
}

HRESULT identity_parse_vpd83(const uint8_t *data, uint32_t length, struct lun_identity *out,
                             struct error *err)
{
    static const char name[] = "VPD page 83";
    struct vss_storage_device_id_descriptor ids = {1, 0, NULL};
    uint32_t body = 0;
    int offset = -1;
    int end = 0;
    HRESULT hr = check_page(data, length, 0x83, name, &body, err);
    if (FAILED(hr)) {
        return hr;
    }
    const uint8_t *first = data + VPD_HEADER_BYTES;
    for (;;) {
        end = sg_vpd_dev_id_iter(first, (int)body, &offset, 0, -1, -1);
        if (end != 0) {
            break;
        }
        /* the iterator checks the header of a designator, not that its body ends in the page */
        uint32_t at = (uint32_t)offset;
        if (at + DESIGNATOR_HEADER + first[at + 3] > body) {
            hr = bad_page(err, name, at + VPD_HEADER_BYTES, "a designator leaves the page");
            goto out;
        }
        hr = add_designator(&ids, first + at);
        if (FAILED(hr)) {
            hr = error_set(err, hr, "no memory for the designators of page 83");
            goto out;
        }
    }
    if (end != -1) {
        hr = bad_page(err, name, body + VPD_HEADER_BYTES,
                      "the designators do not end with the page");
        goto out;
    }
    out->info.device_id = ids;
    memset(&ids, 0, sizeof(ids));
out:
    free_designators(&ids);
    return hr;
}

HRESULT identity_parse_capacity16(const uint8_t *data, uint32_t length, struct lun_identity *out,
                                  struct error *err)
{
    static const char name[] = "READ CAPACITY(16) data";
    if (length < CAPACITY_MIN_BYTES) {
        return bad_page(err, name, length, "they end before the fields that are needed");
    }
    uint64_t last = be64_get(data);
    uint32_t block = be32_get(data + 8);
    if (block < MIN_BLOCK_BYTES || block > MAX_BLOCK_BYTES || (block & (block - 1)) != 0) {
        return bad_page(err, name, 8, "the block size is not a power of two from 512 to 65536");
    }
    if (last >= INT64_MAX / block) {
        return bad_page(err, name, 0, "the last block lies beyond 8 EiB");
    }
    uint64_t physical = (uint64_t)block << (data[13] & 0x0f);
    out->block_bytes = block;
    out->block_count = last + 1;
    out->physical_block_bytes = physical <= INT32_MAX ? (uint32_t)physical : block;
    out->unmapped_reads_zero = (data[14] & 0xc0) == 0xc0; /* LBPME and LBPRZ */
    return S_OK;
}

static bool is_whole(const uint8_t *page, uint32_t length, uint8_t code, uint32_t min_bytes)
{
    uint32_t body = 0;
    return page && SUCCEEDED(check_page(page, length, code, "", &body, NULL)) &&
           body + VPD_HEADER_BYTES >= min_bytes;
}

void identity_parse_limits(const uint8_t *vpd_b0, uint32_t b0_length, const uint8_t *vpd_b1,
                           uint32_t b1_length, const uint8_t *vpd_b2, uint32_t b2_length,
                           struct lun_identity *out)
{
    if (is_whole(vpd_b0, b0_length, 0xb0, 12)) {
        out->max_transfer_blocks = be32_get(vpd_b0 + 8);
    }
    if (is_whole(vpd_b0, b0_length, 0xb0, 44)) {
        out->max_write_same_blocks = be64_get(vpd_b0 + 36);
    }
    if (is_whole(vpd_b1, b1_length, 0xb1, 6)) {
        out->rotation_rate = be16_get(vpd_b1 + 4);
    }
    if (is_whole(vpd_b2, b2_length, 0xb2, 6)) {
        out->supports_unmap = (vpd_b2[5] & 0x80) != 0;
        out->can_write_same_unmap = (vpd_b2[5] & 0x40) != 0;
    }
}

/* ---- reading ---- */

enum { AT_INQUIRY, AT_VPD83, AT_VPD80, AT_CAPACITY, AT_VPD00, AT_B0, AT_B1, AT_B2 };

size_t identity_probe_begin(struct identity_probe *probe, uint64_t lun, enum identity_depth depth,
                            struct scsi_command *commands)
{
    struct identity_probe *p = probe;
    memset(p, 0, sizeof(*p));
    p->lun = lun;
    p->commands = commands;
    scsi_build_inquiry(&commands[AT_INQUIRY], lun, -1, p->inquiry, sizeof(p->inquiry));
    scsi_build_inquiry(&commands[AT_VPD83], lun, 0x83, p->vpd83, sizeof(p->vpd83));
    scsi_build_inquiry(&commands[AT_VPD80], lun, 0x80, p->vpd80, sizeof(p->vpd80));
    scsi_build_read_capacity16(&commands[AT_CAPACITY], lun, p->capacity, sizeof(p->capacity));
    p->command_count = AT_VPD00;
    if (depth == IDENTITY_WHOLE) {
        scsi_build_inquiry(&commands[AT_VPD00], lun, 0x00, p->vpd00, sizeof(p->vpd00));
        scsi_build_inquiry(&commands[AT_B0], lun, 0xb0, p->vpd_b0, sizeof(p->vpd_b0));
        scsi_build_inquiry(&commands[AT_B1], lun, 0xb1, p->vpd_b1, sizeof(p->vpd_b1));
        scsi_build_inquiry(&commands[AT_B2], lun, 0xb2, p->vpd_b2, sizeof(p->vpd_b2));
        p->command_count = IDENTITY_MAX_COMMANDS;
    }
    return p->command_count;
}

/* Bytes that a good answer brought; 0 where the command failed or was not sent. */
static uint32_t answer_bytes(const struct identity_probe *p, size_t at)
{
    if (at >= p->command_count) {
        return 0;
    }
    const struct scsi_command *c = &p->commands[at];
    return SUCCEEDED(c->result) && c->status == SCSI_STATUS_GOOD ? c->transferred_bytes : 0;
}

bool identity_probe_is_other_device(const struct identity_probe *probe)
{
    uint8_t type = probe->inquiry[0];
    return answer_bytes(probe, AT_INQUIRY) > 0 && type >> 5 == 0 && (type & 0x1f) != 0;
}

static bool is_listed(const struct identity_probe *p, uint8_t page)
{
    uint32_t body = 0;
    if (FAILED(check_page(p->vpd00, answer_bytes(p, AT_VPD00), 0x00, "", &body, NULL))) {
        return false;
    }
    return memchr(p->vpd00 + VPD_HEADER_BYTES, page, body) != NULL;
}

/* The answer's bytes where the page counts, else 0. */
static uint32_t listed_bytes(const struct identity_probe *p, size_t at, uint8_t page)
{
    return is_listed(p, page) ? answer_bytes(p, at) : 0;
}

static HRESULT take_inquiry(struct identity_probe *p, struct scsi_transport *session,
                            struct lun_identity *out, struct error *err)
{
    HRESULT hr = scsi_error(session, &p->commands[AT_INQUIRY], err);
    if (FAILED(hr)) {
        return hr;
    }
    if (answer_bytes(p, AT_INQUIRY) > 0 && p->inquiry[0] >> 5 != 0) {
        return error_set(err, VSS_E_OBJECT_NOT_FOUND,
                         "no LUN with this number is there; check it on the array");
    }
    hr = identity_parse_inquiry(p->inquiry, answer_bytes(p, AT_INQUIRY), out, err);
    if (SUCCEEDED(hr) && out->info.device_type != 0) {
        return error_set(err, VSS_E_VOLUME_NOT_SUPPORTED,
                         "not a disk but a device of type %02xh; name a disk LUN",
                         out->info.device_type);
    }
    return hr;
}

/* Page 83 once more, as long as it said. */
static HRESULT reread_vpd83(struct scsi_transport *session, uint64_t lun, struct lun_identity *out,
                            struct error *err)
{
    struct scsi_command c;
    uint8_t *page = calloc(1, VPD83_MAX_BYTES);
    if (!page) {
        return error_set(err, E_OUTOFMEMORY, "no memory for page 83");
    }
    scsi_build_inquiry(&c, lun, 0x83, page, VPD83_MAX_BYTES);
    HRESULT hr = scsi_execute(session, &c, err);
    if (SUCCEEDED(hr)) {
        hr = identity_parse_vpd83(page, c.transferred_bytes, out, err);
    }
    free(page);
    return hr;
}

/* A LUN without this page is legal: it says so by ILLEGAL REQUEST. */
static bool is_page_refused(const struct identity_probe *p, size_t at)
{
    const struct scsi_command *c = &p->commands[at];
    return SUCCEEDED(c->result) && c->status == SCSI_STATUS_CHECK_CONDITION &&
           c->sense.key == SCSI_SENSE_ILLEGAL_REQUEST;
}

static HRESULT take_vpd83(struct identity_probe *p, struct scsi_transport *session,
                          struct lun_identity *out, struct error *err)
{
    out->info.device_id.version = 1;
    if (is_page_refused(p, AT_VPD83)) {
        return S_OK;
    }
    HRESULT hr = scsi_error(session, &p->commands[AT_VPD83], err);
    if (FAILED(hr)) {
        return hr;
    }
    uint32_t bytes = answer_bytes(p, AT_VPD83);
    if (bytes == sizeof(p->vpd83) && be16_get(p->vpd83 + 2) + VPD_HEADER_BYTES > bytes) {
        return reread_vpd83(session, p->lun, out, err);
    }
    return identity_parse_vpd83(p->vpd83, bytes, out, err);
}

static HRESULT take_vpd80(struct identity_probe *p, struct scsi_transport *session,
                          struct lun_identity *out, struct error *err)
{
    if (is_page_refused(p, AT_VPD80)) {
        return S_OK;
    }
    HRESULT hr = scsi_error(session, &p->commands[AT_VPD80], err);
    if (FAILED(hr)) {
        return hr;
    }
    return identity_parse_vpd80(p->vpd80, answer_bytes(p, AT_VPD80), out, err);
}

static HRESULT take_answers(struct identity_probe *p, struct scsi_transport *session,
                            struct lun_identity *out, struct error *err)
{
    HRESULT hr = take_inquiry(p, session, out, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = scsi_error(session, &p->commands[AT_CAPACITY], err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = identity_parse_capacity16(p->capacity, answer_bytes(p, AT_CAPACITY), out, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = take_vpd83(p, session, out, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = take_vpd80(p, session, out, err);
    if (FAILED(hr)) {
        return hr;
    }
    identity_parse_limits(p->vpd_b0, listed_bytes(p, AT_B0, 0xb0), p->vpd_b1,
                          listed_bytes(p, AT_B1, 0xb1), p->vpd_b2, listed_bytes(p, AT_B2, 0xb2),
                          out);
    return S_OK;
}

HRESULT identity_probe_end(struct identity_probe *probe, struct scsi_transport *session,
                           struct lun_identity *out, struct error *err)
{
    memset(out, 0, sizeof(*out));
    struct error failure = {0};
    HRESULT hr = take_answers(probe, session, out, &failure);
    if (SUCCEEDED(hr)) {
        return S_OK;
    }
    identity_free(out);
    if (strncmp(failure.text, session->name, strlen(session->name)) == 0) {
        return error_set(err, hr, "%s", failure.text); /* a command's text names the LUN already */
    }
    return error_set(err, hr, "%s LUN %llu: %s", session->name, (unsigned long long)probe->lun,
                     failure.text);
}

HRESULT identity_read(struct scsi_transport *session, uint64_t lun, struct lun_identity *out,
                      struct error *err)
{
    struct identity_probe probe;
    struct scsi_command commands[IDENTITY_MAX_COMMANDS];
    memset(out, 0, sizeof(*out));
    size_t count = identity_probe_begin(&probe, lun, IDENTITY_WHOLE, commands);
    HRESULT hr = scsi_run(session, commands, count, (uint32_t)count, err);
    return FAILED(hr) ? hr : identity_probe_end(&probe, session, out, err);
}

void identity_free(struct lun_identity *identity)
{
    lun_info_free(&identity->info);
    memset(identity, 0, sizeof(*identity));
}
