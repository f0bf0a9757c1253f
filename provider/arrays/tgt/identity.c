/* SPDX-License-Identifier: Apache-2.0 */
#include "identity.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

/* OpenIB's OUI as LIO uses it for LUNs it makes; the 25 digits behind it are random. */
#define FRESH_PREFIX "6001405"

/* What is no digit counts as 0, as it does in tgtd; such ids are not unique and never come so far.
 */
static unsigned digit_value(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *found = c ? strchr(digits, tolower((unsigned char)c)) : NULL;
    return found ? (unsigned)(found - digits) : 0;
}

bool tgt_scsi_id_is_unique(const char *scsi_id)
{
    static const char digits[] = "0123456789abcdefABCDEF";
    return strlen(scsi_id) == TGT_SCSI_ID_DIGITS && strspn(scsi_id, digits) == TGT_SCSI_ID_DIGITS &&
           scsi_id[0] == '6' && strncmp(scsi_id + 1, "000000", 6) != 0 &&
           strspn(scsi_id + 7, "0") != 25;
}

static void scsi_id_bytes(const char *scsi_id, uint8_t out[TGT_NAA_BYTES])
{
    for (size_t i = 0; i < TGT_NAA_BYTES; i++) {
        out[i] = (uint8_t)(digit_value(scsi_id[2 * i]) << 4 | digit_value(scsi_id[2 * i + 1]));
    }
}

static bool is_designator(const struct vss_storage_identifier *id, int32_t type, int32_t code_set,
                          const void *bytes, uint32_t length)
{
    return id->type == type && id->code_set == code_set && id->identifier_bytes == length &&
           memcmp(id->identifier, bytes, length) == 0;
}

static bool is_naa6(const struct vss_storage_identifier *id)
{
    return id->type == VDSStorageIdTypeFCPHName && id->identifier_bytes == TGT_NAA_BYTES &&
           id->identifier[0] >> 4 == 6;
}

bool tgt_identity_matches(const struct vss_lun_info *info, const char *scsi_id, const char *serial)
{
    if (!info->serial_number || strcmp(info->serial_number, serial) != 0) {
        return false;
    }
    uint8_t naa[TGT_NAA_BYTES];
    uint8_t t10[TGT_T10_BYTES] = {0};
    scsi_id_bytes(scsi_id, naa);
    memcpy(t10, scsi_id, TGT_SCSI_ID_DIGITS);
    bool has_naa = false;
    for (uint32_t i = 0; i < info->device_id.identifier_count; i++) {
        const struct vss_storage_identifier *id = &info->device_id.identifiers[i];
        if (is_designator(id, VDSStorageIdTypeFCPHName, VDSStorageIdCodeSetBinary, naa,
                          sizeof(naa))) {
            has_naa = true;
        } else if (is_naa6(id)) {
            return false;
        } else if (id->type == VDSStorageIdTypeVendorId &&
                   !is_designator(id, VDSStorageIdTypeVendorId, VDSStorageIdCodeSetAscii, t10,
                                  sizeof(t10))) {
            return false;
        }
    }
    return has_naa;
}

/* tgtd fills page 80 with spaces on the left; readers of the page take them away. */
static const char *trimmed_serial(const struct tgt *t, const struct tgt_lun *lun)
{
    const char *start = lun->serial + strspn(lun->serial, " ");
    size_t length = strlen(start);
    while (length > 0 && start[length - 1] == ' ') {
        length--;
    }
    return tgt_copy(t, start, length);
}

bool tgt_identity_is(const struct tgt_lun *lun, const char *scsi_id, const char *serial)
{
    const char *shown = lun->serial + strspn(lun->serial, " ");
    size_t length = strlen(serial);
    return strcmp(lun->scsi_id, scsi_id) == 0 && strncmp(shown, serial, length) == 0 &&
           shown[length + strspn(shown + length, " ")] == '\0';
}

HRESULT tgt_identity_find(const struct tgt *t, const struct tgt_view *view,
                          const struct vss_lun_info *info, const struct tgt_lun **out)
{
    *out = NULL;
    const struct tgt_lun *found = NULL;
    for (const struct tgt_target *target = view->targets; target; target = target->next) {
        for (const struct tgt_lun *lun = target->luns; lun; lun = lun->next) {
            if (!tgt_lun_is_disk(lun) || !tgt_scsi_id_is_unique(lun->scsi_id)) {
                continue;
            }
            const char *serial = trimmed_serial(t, lun);
            if (!serial) {
                return E_OUTOFMEMORY;
            }
            if (!tgt_identity_matches(info, lun->scsi_id, serial)) {
                continue;
            }
            if (found && strcmp(found->path, lun->path) != 0) {
                tgt_log(t, VSS_LOG_WARNING,
                        "scsi_id %s belongs to %s LUN %ju and to %s LUN %ju, which are different "
                        "files: neither is supported; give each its own scsi_id",
                        lun->scsi_id, found->target->name, (uintmax_t)found->number, target->name,
                        (uintmax_t)lun->number);
                return S_OK;
            }
            found = found ? found : lun;
        }
    }
    *out = found;
    return S_OK;
}

