/* SPDX-License-Identifier: Apache-2.0 */
#include "provider/set/expose.h"

#include "common/buffer.h"
#include "common/config.h"
#include "common/id.h"
#include "common/log.h"
#include "lun/host/export.h"
#include "lun/host/filesystem.h"
#include "lun/host/loop.h"
#include "lun/host/mounts.h"
#include "lun/host_device.h"
#include "provider/helper.h"
#include "provider/set/call.h"
#include "provider/set/claim.h"
#include "registry/locks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER      "exposed"
#define LOCAL_BIT   ((uint32_t)VSS_VOLSNAP_ATTR_EXPOSED_LOCALLY)
#define LOOP_BLOCKS 4096u /* the largest block that a loop device has */
#define LOST_S      120u  /* how long a LUN may be without an answer */
#define LOST_MIN_S  2u
#define LOST_MAX_S  86400u

/* One exposure on its way. */
struct exposure {
    struct set_environment *env;
    struct set_record set;
    struct snapshot_record *snapshot; /* of set */
    char *path;                       /* without symbolic links */
    int mount_point;                  /* what path named when it was looked at; -1: nothing yet */
    char *directory;                  /* of its export */
};

static char *directory_of(const struct set_environment *env, const VSS_ID *snapshot_id)
{
    char id[ID_TEXT_BYTES];
    return text_printf("%s/" FOLDER "/%s", store_path(env->store), id_text(snapshot_id, id));
}

static void exposure_free(struct exposure *x)
{
    if (x->mount_point >= 0) {
        (void)close(x->mount_point);
    }
    free(x->directory);
    free(x->path);
    set_record_free(&x->set);
}

/* ---- what is there --------------------------------------------------------------------------- */

/* Does the text end so? */
static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text);
    size_t end_length = strlen(end);
    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

/* Is the mount at path that of the copy (S_OK; else S_FALSE)? It lies on a loop device over the
 * file of its export; whatever else is mounted there is somebody else's. */
static HRESULT find_mount(const VSS_ID *snapshot_id, const char *path, struct error *err)
{
    char id[ID_TEXT_BYTES];
    char wanted[sizeof("/" FOLDER "//disk") + ID_TEXT_BYTES];
    char file[LOOP_FILE_BYTES];
    struct host_mount mount;
    struct error why = {0};
    HRESULT hr = host_mount_find("/proc", path, &mount, &why);
    if (FAILED(hr)) {
        return hr == VSS_E_OBJECT_NOT_FOUND ? S_FALSE : error_set(err, hr, "%s", error_text(&why));
    }
    (void)snprintf(wanted, sizeof(wanted), "/" FOLDER "/%s/disk", id_text(snapshot_id, id));
    hr = strcmp(mount.path, path) == 0 ? loop_backing_file("/sys", mount.device, file, err)
                                       : S_FALSE;
    host_mount_free(&mount);
    return hr == S_OK && !ends_with(file, wanted) ? S_FALSE : hr;
}

HRESULT expose_find(const struct snapshot_record *snapshot, struct error *err)
{
    return (snapshot->attributes & LOCAL_BIT) && snapshot->exposed_name
               ? find_mount(&snapshot->snapshot_id, snapshot->exposed_name, err)
               : S_FALSE;
}

/* Mount, loop device (which goes with its last user), export: whatever of them is there. */
static HRESULT take_away(const struct set_environment *env, const VSS_ID *snapshot_id,
                         const char *path, struct error *err)
{
    char *directory = directory_of(env, snapshot_id);
    if (!directory) {
        return error_set(err, E_OUTOFMEMORY, "out of memory ending an exposure");
    }
    HRESULT hr = path ? find_mount(snapshot_id, path, err) : S_FALSE;
    if (hr == S_OK) {
        hr = filesystem_unmount(path, err);
    }
    if (SUCCEEDED(hr)) {
        hr = export_stop(directory, err);
    }
    free(directory);
    return hr;
}

static void forget(struct snapshot_record *snapshot)
{
    free(snapshot->exposed_name);
    snapshot->exposed_name = NULL;
    snapshot->attributes &= ~LOCAL_BIT;
}

