#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# usage: test_lint.sh LUNSHADOW
# The identity linter on two real tgtds: what is wrong is found and named, and the command that it prints mends it.
set -euo pipefail
lunshadow=${1:?usage: test_lint.sh LUNSHADOW}
. "${BASH_SOURCE[0]%/*}/lab.sh"
begin lint tgtd tgtadm sfdisk

# lint CODE: lints both labs and checks the exit code.
lint() {
    local expected=$1
    shift
    run "$expected" lint "$@" "$portal_a" "$portal_b"
}
findings() { grep -cE '^(error|warning): ' "$work/out" || true; }
count_is() { [ "$(findings)" -eq "$1" ] || fail "$(findings) findings, not $1"; }

value() { sed -n "s/^$2 = //p" "$work/$1/$3"; }
tgtadm_of() {
    local lab=$1
    shift
    TGT_IPC_SOCKET=$work/$lab/tgtd command tgtadm -C "$(value "$lab" control_port lab.conf)" "$@"
}
tgt() { tgtadm_of "$1" --lld iscsi --op update --mode logicalunit --tid 1 --lun "$2" --params "$3"; }

# mend: runs the commands that the last lint printed, each on the lab whose portal it names.
mend() {
    local line lab command
    while IFS= read -r line; do
        case $line in
        *"($portal_a)"*) lab=a ;;
        *"($portal_b)"*) lab=b ;;
        *) fail "a remedy names no lab: $line"; continue ;;
        esac
        command=${line#*: tgtadm }
        (tgtadm() { tgtadm_of "$lab" "$@"; }; eval "tgtadm $command") || fail "the remedy failed: $line"
    done < <(sed -n 's/^ *mend: //p' "$work/out")
}

for lab in a b; do
    "$lunshadow" lab up --luns 2 --size 64M "$work/$lab" >/dev/null
done
portal_a=$(value a address lunshadow.conf)
portal_b=$(value b address lunshadow.conf)
target=iqn.2026-11.lunshadow:lab
url_a=iscsi://$portal_a/$target
url_b=iscsi://$portal_b/$target

# ---- a clean lab; several paths to one LUN are none of the linter's business ----
lint 0
out_has '^No findings'
"$lunshadow" lint "$portal_a" "localhost:${portal_a#*:}" >"$work/out" 2>"$work/err" || fail "two ways to one portal are no finding"

# ---- one designator on two arrays ----
tgt a 1 scsi_id=60014050000000000000000000000001
tgt b 1 scsi_id=60014050000000000000000000000001
lint 1
count_is 1
out_has '^error: designator-duplicate: naa.60014050000000000000000000000001 is on LUNs that differ in their serial number'
out_has "^ *$url_a/1\$"
out_has "^ *$url_b/1\$"
lint 1 --json
out_has '"name": "designator-duplicate"'
out_has '"severity": "error"'
lint 1
mend
lint 0

# ---- nobody set ids: what two tgtds give to the same LUN number ----
for lab in a b; do
    truncate -s 64M "$work/$lab/disks/plain.img"
    tgtadm_of $lab --lld iscsi --op new --mode logicalunit --tid 1 --lun 3 --backing-store "$work/$lab/disks/plain.img"
done
lint 1
out_has '^error: designator-default: t10.IET'
out_has '^error: designator-local: naa.3'
for name in default local; do
    [ "$(grep -c "designator-$name" "$work/out")" -eq 2 ] || fail "designator-$name is not told of both LUNs"
done
mend
lint 1
out_has '^warning: serial-duplicate: '
count_is 1
mend
lint 0

# ---- told apart only beyond 8 characters, with and without a vendor in front ----
tgt a 1 scsi_id=database-one
tgt a 2 scsi_id=database-two
lint 1
count_is 1
out_has '^warning: designator-truncated: .* t10.database:'
tgt b 1 'scsi_id=IET     volume-0001'
tgt b 2 'scsi_id=IET     volume-0002'
lint 1
count_is 2
tgt b 2 'scsi_id=IET     other-0002'
lint 1
count_is 1
mend
tgt b 2 scsi_id=60014050000000000000000000000002
lint 0

# ---- a T10 designator made of product and serial number ----
tgt b 1 'scsi_id=IET     VIRTUAL-DISK:ANOTHER'
lint 1
count_is 1
out_has '^warning: serial-mismatch: page 80 says serial number LAB'
tgt b 1 scsi_sn=ANOTHER
lint 0

# ---- labels: a copy of a disk, told once; an MBR ----
printf 'label: gpt\nsize=8MiB\nsize=8MiB\n' | sfdisk --quiet "$work/a/disks/lun1.img"
cp "$work/a/disks/lun1.img" "$work/b/disks/copy.img"
dd if="$work/b/disks/copy.img" of="$work/b/disks/lun2.img" conv=notrunc,fsync status=none
lint 1
count_is 1
out_has '^error: disk-guid-duplicate: '
out_has "^ *mend: where .*: lunshadow ids --fresh --yes ($url_a/1|$url_b/2)\$"
sfdisk --quiet --disk-id "$work/b/disks/lun2.img" 11111111-2222-4333-8444-555555555555
sync "$work/b/disks/lun2.img"
lint 1
count_is 2
out_has '^error: partition-guid-duplicate: '
for lab in a b; do
    printf 'label: dos\nlabel-id: 0x12345678\nsize=8MiB\n' | sfdisk --quiet --wipe always "$work/$lab/disks/lun2.img"
    sync "$work/$lab/disks/lun2.img"
done
lint 1
count_is 1
out_has '^error: mbr-signature-duplicate: several LUNs have the MBR signature 0x12345678'
sfdisk --quiet --disk-id "$work/b/disks/lun2.img" 0x12345679
sync "$work/b/disks/lun2.img"
lint 0

# ---- a copy that is being imported has the original's ids for a moment ----
export LUNSHADOW_CONFIG=$work/a/lunshadow.conf
tgt a 1 scsi_id=60014050000000000000000000000001 # one that a set can be made of
"$lunshadow" create --transportable --output "$work/set.xml" "$url_a/1" >"$work/out" 2>"$work/err" || fail "no set"
sed 's|^provider = tgt|provider = delay/tgt|; s|^\[array lab\]|&\ndelay = FillInLunInfo:1500|' \
    "$LUNSHADOW_CONFIG" >"$work/slow.conf"
"$lunshadow" import --config "$work/slow.conf" "$work/set.xml" >"$work/import" 2>&1 </dev/null &
import=$!
until [ "$(tgtadm_of a --lld iscsi --op show --mode target | grep -c '^Target')" -gt 1 ]; do
    kill -0 "$import" || { fail "the import is over: $(cat "$work/import")"; break; }
    sleep 0.02
done
lint 0
wait "$import" || fail "the import beside lint: $(cat "$work/import")"
"$lunshadow" delete "$("$lunshadow" list | awk '$1 == "Set" { print $2 }')" >"$work/out" 2>"$work/err" || fail "the set cannot be deleted"

# ---- what does not answer is not judged, and said ----
code=0
"$lunshadow" lint "$portal_a" 127.0.0.1:1 >"$work/out" 2>"$work/err" || code=$?
[ "$code" -eq 3 ] || fail "a portal that does not answer: exit code $code, not 3"
code=0
"$lunshadow" lint 127.0.0.1:1 >"$work/out" 2>"$work/err" || code=$?
[ "$code" -eq 1 ] || fail "no portal that answers: exit code $code, not 1"

end
