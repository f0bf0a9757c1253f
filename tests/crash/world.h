/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_TESTS_CRASH_WORLD_H
#define LUNSHADOW_TESTS_CRASH_WORLD_H

#include "common/id.h"
#include "lab/lab.h"
#include "registry/journal.h"
#include "registry/sets.h"

#include <stdbool.h>

/* All that a killed command may touch: a lab of two small LUNs (MBR; GPT), their raw files, a
 * configuration, a registry. Everything lies in one new directory below /tmp. */

#define WORLD_LUNS   2
#define WORLD_BYTES  (8u << 20)
#define WORLD_EDGE   (64u << 10) /* where labels lie; all between is content */
#define WORLD_TARGET "iqn.2026-01.org.lunshadow.test:crash"

struct world {
    char base[64];
    char lunshadow[512];
    struct lab *lab;
    char config[128];
    char state[128];
    char document[128];
    char log[128];         /* what the last command said */
    char at[128];          /* an empty directory */
    char app[128];         /* of the application that a writer holds still */
    const char *no_mounts; /* why copies cannot be mounted here; NULL: they can */
    char urls[WORLD_LUNS][320];
    char parts[WORLD_LUNS][336]; /* the first partitions, as volumes; of LUN 1 an ext4 */
    char files[WORLD_LUNS][256];
    uint8_t *golden[WORLD_LUNS];  /* the originals */
    uint8_t *damaged[WORLD_LUNS]; /* and what a resync finds: other content, other disk ids */
    int failures;
    const char *point; /* for messages */
};

/* False: it cannot be had here, and *out_why says why; NULL: it failed. */
bool world_open(struct world *w, const char *lunshadow, const char **out_why);
void world_close(struct world *w);

/* Counts a failed check, with the point and what the last command said. */
void world_fail(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Runs lunshadow with arguments (NULL at the end), in the world's configuration; its exit code, or
 * -1 where a signal ended it. */
int world_run(struct world *w, const char *const arguments[]);
/* The same command line as an argv of its own: at most WORLD_ARGUMENTS, valid until the next call.
 */
#define WORLD_ARGUMENTS 16
const char *const *world_argv(struct world *w, const char *const arguments[]);
int world_open_log(struct world *w);

/* Raw files, read and written as a whole, past tgtd. */
uint8_t *world_read(const char *path);
bool world_equals(const char *path, const uint8_t *content);
bool world_save(const char *path, const uint8_t *content); /* as a new file, or a whole one */
void world_write_all(struct world *w, uint8_t *const content[WORLD_LUNS]);

/* What the registry has: all sets, all open entries. */
size_t world_sets(struct world *w, struct set_record **out);
size_t world_entries(struct world *w, struct journal_entry **out);

/* Deletes every set, every copy and every target but the world's own, whoever left them. */
void world_clear(struct world *w);

/* Takes the registry away, as if this were another host. */
void world_forget(struct world *w);

/* No file, target, set or open entry that is not of a set in the registry, or of also (may be
 * NULL: a set that was broken); tgtd runs and answers. */
void world_check_order(struct world *w, const VSS_ID *also);

/* Starts tgtd again, with the same ports and LUNs, where it is gone; one that was killed may have
 * to be waited for first. */
void world_revive_target(struct world *w, bool was_killed);

/* Kills it first: it forgets its reservations. */
void world_restart_target(struct world *w);

/* Whether the array leaves copying back to this host, and whether it will be lost: then a copy that
 * is exposed is given up soon. */
void world_configure(struct world *w, bool copies_by_host, bool loses_target);

/* Whether a writer takes part in what is done from now on. */
void world_use_writer(struct world *w, bool wanted);
/* No writer runs any more, and none holds the application. */
void world_check_no_writer(struct world *w);

/* The filesystem of LUN 1's first partition is readable below w->at. */
bool world_has_exposed(struct world *w);
/* No mount, no daemon, no loop device and no directory of an exposure; without a word: takes them
 * all away. */
void world_check_no_exposure(struct world *w);
void world_drop_exposures(struct world *w);

/* Nobody is registered on any LUN: every initiator may write. */
void world_check_no_fence(struct world *w);

#endif
