#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# usage: test_compare.sh LUNSHADOW
# lunshadow compare on LUNs and image files; cmp and qemu-img compare say whether it is right.
set -euo pipefail
lunshadow=${1:?usage: test_compare.sh LUNSHADOW}
work=$(mktemp -d "${TMPDIR:-/tmp}/lunshadow-compare.XXXXXX")
lab=
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
PATH=$PATH:/usr/sbin
if ! command -v tgtd >/dev/null; then
    echo "skipped: tgtd is not installed"
    exit 77
fi

"$lunshadow" lab up --luns 2 --size 64M "$work/lab" >"$work/out" 2>&1 || die "lab up"
lab=$work/lab
export LUNSHADOW_CONFIG=$lab/lunshadow.conf
setting() { sed -n "s/^$1 = //p" "$lab/lunshadow.conf" | head -n 1; }
target=$(awk '$1 == "LUN" { print $2 }' "$work/out" | head -n 1)
target=${target%/1}
tgtadm() { TGT_IPC_SOCKET=$lab/tgtd command tgtadm -C "$(setting control_port)" --lld iscsi "$@"; }
a=$lab/disks/lun1.img b=$lab/disks/lun2.img

# Where nobody reads the verdict, it is not "different".
code=0
"$lunshadow" compare "$a" "$a" >/dev/full 2>/dev/null || code=$?
[ "$code" -eq 2 ] || die "compare to a full device: exit code $code"

# The same content: some data, zeros that are there, holes.
head -c 20M /dev/urandom >"$work/data"
for file in "$a" "$b"; do
    dd if="$work/data" of="$file" bs=1M conv=notrunc status=none
    dd if=/dev/zero of="$file" bs=1M seek=30 count=2 conv=notrunc status=none
done

# compare_while COMMAND ARGUMENT...: compare with these arguments, and the command meanwhile; its code is $code.
compare_while() {
    local meanwhile=$1
    shift
    code=0
    : >"$work/out"
    "$lunshadow" compare "$@" >"$work/out" 2>&1 &
    compare=$!
    "$meanwhile"
    wait "$compare" || code=$?
}
# Until it has told its progress so many times, or is over.
told_progress() {
    while [ "$(grep -c '"percent"' "$work/out")" -lt "$1" ] && kill -0 "$compare" 2>/dev/null; do
        sleep 0.02
    done
}
# check CODE A B FILE-A FILE-B: the verdict, the first byte and the count of bytes are cmp's.
check() {
    local expected=$1 code
    compare_while "${check_while:-true}" --json ${check_rate:-} "$2" "$3"
    [ "$code" -eq "$expected" ] || die "compare $2 $3: exit code $code, not $expected"
    cmp -l "$4" "$5" >"$work/cmp" 2>/dev/null || true
    local first count
    first=$(awk 'NR == 1 { print $1 - 1 }' "$work/cmp")
    count=$(wc -l <"$work/cmp")
    grep -q "\"first_difference\": ${first:-null}" "$work/out" || die "compare $2 $3: cmp has ${first:-none} first"
    grep -q "\"different_bytes\": $count\$\|\"different_bytes\": $count," "$work/out" ||
        die "compare $2 $3: cmp has $count bytes"
    local blocks
    blocks=$(awk '{ print int(($1 - 1) / 512) }' "$work/cmp" | uniq | wc -l)
    grep -q "\"different_blocks\": $blocks\$\|\"different_blocks\": $blocks," "$work/out" ||
        die "compare $2 $3: there are $blocks blocks"
    if command -v qemu-img >/dev/null; then
        code=0
        qemu-img compare -s -f raw -F raw "$4" "$5" >"$work/qemu" 2>&1 || code=$?
        [ "$code" -eq "$expected" ] || die "qemu-img compare says $code of $4 $5"
    fi
}
both() {
    check "$1" "$target/1" "$target/2" "$a" "$b"
    check "$1" "$target/1" "$b" "$a" "$b"
    check "$1" "$a" "$b" "$a" "$b"
    check "$1" "$b" "$target/1" "$b" "$a"
}
put() { printf '%b' "$2" | dd of="$b" bs=1 seek="$1" conv=notrunc status=none; }

both 0
# In holes that the array knows, too.
tgtadm --op update --mode logicalunit --tid 1 --lun 1 --params thin_provisioning=1
tgtadm --op update --mode logicalunit --tid 1 --lun 2 --params thin_provisioning=1
both 0
"$lunshadow" compare --json "$target/1" "$target/2" >"$work/out"
hole=$(sed -n 's/.*"hole_bytes": \([0-9]*\),*/\1/p' "$work/out")
[ "$hole" -ge 33554432 ] || die "holes were read: only $hole bytes known"

put $((64 * 1048576 - 1)) x # the last byte
both 1
put $((45 * 1048576 + 77)) abc # a hole of the other one
both 1
put $((31 * 1048576)) '\001' # written zeros
both 1
put 1048575 '\377\376\375\374' # over the border of two reads
both 1
put 0 '\001'
both 1
"$lunshadow" compare --first "$target/1" "$target/2" >"$work/out" && die "--first finds nothing"
grep -qx 'differ: first at byte 0' "$work/out" || die "--first: another byte"

