/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_LUN_PIPELINE_H
#define LUNSHADOW_LUN_PIPELINE_H

#include "lun/lun.h"

/* A LUN or an image file through which many reads and writes are under way at a time: a LUN over
 * several sessions (paths), an image file by read-ahead. All in bytes, one thread. Unlike a
 * block_device it does not go on after anything unusual: a lost session or a unit attention (the
 * LUN, its reservation or its target was changed or reset) loses the whole pipeline, because the
 * LUN behind a path may be another one by then. Whoever opened it identifies it anew. */
struct pipeline;

enum pipeline_op {
    PIPELINE_READ,
    PIPELINE_WRITE,
    PIPELINE_ZERO, /* unmaps what the device can, and the rest reads as zero too; no data */
    PIPELINE_FLUSH /* makes durable what was answered before it was submitted */
};

/* The caller fills the first part, which stays where it is until on_done. */
struct pipeline_request {
    enum pipeline_op op;
    uint64_t offset; /* a multiple of block_bytes */
    uint32_t bytes;  /* 1..max_bytes, a multiple of block_bytes; a read's may end within the last
                        block, and room is needed for the whole of it; not looked at by FLUSH */
    void *data;
    void (*on_done)(struct pipeline_request *request); /* may submit more */
    void *user;

    HRESULT result; /* of a failure the first text is in pipeline.err */

    struct { /* the pipeline's */
        struct scsi_command command;
        struct scsi_retry retry;
        struct pipeline_request *next;
        struct pipeline *owner;
        size_t path;
        uint32_t done_bytes; /* by the commands before this one */
    } own;
};

struct pipeline_ops {
    void (*submit)(struct pipeline *pipeline, struct pipeline_request *request);
    void (*poll)(struct pipeline *pipeline);
    size_t (*waits)(struct pipeline *pipeline, struct scsi_transport **out, size_t capacity,
                    uint32_t *timeout_ms);
    HRESULT (*map)(struct pipeline *pipeline, uint64_t offset);
    void (*drop)(struct pipeline *pipeline);
    void (*close)(struct pipeline *pipeline);
};

/* A stretch that is all data, or all known to read as zero without reading it. */
struct pipeline_run {
    uint64_t end;
    bool is_hole;
};
#define PIPELINE_RUNS 256

#define PIPELINE_BLOCK_MAX 65536u /* no device has larger blocks */

struct pipeline {
    const struct pipeline_ops *ops;
    const char *name; /* for messages, without secrets */
    uint64_t bytes;
    uint32_t block_bytes;
    uint32_t max_bytes; /* of one request: a power of two from PIPELINE_BLOCK_MAX on, so that it is
                           whole blocks of any other device too */
    bool can_zero;      /* PIPELINE_ZERO works here */
    bool is_lost;       /* requests fail; nothing is under way any more */
    size_t in_flight;   /* requests submitted and not done */
    struct pipeline_request *refused; /* submitted, and no whole blocks */
    struct error err;                 /* of the first request that failed */
    bool can_map;                     /* holes are known: see pipeline_run_at() */
    uint64_t runs_begin;              /* what runs[] begins at */
    size_t run_count;
    size_t run_at; /* where the last look ended: looks go forward */
    struct pipeline_run runs[PIPELINE_RUNS];
};

#define PIPELINE_PATHS_MAX 8
struct pipeline_options {
    const struct lun_options *lun; /* may be NULL */
    bool is_read_only;
    /* 1..8 sessions of a LUN, which have to show the same one: VSS_E_PROVIDER_VETO. A LUN that has
     * no designator that counts is read through one, and not written to through several. */
    uint32_t paths;
    /* NULL: whatever is there; else each session must show this LUN: VSS_E_PROVIDER_VETO, also
     * where it cannot be known, because this one has no designator that counts. */
    const struct vss_lun_info *expected;
    /* After each session is open and identified, before anything else; may be NULL. */
    HRESULT (*on_path)(void *user, struct lun *path, struct error *err);
    void *user;
};

/* name: a LUN's URL, or the path of a raw image file or local block device. Codes of lun_open() and
 * block_open_file(). Closing loses what is under way, so let it end first. */
HRESULT pipeline_open(const char *name, const struct pipeline_options *options,
                      struct pipeline **out, struct error *err);
void pipeline_close(struct pipeline *pipeline); /* NULL is harmless */

/* Never fails: what cannot be sent ends, during pipeline_turn(), with a failed result; E_INVALIDARG
 * for what is no whole blocks: the nearest ones are neither read nor written in their place. */
void pipeline_submit(struct pipeline *pipeline, struct pipeline_request *request);

/* Waits up to timeout_ms for something to end in either of them (b may be NULL), and runs what is
 * done. */
void pipeline_turn(struct pipeline *a, struct pipeline *b, uint32_t timeout_ms);

/* Closes all sessions: what is under way ends with a failure during this call, and its data are not
 * touched any more. Whether the device still does it is not known. */
void pipeline_drop(struct pipeline *pipeline);

/* What lies at offset. Holes are believed of a LUN only where LBPRZ says that unmapped blocks read
 * as zero, and of a file where its filesystem knows. *out_end: where that ends; all is data up to
 * the end where nothing is known. */
void pipeline_run_at(struct pipeline *pipeline, uint64_t offset, bool *out_is_hole,
                     uint64_t *out_end);
/* What was known of holes is as old as the look at it, and writes change it: forgets it all. */
void pipeline_forget_runs(struct pipeline *pipeline);

#endif
