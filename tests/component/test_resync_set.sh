#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# usage: test_resync_set.sh LUNSHADOW
# A recovery set as a whole: all or nothing, in the order that was asked for, one at a time; shown before it is written,
# cancelled and carried on.
set -euo pipefail
lunshadow=${1:?usage: test_resync_set.sh LUNSHADOW}
. "${BASH_SOURCE[0]%/*}/lab.sh"
begin resync-set tgtd sfdisk sgdisk blkid

digests() { sha256sum "$work"/lab/disks/lun?.img; }

lab_up 3
for i in 1 2 3; do
    printf 'label: gpt\nsize=8MiB\nsize=8MiB\n' | sfdisk --quiet "$(disk $i)"
    dd if=/dev/urandom of="$(disk $i)" bs=1M seek=2 count=8 conv=notrunc,fsync status=none
done
digests >"$work/good"
run 0 create --transportable --output "$work/set.xml" "$url/1" "$url/2" "$url/3"
snapshots=()
for id in $("$lunshadow" list | grep -oE '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}'); do
    set_id=${set_id:-$id}
    [ "$id" = "$set_id" ] || snapshots+=("$id")
done
[ "${#snapshots[@]}" -eq 3 ] || fail "3 snapshots are not listed: ${snapshots[*]}"
damage() { for i in 1 2 3; do dd if=/dev/zero of="$(disk $i)" bs=1M seek=3 count=1 conv=notrunc,fsync status=none; done; }
damage
digests >"$work/damaged"

# ---- a part of a set only where that is meant ----
run 2 resync --yes --snapshot "${snapshots[1]}" "$work/set.xml"
err_has '1 of the set.s 3 snapshots are named'
digests | cmp -s - "$work/damaged" || fail "a refused resync wrote"

# ---- order ----
run 2 resync --order not-an-id "$work/set.xml"
run 2 resync --order "${snapshots[1]},${snapshots[1]}" "$work/set.xml"
run 2 resync --order "${snapshots[2]},${snapshots[0]}" "$work/set.xml"
order() { grep -oE 'snapshot [-0-9a-f]{36}' "$work/out" | awk '{ print $2 }' | tr '\n' ' '; }
[ "$(order)" = "${snapshots[2]} ${snapshots[0]} ${snapshots[1]} " ] || fail "the order is $(order)"

# ---- a dry run checks all and writes nothing ----
run 0 resync --dry-run "$work/set.xml"
out_has 'no byte of its label changes'
out_has 'disk ids afterwards: its own'
sgdisk -G "$(disk 1)" >/dev/null
sync "$(disk 1)"
cp "$(disk 1)" "$work/other-ids"
run 0 resync --dry-run --revert-identity "$work/set.xml"
# Random ids may have a byte in common at either end.
out_has '^ +56[89]  old ([0-9a-f]{2} ?){14,16}$'
same "$(disk 1)" "$work/other-ids"
run 0 resync --dry-run --json "$work/set.xml"
out_has '"changes": \[\]'
run 0 recover --list
out_has 'No operation'

# ---- all or nothing: one destination has a volume more, so none is written; who failed is said ----
printf 'size=8MiB\n' | sfdisk --quiet --append "$(disk 2)"
sync "$(disk 2)"
digests >"$work/damaged"
volumes=()
for i in 0 1 2; do volumes+=(--snapshot "${snapshots[$i]}=$url/$((i + 1))#1"); done
run 1 resync --yes "${volumes[@]}" "$work/set.xml"
err_has 'VSS_E_UNSELECTED_VOLUME'
err_has '3 of 3 destinations are refused'
digests | cmp -s - "$work/damaged" || fail "a refused resync wrote"
dd if=/dev/urandom of="$(disk 3)" bs=512 seek=1 count=33 conv=notrunc,fsync status=none
dd if=/dev/urandom of="$(disk 3)" bs=512 seek=$((131072 - 33)) count=33 conv=notrunc,fsync status=none
run 1 resync --yes --partial --snapshot "${snapshots[2]}=$url/3#1" "$work/set.xml"
err_has 'its label cannot be read, so what else would be overwritten is not known'

