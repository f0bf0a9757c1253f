/* SPDX-License-Identifier: CC0-1.0 */
#ifndef FILES_H
#define FILES_H

#include <lunshadow/provider.h>
#include <stdbool.h>
#include <sys/stat.h>

#define TEXT_MAX   512
#define SCSI_ID    32 /* hex digits */
#define SET_ID     33 /* a set's id as hex digits, with the NUL */
#define TARGET_FOR "iqn.2026-11.lunshadow.files:"

/* One call: who called, and the settings of the [array] section. */
struct files {
    const struct vss_call *call;
    const char *directory;    /* where all image files lie, those of the copies too */
    const char *socket;       /* tgtd's */
    const char *control_port; /* tgtadm -C */
    uint32_t max_hold_ms;
};

/* What tgtd serves: lists as tgtadm prints them. Texts are never NULL. */
struct files_target {
    unsigned tid;
    const char *name;
    struct files_target *next;
};
struct files_lun {
    const struct files_target *target;
    unsigned number;
    unsigned block_bytes;
    const char *scsi_id;
    const char *serial;
    const char *path;
    struct files_lun *next;
};
struct files_initiator { /* who may see a target */
    const struct files_target *target;
    const char *name;
    struct files_initiator *next;
};
struct files_view {
    struct files_target *targets;
    struct files_lun *luns;
    struct files_initiator *initiators;
};

/* Reads the settings. E_INVALIDARG names the one that is wrong. */
HRESULT files_begin(const struct vss_call *call, struct files *f);

/* Says why, returns code. */
HRESULT files_fail(const struct files *f, HRESULT code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Memory and formatted text that live as long as the call; NULL when memory is short. */
void *files_alloc(const struct files *f, size_t bytes);
char *files_text(const struct files *f, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* tgtadm with these arguments (the last is NULL). out: NULL, or what it printed.
 * VSS_E_PROVIDER_VETO where it fails; S_FALSE instead where is_try. */
HRESULT files_tgtadm(const struct files *f, bool is_try, const char *const arguments[], char **out);

HRESULT files_show(const struct files *f, struct files_view *view);

/* The one LUN with this page-83 identity and serial number; NULL: not ours. */
const struct files_lun *files_find(const struct files_view *view, const struct vss_lun_info *info);

const struct files_target *files_find_target(const struct files_view *view, const char *name);

/* Closes every session of the target and waits until none is left. */
HRESULT files_evict(const struct files *f, const struct files_target *target);

/* scsi_id as the 16 bytes of the NAA designator. */
void files_naa(const char *scsi_id, uint8_t out[SCSI_ID / 2]);

/* What is remembered of a copy, as text: "1 NUMBER BLOCK_BYTES IS_CUT SCSI_ID SET_ID SOURCE". */
struct files_copy_state {
    unsigned number; /* LUN in the set's target */
    unsigned block_bytes;
    unsigned is_cut; /* 1 from CommitSnapshots on: it has its original's content */
    char scsi_id[SCSI_ID + 1];
    char set_id[SET_ID];
    char source[TEXT_MAX]; /* the original's file */
    const char *path;      /* the copy's own */
    const char *target;
};

/* A set's id as hex digits. */
void files_set_id_text(const VSS_ID *id, char out[SET_ID]);

/* files_fail() with errno's words, and the code that goes with it. */
HRESULT files_fail_errno(const struct files *f, const char *what, const char *path);

/* Opens a regular file that lies directly in the directory; anything else is refused. */
HRESULT files_open(const struct files *f, const char *path, int flags, int *fd, struct stat *st);

/* Copies the bytes from start to end; path is the file that is written. */
HRESULT files_copy(const struct files *f, int from, int to, uint64_t start, uint64_t end,
                   const char *path);

/* Path and target of a copy, from its number and set. */
HRESULT files_copy_finish(const struct files *f, struct files_copy_state *copy);

/* From and to the state that the host keeps. */
HRESULT files_copy_read(const struct files *f, const struct vss_state *state,
                        struct files_copy_state *copy);
HRESULT files_copy_write(const struct files *f, const struct files_copy_state *copy,
                         struct vss_state *state);

/* The last digits of its scsi_id. */
const char *files_copy_serial(const struct files_copy_state *copy);

/* start and poll of ResyncLuns. */
HRESULT files_resync(void *self, const struct vss_call *call, const void *in, void *out);

#endif
