/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_DRILL_POSTGRESQL_INTERNAL_H
#define LUNSHADOW_DRILL_POSTGRESQL_INTERNAL_H

#include "drill/internal.h"
#include "drill/postgresql.h"
#include "drill/postgresql_load.h"

#include <lunshadow/vss.h>

enum pg_volume_use { PG_DATA, PG_WAL, PG_VOLUMES };

/* A LUN with a filesystem on its only partition, which this host mounts through an export. */
struct pg_volume {
    const char *name; /* static: "data" */
    struct raw_address address;
    char *url;
    char *file;        /* the LUN's, of the array */
    char *export_path; /* directory of the export */
    char *mount_path;
    struct vss_lun_info info;
    bool is_exported;
    bool is_mounted;
};

/* A server of the drill's own: one cluster, reached through one socket. */
struct pg_server {
    char *programs; /* directory of initdb, pg_ctl, ... */
    char *sockets;  /* directory of the socket and the server's log */
    char *data;     /* data directory, on the first volume */
    char *wal;      /* on the second */
    bool may_run;   /* it was started and not seen to be down since */
};

struct pg_drill {
    struct drill base; /* what array and client of the requester API need of one */
    struct pg_volume volumes[PG_VOLUMES];
    struct pg_server server;
    struct load *load;
    VSS_ID set_id;
    VSS_ID snapshots[PG_VOLUMES];
    char *xml;
    bool has_set;           /* to be deleted */
    uint64_t before_cut_us; /* a moment before the cut, and one after it */
    uint64_t after_cut_us;
    uint64_t recovery_us;   /* RecoverSet alone */
    uint64_t check_us;      /* pg_volumes_check() */
    uint64_t down_since_us; /* PreRestore began */
};

/* ---- LUNs as filesystems (postgresql_volumes.c) ---- */

/* New LUNs with new filesystems, mounted. */
HRESULT pg_volumes_make(struct pg_drill *p, struct error *err);
HRESULT pg_volumes_export(struct pg_drill *p, struct error *err);

/* What this host reads of the exports is what the LUNs have, every byte: nothing is from before.
 * Before they are mounted. */
HRESULT pg_volumes_check(struct pg_drill *p, struct error *err);
HRESULT pg_volumes_mount(struct pg_drill *p, struct error *err);

/* And ends the exports. */
HRESULT pg_volumes_unmount(struct pg_drill *p, struct error *err);
void pg_volumes_free(struct pg_drill *p);

/* ---- the server (postgresql_server.c) ---- */

/* Is all here that this drill needs? E_INVALIDARG, E_ACCESSDENIED: what is missing. */
HRESULT pg_server_find(struct pg_server *s, struct error *err);
HRESULT pg_server_make(struct pg_drill *p, struct error *err);
void pg_server_kill(struct pg_drill *p); /* at once, whatever becomes of its data */
void pg_server_free(struct pg_server *s);
bool pg_server_answers(const struct pg_server *s);

/* A command line that reads statements; out has room for 16 words. */
void pg_server_psql(const struct pg_server *s, const char *out[16]);

/* Runs statements; *out (may be NULL) is what they print, malloc'ed, without a line's end. */
HRESULT pg_server_ask(const struct pg_server *s, const char *statements, char **out,
                      struct error *err);
HRESULT pg_server_amcheck(const struct pg_server *s, struct error *err);

/* The writer's file in the array's writers.d. */
HRESULT pg_server_add_writer(struct pg_drill *p, struct error *err);

/* ---- the requester API (postgresql_sets.c) ---- */

HRESULT pg_create(struct pg_drill *p, struct error *err);

/* The code of a RecoverSet that is tried while the filesystems are mounted. */
HRESULT pg_recover_mounted(struct pg_drill *p, struct error *err);

/* PreRestore, unmounting, RecoverSet, mounting, PostRestore. */
HRESULT pg_recover(struct pg_drill *p, struct error *err);
HRESULT pg_delete(struct pg_drill *p, struct error *err);

#endif
