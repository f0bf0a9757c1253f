/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_CLI_WRITER_VIEW_H
#define LUNSHADOW_CLI_WRITER_VIEW_H

#include "cli/command.h"

#include <lunshadow/requester.h>

/* How the writers of a session stand, gathered anew. */
struct writer_row {
    VSS_ID instance_id;
    VSS_ID class_id;
    char *name;
    int32_t state; /* enum vss_writer_state */
    HRESULT failure;
    HRESULT application;
    char *message;
};

struct writer_rows {
    struct writer_row *items;
    size_t count;
};

/* *out all-zero on failure; else freed by writer_rows_free(). */
HRESULT writer_rows_gather(struct vss_backup_components *session, struct writer_rows *out,
                           struct error *err);
void writer_rows_free(struct writer_rows *rows);

/* The failure of the first writer that has one, its line and how many more there are in err; S_OK
 * where all are well. */
HRESULT writer_rows_check(struct vss_backup_components *session, struct error *err);
/* The same; a signal does not cancel it. */
HRESULT writer_rows_check_to_end(struct vss_backup_components *session, struct error *err);

const char *writer_state_name(int32_t state); /* "waiting for thaw"; never NULL */

#endif
