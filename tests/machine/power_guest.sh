#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# usage, in the machine: power_guest.sh LUNSHADOW prepare|round|verify; see test_power.sh
# An array on /dev/vda and one LUN of it, which a resync overwrites; the power may go at any moment of a round.
set -euo pipefail
lunshadow=$1
data=/data
lun=$data/lun.img
url=iscsi://127.0.0.1/iqn.2026-11.org.lunshadow:power/1
export LUNSHADOW_CONFIG=$data/lunshadow.conf LUNSHADOW_STATE_DIR=$data/state LUNSHADOW_LOCK_DIR=/run/lunshadow
mkdir -p /data /run/lunshadow
exec 2>/run/power.err # the console is a terminal: progress would be drawn on it

die() { printf 'power: %s\n' "$*"; tail -n 5 /run/power.err; exit 1; }

digest() { sha256sum "$1" | cut -d ' ' -f 1; }

# Of all but the first and the last MiB, which hold the label.
digest_of_body() { dd if="$1" bs=1M skip=1 count=62 status=none | sha256sum | cut -d ' ' -f 1; }

# An array as its host starts it: it has the LUN, and no word of any copy.
start_array() {
    mkdir -p /run/tgtd
    tgtd -f --iscsi portal=127.0.0.1:3260 >/run/tgtd.log 2>&1 &
    until tgtadm --op show --mode sys >/dev/null 2>&1; do sleep 0.1; done
    tgtadm --lld iscsi --op new --mode target --tid 1 -T iqn.2026-11.org.lunshadow:power
    tgtadm --lld iscsi --op new --mode logicalunit --tid 1 --lun 1 -b "$lun"
    tgtadm --lld iscsi --op update --mode logicalunit --tid 1 --lun 1 \
        --params scsi_id=60014050000000000000000000000abc,scsi_sn=POWER1
    tgtadm --lld iscsi --op bind --mode target --tid 1 -I 127.0.0.1
}

# The LUN is what it was when it was copied, then written to in many small places, which takes a resync some time.
prepare() {
    mkfs.xfs -q -m reflink=1 /dev/vda
    mount /dev/vda $data
    printf '[portal array]\naddress = 127.0.0.1\n[array array]\nprovider = tgt\nportal = 127.0.0.1\nallow_hold = yes\nmax_hold_ms = 10000\n' \
        >$LUNSHADOW_CONFIG
    truncate -s 64M "$lun"
    sgdisk -n 1:0:+32M -n 2:0:0 "$lun" >/dev/null
    head -c 48M /dev/urandom | dd of="$lun" bs=1M seek=8 conv=notrunc status=none
    digest "$lun" >$data/copied.sha256
    digest_of_body "$lun" >$data/copied.body
    start_array
    "$lunshadow" create --transportable -o $data/set.xml "$url" >/dev/null 2>&1
    "$lunshadow" import $data/set.xml >/dev/null
    local i
    for i in $(seq 150); do
        printf 'changed %s' "$i" | dd of="$lun" bs=4096 seek=$((2560 + i * 70)) conv=notrunc status=none
    done
    sgdisk -G "$lun" >/dev/null
    digest_of_body "$lun" >$data/changed.body
    cp --reflink=always "$lun" $data/changed.img
    digest "$lun" >$data/changed.sha256
    sync
}

# What may be seen of the LUN before anything repairs it. It is marked before its first byte is written, and until its
# last one is; the label comes after all that it describes.
check_as_found() {
    local now body mark=''
    now=$(digest "$lun")
    body=$(digest_of_body "$lun")
    if "$lunshadow" recover --list --json | grep -q '"destination_invalid": true'; then
        mark=', marked'
    fi
    if [ "$now" = "$(cat $data/copied.sha256)" ]; then
        echo "found: whole, as it was copied$mark"
    elif [ "$now" = "$(cat $data/changed.sha256)" ]; then
        echo "found: untouched$mark"
    elif [ -z "$mark" ]; then
        die "no operation is unfinished, and the LUN is neither what it was nor what it was to be"
    elif [ "$body" = "$(cat $data/copied.body)" ]; then
        echo "found: all copied, marked, the label not yet its own"
    elif [ "$body" = "$(cat $data/changed.body)" ]; then
        echo "found: marked, a part of the label wiped and nothing copied"
    elif blkid -p "$lun" || sgdisk -v "$lun" | grep -q 'No problems found'; then
        die "a half-written LUN looks valid"
    else
        echo "found: half-written, marked, without a label"
    fi
}

finish() {
    "$lunshadow" recover --resume >/dev/null || die "recover --resume failed"
    "$lunshadow" resync --yes --no-undo --revert-identity $data/set.xml >/dev/null || die "the resync cannot be done again"
    [ "$(digest "$lun")" = "$(cat $data/copied.sha256)" ] || die "the LUN is not what it was when it was copied"
    "$lunshadow" recover --list | grep -q '^No operation' || die "something is still unfinished"
    echo "finished: the LUN is what it was when it was copied"
}

round() {
    mount /dev/vda $data
    check_as_found
    start_array
    finish
    # tgtd shares the page cache with us, and nobody is logged in.
    cp $data/changed.img "$lun"
    sync
    echo "resync begins"
    "$lunshadow" resync --yes --no-undo --revert-identity --trace $data/set.xml 2>&1 | cut -c 1-100
    echo "resync ended"
}

verify() {
    mount /dev/vda $data
    check_as_found
    start_array
    finish
    "$lunshadow" delete "$("$lunshadow" list | awk '$1 == "Set" { print $2 }')" >/dev/null
    if "$lunshadow" list | grep -q '^Set'; then
        die "a set is left"
    fi
    if ls $data/.lunshadow-* >/dev/null 2>&1; then
        die "a copy is left"
    fi
    echo "verified"
}

"$2"
