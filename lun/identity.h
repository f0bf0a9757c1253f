/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_LUN_IDENTITY_H
#define LUNSHADOW_LUN_IDENTITY_H

#include "lun/info.h"
#include "lun/scsi.h"

/* Who a LUN is: standard INQUIRY, VPD pages 00, 80, 83, B0, B1, B2, READ CAPACITY(16). Every length
 * in an answer is checked against what arrived. Sources: SPC-4 6.6, 7.8; SBC-3 5.16, 6.6. */
struct lun_identity {
    struct vss_lun_info info; /* disk_signature is null: the label is not read here */
    uint32_t block_bytes;
    uint64_t block_count;
    uint32_t physical_block_bytes;
    uint32_t max_transfer_blocks;   /* B0 MAXIMUM TRANSFER LENGTH; 0: no limit reported */
    uint16_t rotation_rate;         /* B1 MEDIUM ROTATION RATE; 0 unknown, 1 non-rotating */
    uint64_t max_write_same_blocks; /* B0 MAXIMUM WRITE SAME LENGTH; 0: no limit reported */
    bool supports_unmap;            /* B2 LBPU */
    bool can_write_same_unmap;      /* B2 LBPWS: WRITE SAME(16) with UNMAP */
    bool unmapped_reads_zero;       /* LBPRZ of READ CAPACITY(16) */
};

/* Parsers of raw answers (length = bytes that arrived). They fill their part of *out, which must be
 * all-zero there; a page that is too short, or lies about a length, gives
 * VSS_E_VOLUME_NOT_SUPPORTED with page and offset in err, and nothing of it is kept. Text:
 * surrounding blanks and NULs off, other bytes than printable ASCII as %XX. */
HRESULT identity_parse_inquiry(const uint8_t *data, uint32_t length, struct lun_identity *out,
                               struct error *err);
HRESULT identity_parse_vpd80(const uint8_t *data, uint32_t length, struct lun_identity *out,
                             struct error *err);
HRESULT identity_parse_vpd83(const uint8_t *data, uint32_t length, struct lun_identity *out,
                             struct error *err);
HRESULT identity_parse_capacity16(const uint8_t *data, uint32_t length, struct lun_identity *out,
                                  struct error *err);
void identity_parse_limits(const uint8_t *vpd_b0, uint32_t b0_length, const uint8_t *vpd_b1,
                           uint32_t b1_length, const uint8_t *vpd_b2, uint32_t b2_length,
                           struct lun_identity *out); /* optional pages: NULL, 0 */

/* The same in two halves, so that one run of commands reads many LUNs. The commands of a probe
 * point into it: it must not move between the two. */
enum identity_depth {
    IDENTITY_BRIEF, /* INQUIRY, 83, 80, capacity; what B0, B1 and B2 fill stays zero */
    IDENTITY_WHOLE
};
#define IDENTITY_MAX_COMMANDS 8
#define IDENTITY_PAGE_BYTES   252
#define IDENTITY_VPD83_BYTES  1024
struct identity_probe {
    uint64_t lun;
    struct scsi_command *commands;
    size_t command_count;
    uint8_t inquiry[IDENTITY_PAGE_BYTES];
    uint8_t vpd00[IDENTITY_PAGE_BYTES];
    uint8_t vpd80[IDENTITY_PAGE_BYTES];
    uint8_t vpd83[IDENTITY_VPD83_BYTES];
    uint8_t capacity[32];
    uint8_t vpd_b0[64];
    uint8_t vpd_b1[64];
    uint8_t vpd_b2[64];
};

/* Fills commands[0..count) and returns count, at most IDENTITY_MAX_COMMANDS. */
size_t identity_probe_begin(struct identity_probe *probe, uint64_t lun, enum identity_depth depth,
                            struct scsi_command *commands);

/* True where the LUN answered INQUIRY and is something else than a disk. */
bool identity_probe_is_other_device(const struct identity_probe *probe);

