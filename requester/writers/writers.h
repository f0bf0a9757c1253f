/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_REQUESTER_WRITERS_WRITERS_H
#define LUNSHADOW_REQUESTER_WRITERS_WRITERS_H

#include "registry/store.h"
#include "requester/writer_metadata.h"
#include "requester/writers/writer.h"

/* The writers of a session: started once, told of each event, all at the same time, ended with the
 * session. What fails is one writer's own failure and stays in its state; the operation goes on
 * with the others. What ends an operation is only said where a function names it.
 *
 * A writer that failed gets no further event of the sequence but abort, which comes with the thaw,
 * or at once where it failed later. One that died, was late or made no sense is killed, and does
 * not come back in this session. */
struct writers;

HRESULT writers_new(struct writers **out, struct error *err);

/* Aborts what is in a sequence, tells the end (backup-shutdown, of a backup session), gives each
 * process two seconds to end by itself, kills the rest. NULL is harmless. */
void writers_free(struct writers *ws, bool is_backup);

/* EnableWriterClasses, DisableWriterClasses, DisableWriterInstances: before writers_gather(). Calls
 * add up; the first enabling of classes makes all earlier disabling of classes void, and from then
 * on only what was enabled counts. E_OUTOFMEMORY. */
HRESULT writers_enable_classes(struct writers *ws, const VSS_ID *ids, size_t count);
HRESULT writers_disable_classes(struct writers *ws, const VSS_ID *ids, size_t count);
HRESULT writers_disable_instances(struct writers *ws, const VSS_ID *ids, size_t count);

/* What goes out with an event, and what comes back with it. */
struct writers_call {
    const atomic_bool *cancelled; /* may be NULL */
    void *user;

    /* Says what there is to say before the event, with writer_set(). NULL: nothing. */
    void (*describe)(void *user, struct writer *writer, enum writer_event event);

    /* Keeps what a writer said of its components; its notes are forgotten afterwards. NULL: none
     * are kept. E_OUTOFMEMORY ends the operation. */
    HRESULT (*keep)(void *user, const struct writer *writer, struct error *err);
};

/* Starts the writers and asks who they are; adds those that say so to *out. One that does not, or
 * that cannot be started, is not added, and fails with VSS_WS_FAILED_AT_IDENTIFY; a disabled one
 * leaves no trace. VSS_E_WRITER_INFRASTRUCTURE: see writer_files_list(); E_ABORT; after a failure
 * none is there and *out is as it was. */
HRESULT writers_gather(struct writers *ws, const struct config *config,
                       const struct writers_call *call, struct gathered_writers *out,
                       struct error *err);

/* Tells one event to all that it concerns, and waits for them. Not for freeze and thaw. E_ABORT:
 * cancelled. E_OUTOFMEMORY. */
HRESULT writers_tell(struct writers *ws, enum writer_event event, const struct writers_call *call,
                     struct error *err);

/* Freezes, level by level, all of a level at once, within WRITER_FROZEN_MAX_MS together. Writes no
 * file and no log, and neither does writers_thaw() before all are thawed; what writers say of
 * components on the way is kept then. VSS_E_TRANSACTION_FREEZE_TIMEOUT:
 * is_transacted, and one that coordinates transactions did not freeze. */
HRESULT writers_freeze(struct writers *ws, bool is_transacted, const struct writers_call *call,
                       struct error *err);

/* Thaws, in the opposite order, what was frozen; those that had failed, or fail now, are told
 * abort. Reaches every one that lives, whatever freeze came to, and cannot be cancelled.
 * VSS_E_TRANSACTION_THAW_TIMEOUT as above. */
HRESULT writers_thaw(struct writers *ws, bool is_transacted, const struct writers_call *call,
                     struct error *err);

/* Tells abort to all that are in a sequence. */
void writers_abort(struct writers *ws);

/* Writes the failures that are not in the event log yet to it. Not between freeze and thaw. */
void writers_report(struct writers *ws, struct store *store);

/* All that were started or should have been, disabled ones aside. */
size_t writers_count(const struct writers *ws);
const struct writer *writers_at(const struct writers *ws, size_t index);

/* Whether the last event told by writers_tell() met one that died, was late or made no sense. */
bool writers_have_lost(const struct writers *ws);

#endif
