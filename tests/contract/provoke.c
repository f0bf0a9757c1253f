/* SPDX-License-Identifier: Apache-2.0 */
/* What can be provoked in the same way for many methods. */
#include "contract/contract.h"

#include "contract/memory.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALLOCATIONS_MAX = 20000, WRONG_MAX = 3 };

static void begin(struct trial *t, const struct bench *b, const struct method *m)
{
    *t = (struct trial){.bench = b};
    if (m->ready) {
        m->ready(t);
    }
}

static void try_success(const struct bench *b, const struct method *m)
{
    struct trial t;
    begin(&t, b, m);
    contract_expect_on(&t, m->heading, m->call(&t, 0), S_OK);
    trial_drop(&t);
}

/* False where the call met no failing allocation any more. */
static bool fail_one(const struct bench *b, const struct method *m, long number, bool *out_refused)
{
    struct trial t;
    begin(&t, b, m);
    memory_fail_at(number);
    HRESULT hr = m->call(&t, 0);
    bool was_met = memory_stop();
    if (!was_met) {
        contract_expect_on(&t, m->heading, hr, S_OK);
    } else if (FAILED(hr)) {
        char text[512];
        (void)snprintf(text, sizeof(text), "allocation %ld failed: %s", number,
                       vss_backup_components_error_text(t.session));
        contract_expect(m->heading, hr, E_OUTOFMEMORY, text);
        *out_refused = true;
        if (!(m->provocations & SPENDING)) { /* nothing was lost by it */
            contract_expect_on(&t, m->heading, m->call(&t, 0), S_OK);
        }
    }
    trial_drop(&t);
    return was_met;
}

static long count_opening(const struct bench *b)
{
    struct trial t = {.bench = b};
    memory_fail_at(MEMORY_NEVER);
    trial_create(&t);
    long count = memory_count();
    (void)memory_stop();
    trial_drop(&t);
    return count;
}

unsigned contract_stride(const char *heading, unsigned stride)
{
    const char *wanted = getenv("LUNSHADOW_CONTRACT_ALL");
    bool is_every_one = wanted && (strcmp(wanted, "1") == 0 || strcmp(wanted, heading) == 0);
    return stride && !is_every_one ? stride : 1;
}

static void try_memory(const struct bench *b, const struct method *m)
{
    long first = m->provocations & OPENING ? count_opening(b) : 1;
    long stride = contract_stride(m->heading, m->stride);
    long number = first;
    bool was_refused = false;
    unsigned enough = contract_wrong() + WRONG_MAX; /* the rest would say the same */
    while (number < ALLOCATIONS_MAX && contract_wrong() < enough &&
           fail_one(b, m, number, &was_refused)) {
        number += stride;
    }
    (void)printf("%s: %ld allocations, each %ld. failed\n", m->heading, number - first, stride);
    if (!was_refused) {
        contract_expect(m->heading, S_OK, E_OUTOFMEMORY, "no failing allocation was noticed");
    }
}

static void try_nulls(const struct bench *b, const struct method *m)
{
    for (unsigned null = 1; null <= m->nulls; null++) {
        struct trial t;
        begin(&t, b, m);
        contract_expect_on(&t, m->heading, m->call(&t, null),
                           m->null_code ? m->null_code : E_INVALIDARG);
        trial_drop(&t);
    }
}

static void try_rights(const struct bench *b, const struct method *m)
{
    if (!caller_can_change()) {
        contract_skip(m->heading, E_ACCESSDENIED, "only root can become another user");
        return;
    }
    contract_expect(m->heading, caller_call(b, m->ready, m->call), E_ACCESSDENIED, "in a child");
}

/* A thread's stack that no address space has. */
static void try_thread(const struct bench *b, const struct method *m)
{
    struct trial t;
    pthread_attr_t usual;
    pthread_attr_t huge;
    begin(&t, b, m);
    bool is_set = pthread_getattr_default_np(&usual) == 0 && pthread_attr_init(&huge) == 0 &&
                  pthread_attr_setstacksize(&huge, (size_t)1 << 48) == 0 &&
                  pthread_setattr_default_np(&huge) == 0;
    contract_check(is_set, "a default stack that is too large cannot be set");
    contract_expect_on(&t, m->heading, m->call(&t, 0), VSS_E_UNEXPECTED);
    (void)pthread_setattr_default_np(&usual);
    (void)pthread_attr_destroy(&huge);
    (void)pthread_attr_destroy(&usual);
    contract_expect_on(&t, m->heading, m->call(&t, 0), S_OK); /* as if it had not been tried */
    trial_drop(&t);
}

static void try_damage(const struct bench *b, const struct method *m)
{
    struct trial t;
    begin(&t, b, m);
    registry_damage(b);
    contract_expect_on(&t, m->heading, m->call(&t, 0), VSS_E_UNEXPECTED);
    trial_drop(&t);
    registry_restore(b);
}

static void try_gone(const struct bench *b, const struct method *m)
{
    struct trial t;
    begin(&t, b, m);
    registry_take_away(b);
    contract_expect_on(&t, m->heading, m->call(&t, 0), VSS_E_UNEXPECTED);
    registry_bring_back(b);
    contract_expect_on(&t, m->heading, m->call(&t, 0), S_OK); /* as if it had not been tried */
    trial_drop(&t);
}

static void try_unbegun(const struct bench *b, const struct method *m)
{
    struct trial t = {.bench = b};
    trial_create(&t);
    contract_expect_on(&t, m->heading, m->call(&t, 0), VSS_E_BAD_STATE);
    trial_drop(&t);
}

void contract_try(const struct bench *b, const struct method *methods, size_t count)
{
    static const struct {
        unsigned provocation;
        void (*run)(const struct bench *b, const struct method *m);
    } all[] = {{WORKS, try_success},   {MEMORY, try_memory}, {NULLS, try_nulls},
               {RIGHTS, try_rights},   {THREAD, try_thread}, {DAMAGE, try_damage},
               {UNBEGUN, try_unbegun}, {GONE, try_gone}};
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < sizeof(all) / sizeof(all[0]); j++) {
            if (methods[i].provocations & all[j].provocation) {
                all[j].run(b, &methods[i]);
            }
        }
    }
}
