#!/bin/sh
# test_backup.sh PROGRAM - what keeps stores and libraries safe: verify, backup, restore, repair, export, import.
# shellcheck disable=SC2016,SC2154 # programs for sh -c are in single quotes on purpose; support.sh sets what is used
# shellcheck source=tests/cli/support.sh
. "$(dirname "$0")/support.sh"

# lines FIRST LAST TIME: marks as `export` writes them.
lines() {
    awk -v first="$1" -v last="$2" -v time="$3" -v d="$D" -v p="$P" 'BEGIN {
        for (i = first; i <= last; i++)
            printf "{\"device\":\"%s\",\"peer\":\"%s\",\"resource\":\"r%03d\",\"watermark\":\"%s\",\"updated_at\":\"2010-01-01T00:00:00.000000000Z\",\"epoch\":null}\n", d, p, i, time
    }'
}

# spoil FILE TEXT BYTE: puts a byte over the last one of every place that has the text.
spoil() {
    # shellcheck disable=SC2013 # numbers
    for at in $(grep -obUaF -- "$2" "$1" | cut -d: -f1); do
        printf '%s' "$3" | dd of="$1" bs=1 seek=$((at + ${#2} - 1)) conv=notrunc 2>/dev/null
    done
}

T1=2010-01-01T00:00:00.000000000Z
T2=2011-01-01T00:00:00.000000000Z

# ---- export and import -----------------------------------------------------------------------------------

lines 1 300 $T1 >marks.jsonl
expect 'an import makes a store' 0 'added 300, raised 0, equal 0, kept 0' '' tidemark import a.mdb marks.jsonl
expect 'the same again, from standard input' 0 '{"answer":"ok","added":"0","raised":"0","equal":"300","kept":"0"}' '' \
    sh -c '"$0" import a.mdb --json <marks.jsonl' "$program"
expect 'an export has all of it' 0 '' '' \
    sh -c '"$0" export a.mdb | sed "s/\"updated_at\":\"[^\"]*\"/\"updated_at\":\"2010-01-01T00:00:00.000000000Z\"/" | cmp - marks.jsonl' "$program"
expect 'and what it says can be imported' 0 'added 300, raised 0, equal 0, kept 0' '' \
    sh -c '"$0" export a.mdb | "$0" import b.mdb -' "$program"
lines 299 301 $T2 >newer.jsonl
lines 1 1 2009-01-01T00:00:00Z >>newer.jsonl
expect 'a mark is raised and never lowered' 0 'added 1, raised 2, equal 0, kept 1' '' tidemark import b.mdb newer.jsonl
expect 'it stands where it stood' 0 "$T1" '' tidemark get b.mdb "$D" "$P" r001

{
    cat marks.jsonl
    echo '{"device":"x"}'
} >bad.jsonl
expect 'one bad line, and nothing is imported' 5 '' 'tidemark: import: bad.jsonl: line 301: peer: missing' \
    tidemark import new.mdb bad.jsonl
expect 'not even a store' 1 '' '' test -e new.mdb
while IFS='|' read -r name line reason; do
    printf '%s' "$line" >bad.jsonl
    expect "bad: $name" 5 '' "tidemark: import: bad.jsonl: line 1: $reason" tidemark import new.mdb bad.jsonl
done <<END
no JSON|x|'[' or '{' expected near 'x'
no object|[]|not an object
half a line|{"device":"$D",|string or '}' expected near end of file
a number|{"device":1}|device: not a string
a device|{"device":"x","peer":"$P","resource":"r","watermark":"$T1","updated_at":"$T1","epoch":null}|device 'x': not a UUID
a time|{"device":"$D","peer":"$P","resource":"r","watermark":"now","updated_at":"$T1","epoch":null}|watermark 'now': not an RFC 3339 time
no time|{"device":"$D","peer":"$P","resource":"r","watermark":null,"updated_at":"$T1","epoch":null}|watermark: not a string
one member more|{"device":"$D","peer":"$P","resource":"r","watermark":"$T1","updated_at":"$T1","epoch":null,"x":1}|a member that no mark has
one member twice|{"device":"$D","device":"$D"}|duplicate object key near '"device"'
END
cat marks.jsonl newer.jsonl >twice.jsonl
expect 'a mark twice' 5 '' 'tidemark: import: twice.jsonl: named twice: <D> <P> r001' tidemark import new.mdb twice.jsonl
expect 'no file' 3 '' 'tidemark: import: missing: No such file or directory' tidemark import new.mdb missing
expect 'no store' 3 '' 'tidemark: export: missing: no such file or folder (FOLDER/missing: No such file or directory)' \
    tidemark export missing
expect 'still nothing' 1 '' '' test -e new.mdb

if command -v sqlite3 >/dev/null 2>&1; then
    sqlite3 sync.db "CREATE TABLE device_resource_watermarks (device_uuid TEXT NOT NULL, peer_device_uuid TEXT NOT NULL,
        resource_type TEXT NOT NULL, last_watermark TEXT NOT NULL, updated_at TEXT NOT NULL,
        PRIMARY KEY (device_uuid, peer_device_uuid, resource_type));
        INSERT INTO device_resource_watermarks VALUES ('$D', '$P', 'entry', '2011-01-01T01:00:00+01:00', 'x'),
        ('$D', '$P', 'r001', '2009-01-01T00:00:00Z', 'x')"
    expect 'from the database of another program' 0 'added 1, raised 0, equal 0, kept 1' '' tidemark import b.mdb sync.db
    expect 'its times are instants' 0 "$T2" '' tidemark get b.mdb "$D" "$P" entry
    sqlite3 sync.db "CREATE TABLE device_resource_watermark_epochs (device_uuid TEXT NOT NULL, peer_device_uuid TEXT NOT NULL,
        resource_type TEXT NOT NULL, epoch TEXT NOT NULL);
        INSERT INTO device_resource_watermark_epochs VALUES ('$D', '$P', 'entry', '$T1')"
    expect 'with epochs' 0 'added 2, raised 0, equal 0, kept 0' '' tidemark import new.mdb sync.db
    expect 'which are kept' 0 "\"epoch\":\"$T1\"" '' \
        sh -c '"$0" get new.mdb "$1" "$2" entry --json | grep -o "\"epoch\":\"[^\"]*\""' "$program" "$D" "$P"
    rm -f new.mdb new.mdb-lock
    sqlite3 sync.db "UPDATE device_resource_watermarks SET last_watermark = 'soon' WHERE resource_type = 'entry'"
    expect 'a bad row' 5 '' "tidemark: import: sync.db: row 1: watermark 'soon': not an RFC 3339 time" \
        tidemark import new.mdb sync.db
    sqlite3 other.db 'CREATE TABLE t (a)'
    expect 'another database' 5 '' 'tidemark: import: other.db: no such table: device_resource_watermarks' \
        tidemark import new.mdb other.db
    expect 'nothing was made of them' 1 '' '' test -e new.mdb
else
    skip 'import of a SQLite database: no sqlite3'
fi

# ---- verify and backup -----------------------------------------------------------------------------------

expect 'a sound store' 0 'sound' '' tidemark verify a.mdb
expect 'as JSON' 0 '{"type":"verify","sound":true,"findings":"0"}' '' tidemark verify a.mdb --json
expect 'nothing to verify' 3 '' 'tidemark: verify: missing: No such file or directory' tidemark verify missing
expect 'no store' 5 'marks.jsonl: not an LMDB file' \
    'tidemark: verify: marks.jsonl: not a file of this kind, or of another format version: 1 finding' \
    tidemark verify marks.jsonl
expect 'rows are compared of libraries only' 2 '' \
    'tidemark: verify: a.mdb: not a library; --against compares libraries' tidemark verify a.mdb --against a.mdb
expect 'a backup' 0 'ok' '' tidemark backup a.mdb backup.mdb
expect 'is sound' 0 'sound' '' tidemark verify backup.mdb
expect 'and the same' 0 '' '' sh -c '"$0" export a.mdb >1 && "$0" export backup.mdb | cmp - 1' "$program"
expect 'never over a file' 1 '' 'tidemark: backup: backup.mdb: is there already' tidemark backup a.mdb backup.mdb
expect 'unless told' 0 '{"answer":"ok"}' '' tidemark backup b.mdb backup.mdb --replace --json
expect 'no folder' 3 '' 'tidemark: backup: a.mdb: no such file or folder (no: No such file or directory)' \
    tidemark backup a.mdb no/where
expect 'nothing to back up' 3 '' 'tidemark: backup: missing: no such file or folder (FOLDER/missing: No such file or directory)' \
    tidemark backup missing new.mdb
expect 'no litter' 1 '' '' sh -c 'ls | grep "[.]new-"'

# ---- restore ---------------------------------------------------------------------------------------------

mkfifo in out
tidemark shell a.mdb <in >out &
exec 3>in 4<out
echo ls >&3
read -r answer <&4 && [ "$answer" ] || failures=$((failures + 1)) # it is open now
expect 'not while somebody has it open' 4 '' 'tidemark: restore: FOLDER/a.mdb: another program has it open' \
    tidemark restore backup.mdb a.mdb
expect 'nor from a store that is in use' 4 '' 'tidemark: restore: FOLDER/a.mdb: another program has it open' \
    tidemark restore a.mdb b.mdb
exec 3>&- 4<&-
wait
expect 'a restore' 0 'ok' 'tidemark: restore: a.mdb: kept as FOLDER/a.mdb.replaced-NOW' tidemark restore backup.mdb a.mdb
expect 'is what was backed up' 0 '' '' sh -c '"$0" export a.mdb >1 && "$0" export backup.mdb | cmp - 1' "$program"
expect 'what was there is there' 0 'sound' '' sh -c '"$0" verify a.mdb.replaced-*' "$program"
expect 'where nothing was' 0 'ok' '' tidemark restore backup.mdb c.mdb
cp backup.mdb spoilt.mdb
spoil spoilt.mdb "|r100$T1" x
spoil spoilt.mdb "|r200$T1" x
expect 'not from a damaged one' 5 '' "tidemark: restore: spoilt.mdb: page N: a damaged mark: <D>|<P>|r100; and 1 more: see 'tidemark verify'" \
    sh -c '"$0" restore spoilt.mdb c.mdb 2>err; rc=$?; sed "s/page [0-9]*/page N/" err >&2; exit $rc' "$program"
expect 'a file is no folder' 2 '' 'tidemark: restore: .: is a library, and backup.mdb a store' tidemark restore backup.mdb .

# ---- repair ----------------------------------------------------------------------------------------------

expect 'nothing to repair' 0 'c.mdb: all 302 marks of its last commit
c.mdb.repaired: is sound, and has 302 marks' '' tidemark repair c.mdb
expect 'not over what is there' 1 'c.mdb: all 302 marks of its last commit' \
    'tidemark: repair: c.mdb.repaired: is there already' \
    sh -c '"$0" repair c.mdb >out.txt; rc=$?; echo "c.mdb: all 302 marks of its last commit"; exit $rc' "$program"
rm c.mdb.repaired
for time in 2012 2013; do # two commits that share the page that is spoilt
    tidemark advance c.mdb "$D" "$P" entry $time-01-01T00:00:00Z >/dev/null
done
spoil c.mdb "|r250$T1" x
cp c.mdb damaged
expect 'a damaged store' 5 'c.mdb: page N: a damaged mark: <D>|<P>|r250
c.mdb: the commit before the last, N: page N: a damaged mark: <D>|<P>|r250' 'tidemark: verify: c.mdb: damaged data: 2 findings' \
    sh -c '"$0" verify c.mdb >out.txt; rc=$?; sed "s/page [0-9]*/page N/; s/last, [0-9]*/last, N/" out.txt; exit $rc' "$program"
expect 'is repaired beside it' 0 'c.mdb: page N: a damaged mark: <D>|<P>|r250
c.mdb: the commit before the last, N: page N: a damaged mark: <D>|<P>|r250
c.mdb: 301 marks from its pages, 1 of 302 are lost
c.mdb.repaired: is sound, and has 301 marks' '' \
    sh -c '"$0" repair c.mdb >out.txt; rc=$?; sed "s/page [0-9]*/page N/; s/last, [0-9]*/last, N/" out.txt; exit $rc' "$program"
expect 'and untouched' 0 '' '' cmp c.mdb damaged
rm c.mdb.repaired
expect 'or in its place' 0 \
    '{"type":"repair","store":"c.mdb","from":"pages","marks":"301","recorded":"302","lost":"1","older":"0"}' '' \
    sh -c '"$0" repair c.mdb --in-place --json >out.txt; rc=$?; tail -n 1 out.txt; exit $rc' "$program"
expect 'it is kept' 0 '' '' sh -c 'cmp damaged c.mdb.replaced-*'
expect 'only the damaged mark is gone' 1 'absent' '' tidemark get c.mdb "$D" "$P" r250
expect 'no other' 0 '2013-01-01T00:00:00.000000000Z' '' tidemark get c.mdb "$D" "$P" entry
expect 'nothing is left over' 1 '' '' test -e c.mdb.repaired
expect 'what is no store at all' 5 'marks.jsonl: not an LMDB file
marks.jsonl: nothing in it looks like a store' 'tidemark: repair: marks.jsonl: nothing in it looks like a store' \
    tidemark repair marks.jsonl
expect 'leaves nothing' 1 '' '' test -e marks.jsonl.repaired

# ---- libraries -------------------------------------------------------------------------------------------

mkdir files
echo 1 >files/one
tidemark init --name one one >/dev/null
tidemark index one files >/dev/null
tidemark sync one two >/dev/null 2>&1
expect 'a library' 0 'sound' '' tidemark verify one
expect 'a backup of one' 0 'ok' '' tidemark backup one one.backup
expect 'is two files' 0 'database.db
sync.mdb' '' ls one.backup
expect 'both sound' 0 'sound' '' tidemark verify one.backup
expect 'and still two files' 0 'database.db
sync.mdb' '' ls one.backup
expect 'never over a folder' 1 '' 'tidemark: backup: one.backup: is there already' tidemark backup one one.backup
expect 'whatever is said' 2 '' 'tidemark: backup: --replace: not for a library; name a new folder' \
    tidemark backup one one.backup --replace
echo 2 >files/two
tidemark index one files >/dev/null
tidemark sync one two >/dev/null 2>&1
expect 'a restore of one' 0 'ok' 'tidemark: restore: one/sync.mdb: kept as FOLDER/one/sync.mdb.replaced-NOW
tidemark: restore: one/database.db: kept as one/database.db.replaced-NOW' tidemark restore one.backup one
expect 'goes back' 5 '' 'tidemark: verify: one: has other rows than two: entry' \
    sh -c '"$0" verify one --against two >/dev/null' "$program"
expect 'which is noticed' 0 "tidemark: sync: one: A peer has seen more of this device than is here: everything is read again.
tidemark: sync: one: Everything has been read again." '' \
    sh -c '"$0" sync one two 2>&1 >/dev/null | sort -u' "$program"
expect 'and heals' 0 '' '' sh -c '"$0" verify one --against two >/dev/null' "$program"
expect 'no litter' 1 '' '' sh -c 'ls one | grep "[.]new-"'
expect 'a library where none was' 0 'ok' '' tidemark restore one.backup three
expect 'is one' 0 'sound' '' tidemark verify three
expect 'not while it is open' 4 '' 'tidemark: restore: FOLDER/three/sync.mdb: another program has it open' \
    sh -c 'mkfifo lin lout; "$0" shell three/sync.mdb <lin >lout & exec 3>lin 4<lout; echo stat >&3; read -r answer <&4
        "$0" restore one.backup three; rc=$?; exec 3>&- 4<&-; wait; exit $rc' "$program"
if command -v sqlite3 >/dev/null 2>&1; then
    expect 'nor while its rows are' 4 '' 'tidemark: restore: three/database.db: another program has it open' \
        sh -c 'mkfifo din dout; sqlite3 three/database.db <din >dout & exec 3>din 4<dout; echo "SELECT count(*) FROM devices;" >&3; read -r answer <&4
        "$0" restore one.backup three; rc=$?; exec 3>&- 4<&-; wait; exit $rc' "$program"
fi
dd if=/dev/zero of=one.backup/database.db bs=4096 seek=2 count=3 conv=notrunc 2>/dev/null
before=$(ls three)
expect 'damaged rows' 5 '' '' sh -c '"$0" verify one.backup >/dev/null 2>&1' "$program"
expect 'are not restored' 5 '' '' sh -c '"$0" restore one.backup three >/dev/null 2>&1' "$program"
expect 'and change nothing' 0 "$before" '' ls three

echo "$cases cases, $failures failed"
[ "$failures" -eq 0 ]
