# SPDX-License-Identifier: Apache-2.0
lunshadow_script(install install/test_install.sh ${CMAKE_BINARY_DIR})
lunshadow_script(kit install/test_kit.sh ${CMAKE_BINARY_DIR})
lunshadow_script(packages install/test_packages.sh ${CMAKE_BINARY_DIR})
lunshadow_script(example install/test_example.sh ${CMAKE_BINARY_DIR})
lunshadow_script(old_provider install/test_example.sh ${CMAKE_BINARY_DIR}
  ${CMAKE_CURRENT_SOURCE_DIR}/old-providers/files-abi-0.9-x86_64.so)
lunshadow_script(requester_examples install/test_requester.sh ${CMAKE_BINARY_DIR})
if(LUNSHADOW_SANITIZE)
  set_property(TEST component/install component/requester_examples
               PROPERTY ENVIRONMENT LUNSHADOW_TEST_CFLAGS=-fsanitize=${LUNSHADOW_SANITIZE})
endif()
