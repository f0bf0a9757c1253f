/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/interrupt.h"

#include <signal.h>
#include <stddef.h>

/* All of it without a lock, as a signal's handler needs it. */
_Static_assert(ATOMIC_BOOL_LOCK_FREE == 2 && ATOMIC_POINTER_LOCK_FREE == 2,
               "no locks in a handler");

static atomic_bool was_asked;
static atomic_bool *_Atomic to_cancel;

static void on_signal(int number)
{
    (void)number;
    atomic_store(&was_asked, true);
    atomic_bool *flag = atomic_load(&to_cancel);
    if (flag) {
        atomic_store(flag, true);
    }
}

void interrupt_cancels(atomic_bool *flag)
{
    atomic_store(&to_cancel, flag);
    if (flag && atomic_load(&was_asked)) {
        atomic_store(flag, true);
    }
}

void interrupt_install(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    (void)sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        struct sigaction old;
        /* Under nohup SIGHUP stays ignored. */
        if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN) {
            (void)sigaction(signals[i], &action, NULL);
        }
    }
}

bool interrupt_was_asked(void)
{
    return atomic_load(&was_asked);
}
