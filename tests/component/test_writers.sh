#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# usage: test_writers.sh LUNSHADOW PAGE
# The writer of docs/writers.md as its reader would use it: taken from the page, spoken to by hand, listed, and at work
# around a set on a lab array.
set -euo pipefail
lunshadow=${1:?usage: test_writers.sh LUNSHADOW PAGE}
page=${2:?}
work=$(mktemp -d "${TMPDIR:-/tmp}/lunshadow-writers.XXXXXX")
lab=
cleanup() {
    if [ -n "$lab" ]; then
        "$lunshadow" lab down "$lab" >/dev/null || echo "left behind: $lab" >&2
    fi
    rm -rf "$work"
}
trap cleanup EXIT
fail() {
    printf 'FAILED: %s\n' "$*"
    cat "$work"/out "$work"/err 2>/dev/null || true
    exit 1
}

# block LANGUAGE: the first such block of the page.
block() { awk -v start="\`\`\`$1" '$0 == start { on = 1; next } /^```$/ && on { exit } on' "$page"; }
mkdir "$work/app"
block sh >"$work/app-writer"
block xml >"$work/app/metadata.xml"
chmod 755 "$work/app-writer"
[ "$(wc -l <"$work/app-writer")" -eq 10 ] || fail "the page promises ten lines"

# ---- by hand ----
is_free() { flock -n "$work/app/lock" true; }
coproc WRITER { APP=$work/app exec "$work/app-writer"; }
ask() {
    local answer
    echo "$1 $2" >&"${WRITER[1]}"
    read -r -t 10 answer <&"${WRITER[0]}" || fail "no answer to $1"
    [ "$answer" = "ok $2" ] || fail "$1 was answered with \"$answer\""
}
ask prepare-backup 1
echo "set volume x" >&"${WRITER[1]}"
ask prepare-snapshot 2
is_free || fail "held before freeze"
ask freeze 3
! is_free || fail "not held after freeze"
ask thaw 4
is_free || fail "held after thaw"
ask freeze 5
pid=$WRITER_PID
eval "exec ${WRITER[1]}>&-" # lunshadow is gone
wait "$pid" || true
is_free || fail "held by a writer whose input has ended"

# ---- listed ----
tgtd -V >/dev/null 2>&1 || PATH=$PATH:/usr/sbin
if ! command -v tgtd >/dev/null; then
    echo "skipped: no tgtd here"
    exit 77
fi
export LUNSHADOW_LOCK_DIR=$work/locks
mkdir "$LUNSHADOW_LOCK_DIR"
"$lunshadow" lab up --luns 1 --size 64M "$work/lab" >/dev/null
lab=$work/lab
export LUNSHADOW_CONFIG=$lab/lunshadow.conf LUNSHADOW_STATE_DIR=$lab/state
lun=iscsi://$(sed -n 's/^address = //p' "$LUNSHADOW_CONFIG")/iqn.2026-11.lunshadow:lab/1
"$lunshadow" writers >"$work/out" || fail "no writers is no failure"
[ ! -s "$work/out" ] || fail "there is none, but something is shown"

# add NAME SCRIPT: a writer of the lab's own.
add() {
    printf '[writer]\nprogram = %s\n[environment]\nAPP = %s\n' "$2" "$work/app" >"$lab/writers.d/$1.conf"
}
add app "$work/app-writer"
"$lunshadow" writers --json >"$work/out" || fail "writers: $?"
grep -q '"name": "App"' "$work/out" || fail "not listed"
grep -q '"state": "stable"' "$work/out" || fail "not stable"
grep -q '"instance": "d8b1f0f4-58a7-4c0b-8a39-1a2f4c7be911"' "$work/out" || fail "no instance"
"$lunshadow" writers >"$work/out"
grep -qE '^App +stable$' "$work/out" || fail "not in the table"

