#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# usage: test_conform_defects.sh LUNSHADOW LUNSHADOW-CONFORM PLUG-IN-DIRECTORY
# Each case of lunshadow-conform can fail: there is a provider with a defect that it must notice (tests/plugins/), and
# it does. The same provider without a defect passes.
set -euo pipefail
lunshadow=${1:?usage: test_conform_defects.sh LUNSHADOW LUNSHADOW-CONFORM PLUG-IN-DIRECTORY}
conform=${2:?}
plugins=${3:?}
# shellcheck source=tests/component/conform_lab.sh
. "$(dirname "$0")/conform_lab.sh"

# DEFECT CASE [CASE BEFORE IT], one to a line. Those of the table itself are plug-ins of their own.
defects() {
    cat <<'TEXT'
table1 table.accepted
table2 table.version
odd-claim claims.values
unclaimed-resync claims.resync
changing-claim claims.stable
stays-loaded unload.forced
supports-none supported.scratch
refuses-foreign supported.foreign
looks-at-first supported.all-or-nothing
ignores-context supported.context
drops-paths supported.interconnects
other-serial fill-in.own
refuses-foreign fill-in.foreign
once-per-lun begin.same-lun
one-set-only begin.new-set
few-volumes begin.many-volumes
slow-begin begin.quick
adopts-foreign prepare.foreign
huge-state prepare.states
post-commits-anything commit.order
no-figures commit.figures
hides-hold commit.figures
slow-commit commit.quick
copies-late commit.content
copies-early commit.content
claims-differential commit.differential
copies-late commit.plex
plex-late commit.plex commit.content
scribbles commit.originals
torn commit.point-in-time
evicts-and-tears commit.point-in-time
copies-early commit.point-in-time
aborts-later abort.every-stage
aborts-once abort.twice
aborts-by-state abort.without-states
aborts-first abort.other-set
original-identity targets.unique
swaps-targets targets.order
changing-target targets.live
changing-target targets.stable
short-copy targets.size
locates-nothing locate.visible
locates-read-only locate.writable
describes-another locate.writable
swaps-targets locate.writable
open-to-all locate.alone
locates-once locate.again
first-host-only locate.other-host
never-read-only final.read-only
stays-read-only state.read-write
stays-read-only state.pre-recovery
never-masks mask.hides
unbinds-only mask.ends-sessions
mask-deletes mask.keeps
deletes-nothing delete.gone
deletes-set delete.only-that
deletes-once delete.twice
deletes-by-identity delete.original
spoils-destination resync.content
resyncs-neighbour resync.content
overshoots resync.progress
new-identity resync.identity
spoils-copy resync.copy-intact
labels-first resync.new-process
labels-first resync.labels-last
end-first resync.labels-last
cancels-once resync.cancel
pretends-cancel resync.cancel
pretends-cancel resync.cancel-unheard
cancels-by-state resync.cancel-unheard
takes-any resync.foreign
writes-then-refuses resync.foreign
takes-any resync.gone
writes-then-refuses resync.gone
leaves-sessions resync.ends-sessions
lists-backwards changes.form
lists-nothing changes.cover
lists-written changes.cover
lists-any changes.foreign
no-final life.whole
prepared-in-memory life.new-processes
replaces-set life.two-sets
commits-anything life.unknown-set
odd-code life.foreign-states
counts-on-luns life.no-luns
takes-any resync.size
writes-then-refuses resync.size
resizes-only resync.size
TEXT
}

"$conform" --list >"$work/list"
diff <(grep '^[a-z]' "$work/list" | cut -d' ' -f1 | sort) <(defects | cut -d' ' -f2 | sort -u) >"$work/out" ||
    die "cases without a defect (<), defects without a case (>)"

arguments=()
failed=0
while read -r defect name before; do
    case $defect in
    table?) configure broken "$plugins/provider_broken_$defect.so" ;;
    *) configure broken "$plugins/provider_broken.so" "defect = $defect" "marker = $work/marker.$name" ;;
    esac
    arguments=(--config "$work/conform.conf" --array broken --case "$name")
    [ -z "$before" ] || arguments+=(--case "$before")
    code=0
    "$conform" "${arguments[@]}" >"$work/out" 2>&1 </dev/null || code=$?
    if [ "$code" -ne 1 ] || ! grep -qx "FAIL         $name" "$work/out"; then
        echo "$defect: $name did not notice (exit code $code)"
        sed 's/^/    /' "$work/out"
        failed=$((failed + 1))
    fi
done < <(defects)
other_is_untouched
[ "$failed" -eq 0 ] || die "$failed defects were not noticed"

# Whatever is said to be a copy, a LUN that is not scratch is left alone.
reset_larger() {
    truncate -s 6M "$lab/disks/larger.img" # resync.size made it smaller
    tgtadm --op update --mode logicalunit --tid 1 --lun 3 --params "online=0,path=$lab/disks/larger.img"
}
reset_larger
configure broken "$plugins/provider_broken.so" "defect = describes-another"
code=0
"$conform" --config "$work/conform.conf" --array broken >"$work/out" 2>&1 </dev/null || code=$?
[ "$code" -eq 1 ] || die "describes-another: exit code $code"
out_has 'was there before the set'
other_is_untouched

# Interrupted within a resync that never ends, it ends that.
configure broken "$plugins/provider_broken.so" "defect = never-done" "marker = $work/marker.never-done"
code=0
"$conform" --config "$work/conform.conf" --array broken --case resync.progress \
    >"$work/out" 2>&1 </dev/null &
pid=$!
for _ in $(seq 3000); do
    [ ! -e "$work/marker.never-done" ] || break
    sleep 0.02
done
kill -INT "$pid"
timeout 60 tail --pid="$pid" -f /dev/null || kill -KILL "$pid"
wait "$pid" || code=$?
[ "$code" -eq 2 ] || die "never-done: exit code $code"
nothing_left

# Arrays that are in order: one that is strict about snapshots and recovery, and one that cuts one LUN at a time.
for array in none-but-strict none-but-single; do
    reset_larger
    configure broken "$plugins/provider_broken.so" "defect = $array" "marker = $work/marker.$array"
    "$conform" --config "$work/conform.conf" --array broken >"$work/out" 2>&1 </dev/null || die "$array"
    nothing_left
done

# It is the defect that is noticed, not what stands around it.
reset_larger
configure broken "$plugins/provider_broken.so" "defect = none"
"$conform" --config "$work/conform.conf" --array broken >"$work/out" 2>&1 || die "without a defect"
out_has "^conform: $(($(grep -c '^[a-z]' "$work/list") - 1)) of .* held, 1 not claimed\$" # differential
echo "$(defects | wc -l) defects noticed, by $(defects | cut -d' ' -f2 | sort -u | wc -l) cases"
