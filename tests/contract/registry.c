/* SPDX-License-Identifier: Apache-2.0 */
/* What is answered from the registry alone, and what needs neither a registry nor an array. */
#include "contract/contract.h"

#include "common/id.h"
#include "unit/registry_fixture.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static VSS_ID snapshot_id; /* a completed copy that the registry has */
static VSS_ID set_id;      /* its set */
static const VSS_ID stranger = {1, 2, 3, {4}};

static void ready_for_all(struct trial *t)
{
    trial_context(t, VSS_CTX_ALL);
}

static HRESULT create(struct trial *t, unsigned null)
{
    struct vss_session_options options = VSS_SESSION_OPTIONS_INIT;
    options.config_path = t->bench->config;
    options.state_directory = t->bench->state;
    return vss_create_backup_components(&options, null == 1 ? NULL : &t->session, NULL);
}

/* ---- query and properties ---- */

static HRESULT query(struct trial *t, unsigned null)
{
    return vss_backup_components_query(null == 1 ? NULL : t->session, NULL, VSS_OBJECT_NONE,
                                       VSS_OBJECT_SNAPSHOT, null == 2 ? NULL : &t->objects);
}

static HRESULT get_properties(struct trial *t, unsigned null)
{
    return vss_backup_components_get_snapshot_properties(null == 1 ? NULL : t->session,
                                                         null == 2 ? NULL : &snapshot_id,
                                                         null == 3 ? NULL : &t->snapshot);
}

/* ---- enumerators ---- */

static void ready_enumerator(struct trial *t)
{
    ready_for_all(t);
    trial_must(t, query(t, 0));
}

static HRESULT next(struct trial *t, unsigned null)
{
    uint32_t fetched = 0;
    return vss_enum_object_next(null == 1 ? NULL : t->objects, 1, null == 2 ? NULL : &t->object,
                                null == 3 ? NULL : &fetched);
}

static HRESULT skip_one(struct trial *t, unsigned null)
{
    return vss_enum_object_skip(null == 1 ? NULL : t->objects, 1);
}

static HRESULT reset(struct trial *t, unsigned null)
{
    return vss_enum_object_reset(null == 1 ? NULL : t->objects);
}

static HRESULT clone(struct trial *t, unsigned null)
{
    return vss_enum_object_clone(null == 1 ? NULL : t->objects, null == 2 ? NULL : &t->clone);
}

/* ---- break and delete, on the registry's side ---- */

static HRESULT break_set(struct trial *t, unsigned null)
{
    return vss_backup_components_break_snapshot_set(null == 1 ? NULL : t->session,
                                                    null == 2 ? NULL : &set_id);
}

static HRESULT break_set_ex(struct trial *t, unsigned null)
{
    return trial_finish(t, vss_backup_components_break_snapshot_set_ex(
                               null == 1 ? NULL : t->session, null == 2 ? NULL : &set_id, 0,
                               null == 3 ? NULL : &t->async));
}

static HRESULT delete_set(struct trial *t, unsigned null)
{
    int32_t deleted = 0;
    return vss_backup_components_delete_snapshots(
        null == 1 ? NULL : t->session, null == 2 ? NULL : &set_id, VSS_OBJECT_SNAPSHOT_SET, false,
        null == 3 ? NULL : &deleted, null == 4 ? NULL : &t->id);
}

/* ---- paths ---- */

static HRESULT get_paths(struct trial *t, unsigned null)
{
    char *prefix = NULL;
    HRESULT hr = vss_backup_components_get_root_and_logical_prefix_paths(
        null == 1 ? NULL : t->session, null == 2 ? NULL : "/etc/passwd", false,
        null == 3 ? NULL : &t->text, null == 4 ? NULL : &prefix);
    vss_free_string(prefix);
    return hr;
}

