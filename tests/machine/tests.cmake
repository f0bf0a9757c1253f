# SPDX-License-Identifier: Apache-2.0
# On a machine of their own; see README.md here.
function(lunshadow_machine_test name)
  add_test(NAME machine/${name} COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/machine/test_${name}.sh ${ARGN}
    ${CMAKE_BINARY_DIR}/machine)
  set_tests_properties(machine/${name} PROPERTIES LABELS machine SKIP_RETURN_CODE 77 TIMEOUT 1200 RUN_SERIAL ON)
endfunction()
lunshadow_machine_test(power $<TARGET_FILE:lunshadow>)
