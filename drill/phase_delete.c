/* SPDX-License-Identifier: Apache-2.0 */
/* Delete what is left, and look whether anything is. */
#include "common/id.h"
#include "drill/internal.h"
#include "registry/journal.h"
#include "registry/sets.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- deleting ---- */

static HRESULT delete_last_read(struct drill *d, struct error *err)
{
    struct drill_set *set = &d->sets[SET_LAST_READ];
    int32_t deleted = 0;
    HRESULT hr = drill_delete(d, &set->snapshots[0], VSS_OBJECT_SNAPSHOT, &deleted, err);
    if (SUCCEEDED(hr)) {
        (void)report_check(d->report, "one snapshot is deleted", deleted == 1, "%d", deleted);
        hr = drill_delete(d, &set->set_id, VSS_OBJECT_SNAPSHOT_SET, &deleted, err);
    }
    if (SUCCEEDED(hr)) {
        (void)report_check(d->report, "the rest of its set is deleted", deleted == DRILL_LUNS - 1,
                           "%d", deleted);
        set->exists = false;
    }
    return hr;
}

/* A line's text behind a name: "            Backing store path: /x" gives "/x". False for other
 * lines. */
static bool take_value(const char *line, size_t length, const char *name, char *out, size_t bytes)
{
    const char *end = line + length;
    const char *at = memmem(line, length, name, strlen(name));
    if (!at) {
        return false;
    }
    at += strlen(name);
    while (at < end && *at == ' ') {
        at++;
    }
    (void)snprintf(out, bytes, "%.*s", (int)(end - at), at);
    return true;
}

/* Takes a file away that was served as a copy: it must lie among the array's disks. */
static void remove_file(struct drill *d, const char *path)
{
    size_t length = strlen(d->lab->disks);
    if (strncmp(path, d->lab->disks, length) != 0 || path[length] != '/' || strstr(path, "..")) {
        return; /* tgtd's own: "None", "/dev/null" */
    }
    if (unlink(path) != 0) {
        report_leftover(d->report, "%s", path);
    }
}

/* Files behind the LUNs of a target in what tgtadm shows. */
static void remove_files_of(struct drill *d, const char *shown, const char *target)
{
    bool is_ours = false;
    for (const char *line = shown; *line;) {
        char value[512];
        size_t length = strcspn(line, "\n");
        if (strncmp(line, "Target ", 7) == 0) {
            is_ours =
                take_value(line, length, ": ", value, sizeof(value)) && strcmp(value, target) == 0;
        } else if (is_ours &&
                   take_value(line, length, "Backing store path:", value, sizeof(value))) {
            remove_file(d, value);
        }
        line += length + (line[length] == '\n');
    }
}

/* What a broken set leaves are plain LUNs, which are the array administrator's to remove: here, the
 * drill's. */
static HRESULT remove_broken(struct drill *d, enum drill_set_use use, struct error *err)
{
    const struct drill_set *set = &d->sets[use];
    if (!set->imported) {
        return error_set(err, VSS_E_UNEXPECTED, "where a broken set's copies are is not known");
    }
    for (size_t i = 0; i < DRILL_LUNS; i++) {
        const char *target = set->copies[i].target;
        struct buffer shown = BUFFER_INIT;
        bool is_first = true;
        for (size_t before = 0; before < i; before++) {
            is_first = is_first && strcmp(set->copies[before].target, target) != 0;
        }
        HRESULT hr = is_first ? lab_show(d->lab, &shown, err) : S_FALSE;
        if (hr == S_OK) {
            hr = lab_remove_target(d->lab, target, err);
        }
        if (hr == S_OK) {
            remove_files_of(d, shown.data ? shown.data : "", target);
        }
        buffer_free(&shown);
        if (FAILED(hr)) {
            return hr;
        }
    }
    return S_OK;
}

HRESULT phase_delete(struct drill *d, struct error *err)
{
    static const enum drill_set_use broken[] = {SET_CUT, SET_READ_WRITE, SET_MASK};
    HRESULT hr = delete_last_read(d, err);
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]) && SUCCEEDED(hr); i++) {
        hr = remove_broken(d, broken[i], err);
    }
    return hr;
}

/* ---- looking ---- */

