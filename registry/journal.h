/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_REGISTRY_JOURNAL_H
#define LUNSHADOW_REGISTRY_JOURNAL_H

#include "registry/store.h"

#include <stdbool.h>
#include <stddef.h>

/* Intent before act: an operation opens an entry, adds a step before each thing it does to an array
 * or a disk, and closes the entry when all is done or undone. Steps are durable when journal_step()
 * returns. An entry that is open while its process is gone is what a dead process left. */

enum journal_operation {
    JOURNAL_CREATE = 1,
    JOURNAL_IMPORT = 2,
    JOURNAL_BREAK = 3,
    JOURNAL_DELETE = 4,
    JOURNAL_RESYNC = 5,
    JOURNAL_DISK_IDS = 6,
    JOURNAL_EXPOSE = 7 /* or its taking back: nothing is written to a LUN */
};

struct journal_step {
    int64_t when;  /* FILETIME */
    char *name;    /* "commit", "edges-saved", ... */
    char *lun_key; /* of the LUN it is about; NULL: the whole operation */
    uint8_t *data; /* what undo or finish needs (old bytes, ids, provider state); NULL: nothing */
    size_t data_bytes;
};

struct journal_entry {
    VSS_ID entry_id;
    enum journal_operation operation;
    VSS_ID object_id; /* set, or resync */
    int64_t opened;
    int64_t pid;
    uint64_t pid_start;         /* field 22 of /proc/PID/stat: tells a reused pid */
    char *description;          /* one line for a person */
    bool is_dead;               /* the process is gone */
    bool destination_invalid;   /* a LUN named in the steps must not be used until this is closed */
    struct journal_step *steps; /* oldest first */
    size_t step_count;
};

HRESULT journal_open(struct store *store, enum journal_operation operation, const VSS_ID *object_id,
                     const char *description, VSS_ID *out_entry_id, struct error *err);
/* lun_key and data may be NULL. */
HRESULT journal_step(struct store *store, const VSS_ID *entry_id, const char *name,
                     const char *lun_key, const void *data, size_t data_bytes, struct error *err);
HRESULT journal_mark_invalid(struct store *store, const VSS_ID *entry_id, bool invalid,
                             struct error *err);
HRESULT journal_close(struct store *store, const VSS_ID *entry_id, struct error *err);

/* Open entries, oldest first, with their steps. only_dead: those whose process is gone. */
HRESULT journal_load_open(struct store *store, bool only_dead, struct journal_entry **out,
                          size_t *out_count, struct error *err);
void journal_free_all(struct journal_entry *entries, size_t count);

/* The newest step of this name, about this LUN (lun_key NULL: about any, or none); NULL where there
 * is none. Borrowed. */
const struct journal_step *journal_find_step(const struct journal_entry *entry, const char *name,
                                             const char *lun_key);

/* Has the entry a step about the LUN with this key (lun_info_key())? */
bool journal_speaks_of(const struct journal_entry *entry, const char *lun_key);

/* What a state-changing operation asks first: S_OK where no dead process left anything; else
 * VSS_E_BAD_STATE naming operation, object and the command that deals with it ("lunshadow recover
 * --list"). */
HRESULT journal_check_clean(struct store *store, struct error *err);

/* The same refusal for this entry, and count - 1 more. */
HRESULT journal_refuse(const struct journal_entry *entry, size_t count, struct error *err);

const char *journal_operation_name(enum journal_operation operation); /* "create", ... */

#endif
