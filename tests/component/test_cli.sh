#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# usage: test_cli.sh LUNSHADOW
# The command as a person meets it: help, exit codes, messages; then one set's life on a lab array.
set -euo pipefail
lunshadow=${1:?usage: test_cli.sh LUNSHADOW}
. "${BASH_SOURCE[0]%/*}/lab.sh"
begin cli
: >"$work/empty.conf"
export LUNSHADOW_CONFIG=$work/empty.conf

nothing_has() {
    ! grep -qF -- "$1" "$work/out" "$work/err" || fail "the output gives \"$1\" away"
}

# ---- help: every command, every option it takes ----
run 0 --help
commands=$(awk '/^  [a-z]/ { print $1 }' "$work/out")
[ "$(echo "$commands" | wc -w)" -ge 14 ] || fail "--help lists too few commands"
for command in $commands; do
    run 0 "$command" --help
    out_has "^usage: lunshadow $command"
    for option in --config --state-dir --json --verbose --trace --help; do
        out_has "$option"
    done
    out_has "^Exit codes: 0 "
    # An option named in the help must be one that is taken.
    for option in $(grep -oE -- '^ .*--[a-z-]+' "$work/out" | grep -oE -- '--[a-z-]+'); do
        "$lunshadow" "$command" "$option" X Y Z --help >"$work/out2" 2>"$work/err" </dev/null || true
        ! grep -qE 'unrecognized|ambiguous' "$work/err" || fail "$command does not know its $option"
    done
done
help_names() {
    run 0 "$1" --help
    shift
    local option
    for option in "$@"; do out_has "$option"; done
}
help_names create --context --differential --plex --transportable --output --provider --exec
help_names resync --snapshot --partial --order --revert-identity --no-volume-check --undo --no-undo --wait --dry-run --verify --rate --yes
help_names import --dry-run
help_names drill --volume --onto --check --max-rto --plan --keep
help_names break --mask --read-write --revert-identity --no-revert-identity --dry-run
help_names ids --fresh --set --restore --repair --dry-run --yes
help_names lab --luns --size --block-size
help_names recover --list --resume --rollback --forget --undo --discard
help_names list --providers
help_names events --limit

# ---- wrong use: 2, one line that says what ----
run 2
run 2 frobnicate
err_has 'no such command'
run 2 expose x /mnt
err_has 'x is not an id'
run 2 unexpose x
err_has 'x is not an id'
run 2 list --frobnicate
err_has 'lunshadow: list: unrecognized option'
run 2 create
err_has 'something is missing'
run 2 show one two
err_has 'too many'
run 2 show not-an-id
err_has 'not an id'
run 2 events --limit 0
err_has 'from 1 to 10000'
run 2 events --limit ' 5'
run 2 lab sideways "$work/lab"
run 2 lab up --size 100 "$work/lab"
run 2 lab up --block-size 513 "$work/lab"
run 2 create --context sideways iscsi://127.0.0.1:1/iqn.2020-01.x:y/1
err_has 'app-rollback, backup'
run 2 create --context backup iscsi://127.0.0.1:1/iqn.2020-01.x:y/1
err_has 'end with this command'
run 2 create --plex --differential iscsi://127.0.0.1:1/iqn.2020-01.x:y/1
run 2 break --mask --read-write 00000000-0000-0000-0000-000000000001
run 2 recover
run 2 recover --forget
run 2 recover --list --resume
run 2 lint
err_has 'configuration has none'
run 2 luns
err_has 'configuration has none'
[ ! -e "$work/lab" ] || fail "a refused lab up made something"

# ---- error ----
run 0 error 0x80042308
out_has '^VSS_E_OBJECT_NOT_FOUND  0x80042308  \(failure\)$'
run 0 error vss_s_some_snapshots_not_imported
out_has '0x00042321  \(success\)$'
run 0 error -- -2147212543
out_has '^VSS_E_BAD_STATE '
run 0 error --json E_NOTIMPL
out_has '"value": "0x80004001"'
run 0 error
out_has '^0x800423f6  VSS_E_BREAK_REVERT_ID_FAILED$'
run 2 error 0x12345678
run 2 error VSS_E_NO_SUCH_THING

