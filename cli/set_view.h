/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_CLI_SET_VIEW_H
#define LUNSHADOW_CLI_SET_VIEW_H

#include "cli/command.h"
#include "registry/sets.h"

/* A snapshot set as people and machines see it; the provider's state is never shown. */

/* All of it: snapshots, where their bytes lie, LUNs with identities and disk ids. A new reference;
 * NULL when memory is short. */
json_t *set_view_json(const struct set_record *set);

/* The heading and its snapshots: what create and import print. */
HRESULT set_view_summary(const struct set_record *set);

/* The summary and every LUN: what show prints. */
HRESULT set_view_details(const struct set_record *set);

/* Prints the set in the form that --json asks for; the exit code. */
int set_view_print(const struct cli *cli, const struct set_record *set, bool details);

#endif
