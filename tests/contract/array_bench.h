/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_TESTS_CONTRACT_ARRAY_BENCH_H
#define LUNSHADOW_TESTS_CONTRACT_ARRAY_BENCH_H

#include "component/array_fixture.h"
#include "contract/contract.h"

#define ARRAY_BENCH_LUN_BYTES (8u << 20)

/* A bench with a real array: a tgtd with three LUNs, and its plug-in behind a fault shim. */
struct array_bench {
    struct array *array; /* its env is closed */
    struct bench bench;
    char *config_text; /* without a fault */
    VSS_ID provider_id;
};

/* Where there is no tgtd the program ends with 77. */
void array_bench_start(struct array_bench *ab);
void array_bench_stop(struct array_bench *ab);

/* Sessions created from now on meet this fault of the provider's (lunshadow.conf(5)); NULL: none.
 */
void array_bench_fault(struct array_bench *ab, const char *fault);

/* Sessions created from now on find this plug-in in the place of tgt's. */
void array_bench_provider(struct array_bench *ab, const char *path);

/* What is not in the registry must not be on the array either. */
void array_bench_check_nothing_left(struct array_bench *ab);

/* A set of the first count LUNs in a context, by a session that has ended. The caller frees the
 * document. */
char *array_bench_make_set(struct array_bench *ab, uint32_t context, size_t count,
                           VSS_ID *out_set_id, VSS_ID *out_snapshot_id);
/* The same of one volume, which need not be a whole LUN; its document is forgotten. */
void array_bench_copy(struct array_bench *ab, const char *volume, uint32_t context,
                      VSS_ID *out_set_id, VSS_ID *out_snapshot_id);
void array_bench_delete_set(struct array_bench *ab, const VSS_ID *set_id);

/* Another LUN on the array, "lab/disks/extraNUMBER.img", with a factory identity or one of its own.
 */
void array_bench_add_lun(struct array_bench *ab, uint32_t lun, bool has_identity, char url[320]);

/* Runs a shell line in the array's directory; false where it failed. */
bool array_bench_run(const struct array_bench *ab, const char *line);

#endif
