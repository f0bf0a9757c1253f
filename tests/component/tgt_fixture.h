/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_TESTS_TGT_FIXTURE_H
#define LUNSHADOW_TESTS_TGT_FIXTURE_H

#include "lab/lab.h"
#include "lun/lun.h"
#include "plugin_host.h"

#include <sys/types.h>

#define TGT_TEST_LUNS  3
#define TGT_TEST_ME    "iqn.2026-11.lunshadow.test:me"
#define TGT_TEST_OTHER "iqn.2026-11.lunshadow.test:other"
#define TGT_TEST_T1    "iqn.2026-11.lunshadow.test:one"
#define TGT_TEST_T2    "iqn.2026-11.lunshadow.test:two"
#define TGT_TEST_BYTES (32u << 20)

/* A lab with three LUNs full of data (the third with 4096-byte blocks, in a target of its own), the
 * plug-in loaded, and a set of the three. */
struct tgt_fixture {
    char base[64];
    struct lab *lab;
    struct plugin_host host;
    struct lun_identity identities[TGT_TEST_LUNS]; /* of the originals */
    char *devices[TGT_TEST_LUNS];
    struct vss_lun_info sources[TGT_TEST_LUNS];
    struct vss_set_lun luns[TGT_TEST_LUNS];
    struct vss_set_in set;
    struct vss_states_out commit; /* what CommitSnapshots answered */
};

/* image_bytes 0: a plain directory. f must outlive the test function: see tgt_fixture_end(). */
void tgt_fixture_up(struct tgt_fixture *f, uint64_t image_bytes);

/* Ends it and asserts that no file of the plug-in is left in the LUNs' directory. */
void tgt_fixture_down(struct tgt_fixture *f);

/* Teardown for every test: ends what a failed one left. */
int tgt_fixture_end(void **state);

/* Adds a file with this content pattern as a LUN. */
void tgt_add_lun(struct tgt_fixture *f, const char *target, uint32_t lun, const char *file,
                 uint64_t bytes, uint32_t block_bytes, const char *scsi_id);
void tgt_fill(struct tgt_fixture *f, const char *file, uint64_t bytes, unsigned seed);

/* "iscsi://PORTAL/TARGET/LUN"; malloc'ed. */
char *tgt_url(struct tgt_fixture *f, const char *target, uint32_t lun);
struct lun *tgt_open(const char *url, const char *initiator, bool read_only);

/* Fills f->set with the identities of LUNs as they are now, no states, a new set id. */
void tgt_make_set(struct tgt_fixture *f, uint32_t context);

/* One call for the set; new states are taken over. _ok asserts S_OK and prints the error line. */
HRESULT tgt_call(struct tgt_fixture *f, enum vss_provider_op op);
void tgt_call_ok(struct tgt_fixture *f, enum vss_provider_op op);

/* EndPrepare .. PostFinalCommit. */
void tgt_create(struct tgt_fixture *f);

/* GetTargetLuns into f->luns[].destination, LocateLuns for TGT_TEST_ME. */
void tgt_import(struct tgt_fixture *f);

HRESULT tgt_change(struct tgt_fixture *f, uint32_t flags);

/* Deletes copy i. */
HRESULT tgt_delete(struct tgt_fixture *f, uint32_t i);

/* "name" of LUN i's state, malloc'ed; asserts that it is there. */
char *tgt_state_value(const struct tgt_fixture *f, uint32_t i, const char *key);

/* Files of the plug-in (".lunshadow-") beside the LUNs. */
size_t tgt_count_files(const struct tgt_fixture *f);

/* Whether what tgtd shows contains text. */
bool tgt_shows(struct tgt_fixture *f, const char *text);

/* malloc'ed content of a whole file below the lab's disks, or at an absolute path. */
uint8_t *tgt_read_file(struct tgt_fixture *f, const char *file, size_t *out_bytes);

/* Stops tgtd as the hold of another set does; a child continues it after this time. Returns the
 * child, for waitpid(). */
pid_t tgt_hold_for(const struct tgt_fixture *f, unsigned ms);

/* OnLunEmpty for every copy of the set that is up. */
void tgt_delete_all(struct tgt_fixture *f);

/* Can this machine mount a filesystem that clones? */
bool tgt_can_clone(void);

#endif
