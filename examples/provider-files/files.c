/* SPDX-License-Identifier: CC0-1.0 */
/* A provider for an array that is a directory of image files served by a tgtd on this host. A copy
 * is a full copy beside its original, made while the host holds tgtd still: so all LUNs of a set
 * are cut at one point in time. What would take longer than the hold may last is refused before. */
#include "files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

static HRESULT read_copies(const struct files *f, const struct vss_set_in *set,
                           struct files_copy_state **out)
{
    struct files_copy_state *copies = files_alloc(f, set->lun_count * sizeof(*copies));
    HRESULT hr = copies ? S_OK : E_OUTOFMEMORY;
    for (uint32_t i = 0; SUCCEEDED(hr) && i < set->lun_count; i++) {
        hr = files_copy_read(f, &set->luns[i].state, &copies[i]);
    }
    *out = copies;
    return hr;
}

/* The same, and each must have its original's content: a file that was only made is no copy. */
static HRESULT read_cut_copies(const struct files *f, const struct vss_set_in *set,
                               struct files_copy_state **out)
{
    HRESULT hr = read_copies(f, set, out);
    for (uint32_t i = 0; SUCCEEDED(hr) && i < set->lun_count; i++) {
        if (!(*out)[i].is_cut) {
            hr = files_fail(f, VSS_E_PROVIDER_VETO, "%s was never copied", (*out)[i].source);
        }
    }
    return hr;
}

static HRESULT write_copies(const struct files *f, const struct files_copy_state *copies,
                            uint32_t count, struct vss_states_out *out)
{
    struct vss_state *states = files_alloc(f, count * sizeof(*states));
    HRESULT hr = states ? S_OK : E_OUTOFMEMORY;
    for (uint32_t i = 0; SUCCEEDED(hr) && i < count; i++) {
        hr = files_copy_write(f, &copies[i], &states[i]);
    }
    if (SUCCEEDED(hr)) {
        out->states = states;
    }
    return hr;
}

/* ---- what the array can do, and whose a LUN is ---- */

static HRESULT get_capabilities(void *self, const struct vss_call *call, const void *in, void *out)
{
    (void)self;
    (void)in;
    struct vss_capabilities_out *o = out;
    struct files f;
    HRESULT hr = files_begin(call, &f);
    if (FAILED(hr)) {
        return hr;
    }
    o->differential = VSS_CAPABILITY_NO;
    o->plex = VSS_CAPABILITY_NATIVE;
    o->resync = VSS_CAPABILITY_NATIVE;
    o->mask = VSS_CAPABILITY_NATIVE;
    o->read_only = VSS_CAPABILITY_NATIVE;
    o->consistent_set = VSS_CAPABILITY_NATIVE;
    o->resize = VSS_CAPABILITY_NO;
    o->description = files_text(&f, "image files in %s, full copies", f.directory);
    return o->description ? S_OK : E_OUTOFMEMORY;
}

/* A LUN that is not ours, or cannot be copied: S_OK and 0. */
static HRESULT are_luns_supported(void *self, const struct vss_call *call, const void *in,
                                  void *out)
{
    (void)self;
    const struct vss_luns_in *i = in;
    struct vss_supported_out *o = out;
    struct files f;
    struct files_view view;
    HRESULT hr = files_begin(call, &f);
    if (FAILED(hr)) {
        return hr;
    }
    if (i->context & (VSS_VOLSNAP_ATTR_DIFFERENTIAL | VSS_VOLSNAP_ATTR_CLIENT_ACCESSIBLE)) {
        return S_OK;
    }
    hr = files_show(&f, &view);
    for (uint32_t n = 0; SUCCEEDED(hr) && n < i->lun_count; n++) {
        const struct files_lun *lun = files_find(&view, &i->luns[n]);
        struct stat st;
        int fd = -1;
        hr = lun ? files_open(&f, lun->path, O_RDONLY, &fd, &st) : VSS_E_OBJECT_NOT_FOUND;
        if (fd >= 0) {
            (void)close(fd);
        }
    }
    o->is_supported = SUCCEEDED(hr);
    return hr == E_OUTOFMEMORY ? hr : S_OK;
}

