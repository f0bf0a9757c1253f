/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_PROVIDER_HOST_REMOTE_H
#define LUNSHADOW_PROVIDER_HOST_REMOTE_H

#include "provider/host/host.h"
#include "provider/host/wire/wire.h"

#include <stdbool.h>
#include <sys/types.h>

/* A plug-in in a process of its own (lunshadow-provider-host), as its caller sees it. Whatever that
 * process does costs the call that it did it in: it is killed and reaped, and the next call meets a
 * new one. One call at a time; calls from several threads wait for each other. */
struct remote;

/* Starts the process and has it load the plug-in of section, which must outlive *out. Failures: as
 * provider_load(), told by the process; VSS_E_UNEXPECTED_PROVIDER_ERROR where it did not answer
 * within 10 s, died, or talked nonsense. "deadline_ms" of the section caps the time of every call.
 */
HRESULT remote_open(const struct config *config, const struct config_section *section,
                    struct remote **out, struct error *err);

/* OnUnload, where OnLoad was called, or there is none and anything else was; closes the socket,
 * waits 2 s, kills. NULL is harmless. */
void remote_close(struct remote *remote);

/* What the plug-in said of itself. Lives as long as remote. */
const struct wire_facts *remote_facts(const struct remote *remote);
bool remote_has(const struct remote *remote, enum vss_provider_op op);

/* S_OK: the plug-in answered: *out_result is its code, line its line. Else it did not:
 * VSS_E_UNEXPECTED_PROVIDER_ERROR, also where a process could not be started again, whatever that
 * failed of; VSS_E_HOLD_WRITES_TIMEOUT where CommitSnapshots was late; or E_OUTOFMEMORY. Then line
 * says what became of the process. */
HRESULT remote_call(struct remote *remote, enum vss_provider_op op, const void *in, void *out,
                    struct provider_arena *arena, uint32_t deadline_ms, HRESULT *out_result,
                    struct error *line);

/* Of the process that serves now; 0: none. */
pid_t remote_pid(const struct remote *remote);

#endif
