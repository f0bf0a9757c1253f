/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_TESTS_CONTRACT_MEMORY_H
#define LUNSHADOW_TESTS_CONTRACT_MEMORY_H

#include <stdbool.h>

/* Allocations that fail by number: those of the product's own objects (linked with --wrap), and
 * those that SQLite, libxml2 and jansson make for it, in all threads of this process. The test's
 * own count too, while it counts. */

/* Before any of the three libraries is used. */
void memory_begin(void);

/* From now on the number-th allocation (from 1) fails, once. */
void memory_fail_at(long number);

/* No allocation fails any more. True where one did. */
bool memory_stop(void);

#endif
