/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_TESTS_REGISTRY_FIXTURE_H
#define LUNSHADOW_TESTS_REGISTRY_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/buffer.h"
#include "registry/sets.h"

#include <sys/types.h>

/* What the tests of the registry share. Everything here fails the running test where it cannot do
 * its work. */

/* An empty directory, 0700, below TMPDIR; fixture_remove() deletes it with all that is in it and
 * frees the name. */
char *fixture_directory(void);

/* Unmounts; others on this machine may look into any mount for a moment. False, with errno. */
bool fixture_unmount(const char *path);
void fixture_remove(char *directory);

/* "directory/name" in a buffer that the next 31 calls leave alone. */
const char *fixture_path(const char *directory, const char *name);

struct store *fixture_open(const char *directory);

/* Runs SQL on directory's registry through a connection of its own; foreign keys are not enforced.
 */
void fixture_sql(const char *directory, const char *sql);
/* The first column of its first row. */
int64_t fixture_sql_number(const char *directory, const char *sql);

/* A set with every field used; numbers and texts differ by seed. Free with set_record_free(). */
struct set_record fixture_set(unsigned seed, size_t snapshot_count);
void fixture_assert_same(const struct set_record *a, const struct set_record *b);

/* Runs body in a forked child and returns its exit code; 128 + N where signal N ended it. uid 0: as
 * we are; else as that user (only root can). */
int fixture_in_child(uid_t uid, int (*body)(const char *directory), const char *directory);

void fixture_write_file(const char *path, const void *bytes, size_t length);
/* Free with buffer_free(). */
struct buffer fixture_read_file(const char *path);

/* Opening directory's registry must fail with this code and with the path in the text. */
void fixture_assert_refused(const char *directory, HRESULT expected);

/* Saves fixture_set(seed, 1); how many sets there are. */
void fixture_save_one(struct store *store, unsigned seed);
size_t fixture_count_sets(struct store *store);

#endif
