/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_CLI_RESYNC_PLAN_H
#define LUNSHADOW_CLI_RESYNC_PLAN_H

#include "cli/command.h"
#include "registry/sets.h"

/* Which snapshots shall overwrite what, as the command line asks for it. */
struct resync_member {
    const struct snapshot_record *snapshot;
    const char *destination; /* as given, may carry a secret; NULL: the original */
};

struct resync_plan {
    const struct set_record *set; /* must outlive the plan */
    struct resync_member *members;
    size_t count;
};

/* From --snapshot ID[=VOLUME]..., or all snapshots of the set. CLI_OK, or complains and returns the
 * exit code. */
int resync_plan_make(const struct cli *cli, const struct set_record *set, struct resync_plan *out);
void resync_plan_free(struct resync_plan *plan);

/* Prints every LUN that would be overwritten as it is now: address, identity, size, label. The exit
 * code. */
int resync_plan_print(const struct cli *cli, const struct resync_plan *plan);

#endif
