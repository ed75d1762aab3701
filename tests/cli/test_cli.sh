#!/bin/sh
# test_cli.sh PROGRAM - what the program `tidemark` prints and answers, command by command.
#
# Each case names what it expects: exit code, all of stdout, all of stderr. What differs from run to run is
# masked: UUIDs that the program made (UUID), times from 2020 on (NOW), ages (AGE), measurements (N). The
# marks of the cases lie before 2020, so they are compared exactly. Works in a folder of its own, sleeps
# nowhere, and tells every case that fails.
# shellcheck disable=SC2016 # programs for sh -c and patterns are in single quotes on purpose
# shellcheck source=tests/cli/support.sh
. "$(dirname "$0")/support.sh"

# ---- the command line --------------------------------------------------------------------------------

expect 'no command' 2 '' "tidemark: no command; see 'tidemark help'" tidemark
expect 'the version' 0 'tidemark 0.1.0' '' tidemark --version
expect 'an option without a command' 2 '' \
    "tidemark: --json: no command with it; see 'tidemark help'" tidemark --json
expect 'a mistyped option without a command' 2 '' \
    "tidemark: --verison: no such option; did you mean '--version'?" tidemark --verison
expect 'a mistyped command' 2 '' \
    "tidemark: idnex: no such command; did you mean 'index'?" tidemark idnex a b
expect 'a command like no other' 2 '' \
    "tidemark: frobnicate: no such command; see 'tidemark help'" tidemark frobnicate
expect 'help for a mistyped command' 2 '' \
    "tidemark: help: statsu: no such command; did you mean 'status'?" tidemark help statsu
expect 'help for a command' 0 'Usage: tidemark rm STORE DEVICE PEER [RESOURCE] [OPTION]...
Removes a device'\''s marks about a peer.

Options:
  --yes                   do not ask
  --json                  answer in JSON Lines
  --progress              show progress, also where stderr is no terminal
  --no-progress           show no progress
  --help                  show this help' '' tidemark help rm
tidemark help rm >help.txt
expect '--help is help' 0 "$(cat help.txt)" '' tidemark rm --help
tidemark help >help.txt
expect '--help without a command is help' 0 "$(cat help.txt)" '' tidemark --help
for command in init index sync status watch verify peers prune accept backup restore repair export import ls get advance set rm stat shell help; do
    expect "$command has help" 0 "$(tidemark "$command" --help)" '' tidemark help "$command"
    expect "$command is in the overview" 0 1 '' grep -c "^  $command " help.txt
done
expect 'a mistyped option' 2 '' \
    "tidemark: ls: --devcie: no such option; did you mean '--device'?" tidemark ls s --devcie "$D"
expect 'an option like no other' 2 '' \
    "tidemark: ls: --frobnicate: no such option; see 'tidemark help ls'" tidemark ls s --frobnicate
expect 'a short option' 2 '' "tidemark: ls: -x: no such option; see 'tidemark help ls'" \
    tidemark ls -x s
expect 'a beginning of two options' 2 '' 'tidemark: sync: --p: begins more than one option' \
    tidemark sync a b --p
expect 'an option without its value' 2 '' 'tidemark: ls: --device: needs a value' \
    tidemark ls s --device
expect 'a value for a flag' 2 '' 'tidemark: ls: --json: takes no value' tidemark ls s --json=yes
expect 'an operand too many' 2 '' "tidemark: ls: 'more': too many operands" tidemark ls s more
expect 'the first of many operands too many' 2 '' "tidemark: ls: 'a': too many operands" \
    tidemark ls s a b c d e f g h i j
expect 'a word that was cut short' 2 '' \
    "tidemark: statu: no such command; did you mean 'status'?" tidemark statu
expect 'a word with most letters another' 2 '' \
    "tidemark: lsit: no such command; see 'tidemark help'" tidemark lsit
expect 'an empty operand' 2 '' "tidemark: ls: '': an operand is empty" tidemark ls ''
expect 'a missing operand' 2 '' "tidemark: get: PEER: missing; see 'tidemark help get'" \
    tidemark get s "$D"

# ---- malformed values: refused before anything is made -------------------------------------------------

T=2001-02-03T04:05:06Z
expect 'a malformed device' 2 '' "tidemark: get: DEVICE 'x': not a UUID" \
    tidemark get s x "$P" entry
expect 'a malformed peer' 2 '' "tidemark: get: PEER '<D>0': not a UUID" \
    tidemark get s "$D" "${D}0" entry
expect 'a malformed device as an option' 2 '' "tidemark: ls: --device 'x': not a UUID" \
    tidemark ls s --device x
expect 'a resource with a bar' 2 '' \
    "tidemark: advance: RESOURCE 'a|b': has '|' or a control character" \
    tidemark advance s "$D" "$P" 'a|b' $T
expect 'a resource that is not UTF-8' 2 '' \
    "tidemark: advance: RESOURCE '$(printf 'a\377')': not valid UTF-8" \
    tidemark advance s "$D" "$P" "$(printf 'a\377')" $T
long=$(printf '%0438d' 0)
expect 'a resource of 438 bytes' 2 '' \
    "tidemark: advance: RESOURCE '$(printf '%060d' 0)': not 1 to 437 bytes long" \
    tidemark advance s "$D" "$P" "$long" $T
expect 'a malformed time' 2 '' \
    "tidemark: advance: TIME '2001-02-30T00:00:00Z': not an RFC 3339 time" \
    tidemark advance s "$D" "$P" entry 2001-02-30T00:00:00Z
expect 'none where a time has to be' 2 '' \
    "tidemark: advance: TIME 'none': not an RFC 3339 time" tidemark advance s "$D" "$P" entry none
expect 'a time out of range' 2 '' \
    "tidemark: advance: TIME '1600-01-01T00:00:00Z': time outside the years 1677 to 2262" \
    tidemark advance s "$D" "$P" entry 1600-01-01T00:00:00Z
expect 'a malformed --after' 2 '' \
    "tidemark: advance: --after 'x': not an RFC 3339 time or 'none'" \
    tidemark advance s "$D" "$P" entry $T --after x
expect 'an --after that is not before' 2 '' "tidemark: advance: --after '$T': not before TIME" \
    tidemark advance s "$D" "$P" entry $T --after $T
expect 'set without --expect' 2 '' "tidemark: set: --expect: missing; see 'tidemark help set'" \
    tidemark set s "$D" "$P" entry $T
expect 'a malformed number' 2 '' "tidemark: sync: --loss '-1': not a number from 0 to 900000" \
    tidemark sync a b --loss -1
expect 'a number that is too large' 2 '' \
    "tidemark: sync: --page-rows '65537': not a number from 1 to 65536" \
    tidemark sync a b --page-rows 65537
expect 'a number with more behind it' 2 '' \
    "tidemark: sync: --seed '1x': not a number from 0 to 18446744073709551615" \
    tidemark sync a b --seed 1x
expect 'no store was made' 1 '' '' test -e s

# ---- marks ----------------------------------------------------------------------------------------------

for command in ls stat; do
    expect "$command makes no store" 3 '' \
        "tidemark: $command: s: no such file or folder (FOLDER/s: No such file or directory)" \
        tidemark "$command" s
done
expect 'get makes no store' 3 '' \
    'tidemark: get: s: no such file or folder (FOLDER/s: No such file or directory)' \
    tidemark get s "$D" "$P" entry
expect 'rm makes no store' 3 '' \
    'tidemark: rm: s: no such file or folder (FOLDER/s: No such file or directory)' \
    tidemark rm s "$D" "$P" --yes
expect 'still no store was made' 1 '' '' test -e s
expect 'a folder that is missing' 3 '' \
    'tidemark: advance: no/s: no such file or folder (no: No such file or directory)' \
    tidemark advance no/s "$D" "$P" entry $T

expect 'advance' 0 ok '' tidemark advance s "$D" "$P" entry $T
expect 'advance to the same' 1 stale '' tidemark advance s "$D" "$P" entry $T
expect 'get' 0 2001-02-03T04:05:06.000000000Z '' tidemark get s "$D" "$P" entry
expect 'a UUID in upper case' 0 2001-02-03T04:05:06.000000000Z '' \
    tidemark get s "$(echo "$D" | tr a A)" "$P" entry
expect 'get as JSON' 0 '{"device":"<D>","peer":"<P>","resource":"entry","watermark":"2001-02-03T04:05:06.000000000Z","updated_at":"NOW","epoch":null,"age_ns":AGE,"answer":"ok"}' '' \
    tidemark --json get s "$D" "$P" entry
expect 'get of what is not there' 1 absent '' tidemark get s "$D" "$P" volume
expect 'the same as JSON' 1 '{"answer":"absent"}' '' tidemark get s "$D" "$P" volume --json
expect 'a time with an offset and many digits' 0 ok '' \
    tidemark advance s "$D" "$P" entry '2001-02-03 06:05:06.12345678999+02:00'
