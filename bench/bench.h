/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_BENCH_BENCH_H
#define LUNSHADOW_BENCH_BENCH_H

#include "lab/lab.h"
#include "provider/set/set.h"

#include <signal.h>

/* Measures lunshadow beside its peers. Times are microseconds in doubles. */

/* ---- samples and the table (samples.c) */

#define SAMPLES_MAX 100

struct samples {
    double values[SAMPLES_MAX];
    size_t count;
};

void samples_add(struct samples *s, double value); /* past SAMPLES_MAX: not kept */
double samples_median(const struct samples *s);    /* 0 where there is none, as the next two */
double samples_min(const struct samples *s);
double samples_max(const struct samples *s);

#define DURATION_BYTES 24
/* "8.31 ms". Returns out. */
char *duration_text(double us, char out[DURATION_BYTES]);

/* What a row must reach: ours <= factor * peer (factor > 0), and ours <= most_us (> 0). */
struct goal {
    double factor;
    double most_us;
};

struct row {
    const char *what;
    const struct samples *ours;
    const char *peer_name;
    const struct samples *peer; /* NULL: no peer */
    struct goal goal;           /* all-zero: none */
    const char *limit;          /* the physical limit or another remark; NULL: none */
};

void table_head(const char *title);
void table_row(const struct row *row);
/* A line under the table. */
void table_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* What is going on, to standard error. */
void progress(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- a lab with LUNs and an environment (place.c) */

#define PLACE_TARGET "iqn.2026-11.lunshadow.bench:disks"
/* qemu's own initiator name, so that qemu-img sees the copies too. */
#define PLACE_INITIATOR "iqn.2008-11.org.linux-kvm"

struct place_options {
    size_t luns; /* 1..255 */
    uint64_t lun_bytes;
    uint64_t written_bytes; /* of each LUN, from its second MiB on, with bytes that are not zero */
    bool has_label;         /* GPT with one partition */
    bool stock_tgtd;        /* its memory allocator as it comes (lab.h) */
    const char *config;     /* further lines of the [array lab] section; NULL: none */
};

struct place {
    char base[64];
    char config[96];
    char state[96];
    struct lab *lab;
    struct set_environment *env;
    size_t luns;
    uint64_t lun_bytes;
    uint32_t max_hold_ms; /* taken by place_reopen(); 0: the lab's own */
};

HRESULT place_open(const struct place_options *options, struct place **out, struct error *err);
/* Ends the lab and removes all of it; a failure is said on standard error. NULL is harmless. */
void place_close(struct place *place);
/* Closes the environment and opens it with these lines in the [array lab] section. */
HRESULT place_reopen(struct place *place, const char *config, struct error *err);

#define PLACE_TEXT_BYTES 320
/* LUNs count from 1. Both return out. */
char *place_url(const struct place *place, size_t lun, char out[PLACE_TEXT_BYTES]);
char *place_file(const struct place *place, size_t lun, char out[PLACE_TEXT_BYTES]);

/* A set of the first count LUNs, committed; the second deletes it and frees the record. */
HRESULT place_create(struct place *place, uint32_t context, size_t count, struct set_record *out,
                     struct error *err);
HRESULT place_delete(struct place *place, struct set_record *set, struct error *err);

/* ---- how LUNs are changed (patterns.c) */

enum pattern_kind { PATTERN_RUNS_1MIB, PATTERN_RANDOM_4KIB };

struct pattern {
    const char *name;
    enum pattern_kind kind;
    unsigned percent;
};

/* Rewrites that much of the file and makes it durable; the first and the last 2 MiB stay. */
HRESULT pattern_apply(const struct pattern *pattern, int fd, uint64_t bytes, struct error *err);

HRESULT file_open(const char *path, int flags, int *out, struct error *err);
/* Timed: FICLONE of the whole file. */
HRESULT file_clone(int destination, int source, double *out_us, struct error *err);
uint64_t file_extents(int fd); /* 0 where it cannot be told */
/* Name of the only copy file in the lab's directory. */
HRESULT file_find_copy(const struct place *place, char out[PLACE_TEXT_BYTES], struct error *err);

/* ---- other programs (children.c) */

/* Runs argv to its end, its output thrown away, and says how long that took. */
HRESULT child_time(const char *const argv[], const char *const environment[], double *out_us,
                   struct error *err);
/* A light writing load on the first count LUNs: one 4 KiB write each 2 ms, over iSCSI. */
HRESULT child_load_start(const struct place *place, size_t count, struct process *out,
                         struct error *err);
/* The two modes of this program that children run; argv behind the mode's name. */
int child_load_main(char **argv);
int child_scan_main(char **argv);
const char *child_self(void); /* path of this program */

/* ---- limits of the machine (limits.c) */

struct limits {
    struct samples ready_us;  /* TEST UNIT READY, there and back */
    struct samples tgtadm_us; /* one call */
    double read_bytes_per_us; /* bare pipelined reads */
};

HRESULT limits_measure(struct place *place, struct limits *out, struct error *err);

/* The most memory that this process had since the reset. */
void memory_reset_peak(void);
uint64_t memory_peak_kib(void);

/* ---- the subjects */

struct bench {
    size_t pairs;      /* of short measurements */
    size_t long_pairs; /* of long ones */
};

/* A signal asked us to stop: measure no more, clean up. */
extern volatile sig_atomic_t bench_is_stopped;
HRESULT bench_check_stop(struct error *err);

HRESULT bench_cut(const struct bench *bench, struct error *err);
HRESULT bench_create(const struct bench *bench, struct error *err);
HRESULT bench_scan(const struct bench *bench, struct error *err);
HRESULT bench_resync(const struct bench *bench, struct error *err);
HRESULT bench_sizes(const struct bench *bench, struct error *err);
HRESULT bench_changes(const struct bench *bench, struct error *err);
HRESULT bench_engine(const struct bench *bench, struct error *err);

#endif