static HRESULT fill_in_lun_info(void *self, const struct vss_call *call, const void *in, void *out)
{
    (void)self;
    const struct vss_luns_in *i = in;
    struct vss_supported_out *o = out;
    struct files f;
    struct files_view view;
    HRESULT hr = files_begin(call, &f);
    if (SUCCEEDED(hr) && SUCCEEDED(files_show(&f, &view))) {
        o->is_supported = files_find(&view, i->luns) != NULL;
    }
    return hr;
}

/* ---- the life of a set ---- */

/* Nothing to begin: a copy is prepared as a whole in EndPrepareSnapshots. */
static HRESULT do_nothing(void *self, const struct vss_call *call, const void *in, void *out)
{
    (void)self;
    (void)call;
    (void)in;
    (void)out;
    return S_OK;
}

/* Away with every file and the target of a set: what it left is known by its id alone. */
static HRESULT remove_set(const struct files *f, const VSS_ID *set_id)
{
    char id[SET_ID];
    files_set_id_text(set_id, id);
    char *prefix = files_text(f, ".files-%s-", id);
    char *name = files_text(f, TARGET_FOR "%s", id);
    struct files_view view;
    HRESULT hr = prefix && name ? files_show(f, &view) : E_OUTOFMEMORY;
    const struct files_target *target = SUCCEEDED(hr) ? files_find_target(&view, name) : NULL;
    if (target) {
        char *tid = files_text(f, "%u", target->tid);
        hr = tid ? files_tgtadm(f, false,
                                (const char *const[]){"--op", "delete", "--mode", "target", "--tid",
                                                      tid, "--force", NULL},
                                NULL)
                 : E_OUTOFMEMORY;
    }
    DIR *dir = SUCCEEDED(hr) ? opendir(f->directory) : NULL;
    for (struct dirent *e = dir ? readdir(dir) : NULL; e; e = readdir(dir)) {
        if (strncmp(e->d_name, prefix, strlen(prefix)) == 0 &&
            unlinkat(dirfd(dir), e->d_name, 0) != 0) {
            hr = files_fail_errno(f, "cannot delete", e->d_name);
        }
    }
    if (dir) {
        (void)closedir(dir);
    }
    return hr;
}

/* The file in its full size, so that the disk is full now or never. */
static HRESULT make_file(const struct files *f, const struct files_copy_state *copy)
{
    struct stat st;
    int fd = -1;
    HRESULT hr = files_open(f, copy->source, O_RDONLY, &fd, &st);
    if (FAILED(hr)) {
        return hr;
    }
    (void)close(fd);
    off_t bytes = st.st_size;
    hr = files_open(f, copy->path, O_RDWR | O_CREAT | O_EXCL, &fd, &st);
    if (SUCCEEDED(hr)) {
        errno = posix_fallocate(fd, 0, bytes);
        hr = errno ? files_fail_errno(f, "cannot allocate", copy->path) : S_OK;
        (void)close(fd);
    }
    return hr;
}

/* A name that nobody has: 6, OpenFabrics' OUI 001405 as Linux targets use it, and chance. */
static bool make_scsi_id(char out[SCSI_ID + 1])
{
    uint8_t bytes[SCSI_ID / 2];
    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes)) {
        return false;
    }
    for (size_t i = 0; i < sizeof(bytes); i++) {
        (void)snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    }
    memcpy(out, "6001405", 7);
    return true;
}