static HRESULT check_array(struct drill *d, struct error *err)
{
    struct buffer shown = BUFFER_INIT;
    size_t targets = 0;
    size_t known = 0;
    HRESULT hr = lab_show(d->lab, &shown, err);
    for (const char *line = shown.data; SUCCEEDED(hr) && line && *line;) {
        char value[512];
        size_t length = strcspn(line, "\n");
        if (strncmp(line, "Target ", 7) == 0) {
            targets++;
            known += take_value(line, length, ": ", value, sizeof(value)) &&
                     (strcmp(value, d->target) == 0 || strcmp(value, d->foreign_target) == 0);
        }
        line += length + (line[length] == '\n');
    }
    if (SUCCEEDED(hr)) {
        (void)report_check(d->report, "the array serves nothing else", targets == 2 && known == 2,
                           "%zu targets", targets);
    }
    buffer_free(&shown);
    return hr;
}

static HRESULT check_registry(struct drill *d, struct error *err)
{
    struct store *store = NULL;
    struct set_record *sets = NULL;
    struct journal_entry *entries = NULL;
    size_t set_count = 0;
    size_t entry_count = 0;
    HRESULT hr = store_open(d->state, &store, err);
    if (SUCCEEDED(hr)) {
        hr = sets_load_all(store, &sets, &set_count, err);
    }
    if (SUCCEEDED(hr)) {
        hr = journal_load_open(store, false, &entries, &entry_count, err);
    }
    if (SUCCEEDED(hr)) {
        (void)report_check(d->report, "the registry has no set", set_count == 0, "%zu", set_count);
        (void)report_check(d->report, "its journal is closed", entry_count == 0, "%zu open",
                           entry_count);
    }
    journal_free_all(entries, entry_count);
    sets_free_all(sets, set_count);
    store_close(store);
    return hr;
}

static bool is_own_file(const struct drill *d, const char *name)
{
    bool is_own = strcmp(name, "foreign.img") == 0;
    for (size_t i = 0; i < DRILL_LUNS; i++) {
        is_own = is_own || strcmp(name, d->luns[i].file) == 0;
    }
    return is_own;
}

static HRESULT check_directory(struct drill *d, struct error *err)
{
    DIR *directory = opendir(d->lab->disks);
    char first[300] = "";
    size_t others = 0;
    if (!directory) {
        return error_set_errno(err, errno, "cannot list %s", d->lab->disks);
    }
    for (const struct dirent *e = readdir(directory); e; e = readdir(directory)) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            is_own_file(d, e->d_name)) {
            continue;
        }
        if (others++ == 0) {
            (void)snprintf(first, sizeof(first), ": %s", e->d_name);
        }
    }
    (void)closedir(directory);
    (void)report_check(d->report, "the array's directory has no file of a copy", others == 0,
                       "%zu others%s", others, first);
    return S_OK;
}

/* Mounts below the drill's directory: the array's own and no other. */
static HRESULT check_mounts(struct drill *d, struct error *err)
{
    FILE *mounts = fopen("/proc/self/mountinfo", "re");
    char *line = NULL;
    size_t room = 0;
    size_t others = 0;
    if (!mounts) {
        return error_set_errno(err, errno, "cannot read the list of mounts");
    }
    while (getline(&line, &room, mounts) > 0) {
        char point[4096] = "";
        if (sscanf(line, "%*s %*s %*s %*s %4095s", point) == 1 &&
            strncmp(point, d->lab->directory, strlen(d->lab->directory)) == 0) {
            others += strcmp(point, d->lab->disks) != 0;
        }
    }
    free(line);
    (void)fclose(mounts);
    (void)report_check(d->report, "nothing is mounted that was not before", others == 0, "%zu",
                       others);
    return S_OK;
}

static HRESULT check_foreign(struct drill *d, struct error *err)
{
    struct raw *raw = NULL;
    uint8_t digest[IMAGE_DIGEST_BYTES];
    HRESULT hr = raw_open(&d->foreign, d->initiator, &raw, err);
    if (SUCCEEDED(hr)) {
        hr = image_digest(raw, digest, err);
    }
    if (SUCCEEDED(hr)) {
        report_bytes(d->report, raw->block_count * raw->block_bytes);
        (void)report_check(d->report, "the foreign LUN is byte for byte as before",
                           memcmp(digest, d->foreign_digest, sizeof(digest)) == 0, "%s", raw->name);
    }
    raw_close(raw);
    return hr;
}

HRESULT phase_nothing_left(struct drill *d, struct error *err)
{
    HRESULT hr = check_array(d, err);
    if (SUCCEEDED(hr)) {
        hr = check_registry(d, err);
    }
    if (SUCCEEDED(hr)) {
        hr = check_directory(d, err);
    }
    if (SUCCEEDED(hr)) {
        hr = check_mounts(d, err);
    }
    return SUCCEEDED(hr) ? check_foreign(d, err) : hr;
}
