# SPDX-License-Identifier: Apache-2.0
# What others build against: liblunshadow (the layers up to the requester, only vss_* exported), headers,
# pkg-config file, CMake package; manual pages; uninstall. The command and the helpers install themselves
# from their own folders.
include(CMakePackageConfigHelpers)

set(lunshadow_layers common lun registry provider resync requester)

set(objects)
foreach(layer IN LISTS lunshadow_layers)
  list(APPEND objects $<TARGET_OBJECTS:lunshadow_${layer}>)
endforeach()
add_library(liblunshadow SHARED ${objects})
# The layers bring the libraries they need; their archives add nothing to the objects above.
list(TRANSFORM lunshadow_layers PREPEND lunshadow_ OUTPUT_VARIABLE layer_targets)
target_link_libraries(liblunshadow PRIVATE ${layer_targets})
# SOVERSION stays 0 as long as the provider ABI is 0.x.
set_target_properties(
  liblunshadow
  PROPERTIES OUTPUT_NAME lunshadow
             EXPORT_NAME lunshadow
             LINKER_LANGUAGE C
             VERSION ${PROJECT_VERSION}
             SOVERSION 0
             LINK_DEPENDS ${CMAKE_SOURCE_DIR}/cmake/liblunshadow.map)
target_link_options(liblunshadow PRIVATE
                    -Wl,--version-script=${CMAKE_SOURCE_DIR}/cmake/liblunshadow.map)
if(NOT LUNSHADOW_SANITIZE)
  target_link_options(liblunshadow PRIVATE -Wl,--no-undefined)
endif()
target_include_directories(liblunshadow INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
add_library(lunshadow::lunshadow ALIAS liblunshadow)

install(TARGETS liblunshadow EXPORT lunshadowTargets
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library
                NAMELINK_COMPONENT development)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/include/lunshadow
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development
        FILES_MATCHING PATTERN "*.h")

install(DIRECTORY ${CMAKE_SOURCE_DIR}/examples/provider-files ${CMAKE_SOURCE_DIR}/examples/requester-backup
                  ${CMAKE_SOURCE_DIR}/examples/requester-recover ${CMAKE_SOURCE_DIR}/examples/requester-python
        DESTINATION ${CMAKE_INSTALL_DATADIR}/lunshadow/examples COMPONENT development)

set(lunshadow_plugin_dir ${CMAKE_INSTALL_LIBDIR}/lunshadow/providers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/lunshadow)
set(pkgconfig_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
file(RELATIVE_PATH pc_to_prefix /prefix/${pkgconfig_dir} /prefix)
configure_file(cmake/lunshadow.pc.in lunshadow.pc @ONLY)
configure_package_config_file(
  cmake/lunshadowConfig.cmake.in lunshadowConfig.cmake
  INSTALL_DESTINATION ${package_dir}
  PATH_VARS CMAKE_INSTALL_INCLUDEDIR lunshadow_plugin_dir)
write_basic_package_version_file(lunshadowConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/lunshadow.pc DESTINATION ${pkgconfig_dir} COMPONENT development)
install(FILES ${CMAKE_BINARY_DIR}/lunshadowConfig.cmake
              ${CMAKE_BINARY_DIR}/lunshadowConfigVersion.cmake
        DESTINATION ${package_dir} COMPONENT development)
install(EXPORT lunshadowTargets NAMESPACE lunshadow:: DESTINATION ${package_dir}
        COMPONENT development)

find_program(SCDOC scdoc)
if(SCDOC)
  set(pages)
  foreach(page lunshadow.1 lunshadow.conf.5 lunshadow-provider.7 lunshadow-conform.1)
    add_custom_command(
      OUTPUT ${CMAKE_BINARY_DIR}/man/${page}
      COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/man
      COMMAND ${SCDOC} < ${CMAKE_SOURCE_DIR}/man/${page}.scd > ${CMAKE_BINARY_DIR}/man/${page}
      DEPENDS ${CMAKE_SOURCE_DIR}/man/${page}.scd
      VERBATIM)
    list(APPEND pages ${CMAKE_BINARY_DIR}/man/${page})
    string(REGEX MATCH "[0-9]$" section ${page})
    set(component command)
    if(page MATCHES "^lunshadow-(provider|conform)")
      set(component development)
    endif()
    install(FILES ${CMAKE_BINARY_DIR}/man/${page}
            DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section} COMPONENT ${component})
  endforeach()
  add_custom_target(man ALL DEPENDS ${pages})
endif()

add_custom_target(
  uninstall
  COMMAND ${CMAKE_COMMAND} -DMANIFEST=${CMAKE_BINARY_DIR}/install_manifest.txt
          -P ${CMAKE_SOURCE_DIR}/cmake/Uninstall.cmake
  COMMENT "Removing what the last install put there")
