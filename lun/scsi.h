/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_LUN_SCSI_H
#define LUNSHADOW_LUN_SCSI_H

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* SCSI commands over any transport. A transport is one I_T nexus (one session to one target); the
 * LUN is named per command, so one session scans and drives all LUNs of its target. Not
 * thread-safe: one thread at a time per transport. Sources: SPC-4, SBC-3, SAM-5. */

enum scsi_direction { SCSI_NO_DATA, SCSI_DATA_IN, SCSI_DATA_OUT };

#define SCSI_STATUS_GOOD                 0x00
#define SCSI_STATUS_CHECK_CONDITION      0x02
#define SCSI_STATUS_BUSY                 0x08
#define SCSI_STATUS_RESERVATION_CONFLICT 0x18
#define SCSI_STATUS_TASK_SET_FULL        0x28

#define SCSI_SENSE_NO_SENSE        0x0
#define SCSI_SENSE_RECOVERED_ERROR 0x1
#define SCSI_SENSE_NOT_READY       0x2
#define SCSI_SENSE_MEDIUM_ERROR    0x3
#define SCSI_SENSE_ILLEGAL_REQUEST 0x5
#define SCSI_SENSE_UNIT_ATTENTION  0x6
#define SCSI_SENSE_DATA_PROTECT    0x7

#define SCSI_DEFAULT_TIMEOUT_MS 10000

struct scsi_sense_code {
    uint8_t key;
    uint8_t asc;
    uint8_t ascq;
    /* The command was done all the same (SPC-4 4.5.6): RECOVERED ERROR or NO SENSE, of this command
     * and not of an earlier one (deferred), with nothing else set. */
    bool is_completed;
};

/* One command. The caller fills the first part; it and the data stay where they are until done. */
struct scsi_command {
    uint64_t lun;
    uint8_t cdb[16];
    uint8_t cdb_bytes; /* 6, 10, 12 or 16 */
    enum scsi_direction direction;
    void *data;
    uint32_t data_bytes;
    uint32_t timeout_ms;                                       /* 0: SCSI_DEFAULT_TIMEOUT_MS */
    void (*on_done)(struct scsi_command *command, void *user); /* may be NULL; may submit more */
    void *user;
    bool ends_at_attention; /* scsi_run() does not send it again after a unit attention */

    bool done;
    HRESULT result; /* S_OK: a status arrived (any); else the transport failed or timed out */
    uint8_t status; /* SAM status */
    struct scsi_sense_code sense; /* where status is CHECK CONDITION */
    uint32_t transferred_bytes;   /* of data; less than data_bytes on a short answer */
    uint32_t duration_us;         /* of the last attempt */
    uint8_t attempts;             /* kept by scsi_run() */

    struct { /* the transport's while the command is submitted */
        struct scsi_command *next;
        struct scsi_command *previous;
        struct scsi_transport *owner;
        void *task;
        uint64_t started_us;
        uint64_t deadline_us;
    } transport;
};

struct scsi_transport;

struct scsi_transport_ops {
    /* Starts a command. Its result arrives during a poll, never inside submit. A failure to start
     * is a result too: submit itself cannot fail. */
    void (*submit)(struct scsi_transport *transport, struct scsi_command *command);
    /* Waits up to timeout_ms for something to happen and runs what is done. A failure means that
     * the transport is lost: every submitted command has then its (failed) result, and its data are
     * never touched again; later commands fail the same way. A command past its timeout is such a
     * failure. */
    HRESULT (*poll)(struct scsi_transport *transport, uint32_t timeout_ms, struct error *err);
    void (*close)(struct scsi_transport *transport);
    /* For scsi_wait_any(); NULL: never waited for. The descriptor that poll would wait for and, in
     * *out_events, its poll(2) events; *timeout_ms becomes less where a command expires sooner. -1:
     * poll has something to do right now. */
    int (*descriptor)(struct scsi_transport *transport, short *out_events, uint32_t *timeout_ms);
};

/* The head of every transport's own structure. */
struct scsi_transport {
    const struct scsi_transport_ops *ops;
    const char *name;       /* for messages: "iscsi://host:port/target" without user and secret */
    uint32_t max_in_flight; /* commands worth having outstanding, >= 1 */
    uint32_t attentions;    /* unit attentions that scsi_run() met here, of any LUN: behind a number
                               may be another LUN since */
    bool has_remarked;      /* a command that was done all the same was told of */
    bool is_cut;            /* lost because the other end closed it, not for want of an answer */
};

/* Runs commands to their end with up to window (and max_in_flight, and 256) of them outstanding.
 * Unit attention is retried up to 4 times, BUSY and TASK SET FULL up to 8 times with a growing
 * pause; a command that was done, but whose data stayed away because sense data came, up to 4
 * times; on_done is called once, after the last try. A unit attention that a command ends at ends
 * the run too: what is under way gets its result, what is not sent, or waits to be sent again, gets
 * E_ABORT. Returns S_OK when every command has a result (look at each), else the transport's
 * failure: then every command that had not ended carries it as its result. */
HRESULT scsi_run(struct scsi_transport *transport, struct scsi_command *commands, size_t count,
                 uint32_t window, struct error *err);

/* Waits up to timeout_ms until the poll of any of up to 16 transports has something to do, so that
 * one thread drives several: then poll each with a timeout of 0. */
void scsi_wait_any(struct scsi_transport *const *transports, size_t count, uint32_t timeout_ms);

