/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_PROVIDER_H
#define LUNSHADOW_PROVIDER_H

/* The hardware provider interface: all that a plug-in for an array needs.
 *
 * A plug-in is a shared object that exports one function, lunshadow_provider_entry(), which returns
 * a constant table. Every callback in the table has one shape: (self, call, in, out) -> HRESULT, in
 * and out being the structures named beside the operation below. A plug-in links nothing of
 * lunshadow: what it needs from its host is in call->host.
 *
 * Lifetimes: what `in` points to lives for the call. What `out` points to must come from
 * call->host->alloc() and lives until the host has read it. Nothing else crosses. A callback may
 * meet a new process at each call: what must be remembered between calls goes into the per-LUN
 * state, which the host stores durably and hands back.
 *
 * Results: S_OK, or the failures listed at each operation; E_OUTOFMEMORY, E_INVALIDARG and
 * VSS_E_PROVIDER_VETO are allowed everywhere. Any other code reaches the requester as
 * VSS_E_UNEXPECTED_PROVIDER_ERROR, except from AbortSnapshots and OnUnload, whose codes change
 * nothing. Say what went wrong with call->host->error() before returning a failure.
 *
 * ABI 0.10, append-only since 0.9: what stands here stays where it is. A structure with a
 * struct_size may grow at its end and is as long as struct_size says: read or write nothing behind
 * that. Structures that stand in arrays never grow; their reserved fields, zero today, may get a
 * meaning. What is promised: lunshadow-provider(7). Source: IVssHardwareSnapshotProviderEx,
 * IVssProviderCreateSnapshotSet, IVssProviderNotifications. */

#include <lunshadow/lun.h>
#include <lunshadow/vss.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a table says that it is, the ABI of this header, and the name of the plug-in's one export.
 */
#define VSS_PROVIDER_MAGIC        0x4c554e5348414457ull /* "LUNSHADW" */
#define VSS_PROVIDER_ABI_MAJOR    0u
#define VSS_PROVIDER_ABI_MINOR    10u
#define VSS_PROVIDER_ENTRY_SYMBOL "lunshadow_provider_entry"

/* The most bytes of state a provider may keep per LUN or per resync. */
#define VSS_PROVIDER_STATE_BYTES_MAX 4096u

/* The most extents that one answer to ListChanges may name. */
#define VSS_PROVIDER_EXTENTS_MAX 65536u

struct vss_call;
struct vss_hold;
struct vss_host_lun;

/* Opaque to the host. data NULL with bytes 0: no state (as output: unchanged). */
struct vss_state {
    uint32_t bytes;
    uint32_t reserved;
    const uint8_t *data;
};

/* ---- host services --------------------------------------------------------------------------- */

/* A process on this host that stops serving I/O while it is stopped. */
struct vss_hold_target {
    int32_t pid;
    uint32_t reserved;
};

/* Microseconds of CLOCK_MONOTONIC. */
struct vss_hold_report {
    uint64_t held_at_us;
    uint64_t released_at_us;
};

/* How much a line of vss_host.log matters. */
enum vss_log_level { VSS_LOG_ERROR = 0, VSS_LOG_WARNING = 1, VSS_LOG_INFO = 2, VSS_LOG_DEBUG = 3 };

/* lun_open(): without it every write is refused. */
#define VSS_HOST_LUN_WRITE 1u

/* What lun_open() found. */
struct vss_host_lun_info {
    uint32_t struct_size; /* set by the plug-in: sizeof(struct vss_host_lun_info) */
    uint32_t block_bytes;
    uint64_t block_count;
    const struct vss_lun_info *info; /* identity as read at opening; lives until lun_close() */
};

/* clang-format would tear the long function pointers apart. */
/* clang-format off */
struct vss_host {
    uint32_t struct_size;
    uint16_t abi_major; /* what the host speaks: the VSS_PROVIDER_ABI_* it was built with */
    uint16_t abi_minor;

    /* Zeroed memory that lives until the host has read this call's output; NULL when memory is
     * short. 0 bytes give a valid pointer. Aligned for any type. */
    void *(*alloc)(const struct vss_call *call, uint64_t bytes);

    /* One line, no newline, no secrets. */
    void (*log)(const struct vss_call *call, uint32_t level, const char *line);

    /* The plain line that goes with the failure about to be returned: which LUN, what to do next.
     * The first one of a call counts. Also becomes an event in the registry. */
    void (*error)(const struct vss_call *call, const char *line);

    /* A value from the plug-in's own [array] section, NULL where it is absent. Lives for the call.
     */
    const char *(*config)(const struct vss_call *call, const char *key);

