/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_REQUESTER_SESSION_COMPONENTS_H
#define LUNSHADOW_REQUESTER_SESSION_COMPONENTS_H

#include "requester/document/components.h"
#include "requester/session.h"

/* What the methods on components of a session share. */

/* Which component a method speaks of, as its caller names it. */
struct component_arguments {
    const VSS_ID *instance_id; /* NULL: not asked for */
    bool needs_instance;       /* then that is E_INVALIDARG */
    const VSS_ID *writer_id;
    struct component_name name;
};

/* session_begin(), then the arguments, then the component: one whose values are not valid is
 * refused. On failure the method has ended, and session_end() must not be called. */
HRESULT session_begin_component(struct vss_backup_components *session, enum session_method method,
                                const struct component_arguments *arguments, xmlNodePtr *out);

/* The arguments alone: E_INVALIDARG. */
HRESULT session_check_component(struct vss_backup_components *session,
                                const struct component_arguments *arguments);

/* Whole methods that set one thing. */
HRESULT session_set_component_text(struct vss_backup_components *session,
                                   enum session_method method,
                                   const struct component_arguments *arguments,
                                   enum component_text which, const char *text);
HRESULT session_set_component_flag(struct vss_backup_components *session,
                                   enum session_method method,
                                   const struct component_arguments *arguments,
                                   enum component_flag which, bool value);

#endif
