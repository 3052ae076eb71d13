#!/usr/bin/env bash
# Sends through real mail servers, as Debian, PyPI and npm have them: Postfix, Exim and OpenSMTPD, and one that takes access tokens
# alone. They are unpacked, not installed, and run in folders of their own on ports of their own. Takes five minutes.
# usage: tests/relays.sh [postfix] [exim] [opensmtpd] [oauth]   within tests/postgres.sh; all of them where none is named
# RELAYS_KEEP=DIR keeps there the reports that the servers write, RELAYS_BINARY is another enlist than target/debug's.
set -euo pipefail
cd "$(dirname "$0")/.."

aiosmtpd=1.4.6 mock=8.2.3
tools=target/tools/relays
[ "$(id -u)" = 0 ] || { echo "The mail servers change their users and their root: this needs root's rights." >&2; exit 1; }
for tool in apt-get:apt dpkg-deb:dpkg python3:python3 openssl:openssl npm:npm node:nodejs psql:postgresql-client; do
    command -v "${tool%:*}" >/dev/null || { echo "${tool%:*} is missing (Debian: apt-get install ${tool#*:})." >&2; exit 1; }
done

mkdir -p "$tools"
if ! "$tools/python/bin/python" -c "import aiosmtpd, sys; sys.exit(aiosmtpd.__version__ != '$aiosmtpd')" 2>/dev/null; then
    python3 -m venv "$tools/python" ||
        { echo "Python's venv is missing (Debian: apt-get install python3-venv)." >&2; exit 1; }
    "$tools/python/bin/pip" install --quiet "aiosmtpd==$aiosmtpd"
fi
if ! grep -qs "\"version\": \"$mock\"" "$tools/node_modules/oauth2-mock-server/package.json"; then
    npm install --silent --no-audit --no-fund --prefix "$tools" "oauth2-mock-server@$mock"
fi

# The package with the libraries that it needs, so that it runs without this machine's own.
unpack() {
    local root=$tools/$1 packages debs
    [ ! -e "$root/unpacked" ] || return 0
    echo "Unpacking ${*:2}, once …"
    packages=$(apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
        --no-enhances "${@:2}" 2>/dev/null | grep -E '^z?lib' | grep -Ev 'perl|python|systemd|pam-|semanage|newt|slang|installer' | sort -u)
    debs=$(mktemp -d)
    chmod 755 "$debs"
    # shellcheck disable=SC2086
    (cd "$debs" && apt-get download -qq "${@:2}" $packages 2>&1 | { grep -v unsandboxed >&2 || true; })
    rm -rf "$root"
    mkdir -p "$root"/usr/{lib,lib64,bin,sbin}
    ln -s usr/lib usr/lib64 usr/bin usr/sbin "$root"
    for deb in "$debs"/*.deb; do
        dpkg-deb --fsys-tarfile "$deb" | tar -x --keep-directory-symlink -C "$root"
    done
    rm -rf "$debs" "$root"/usr/share/{doc,man,locale}
    touch "$root/unpacked"
}
ls /var/lib/apt/lists/*Packages* >/dev/null 2>&1 || apt-get update -q >/dev/null
[ $# -gt 0 ] || set -- postfix exim opensmtpd oauth
for name in "$@"; do
    case $name in
        # With what Postfix needs to check passwords by itself.
        postfix) unpack postfix postfix libsasl2-modules sasl2-bin ;;
        exim) unpack exim exim4-base exim4-daemon-light ;;
        opensmtpd) unpack opensmtpd opensmtpd ;;
        oauth) ;;
        *) echo "There is no $name: postfix, exim, opensmtpd, oauth." >&2; exit 2 ;;
    esac
done

export PYTHONDONTWRITEBYTECODE=1
exec "$tools/python/bin/python" tests/relays "$@"
