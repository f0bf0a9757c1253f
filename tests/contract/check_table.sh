#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# usage: check_table.sh TABLE
# The table of documented codes is whole: 522 pairs of 107 headings, none twice, each with its function, a code that has a
# name, and a cause or the reason why there is none.
set -euo pipefail
table=${1:?usage: check_table.sh TABLE}
awk -F'\t' '
function bad(what) { printf "%s:%d: %s\n", FILENAME, FNR, what; wrong++ }
/^#/ { next }
NF != 4 { bad(NF " columns instead of 4"); next }
$1 == "" || $4 == "" || $4 ~ /^never: *$/ { bad("an empty column") }
$2 !~ /^(value (of|for) )?vss_[a-z_0-9]+$/ { bad("no function: " $2) }
$3 !~ /^((VSS_)?[ES]_[A-Z_]+|RPC_E_CHANGED_MODE)$/ { bad("no code: " $3) }
seen[$1, $3]++ { bad("twice: " $1 " " $3) }
($1 in function_of) && function_of[$1] != $2 { bad("another function than above: " $1) }
{ function_of[$1] = $2 }
# S_OK is a row of every method, and documented for one.
$3 != "S_OK" || $1 == "CoInitializeEx" { pairs++ }
END {
    for (heading in function_of) {
        headings++
        if (function_of[heading] ~ /^vss_/ && !((heading, "S_OK") in seen)) bad("no S_OK of " heading)
    }
    if (pairs != 522 || headings != 107) {
        printf "%s: %d pairs of %d headings instead of 522 of 107\n", FILENAME, pairs, headings
        wrong++
    }
    exit wrong ? 1 : 0
}' "$table"
