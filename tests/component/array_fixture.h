/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_TESTS_ARRAY_FIXTURE_H
#define LUNSHADOW_TESTS_ARRAY_FIXTURE_H

#include "lab/lab.h"
#include "lun/label/label.h"
#include "provider/set/set.h"

/* A lab with labelled LUNs, a configuration, a state directory and the environment that set
 * operations work in. All of it lies in one new directory below /tmp and goes with array_stop(). */

#define ARRAY_LUNS   3
#define ARRAY_TARGET "iqn.2026-01.org.lunshadow.test:array"
#define ARRAY_BYTES  (64u << 20)

struct array {
    char base[64];
    struct lab *lab;
    struct set_environment *env;
    char config[128];
    char state[96];
    char urls[ARRAY_LUNS]
             [320]; /* MBR with an extended partition; GPT, three partitions; GPT on 4096 */
    char files[ARRAY_LUNS][256]; /* their backing files */
};

extern const uint32_t array_block_bytes[ARRAY_LUNS];

/* cmocka set-up and tear-down; *state is a struct array. A machine without tgtd, sgdisk or sfdisk
 * skips (exit 77). */
int array_start(void **state);
int array_stop(void **state);

/* Opens the environment anew, after the configuration was changed or a process "died". */
void array_reopen(struct array *a);

/* Appends text to the configuration file and opens the environment anew. */
void array_configure(struct array *a, const char *text);

/* Fails the test with err's text where hr is a failure. */
#define assert_ok(hr, err) array_assert_ok((hr), (err), __FILE__, __LINE__)
void array_assert_ok(HRESULT hr, const struct error *err, const char *file, int line);

/* Fails unless hr is the code and err's text has the words (NULL: any). */
#define assert_refused(hr, code, err, words)                                                       \
    array_assert_refused((hr), (code), (err), (words), __FILE__, __LINE__)
void array_assert_refused(HRESULT hr, HRESULT code, const struct error *err, const char *words,
                          const char *file, int line);

/* A set of the first count LUNs, committed. context has the attribute bits. */
void array_create(struct array *a, uint32_t context, size_t count, struct set_record *out);

/* Deletes a set and frees its record; nothing else must be left. */
void array_delete_set(struct array *a, struct set_record *set);

/* Fills [offset, offset + bytes) of a backing file with a pattern, through the page cache that tgtd
 * shares. */
void array_fill(const struct array *a, size_t lun, uint64_t offset, uint64_t bytes, uint8_t seed);

/* Closes every session on its target. */
void array_cut_sessions(const struct array *a);

/* XXH64 of a whole file. */
uint64_t array_digest(const char *path);

/* What tgtd was told to make a LUN's NAA designator of: 32 hex digits. */
void array_scsi_id(const struct vss_lun_info *info, char out[33]);

/* The disk ids on a LUN as read through iSCSI. */
void array_read_ids(struct array *a, const char *url, struct vss_disk_ids *out);

/* What tgtd itself says of the targets beside the array's own. */
struct array_shown {
    size_t luns;     /* disks */
    size_t writable; /* of these */
    size_t let_in;   /* initiators that may see a target */
};
void array_look(struct array *a, struct array_shown *out);

/* Files named like copies in the lab's directory, targets beside the array's own, sets and open
 * journal entries: 0 of each. */
void array_assert_nothing_left(struct array *a);

/* Ends the test as skipped where a LUN cannot be shown as a file and mounted: root, FUSE, loop
 * devices. */
void array_need_mounts(void);

#endif
