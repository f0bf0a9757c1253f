/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_PROVIDER_SET_CANDIDATE_H
#define LUNSHADOW_PROVIDER_SET_CANDIDATE_H

#include "lun/label/label.h"
#include "lun/lun.h"
#include "provider/set/environment.h"

/* A volume as found: its LUNs, and what is known of them before any provider is asked. */
struct candidate_lun {
    char *open_name; /* with a URL's secret: never shown */
    struct lun *lun; /* open for reading */
    struct label *label;
    struct vss_disk_ids ids;
    char key[LUN_KEY_BYTES];
    uint32_t partition; /* that the name asks for; 0: none */
    uint64_t first_lba; /* what of the LUN is the volume's */
    uint64_t block_count;
};

struct candidate {
    char *text;    /* the volume's canonical name, without secrets */
    bool has_name; /* false until the label says of which partition that name is */
    struct candidate_lun *luns;
    size_t lun_count;
    char
        *mount_point; /* where this host has it mounted; NULL: it was named by address, or is not */
    char *nested_file; /* the file of a loop device that it is; the LUNs are then those of the
                          volume that has the file, which no array copies; else NULL */
};

/* candidate_find() in two halves, for who asks of a volume whose label may just not be there:
 * candidate_identify() opens and identifies the LUNs, and leaves label, ids, the place of a
 * partition (until then the whole LUN is the volume's) and the name of a block device's address;
 * candidate_read() adds them. What candidate_read() leaves on failure is candidate_free()'s alone.
 */
HRESULT candidate_identify(struct set_environment *env, const char *volume, struct candidate *out,
                           struct error *err);
HRESULT candidate_read(struct set_environment *env, struct candidate *candidate, struct error *err);

/* From a volume's name - a LUN's address, a block device or a mount point - to its LUNs; nothing is
 * written. The LUNs of this host's devices are looked for on the configured portals, by identity.
 * E_INVALIDARG: no volume name; VSS_E_OBJECT_NOT_FOUND: portal, target, LUN, partition, device or
 * mount is not there; VSS_E_VOLUME_NOT_SUPPORTED: a LUN without an identity that is its alone, a
 * dynamic disk, the LUN of the state directory, a device that lies on no SCSI disk, a disk that no
 * configured portal shows; VSS_E_UNEXPECTED: neither does one show it, nor do all answer;
 * VSS_E_NESTED_VOLUME_LIMIT: a loop device on a file on a loop device. *out is all-zero on failure.
 */
HRESULT candidate_find(struct set_environment *env, const char *volume, struct candidate *out,
                       struct error *err);
void candidate_free(struct candidate *candidate);

/* The address of the one LUN, with the partition, that a block device or mount point is; malloc'ed.
 * An address comes back as it is. Codes of candidate_find(), and VSS_E_VOLUME_NOT_SUPPORTED for
 * what lies on several LUNs or in files. */
HRESULT candidate_address(struct set_environment *env, const char *volume, char **out_address,
                          struct error *err);

/* The first array that takes all LUNs, registered providers before others; only those with the id
 * where one is asked for, and of several LUNs only those that can cut them at one point in time.
 * VSS_E_PROVIDER_NOT_REGISTERED, VSS_E_VOLUME_NOT_SUPPORTED,
 * VSS_E_VOLUME_NOT_SUPPORTED_BY_PROVIDER, and what a provider answered. */
HRESULT candidate_choose_provider(struct set_environment *env, const struct candidate *candidate,
                                  uint32_t context, const VSS_ID *id, struct provider **out,
                                  struct error *err);

/* The array that has the volume: the first to say that all LUNs are its own (FillInLunInfo). *out
 * NULL: none has. What a provider answered that failed, where no other has it. */
HRESULT candidate_owner(struct set_environment *env, const struct candidate *candidate,
                        struct provider **out, struct error *err);

/* What the operations on a volume's LUNs take, views into the candidate: *out_devices and
 * *out_infos are freed by the caller. E_OUTOFMEMORY leaves both NULL. */
HRESULT candidate_views(const struct candidate *candidate, const char ***out_devices,
                        struct vss_lun_info **out_infos, struct error *err);

#endif