static const struct method methods[] = {
    {"Query", WORKS | MEMORY | NULLS | RIGHTS | DAMAGE | UNBEGUN, 0, 2, 0, ready_for_all, query},
    {"GetSnapshotProperties", WORKS | MEMORY | NULLS | RIGHTS | DAMAGE | UNBEGUN, 0, 3, 0,
     ready_for_all, get_properties},
    {"EnumObject Next", WORKS | MEMORY | NULLS, E_POINTER, 3, 0, ready_enumerator, next},
    {"EnumObject Skip", WORKS, 0, 0, 0, ready_enumerator, skip_one},
    {"EnumObject Reset", WORKS, 0, 0, 0, ready_enumerator, reset},
    {"EnumObject Clone", WORKS | MEMORY | NULLS, E_POINTER, 2, 0, ready_enumerator, clone},
    {"BreakSnapshotSet", NULLS | RIGHTS | DAMAGE, 0, 2, 0, ready_for_all, break_set},
    {"BreakSnapshotSetEx", NULLS | RIGHTS | DAMAGE, 0, 3, 0, ready_for_all, break_set_ex},
    {"DeleteSnapshots", NULLS | RIGHTS | DAMAGE, 0, 4, 0, ready_for_all, delete_set},
    {"GetRootAndLogicalPrefixPaths", WORKS | MEMORY | NULLS, 0, 4, 0, trial_backup, get_paths},
};

static void try_what_is_not_there(const struct bench *b)
{
    struct trial t = {.bench = b};
    int32_t deleted = 0;
    ready_for_all(&t);
    contract_expect_on(&t, "Query",
                       vss_backup_components_query(t.session, &snapshot_id, VSS_OBJECT_SNAPSHOT,
                                                   VSS_OBJECT_SNAPSHOT, &t.objects),
                       E_INVALIDARG);
    contract_expect_on(
        &t, "GetSnapshotProperties",
        vss_backup_components_get_snapshot_properties(t.session, &stranger, &t.snapshot),
        VSS_E_OBJECT_NOT_FOUND);
    contract_expect_on(&t, "BreakSnapshotSet",
                       vss_backup_components_break_snapshot_set(t.session, &stranger),
                       VSS_E_OBJECT_NOT_FOUND);
    contract_expect_on(
        &t, "BreakSnapshotSetEx",
        vss_backup_components_break_snapshot_set_ex(t.session, &stranger, 0, &t.async),
        VSS_E_OBJECT_NOT_FOUND);
    contract_expect_on(
        &t, "BreakSnapshotSetEx",
        vss_backup_components_break_snapshot_set_ex(
            t.session, &set_id,
            VSS_BREAKEX_FLAG_REVERT_IDENTITY_ALL | VSS_BREAKEX_FLAG_REVERT_IDENTITY_NONE, &t.async),
        E_INVALIDARG);
    contract_expect_on(&t, "DeleteSnapshots",
                       vss_backup_components_delete_snapshots(
                           t.session, &stranger, VSS_OBJECT_SNAPSHOT, false, &deleted, &t.id),
                       VSS_E_OBJECT_NOT_FOUND);
    contract_expect_on(&t, "DeleteSnapshots",
                       vss_backup_components_delete_snapshots(
                           t.session, &set_id, VSS_OBJECT_PROVIDER, false, &deleted, &t.id),
                       E_INVALIDARG);
    trial_drop(&t);
}

/* ---- the thread's model ---- */

static void try_models(void)
{
    contract_expect("CoInitializeEx", vss_co_initialize_ex(NULL, COINIT_MULTITHREADED), S_OK, "");
    contract_expect("CoInitializeEx", vss_co_initialize_ex(NULL, COINIT_MULTITHREADED), S_FALSE,
                    "");
    contract_expect("CoInitializeEx", vss_co_initialize_ex(NULL, COINIT_APARTMENTTHREADED),
                    RPC_E_CHANGED_MODE, "");
    vss_co_uninitialize();
    vss_co_uninitialize();
    contract_expect("CoInitializeEx", vss_co_initialize_ex(NULL, COINIT_APARTMENTTHREADED), S_OK,
                    "");
    vss_co_uninitialize();
}

