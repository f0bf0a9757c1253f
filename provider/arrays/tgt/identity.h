/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_TGT_IDENTITY_H
#define LUNSHADOW_TGT_IDENTITY_H

#include "show.h"

/* A LUN of tgtd is known by its scsi_id: 32 hex digits that page 83 shows twice, as text (T10
 * vendor identification, filled up to 36 bytes with zeros) and as 16 bytes (NAA 6). The factory
 * default, "IET     " and a number made of target and LUN, is the same in every tgtd and is never
 * one of ours. */
#define TGT_SCSI_ID_DIGITS  32
#define TGT_SERIAL_DIGITS   20
#define TGT_T10_BYTES       36
#define TGT_NAA_BYTES       16
#define TGT_SERIAL_TEXT_MAX 36

/* 32 hex digits that begin with 6 and have an OUI and a body that are not zero. */
bool tgt_scsi_id_is_unique(const char *scsi_id);

/* The LUN of tgtd that info describes; *out is NULL for one that is not tgtd's. Two LUNs with these
 * identifiers and different files: NULL too, and the log says so. */
HRESULT tgt_identity_find(const struct tgt *t, const struct tgt_view *view,
                          const struct vss_lun_info *info, const struct tgt_lun **out);

/* Whether info carries this scsi_id and serial. */
bool tgt_identity_matches(const struct vss_lun_info *info, const char *scsi_id, const char *serial);

/* Whether tgtd shows the LUN with this scsi_id and serial. */
bool tgt_identity_is(const struct tgt_lun *lun, const char *scsi_id, const char *serial);

/* A scsi_id and a serial number that nobody has. NULL when memory is short. */
char *tgt_identity_new_scsi_id(const struct tgt *t);
char *tgt_identity_new_serial(const struct tgt *t);

/* What a LUN with these will show in INQUIRY, pages 80 and 83, and where. */
HRESULT tgt_identity_describe(const struct tgt *t, const char *scsi_id, const char *serial,
                              const char *target, uint32_t lun, struct vss_lun_info *out);

/* How messages name a LUN: its address, else its page-83 text, else its serial number. Never NULL.
 */
const char *tgt_identity_name(const struct tgt *t, const char *device,
                              const struct vss_lun_info *info);

#endif
