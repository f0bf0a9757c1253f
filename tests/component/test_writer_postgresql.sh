#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# usage: test_writer_postgresql.sh LUNSHADOW POSTGRESQL
# The postgresql writer on a real cluster whose data and WAL lie on two LUNs: a set is made while rows are written, a
# second server is started from the copies, and every row that was acknowledged before the set is there.
set -euo pipefail
lunshadow=${1:?usage: test_writer_postgresql.sh LUNSHADOW POSTGRESQL}
program=${2:?}
PATH=$PATH:/usr/sbin:/sbin
skip() {
    printf 'skipped: %s\n' "$*"
    exit 77
}
[ "$(id -u)" -eq 0 ] || skip "a filesystem on a LUN's file needs root to be mounted"
[ -x "$program" ] || skip "built without libpq"
for tool in tgtd mkfs.ext4 losetup runuser; do
    command -v "$tool" >/dev/null || skip "no $tool here"
done
bin=$(find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1)
[ -n "$bin" ] && [ -x "$bin/initdb" ] || skip "no PostgreSQL server here"
id postgres >/dev/null 2>&1 || skip "no user postgres here"
[ -e /dev/loop-control ] || skip "no loop devices here"

work=$(mktemp -d "${TMPDIR:-/tmp}/lunshadow-postgresql.XXXXXX")
lab=''
loader=''
mounts=()
servers=()
as() { runuser -u postgres -- "$@"; }
# stop_server DATA MODE: returns when its process is gone. pg_ctl does when the server's file is, and the server may
# still have its directory in use.
stop_server() {
    local pid
    pid=$(head -n 1 "$1/postmaster.pid" 2>/dev/null) || return 0
    as "$bin/pg_ctl" -D "$1" -m "$2" -w stop >/dev/null 2>&1 || true
    for _ in $(seq 3000); do
        grep -qs '^State:.[^ZX]' "/proc/$pid/status" || return 0
        sleep 0.02
    done
    echo "still running: the server of $1" >&2
    return 1
}
cleanup() {
    rm -f "$work/go"
    [ -z "$loader" ] || wait "$loader" 2>/dev/null || true
    local data
    for data in "${servers[@]}"; do
        stop_server "$data" immediate || true
    done
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
    tail -n 12 "$work"/sock/*.log 2>/dev/null || true
    exit 1
}
mount_image() {
    mkdir -p "$2"
    mount -o loop "$1" "$2" || skip "no loop mount here"
    mounts+=("$2")
}
chmod 711 "$work"
mkdir -m 777 "$work/sock"
cp "$program" "$work/postgresql-writer" # where its user can reach it
export LUNSHADOW_LOCK_DIR=$work/locks
mkdir "$LUNSHADOW_LOCK_DIR"
"$lunshadow" lab up --luns 2 --size 256M "$work/lab" >/dev/null
lab=$work/lab
export LUNSHADOW_CONFIG=$lab/lunshadow.conf LUNSHADOW_STATE_DIR=$lab/state
url=iscsi://$(sed -n 's/^address = //p' "$LUNSHADOW_CONFIG")/iqn.2026-11.lunshadow:lab
luns=("$url/1" "$url/2")
mkfs.ext4 -q -L lun-data "$lab/disks/lun1.img"
mkfs.ext4 -q -L lun-wal "$lab/disks/lun2.img"
mount_image "$lab/disks/lun1.img" "$work/data"
mount_image "$lab/disks/lun2.img" "$work/wal"
chown postgres "$work/data" "$work/wal"

port=54329
data=$work/data/pg
as "$bin/initdb" -D "$data" --waldir="$work/wal/pg" -A trust --no-locale -E UTF8 >"$work/out" 2>&1 || fail initdb
# settings DIRECTORY PORT: a server of our own; small, and with no way to it but our socket.
settings() {
    printf '%s\n' "listen_addresses = ''" "unix_socket_directories = '$work/sock'" "port = $2" \
        "shared_buffers = 16MB" "max_wal_size = 64MB" "checkpoint_timeout = 1h" >>"$1/postgresql.auto.conf"
}
settings "$data" $port
servers+=("$data")
as "$bin/pg_ctl" -D "$data" -l "$work/sock/first.log" -w start >"$work/out" 2>&1 || fail "start"
sql() { # sql PORT STATEMENT
    psql -X -q -A -t -h "$work/sock" -p "$1" -U postgres -d postgres -v ON_ERROR_STOP=1 -c "$2"
}
sql $port "CREATE TABLE rows (id int PRIMARY KEY, pad text DEFAULT repeat('x', 500))"

# writer MODE: its file.
writer() {
    cat >"$lab/writers.d/postgresql.conf" <<END
[writer]
program = $work/postgresql-writer
user = postgres
level = back-end
[environment]
MODE = $1
PGHOST = $work/sock
PGPORT = $port
PGDATA = $data
STOP = $bin/pg_ctl -D $data -m fast -w stop
START = $bin/pg_ctl -D $data -l $work/sock/first.log -w start
END
}
writer checkpoint
"$lunshadow" writers --json >"$work/out" || fail "the writer is not understood"
grep -q '"name": "PostgreSQL"' "$work/out" || fail "no PostgreSQL"
instance=$(grep -o '"instance": "[^"]*"' "$work/out")

# One session writes a row after the other and notes each that the server has acknowledged.
: >"$work/acknowledged"
: >"$work/go"
(
    i=0
    while [ -e "$work/go" ]; do
        i=$((i + 1))
        printf "INSERT INTO rows VALUES (%d) RETURNING id;\n" "$i"
        # the answers set the pace
        while [ $((i - $(wc -l <"$work/acknowledged"))) -gt 50 ]; do
            sleep 0.01
        done
    done | psql -X -q -A -t -h "$work/sock" -p $port -U postgres -d postgres >>"$work/acknowledged"
) &
loader=$!

copies() { find "$lab/disks" -type f ! -name 'lun[12].img'; }
# check_copy NAME LEAST MOST: a second server from the copies has the rows 1..n for some LEAST <= n <= MOST.
check_copy() {
    local name=$1 copy label last second=$work/$1-data/pg
    for copy in $(copies); do
        label=$(blkid -p -o value -s LABEL "$copy")
        cp --sparse=always "$copy" "$work/$name.${label#lun-}" # the copy itself stays as it was cut
        mount_image "$work/$name.${label#lun-}" "$work/$name-${label#lun-}"
    done
    ln -sfn "$work/$name-wal/pg" "$second/pg_wal"
    rm -f "$second/postmaster.pid"
    settings "$second" $((port + 1))
    servers+=("$second")
    as "$bin/pg_ctl" -D "$second" -l "$work/sock/$name.log" -w start >"$work/out" 2>&1 || fail "$name: no start"
    last=$(sql $((port + 1)) "SELECT coalesce(max(id), 0) FROM rows")
    [ "$(sql $((port + 1)) "SELECT count(*) FROM rows")" -eq "$last" ] || fail "$name: rows are missing in between"
    [ "$last" -ge "$2" ] || fail "$name: row $2 was acknowledged before the set; the copy ends at $last"
    [ "$last" -le "$3" ] || fail "$name: the copy has $last rows, $3 were written"
    if [ -x "$bin/pg_amcheck" ]; then
        as "$bin/pg_amcheck" -h "$work/sock" -p $((port + 1)) --install-missing --heapallindexed postgres \
            >"$work/out" 2>&1 || fail "$name: pg_amcheck"
    fi
    stop_server "$second" fast || fail "$name: no end"
    echo "$name: $2 rows acknowledged before the set, $last in the copy"
}
# await_rows COUNT: as many more, however slowly they come.
await_rows() {
    local rows wanted last=-1 still_since=$SECONDS
    rows=$(wc -l <"$work/acknowledged")
    wanted=$((rows + $1))
    while [ "$rows" -lt "$wanted" ]; do
        [ "$rows" -eq "$last" ] || still_since=$SECONDS
        [ $((SECONDS - still_since)) -lt 30 ] || fail "the load stands still"
        last=$rows
        sleep 0.02
        rows=$(wc -l <"$work/acknowledged")
    done
}
for mode in checkpoint backup; do
    writer $mode
    await_rows 200
    least=$(wc -l <"$work/acknowledged")
    "$lunshadow" create --transportable -o "$work/$mode.xml" "${luns[@]}" >"$work/out" 2>"$work/err" ||
        fail "create, $mode"
    most=$(($(wc -l <"$work/acknowledged") + 51))
    set=$(awk '$1 == "Set" { print $2 }' "$work/out")
    check_copy "$mode" "$least" "$most"
    "$lunshadow" delete "$set" >/dev/null
done
! grep -q 'BACKUP_METADATA' "$work/checkpoint.xml" || fail "a label without backup mode"
grep -q '<BACKUP_METADATA metadata="START WAL LOCATION: ' "$work/backup.xml" || fail "the document has no backup_label"
grep -qE 'backupStamp="[0-9A-F]+/[0-9A-F]+"' "$work/backup.xml" || fail "the document has no end of the backup"
[ "$instance" = "$("$lunshadow" writers --json | grep -o '"instance": "[^"]*"')" ] || fail "another instance id"

# ---- by hand: a label in backup mode; a session that dies ends it; a restore stops and starts the server ----
coproc WRITER {
    exec env MODE=backup PGHOST="$work/sock" PGPORT=$port PGDATA="$data" PGUSER=postgres \
        STOP="$bin/pg_ctl -D $data -m fast -w stop" \
        START="$bin/pg_ctl -D $data -l $work/sock/first.log -w start" \
        runuser -u postgres -- "$work/postgresql-writer"
}
number=0
ask() { # ask EVENT: lines up to the answer, in $work/out
    number=$((number + 1))
    echo "$1 $number" >&"${WRITER[1]}"
    : >"$work/out"
    local line
    while read -r -t 60 line <&"${WRITER[0]}"; do
        echo "$line" >>"$work/out"
        case $line in
        "ok $number" | "failed $number "*) break ;;
        esac
    done
    tail -n 1 "$work/out" | grep -q "^${2:-ok} $number" || fail "$1"
}
sessions() { sql $port "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'lunshadow'"; }
# The server ends a session some time after it was told to.
await_no_session() {
    for _ in $(seq 3000); do
        [ "$(sessions)" -ne 0 ] || return 0
        sleep 0.02
    done
    fail "in backup mode after an abort"
}
ask prepare-backup
ask prepare-snapshot
ask freeze
ask thaw
grep -q '^backup-metadata file-group - cluster START%20WAL%20LOCATION' "$work/out" || fail "no backup_label"
grep -qE '^backup-stamp file-group - cluster [0-9A-F]+/[0-9A-F]+$' "$work/out" || fail "no end of the backup"
ask freeze
ask prepare-snapshot
ask abort
await_no_session
ask freeze failed
ask prepare-backup
ask prepare-snapshot
rm "$work/go"
wait "$loader"
loader=
sql $port "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'lunshadow'" >/dev/null
ask freeze failed # its backup mode ended with the session
ask pre-restore
! "$bin/pg_isready" -q -h "$work/sock" -p $port || fail "the server runs on data that are about to be overwritten"
ask identify # from the files: a restore may find no server
grep -q "${instance#*: }" <(sed "s/.*instanceId=\(\"[^\"]*\"\).*/\1/" "$work/out") || fail "another identity from files"
ask post-restore
"$bin/pg_isready" -q -h "$work/sock" -p $port || fail "the server was not started again"
pid=$WRITER_PID
# A server that has no such backup mode: this one, said to be of version 14.
if command -v cc >/dev/null; then
    echo 'int PQserverVersion(const void *c) { (void)c; return 140011; }' >"$work/old.c"
    cc -shared -fPIC -o "$work/old.so" "$work/old.c"
    chmod 755 "$work/old.so"
    first=$(ldd "$program" | awk '$1 ~ /^lib[a-z]*san\./ { print $3 }' | tr '\n' ' ') # a sanitizer's must be the first
    for mode in backup checkpoint; do
        printf 'prepare-backup 1\nprepare-snapshot 2\n' |
            runuser -u postgres -- env LD_PRELOAD="$first$work/old.so" MODE=$mode PGHOST="$work/sock" PGPORT=$port \
                "$work/postgresql-writer" >"$work/$mode.out"
    done
    [ "$(grep -c '^failed . non-retryable .*PostgreSQL%2015\|^failed . non-retryable .*PostgreSQL 15' "$work/backup.out")" -eq 2 ] ||
        fail "backup mode with a server that has none: $(cat "$work/backup.out")"
    [ "$(grep -c '^ok' "$work/checkpoint.out")" -eq 2 ] || fail "no checkpoint of an old server"
fi
eval "exec ${WRITER[1]}>&-"
wait "$pid" || true
[ "$(sql $port 'SELECT count(*) FROM rows')" -eq "$(wc -l <"$work/acknowledged")" ] || fail "rows went missing"
echo "all well"