    /* Holds I/O: stops the processes through a helper that releases them whatever happens to the
     * caller, at deadline_ms (1..10000) at the latest. Only within CommitSnapshots. Returns when
     * all are held. VSS_E_HOLD_WRITES_TIMEOUT where one would not stop. */
    HRESULT (*hold_begin)(const struct vss_call *call, const struct vss_hold_target *targets,
                          uint32_t target_count, uint32_t deadline_ms, struct vss_hold **out_hold);

    /* Ends it and frees hold; must be called once for each hold. VSS_E_HOLD_WRITES_TIMEOUT where
     * the deadline came first, VSS_E_UNEXPECTED where somebody else ended it: what was copied is
     * not a point in time, and CommitSnapshots must fail. Where it does not, the host fails it with
     * VSS_E_HOLD_WRITES_TIMEOUT. */
    HRESULT (*hold_end)(const struct vss_call *call, struct vss_hold *hold, struct vss_hold_report
                        *out_report);

    /* Microseconds of CLOCK_MONOTONIC: the clock of first_cut_us, last_cut_us and struct
     * vss_hold_report. */
    uint64_t (*now_us)(const struct vss_call *call);

    /* Opens a LUN by its address (as in vss_luns_in.devices; names and secrets for the portal come
     * from the host's configuration) in a session of its own. flags: 0 or VSS_HOST_LUN_WRITE. What
     * is still open when the callback returns is closed by the host. Not within CommitSnapshots,
     * where I/O is held (E_INVALIDARG). VSS_E_OBJECT_NOT_FOUND: no such portal, target or LUN;
     * E_ACCESSDENIED: login refused. info may be NULL. */
    HRESULT (*lun_open)(const struct vss_call *call, const char *device, uint32_t flags, struct
                        vss_host_lun **out_lun, struct vss_host_lun_info *info);

    /* blocks of block_bytes each, from or to data. E_INVALIDARG: a range past the end, nothing was
     * moved; E_ACCESSDENIED: opened without VSS_HOST_LUN_WRITE; VSS_E_UNEXPECTED: the LUN failed. A
     * write is not durable until the LUN has been closed with S_OK. */
    HRESULT (*lun_read)(const struct vss_call *call, struct vss_host_lun *lun, uint64_t lba,
                        uint32_t blocks, void *data);
    HRESULT (*lun_write)(const struct vss_call *call, struct vss_host_lun *lun, uint64_t lba,
                         uint32_t blocks, const void *data);

    /* Flushes what was written, ends the session and frees lun, also where it fails. */
    HRESULT (*lun_close)(const struct vss_call *call, struct vss_host_lun *lun);
};
/* clang-format on */

struct vss_call {
    uint32_t struct_size;
    uint32_t deadline_ms; /* the host gives the call up after so long; 0: no limit */
    const struct vss_host *host;
    const char *array; /* NAME of the [array NAME] section */
    void *host_data;   /* the host's own */
};

/* ---- operations --------------------------------------------------------------------------------
 */

/* The callbacks, each with its structures: an index into vss_provider_table.ops. */
enum vss_provider_op {
    VSS_OP_ON_LOAD = 0,                /* optional; vss_on_load_in, vss_on_load_out */
    VSS_OP_ON_UNLOAD = 1,              /* optional; vss_on_unload_in, no out (NULL) */
    VSS_OP_GET_CAPABILITIES = 2,       /* mandatory; no in (NULL), vss_capabilities_out */
    VSS_OP_ARE_LUNS_SUPPORTED = 3,     /* mandatory; vss_luns_in, vss_supported_out */
    VSS_OP_FILL_IN_LUN_INFO = 4,       /* mandatory; vss_luns_in (1 LUN), vss_supported_out */
    VSS_OP_BEGIN_PREPARE_SNAPSHOT = 5, /* mandatory; vss_luns_in, vss_states_out */
    VSS_OP_END_PREPARE_SNAPSHOTS = 6,  /* mandatory; vss_set_in, vss_states_out; as all below */
    VSS_OP_PRE_COMMIT_SNAPSHOTS = 7,
    VSS_OP_COMMIT_SNAPSHOTS = 8,
    VSS_OP_POST_COMMIT_SNAPSHOTS = 9,
    VSS_OP_PRE_FINAL_COMMIT_SNAPSHOTS = 10,
    VSS_OP_POST_FINAL_COMMIT_SNAPSHOTS = 11,
    VSS_OP_ABORT_SNAPSHOTS = 12,
    VSS_OP_GET_TARGET_LUNS = 13,     /* mandatory; vss_set_in, vss_target_luns_out */
    VSS_OP_LOCATE_LUNS = 14,         /* mandatory; vss_set_in, vss_states_out */
    VSS_OP_ON_LUN_EMPTY = 15,        /* mandatory; vss_set_in (1 LUN), no out */
    VSS_OP_ON_LUN_STATE_CHANGE = 16, /* mandatory; vss_state_change_in, vss_states_out */
    VSS_OP_RESYNC_START = 17,        /* optional: without it the array cannot resync; vss_resync_in,
                                        vss_resync_out; poll and cancel come with it */
    VSS_OP_RESYNC_POLL = 18,
    VSS_OP_RESYNC_CANCEL = 19,
    VSS_OP_ON_REUSE_LUNS = 20, /* optional, reserved; vss_set_in, vss_states_out */
    VSS_OP_LIST_CHANGES = 21,  /* optional, since 0.10; vss_changes_in, vss_changes_out */
    VSS_OP_COUNT = 22
};

