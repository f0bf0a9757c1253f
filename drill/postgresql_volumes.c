/* SPDX-License-Identifier: Apache-2.0 */
/* LUNs that this host has as filesystems, without a kernel initiator. */
#include "drill/postgresql_internal.h"

#include "common/buffer.h"
#include "common/clock.h"
#include "common/config.h"
#include "lun/host/export.h"
#include "lun/host/filesystem.h"
#include "lun/host/loop.h"
#include "lun/info.h"
#include "lun/lun.h"
#include "provider/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define EDGE_BYTES  (1u << 20) /* in front of the partition and behind it */
#define SECTOR      512u
#define PIECE_BYTES (4u << 20)
#define LET_GO_MS   10000u /* a loop device goes a moment after its filesystem */
#define LET_GO_POLL 50u

static const char *const names[PG_VOLUMES] = {"data", "wal"};

static HRESULT out_of_memory(struct error *err)
{
    return error_set(err, E_OUTOFMEMORY, "out of memory for the database's LUNs");
}

/* ---- making ---- */

static HRESULT name_volume(struct pg_drill *p, size_t index, struct error *err)
{
    const struct drill *d = &p->base;
    struct pg_volume *v = &p->volumes[index];
    v->name = names[index];
    (void)snprintf(v->address.portal, sizeof(v->address.portal), "%s", d->lab->portal);
    (void)snprintf(v->address.target, sizeof(v->address.target), "%s", d->target);
    v->address.lun = (int)index + 1;
    v->url = text_printf("iscsi://%s/%s/%d", d->lab->portal, d->target, v->address.lun);
    v->file = text_printf("%s/%s.img", d->lab->disks, v->name);
    v->export_path = text_printf("%s/export-%s", d->work, v->name);
    v->mount_path = text_printf("%s/%s", d->work, v->name);
    if (!v->url || !v->file || !v->export_path || !v->mount_path) {
        return out_of_memory(err);
    }
    if (mkdir(v->mount_path, 0700) != 0) {
        return error_set_errno(err, errno, "cannot make %s", v->mount_path);
    }
    char *real = realpath(v->mount_path, NULL); /* as the table of mounts will name it */
    if (!real) {
        return error_set_errno(err, errno, "cannot look at %s", v->mount_path);
    }
    free(v->mount_path);
    v->mount_path = real;
    return S_OK;
}

/* A GPT with one partition; nobody has logged in to the LUN yet. */
static HRESULT label_volume(const struct pg_drill *p, const struct pg_volume *v, struct error *err)
{
    uint64_t last = (p->base.lun_bytes - EDGE_BYTES) / SECTOR - 1;
    char *partition = text_printf("1:%u:%llu", EDGE_BYTES / SECTOR, (unsigned long long)last);
    const char *const argv[] = {"sgdisk", "-n", partition, "-t", "1:8300", v->file, NULL};
    HRESULT hr = partition ? judge_run(argv, NULL, err) : out_of_memory(err);
    free(partition);
    return hr;
}

static HRESULT add_volume(struct pg_drill *p, size_t index, struct error *err)
{
    struct pg_volume *v = &p->volumes[index];
    HRESULT hr = name_volume(p, index, err);
    struct lab_lun_options options = {.target = p->base.target,
                                      .lun = (uint32_t)v->address.lun,
                                      .file = v->file ? strrchr(v->file, '/') + 1 : NULL,
                                      .bytes = p->base.lun_bytes,
                                      .block_bytes = SECTOR};
    if (SUCCEEDED(hr)) {
        hr = lab_add_lun(p->base.lab, &options, err);
    }
    return SUCCEEDED(hr) ? label_volume(p, v, err) : hr;
}

/* ---- mounting ---- */

static HRESULT start_export(struct pg_volume *v, const struct lun_options *options,
                            struct error *err)
{
    struct lun *lun = NULL;
    struct export_options how = {.lun = options,
                                 .mode = EXPORT_WRITABLE,
                                 .keeper = helper_program("lunshadow-export-keeper")};
    HRESULT hr = lun_open(v->url, options, true, &lun, err);
    if (FAILED(hr)) {
        return hr;
    }
    if (v->info.version == 0) { /* who it is from now on */
        hr = lun_info_copy(&lun->identity.info, &v->info);
    }
    if (SUCCEEDED(hr)) {
        hr = export_start(v->export_path, v->url, &v->info, &how, err);
    }
    v->is_exported = SUCCEEDED(hr);
    lun_close(lun);
    return hr;
}

static HRESULT attach(const struct pg_drill *p, const struct pg_volume *v, int *out_fd,
                      char out_name[LOOP_NAME_BYTES], struct error *err)
{
    struct loop_range range = {.offset_bytes = EDGE_BYTES,
                               .bytes = p->base.lun_bytes - 2 * (uint64_t)EDGE_BYTES,
                               .block_bytes = SECTOR};
    char *disk = export_file(v->export_path);
    HRESULT hr = disk ? loop_attach(disk, &range, out_fd, out_name, err) : out_of_memory(err);
    free(disk);
    return hr;
}

static HRESULT mount_volume(const struct pg_drill *p, struct pg_volume *v, bool is_new,
                            struct error *err)
{
    char device[LOOP_NAME_BYTES];
    int fd = -1;
    HRESULT hr = attach(p, v, &fd, device, err);
    if (FAILED(hr)) {
        return hr;
    }
    const char *const make[] = {"mkfs.xfs", "-q", "-f", device, NULL};
    if (is_new) {
        hr = judge_run(make, NULL, err);
    }
    if (SUCCEEDED(hr) && mount(device, v->mount_path, "xfs", MS_NODEV | MS_NOSUID, NULL) != 0) {
        hr = error_set_errno(err, errno, "cannot mount %s at %s", device, v->mount_path);
    }
    v->is_mounted = SUCCEEDED(hr);
    (void)close(fd); /* the mount keeps the device */
    return hr;
}

