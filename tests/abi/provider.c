/* SPDX-License-Identifier: Apache-2.0 */
/* Everything that crosses between a plug-in and its host, where the ABI dump sees it: what a
 * callback takes and gives passes as void *, so each structure is named here once. See
 * scripts/check-abi. */
#include <lunshadow/provider.h>

vss_provider_entry abi_entry;
enum vss_provider_op abi_op;
enum vss_capability abi_capability;
enum vss_log_level abi_log_level;
enum vss_thread_model abi_thread_model;
enum vss_provider_type abi_provider_type;
enum vss_hardware_options abi_hardware_options;
enum vss_volume_snapshot_attributes abi_snapshot_attributes;
enum vds_storage_identifier_code_set abi_code_set;
enum vds_storage_identifier_type abi_identifier_type;
enum vds_storage_bus_type abi_bus_type;
enum vds_interconnect_address_type abi_address_type;
struct vss_call abi_call;
struct vss_host_lun_info abi_host_lun_info;
struct vss_on_load_in abi_on_load_in;
struct vss_on_load_out abi_on_load_out;
struct vss_on_unload_in abi_on_unload_in;
struct vss_capabilities_out abi_capabilities_out;
struct vss_luns_in abi_luns_in;
struct vss_supported_out abi_supported_out;
struct vss_set_in abi_set_in;
struct vss_states_out abi_states_out;
struct vss_target_luns_out abi_target_luns_out;
struct vss_state_change_in abi_state_change_in;
struct vss_resync_in abi_resync_in;
struct vss_resync_out abi_resync_out;
struct vss_changes_in abi_changes_in;
struct vss_changes_out abi_changes_out;