# ---- around a set ----
# The application writes a line, and the same line once more; frozen, it is never between the two.
sed "s|^    thaw|    post-snapshot) cat \"\$APP/journal\" >\"\$APP/seen\" ;;\n&|" "$work/app-writer" >"$work/watching"
sed -i "s|flock 9; sync|flock 9; cp \"\$APP/journal\" \"\$APP/frozen\"; sync|" "$work/watching"
chmod 755 "$work/watching"
add app "$work/watching"
: >"$work/app/go"
(
    i=0
    while [ -e "$work/app/go" ]; do
        i=$((i + 1))
        flock "$work/app/lock" sh -c "echo $i; sleep 0.01; echo $i" >>"$work/app/journal"
    done
) &
application=$!
sleep 0.3
"$lunshadow" create --transportable "$lun" >"$work/out" 2>"$work/err" || fail "create with a writer"
rm "$work/app/go"
wait "$application"
[ -s "$work/app/seen" ] || fail "the writer was not told post-snapshot"
[ $(($(wc -l <"$work/app/frozen") % 2)) -eq 0 ] || fail "frozen between two lines that belong together"
set=$(awk '$1 == "Set" { print $2 }' "$work/out")
"$lunshadow" delete "$set" >/dev/null

# ---- components: all are in the backup, but for those that come with one above them ----
sed '/<FILE_GROUP/,/FILE_GROUP>/d; s|<BACKUP_LOCATIONS>|&<FILE_GROUP componentName="all" selectable="yes"/>\
    <FILE_GROUP logicalPath="all" componentName="part" selectable="yes"/>\
    <FILE_GROUP logicalPath="all\\more" componentName="deep" selectable="no"/>\
    <FILE_GROUP logicalPath="other" componentName="must" selectable="no"/>\
    <FILE_GROUP logicalPath="other\\must" componentName="may" selectable="yes"/>|' \
    "$work/app/metadata.xml" >"$work/app/many.xml"
sed 's#metadata.xml#many.xml#; s#^    set) #    set) [ "$number" != component ] || echo "$rest" >>"$APP/told"; [ "$number" != succeeded ] || echo "$rest" >>"$APP/done"; #' \
    "$work/app-writer" >"$work/many"
sed -i 's#^    thaw#    post-snapshot) echo "backup-metadata file-group - all a%20note" ;;\n&#' "$work/many"
chmod 755 "$work/many"
add app "$work/many"
"$lunshadow" create --transportable -o "$work/many.xml" "$lun" >"$work/out" 2>"$work/err" || fail "create with components"
printf 'file-group %s\n' '- all' 'other must' 'other\must may' >"$work/wanted"
head -n 3 "$work/app/told" | cmp -s - "$work/wanted" || fail "other components: $(cat "$work/app/told")"
cmp -s "$work/app/done" "$work/wanted" || fail "not all have succeeded: $(cat "$work/app/done")"
grep -q '<BACKUP_METADATA metadata="a note"/>' "$work/many.xml" || fail "the document has not what the writer said"
"$lunshadow" delete "$(awk '$1 == "Set" { print $2 }' "$work/out")" >/dev/null

# ---- one that fails ----
# fails EVENT: a writer that does; no copy may stay.
fails() {
    sed "s|^    set) |    $1) echo \"failed \$number retryable out of tea\"; continue ;;\n&|" "$work/app-writer" \
        >"$work/failing"
    chmod 755 "$work/failing"
    add app "$work/failing"
    local code=0
    "$lunshadow" create "$lun" >"$work/out" 2>"$work/err" || code=$?
    [ "$code" -eq 1 ] || fail "create with a writer that fails at $1: exit code $code"
    grep -q "writer App failed at $1: out of tea" "$work/err" || fail "not told why"
    "$lunshadow" list >"$work/out"
    ! grep -q '^Set' "$work/out" || fail "a copy stayed behind"
}
for event in prepare-backup prepare-snapshot freeze post-snapshot; do
    fails "$event"
done
"$lunshadow" events >"$work/out"
grep -q "out of tea" "$work/out" || fail "not in the event log"
code=0
sed -i 's|^program.*|program = /nowhere|' "$lab/writers.d/app.conf"
"$lunshadow" writers >"$work/out" || code=$?
[ "$code" -eq 3 ] || fail "writers with one that cannot be started: exit code $code"
grep -q "failed at identify" "$work/out" || fail "its failure is not shown"
! "$lunshadow" create "$lun" >"$work/out" 2>"$work/err" || fail "create went on without its writer"
"$lunshadow" create --no-writers "$lun" >"$work/out" 2>"$work/err" || fail "create --no-writers"
"$lunshadow" delete "$(awk '$1 == "Set" { print $2 }' "$work/out")" >/dev/null

