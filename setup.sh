#!/usr/bin/env bash
# Sees to what Enlist is built and tried with: a C linker, libpq's headers, Postgres' binaries, Rust.
set -euo pipefail

missing=()
command -v cc >/dev/null || missing+=(gcc libc6-dev)
{ command -v pg_config >/dev/null && [ -e "$(pg_config --includedir)/libpq-fe.h" ]; } ||
    [ -e /usr/include/postgresql/libpq-fe.h ] || missing+=(libpq-dev)
[ -n "${ENLIST_POSTGRES_BIN:-}" ] || [ -n "$(ls -d /usr/lib/postgresql/*/bin/postgres 2>/dev/null)" ] ||
    { command -v postgres >/dev/null && command -v initdb >/dev/null; } || missing+=(postgresql)

# For two tests, which want a server that speaks German: nobody is asked for it, but where it can be had it is.
if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ] &&
    { ! command -v localedef >/dev/null || [ ! -e /usr/share/i18n/locales/de_DE ]; }; then
    missing+=(locales)
fi

# For the tests with a pooler: asked of nobody, either.
bouncer=
if [ "${1:-}" = tests ] && command -v apt-get >/dev/null && [ "$(id -u)" = 0 ] && [ ! -x /usr/sbin/pgbouncer ]; then
    missing+=(pgbouncer)
    bouncer=new
fi

if [ ${#missing[@]} -gt 0 ]; then
    install="apt-get install -y --no-install-recommends ${missing[*]}"
    if ! command -v apt-get >/dev/null; then
        echo "Missing here: ${missing[*]} (Debian's names); install them with your system's package manager." >&2
        exit 1
    elif [ "$(id -u)" = 0 ]; then
        echo "Installing ${missing[*]} …"
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -q >/dev/null
        $install >/dev/null
    elif command -v sudo >/dev/null && [ -t 0 ]; then
        read -r -p "Install ${missing[*]} with sudo? [Y/n] " answer
        case "$answer" in
            [nN]*) echo "Then type: sudo $install" >&2; exit 1 ;;
        esac
        sudo apt-get update -q >/dev/null
        sudo env DEBIAN_FRONTEND=noninteractive $install >/dev/null
    else
        echo "Missing here: ${missing[*]}; as root, type: $install" >&2
        exit 1
    fi
fi

if [ -n "$bouncer" ] && [ -d /run/systemd/system ]; then
    # The tests start their own.
    systemctl disable --now pgbouncer >/dev/null 2>&1 || true
fi

if ! command -v cargo >/dev/null; then
    echo "Rust is missing: install version 1.95 or newer with rustup, then try again." >&2
    exit 1
fi
