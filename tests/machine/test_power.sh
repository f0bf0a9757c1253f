#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# usage: test_power.sh LUNSHADOW MACHINE-DIRECTORY
# The power goes in the middle of a resync, LUNSHADOW_POWER_ROUNDS times (2), at moments that are printed and that
# LUNSHADOW_POWER_SEED repeats. After each the LUN must be whole, untouched, or without any label; then recover and
# the same resync make it what it was when it was copied.
set -euo pipefail
lunshadow=$1
directory=$2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PATH=$PATH:/usr/sbin:/sbin
first=40 # lines of its trace a resync of one LUN prints before it writes
lines=35 # and until it ends

for tool in qemu-system-x86_64 tgtd mkfs.xfs sgdisk blkid; do
    if ! command -v "$tool" >/dev/null; then
        echo "skipped: no $tool"
        exit 77
    fi
done
if [ ! -f "$directory/initrd" ]; then
    echo "skipped: no machine in $directory; make it with: tests/machine/machine build $directory"
    exit 77
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
truncate -s 2G "$work/disk"

# step CODE WHAT [OPTION...]: runs WHAT in the machine, which has to end with CODE.
step() {
    local wanted=$1 what=$2 code=0
    shift 2
    "$here/machine" run "$directory" --disk "$work/disk" "$@" \
        bash "$here/power_guest.sh" "$lunshadow" "$what" >"$work/out" || code=$?
    grep -v '^lunshadow: ' "$work/out" | sed 's/^/    /'
    # The resync may have been quicker than the power cut.
    if [ "$code" != "$wanted" ] && ! { [ "$wanted" = 98 ] && [ "$code" = 0 ]; }; then
        echo "FAILED: $what ended with $code"
        exit 1
    fi
    sed -n 's/^found: //p' "$work/out" >>"$work/found"
}

rounds=${LUNSHADOW_POWER_ROUNDS:-2}
seed=${LUNSHADOW_POWER_SEED:-$(($(date +%s) % 32768))}
RANDOM=$seed
echo "LUNSHADOW_POWER_SEED=$seed"
step 0 prepare
for i in $(seq "$rounds"); do
    at=$((first + RANDOM % lines))
    echo "round $i of $rounds: off after line $at of the resync's trace"
    step 98 round --off-after 'resync begins' --off-lines "$at"
done
step 0 verify
# The first one was found before anything was cut.
printf 'power: off %s times, found %s\n' "$rounds" "$(tail -n "$rounds" "$work/found" | sort | uniq -c | awk '{ n = $1; $1 = ""; printf "%s%s:%s", (NR > 1 ? "; " : ""), n, $0 }')"
