# SPDX-License-Identifier: Apache-2.0
# .deb packages by CPack: lunshadow (the command, its helpers, plug-ins, pages), liblunshadow0 (the library, named by its
# SOVERSION) and lunshadow-dev (headers, pkg-config, CMake package, example, lunshadow-conform, pages for vendors).
# Configure with -DCMAKE_INSTALL_PREFIX=/usr: the places of plug-ins and helpers are built in.
get_target_property(soversion liblunshadow SOVERSION)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME lunshadow)
set(CPACK_PACKAGE_VENDOR lunshadow)
set(CPACK_PACKAGE_CONTACT "lunshadow maintainers <maintainers@lunshadow.invalid>")
set(CPACK_PACKAGING_INSTALL_PREFIX ${CMAKE_INSTALL_PREFIX})
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_COMPONENTS_ALL command library development)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION admin)

set(CPACK_DEBIAN_COMMAND_PACKAGE_NAME lunshadow)
set(CPACK_COMPONENT_COMMAND_DESCRIPTION "VSS-style shadow copies of SAN LUNs: the command and its plug-ins")
set(CPACK_DEBIAN_COMMAND_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_COMMAND_PACKAGE_SUGGESTS "tgt, qemu-system-common, qemu-utils, qemu-block-extra")

set(CPACK_DEBIAN_LIBRARY_PACKAGE_NAME liblunshadow${soversion})
set(CPACK_COMPONENT_LIBRARY_DESCRIPTION "VSS-style shadow copies of SAN LUNs: the library")
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SHLIBDEPS ON)
# The library starts the helpers and loads the plug-ins that come with the command.
set(CPACK_DEBIAN_LIBRARY_PACKAGE_DEPENDS "lunshadow (= ${PROJECT_VERSION})")
set(CPACK_DEBIAN_LIBRARY_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_LIBRARY_PACKAGE_CONTROL_EXTRA ${CMAKE_BINARY_DIR}/triggers)
file(WRITE ${CMAKE_BINARY_DIR}/triggers "activate-noawait ldconfig\n")

set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME lunshadow-dev)
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION
    "VSS-style shadow copies of SAN LUNs: headers, and all that a plug-in for an array needs")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
# lunshadow-conform needs shared libraries, and the helpers that come with the command.
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS
    "liblunshadow${soversion} (= ${PROJECT_VERSION}), lunshadow (= ${PROJECT_VERSION})")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_RECOMMENDS pkg-config)
include(CPack)
