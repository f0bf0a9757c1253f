/* SPDX-License-Identifier: Apache-2.0 */
#include "drill/disk_label.h"

#include "common/buffer.h"
#include "common/id.h"
#include "drill/image.h"
#include "drill/judge.h"
#include "drill/raw.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MIB         ((uint64_t)1 << 20)
#define PARTITIONS  3
#define SCRIPT_NAME "label.script"

const char *disk_label_name(enum label_form form)
{
    static const char *const names[] = {"MBR with an extended partition",
                                        "GPT with three partitions", "GPT on 4096-byte sectors"};
    return names[form];
}

uint32_t disk_label_block_bytes(enum label_form form)
{
    return form == LABEL_FORM_GPT_4096 ? 4096 : 512;
}

/* Three partitions with a gap of 1 MiB in front of each and one at the disk's end: room for labels
 * and boot records. */
HRESULT disk_label_layout(enum label_form form, uint32_t number, uint64_t bytes, struct layout *out,
                          struct error *err)
{
    uint32_t block_bytes = disk_label_block_bytes(form);
    uint64_t mib = MIB / block_bytes;
    uint64_t total = bytes / MIB;
    if (bytes % (4 * MIB) != 0 || bytes < LABEL_DISK_BYTES_MIN) {
        return error_set(err, E_INVALIDARG,
                         "a drill's LUN is a multiple of 4 MiB and at least %" PRIu64 " MiB",
                         LABEL_DISK_BYTES_MIN / MIB);
    }
    uint64_t sizes[PARTITIONS] = {total / 4, total / 4, total - 2 * (total / 4) - 4};
    struct range ranges[PARTITIONS];
    uint64_t at = 1;
    for (size_t i = 0; i < PARTITIONS; i++) {
        ranges[i] = (struct range){at * mib, sizes[i] * mib};
        at += sizes[i] + 1;
    }
    return layout_make(number, block_bytes, bytes / block_bytes, ranges, PARTITIONS, out, err);
}

/* ---- what the tools are told ---- */

static void write_mbr_script(const struct layout *l, struct buffer *b)
{
    VSS_ID random = id_new();
    uint64_t mib = MIB / l->block_bytes;
    uint64_t extended = l->data[1].first_block - mib;
    buffer_printf(b, "label: dos\nlabel-id: 0x%08x\nunit: sectors\n", random.data1 | 1u);
    buffer_printf(b, "start=%" PRIu64 ", size=%" PRIu64 ", type=83, bootable\n",
                  l->data[0].first_block, l->data[0].block_count);
    buffer_printf(b, "start=%" PRIu64 ", size=%" PRIu64 ", type=5\n", extended,
                  l->block_count - mib - extended);
    for (size_t i = 1; i < PARTITIONS; i++) {
        buffer_printf(b, "start=%" PRIu64 ", size=%" PRIu64 ", type=83\n", l->data[i].first_block,
                      l->data[i].block_count);
    }
}

static void write_gpt_script(const struct layout *l, struct buffer *b)
{
    char text[ID_TEXT_BYTES];
    VSS_ID id = id_new();
    buffer_printf(b, "label: gpt\nlabel-id: %s\nunit: sectors\n", id_text(&id, text));
    for (size_t i = 0; i < PARTITIONS; i++) {
        id = id_new();
        buffer_printf(b, "start=%" PRIu64 ", size=%" PRIu64 ", uuid=%s, name=\"drill %zu\"\n",
                      l->data[i].first_block, l->data[i].block_count, id_text(&id, text), i + 1);
    }
}

static HRESULT run_sfdisk(const struct layout *l, const char *path, const char *scratch,
                          struct error *err)
{
    const char *command[] = {"sfdisk", "-q", path, NULL};
    struct buffer script = BUFFER_INIT;
    write_mbr_script(l, &script);
    HRESULT hr = FAILED(buffer_status(&script))
                     ? error_set(err, E_OUTOFMEMORY, "out of memory for a label")
                     : judge_run_with_input(command, script.data, scratch, err);
    buffer_free(&script);
    return hr;
}

static HRESULT run_sgdisk(const struct layout *l, const char *path, struct error *err)
{
    char parts[PARTITIONS][64];
    for (size_t i = 0; i < PARTITIONS; i++) {
        (void)snprintf(parts[i], sizeof(parts[i]), "%zu:%" PRIu64 ":%" PRIu64, i + 1,
                       l->data[i].first_block, l->data[i].first_block + l->data[i].block_count - 1);
    }
    const char *command[] = {"sgdisk",  "-n", parts[0], "-n", parts[1],           "-n",
                             parts[2],  "-t", "2:0700", "-c", "1:drill \xc3\xa9", "-c",
                             "3:three", path, NULL};
    return judge_run(command, NULL, err);
}

/* fdisk alone takes a file for a disk with other sectors than 512 bytes; a script is loaded with
 * "I". */
