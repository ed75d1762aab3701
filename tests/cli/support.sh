# support.sh - what the scripts of this folder share; sourced with PROGRAM as the first argument.
#
# Each case names what it expects: exit code, all of stdout, all of stderr. What differs from run to run is
# masked: UUIDs that the program made (UUID), times from 2020 on (NOW), ages (AGE), measurements (N). The
# marks of the cases lie before 2020, so they are compared exactly. Works in a folder of its own, sleeps
# nowhere, and tells every case that fails.
# shellcheck shell=sh disable=SC2034 # used by those who source it
set -u
LC_ALL=C TZ=UTC
export LC_ALL TZ
unset POSIXLY_CORRECT

program=$1
case $program in
/*) ;;
*) program=$PWD/$program ;;
esac
here=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d) || exit 1
trap 'chmod -R u+rwX "$folder"; rm -rf "$folder"' EXIT
trap 'exit 1' HUP INT TERM
cd "$folder" || exit 1
umask 022

D=11111111-1111-4111-8111-11111111111a
E=33333333-3333-4333-8333-333333333333
P=22222222-2222-4222-8222-222222222222
cases=0
failures=0

tidemark() {
    "$program" "$@"
}

mask() {
    sed -e "s/$D/<D>/g; s/$E/<E>/g; s/$P/<P>/g" \
        -e 's/[0-9a-f]\{8\}-[0-9a-f]\{4\}-[0-9a-f]\{4\}-[0-9a-f]\{4\}-[0-9a-f]\{12\}/UUID/g' \
        -e 's/2[0-9][2-9][0-9]-[0-9-]*T[0-9:.]*Z/NOW/g' \
        -e 's/ *[0-9]*d[0-9][0-9]h/ AGE/g; s/"age_ns":"[0-9]*"/"age_ns":AGE/g' \
        -e 's/ *[0-9]*[hm]*[0-9][0-9]*[ms]  / AGE  /g; s/ [0-9]\{10\}\.[0-9]\{9\}$/ SECONDS/' \
        -e 's/[0-9]* messages, [0-9]* bytes/N messages, N bytes/' \
        -e 's/[0-9]*\.[0-9]* seconds, [0-9]* rows/N seconds, N rows/' \
        -e 's/"seconds":.*}/"seconds":N}/' \
        -e 's/"messages":.*,"sec/"messages":N,"sec/' \
        -e "s|$folder|FOLDER|g"
}

# differ NAME WANTED GOT
differ() {
    failed=1
    printf 'FAILED: %s: %s\n--- wanted\n%s\n--- got\n%s\n' "$title" "$1" "$2" "$3"
}

# expect TITLE EXIT STDOUT STDERR COMMAND [ARGUMENT]...: stdin is empty unless $input is set.
input=
expect() {
    title=$1 wanted_exit=$2 wanted_out=$3 wanted_err=$4
    shift 4
    cases=$((cases + 1))
    failed=0
    printf '%s' "$input" | "$@" >stdout.txt 2>stderr.txt
    got_exit=$?
    input=
    [ "$got_exit" -eq "$wanted_exit" ] || differ exit "$wanted_exit" "$got_exit"
    got=$(mask <stdout.txt)
    [ "$got" = "$wanted_out" ] || differ stdout "$wanted_out" "$got"
    got=$(mask <stderr.txt)
    [ "$got" = "$wanted_err" ] || differ stderr "$wanted_err" "$got"
    failures=$((failures + failed))
}

skip() {
    echo "skipped: $1"
}