# ---- applications: started again where nothing was written, whatever was in the way; else they stay stopped ----
# With $work/unheard the end of pre-restore is told when something follows it, which is not before a cancel; with
# $work/waits when that file is gone.
metadata='<WRITER_METADATA xmlns="x-schema:#VssWriterMetadataInfo" version="1.2"><IDENTIFICATION
writerId="d8b1f0f4-58a7-4c0b-8a39-1a2f4c7be910" instanceId="d8b1f0f4-58a7-4c0b-8a39-1a2f4c7be911" friendlyName="App"
usage="USER_DATA" dataSource="OTHER"/><RESTORE_METHOD method="RESTORE_IF_CAN_BE_REPLACED" writerRestore="always"
rebootRequired="no"/></WRITER_METADATA>'
cat >"$work/app" <<END
#!/bin/sh
untold=
while read -r event number rest; do
    case \$event in
    set) continue ;;
    identify) printf 'lunshadow-writer 1\nmetadata\n%s\n.\n' '$metadata' ;;
    pre-restore)
        : >"$work/is-stopped"
        while [ -e "$work/waits" ]; do sleep 0.02; done
        [ ! -e "$work/unheard" ] || { untold=\$number; continue; } ;;
    post-restore) rm -f "$work/is-stopped" ;;
    esac
    [ -z "\$untold" ] || echo "ok \$untold"
    untold=
    echo "ok \$number"
done
END
chmod 755 "$work/app"
add_app() { printf '[writer]\nprogram = %s\n' "$work/app" >"$work/lab/writers.d/app.conf"; }
add_app
goes_on() { [ ! -e "$work/is-stopped" ] || fail "the application was not started again $1"; }
run 1 resync --writers --yes "${volumes[@]}" "$work/set.xml"
err_has 'nothing was written, and the applications were started again: .*VSS_E_UNSELECTED_VOLUME'
goes_on "after a refusal"

: >"$work/unheard"
interrupted 1 test -e "$work/is-stopped" -- resync --writers --yes "$work/set.xml"
err_has 'the applications were told to go on'
goes_on "after a signal while it stopped"
rm "$work/unheard"
faulty OnLunStateChange:after:hang=600
interrupted 1 was_called OnLunStateChange -- resync --config "$work/faulty.conf" --no-volume-check --writers --yes "$work/set.xml"
err_has 'nothing was written, and the applications were started again: .*cancelled'
goes_on "after a signal before the first write"
run 0 recover --list
out_has 'No operation'

for i in 3; do sgdisk --zap-all "$(disk $i)" >/dev/null 2>&1 || true; sync "$(disk $i)"; done
run 0 resync --yes --no-volume-check --revert-identity "$work/set.xml"
digests | cmp -s - "$work/good" || fail "not all is as it was when it was copied"

# ---- one at a time: the holder is named, or waited for ----
faulty 'ResyncLuns:after:hang=600,ResyncLuns poll:hang=600'
damage
# usage: start_slow CONDITION... -- OPTION...
# A resync in the background, $first, until the condition holds.
start_slow() {
    local condition=()
    while [ "$1" != -- ]; do
        condition+=("$1")
        shift
    done
    shift
    "$lunshadow" resync --config "$work/faulty.conf" --json --yes "$@" "$work/set.xml" \
        >"$work/first.out" 2>"$work/first.err" &
    first=$!
    await "$first" "${condition[@]}" || fail "the slow resync: no ${condition[*]}: $(cat "$work/first.err")"
}
: >"$work/waits"
start_slow test -e "$work/is-stopped" -- --writers
run 1 resync --yes "$work/set.xml"
err_has "a resync is running on this machine, by process $first .*VSS_E_RESYNC_IN_PROGRESS"
"$lunshadow" resync --yes --wait 600 "$work/set.xml" >"$work/out" 2>"$work/err" </dev/null &
second=$!
await "$second" grep -qs 'waiting for up to 600 s: a resync is running' "$work/err" || fail "not told that it waits"
rm "$work/waits"
wait "$second" || fail "the resync that waited: exit code $?"
code=0
wait "$first" || code=$?
[ "$code" -eq 0 ] || fail "the slow resync: exit code $code: $(cat "$work/first.err")"
digests | cmp -s - "$work/good" || fail "after two resyncs not all is as it was"
for word in percent bytes_per_second remaining_ms elapsed_ms; do
    grep -q "^{\"progress\":\"resync\".*\"$word\":" "$work/first.err" || fail "progress has no $word: $(cat "$work/first.err")"
