/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_TESTS_WRITERS_FIXTURE_H
#define LUNSHADOW_TESTS_WRITERS_FIXTURE_H

#include "unit/registry_fixture.h"

#include <lunshadow/requester.h>

/* Sessions with writers that are shell scripts, and no array: their sets are empty. */

struct writers_fixture {
    char *directory; /* state, locks, configuration, scripts */
    char config[512];
    char writers[512]; /* writers.d */
    char log[512];     /* what all writers of a test were told: "NAME EVENT" */
    unsigned count;
};

int writers_setup(void **state);
int writers_teardown(void **state);

/* Adds a writer: a shell script that answers "ok" to everything, but first runs body, which sees
 * $event, $number and $rest and may "continue" after an answer of its own. settings goes to the end
 * of its file: more of [writer], then [limits], [environment]; NULL: nothing. Its class id ends
 * with its number, from 1; its instance id begins with it. */
void writers_add(struct writers_fixture *f, const char *name, const char *settings,
                 const char *body);
/* In a body: the file "there" appears; the next event is awaited, with $late the number of this
 * one, and goes on as usual. For who is in the middle of something until it hears that that is
 * over. */
#define WRITERS_STAY                                                                               \
    ": >$dir/there; late=$number; while read -r event number rest || exit; [ $event = set ]; do "  \
    ":; done; echo $name $event >>$log"
/* The same until the file "go" is there. */
#define WRITERS_LINGER ": >$dir/there; until [ -e $dir/go ]; do sleep 0.01; done"

/* The same with metadata of one's own. */
void writers_add_with(struct writers_fixture *f, const char *name, const char *settings,
                      const char *body, const char *metadata);
VSS_ID writers_class(unsigned number);
VSS_ID writers_instance(unsigned number);

struct vss_backup_components *writers_session(const struct writers_fixture *f, uint32_t context);
/* The same at a level of enum vss_platform_level. */
struct vss_backup_components *writers_session_at(const struct writers_fixture *f, uint32_t context,
                                                 uint32_t platform_level);

/* Waits for an operation that must begin; its status. */
HRESULT writers_finished(HRESULT hr, struct vss_async **async);

HRESULT writers_gathered(struct vss_backup_components *s); /* GatherWriterMetadata */
HRESULT writers_prepared(struct vss_backup_components *s); /* StartSnapshotSet, PrepareForBackup */
HRESULT writers_made(struct vss_backup_components *s);     /* DoSnapshotSet */

/* Gathers the status and compares that of one writer; the text must have the words (NULL: any). */
#define writers_assert(s, name, state, failure, words)                                             \
    writers_assert_status((s), (name), (state), (failure), (words), __FILE__, __LINE__)
void writers_assert_status(struct vss_backup_components *s, const char *name, int32_t state,
                           HRESULT failure, const char *words, const char *file, int line);

/* The log's lines, blank-separated, without those of "status"; the next call overwrites it. */
const char *writers_log(const struct writers_fixture *f);

/* Waits until a file of the directory is there; makes one. */
void writers_await(const struct writers_fixture *f, const char *name);
void writers_make(const struct writers_fixture *f, const char *name);

#endif
