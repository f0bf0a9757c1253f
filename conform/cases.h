/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_CONFORM_CASES_H
#define LUNSHADOW_CONFORM_CASES_H

#include "conform/conform.h"

/* What a provider must have claimed, or the array must have, for a case to mean anything. */
enum conform_need {
    NEEDS_NOTHING,
    NEEDS_RESYNC,
    NEEDS_MASK,
    NEEDS_READ_ONLY,
    NEEDS_CONSISTENT_SET,
    NEEDS_DIFFERENTIAL,
    NEEDS_PLEX,
    NEEDS_ON_UNLOAD,
    NEEDS_CHANGES,   /* ListChanges */
    NEEDS_OTHER_SIZE /* resync, and a scratch LUN larger than the first two */
};

struct conform_case {
    const char *name;
    enum conform_need need;
    const char *source;   /* the documented rule */
    const char *expected; /* one line */
    void (*run)(struct conform *c);
};

extern const struct conform_case conform_cases[];
extern const size_t conform_case_count;

const char *conform_need_name(enum conform_need need); /* "" for none */
bool conform_is_claimed(const struct conform *c, enum conform_need need);

/* The first scratch LUN that is larger than those of a set; 0: none. */
size_t conform_larger_lun(const struct conform *c);

/* table_cases.c: what the table and the claims say, before anything is copied. */
void case_table_accepted(struct conform *c);
void case_table_version(struct conform *c);
void case_claims_values(struct conform *c);
void case_claims_resync(struct conform *c);
void case_claims_stable(struct conform *c);
void case_unload_forced(struct conform *c);

/* question_cases.c: AreLunsSupported, FillInLunInfo. */
void case_supported_scratch(struct conform *c);
void case_supported_foreign(struct conform *c);
void case_supported_all_or_nothing(struct conform *c);
void case_supported_context(struct conform *c);
void case_supported_interconnects(struct conform *c);
/* AreLunsSupported says 1 for copies of this kind, VSS_VOLSNAP_ATTR_*. */
void question_expect_context(struct conform *c, uint32_t kind);
void case_fill_in_own(struct conform *c);
void case_fill_in_foreign(struct conform *c);

/* create_cases.c: from BeginPrepareSnapshot to PostCommitSnapshots. */
void case_begin_same_lun(struct conform *c);
void case_begin_new_set(struct conform *c);
void case_begin_many_volumes(struct conform *c);
void case_begin_quick(struct conform *c);
void case_prepare_foreign(struct conform *c);
void case_prepare_states(struct conform *c);
void case_commit_order(struct conform *c);
void case_commit_figures(struct conform *c);
void case_commit_quick(struct conform *c);
void case_commit_content(struct conform *c);
void case_commit_differential(struct conform *c);
void case_commit_plex(struct conform *c);
void case_commit_originals(struct conform *c);
void case_commit_point_in_time(struct conform *c);

/* abort_cases.c */
void case_abort_every_stage(struct conform *c);
void case_abort_twice(struct conform *c);
void case_abort_without_states(struct conform *c);
void case_abort_other_set(struct conform *c);

/* copy_cases.c: GetTargetLuns, LocateLuns, OnLunStateChange, OnLunEmpty. */
void case_targets_unique(struct conform *c);
void case_targets_order(struct conform *c);
void case_targets_live(struct conform *c);
void case_targets_stable(struct conform *c);
void case_targets_size(struct conform *c);
void case_locate_visible(struct conform *c);
void case_locate_writable(struct conform *c);
void case_locate_alone(struct conform *c);
void case_locate_again(struct conform *c);
void case_locate_other_host(struct conform *c);
void case_final_read_only(struct conform *c);
void case_state_read_write(struct conform *c);
void case_state_recovery(struct conform *c);
void case_mask_hides(struct conform *c);
void case_mask_ends_sessions(struct conform *c);
void case_mask_keeps(struct conform *c);
void case_delete_gone(struct conform *c);
void case_delete_only_that(struct conform *c);
void case_delete_twice(struct conform *c);
void case_delete_original(struct conform *c);

/* resync_cases.c */
void case_resync_content(struct conform *c);
void case_resync_progress(struct conform *c);
void case_resync_identity(struct conform *c);
void case_resync_copy_intact(struct conform *c);
void case_resync_new_process(struct conform *c);
void case_resync_labels_last(struct conform *c);
void case_resync_cancel(struct conform *c);
void case_resync_cancel_unheard(struct conform *c);
void case_resync_foreign(struct conform *c);
void case_resync_gone(struct conform *c);
void case_resync_ends_sessions(struct conform *c);
void case_resync_size(struct conform *c);

/* changes_cases.c */
void case_changes_form(struct conform *c);
void case_changes_cover(struct conform *c);
void case_changes_foreign(struct conform *c);

/* life_cases.c: rules of every operation. */
void case_life_whole(struct conform *c);
void case_life_new_processes(struct conform *c);
void case_life_two_sets(struct conform *c);
void case_life_unknown_set(struct conform *c);
void case_life_foreign_states(struct conform *c);
void case_life_no_luns(struct conform *c);

#endif
