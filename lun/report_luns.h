/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_LUN_REPORT_LUNS_H
#define LUNSHADOW_LUN_REPORT_LUNS_H

#include "lun/scsi.h"

/* Asks the target of session for its LUNs (REPORT LUNS, SPC-4 6.33; LUN 0 answers). *out_numbers:
 * *out_count numbers below 16384 that can be addressed, rising, none twice; freed with free(); of
 * no LUNs too. Well-known LUNs are no disks, and passed over. out_left_out: E_NOTIMPL where others
 * are listed that cannot be addressed, each of which may be any disk; the text has the first one's
 * form and field; else untouched. An answer that says more than arrived is asked for once more with
 * room for 16384 LUNs. VSS_E_UNEXPECTED: the list does not fit what arrived; codes of scsi_error();
 * both outputs are then NULL and 0. */
HRESULT report_luns(struct scsi_transport *session, uint64_t **out_numbers, size_t *out_count,
                    struct error *out_left_out, struct error *err);

#endif
