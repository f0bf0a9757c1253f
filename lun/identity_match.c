/* SPDX-License-Identifier: Apache-2.0 */
#include "lun/identity.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define T10_VENDOR_BYTES 8u

/* A designator's bytes; text without its padding. */
struct bytes {
    const uint8_t *data;
    size_t length;
};

static bool is_zero(const uint8_t *data, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (data[i] != 0) {
            return false;
        }
    }
    return true;
}

static bool is_blank_text(const uint8_t *data, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (data[i] != ' ' && data[i] != 0) {
            return false;
        }
    }
    return true;
}

/* The four bits at a nibble index, as SPC-4 numbers the fields of an NAA designator. */
static uint8_t nibble(const uint8_t *data, size_t index)
{
    return index % 2 == 0 ? data[index / 2] >> 4 : data[index / 2] & 0x0f;
}

static bool is_zero_nibbles(const uint8_t *data, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        if (nibble(data, i) != 0) {
            return false;
        }
    }
    return true;
}

/* SPC-4 7.8.6.6: 2h: 3 nibbles vendor A, 6 OUI, 6 vendor B; 5h and 6h: 6 nibbles OUI, the rest. */
static bool naa_counts(const uint8_t *data, size_t length)
{
    if (length == 0) {
        return false;
    }
    switch (nibble(data, 0)) {
    case 0x2:
        return length == 8 && !is_zero_nibbles(data, 4, 10) &&
               !(is_zero_nibbles(data, 1, 4) && is_zero_nibbles(data, 10, 16));
    case 0x5:
        return length == 8 && !is_zero_nibbles(data, 1, 7) && !is_zero_nibbles(data, 7, 16);
    case 0x6:
        return length == 16 && !is_zero_nibbles(data, 1, 7) && !is_zero_nibbles(data, 7, 32);
    default:
        return false; /* 3h is locally assigned, the rest reserved */
    }
}

/* SPC-4 7.8.6.5: 8 bytes (OUI first), 12 (a directory id behind), 16 (an extension in front). */
static bool eui64_counts(const uint8_t *data, size_t length)
{
    if (length != 8 && length != 12 && length != 16) {
        return false;
    }
    size_t oui = length == 16 ? 8 : 0;
    bool has_body = !is_zero(data, oui) || !is_zero(data + oui + 3, length - oui - 3);
    return !is_zero(data + oui, 3) && has_body;
}

