#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# usage: test_install.sh BUILD-DIRECTORY
# Installs into a directory of its own and uses it as a stranger would: the command, the library by pkg-config
# and by CMake, in C and C++; then uninstalls.
set -euo pipefail
build=${1:?usage: test_install.sh BUILD-DIRECTORY}
work=$(mktemp -d "${TMPDIR:-/tmp}/lunshadow-install.XXXXXX")
trap 'rm -rf "$work"' EXIT
prefix=$work/prefix
export LUNSHADOW_STATE_DIR=$work/state LUNSHADOW_CONFIG=$work/empty.conf
: >"$LUNSHADOW_CONFIG"
# A machine that has only the generator that we were built with can build the consumer too.
CMAKE_GENERATOR=$(sed -n 's/^CMAKE_GENERATOR:INTERNAL=//p' "$build/CMakeCache.txt")
export CMAKE_GENERATOR

die() { echo "FAILED: $*"; exit 1; }

# The build directory's own install manifest is put back: the test must not change what uninstall removes.
manifest=$build/install_manifest.txt
if [ -f "$manifest" ]; then cp -p "$manifest" "$work/manifest.before"; fi
cmake --install "$build" --prefix "$prefix" >"$work/install.log" || die "cmake --install: $(tail -3 "$work/install.log")"
mv "$manifest" "$work/manifest"
if [ -f "$work/manifest.before" ]; then cp -p "$work/manifest.before" "$manifest"; fi

# ---- the command ----
"$prefix/bin/lunshadow" error 0x80042308 | grep -q '^VSS_E_OBJECT_NOT_FOUND ' || die "installed lunshadow error"
"$prefix/bin/lunshadow" list | grep -q 'no snapshots' || die "installed lunshadow list"

# ---- what is exported: the documented API and nothing else ----
library=$(find "$prefix" -name 'liblunshadow.so.0')
[ -n "$library" ] || die "no liblunshadow.so.0"
exported=$(nm -D --defined-only "$library" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }')
[ -n "$exported" ] || die "liblunshadow exports nothing"
! grep -v '^vss_' <<<"$exported" || die "liblunshadow exports what is not vss_*"
# Every function of the public headers is there.
declared=$(cat "$prefix"/include/lunshadow/{vss,requester,async}.h | tr '\n' ' ' | sed 's|/\*[^*]*\*\+\([^/*][^*]*\*\+\)*/||g' |
    grep -oE '\bvss_[a-z_0-9]+\(' | tr -d '(' | sort -u)
[ "$(wc -w <<<"$declared")" -gt 40 ] || die "cannot read the public headers"
missing=$(comm -23 <(echo "$declared") <(sort -u <<<"$exported"))
[ -z "$missing" ] || die "declared but not exported: $missing"

# ---- a consumer ----
mkdir "$work/consumer"
cat >"$work/consumer/main.c" <<'C'
#include <lunshadow/requester.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
    struct vss_backup_components *session = NULL;
    char *error = NULL;
    const char *name = vss_error_name(VSS_E_BAD_STATE);
    if (!name || strcmp(name, "VSS_E_BAD_STATE") != 0) {
        return 1;
    }
    HRESULT hr = vss_create_backup_components(NULL, &session, &error);
    if (FAILED(hr)) {
        fprintf(stderr, "0x%08x %s\n", (unsigned)hr, error ? error : "");
        return 2;
    }
    hr = vss_backup_components_initialize_for_backup(session, NULL);
    vss_backup_components_release(session);
    return FAILED(hr) ? 3 : 0;
}
C
cat >"$work/consumer/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.25)
project(consumer LANGUAGES C)
find_package(lunshadow 0.1 REQUIRED)
if(NOT IS_DIRECTORY "${lunshadow_INCLUDE_DIR}/lunshadow")
  message(FATAL_ERROR "lunshadow_INCLUDE_DIR is wrong: ${lunshadow_INCLUDE_DIR}")
endif()
add_executable(consumer main.c)
target_link_libraries(consumer PRIVATE lunshadow::lunshadow)
CMAKE
PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name lunshadow.pc)")
export PKG_CONFIG_PATH
library_dir=$(dirname "$library")
# Sanitized libraries want their runtime in the program too.
read -ra extra <<<"${LUNSHADOW_TEST_CFLAGS:-}"
# shellcheck disable=SC2046 # words on purpose
"${CC:-cc}" -std=c11 -Wall -Wextra -Wpedantic -Werror "${extra[@]}" -o "$work/by-pkg-config" \
    "$work/consumer/main.c" $(pkg-config --cflags --libs lunshadow)
LD_LIBRARY_PATH=$library_dir "$work/by-pkg-config" || die "consumer by pkg-config: $?"
plugins=$(pkg-config --variable=plugindir lunshadow)
[ -f "$plugins/lunshadow-provider-tgt.so" ] || die "plugindir of lunshadow.pc has no plug-in: $plugins"

cmake -S "$work/consumer" -B "$work/consumer/build" -DCMAKE_PREFIX_PATH="$prefix" \
    -DCMAKE_C_FLAGS="${LUNSHADOW_TEST_CFLAGS:-}" >"$work/cmake.log" 2>&1 ||
    die "find_package: $(tail -5 "$work/cmake.log")"
cmake --build "$work/consumer/build" >"$work/cmake.log" 2>&1 || die "consumer by CMake: $(tail -5 "$work/cmake.log")"
"$work/consumer/build/consumer" || die "consumer by CMake: $?"

# Each public header stands alone, in C and (where there is a C++ compiler) in C++.
for header in "$prefix"/include/lunshadow/*.h; do
    printf '#include <lunshadow/%s>\n' "$(basename "$header")" >"$work/alone.c"
    "${CC:-cc}" -std=c11 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -I"$prefix/include" "$work/alone.c" ||
        die "$header does not stand alone in C"
    if command -v c++ >/dev/null; then
        c++ -std=c++11 -Wall -Wextra -Werror -fsyntax-only -I"$prefix/include" -x c++ "$work/alone.c" ||
            die "$header does not stand alone in C++"
    fi
done

# ---- uninstall leaves no file ----
cmake -DMANIFEST="$work/manifest" -P "$(dirname "$0")/../../cmake/Uninstall.cmake" >"$work/uninstall.log" 2>&1 ||
    die "uninstall: $(tail -3 "$work/uninstall.log")"
left=$(find "$prefix" ! -type d)
[ -z "$left" ] || die "uninstall left: $left"
echo "all held"
