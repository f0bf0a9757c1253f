/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_TESTS_LABEL_UTIL_H
#define LUNSHADOW_TESTS_LABEL_UTIL_H

/* What the label tests share: disks in memory with faults, images made by the system's own tools.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lun/label/label.h"

/* Faults that several disks share: operations are counted over all of them. */
struct faults {
    uint64_t calls;      /* reads, writes and flushes so far */
    uint64_t first;      /* the operations first .. first + count - 1 go wrong; 1 is the first */
    uint64_t count;      /* 0: none */
    bool lie;            /* a write that goes wrong says that it went well */
    uint64_t writes;     /* writes so far */
    uint64_t dead_after; /* after so many writes nothing reaches any disk; 0: never */
};

struct memory_disk {
    struct block_device dev; /* first */
    uint8_t *bytes;
    uint64_t reads;
    uint64_t highest_read; /* the highest block that was read */
    struct faults *faults; /* may be NULL */
};

struct memory_disk *memory_new(const char *name, uint64_t block_count, uint32_t block_bytes);
struct memory_disk *memory_load(const char *path, uint32_t block_bytes);
struct memory_disk *memory_copy(const struct memory_disk *from);
void memory_free(struct memory_disk *disk);
size_t memory_bytes(const struct memory_disk *disk);
uint8_t *memory_block(struct memory_disk *disk, uint64_t lba);

/* Reads a label that must be readable, or must be refused with this code. */
struct label *must_read(struct block_device *dev, enum label_depth depth);
void must_refuse(struct block_device *dev, enum label_depth depth, HRESULT code, const char *text);
void must_be(struct block_device *dev, int32_t kind);

/* ---- tools and images ---- */

/* Skips the test where a program is missing. */
void need_tool(const char *name);

/* A directory of the test's own; removed by image_dir_remove(). */
char *image_dir(void);
void image_dir_remove(char *dir);

/* An empty file of that many bytes; the path is malloc'ed. */
char *image_new(const char *dir, const char *name, uint64_t bytes);

/* Runs a shell command; what it prints is returned (malloc'ed). It must exit with 0, or with
 * anything for tool_try(). */
char *tool(const char *format, ...) __attribute__((format(printf, 1, 2)));
char *tool_try(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* sfdisk's script form of an image (fdisk's where blocks are not of 512 bytes), malloc'ed. */
char *script_of(const char *path, uint32_t block_bytes);

/* That view of an image against ours: kind, ids, partitions. */
void compare_with_sfdisk(const char *path, const struct label *label);

/* The images the tests share. Each returns the path, malloc'ed. */
char *make_mbr(const char *dir);      /* two primaries, an extended partition with three logicals */
char *make_gpt(const char *dir);      /* three partitions */
char *make_gpt_4096(const char *dir); /* three partitions, 4096-byte blocks */
char *make_hybrid(const char *dir);   /* GPT with a hybrid MBR */
char *make_gpt_256(const char *dir);  /* room for 256 entries */

/* ---- GPT by hand ---- */

struct gpt_spec {
    uint32_t entry_count;
    uint32_t entry_bytes;
    uint32_t header_bytes;
};

/* Writes protective MBR, both headers and entry arrays with partitions 1 and 3. */
void gpt_write(struct memory_disk *disk, const struct gpt_spec *spec);

/* The checksum of the header in this block, computed again. */
void gpt_seal_header(struct memory_disk *disk, uint64_t lba);

/* Takes the entries of the header in this block into its checksums. */
void gpt_seal(struct memory_disk *disk, uint64_t lba);

uint64_t le_get(const uint8_t *at, int bytes);
void le_put(uint8_t *at, int bytes, uint64_t value);

#endif
