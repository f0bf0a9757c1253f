#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# usage: test_conform_offline.sh LUNSHADOW-CONFORM RECORDING
# The suite on a recorded session of the example provider: no array, no plug-in, no configuration. What is recorded must
# be understood by every later version, or refused by its number.
set -euo pipefail
conform=${1:?usage: test_conform_offline.sh LUNSHADOW-CONFORM RECORDING}
recording=${2:?}
work=$(mktemp -d "${TMPDIR:-/tmp}/lunshadow-offline-test.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/tmp"
export TMPDIR=$work/tmp LUNSHADOW_CONFIG=$work/not-there LUNSHADOW_STATE_DIR=$work/state
die() {
    echo "FAILED: $*"
    sed 's/^/    /' "$work/out" 2>/dev/null || true
    exit 1
}
out_has() { grep -qE -- "$1" "$work/out" || die "the output has no \"$1\""; }
# run CODE ARGUMENT...
run() {
    local expected=$1 code=0
    shift
    "$conform" "$@" >"$work/out" 2>&1 </dev/null || code=$?
    [ "$code" -eq "$expected" ] || die "lunshadow-conform $*: exit code $code, not $expected"
}

# ---- what the recording shows ----
cp "$recording" "$work/whole" # not even beside it is anything written
run 0 --offline "$work/whole"
out_has '^recorded array files: provider files 1, '
out_has '^conform: 29 of 29 cases held, 5 not claimed, 38 skipped without LUNs$'
out_has '^ok +life\.whole$'
out_has '^not claimed +unload\.forced'
out_has '^ok +resync\.progress$'
out_has '^skipped +commit\.content \(looks at LUNs\)$'
out_has '^skipped +commit\.quick '
out_has '^skipped +mask\.hides \(not recorded\)$'
LUNSHADOW_PROVIDER_IN_PROCESS=1 run 0 --offline "$work/whole" # where a debugger finds it
out_has '^conform: 29 of 29 cases held, '
run 0 --offline "$work/whole" --json --case targets.unique --case commit.content
out_has '"held": 1,'
out_has '"skipped": 1,'
out_has '"seen": "looks at LUNs"'
cmp "$recording" "$work/whole" || die "the recording was written to"

# ---- one that says something else ----
sed 's/case targets\.unique/case targets.stable/; t; s/case targets\.stable/case targets.unique/' "$recording" >"$work/swapped"
cmp -s "$recording" "$work/swapped" && die "nothing was swapped"
run 1 --offline "$work/swapped" --case life.no-luns --case targets.unique --case targets.stable
out_has 'call [0-9]+ of the recording'
out_has '^ok +life\.no-luns$'

# ---- what is none ----
echo nothing >"$work/none"
run 2 --offline "$work/none"
out_has 'is no recording'
head -c 5000 "$recording" >"$work/cut"
run 2 --offline "$work/cut"
out_has 'ends within a frame'
sed 's/^lunshadow-replay 1$/lunshadow-replay 9/' "$recording" >"$work/other"
run 2 --offline "$work/other"
out_has 'of another version'
run 2 --offline "$work/whole" --array files
run 2 --offline "$work/not-there"
out_has 'not-there'
left=$(ls "$TMPDIR")
[ -z "$left" ] || die "left behind in TMPDIR: $left"
