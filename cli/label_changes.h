/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_CLI_LABEL_CHANGES_H
#define LUNSHADOW_CLI_LABEL_CHANGES_H

#include <jansson.h>

/* Prints what is to change on labels, for every command that changes disk ids: changes is
 * [{"url": TEXT, "note": TEXT or absent, "changes": label_diff_to_json()}, ...], borrowed. */
void label_changes_print(const json_t *changes);

#endif