done
grep -q '"percent":100.0,.*"remaining_ms":0}$' "$work/first.err" || fail "the last line is not of the end"

# ---- cancelled, the array is not asked again; nothing that looks valid; the same command makes it whole ----
damage
polls() { grep -csx 'ResyncLuns poll' "$work/calls" || true; }
is_wiped() { cmp -s -n 512 "$(disk 1)" /dev/zero; } # the first destination has lost its label
faulty ResyncLuns:after:hang=3000 # the signal comes meanwhile
start_slow is_wiped --
kill -TERM "$first" # a job of this shell ignores SIGINT
before=$(polls)
code=0
wait "$first" || code=$?
[ "$code" -eq 1 ] || fail "a cancelled resync: exit code $code"
# One may have been on its way.
[ "$(polls)" -le $((before + 1)) ] || fail "polled $before times before the signal, $(polls) times in all"
was_called 'ResyncLuns cancel' || fail "the array was not told to stop"
grep -q 'resync was cancelled; .*run the same resync again, or `lunshadow recover --resume`' "$work/first.err" || fail "not said what to do: $(cat "$work/first.err")"
grep -q '"error": "unfinished' "$work/first.out" || fail "the report names no unfinished member: $(cat "$work/first.out")"
for i in 1 2 3; do
    [ -z "$(blkid -p -s PTUUID -o value "$(disk $i)" || true)" ] || fail "LUN $i looks valid"
done
run 0 recover --list
out_has 'resync of'
run 1 ids --fresh --yes "$url/1"
run 0 resync --yes "$work/set.xml"
interrupted 1 is_wiped -- resync --config "$work/faulty.conf" --writers --yes "$work/set.xml"
err_has 'the applications that writers stopped stay stopped'
[ -e "$work/is-stopped" ] || fail "the application was started on half-written LUNs"
run 1 resync --writers --yes --partial --snapshot "${snapshots[0]}" "$work/set.xml"
err_has 'stay stopped: .*VSS_E_BAD_STATE'
[ -e "$work/is-stopped" ] || fail "the application was started on LUNs that an earlier resync left half-written"
rm "$work/is-stopped"
: >"$work/unheard"
interrupted 1 test -e "$work/is-stopped" -- resync --writers --yes "$work/set.xml"
err_has 'stay stopped: an earlier resync left LUNs half-written'
rm "$work/unheard"
[ -e "$work/is-stopped" ] || fail "a signal started the application on half-written LUNs"
run 0 resync --writers --yes "$work/set.xml"
goes_on "after the resync that made the LUNs whole"
digests | cmp -s - "$work/good" || fail "what was cancelled is not whole"
rm "$work/lab/writers.d/app.conf"
run 0 recover --list
out_has 'No operation'

# ---- an undo stops as a resync does, and is gone on with ----
run 0 resync --yes --undo "$work/set.xml"
run 0 recover --list
resync_id=$(awk '/^safety copy/ { id = $6 } END { print id }' "$work/out")
interrupted 1 is_wiped -- recover --undo --config "$work/faulty.conf" "$resync_id"
err_has 'E_ABORT'
run 0 recover --list
out_has 'DO NOT USE'
run 0 recover --resume
run 0 recover --discard "$resync_id"

# ---- what import and break would write ----
run 0 import --dry-run "$work/set.xml"
out_has '^ +568  old'
[ "$(grep -c '^iscsi://' "$work/out")" -eq 3 ] || fail "a dry import does not name 3 copies"
"$lunshadow" luns >"$work/out"
[ "$(grep -c 'naa' "$work/out")" -eq 3 ] || fail "a dry import left copies visible"
run 1 break --dry-run "$set_id"
run 0 import "$work/set.xml"
run 0 break --dry-run "$set_id"
out_has '^ +[0-9]+  old'
run 0 break --dry-run --mask "$set_id"
"$lunshadow" list | grep "$set_id" >/dev/null || fail "a dry break broke the set"
run 0 recover --list
out_has 'No operation'
run 0 delete "$set_id"

end