/* The copies are the fixture's: no array has them. */
static void save_copies(const struct bench *b)
{
    struct store *store = fixture_open(b->state);
    struct set_record set = fixture_set(1, 2);
    snapshot_id = set.snapshots[0].snapshot_id;
    set_id = set.set_id;
    contract_check(sets_save(store, &set, NULL) == S_OK, "a set is saved");
    set_record_free(&set);
    store_close(store);
}

/* ---- a registry that cannot be written -------------------------------------------------------
 */

static const struct {
    const char *heading;
    HRESULT (*call)(struct trial *t, unsigned null);
} reading[] = {{"Query", query}, {"GetSnapshotProperties", get_properties}},
  writing[] = {{"DeleteSnapshots", delete_set},
               {"BreakSnapshotSet", break_set},
               {"BreakSnapshotSetEx", break_set_ex}};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* What only reads goes on; what writes says code. */
static void try_unwritable(const struct bench *b, size_t methods_count, HRESULT code)
{
    for (size_t i = 0; i < COUNT(reading); i++) {
        struct trial t = {.bench = b};
        ready_for_all(&t);
        contract_expect_on(&t, reading[i].heading, reading[i].call(&t, 0), S_OK);
        trial_drop(&t);
    }
    for (size_t i = 0; i < methods_count; i++) {
        struct trial t = {.bench = b};
        ready_for_all(&t);
        contract_expect_on(&t, writing[i].heading, writing[i].call(&t, 0), code);
        trial_drop(&t);
    }
}

/* As if it had never been: the set's array, which is not configured here, is what is missing. */
static void expect_as_before(const struct bench *b)
{
    struct trial t = {.bench = b};
    ready_for_all(&t);
    contract_expect_on(&t, "DeleteSnapshots", delete_set(&t, 0), VSS_E_PROVIDER_VETO);
    trial_drop(&t);
}

static bool fill(const char *path)
{
    static const char bytes[4096];
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    ssize_t written = 1;
    while (fd >= 0 && written > 0) {
        written = write(fd, bytes, sizeof(bytes));
    }
    return fd >= 0 && close(fd) == 0;
}