expect 'it is rounded down' 0 2001-02-03T04:05:06.123456789Z '' tidemark get s "$D" "$P" entry
expect 'a range that leaves a gap' 1 gap '' \
    tidemark advance s "$D" "$P" entry 2003-01-01T00:00:00Z --after 2002-01-01T00:00:00Z
expect 'a range that joins on' 0 '{"answer":"ok"}' '' \
    tidemark advance --after $T --json s "$D" "$P" entry 2003-01-01T00:00:00Z
expect 'a range that is known' 1 stale '' \
    tidemark advance s "$D" "$P" entry 2002-01-01T00:00:00Z --after none
expect 'set to something else than expected' 1 conflict '' \
    tidemark set s "$D" "$P" entry $T --expect $T
expect 'set backward' 0 ok '' tidemark set s "$D" "$P" entry $T --expect 2003-01-01T00:00:00Z
expect 'set a new one' 0 ok '' tidemark set s "$E" "$P" 'my volume' $T --expect none
expect 'operands behind --' 0 ok '' \
    tidemark set --expect none -- s "$E" "$P" --odd $T
expect 'ls' 0 "<D> <P> entry          2001-02-03T04:05:06.000000000Z NOW AGE
<E> <P> --odd          2001-02-03T04:05:06.000000000Z NOW AGE
<E> <P> my volume      2001-02-03T04:05:06.000000000Z NOW AGE" '' tidemark ls s
expect 'ls of a device' 0 '<D> <P> entry          2001-02-03T04:05:06.000000000Z NOW AGE' '' \
    tidemark ls s --device "$D"
expect 'ls of a resource as JSON' 0 '{"device":"<E>","peer":"<P>","resource":"my volume","watermark":"2001-02-03T04:05:06.000000000Z","updated_at":"NOW","epoch":null,"age_ns":AGE}' '' \
    tidemark ls --json --resource 'my volume' s
expect 'ls of a peer that is not there' 0 '' '' tidemark ls s --peer "$D"
expect 'a mark in the future' 0 ok '' tidemark advance -- s "$E" "$P" --odd 2262-01-01T00:00:00Z
expect 'has an age below zero' 0 1 '' \
    sh -c '"$0" ls s --resource --odd | grep -c " -[0-9]*d[0-9][0-9]h$"' "$program"
expect 'rm without a terminal' 2 '' \
    'tidemark: rm: s: no terminal to ask on; give --yes to remove marks' tidemark rm s "$E" "$P"
expect 'rm of one mark' 0 'removed 1' '' tidemark rm s "$E" "$P" 'my volume' --yes
expect 'rm of one that is not there' 1 absent '' tidemark rm s "$E" "$P" 'my volume' --yes
expect 'rm of a peer' 0 '{"answer":"ok","removed":"1"}' '' tidemark rm --json --yes s "$E" "$P"
expect 'rm of a peer that is not there' 1 absent '' tidemark rm --yes s "$E" "$P"
expect 'remove by set' 0 ok '' tidemark set s "$D" "$P" entry none --expect $T
expect 'none is left' 0 '' '' tidemark ls s
expect 'stat' 0 'marks        0' '' sh -c '"$0" stat s | grep marks' "$program"
expect 'stat as JSON' 0 '"marks":"0","pending":"0"' '' \
    sh -c '"$0" stat s --json | grep -o "\"marks.*\"pending\":\"0\""' "$program"

if command -v script >/dev/null 2>&1; then
    tidemark advance s "$D" "$P" entry $T >/dev/null
    for answer in n y; do
        echo $answer | script -qec "'$program' rm s $D $P 2>&1; echo exit \$?" /dev/null |
            tr -d '\r' | sed -n 's/^.*\[y\/N\] *//; $p' >$answer.txt
    done
    expect 'asked and told no' 0 'exit 1' '' cat n.txt
    expect 'asked and told yes' 0 'exit 0' '' cat y.txt
    expect 'then it is gone' 1 absent '' tidemark get s "$D" "$P" entry
else
    skip 'rm on a terminal: no script(1)'
fi

# ---- the shell ------------------------------------------------------------------------------------------

input="# a comment

get $D $P entry
advance $D $P entry $T
  advance $D $P 'my res'\"ource\" $T
get $D $P \"my resource\"
ls --resource entry
advance $D $P entry $T
advance $D $P entry 2003-01-01T00:00:00Z --after 2002-01-01T00:00:00Z
set $D $P entry none --expect none
rm $D $P
rm $D $P entry --yes
rm $D $P --yes
rm $D $P --yes
gte $D
get $D
get $D $P entry --help
get '$D
quit
ls"
expect 'each line has one answer' 0 "absent
ok
ok
2001-02-03T04:05:06.000000000Z
"'[{"device":"<D>","peer":"<P>","resource":"entry","watermark":"2001-02-03T04:05:06.000000000Z","updated_at":"NOW","epoch":null,"age_ns":AGE}]'"
stale
gap
conflict
error rm: --yes: missing; rm does not ask in the shell
removed 1
removed 1
absent
error gte: no such command; did you mean 'get'?
error get: PEER: missing; see 'tidemark help get'
error get: --help: not in the shell; see 'tidemark help get'
error a quotation mark has no second one" '' tidemark shell s
input="get $D $P entry
nothing
ls"
expect 'the shell in JSON' 0 '{"answer":"absent"}
{"answer":"error","exit":2,"command":null,"message":"nothing: no such command"}
[]' '' tidemark shell new --json
expect 'the shell has made a store' 0 '' '' tidemark ls new
input="quit now
init x
statu
satt
$(printf '%5000s' '')
$(printf '%5000s' '')# a comment
$(printf '%5000s' '')get $D $P entry"
expect 'words that are no commands, and long blanks' 0 "error quit: 'now': too many operands
error init: not in the shell
error statu: no such command; did you mean 'stat'?
error satt: no such command; did you mean 'stat'?
absent" '' tidemark shell s
input="$(printf '%05000d' 0)
stat"
expect 'a line that is too long, and one after it' 0 'error the line is longer than 4096 bytes
1' '' sh -c '"$0" shell s | sed "s/{.*\"marks\":\"0\".*}/1/"' "$program"

# ---- files that are no stores, outputs that take nothing -------------------------------------------------

echo 'this is no store' >junk
expect 'a file of another kind' 5 '' \
    'tidemark: ls: junk: not a file of this kind, or of another format version (FOLDER/junk: too short for a store)' \
    tidemark ls junk
expect 'it is left as it is' 0 'this is no store' '' cat junk
if [ -w /dev/full ]; then
    expect 'a full disk behind stdout' 3 '' \
        'tidemark: stat: standard output: No space left on device' \
        sh -c '"$0" stat s >/dev/full' "$program"
    input='ls'
    expect 'the same for the shell' 3 '' \
        'tidemark: shell: standard output: No space left on device' \
        sh -c '"$0" shell s >/dev/full' "$program"
    expect 'a change that cannot be told' 3 '' \
        'tidemark: advance: standard output: No space left on device' \
        sh -c '"$0" advance s "$1" "$2" entry 2001-02-03T04:05:06Z >/dev/full' "$program" "$D" "$P"
    expect 'is done' 0 'removed 1' '' tidemark rm s "$D" "$P" --yes
else
    skip 'a full disk: no /dev/full'
fi
expect 'a closed stdout' 3 '' 'tidemark: stat: standard output: Bad file descriptor' \
    sh -c '"$0" stat s >&-' "$program"

# ---- libraries ------------------------------------------------------------------------------------------

mkdir dir dir/sub dir/sub/deeper
echo one >dir/file
echo two >dir/sub/file
echo three >dir/sub/deeper/file
ln -s /nowhere dir/link
expect 'a library that is not there' 3 '' \
    'tidemark: status: lib: No such file or directory' tidemark status lib
expect 'init' 0 'library  UUID
device   UUID' '' tidemark init lib --name laptop
expect 'init of a library' 1 '' 'tidemark: init: lib: is a library already' tidemark init lib
expect 'a folder that is no library' 5 '' \
    'tidemark: index: dir: not a library: it has no database.db' tidemark index dir dir
expect 'a file that is no library' 5 '' \
    'tidemark: status: junk: not a library: it is no folder' tidemark status junk
expect 'a file that cannot become one' 5 '' \
    'tidemark: init: junk: not a library: it is no folder' tidemark init junk
mkdir empty
: >empty/database.db
expect 'an empty database' 5 '' \
    'tidemark: status: empty: not a library: its database.db is empty' tidemark status empty
expect 'a library to join that is none' 5 '' \
    'tidemark: init: dir: not a library: it has no database.db' tidemark init newlib --join dir
expect 'nothing was made' 1 '' '' test -e newlib
expect 'index of what is not there' 3 '' 'tidemark: index: no: No such file or directory' \
    tidemark index lib no
