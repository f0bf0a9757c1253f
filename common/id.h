/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_COMMON_ID_H
#define LUNSHADOW_COMMON_ID_H

#include <lunshadow/vss.h>
#include <stdbool.h>

/* Characters of an id's text, the closing NUL included: "b57190af-454a-4dd0-8afd-e57facd5d9af". */
#define ID_TEXT_BYTES 37

extern const VSS_ID id_null;

/* A fresh random (version 4) id from getrandom(2). */
VSS_ID id_new(void);

bool id_equal(const VSS_ID *a, const VSS_ID *b);
bool id_is_null(const VSS_ID *id);

/* Lower case, no braces. Returns out. */
char *id_text(const VSS_ID *id, char out[ID_TEXT_BYTES]);

/* Accepts either case, with or without braces; the whole text must be an id. */
bool id_parse(const char *text, VSS_ID *out);

/* The 16-byte mixed-endian form that GPT and UEFI use: the first three fields little-endian. */
void id_to_bytes(const VSS_ID *id, uint8_t out[16]);
VSS_ID id_from_bytes(const uint8_t bytes[16]);

#endif
