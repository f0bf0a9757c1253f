/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_CLI_TEXT_H
#define LUNSHADOW_CLI_TEXT_H

#include "common/error.h"
#include "common/id.h"

#include <jansson.h>
#include <lunshadow/lun.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Words for people. Names of LUNs, volumes and machines come from arrays and documents that may
 * lie: nothing of theirs reaches a terminal unless it is printable UTF-8. */

/* A copy with '?' for every control character, direction override and byte that is not UTF-8;
 * malloc'ed, NULL for NULL and when memory is short. */
char *text_clean(const char *text);
/* Such a copy straight to a stream. */
void text_put(FILE *stream, const char *text);
/* Columns that clean text takes on a terminal: one per character. */
size_t text_columns(const char *text);

/* A new reference; JSON null for NULL. */
json_t *text_to_json(const char *text);
json_t *text_id_to_json(const VSS_ID *id);
/* "2026-11-22T20:15:31Z" of a FILETIME. */
json_t *text_time_to_json(int64_t filetime);

#define TEXT_SIZE_BYTES 32
/* "256.0 MiB". Returns out. */
char *text_size(uint64_t bytes, char out[TEXT_SIZE_BYTES]);
/* Reads "256M", "1G", "4096": binary K, M, G, T. False for anything else, and for 0. */
bool text_parse_size(const char *text, uint64_t *out_bytes);

/* "gpt 5f0c6d4e-...", "mbr 0x1234abcd", "no label"; malloc'ed. */
char *text_disk_ids(const struct vss_disk_ids *ids);

/* Contexts by name: "app-rollback". */
bool text_parse_context(const char *name, uint32_t *out_context);
const char *text_context(uint32_t context); /* attribute bits are passed over; never NULL */
/* All names, for messages: "app-rollback, backup, ...". */
const char *text_context_names(void);

/* The context that the bits make, then the names of the other attributes in bit order:
 * "app-rollback, transportable"; malloc'ed. The JSON form names every bit. */
char *text_attributes(uint32_t attributes);
json_t *text_attributes_to_json(uint32_t attributes);

const char *text_snapshot_state(int32_t status); /* "created" */

/* Writes code's "NAME 0x........" or only the number where it has no name. Returns out. */
#define TEXT_CODE_BYTES 96
char *text_code(HRESULT code, char out[TEXT_CODE_BYTES]);

#endif