expect 'index of a file' 3 '' 'tidemark: index: junk: Not a directory' tidemark index lib junk
expect 'the first index' 0 'location UUID FOLDER/dir
6 new, 0 changed, 0 gone, 0 unchanged
N seconds, N rows/s' '' tidemark index lib dir
expect 'the second index, by another path' 0 'location UUID FOLDER/dir
0 new, 0 changed, 0 gone, 6 unchanged
N seconds, N rows/s' '' tidemark index ./lib dir/sub/..
echo 'now longer' >>dir/file
rm dir/link
mkdir dir/link # of another kind; and dir itself is no entry
rm -r dir/sub/deeper # two are gone, and the folder above has changed
: >"dir/link/new"
expect 'what is new, changed, and gone' 0 '{"location":"UUID","path":"FOLDER/dir","created":false,"new":"1","changed":"3","gone":"2","unchanged":"1","unreadable":"0","kept":"0","escaped":"0","foreign":"0","seconds":N}' '' \
    tidemark index lib dir --json
: >"$(printf 'dir/link/a\377b')" 2>/dev/null
if [ "$(find dir/link -type f | wc -l)" -eq 2 ]; then
    touch -d 2001-01-01 dir/link 2>/dev/null || touch -t 200101010000 dir/link
    expect 'a name that is not UTF-8' 0 'location UUID FOLDER/dir
1 new, 1 changed, 0 gone, 4 unchanged
N seconds, N rows/s' 'tidemark: index: FOLDER/dir: names that are not UTF-8 or look escaped, stored with bytes as \xNN: 1' \
        tidemark index lib dir
    expect 'is found again' 0 'location UUID FOLDER/dir
0 new, 0 changed, 0 gone, 6 unchanged
N seconds, N rows/s' 'tidemark: index: FOLDER/dir: names that are not UTF-8 or look escaped, stored with bytes as \xNN: 1' \
        tidemark index lib dir
    rm dir/link/a*
    tidemark index lib dir >/dev/null
else
    skip 'names that are not UTF-8: the file system has none'
fi

# Bytes that are no UTF-8 and names that look like their escapes, as names and as locations.
tidemark init odd >/dev/null
mkdir bytes 'bytes/\xFF' 'bytes/\xff' 'bytes/a\b' 2>/dev/null
if mkdir "bytes/$(printf '\377')" 2>/dev/null; then
    expect 'names that are told apart' 0 '4 new, 0 changed, 0 gone, 0 unchanged' \
        'tidemark: index: FOLDER/bytes: names that are not UTF-8 or look escaped, stored with bytes as \xNN: 2' \
        sh -c '"$0" index odd bytes | grep new' "$program"
    : >"bytes/$(printf '\377')/byte"
    : >'bytes/\xFF/text'
    tidemark index odd "bytes/$(printf '\377')" >/dev/null
    expect 'locations that are told apart' 0 '1 new, 0 changed, 0 gone, 0 unchanged' '' \
        sh -c '"$0" index odd "bytes/\\xFF" | grep new' "$program"
    expect 'are found again' 0 '0 new, 0 changed, 0 gone, 1 unchanged' '' \
        sh -c '"$0" index odd "bytes/\\xFF" | grep new' "$program"
    expect 'and named' 0 "\"path\":\"FOLDER/bytes/\\\\xFF\"" '' \
        sh -c '"$0" index odd "bytes/$(printf "\377")" --json | grep -o "\"path\":\"[^\"]*\""' "$program"
    expect 'with every backslash escaped' 0 "\"path\":\"FOLDER/bytes/\\\\x5CxFF\"" '' \
        sh -c '"$0" index odd "bytes/\\xFF" --json | grep -o "\"path\":\"[^\"]*\""' "$program"
    expect 'an ordinary backslash stays' 0 "\"path\":\"FOLDER/bytes/a\\\\b\"" '' \
        sh -c '"$0" index odd "bytes/a\\b" --json | grep -o "\"path\":\"[^\"]*\""' "$program"
else
    skip 'bytes that are no UTF-8: the file system has none'
fi
mkdir 'two
lines'
expect 'a location of two lines' 0 'location UUID FOLDER/two?lines' '' \
    sh -c '"$0" index odd "two
lines" | head -n 1' "$program"
tidemark init 'two
lines/lib' >/dev/null
expect 'a library of two lines' 0 'path     two?lines/lib' '' \
    sh -c '"$0" status "two
lines/lib" | sed -n 3p' "$program"

if command -v sqlite3 >/dev/null 2>&1; then
    tidemark init foreign >/dev/null
    mkdir keys keys/sub
    : >keys/sub/file
    path=$folder/keys
    sqlite3 foreign/database.db "INSERT INTO locations(uuid, device_uuid, name, path)
            SELECT 'the keys', device, 'keys', '$path' FROM tidemark_state;
        INSERT INTO entries(uuid, location_uuid, parent_uuid, name, kind) VALUES
            ('folder-1', 'the keys', NULL, 'sub', 'folder'),
            ('file-1', 'the keys', 'folder-1', 'file', 'file'),
            ('gone-1', 'the keys', NULL, 'gone', 'file'),
            ('gone-2', 'the keys', 'gone-1', 'below', 'file'),
            ('', 'the keys', '', 'itself', 'file')"
    : >keys/sub/new
    expect 'keys that are no UUIDs' 0 'location the keys FOLDER/keys
1 new, 2 changed, 3 gone, 0 unchanged
N seconds, N rows/s' '' tidemark index foreign keys
    expect 'their rows' 0 'folder-1||sub
file-1|folder-1|file
UUID|folder-1|new' '' \
        sqlite3 foreign/database.db "SELECT uuid, parent_uuid, name FROM entries ORDER BY id"
    expect 'a second time' 0 'location the keys FOLDER/keys
0 new, 0 changed, 0 gone, 3 unchanged
N seconds, N rows/s' '' tidemark index foreign keys
else
    skip 'keys that are no UUIDs: no sqlite3'
fi

# As root everything can be read; then another user has to try.
as_user=
if [ "$(id -u)" -eq 0 ]; then
    as_user='setpriv --reuid 65534 --regid 65534 --clear-groups'
    chown -R 65534:65534 "$folder"
fi
chmod 0 dir/link
if $as_user ls dir/link >/dev/null 2>&1 || ! $as_user "$program" --version >/dev/null 2>&1; then
    skip 'a folder that cannot be read: this user reads all'
else
    # shellcheck disable=SC2086
    expect 'a folder that cannot be read' 0 'location UUID FOLDER/dir
0 new, 0 changed, 0 gone, 4 unchanged
N seconds, N rows/s' 'tidemark: index: FOLDER/dir/link: Permission denied
tidemark: index: FOLDER/dir: folders that could not be read: 1; rows below them, which stay as they are: 1' \
        $as_user "$program" index lib dir
fi
chmod 755 dir/link

mkdir around
tidemark init around/lib >/dev/null
: >around/file
expect 'a library in the folder is left out' 0 '1 new, 0 changed, 0 gone, 0 unchanged' '' \
    sh -c '"$0" index around/lib around | grep new' "$program"
expect 'status' 0 'device   UUID
library  UUID
path     lib
recovery none

RESOURCE               ROWS   TOMBSTONES       PARKED  HEAD
device                    1            0            0  NOW
location                  1            0            0  NOW
entry                     5            3            0  NOW
tag                       0            0            0  -
entry_tag                 0            0            0  -
entry_metadata            0            0            0  -' '' \
    sh -c '"$0" status lib | grep -v "^volume "' "$program"

# ---- syncing --------------------------------------------------------------------------------------------

expect 'a library with itself' 2 '' 'tidemark: sync: ./lib: is the same library as lib' \
    tidemark sync lib ./lib
expect 'different libraries' 3 '' \
    'tidemark: sync: around/lib: is of library UUID, and lib of UUID' tidemark sync lib around/lib
expect 'a first library that is not there' 3 '' \
    'tidemark: sync: no: No such file or directory' tidemark sync no lib
expect 'a second one that is no library' 5 '' \
    'tidemark: sync: dir: not a library: it has no database.db' tidemark sync lib dir
cp -r lib copy
expect 'a copy of the library' 3 '' 'tidemark: sync: copy: is the same device as lib, a copy of it' \
    tidemark sync lib copy
tidemark init first >/dev/null
tidemark index first dir >/dev/null
expect 'a sync makes the second library' 0 'RESOURCE           TO FIRST    TO SECOND
device                    1            1
location                  0            1
entry                     0            5
tag                       0            0
entry_tag                 0            0
entry_metadata            0            0
N messages, N bytes
N seconds, N rows/s
complete' 'tidemark: sync: second: made as a new device of the library of first' \
    sh -c '"$0" sync first second >sync.txt; rc=$?; sed "/^volume/d; s/^.* rows, //" sync.txt; exit $rc' \
    "$program"
expect 'another sync has nothing to do' 0 'RESOURCE           TO FIRST    TO SECOND
device                    0            0
location                  0            0
entry                     0            0
volume                    0            0
tag                       0            0
entry_tag                 0            0
entry_metadata            0            0
0 rows, N messages, N bytes
N seconds, N rows/s
complete' '' tidemark sync first second
rows() {
    tidemark status "$1" --json |
        sed -n 's/.*"resource":"\([a-z_]*\)".*"rows":"\([0-9]*\)".*/\1 \2/p'
}
expect 'both have the same rows' 0 "$(rows first)" '' rows second

