/* SPDX-License-Identifier: Apache-2.0 */
#include "registry_fixture.h"

#include "common/clock.h"
#include "common/id.h"
#include "lun/info.h"

#include <errno.h>
#include <ftw.h>
#include <grp.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

bool fixture_unmount(const char *path)
{
    int rc = umount2(path, 0);
    for (int i = 0; rc != 0 && errno == EBUSY && i < 3000; i++) {
        clock_sleep_ms(20);
        rc = umount2(path, 0);
    }
    return rc == 0;
}

char *fixture_directory(void)
{
    const char *base = getenv("TMPDIR");
    char *path = text_printf("%s/lunshadow-registry-XXXXXX", base ? base : "/tmp");
    assert_non_null(path);
    assert_non_null(mkdtemp(path));
    return path;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)st;
    (void)type;
    (void)where;
    return remove(path);
}

void fixture_remove(char *directory)
{
    assert_int_equal(nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
    free(directory);
}

const char *fixture_path(const char *directory, const char *name)
{
    static char paths[32][512];
    static unsigned next;
    char *path = paths[next++ % 32];
    (void)snprintf(path, sizeof(paths[0]), "%s/%s", directory, name);
    return path;
}

struct store *fixture_open(const char *directory)
{
    struct error err = {0};
    struct store *store = NULL;
    HRESULT hr = store_open(directory, &store, &err);
    if (FAILED(hr)) {
        print_error("%s: %s\n", vss_error_name(hr), error_text(&err));
    }
    assert_true(SUCCEEDED(hr));
    return store;
}

static sqlite3 *connect_raw(const char *directory)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(fixture_path(directory, "registry.db"), &db), SQLITE_OK);
    (void)sqlite3_busy_timeout(db, 10000);
    return db;
}

void fixture_sql(const char *directory, const char *sql)
{
    sqlite3 *db = connect_raw(directory);
    char *problem = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &problem) != SQLITE_OK) {
        fail_msg("%s: %s", sql, problem);
    }
    (void)sqlite3_close(db);
}

int64_t fixture_sql_number(const char *directory, const char *sql)
{
    sqlite3 *db = connect_raw(directory);
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t number = sqlite3_column_int64(statement, 0);
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(db);
    return number;
}

static char *text(const char *format, unsigned number)
{
    char buffer[128];
    (void)snprintf(buffer, sizeof(buffer), "%s %u", format, number);
    char *copy = strdup(buffer);
    assert_non_null(copy);
    return copy;
}

static void *zeroed(size_t count, size_t bytes)
{
    void *memory = calloc(count ? count : 1, bytes);
    assert_non_null(memory);
    return memory;
}

static void fill_info(struct vss_lun_info *info, unsigned seed)
{
    info->version = 1;
    info->command_queueing = 1;
    info->bus_type = VDSBusTypeiScsi;
    info->vendor_id = text("vendor \xc3\xa4", seed);
    info->product_id = text("product \"quoted\"", seed);
    info->serial_number = text("serial", seed);
    info->disk_signature = id_new();
    info->device_id.version = 1;
    info->device_id.identifier_count = 1;
    info->device_id.identifiers = zeroed(1, sizeof(*info->device_id.identifiers));
    struct vss_storage_identifier *identifier = &info->device_id.identifiers[0];
    identifier->code_set = VDSStorageIdCodeSetBinary;
    identifier->type = VDSStorageIdTypeFCPHName;
    identifier->identifier_bytes = 16;
    identifier->identifier = zeroed(16, 1);
    identifier->identifier[0] = 0x60;
    identifier->identifier[14] = (uint8_t)(seed >> 8);
    identifier->identifier[15] = (uint8_t)seed;
}

