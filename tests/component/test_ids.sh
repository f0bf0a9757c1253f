#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# usage: test_ids.sh LUNSHADOW
# Disk ids on the LUNs of a real tgtd: shown, changed on all or none, refused where they collide, remembered; sgdisk,
# sfdisk and blkid judge the LUNs' content.
set -euo pipefail
lunshadow=${1:?usage: test_ids.sh LUNSHADOW}
. "${BASH_SOURCE[0]%/*}/lab.sh"
begin ids tgtd sgdisk sfdisk fdisk blkid cmp

# ids CODE ARGUMENT...
ids() {
    local expected=$1
    shift
    run "$expected" ids "$@"
}

ptuuid() { blkid -p -s PTUUID -o value "$1"; }
partuuids() { sfdisk --dump "$1" | grep -oE 'uuid=[^,]*'; }
layout() { sfdisk --dump "$1" | sed -E 's/^(label-id|device).*//; s/^[^ ]* : //; s/uuid=[^,]*//'; }
sound() {
    sgdisk -v "$1" >"$work/verify" 2>&1
    grep -q 'No problems found' "$work/verify" && ! grep -qE 'CRC|ERROR' "$work/verify" || fail "sgdisk -v: $(cat "$work/verify")"
}
# apply DIFF FILE: writes the new bytes of a --dry-run --json onto a file; revert writes the old ones.
patch_with() {
    local key=$1 offset bytes
    tr -d ' \n' <"$2" | grep -oE '"offset":[0-9]+,"old":"[0-9a-f]*","new":"[0-9a-f]*"' |
        sed -E "s/\"offset\":([0-9]+),.*\"$key\":\"([0-9a-f]*)\".*/\\1 \\2/" |
        while read -r offset bytes; do
            printf '%b' "$(echo "$bytes" | sed 's/../\\x&/g')" | dd of="$3" bs=1 seek="$offset" conv=notrunc status=none
        done
}

lab_up 4
printf 'label: gpt\nsize=8MiB,name=one\nsize=8MiB,attrs=RequiredPartition\nsize=8MiB\n' | sfdisk --quiet "$(disk 1)"
printf 'label: dos\nlabel-id: 0x12345678\nsize=8MiB\nsize=24MiB,type=5\nsize=8MiB\n' | sfdisk --quiet "$(disk 2)"
sync "$(disk 1)" "$(disk 2)"
for i in 1 2; do cp "$(disk $i)" "$work/before$i"; done

# ---- nothing asked for: shown, remembered only when a change is asked for ----
ids 0 "$url/1" "$url/2"
out_has "^ *now  gpt $(ptuuid "$(disk 1)")\$"
out_has '^ *now  mbr 0x12345678$'
ids 2 "$url/1" --yes
ids 2 --fresh --restore 1 "$url/1"
ids 2 --set mbr=0x1 "$url/1" "$url/2"
ids 2 --restore 0 "$url/1"
ids 1 --set disk=zzz "$url/1"
ids 1 --set 9=11111111-2222-4333-8444-555555555555 --yes "$url/1"
ids 1 --set disk=11111111-2222-4333-8444-555555555555 --yes "$url/2"
ids 3 "$url/1" "$url/77"
same "$(disk 1)" "$work/before1"

# ---- planned, not written; the plan says byte for byte what is then written ----
set=(--set disk=11111111-2222-4333-8444-555555555555 --set 2=66666666-2222-4333-8444-555555555555 --set 3.attributes=0x4 --set mbr=0xaabbccdd)
ids 2 "${set[@]}" "$url/1"
err_has 'nothing was written'
out_has '^ +440  old 00 00 00 00$'
out_has '^ +new dd cc bb aa$'
ids 0 "${set[@]}" --dry-run --json "$url/1"
cp "$work/out" "$work/plan.json"
same "$(disk 1)" "$work/before1"
ids 0 "${set[@]}" --yes "$url/1"
cp "$work/before1" "$work/patched"
patch_with new "$work/plan.json" "$work/patched"
same "$(disk 1)" "$work/patched"
sound "$(disk 1)"
[ "$(ptuuid "$(disk 1)")" = 11111111-2222-4333-8444-555555555555 ] || fail "blkid says another PTUUID"
# grep -q would end before the tool in front of it, which counts as the tool's failure
sgdisk -i 2 "$(disk 1)" | grep -i '66666666-2222-4333-8444-555555555555' >/dev/null || fail "sgdisk says another partition GUID"
sgdisk -i 3 "$(disk 1)" | grep 'Attribute flags: 0000000000000004' >/dev/null || fail "sgdisk says other attributes"
ids 0 --restore previous --yes "$url/1"
same "$(disk 1)" "$work/before1"
patch_with old "$work/plan.json" "$work/patched"
same "$work/patched" "$work/before1"
ids 0 "$url/1"
out_has '^ +1  .* restored by lunshadow ids'
out_has '^ +2  .* set by lunshadow ids'
out_has '^ +3  .* read by lunshadow ids'