mkdir many
i=0
while [ $i -lt 1200 ]; do
    : >many/$i
    i=$((i + 1))
done
tidemark index first many >/dev/null
tidemark sync first second --cut-after 700 --page-rows 100 >cut.txt 2>err.txt
expect 'a cut sync' 0 1 '' echo $?
expect 'says nothing on stderr' 0 '' '' cat err.txt
arrived=$(sed -n 's/^cut after \([0-9]*\) rows$/\1/p' cut.txt)
expect 'tells how many rows arrived' 0 '' '' test "$arrived" -ge 700 -a "$arrived" -lt 900
tidemark sync first second --json >sync.txt
expect 'the next one brings the others' 0 "$((1201 - arrived))" '' \
    sed -n 's/.*"result":"complete","rows":"\([0-9]*\)".*/\1/p' sync.txt
expect 'and then both have the same' 0 "$(rows first)" '' rows second
: >many/new
rm many/1*
tidemark index first many >/dev/null
tidemark sync second first --loss 300000 --duplicate 300000 --reorder 300000 --seed 7 \
    --page-rows 1 >sync.txt 2>err.txt
expect 'a bad link' 0 0 '' echo $?
expect 'comes to the end' 0 complete '' tail -n 1 sync.txt
expect 'is no trouble' 0 "$(rows first)" '' rows second

expect 'init --join' 0 'library  UUID
device   UUID' '' tidemark init third --join first
expect 'sync with it' 0 complete '' sh -c '"$0" sync second third | tail -n 1' "$program"
rows third | sed -n 's/^entry //p' >third.txt
expect 'rows of the first reach it by the second' 0 "$(rows first | sed -n 's/^entry //p')" '' \
    cat third.txt
expect 'the marks about the first are there' 0 'mark device
mark entry
mark location
mark volume' '' sh -c '"$0" status second --json | grep "^{\"type\":\"mark\"" | sed "s/.*\"type\":\"\([a-z]*\)\".*\"resource\":\"\([a-z]*\)\".*/\1 \2/" | sort -u' "$program"

mkdir other
expect 'a folder without a database is made one' 0 'library  UUID
device   UUID' '' tidemark init other
if command -v sqlite3 >/dev/null 2>&1; then
    mkdir old
    sqlite3 old/database.db "CREATE TABLE devices(id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE,
        name TEXT, last_state_watermark TEXT, last_shared_watermark TEXT)"
    expect 'the database of another program is taken over' 0 'library  UUID
device   UUID' 'tidemark: init: old: Sync protocol updated, performing initial sync...' \
        tidemark init old
    expect 'once' 1 '' 'tidemark: init: old: is a library already' tidemark init old
    mkdir misfit
    sqlite3 misfit/database.db "CREATE TABLE devices(id INTEGER PRIMARY KEY, uuid TEXT UNIQUE)"
    cksum misfit/database.db >sum.txt
    expect 'one that does not fit' 3 '' \
        'tidemark: init: misfit: unknown model, or one that does not fit its table (misfit/database.db: model device: devices.uuid must be a NOT NULL column other than the primary key)' \
        tidemark init misfit
    expect 'is left as it is' 0 "$(cat sum.txt)" '' cksum misfit/database.db
    expect 'and alone' 0 database.db '' ls misfit
    tidemark init lost >/dev/null
    sqlite3 lost/database.db 'DROP TABLE tidemark_state'
    expect 'a capture that lost its state' 5 '' \
        'tidemark: status: lost: damaged data (lost/database.db: its changes were captured, but tidemark_state has no row)' \
        tidemark status lost
else
    skip 'a database of another program: no sqlite3'
fi

mkdir text
echo 'this is no database at all, and long enough to be looked at' >text/database.db
expect 'a text as database' 5 '' \
    'tidemark: init: text: not a file of this kind, or of another format version (text/database.db: file is not a database)' \
    tidemark init text
expect 'stays alone' 0 database.db '' ls text
mkdir half
echo 'this is no store' >half/sync.mdb
expect 'marks that are none' 5 '' \
    'tidemark: init: half: not a file of this kind, or of another format version (FOLDER/half/sync.mdb: too short for a store)' \
    tidemark init half
expect 'stay alone' 0 sync.mdb '' ls half

# ---- peers, acks and pruning ----------------------------------------------------------------------------

# What the machine has mounted is left out of the figures.
settle() { # until everybody has told everybody that it has everything
    for _ in 1 2 3; do
        tidemark sync one two >/dev/null
        tidemark sync one three >/dev/null
        tidemark sync two three >/dev/null
    done
}
peer_of() { # LIBRARY NAME
    tidemark peers "$1" --json | sed -n 's/.*"peer":"\([^"]*\)","name":"'"$2"'".*/\1/p'
}
device_of() { # LIBRARY
    tidemark status "$1" --json | sed -n 's/.*"library":.*"device":"\([^"]*\)".*/\1/p'
}
mkdir few
: >few/1
: >few/2
: >few/3
tidemark init one --name one >/dev/null
expect 'nobody follows' 0 '' '' tidemark peers one
expect 'nobody holds back' 0 '0 deletions forgotten' '' tidemark prune one
tidemark index one few >/dev/null
rm few/3
tidemark index one few >/dev/null
rm -r third
tidemark init third --join one >/dev/null
tidemark sync one third --page-rows 1 --cut-after 1 >/dev/null
expect 'who has told of nothing lacks everything' 0 'PEER HAS                             RESOURCE       ACK                                   AGE  BEHIND IT
UUID device         -                                       -  1
UUID location       -                                       -  1
UUID entry          -                                       -  3
UUID tag            -                                       -  0
UUID entry_tag      -                                       -  0
UUID entry_metadata -                                       -  0' '' \
    sh -c '"$0" status one | sed -n "/^PEER HAS/,\$p" | grep -v " volume "' "$program"
expect 'and was never through' 0 '{"type":"peer","peer":"UUID","name":null,"since":"NOW","contact":null,"age_ns":null,"epoch":"NOW"}' '' \
    tidemark peers one --json