static bool is_hex_digit(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static uint8_t hex_value(uint8_t c)
{
    return (uint8_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
}

/* "naa." and "eui." names carry the same numbers as the binary designators, and the same rules. */
static bool hex_name_counts(struct bytes text, bool (*counts)(const uint8_t *, size_t))
{
    uint8_t data[16];
    if (text.length % 2 != 0 || text.length / 2 > sizeof(data)) {
        return false;
    }
    for (size_t i = 0; i < text.length; i++) {
        if (!is_hex_digit(text.data[i])) {
            return false;
        }
        uint8_t value = hex_value(text.data[i]);
        data[i / 2] = (uint8_t)(i % 2 == 0 ? value << 4 : data[i / 2] | value);
    }
    return counts(data, text.length / 2);
}

static struct bytes designator_bytes(const struct vss_storage_identifier *id)
{
    struct bytes b = {id->identifier, id->identifier ? id->identifier_bytes : 0};
    if (id->type == VDSStorageIdTypeVendorId || id->type == VDSStorageIdTypeScsiNameString) {
        while (b.length > 0 && is_blank_text(b.data + b.length - 1, 1)) {
            b.length--;
        }
    }
    return b;
}

static bool scsi_name_counts(struct bytes text)
{
    if (text.length <= 4) {
        return false;
    }
    struct bytes rest = {text.data + 4, text.length - 4};
    if (memcmp(text.data, "naa.", 4) == 0) {
        return hex_name_counts(rest, naa_counts);
    }
    if (memcmp(text.data, "eui.", 4) == 0) {
        return hex_name_counts(rest, eui64_counts);
    }
    return memcmp(text.data, "iqn.", 4) == 0;
}

/* tgtd's designator when nobody set a scsi_id: target and LUN number, the same on every tgtd. */
static bool is_factory_default(struct bytes text)
{
    static const char vendor[] = "IET     ";
    if (text.length != T10_VENDOR_BYTES + 8 || memcmp(text.data, vendor, T10_VENDOR_BYTES) != 0) {
        return false;
    }
    for (size_t i = T10_VENDOR_BYTES; i < text.length; i++) {
        if (!is_hex_digit(text.data[i])) {
            return false;
        }
    }
    return true;
}

static bool t10_counts(struct bytes text)
{
    return text.length > T10_VENDOR_BYTES && !is_blank_text(text.data, T10_VENDOR_BYTES) &&
           !is_blank_text(text.data + T10_VENDOR_BYTES, text.length - T10_VENDOR_BYTES) &&
           !is_factory_default(text);
}

enum lun_id_rank lun_id_rank(const struct vss_storage_identifier *identifier)
{
    struct bytes b = designator_bytes(identifier);
    bool is_binary = identifier->code_set == VDSStorageIdCodeSetBinary;
    if (b.length == 0) {
        return LUN_ID_NONE;
    }
    switch (identifier->type) {
    case VDSStorageIdTypeFCPHName:
        return is_binary && naa_counts(b.data, b.length) ? LUN_ID_NAA : LUN_ID_NONE;
    case VDSStorageIdTypeEUI64:
        return is_binary && eui64_counts(b.data, b.length) ? LUN_ID_EUI64 : LUN_ID_NONE;
    case VDSStorageIdTypeScsiNameString:
        return scsi_name_counts(b) ? LUN_ID_SCSI_NAME : LUN_ID_NONE;
    case VDSStorageIdTypeVendorId:
        return t10_counts(b) ? LUN_ID_T10 : LUN_ID_NONE;
    default:
        return LUN_ID_NONE;
    }
}

static bool is_blank_naa(struct bytes b)
{
    switch (b.length == 8 || b.length == 16 ? nibble(b.data, 0) : 0) {
    case 0x2:
    case 0x5:
        return b.length == 8 && !naa_counts(b.data, b.length);
    case 0x6:
        return b.length == 16 && !naa_counts(b.data, b.length);
    case 0x3:
        return b.length == 8 && is_zero_nibbles(b.data, 1, 16);
    default:
        return false;
    }
}

/* Of its type's form, but what should tell LUNs apart is zero or blank. */
static bool is_blank(const struct vss_storage_identifier *id, struct bytes b)
{
    switch (id->type) {
    case VDSStorageIdTypeFCPHName:
        return is_blank_naa(b);
    case VDSStorageIdTypeEUI64:
        return (b.length == 8 || b.length == 12 || b.length == 16) &&
               !eui64_counts(b.data, b.length);
    case VDSStorageIdTypeVendorId:
        return !t10_counts(b) && !is_factory_default(b);
    case VDSStorageIdTypeScsiNameString:
        return b.length == 0;
    default:
        return false;
    }
}

enum lun_id_flaw lun_id_flaw(const struct vss_storage_identifier *identifier)
{
    struct bytes b = designator_bytes(identifier);
    if (lun_id_rank(identifier) != LUN_ID_NONE) {
        return LUN_ID_SOUND;
    }
    if (is_blank(identifier, b)) {
        return LUN_ID_BLANK;
    }
    if (identifier->type == VDSStorageIdTypeFCPHName && b.length == 8 && nibble(b.data, 0) == 0x3) {
        return LUN_ID_LOCAL;
    }
    if (identifier->type == VDSStorageIdTypeVendorId && is_factory_default(b)) {
        return LUN_ID_DEFAULT;
    }
    return LUN_ID_UNSUITED;
}

static bool has_rank(const struct vss_lun_info *info, enum lun_id_rank rank)
{
    for (uint32_t i = 0; i < info->device_id.identifier_count; i++) {
        if (lun_id_rank(&info->device_id.identifiers[i]) == rank) {
            return true;
        }
    }
    return false;
}

static bool is_same_designator(const struct vss_storage_identifier *a,
                               const struct vss_storage_identifier *b)
{
    struct bytes x = designator_bytes(a);
    struct bytes y = designator_bytes(b);
    return x.length == y.length && (x.length == 0 || memcmp(x.data, y.data, x.length) == 0);
}

/* True where both have one designator of this rank in common. */
static bool shares(const struct vss_lun_info *a, const struct vss_lun_info *b,
                   enum lun_id_rank rank)
{
    for (uint32_t i = 0; i < a->device_id.identifier_count; i++) {
        const struct vss_storage_identifier *x = &a->device_id.identifiers[i];
        if (lun_id_rank(x) != rank) {
            continue;
        }
        for (uint32_t k = 0; k < b->device_id.identifier_count; k++) {
            const struct vss_storage_identifier *y = &b->device_id.identifiers[k];
            if (lun_id_rank(y) == rank && is_same_designator(x, y)) {
                return true;
            }
        }
    }
    return false;
}

static bool serials_differ(const struct vss_lun_info *a, const struct vss_lun_info *b)
{
    const char *x = a->serial_number;
    const char *y = b->serial_number;
    return x && y && x[0] && y[0] && strcmp(x, y) != 0;
}

enum lun_match lun_info_compare(const struct vss_lun_info *a, const struct vss_lun_info *b)
{
    enum lun_match match = LUN_DIFFERENT;
    bool is_decided = false;
    for (int rank = LUN_ID_NAA; rank > LUN_ID_NONE; rank--) {
        enum lun_id_rank r = (enum lun_id_rank)rank;
        if (!has_rank(a, r) || !has_rank(b, r)) {
            continue;
        }
        enum lun_match here = shares(a, b, r) ? LUN_SAME : LUN_DIFFERENT;
        if (is_decided && here != match) {
            return LUN_AMBIGUOUS;
        }
        match = here;
        is_decided = true;
    }
    return match == LUN_SAME && serials_differ(a, b) ? LUN_AMBIGUOUS : match;
}

static bool is_same_text(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

bool lun_info_matches(const struct vss_lun_info *expected, const struct vss_lun_info *found,
                      const char **out_reason)
{
    enum lun_match match = lun_info_compare(expected, found);
    *out_reason = NULL;
    if (match == LUN_AMBIGUOUS) {
        *out_reason = "page-83 designators and serial numbers contradict each other";
    } else if (match == LUN_DIFFERENT) {
        *out_reason = "page-83 designators";
    } else if (expected->device_type != found->device_type) {
        *out_reason = "device type";
    } else if (!is_same_text(expected->vendor_id, found->vendor_id)) {
        *out_reason = "vendor";
    } else if (!is_same_text(expected->product_id, found->product_id)) {
        *out_reason = "product";
    } else if (!is_same_text(expected->product_revision, found->product_revision)) {
        *out_reason = "product revision";
    } else if (!is_same_text(expected->serial_number, found->serial_number)) {
        *out_reason = "serial number";
    }
    return *out_reason == NULL;
}

static const struct vss_storage_identifier *best_designator(const struct vss_lun_info *info)
{
    const struct vss_storage_identifier *best = NULL;
    enum lun_id_rank best_rank = LUN_ID_NONE;
    for (uint32_t i = 0; i < info->device_id.identifier_count; i++) {
        const struct vss_storage_identifier *id = &info->device_id.identifiers[i];
        enum lun_id_rank rank = lun_id_rank(id);
        bool is_better = rank > best_rank;
        if (best && rank == best_rank && rank != LUN_ID_NONE) {
            /* among equals the longest, then the smallest: whatever order the page is in */
            struct bytes x = designator_bytes(id);
            struct bytes y = designator_bytes(best);
            is_better = x.length > y.length ||
                        (x.length == y.length && memcmp(x.data, y.data, x.length) < 0);
        }
        if (is_better) {
            best = id;
            best_rank = rank;
        }
    }
    return best;
}

bool lun_info_is_unique(const struct vss_lun_info *info, const char **out_reason)
{
    *out_reason = NULL;
    if (best_designator(info)) {
        return true;
    }
    *out_reason = info->device_id.identifier_count == 0
                      ? "page 83 names no designator of the LUN itself"
                      : "page 83 has only designators that other LUNs may share (locally assigned, "
                        "blank, of an unsuited type, or the array's factory default)";
    return false;
}

/* Adds as much as leaves room for a digest, each byte whole; false where that was not all. */
static bool add_text(char *out, size_t *used, struct bytes b, bool as_hex)
{
    for (size_t i = 0; i < b.length; i++) {
        uint8_t c = b.data[i];
        char *at = out + *used;
        if (*used + 4 > LUN_KEY_BYTES - LUN_KEY_DIGEST_BYTES) {
            return false;
        }
        if (as_hex) {
            *used += (size_t)sprintf(at, "%02x", c);
        } else if (c > ' ' && c <= '~' && c != '%') {
            *used += (size_t)sprintf(at, "%c", c);
        } else {
            *used += (size_t)sprintf(at, "%%%02X", c);
        }
    }
    return true;
}

/* FNV-1a: for telling apart, not against forgery. */
static uint64_t digest(struct bytes b)
{
    uint64_t hash = 0xcbf29ce484222325;
    for (size_t i = 0; i < b.length; i++) {
        hash = (hash ^ b.data[i]) * 0x100000001b3;
    }
    return hash;
}

char *lun_id_text(const struct vss_storage_identifier *identifier, char out[LUN_KEY_BYTES])
{
    bool as_hex = true;
    const char *prefix = NULL;
    switch (identifier->type) {
    case VDSStorageIdTypeFCPHName:
        prefix = "naa.";
        break;
    case VDSStorageIdTypeEUI64:
        prefix = "eui.";
        break;
    case VDSStorageIdTypeScsiNameString:
        prefix = "scsi.";
        as_hex = false;
        break;
    case VDSStorageIdTypeVendorId:
        prefix = "t10.";
        as_hex = false;
        break;
    default:
        break;
    }
    int length = prefix ? snprintf(out, LUN_KEY_BYTES, "%s", prefix)
                        : snprintf(out, LUN_KEY_BYTES, "id%d.", (int)identifier->type);
    size_t used = (size_t)length;
    struct bytes b = designator_bytes(identifier);
    if (!add_text(out, &used, b, as_hex)) {
        (void)sprintf(out + used, "~%016" PRIx64, digest(b));
    }
    return out;
}

bool lun_id_equal(const struct vss_storage_identifier *a, const struct vss_storage_identifier *b)
{
    return a->type == b->type && is_same_designator(a, b);
}

char *lun_info_key(const struct vss_lun_info *info, char out[LUN_KEY_BYTES])
{
    const struct vss_storage_identifier *id = best_designator(info);
    if (!id) {
        (void)snprintf(out, LUN_KEY_BYTES, "none");
        return out;
    }
    return lun_id_text(id, out);
}