static HRESULT prepare_copy(const struct files *f, const struct files_view *view,
                            const struct vss_set_in *set, uint32_t index,
                            struct files_copy_state *copy)
{
    *copy = (struct files_copy_state){.number = index + 1};
    const struct files_lun *lun = files_find(view, &set->luns[index].source);
    if (!lun) {
        return files_fail(f, VSS_E_OBJECT_NOT_FOUND, "%s is not served by this tgtd",
                          set->luns[index].device ? set->luns[index].device : "a LUN of the set");
    }
    if (strlen(lun->path) >= sizeof(copy->source) || !make_scsi_id(copy->scsi_id)) {
        return files_fail(f, VSS_E_PROVIDER_VETO, "%s: the path is too long", lun->path);
    }
    (void)snprintf(copy->source, sizeof(copy->source), "%s", lun->path);
    copy->block_bytes = lun->block_bytes;
    files_set_id_text(&set->set_id, copy->set_id);
    HRESULT hr = files_copy_finish(f, copy);
    return SUCCEEDED(hr) ? make_file(f, copy) : hr;
}

/* All that can be slow: names, files, space. The states are what every later call lives on. */
static HRESULT end_prepare(void *self, const struct vss_call *call, const void *in, void *out)
{
    (void)self;
    const struct vss_set_in *set = in;
    struct vss_states_out *o = out;
    struct files f;
    struct files_view view;
    HRESULT hr = files_begin(call, &f);
    if (SUCCEEDED(hr)) {
        hr = files_show(&f, &view);
    }
    if (FAILED(hr)) {
        return hr;
    }
    struct files_copy_state *copies = files_alloc(&f, set->lun_count * sizeof(*copies));
    hr = copies ? S_OK : E_OUTOFMEMORY;
    for (uint32_t i = 0; SUCCEEDED(hr) && i < set->lun_count; i++) {
        hr = prepare_copy(&f, &view, set, i, &copies[i]);
    }
    /* after a failure the host calls AbortSnapshots */
    return SUCCEEDED(hr) ? write_copies(&f, copies, set->lun_count, o) : hr;
}

static HRESULT copy_all(const struct files *f, const struct files_copy_state *copies,
                        uint32_t count)
{
    HRESULT hr = S_OK;
    for (uint32_t i = 0; SUCCEEDED(hr) && i < count; i++) {
        struct stat from_st;
        struct stat to_st;
        int from = -1;
        int to = -1;
        hr = files_open(f, copies[i].source, O_RDONLY, &from, &from_st);
        if (SUCCEEDED(hr)) {
            hr = files_open(f, copies[i].path, O_RDWR, &to, &to_st);
        }
        if (SUCCEEDED(hr) && from_st.st_size != to_st.st_size) {
            hr = files_fail(f, VSS_E_PROVIDER_VETO, "%s changed its size", copies[i].source);
        }
        if (SUCCEEDED(hr)) {
            hr = files_copy(f, from, to, 0, (uint64_t)from_st.st_size, copies[i].path);
        }
        if (from >= 0) {
            (void)close(from);
        }
        if (to >= 0) {
            (void)close(to);
        }
    }
    return hr;
}

/* The copying that the hold will need, once for practice: it is measured, and fills the caches. */
static HRESULT pre_commit(void *self, const struct vss_call *call, const void *in, void *out)
{
    (void)self;
    (void)out;
    const struct vss_set_in *set = in;
    struct files_copy_state *copies = NULL;
    struct files f;
    HRESULT hr = files_begin(call, &f);
    if (SUCCEEDED(hr)) {
        hr = read_copies(&f, set, &copies);
    }
    if (SUCCEEDED(hr)) {
        hr = copy_all(&f, copies, set->lun_count);
    }
    uint64_t start_us = call->host->now_us(call);
    if (SUCCEEDED(hr)) {
        hr = copy_all(&f, copies, set->lun_count);
    }
    uint64_t taken_ms = (call->host->now_us(call) - start_us) / 1000;
    if (SUCCEEDED(hr) && taken_ms > f.max_hold_ms) {
        hr = files_fail(&f, VSS_E_PROVIDER_VETO,
                        "the set takes %u ms to copy, longer than I/O may be held; raise "
                        "max_hold_ms (now %u) or take fewer LUNs",
                        (unsigned)taken_ms, f.max_hold_ms);
    }
    return hr;
}