HRESULT expose_end(struct set_environment *env, struct snapshot_record *snapshot, struct error *err)
{
    if (!(snapshot->attributes & LOCAL_BIT)) {
        return S_OK;
    }
    HRESULT hr = take_away(env, &snapshot->snapshot_id, snapshot->exposed_name, err);
    if (SUCCEEDED(hr)) {
        forget(snapshot);
    }
    return hr;
}

/* ---- after a crash --------------------------------------------------------------------------- */

/* The record of a copy that may be gone since. */
static HRESULT clear_record(struct set_environment *env, const VSS_ID *snapshot_id,
                            const VSS_ID *entry_id, struct error *err)
{
    struct set_record set = {0};
    struct error unknown = {0};
    HRESULT hr = sets_find_by_snapshot(env->store, snapshot_id, &set, &unknown);
    if (hr == VSS_E_OBJECT_NOT_FOUND) {
        return journal_close(env->store, entry_id, err);
    }
    if (FAILED(hr)) {
        return error_set(err, hr, "%s", error_text(&unknown));
    }
    for (size_t i = 0; i < set.snapshot_count; i++) {
        if (id_equal(&set.snapshots[i].snapshot_id, snapshot_id)) {
            forget(&set.snapshots[i]);
        }
    }
    hr = sets_save_and_close(env->store, &set, entry_id, err);
    set_record_free(&set);
    return hr;
}

HRESULT expose_rollback(struct set_environment *env, const struct journal_entry *entry,
                        struct error *err)
{
    json_t *plan = NULL;
    const char *text = NULL;
    const char *path = NULL;
    VSS_ID id = id_null;
    HRESULT hr = claim_plan(entry, &plan, err);
    if (SUCCEEDED(hr) && (json_unpack(plan, "{s:s, s?:s}", "snapshot", &text, "path", &path) != 0 ||
                          !id_parse(text, &id))) {
        hr = error_set(err, VSS_E_UNEXPECTED, "the journal's exposure names no shadow copy");
    }
    if (SUCCEEDED(hr)) {
        hr = take_away(env, &id, path, err);
    }
    if (SUCCEEDED(hr)) {
        hr = clear_record(env, &id, &entry->entry_id, err);
    }
    json_decref(plan);
    return hr;
}

/* Nothing of an exposure is ever written to a LUN, so nobody has to decide about what is left. */
static void sweep(struct set_environment *env)
{
    struct journal_entry *entries = NULL;
    size_t count = 0;
    struct lock *lock = NULL;
    if (FAILED(lock_take(LOCK_RECOVER, &lock, NULL))) {
        return; /* somebody deals with what is left already */
    }
    (void)journal_load_open(env->store, true, &entries, &count, NULL);
    for (size_t i = 0; i < count; i++) {
        struct error why = {0};
        if (entries[i].operation == JOURNAL_EXPOSE &&
            FAILED(expose_rollback(env, &entries[i], &why))) {
            log_line(LOG_WARNING, "what is left of an exposure stays: %s", error_text(&why));
        }
    }
    journal_free_all(entries, count);
    lock_release(lock);
}

/* ---- finding --------------------------------------------------------------------------------- */

static HRESULT find_snapshot(struct exposure *x, const VSS_ID *snapshot_id, struct error *err)
{
    char id[ID_TEXT_BYTES];
    set_record_free(&x->set);
    HRESULT hr = sets_find_by_snapshot(x->env->store, snapshot_id, &x->set, err);
    if (FAILED(hr)) {
        return hr;
    }
    for (size_t i = 0; i < x->set.snapshot_count; i++) {
        if (id_equal(&x->set.snapshots[i].snapshot_id, snapshot_id)) {
            x->snapshot = &x->set.snapshots[i];
        }
    }
    if (x->snapshot->status != VSS_SS_CREATED) {
        return error_set(err, VSS_E_OBJECT_NOT_FOUND, "shadow copy %s is not complete",
                         id_text(snapshot_id, id));
    }
    return S_OK;
}

