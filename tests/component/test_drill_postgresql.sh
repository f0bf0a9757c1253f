#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# usage: test_drill_postgresql.sh LUNSHADOW
# The drill of a database: it passes, its report says what was proven, and nothing of it stays, also when it is stopped.
set -euo pipefail
lunshadow=${1:?usage: test_drill_postgresql.sh LUNSHADOW}
export PATH=$PATH:/usr/sbin:/sbin
skip() {
    printf 'skipped: %s\n' "$*"
    exit 77
}
[ "$(id -u)" -eq 0 ] || skip "filesystems take root to be mounted"
for tool in tgtd sgdisk mkfs.xfs runuser qemu-storage-daemon psql; do
    command -v "$tool" >/dev/null || skip "no $tool here"
done
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || skip "no PostgreSQL server here"
[ -e /dev/fuse ] && [ -e /dev/loop-control ] || skip "no FUSE or no loop devices here"

work=$(mktemp -d "${TMPDIR:-/tmp}/lunshadow-pg.XXXXXX")
chmod 711 "$work"
trap 'rm -rf --one-file-system "$work"' EXIT
export TMPDIR=$work LUNSHADOW_STATE_DIR=$work/state LUNSHADOW_LOCK_DIR=$work/locks XDG_CONFIG_HOME=$work/none
mkdir "$LUNSHADOW_LOCK_DIR"
fail() {
    printf 'FAILED: %s\n' "$*"
    tail -n 40 "$work/out" "$work/err"
    exit 1
}
nothing_left() { # nothing_left WHEN
    local left
    left=$(find "$work" -maxdepth 1 -name 'lunshadow-drill-*')
    [ -z "$left" ] || fail "$1: left behind: $left"
    ! grep -q "$work" /proc/self/mountinfo || fail "$1: left mounted: $(grep "$work" /proc/self/mountinfo)"
    ! pgrep -f "$work/lunshadow-drill" >/dev/null || fail "$1: runs still: $(pgrep -af "$work/lunshadow-drill")"
}

"$lunshadow" drill --postgresql >"$work/out" 2>"$work/err" || fail "exit code $?"
for words in 'the drill passed' '^21 checks held, 0 failed, 0 skipped' 'RecoverSet +[0-9]+ ms' 'the server is down +[0-9]+ ms'; do
    grep -qE -- "$words" "$work/out" || fail "the report has no \"$words\""
done
report=$(sed -n 's/^report: //p' "$work/out")
"$lunshadow" drill verify "$report" >"$work/out" 2>"$work/err" || fail "its report is not sound"
nothing_left "at the end"

# Stopped in the midst of its load.
"$lunshadow" drill --postgresql --seconds 60 >"$work/out" 2>"$work/err" &
drill=$!
for _ in $(seq 600); do
    ! pgrep -f "psql .*$work/lunshadow-drill" >/dev/null || break
    kill -0 "$drill" 2>/dev/null || break
    sleep 0.1
done
sleep 1
kill -TERM "$drill"
code=0
wait "$drill" || code=$?
[ "$code" -eq 1 ] || fail "stopped: exit code $code, not 1"
grep -q 'stopped' "$work/out" || fail "it does not say that it was stopped"
nothing_left "when stopped"

# Refused before anything is made.
code=0
"$lunshadow" drill --postgresql --size 128M >"$work/out" 2>"$work/err" || code=$?
[ "$code" -eq 2 ] && grep -q '512 MiB at the least' "$work/err" || fail "LUNs too small: exit code $code"
nothing_left "when refused"
echo "all well"
