#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# usage: test_resync_copy.sh LUNSHADOW
# How this host copies in a resync, asked for by options: what is read back, how fast; and what a cancelled one says.
set -euo pipefail
lunshadow=${1:?usage: test_resync_copy.sh LUNSHADOW}
. "${BASH_SOURCE[0]%/*}/lab.sh"
begin resync-copy tgtd sfdisk

# Milliseconds of a successful resync, into $took.
timed() {
    local before
    before=$(date +%s%N)
    run 0 resync --yes "$@" "$work/set.xml"
    took=$((($(date +%s%N) - before) / 1000000))
}
number_after() { sed -n "s/.*$1 \([0-9]*\).*/\1/p" "$work/out" | head -n 1; }

lab_up 1
disk=$work/lab/disks/lun1.img
printf 'label: gpt\nsize=8MiB\n' | sfdisk --quiet "$disk"
dd if=/dev/urandom of="$disk" bs=1M seek=2 count=60 conv=notrunc,fsync status=none
cp "$disk" "$work/good"
run 0 create --transportable --output "$work/set.xml" "$url/1"
damage() { dd if=/dev/zero of="$disk" bs=1M seek=3 count=4 conv=notrunc,fsync status=none; }

# ---- an array that copies by itself takes none of it; nothing is written ----
damage
cp "$disk" "$work/damaged"
for option in --verify=none --verify=full --rate=100M; do
    run 1 resync --yes "$option" "$work/set.xml"
    err_has 'array lab copies by itself, and takes neither a rate nor a way to verify.*E_INVALIDARG'
done
cmp -s "$disk" "$work/damaged" || fail "a refused resync wrote"

# ---- hostile values: a line that says what is wrong, and nothing is begun ----
sed -i 's/^provider = tgt$/&\nresync = emulated/' "$LUNSHADOW_CONFIG"
printf '[copy]\nmethod = compare\n' >>"$LUNSHADOW_CONFIG"
for value in '' maybe FULL full,sample ' full' $'full\033[31m'; do
    run 2 resync --yes --verify "$value" "$work/set.xml"
    err_has '^lunshadow: resync: --verify is none, sample or full, not "'
    [ "$(wc -l <"$work/err")" -eq 2 ] || fail "more is said than a line and where to find help"
    ! grep -q $'\033' "$work/err" || fail "a control character reached the terminal"
done
for value in '' 0 1 -1 63K 1025G 2T 100MB 1.5G 99999999999999999999 18446744073709551615G 0x10000 ' 1M' M; do
    run 2 resync --yes --rate "$value" "$work/set.xml"
    err_has '^lunshadow: resync: --rate is 64K to 1024G bytes a second, such as 100M, not "'
    [ "$(wc -l <"$work/err")" -eq 2 ] || fail "more is said than a line and where to find help"
done
cmp -s "$disk" "$work/damaged" || fail "a refused resync wrote"

# ---- what was read back is in the report, and the option beats the configuration ----
run 0 import "$work/set.xml"
run 0 resync --yes "$work/set.xml"
grep -q ', not verified$' "$work/out" || fail "a resync that nobody asked to verify: $(cat "$work/out")"
cmp -s "$disk" "$work/good" || fail "a resync did not bring the content back"
damage
run 0 resync --yes --verify full "$work/set.xml"
body=$(number_after verified)
[ "${body:=0}" -eq $((62 << 20)) ] || fail "all between the first and the last MiB is not verified, but $body bytes"
[ "$(number_after read)" = $((2 * body)) ] || fail "what is read to verify is counted as read to copy"
run 0 resync --yes --verify sample "$work/set.xml"
sample=$(number_after 'a sample of')
[ "${sample:=0}" -gt 0 ] && [ "$sample" -le $((body / 8)) ] || fail "a sample is $sample of $body bytes"
printf 'verify = full\nrate = 1\n' >>"$LUNSHADOW_CONFIG"
timed --rate 1G
[ "$took" -lt 60000 ] || fail "the configuration's rate holds, not the option's: $took ms"
[ "$(number_after verified)" = "$body" ] || fail "the configuration's verify does not hold beside --rate"
timed --verify none --rate 1G
grep -q ', not verified$' "$work/out" || fail "--verify none does not beat the configuration"

# ---- it is a limit: never sooner than bytes by rate, but for what may go at once ----
sed -i '/^verify = full$/d; /^rate = 1$/d' "$LUNSHADOW_CONFIG"
timed --verify full --rate 96M
[ "$took" -ge $((4 * 62 * 1000 / 96 - 200)) ] || fail "248 MiB at 96 MiB a second took $took ms"

# ---- cancelled after writing began: what it says is true, and recover goes on as was asked for ----
damage
"$lunshadow" resync --yes --verify full --rate 8M "$work/set.xml" >"$work/out" 2>"$work/err" &
first=$!
await "$first" cmp -s -n 512 "$disk" /dev/zero || fail "the resync ended before its label was gone"
kill -TERM "$first"
code=0
wait "$first" || code=$?
[ "$code" -eq 1 ] || fail "a cancelled resync: exit code $code"
err_has 'resync was cancelled; the destinations are not whole .*run the same resync again, or `lunshadow recover --resume`'
! grep -q 'undone' "$work/err" || fail "it says that it was undone"
run 0 recover --resume --verbose
err_has "host copy .* verified $body bytes"
cmp -s "$disk" "$work/good" || fail "what was cancelled and resumed is not whole"

# ---- an array that lists what has changed: little more than that is read ----
sed -i '/^method = compare$/d' "$LUNSHADOW_CONFIG"
damage
run 0 resync --yes "$work/set.xml"
listed=$(number_after listed)
[ "${listed:=0}" -ge $((4 << 20)) ] && [ "$listed" -le $((5 << 20)) ] || fail "listed $listed bytes: $(cat "$work/out")"
[ "$(number_after read)" -le $((2 * listed)) ] || fail "more is read than what is listed: $(cat "$work/out")"
cmp -s "$disk" "$work/good" || fail "a resync by a list did not bring the content back"
run 0 delete "$("$lunshadow" list --json | sed -n 's/.*"set": "\([-0-9a-f]*\)".*/\1/p' | head -n 1)"

end
