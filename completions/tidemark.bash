# tidemark.bash - bash completion for tidemark(1).
#
# Names of commands and options come from here, device and peer UUIDs and resources from the store that the
# line names, if it can be read.

# The operands on the line so far behind the command, without options and their values.
_tidemark_operands()
{
    local i word skip=0
    operands=()
    for ((i = command_at + 1; i < cword; i++)); do
        word=${words[i]}
        if ((skip)); then
            skip=0
        elif [[ $word == -* ]]; then
            case " $valued " in
            *" $word "*) skip=1 ;;
            esac
        else
            operands+=("$word")
        fi
    done
}

# Column $1 of the marks in the store of the line, each value once.
_tidemark_column()
{
    [[ ${operands[0]-} ]] || return
    "${words[0]}" ls "${operands[0]}" 2>/dev/null | awk -v column="$1" '!seen[$column]++ { print $column }'
}

_tidemark_reply()
{
    mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur")
}

_tidemark_files()
{
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen "$1" -- "$cur")
}

_tidemark_operand()
{
    case $command:${#operands[@]} in
    help:0) _tidemark_reply "$commands" ;;
    init:0 | index:[01] | sync:[01] | status:0) _tidemark_files -d ;;
    ls:0 | get:0 | advance:0 | set:0 | rm:0 | stat:0 | shell:0) _tidemark_files -f ;;
    get:1 | advance:1 | set:1 | rm:1) _tidemark_reply "$(_tidemark_column 1)" ;;
    get:2 | advance:2 | set:2 | rm:2) _tidemark_reply "$(_tidemark_column 2)" ;;
    get:3 | advance:3 | set:3 | rm:3) _tidemark_reply "$(_tidemark_column 3)" ;;
    set:4) _tidemark_reply none ;;
    esac
}

_tidemark()
{
    local commands='init index sync status ls get advance set rm stat shell help'
    local common='--json --progress --no-progress --help'
    local words=("${COMP_WORDS[@]}") cword=$COMP_CWORD
    local cur=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local command='' command_at options='' valued=''
    local operands=()

    for ((command_at = 1; command_at < cword; command_at++)); do
        if [[ ${words[command_at]} != -* ]]; then
            command=${words[command_at]}
            break
        fi
    done
    case $command in
    init) valued='--name --join' ;;
    sync) valued='--cut-after --loss --duplicate --reorder --seed --page-rows' ;;
    ls) valued='--device --peer --resource' ;;
    advance) valued='--after' ;;
    set) valued='--expect' ;;
    rm) options='--yes' ;;
    esac
    COMPREPLY=()
    if [[ -z $command ]]; then
        _tidemark_reply "$([[ $cur == -* ]] && echo "$common --version" || echo "$commands")"
        return
    fi
    _tidemark_operands
    case " $valued " in
    *" $previous "*)
        case $previous in
        --join) _tidemark_files -d ;;
        --device) _tidemark_reply "$(_tidemark_column 1)" ;;
        --peer) _tidemark_reply "$(_tidemark_column 2)" ;;
        --resource) _tidemark_reply "$(_tidemark_column 3)" ;;
        --after | --expect) _tidemark_reply none ;;
        esac
        return
        ;;
    esac
    if [[ $cur == -* ]]; then
        _tidemark_reply "$valued $options $common"
    else
        _tidemark_operand
    fi
}

complete -F _tidemark tidemark
