/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_LUN_HOST_FLUSH_H
#define LUNSHADOW_LUN_HOST_FLUSH_H

#include "common/error.h"

#include <stdint.h>

/* Writes out what the kernel holds back of the filesystem that path is on (syncfs(2)), for at most
 * timeout_ms. A disk that does not answer cannot keep the caller: then a thread of its own goes on
 * waiting, and ends when the disk does answer. VSS_E_FLUSH_WRITES_TIMEOUT: not in time, or the
 * filesystem could not write; VSS_E_OBJECT_NOT_FOUND, E_ACCESSDENIED: the path; E_OUTOFMEMORY. */
HRESULT host_flush(const char *path, uint32_t timeout_ms, struct error *err);

#endif
