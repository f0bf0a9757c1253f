#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# usage: test_drill_own.sh LUNSHADOW UNIT...
# A drill on LUNs that are in use: what it may write to, what it proves, what it leaves, and its report as evidence.
set -euo pipefail
lunshadow=${1:?usage: test_drill_own.sh LUNSHADOW UNIT...}
shift
. "${BASH_SOURCE[0]%/*}/lab.sh"
begin own tgtd sfdisk blkid

drill() {
    local expected=$1
    shift
    run "$expected" drill "$@"
}
originals() { sha256sum "$(disk 1)" "$(disk 2)"; }
scratches() { sha256sum "$(disk 3)" "$(disk 4)" "$(disk 5)"; }
nothing_left() {
    "$lunshadow" list >"$work/out"
    out_has 'no snapshots'
    "$lunshadow" recover --list >"$work/out"
    out_has 'No operation'
    [ "$(find "$work/lab/disks" -name '.lunshadow*' | wc -l)" -eq 0 ] || fail "copies are left"
    originals | cmp -s - "$work/originals" || fail "an original was written to"
}

lab_up 4
truncate -s 32M "$(disk 5)"
TGT_IPC_SOCKET=$work/lab/tgtd tgtadm -C "$(sed -n 's/^control_port = //p' "$LUNSHADOW_CONFIG")" --lld iscsi \
    --op new --mode logicalunit --tid 1 --lun 5 --backing-store "$(disk 5)"
TGT_IPC_SOCKET=$work/lab/tgtd tgtadm -C "$(sed -n 's/^control_port = //p' "$LUNSHADOW_CONFIG")" --lld iscsi \
    --op update --mode logicalunit --tid 1 --lun 5 --params scsi_id=60014050000000000000000000000005,scsi_sn=SMALL
for i in 1 2; do
    printf 'label: gpt\nsize=8MiB\nsize=16MiB\n' | sfdisk --quiet "$(disk $i)"
    dd if=/dev/urandom of="$(disk $i)" bs=1M seek=2 count=30 conv=notrunc,fsync status=none
done
originals >"$work/originals"
scratches >"$work/scratches"
key() { "$lunshadow" luns --json "$url/$1" | sed -n 's/.*"key": "\(.*\)",/\1/p'; }
scratch() { printf '[scratch %s]\nlun = %s\nidentity = %s\n' "$1" "$2" "$3" >>"$LUNSHADOW_CONFIG"; }

# ---- what it must not write to ----
drill 2 --volume "$url/1" --onto "$url/3"
err_has 'check says what judges'
drill 2 --volume "$url/1" --check true
err_has 'needs one --onto'
drill 2 --volume "$url/1" --onto "$url/3" --check true
err_has 'is no scratch LUN of the configuration'
scratch three "$url/3" naa.60014050000000000000000000000000
drill 2 --volume "$url/1" --onto "$url/3" --check true
err_has 'says that the scratch LUN there is naa.60014050000000000000000000000000'
sed -i '/^\[scratch three\]/,$d' "$LUNSHADOW_CONFIG"
scratch three "$url/3" "$(key 3)"
scratch four "$url/4" "$(key 4)"
scratch five "$url/5" "$(key 5)"
scratch one "$url/1" "$(key 1)" # a mistake in the configuration
drill 2 --volume "$url/1" --onto "$url/1" --check true
err_has 'are or may be one LUN'
drill 2 --volume "$url/1" --volume "$url/2" --onto "$url/3" --onto "$url/1" --check true
err_has 'are or may be one LUN'
drill 2 --volume "$url/1" --volume "$url/2" --onto "$url/3" --onto "$url/3" --check true
err_has 'are or may be one LUN'
drill 2 --volume "$url/1" --onto "$url/5" --check true
err_has 'is smaller than'
drill 2 --plan nobody
err_has 'no section \[drill nobody\]'
scratches | cmp -s - "$work/scratches" || fail "a refused drill wrote"
[ ! -d "$work/state/drills" ] || [ -z "$(ls "$work/state/drills")" ] || fail "a refused drill left a report"

# ---- it passes: what the command sees is the originals' content, and then it is gone ----
cat >"$work/check" <<'CHECK'
[ "$LUNSHADOW_DRILL_COUNT" = 2 ] || exit 1
echo "looking at $LUNSHADOW_DRILL_LUN_2 for $LUNSHADOW_DRILL_VOLUME_2"
for i in 1 2; do
    cmp -i 1048576 -n 65011712 "$D/lun$i.img" "$D/lun$((i + 2)).img" || exit 1
    [ "$(blkid -p -s PTTYPE -o value "$D/lun$((i + 2)).img")" = gpt ] || exit 1
    [ "$(blkid -p -s PTUUID -o value "$D/lun$i.img")" != "$(blkid -p -s PTUUID -o value "$D/lun$((i + 2)).img")" ] || exit 1
