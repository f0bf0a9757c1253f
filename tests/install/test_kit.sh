#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# usage: test_kit.sh BUILD-DIRECTORY
# What a vendor has: the manual page (its synopsis compiles, it names every operation), `lunshadow provider new` (builds
# by make and by CMake from the installed package) and `lunshadow provider dump`, on good plug-ins and on bad ones.
set -euo pipefail
build=${1:?usage: test_kit.sh BUILD-DIRECTORY}
source=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/lunshadow-kit.XXXXXX")
trap 'rm -rf "$work"' EXIT
umask 022
export LUNSHADOW_STATE_DIR=$work/state LUNSHADOW_CONFIG=$work/kit.conf LUNSHADOW_LOCK_DIR=$work/locks
mkdir "$LUNSHADOW_LOCK_DIR"
: >"$LUNSHADOW_CONFIG"
read -ra extra <<<"${LUNSHADOW_TEST_CFLAGS:-}"

die() {
    echo "FAILED: $*"
    sed 's/^/    /' "$work/out" 2>/dev/null || true
    exit 1
}
# run CODE ARGUMENT...: runs lunshadow and checks its exit code.
run() {
    local expected=$1 code=0
    shift
    "$work/prefix/bin/lunshadow" "$@" >"$work/out" 2>&1 </dev/null || code=$?
    [ "$code" -eq "$expected" ] || die "lunshadow $*: exit code $code, not $expected"
}
out_has() { grep -qE -- "$1" "$work/out" || die "the output has no \"$1\""; }

# By component: so the build's list for uninstall stays as it is.
for component in command library development; do
    cmake --install "$build" --prefix "$work/prefix" --component "$component" >"$work/out" 2>&1 || die "cmake --install"
done
PKG_CONFIG_PATH=$(dirname "$(find "$work/prefix" -name lunshadow.pc)")
export PKG_CONFIG_PATH

# ---- the manual page ----
page=$source/man/lunshadow-provider.7.scd
awk '/^# / { in_synopsis = $2 == "SYNOPSIS" } /^```$/ { in_code = !in_code; next } in_synopsis && in_code' \
    "$page" >"$work/synopsis.c"
[ "$(wc -l <"$work/synopsis.c")" -gt 20 ] || die "the synopsis has no code"
# shellcheck disable=SC2046 # words on purpose
"${CC:-cc}" -std=c17 -Wall -Wextra -Wpedantic -Wmissing-prototypes -Werror -fPIC -shared -fvisibility=hidden "${extra[@]}" \
    $(pkg-config --cflags lunshadow) -o "$work/synopsis.so" "$work/synopsis.c" >"$work/out" 2>&1 || die "the synopsis"
run 1 provider dump "$work/synopsis.so"
out_has '^name +myarray$'
mapfile -t names < <(sed -n 's/^    yes  \|^    no   //p' "$work/out" | sed 's/ poll$\| cancel$//' | sort -u)
[ "${#names[@]}" -eq 20 ] || die "${#names[@]} operations are listed instead of 20"
for name in "${names[@]}"; do
    grep -qE "^## (.*[ ,])?$name[ ,:\[]" "$page" || die "the manual page has no section for $name"
done
out_has 'AreLunsSupported, which is mandatory.*VSS_E_UNEXPECTED_PROVIDER_ERROR'

# ---- a new provider ----
cd "$work"
run 0 provider new acme-9000
run 1 provider new acme-9000
out_has 'acme-9000.*exists'
for name in '' ../x 'a b' Acme 9acme "$(printf 'a%.0s' {1..33})"; do run 2 provider new "$name"; done
! grep -rn '@' acme-9000 | grep -v '\$@\|"\$@"' || die "a mark was left"
make -C acme-9000 CFLAGS='-O2 -Werror' install >"$work/out" 2>&1 || die "make install of a new provider"
cmake -S acme-9000 -B acme-9000/build -DCMAKE_PREFIX_PATH="$work/prefix" >"$work/out" 2>&1 || die "cmake of a new provider"
cmake --build acme-9000/build >"$work/out" 2>&1 || die "cmake --build of a new provider"
run 0 provider dump acme-9000/build/lunshadow-provider-acme-9000.so
plugin=$(pkg-config --variable=plugindir lunshadow)/lunshadow-provider-acme-9000.so
run 0 provider dump "$plugin"
out_has '^ABI +0\.10 \(this host speaks 0\.10\)$'
out_has '^    yes  CommitSnapshots$'
out_has '^    no   OnReuseLuns$'
run 0 provider dump --json "$plugin"
out_has '"refused": null'
first=$(sed -n 's/.*"provider": "\(.*\)".*/\1/p' "$work/out")
run 0 provider new other
make -C other >"$work/out" 2>&1 || die "make of another new provider"
run 0 provider dump --json other/lunshadow-provider-other.so
cp "$work/out" "$work/other.json"
! grep -q "$first" "$work/out" || die "two new providers have one id"

# ---- configured ----
printf '[array one]\nprovider = %s\n\n[array two]\nprovider = none\n' "$plugin" >"$LUNSHADOW_CONFIG"
run 0 provider list
out_has '^one +acme-9000 '
out_has '^two +not usable'
run 0 provider show one
out_has 'consistent-set no'
! grep -q '^two' "$work/out" || die "show prints other arrays"
run 1 provider show three
out_has 'no \[array three\] section.*VSS_E_PROVIDER_NOT_REGISTERED'

# ---- tried ----
conform=$work/prefix/bin/lunshadow-conform
"$conform" --list >"$work/out" || die "lunshadow-conform --list"
out_has '^table\.accepted$'
code=0
"$conform" --array one >"$work/out" 2>&1 || code=$?
[ "$code" -eq 2 ] || die "lunshadow-conform without scratch LUNs: exit code $code"
out_has 'must name two LUNs or more that may be overwritten'

# ---- registered, from anywhere, and named by its name ----
install -m 644 other/lunshadow-provider-other.so "$work/elsewhere.so"
id=$(sed -n 's/.*"provider": "\(.*\)".*/\1/p' "$work/other.json")
run 0 provider register "$work/elsewhere.so"
out_has "$id"
printf '[array one]\nprovider = other\n' >"$LUNSHADOW_CONFIG"
run 0 provider show one
out_has "^one +other .*$id$"
out_has "$work/elsewhere.so"
run 1 provider register "$work/synopsis.so"
out_has 'AreLunsSupported, which is mandatory.*E_INVALIDARG'
run 0 provider unregister "$id"

# ---- what is no plug-in ----
run 1 provider dump "$work/not-there.so"
run 1 provider dump /etc
out_has 'not a regular file'
printf 'no ELF' >bad.so
run 1 provider dump bad.so
out_has 'cannot load'
chmod 666 bad.so
run 1 provider dump bad.so
out_has 'writable by others'
echo 'int x;' >empty.c
"${CC:-cc}" -fPIC -shared -o empty.so empty.c
run 1 provider dump empty.so
out_has 'exports no lunshadow_provider_entry'
printf 'void *lunshadow_provider_entry(void);\nvoid *lunshadow_provider_entry(void) { return 0; }\n' >null.c
"${CC:-cc}" -fPIC -shared -o null.so null.c
run 1 provider dump null.so
out_has 'returned no provider table'
run 2 provider
run 2 provider dump
run 2 provider frobnicate
echo "all held"