static void try_full_filesystem(void)
{
    struct bench b;
    char filler[600];
    bench_start(&b);
    (void)snprintf(filler, sizeof(filler), "%s/filler", b.state);
    if (mkdir(b.state, 0700) != 0 ||
        mount("tmpfs", b.state, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=0700") != 0) {
        (void)printf("skipped: only root mounts a filesystem that is full\n");
        bench_stop(&b);
        return;
    }
    save_copies(&b);
    struct trial open = {.bench = &b}; /* keeps the log, so that others need no room to read */
    ready_for_all(&open);
    contract_check(fill(filler), "a filesystem is filled");
    try_unwritable(&b, COUNT(writing), VSS_E_UNEXPECTED);
    trial_drop(&open);
    contract_check(fill(filler), "a filesystem is filled again");
    contract_expect("CreateVssBackupComponents", create(&open, 0), VSS_E_UNEXPECTED, "");
    trial_drop(&open);
    contract_check(unlink(filler) == 0, "room is made");
    expect_as_before(&b);
    contract_check(fixture_unmount(b.state), "the filesystem is unmounted");
    bench_stop(&b);
}

static void try_read_only_filesystem(void)
{
    struct bench b;
    struct trial t = {.bench = &b};
    bench_start(&b);
    save_copies(&b);
    if (mount(b.state, b.state, NULL, MS_BIND, NULL) != 0 ||
        mount(NULL, b.state, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) != 0) {
        (void)printf("skipped: only root mounts a filesystem that is read-only\n");
        bench_stop(&b);
        return;
    }
    contract_expect("CreateVssBackupComponents", create(&t, 0), E_ACCESSDENIED, "");
    trial_drop(&t);
    contract_check(fixture_unmount(b.state), "the filesystem is unmounted");
    expect_as_before(&b);
    bench_stop(&b);
}

/* False where the filesystem has no such flag, or we may not set it. */
static bool set_immutable(const struct bench *b, bool value)
{
    static const char *const names[] = {"registry.db", "registry.db-wal"};
    bool is_set = true;
    for (size_t i = 0; i < COUNT(names); i++) {
        char path[600];
        int flags = 0;
        (void)snprintf(path, sizeof(path), "%s/%s", b->state, names[i]);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        bool is_known = fd >= 0 && ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0;
        flags = value ? flags | FS_IMMUTABLE_FL : flags & ~FS_IMMUTABLE_FL;
        is_set = is_known && ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0 && is_set;
        (void)close(fd);
    }
    return is_set;
}

/* Under sessions that are open: what was writable and is not any more. */
static void try_immutable_file(void)
{
    struct bench b;
    bench_start(&b);
    save_copies(&b);
    struct trial open = {.bench = &b}; /* its log is there, and stays */
    ready_for_all(&open);
    contract_expect_on(&open, "Query", query(&open, 0), S_OK);
    if (set_immutable(&b, true)) {
        contract_expect_on(&open, "DeleteSnapshots", delete_set(&open, 0), VSS_E_UNEXPECTED);
        contract_expect_on(&open, "BreakSnapshotSet", break_set(&open, 0), VSS_E_UNEXPECTED);
        contract_expect_on(&open, "BreakSnapshotSetEx", break_set_ex(&open, 0), VSS_E_UNEXPECTED);
        vss_enum_object_release(open.objects);
        open.objects = NULL;
        contract_expect_on(&open, "Query", query(&open, 0), S_OK);
    } else {
        (void)printf("skipped: no file can be made immutable here\n");
    }
    (void)set_immutable(&b, false);
    trial_drop(&open);
    expect_as_before(&b);
    bench_stop(&b);
}

/* Another process in the middle of a change that does not end, until `end` is closed. */
static pid_t lock_elsewhere(const struct bench *b, int *out_end)
{
    int ready[2];
    int end[2];
    char byte = 0;
    contract_check(pipe2(ready, O_CLOEXEC) == 0 && pipe2(end, O_CLOEXEC) == 0, "pipes");
    (void)fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        char path[600];
        sqlite3 *db = NULL;
        (void)close(end[1]);
        (void)snprintf(path, sizeof(path), "%s/registry.db", b->state);
        bool is_locked = sqlite3_open(path, &db) == SQLITE_OK &&
                         sqlite3_exec(db, "BEGIN EXCLUSIVE", NULL, NULL, NULL) == SQLITE_OK;
        byte = is_locked ? 'y' : 'n';
        _exit(write(ready[1], &byte, 1) == 1 && read(end[0], &byte, 1) == 0 ? 0 : 1);
    }
    (void)close(ready[1]);
    (void)close(end[0]);
    contract_check(child > 0 && read(ready[0], &byte, 1) == 1 && byte == 'y',
                   "another process locks the registry");
    (void)close(ready[0]);
    *out_end = end[1];
    return child;
}

/* One method: each waits ten seconds. */
static void try_locked_registry(void)
{
    struct bench b;
    int end = -1;
    bench_start(&b);
    save_copies(&b);
    pid_t child = lock_elsewhere(&b, &end);
    try_unwritable(&b, 1, VSS_E_UNEXPECTED);
    (void)close(end);
    (void)waitpid(child, NULL, 0);
    expect_as_before(&b);
    bench_stop(&b);
}

int main(void)
{
    struct bench b;
    contract_begin("registry");
    bench_start(&b);
    save_copies(&b);
    CONTRACT_TRY(&b, methods);
    try_what_is_not_there(&b);
    try_models();
    bench_stop(&b);
    try_full_filesystem();
    try_read_only_filesystem();
    try_immutable_file();
    try_locked_registry();
    return contract_end();
}
