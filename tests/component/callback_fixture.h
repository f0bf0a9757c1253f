/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_TESTS_CALLBACK_FIXTURE_H
#define LUNSHADOW_TESTS_CALLBACK_FIXTURE_H

#include "component/array_fixture.h"
#include "lun/lun.h"
#include "provider/host/internal.h"
#include "resync/recovery.h"

/* Callbacks of the loaded tgt plug-in, one of them replaced, and recoveries that meet that. The
 * test's process sets LUNSHADOW_PROVIDER_IN_PROCESS: elsewhere nothing can be replaced. */

extern struct array *running;                    /* of the test that runs */
extern vss_provider_callback real[VSS_OP_COUNT]; /* what was replaced */
extern int calls; /* of a replacement that counts; 0 since replace() */

void replace(struct array *a, enum vss_provider_op op, vss_provider_callback callback);
void restore(struct array *a, enum vss_provider_op op);

/* A replacement that counts, and refuses: "the test says no". */
HRESULT veto(void *self, const struct vss_call *call, const void *in, void *out);

size_t open_entries(struct array *a);

/* The first count snapshots of a set, over their originals. */
void start_recovery(struct array *a, const struct set_record *set, size_t count,
                    struct recovery **out);
void recover(struct array *a, const struct set_record *set, size_t count);
/* It must fail with VSS_E_PROVIDER_VETO and these words. */
void fail_to_recover(struct array *a, const struct set_record *set, size_t count,
                     const char *words);

/* tgtadm's parameters of a LUN ("readonly=1"). */
void update_lun(struct array *a, int lun, const char *params);

/* The LUN carries no label. */
void assert_blank(struct array *a, size_t which);

/* A set of two, whose LUNs then hold something else. */
void make_two(struct array *a, struct set_record *set, uint64_t digests[2]);

/* sh -e; it must succeed. */
void run_shell(const char *line);

/* What an array's targets do to a session that is silent for the hours of a copy. */
void cut_sessions(struct array *a);

/* Closes a LUN that a stranger holds registered with the key 0x5757. */
void leave(struct lun *lun);

#endif
