# SPDX-License-Identifier: Apache-2.0
# In the order of the layers.
lunshadow_test(unit hresult LINK lunshadow_common)
lunshadow_test(unit common LINK lunshadow_common)
target_link_options(test_common PRIVATE -Wl,--wrap=pidfd_open)
lunshadow_test(unit config LINK lunshadow_common)

lunshadow_test(unit scsi LINK lunshadow_lun)
lunshadow_test(unit lun SOURCES unit/fake_session.c LINK lunshadow_lun)
target_link_options(test_lun PRIVATE -Wl,--wrap=lun_open_session)
lunshadow_test(unit scan SOURCES unit/fake_session.c LINK lunshadow_lun)
target_link_options(test_scan PRIVATE -Wl,--wrap=lun_open_session,--wrap=lun_discover)
lunshadow_test(unit identity LINK lunshadow_lun)
lunshadow_test(unit identity_match LINK lunshadow_lun)
lunshadow_test(unit info LINK lunshadow_lun)
lunshadow_test(unit volume LINK lunshadow_lun)
lunshadow_test(unit block LINK lunshadow_lun SOURCES unit/label_util.c)
lunshadow_test(unit pipeline LINK lunshadow_lun SOURCES unit/label_util.c)
lunshadow_test(unit label_mbr LINK lunshadow_lun SOURCES unit/label_util.c)
lunshadow_test(unit label_gpt LINK lunshadow_lun SOURCES unit/label_util.c)
lunshadow_test(unit disk_ids LINK lunshadow_lun SOURCES unit/label_util.c)
lunshadow_test(unit edges LINK lunshadow_lun SOURCES unit/label_util.c)
lunshadow_test(unit lint LINK lunshadow_lun)
lunshadow_test(unit host_device LINK lunshadow_lun)
target_link_options(test_host_device PRIVATE -Wl,--wrap=ioctl)
lunshadow_test(unit in_use LINK lunshadow_registry SOURCES unit/host_tree.c unit/registry_fixture.c)
lunshadow_test(unit stack LINK lunshadow_registry SOURCES unit/host_tree.c unit/registry_fixture.c)
lunshadow_test(unit disks LINK lunshadow_registry SOURCES unit/host_tree.c unit/registry_fixture.c)
lunshadow_test(unit mounts LINK lunshadow_registry SOURCES unit/registry_fixture.c)
target_link_options(test_mounts PRIVATE -Wl,--wrap=umount2)

foreach(name registry_faults registry_journal registry_locks registry_providers registry_records registry_sets
             registry_store)
  lunshadow_test(unit ${name} LINK lunshadow_registry SOURCES unit/registry_fixture.c)
endforeach()
target_link_options(test_registry_locks PRIVATE -Wl,--wrap=stat -Wl,--wrap=mkdir)
target_sources(test_registry_journal PRIVATE unit/mount_namespace.c)

lunshadow_test(unit provider_host LINK lunshadow_provider)
target_link_options(test_provider_host PRIVATE -Wl,--wrap=text_printf)
lunshadow_test(unit wire LINK lunshadow_provider)
lunshadow_test(unit shims LINK lunshadow_provider PkgConfig::jansson SOURCES unit/shim_fixture.c)
lunshadow_test(unit replay LINK lunshadow_provider SOURCES unit/shim_fixture.c)
lunshadow_test(unit tgt_show LINK lunshadow_settings SOURCES
  ../provider/arrays/tgt/call.c ../provider/arrays/tgt/daemon.c ../provider/arrays/tgt/identity.c
  ../provider/arrays/tgt/show.c ../provider/arrays/tgt/state.c ../provider/arrays/tgt/tgtadm.c)
lunshadow_test(unit tgt_daemon LINK lunshadow_settings SOURCES
  ../provider/arrays/tgt/call.c ../provider/arrays/tgt/daemon.c)
target_link_options(test_tgt_daemon PRIVATE -Wl,--wrap=open)
lunshadow_test(unit tgt_abort LINK lunshadow_settings SOURCES
  ../provider/arrays/tgt/call.c ../provider/arrays/tgt/commit.c ../provider/arrays/tgt/config.c
  ../provider/arrays/tgt/daemon.c ../provider/arrays/tgt/file.c ../provider/arrays/tgt/identity.c
  ../provider/arrays/tgt/set.c ../provider/arrays/tgt/show.c ../provider/arrays/tgt/state.c
  ../provider/arrays/tgt/target.c ../provider/arrays/tgt/tgtadm.c)
target_link_options(test_tgt_abort PRIVATE -Wl,--wrap=tgt_daemon_look -Wl,--wrap=tgt_show -Wl,--wrap=readdir)
lunshadow_test(unit tgt_file LINK lunshadow_settings SOURCES
  ../provider/arrays/tgt/call.c ../provider/arrays/tgt/file.c)
target_link_options(test_tgt_file PRIVATE -Wl,--wrap=lseek)

lunshadow_test(unit engine SOURCES unit/fake_session.c LINK lunshadow_resync)
target_link_options(test_engine PRIVATE -Wl,--wrap=lun_open_session)
lunshadow_test(unit engine_pace LINK lunshadow_resync)
lunshadow_test(unit change_map LINK lunshadow_resync)

lunshadow_test(unit document LINK lunshadow_requester)
lunshadow_test(unit metadata_document LINK lunshadow_requester)
lunshadow_test(unit examine LINK lunshadow_requester SOURCES unit/registry_fixture.c)
lunshadow_test(unit states LINK lunshadow_requester)
lunshadow_test(unit states_components LINK lunshadow_requester)
lunshadow_test(unit states_page LINK lunshadow_common)
target_compile_definitions(test_states_page PRIVATE STATES_HEADER="${CMAKE_SOURCE_DIR}/requester/states.h"
                                                    STATES_PAGE="${CMAKE_SOURCE_DIR}/docs/states.md")
lunshadow_test(unit async LINK lunshadow_requester)
lunshadow_test(unit session LINK lunshadow_requester SOURCES unit/registry_fixture.c)
lunshadow_test(unit host LINK lunshadow_requester SOURCES unit/registry_fixture.c)
lunshadow_test(unit components LINK lunshadow_requester SOURCES unit/registry_fixture.c unit/components_fixture.c)
lunshadow_test(unit restore_components LINK lunshadow_requester SOURCES unit/registry_fixture.c unit/components_fixture.c)
foreach(name writers writers_bad writers_components)
  lunshadow_test(unit ${name} LINK lunshadow_requester SOURCES unit/registry_fixture.c unit/writers_fixture.c)
endforeach()

# The public headers alone; in C++ too where there is a compiler for it. Compiling them is the test.
lunshadow_test(unit header_requester LINK lunshadow_requester)
lunshadow_test(unit header_metadata LINK lunshadow_requester)
lunshadow_test(unit header_component LINK lunshadow_requester)
add_library(header_provider OBJECT unit/header_provider.c)
target_link_libraries(header_provider PRIVATE lunshadow_settings)
include(CheckLanguage)
check_language(CXX)
if(CMAKE_CXX_COMPILER)
  enable_language(CXX)
  add_library(header_cpp OBJECT unit/header_cpp.cc unit/header_provider.cc)
  target_compile_features(header_cpp PRIVATE cxx_std_17)
  target_include_directories(header_cpp PRIVATE ${CMAKE_SOURCE_DIR}/include)
  target_compile_options(header_cpp PRIVATE -Wall -Wextra -Wpedantic)
  if(LUNSHADOW_WERROR)
    target_compile_options(header_cpp PRIVATE -Werror)
  endif()
endif()
