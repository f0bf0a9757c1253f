# SPDX-License-Identifier: Apache-2.0
# For the tests of lunshadow-conform: a lab of two scratch LUNs, a larger one and one that is none, below $work, which goes with it.
# To be sourced; $lunshadow is the command.
# shellcheck shell=bash
# shellcheck disable=SC2154 # lunshadow is set by who sources this
work=$(mktemp -d "${TMPDIR:-/tmp}/lunshadow-conform-test.XXXXXX")
lab=
umask 022
export LUNSHADOW_STATE_DIR=$work/state LUNSHADOW_LOCK_DIR=$work/locks LUNSHADOW_CONFIG=$work/empty.conf
mkdir "$LUNSHADOW_LOCK_DIR" "$work/tmp"
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
out_has() { grep -qE -- "$1" "$work/out" || die "the output has no \"$1\""; }

if ! command -v tgtd >/dev/null && [ ! -x /usr/sbin/tgtd ]; then
    echo "skipped: tgtd is not installed"
    exit 77
fi
"$lunshadow" lab up --luns 2 --size 4M "$work/lab" >"$work/out" 2>&1 || die "lab up"
lab=$work/lab
export TMPDIR=$work/tmp
# Of the array or its portal.
setting() {
    awk -v key="$1 = " '/^\[/ { is_other = /^\[writers/ } !is_other && index($0, key) == 1 { print substr($0, length(key) + 1); exit }' \
        "$lab/lunshadow.conf"
}
target=$(awk '$1 == "LUN" { print $2 }' "$work/out" | head -n 1)
target=${target%/1}

tgtadm() { TGT_IPC_SOCKET=$lab/tgtd PATH=$PATH:/usr/sbin command tgtadm -C "$(setting control_port)" --lld iscsi "$@"; }
truncate -s 6M "$lab/disks/larger.img"
tgtadm --op new --mode logicalunit --tid 1 --lun 3 --backing-store "$lab/disks/larger.img"
tgtadm --op update --mode logicalunit --tid 1 --lun 3 --params "scsi_id=6001405$(od -An -N12 -tx1 /dev/urandom | tr -d ' \n')0,scsi_sn=CONFORM3"

# One that is not scratch: no byte of it is anybody's to write.
cp "$lab/disks/larger.img" "$work/other.img"
printf 'not to be lost' | dd of="$work/other.img" bs=1 seek=4096 conv=notrunc status=none
cp "$work/other.img" "$lab/disks/other.img"
tgtadm --op new --mode logicalunit --tid 1 --lun 4 --backing-store "$lab/disks/other.img"
tgtadm --op update --mode logicalunit --tid 1 --lun 4 --params "scsi_id=6001405$(od -An -N12 -tx1 /dev/urandom | tr -d ' \n')0,scsi_sn=CONFORM4"
other_is_untouched() { cmp "$work/other.img" "$lab/disks/other.img" || die "a LUN that is not scratch was written to"; }

key() { "$lunshadow" luns --json "$target/$1" | sed -n 's/.*"key": "\(.*\)",/\1/p'; }
scratch_sections=$(for i in 1 2 3; do printf '[scratch s%s]\nlun = %s\nidentity = %s\n' $i "$target/$i" "$(key $i)"; done)

# configure ARRAY PROVIDER [LINE...]: $work/conform.conf with this one array.
configure() {
    local array=$1 provider=$2
    shift 2
    {
        printf '[portal lab]\naddress = %s\n\n[array %s]\nprovider = %s\n' "$(setting address)" "$array" "$provider"
        for key in socket control_port directory; do printf '%s = %s\n' "$key" "$(setting "$key")"; done
        printf 'max_hold_ms = 10000\nscratch = %s %s\nscratch2 = %s\n' "$target/1" "$target/2" "$target/3"
        [ $# -eq 0 ] || printf '%s\n' "$@"
        printf '\n%s\n' "$scratch_sections"
    } >"$work/conform.conf"
}
nothing_left() {
    local left
    left=$(find "$lab/disks" -name '.*' -type f)
    [ -z "$left" ] || die "left behind: $left"
    tgtadm --op show --mode target >"$work/out"
    [ "$(grep -c '^Target' "$work/out")" -eq 1 ] || die "a target is left behind"
    left=$(ls "$TMPDIR")
    [ -z "$left" ] || die "left behind in TMPDIR: $left"
}
