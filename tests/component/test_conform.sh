#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# usage: test_conform.sh LUNSHADOW LUNSHADOW-CONFORM EXAMPLE.so
# The suite on the tgt plug-in and on the example, which conform; on a new provider, which has everything yet to do;
# and what it refuses to run on.
set -euo pipefail
lunshadow=${1:?usage: test_conform.sh LUNSHADOW LUNSHADOW-CONFORM EXAMPLE.so}
conform=${2:?}
example=${3:?}
source=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/component/conform_lab.sh
. "$source/tests/component/conform_lab.sh"

# run CODE ARGUMENT...
run() {
    local expected=$1 code=0
    shift
    "$conform" "$@" >"$work/out" 2>&1 </dev/null || code=$?
    [ "$code" -eq "$expected" ] || die "lunshadow-conform $*: exit code $code, not $expected"
}

# ---- what cannot be run ----
run 0 --help
out_has '^usage: '
run 0 --list
out_has '^commit\.point-in-time \(consistent-set\)$'
cases=$(grep -c '^[a-z]' "$work/out")
run 2
run 2 --array tgt --case no.such-case
out_has 'no case no.such-case'
run 2 --array tgt
out_has 'no \[array tgt\] section'
configure tgt tgt "portal = $(setting address)" "allow_hold = yes"
run 2 --config "$work/conform.conf" --array tgt --provider "$work/not-there.so"
out_has 'no plug-in'
grep -v '^scratch' "$work/conform.conf" >"$work/none.conf"
run 2 --config "$work/none.conf" --array tgt
out_has 'must name two LUNs or more that may be overwritten'
sed "s|^scratch2.*|scratch2 = $target/1|" "$work/conform.conf" >"$work/twice.conf"
run 2 --config "$work/twice.conf" --array tgt
out_has 'are one'
sed "s|^scratch = .*|scratch = $target/1 $target/3|; /^scratch2/d" "$work/conform.conf" >"$work/sizes.conf"
run 2 --config "$work/sizes.conf" --array tgt
out_has 'of one size'
disks() { sha256sum "$lab"/disks/*.img; }
disks >"$work/before"
sed "/^\[scratch s1\]/,/^\[scratch s2\]/s|^identity = .*|identity = $(key 2)|" "$work/conform.conf" >"$work/mapped.conf"
run 2 --config "$work/mapped.conf" --array tgt
out_has "$target/1 is $(key 1), and .scratch s1. says that the scratch LUN there is $(key 2): nothing is written"
sed 's/^\[scratch s2\]/[spare s2]/' "$work/conform.conf" >"$work/unnamed.conf"
run 2 --config "$work/unnamed.conf" --array tgt
out_has "add a section .scratch NAME. with lun = $target/2 and identity = $(key 2)"
disks | cmp -s - "$work/before" || die "a LUN that is not scratch by address and identity was written to"

# ---- what conforms ----
run 0 --config "$work/conform.conf" --array tgt
out_has "^conform: $((cases - 1)) of $((cases - 1)) cases held, 1 not claimed\$"
out_has '^not claimed  unload.forced'
nothing_left
truncate -s 6M "$lab/disks/larger.img" # resync.size made it smaller
tgtadm --op update --mode logicalunit --tid 1 --lun 3 --params "online=0,path=$lab/disks/larger.img"
configure files "$example"
run 0 --config "$work/conform.conf" --array files --json
out_has '"failed": 0'
out_has "\"held\": $((cases - 5))," # neither OnUnload nor differential copies nor ListChanges (3 cases)
nothing_left

# ---- recorded, and judged once more without the array ----
configure tgt fault/tgt "portal = $(setting address)" "allow_hold = yes" "fault = GetTargetLuns:identity"
record=(--config "$work/conform.conf" --array tgt --record)
run 1 "${record[@]}" "$work/lie" --case targets.unique --case begin.new-set --case commit.content
out_has '^FAIL +targets\.unique'
run 2 "${record[@]}" "$work/lie"
out_has 'is there already'
run 1 --offline "$work/lie" --verbose
out_has '^FAIL +targets\.unique'
out_has 'has the identity of the original'
out_has '^ok +begin\.new-set'
out_has '^skipped +commit\.content \(looks at LUNs\)'
out_has '^skipped +life\.whole \(not recorded\)'
out_has '^conform: 1 of 2 cases held, '
nothing_left
configure files "$example"

# ---- a drill has one of the scratch LUNs ----
"$lunshadow" drill --config "$work/conform.conf" --volume "$target/1" --onto "$target/2" \
    --check ": >\"$work/checking\"; until [ -e \"$work/go\" ] || ! [ -d \"$work\" ]; do sleep 0.05; done" >"$work/first" 2>&1 </dev/null &
first=$!
until [ -e "$work/checking" ]; do
    kill -0 "$first" || die "the drill is over: $(cat "$work/first")"
    sleep 0.05
done
disks >"$work/before"
run 2 --config "$work/conform.conf" --array files
out_has "the scratch LUN $(key 2) is being used on this machine, by process $first"
disks | cmp -s - "$work/before" || die "a scratch LUN that a drill judges was written to"
: >"$work/go"
wait "$first" || die "the drill beside a run that was refused: $(cat "$work/first")"
nothing_left

# ---- interrupted, and in the way of another one ----
"$conform" --config "$work/conform.conf" --array files >"$work/first" 2>&1 </dev/null &
first=$!
until grep -q '^ok .* begin\.' "$work/first"; do
    kill -0 "$first" || die "the run to be interrupted is over: $(cat "$work/first")"
    sleep 0.05
done
run 2 --config "$work/conform.conf" --array files
out_has 'VSS_E_SNAPSHOT_SET_IN_PROGRESS'
kill -TERM "$first"
code=0
wait "$first" || code=$?
[ "$code" -eq 2 ] || die "interrupted: exit code $code"
grep -q 'interrupted' "$work/first" || die "nothing is said of the interruption"
nothing_left

# ---- what has everything yet to do ----
cd "$work"
"$lunshadow" provider new acme >/dev/null
"${CC:-cc}" -std=c11 -fPIC -shared -fvisibility=hidden "-I$source/include" -o acme.so acme/provider.c
configure acme "$example"
disks >"$work/before"
run 1 --config "$work/conform.conf" --array acme --provider acme.so
disks | cmp -s - "$work/before" || die "a LUN that the provider does not call its own was written to"
out_has '^To do, in this order:$'
out_has '^conform: [0-9]+ of [0-9]+ cases held'
for word in 'AreLunsSupported: the answer' 'FillInLunInfo: the answer' 'begin_prepare: to do' 'end_prepare: to do' \
    'pre_commit: to do' 'commit: to do' 'post_commit: to do' 'pre_final_commit: to do' 'post_final_commit: to do' \
    'abort_snapshots: to do' 'get_target_luns: to do' 'locate_luns: to do' 'on_lun_empty: to do' \
    'on_lun_state_change: to do'; do
    sed '1,/^To do/d' "$work/out" | grep -q "$word" || die "the list has no \"$word\""
done
nothing_left
echo "all held"