/* Any callback. self: what OnLoad set. call: this call and the host's services, valid until it
 * returns. in, out: the operation's structures. */
typedef HRESULT (*vss_provider_callback)(void *self, const struct vss_call *call, const void *in,
                                         void *out);

/* OnLoad: before any other callback in a process. Sets *self; failing means the plug-in is not
 * used. */
struct vss_on_load_in {
    uint32_t struct_size;
    uint32_t reserved;
};

/* What OnLoad gives back. */
struct vss_on_load_out {
    uint32_t struct_size;
    uint32_t reserved;
    void *self; /* handed to every later callback; may stay NULL */
};

/* OnUnload: self is not used afterwards. S_FALSE (stay loaded) only where is_forced is 0. */
struct vss_on_unload_in {
    uint32_t struct_size;
    uint32_t is_forced;
};

/* Answers about what the array can do. EMULATED: not by itself, but the host may do it by other
 * means: a resync by reading the copies and writing the destinations, RESYNC_START is then not
 * called; what it needs are copies that LocateLuns shows, and PRE_RECOVERY. */
enum vss_capability {
    VSS_CAPABILITY_NO = 0,
    VSS_CAPABILITY_EMULATED = 1,
    VSS_CAPABILITY_NATIVE = 2
};

/* GetCapabilities. */
struct vss_capabilities_out {
    uint32_t struct_size;
    uint32_t reserved;
    uint32_t differential; /* enum vss_capability, as the next ones */
    uint32_t plex;
    uint32_t resync;         /* RESYNC_START copies a snapshot over another LUN */
    uint32_t mask;           /* DO_MASK_LUNS */
    uint32_t read_only;      /* copies can be made read-only */
    uint32_t consistent_set; /* all LUNs of a set are cut at one point in time. NATIVE: by itself;
                                EMULATED: while the plug-in holds them, which Commit must report;
                                NO: a set gets one LUN of the array */
    uint32_t resize;         /* a resync destination larger than its source is made as large */
    uint32_t max_snapshots_per_lun; /* 0: no limit of its own */
    char *description;              /* one line for listings: array, version, how copies are made */
};

/* AreLunsSupported (all LUNs of one volume), FillInLunInfo (one LUN), BeginPrepareSnapshot (all
 * LUNs of one volume of the set; the same LUN may come again for another volume). Further allowed
 * failures of the last: VSS_E_MAXIMUM_NUMBER_OF_VOLUMES_REACHED,
 * VSS_E_MAXIMUM_NUMBER_OF_SNAPSHOTS_REACHED, VSS_E_NESTED_VOLUME_LIMIT,
 * VSS_E_VOLUME_NOT_SUPPORTED_BY_PROVIDER, VSS_E_UNSUPPORTED_CONTEXT, VSS_E_INSUFFICIENT_STORAGE. */
struct vss_luns_in {
    uint32_t struct_size;
    uint32_t context;   /* enum vss_snapshot_context and attribute bits; 0 for FillInLunInfo */
    VSS_ID set_id;      /* BeginPrepareSnapshot, else null */
    VSS_ID snapshot_id; /* likewise */
    uint32_t lun_count; /* >= 1 */
    uint32_t reserved;
    const char *const *devices;      /* lun_count addresses as the host reached them, no secrets */
    const struct vss_lun_info *luns; /* lun_count */
};

