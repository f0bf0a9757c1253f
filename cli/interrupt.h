/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_CLI_INTERRUPT_H
#define LUNSHADOW_CLI_INTERRUPT_H

#include <stdatomic.h>
#include <stdbool.h>

/* Ctrl-C (and SIGTERM, SIGHUP) asks a command that changes an array to stop at its next safe point
 * and undo what it did, instead of dying half-way; the second one ends the process at once. */
void interrupt_install(void);
bool interrupt_was_asked(void);

/* For operations of this thread, which look at a flag: the signal sets it too; at once, where it
 * came before. NULL before the flag goes away. */
void interrupt_cancels(atomic_bool *flag);

#endif
