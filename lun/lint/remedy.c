/* SPDX-License-Identifier: Apache-2.0 */
/* How to mend what was found: commands for arrays that say who they are, words for the others. */
#include "common/buffer.h"
#include "common/id.h"
#include "lun/lint/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define FRESH_TEXT_BYTES 33

/* An NAA-6 of the OUI that software targets use (001405, Open-iSCSI's), or a serial number. */
static const char *fresh(const char *head, size_t digits, char out[FRESH_TEXT_BYTES])
{
    VSS_ID id = id_new();
    uint8_t bytes[16];
    char hex[FRESH_TEXT_BYTES];
    id_to_bytes(&id, bytes);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        (void)snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    }
    (void)snprintf(out, FRESH_TEXT_BYTES, "%s%.*s", head, (int)(digits - strlen(head)), hex);
    return out;
}

static bool is_vendor(const struct scan_lun *lun, const char *vendor)
{
    const char *found = lun->identity.info.vendor_id;
    return found && strcmp(found, vendor) == 0;
}

static char *tgt_command(const struct scan_lun *lun, const char *parameter, const char *value)
{
    return text_printf(
        "on tgtd's host (%s): tgtadm --lld iscsi --op update --mode logicalunit --tid "
        "$(tgtadm --lld iscsi --op show --mode target | awk '$1 == \"Target\" && "
        "$3 == \"%s\" { print $2 + 0 }') --lun %" PRIu64 " --params %s=%s",
        lun->address.portal, lun->address.target, lun->address.lun, parameter, value);
}

static char *lio_command(const struct scan_lun *lun)
{
    VSS_ID id = id_new();
    char text[ID_TEXT_BYTES];
    return text_printf("on the target's host (%s), before it is exported: echo %s "
                       ">/sys/kernel/config/target/core/HBA/BACKSTORE/wwn/vpd_unit_serial (the "
                       "backstore of LUN %" PRIu64 " of %s: targetcli ls)",
                       lun->address.portal, id_text(&id, text), lun->address.lun,
                       lun->address.target);
}

static char *unknown_array(const struct scan_lun *lun, const char *what)
{
    const struct vss_lun_info *info = &lun->identity.info;
    return text_printf("give LUN %" PRIu64 " of %s %s of its own with the array's own tool (%s %s)",
                       lun->address.lun, lun->address.target, what,
                       info->vendor_id ? info->vendor_id : "-",
                       info->product_id ? info->product_id : "-");
}

char *lint_remedy_designator(const struct scan_lun *lun)
{
    char id[FRESH_TEXT_BYTES];
    if (is_vendor(lun, "IET")) {
        return tgt_command(lun, "scsi_id", fresh("6001405", 32, id));
    }
    return is_vendor(lun, "LIO-ORG") ? lio_command(lun) : unknown_array(lun, "an NAA designator");
}

char *lint_remedy_serial(const struct scan_lun *lun)
{
    char serial[FRESH_TEXT_BYTES];
    if (is_vendor(lun, "IET")) {
        return tgt_command(lun, "scsi_sn", fresh("", 16, serial));
    }
    return is_vendor(lun, "LIO-ORG") ? lio_command(lun) : unknown_array(lun, "a serial number");
}

char *lint_remedy_disk_ids(const struct scan_lun *lun)
{
    return text_printf("where %s is the copy: lunshadow ids --fresh --yes %s", lun->url, lun->url);
}