static void fill_ids(struct vss_disk_ids *ids, unsigned seed)
{
    ids->kind = VSS_DISK_LABEL_GPT;
    ids->mbr_signature = 0xdeadbeef ^ seed;
    ids->disk_guid = id_new();
    ids->partition_count = 2;
    ids->partitions = zeroed(2, sizeof(*ids->partitions));
    for (uint32_t i = 0; i < 2; i++) {
        ids->partitions[i].number = i + 1;
        ids->partitions[i].guid = id_new();
        ids->partitions[i].attributes = UINT64_C(0xf000000000000001) + i;
    }
}

static void fill_lun(struct lun_mapping *lun, unsigned seed)
{
    lun->provider = text("provider", seed);
    lun->array = text("array", seed);
    lun->source_url = text("iscsi://127.0.0.1:3260/iqn.x/", seed);
    fill_info(&lun->source, seed);
    fill_info(&lun->copy, seed + 1000);
    fill_ids(&lun->source_ids, seed);
    lun->block_bytes = 512;
    lun->block_count = UINT64_MAX - seed;
    lun->state_bytes = 5;
    lun->state = zeroed(5, 1);
    memcpy(lun->state, "a\0b\xff\0", 5);
    lun->is_empty = seed % 2 == 1;
}

static void fill_snapshot(struct snapshot_record *snapshot, unsigned seed, size_t index)
{
    snapshot->snapshot_id = id_new();
    snapshot->provider_id = id_new();
    snapshot->original_volume = text("volume; DROP TABLE sets; --'", seed);
    snapshot->exposed_path = text("/a \xe2\x82\xac", seed);
    snapshot->attributes = 0xffffffff;
    snapshot->status = VSS_SS_CREATED;
    snapshot->created = 133444736000000000 + (int64_t)index;
    snapshot->extent_count = index + 1;
    snapshot->extents = zeroed(index + 1, sizeof(*snapshot->extents));
    for (size_t i = 0; i <= index; i++) {
        snapshot->extents[i].lun_index = (uint32_t)(i % 2);
        snapshot->extents[i].first_lba = seed + i;
        snapshot->extents[i].block_count = UINT64_MAX - i;
        snapshot->extents[i].volume_offset_blocks = i * 2048;
    }
}

struct set_record fixture_set(unsigned seed, size_t snapshot_count)
{
    struct set_record set = {0};
    set.set_id = id_new();
    set.context = 0xfffffff9;
    set.originating_machine = text("here", seed);
    set.cut_us = UINT64_MAX - seed;
    set.hold_us = seed;
    set.lun_count = 2;
    set.luns = zeroed(2, sizeof(*set.luns));
    fill_lun(&set.luns[0], seed * 2);
    fill_lun(&set.luns[1], seed * 2 + 1);
    set.snapshot_count = snapshot_count;
    set.snapshots = zeroed(snapshot_count, sizeof(*set.snapshots));
    for (size_t i = 0; i < snapshot_count; i++) {
        fill_snapshot(&set.snapshots[i], seed, i);
    }
    return set;
}

static void assert_same_text(const char *a, const char *b)
{
    assert_int_equal(a == NULL, b == NULL);
    if (a) {
        assert_string_equal(a, b);
    }
}

static void assert_same_id(const VSS_ID *a, const VSS_ID *b)
{
    assert_true(id_equal(a, b));
}

static void assert_same_info(const struct vss_lun_info *a, const struct vss_lun_info *b)
{
    json_t *a_json = lun_info_to_json(a);
    json_t *b_json = lun_info_to_json(b);
    assert_non_null(a_json);
    assert_true(json_equal(a_json, b_json));
    json_decref(a_json);
    json_decref(b_json);
}

