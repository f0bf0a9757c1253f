/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_CONFORM_CONFORM_H
#define LUNSHADOW_CONFORM_CONFORM_H

#include "common/buffer.h"
#include "provider/set/environment.h"
#include "provider/set/visible.h"
#include "provider/shims/recording.h"
#include "registry/locks.h"

#include <signal.h>

/* One run: a provider, the LUNs that it may be tried on, and what the case at hand has seen. */

#define SCRATCH_MAX 8

/* A LUN of the section's "scratch =" lines, whose identity a [scratch NAME] section has. It is
 * written to where the provider says that it is its array's, after its identity was compared. */
struct scratch {
    char *url;
    struct vss_lun_info info; /* as read at the start of the run */
    uint32_t block_bytes;
    uint64_t block_count;
    uint64_t digest;   /* of all its content, as last taken */
    bool is_own;       /* FillInLunInfo says 1 */
    struct lock *lock; /* no other program overwrites it meanwhile */
    bool is_onto;      /* a resync of this case has started onto it: its content is no finding */
};

struct conform {
    struct config *config; /* as read, with this one [array] section */
    const struct config_section *section;
    char *state_directory; /* this run's own registry, which goes with it */
    struct lock *lock;     /* nobody makes a set on this machine meanwhile */
    struct set_environment env;
    struct provider *provider; /* NULL: the host refuses it, refusal says why */
    struct error refusal;
    char *initiator;
    struct scratch scratch[SCRATCH_MAX];
    size_t scratch_count;
    uint64_t fills;        /* of scratch LUNs; each has a content that was never there before */
    struct visible before; /* what was visible at the start: none of it is a copy of this run */

    const char *record_path;                  /* the run is recorded there; NULL: nowhere */
    const volatile sig_atomic_t *interrupted; /* not 0: the case under way is to end */
    bool is_offline;            /* a recording answers, and there are no LUNs to look at */
    struct recording recording; /* that one */

    /* Of the case that runs. */
    struct buffer seen;  /* what was not as it must be, one line each */
    const char *skipped; /* why it cannot be judged offline; NULL: it was */

    /* What each operation said when it first failed where it must not: the way that is left to go.
     */
    char *to_do[VSS_OP_COUNT];
};

struct conform_options {
    const char *plugin; /* FILE.so; NULL: the section's own */
    const char *array;
    const char *config_path;
    const char *record;                       /* a file to record to; NULL: none */
    const volatile sig_atomic_t *interrupted; /* not 0: end soon */
    const char *offline; /* a recording instead of array, plug-in and configuration; NULL: none */
};

/* Reads the configuration, opens and identifies the scratch LUNs, loads the provider, gives each
 * LUN that it calls its own a content of its own. Fails where nothing can be tried: no section, no
 * scratch LUNs, a LUN or a portal that does not answer, a LUN without a unique identity, with
 * another one than its [scratch NAME] section says or without such a section, one that this host
 * has mounted, one that another program overwrites, another set in creation. Nothing is written
 * then. A provider that the host refuses is no failure here. *c must be ended by conform_close()
 * also then. */
HRESULT conform_open(struct conform *c, const struct conform_options *options, struct error *err);
void conform_close(struct conform *c);

/* What waits for long looks at it. */
bool conform_is_interrupted(const struct conform *c);

/* Lets the next call meet a new process; or ends the one and starts the other, where something has
 * to be done in between. */
void conform_renew(struct conform *c);
void conform_stop(struct conform *c);
void conform_start(struct conform *c);

/* A finding: the case has failed. One line. */
void conform_fail(struct conform *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool conform_has_failed(const struct conform *c);

/* Offline: the case ends here, unjudged, with the reason; what it did not find yet is no finding.
 * False, and nothing, where there is an array. */
bool conform_skip_offline(struct conform *c, const char *why);
#define CONFORM_LOOKS "looks at LUNs"
#define CONFORM_TIMES "measures time"

/* An operation failed where it must not, or did not do what it is for: a finding, and one more
 * thing to do. */
void conform_fail_op(struct conform *c, enum vss_provider_op op, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The call's result must be a success; false after having said so. */
bool conform_succeeded(struct conform *c, enum vss_provider_op op, HRESULT hr,
                       const struct error *err);

/* It must be a failure that the operation may give. */
bool conform_refused(struct conform *c, enum vss_provider_op op, HRESULT hr,
                     const struct error *err, const char *what);

/* It may be anything but a code that the operation may not give, or the end of the process. */
bool conform_survived(struct conform *c, enum vss_provider_op op, HRESULT hr,
                      const struct error *err, const char *what);

/* provider_call() with the deadline of the operation. */
HRESULT conform_call(struct conform *c, enum vss_provider_op op, const void *in, void *out,
                     struct provider_arena *arena, struct error *err);

/* ---- scratch LUNs ---------------------------------------------------------------------------- */

/* Opens it for reading or writing, and makes sure that it is still the same LUN, and for writing
 * that it is the provider's and not in use on this host. A failure is a finding; NULL then. */
struct lun *scratch_open(struct conform *c, size_t index, bool read_only);

/* It is not in use on this host: mounted by somebody since the run began. False with a finding. */
bool scratch_is_unused(struct conform *c, size_t index);

/* Asks the provider whether it is its array's. */
bool scratch_is_own(struct conform *c, size_t index);

/* Writes what was never there before, at both ends and in between; takes the digest anew. */
void scratch_fill(struct conform *c, size_t index);

/* A block that no fill writes; 0: they write all of it. */
uint64_t scratch_gap(const struct scratch *s);

/* XXH64 of the whole LUN at url. */
bool conform_digest(struct conform *c, const char *url, uint64_t *out);

/* Looks on all portals. False, with the finding, where one of them does not answer: what is visible
 * is then not known. *out must be ended by visible_free() either way. */
bool conform_scan(struct conform *c, struct visible *out);

/* The address of the LUN, other than a scratch LUN, that was visible at the start and is, or may
 * be, the one with this identity; NULL: there was none. */
const char *conform_was_there(const struct conform *c, const struct vss_lun_info *info);

/* A LUN that is no array's. Freed by lun_info_free(). */
struct vss_lun_info conform_foreign_lun(void);
#define CONFORM_FOREIGN_DEVICE "iscsi://192.0.2.1:3260/iqn.2026-11.invalid:foreign/1"

#endif