/* tgtd, by the lock that it holds beside its socket. */
static HRESULT find_tgtd(const struct files *f, struct vss_hold_target *out)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    char *path = files_text(f, "%s.%s.lock", f->socket, f->control_port);
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    int rc = fd >= 0 ? fcntl(fd, F_GETLK, &lock) : -1;
    if (fd >= 0) {
        (void)close(fd);
    }
    if (rc != 0 || lock.l_type == F_UNLCK || lock.l_pid <= 0) {
        return files_fail(f, VSS_E_PROVIDER_VETO, "no tgtd of this host holds %s",
                          path ? path : "");
    }
    *out = (struct vss_hold_target){.pid = lock.l_pid};
    return S_OK;
}

/* The point in time. While the hold stands nothing is said to tgtd and nothing is logged. */
static HRESULT commit(void *self, const struct vss_call *call, const void *in, void *out)
{
    (void)self;
    const struct vss_set_in *set = in;
    struct vss_states_out *o = out;
    struct files_copy_state *copies = NULL;
    struct vss_hold_target tgtd;
    struct vss_hold *hold = NULL;
    struct files f;
    HRESULT hr = files_begin(call, &f);
    if (SUCCEEDED(hr)) {
        hr = read_copies(&f, set, &copies);
    }
    if (SUCCEEDED(hr)) {
        hr = find_tgtd(&f, &tgtd);
    }
    if (SUCCEEDED(hr)) {
        hr = call->host->hold_begin(call, &tgtd, 1,
                                    2 * f.max_hold_ms < 10000 ? 2 * f.max_hold_ms : 10000, &hold);
    }
    if (FAILED(hr)) {
        return hr;
    }
    hr = copy_all(&f, copies, set->lun_count);
    HRESULT end = call->host->hold_end(call, hold, &o->hold);
    /* All of it was copied within the hold: cut at any moment of it. */
    o->first_cut_us = o->last_cut_us = o->hold.held_at_us;
    hr = FAILED(hr) ? hr : end;
    for (uint32_t i = 0; SUCCEEDED(hr) && i < set->lun_count; i++) {
        copies[i].is_cut = 1;
    }
    return SUCCEEDED(hr) ? write_copies(&f, copies, set->lun_count, o) : hr;
}

static HRESULT post_commit(void *self, const struct vss_call *call, const void *in, void *out)
{
    (void)self;
    (void)out;
    const struct vss_set_in *set = in;
    struct files_copy_state *copies = NULL;
    struct files f;
    HRESULT hr = files_begin(call, &f);
    if (SUCCEEDED(hr)) {
        hr = read_cut_copies(&f, set, &copies);
    }
    for (uint32_t i = 0; SUCCEEDED(hr) && i < set->lun_count; i++) {
        struct stat st;
        int fd = -1;
        hr = files_open(&f, copies[i].path, O_RDWR, &fd, &st);
        if (SUCCEEDED(hr) && fsync(fd) != 0) {
            hr = files_fail_errno(&f, "cannot write back", copies[i].path);
        }
        if (fd >= 0) {
            (void)close(fd);
        }
    }
    return hr;
}

static HRESULT abort_snapshots(void *self, const struct vss_call *call, const void *in, void *out)
{
    (void)self;
    (void)out;
    const struct vss_set_in *set = in;
    struct files f;
    HRESULT hr = files_begin(call, &f);
    return SUCCEEDED(hr) ? remove_set(&f, &set->set_id) : hr;
}

/* ---- the copies as LUNs ---- */