static HRESULT run_fdisk(const struct layout *l, const char *path, const char *scratch,
                         struct error *err)
{
    char size[16];
    const char *command[] = {"fdisk", "-w", "never", "-b", size, path, NULL};
    char *script_path = text_printf("%s/" SCRIPT_NAME, scratch);
    char *keys = script_path ? text_printf("I\n%s\nw\n", script_path) : NULL;
    struct buffer script = BUFFER_INIT;
    (void)snprintf(size, sizeof(size), "%u", l->block_bytes);
    write_gpt_script(l, &script);
    HRESULT hr = S_OK;
    FILE *file = keys ? fopen(script_path, "we") : NULL;
    if (!file || FAILED(buffer_status(&script))) {
        hr = error_set(err, VSS_E_UNEXPECTED, "cannot write a script below %s", scratch);
    } else if (fwrite(script.data, 1, script.length, file) != script.length) {
        hr = error_set(err, VSS_E_INSUFFICIENT_STORAGE, "cannot write %s", script_path);
    }
    if (file && fclose(file) != 0 && SUCCEEDED(hr)) {
        hr = error_set(err, VSS_E_INSUFFICIENT_STORAGE, "cannot write %s", script_path);
    }
    if (SUCCEEDED(hr)) {
        hr = judge_run_with_input(command, keys, scratch, err);
    }
    if (script_path) {
        (void)unlink(script_path);
    }
    buffer_free(&script);
    free(keys);
    free(script_path);
    return hr;
}

static HRESULT label_file(enum label_form form, const struct layout *l, const char *path,
                          const char *scratch, struct error *err)
{
    switch (form) {
    case LABEL_FORM_MBR:
        return run_sfdisk(l, path, scratch, err);
    case LABEL_FORM_GPT:
        return run_sgdisk(l, path, err);
    case LABEL_FORM_GPT_4096:
        break;
    }
    return run_fdisk(l, path, scratch, err);
}

static HRESULT change_ids(enum label_form form, const struct layout *l, const char *path,
                          const char *scratch, struct error *err)
{
    char signature[16];
    VSS_ID random = id_new();
    const char *sfdisk[] = {"sfdisk", "-q", "--disk-id", path, signature, NULL};
    const char *sgdisk[] = {"sgdisk", "-G", path, NULL};
    (void)snprintf(signature, sizeof(signature), "0x%08x", random.data1 | 1u);
    switch (form) {
    case LABEL_FORM_MBR:
        return judge_run(sfdisk, NULL, err);
    case LABEL_FORM_GPT:
        return judge_run(sgdisk, NULL, err);
    case LABEL_FORM_GPT_4096:
        break;
    }
    return run_fdisk(l, path, scratch, err);
}

/* Runs a tool on a file that holds fixed (NULL: nothing yet) and reads back what it made of it. */
static HRESULT edit(enum label_form form, const struct layout *l, const char *scratch,
                    const uint8_t *fixed, uint8_t *out, struct error *err)
{
    struct raw *raw = NULL;
    char *path = text_printf("%s/label.img", scratch);
    uint8_t *zeros = calloc(l->fixed_blocks, l->block_bytes);
    HRESULT hr = path && zeros ? judge_write_file(l, fixed ? fixed : zeros, path, err)
                               : error_set(err, E_OUTOFMEMORY, "out of memory for a label");
    if (SUCCEEDED(hr)) {
        hr = fixed ? change_ids(form, l, path, scratch, err)
                   : label_file(form, l, path, scratch, err);
    }
    if (SUCCEEDED(hr)) {
        hr = raw_open_file(path, l->block_bytes, true, &raw, err);
    }
    if (SUCCEEDED(hr)) {
        hr = image_read_fixed(l, raw, out, err);
    }
    raw_close(raw);
    if (path) {
        (void)unlink(path);
    }
    free(zeros);
    free(path);
    return hr;
}

HRESULT disk_label_make(enum label_form form, const struct layout *layout, const char *scratch,
                        uint8_t **out_fixed, struct error *err)
{
    *out_fixed = NULL;
    uint8_t *fixed = calloc(layout->fixed_blocks, layout->block_bytes);
    HRESULT hr = fixed ? edit(form, layout, scratch, NULL, fixed, err)
                       : error_set(err, E_OUTOFMEMORY, "out of memory for a label");
    if (FAILED(hr)) {
        free(fixed);
        return hr;
    }
    *out_fixed = fixed;
    return S_OK;
}

HRESULT disk_label_new_ids(enum label_form form, const struct layout *layout, const char *scratch,
                           uint8_t *fixed, struct error *err)
{
    size_t bytes = layout->fixed_blocks * layout->block_bytes;
    uint8_t *changed = malloc(bytes);
    HRESULT hr = changed ? edit(form, layout, scratch, fixed, changed, err)
                         : error_set(err, E_OUTOFMEMORY, "out of memory for a label");
    if (SUCCEEDED(hr)) {
        memcpy(fixed, changed, bytes);
    }
    free(changed);
    return hr;
}
