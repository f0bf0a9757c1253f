# SPDX-License-Identifier: Apache-2.0
# Sourced by tests of commands: a directory of their own ($work), a lab that goes with it, and what is asked of the
# command's exit code and output. $lunshadow is the command.

failures=0

# usage: begin NAME TOOL...
# The test is skipped where one of the tools is not there.
begin() {
    export PATH=$PATH:/usr/sbin:/sbin
    local name=$1 tool
    shift
    for tool in "$@"; do
        command -v "$tool" >/dev/null || { echo "no $tool here"; exit 77; }
    done
    work=$(mktemp -d "${TMPDIR:-/tmp}/lunshadow-$name.XXXXXX")
    trap cleanup EXIT
    unset LUNSHADOW_CONFIG
    export LUNSHADOW_STATE_DIR=$work/state LUNSHADOW_LOCK_DIR=$work/locks XDG_CONFIG_HOME=$work/none
    mkdir "$LUNSHADOW_LOCK_DIR"
    : >"$work/out" >"$work/err"
}
# Not in a job that a signal ends before it has become its program: it has this trap too, and the test goes on.
cleanup() {
    [ "$BASHPID" = $$ ] || return 0
    local conf
    for conf in "$work"/*/lab.conf; do
        [ ! -e "$conf" ] || "$lunshadow" lab down "${conf%/*}" >/dev/null || echo "left behind: ${conf%/*}" >&2
    done
    rm -rf "$work"
}

# usage: lab_up LUNS
# LUNs of 64 MiB at $url/1 and so on; their files are $(disk 1) and so on.
lab_up() {
    "$lunshadow" lab up --luns "$1" --size 64M "$work/lab" >/dev/null
    export LUNSHADOW_CONFIG=$work/lab/lunshadow.conf
    url=iscsi://$(sed -n 's/^address = //p' "$LUNSHADOW_CONFIG")/iqn.2026-11.lunshadow:lab
}
disk() { echo "$work/lab/disks/lun$1.img"; }

fail() {
    printf 'FAILED: %s\n' "$*"
    tail -n 15 "$work/out" "$work/err" | sed 's/^/    /'
    failures=$((failures + 1))
}
# usage: run EXIT-CODE ARGUMENT...
run() {
    local expected=$1 code=0
    shift
    "$lunshadow" "$@" >"$work/out" 2>"$work/err" </dev/null || code=$?
    [ "$code" -eq "$expected" ] || fail "lunshadow $*: exit code $code, not $expected"
}
# usage: faulty FAULTS
# $work/faulty.conf: the lab's array behind the shim "fault", which notes each operation in $work/calls. A fault "hang"
# lasts until interrupted() has sent its signal.
faulty() {
    sed -e 's|^provider = tgt|provider = fault/tgt|' \
        -e "s|^\[array lab\]|&\nfault = $1\nfault_calls = $work/calls\nfault_until = $work/is-interrupted|" \
        "$LUNSHADOW_CONFIG" >"$work/faulty.conf"
    rm -f "$work/calls"
}
was_called() { grep -qsx -- "$1" "$work/calls"; }
# usage: await PID CONDITION...
# Returns when the condition holds, or, with a failure, when the process has ended without it.
await() {
    local process=$1
    shift
    until "$@"; do
        kill -0 "$process" 2>/dev/null || { "$@"; return; }
        sleep 0.02
    done
}
# usage: interrupted EXIT-CODE CONDITION... -- ARGUMENT...
# As run, with SIGTERM as soon as the condition holds (a job of this shell ignores SIGINT).
interrupted() {
    local expected=$1 condition=() pid code=0
    shift
    while [ "$1" != -- ]; do
        condition+=("$1")
        shift
    done
    shift
    rm -f "$work/is-interrupted"
    "$lunshadow" "$@" >"$work/out" 2>"$work/err" </dev/null &
    pid=$!
    await "$pid" "${condition[@]}" || fail "lunshadow $*: ended before it could be interrupted"
    kill -TERM "$pid" || true # that it ended before shows below
    : >"$work/is-interrupted"
    wait "$pid" || code=$?
    [ "$code" -eq "$expected" ] || fail "lunshadow $*, interrupted: exit code $code, not $expected"
}
# A condition of interrupted(): the program has come to where it catches SIGTERM. Until it is the program it is a copy
# of this shell, which catches it too.
catches_signals() {
    local mask
    [ "/proc/$pid/exe" -ef "$lunshadow" ] || return 1
    mask=$(sed -n 's/^SigCgt:[[:space:]]*//p' "/proc/$pid/status" 2>/dev/null) || return 1
    [ -n "$mask" ] && ((16#$mask & 0x4000))
}
out_has() { grep -qE -- "$1" "$work/out" || fail "standard output has no \"$1\""; }
err_has() { grep -qE -- "$1" "$work/err" || fail "standard error has no \"$1\""; }
same() { cmp -s "$1" "$2" || fail "$1 is not $2: $(cmp "$1" "$2" 2>&1)"; }

# The last line of a test.
end() {
    [ "$failures" -eq 0 ] || { echo "$failures failures"; exit 1; }
    echo "all held"
}
