#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# usage: test_writer_fsfreeze.sh LUNSHADOW FSFREEZE
# The fsfreeze writer on a real ext4 that lies on a LUN: frozen at the cut, and never for longer, whoever dies.
set -euo pipefail
lunshadow=${1:?usage: test_writer_fsfreeze.sh LUNSHADOW FSFREEZE}
program=${2:?}
PATH=$PATH:/usr/sbin:/sbin
skip() {
    printf 'skipped: %s\n' "$*"
    exit 77
}
[ "$(id -u)" -eq 0 ] || skip "freezing a filesystem needs root"
for tool in tgtd losetup mkfs.ext4 dumpe2fs e2fsck; do
    command -v "$tool" >/dev/null || skip "no $tool here"
done
[ -e /dev/loop-control ] || skip "no loop devices here"
work=$(mktemp -d "${TMPDIR:-/tmp}/lunshadow-fsfreeze.XXXXXX")
lab=''
mounts=()
loader=''
cleanup() {
    rm -f "$work/held"
    [ -z "$loader" ] || { rm -f "$work/go"; wait "$loader" 2>/dev/null || true; }
    local i
    for ((i = ${#mounts[@]} - 1; i >= 0; i--)); do
        umount "${mounts[i]}" || echo "left mounted: ${mounts[i]}" >&2
    done
    if [ -n "$lab" ]; then
        "$lunshadow" lab down "$lab" >/dev/null || echo "left behind: $lab" >&2
    fi
    rm -rf "$work"
}
trap cleanup EXIT
fail() {
    printf 'FAILED: %s\n' "$*"
    cat "$work"/out "$work"/err 2>/dev/null || true
    fsfreeze -u "$work/mnt" 2>/dev/null || true
    exit 1
}
export LUNSHADOW_LOCK_DIR=$work/locks
mkdir "$LUNSHADOW_LOCK_DIR"
# mount_new IMAGE DIRECTORY: with an ext4 of its own.
mount_new() {
    mkfs.ext4 -q "$1"
    mkdir "$2"
    mount -o loop "$1" "$2" || skip "no loop mount here"
    mounts+=("$2")
}
"$lunshadow" lab up --luns 1 --size 64M "$work/lab" >/dev/null
lab=$work/lab
export LUNSHADOW_CONFIG=$lab/lunshadow.conf LUNSHADOW_STATE_DIR=$lab/state
lun=iscsi://$(sed -n 's/^address = //p' "$LUNSHADOW_CONFIG")/iqn.2026-11.lunshadow:lab/1
mount_new "$lab/disks/lun1.img" "$work/mnt"

# add HOLD_MS MOUNTS: the writer. It answers freeze before the slow one, of a later level, is told.
add() {
    printf '[writer]\nprogram = %s\nlevel = back-end\n[environment]\nHOLD_MS = %s\nMOUNTS = %s\n' "$program" "$1" "$2" \
        >"$lab/writers.d/fsfreeze.conf"
}
# slow COMMAND: one that says that the others are frozen, and keeps them so while the command runs.
cat >"$work/slow-writer" <<'END'
#!/bin/sh
while read -r event number rest; do
    case $event in
    set) continue ;;
    identify) cat "$0.answer" ;;
    freeze) : >"$0.frozen"; eval "$COMMAND" ;;
    esac
    echo "ok $number"
done
END
chmod 755 "$work/slow-writer"
cat >"$work/slow-writer.answer" <<'END'
lunshadow-writer 1
metadata
<WRITER_METADATA xmlns="x-schema:#VssWriterMetadataInfo" version="1.2">
<IDENTIFICATION writerId="5a3c1f62-6c1f-4c6c-9f0b-0d2b8d3f6a12" instanceId="d8b1f0f4-58a7-4c0b-8a39-1a2f4c7be912"
 friendlyName="slow" usage="OTHER" dataSource="OTHER"/>
<RESTORE_METHOD method="RESTORE_IF_CAN_BE_REPLACED" writerRestore="never" rebootRequired="no"/>
<BACKUP_LOCATIONS/>
</WRITER_METADATA>
.
END
slow() {
    rm -f "$work/slow-writer.frozen"
    printf '[writer]\nprogram = %s\nlevel = system\n[environment]\nCOMMAND = %s\n' "$work/slow-writer" "$1" \
        >"$lab/writers.d/slow.conf"
}
await_frozen() {
    until [ -e "$work/slow-writer.frozen" ]; do
        kill -0 "$creator" 2>/dev/null || fail "it ended before it was frozen"
        sleep 0.02
    done
}
# A write goes through within so many seconds; what waits for a frozen filesystem cannot be killed, so it is left alone.
writes_within() {
    rm -f "$work/wrote"
    (: >"$work/mnt/probe" && : >"$work/wrote") &
    for _ in $(seq $(($1 * 50))); do
        [ ! -e "$work/wrote" ] || return 0
        sleep 0.02
    done
    return 1
}
copy_of() { find "$lab/disks" -type f ! -name lun1.img | head -n 1; }
delete_set() { "$lunshadow" delete "$(awk '$1 == "Set" { print $2 }' "$work/out")" >/dev/null; }

