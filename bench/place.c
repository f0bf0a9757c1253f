/* SPDX-License-Identifier: Apache-2.0 */
/* Where a subject is measured: a lab of its own, its LUNs, and the environment that sets work in.
 */
#include "bench/bench.h"

#include "common/buffer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNK_BYTES (1u << 20)

char *place_url(const struct place *place, size_t lun, char out[PLACE_TEXT_BYTES])
{
    (void)snprintf(out, PLACE_TEXT_BYTES, "iscsi://%s/" PLACE_TARGET "/%zu", place->lab->portal,
                   lun);
    return out;
}

char *place_file(const struct place *place, size_t lun, char out[PLACE_TEXT_BYTES])
{
    (void)snprintf(out, PLACE_TEXT_BYTES, "%s/disk%zu.img", place->lab->disks, lun);
    return out;
}

/* Bytes that differ in each chunk, none of them zero. The first MiB, before the first partition,
 * holds nothing but the label, as on any disk. */
static HRESULT write_file(int fd, uint64_t bytes, struct error *err)
{
    uint64_t *chunk = malloc(CHUNK_BYTES);
    HRESULT hr = chunk ? S_OK : error_set(err, E_OUTOFMEMORY, "out of memory filling a LUN");
    uint64_t x = 88172645463325252u;
    for (uint64_t at = CHUNK_BYTES; SUCCEEDED(hr) && at < bytes; at += CHUNK_BYTES) {
        for (size_t i = 0; i < CHUNK_BYTES / sizeof(*chunk); i++) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            chunk[i] = x | 0x0101010101010101u;
        }
        size_t part = bytes - at < CHUNK_BYTES ? (size_t)(bytes - at) : CHUNK_BYTES;
        if (pwrite(fd, chunk, part, (off_t)at) != (ssize_t)part) {
            hr = error_set_errno(err, errno, "filling a LUN at %llu", (unsigned long long)at);
        }
    }
    if (SUCCEEDED(hr) && fsync(fd) != 0) {
        hr = error_set_errno(err, errno, "filling a LUN");
    }
    free(chunk);
    return hr;
}

/* sfdisk, because sgdisk sleeps a second for each disk. */
static HRESULT label_file(const char *path, struct error *err)
{
    static const char script[] = "printf 'label: gpt\\ntype=L\\n' | "
                                 "PATH=$PATH:/usr/sbin:/sbin sfdisk -q --no-reread \"$0\"";
    const char *const argv[] = {"sh", "-c", script, path, NULL};
    return process_run(argv, 120000, NULL, err);
}

