/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_ADMIN_H
#define LUNSHADOW_ADMIN_H

/* Registration of providers: VSS's IVssAdmin in C, by the rules of requester.h for ownership,
 * outputs, threads and the four codes that every function may give (E_OUTOFMEMORY, E_INVALIDARG,
 * E_ACCESSDENIED, VSS_E_UNEXPECTED).
 *
 * A registered provider is a plug-in file that the registry knows by the id, the version id and the
 * name that it gave itself. An [array] section of the configuration names it by that name or id
 * ("provider = NAME"), wherever the file lies; a section that names a file, or a plug-in of the
 * provider directory, needs no registration. When the file is gone, is not safe any more or has
 * become another provider's, the arrays that name it are not usable, and an event says why. Its
 * version may change: it is noted when an array loads it.
 *
 * Which provider copies a volume: the one whose id add_to_snapshot_set was given; without one, the
 * first array whose plug-in supports all LUNs of the volume (AreLunsSupported), those of registered
 * providers first, in the order of registration, then the others in the order of the configuration;
 * arrays of one provider in that of the configuration too. */

#include <lunshadow/requester.h>

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default) /* what liblunshadow exports */
#endif

struct vss_admin;

/* The coordinator's IVssAdmin. Loads no plug-in.
 * options, out_error: as for vss_create_backup_components().
 * E_ACCESSDENIED: the state directory is not this user's. E_INVALIDARG: the configuration is not
 * there or not valid. */
HRESULT vss_create_admin(const struct vss_session_options *options, struct vss_admin **out,
                         char **out_error);

/* NULL is harmless. */
void vss_admin_release(struct vss_admin *admin);

/* The plain line that goes with the last function's failure; "" where there is none. */
const char *vss_admin_error_text(const struct vss_admin *admin);

/* IVssAdmin::RegisterProvider. What that takes as arguments, the plug-in itself says: it is loaded
 * by a host process of its own, never by the caller's, under the rules for every plug-in, and no
 * operation of it is called. A new provider becomes the last in the order of registration. Another
 * version of a registered one takes its place, so that an update need not unregister what has
 * shadow copies.
 * path: of the file; symbolic links and relative parts are resolved now.
 * VSS_E_PROVIDER_ALREADY_REGISTERED: this version is, the text says from which file.
 * E_ACCESSDENIED: also a file, or a directory above it, that others could change. E_INVALIDARG:
 * there is no such file, or no host would take it as a plug-in; the text names the rule. Blocks as
 * long as the file takes to load, 10 s at most. */
HRESULT vss_admin_register_provider(struct vss_admin *admin, const char *path,
                                    VSS_ID *out_provider_id);

/* IVssAdmin::UnregisterProvider. The file stays. [array] sections that name the provider are not
 * usable any more: a warning in the log and an event name them.
 * VSS_E_PROVIDER_NOT_REGISTERED; VSS_E_PROVIDER_IN_USE: the registry has shadow copies that the
 * provider made (the text says how many), or a set, an import or a resync is in progress on this
 * machine. */
HRESULT vss_admin_unregister_provider(struct vss_admin *admin, const VSS_ID *provider_id);

/* IVssAdmin::QueryProviders. The registered providers in the order of their registration, as
 * VSS_OBJECT_PROVIDER, whether an array uses them or not; vss_backup_components_query() has those
 * that arrays have loaded. None is an empty enumerator. */
HRESULT vss_admin_query_providers(struct vss_admin *admin, struct vss_enum_object **out);

/* IVssAdmin::AbortAllSnapshotsInProgress. Takes back what processes that died left of sets in
 * creation: AbortSnapshots of their provider, and the registry forgets them; as `lunshadow recover
 * --rollback` does, for creates alone. One that cannot be taken back does not keep the others from
 * it. Nothing to abort is a success. Loads the plug-ins of all arrays.
 * VSS_E_SNAPSHOT_SET_IN_PROGRESS: a living process makes a set, this one or that which the text
 * names; it alone knows what its array and its writers are in the middle of, so nothing was
 * aborted: end it there (vss_async_cancel(), vss_backup_components_abort_backup()), or kill it,
 * after which this function does its work. VSS_E_PROVIDER_VETO: the array of a set is not usable,
 * or AbortSnapshots failed so; VSS_E_UNEXPECTED_PROVIDER_ERROR: likewise, with another code. */
HRESULT vss_admin_abort_all_snapshots_in_progress(struct vss_admin *admin);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif

#endif
