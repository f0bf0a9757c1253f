# SPDX-License-Identifier: Apache-2.0
# Commands killed at every moment that matters: the same sample of them in every run; LUNSHADOW_CRASH_SEED=N gives
# another by hand, LUNSHADOW_CRASH_POINTS=all the whole.
add_executable(test_crash_matrix crash/matrix.c crash/scenarios.c crash/host_scenarios.c crash/tracer.c crash/world.c)
target_include_directories(test_crash_matrix PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(test_crash_matrix PRIVATE lunshadow_resync lunshadow_lab)
add_test(NAME component/crash_matrix COMMAND test_crash_matrix $<TARGET_FILE:lunshadow>)
set_tests_properties(component/crash_matrix PROPERTIES LABELS component SKIP_RETURN_CODE 77 TIMEOUT 600
                     ENVIRONMENT LUNSHADOW_CRASH_SEED=1)
