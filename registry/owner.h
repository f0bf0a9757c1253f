/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_REGISTRY_OWNER_H
#define LUNSHADOW_REGISTRY_OWNER_H

#include "common/error.h"
#include "common/id.h"

#include <stdbool.h>

/* Private to this folder: which process holds a lock or works on a journal entry, so that it can be
 * told later, and by others, whether it still lives. A pid alone is reused, and so is its start
 * time (ticks since the boot) after a restart. */
struct owner {
    int64_t pid;
    uint64_t pid_start; /* field 22 of /proc/PID/stat */
    char boot_id[ID_TEXT_BYTES];
};

/* This process. VSS_E_UNEXPECTED without /proc. */
HRESULT owner_self(struct owner *out, struct error *err);

/* False for what has ended, a zombie included (but not one of which threads still run), and for
 * what runs in a pid namespace that cannot be seen from here. Where /proc does not tell (hidepid
 * hides the processes of other users, or the id of the boot cannot be read), any process with that
 * pid counts as it: what a dead process left may wait too long, but what a living one does is never
 * taken back. Root is told everything. */
bool owner_lives(const struct owner *owner);

#define OWNER_PROGRAM_BYTES 32
/* The name of the program that runs as pid; "?" where it cannot be read. Returns out. */
char *owner_program(int64_t pid, char out[OWNER_PROGRAM_BYTES]);

#endif
