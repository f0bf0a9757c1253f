/* SPDX-License-Identifier: Apache-2.0 */
/* What this host's kernel remembers of LUNs that are its block devices: sysfs shows the page 83
 * that was read when the device was found, however old that is. */
#include "common/buffer.h"
#include "lun/lint/internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ATTRIBUTE_BYTES 1024

/* An attribute without its newline and trailing blanks; "" where it is not there. */
static void read_attribute(const char *path, char out[ATTRIBUTE_BYTES])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, out, ATTRIBUTE_BYTES - 1) : 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    size_t length = got > 0 ? (size_t)got : 0;
    while (length > 0 && (out[length - 1] == '\n' || out[length - 1] == ' ')) {
        length--;
    }
    out[length] = '\0';
}

/* Where the device of an iSCSI session is: .../sessionN/targetH:C:T/H:C:T:L. */
static bool find_address(const char *sysfs, const char *device, char target[ATTRIBUTE_BYTES],
                         uint64_t *out_lun)
{
    char *real = realpath(device, NULL);
    const char *session = real ? strstr(real, "/session") : NULL;
    const char *last = real ? strrchr(real, ':') : NULL;
    char *end = NULL;
    unsigned long number = session ? strtoul(session + strlen("/session"), &end, 10) : 0;
    bool is_iscsi = session && last && *end == '/' && last[1] != '\0';
    char *path = NULL;
    if (is_iscsi) {
        *out_lun = strtoull(last + 1, &end, 10);
        is_iscsi = *end == '\0';
        path = text_printf("%s/class/iscsi_session/session%lu/targetname", sysfs, number);
    }
    target[0] = '\0';
    if (path) {
        read_attribute(path, target);
    }
    free(path);
    free(real);
    return is_iscsi && target[0];
}

/* The kernel's text of a designator: "naa." and "eui." in hex, "t10." as text, a SCSI name bare. */
static bool is_designator(const char *wwid, const struct vss_storage_identifier *id)
{
    char text[LUN_KEY_BYTES];
    struct vss_storage_identifier cached = *id;
    bool is_t10 = strncmp(wwid, "t10.", 4) == 0;
    if (is_t10 || id->type == VDSStorageIdTypeScsiNameString) {
        const char *name = is_t10 ? wwid + 4 : wwid;
        cached.type = is_t10 ? VDSStorageIdTypeVendorId : VDSStorageIdTypeScsiNameString;
        cached.identifier = (uint8_t *)name;
        cached.identifier_bytes = (uint32_t)strlen(name);
        return lun_id_equal(&cached, id);
    }
    return strcmp(wwid, lun_id_text(id, text)) == 0;
}

static bool has_wwid(const struct scan_lun *lun, const char *wwid)
{
    const struct vss_storage_device_id_descriptor *page = &lun->identity.info.device_id;
    for (uint32_t i = 0; i < page->identifier_count; i++) {
        if (is_designator(wwid, &page->identifiers[i])) {
            return true;
        }
    }
    return false;
}

/* Stale only where no LUN that is seen at this place has it: two portals may show one name. */
static void check_wwid(struct lint *lint, const char *name, const char *wwid, const char *target,
                       uint64_t number)
{
    const struct scan_lun *found = NULL;
    for (size_t i = 0; i < lint->count; i++) {
        const struct scan_lun *lun = lint->luns[i];
        if (lun->address.lun == number && strcmp(lun->address.target, target) == 0) {
            if (has_wwid(lun, wwid)) {
                return;
            }
            found = lun;
        }
    }
    char key[LUN_KEY_BYTES];
    if (found) {
        lint_add(lint, "wwid-stale", LINT_ERROR, &found, 1,
                 text_printf("this host's kernel takes %s for %s, and it is %s now", name, wwid,
                             lun_info_key(&found->identity.info, key)),
                 text_printf("stop what uses /dev/%s, then: echo 1 >/sys/block/%s/device/delete && "
                             "iscsiadm --mode session --rescan",
                             name, name));
    }
}

static void check_device(struct lint *lint, const char *sysfs, const char *name)
{
    char wwid[ATTRIBUTE_BYTES] = "";
    char target[ATTRIBUTE_BYTES];
    uint64_t number = 0;
    char *device = text_printf("%s/block/%s/device", sysfs, name);
    char *path = text_printf("%s/block/%s/device/wwid", sysfs, name);
    if (!device || !path) {
        lint->status = E_OUTOFMEMORY;
    } else if (find_address(sysfs, device, target, &number)) {
        read_attribute(path, wwid);
    }
    if (wwid[0]) {
        check_wwid(lint, name, wwid, target, number);
    }
    free(path);
    free(device);
}

void lint_host(struct lint *lint, const char *sysfs)
{
    char *top = text_printf("%s/block", sysfs);
    struct dirent **names = NULL;
    int count = top ? scandir(top, &names, NULL, alphasort) : -1;
    for (int i = 0; i < count; i++) {
        if (names[i]->d_name[0] != '.') {
            check_device(lint, sysfs, names[i]->d_name);
        }
        free(names[i]);
    }
    free(names);
    free(top);
}
