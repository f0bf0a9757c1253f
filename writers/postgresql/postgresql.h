/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_WRITERS_POSTGRESQL_H
#define LUNSHADOW_WRITERS_POSTGRESQL_H

#include "common/error.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

/* One PostgreSQL server as its writer sees it. */

struct postgresql {
    PGconn *connection; /* NULL: none */
    bool uses_backup_mode;
    bool is_in_backup;
    uint64_t system_identifier;
    char *data_directory;
    char **tablespaces; /* their directories */
    size_t tablespace_count;
};

/* ---- server.c ---- */

/* Connects as libpq's environment says, where that is not done yet. The connection is kept: backup
 * mode ends with it. */
HRESULT server_connect(struct postgresql *pg, struct error *err);
void server_disconnect(struct postgresql *pg);

/* Connects for a copy. E_INVALIDARG: the server is too old for backup mode. */
HRESULT server_begin(struct postgresql *pg, struct error *err);

/* Whose data these are: asked of the server; where it does not run, read from PGDATA. */
HRESULT server_examine(struct postgresql *pg, struct error *err);

/* Brings what is in memory to the disk; with backup mode also begins it. */
HRESULT server_prepare(struct postgresql *pg, struct error *err);

/* Whether it still stands. */
HRESULT server_check(struct postgresql *pg, struct error *err);

/* Ends backup mode. *out_label (malloc'ed) is what backup_label shall hold, and behind a line
 * "# tablespace_map" that file's content where there is one; *out_lsn the end of the backup. NULL
 * where backup mode is not used. */
HRESULT server_finish(struct postgresql *pg, char **out_label, char **out_lsn, struct error *err);

/* Runs a command (NULL: none is set) and makes sure that the server is down, or up. */
HRESULT server_stop(struct postgresql *pg, const char *command, struct error *err);
HRESULT server_start(struct postgresql *pg, const char *command, struct error *err);

void server_forget(struct postgresql *pg); /* frees what server_examine() found */

#endif
