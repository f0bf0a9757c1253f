/* SPDX-License-Identifier: Apache-2.0 */
#include "requester/dry_run.h"

#include "requester/session.h"

void session_begin_dry_run(struct vss_backup_components *session)
{
    session->env->is_dry_run = true;
}

bool session_ended_dry_run(const struct vss_backup_components *session, const json_t **out_changes)
{
    *out_changes = session->env->label_changes;
    return session->env->is_dry_run_over;
}
