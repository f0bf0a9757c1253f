/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_TESTS_EXPOSE_FIXTURE_H
#define LUNSHADOW_TESTS_EXPOSE_FIXTURE_H

#include "component/array_fixture.h"
#include "lun/host/export.h"

/* What tests of copies as mounts share, on an array fixture. Everything here fails the running test
 * where it cannot do its work. */

#define MOUNTED_PERSISTENT VSS_CTX_NAS_ROLLBACK
#define MOUNTED_TEXT       "what the volume held\n" /* of "file" on the volume */

/* Runs a line of the shell, with the programs of a system administrator. */
#define SHELL(...)                                                                                 \
    do {                                                                                           \
        char *line_ = text_printf(__VA_ARGS__);                                                    \
        mounted_shell(line_);                                                                      \
        free(line_);                                                                               \
    } while (0)
void mounted_shell(const char *line);

/* A path below the array's directory, in a buffer that the next 7 calls leave alone; and such a
 * directory, made. */
const char *mounted_path(const struct array *a, const char *name);
const char *mounted_directory(const struct array *a, const char *name);

void mounted_assert_file(const char *directory, const char *name, const char *expected);

/* Files below "exposed/" of the state directory, and daemons that serve one: 0 of each. */
void mounted_assert_no_export(const struct array *a);

/* A set of one volume; the second one's is an ext4 on a partition. */
void mounted_make_set(struct array *a, uint32_t context, const char *volume,
                      struct set_record *out);
void mounted_make_ext4_set(struct array *a, uint32_t context, struct set_record *out);

/* Nothing of it may be left. */
void mounted_delete_set(struct array *a, struct set_record *set);

void mounted_expose(struct array *a, const VSS_ID *snapshot_id, const char *path);
void mounted_unexpose(struct array *a, const VSS_ID *snapshot_id);

/* Past the page cache; errno, 0: read. */
int mounted_read_block(const char *path);

/* A LUN as a file, with a keeper of so many seconds. Returns the export's directory. */
const char *mounted_export_lun(struct array *a, const char *url, const char *name,
                               uint32_t lost_after_s);

/* The tear-down, also after a test that failed in the middle: nothing of it may keep the lab's
 * disks. */
int mounted_stop(void **state);

#endif
