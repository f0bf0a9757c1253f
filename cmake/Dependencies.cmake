# SPDX-License-Identifier: Apache-2.0
# Everything we link, each as one imported target. Package names are in INSTALL.md.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(libiscsi REQUIRED IMPORTED_TARGET libiscsi>=1.19)
pkg_check_modules(libxml2 REQUIRED IMPORTED_TARGET libxml-2.0>=2.9)
pkg_check_modules(sqlite3 REQUIRED IMPORTED_TARGET sqlite3>=3.37)
pkg_check_modules(zlib REQUIRED IMPORTED_TARGET zlib)
pkg_check_modules(xxhash REQUIRED IMPORTED_TARGET libxxhash>=0.8)
pkg_check_modules(mount REQUIRED IMPORTED_TARGET mount>=2.36)
pkg_check_modules(blkid REQUIRED IMPORTED_TARGET blkid>=2.36)
pkg_check_modules(inih REQUIRED IMPORTED_TARGET inih)
pkg_check_modules(jansson REQUIRED IMPORTED_TARGET jansson>=2.13)
pkg_check_modules(protobuf-c REQUIRED IMPORTED_TARGET libprotobuf-c>=1.3)
find_program(PROTOC_C protoc-c REQUIRED)

# libsgutils2 has no pkg-config file.
find_path(SGUTILS_INCLUDE_DIR scsi/sg_lib.h REQUIRED)
find_library(SGUTILS_LIBRARY sgutils2 REQUIRED)
add_library(sgutils2 INTERFACE IMPORTED)
target_include_directories(sgutils2 INTERFACE ${SGUTILS_INCLUDE_DIR})
target_link_libraries(sgutils2 INTERFACE ${SGUTILS_LIBRARY})