# ---- around a resync ----
# It notes what is on the LUN when it is told.
image=$lab/disks/lun1.img
put() { printf '%s' "$1" | dd of="$image" bs=1 seek=10000000 conv=notrunc,fsync status=none; }
at() { dd if="$image" bs=1 skip=10000000 count="$1" status=none; }
sed "s#^    thaw#    p*-restore) dd if='$image' bs=1 skip=10000000 count=4 of=\"\$APP/\$event\" status=none ;;\n&#" \
    "$work/app-writer" >"$work/restoring"
chmod 755 "$work/restoring"
add app "$work/restoring"
put good
"$lunshadow" create --transportable -o "$work/set.xml" "$lun" >"$work/out" 2>"$work/err" || fail "create"
set=$(awk '$1 == "Set" { print $2 }' "$work/out")
put poor
"$lunshadow" import "$work/set.xml" >"$work/out" 2>"$work/err" || fail "import"
"$lunshadow" resync --yes "$work/set.xml" >"$work/out" 2>"$work/err" || fail "resync"
[ ! -e "$work/app/pre-restore" ] || fail "resync told the writers unasked"
put poor
"$lunshadow" resync --writers --yes "$work/set.xml" >"$work/out" 2>"$work/err" || fail "resync --writers"
[ "$(cat "$work/app/pre-restore")" = poor ] || fail "pre-restore came too late"
[ "$(cat "$work/app/post-restore")" = good ] || fail "post-restore came too early"
put poor
sed "s|^    set) |    pre-restore) echo \"failed \$number retryable still open\"; continue ;;\n&|" "$work/app-writer" \
    >"$work/failing"
add app "$work/failing"
code=0
"$lunshadow" resync --writers --yes "$work/set.xml" >"$work/out" 2>"$work/err" || code=$?
[ "$code" -eq 1 ] || fail "resync over an application that is still open: exit code $code"
grep -q "still open; nothing was written, and the applications were told to go on" "$work/err" || fail "not told why"
[ "$(at 4)" = poor ] || fail "written all the same"
"$lunshadow" delete "$set" >/dev/null

# ---- a writer fails when the copies are there ----
sed "s|^    set) |    post-snapshot) echo \"failed \$number retryable full\"; continue ;;\n&|" "$work/app-writer" \
    >"$work/failing"
sets() { "$lunshadow" list | grep -c '^Set' || true; }
before=$(sets)
code=0
"$lunshadow" create "$lun" >"$work/out" 2>"$work/err" || code=$?
[ "$code" -eq 1 ] || fail "create with a writer that fails at its end: exit code $code"
grep -q 'full; the copies were deleted' "$work/err" || fail "not told what became of the copies"
[ "$(sets)" -eq "$before" ] || fail "copies are left"
sed 's|^provider = tgt|provider = fault/tgt|; s|^\[array lab\]|&\nfault = OnLunEmpty:VSS_E_PROVIDER_VETO|' \
    "$LUNSHADOW_CONFIG" >"$work/fault.conf"
code=0
"$lunshadow" create --config "$work/fault.conf" "$lun" >"$work/out" 2>"$work/err" || code=$?
[ "$code" -eq 3 ] || fail "create whose copies cannot be deleted: exit code $code"
grep -q 'full; the copies are there still' "$work/err" || fail "not told that the copies are there"
set=$(sed -n 's/.*set \([0-9a-f-]*\) was not deleted.*/\1/p' "$work/err")
"$lunshadow" recover --resume >"$work/out" 2>"$work/err" || true # ends the deletion, if it had begun
"$lunshadow" delete "$set" >"$work/out" 2>"$work/err" || true
[ "$(sets)" -eq "$before" ] || fail "the set cannot be deleted"

