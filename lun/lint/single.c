/* SPDX-License-Identifier: Apache-2.0 */
/* What one LUN says of itself. */
#include "common/buffer.h"
#include "lun/lint/internal.h"

#include <stdio.h>
#include <string.h>

#define T10_VENDOR_BYTES 8u

static bool has_text(const char *text)
{
    return text && text[strspn(text, " ")] != '\0';
}

static const char *flaw_text(enum lun_id_flaw flaw, const char **out_name)
{
    switch (flaw) {
    case LUN_ID_LOCAL:
        *out_name = "designator-local";
        return "is locally assigned: another array may give it to another LUN";
    case LUN_ID_BLANK:
        *out_name = "designator-blank";
        return "is blank or zero where it should tell LUNs apart";
    case LUN_ID_DEFAULT:
        *out_name = "designator-default";
        return "is what every array of this kind gives to that LUN number";
    case LUN_ID_SOUND:
    case LUN_ID_UNSUITED:
    default:
        return NULL;
    }
}

static void check_designator(struct lint *lint, const struct scan_lun *lun,
                             const struct vss_storage_identifier *id)
{
    const char *name = NULL;
    char text[LUN_KEY_BYTES];
    const char *wrong = flaw_text(lun_id_flaw(id), &name);
    if (wrong) {
        lint_add(lint, name, LINT_ERROR, &lun, 1,
                 text_printf("%s %s", lun_id_text(id, text), wrong), lint_remedy_designator(lun));
    }
}

/* Beside a designator that counts a flawed one harms nobody: every Linux prefers the better, and
 * tgtd always has a locally assigned one. */
static void check_page83(struct lint *lint, const struct scan_lun *lun)
{
    const struct vss_storage_device_id_descriptor *page = &lun->identity.info.device_id;
    const char *reason = NULL;
    bool is_suited = false;
    if (lun_info_is_unique(&lun->identity.info, &reason)) {
        return;
    }
    for (uint32_t i = 0; i < page->identifier_count; i++) {
        is_suited = is_suited || lun_id_flaw(&page->identifiers[i]) != LUN_ID_UNSUITED;
        check_designator(lint, lun, &page->identifiers[i]);
    }
    if (!is_suited) {
        lint_add(lint, "designator-missing", LINT_ERROR, &lun, 1,
                 text_printf("page 83 has no T10, EUI-64, NAA or SCSI name designator of the LUN"),
                 lint_remedy_designator(lun));
    }
}

/* The serial number in a T10 designator that is made of product and serial number, as SPC-4 7.8.6.4
 * recommends, with blanks or LIO's colon between them; 0 bytes where it is made of something else.
 */
static size_t t10_serial(const struct vss_storage_identifier *id, const char *product,
                         const char **out)
{
    const char *text = (const char *)id->identifier;
    size_t length = id->identifier_bytes;
    size_t product_bytes = strlen(product);
    size_t at = T10_VENDOR_BYTES + product_bytes;
    *out = NULL;
    while (length > 0 && (text[length - 1] == ' ' || text[length - 1] == '\0')) {
        length--;
    }
    if (length <= at || memcmp(text + T10_VENDOR_BYTES, product, product_bytes) != 0) {
        return 0;
    }
    while (at < length && (text[at] == ' ' || text[at] == ':')) {
        at++;
    }
    *out = text + at;
    return length - at;
}

static void check_t10_serial(struct lint *lint, const struct scan_lun *lun,
                             const struct vss_storage_identifier *id)
{
    const struct vss_lun_info *info = &lun->identity.info;
    const char *serial = NULL;
    char text[LUN_KEY_BYTES];
    if (id->type != VDSStorageIdTypeVendorId || !has_text(info->product_id)) {
        return;
    }
    size_t bytes = t10_serial(id, info->product_id, &serial);
    if (bytes == 0 ||
        (bytes == strlen(info->serial_number) && memcmp(serial, info->serial_number, bytes) == 0)) {
        return;
    }
    lint_add(lint, "serial-mismatch", LINT_WARNING, &lun, 1,
             text_printf("page 80 says serial number %s, the designator %s of page 83 another one",
                         info->serial_number, lun_id_text(id, text)),
             lint_remedy_serial(lun));
}

static void check_page80(struct lint *lint, const struct scan_lun *lun)
{
    const struct vss_lun_info *info = &lun->identity.info;
    if (!has_text(info->serial_number)) {
        lint_add(lint, "serial-missing", LINT_WARNING, &lun, 1,
                 text_printf("page 80 %s; two LUNs with one designator could not be told apart",
                             info->serial_number ? "has a blank serial number" : "is not there"),
                 lint_remedy_serial(lun));
        return;
    }
    for (uint32_t i = 0; i < info->device_id.identifier_count; i++) {
        check_t10_serial(lint, lun, &info->device_id.identifiers[i]);
    }
}

void lint_single(struct lint *lint)
{
    for (size_t i = 0; i < lint->count && SUCCEEDED(lint->status); i++) {
        check_page83(lint, lint->luns[i]);
        check_page80(lint, lint->luns[i]);
    }
}
