/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_LUN_TRANSPORT_ISCSI_H
#define LUNSHADOW_LUN_TRANSPORT_ISCSI_H

#include "lun/scsi.h"

#include <stddef.h>

/* iSCSI sessions by libiscsi. A session that is lost stays lost: what is behind the address of a
 * new one may be another LUN, so reconnecting is for callers that identify it again. */
enum iscsi_digest { ISCSI_DIGEST_OFFERED, ISCSI_DIGEST_NONE, ISCSI_DIGEST_CRC32C };

struct iscsi_options {
    const char *portal; /* "host:port" */
    const char *target; /* iSCSI name; not looked at for a discovery */
    const char *initiator;
    const char *user;   /* NULL or "": no CHAP */
    const char *secret; /* goes nowhere but into the login */
    enum iscsi_digest header_digest;
    uint32_t timeout_ms; /* for connecting and logging in, all tries together */
};

/* A LUN's number (up to 16383) as the first two bytes of a LUN field, which libiscsi and programs
 * that are built on it want in its place: peripheral addressing below 256, flat space above (SAM-5
 * 4.7). */
uint16_t iscsi_lun_field(uint64_t lun);

/* Connects and logs in; a connection that is refused or breaks meanwhile is tried 3 times;
 * redirections by the target are followed. VSS_E_OBJECT_NOT_FOUND: portal unreachable or target
 * unknown to this initiator; E_ACCESSDENIED: login refused; VSS_E_UNEXPECTED: the target speaks no
 * iSCSI, or not in time. LUN numbers above 16383 are refused by each command's result. Close with
 * scsi_close(). */
HRESULT iscsi_open(const struct iscsi_options *options, struct scsi_transport **out,
                   struct error *err);

/* SendTargets: the names of all targets that this initiator is shown, each once, in the portal's
 * order. *out is an array of *out_count malloc'ed strings (NULL when there are none). Codes of
 * iscsi_open(). */
HRESULT iscsi_discover(const struct iscsi_options *options, char ***out, size_t *out_count,
                       struct error *err);

#endif