static void assert_same_lun(const struct lun_mapping *a, const struct lun_mapping *b)
{
    assert_same_text(a->provider, b->provider);
    assert_same_text(a->array, b->array);
    assert_same_text(a->source_url, b->source_url);
    assert_same_text(a->copy_url, b->copy_url);
    assert_same_info(&a->source, &b->source);
    assert_same_info(&a->copy, &b->copy);
    assert_true(disk_ids_equal(&a->source_ids, &b->source_ids));
    assert_true(disk_ids_equal(&a->copy_ids, &b->copy_ids));
    assert_true(a->block_bytes == b->block_bytes && a->block_count == b->block_count);
    assert_int_equal(a->state_bytes, b->state_bytes);
    assert_memory_equal(a->state, b->state, a->state_bytes);
    assert_int_equal(a->is_empty, b->is_empty);
}

static void assert_same_snapshot(const struct snapshot_record *a, const struct snapshot_record *b)
{
    assert_same_id(&a->snapshot_id, &b->snapshot_id);
    assert_same_id(&a->provider_id, &b->provider_id);
    assert_same_text(a->original_volume, b->original_volume);
    assert_same_text(a->device, b->device);
    assert_same_text(a->exposed_name, b->exposed_name);
    assert_same_text(a->exposed_path, b->exposed_path);
    assert_int_equal(a->attributes, b->attributes);
    assert_int_equal(a->status, b->status);
    assert_true(a->created == b->created);
    assert_int_equal(a->extent_count, b->extent_count);
    assert_memory_equal(a->extents, b->extents, a->extent_count * sizeof(*a->extents));
}

void fixture_assert_same(const struct set_record *a, const struct set_record *b)
{
    assert_same_id(&a->set_id, &b->set_id);
    assert_int_equal(a->context, b->context);
    assert_same_text(a->originating_machine, b->originating_machine);
    assert_same_text(a->service_machine, b->service_machine);
    assert_true(a->cut_us == b->cut_us && a->hold_us == b->hold_us);
    assert_int_equal(a->lun_count, b->lun_count);
    for (size_t i = 0; i < a->lun_count; i++) {
        assert_same_lun(&a->luns[i], &b->luns[i]);
    }
    assert_int_equal(a->snapshot_count, b->snapshot_count);
    for (size_t i = 0; i < a->snapshot_count; i++) {
        assert_same_snapshot(&a->snapshots[i], &b->snapshots[i]);
    }
}

int fixture_in_child(uid_t uid, int (*body)(const char *directory), const char *directory)
{
    int status = 0;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (uid != 0 && (setgroups(0, NULL) != 0 || setresgid(uid, uid, uid) != 0 ||
                         setresuid(uid, uid, uid) != 0)) {
            _exit(99);
        }
        _exit(body(directory));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

void fixture_write_file(const char *path, const void *bytes, size_t length)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

struct buffer fixture_read_file(const char *path)
{
    struct buffer bytes = BUFFER_INIT;
    char chunk[4096];
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    for (size_t got = fread(chunk, 1, sizeof(chunk), file); got > 0;
         got = fread(chunk, 1, sizeof(chunk), file)) {
        buffer_add(&bytes, chunk, got);
    }
    (void)fclose(file);
    return bytes;
}

void fixture_assert_refused(const char *directory, HRESULT expected)
{
    struct error err = {0};
    struct store *store = (struct store *)&err;
    HRESULT hr = store_open(directory, &store, &err);
    if (hr != expected) {
        fail_msg("%s instead of %s: %s", vss_error_name(hr), vss_error_name(expected),
                 error_text(&err));
    }
    assert_null(store);
    assert_int_equal(err.code, expected);
    assert_non_null(strstr(err.text, directory));
}

void fixture_save_one(struct store *store, unsigned seed)
{
    struct set_record set = fixture_set(seed, 1);
    struct error err = {0};
    if (FAILED(sets_save(store, &set, &err))) {
        fail_msg("%s", error_text(&err));
    }
    set_record_free(&set);
}

size_t fixture_count_sets(struct store *store)
{
    struct set_record *all;
    size_t count;
    assert_int_equal(sets_load_all(store, &all, &count, NULL), S_OK);
    sets_free_all(all, count);
    return count;
}
