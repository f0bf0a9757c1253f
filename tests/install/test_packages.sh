#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# usage: test_packages.sh BUILD-DIRECTORY
# Makes the .deb packages, unpacks them into a directory, and works there as a vendor with nothing else: builds the
# example and a new provider against the unpacked tree, runs the unpacked command.
set -euo pipefail
build=${1:?usage: test_packages.sh BUILD-DIRECTORY}
work=$(mktemp -d "${TMPDIR:-/tmp}/lunshadow-packages.XXXXXX")
trap 'rm -rf "$work"' EXIT
umask 022
export LUNSHADOW_STATE_DIR=$work/state LUNSHADOW_CONFIG=$work/empty.conf
: >"$LUNSHADOW_CONFIG"

die() {
    echo "FAILED: $*"
    sed 's/^/    /' "$work/out" 2>/dev/null || true
    exit 1
}
for tool in cpack dpkg-deb dpkg-shlibdeps file scdoc; do
    if ! command -v "$tool" >/dev/null; then
        echo "no $tool here: packages were not made"
        exit 77
    fi
done
cpack -G DEB --config "$build/CPackConfig.cmake" -B "$work/packages" >"$work/out" 2>&1 || die "cpack"
root=$work/root
for package in lunshadow liblunshadow0 lunshadow-dev; do
    file=$(echo "$work/packages/${package}"_*.deb)
    [ -f "$file" ] || die "no package $package in $(ls "$work/packages")"
    dpkg-deb -f "$file" >"$work/$package.control"
    dpkg-deb -c "$file" >"$work/$package.list"
    dpkg-deb -x "$file" "$root"
    grep -qx "Package: $package" "$work/$package.control" || die "$package has another name"
done

# ---- what needs what ----
depends() {
    cp "$work/$1.control" "$work/out"
    grep -qE "^Depends:.*$2" "$work/$1.control" || die "$1 does not depend on $2"
}
for package in lunshadow liblunshadow0 lunshadow-dev; do
    for library in libc6 libiscsi libsqlite3 libjansson; do depends $package "$library"; done
done
depends liblunshadow0 'lunshadow \(= '
depends lunshadow-dev 'liblunshadow0 \(= '
depends lunshadow-dev 'lunshadow \(= '
has() {
    cp "$work/$1.list" "$work/out"
    grep -qE "$2" "$work/$1.list" || die "$1 lacks $2"
}
has lunshadow '/bin/lunshadow$'
has lunshadow '/libexec/lunshadow/lunshadow-guard$'
has lunshadow '/libexec/lunshadow/lunshadow-export-keeper$'
has lunshadow '/libexec/lunshadow/writers/fsfreeze$'
has lunshadow '/lunshadow-provider-tgt.so$'
has lunshadow '/systemd/system/lunshadow-drill@.service$'
has lunshadow '/systemd/system/lunshadow-drill@.timer$'
has lunshadow '/man1/lunshadow.1'
has liblunshadow0 '/liblunshadow.so.0$|/liblunshadow.so.0 ->'
has lunshadow-dev '/liblunshadow.so ->'
has lunshadow-dev '/include/lunshadow/provider.h$'
has lunshadow-dev '/include/lunshadow/admin.h$'
has lunshadow-dev '/include/lunshadow/async.h$'
has lunshadow-dev '/man7/lunshadow-provider.7'
has lunshadow-dev '/bin/lunshadow-conform$'
has lunshadow-dev '/man1/lunshadow-conform.1'
has lunshadow-dev '/examples/provider-files/files.c$'
doubled=$(cat "$work"/*.list | awk '$1 !~ /^d/ { print $6 }' | sort | uniq -d)
[ -z "$doubled" ] || die "in two packages: $doubled"
! grep -E '\.a$|/tests?/' "$work"/*.list || die "a package has what is nobody's business"

# ---- at work in the unpacked tree ----
lunshadow=$(find "$root" -path '*/bin/lunshadow')
"$lunshadow" --version >"$work/out" 2>&1 || die "the unpacked command"
PKG_CONFIG_LIBDIR=$(dirname "$(find "$root" -name lunshadow.pc)")
export PKG_CONFIG_LIBDIR PKG_CONFIG_SYSROOT_DIR=$root
cp -r "$(find "$root" -type d -name provider-files)" "$work/example"
make -C "$work/example" CFLAGS='-O2 -Werror' >"$work/out" 2>&1 || die "the example"
"$lunshadow" provider dump "$work/example/lunshadow-provider-files.so" >"$work/out" 2>&1 || die "dump of the example"
cd "$work"
"$lunshadow" provider new mine >"$work/out" 2>&1 || die "provider new"
make -C mine CFLAGS='-O2 -Werror' >"$work/out" 2>&1 || die "a new provider"
"$lunshadow" provider dump mine/lunshadow-provider-mine.so >"$work/out" 2>&1 || die "dump of a new provider"
conform=$(dirname "$lunshadow")/lunshadow-conform
[ "$("$conform" --list | grep -c '^[a-z]')" -ge 50 ] || die "the unpacked lunshadow-conform"
prefix=$(dirname "$(dirname "$lunshadow")")
cmake -S mine -B mine/build -DCMAKE_PREFIX_PATH="$prefix" >"$work/out" 2>&1 || die "find_package in the unpacked tree"
cmake --build mine/build >"$work/out" 2>&1 || die "cmake --build in the unpacked tree"
echo "all held"
