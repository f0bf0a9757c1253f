/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_TESTS_CONTRACT_CONTRACT_H
#define LUNSHADOW_TESTS_CONTRACT_CONTRACT_H

#include <lunshadow/component.h>
#include <lunshadow/metadata.h>
#include <lunshadow/requester.h>
#include <stdbool.h>

/* One program per group of methods calls them as a requester would, brings about what a code stands
 * for, and notes each pair of a heading and a code that came through it. close.sh counts the pairs
 * of all programs against pairs.tsv and `reached`. */

/* ---- where methods are tried -------------------------------------------------------------------
 */

/* A state directory, a configuration and locks of its own. */
struct bench {
    char *directory; /* of everything */
    char state[512];
    char config[512];
};

/* One session and what a call on it may leave. All of it goes with trial_drop(). */
struct trial {
    const struct bench *bench;
    struct vss_backup_components *session;
    struct vss_backup_components *other; /* a second one, where a cause needs it */
    struct vss_async *async;
    struct vss_enum_object *objects;
    struct vss_enum_object *clone;
    struct vss_snapshot_prop snapshot;
    struct vss_object_prop object;
    struct vss_examine_writer_metadata *metadata;
    struct vss_wm_component *component;
    struct vss_wm_filedesc *filedesc;
    struct vss_wm_dependency *dependency;
    struct vss_writer_components *writer;
    struct vss_component *noted;
    char *text; /* outputs */
    char *second_text;
    char status_text[256]; /* what the last operation said */
    VSS_ID id;
};

void bench_start(struct bench *b);
void bench_stop(struct bench *b);

/* A session as created; fails the program where it cannot be. */
void trial_create(struct trial *t);
/* Created and initialized for backup, for restore with a document that has no snapshot set, or for
 * backup in a context. */
void trial_backup(struct trial *t);
void trial_restore(struct trial *t);
void trial_context(struct trial *t, uint32_t context);
void trial_drop(struct trial *t);

/* For steps that must succeed before the call that is tried. */
void trial_must(struct trial *t, HRESULT hr);

/* What comes of an asynchronous method: what it returned, else the status of its operation, with
 * S_OK for VSS_S_ASYNC_FINISHED. The operation is released. */
HRESULT trial_finish(struct trial *t, HRESULT hr);

/* ---- what is tried --------------------------------------------------------------------------- */

/* Provocations that fit many methods. */
enum provocation {
    WORKS = 1u << 0,    /* S_OK */
    MEMORY = 1u << 1,   /* E_OUTOFMEMORY: each allocation fails once, until the call meets none */
    NULLS = 1u << 2,    /* each argument in turn is NULL */
    RIGHTS = 1u << 3,   /* E_ACCESSDENIED: the caller is another user by now */
    THREAD = 1u << 4,   /* VSS_E_UNEXPECTED: no thread can be made */
    DAMAGE = 1u << 5,   /* VSS_E_UNEXPECTED: the registry is damaged under the open session */
    UNBEGUN = 1u << 6,  /* VSS_E_BAD_STATE: a session that was only created */
    SPENDING = 1u << 7, /* a failure ends what ready() prepared: no second call after it */
    OPENING = 1u << 8,  /* begins as creating a session does, whose allocations fail there */
    GONE = 1u << 9,     /* VSS_E_UNEXPECTED: the registry was taken away from the open session */
};

struct method {
    const char *heading;
    unsigned provocations;
    HRESULT null_code; /* 0: E_INVALIDARG */
    unsigned nulls;    /* how many arguments NULLS tries; the first is the handle */
    unsigned stride;   /* MEMORY fails every stride-th allocation only, where each would take
                          minutes; 0: each. LUNSHADOW_CONTRACT_ALL=1, or =HEADING for one
                          method, in the environment: each */
    void (*ready)(struct trial *t); /* NULL: nothing is needed */
    /* null: the number of the argument that shall be NULL, from 1; 0: none. */
    HRESULT (*call)(struct trial *t, unsigned null);
};

/* Every how manieth allocation fails in a test of that method: stride (0: each), or what the
 * environment wants (struct method). */
unsigned contract_stride(const char *heading, unsigned stride);

/* All provocations of all methods, each on a new trial. */
void contract_try(const struct bench *b, const struct method *methods, size_t count);
#define CONTRACT_TRY(b, methods)                                                                   \
    contract_try((b), (methods), sizeof(methods) / sizeof((methods)[0]))

/* ---- what came of it --------------------------------------------------------------------------
 */

/* Reads the table and begins this program's list of reached pairs. Called first. */
void contract_begin(const char *group);

/* hr came where code was provoked under this heading. The right one is noted; a wrong one is
 * printed with text, and fails the program in the end. Where the table has no such pair, the code
 * is one of those that requester.h adds, and only has to be right. */
void contract_expect(const char *heading, HRESULT hr, HRESULT code, const char *text);

/* The same on a trial's session, whose error text is printed. */
void contract_expect_on(const struct trial *t, const char *heading, HRESULT hr, HRESULT code);

/* A pair that this machine cannot provoke now (no other user without root, no tgtd): printed, and
 * counted neither way. */
void contract_skip(const char *heading, HRESULT code, const char *why);

/* A test that is no pair: printed, and fails the program in the end, where it does not hold. */
void contract_check(bool holds, const char *what);

/* How often something was wrong until now. */
unsigned contract_wrong(void);

/* The program's exit code. */
int contract_end(void);

/* ---- another user ------------------------------------------------------------------------------
 */

/* False where we are not root. */
bool caller_can_change(void);

/* In a child process: ready() as we are, then call() as a user who owns nothing. Its result; E_FAIL
 * where the child died. */
HRESULT caller_call(const struct bench *b, void (*ready)(struct trial *t),
                    HRESULT (*call)(struct trial *t, unsigned null));

/* ---- the registry's file -----------------------------------------------------------------------
 */

/* Overwrites all of the registry but its first page; puts the file back. */
void registry_damage(const struct bench *b);
void registry_restore(const struct bench *b);
/* Renames it, and back. */
void registry_take_away(const struct bench *b);
void registry_bring_back(const struct bench *b);

#endif
