/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_CLI_LABEL_CHANGES_H
#define LUNSHADOW_CLI_LABEL_CHANGES_H

#include "cli/command.h"

#include <lunshadow/requester.h>

/* Prints what is to change on labels, for every command that changes disk ids: changes is
 * [{"url": TEXT, "note": TEXT or absent, "changes": label_diff_to_json()}, ...], borrowed. */
void label_changes_print(const json_t *changes);

/* The end of a dry run (requester/dry_run.h) that ended with hr: what would be written, as text or
 * JSON; or its failure. The exit code. */
int label_changes_report(const struct cli *cli, const struct vss_backup_components *session,
                         HRESULT hr, const struct error *err);

#endif