static char *random_text(const struct tgt *t, const char *prefix, size_t length, const char *digits)
{
    uint8_t bytes[TGT_SCSI_ID_DIGITS];
    char *text = tgt_alloc(t, length + 1);
    size_t start = strlen(prefix);
    ssize_t got = 0;
    do {
        got = getrandom(bytes, sizeof(bytes), 0);
    } while (got < 0 && errno == EINTR);
    if (!text || got != (ssize_t)sizeof(bytes) || length > sizeof(bytes)) {
        return NULL;
    }
    (void)snprintf(text, length + 1, "%s", prefix);
    for (size_t i = start; i < length; i++) {
        text[i] = digits[bytes[i] & 15];
    }
    return text;
}

char *tgt_identity_new_scsi_id(const struct tgt *t)
{
    return random_text(t, FRESH_PREFIX, TGT_SCSI_ID_DIGITS, "0123456789abcdef");
}

char *tgt_identity_new_serial(const struct tgt *t)
{
    return random_text(t, "LS", TGT_SERIAL_DIGITS, "0123456789ABCDEF");
}

static HRESULT describe_page_83(const struct tgt *t, const char *scsi_id,
                                struct vss_storage_device_id_descriptor *out)
{
    struct vss_storage_identifier *ids = tgt_alloc(t, 2 * sizeof(*ids));
    uint8_t *t10 = tgt_alloc(t, TGT_T10_BYTES);
    uint8_t *naa = tgt_alloc(t, TGT_NAA_BYTES);
    if (!ids || !t10 || !naa) {
        return E_OUTOFMEMORY;
    }
    memcpy(t10, scsi_id, TGT_SCSI_ID_DIGITS);
    scsi_id_bytes(scsi_id, naa);
    ids[0] = (struct vss_storage_identifier){VDSStorageIdCodeSetAscii, VDSStorageIdTypeVendorId,
                                             TGT_T10_BYTES, t10};
    ids[1] = (struct vss_storage_identifier){VDSStorageIdCodeSetBinary, VDSStorageIdTypeFCPHName,
                                             TGT_NAA_BYTES, naa};
    *out = (struct vss_storage_device_id_descriptor){1, 2, ids};
    return S_OK;
}

/* LUNs up to 255 in the peripheral form, higher ones in the flat form (SAM-5 4.7.7). */
static HRESULT describe_path(const struct tgt *t, const char *target, uint32_t lun,
                             struct vss_lun_info *out)
{
    struct vss_interconnect *path = tgt_alloc(t, sizeof(*path));
    uint8_t *address = tgt_alloc(t, 8);
    char *port = tgt_text(t, "%s", target);
    if (!path || !address || !port) {
        return E_OUTOFMEMORY;
    }
    address[0] = (uint8_t)(lun < 256 ? 0 : 0x40 | (lun >> 8 & 0x3f));
    address[1] = (uint8_t)(lun & 0xff);
    *path =
        (struct vss_interconnect){VDS_IA_SCSI, (uint32_t)strlen(port), (uint8_t *)port, 8, address};
    out->interconnect_count = 1;
    out->interconnects = path;
    return S_OK;
}

HRESULT tgt_identity_describe(const struct tgt *t, const char *scsi_id, const char *serial,
                              const char *target, uint32_t lun, struct vss_lun_info *out)
{
    struct vss_lun_info info = {
        .version = 1,
        .command_queueing = 1,
        .bus_type = VDSBusTypeiScsi,
        .vendor_id = tgt_text(t, "IET"),
        .product_id = tgt_text(t, "VIRTUAL-DISK"),
        .product_revision = tgt_text(t, "0001"),
        .serial_number = tgt_text(t, "%s", serial),
    };
    if (!info.vendor_id || !info.product_id || !info.product_revision || !info.serial_number) {
        return E_OUTOFMEMORY;
    }
    HRESULT hr = describe_page_83(t, scsi_id, &info.device_id);
    if (SUCCEEDED(hr)) {
        hr = describe_path(t, target, lun, &info);
    }
    if (SUCCEEDED(hr)) {
        *out = info;
    }
    return hr;
}

const char *tgt_identity_name(const struct tgt *t, const char *device,
                              const struct vss_lun_info *info)
{
    if (device) {
        return device;
    }
    for (uint32_t i = 0; i < info->device_id.identifier_count; i++) {
        const struct vss_storage_identifier *id = &info->device_id.identifiers[i];
        if (is_naa6(id)) {
            char hex[2 * TGT_NAA_BYTES + 1];
            for (size_t j = 0; j < TGT_NAA_BYTES; j++) {
                (void)snprintf(hex + 2 * j, 3, "%02x", id->identifier[j]);
            }
            const char *name = tgt_text(t, "naa.%s", hex);
            return name ? name : "LUN";
        }
    }
    return info->serial_number ? info->serial_number : "LUN without identifier";
}
