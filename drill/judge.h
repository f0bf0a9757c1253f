/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_DRILL_JUDGE_H
#define LUNSHADOW_DRILL_JUDGE_H

#include "drill/label_fields.h"
#include "drill/layout.h"

/* Other people's tools on a LUN's label: the fixed areas, as read from the LUN, go into a sparse
 * file of the LUN's size, and sgdisk, sfdisk and fdisk say what they see. sgdisk takes a file for a
 * disk of 512-byte sectors: for 4096 it is asked on a loop device with such sectors (root), and
 * fdisk -b 4096 in any case. */

enum verdict { VERDICT_HELD, VERDICT_FAILED, VERDICT_SKIPPED };

#define JUDGEMENTS_MAX 6
struct judgement {
    const char *name; /* static: "sgdisk -v" */
    enum verdict verdict;
    char text[400]; /* why it failed or was skipped */
};

struct judgements {
    struct judgement items[JUDGEMENTS_MAX];
    size_t count;
};

/* E_INVALIDARG names the first tool that is not installed. */
HRESULT judge_check_tools(struct error *err);

/* Makes the sparse file at path, which must not be there. */
HRESULT judge_write_file(const struct layout *layout, const uint8_t *fixed, const char *path,
                         struct error *err);

/* Asks all tools whether the label is without a problem and is the expected one. scratch is a
 * directory. */
HRESULT judge_label(const struct layout *layout, const uint8_t *fixed,
                    const struct fields *expected, const char *scratch, struct judgements *out,
                    struct error *err);

/* Runs a tool with LC_ALL=C; fails with its last line. out may be NULL. */
HRESULT judge_run(const char *const argv[], struct buffer *out, struct error *err);

/* As judge_run() with text on the tool's standard input, which is put into a file in scratch. */
HRESULT judge_run_with_input(const char *const argv[], const char *input, const char *scratch,
                             struct error *err);

/* ---- what tools print (judge_text.c) ---- */

/* Each returns true where text says what is expected; else *why (NULL-terminated, up to bytes) says
 * what differs. */
bool judge_sgdisk_verify(const char *text, char *why, size_t bytes);
bool judge_sgdisk_print(const char *text, const struct fields *expected, char *why, size_t bytes);
bool judge_sgdisk_info(const char *text, const struct fields_partition *expected, char *why,
                       size_t bytes);
bool judge_sfdisk_json(const char *text, uint32_t block_bytes, const struct fields *expected,
                       char *why, size_t bytes);
bool judge_sfdisk_dump(const char *text, const struct fields *expected, char *why, size_t bytes);
bool judge_fdisk_list(const char *text, const struct fields *expected, char *why, size_t bytes);

#endif
