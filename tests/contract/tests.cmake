# SPDX-License-Identifier: Apache-2.0
# What each documented code comes from: lunshadow_contract(GROUP LINK target...), the file being contract/GROUP.c.
set(contract_results ${CMAKE_CURRENT_BINARY_DIR}/contract)
file(MAKE_DIRECTORY ${contract_results})
set(contract_wrapped malloc calloc realloc reallocarray strdup strndup realpath fopen)
list(TRANSFORM contract_wrapped PREPEND -Wl,--wrap=)
function(lunshadow_contract group)
  cmake_parse_arguments(PARSE_ARGV 1 contract "" "" "LINK;SOURCES")
  add_executable(contract_${group} contract/${group}.c contract/contract.c contract/memory.c contract/provoke.c
                                   contract/trial.c ${contract_SOURCES})
  target_include_directories(contract_${group} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(contract_${group} PRIVATE lunshadow_requester PkgConfig::libxml2 PkgConfig::sqlite3
                                                  Threads::Threads ${contract_LINK})
  target_link_options(contract_${group} PRIVATE ${contract_wrapped})
  target_compile_definitions(contract_${group} PRIVATE CONTRACT_RESULTS="${contract_results}"
                             CONTRACT_TABLE="${CMAKE_CURRENT_SOURCE_DIR}/contract/pairs.tsv")
  add_dependencies(contract_${group} lunshadow-provider-host)
  add_test(NAME contract/${group} COMMAND contract_${group})
  set_tests_properties(contract/${group} PROPERTIES LABELS contract SKIP_RETURN_CODE 77 TIMEOUT 300)
  set_property(GLOBAL APPEND PROPERTY contract_tests contract/${group})
endfunction()
lunshadow_contract(session)
lunshadow_contract(metadata)
lunshadow_contract(components SOURCES unit/writers_fixture.c unit/registry_fixture.c LINK PkgConfig::cmocka)
lunshadow_contract(writers SOURCES unit/writers_fixture.c unit/registry_fixture.c LINK PkgConfig::cmocka)
lunshadow_contract(registry SOURCES unit/registry_fixture.c LINK PkgConfig::cmocka)
foreach(group copies host mounts sets)
  lunshadow_contract(${group} SOURCES contract/array_bench.c component/array_fixture.c
    LINK lunshadow_lab PkgConfig::xxhash PkgConfig::cmocka)
endforeach()
target_sources(contract_mounts PRIVATE unit/registry_fixture.c)
target_sources(contract_sets PRIVATE unit/writers_fixture.c unit/registry_fixture.c)
foreach(group copies host)
  target_compile_definitions(contract_${group} PRIVATE LEGACY_PATH="$<TARGET_FILE:provider_legacy>")
  add_dependencies(contract_${group} provider_legacy)
endforeach()

# Behind all lunshadow_contract() lines.
get_property(contract_tests GLOBAL PROPERTY contract_tests)
add_test(NAME contract/closing COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/contract/close.sh ${contract_results}
         ${CMAKE_CURRENT_SOURCE_DIR}/contract/pairs.tsv ${CMAKE_CURRENT_SOURCE_DIR}/contract/reached
         ${CMAKE_SOURCE_DIR}/include/lunshadow)
set_tests_properties(contract/closing PROPERTIES LABELS contract DEPENDS "${contract_tests}")
