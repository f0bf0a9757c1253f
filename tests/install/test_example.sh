#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# usage: test_example.sh BUILD-DIRECTORY [PLUG-IN]
# Builds examples/provider-files out of tree from the installed package alone, by make and by CMake, and lets it make,
# import, resync, mask and delete a set of two LUNs on a lab array. With PLUG-IN, that file does so instead: the
# example as it was compiled once.
set -euo pipefail
build=${1:?usage: test_example.sh BUILD-DIRECTORY [PLUG-IN]}
compiled=${2:-}
source=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/lunshadow-example.XXXXXX")
lab=
umask 022
export LUNSHADOW_STATE_DIR=$work/state LUNSHADOW_LOCK_DIR=$work/locks LUNSHADOW_CONFIG=$work/empty.conf
mkdir "$LUNSHADOW_LOCK_DIR"
: >"$LUNSHADOW_CONFIG"

cleanup() {
    if [ -n "$lab" ]; then
        "$lunshadow" lab down "$lab" >/dev/null || echo "left behind: $lab" >&2
    fi
    rm -rf "$work"
}
trap cleanup EXIT
die() {
    echo "FAILED: $*"
    sed 's/^/    /' "$work/out" 2>/dev/null || true
    exit 1
}
run() { "$lunshadow" "$@" >"$work/out" 2>&1 </dev/null || die "lunshadow $*: exit code $?"; }
out_has() { grep -qE -- "$1" "$work/out" || die "the output has no \"$1\""; }

# By component: so the build's list for uninstall stays as it is.
for component in command library development; do
    cmake --install "$build" --prefix "$work/prefix" --component "$component" >"$work/out" 2>&1 || die "cmake --install"
done
lunshadow=$work/prefix/bin/lunshadow
LUNSHADOW_LIBEXECDIR=$(dirname "$(find "$work/prefix" -name lunshadow-guard)")
LUNSHADOW_PROVIDER_DIR=$(dirname "$(find "$work/prefix" -name lunshadow-provider-tgt.so)")
export LUNSHADOW_LIBEXECDIR LUNSHADOW_PROVIDER_DIR

# ---- from the package alone ----
build_example() {
    cp -r "$source/examples/provider-files" "$work/make"
    cp -r "$source/examples/provider-files" "$work/cmake"
    PKG_CONFIG_PATH=$(dirname "$(find "$work/prefix" -name lunshadow.pc)")
    export PKG_CONFIG_PATH
    make -C "$work/make" CFLAGS='-O2 -Werror' install >"$work/out" 2>&1 || die "make install"
    plugin=$(pkg-config --variable=plugindir lunshadow)/lunshadow-provider-files.so
    [ -f "$plugin" ] || die "make install put no plug-in to $plugin"
    cmake -S "$work/cmake" -B "$work/cmake/build" -DCMAKE_PREFIX_PATH="$work/prefix" >"$work/out" 2>&1 || die "cmake"
    cmake --build "$work/cmake/build" >"$work/out" 2>&1 || die "cmake --build"
    for so in "$plugin" "$work/cmake/build/lunshadow-provider-files.so"; do
        exported=$(nm -D --defined-only "$so" | awk '{ print $3 }')
        [ "$exported" = lunshadow_provider_entry ] || die "$so exports: $exported"
        ! ldd "$so" | grep -q lunshadow || die "$so links lunshadow"
    done
}
if [ -z "$compiled" ]; then
    build_example
elif [ "$(uname -m)" != x86_64 ]; then
    echo "$compiled is for x86_64"
    exit 77
else
    plugin=$work/old.so
    install -m 644 "$compiled" "$plugin"
fi

# ---- at work ----
if ! command -v tgtd >/dev/null && [ ! -x /usr/sbin/tgtd ]; then
    echo "tgtd is not installed: the example was built, not run"
    exit 77
fi
run lab up --luns 2 --size 96M "$work/lab"
lab=$work/lab
mapfile -t luns < <(awk '$1 == "LUN" { print $2 }' "$work/out")
sed "s|^provider = tgt\$|provider = $plugin|; /^portal = /d; /^allow_hold/d; s|^max_hold_ms.*|max_hold_ms = 10000|" \
    "$lab/lunshadow.conf" >"$work/files.conf"
export LUNSHADOW_CONFIG=$work/files.conf
run providers
out_has 'files +1 +5a9e3c10-77d4-4f6e'

block() { dd "if=$1" bs=1M skip="$2" count=1 status=none; }
put() { dd if="$1" "of=$lab/disks/$2.img" bs=1M count=1 seek="$3" conv=notrunc status=none; }
for n in 1 2; do
    head -c 1M /dev/urandom >"$work/content$n"
    put "$work/content$n" "lun$n" 8
done
run create --transportable -o "$work/set.xml" "${luns[@]}"
out_has 'I/O held [0-9]+ us'
set_id=$(awk '$1 == "Set" { print $2 }' "$work/out")
copies=("$lab"/disks/.files-*.img)
[ "${#copies[@]}" -eq 2 ] || die "not two copies: ${copies[*]}"
for n in 1 2; do
    block "${copies[n - 1]}" 8 | cmp -s - "$work/content$n" || die "copy $n is not its original"
    put /dev/zero "lun$n" 8
    block "${copies[n - 1]}" 8 | cmp -s - "$work/content$n" || die "copy $n follows its original"
done
run import "$work/set.xml"
out_has '^ +copy: iscsi://'
run luns
[ "$(grep -c 'iqn.2026-11.lunshadow.files:' "$work/out")" -eq 1 ] || die "the copies are not shown"
run resync --yes "$work/set.xml"
out_has 'result +S_OK'
for n in 1 2; do
    block "$lab/disks/lun$n.img" 8 | cmp -s - "$work/content$n" || die "resync did not bring LUN $n back"
done
run delete "$set_id"
out_has '"?[Dd]eleted"?:? 2'
run list
out_has 'no snapshots'

# A set that would take longer than the hold may: refused before I/O is held, and nothing is left.
sed -i 's|^max_hold_ms.*|max_hold_ms = 10|' "$work/files.conf"
grep -q '^max_hold_ms' "$work/files.conf" || echo 'max_hold_ms = 10' >>"$work/files.conf"
if "$lunshadow" create --transportable -o "$work/slow.xml" "${luns[@]}" >"$work/out" 2>&1; then
    die "192 MiB were copied within 10 ms"
fi
out_has 'longer than I/O may be held.*VSS_E_PROVIDER_VETO'
left=$(find "$lab/disks" -name '.files-*')
[ -z "$left" ] || die "left behind: $left"
run lab status "$lab"
! grep -q 'lunshadow.files:' "$work/out" || die "a target of copies is left"

# Masked copies stay, for nobody to see.
sed -i 's|^max_hold_ms.*|max_hold_ms = 10000|' "$work/files.conf"
run create --transportable -o "$work/masked.xml" "${luns[0]}"
set_id=$(awk '$1 == "Set" { print $2 }' "$work/out")
run import "$work/masked.xml"
run break --mask "$set_id"
run luns
! grep -q 'lunshadow.files:' "$work/out" || die "a masked copy is shown"
[ -n "$(find "$lab/disks" -name '.files-*')" ] || die "masking deleted the copy"
run lab down "$lab"
lab=
echo "all held"