expect 'in a table' 0 'PEER                                 FIRST SEEN                     LAST CONTACT                   EPOCH                          NAME
UUID NOW -                              NOW -' '' tidemark peers one
expect 'it is forgotten' 0 ok '' \
    tidemark peers one --yes --remove "$(tidemark peers one --json | sed 's/.*"peer":"\([^"]*\)".*/\1/')"
expect 'so nothing is held back' 0 '1 deletions forgotten' '' tidemark prune one
tidemark init two --join one --name two >/dev/null
tidemark init three --join one --name three >/dev/null
settle
expect 'two peers' 0 'three
two' '' sh -c '"$0" peers one | sed "1d; s/.* //" | sort' "$program"
tidemark peers one --remove "$(peer_of one three)" --yes >/dev/null
expect 'status' 0 'device   UUID
library  UUID
path     one
recovery none

RESOURCE               ROWS   TOMBSTONES       PARKED  HEAD
device                    3            0            0  NOW
location                  1            0            0  NOW
entry                     2            0            0  NOW
tag                       0            0            0  -
entry_tag                 0            0            0  -
entry_metadata            0            0            0  -

PEER                                 LAST CONTACT                          AGE  NAME
UUID NOW AGE  two

PEER                                 RESOURCE       WATERMARK                             AGE  UPDATED' '' \
    sh -c '"$0" status one | grep -v "^volume " | sed "/WATERMARK/q"' "$program"
expect 'what the peer has' 0 'PEER HAS                             RESOURCE       ACK                                   AGE  BEHIND IT
UUID device         NOW AGE  0
UUID location       NOW AGE  0
UUID entry          NOW AGE  0
UUID tag            -                                       -  0
UUID entry_tag      -                                       -  0
UUID entry_metadata -                                       -  0' '' \
    sh -c '"$0" status one | sed -n "/^PEER HAS/,\$p" | grep -v " volume "' "$program"
: >few/4
tidemark index one few >/dev/null
expect 'and has not' 0 '"resource":"device","behind":"0"
"resource":"location","behind":"0"
"resource":"entry","behind":null
"resource":"tag","behind":"0"
"resource":"entry_tag","behind":"0"
"resource":"entry_metadata","behind":"0"' '' \
    sh -c '"$0" status one --json | sed -n "/\"volume\"/d; /\"ack\"/s/.*\(\"resource\":\"[a-z_]*\"\).*\(\"behind\".*\)}/\1,\2/p"' "$program"
expect 'status as JSON' 0 '{"type":"library","path":"one","library":"UUID","device":"UUID","recovering":false}
{"type":"resource","resource":"device","ownership":"device","rows":"3","tombstones":"0","parked":"0","head":"NOW"}
{"type":"resource","resource":"location","ownership":"device","rows":"1","tombstones":"0","parked":"0","head":"NOW"}
{"type":"resource","resource":"entry","ownership":"device","rows":"3","tombstones":"0","parked":"0","head":"NOW"}
{"type":"resource","resource":"tag","ownership":"shared","rows":"0","tombstones":"0","parked":"0","head":null}
{"type":"resource","resource":"entry_tag","ownership":"shared","rows":"0","tombstones":"0","parked":"0","head":null}
{"type":"resource","resource":"entry_metadata","ownership":"shared","rows":"0","tombstones":"0","parked":"0","head":null}
{"type":"peer","peer":"UUID","name":"two","since":"NOW","contact":"NOW","age_ns":AGE,"epoch":"NOW"}' '' \
    sh -c '"$0" status one --json | grep -v -e "\"volume\"" -e "\"mark\"" -e "\"ack\""' "$program"
expect 'a mark and an ack as JSON' 0 '{"type":"ack","peer":"UUID","resource":"location","watermark":"NOW","updated_at":"NOW","age_ns":AGE,"behind":"0"}
{"type":"mark","peer":"UUID","resource":"location","watermark":"NOW","updated_at":"NOW","age_ns":AGE}' '' \
    sh -c '"$0" status one --json | grep "$1.*\"location\",\"w" | sort' "$program" "$(peer_of one two)"
settle

rm few/4
tidemark index one few >/dev/null
expect 'a deletion that nobody has' 0 '0 deletions forgotten

HELD BACK BY                         RESOURCE          DELETIONS  ACK                            NAME
UUID entry                     1  NOW three
UUID entry                     1  NOW two' '' \
    sh -c '"$0" prune one >prune.txt; rc=$?; sed -n 1,3p prune.txt; sed 1,3d prune.txt | sort -k 5; exit $rc' \
    "$program"
tidemark sync one two >/dev/null
expect 'one that the third has not' 0 '{"type":"prune","forgotten":"0"}
{"type":"held","peer":"UUID","name":"three","resource":"entry","deletions":"1","ack":"NOW"}' '' \
    tidemark prune one --json
expect 'the sync that tells it forgets it' 0 'RESOURCE           TO FIRST    TO SECOND
device                    0            0
location                  0            0
entry                     0            1
volume                    0            0
tag                       0            0
entry_tag                 0            0
entry_metadata            0            0
1 rows, N messages, N bytes
N seconds, N rows/s
1 deletions forgotten in the first, 0 in the second
complete' '' tidemark sync one three
settle
expect 'the others follow' 0 '0 deletions forgotten
0 deletions forgotten' '' sh -c '"$0" prune two && "$0" prune three' "$program"
expect 'and have no more' 0 'entry 0
entry 0' '' sh -c 'for l in two three; do "$0" status $l |
    sed -n "s/^entry *[0-9]* *\([0-9]*\) .*/entry \1/p"; done' "$program"
three=$(peer_of one three)
expect 'forgetting a peer without a terminal' 2 '' \
    'tidemark: peers: one: no terminal to ask on; give --yes to forget a peer' \
    tidemark peers one --remove "$three"
expect 'what is no peer' 2 '' "tidemark: peers: --remove 'x': not a UUID" \
    tidemark peers one --remove x --yes
expect '--yes to nothing' 2 '' 'tidemark: peers: --yes: only with --remove' \
    tidemark peers one --yes
expect 'forgetting a peer' 0 '{"answer":"ok"}' '' tidemark peers one --remove "$three" --yes --json
expect 'once' 1 absent '' tidemark peers one --remove "$three" --yes
rm few/2
tidemark index one few >/dev/null
expect 'then it is not waited for' 0 '"forgotten_first":"1","forgotten_second":"0"' '' \
    sh -c '"$0" sync one two --json | grep -o "\"forgotten_first.*second\":\"[0-9]*\""' "$program"

# ---- verify ---------------------------------------------------------------------------------------------

expect 'verify alone looks at the files' 0 'sound' '' tidemark verify one
expect 'not the same one' 2 '' 'tidemark: verify: ./one: is the same library as one' \
    tidemark verify one --against ./one
expect 'of one library' 3 '' 'tidemark: verify: around/lib: is of library UUID, and one of UUID' \
    tidemark verify one --against around/lib
expect 'the same rows' 0 'RESOURCE               HERE        THERE
device                    3            3  equal
location                  1            1  equal
entry                     1            1  equal
tag                       0            0  equal
entry_tag                 0            0  equal
entry_metadata            0            0  equal' '' \
    sh -c '"$0" verify one --against two >verify.txt; rc=$?; grep -v "^volume " verify.txt; exit $rc' \
    "$program"
expect 'other rows' 5 'RESOURCE               HERE        THERE
device                    3            3  equal
location                  1            1  equal
entry                     1            2  different
tag                       0            0  equal
entry_tag                 0            0  equal
entry_metadata            0            0  equal' 'tidemark: verify: one: has other rows than three: entry' \
    sh -c '"$0" verify one --against three >verify.txt; rc=$?; grep -v "^volume " verify.txt; exit $rc' \
    "$program"
expect 'as JSON' 5 '{"type":"verify","equal":false,"resources":"7","different":"1"}' \
    'tidemark: verify: three: has other rows than two: entry' \
    sh -c '"$0" verify three --against two --json >verify.txt; rc=$?; tail -n 1 verify.txt; exit $rc' \
    "$program"
expect 'with sums' 0 '{"type":"resource","resource":"entry","equal":false,"rows_here":"2","rows_there":"1","sum_here":SUM,"sum_there":SUM}' '' \
    sh -c 'grep "\"entry\"" verify.txt | sed "s/\"[0-9a-f]\{32\}\"/SUM/g"'
expect 'and moved none' 5 'entry                     1            2  different' \
    'tidemark: verify: one: has other rows than three: entry' \
    sh -c '"$0" verify one --against three >verify.txt; rc=$?; grep "^entry " verify.txt; exit $rc' \
    "$program"
cp -r two two.copy
expect 'with a backup' 0 equal '' \
    sh -c '"$0" verify two --against two.copy >verify.txt; rc=$?; sed -n "s/^entry .* //p" verify.txt; exit $rc' "$program"
if command -v sqlite3 >/dev/null 2>&1; then
    # Rows whose version falls whenever it is written never become equal.
    mkdir pair
    : >pair/file
    tidemark init left >/dev/null
    tidemark index left pair >/dev/null
    tidemark sync left right >/dev/null 2>&1
    sqlite3 right/database.db 'CREATE TRIGGER falls AFTER UPDATE OF version ON tidemark_entry_rows
        BEGIN UPDATE tidemark_entry_rows SET version = version - 1 WHERE row = new.row; END;
        UPDATE tidemark_entry_rows SET version = version - 1'
    expect 'rows that still differ' 5 'RESOURCE           TO FIRST    TO SECOND
device                    0            0
location                  0            0
entry                     0            1
volume                    0            0
tag                       0            0
entry_tag                 0            0
entry_metadata            0            0
1 rows, N messages, N bytes
N seconds, N rows/s
different' 'tidemark: sync: right: rows still differ from those of left when all is read again: entry' \
        tidemark sync left right
    expect 'as JSON' 5 '"resource":"entry","to_first":"0","to_second":"1","different":true
"result":"different","rows":"1","forgotten_first":"0","forgotten_second":"0"' \
        'tidemark: sync: right: rows still differ from those of left when all is read again: entry' \
        sh -c '"$0" sync left right --json >sync.txt; rc=$?
            sed -n "s/.*\(\"resource\":\"entry\".*\)}/\1/p; s/.*\(\"result.*\),\"messages.*/\1/p" sync.txt
            exit $rc' "$program"
else
    skip 'rows that still differ: no sqlite3'
fi
rm -r two.copy

# ---- parked rows ----------------------------------------------------------------------------------------

if command -v sqlite3 >/dev/null 2>&1; then
    mkdir same same/sub
    : >same/file
    tidemark init open >/dev/null
    tidemark index open same >/dev/null
    tidemark sync open narrow >/dev/null 2>&1
    sqlite3 narrow/database.db 'CREATE UNIQUE INDEX one_name ON entries(name)'
    : >same/sub/file
    tidemark index open same >/dev/null
    expect 'a row that the table refuses ends no sync' 0 complete '' \
        sh -c '"$0" sync open narrow | tail -n 1' "$program"
    expect 'status counts it' 0 'entry                     2            0            1  NOW' '' \
        sh -c '"$0" status narrow | grep -m 1 "^entry "' "$program"
    expect 'and shows it last' 0 '
PARKED         KEY                                   TRIES SINCE                           REASON
entry          UUID      3 NOW  UNIQUE constraint failed: entries.name' '' \
        sh -c '"$0" status narrow | tail -n 3' "$program"
    expect 'counted as JSON' 0 '{"type":"resource","resource":"entry","ownership":"device","rows":"2","tombstones":"0","parked":"1","head":"NOW"}' '' \
        sh -c '"$0" status narrow --json | grep "\"resource\",\"resource\":\"entry\""' "$program"
    expect 'shown as JSON' 0 '{"type":"parked","resource":"entry","key":"UUID","deleted":false,"version":"NOW","device":"UUID","code":"TIDE_ECONSTRAINT","reason":"UNIQUE constraint failed: entries.name","since":"NOW","tries":"3"}' '' \
        sh -c '"$0" status narrow --json | tail -n 1' "$program"
    key=$(sqlite3 open/database.db "SELECT uuid FROM entries WHERE name = 'file' AND parent_uuid IS NOT NULL")
    expect 'by the key of the row' 0 1 '' \
        sh -c '"$0" status narrow --json | grep -c "\"key\":\"$1\""' "$program" "$key"
    expect 'to monitor' 0 'tidemark_parked{device="UUID",resource="entry"} 1' '' \
        sh -c '"$0" status narrow --prometheus | grep "^tidemark_parked.* [1-9]"' "$program"
    expect 'watch shows it, too' 0 parked '' \
        sh -c '"$0" watch narrow --count 1 --json | sed -n "s/^{\"type\":\"\(parked\)\".*/\1/p"' "$program"
    expect 'nothing is parked where it was made' 0 0 '' \
        sh -c '"$0" status open | grep -c "^PARKED"; true' "$program"
    i=0
    while [ $i -lt 21 ]; do
        mkdir same/$i
        : >same/$i/file
        i=$((i + 1))
    done
    tidemark index open same >/dev/null
    tidemark sync open narrow >/dev/null
    expect 'of many 20 are shown' 0 '20
and 2 more' '' \
        sh -c '"$0" status narrow | sed "1,/^PARKED/d" >rows.txt; grep -c "^entry " rows.txt; tail -n 1 rows.txt' "$program"
    expect 'all of them as JSON' 0 22 '' \
        sh -c '"$0" status narrow --json | grep -c "^{\"type\":\"parked\""' "$program"
    sqlite3 narrow/database.db 'DROP INDEX one_name'
    tidemark sync open narrow >/dev/null
    expect 'they are written when they can be' 0 "$(rows open)
0" '' sh -c 'printf "%s\n" "$1"; "$0" status narrow --json | grep -c "^{\"type\":\"parked\""; true' \
        "$program" "$(rows narrow)"
else
    skip 'parked rows: no sqlite3'
fi

# ---- recovery -------------------------------------------------------------------------------------------

tidemark sync one two >/dev/null
cp -r one one.old
cp -r two two.old
: >few/5
: >few/6
tidemark index one few >/dev/null
tidemark sync one two >/dev/null
cp -r one one.new
rm -r one
cp -r one.old one
expect 'accept where nothing was rolled back' 1 '' 'tidemark: accept: two: is not recovering' \
    tidemark accept two
expect 'a library that was rolled back' 0 complete \
    'tidemark: sync: one: A peer has seen more of this device than is here: everything is read again.
tidemark: sync: one: Everything has been read again.' sh -c '"$0" sync one two | tail -n 1' "$program"
expect 'has all again' 0 3 '' sh -c '"$0" status one | sed -n "s/^entry *\([0-9]*\) .*/\1/p"' "$program"
rm -r one
mv one.new one
cp one.old/database.db one/
cp two.old/database.db two/
rm -f one/database.db-* two/database.db-*
expect 'prune notices, too' 1 '' \
    'tidemark: prune: one: The database is older than what was known of it: everything is read again.
tidemark: prune: one: is recovering; nothing is forgotten meanwhile' tidemark prune one
expect 'and status tells' 0 'recovery under way' '' sh -c '"$0" status one | sed -n 4p' "$program"
expect 'in JSON' 0 1 '' sh -c '"$0" status one --json | grep -c "\"recovering\":true}"' "$program"
expect 'all rolled back' 0 complete \
    "tidemark: sync: two: The database is older than what was known of it: everything is read again.
tidemark: sync: one: is still recovering; see 'tidemark help accept'
tidemark: sync: two: is still recovering; see 'tidemark help accept'" \
    sh -c '"$0" sync one two | tail -n 1' "$program"
expect 'accept without a terminal' 2 '' \
    'tidemark: accept: one: no terminal to ask on; give --yes to end the recovery' tidemark accept one
tidemark accept one --yes >out.txt 2>/dev/null
expect 'accept' 0 'ok' '' cat out.txt
expect 'one is left to read from' 0 complete 'tidemark: sync: two: Everything has been read again.' \
    sh -c '"$0" sync one two | tail -n 1' "$program"
expect 'and nobody recovers' 0 'recovery none
recovery none' '' sh -c '"$0" status one | sed -n 4p; "$0" status two | sed -n 4p' "$program"

# ---- watching -------------------------------------------------------------------------------------------

volumes=$(rows one | sed -n 's/^volume //p')
heading='TIME                                   ROWS       CHANGE   A SECOND   TOMBSTONES       CHANGE  FEEDS  MARKS   A SECOND   ACKS'
expect 'a malformed interval' 2 '' "tidemark: watch: --interval '1h': not seconds from 0.1 to 86400" \
    tidemark watch one --interval 1h
for interval in 0.05 .5 1. 1.2345 86400.001 1000000000 ''; do
    expect "an interval of '$interval'" 2 '' \
        "tidemark: watch: --interval '$interval': not seconds from 0.1 to 86400" \
        tidemark watch one --interval "$interval"
done
expect 'a look' 0 "$heading
NOW $(printf %12d $((volumes + 5)))           +0        0.0            0           +0      0      0        0.0      0" '' \
    tidemark watch one --count 1
expect 'a look as JSON' 0 '{"type":"look","time":"NOW","rows":"'$((volumes + 5))'","rows_change":"0","tombstones":"0","tombstones_change":"0","feeds_moved":"0","marks_moved":"0","acks_moved":"0","rows_per_second":0.0,"marks_per_second":0.0,"seconds":N}' '' \
    sh -c '"$0" watch one --count 1 --json | tail -n 1' "$program"
expect 'looks as JSON have all of status' 0 "$(($(tidemark status one --json | wc -l) * 2 + 2))" '' \
    sh -c '"$0" watch one --count 2 --interval 0.1 --json | wc -l' "$program"
expect 'a reader that goes away is the end' 0 "$heading
0" '' sh -c '{ timeout 60 "$0" watch one --interval 3600; echo $? >rc.txt; } | head -n 1; cat rc.txt' "$program"

# looks COMMAND WANTED SIGNAL: what has moved in a watched library, summed up over looks from before COMMAND
# until the sums are as wanted, and how it ends by the signal.
looks() {
    mkfifo looks
    timeout 60 "$program" watch one --interval 0.1 >looks &
    exec 3<looks
    read -r _ <&3
    read -r _ <&3
    $1
    rows_moved=0 tombstones_moved=0 feeds_moved=0 marks_moved=0 acks_moved=0
    while [ "$rows_moved $tombstones_moved $feeds_moved $marks_moved $acks_moved" != "$2" ] &&
        read -r _ _ row _ _ tombstone feed mark _ ack <&3; do
        rows_moved=$((rows_moved + row)) tombstones_moved=$((tombstones_moved + tombstone))
        feeds_moved=$((feeds_moved + feed)) marks_moved=$((marks_moved + mark))
        acks_moved=$((acks_moved + ack))
    done
    kill -s "$3" $!
    wait $!
    echo "exit $?: $rows_moved $tombstones_moved $feeds_moved $marks_moved $acks_moved"
    exec 3<&-
    rm looks
}
change_files() {
    : >few/7
    : >few/8
    rm few/1 few/5 few/6 # the last two are in no row
    tidemark index one few >/dev/null
}
change_marks() {
    one=$(device_of one)
    tidemark advance one/sync.mdb "$one" "$P" entry 2001-02-03T04:05:06.000000007Z >/dev/null
    tidemark advance one/sync.mdb "$one" "$P" location 1969-12-31T23:59:58.5Z >/dev/null
    tidemark advance one/sync.mdb "$P" "$one" entry $T >/dev/null
}
if command -v timeout >/dev/null 2>&1; then
    expect 'rows that move' 0 'exit 0: 1 1 1 0 0' '' looks change_files '1 1 1 0 0' TERM
    expect 'marks that move' 0 'exit 0: 0 0 0 2 1' '' looks change_marks '0 0 0 2 1' INT
else
    skip 'what moves: no timeout(1)'
fi
if command -v script >/dev/null 2>&1; then
    script -qec "'$program' watch one --count 1" /dev/null </dev/null | tr -d '\r' >screen.txt
    expect 'a screen begins with status' 0 "$(printf '\033[H\033[2J')device   UUID" '' sed -n 1p screen.txt
    expect 'and ends with the look' 0 "$heading" '' sh -c 'tail -n 2 screen.txt | sed -n 1p'
else
    skip 'a screen: no script(1)'
fi

# ---- Prometheus -----------------------------------------------------------------------------------------

tidemark init 'q"' --name 'plain' >/dev/null
tidemark init 'b\s' --join 'q"' --name "$(printf 'a"b\\c\nd')" >/dev/null
for _ in 1 2 3; do
    tidemark sync 'q"' 'b\s' >/dev/null
done
q=$(device_of 'q"')
tidemark advance 'q"/sync.mdb' "$q" "$P" entry 2001-02-03T04:05:06.000000007Z >/dev/null
tidemark advance 'q"/sync.mdb' "$q" "$P" volume 1969-12-31T23:59:58.5Z >/dev/null
expect 'a library' 0 '# HELP tidemark_library_info The library and its device; always 1.
# TYPE tidemark_library_info gauge
tidemark_library_info{device="UUID",library="UUID",path="q\""} 1
# HELP tidemark_recovering 1 while everything is read again after a rollback, else 0.
# TYPE tidemark_recovering gauge
tidemark_recovering{device="UUID"} 0
# HELP tidemark_rows Rows alive.
# TYPE tidemark_rows gauge
tidemark_rows{device="UUID",resource="device"} 2
tidemark_rows{device="UUID",resource="location"} 0
tidemark_rows{device="UUID",resource="entry"} 0
tidemark_rows{device="UUID",resource="volume"} 0
tidemark_rows{device="UUID",resource="tag"} 0
tidemark_rows{device="UUID",resource="entry_tag"} 0
tidemark_rows{device="UUID",resource="entry_metadata"} 0
# HELP tidemark_tombstones Deleted rows that are remembered.
# TYPE tidemark_tombstones gauge
tidemark_tombstones{device="UUID",resource="device"} 0
tidemark_tombstones{device="UUID",resource="location"} 0
tidemark_tombstones{device="UUID",resource="entry"} 0
tidemark_tombstones{device="UUID",resource="volume"} 0
tidemark_tombstones{device="UUID",resource="tag"} 0
tidemark_tombstones{device="UUID",resource="entry_tag"} 0
tidemark_tombstones{device="UUID",resource="entry_metadata"} 0
# HELP tidemark_parked Rows of peers that cannot be written and are kept.
# TYPE tidemark_parked gauge
tidemark_parked{device="UUID",resource="device"} 0
tidemark_parked{device="UUID",resource="location"} 0
tidemark_parked{device="UUID",resource="entry"} 0
tidemark_parked{device="UUID",resource="volume"} 0
tidemark_parked{device="UUID",resource="tag"} 0
tidemark_parked{device="UUID",resource="entry_tag"} 0
tidemark_parked{device="UUID",resource="entry_metadata"} 0
# HELP tidemark_head_timestamp_seconds Stamp of the newest change; none while there are no rows.
# TYPE tidemark_head_timestamp_seconds gauge
tidemark_head_timestamp_seconds{device="UUID",resource="device"} SECONDS
# HELP tidemark_peer_info A registered peer and what it is called; always 1.
# TYPE tidemark_peer_info gauge
tidemark_peer_info{device="UUID",peer="UUID",name="a\"b\\c\nd"} 1
# HELP tidemark_peer_first_seen_timestamp_seconds When the peer was first heard.
# TYPE tidemark_peer_first_seen_timestamp_seconds gauge
tidemark_peer_first_seen_timestamp_seconds{device="UUID",peer="UUID"} SECONDS
# HELP tidemark_peer_contact_timestamp_seconds When a session with the peer was last through; none before.
# TYPE tidemark_peer_contact_timestamp_seconds gauge
tidemark_peer_contact_timestamp_seconds{device="UUID",peer="UUID"} SECONDS
# HELP tidemark_mark_timestamp_seconds Stamp at the peer up to which everything is here.
# TYPE tidemark_mark_timestamp_seconds gauge
tidemark_mark_timestamp_seconds{device="UUID",peer="<P>",resource="entry"} 981173106.000000007
tidemark_mark_timestamp_seconds{device="UUID",peer="<P>",resource="volume"} -1.500000000
tidemark_mark_timestamp_seconds{device="UUID",peer="UUID",resource="device"} SECONDS
# HELP tidemark_mark_updated_timestamp_seconds When that mark was last written.
# TYPE tidemark_mark_updated_timestamp_seconds gauge
tidemark_mark_updated_timestamp_seconds{device="UUID",peer="<P>",resource="entry"} SECONDS
tidemark_mark_updated_timestamp_seconds{device="UUID",peer="<P>",resource="volume"} SECONDS
tidemark_mark_updated_timestamp_seconds{device="UUID",peer="UUID",resource="device"} SECONDS
# HELP tidemark_ack_timestamp_seconds Stamp here up to which the peer has told that it has everything.
# TYPE tidemark_ack_timestamp_seconds gauge
tidemark_ack_timestamp_seconds{device="UUID",peer="UUID",resource="device"} SECONDS
# HELP tidemark_peer_complete 1 if the peer has told that it has every row of this device, else 0.
# TYPE tidemark_peer_complete gauge
tidemark_peer_complete{device="UUID",peer="UUID",resource="device"} 1
tidemark_peer_complete{device="UUID",peer="UUID",resource="location"} 1
tidemark_peer_complete{device="UUID",peer="UUID",resource="entry"} 1
tidemark_peer_complete{device="UUID",peer="UUID",resource="volume"} 1
tidemark_peer_complete{device="UUID",peer="UUID",resource="tag"} 1
tidemark_peer_complete{device="UUID",peer="UUID",resource="entry_tag"} 1
tidemark_peer_complete{device="UUID",peer="UUID",resource="entry_metadata"} 1' '' \
    sh -c '"$0" status "q\"" --prometheus >metrics.txt; rc=$?
        # marks are in order of UUIDs; the one that is known comes first
        grep -v "^tidemark_mark_" metrics.txt >rest.txt
        while IFS= read -r line; do
            printf "%s\\n" "$line"
            case $line in
            "# TYPE tidemark_mark_"*) name=${line#\# TYPE }; grep "^${name% gauge}{.*$1" metrics.txt
                grep "^${name% gauge}{" metrics.txt | grep -v "$1" ;;
            esac
        done <rest.txt; exit $rc' "$program" "$P"
expect 'a backslash in a path' 0 'tidemark_library_info{device="UUID",library="UUID",path="b\\s"} 1' '' \
    sh -c '"$0" status "b\\s" --prometheus | grep "^tidemark_library_info"' "$program"
expect 'what recovers' 0 'tidemark_recovering{device="UUID"} 0' '' \
    sh -c '"$0" status "b\\s" --prometheus | grep "^tidemark_recovering"' "$program"
tidemark advance m "$D" "$P" entry $T >/dev/null
figure() {
    tidemark stat m --json | sed 's/.*"'"$1"'":"\{0,1\}\([0-9]*\).*/\1/'
}
expect 'a store' 0 "# HELP tidemark_store_info The store and its file; always 1.
# TYPE tidemark_store_info gauge
tidemark_store_info{store=\"UUID\",path=\"m\"} 1
# HELP tidemark_store_marks Committed marks.
# TYPE tidemark_store_marks gauge
tidemark_store_marks{store=\"UUID\"} 1
# HELP tidemark_store_file_bytes Size of the file.
# TYPE tidemark_store_file_bytes gauge
tidemark_store_file_bytes{store=\"UUID\"} $(wc -c <m)
# HELP tidemark_store_used_bytes Of the file, what is in use.
# TYPE tidemark_store_used_bytes gauge
tidemark_store_used_bytes{store=\"UUID\"} $(figure used_bytes)
# HELP tidemark_store_map_bytes Address space the file is mapped in.
# TYPE tidemark_store_map_bytes gauge
tidemark_store_map_bytes{store=\"UUID\"} $(figure map_bytes)
# HELP tidemark_store_page_bytes Size of a page.
# TYPE tidemark_store_page_bytes gauge
tidemark_store_page_bytes{store=\"UUID\"} $(figure page_bytes)
# HELP tidemark_store_tree_depth Depth of the tree of marks.
# TYPE tidemark_store_tree_depth gauge
tidemark_store_tree_depth{store=\"UUID\"} 1
# HELP tidemark_store_readers Slots of readers in use, idle ones included.
# TYPE tidemark_store_readers gauge
tidemark_store_readers{store=\"UUID\"} $(figure readers)
# HELP tidemark_store_readers_max Slots of readers.
# TYPE tidemark_store_readers_max gauge
tidemark_store_readers_max{store=\"UUID\"} 1024
# HELP tidemark_store_commits_total Commits since the store was made.
# TYPE tidemark_store_commits_total counter
tidemark_store_commits_total{store=\"UUID\"} $(figure transaction)
# HELP tidemark_store_created_timestamp_seconds When the store was made.
# TYPE tidemark_store_created_timestamp_seconds gauge
tidemark_store_created_timestamp_seconds{store=\"UUID\"} SECONDS" '' tidemark stat m --prometheus
expect 'not in JSON' 2 '' 'tidemark: stat: --prometheus: not together with --json' \
    tidemark stat m --prometheus --json
expect 'neither a library' 2 '' 'tidemark: status: --prometheus: not together with --json' \
    tidemark status one --prometheus --json
input='stat --prometheus'
expect 'nor in the shell' 0 "error stat: --prometheus: not in the shell; see 'tidemark help stat'" '' \
    tidemark shell m
if command -v promtool >/dev/null 2>&1; then
    expect 'a reader of it agrees' 0 '' '' \
        sh -c '{ "$0" status one --prometheus; "$0" stat m --prometheus; } | promtool check metrics' "$program"
else
    skip 'a reader of the text format: no promtool'
fi

# ---- full disks, races and paths ------------------------------------------------------------------------

# A full disk: no file may grow beyond 64 KiB, which is too little for a database, or for marks.
expect 'no room' 3 '' 1 sh -c 'trap "" XFSZ; ulimit -f 128; "$0" init full --name first 2>&1 >/dev/null |
    grep -c "^tidemark: init: full: " >&2; "$0" init full --name first 2>/dev/null' "$program"
expect 'nothing is left' 1 '' '' test -e full
expect 'another try' 0 'library  UUID
device   UUID' '' tidemark init full --name second

# Of many that make one library at once, one has made it.
i=0
while [ $i -lt 8 ]; do
    { tidemark init race --name $i >race.$i 2>&1; echo $? >>race.$i; } &
    i=$((i + 1))
done
wait
expect 'one has made it' 0 'device   UUID
library  UUID' '' sh -c 'cat race.? | grep -v -e "^[01]$" -e "race: is a library already$" | sort'
expect 'and says so, the others not' 0 '01111111' '' \
    sh -c 'cat race.? | grep "^[0-9]*$" | sort | tr -d "\n"'

expect 'a path like a URI' 0 'library  UUID
device   UUID' '' tidemark init file:lib%41
expect 'is a path' 0 'database.db
sync.mdb
sync.mdb-lock' '' ls file:lib%41
expect 'also for sync' 0 complete 'tidemark: sync: file:other: made as a new device of the library of file:lib%41' \
    sh -c '"$0" sync file:lib%41 file:other | tail -n 1' "$program"

long=$folder
while [ ${#long} -lt 440 ]; do
    long=$long/aaaaaaaaaaaaaaa
done
mkdir -p "$long"
expect 'a path that is too long' 2 '' \
    "tidemark: init: <L>/bbbbbbbbbbbbbbbbbbbbbbbbbbb: invalid argument (<L>: name too long: <N> bytes from the root, SQLite takes 451)" \
    sh -c '"$0" init "$1/bbbbbbbbbbbbbbbbbbbbbbbbbbb" 2>err.txt; rc=$?
        sed -e "s|$1|<L>|; s|(.*bbb: name|(<L>: name|; s|long: [0-9]*|long: <N>|" err.txt >&2; exit $rc' \
    "$program" "$long"
expect 'leaves nothing' 0 '' '' ls "$long"
wide=$(printf '%0250d' 0)
wide=$wide/$wide/$wide/$wide
wide=$wide/$wide/$wide
tidemark status "$wide" 2>err.txt
expect 'an error line about a longer path' 0 3 '' echo $?
expect 'ends with the reason' 0 'No such file or directory)' '' \
    sh -c 'sed "s/.*: \([^:]*\)$/\1/" err.txt'
expect 'and is not endless' 0 '' '' test "$(wc -c <err.txt)" -lt 2100

tidemark init damaged >/dev/null
echo 'this is no database at all, and long enough to be looked at' >damaged/database.db
rm -f damaged/database.db-*
expect 'a database of another kind' 5 '' \
    'tidemark: status: damaged: not a file of this kind, or of another format version (damaged/database.db: file is not a database)' \
    tidemark status damaged
tidemark init damaged2 >/dev/null
echo 'this is no store' >damaged2/sync.mdb
expect 'marks of another kind' 5 '' \
    'tidemark: status: damaged2: not a file of this kind, or of another format version (FOLDER/damaged2/sync.mdb: too short for a store)' \
    tidemark status damaged2

# ---- what README says -----------------------------------------------------------------------------------

mkdir -p readme/home/Pictures readme/bin
ln -s "$program" readme/bin/tidemark
: >readme/home/Pictures/one
sed -n '/^```console$/,/^```$/s/^\$ //p' "$here/../../README.md" >readme/commands
sed -n '/^```console$/,/^```$/{/^```/d; /^\$/d; p;}' "$here/../../README.md" >readme/answers
expect 'the commands in README' 0 "$(mask <readme/answers)" \
    'tidemark: sync: backup: made as a new device of the library of photos
tidemark: restore: photos/sync.mdb: kept as FOLDER/readme/photos/sync.mdb.replaced-NOW
tidemark: restore: photos/database.db: kept as photos/database.db.replaced-NOW' \
    sh -c 'cd readme && HOME=$PWD/home PATH=$PWD/bin:$PATH sh -e ./commands >out.txt; rc=$?
        tail -n 3 out.txt; exit $rc'
expect 'have answers' 0 3 '' sh -c 'wc -l <readme/answers'

# ---- completion -----------------------------------------------------------------------------------------

# completes LINE WORD...: what is offered at the end of the line, which bash has split into these words.
completes() {
    HOME=$folder bash --norc -c '. "$0" && COMP_LINE=$1 && shift && COMP_WORDS=("$@") &&
        COMP_CWORD=$(($# - 1)) && compopt() { echo "compopt $*"; } && _tidemark &&
        for reply in "${COMPREPLY[@]}"; do echo "$reply"; done' "$completion" "$@"
}
completion=$here/../../completions/tidemark.bash
if command -v bash >/dev/null 2>&1; then
    mkdir 'my marks'
    for resource in 'my volume' 'a$(touch expanded)"b\c' entry; do
        tidemark advance 'my marks/s' "$D" "$P" "$resource" $T >/dev/null
    done
    t=$program
    expect 'commands' 0 'status
stat' '' completes "$t stat" "$t" stat
    expect 'options' 0 '--peer
--progress' '' completes "$t ls s --p" "$t" ls s --p
    expect 'stores' 0 'compopt -o default' '' completes "$t ls " "$t" ls ''
    expect 'libraries' 0 'compopt -o dirnames' '' completes "$t sync a b" "$t" sync a b
    expect 'and for verify' 0 'compopt -o dirnames' '' \
        completes "$t verify a --against " "$t" verify a --against ''
    expect 'a peer of a library' 0 "$(peer_of one two | mask)" '' \
        completes "$t peers one --remove " "$t" peers one --remove ''
    expect 'the format for monitoring' 0 --prometheus '' completes "$t status a --prom" "$t" status a --prom
    expect 'a device, from a store in quotes' 0 '<D>' '' \
        completes "$t get 'my marks/s' " "$t" get "'my marks/s'" ''
    # shellcheck disable=SC2088 # a tilde as it was typed
    expect 'a peer, from a store below the home' 0 '<P>' '' \
        completes "$t get ~/my\\ marks/s $D 2" "$t" get '~/my\ marks/s' "$D" 2
    expect 'resources, with blanks and worse' 0 'a\$\(touch\ expanded\)\"b\\c
entry
my\ volume' '' completes "$t get \"my marks/s\" $D $P " "$t" get '"my marks/s"' "$D" "$P" ''
    expect 'nothing in them is expanded' 1 '' '' test -e expanded
    expect 'a resource in quotes' 0 'my volume' '' \
        completes "$t get 'my marks/s' $D $P \"my v" "$t" get "'my marks/s'" "$D" "$P" '"my v'
    expect 'which ask for quoting' 0 'a\$(touch expanded)\"b\\c' '' \
        completes "$t get 'my marks/s' $D $P \"a" "$t" get "'my marks/s'" "$D" "$P" '"a'
    expect 'the value of an option' 0 '<P>' '' \
        completes "$t ls 'my marks/s' --peer 2" "$t" ls "'my marks/s'" --peer 2
    expect 'the same in one word' 0 '<P>' '' \
        completes "$t ls 'my marks/s' --peer=2" "$t" ls "'my marks/s'" --peer = 2
    expect 'of which nothing is typed' 0 '<P>' '' \
        completes "$t ls 'my marks/s' --peer=" "$t" ls "'my marks/s'" --peer =
    expect 'where = does not split' 0 '--peer=<P>' '' \
        completes "$t ls 'my marks/s' --peer=2" "$t" ls "'my marks/s'" --peer=2
    expect 'with a blank' 0 'my\ volume' '' \
        completes "$t ls 'my marks/s' --resource=m" "$t" ls "'my marks/s'" --resource = m
    expect 'operands behind options with values' 0 'none' '' \
        completes "$t set --expect=2001-02-03T04:05:06Z s $D $P entry n" \
        "$t" set --expect = 2001-02-03T04 : 05 : 06Z s "$D" "$P" entry n
else
    skip 'completion: no bash'
fi

echo "$cases cases, $failures failed"
[ "$failures" -eq 0 ]
