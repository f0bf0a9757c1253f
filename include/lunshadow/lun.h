/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_LUN_H
#define LUNSHADOW_LUN_H

/* What a LUN is, as plain data: one type for the provider ABI, documents, the registry and
 * matching. Sources: VDS_LUN_INFORMATION and its parts (vdslun.h), SPC-4 7.8.6 (Device
 * Identification VPD page), UEFI 2.10 chapter 5 (GPT). Strings are UTF-8, NUL-terminated, NULL
 * where unknown. Who frees is said by the function or callback that hands a structure over; nothing
 * here owns memory by itself. */

#include <lunshadow/vss.h>

#ifdef __cplusplus
extern "C" {
#endif

/* vss_storage_identifier.code_set */
enum vds_storage_identifier_code_set {
    VDSStorageIdCodeSetReserved = 0,
    VDSStorageIdCodeSetBinary = 1,
    VDSStorageIdCodeSetAscii = 2,
    VDSStorageIdCodeSetUtf8 = 3
};

/* vss_storage_identifier.type: the designator type of SPC-4 table 599 */
enum vds_storage_identifier_type {
    VDSStorageIdTypeVendorSpecific = 0,
    VDSStorageIdTypeVendorId = 1, /* T10 vendor identification */
    VDSStorageIdTypeEUI64 = 2,
    VDSStorageIdTypeFCPHName = 3, /* NAA */
    VDSStorageIdTypePortRelative = 4,
    VDSStorageIdTypeTargetPortGroup = 5,
    VDSStorageIdTypeLogicalUnitGroup = 6,
    VDSStorageIdTypeMD5LogicalUnitIdentifier = 7,
    VDSStorageIdTypeScsiNameString = 8
};

/* vss_lun_info.bus_type: never compared */
enum vds_storage_bus_type {
    VDSBusTypeUnknown = 0x0,
    VDSBusTypeScsi = 0x1,
    VDSBusTypeAtapi = 0x2,
    VDSBusTypeAta = 0x3,
    VDSBusType1394 = 0x4,
    VDSBusTypeSsa = 0x5,
    VDSBusTypeFibre = 0x6,
    VDSBusTypeUsb = 0x7,
    VDSBusTypeRAID = 0x8,
    VDSBusTypeiScsi = 0x9,
    VDSBusTypeSas = 0xa,
    VDSBusTypeSata = 0xb,
    VDSBusTypeSd = 0xc,
    VDSBusTypeMmc = 0xd,
    VDSBusTypeVirtual = 0xe,
    VDSBusTypeFileBackedVirtual = 0xf,
    VDSBusTypeSpaces = 0x10,
    VDSBusTypeNVMe = 0x11,
    VDSBusTypeScm = 0x12,
    VDSBusTypeUfs = 0x13,
    VDSBusTypeMaxReserved = 0x7f
};

/* vss_interconnect.address_type */
enum vds_interconnect_address_type {
    VDS_IA_UNKNOWN = 0,
    VDS_IA_FCFS = 1,
    VDS_IA_FCPH = 2,
    VDS_IA_FCPH3 = 3,
    VDS_IA_MAC = 4,
    VDS_IA_SCSI = 5
};

/* One designator of page 83, association 0 (the logical unit itself). */
struct vss_storage_identifier {
    int32_t code_set;          /* enum vds_storage_identifier_code_set */
    int32_t type;              /* enum vds_storage_identifier_type */
    uint32_t identifier_bytes; /* 0..255 */
    uint8_t *identifier;       /* as the page has it; not NUL-terminated */
};

/* Page 83: the designators of the logical unit. */
struct vss_storage_device_id_descriptor {
    uint32_t version; /* 1 */
    uint32_t identifier_count;
    struct vss_storage_identifier *identifiers; /* in page order */
};

/* A path to the LUN; a hint for finding it, never compared. For iSCSI: address_type VDS_IA_SCSI,
 * port = the target's iSCSI name (text, no NUL), address = the 8-byte SCSI LUN (SAM-5 4.7). */
struct vss_interconnect {
    int32_t address_type; /* enum vds_interconnect_address_type */
    uint32_t port_bytes;
    uint8_t *port;
    uint32_t address_bytes;
    uint8_t *address;
};

/* VDS_LUN_INFORMATION. */
struct vss_lun_info {
    uint32_t version;             /* 1 */
    uint8_t device_type;          /* peripheral device type of standard INQUIRY, 0 = disk */
    uint8_t device_type_modifier; /* 0 */
    uint8_t command_queueing;     /* CMDQUE of standard INQUIRY, 0 or 1 */
    uint8_t reserved;             /* 0 */
    int32_t bus_type;             /* enum vds_storage_bus_type */
    char *vendor_id;              /* INQUIRY strings, trailing spaces removed */
    char *product_id;
    char *product_revision;
    char *serial_number;   /* page 80, surrounding spaces removed; NULL without that page */
    VSS_ID disk_signature; /* MBR: data1 = signature, rest 0. GPT: disk GUID. 0: none or unknown */
    struct vss_storage_device_id_descriptor device_id;
    uint32_t interconnect_count;
    struct vss_interconnect *interconnects;
};

/* vss_disk_ids.kind */
enum vss_disk_label { VSS_DISK_LABEL_NONE = 0, VSS_DISK_LABEL_MBR = 1, VSS_DISK_LABEL_GPT = 2 };

/* Identity of one GPT partition. */
struct vss_partition_id {
    uint32_t number;     /* 1-based: the index of its entry + 1, as sgdisk and the kernel count */
    uint32_t reserved;   /* 0 */
    VSS_ID guid;         /* UniquePartitionGUID */
    uint64_t attributes; /* all 64 attribute bits */
};

/* What makes a disk that disk for those who read its label: what revert writes back. */
struct vss_disk_ids {
    int32_t kind;           /* enum vss_disk_label */
    uint32_t mbr_signature; /* bytes 440..443 of block 0, little-endian; also of a protective MBR */
    VSS_ID disk_guid;       /* GPT */
    uint32_t partition_count;            /* GPT: entries in use */
    uint32_t reserved;                   /* 0 */
    struct vss_partition_id *partitions; /* by number, ascending */
};

#ifdef __cplusplus
}
#endif

#endif
