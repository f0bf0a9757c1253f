/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_REGISTRY_SCHEMA_H
#define LUNSHADOW_REGISTRY_SCHEMA_H

#include "registry/store.h"

/* Private to this folder: the tables, and how an older registry gets to them. */

/* In the file's header at offset 68: "LSHD". A file without it is somebody else's. */
#define SCHEMA_APPLICATION_ID 0x4c534844

/* Makes all tables in an empty file that nobody else has open. */
HRESULT schema_create(struct store *store, struct error *err);

/* Reads only. S_OK: a registry of this or an older version; VSS_E_UNEXPECTED: damaged, another
 * program's, or newer than this program. */
HRESULT schema_check(struct store *store, struct error *err);

/* Runs the steps that are missing, all in one transaction; does not lock where none is. */
HRESULT schema_upgrade(struct store *store, struct error *err);

#endif
