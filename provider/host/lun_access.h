/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_PROVIDER_HOST_LUN_ACCESS_H
#define LUNSHADOW_PROVIDER_HOST_LUN_ACCESS_H

#include "lun/lun.h"

#include <lunshadow/provider.h>

/* The LUNs that a plug-in has open during one call: lun_open() .. lun_close() of struct vss_host.
 * All zero: none. A handle that is not in it is refused, whatever it points to. */
struct lun_access {
    struct vss_host_lun *first;
};

/* Each as its service in provider.h; config names the portals' secrets and may be NULL. */
HRESULT lun_access_open(struct lun_access *access, const struct config *config, const char *device,
                        uint32_t flags, struct vss_host_lun **out, struct vss_host_lun_info *info,
                        struct error *err);
HRESULT lun_access_read(struct lun_access *access, struct vss_host_lun *lun, uint64_t lba,
                        uint32_t blocks, void *data, struct error *err);
HRESULT lun_access_write(struct lun_access *access, struct vss_host_lun *lun, uint64_t lba,
                         uint32_t blocks, const void *data, struct error *err);
HRESULT lun_access_close(struct lun_access *access, struct vss_host_lun *lun, struct error *err);

/* When the call is over. */
void lun_access_close_all(struct lun_access *access);

#endif
