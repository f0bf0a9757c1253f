/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_TESTS_HOST_COPY_FIXTURE_H
#define LUNSHADOW_TESTS_HOST_COPY_FIXTURE_H

#include "component/array_fixture.h"
#include "resync/recovery.h"

#include <pthread.h>

/* Resyncs that the array leaves to the host, on the lab of array_fixture.h. */

#define HOST_CONTEXT    ((uint32_t)VSS_CTX_APP_ROLLBACK)
#define HOST_MIB        (1u << 20)
#define HOST_EDGE_BYTES HOST_MIB
#define HOST_BODY_BYTES (ARRAY_BYTES - 2 * HOST_EDGE_BYTES)

/* Runs a line of sh(1), which must succeed. */
void host_run_shell(const char *line);

/* The array leaves copying to us; copy is the text of the section [copy], for printf(1). */
void host_configure(struct array *a, const char *copy);

/* A set of the first count LUNs, shown to this host; what they hold then is kept in files, and they
 * are damaged: 1 to 8 MiB, and 16 KiB at 40 MiB. */
void host_make(struct array *a, size_t count, struct set_record *set);

/* Between the edges two files are the same, say cmp and qemu-img compare; a LUN is what it was. */
void host_assert_same_body(const char *one, const char *other);
void host_assert_original(const struct array *a, size_t lun);

/* The file of the only copy. */
void host_find_copy(const struct array *a, char out[512]);

/* A recovery of the whole set; and its run, which tells how it was copied. */
struct recovery *host_add_all(struct array *a, const struct set_record *set);
void host_recover(struct array *a, const struct set_record *set, char method[2048]);

/* A number of the method's text. */
uint64_t host_number_after(const char *method, const char *word);

/* Until the journal has a note of how far a copy is. */
void host_wait_until_noted(const struct array *a);

/* A thread that waits until so much is copied, then does something. */
struct host_meanwhile {
    struct array *a;
    uint64_t at_bytes;
    void (*act)(struct host_meanwhile *m);
    uint64_t acted_us;   /* when act began, or what it says itself */
    uint64_t done_bytes; /* for act */
    pthread_t thread;
};
void host_start_meanwhile(struct host_meanwhile *m, struct array *a, uint64_t at_bytes,
                          void (*act)(struct host_meanwhile *m));

#endif
