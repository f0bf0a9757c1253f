#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# usage: test_requester.sh BUILD-DIRECTORY
# Builds examples/requester-backup and requester-recover from the installed package alone, and lets them copy two LUNs of a
# lab array and bring them back, with a writer that keeps a list of its events; then the same walk from Python.
set -euo pipefail
build=${1:?usage: test_requester.sh BUILD-DIRECTORY}
source=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/lunshadow-requester.XXXXXX")
lab=
umask 022
export LUNSHADOW_STATE_DIR=$work/state LUNSHADOW_LOCK_DIR=$work/locks LUNSHADOW_CONFIG=$work/empty.conf
mkdir "$LUNSHADOW_LOCK_DIR"
: >"$LUNSHADOW_CONFIG"
read -ra extra <<<"${LUNSHADOW_TEST_CFLAGS:-}"

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
run() { "$@" >"$work/out" 2>&1 </dev/null || die "$*: exit code $?"; }

# By component: so the build's list for uninstall stays as it is.
for component in command library development; do
    run cmake --install "$build" --prefix "$work/prefix" --component "$component"
done
lunshadow=$work/prefix/bin/lunshadow
LUNSHADOW_LIBEXECDIR=$(dirname "$(find "$work/prefix" -name lunshadow-guard)")
LUNSHADOW_PROVIDER_DIR=$(dirname "$(find "$work/prefix" -name lunshadow-provider-tgt.so)")
LD_LIBRARY_PATH=$(dirname "$(find "$work/prefix" -name liblunshadow.so.0)")
PKG_CONFIG_PATH=$(dirname "$(find "$work/prefix" -name lunshadow.pc)")
export LUNSHADOW_LIBEXECDIR LUNSHADOW_PROVIDER_DIR LD_LIBRARY_PATH PKG_CONFIG_PATH
examples=$(find "$work/prefix" -type d -path '*/lunshadow/examples')

# ---- from the package alone ----
for name in backup recover; do
    cp -r "$examples/requester-$name" "$work/$name"
    run make -C "$work/$name" CFLAGS="-O2 -Werror ${extra[*]}"
done
run diff -r "$source/examples/requester-python" "$examples/requester-python"

# ---- at work ----
if ! command -v tgtd >/dev/null && [ ! -x /usr/sbin/tgtd ]; then
    echo "tgtd is not installed: the examples were built, not run"
    exit 77
fi
run "$lunshadow" lab up --luns 2 --size 32M "$work/lab"
lab=$work/lab
mapfile -t luns < <(awk '$1 == "LUN" { print $2 }' "$work/out")
export LUNSHADOW_CONFIG=$lab/lunshadow.conf
printf '[writer]\nprogram = %s\n' "$work/writer" >"$lab/writers.d/app.conf"
cat >"$work/writer" <<WRITER
#!/bin/sh
while read -r event number rest; do
    [ "\$event" = set ] && continue
    echo "\$event" >>"$work/events"
    [ "\$event" = identify ] && cat "$work/metadata"
    echo "ok \$number"
done
WRITER
chmod 700 "$work/writer"
cat >"$work/metadata" <<'METADATA'
lunshadow-writer 1
metadata
<WRITER_METADATA xmlns="x-schema:#VssWriterMetadataInfo" version="1.2">
<IDENTIFICATION writerId="5a3c1f62-6c1f-4c6c-9f0b-0d2b8d3f6a11" instanceId="d8b1f0f4-58a7-4c0b-8a39-1a2f4c7be911"
 friendlyName="App" usage="USER_DATA" dataSource="OTHER"/>
<RESTORE_METHOD method="RESTORE_IF_CAN_BE_REPLACED" writerRestore="never" rebootRequired="no"/>
<BACKUP_LOCATIONS><FILE_GROUP componentName="data" selectable="yes"/></BACKUP_LOCATIONS></WRITER_METADATA>
.
METADATA
# told EVENT...: what the writer was told since, without what is asked at any time.
told() {
    local events
    events=$(grep -v '^status$' "$work/events" | tr '\n' ' ')
    [ "$events" = "$* " ] || die "the writer was told: $events"
    rm "$work/events"
}
put() { dd if="$1" "of=$lab/disks/lun$2.img" bs=1M count=1 seek=8 conv=notrunc status=none; }
same() { dd if="$lab/disks/lun$1.img" bs=1M skip=8 count=1 status=none | cmp -s - "$work/content$1"; }
for n in 1 2; do
    head -c 1M /dev/urandom >"$work/content$n"
    put "$work/content$n" "$n"
done
"$work/backup/backup" "$work/set.xml" "${luns[@]}" >"$work/ids" 2>"$work/out" || die "backup: exit code $?"
mapfile -t ids < <(awk '{ print $1 }' "$work/ids")
[ "${#ids[@]}" -eq 2 ] || die "not two copies: ${ids[*]}"
told identify prepare-backup prepare-snapshot freeze thaw post-snapshot backup-complete backup-shutdown
for n in 1 2; do
    put /dev/zero "$n"
    ! same "$n" || die "LUN $n was not damaged"
done
run "$work/recover/recover" "$work/set.xml" "${ids[@]}"
[ "$(grep -o '"result":"S_OK"' "$work/out" | wc -l)" -eq 2 ] || die "the report does not say two times S_OK"
for n in 1 2; do
    same "$n" || die "LUN $n was not brought back"
done
told identify pre-restore post-restore
run "$lunshadow" delete "$("$lunshadow" list | awk '$1 == "Set" { print $2 }')"

# ---- from another language ----
if [ -z "${extra[*]}" ]; then # a sanitized library does not load into a Python that is not
    run python3 "$examples/requester-python/walk.py" "${luns[0]}" "$lab/disks/lun1.img"
    grep -q 'recovered, deleted' "$work/out" || die "walk.py"
fi
run "$lunshadow" list
grep -q 'no snapshots' "$work/out" || die "copies are left"
run "$lunshadow" lab down "$lab"
lab=
echo "all held"