# ---- an array that keeps the application waiting ----
# slow OPERATION MS [FROZEN_MS]: frozen for so long at most, while the operation takes MS.
sed 's|flock 9; sync|date +%s%3N >"$APP/froze"; &|; s|^    thaw[^)]*) |&date +%s%3N >>"$APP/thawed"; |' \
    "$work/app-writer" >"$work/timed"
chmod 755 "$work/timed"
add app "$work/timed"
slow() {
    sed "s|^provider = tgt|provider = delay/tgt|; s|^\[array lab\]|&\ndelay = $1:$2|; s|^\[writers\]|&\nfrozen_ms = ${3:-1500}|" \
        "$LUNSHADOW_CONFIG" >"$work/slow.conf"
}
files() { find "$lab/disks" -type f | wc -l; }
files=$(files)
for late in PreCommitSnapshots:FLUSH CommitSnapshots:HOLD PostCommitSnapshots:HOLD; do
    # what comes before the slow operation must fit in
    frozen_ms=$([ $late = PreCommitSnapshots:FLUSH ] && echo 1500 || echo 3500)
    slow "${late%:*}" 60000 "$frozen_ms"
    rm -f "$work/app/froze" "$work/app/thawed"
    code=0
    "$lunshadow" create --config "$work/slow.conf" "$lun" >"$work/out" 2>"$work/err" || code=$?
    [ "$code" -ne 0 ] || fail "$late: a set that was not cut in time"
    grep -q "VSS_E_${late#*:}_WRITES_TIMEOUT" "$work/err" || fail "$late: another code"
    frozen=$(($(head -n 1 "$work/app/thawed") - $(cat "$work/app/froze")))
    [ "$frozen" -lt 30000 ] || fail "$late: the application waited for $frozen ms"
    [ "$(sets)" -eq "$before" ] || fail "$late: copies are left"
    [ "$(files)" -eq "$files" ] || fail "$late: files are left"
    "$lunshadow" recover --list >"$work/out"
    grep -q 'No operation' "$work/out" || fail "$late: the journal has it still"
done
slow PostCommitSnapshots 600 300 # without writers nobody waits
"$lunshadow" create --config "$work/slow.conf" --no-writers "$lun" >"$work/out" 2>"$work/err" || fail "hurried for nobody"
"$lunshadow" delete "$(awk '$1 == "Set" { print $2 }' "$work/out")" >/dev/null

# ---- whoever kills lunshadow while it is frozen ----
sed 's|flock 9; sync.*|flock 9; : >"$APP/is-frozen" ;;|' "$work/app-writer" >"$work/held"
sed -i 's|^    thaw|    prepare-snapshot) sleep 0.2 ;;\n&|' "$work/held"
cat >"$work/slow" <<'END'
#!/bin/sh
while read -r event number rest; do
    case $event in
    set) continue ;;
    identify) printf 'lunshadow-writer 1\nmetadata\n%s\n.\n' "$(sed s/d8b1f0f4/d8b1f0f5/ "$APP/metadata.xml")" ;;
    freeze) sleep 20 ;;
    esac
    echo "ok $number"
done
END
chmod 755 "$work/held" "$work/slow"
add app "$work/held"
add slow "$work/slow"
sed -i 's|^program.*|&\nlevel = system|' "$lab/writers.d/slow.conf"
"$lunshadow" create "$lun" >"$work/out" 2>"$work/err" &
victim=$!
for _ in $(seq 500); do
    [ ! -e "$work/app/is-frozen" ] || break
    sleep 0.02
done
! is_free || fail "not held"
kill -KILL "$victim"
wait "$victim" 2>/dev/null || true
for _ in $(seq 250); do
    ! is_free || break
    sleep 0.02
done
is_free || fail "still held after lunshadow was killed"
"$lunshadow" recover --rollback >/dev/null || fail "recover"
rm "$lab/writers.d/"*.conf
"$lunshadow" create "$lun" >"$work/out" 2>"$work/err" || fail "create after the kill"
"$lunshadow" delete "$(awk '$1 == "Set" { print $2 }' "$work/out")" >/dev/null
echo "all well"
