/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_DRILL_POSTGRESQL_LOAD_H
#define LUNSHADOW_DRILL_POSTGRESQL_LOAD_H

#include "common/error.h"

#include <stdbool.h>
#include <stdint.h>

/* The load on a PostgreSQL server: sessions of psql(1), each of which writes rows 1, 2, 3, ... of
 * its own into the table ledger (session, n), the next one when the server has acknowledged the
 * last. Every sending and every acknowledgement is noted with its time (clock_monotonic_us()). */

#define LOAD_SESSIONS 4

struct load;

/* psql: the start of a command line, NULL at the end, used as long as the load runs. The table must
 * be there. */
HRESULT load_start(const char *const psql[], struct load **out, struct error *err);

/* No row is sent any more; returns when all that were sent are acknowledged. A server that went
 * away or refused a row is a failure with its words. Sessions end. Called once; what was noted
 * stays. */
HRESULT load_stop(struct load *load, struct error *err);

/* Stops what runs and frees it; NULL is harmless. */
void load_free(struct load *load);

/* Rows acknowledged so far; also while it runs. */
uint64_t load_acknowledged(struct load *load);

/* After load_stop(): the last row of a session that was acknowledged before a time, and the last
 * that was sent before it; 0: none. */
uint32_t load_acknowledged_before(const struct load *load, size_t session, uint64_t us);
uint32_t load_sent_before(const struct load *load, size_t session, uint64_t us);

#endif
