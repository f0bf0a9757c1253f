/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_TESTS_FAKE_SESSION_H
#define LUNSHADOW_TESTS_FAKE_SESSION_H

#include "lun/lun.h"
#include "lun/scsi.h"

/* Sessions to an array that answers by the test's own function, in place of those that
 * lun_open_session() makes: link with --wrap=lun_open_session. */

#define FAKE_INQUIRY     0x12
#define FAKE_SYNCHRONIZE 0x35
#define FAKE_READ_16     0x88
#define FAKE_WRITE_16    0x8a
#define FAKE_SERVICE_IN  0x9e
#define FAKE_REPORT_LUNS 0xa0
#define FAKE_CAPACITY_16 0x10 /* service action of FAKE_SERVICE_IN */

/* The test's: what the array does with a command, whose result is S_OK and status GOOD. One in each
 * poll. */
extern void (*fake_answer)(struct scsi_command *command);

/* The test's, or NULL: why a session to this address cannot be opened; S_OK: it can. */
extern HRESULT (*fake_refuse_session)(const struct lun_address *address);

/* Data for the command, as much as it has room for. */
void fake_give(struct scsi_command *command, const void *data, size_t bytes);
void fake_refuse(struct scsi_command *command); /* ILLEGAL REQUEST */

/* INQUIRY of a disk: standard data, pages 00, 80, 83 and B0. */
struct fake_disk {
    uint8_t id;           /* the last byte of its NAA */
    uint32_t most_blocks; /* in one command; 0: any */
};
void fake_answer_inquiry(struct scsi_command *command, const struct fake_disk *disk);

/* READ CAPACITY(16). */
void fake_answer_capacity(struct scsi_command *command, uint64_t blocks, uint32_t block_bytes);

#endif
