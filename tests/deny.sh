#!/usr/bin/env bash
# Holds what is built in to deny.toml. The tool is installed where it is missing, and in CI it must be there; advisories
# are looked up where their database can be had. What was not checked is counted at the end.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.20.2
deny=target/tools/bin/cargo-deny
skipped=()
if tests/tool.sh cargo-deny "$version"; then
    "$deny" --log-level error check bans licenses sources
    if timeout 120 "$deny" --log-level error fetch db >/dev/null 2>&1; then
        "$deny" --log-level error check advisories
    else
        echo "SKIPPED: the database of advisories cannot be reached." >&2
        skipped=(advisories)
    fi
elif [ -n "${CI:-}" ]; then
    echo "cargo-deny $version cannot be installed here, and is not to be skipped in CI." >&2
    exit 1
else
    echo "SKIPPED: cargo-deny $version cannot be installed here." >&2
    skipped=(bans licenses sources advisories)
fi
[ ${#skipped[@]} = 0 ] || echo "SKIPPED: ${#skipped[@]} of 4 checks: ${skipped[*]}." >&2