static HRESULT check_kind(const struct exposure *x, struct error *err)
{
    char id[ID_TEXT_BYTES];
    const struct snapshot_record *s = x->snapshot;
    (void)id_text(&s->snapshot_id, id);
    if (!(s->attributes & VSS_VOLSNAP_ATTR_PERSISTENT)) {
        return error_set(err, E_INVALIDARG,
                         "shadow copy %s is not persistent; only persistent ones are exposed", id);
    }
    if (s->attributes & VSS_VOLSNAP_ATTR_CLIENT_ACCESSIBLE) {
        return error_set(err, E_INVALIDARG,
                         "shadow copy %s is client-accessible, and is not exposed", id);
    }
    if (s->extent_count != 1) {
        return error_set(err, E_INVALIDARG,
                         "shadow copy %s lies on %zu LUNs, which no mount here puts together; "
                         "import the set where its volume manager is",
                         id, s->extent_count);
    }
    return S_OK;
}

static HRESULT check_state(const struct exposure *x, struct error *err)
{
    char id[ID_TEXT_BYTES];
    const struct snapshot_record *s = x->snapshot;
    const struct lun_mapping *m = &x->set.luns[s->extents[0].lun_index];
    if (!m->copy_url || m->is_empty) {
        return error_set(err, VSS_E_BAD_STATE,
                         "shadow copy %s is not shown to this host; import its set first",
                         id_text(&s->snapshot_id, id));
    }
    HRESULT hr = expose_find(s, err);
    if (hr == S_OK) {
        return error_set(err, VSS_E_BAD_STATE, "shadow copy %s is exposed already, at %s",
                         id_text(&s->snapshot_id, id), s->exposed_name);
    }
    return FAILED(hr) ? hr : S_OK;
}

/* The array knows better than the registry what became of a copy. */
static HRESULT ask_array(const struct exposure *x, struct error *err)
{
    const struct lun_mapping *m = &x->set.luns[x->snapshot->extents[0].lun_index];
    struct provider *provider = NULL;
    struct vss_lun_info info = {0};
    bool is_its = false;
    HRESULT hr = set_provider(x->env, &x->set, &provider, err);
    if (SUCCEEDED(hr)) {
        hr = lun_info_copy(&m->copy, &info);
    }
    if (SUCCEEDED(hr)) {
        hr = set_call_fill_in(provider, m->copy_url, &info, &is_its, err);
    }
    lun_info_free(&info);
    if (SUCCEEDED(hr) && !is_its) {
        hr = error_set(err, VSS_E_OBJECT_NOT_FOUND, "array %s does not know the copy %s",
                       provider_array(provider), m->copy_url);
    }
    return hr;
}

static HRESULT check_path(struct exposure *x, const char *path, struct error *err)
{
    x->path = path[0] == '/' ? realpath(path, NULL) : NULL;
    if (!x->path && path[0] == '/' && errno == ENOMEM) {
        return error_set(err, E_OUTOFMEMORY, "out of memory exposing a shadow copy");
    }
    if (!x->path) {
        return error_set(err, E_INVALIDARG, "%.200s is not the absolute path of a directory", path);
    }
    return filesystem_open_mount_point(x->path, &x->mount_point, err);
}

/* ---- exposing -------------------------------------------------------------------------------- */

/* What recover needs to take it away again. path NULL: nothing is mounted. */
static json_t *make_plan(const VSS_ID *snapshot_id, const char *path)
{
    char id[ID_TEXT_BYTES];
    return json_pack("{s:s, s:s*}", "snapshot", id_text(snapshot_id, id), "path", path);
}

/* The device that the kernel has for the copy's LUN, where it has one and that answers as the copy;
 * else the export logs in by itself. *out_fd, -1 without a device, is held until the export has it
 * open. */
static HRESULT find_device(const struct lun_mapping *m, char **out, int *out_fd, struct error *err)
{
    char name[HOST_DEVICE_NAME_BYTES];
    *out = NULL;
    HRESULT hr = host_device_open("/sys", "/dev", &m->copy, name, out_fd, err);
    if (hr != S_OK) {
        return hr;
    }
    *out = text_printf("/dev/%s", name);
    return *out ? S_OK : error_set(err, E_OUTOFMEMORY, "out of memory exposing a shadow copy");
}