HRESULT pg_volumes_export(struct pg_drill *p, struct error *err)
{
    struct config *config = NULL;
    HRESULT hr = config_load(p->base.config, &config, err);
    const struct lun_options options = {.config = config};
    for (size_t i = 0; i < PG_VOLUMES && SUCCEEDED(hr); i++) {
        hr = start_export(&p->volumes[i], &options, err);
    }
    config_free(config);
    return hr;
}

static HRESULT mount_all(struct pg_drill *p, bool is_new, struct error *err)
{
    HRESULT hr = S_OK;
    for (size_t i = 0; i < PG_VOLUMES && SUCCEEDED(hr); i++) {
        hr = mount_volume(p, &p->volumes[i], is_new, err);
    }
    return hr;
}

HRESULT pg_volumes_mount(struct pg_drill *p, struct error *err)
{
    return mount_all(p, false, err);
}

HRESULT pg_volumes_make(struct pg_drill *p, struct error *err)
{
    HRESULT hr = S_OK;
    for (size_t i = 0; i < PG_VOLUMES && SUCCEEDED(hr); i++) {
        hr = add_volume(p, i, err);
    }
    if (SUCCEEDED(hr)) {
        hr = pg_volumes_export(p, err);
    }
    return SUCCEEDED(hr) ? mount_all(p, true, err) : hr;
}

static HRESULT let_go(struct pg_volume *v, struct error *err)
{
    HRESULT hr = S_OK;
    if (v->is_mounted) {
        hr = filesystem_unmount(v->mount_path, err);
        v->is_mounted = FAILED(hr);
    }
    for (uint32_t ms = 0; v->is_exported && !v->is_mounted; ms += LET_GO_POLL) {
        hr = export_stop(v->export_path, err);
        v->is_exported = FAILED(hr);
        if (ms >= LET_GO_MS) {
            break;
        }
        if (v->is_exported) {
            clock_sleep_ms(LET_GO_POLL);
        }
    }
    return hr;
}

HRESULT pg_volumes_unmount(struct pg_drill *p, struct error *err)
{
    HRESULT hr = S_OK;
    for (size_t i = 0; i < PG_VOLUMES; i++) {
        struct error why = {0};
        HRESULT one = let_go(&p->volumes[i], &why);
        if (FAILED(one) && SUCCEEDED(hr)) {
            hr = error_set(err, one, "%s", why.text);
        }
    }
    return hr;
}

/* ---- what is read of them ---- */

static HRESULT compare(struct pg_drill *p, struct raw *raw, int file, uint8_t *lun, uint8_t *host,
                       uint64_t *out_different, struct error *err)
{
    HRESULT hr = S_OK;
    *out_different = 0;
    for (uint64_t at = 0; at < p->base.lun_bytes && SUCCEEDED(hr); at += PIECE_BYTES) {
        hr = raw_read(raw, at / SECTOR, PIECE_BYTES / SECTOR, lun, err);
        if (SUCCEEDED(hr) && pread(file, host, PIECE_BYTES, (off_t)at) != PIECE_BYTES) {
            hr = error_set_errno(err, errno, "cannot read the export of %s", raw->name);
        }
        *out_different += SUCCEEDED(hr) && memcmp(lun, host, PIECE_BYTES) != 0;
    }
    return hr;
}

static HRESULT check_volume(struct pg_drill *p, const struct pg_volume *v, struct error *err)
{
    struct raw *raw = NULL;
    uint64_t different = 0;
    uint8_t *pieces = malloc((size_t)2 * PIECE_BYTES);
    char *disk = export_file(v->export_path);
    int file = disk ? open(disk, O_RDONLY | O_CLOEXEC) : -1;
    HRESULT hr = pieces && disk ? S_OK : out_of_memory(err);
    if (SUCCEEDED(hr) && file < 0) {
        hr = error_set_errno(err, errno, "cannot open %s", disk);
    }
    if (SUCCEEDED(hr)) {
        hr = raw_open(&v->address, p->base.initiator, &raw, err);
    }
    if (SUCCEEDED(hr)) {
        hr = compare(p, raw, file, pieces, pieces + PIECE_BYTES, &different, err);
    }
    if (SUCCEEDED(hr)) {
        report_bytes(p->base.report, p->base.lun_bytes);
        (void)report_check(p->base.report, "nothing stale is read", different == 0,
                           "%s: %llu of %llu pieces of 4 MiB differ from the LUN", v->name,
                           (unsigned long long)different,
                           (unsigned long long)(p->base.lun_bytes / PIECE_BYTES));
    }
    raw_close(raw);
    if (file >= 0) {
        (void)close(file);
    }
    free(disk);
    free(pieces);
    return hr;
}

HRESULT pg_volumes_check(struct pg_drill *p, struct error *err)
{
    uint64_t started_us = clock_monotonic_us();
    HRESULT hr = S_OK;
    for (size_t i = 0; i < PG_VOLUMES && SUCCEEDED(hr); i++) {
        hr = check_volume(p, &p->volumes[i], err);
    }
    p->check_us = clock_monotonic_us() - started_us;
    return hr;
}

void pg_volumes_free(struct pg_drill *p)
{
    for (size_t i = 0; i < PG_VOLUMES; i++) {
        struct pg_volume *v = &p->volumes[i];
        lun_info_free(&v->info);
        free(v->url);
        free(v->file);
        free(v->export_path);
        free(v->mount_path);
    }
}