# ---- failures: 1, VERB, text, name and value of the code ----
run 1 show 00000000-0000-0000-0000-000000000001
err_has '^lunshadow: show: .*\(VSS_E_OBJECT_NOT_FOUND 0x80042308\)$'
run 1 delete 00000000-0000-0000-0000-000000000001
run 1 break 00000000-0000-0000-0000-000000000001
run 1 import "$work/not-there.xml"
err_has 'not-there.xml.*VSS_E_OBJECT_NOT_FOUND'
printf 'not xml' >"$work/bad.xml"
run 1 import "$work/bad.xml"
err_has 'VSS_E_INVALID_XML_DOCUMENT 0x80042311'
run 1 resync --yes "$work/bad.xml"
printf '<?xml version="1.0"?><a/>\0' >"$work/bad.xml"
run 1 resync "$work/bad.xml"
err_has 'VSS_E_INVALID_XML_DOCUMENT'
run 1 list --config "$work/not-there.conf"
err_has 'not-there.conf.*E_INVALIDARG'
run 0 list
out_has 'no snapshots'
run 0 list --json
out_has '^\[\]$'
run 0 recover --list
out_has 'No operation'
run 0 providers
printf '[array a]\nprovider = does-not-exist\n' >"$work/array.conf"
run 0 providers --config "$work/array.conf"
out_has 'not usable'
out_has 'lunshadow-provider-does-not-exist.so'
run 0 providers --json --config "$work/array.conf"
out_has '"usable": false'
run 0 events
out_has 'does-not-exist'

# ---- registered providers: what they say, and whose arrays ask for them ----
plugin=$(dirname "$(dirname "$(realpath "$lunshadow")")")/providers/lunshadow-provider-tgt.so
tgt=6f1d0c5e-2b7a-4e0b-9a41-3d8e57c2107b
install -m 644 "$plugin" "$work/moved.so"
run 1 provider unregister $tgt
err_has "$tgt.*\(VSS_E_PROVIDER_NOT_REGISTERED 0x80042304\)$"
run 0 provider register "$work/moved.so"
out_has "^Registered provider $tgt\.$"
run 1 provider register "$plugin"
err_has "registered already, from $work/moved.so \(VSS_E_PROVIDER_ALREADY_REGISTERED 0x80042303\)$"
run 0 provider list
out_has "^- +tgt +[0-9.]+ +$tgt$"
out_has 'registered .*, rank 1, ABI 0\.10, in no usable array'
printf '[array a]\nprovider = %s\n[array b]\nprovider = tgt\n' "{$tgt}" >"$work/registered.conf"
run 0 provider show --config "$work/registered.conf" $tgt
out_has "^a +tgt"
out_has "^b +tgt"
out_has "^ +$work/moved.so$"
run 0 provider list --json --config "$work/registered.conf"
[ "$(grep -c '"rank": 1' "$work/out")" -eq 2 ] || fail "two arrays of a registered provider do not say so"
printf '[array a]\nprovider = trace/%s\n[array b]\nprovider = trace/fault/%s\nfault = OnLoad:7:abort\n' "$tgt" "$plugin" >"$work/shims.conf"
run 0 provider show --config "$work/shims.conf" $tgt
out_has "^ +$work/moved.so$"
out_has "^ +$plugin$"
out_has '^ +behind shims: trace$'
out_has '^ +behind shims: trace/fault$'
run 0 provider list --json --config "$work/shims.conf"
out_has '"shims": "trace/fault"'
sed -i 's/OnLoad:7:abort/OnLoad:0:abort/' "$work/shims.conf"
run 0 provider show b --config "$work/shims.conf"
out_has 'not usable'
out_has 'shim fault: "OnLoad:0:abort": calls are counted from 1'
# short of memory there is not short of memory here: it costs its array only
printf '[array a]\nprovider = %s\n[array b]\nprovider = fault/%s\nfault = OnLoad:E_OUTOFMEMORY\n' "$plugin" "$plugin" >"$work/short.conf"
run 0 providers --config "$work/short.conf"
out_has '^a +tgt'
out_has 'array b is not usable.*OnLoad failed'
printf '[array a]\nprovider = trace/fault/\n' >"$work/shims.conf"
run 0 provider show a --config "$work/shims.conf"
out_has 'names shims and no provider behind them'
run 1 provider show $tgt --state-dir "$work/other-state"
err_has 'VSS_E_PROVIDER_NOT_REGISTERED'
run 1 provider register "$work/registered.conf"
err_has 'cannot load plug-in.*E_INVALIDARG'
run 1 provider register "$work/not-there.so"
run 0 provider unregister --config "$work/registered.conf" --json $tgt
out_has "\"provider\": \"$tgt\""
err_has 'is still named by \[array a\], \[array b\]$'
run 0 provider show a --config "$work/registered.conf"
out_has "provider $tgt is not registered"
run 2 provider register
run 2 provider unregister tgt
err_has 'not an id'
run 2 provider unregister $tgt $tgt