/* The copy's LUN as a file. Its filesystem may have a log to replay, which goes to the export's
 * scratch: the copy is never written to. */
static HRESULT start_export(struct exposure *x, const struct lun_mapping *m, struct error *err)
{
    struct export_options options = {.lun = &x->env->lun,
                                     .mode = EXPORT_SCRATCH,
                                     .keeper = helper_program("lunshadow-export-keeper")};
    uint64_t lost_s = 0;
    HRESULT hr = config_number(config_find(x->env->config, "expose", ""), "lost_after_seconds",
                               LOST_MIN_S, LOST_MAX_S, LOST_S, &lost_s, err);
    if (FAILED(hr)) {
        return hr;
    }
    options.lost_after_s = (uint32_t)lost_s;
    char *device = NULL;
    int device_fd = -1;
    hr = find_device(m, &device, &device_fd, err);
    char *parent = text_printf("%s/" FOLDER, store_path(x->env->store));
    if (!parent) {
        hr = error_set(err, E_OUTOFMEMORY, "out of memory exposing a shadow copy");
    }
    if (SUCCEEDED(hr) && mkdir(parent, 0700) != 0 && errno != EEXIST) {
        hr = error_set_errno(err, errno, "cannot make %s", parent);
    }
    if (SUCCEEDED(hr)) {
        options.device = device;
        hr = export_start(x->directory, m->copy_url, &m->copy, &options, err);
    }
    if (device_fd >= 0) {
        (void)close(device_fd);
    }
    free(parent);
    free(device);
    return hr;
}

/* The export's file as a device, found through its directory, which only root can write to: in a
 * state directory that a group shares, the path to it may be another's by now. */
static HRESULT attach_export(const struct exposure *x, const struct loop_range *range, int *out_fd,
                             char out_name[LOOP_NAME_BYTES], struct error *err)
{
    char directory[64];
    int fd = -1;
    *out_fd = -1;
    HRESULT hr = export_open(x->directory, &fd, err);
    if (FAILED(hr)) {
        return hr;
    }
    (void)snprintf(directory, sizeof(directory), "/proc/self/fd/%d", fd);
    char *file = export_file(directory);
    hr = file ? loop_attach(file, range, out_fd, out_name, err)
              : error_set(err, E_OUTOFMEMORY, "out of memory exposing a shadow copy");
    if (FAILED(hr)) {
        error_prefix(err, "the export in %s", x->directory);
    }
    free(file);
    (void)close(fd);
    return hr;
}

