/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_REGISTRY_SETS_H
#define LUNSHADOW_REGISTRY_SETS_H

#include "registry/store.h"

#include <lunshadow/lun.h>
#include <stdbool.h>
#include <stddef.h>

/* Snapshot sets as plain data: what the registry stores, the document carries and provider/set
 * works on. One structure owns all below it; free with set_record_free(). */

/* One LUN of the set, each once however many volumes lie on it. */
struct lun_mapping {
    char *provider;                 /* text of the provider's id */
    char *array;                    /* [array NAME] it belongs to */
    char *source_url;               /* where the original was, without secrets */
    char *copy_url;                 /* where the copy is visible on this host; NULL: not imported */
    struct vss_lun_info source;     /* the original's identity */
    struct vss_lun_info copy;       /* the copy's, as GetTargetLuns gave it; all-zero before */
    struct vss_disk_ids source_ids; /* label ids of the original at the cut */
    struct vss_disk_ids copy_ids;   /* the copy's after import; kind NONE before */
    uint64_t block_bytes;
    uint64_t block_count;
    uint8_t *state; /* the provider's, <= VSS_PROVIDER_STATE_BYTES_MAX; NULL: none */
    uint32_t state_bytes;
    bool is_empty; /* the copy was deleted or given away (break) */
};

/* Where a volume's bytes lie. */
struct volume_extent {
    uint32_t lun_index; /* into set_record.luns */
    uint32_t reserved;
    uint64_t first_lba;
    uint64_t block_count;
    uint64_t volume_offset_blocks;
};

/* One shadow copy: one volume. */
struct snapshot_record {
    VSS_ID snapshot_id;
    VSS_ID provider_id;
    char *original_volume; /* canonical volume name */
    char *device;          /* the copy's volume name once imported; NULL before */
    char *exposed_name;
    char *exposed_path;
    uint32_t attributes; /* enum vss_volume_snapshot_attributes */
    int32_t status;      /* enum vss_snapshot_state */
    int64_t created;     /* FILETIME: when the copy was cut */
    struct volume_extent *extents;
    size_t extent_count;
};

struct set_record {
    VSS_ID set_id;
    uint32_t context; /* as SetContext had it */
    char *originating_machine;
    char *service_machine;
    uint64_t cut_us;  /* first LUN cut to last */
    uint64_t hold_us; /* hold to release */
    struct snapshot_record *snapshots;
    size_t snapshot_count;
    struct lun_mapping *luns;
    size_t lun_count;
};

void snapshot_record_free(
    struct snapshot_record *snapshot); /* leaves it all-zero, as the next two */
void lun_mapping_free(struct lun_mapping *lun);
void set_record_free(struct set_record *set);
/* Deep; E_OUTOFMEMORY leaves *out all-zero. */
HRESULT set_record_copy(const struct set_record *from, struct set_record *out);

/* Writes the whole set, replacing what the registry has of it; its age stays. E_INVALIDARG: a null
 * or doubled id, an extent on a LUN that is not there, a state too long, a snapshot that already
 * belongs to another set. */
HRESULT sets_save(struct store *store, const struct set_record *set, struct error *err);

/* VSS_E_OBJECT_NOT_FOUND where there is none; VSS_E_UNEXPECTED names table and set of a damaged
 * row. */
HRESULT sets_load(struct store *store, const VSS_ID *set_id, struct set_record *out,
                  struct error *err);
HRESULT sets_find_by_snapshot(struct store *store, const VSS_ID *snapshot_id,
                              struct set_record *out, struct error *err);

/* All sets, oldest first; *out is an array of *out_count records, freed by sets_free_all(). */
HRESULT sets_load_all(struct store *store, struct set_record **out, size_t *out_count,
                      struct error *err);
/* The same without LUNs and extents, which are most of the work: to list, not to save again. */
HRESULT sets_load_brief(struct store *store, struct set_record **out, size_t *out_count,
                        struct error *err);
void sets_free_all(struct set_record *sets, size_t count);

/* Removes a snapshot; and its set with the last one. The set's LUN mappings stay until then:
 * lun_index of the others goes on to hold, and a copy that still exists is not forgotten.
 * VSS_E_OBJECT_NOT_FOUND. */
HRESULT sets_delete_snapshot(struct store *store, const VSS_ID *snapshot_id, struct error *err);
HRESULT sets_delete(struct store *store, const VSS_ID *set_id, struct error *err);

/* sets_save(), sets_delete() together with the end of the journal entry that announced it: both
 * happen or neither. Not inside a transaction. */
HRESULT sets_save_and_close(struct store *store, const struct set_record *set,
                            const VSS_ID *entry_id, struct error *err);
HRESULT sets_delete_and_close(struct store *store, const VSS_ID *set_id, const VSS_ID *entry_id,
                              struct error *err);

/* The ids that were last read from the label of the LUN with this key (lun_info_key()), and when
 * (FILETIME). Every change is kept as history; reading the same ids again moves the time of the
 * newest. why: a few words on what read or wrote them; those of the first time stay. A label of
 * kind NONE is not remembered (S_FALSE), so that a wiped one does not hide what was known; nor is
 * anything under the key "none", which many LUNs share (E_INVALIDARG). Recalling gives S_FALSE and
 * kind NONE where nothing is known. out_when may be NULL; free *out with disk_ids_free(). */
HRESULT disk_ids_remember(struct store *store, const char *lun_key, const struct vss_disk_ids *ids,
                          const char *why, struct error *err);
HRESULT disk_ids_recall(struct store *store, const char *lun_key, struct vss_disk_ids *out,
                        int64_t *out_when, struct error *err);

/* One state of a label, from the time it was first read to the last. */
struct disk_ids_record {
    int64_t first_read; /* FILETIME */
    int64_t last_read;
    struct vss_disk_ids ids;
    char *why; /* NULL in rows of older versions */
};

/* All that is known of the LUN, newest first; freed by disk_ids_history_free(). A damaged row is
 * left out, and the log names it. */
HRESULT disk_ids_history(struct store *store, const char *lun_key, struct disk_ids_record **out,
                         size_t *out_count, struct error *err);
void disk_ids_history_free(struct disk_ids_record *records, size_t count);

#endif