/* How often a command was sent again. Starts all-zero. */
struct scsi_retry {
    uint64_t at_us; /* clock_monotonic_us() before which it shall not be sent again */
    uint8_t attentions;
    uint8_t busies;
    uint8_t withheld; /* its data came to nothing beside sense data */
};

/* True where the LUN answered with a unit attention: it, its reservations or its target changed. */
bool scsi_is_attention(const struct scsi_command *command);

/* True where a command that has ended shall be sent again: the rule of scsi_run(). */
bool scsi_retry_wanted(struct scsi_retry *retry, const struct scsi_command *command);

/* Runs one command and judges it: S_OK on GOOD; else the mapping of scsi_error(). */
HRESULT scsi_execute(struct scsi_transport *transport, struct scsi_command *command,
                     struct error *err);

/* What a finished command means: S_OK; E_NOTIMPL (05/20 the LUN has no such command);
 * E_ACCESSDENIED (reservation conflict, write protected); VSS_E_OBJECT_NOT_FOUND (05/25/00 no such
 * LUN); VSS_E_INSUFFICIENT_STORAGE (07/27/07); VSS_E_UNEXPECTED for the rest. The text names
 * transport, LUN, command, sense in words and digits.
 */
HRESULT scsi_error(const struct scsi_transport *transport, const struct scsi_command *command,
                   struct error *err);

/* scsi_error(), and VSS_E_UNEXPECTED too where less than all of the data was moved. */
HRESULT scsi_error_or_short(const struct scsi_transport *transport,
                            const struct scsi_command *command, struct error *err);

void scsi_close(struct scsi_transport *transport); /* NULL is harmless */

/* For transports: what raw sense data say, fixed or descriptor format; false, and all-zero, where
 * length bytes are neither. */
bool scsi_sense_parse(const uint8_t *sense, size_t length, struct scsi_sense_code *out);

/* For transports: ends a command: sets done, traces it, calls on_done. Sense data of a command that
 * was done all the same make it GOOD; but one that reads stays as it is, and is to be sent again,
 * because a transport does not tell how much of its data came. The first such is logged. */
void scsi_finish(struct scsi_transport *transport, struct scsi_command *command);

/* CDB builders: they clear *c and fill its first part. Lengths in bytes, blocks and LBAs as named.
 */
void scsi_build_test_unit_ready(struct scsi_command *c, uint64_t lun);
void scsi_build_inquiry(struct scsi_command *c, uint64_t lun, int vpd_page /* -1: standard */,
                        void *data, uint16_t bytes);
void scsi_build_read_capacity16(struct scsi_command *c, uint64_t lun, void *data, uint32_t bytes);
void scsi_build_report_luns(struct scsi_command *c, void *data, uint32_t bytes);
void scsi_build_read16(struct scsi_command *c, uint64_t lun, uint64_t lba, uint32_t blocks,
                       uint32_t block_bytes, void *data);
void scsi_build_write16(struct scsi_command *c, uint64_t lun, uint64_t lba, uint32_t blocks,
                        uint32_t block_bytes, const void *data, bool force_unit_access);
void scsi_build_synchronize_cache(struct scsi_command *c, uint64_t lun);
/* GET LBA STATUS (SBC-3 5.8). */
void scsi_build_lba_status(struct scsi_command *c, uint64_t lun, uint64_t lba, void *data,
                           uint32_t bytes);
/* WRITE SAME(16) with the UNMAP bit (SBC-3 5.50): the LUN unmaps what it can and writes the rest;
 * block is one block of zeros. */
void scsi_build_write_same16_unmap(struct scsi_command *c, uint64_t lun, uint64_t lba,
                                   uint32_t blocks, uint32_t block_bytes, const void *block);

/* Persistent reservations (SPC-4 5.13). Type 5: write exclusive, registrants only. */
#define SCSI_PR_WRITE_EXCLUSIVE_REGISTRANTS_ONLY 0x5
#define SCSI_PR_KEYS_MAX                         4096u /* that are asked for */
HRESULT scsi_pr_register(struct scsi_transport *transport, uint64_t lun, uint64_t old_key,
                         uint64_t new_key, struct error *err);
HRESULT scsi_pr_reserve(struct scsi_transport *transport, uint64_t lun, uint64_t key,
                        struct error *err);
HRESULT scsi_pr_release(struct scsi_transport *transport, uint64_t lun, uint64_t key,
                        struct error *err);
HRESULT scsi_pr_preempt(struct scsi_transport *transport, uint64_t lun, uint64_t key,
                        uint64_t victim_key, struct error *err);
/* PREEMPT AND ABORT: what the victim had under way is not written any more. A LUN that has only
 * PREEMPT gets that. */
HRESULT scsi_pr_preempt_and_abort(struct scsi_transport *transport, uint64_t lun, uint64_t key,
                                  uint64_t victim_key, struct error *err);
/* *out_key: of the nexus that holds the reservation, *out_type: its type. S_FALSE, and both 0,
 * where nothing is reserved. */
HRESULT scsi_pr_read_reservation(struct scsi_transport *transport, uint64_t lun, uint64_t *out_key,
                                 uint8_t *out_type, struct error *err);
/* keys may be NULL when capacity is 0; *out_count is how many there are, up to
 * SCSI_PR_KEYS_MAX. */
HRESULT scsi_pr_read_keys(struct scsi_transport *transport, uint64_t lun, uint64_t *keys,
                          size_t capacity, size_t *out_count, struct error *err);

#endif