done
CHECK
export D=$work/lab/disks
own=(--volume "$url/1" --volume "$url/2" --onto "$url/3" --onto "$url/4")
drill 0 "${own[@]}" --max-rto 120 --check "sh $work/check"
out_has 'the drill passed'
out_has "looking at $url/4 for $url/2"
out_has 'the scratch LUNs carry no label any more'
report=$(sed -n 's/^report: //p' "$work/out")
for i in 3 4; do
    [ -z "$(blkid -p -s PTTYPE -o value "$(disk $i)" || true)" ] || fail "scratch LUN $i still has a label"
done
nothing_left

# ---- the report as evidence ----
drill 0 verify "$report"
out_has '^drill .*, 0 failed, 0 skipped$'
out_has '^the drill passed$'
drill 0 verify --json "$report"
out_has '"sound": true'
out_has '"failed": 0'
code=0
"$lunshadow" drill verify "$report" >/dev/full 2>"$work/err" || code=$?
[ "$code" -eq 3 ] || fail "drill verify to a full device: exit code $code"
drill 2 verify "$work/check"
drill 2 verify "$work/none"
drill 2 verify
sed 's/"rto_ms": [0-9]*/"rto_ms": 7/' "$report" >"$work/forged.json"
drill 1 verify "$work/forged.json"
out_has 'NOT SOUND: the report is not the one that its digest was made of'
sed 's/"verdict": "held"/"verdict": "FAILED"/' "$report" >"$work/forged.json"
drill 1 verify "$work/forged.json"
out_has 'NOT SOUND: it counts other checks'
out_has 'NOT SOUND: its result does not follow'
drill 1 verify --json "$work/forged.json"
out_has '"sound": false'
out_has 'its result does not follow'
sed 's/"host": "/&another-/' "$report" >"$work/forged.json"
drill 1 verify "$work/forged.json"
sed "s/\":/\" :/g" "$report" >"$work/other-form.json" # the same content in another form is the same report
drill 0 verify "$work/other-form.json"

# ---- the command is not content, or too slow ----
drill 1 "${own[@]}" --check 'echo not the data that was expected; exit 7'
out_has 'FAILED: check: the command is content: .*not the data that was expected'
drill 1 verify "$(sed -n 's/^report: //p' "$work/out")"
out_has '^the drill FAILED$'
nothing_left
started=$(date +%s)
drill 1 "${own[@]}" --max-rto 4 --check 'sleep 300'
[ $(($(date +%s) - started)) -lt 200 ] || fail "a slow command was waited for"
out_has 'FAILED: check: in time'
nothing_left

# What the command started ends with it, and before the scratch LUNs are wiped, whatever it printed to.
cat >"$work/leaves" <<'LEAVES'
(while :; do printf x | dd of="$D/lun3.img" conv=notrunc status=none; sleep 0.01; done) >/dev/null 2>&1 &
LEAVES
for end in 'exit 0' 'sleep 60'; do
    code=0
    "$lunshadow" drill "${own[@]}" --max-rto "$([ "$end" = 'exit 0' ] && echo 120 || echo 4)" --check ". $work/leaves; $end" \
        >"$work/out" 2>"$work/err" || code=$?
    [ "$code" -eq "$([ "$end" = 'exit 0' ]; echo $?)" ] || fail "a check that leaves something running: exit code $code"
    sleep 0.2
    [ "$(head -c 1 "$(disk 3)")" != x ] || fail "what the check left running wrote to a wiped LUN"
    nothing_left
done
interrupted 1 test -e "$work/checking" -- drill "${own[@]}" --check ": >\"$work/checking\"; sleep 60"
out_has 'was killed, since the drill was stopped'
nothing_left

# ---- a scratch LUN is one drill's from before it is overwritten until it was wiped ----
wait_for() {
    for _ in $(seq 1500); do
        ! [ -e "$1" ] || return 0
        sleep 0.02
    done
    fail "$1 is not there"
}
rm -f "$work/checking"
"$lunshadow" drill "${own[@]}" --check ": >\"$work/checking\"; until [ -e \"$work/go\" ] || ! [ -d \"$work\" ]; do sleep 0.05; done; sh $work/check" \
    >"$work/first" 2>&1 </dev/null &
first=$!
wait_for "$work/checking"
scratches >"$work/scratches"
for onto in 3 4; do
    drill 2 --volume "$url/2" --onto "$url/$onto" --check true
    err_has "the scratch LUN $(key $onto) is being used on this machine, by process $first"
done
scratches | cmp -s - "$work/scratches" || fail "a scratch LUN that another drill judges was written to"
: >"$work/go"
code=0
wait "$first" || code=$?
[ "$code" -eq 0 ] || fail "a drill beside one that was refused: exit code $code: $(cat "$work/first")"
nothing_left
rm "$work/checking" "$work/go"
"$lunshadow" drill --volume "$url/1" --onto "$url/3" --check ": >\"$work/checking\"; until [ -e \"$work/go\" ] || ! [ -d \"$work\" ]; do sleep 0.05; done" \
    >"$work/first" 2>&1 </dev/null &
