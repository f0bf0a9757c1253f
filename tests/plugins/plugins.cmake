# SPDX-License-Identifier: Apache-2.0
# Plug-ins for tests: lunshadow_test_plugin(NAME file...).
set(example ${CMAKE_SOURCE_DIR}/examples/provider-files)
set(example_sources ${example}/files.c ${example}/image.c ${example}/resync.c ${example}/tgtadm.c)
function(lunshadow_test_plugin name)
  add_library(${name} MODULE ${ARGN})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/include ${example})
  target_compile_definitions(${name} PRIVATE _GNU_SOURCE)
  target_compile_options(${name} PRIVATE -Wall -Wextra)
  set_target_properties(${name} PROPERTIES PREFIX "" C_VISIBILITY_PRESET hidden)
endfunction()

# With faults on purpose, which sanitizers would only hide.
foreach(name provider_bad provider_bad_without_on_load)
  add_library(${name} MODULE plugins/bad.c)
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/include)
  target_compile_definitions(${name} PRIVATE _GNU_SOURCE)
  target_compile_options(${name} PRIVATE -Wall -Wextra -Wno-unused-result)
  set_target_properties(${name} PROPERTIES PREFIX "" C_VISIBILITY_PRESET hidden)
endforeach()
target_compile_definitions(provider_bad_without_on_load PRIVATE WITHOUT_ON_LOAD)

# The example, and once more with a defect of one's choice.
lunshadow_test_plugin(provider_example ${example_sources})
add_library(broken_example OBJECT ${example_sources})
target_include_directories(broken_example PRIVATE ${CMAKE_SOURCE_DIR}/include)
target_compile_definitions(broken_example PRIVATE _GNU_SOURCE lunshadow_provider_entry=files_entry)
set_target_properties(broken_example PROPERTIES POSITION_INDEPENDENT_CODE ON C_VISIBILITY_PRESET hidden)
lunshadow_test_plugin(provider_broken plugins/broken.c plugins/broken_set.c plugins/broken_copies.c $<TARGET_OBJECTS:broken_example>)
foreach(kind 1 2)
  lunshadow_test_plugin(provider_broken_table${kind} plugins/broken_table.c)
  target_compile_definitions(provider_broken_table${kind} PRIVATE BROKEN_TABLE=${kind})
endforeach()

# The tgt plug-in without ResyncLuns.
get_target_property(tgt_sources provider_tgt SOURCES)
get_target_property(tgt_directory provider_tgt SOURCE_DIR)
list(TRANSFORM tgt_sources PREPEND ${tgt_directory}/ REGEX "^[^/]")
add_library(legacy_tgt OBJECT ${tgt_sources})
target_include_directories(legacy_tgt PRIVATE ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/include)
target_compile_definitions(legacy_tgt PRIVATE _GNU_SOURCE lunshadow_provider_entry=tgt_entry)
set_target_properties(legacy_tgt PROPERTIES POSITION_INDEPENDENT_CODE ON C_VISIBILITY_PRESET hidden)
lunshadow_test_plugin(provider_legacy plugins/legacy.c $<TARGET_OBJECTS:legacy_tgt>)