static HRESULT describe(const struct files *f, const struct files_copy_state *copy,
                        struct vss_lun_info *out)
{
    struct vss_storage_identifier *id = files_alloc(f, sizeof(*id));
    struct vss_interconnect *path = files_alloc(f, sizeof(*path));
    uint8_t *naa = files_alloc(f, SCSI_ID / 2);
    uint8_t *address = files_alloc(f, 8);
    *out = (struct vss_lun_info){
        .version = 1,
        .command_queueing = 1,
        .bus_type = VDSBusTypeiScsi,
        .vendor_id = files_text(f, "IET"),
        .product_id = files_text(f, "VIRTUAL-DISK"),
        .product_revision = files_text(f, "0001"),
        .serial_number = files_text(f, "%s", files_copy_serial(copy)),
    };
    if (!id || !path || !naa || !address || !out->vendor_id || !out->product_id ||
        !out->product_revision || !out->serial_number) {
        return E_OUTOFMEMORY;
    }
    files_naa(copy->scsi_id, naa);
    *id = (struct vss_storage_identifier){VDSStorageIdCodeSetBinary, VDSStorageIdTypeFCPHName,
                                          SCSI_ID / 2, naa};
    address[0] = (uint8_t)(copy->number < 256 ? 0 : 0x40 | copy->number >> 8);
    address[1] = (uint8_t)copy->number;
    uint8_t *port = (uint8_t *)files_text(f, "%s", copy->target);
    *path =
        (struct vss_interconnect){VDS_IA_SCSI, (uint32_t)strlen(copy->target), port, 8, address};
    out->device_id = (struct vss_storage_device_id_descriptor){1, 1, id};
    out->interconnect_count = 1;
    out->interconnects = path;
    return port ? S_OK : E_OUTOFMEMORY;
}

/* Somebody else may have deleted them all. */
static HRESULT check_left(const struct files *f, const struct files_copy_state *copies,
                          uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (access(copies[i].path, F_OK) == 0 || errno != ENOENT) {
            return S_OK;
        }
    }
    return count == 0 ? S_OK
                      : files_fail(f, VSS_E_OBJECT_NOT_FOUND, "%s, the copy of %s, is gone",
                                   copies[0].path, copies[0].source);
}

static HRESULT get_target_luns(void *self, const struct vss_call *call, const void *in, void *out)
{
    (void)self;
    const struct vss_set_in *set = in;
    struct vss_target_luns_out *o = out;
    struct files_copy_state *copies = NULL;
    struct files f;
    HRESULT hr = files_begin(call, &f);
    if (SUCCEEDED(hr)) {
        hr = read_cut_copies(&f, set, &copies);
    }
    if (SUCCEEDED(hr)) {
        hr = check_left(&f, copies, set->lun_count);
    }
    struct vss_lun_info *luns =
        SUCCEEDED(hr) ? files_alloc(&f, set->lun_count * sizeof(*luns)) : NULL;
    if (SUCCEEDED(hr) && !luns) {
        return E_OUTOFMEMORY;
    }
    for (uint32_t i = 0; SUCCEEDED(hr) && i < set->lun_count; i++) {
        hr = describe(&f, &copies[i], &luns[i]);
    }
    if (SUCCEEDED(hr)) {
        o->luns = luns;
    }
    return hr;
}

static const struct files_lun *lun_of(const struct files_view *view, const char *path)
{
    const struct files_lun *lun = view->luns;
    while (lun && strcmp(lun->path, path) != 0) {
        lun = lun->next;
    }
    return lun;
}

static HRESULT set_parameters(const struct files *f, const struct files_lun *lun, const char *value)
{
    char *tid = files_text(f, "%u", lun->target->tid);
    char *number = files_text(f, "%u", lun->number);
    return tid && number ? files_tgtadm(f, false,
                                        (const char *const[]){"--op", "update", "--mode",
                                                              "logicalunit", "--tid", tid, "--lun",
                                                              number, "--params", value, NULL},
                                        NULL)
                         : E_OUTOFMEMORY;
}