# ---- a GPT and an MBR in one transaction; only ids change ----
ids 0 --fresh --yes "$url/1" "$url/2"
sound "$(disk 1)"
for i in 1 2; do
    [ "$(ptuuid "$(disk $i)")" != "$(ptuuid "$work/before$i")" ] || fail "LUN $i has its old id"
    [ "$(layout "$(disk $i)")" = "$(layout "$work/before$i")" ] || fail "LUN $i has another layout"
done
[ -z "$(comm -12 <(partuuids "$(disk 1)" | sort) <(partuuids "$work/before1" | sort))" ] || fail "a partition has its old id"
ids 0 --restore previous --yes "$url/1" "$url/2"
for i in 1 2; do same "$(disk $i)" "$work/before$i"; done
# all or none: the second cannot be staged, so the first stays
ids 1 --fresh --yes "$url/1" "$url/77"
same "$(disk 1)" "$work/before1"

# ---- ids that another visible disk has ----
uuid=$(ptuuid "$(disk 1)")
printf 'label: gpt\nsize=8MiB\n' | sfdisk --quiet "$(disk 3)"
sync "$(disk 3)"
cp "$(disk 3)" "$work/before3"
ids 1 --set "disk=$uuid" --yes "$url/3"
err_has "disk GUID $uuid: $url/1 has it.*VSS_E_CANNOT_REVERT_DISKID"
part=$(partuuids "$(disk 1)" | head -n 1 | tr 'A-Z' 'a-z')
ids 1 --set "1=${part#uuid=}" --yes "$url/3"
err_has "partition GUID .*: $url/1 has it"
ids 1 --set "1=$(ptuuid "$(disk 3)")" --yes "$url/3"
err_has 'would be on it twice'
cp "$LUNSHADOW_CONFIG" "$work/two.conf"
printf '[portal away]\naddress = 127.0.0.1:1\n' >>"$work/two.conf"
ids 1 --config "$work/two.conf" --set disk=77777777-2222-4333-8444-555555555555 --yes "$url/3"
err_has 'cannot tell whether another disk has the ids'
same "$(disk 3)" "$work/before3"
cp "$(disk 1)" "$work/whole1"
truncate -s 1M "$(disk 1)" # its label cannot be read
ids 1 --set disk=77777777-2222-4333-8444-555555555555 --yes "$url/3"
err_has "cannot tell whether another disk has the ids that $url/3 would get: $url/1"
cat "$work/whole1" >"$(disk 1)"
same "$(disk 3)" "$work/before3"

# ---- hybrid MBR ----
sgdisk --hybrid 1:EE "$(disk 3)" >/dev/null
sync "$(disk 3)"
sfdisk --label-nested dos --dump "$(disk 3)" | grep -v '^label-id' >"$work/hybrid"
ids 0 --fresh --yes "$url/3"
sound "$(disk 3)"
sfdisk --label-nested dos --dump "$(disk 3)" | grep -v '^label-id' | cmp -s - "$work/hybrid" || fail "the hybrid MBR's partitions changed"

# ---- ids that a disk of this host has: in a mount namespace whose /sys and /dev show one ----
# host_ids CODE NAME ARGUMENT...: ids there, the disk being called NAME.
host_ids() {
    local expected=$1 name=$2 code=0
    shift 2
    rm -rf "$work/sys"
    mkdir -p "$work/sys/block/$name/device" "$work/sys/block/loop9"
    mkdir -p "$work/dev"
    cp "$work/host-disk" "$work/dev/$name"
    touch "$work/dev/null" "$work/dev/urandom" "$work/dev/shm"
    # what other tests have mounted goes first: a copy of the mount would keep its loop device
    unshare -m sh -c 'cut -d" " -f5 /proc/self/mountinfo | grep ^/tmp/ | grep -v "^$1/" | tac | xargs -r umount -ql
        mount --bind /dev/null "$1/dev/null" && mount --bind /dev/urandom "$1/dev/urandom" &&
        mount --bind "$1/sys" /sys && mount --rbind "$1/dev" /dev && shift && exec "$@"' sh "$work" \
        "$lunshadow" ids "$@" >"$work/out" 2>"$work/err" </dev/null || code=$?
    [ "$code" -eq "$expected" ] || fail "ids $* beside $name: exit code $code, not $expected"
    rm -rf "$work/dev" "$work/sys"
}
if [ "$(id -u)" -eq 0 ] && unshare -m true 2>/dev/null; then
    other=aaaaaaaa-2222-4333-8444-555555555555
    truncate -s 64M "$work/host-disk"
    printf 'label: gpt\nlabel-id: %s\nsize=8MiB\n' "$other" | sfdisk --quiet "$work/host-disk"
    cp "$(disk 3)" "$work/before3"
    host_ids 1 sdz --set "disk=$other" --yes "$url/3"
    err_has "disk GUID $other: /dev/sdz has it.*VSS_E_CANNOT_REVERT_DISKID"
    same "$(disk 3)" "$work/before3"
    dd if=/dev/urandom of="$work/host-disk" bs=1M count=1 conv=notrunc status=none # no label any more
    host_ids 0 sdz --set "disk=$other" --yes "$url/3"
    [ "$(ptuuid "$(disk 3)")" = "$other" ] || fail "the id was not set beside another disk"
    ids 0 --restore previous --yes "$url/3"
    same "$(disk 3)" "$work/before3"