# A reader that is not there is no success.
code=0
"$lunshadow" error >/dev/full 2>"$work/err" || code=$?
[ "$code" -eq 1 ] || fail "output to a full device: exit code $code"

# ---- secrets ----
secret=Tr0ub4dor-and-3
url="iscsi://somebody%$secret@127.0.0.1:1/iqn.2020-01.com.example:x/1"
for arguments in "luns" "luns --json" "create" "luns --trace" "create -v -v"; do
    # shellcheck disable=SC2086 # words on purpose
    run 1 $arguments "$url"
    nothing_has "$secret"
    nothing_has somebody
done
run 0 events --json
nothing_has "$secret"
for url in "iscsi://somebody%$secret@127.0.0.1:1" "iscsi://somebody%$secret@/x/1" \
    "iscsi://somebody%$secret@127.0.0.1:99999/iqn.2020-01.com.example:x/1"; do
    run 1 luns "$url"
    nothing_has "$secret"
done

# ---- one set's life ----
if ! command -v tgtd >/dev/null && [ ! -x /usr/sbin/tgtd ]; then
    echo "tgtd is not installed: the life of a set was not tested"
    [ "$failures" -eq 0 ] || exit 1
    exit 77
fi
run 0 lab up --luns 2 --size 64M "$work/lab"
lab=$work/lab
export LUNSHADOW_CONFIG=$lab/lunshadow.conf
mapfile -t luns < <(awk '$1 == "LUN" { print $2 }' "$work/out")
[ "${#luns[@]}" -eq 2 ] || fail "lab up names no LUNs"
run 1 lab up "$lab"
run 0 lab status "$lab"
out_has 'System information'
run 0 lab status --json "$lab"
out_has '"running": true'
run 0 luns
out_has '^ +1 +64\.0 MiB +512 +naa\.6001405'
run 0 luns "${luns[1]}"
out_has '^ +2 +64\.0 MiB'
run 3 luns 127.0.0.1:1 "${luns[0]}"
err_has '^lunshadow: luns: '
out_has '^ +1 +64\.0 MiB'
head -c 1048576 /dev/urandom >"$work/content"
write_content() { dd if="$1" of="$lab/disks/lun1.img" bs=1M count=1 seek=8 conv=notrunc status=none; }
same_content() { dd if="$lab/disks/lun1.img" bs=1M skip=8 count=1 status=none | cmp -s - "$work/content"; }
write_content "$work/content"