static HRESULT make_lun(const struct place *place, const struct place_options *options, size_t lun,
                        struct error *err)
{
    char path[PLACE_TEXT_BYTES];
    char name[32];
    int fd = -1;
    HRESULT hr = file_open(place_file(place, lun, path), O_RDWR | O_CREAT | O_EXCL, &fd, err);
    if (SUCCEEDED(hr) && ftruncate(fd, (off_t)options->lun_bytes) != 0) {
        hr = error_set_errno(err, errno, "%s", path);
    }
    if (SUCCEEDED(hr)) {
        hr = write_file(fd, options->written_bytes, err);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    if (SUCCEEDED(hr) && options->has_label) {
        hr = label_file(path, err);
    }
    (void)snprintf(name, sizeof(name), "disk%zu.img", lun);
    struct lab_lun_options served = {
        .target = PLACE_TARGET, .lun = (uint32_t)lun, .file = name, .block_bytes = 512};
    return SUCCEEDED(hr) ? lab_add_lun(place->lab, &served, err) : hr;
}

HRESULT place_reopen(struct place *place, const char *config, struct error *err)
{
    struct buffer text = BUFFER_INIT;
    set_environment_close(place->env);
    place->env = NULL;
    HRESULT hr = place->max_hold_ms ? lab_config_with(place->lab, place->max_hold_ms, &text)
                                    : lab_config(place->lab, &text);
    buffer_printf(&text, "%s[initiator]\nname = " PLACE_INITIATOR "\n", config ? config : "");
    hr = SUCCEEDED(hr) ? buffer_status(&text) : hr;
    FILE *file = SUCCEEDED(hr) ? fopen(place->config, "we") : NULL;
    if (!file || fwrite(text.data, 1, text.length, file) != text.length) {
        hr = error_set(err, VSS_E_UNEXPECTED, "%s cannot be written", place->config);
    }
    if (file && fclose(file) != 0) {
        hr = error_set(err, VSS_E_UNEXPECTED, "%s cannot be written", place->config);
    }
    buffer_free(&text);
    return SUCCEEDED(hr) ? set_environment_open(place->config, place->state, &place->env, err) : hr;
}

static HRESULT fill_place(struct place *place, const struct place_options *options,
                          struct error *err)
{
    char directory[96];
    char locks[96];
    (void)snprintf(directory, sizeof(directory), "%s/lab", place->base);
    (void)snprintf(locks, sizeof(locks), "%s/locks", place->base);
    (void)snprintf(place->config, sizeof(place->config), "%s/lunshadow.conf", place->base);
    (void)snprintf(place->state, sizeof(place->state), "%s/state", place->base);
    if (setenv("LUNSHADOW_LOCK_DIR", locks, 1) != 0) {
        return error_set(err, E_OUTOFMEMORY, "out of memory setting the environment");
    }
    struct lab_options lab = {.directory = directory,
                              .image_bytes = (16ull << 30) + 2 * options->luns * options->lun_bytes,
                              .stock_allocator = options->stock_tgtd};
    HRESULT hr = lab_up(&lab, &place->lab, err);
    if (SUCCEEDED(hr) && !place->lab->has_reflink) {
        hr = error_set(err, E_NOTIMPL, "no filesystem with reflink: the bench measures clones");
    }
    for (size_t i = 1; SUCCEEDED(hr) && i <= options->luns; i++) {
        hr = bench_check_stop(err);
        hr = SUCCEEDED(hr) ? make_lun(place, options, i, err) : hr;
    }
    return SUCCEEDED(hr) ? place_reopen(place, options->config, err) : hr;
}

HRESULT place_open(const struct place_options *options, struct place **out, struct error *err)
{
    *out = NULL;
    const char *scratch = getenv("TMPDIR");
    struct place *place = calloc(1, sizeof(*place));
    if (!place) {
        return error_set(err, E_OUTOFMEMORY, "out of memory making a place to measure in");
    }
    place->luns = options->luns;
    place->lun_bytes = options->lun_bytes;
    (void)snprintf(place->base, sizeof(place->base), "%s/lunshadow-bench-XXXXXX",
                   scratch && *scratch ? scratch : "/tmp");
    if (!mkdtemp(place->base)) {
        HRESULT hr = error_set_errno(err, errno, "no directory %s", place->base);
        free(place);
        return hr;
    }
    HRESULT hr = fill_place(place, options, err);
    if (FAILED(hr)) {
        place_close(place);
        return hr;
    }
    *out = place;
    return S_OK;
}

void place_close(struct place *place)
{
    struct error err = {0};
    if (!place) {
        return;
    }
    set_environment_close(place->env);
    if (FAILED(lab_down(place->lab, &err))) {
        progress("the lab in %s stays: %s", place->base, error_text(&err));
    } else {
        const char *const argv[] = {"rm", "-rf", "--one-file-system", place->base, NULL};
        (void)process_run(argv, 30000, NULL, NULL);
    }
    free(place);
}

HRESULT place_create(struct place *place, uint32_t context, size_t count, struct set_record *out,
                     struct error *err)
{
    char url[PLACE_TEXT_BYTES];
    struct set_builder *builder = NULL;
    VSS_ID id;
    *out = (struct set_record){0};
    HRESULT hr = bench_check_stop(err);
    if (SUCCEEDED(hr)) {
        hr = set_start(place->env, context, &builder, &id, err);
    }
    for (size_t i = 1; SUCCEEDED(hr) && i <= count; i++) {
        hr = set_add_volume(builder, place_url(place, i, url), NULL, &id, err);
    }
    if (SUCCEEDED(hr)) {
        hr = set_commit(builder, NULL, out, err);
    }
    set_builder_free(builder);
    return hr;
}

HRESULT place_delete(struct place *place, struct set_record *set, struct error *err)
{
    int32_t deleted = 0;
    HRESULT hr = set_delete(place->env, &set->set_id, VSS_OBJECT_SNAPSHOT_SET, &deleted, NULL, err);
    set_record_free(set);
    return hr;
}