fi

# ---- one header lost: refused, then built anew ----
for lost in 1 131071; do
    dd if=/dev/zero of="$(disk 3)" bs=512 seek=$lost count=1 conv=notrunc,fsync status=none
    cp "$(disk 3)" "$work/lost"
    ids 1 --fresh --yes "$url/3"
    err_has "GPT header in block $lost"
    same "$(disk 3)" "$work/lost"
    ids 0 --fresh --repair --yes "$url/3"
    sound "$(disk 3)"
done
# dirty checksums: one header, then both
printf 'x' | dd of="$(disk 3)" bs=1 seek=$((2 * 512 + 60)) conv=notrunc,fsync status=none
ids 1 --fresh --yes "$url/3"
err_has 'repair the label first'
printf 'x' | dd of="$(disk 3)" bs=1 seek=$(((131072 - 33) * 512 + 60)) conv=notrunc,fsync status=none
cp "$(disk 3)" "$work/dirty"
ids 1 --fresh --repair --yes "$url/3"
err_has 'VSS_E_VOLUME_NOT_SUPPORTED'
same "$(disk 3)" "$work/dirty"
ids 0 "$url/3"
out_has '^ *now  .*block 1'
out_has 'fresh, by lunshadow ids'

# ---- a signal ends it before it begins ----
tgtd=$(sed -n 's/^tgtd_pid = //p' "$work/lab/lab.conf")
cp "$(disk 1)" "$work/before1"
kill -STOP "$tgtd"
{ sleep 2; kill -CONT "$tgtd"; } &
interrupted 1 catches_signals -- ids --fresh --yes "$url/1"
err_has 'cancelled before it began \(E_ABORT'
same "$(disk 1)" "$work/before1"

# ---- more partitions than the usual table has room for ----
{ printf 'label: gpt\ntable-length: 256\ngrain: 4KiB\n'; for _ in $(seq 200); do echo 'size=128KiB'; done; } | sfdisk --quiet --wipe always "$(disk 4)"
sync "$(disk 4)"
cp "$(disk 4)" "$work/before4"
ids 0 --fresh --yes "$url/4"
sound "$(disk 4)"
[ "$(comm -12 <(partuuids "$(disk 4)" | sort) <(partuuids "$work/before4" | sort) | wc -l)" -eq 0 ] || fail "a partition of 200 has its old id"
[ "$(layout "$(disk 4)")" = "$(layout "$work/before4")" ] || fail "200 partitions have another layout"
ids 0 --restore previous --yes "$url/4"
same "$(disk 4)" "$work/before4"

# ---- blocks of 4096 bytes ----
"$lunshadow" lab up --luns 1 --size 64M --block-size 4096 "$work/lab4k" >/dev/null
big=$work/lab4k/disks/lun1.img
printf 'g\nn\n1\n\n+8M\nn\n2\n\n+8M\nw\n' | fdisk -w never -b 4096 "$big" >/dev/null
sync "$big"
cp "$big" "$work/before4k"
url4k=iscsi://$(sed -n 's/^address = //p' "$work/lab4k/lunshadow.conf")/iqn.2026-11.lunshadow:lab/1
ids 0 --config "$work/lab4k/lunshadow.conf" --fresh --yes "$url4k"
printf 'v\nq\n' | fdisk -b 4096 "$big" | grep 'No errors detected' >/dev/null || fail "fdisk finds errors on 4096-byte blocks"
! cmp -s "$big" "$work/before4k" || fail "nothing changed on 4096-byte blocks"
ids 0 --config "$work/lab4k/lunshadow.conf" --restore previous --yes "$url4k"
same "$big" "$work/before4k"

# ---- a shadow copy's ids are import's and break's ----
"$lunshadow" create "$url/1" >"$work/out" 2>"$work/err" || fail "no set was made"
copy=$("$lunshadow" list --json | grep -oE '"iscsi://[^"]*"' | tr -d '"' | grep -v "^$url/1\$" | head -n 1)
[ -n "$copy" ] || fail "the copy is not listed"
ids 1 --fresh --yes "${copy%%#*}"
err_has 'is a shadow copy of set'
"$lunshadow" delete "$("$lunshadow" list | awk '$1 == "Set" { print $2 }')" >/dev/null

# ---- what lint tells to do mends ----
dd if="$(disk 1)" of="$(disk 2)" conv=notrunc,fsync status=none
"$lunshadow" lint >"$work/out" 2>"$work/err" && fail "lint finds no copy"
command=$(sed -n 's/^ *mend: .*: lunshadow ids /ids /p' "$work/out")
read -ra words <<<"$command"
"$lunshadow" "${words[@]}" >"$work/out" 2>"$work/err" || fail "the command of lint failed: $command"
"$lunshadow" lint >"$work/out" 2>"$work/err" || fail "lint is not content"
"$lunshadow" recover --list >"$work/out"
out_has 'No operation'

end