touch "$work/taken.xml"
run 1 create --transportable -o "$work/taken.xml" "${luns[@]}"
err_has 'VSS_E_OBJECT_ALREADY_EXISTS'
run 2 create -o "$work/none.xml" "${luns[@]}"
err_has 'needs --transportable'
[ ! -e "$work/none.xml" ] || fail "a refused create has made a document"
run 0 list
out_has 'no snapshots'
run 1 create --transportable -o "$work/none.xml" "${luns[0]%/1}/9"
[ ! -e "$work/none.xml" ] || fail "a set that was not made has a document"
run 0 create --transportable -o "$work/set.xml" "${luns[@]}"
out_has 'I/O held [0-9]+ us'
[ "$(stat -c %a "$work/set.xml")" = 600 ] || fail "the document can be read by others"
set_id=$(awk '$1 == "Set" { print $2 }' "$work/out")
run 0 provider register "$plugin"
run 1 provider unregister $tgt
err_has '2 shadow copies.*\(VSS_E_PROVIDER_IN_USE 0x80042307\)$'
run 0 show "$set_id"
snapshot_id=$(awk '$2 ~ /\/1$/ { print $1; exit }' "$work/out")
run 0 list
out_has "^Set $set_id"
run 0 show "$snapshot_id"
out_has "^Set $set_id"
run 0 show --json "$set_id"
out_has '"hold_us": [1-9]'
write_content /dev/zero
run 2 resync "$work/set.xml"
err_has 'nothing was written'
out_has "overwrites ${luns[0]}"
! same_content || fail "resync wrote without --yes"
run 2 resync --snapshot 00000000-0000-0000-0000-000000000001 --yes "$work/set.xml"
run 0 resync --yes --partial --snapshot "$snapshot_id" "$work/set.xml"
out_has 'result +S_OK'
out_has 'undo +safety copy'
same_content || fail "resync did not bring the content back"
run 0 recover --list
resync_id=$(awk '/^safety copy/ { print $6 }' "$work/out")
run 2 recover --undo
run 1 recover --undo 00000000-0000-0000-0000-000000000001
err_has 'VSS_E_OBJECT_NOT_FOUND'
run 0 recover --undo "$resync_id"
! same_content || fail "the undo did not put back what the resync overwrote"
run 2 resync --undo --no-undo --yes "$work/set.xml"
run 0 resync --yes --no-undo --partial --snapshot "$snapshot_id" "$work/set.xml"
same_content || fail "resync did not bring the content back once more"
run 0 recover --discard
out_has 'Deleted 0'
run 0 recover --discard --json "$resync_id"
out_has '"deleted": 1'
run 0 recover --list
out_has 'No operation'
run 0 import "$work/set.xml"
out_has '^ +copy: iscsi://'
run 1 break --revert-identity "$set_id"
err_has 'VSS_E_BREAK_REVERT_ID_FAILED'
run 2 break "$snapshot_id"
run 0 delete "$snapshot_id"
out_has '^Deleted 1 snapshot\.$'
run 0 delete --json "$set_id"
out_has '"deleted": 1'
run 0 list
out_has 'no snapshots'

# Several at once: all that are there go, one that is not ends it.
sets=()
for _ in 1 2 3; do
    run 0 create "${luns[0]}"
    sets+=("$(awk '$1 == "Set" { print $2 }' "$work/out")")
done
run 2 delete "${sets[0]}" nonsense
run 0 delete "${sets[0]}" "${sets[1]}"
out_has '^Deleted 2 snapshots\.$'
run 3 delete "${sets[2]}" "${sets[0]}"
out_has '^Deleted 1 snapshot\.$'
err_has 'VSS_E_OBJECT_NOT_FOUND'
run 0 list
out_has 'no snapshots'
run 0 provider unregister $tgt

# A signal ends it between two of them, and says what is left.
sets=()
for _ in 1 2 3; do
    run 0 create "${luns[0]}"
    sets+=("$(awk '$1 == "Set" { print $2 }' "$work/out")")
done
faulty OnLunEmpty:after:hang
interrupted 3 was_called OnLunEmpty -- delete --config "$work/faulty.conf" "${sets[@]}"
out_has '^Deleted 1 snapshot\.$'
err_has "cancelled; ${sets[1]} and what was named after it is left \(E_ABORT"
run 0 list
[ "$(grep -c '^Set' "$work/out")" -eq 2 ] || fail "not what was left"
run 0 delete "${sets[1]}" "${sets[2]}"

# So with what dead sessions left.
for i in 1 2; do
    "$lunshadow" create --context backup --exec ": >\"$work/made-$i\"; exec sleep 60" "${luns[0]}" >"$work/out" 2>"$work/err" &
    while [ ! -e "$work/made-$i" ] && kill -0 $! 2>/dev/null; do
        sleep 0.02
    done
    kill -KILL $! || true # that it ended before shows below
    wait $! || true