/* Judges the answers; reads page 83 again where it was longer than expected (up to 64 KiB).
 * VSS_E_OBJECT_NOT_FOUND: no such LUN; VSS_E_VOLUME_NOT_SUPPORTED: not a disk, or no usable answer.
 * Pages 80 and 83 may be refused by the LUN and are then absent; B0, B1 and B2 count only where
 * page 00 lists them. *out is all-zero on failure. */
HRESULT identity_probe_end(struct identity_probe *probe, struct scsi_transport *session,
                           struct lun_identity *out, struct error *err);

/* Both halves for one LUN, commands pipelined. Bus type and interconnects are the caller's to fill.
 * *out is all-zero on failure. */
HRESULT identity_read(struct scsi_transport *session, uint64_t lun, struct lun_identity *out,
                      struct error *err);
void identity_free(struct lun_identity *identity); /* leaves it all-zero */

/* Rank of a designator for comparing: the better identifies more surely. */
enum lun_id_rank {
    LUN_ID_NONE = 0, /* not one that counts: see lun_id_rank() */
    LUN_ID_T10,
    LUN_ID_SCSI_NAME,
    LUN_ID_EUI64,
    LUN_ID_NAA
};

/* LUN_ID_NONE for: types that do not qualify, NAA 3h (locally assigned), an NAA or EUI-64 whose OUI
 * or body is zero (type nibble masked first), blank or all-space text, known factory defaults (T10
 * "IET     " and exactly 8 hex digits: what tgtd gives when nobody set a scsi_id). */
enum lun_id_rank lun_id_rank(const struct vss_storage_identifier *identifier);

/* Why a designator does not count. */
enum lun_id_flaw {
    LUN_ID_SOUND,    /* it counts */
    LUN_ID_UNSUITED, /* of a type that does not identify a LUN, or not of its type's form */
    LUN_ID_LOCAL,    /* locally assigned: unique where it was assigned, perhaps */
    LUN_ID_BLANK,    /* its OUI or its body is blank or zero */
    LUN_ID_DEFAULT   /* what the array gives where nobody chose one */
};
enum lun_id_flaw lun_id_flaw(const struct vss_storage_identifier *identifier);

enum lun_match { LUN_DIFFERENT, LUN_SAME, LUN_AMBIGUOUS };

/* The best rank both have decides: sets intersect SAME, disjoint DIFFERENT; a lower common rank
 * that says otherwise, or SAME designators with two different serial numbers: AMBIGUOUS (refuse,
 * name both). No common rank: DIFFERENT. Bus type, disk signature and interconnects are never
 * looked at. */
enum lun_match lun_info_compare(const struct vss_lun_info *a, const struct vss_lun_info *b);

/* The import rule: lun_info_compare() SAME and vendor, product, revision, serial, device type
 * equal. On false *out_reason (static text) says which differs. */
bool lun_info_matches(const struct vss_lun_info *expected, const struct vss_lun_info *found,
                      const char **out_reason);

/* True with at least one designator that counts; else *out_reason (static text) says why none does.
 */
bool lun_info_is_unique(const struct vss_lun_info *info, const char **out_reason);

/* "naa.6001405...", "eui.0123...", "scsi.NAME" or "t10.VENDORID..." of the best designator: the key
 * of a LUN in registry, messages and listings; bytes other than printable ones, blanks and % as
 * %XX. "none" where nothing counts. One that does not fit ends in "~" and 16 digits, a digest of
 * the whole, so that two designators never have one key because they begin alike. Returns out. */
#define LUN_KEY_BYTES        300
#define LUN_KEY_DIGEST_BYTES 17
char *lun_info_key(const struct vss_lun_info *info, char out[LUN_KEY_BYTES]);

/* The same form for one designator, whether it counts or not; "idTYPE.HEX" for types that do not
 * identify a LUN. */
char *lun_id_text(const struct vss_storage_identifier *identifier, char out[LUN_KEY_BYTES]);

/* Equal type and bytes, padding of text aside, whether they count or not. */
bool lun_id_equal(const struct vss_storage_identifier *a, const struct vss_storage_identifier *b);

#endif
