/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_TESTS_CRASH_RUN_H
#define LUNSHADOW_TESTS_CRASH_RUN_H

#include "crash/tracer.h"
#include "crash/world.h"

#include <lunshadow/vss.h>

/* What is killed: commands, the states that they begin in, and what must hold afterwards. */

struct run;

struct scenario {
    const char *name;
    void (*prepare)(struct run *run);
    const char *arguments[8];           /* SET, DOCUMENT, ... stand for what they say */
    void (*judge_raw)(struct run *run); /* right after the kill; NULL: nothing to see */
    void (*judge)(struct run *run);
    bool is_undo;    /* a resync from the golden content to the damaged */
    bool has_writer; /* a writer takes part */
    bool copies_by_host;
    bool needs_mounts;
};

/* What was done about a kill. */
enum outcome { OUTCOME_NOTHING, OUTCOME_RESUMED, OUTCOME_ROLLED_BACK };

struct run {
    struct world w;
    const struct scenario *scenario;
    VSS_ID set_id; /* of the set that the scenario begins with */
    char set_text[ID_TEXT_BYTES];
    char copy_text[ID_TEXT_BYTES];   /* of its first shadow copy */
    char safety_text[ID_TEXT_BYTES]; /* of the safety copy that an undo begins with */
    char copy_files[WORLD_LUNS][400];
    uint8_t *copies[WORLD_LUNS]; /* their content at the beginning */
    uint8_t *resynced[WORLD_LUNS];
    bool is_dirty; /* nothing of the last point can be used again */
    enum victim victim;
    enum outcome outcome;
    bool was_undone; /* what was resumed had only to be let go: a safety copy was put back */
};

/* A name of NULL behind the last. */
extern const struct scenario scenarios_of_sets[];
extern const struct scenario scenarios_of_host[];

void run_expect(struct run *run, bool held, const char *what);

/* ---- starting states ---- */

void prepare_nothing(struct run *run); /* golden originals, no set */
void prepare_damaged(struct run *run); /* a transportable set; the originals are damaged since */
void run_make_set(struct run *run, const char *const arguments[]);
/* The set of the last point, if it is as it was. */
bool run_has_set(struct run *run, bool imported, bool of_partitions);
void run_forget_copies(struct run *run);

/* ---- judging ---- */

/* The run's set in the registry; false: it has none. */
bool run_load_set(struct run *run, struct set_record *out);
/* The disk ids of a label that is whole. */
bool run_read_ids(const char *path, struct vss_disk_ids *out);
void judge_originals(struct run *run);
void judge_pristine(struct run *run, const char *what); /* the copies are what they were */
void judge_create(struct run *run);

#endif