# Sizes, names, trouble.
head -c 1000001 "$a" >"$work/short"
code=0
"$lunshadow" compare "$target/1" "$work/short" >"$work/out" || code=$?
[ "$code" -eq 1 ] || die "a shorter file: exit code $code"
grep -q 'sizes differ: 67108864 and 1000001' "$work/out" || die "sizes are not named"
grep -q 'equal as far as' "$work/out" || die "the common part is equal"
[ -z "$("$lunshadow" compare --quiet "$a" "$b")" ] || die "--quiet prints"
for other in "$work/none" "$target/9" "$work" "iscsi://127.0.0.1:1/iqn.2026-11.nobody:x/1"; do
    code=0
    "$lunshadow" compare "$a" "$other" >"$work/out" 2>&1 || code=$?
    [ "$code" -eq 2 ] || die "compare with $other: exit code $code, not 2"
done
code=0
"$lunshadow" compare "iscsi://user%topsecret@127.0.0.1:1/iqn.2026-11.nobody:x/1" "$a" >"$work/out" 2>&1 || code=$?
[ "$code" -eq 2 ] || die "an unreachable portal: exit code $code"
! grep -q topsecret "$work/out" || die "the output gives a secret away"
# The rate limit: 42 MiB of data at 40 MiB a second.
started=$(date +%s%N)
"$lunshadow" compare --rate 20M "$a" "$a" >"$work/out" || die "--rate"
[ $((($(date +%s%N) - started) / 1000000)) -ge 1500 ] || die "--rate limits nothing"
# Progress: JSON lines with a last one of the end; none with --quiet.
code=0
"$lunshadow" compare --json "$target/1" "$target/2" >"$work/out" 2>"$work/err" || code=$?
[ "$code" -eq 1 ] || die "with progress: exit code $code"
tail -n 1 "$work/err" | grep -q '^{"progress":"compare","percent":100.0,.*"total_bytes":67108864,.*"remaining_ms":0}$' ||
    die "no progress: $(cat "$work/err")"
"$lunshadow" compare --json --quiet "$target/1" "$target/2" >"$work/out" 2>"$work/err" || true
[ ! -s "$work/err" ] || die "--quiet shows progress"
# A lost session is opened anew, and nothing is counted twice or left out: each chunk has a difference.
for i in $(seq 0 79); do put $((i * 262144 + 5)) '\001'; done
lose_sessions() {
    tgtadm --op show --mode conn --tid 1 | awk '$1 == "Session:" { s = $2 } $1 == "Connection:" { print s, $2 }' |
        while read -r session connection; do
            tgtadm --op delete --mode conn --tid 1 --sid "$session" --cid "$connection" 2>/dev/null || true
        done
}
lose_twice() {
    told_progress 1
    lose_sessions
    told_progress 2
    lose_sessions
}
check_while=lose_twice check_rate=--rate=8M check 1 "$target/1" "$target/2" "$a" "$b"
[ "$(grep -c 'a session is lost; opening it anew' "$work/out")" -ge 1 ] || die "no session was lost"
grep -q '"compared_bytes": 67108864' "$work/out" || die "not all was compared"
read_bytes=$(sed -n 's/.*"read_bytes": \([0-9]*\),*/\1/p' "$work/out")
[ "$read_bytes" -lt $((64 * 1048576)) ] || die "it began anew: $read_bytes bytes read"
# Another LUN in its place is not taken for it.
become_another() {
    told_progress 1
    tgtadm --op update --mode logicalunit --tid 1 --lun 1 --params scsi_id=6001405000000000000000000000cccc
    lose_sessions
}
compare_while become_another --rate 8M "$target/1" "$a"
[ "$code" -eq 2 ] || die "another LUN in its place: exit code $code"
grep -q 'a session was lost and did not come back: .* by now, not .*VSS_E_PROVIDER_VETO' "$work/out" ||
    die "not said what happened"
# A LUN as a stock tgtd has it, with no identity that counts: it is compared, through one session; but whether it is the
# same one after that is lost cannot be known.
tgtadm --op new --mode logicalunit --tid 1 --lun 3 --backing-store "$b"
for paths in 1 2 8; do
    code=0
    "$lunshadow" compare --paths $paths "$target/3" "$b" >"$work/out" 2>&1 || code=$?
    [ "$code" -eq 0 ] || die "a LUN without identity, --paths $paths: exit code $code"
done
lose_once() {
    told_progress 1
    lose_sessions
}
compare_while lose_once --rate 8M "$target/3" "$a"
[ "$code" -eq 2 ] || die "a lost LUN without identity: exit code $code"
grep -q 'whether .*/3 is the LUN that was opened before cannot be known: page 83 .*VSS_E_PROVIDER_VETO' "$work/out" ||
    die "not said that it cannot be known"
! grep -q none "$work/out" || die "an identity \"none\" is spoken of"
tgtadm --op delete --mode logicalunit --tid 1 --lun 3
echo "compare: all as cmp and qemu-img say"
