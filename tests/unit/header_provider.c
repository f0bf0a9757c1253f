/* SPDX-License-Identifier: Apache-2.0 */
/* Where everything lies in the provider ABI, as 64-bit plug-ins that exist were built. Compiling
 * this is the test, as C17 and (through header_provider.cc) as C++17. OFFSET and VALUE lines are
 * added, never changed; a SIZE line changes only where fields were appended. See
 * docs/abi-policy.md. */
#include <lunshadow/provider.h>

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define SIZE(type, bytes) static_assert(sizeof(struct type) == (bytes), #type " has another size")
#define OFFSET(type, field, bytes)                                                                 \
    static_assert(offsetof(struct type, field) == (bytes), #type "." #field " has moved")
#define VALUE(name, value) static_assert((name) == (value), #name " has another value")

VALUE(VSS_PROVIDER_MAGIC, 0x4c554e5348414457);
VALUE(VSS_PROVIDER_ABI_MAJOR, 0);
VALUE(VSS_PROVIDER_ABI_MINOR, 10);
VALUE(VSS_PROVIDER_STATE_BYTES_MAX, 4096);
VALUE(VSS_PROVIDER_EXTENTS_MAX, 65536);
VALUE(VSS_HOST_LUN_WRITE, 1);
VALUE(VSS_THREADS_SERIALIZED, 0);
VALUE(VSS_PROV_HARDWARE, 3);
VALUE(VSS_CAPABILITY_EMULATED, 1);
VALUE(VSS_CAPABILITY_NATIVE, 2);
VALUE(VSS_ONLUNSTATECHANGE_NOTIFY_READ_WRITE, 0x100);
VALUE(VSS_ONLUNSTATECHANGE_NOTIFY_LUN_PRE_RECOVERY, 0x200);
VALUE(VSS_ONLUNSTATECHANGE_NOTIFY_LUN_POST_RECOVERY, 0x400);
VALUE(VSS_ONLUNSTATECHANGE_DO_MASK_LUNS, 0x800);

VALUE(VSS_OP_ON_LOAD, 0);
VALUE(VSS_OP_ON_UNLOAD, 1);
VALUE(VSS_OP_GET_CAPABILITIES, 2);
VALUE(VSS_OP_ARE_LUNS_SUPPORTED, 3);
VALUE(VSS_OP_FILL_IN_LUN_INFO, 4);
VALUE(VSS_OP_BEGIN_PREPARE_SNAPSHOT, 5);
VALUE(VSS_OP_END_PREPARE_SNAPSHOTS, 6);
VALUE(VSS_OP_PRE_COMMIT_SNAPSHOTS, 7);
VALUE(VSS_OP_COMMIT_SNAPSHOTS, 8);
VALUE(VSS_OP_POST_COMMIT_SNAPSHOTS, 9);
VALUE(VSS_OP_PRE_FINAL_COMMIT_SNAPSHOTS, 10);
VALUE(VSS_OP_POST_FINAL_COMMIT_SNAPSHOTS, 11);
VALUE(VSS_OP_ABORT_SNAPSHOTS, 12);
VALUE(VSS_OP_GET_TARGET_LUNS, 13);
VALUE(VSS_OP_LOCATE_LUNS, 14);
VALUE(VSS_OP_ON_LUN_EMPTY, 15);
VALUE(VSS_OP_ON_LUN_STATE_CHANGE, 16);
VALUE(VSS_OP_RESYNC_START, 17);
VALUE(VSS_OP_RESYNC_POLL, 18);
VALUE(VSS_OP_RESYNC_CANCEL, 19);
VALUE(VSS_OP_ON_REUSE_LUNS, 20);
VALUE(VSS_OP_LIST_CHANGES, 21);

#if UINTPTR_MAX == UINT64_MAX
SIZE(vss_storage_identifier, 24);
OFFSET(vss_storage_identifier, code_set, 0);
OFFSET(vss_storage_identifier, type, 4);
OFFSET(vss_storage_identifier, identifier_bytes, 8);
OFFSET(vss_storage_identifier, identifier, 16);

SIZE(vss_storage_device_id_descriptor, 16);
OFFSET(vss_storage_device_id_descriptor, version, 0);
OFFSET(vss_storage_device_id_descriptor, identifier_count, 4);
OFFSET(vss_storage_device_id_descriptor, identifiers, 8);

SIZE(vss_interconnect, 32);
OFFSET(vss_interconnect, address_type, 0);
OFFSET(vss_interconnect, port_bytes, 4);
OFFSET(vss_interconnect, port, 8);
OFFSET(vss_interconnect, address_bytes, 16);
OFFSET(vss_interconnect, address, 24);

SIZE(vss_lun_info, 96);
OFFSET(vss_lun_info, version, 0);
OFFSET(vss_lun_info, device_type, 4);
OFFSET(vss_lun_info, device_type_modifier, 5);
OFFSET(vss_lun_info, command_queueing, 6);
OFFSET(vss_lun_info, reserved, 7);
OFFSET(vss_lun_info, bus_type, 8);
OFFSET(vss_lun_info, vendor_id, 16);
OFFSET(vss_lun_info, product_id, 24);
OFFSET(vss_lun_info, product_revision, 32);
OFFSET(vss_lun_info, serial_number, 40);
OFFSET(vss_lun_info, disk_signature, 48);
OFFSET(vss_lun_info, device_id, 64);
OFFSET(vss_lun_info, interconnect_count, 80);
OFFSET(vss_lun_info, interconnects, 88);

SIZE(vss_partition_id, 32);
OFFSET(vss_partition_id, number, 0);
OFFSET(vss_partition_id, reserved, 4);
OFFSET(vss_partition_id, guid, 8);
OFFSET(vss_partition_id, attributes, 24);

SIZE(vss_disk_ids, 40);
OFFSET(vss_disk_ids, kind, 0);
OFFSET(vss_disk_ids, mbr_signature, 4);
OFFSET(vss_disk_ids, disk_guid, 8);
OFFSET(vss_disk_ids, partition_count, 24);
OFFSET(vss_disk_ids, reserved, 28);
OFFSET(vss_disk_ids, partitions, 32);

SIZE(vss_state, 16);
OFFSET(vss_state, bytes, 0);
OFFSET(vss_state, reserved, 4);
OFFSET(vss_state, data, 8);

SIZE(vss_hold_target, 8);
OFFSET(vss_hold_target, pid, 0);
OFFSET(vss_hold_target, reserved, 4);

SIZE(vss_hold_report, 16);
OFFSET(vss_hold_report, held_at_us, 0);
OFFSET(vss_hold_report, released_at_us, 8);

SIZE(vss_host_lun_info, 24);
OFFSET(vss_host_lun_info, struct_size, 0);
OFFSET(vss_host_lun_info, block_bytes, 4);
OFFSET(vss_host_lun_info, block_count, 8);
OFFSET(vss_host_lun_info, info, 16);

SIZE(vss_host, 96);
OFFSET(vss_host, struct_size, 0);
OFFSET(vss_host, abi_major, 4);
OFFSET(vss_host, abi_minor, 6);
OFFSET(vss_host, alloc, 8);
OFFSET(vss_host, log, 16);
OFFSET(vss_host, error, 24);
OFFSET(vss_host, config, 32);
OFFSET(vss_host, hold_begin, 40);
OFFSET(vss_host, hold_end, 48);
OFFSET(vss_host, now_us, 56);
OFFSET(vss_host, lun_open, 64);
OFFSET(vss_host, lun_read, 72);
OFFSET(vss_host, lun_write, 80);
OFFSET(vss_host, lun_close, 88);

SIZE(vss_call, 32);
OFFSET(vss_call, struct_size, 0);
OFFSET(vss_call, deadline_ms, 4);
OFFSET(vss_call, host, 8);
OFFSET(vss_call, array, 16);
OFFSET(vss_call, host_data, 24);

SIZE(vss_on_load_in, 8);
OFFSET(vss_on_load_in, struct_size, 0);
OFFSET(vss_on_load_in, reserved, 4);

SIZE(vss_on_load_out, 16);
OFFSET(vss_on_load_out, struct_size, 0);
OFFSET(vss_on_load_out, reserved, 4);
OFFSET(vss_on_load_out, self, 8);

SIZE(vss_on_unload_in, 8);
OFFSET(vss_on_unload_in, struct_size, 0);
OFFSET(vss_on_unload_in, is_forced, 4);

SIZE(vss_capabilities_out, 48);
OFFSET(vss_capabilities_out, struct_size, 0);
OFFSET(vss_capabilities_out, reserved, 4);
OFFSET(vss_capabilities_out, differential, 8);
OFFSET(vss_capabilities_out, plex, 12);
OFFSET(vss_capabilities_out, resync, 16);
OFFSET(vss_capabilities_out, mask, 20);
OFFSET(vss_capabilities_out, read_only, 24);
OFFSET(vss_capabilities_out, consistent_set, 28);
OFFSET(vss_capabilities_out, resize, 32);
OFFSET(vss_capabilities_out, max_snapshots_per_lun, 36);
OFFSET(vss_capabilities_out, description, 40);

SIZE(vss_luns_in, 64);
OFFSET(vss_luns_in, struct_size, 0);
OFFSET(vss_luns_in, context, 4);
OFFSET(vss_luns_in, set_id, 8);
OFFSET(vss_luns_in, snapshot_id, 24);
OFFSET(vss_luns_in, lun_count, 40);
OFFSET(vss_luns_in, reserved, 44);
OFFSET(vss_luns_in, devices, 48);
OFFSET(vss_luns_in, luns, 56);

SIZE(vss_supported_out, 16);
OFFSET(vss_supported_out, struct_size, 0);
OFFSET(vss_supported_out, is_supported, 4);
OFFSET(vss_supported_out, luns, 8);

SIZE(vss_set_lun, 264);
OFFSET(vss_set_lun, snapshot_id, 0);
OFFSET(vss_set_lun, device, 16);
OFFSET(vss_set_lun, source, 24);
OFFSET(vss_set_lun, destination, 120);
OFFSET(vss_set_lun, state, 216);
OFFSET(vss_set_lun, reserved, 232);

SIZE(vss_set_in, 48);
OFFSET(vss_set_in, struct_size, 0);
OFFSET(vss_set_in, context, 4);
OFFSET(vss_set_in, set_id, 8);
OFFSET(vss_set_in, lun_count, 24);
OFFSET(vss_set_in, snapshot_count, 28);
OFFSET(vss_set_in, luns, 32);
OFFSET(vss_set_in, initiator, 40);

SIZE(vss_states_out, 48);
OFFSET(vss_states_out, struct_size, 0);
OFFSET(vss_states_out, reserved, 4);
OFFSET(vss_states_out, states, 8);
OFFSET(vss_states_out, first_cut_us, 16);
OFFSET(vss_states_out, last_cut_us, 24);
OFFSET(vss_states_out, hold, 32);

SIZE(vss_target_luns_out, 16);
OFFSET(vss_target_luns_out, struct_size, 0);
OFFSET(vss_target_luns_out, reserved, 4);
OFFSET(vss_target_luns_out, luns, 8);

SIZE(vss_state_change_in, 96);
OFFSET(vss_state_change_in, struct_size, 0);
OFFSET(vss_state_change_in, flags, 4);
OFFSET(vss_state_change_in, is_resync, 8);
OFFSET(vss_state_change_in, reserved, 12);
OFFSET(vss_state_change_in, reserved_more, 16);
OFFSET(vss_state_change_in, set, 48);

SIZE(vss_resync_lun, 248);
OFFSET(vss_resync_lun, snapshot, 0);
OFFSET(vss_resync_lun, destination, 96);
OFFSET(vss_resync_lun, snapshot_state, 192);
OFFSET(vss_resync_lun, edge_bytes, 208);
OFFSET(vss_resync_lun, reserved, 216);

SIZE(vss_resync_in, 48);
OFFSET(vss_resync_in, struct_size, 0);
OFFSET(vss_resync_in, lun_count, 4);
OFFSET(vss_resync_in, resync_id, 8);
OFFSET(vss_resync_in, luns, 24);
OFFSET(vss_resync_in, state, 32);

SIZE(vss_resync_out, 48);
OFFSET(vss_resync_out, struct_size, 0);
OFFSET(vss_resync_out, is_done, 4);
OFFSET(vss_resync_out, state, 8);
OFFSET(vss_resync_out, bytes_total, 24);
OFFSET(vss_resync_out, bytes_done, 32);
OFFSET(vss_resync_out, method, 40);

SIZE(vss_extent, 16);
OFFSET(vss_extent, offset, 0);
OFFSET(vss_extent, bytes, 8);

SIZE(vss_changes_in, 24);
OFFSET(vss_changes_in, struct_size, 0);
OFFSET(vss_changes_in, extent_max, 4);
OFFSET(vss_changes_in, from_byte, 8);
OFFSET(vss_changes_in, lun, 16);

SIZE(vss_changes_out, 32);
OFFSET(vss_changes_out, struct_size, 0);
OFFSET(vss_changes_out, is_known, 4);
OFFSET(vss_changes_out, extent_count, 8);
OFFSET(vss_changes_out, reserved, 12);
OFFSET(vss_changes_out, extents, 16);
OFFSET(vss_changes_out, next_byte, 24);

SIZE(vss_provider_table, 88);
OFFSET(vss_provider_table, magic, 0);
OFFSET(vss_provider_table, struct_size, 8);
OFFSET(vss_provider_table, abi_major, 12);
OFFSET(vss_provider_table, abi_minor, 14);
OFFSET(vss_provider_table, provider_id, 16);
OFFSET(vss_provider_table, version_id, 32);
OFFSET(vss_provider_table, name, 48);
OFFSET(vss_provider_table, version, 56);
OFFSET(vss_provider_table, type, 64);
OFFSET(vss_provider_table, thread_model, 68);
OFFSET(vss_provider_table, op_count, 72);
OFFSET(vss_provider_table, reserved, 76);
OFFSET(vss_provider_table, ops, 80);
#endif
