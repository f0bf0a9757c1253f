/* SPDX-License-Identifier: Apache-2.0 */
/* lunshadow-bench-query: Query and the walk through its enumerator over 10,000 snapshots, beside a
 * bare SELECT of the same rows, in turns. Needs no array; runs alone. */
#include "bench/times.h"
#include "common/buffer.h"
#include "common/id.h"
#include "common/process.h"
#include "registry/sets.h"

#include <lunshadow/requester.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROUNDS = 31, SETS = 1250, SNAPSHOTS = 8 };
#define GOAL_MS 50.0

static void need(bool holds, const char *what)
{
    if (!holds) {
        (void)fprintf(stderr, "%s failed\n", what);
        exit(1);
    }
}

/* ---- what is asked for ---- */

static void fill_lun(struct lun_mapping *lun, unsigned number)
{
    lun->provider = text_copy("{6f1d0c5e-2b7a-4e0b-9a41-3d8e57c2107b}");
    lun->array = text_copy("array");
    lun->source_url = text_printf("iscsi://127.0.0.1:3260/iqn.2026-01.org.example:a/%u", number);
    lun->copy_url = text_printf("iscsi://127.0.0.1:3260/iqn.2026-01.org.example:c/%u", number);
    lun->block_bytes = 512;
    lun->block_count = 2048;
}

static void fill_snapshot(struct snapshot_record *snapshot, unsigned number)
{
    snapshot->snapshot_id = id_new();
    snapshot->provider_id = id_new();
    snapshot->original_volume =
        text_printf("iscsi://127.0.0.1:3260/iqn.2026-01.org.example:a/%u#1", number);
    snapshot->device = text_printf("iscsi://127.0.0.1:3260/iqn.2026-01.org.example:c/%u#1", number);
    snapshot->attributes = VSS_CTX_NAS_ROLLBACK;
    snapshot->status = VSS_SS_CREATED;
    snapshot->created = 133444736000000000;
    snapshot->extents = calloc(1, sizeof(*snapshot->extents));
    snapshot->extent_count = 1;
    snapshot->extents[0] = (struct volume_extent){.lun_index = number, .block_count = 1024};
}

static void save_set(struct store *store)
{
    struct set_record set = {.set_id = id_new(), .context = VSS_CTX_NAS_ROLLBACK};
    set.originating_machine = text_copy("host.example.org");
    set.service_machine = text_copy("host.example.org");
    set.snapshots = calloc(SNAPSHOTS, sizeof(*set.snapshots));
    set.luns = calloc(SNAPSHOTS, sizeof(*set.luns));
    need(set.snapshots && set.luns, "memory");
    set.snapshot_count = SNAPSHOTS;
    set.lun_count = SNAPSHOTS;
    for (unsigned i = 0; i < SNAPSHOTS; i++) {
        fill_lun(&set.luns[i], i);
        fill_snapshot(&set.snapshots[i], i);
    }
    need(SUCCEEDED(sets_save(store, &set, NULL)), "saving a set");
    set_record_free(&set);
}

static void save_sets(const char *directory)
{
    struct store *store = NULL;
    need(SUCCEEDED(store_open(directory, &store, NULL)), "a registry");
    need(SUCCEEDED(store_begin(store, NULL)), "a transaction");
    for (int i = 0; i < SETS; i++) {
        save_set(store);
    }
    need(SUCCEEDED(store_commit(store, NULL)), "a transaction");
    store_close(store);
}

/* ---- both ways ---- */

static double ask(struct vss_backup_components *session, double *out_walk_ms)
{
    struct vss_enum_object *objects = NULL;
    struct vss_object_prop object;
    uint32_t fetched = 0;
    size_t count = 0;
    double start = now_ms();
    need(SUCCEEDED(vss_backup_components_query(session, NULL, VSS_OBJECT_NONE, VSS_OBJECT_SNAPSHOT,
                                               &objects)),
         "Query");
    double asked = now_ms();
    while (vss_enum_object_next(objects, 1, &object, &fetched) == S_OK) {
        vss_free_object_properties(&object);
        count++;
    }
    *out_walk_ms = now_ms() - asked;
    vss_enum_object_release(objects);
    need(count == (size_t)SETS * SNAPSHOTS, "finding all snapshots");
    return asked - start;
}

static double select_rows(sqlite3 *db)
{
    sqlite3_stmt *statement = NULL;
    int columns = 0;
    double start = now_ms();
    need(sqlite3_prepare_v2(db,
                            "SELECT snapshot_id, provider_id, original_volume, device, "
                            "exposed_name, exposed_path, attributes, status, created FROM "
                            "snapshots ORDER BY set_seq, snapshot_index",
                            -1, &statement, NULL) == SQLITE_OK,
         "a statement");
    while (sqlite3_step(statement) == SQLITE_ROW) {
        for (int i = 0; i < sqlite3_column_count(statement); i++) {
            columns += sqlite3_column_text(statement, i) != NULL;
        }
    }
    (void)sqlite3_finalize(statement);
    need(columns > SETS * SNAPSHOTS, "reading rows");
    return now_ms() - start;
}

static void print_cell(double *times)
{
    qsort(times, ROUNDS, sizeof(*times), by_value);
    (void)printf("%.1f ms (%.1f .. %.1f)", times[ROUNDS / 2], times[0], times[ROUNDS - 1]);
}

static void compare(const char *directory, const char *config)
{
    struct vss_session_options options = VSS_SESSION_OPTIONS_INIT;
    struct vss_backup_components *session = NULL;
    double asked[ROUNDS];
    double walked[ROUNDS];
    double bare[ROUNDS];
    sqlite3 *db = NULL;
    char *path = text_printf("%s/registry.db", directory);
    options.state_directory = directory;
    options.config_path = config;
    need(SUCCEEDED(vss_create_backup_components(&options, &session, NULL)), "a session");
    need(SUCCEEDED(vss_backup_components_initialize_for_backup(session, NULL)), "a session");
    need(SUCCEEDED(vss_backup_components_set_context(session, VSS_CTX_ALL)), "a session");
    need(path && sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK, path);
    for (int i = 0; i < ROUNDS; i++) {
        asked[i] = ask(session, &walked[i]);
        bare[i] = select_rows(db);
    }
    (void)printf("| Query over %d snapshots in %d sets | ", SETS * SNAPSHOTS, SETS);
    print_cell(asked);
    (void)printf(" | ");
    print_cell(bare);
    (void)printf(" | %.2f | <= %.0f ms: %s |\n", asked[ROUNDS / 2] / bare[ROUNDS / 2], GOAL_MS,
                 asked[ROUNDS / 2] <= GOAL_MS ? "held" : "MISSED");
    (void)printf("| Next over all of them | ");
    print_cell(walked);
    (void)printf(" | - | - | - |\n");
    (void)sqlite3_close(db);
    free(path);
    vss_backup_components_release(session);
}

int main(void)
{
    const char *base = getenv("TMPDIR");
    char *directory = text_printf("%s/lunshadow-bench-XXXXXX", base ? base : "/tmp");
    need(directory && mkdtemp(directory), "a directory");
    char *config = text_printf("%s/lunshadow.conf", directory);
    FILE *file = config ? fopen(config, "we") : NULL;
    need(file && fclose(file) == 0, "a configuration");
    save_sets(directory);
    (void)puts("| what | lunshadow: median (min .. max) | bare SELECT | ratio | goal |\n"
               "|---|---|---|---|---|");
    compare(directory, config);
    const char *const argv[] = {"rm", "-rf", directory, NULL};
    (void)process_run(argv, 10000, NULL, NULL);
    free(config);
    free(directory);
    return 0;
}
