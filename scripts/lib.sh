# Sourced by the other scripts, with the repository root as working folder.
# shellcheck shell=sh

# missing_packages LIST... - names the packages of the lists that are not installed.
missing_packages()
{
    cat "$@" | sed -e 's/#.*//' -e '/^[[:space:]]*$/d' | while read -r package; do
        dpkg-query -W -f='${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed ||
            echo "$package"
    done
}

# install_packages [LIST...] - installs them with apt-get; scripts/packages unless told. Elsewhere than on Debian and
# its kin it does nothing.
install_packages()
{
    command -v apt-get >/dev/null || return 0
    [ $# -gt 0 ] || set -- scripts/packages
    missing=$(missing_packages "$@")
    [ -n "$missing" ] || return 0
    as_root=
    [ "$(id -u)" -eq 0 ] || as_root=sudo
    echo "installing: $missing" >&2
    $as_root apt-get update -qq
    # shellcheck disable=SC2086 # names are words
    DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends $missing
}

# memory_folder - makes a new folder in memory, where a flush costs nothing, if there is room for what tests write;
# else where TMPDIR says. To be removed by whoever asks. What is durable the tests prove by the order of calls.
memory_folder()
{
    room=$(df --output=avail -k /dev/shm 2>/dev/null | tail -n 1)
    if [ "${room:-0}" -ge 2097152 ] && [ -w /dev/shm ]; then
        folder=$(mktemp -d /dev/shm/tidemark-XXXXXX)
    else
        folder=$(mktemp -d "${TMPDIR:-/tmp}/tidemark-XXXXXX")
    fi
    chmod 711 "$folder" # a test may become another user
    echo "$folder"
}

# build PRESET [TARGET...] - configures and builds it, warnings being errors; everything unless told.
build()
{
    preset=$1
    shift
    [ $# -gt 0 ] || set -- all all_verify_interface_header_sets
    cmake --preset "$preset" -DTIDEMARK_WARNINGS_AS_ERRORS=ON
    cmake --build --preset "$preset" --target "$@"
}

# build_quietly PRESET [TARGET...] - the same, and says what it did only when it fails.
build_quietly()
{
    mkdir -p build
    build "$@" >"build/$1.log" 2>&1 || { tail -n 40 "build/$1.log" >&2 && return 1; }
}

# sources SUFFIX... - lists the files of the repository, tracked or new, that end in one of the suffixes.
sources()
{
    for suffix in "$@"; do
        git ls-files --cached --others --exclude-standard -- "*.$suffix"
    done | sort -u | while read -r file; do
        [ ! -e "$file" ] || echo "$file"
    done
}