/* AreLunsSupported: is_supported 1 only where ALL LUNs can be copied under this context now.
 * FillInLunInfo: 1 where the LUN is this array's; foreign LUNs are S_OK and 0, never a failure. An
 * array that cannot be asked is one: 0 would say that it was, and does not have the LUN.
 * luns: NULL, or lun_count corrected infos (interconnects must stay as they were). */
struct vss_supported_out {
    uint32_t struct_size;
    uint32_t is_supported;
    struct vss_lun_info *luns;
};

/* One original LUN of a set, each once however many volumes lie on it. */
struct vss_set_lun {
    VSS_ID snapshot_id;              /* the (first) snapshot it belongs to */
    const char *device;              /* as in vss_luns_in; NULL where the original is not at hand */
    struct vss_lun_info source;      /* the original */
    struct vss_lun_info destination; /* the copy, from GetTargetLuns on; else all-zero */
    struct vss_state state;          /* what the provider last returned for it */
    uint64_t reserved[4];            /* 0 */
};

/* EndPrepareSnapshots .. PostFinalCommitSnapshots, AbortSnapshots: the LUNs of the set that belong
 * to this provider. EndPrepare may take long and finishes all slow preparation. PreCommit (seconds
 * at most) flushes, checks, and vetoes a commit that it foresees too slow. Commit runs while I/O is
 * to be held: it must take under a second and write nothing to the originals. PostCommit makes the
 * copies durable before they count. Abort arrives after EndPrepare in any state, perhaps twice,
 * perhaps in a new process, and leaves nothing behind. OnLunEmpty deletes one copy. LocateLuns
 * shows the copies, read/write, to `initiator` and to nobody else; no bus rescan.
 * VSS_E_OBJECT_NOT_FOUND, VSS_E_INSUFFICIENT_STORAGE, VSS_E_FLUSH_WRITES_TIMEOUT (PreCommit),
 * VSS_E_HOLD_WRITES_TIMEOUT (Commit) and, up to PostCommit, VSS_E_REBOOT_REQUIRED (the machine must
 * be restarted before it works again) are further allowed failures of these. VSS_E_OBJECT_NOT_FOUND
 * is believed: of OnLunEmpty the copy then counts as deleted, of LocateLuns none is left. */
struct vss_set_in {
    uint32_t struct_size;
    uint32_t context;
    VSS_ID set_id;
    uint32_t lun_count;
    uint32_t snapshot_count; /* shadow copies (volumes) of the set on these LUNs; 0 where it does
                                not apply */
    const struct vss_set_lun *luns;
    const char *initiator; /* LocateLuns: this host's iSCSI initiator name; else NULL */
};

/* New states; those with data NULL stay as they were. states: NULL, or lun_count of them.
 * first_cut_us and last_cut_us: CommitSnapshots only: when the first and the last LUN were cut;
 * hold: as hold_end() reported it. 0 where unknown. */
struct vss_states_out {
    uint32_t struct_size;
    uint32_t reserved;
    struct vss_state *states;
    uint64_t first_cut_us;
    uint64_t last_cut_us;
    struct vss_hold_report hold;
};

/* GetTargetLuns: one info per LUN of vss_set_in, complete (pages 80 and 83 as the copy will show
 * them), version 1, disk_signature null; at least one page-83 designator that identifies the copy
 * uniquely and is not the original's. The copies need not be visible yet. Asked again before an
 * import, and before a resync of the one copy that is about to be read. VSS_E_OBJECT_NOT_FOUND is a
 * further allowed failure, where none of them is left; it is believed. */
struct vss_target_luns_out {
    uint32_t struct_size;
    uint32_t reserved;
    struct vss_lun_info *luns;
};

/* OnLunStateChange. flags: exactly one of enum vss_hardware_options' VSS_ONLUNSTATECHANGE_*:
 * DO_MASK_LUNS hides the copies from every initiator and closes their sessions, deleting nothing;
 * PRE_RECOVERY and READ_WRITE make them writable, POST_RECOVERY read-only. For a resync the LUNs
 * are its destinations: luns[i].source is the destination's own identity, luns[i].destination
 * all-zero; PRE_RECOVERY before, POST_RECOVERY after, and a provider that fences other initiators
 * does so between the two. VSS_E_OBJECT_NOT_FOUND is a further allowed failure. */
struct vss_state_change_in {
    uint32_t struct_size;
    uint32_t flags;
    uint32_t is_resync;
    uint32_t reserved;
    uint64_t reserved_more[4]; /* 0 */
    struct vss_set_in set;     /* last, so that it can grow */
};