static HRESULT make_target(const struct files *f, const char *name, struct files_view *view)
{
    HRESULT hr = files_show(f, view);
    if (FAILED(hr) || files_find_target(view, name)) {
        return hr;
    }
    unsigned highest = 0;
    for (const struct files_target *t = view->targets; t; t = t->next) {
        highest = t->tid > highest ? t->tid : highest;
    }
    char *tid = files_text(f, "%u", highest + 1);
    hr = tid ? files_tgtadm(f, false,
                            (const char *const[]){"--op", "new", "--mode", "target", "--tid", tid,
                                                  "--targetname", name, NULL},
                            NULL)
             : E_OUTOFMEMORY;
    return SUCCEEDED(hr) ? files_show(f, view) : hr;
}

/* A copy as a LUN of its set's target, with its own identity, writable. */
static HRESULT make_lun(const struct files *f, const struct files_target *target,
                        const struct files_copy_state *copy)
{
    struct files_lun lun = {.target = target, .number = copy->number};
    char *tid = files_text(f, "%u", target->tid);
    char *number = files_text(f, "%u", copy->number);
    char *block = files_text(f, "%u", copy->block_bytes);
    char *identity =
        files_text(f, "scsi_id=%s,scsi_sn=%s,readonly=0", copy->scsi_id, files_copy_serial(copy));
    if (!tid || !number || !block || !identity) {
        return E_OUTOFMEMORY;
    }
    HRESULT hr = files_tgtadm(f, false,
                              (const char *const[]){"--op", "new", "--mode", "logicalunit", "--tid",
                                                    tid, "--lun", number, "--backing-store",
                                                    copy->path, "--blocksize", block, NULL},
                              NULL);
    return SUCCEEDED(hr) ? set_parameters(f, &lun, identity) : hr;
}

static HRESULT hide(const struct files *f, const struct files_view *view,
                    const struct files_target *target)
{
    char *tid = files_text(f, "%u", target->tid);
    HRESULT hr = tid ? S_OK : E_OUTOFMEMORY;
    for (const struct files_initiator *i = view->initiators; SUCCEEDED(hr) && i; i = i->next) {
        if (i->target == target) {
            bool is_name = strncmp(i->name, "iqn.", 4) == 0 || strncmp(i->name, "eui.", 4) == 0 ||
                           strncmp(i->name, "naa.", 4) == 0;
            hr = files_tgtadm(
                f, false,
                (const char *const[]){"--op", "unbind", "--mode", "target", "--tid", tid,
                                      is_name ? "--initiator-name" : "--initiator-address", i->name,
                                      NULL},
                NULL);
        }
    }
    return SUCCEEDED(hr) ? files_evict(f, target) : hr;
}

/* Their files must be there before a target is made for them. */
static HRESULT check_files(const struct files *f, const struct files_copy_state *copies,
                           uint32_t count)
{
    HRESULT hr = S_OK;
    for (uint32_t i = 0; SUCCEEDED(hr) && i < count; i++) {
        struct stat st;
        int fd = -1;
        hr = files_open(f, copies[i].path, O_RDWR, &fd, &st);
        if (fd >= 0) {
            (void)close(fd);
        }
    }
    return hr;
}

/* Nobody sees the target while its LUNs are made; afterwards the one initiator does. */
static HRESULT locate_luns(void *self, const struct vss_call *call, const void *in, void *out)
{
    (void)self;
    (void)out;
    const struct vss_set_in *set = in;
    struct files_copy_state *copies = NULL;
    struct files_view view;
    struct files f;
    HRESULT hr = files_begin(call, &f);
    if (SUCCEEDED(hr)) {
        hr = read_cut_copies(&f, set, &copies);
    }
    if (SUCCEEDED(hr) && (!set->initiator || set->lun_count == 0)) {
        hr = files_fail(&f, E_INVALIDARG, "LocateLuns without an initiator or a LUN");
    }
    if (SUCCEEDED(hr)) {
        hr = check_files(&f, copies, set->lun_count);
    }
    if (SUCCEEDED(hr)) {
        hr = make_target(&f, copies[0].target, &view);
    }
    if (FAILED(hr)) {
        return hr;
    }
    const struct files_target *target = files_find_target(&view, copies[0].target);
    hr = target ? hide(&f, &view, target)
                : files_fail(&f, VSS_E_PROVIDER_VETO, "tgtd has no target %s", copies[0].target);
    for (uint32_t i = 0; SUCCEEDED(hr) && i < set->lun_count; i++) {
        const struct files_lun *lun = lun_of(&view, copies[i].path);
        hr = lun ? set_parameters(&f, lun, "readonly=0") : make_lun(&f, target, &copies[i]);
    }
    char *tid = SUCCEEDED(hr) ? files_text(&f, "%u", target->tid) : NULL;
    if (tid) {
        hr = files_tgtadm(&f, false,
                          (const char *const[]){"--op", "bind", "--mode", "target", "--tid", tid,
                                                "--initiator-name", set->initiator, NULL},
                          NULL);
    }
    return hr;
}

