#!/usr/bin/env bash
# A throw-away Postgres for the tests: its own cluster, on a socket of its own, nothing durable.
# usage: tests/postgres.sh COMMAND…   runs COMMAND with TEST_DATABASE_URL set, then takes it all down.
set -euo pipefail

bin=${ENLIST_POSTGRES_BIN:-$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)}
[ -n "$bin" ] || bin=$(dirname "$(command -v postgres || true)")
if [ ! -x "$bin/initdb" ]; then
    echo "No Postgres binaries found. Install them (Debian: apt-get install postgresql libpq-dev) or set ENLIST_POSTGRES_BIN." >&2
    exit 1
fi

# In memory where there is room: a database a test takes 35 ms there and 340 ms on a disk.
base=/tmp
[ -w /dev/shm ] && base=/dev/shm
dir=$(mktemp -d "$base/enlist-tests.XXXXXX")
as=()
if [ "$(id -u)" = 0 ]; then
    # Postgres refuses to run as root.
    user=nobody
    id -u postgres >/dev/null 2>&1 && user=postgres
    chown "$user" "$dir"
    as=(setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups)
fi
stop() {
    "${as[@]}" "$bin/pg_ctl" -D "$dir/data" -m immediate -w stop >/dev/null 2>&1 || true
    rm -rf "$dir"
}
trap stop EXIT
trap 'exit 130' INT TERM

# A second language for the server's messages, where the machine can make one.
mkdir "$dir/locale"
localedef -i de_DE -f UTF-8 "$dir/locale/de_DE.UTF-8" >/dev/null 2>&1 || true
chmod -R a+rX "$dir/locale"

(
    cd "$dir"
    export LOCPATH="$dir/locale"
    "${as[@]}" "$bin/initdb" -D data -U postgres -A trust -E UTF8 --locale=C --no-sync >initdb.log 2>&1 || { cat initdb.log >&2; exit 1; }
    "${as[@]}" "$bin/pg_ctl" -D data -w -l "$dir/data/log" start -o "-c listen_addresses= -k $dir \
        -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=400 \
        -c shared_buffers=256MB -c shared_preload_libraries=pg_stat_statements -c pg_stat_statements.max=50000" >/dev/null || { cat data/log >&2; exit 1; }
)
export TEST_DATABASE_URL="postgres:///postgres?host=$dir&user=postgres" ENLIST_TESTS_SKIPPED="$dir/skipped"
code=0
"$@" || code=$?
if [ -s "$ENLIST_TESTS_SKIPPED" ]; then
    # Said once more, where it is seen.
    cat "$ENLIST_TESTS_SKIPPED" >&2
    echo "SKIPPED: $(wc -l <"$ENLIST_TESTS_SKIPPED") tests showed nothing on this machine." >&2
fi
exit "$code"