first=$!
wait_for "$work/checking"
drill 0 --volume "$url/1" --onto "$url/4" --check true # another one is nobody's
kill -KILL "$first"
wait "$first" || true
drill 0 "${own[@]}" --check true # the check of the one that died is still there
: >"$work/go"
"$lunshadow" delete "$("$lunshadow" list | awk '$1 == "Set" { print $2 }')" >"$work/out" 2>"$work/err" || fail "the set of a drill that died cannot be deleted"
nothing_left

# ---- another import, which takes its time, is waited for ----
"$lunshadow" create --transportable --output "$work/other.xml" "$url/2" >"$work/out" 2>"$work/err" || fail "no set to import"
sed 's|^provider = tgt|provider = delay/tgt|; s|^\[array lab\]|&\ndelay = LocateLuns:6000|' "$LUNSHADOW_CONFIG" >"$work/slow.conf"
"$lunshadow" import --config "$work/slow.conf" "$work/other.xml" >"$work/first" 2>&1 </dev/null &
first=$!
until [ -s "$LUNSHADOW_LOCK_DIR/import.lock" ]; do
    kill -0 "$first" || { fail "the import is over: $(cat "$work/first")"; break; }
    sleep 0.02
done
drill 0 --volume "$url/1" --onto "$url/3" --check true
out_has 'waiting for up to .* an import is running on this machine, by process'
wait "$first" || fail "the import that was waited for: $(cat "$work/first")"
"$lunshadow" delete "$("$lunshadow" list | awk '$1 == "Set" { print $2 }')" >"$work/out" 2>"$work/err" || fail "the other set cannot be deleted"
nothing_left

# ---- by the configuration, and kept for a look ----
cat >>"$LUNSHADOW_CONFIG" <<PLAN
[drill weekly]
volume1 = $url/1
onto1 = $url/4
check = blkid -p \$D/lun4.img
max_rto = 120
PLAN
drill 2 --plan weekly --check true
drill 0 --plan weekly --keep
[ "$(blkid -p -s PTTYPE -o value "$(disk 4)")" = gpt ] || fail "what was to be kept is gone"
nothing_left
drill 0 --plan weekly --json
grep -q '"max_rto_ms": 120000' "$work/out" || fail "the JSON report has no limit"

# ---- the array fails in the middle: said, and what is left can be dealt with ----
sed 's|^provider = tgt|provider = fault/tgt|; s|^\[array lab\]|&\nfault = ResyncLuns poll:VSS_E_PROVIDER_VETO|' \
    "$LUNSHADOW_CONFIG" >"$work/fault.conf"
drill 1 --config "$work/fault.conf" --plan weekly
! grep -q 'left behind' "$work/out" || fail "a drill whose recovery fails leaves something"
nothing_left
drill 1 --config "$work/fault.conf" --plan weekly --keep
out_has 'left behind: resync of set .*, unfinished: see lunshadow recover --list'
[ -z "$(blkid -p -s PTTYPE -o value "$(disk 4)" || true)" ] || fail "a half-written scratch LUN looks valid"
drill 1 verify "$(sed -n 's/^report: //p' "$work/out")"
"$lunshadow" recover --resume >"$work/out" 2>"$work/err" || fail "what the drill left cannot be resumed"
"$lunshadow" delete "$("$lunshadow" list | awk '$1 == "Set" { print $2 }')" >"$work/out" 2>"$work/err" || fail "the set cannot be deleted"
nothing_left

# ---- a drill whose recovery is refused has written nothing, and wipes nothing ----
printf 'label: dos\nsize=8MiB\n' | sfdisk --quiet --wipe always "$(disk 3)"
sync "$(disk 3)"
scratches >"$work/scratches"
drill 1 --volume "$url/1" --onto "$url/3" --check true
out_has 'VSS_E_CANNOT_REVERT_DISKID'
scratches | cmp -s - "$work/scratches" || fail "a drill that was refused wiped a scratch LUN"
nothing_left

# ---- the units ----
for unit in "$@"; do
    [ -s "$unit" ] || fail "no unit $unit"
done
if command -v systemd-analyze >/dev/null; then
    mkdir "$work/units"
    cp "$@" "$work/units"
    sed -i "s|^ExecStart=[^ ]*|ExecStart=$(realpath "$lunshadow")|" "$work/units/"*.service
    SYSTEMD_UNIT_PATH=$work/units: systemd-analyze verify --man=no "$work/units/lunshadow-drill@weekly.timer" \
        "$work/units/lunshadow-drill@weekly.service" >"$work/out" 2>&1 || true
    ! grep -q 'lunshadow-drill' "$work/out" || fail "systemd-analyze finds fault with the units"
fi

end