static HRESULT remove_lun(const struct files *f, const struct files_view *view,
                          const struct files_lun *lun)
{
    size_t left = 0;
    for (const struct files_lun *l = view->luns; l; l = l->next) {
        left += l->target == lun->target && l->number != 0 && l != lun;
    }
    char *tid = files_text(f, "%u", lun->target->tid);
    char *number = files_text(f, "%u", lun->number);
    if (!tid || !number) {
        return E_OUTOFMEMORY;
    }
    if (left == 0) {
        return files_tgtadm(f, false,
                            (const char *const[]){"--op", "delete", "--mode", "target", "--tid",
                                                  tid, "--force", NULL},
                            NULL);
    }
    HRESULT hr = files_evict(f, lun->target); /* a LUN in use is not given up */
    return SUCCEEDED(hr)
               ? files_tgtadm(f, false,
                              (const char *const[]){"--op", "delete", "--mode", "logicalunit",
                                                    "--tid", tid, "--lun", number, NULL},
                              NULL)
               : hr;
}

/* The only place where a finished copy is deleted. Twice is not an error. */
static HRESULT on_lun_empty(void *self, const struct vss_call *call, const void *in, void *out)
{
    (void)self;
    (void)out;
    const struct vss_set_in *set = in;
    struct files_copy_state *copies = NULL;
    struct files_view view;
    struct files f;
    HRESULT hr = files_begin(call, &f);
    if (SUCCEEDED(hr)) {
        hr = read_copies(&f, set, &copies);
    }
    if (SUCCEEDED(hr)) {
        hr = files_show(&f, &view);
    }
    for (uint32_t i = 0; SUCCEEDED(hr) && i < set->lun_count; i++) {
        const struct files_lun *lun = lun_of(&view, copies[i].path);
        hr = lun ? remove_lun(&f, &view, lun) : S_OK;
        if (SUCCEEDED(hr) && unlink(copies[i].path) != 0 && errno != ENOENT) {
            hr = files_fail_errno(&f, "cannot delete", copies[i].path);
        }
    }
    return hr;
}

static HRESULT change_copies(const struct files *f, const struct vss_set_in *set, uint32_t flags)
{
    struct files_copy_state *copies = NULL;
    struct files_view view;
    HRESULT hr = read_copies(f, set, &copies);
    if (SUCCEEDED(hr)) {
        hr = files_show(f, &view);
    }
    for (uint32_t i = 0; SUCCEEDED(hr) && i < set->lun_count; i++) {
        const struct files_lun *lun = lun_of(&view, copies[i].path);
        if (flags == VSS_ONLUNSTATECHANGE_DO_MASK_LUNS) {
            hr = lun ? hide(f, &view, lun->target) : S_OK;
            hr = SUCCEEDED(hr) && lun ? files_show(f, &view) : hr;
        } else if (!lun) {
            hr = files_fail(f, VSS_E_OBJECT_NOT_FOUND, "the copy %s is not shown; import the set",
                            copies[i].path);
        } else {
            bool is_read_only = flags == VSS_ONLUNSTATECHANGE_NOTIFY_LUN_POST_RECOVERY;
            hr = set_parameters(f, lun, is_read_only ? "readonly=1" : "readonly=0");
        }
    }
    return hr;
}

