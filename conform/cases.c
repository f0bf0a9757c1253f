/* SPDX-License-Identifier: Apache-2.0 */
#include "conform/cases.h"

#define HARDWARE "IVssHardwareSnapshotProvider::"
#define EX       "IVssHardwareSnapshotProviderEx::"
#define CREATE   "IVssProviderCreateSnapshotSet::"
#define PAGE     "lunshadow-provider(7), "

const struct conform_case conform_cases[] = {
    {"table.accepted", NEEDS_NOTHING, PAGE "THE PROMISE",
     "a host accepts the table: magic, ABI, mandatory operations, ResyncLuns whole or not at all",
     case_table_accepted},
    {"table.version", NEEDS_NOTHING, "IVssAdmin::RegisterProvider",
     "a version id of its own, a name and a version for people", case_table_version},
    {"claims.values", NEEDS_NOTHING, PAGE "GetProviderCapabilities",
     "each answer is NO, EMULATED or NATIVE, some kind of copy is made, one line describes it",
     case_claims_values},
    {"claims.resync", NEEDS_NOTHING, PAGE "GetProviderCapabilities",
     "resync is claimed where ResyncLuns is in the table, and only there", case_claims_resync},
    {"claims.stable", NEEDS_NOTHING, PAGE "ONE SHAPE", "a new process makes the same claims",
     case_claims_stable},
    {"unload.forced", NEEDS_ON_UNLOAD, "IVssProviderNotifications::OnUnload",
     "a forced OnUnload gives S_OK, never S_FALSE", case_unload_forced},

    {"supported.scratch", NEEDS_NOTHING, HARDWARE "AreLunsSupported",
     "1 for each scratch LUN, and for a volume on two of them where consistent-set is claimed",
     case_supported_scratch},
    {"supported.foreign", NEEDS_NOTHING, HARDWARE "AreLunsSupported",
     "S_OK and 0 for a LUN of another array: an answer, not an error", case_supported_foreign},
    {"supported.all-or-nothing", NEEDS_NOTHING, HARDWARE "AreLunsSupported",
     "0 for a volume of which one LUN is foreign, whichever it is", case_supported_all_or_nothing},
    {"supported.context", NEEDS_NOTHING, HARDWARE "AreLunsSupported",
     "0 for a kind of copy that is not claimed, and for client-accessible copies",
     case_supported_context},
    {"supported.interconnects", NEEDS_NOTHING, HARDWARE "AreLunsSupported",
     "corrected infos leave the interconnects as they were", case_supported_interconnects},
    {"fill-in.own", NEEDS_NOTHING, HARDWARE "FillInLunInfo",
     "1 for each scratch LUN, and what is corrected is what the LUN shows", case_fill_in_own},
    {"fill-in.foreign", NEEDS_NOTHING, HARDWARE "FillInLunInfo",
     "S_OK and 0 for a LUN of another array", case_fill_in_foreign},

    {"begin.same-lun", NEEDS_NOTHING, HARDWARE "BeginPrepareSnapshot",
     "two volumes of a set on one LUN: the same LUN twice, one copy of it", case_begin_same_lun},
    {"begin.new-set", NEEDS_NOTHING, HARDWARE "BeginPrepareSnapshot",
     "a new set id at any time: the old set is abandoned without a word", case_begin_new_set},
    {"begin.many-volumes", NEEDS_NOTHING, HARDWARE "BeginPrepareSnapshot",
     "64 volumes in a set, or VSS_E_MAXIMUM_NUMBER_OF_VOLUMES_REACHED", case_begin_many_volumes},
    {"begin.quick", NEEDS_NOTHING, CREATE "PreCommitSnapshots",
     "BeginPrepareSnapshot and PreCommitSnapshots take at most 2 s", case_begin_quick},
    {"prepare.foreign", NEEDS_NOTHING, CREATE "EndPrepareSnapshots",
     "a set with a LUN of another array is refused by EndPrepareSnapshots at the latest",
     case_prepare_foreign},
    {"prepare.states", NEEDS_NOTHING, PAGE "ONE SHAPE",
     "states of at most 4096 bytes, which are enough for a new process to go on",
     case_prepare_states},
    {"commit.order", NEEDS_NOTHING, CREATE "PostCommitSnapshots",
     "PostCommitSnapshots of a set that was not committed is refused", case_commit_order},
    {"commit.figures", NEEDS_NOTHING, PAGE "CommitSnapshots",
     "first and last cut lie within the call, in that order, and within the hold, which several "
     "LUNs "
     "need unless consistent-set is native",
     case_commit_figures},
    {"commit.quick", NEEDS_NOTHING, CREATE "CommitSnapshots", "it takes at most 1 s",
     case_commit_quick},
    {"commit.content", NEEDS_NOTHING, CREATE "CommitSnapshots",
     "copies are what the originals were at the commit, whatever is written to these later",
     case_commit_content},
    {"commit.differential", NEEDS_DIFFERENTIAL, "VSS_VOLSNAP_ATTR_DIFFERENTIAL",
     "AreLunsSupported says 1 for DIFFERENTIAL copies, and those hold as commit.content",
     case_commit_differential},
    {"commit.plex", NEEDS_PLEX, "VSS_VOLSNAP_ATTR_PLEX",
     "AreLunsSupported says 1 for PLEX copies, and those hold as commit.content", case_commit_plex},
    {"commit.originals", NEEDS_NOTHING, CREATE "CommitSnapshots",
     "no byte of an original is written", case_commit_originals},
    {"commit.point-in-time", NEEDS_CONSISTENT_SET, PAGE "GetProviderCapabilities",
     "all LUNs of a set are cut at one moment of the commit, while dependent writes go on",
     case_commit_point_in_time},

    {"abort.every-stage", NEEDS_NOTHING, CREATE "AbortSnapshots",
     "behind each step, in a new process, nothing of the set is left", case_abort_every_stage},
    {"abort.twice", NEEDS_NOTHING, CREATE "AbortSnapshots",
     "the second time S_OK or VSS_E_OBJECT_NOT_FOUND", case_abort_twice},
    {"abort.without-states", NEEDS_NOTHING, PAGE "AbortSnapshots",
     "the set id alone is enough to find what is left", case_abort_without_states},
    {"abort.other-set", NEEDS_NOTHING, CREATE "AbortSnapshots", "the copies of another set stay",
     case_abort_other_set},

    {"targets.unique", NEEDS_NOTHING, "VSS, Required Behaviors of hardware providers",
     "each copy has a page-83 identity of its own; version 1, a disk, no signature",
     case_targets_unique},
    {"targets.order", NEEDS_NOTHING, HARDWARE "GetTargetLuns",
     "as many as there are originals, in their order", case_targets_order},
    {"targets.live", NEEDS_NOTHING, HARDWARE "GetTargetLuns",
     "INQUIRY strings, pages 80 and 83 are what the copy shows later", case_targets_live},
    {"targets.stable", NEEDS_NOTHING, HARDWARE "GetTargetLuns",
     "asked again, in a new process or when the copies are shown: the same", case_targets_stable},
    {"targets.size", NEEDS_NOTHING, HARDWARE "GetTargetLuns",
     "a copy has its original's size and block size", case_targets_size},
    {"locate.visible", NEEDS_NOTHING, HARDWARE "LocateLuns",
     "the copies are found by page 83 on a configured portal", case_locate_visible},
    {"locate.writable", NEEDS_NOTHING, HARDWARE "LocateLuns", "read/write, never read-only",
     case_locate_writable},
    {"locate.alone", NEEDS_NOTHING, PAGE "LocateLuns", "to the one initiator and to nobody else",
     case_locate_alone},
    {"locate.again", NEEDS_NOTHING, PAGE "LocateLuns", "called again it succeeds again",
     case_locate_again},
    {"locate.other-host", NEEDS_NOTHING, HARDWARE "LocateLuns",
     "for another initiator they are shown to that one: another host may import a set",
     case_locate_other_host},
    {"final.read-only", NEEDS_READ_ONLY, CREATE "PostFinalCommitSnapshots",
     "after POST_RECOVERY, PreFinalCommitSnapshots and PostFinalCommitSnapshots: read-only",
     case_final_read_only},
    {"state.read-write", NEEDS_READ_ONLY, EX "OnLunStateChange",
     "NOTIFY_READ_WRITE makes read-only copies writable", case_state_read_write},
    {"state.pre-recovery", NEEDS_READ_ONLY, EX "OnLunStateChange",
     "PRE_RECOVERY makes read-only copies writable", case_state_recovery},
    {"mask.hides", NEEDS_MASK, EX "OnLunStateChange", "after DO_MASK_LUNS nobody finds the copies",
     case_mask_hides},
    {"mask.ends-sessions", NEEDS_MASK, EX "OnLunStateChange",
     "DO_MASK_LUNS ends the sessions that use the copies", case_mask_ends_sessions},
    {"mask.keeps", NEEDS_MASK, EX "OnLunStateChange",
     "DO_MASK_LUNS deletes nothing: LocateLuns shows the same copies again", case_mask_keeps},

    {"delete.gone", NEEDS_NOTHING, HARDWARE "OnLunEmpty",
     "the copy is away, and LocateLuns has nothing to show", case_delete_gone},
    {"delete.only-that", NEEDS_CONSISTENT_SET, HARDWARE "OnLunEmpty",
     "the other copies of the set stay as they are", case_delete_only_that},
    {"delete.twice", NEEDS_NOTHING, HARDWARE "OnLunEmpty",
     "the second time S_OK or VSS_E_OBJECT_NOT_FOUND", case_delete_twice},
    {"delete.original", NEEDS_NOTHING, HARDWARE "OnLunEmpty",
     "for an original, with no state: nothing happens to it", case_delete_original},

    {"resync.content", NEEDS_RESYNC, EX "ResyncLuns", "the destinations become what the copies are",
     case_resync_content},
    {"resync.progress", NEEDS_RESYNC, PAGE "ResyncLuns",
     "bytes done never fall, never exceed the total, and reach it", case_resync_progress},
    {"resync.identity", NEEDS_RESYNC, EX "ResyncLuns",
     "the destinations keep their page-83 identity and serial number", case_resync_identity},
    {"resync.copy-intact", NEEDS_RESYNC, EX "ResyncLuns",
     "the copies are unchanged and good for another resync", case_resync_copy_intact},
    {"resync.new-process", NEEDS_RESYNC, PAGE "ONE SHAPE",
     "each poll goes on from the last one's state, in a new process", case_resync_new_process},
    {"resync.labels-last", NEEDS_RESYNC, PAGE "ResyncLuns",
     "while the bodies are not done no block of an end of the copy is on its destination",
     case_resync_labels_last},
    {"resync.cancel", NEEDS_RESYNC, PAGE "ResyncLuns",
     "cancel stops it and is harmless twice, and a new resync makes the destinations whole",
     case_resync_cancel},
    {"resync.cancel-unheard", NEEDS_RESYNC, PAGE "ResyncLuns",
     "cancel needs no state to stop it, where the answer to start was lost",
     case_resync_cancel_unheard},
    {"resync.foreign", NEEDS_RESYNC, EX "ResyncLuns", "a destination of another array is refused",
     case_resync_foreign},
    {"resync.gone", NEEDS_RESYNC, PAGE "ResyncLuns",
     "a copy that was deleted: start fails, and nothing is written", case_resync_gone},
    {"resync.ends-sessions", NEEDS_RESYNC, PAGE "OnLunStateChange",
     "PRE_RECOVERY of destinations ends the sessions that use them", case_resync_ends_sessions},

    {"changes.form", NEEDS_CHANGES, PAGE "ListChanges",
     "extents ascend from from_byte on, next_byte goes on, and the list does not depend on "
     "extent_max",
     case_changes_form},
    {"changes.cover", NEEDS_CHANGES, PAGE "ListChanges",
     "every block that differs between a copy and its original is named, whichever of them was "
     "written, or is_known is 0",
     case_changes_cover},
    {"changes.foreign", NEEDS_CHANGES, PAGE "ListChanges",
     "of a destination of another array nothing is known", case_changes_foreign},

    {"life.whole", NEEDS_NOTHING, CREATE "*, " HARDWARE "*",
     "every operation of a set's life succeeds in its turn", case_life_whole},
    {"life.new-processes", NEEDS_NOTHING, PAGE "ONE SHAPE",
     "every operation may meet a new process", case_life_new_processes},
    {"life.two-sets", NEEDS_NOTHING, HARDWARE "OnLunEmpty",
     "a second set of the same LUNs, made and deleted, leaves the first alone", case_life_two_sets},
    {"life.unknown-set", NEEDS_NOTHING, PAGE "ONE SHAPE",
     "operations on a set that was never prepared are refused, by a code they may give",
     case_life_unknown_set},
    {"life.foreign-states", NEEDS_NOTHING, PAGE "ONE SHAPE",
     "states that somebody else wrote: any allowed code, and the process goes on",
     case_life_foreign_states},
    {"life.no-luns", NEEDS_NOTHING, PAGE "ONE SHAPE",
     "a set without LUNs: any allowed code, and the process goes on", case_life_no_luns},

    /* Last: the destination is smaller afterwards. */
    {"resync.size", NEEDS_OTHER_SIZE, EX "ResyncLuns",
     "a larger destination becomes what the copy is, or is refused where resize is not claimed",
     case_resync_size},
};

