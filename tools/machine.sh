# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What the scripts of this folder need of a machine, in one place: the packages of Debian and the newest-enough
# Rust, installed where they are missing, and the folder outside the tree where slow things are kept between runs.
# Sourced, never run. "a|b" in a list: b where the release does not know a. "a?b": only where there is no program b,
# which may have come from elsewhere.
# shellcheck disable=SC2034  # the lists and names are used by those who source it

# To build the broker and to run the offline tests.
PACKAGES_BUILD=(gcc libc6-dev meson ninja-build pkg-config python3 libbsd-dev libsystemd-dev libpcre2-dev
                'libmsgpack-dev|libmsgpack-c-dev' libcmocka-dev libsmartcols-dev libjson-c-dev libncurses-dev
                g++ scdoc bash-completion systemtap-sdt-dev)
# To run programs that use the published clients.
PACKAGES_CLIENTS=(python3-venv ca-certificates)
PACKAGES_INTEROP=('nodejs?node' 'npm?npm')
# What the whole test run wants besides: a second compiler with its sanitizers, the checkers of the lint suite (with
# them it also looks at layout and scripts), and a small system of its own to boot.
PACKAGES_TEST=(git clang clang-format shellcheck 'libclang-rt-14-dev|libclang-rt-dev' mmdebstrap systemd-container
               iproute2 procps valgrind binutils bpftrace dbus-daemon python3-prometheus-client python3-cffi
               libglib2.0-dev libuv1-dev abigail-tools dpkg-dev)
# To build and to check the Debian packages.
PACKAGES_DEBIAN=(build-essential debhelper fakeroot lintian)

RUST_NEEDED=1.85

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/busrt-tests
logs=$top/build-logs # of the last run

say() { printf '%s\n' "$*"; }
die() {
    printf '%s\n' "$*" >&2
    exit 1
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "This needs root or sudo: $*"
    fi
}

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }
available() { apt-cache show "$1" >/dev/null 2>&1; }

# Installs those of the packages that are missing, and says which.
need_packages() {
    local missing=() wish names=()
    command -v apt-get >/dev/null || {
        say "This is no Debian: install what tools/machine.sh lists by hand. Going on with what is here."
        return 0
    }
    for wish; do
        case $wish in
            *\?*) command -v "${wish##*\?}" >/dev/null || missing+=("${wish%%\?*}") ;;
            *) installed "${wish%%|*}" || installed "${wish##*|}" || missing+=("$wish") ;;
        esac
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    say "Installing: ${missing[*]%%|*}"
    as_root apt-get -q=2 update || die "apt-get update failed"
    for wish in "${missing[@]}"; do
        if available "${wish%%|*}"; then names+=("${wish%%|*}"); else names+=("${wish##*|}"); fi
    done
    logged apt as_root env DEBIAN_FRONTEND=noninteractive apt-get -q=2 -o Dpkg::Use-Pty=0 install --yes \
        --no-install-recommends "${names[@]}" || die "apt-get could not install ${names[*]}"
}

# One program of a package that is not installed: some start a server when they are.
need_program() { # name, package
    local folder=$cache/bin
    export PATH=$PATH:$folder
    ! command -v "$1" >/dev/null || return 0
    command -v apt-get >/dev/null || return 0
    say "Fetching $1 of the package $2 into $folder"
    available "$2" || as_root apt-get -q=2 update || die "apt-get update failed"
    mkdir -p "$folder/$2.unpacked"
    (cd "$folder/$2.unpacked" && logged "fetch-$1" apt-get -q=2 download "$2" && dpkg-deb -x "$2"_*.deb . &&
        mv usr/*bin/"$1" "$folder/") || die "$1 could not be fetched."
    rm -rf "$folder/$2.unpacked"
}

# Is version $1 at least $2?
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

# The version of a cargo, nothing where there is none.
cargo_version() { "$1" --version 2>/dev/null | cut -d ' ' -f 2 || true; }

# Sets `cargo`: the one on PATH if it is new enough, else Debian's.
need_cargo() {
    for cargo in cargo /usr/bin/cargo; do
        ! at_least "$(cargo_version "$cargo")" "$RUST_NEEDED" || return 0
    done
    need_packages 'cargo-web|cargo'
    at_least "$(cargo_version "$cargo")" "$RUST_NEEDED" ||
        die "Rust $RUST_NEEDED or newer is needed; this has $(cargo_version "$cargo")"
}

# Runs a command whose output is of interest only when it fails.
logged() { # name, command
    local log=$logs/$1.log
    shift
    "$@" >"$log" 2>&1 </dev/null || {
        tail -n 60 "$log" >&2
        return 1
    }
}

# Configures a build directory, once.
configure() { # directory, meson options
    local directory=$1
    shift
    [ -f "$directory/build.ninja" ] || logged "setup-${directory##*/}" meson setup "$@" "$directory" "$top"
}

mkdir -p "$cache" "$logs"
