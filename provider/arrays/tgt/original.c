/* SPDX-License-Identifier: Apache-2.0 */
#include "original.h"

#include "daemon.h"
#include "file.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static HRESULT check_kind(const struct tgt *t, const struct tgt_lun *lun, const char *name)
{
    const char *wrong = NULL;
    if (strcmp(lun->type, "disk") != 0 || lun->is_removable) {
        wrong = "it is not a fixed disk";
    } else if (!tgt_bstype_is_supported(lun->bstype)) {
        wrong = "its backing store is not of the type rdwr or aio";
    } else if (!tgt_path_is_usable(lun->path)) {
        wrong = "its path is not absolute, too long, or has a comma in it";
    } else if (lun->block_bytes < 512) {
        wrong = "its block size is below 512 bytes";
    }
    if (!wrong) {
        return S_OK;
    }
    return tgt_fail(t, VSS_E_PROVIDER_VETO, "%s (%s LUN %ju, %s, %s) cannot be copied: %s", name,
                    lun->target->name, (uintmax_t)lun->number, lun->bstype, lun->path, wrong);
}

HRESULT tgt_original_open(const struct tgt *t, pid_t pid, const struct tgt_lun *lun, int flags,
                          const char *name, struct tgt_original *out)
{
    struct tgt_original original = {.lun = lun, .fd = -1};
    *out = original;
    HRESULT hr = check_kind(t, lun, name);
    if (SUCCEEDED(hr)) {
        hr = tgt_file_open(t, lun->path, flags, &original.fd, &original.stat);
    }
    if (SUCCEEDED(hr)) {
        hr = tgt_daemon_check_file(t, pid, &original.stat, lun->path);
    }
    if (SUCCEEDED(hr)) {
        hr = tgt_file_directory(t, lun->path, &original.directory);
    }
    if (FAILED(hr)) {
        tgt_original_close(&original);
        return hr;
    }
    *out = original;
    return S_OK;
}

void tgt_original_close(struct tgt_original *original)
{
    if (original->fd >= 0) {
        (void)close(original->fd);
    }
    original->fd = -1;
}

HRESULT tgt_choose_mode(const struct tgt *t, const struct tgt_original *original, uint32_t context,
                        const char *name, enum tgt_mode *out)
{
    const uint32_t both = VSS_VOLSNAP_ATTR_PLEX | VSS_VOLSNAP_ATTR_DIFFERENTIAL;
    bool wants_plex = (context & VSS_VOLSNAP_ATTR_PLEX) != 0;
    bool wants_clone = (context & VSS_VOLSNAP_ATTR_DIFFERENTIAL) != 0;
    if ((context & both) == both) {
        tgt_log(t, VSS_LOG_WARNING, "%s: a copy cannot be PLEX and DIFFERENTIAL at once", name);
        return S_FALSE;
    }
    if (access(original->directory, W_OK | X_OK) != 0 || !tgt_path_is_usable(original->directory)) {
        tgt_log(t, VSS_LOG_WARNING, "%s: copies cannot be put into %s beside it", name,
                original->directory);
        return S_FALSE;
    }
    HRESULT hr = tgt_file_probe_clone(t, original->fd, original->directory);
    if (FAILED(hr)) {
        return hr;
    }
    bool can_clone = hr == S_OK;
    if (wants_clone && !can_clone) {
        tgt_log(t, VSS_LOG_WARNING,
                "%s: no DIFFERENTIAL copy, the filesystem of %s cannot share blocks (XFS and btrfs "
                "can)",
                name, original->directory);
        return S_FALSE;
    }
    *out = !can_clone ? TGT_MODE_HELD : wants_plex ? TGT_MODE_PLEX : TGT_MODE_CLONE;
    return S_OK;
}