const size_t conform_case_count = sizeof(conform_cases) / sizeof(conform_cases[0]);

const char *conform_need_name(enum conform_need need)
{
    static const char *const names[] = {
        [NEEDS_NOTHING] = "",
        [NEEDS_RESYNC] = "resync",
        [NEEDS_MASK] = "mask",
        [NEEDS_READ_ONLY] = "read-only",
        [NEEDS_CONSISTENT_SET] = "consistent-set",
        [NEEDS_DIFFERENTIAL] = "differential",
        [NEEDS_PLEX] = "plex",
        [NEEDS_ON_UNLOAD] = "OnUnload",
        [NEEDS_CHANGES] = "ListChanges",
        [NEEDS_OTHER_SIZE] = "resync, and a third scratch LUN that is larger",
    };
    return names[need];
}

size_t conform_larger_lun(const struct conform *c)
{
    for (size_t i = 2; i < c->scratch_count; i++) {
        if (c->scratch[i].block_bytes == c->scratch[0].block_bytes &&
            c->scratch[i].block_count > c->scratch[0].block_count) {
            return i;
        }
    }
    return 0;
}

bool conform_is_claimed(const struct conform *c, enum conform_need need)
{
    const struct vss_capabilities_out *said = provider_capabilities(c->provider);
    switch (need) {
    case NEEDS_RESYNC:
        return said->resync == VSS_CAPABILITY_NATIVE;
    case NEEDS_MASK:
        return said->mask == VSS_CAPABILITY_NATIVE;
    case NEEDS_READ_ONLY:
        return said->read_only == VSS_CAPABILITY_NATIVE;
    case NEEDS_CONSISTENT_SET:
        return said->consistent_set != VSS_CAPABILITY_NO; /* EMULATED promises it, too */
    case NEEDS_DIFFERENTIAL:
        return said->differential == VSS_CAPABILITY_NATIVE;
    case NEEDS_PLEX:
        return said->plex == VSS_CAPABILITY_NATIVE;
    case NEEDS_ON_UNLOAD:
        return provider_has(c->provider, VSS_OP_ON_UNLOAD);
    case NEEDS_CHANGES:
        return provider_has(c->provider, VSS_OP_LIST_CHANGES);
    case NEEDS_OTHER_SIZE:
        return said->resync == VSS_CAPABILITY_NATIVE && conform_larger_lun(c) > 0;
    default:
        return true;
    }
}