static HRESULT on_lun_state_change(void *self, const struct vss_call *call, const void *in,
                                   void *out)
{
    (void)self;
    (void)out;
    const struct vss_state_change_in *change = in;
    struct files_view view;
    struct files f;
    HRESULT hr = files_begin(call, &f);
    if (FAILED(hr) || !change->is_resync) {
        return FAILED(hr) ? hr : change_copies(&f, &change->set, change->flags);
    }
    if (change->flags != VSS_ONLUNSTATECHANGE_NOTIFY_LUN_PRE_RECOVERY) {
        return S_OK;
    }
    /* The LUNs are destinations: who uses one has to log in again, which is how they notice. */
    hr = files_show(&f, &view);
    for (uint32_t i = 0; SUCCEEDED(hr) && i < change->set.lun_count; i++) {
        const struct files_lun *lun = files_find(&view, &change->set.luns[i].source);
        hr = lun ? files_evict(&f, lun->target)
                 : files_fail(&f, VSS_E_OBJECT_NOT_FOUND,
                              "a destination is not served by this tgtd");
    }
    return hr;
}

/* ---- the table ---- */

static const vss_provider_callback ops[VSS_OP_COUNT] = {
    [VSS_OP_GET_CAPABILITIES] = get_capabilities,
    [VSS_OP_ARE_LUNS_SUPPORTED] = are_luns_supported,
    [VSS_OP_FILL_IN_LUN_INFO] = fill_in_lun_info,
    [VSS_OP_BEGIN_PREPARE_SNAPSHOT] = do_nothing,
    [VSS_OP_END_PREPARE_SNAPSHOTS] = end_prepare,
    [VSS_OP_PRE_COMMIT_SNAPSHOTS] = pre_commit,
    [VSS_OP_COMMIT_SNAPSHOTS] = commit,
    [VSS_OP_POST_COMMIT_SNAPSHOTS] = post_commit,
    [VSS_OP_PRE_FINAL_COMMIT_SNAPSHOTS] = do_nothing,
    [VSS_OP_POST_FINAL_COMMIT_SNAPSHOTS] = do_nothing,
    [VSS_OP_ABORT_SNAPSHOTS] = abort_snapshots,
    [VSS_OP_GET_TARGET_LUNS] = get_target_luns,
    [VSS_OP_LOCATE_LUNS] = locate_luns,
    [VSS_OP_ON_LUN_EMPTY] = on_lun_empty,
    [VSS_OP_ON_LUN_STATE_CHANGE] = on_lun_state_change,
    [VSS_OP_RESYNC_START] = files_resync,
    [VSS_OP_RESYNC_POLL] = files_resync,
    [VSS_OP_RESYNC_CANCEL] = do_nothing, /* the pieces end with their polls */
};

static const struct vss_provider_table table = {
    .magic = VSS_PROVIDER_MAGIC,
    .struct_size = sizeof(struct vss_provider_table),
    .abi_major = VSS_PROVIDER_ABI_MAJOR,
    .abi_minor = VSS_PROVIDER_ABI_MINOR,
    /* Yours: uuidgen, once for the provider and once for each release. */
    .provider_id = {0x5a9e3c10, 0x77d4, 0x4f6e, {0x8b, 0x21, 0xd0, 0x4c, 0x9e, 0x63, 0xa7, 0x15}},
    .version_id = {0x91c84f2b, 0x0e6a, 0x4d37, {0xa5, 0x7c, 0x12, 0xf8, 0x40, 0xb9, 0x6d, 0xe3}},
    .name = "files",
    .version = "1",
    .type = VSS_PROV_HARDWARE,
    .thread_model = VSS_THREADS_SERIALIZED,
    .op_count = VSS_OP_COUNT,
    .ops = ops,
};

__attribute__((visibility("default"))) const struct vss_provider_table *
lunshadow_provider_entry(void);

const struct vss_provider_table *lunshadow_provider_entry(void)
{
    return &table;
}
