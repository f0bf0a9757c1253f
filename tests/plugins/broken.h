/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_TESTS_BROKEN_H
#define LUNSHADOW_TESTS_BROKEN_H

#include <lunshadow/provider.h>
#include <stdbool.h>
#include <stddef.h>

/* One call on its way to the example provider. */
struct way {
    enum vss_provider_op op;
    void *self;
    const struct vss_call *call;
    const void *in;
    void *out;
};

/* What a defect does to an operation: calls the example, or not, and spoils something. */
struct spoil {
    const char *defect; /* NULL: the end of the list */
    enum vss_provider_op op;
    HRESULT (*run)(const struct way *w);
};

extern const struct spoil set_spoils[];  /* broken_set.c: until a copy is there */
extern const struct spoil copy_spoils[]; /* broken_copies.c: from then on */

/* To the example: as it came; or otherwise. */
HRESULT forward(const struct way *w);
HRESULT forward_to(const struct way *w, enum vss_provider_op op, const void *in, void *out);

/* ListChanges without a defect, which the example has not: everything of its own LUNs. */
HRESULT list_own(const struct way *w);

HRESULT refuse(const struct way *w);  /* a veto */
HRESULT pretend(const struct way *w); /* S_OK and nothing done */

const char *setting(const struct way *w, const char *key); /* never NULL */
void *call_memory(const struct way *w, size_t bytes);

bool is_same_id(const VSS_ID *a, const VSS_ID *b);

/* True where the last call that asked was not for this set. */
bool is_first_for(const struct vss_set_in *in);

/* Between PRE_ and POST_RECOVERY of destinations, as the array of none-but-strict sees it. */
bool is_recovering(void);

/* A block of the LUN at this address. */
void write_to_lun(const struct way *w, const char *device);

#endif
