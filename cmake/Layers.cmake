# SPDX-License-Identifier: Apache-2.0
# Compiler settings and the one way a folder becomes a library.

add_library(lunshadow_settings INTERFACE)
target_compile_features(lunshadow_settings INTERFACE c_std_17)
target_compile_definitions(lunshadow_settings INTERFACE _GNU_SOURCE)
target_include_directories(lunshadow_settings INTERFACE ${CMAKE_SOURCE_DIR}
                                                        ${CMAKE_SOURCE_DIR}/include)
target_compile_options(
  lunshadow_settings
  INTERFACE -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes
            -Wmissing-prototypes -Wvla -Wformat=2 -Wundef -fstack-protector-strong -fno-common
            # Cutting a text to fit is what snprintf() is for.
            $<$<C_COMPILER_ID:GNU>:-Wno-format-truncation>)
if(LUNSHADOW_WERROR)
  target_compile_options(lunshadow_settings INTERFACE -Werror)
endif()
if(LUNSHADOW_SANITIZE)
  # -O1 in a Debug build: what the sanitizers see stays, and tests take half as long.
  target_compile_options(lunshadow_settings INTERFACE -fsanitize=${LUNSHADOW_SANITIZE} -O1
                                                      -fno-omit-frame-pointer
                                                      -fno-sanitize-recover=all)
  target_link_options(lunshadow_settings INTERFACE -fsanitize=${LUNSHADOW_SANITIZE})
endif()
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

# lunshadow_layer(NAME SOURCES file... LINK target...): the static library lunshadow_NAME of this
# folder, position-independent so that liblunshadow can take it whole.
function(lunshadow_layer name)
  cmake_parse_arguments(PARSE_ARGV 1 layer "" "" "SOURCES;LINK")
  add_library(lunshadow_${name} STATIC ${layer_SOURCES})
  set_target_properties(lunshadow_${name} PROPERTIES POSITION_INDEPENDENT_CODE ON
                                                     C_VISIBILITY_PRESET hidden)
  target_link_libraries(lunshadow_${name} PUBLIC lunshadow_settings ${layer_LINK})
endfunction()
