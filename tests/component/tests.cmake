# SPDX-License-Identifier: Apache-2.0
# In the order of the layers; then the commands.
lunshadow_test(component lab LINK lunshadow_lab PkgConfig::libiscsi)
lunshadow_test(component iscsi LINK lunshadow_lun lunshadow_lab)

lunshadow_test(component guard LINK lunshadow_provider lunshadow_lab)
lunshadow_test(component isolation LINK lunshadow_provider)
target_compile_definitions(test_isolation PRIVATE PLUGIN_PATH="$<TARGET_FILE:provider_bad>"
  WITHOUT_ON_LOAD_PATH="$<TARGET_FILE:provider_bad_without_on_load>")
add_dependencies(test_isolation provider_bad provider_bad_without_on_load)
foreach(name provider_tgt provider_tgt_refusals provider_tgt_resync)
  lunshadow_test(component ${name} LINK lunshadow_provider lunshadow_lab lunshadow_lun ${CMAKE_DL_LIBS}
    SOURCES component/plugin_host.c component/tgt_fixture.c)
  target_compile_definitions(test_${name} PRIVATE PLUGIN_PATH="$<TARGET_FILE:provider_tgt>")
  add_dependencies(test_${name} provider_tgt)
endforeach()
lunshadow_array_test(lun_access lunshadow_provider)
lunshadow_array_test(isolation_set lunshadow_provider)
lunshadow_array_test(set lunshadow_provider)
lunshadow_array_test(set_refusals lunshadow_provider SOURCES unit/mount_namespace.c)

lunshadow_array_test(set_failed lunshadow_provider LINK PkgConfig::sqlite3)
lunshadow_array_test(set_faults lunshadow_resync SOURCES component/callback_fixture.c)
lunshadow_array_test(resync_guards lunshadow_resync SOURCES component/callback_fixture.c)
target_link_options(test_resync_guards PRIVATE -Wl,--wrap=edges_wipe)
lunshadow_array_test(resync_hosts lunshadow_resync SOURCES component/callback_fixture.c)
target_link_options(test_resync_hosts PRIVATE -Wl,--wrap=disk_ids_apply -Wl,--wrap=block_flush)
lunshadow_array_test(kill_matrix lunshadow_resync)
lunshadow_array_test(resync lunshadow_resync)
lunshadow_array_test(resync_ids lunshadow_resync)
lunshadow_array_test(host_copy lunshadow_resync SOURCES component/host_copy_fixture.c)
target_link_options(test_host_copy PRIVATE -Wl,--wrap=host_copy_note -Wl,--wrap=pipeline_turn)
lunshadow_array_test(host_fence lunshadow_resync SOURCES component/host_copy_fixture.c)
target_link_options(test_host_fence PRIVATE -Wl,--wrap=host_copy_note -Wl,--wrap=scsi_pr_reserve
  -Wl,--wrap=scsi_pr_release)
lunshadow_array_test(host_shown lunshadow_resync
  SOURCES component/host_copy_fixture.c component/callback_fixture.c)
lunshadow_array_test(host_changes lunshadow_resync SOURCES component/host_copy_fixture.c)
lunshadow_array_test(crash lunshadow_resync)
lunshadow_array_test(recover lunshadow_resync SOURCES component/dead_fixture.c)
lunshadow_array_test(recover_resync lunshadow_resync SOURCES component/dead_fixture.c)
lunshadow_array_test(undo lunshadow_resync LINK PkgConfig::sqlite3
  SOURCES component/callback_fixture.c component/dead_fixture.c)

target_link_options(test_undo PRIVATE -Wl,--wrap=entry_announce_wipe -Wl,--wrap=clock_sleep_ms
  -Wl,--wrap=set_marks_load_safety)
lunshadow_array_test(requester lunshadow_requester)
target_link_options(test_undo PRIVATE -Wl,--wrap=sets_load)
lunshadow_array_test(requester_volumes lunshadow_requester)
lunshadow_array_test(host_volumes lunshadow_requester)
lunshadow_array_test(expose lunshadow_requester SOURCES component/expose_fixture.c)
lunshadow_array_test(expose_hostile lunshadow_requester SOURCES component/expose_fixture.c)
lunshadow_test(component registration LINK lunshadow_requester)
target_link_options(test_registration PRIVATE -Wl,--wrap=providers_load_all)
target_compile_definitions(test_registration PRIVATE
  TGT_PATH="$<TARGET_FILE:provider_tgt>" BAD_PATH="$<TARGET_FILE:provider_bad>"
  LIBRARY_PATH="$<TARGET_FILE:liblunshadow>")
add_dependencies(test_registration provider_tgt provider_bad liblunshadow)
lunshadow_array_test(registration_set lunshadow_requester)
target_compile_definitions(test_registration_set PRIVATE
  OLD_PLUGIN_PATH="${CMAKE_CURRENT_SOURCE_DIR}/old-providers/files-abi-0.9-x86_64.so")

lunshadow_test(component drill LINK lunshadow_drill)
lunshadow_array_test(scratch_in_use lunshadow_drill SOURCES component/expose_fixture.c)
target_compile_definitions(test_scratch_in_use PRIVATE CONFORM_PATH="$<TARGET_FILE:lunshadow-conform>")
add_dependencies(test_scratch_in_use lunshadow-conform)
lunshadow_test(component drill_judge LINK lunshadow_drill_tools)
lunshadow_test(component drill_workload LINK lunshadow_drill_tools lunshadow_lab)

foreach(name cli compare ids lint resync_copy resync_set)
  lunshadow_script(${name} component/test_${name}.sh $<TARGET_FILE:lunshadow>)
endforeach()
lunshadow_script(drill_own component/test_drill_own.sh $<TARGET_FILE:lunshadow>
  ${CMAKE_BINARY_DIR}/drill/lunshadow-drill@.service ${CMAKE_SOURCE_DIR}/drill/lunshadow-drill@.timer)
lunshadow_script(writers component/test_writers.sh $<TARGET_FILE:lunshadow> ${CMAKE_SOURCE_DIR}/docs/writers.md)
lunshadow_script(writer_fsfreeze component/test_writer_fsfreeze.sh $<TARGET_FILE:lunshadow> $<TARGET_FILE:writer_fsfreeze>)
if(TARGET writer_postgresql)
  lunshadow_script(writer_postgresql component/test_writer_postgresql.sh $<TARGET_FILE:lunshadow>
    $<TARGET_FILE:writer_postgresql>)
  lunshadow_script(drill_postgresql component/test_drill_postgresql.sh $<TARGET_FILE:lunshadow>)
  set_property(TEST component/drill_postgresql APPEND PROPERTY LABELS once)
endif()
lunshadow_script(conform component/test_conform.sh $<TARGET_FILE:lunshadow> $<TARGET_FILE:lunshadow-conform>
  $<TARGET_FILE:provider_example>)
lunshadow_script(conform_defects component/test_conform_defects.sh $<TARGET_FILE:lunshadow>
  $<TARGET_FILE:lunshadow-conform> $<TARGET_FILE_DIR:provider_broken>)
lunshadow_script(conform_offline component/test_conform_offline.sh $<TARGET_FILE:lunshadow-conform>
  ${CMAKE_CURRENT_SOURCE_DIR}/data/replay/files-1.replay)
