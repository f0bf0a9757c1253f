/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_TESTS_DEAD_FIXTURE_H
#define LUNSHADOW_TESTS_DEAD_FIXTURE_H

#include "component/array_fixture.h"
#include "registry/journal.h"
#include "resync/recover.h"

/* What processes that are gone have left on the lab of array_fixture.h, and dealing with it. */

/* Runs act in a process that ends without a word when it is done. */
void in_dead_process(struct array *a, const struct set_record *set,
                     bool (*act)(struct set_environment *, const struct set_record *));

/* The only entry that is left. */
void load_one(struct array *a, struct journal_entry **out);
void assert_none_open(struct array *a);

/* That entry, this way: possible, and then it is closed; or refused with these words. */
void deal_with(struct array *a, enum recover_way way);
void assert_impossible(struct array *a, enum recover_way way, const char *words);

#define TWIN_TARGET "iqn.2026-01.org.lunshadow.a-twin" /* before the array's own in a scan */

/* A LUN more with info's designator and another serial number: one key, two LUNs. */
void add_twin(struct array *a, const struct vss_lun_info *info);
/* Dealing with the only entry is refused, and both LUNs are named; url: one of them. */
void assert_twin_refused(struct array *a, enum recover_way way, const char *url);

#endif
