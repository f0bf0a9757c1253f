#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# usage: close.sh RESULTS TABLE REACHED HEADERS
# Counts what the contract tests of this run reached (RESULTS/*.reached) against the table, lists what is missing and why,
# and fails where that is less than the number in REACHED, or where something came that the table says cannot.
set -euo pipefail
results=${1:?usage: close.sh RESULTS TABLE REACHED HEADERS}
table=$2 reached=$3 headers=$4
"$(dirname "$0")/check_table.sh" "$table"
shopt -s nullglob
files=("$results"/*.reached)
[ ${#files[@]} -gt 0 ] || { echo "no contract test has run: ctest -L contract"; exit 1; }
declared=$(cat "$headers"/*.h | grep -oE '\bvss_[a-z_0-9]+\(' | tr -d '(' | sort -u | tr '\n' ' ')
awk -F'\t' -v declared=" $declared" -v expected="$(grep -v '^#' "$reached")" '
function is_pair(heading, code) { return code != "S_OK" || heading == "CoInitializeEx" }
FILENAME == ARGV[1] {
    if (/^#/) next
    order[++rows] = $1 SUBSEP $3
    name[$1] = $2
    cause[$1, $3] = $4
    next
}
NF == 2 { came[$1, $2] = 1 }
NF == 3 { skipped[$1, $2] = $3 }
END {
    for (i = 1; i <= rows; i++) {
        split(order[i], at, SUBSEP)
        headings[at[1]] = 1
        if (is_pair(at[1], at[2])) pairs++
        if (order[i] in came) {
            if (is_pair(at[1], at[2])) got++
            if (cause[order[i]] ~ /^never: /) {
                printf "%s %s came, though the table says %s\n", at[1], at[2], cause[order[i]]
                wrong++
            }
            continue
        }
        incomplete[at[1]] = 1
        if (order[i] in skipped) {
            why = skipped[order[i]]
            if (is_pair(at[1], at[2])) passed_over++
        } else if (cause[order[i]] ~ /^never: /) {
            why = cause[order[i]]
            excused++
        } else {
            function_name = name[at[1]]
            sub(/^value (of|for) /, "", function_name)
            is_built = index(declared, " " function_name " ")
            why = (is_built ? "not provoked yet: " : "not built yet: ") cause[order[i]]
        }
        printf "missing: %s %s: %s\n", at[1], at[2], why
    }
    for (heading in headings) {
        all++
        whole += !(heading in incomplete)
    }
    if (got + passed_over < expected) {
        printf "the last commit reached %d pairs\n", expected
        wrong++
    } else if (got > expected) {
        printf "more than the last commit: raise tests/contract/reached from %d to %d\n", expected, got
    }
    printf "%d pairs have a reason of principle, %d were skipped\n", excused, passed_over
    printf "contract: %d of %d pairs, %d of %d headings\n", got, pairs, whole, all
    exit wrong ? 1 : 0
}' "$table" "${files[@]}"