done
run 0 recover --list
[ "$(grep -c '^auto-release set' "$work/out")" -eq 2 ] || fail "two sets were not abandoned"
faulty OnLunEmpty:after:hang
interrupted 3 was_called OnLunEmpty -- recover --rollback --config "$work/faulty.conf"
out_has '^Took back 1, left 1\.$'
err_has 'cancelled before it began \(E_ABORT'
run 0 recover --rollback
out_has '^Took back 1, left 0\.$'

# A copy that is mounted says where, in all views; and that it is not once the mount is gone.
if [ "$(id -u)" -eq 0 ] && [ -w /dev/fuse ] && [ -w /dev/loop-control ] && command -v qemu-storage-daemon >/dev/null; then
    PATH=$PATH:/usr/sbin:/sbin mkfs.ext4 -q -F "$lab/disks/lun2.img"
    mkdir "$work/at"
    run 0 create "${luns[1]}"
    set_id=$(awk '$1 == "Set" { print $2 }' "$work/out")
    snapshot_id=$(awk '$2 ~ /\/2$/ { print $1; exit }' "$work/out")
    run 0 expose "$snapshot_id" "$work/at"
    out_has "^$work/at$"
    run 0 list
    out_has "^ +exposed: $work/at$"
    run 0 show "$set_id"
    out_has "^ +exposed: $work/at$"
    umount "$work/at"
    run 0 list
    ! grep -q 'exposed: ' "$work/out" || fail "list has a mount that is not there"
    run 0 show "$set_id"
    out_has "^ +exposed: $work/at \(not mounted any more\)$"
    run 0 unexpose "$snapshot_id"
    run 0 show "$set_id"
    ! grep -q 'exposed: ' "$work/out" || fail "show has an exposure that was ended"
    run 0 delete "$set_id"
else
    echo "no copy was mounted: only root with FUSE, loop devices and qemu-storage-daemon can"
fi

# Copies that end with the command exist while --exec runs, and not after.
run 0 create --context backup --exec "\"$lunshadow\" show \$LUNSHADOW_SET >\"$work/during\"" "${luns[0]}"
grep -q '^Set ' "$work/during" || fail "--exec did not see the set"
run 0 list
out_has 'no snapshots'
run 3 create --context backup --exec 'exit 7' "${luns[0]}"
err_has 'status 7'
faulty OnLunEmpty:VSS_E_PROVIDER_VETO
run 3 create --context backup --exec true --config "$work/faulty.conf" "${luns[0]}"
set_id=$(awk '$1 == "Set" { print $2 }' "$work/out")
err_has "set $set_id was not deleted: "
run 0 delete "$set_id"

# Nor does it matter what whoever started us does with his own children.
code=0
env --ignore-signal=CHLD "$lunshadow" lab status "$lab" >"$work/out" 2>"$work/err" || code=$?
[ "$code" -eq 0 ] || fail "with SIGCHLD ignored: exit code $code: $(cat "$work/err")"

# What was done is no failure where nobody reads of it.
code=0
"$lunshadow" create "${luns[0]}" >/dev/full 2>"$work/err" || code=$?
[ "$code" -eq 3 ] || fail "create to a full device: exit code $code"
run 0 list
set_id=$(awk '$1 == "Set" { print $2 }' "$work/out")
code=0
"$lunshadow" delete --json "$set_id" >/dev/full 2>"$work/err" || code=$?
[ "$code" -eq 3 ] || fail "delete to a full device: exit code $code"
code=0
"$lunshadow" lint >/dev/full 2>"$work/err" || code=$?
[ "$code" -eq 3 ] || fail "lint to a full device: exit code $code"
run 0 recover --list
out_has 'No operation'
run 0 luns --json
[ "$(grep -c '"usable": true' "$work/out")" -eq 2 ] || fail "copies were left on the array"

# A drill that cannot begin keeps nothing, and says so by its exit code alone.
if [ "$(df --output=avail -BG "$work" | tail -n 1 | tr -dc 0-9)" -lt 280 ]; then
    run 2 drill --keep --json --plain --size 16G --directory "$work/kept"
    err_has 'the drill needs'
    [ ! -e "$work/kept/lab" ] || { fail "an array was left up"; "$lunshadow" lab down "$work/kept/lab"; }
fi

run 0 lab down "$lab"
[ ! -e "$lab" ] || fail "lab down left $lab"
run 1 lab status "$work/lab"

end
