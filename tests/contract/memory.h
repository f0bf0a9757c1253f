/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_TESTS_CONTRACT_MEMORY_H
#define LUNSHADOW_TESTS_CONTRACT_MEMORY_H

#include <stdbool.h>

/* Allocations that fail by number: those of the product's own objects (linked with --wrap), and
 * those that SQLite and libxml2 make for it, in all threads of this process. The test's own count
 * too, while it counts. jansson's do not: its reader goes on where its buffer cannot grow, and
 * nobody could tell. */

/* Before any of the two libraries is used. */
void memory_begin(void);

/* From now on the number-th allocation (from 1) fails, once. */
void memory_fail_at(long number);

/* How many there were since memory_fail_at(), which was given a number that is never reached. */
#define MEMORY_NEVER 1000000000L
long memory_count(void);

/* No allocation fails any more. True where one did. */
bool memory_stop(void);

#endif