static HRESULT mount_copy(struct exposure *x, struct error *err)
{
    const struct volume_extent *e = &x->snapshot->extents[0];
    const struct lun_mapping *m = &x->set.luns[e->lun_index];
    struct loop_range range = {
        .offset_bytes = e->first_lba * m->block_bytes,
        .bytes = e->block_count * m->block_bytes,
        .block_bytes = m->block_bytes <= LOOP_BLOCKS ? (uint32_t)m->block_bytes : LOOP_BLOCKS,
    };
    char name[LOOP_NAME_BYTES];
    int fd = -1;
    HRESULT hr = start_export(x, m, err);
    if (SUCCEEDED(hr)) {
        hr = attach_export(x, &range, &fd, name, err);
    }
    if (SUCCEEDED(hr)) {
        hr = filesystem_mount_copy(name, fd, x->mount_point, x->path, err);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return hr;
}

static HRESULT record_exposure(struct exposure *x, const VSS_ID *entry_id, struct error *err)
{
    free(x->snapshot->exposed_name);
    x->snapshot->exposed_name = text_copy(x->path);
    if (!x->snapshot->exposed_name) {
        return error_set(err, E_OUTOFMEMORY, "out of memory exposing a shadow copy");
    }
    x->snapshot->attributes |= LOCAL_BIT;
    return sets_save_and_close(x->env->store, &x->set, entry_id, err);
}

/* With the set claimed: it is as it was loaded, or it is refused. */
static HRESULT expose_claimed(struct exposure *x, const VSS_ID *snapshot_id, const VSS_ID *entry_id,
                              struct error *err)
{
    HRESULT hr = find_snapshot(x, snapshot_id, err);
    if (SUCCEEDED(hr)) {
        hr = check_state(x, err);
    }
    if (SUCCEEDED(hr)) { /* of an exposure that a restart ended */
        hr = take_away(x->env, snapshot_id, NULL, err);
    }
    if (SUCCEEDED(hr)) {
        hr = mount_copy(x, err);
    }
    return SUCCEEDED(hr) ? record_exposure(x, entry_id, err) : hr;
}

static HRESULT check_exposure(struct exposure *x, const VSS_ID *snapshot_id, const char *path,
                              struct error *err)
{
    HRESULT hr = find_snapshot(x, snapshot_id, err);
    if (SUCCEEDED(hr)) {
        hr = check_kind(x, err);
    }
    if (SUCCEEDED(hr)) {
        hr = check_state(x, err);
    }
    if (SUCCEEDED(hr)) {
        hr = check_path(x, path, err);
    }
    if (SUCCEEDED(hr) && geteuid() != 0) {
        hr = error_set(err, E_ACCESSDENIED, "only root can mount a shadow copy");
    }
    return SUCCEEDED(hr) ? ask_array(x, err) : hr;
}

HRESULT set_expose(struct set_environment *env, const VSS_ID *snapshot_id, const char *path,
                   char **out_path, struct error *err)
{
    struct exposure x = {
        .env = env, .directory = directory_of(env, snapshot_id), .mount_point = -1};
    VSS_ID entry_id = id_null;
    *out_path = NULL;
    if (!x.directory) {
        return error_set(err, E_OUTOFMEMORY, "out of memory exposing a shadow copy");
    }
    sweep(env);
    HRESULT hr = journal_check_clean(env->store, err);
    if (SUCCEEDED(hr)) {
        hr = check_exposure(&x, snapshot_id, path, err);
    }
    if (SUCCEEDED(hr)) {
        hr = claim_open(env->store, JOURNAL_EXPOSE, &x.set.set_id, "expose a shadow copy",
                        make_plan(snapshot_id, x.path), &entry_id, err);
    }
    if (SUCCEEDED(hr)) {
        hr = expose_claimed(&x, snapshot_id, &entry_id, err);
        if (FAILED(hr) && SUCCEEDED(take_away(env, snapshot_id, x.path, NULL))) {
            (void)journal_close(env->store, &entry_id, NULL);
        }
    }
    if (SUCCEEDED(hr)) {
        *out_path = x.path;
        x.path = NULL;
    }
    exposure_free(&x);
    return hr;
}

/* ---- and back -------------------------------------------------------------------------------- */

static HRESULT unexpose_claimed(struct exposure *x, const VSS_ID *snapshot_id,
                                const VSS_ID *entry_id, struct error *err)
{
    char id[ID_TEXT_BYTES];
    HRESULT hr = find_snapshot(x, snapshot_id, err);
    if (SUCCEEDED(hr) && !(x->snapshot->attributes & LOCAL_BIT)) {
        hr = error_set(err, VSS_E_OBJECT_NOT_FOUND, "shadow copy %s is not exposed",
                       id_text(snapshot_id, id));
    }
    if (SUCCEEDED(hr)) {
        hr = expose_end(x->env, x->snapshot, err);
    }
    return SUCCEEDED(hr) ? sets_save_and_close(x->env->store, &x->set, entry_id, err) : hr;
}

HRESULT set_unexpose(struct set_environment *env, const VSS_ID *snapshot_id, struct error *err)
{
    struct exposure x = {.env = env, .mount_point = -1};
    VSS_ID entry_id = id_null;
    sweep(env);
    HRESULT hr = find_snapshot(&x, snapshot_id, err);
    if (SUCCEEDED(hr)) {
        hr = claim_open(env->store, JOURNAL_EXPOSE, &x.set.set_id, "end an exposure",
                        make_plan(snapshot_id, x.snapshot->exposed_name), &entry_id, err);
    }
    if (SUCCEEDED(hr)) {
        hr = unexpose_claimed(&x, snapshot_id, &entry_id, err);
        if (FAILED(hr)) {
            (void)journal_close(env->store, &entry_id, NULL);
        }
    }
    exposure_free(&x);
    return hr;
}
