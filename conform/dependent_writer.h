/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_CONFORM_DEPENDENT_WRITER_H
#define LUNSHADOW_CONFORM_DEPENDENT_WRITER_H

#include "conform/conform.h"

/* Writes record 1, 2, 3 ... to one block of the first scratch LUN and, each only once that was
 * acknowledged, to the same block of the second: on copies of one moment the first is never behind
 * the second, and at most one ahead. */
struct dependent_writer;

/* NULL, with the finding, where a LUN cannot be opened or the writer not started. */
struct dependent_writer *dependent_writer_start(struct conform *c);

/* Waits until so many more records are on both LUNs. False, with the finding, where that takes too
 * long or a write has failed. */
bool dependent_writer_wait(struct conform *c, struct dependent_writer *writer, uint64_t records);

/* The last record that each LUN has acknowledged. */
void dependent_writer_look(struct dependent_writer *writer, uint64_t written[2]);

/* Ends it and takes the scratch LUNs' digests anew. A write that has failed is a finding. NULL is
 * harmless. */
void dependent_writer_stop(struct conform *c, struct dependent_writer *writer);

/* The record that is in that block of the LUN at url. */
bool dependent_writer_read(struct conform *c, const char *url, uint64_t *out);

#endif
