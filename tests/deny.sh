#!/usr/bin/env bash
# Holds what is built in to deny.toml. The tool is installed where it is missing; advisories are looked up where their
# database can be had.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.20.2
deny=target/tools/bin/cargo-deny
if ! tests/tool.sh cargo-deny "$version"; then
    echo "cargo-deny $version cannot be installed here: licences, duplicates and advisories were not checked." >&2
    exit 0
fi
"$deny" --log-level error check bans licenses sources
if timeout 120 "$deny" --log-level error fetch db >/dev/null 2>&1; then
    "$deny" --log-level error check advisories
else
    echo "The database of advisories cannot be reached: they were not checked." >&2
fi
