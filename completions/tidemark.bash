# tidemark.bash - bash completion for tidemark(1).
#
# Names of commands and options come from here, files and folders from bash itself, device and peer
# UUIDs and resources from the store that the line names, if it can be read. What comes from a store
# is never expanded.

# The line up to the cursor: `words`, which bash has split at '=' and ':', in one piece again; `cur`,
# the last of them; and `head`, what of it lies before the piece that will be replaced.
_tidemark_words()
{
    local i piece blanks rest=$COMP_LINE
    words=()
    head=''
    for ((i = 0; i <= COMP_CWORD; i++)); do
        piece=${COMP_WORDS[i]}
        blanks=${rest%%[![:space:]]*}
        rest=${rest#"$blanks"}
        rest=${rest#"$piece"}
        if ((i == 0)) || [[ $blanks ]]; then
            words+=("$piece")
            head=''
        else
            head=${words[-1]}
            words[-1]+=$piece
            [[ $piece == [=:] ]] && head+=$piece
        fi
    done
    cur=${words[-1]}
}

# Sets `unquoted` to what the shell makes of a word without variables.
_tidemark_unquote()
{
    local text=$1 quote='' i byte
    unquoted=''
    if [[ $text =~ ^~[A-Za-z0-9._-]* ]]; then
        text=${text#"${BASH_REMATCH[0]}"}
        eval "unquoted=${BASH_REMATCH[0]}"
    fi
    for ((i = 0; i < ${#text}; i++)); do
        byte=${text:i:1}
        case $quote$byte in
        "''" | '""') quote='' ;;
        "'" | '"') quote=$byte ;;
        \\ | \"\\) unquoted+=${text:$((++i)):1} ;;
        *) unquoted+=$byte ;;
        esac
    done
}

# The operands on the line so far behind the command, without options and their values.
_tidemark_operands()
{
    local i skip=0
    operands=()
    for ((i = command_at + 1; i < ${#words[@]} - 1; i++)); do
        if ((skip)); then
            skip=0
        elif [[ ${words[i]} != -* ]]; then
            operands+=("${words[i]}")
        elif [[ " $valued " == *" ${words[i]} "* ]]; then
            skip=1
        fi
    done
}

# The values of a field in what a command says of the store or library of the line, one a line.
_tidemark_ask()
{
    local program thing unquoted
    [[ ${operands[0]-} ]] || return
    _tidemark_unquote "${words[0]}"
    program=$unquoted
    _tidemark_unquote "${operands[0]}"
    thing=$unquoted
    "$program" "$2" --json -- "$thing" 2>/dev/null |
        sed -n 's/.*"'"$1"'":"\(\([^"\\]\|\\.\)*\)".*/\1/p' | sed 's/\\\(.\)/\1/g' | sort -u
}

# The same of the marks in a store, and of the peers of a library.
_tidemark_field()
{
    _tidemark_ask "$1" ls
}

_tidemark_peers()
{
    _tidemark_ask peer peers
}

# Offers those lines of stdin that begin with what is typed, behind `lead`, quoted as the line is.
_tidemark_offer()
{
    local unquoted line
    _tidemark_unquote "${cur#"$lead"}"
    # shellcheck disable=SC2001 # the expansion has no way to keep what it found
    while IFS= read -r line; do
        [[ $line == "$unquoted"* ]] || continue
        case ${cur#"$lead"} in
        \'*) line=${line//"'"/"'\''"} ;;
        \"*) line=$(sed 's/[\\"$`]/\\&/g' <<<"$line") ;;
        *) printf -v line %q "$line" ;;
        esac
        line=$lead$line
        COMPREPLY+=("${line#"$head"}")
    done
}

_tidemark_offer_words()
{
    _tidemark_offer < <(printf '%s\n' "$@")
}

_tidemark_operand()
{
    case $command:${#operands[@]} in
    help:0) _tidemark_offer_words "${commands[@]}" ;;
    init:0 | index:[01] | sync:[01] | status:0 | watch:0 | peers:0 | prune:0 | accept:0)
        compopt -o dirnames
        ;;
    verify:0 | backup:[01] | restore:[01] | repair:0 | export:0 | import:[01]) compopt -o default ;;
    ls:0 | get:0 | advance:0 | set:0 | rm:0 | stat:0 | shell:0) compopt -o default ;;
    get:1 | advance:1 | set:1 | rm:1) _tidemark_offer < <(_tidemark_field device) ;;
    get:2 | advance:2 | set:2 | rm:2) _tidemark_offer < <(_tidemark_field peer) ;;
    get:3 | advance:3 | set:3 | rm:3) _tidemark_offer < <(_tidemark_field resource) ;;
    set:4) _tidemark_offer_words none ;;
    esac
}

_tidemark_value()
{
    case $1 in
    --join | --against) compopt -o dirnames ;;
    --remove) _tidemark_offer < <(_tidemark_peers) ;;
    --device) _tidemark_offer < <(_tidemark_field device) ;;
    --peer) _tidemark_offer < <(_tidemark_field peer) ;;
    --resource) _tidemark_offer < <(_tidemark_field resource) ;;
    --after | --expect) _tidemark_offer_words none ;;
    esac
}

_tidemark()
{
    local commands=(init index sync status watch verify peers prune accept backup restore repair export import
        ls get advance set rm stat shell help)
    local common=(--json --progress --no-progress --help)
    local words cur head lead='' command='' command_at options=() valued='' operands

    COMPREPLY=()
    _tidemark_words
    for ((command_at = 1; command_at < ${#words[@]} - 1; command_at++)); do
        if [[ ${words[command_at]} != -* ]]; then
            command=${words[command_at]}
            break
        fi
    done
    case $command in
    '')
        if [[ $cur == -* ]]; then
            _tidemark_offer_words "${common[@]}" --version
        else
            _tidemark_offer_words "${commands[@]}"
        fi
        return
        ;;
    init) valued='--name --join' ;;
    sync) valued='--cut-after --loss --duplicate --reorder --seed --page-rows' ;;
    status | stat) options=(--prometheus) ;;
    watch) valued='--interval --count' ;;
    verify) valued='--against' ;;
    peers) valued='--remove' options=(--yes) ;;
    accept) options=(--yes) ;;
    backup) options=(--replace) ;;
    repair) options=(--in-place) ;;
    ls) valued='--device --peer --resource' ;;
    advance) valued='--after' ;;
    set) valued='--expect' ;;
    rm) options=(--yes) ;;
    esac
    _tidemark_operands
    if [[ " $valued " == *" ${words[-2]} "* ]]; then
        _tidemark_value "${words[-2]}"
    elif [[ $cur == --*=* ]]; then
        lead=${cur%%=*}=
        _tidemark_value "${cur%%=*}"
    elif [[ $cur == -* ]]; then
        # shellcheck disable=SC2086 # names are words
        _tidemark_offer_words $valued "${options[@]}" "${common[@]}"
    else
        _tidemark_operand
    fi
}

complete -F _tidemark tidemark