/* ResyncLuns: copies luns[i].snapshot over luns[i].destination inside the array, index by index.
 * start begins and returns, or fails where a copy is gone; poll says how far it is; cancel stops
 * it, which leaves destinations invalid (the host knows), and of a resync that the array does not
 * know is VSS_E_OBJECT_NOT_FOUND. The first and last blocks (labels) are copied last: a destination
 * whose copy is unfinished must not look valid. A destination larger than its source is made as
 * large. VSS_E_INSUFFICIENT_STORAGE, VSS_E_OBJECT_NOT_FOUND are further allowed failures. Of start
 * VSS_E_OBJECT_NOT_FOUND (a copy or a destination is gone) says since 0.10 that it has written
 * nothing and will not: the host then gives the destinations their labels back. */
struct vss_resync_lun {
    struct vss_lun_info snapshot; /* the copy (source of the resync), as GetTargetLuns gave it */
    struct vss_lun_info destination;
    struct vss_state snapshot_state; /* as last stored for the copy */
    uint64_t edge_bytes;             /* what counts as label at each end of the disk */
    uint64_t reserved[4];            /* 0 */
};

/* RESYNC_START, RESYNC_POLL, RESYNC_CANCEL: what is asked. */
struct vss_resync_in {
    uint32_t struct_size;
    uint32_t lun_count;
    VSS_ID resync_id;
    const struct vss_resync_lun *luns;
    struct vss_state state; /* poll, cancel: as start or the last poll returned it; of cancel empty
                               where the answer to start was lost */
};

/* What they answer; of cancel nothing is read. */
struct vss_resync_out {
    uint32_t struct_size;
    uint32_t is_done; /* poll: 1 at the end; start may finish at once */
    struct vss_state state;
    uint64_t bytes_total; /* body and edges of all LUNs */
    uint64_t bytes_done;
    char *method; /* one line: how it was copied ("reflink, 412 extents") */
};

/* A range of a LUN's bytes. */
struct vss_extent {
    uint64_t offset;
    uint64_t bytes; /* > 0 */
};

/* ListChanges: where a resync's destination may hold other bytes than the copy. Asked where the
 * host copies by itself (capability EMULATED): it then reads and writes there, and elsewhere only a
 * sample of what the answer promises to be equal. Nobody writes meanwhile: it comes with the
 * destination fenced, its cache flushed and nothing written by the resync yet. To name too much
 * costs time, to name too little costs data; where there is doubt, is_known stays 0.
 * VSS_E_OBJECT_NOT_FOUND is a further allowed failure. */
struct vss_changes_in {
    uint32_t struct_size;
    uint32_t extent_max;              /* 1..VSS_PROVIDER_EXTENTS_MAX */
    uint64_t from_byte;               /* 0, then the last answer's next_byte */
    const struct vss_resync_lun *lun; /* the copy and its destination */
};

/* All between from_byte and next_byte that lies in none of the extents is equal. */
struct vss_changes_out {
    uint32_t struct_size;
    uint32_t is_known;     /* 0: it cannot be said of this pair, and nothing else is read */
    uint32_t extent_count; /* 0..extent_max */
    uint32_t reserved;
    struct vss_extent *extents; /* ascending, none over another, all from from_byte on */
    uint64_t next_byte;         /* > from_byte; at the end: the copy's length, or more */
};

/* ---- the table ---------------------------------------------------------------------------------
 */

/* How callbacks may be called. */
enum vss_thread_model {
    VSS_THREADS_SERIALIZED = 0 /* one call at a time per process; the only one so far */
};

/* What a plug-in is and can do. Constant: it may lie in read-only memory. */
struct vss_provider_table {
    uint64_t magic;       /* VSS_PROVIDER_MAGIC */
    uint32_t struct_size; /* sizeof(struct vss_provider_table) as the plug-in was compiled */
    uint16_t abi_major;   /* VSS_PROVIDER_ABI_MAJOR */
    uint16_t abi_minor;
    VSS_ID provider_id; /* stable over versions */
    VSS_ID version_id;  /* one per released version */
    const char *name;
    const char *version;
    int32_t type;          /* VSS_PROV_HARDWARE */
    uint32_t thread_model; /* enum vss_thread_model */
    uint32_t op_count;     /* VSS_OP_COUNT as the plug-in was compiled */
    uint32_t reserved;
    const vss_provider_callback *ops; /* by enum vss_provider_op; NULL: not implemented */
};

/* What the plug-in exports. The table lives as long as the plug-in is loaded. */
typedef const struct vss_provider_table *(*vss_provider_entry)(void);

#ifdef __cplusplus
}
#endif

#endif