# ---- refusals, by hand ----
answer() { MOUNTS=$1 HOLD_MS=${3:-1000} "$program" <<<"$2" | tail -n 1; }
answer / "prepare-backup 1" | grep -q '^failed 1 ' || fail "the root filesystem would be frozen"
answer "$work" "prepare-backup 1" | grep -q '^failed 1 non-retryable nothing is mounted' || fail "a plain directory"
answer "$work/none" "prepare-backup 1" | grep -q '^failed 1 ' || fail "no directory"
answer relative "prepare-backup 1" | grep -q 'no absolute path' || fail "a relative path"
answer "" "prepare-backup 1" | grep -q 'no mount point' || fail "no mount point at all"
answer "$work/mnt" "prepare-backup 1" 10001 | grep -q 'HOLD_MS' || fail "a hold that is too long"
answer "$work/mnt" "freeze 1" | grep -q '^failed 1 ' || fail "freeze without prepare-snapshot"
answer "$work/mnt" "set keep-writable $work/mnt
prepare-snapshot 1" | grep -q "^failed 1 .*would stop what has to thaw" || fail "what must stay writable would be frozen"
answer "$work/mnt" "prepare-backup 1" | grep -q '^ok 1$' || fail "a good mount is refused"

# ---- a filesystem that does not answer, of somebody else: nobody waits for it ----
truncate -s 64M "$work/lower.img"
mount_new "$work/lower.img" "$work/lower"
truncate -s 16M "$work/lower/upper.img"
mount_new "$work/lower/upper.img" "$work/upper"
coproc HOLDER { MOUNTS=$work/lower HOLD_MS=10000 exec "$program"; }
number=0
tell_holder() {
    local said
    number=$((number + 1))
    echo "$1 $number" >&"${HOLDER[1]}"
    read -r -t 60 said <&"${HOLDER[0]}" || fail "no answer to $1"
    [ "$said" = "ok $number" ] || fail "$2: $said"
}
tell_holder prepare-snapshot "the lower filesystem is not held"
tell_holder freeze "the lower filesystem is not held"
echo late >"$work/upper/file" # cannot be flushed now
answer "$work/mnt" "prepare-snapshot 1" | grep -q '^ok 1$' || fail "a good mount beside one that does not answer"
tell_holder thaw "prepare-snapshot waited for another filesystem"
eval "exec ${HOLDER[1]}>&-"

# ---- frozen at the cut, under load ----
: >"$work/go"
(
    i=0
    while [ -e "$work/go" ]; do
        i=$(((i + 1) % 200))
        echo "$i" >"$work/mnt/file$i"
    done
) &
loader=$!
add 10000 "$work/mnt"
"$lunshadow" create --transportable "$lun" >"$work/out" 2>"$work/err" || fail "create with fsfreeze"
copy=$(copy_of)
! dumpe2fs -h "$copy" 2>/dev/null | grep -q needs_recovery || fail "the copy was not frozen"
e2fsck -fn "$copy" >"$work/err" 2>&1 || fail "the copy is not clean"
delete_set
"$lunshadow" create --no-writers --transportable "$lun" >"$work/out" 2>"$work/err" || fail "create --no-writers"
dumpe2fs -h "$(copy_of)" 2>/dev/null | grep -q needs_recovery || fail "without the writer it is the same: no proof"
delete_set
rm "$work/go"
wait "$loader"
loader=
writes_within 5 || fail "frozen after a set"

# ---- the hold has an end of its own ----
add 3000 "$work/mnt"
slow ": >$work/mnt/late" # which the freeze keeps waiting, so until the hold has ended
code=0
"$lunshadow" create "$lun" >"$work/out" 2>"$work/err" || code=$?
[ "$code" -eq 1 ] || fail "a hold that ended before the cut gave exit code $code"
grep -q "writer fsfreeze failed at thaw" "$work/err" || fail "not told that the hold had ended"
"$lunshadow" list >"$work/out"
! grep -q '^Set' "$work/out" || fail "a copy that was not frozen stayed"
writes_within 5 || fail "frozen after the deadline"

# ---- who dies while it is frozen: lunshadow, then the writer ----
for victim in lunshadow writer; do
    add 10000 "$work/mnt"
    : >"$work/held"
    slow "while [ -e $work/held ]; do sleep 0.05; done"
    "$lunshadow" create "$lun" >"$work/out" 2>"$work/err" &
    creator=$!
    await_frozen
    pid=$creator
    [ $victim = lunshadow ] || pid=$(pgrep -P "$creator" -f "^$program")
    ! writes_within 1 || fail "not frozen, so nothing is proven"
    kill -KILL "$pid"
    for _ in $(seq 150); do
        [ ! -e "$work/wrote" ] || break
        sleep 0.02
    done
    [ -e "$work/wrote" ] || fail "still frozen 3 s after the $victim died"
    rm "$work/held"
    wait "$creator" 2>/dev/null || true
    "$lunshadow" recover --rollback >/dev/null 2>&1 || true
done
echo "all well"
