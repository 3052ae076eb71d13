#!/usr/bin/env bash
# A real distribution to fail in: etcd and Patroni with three Postgres nodes, haproxy before two instances, a mail server. Faults
# are played one after the other while clients go on; at the end everything that was acknowledged must be there, once.
# usage: tests/long.sh [FAULT…]   all of them where none is named, `restarts` and `asynchronous` only where they are; takes 15 minutes
# ENLIST_LONG_ONLY=FAULT,FAULT the same; ENLIST_LONG_USERS (600); ENLIST_LONG_REQUESTS of restarts (40000); ENLIST_LONG_BINARY
# another enlist than target/release's; ENLIST_LONG_KEEP=DIR keeps the logs.
set -euo pipefail
cd "$(dirname "$0")/.."

[ "$(id -u)" = 0 ] || { echo "Network namespaces and foreign processes: this needs root's rights." >&2; exit 1; }
export PATH=$PATH:/usr/sbin:/sbin
missing=()
for tool in etcd:etcd-server patroni:patroni patronictl:patroni haproxy:haproxy pgbouncer:pgbouncer nginx:nginx-light \
    faketime:faketime psql:postgresql-client python3:python3 ip:iproute2 unshare:util-linux; do
    command -v "${tool%:*}" >/dev/null || missing+=("${tool#*:}")
done
[ -n "$(ls -d /usr/lib/postgresql/*/bin/postgres 2>/dev/null)" ] || missing+=(postgresql)
/usr/bin/python3 -c 'import etcd' 2>/dev/null || missing+=(python3-etcd)
if [ ${#missing[@]} -gt 0 ]; then
    install="apt-get install -y --no-install-recommends ${missing[*]}"
    command -v apt-get >/dev/null || { echo "Missing here: ${missing[*]} (Debian's names)." >&2; exit 1; }
    echo "Installing ${missing[*]} …"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q >/dev/null
    # They are started here, and nowhere else.
    policy=/usr/sbin/policy-rc.d
    if [ -e $policy ]; then
        $install >/dev/null
    else
        trap 'rm -f $policy' EXIT
        printf '#!/bin/sh\nexit 101\n' >$policy
        chmod 755 $policy
        $install >/dev/null
        rm $policy
    fi
fi

export ENLIST_LONG_BINARY=${ENLIST_LONG_BINARY:-$PWD/target/release/enlist} PYTHONDONTWRITEBYTECODE=1
[ -x "$ENLIST_LONG_BINARY" ] || { echo "$ENLIST_LONG_BINARY is missing: make long builds it." >&2; exit 1; }
[ $# -eq 0 ] || ENLIST_LONG_ONLY=$(IFS=,; echo "$*")
export ENLIST_LONG_ONLY=${ENLIST_LONG_ONLY:-}

LONG_WORK=$(mktemp -d /tmp/enlist-long.XXXXXX)
export LONG_WORK
chmod 755 "$LONG_WORK"
inner=
stop() {
    # Whoever leaves this namespace takes everybody in it along, and its networks and mounts.
    [ -z "$inner" ] || { kill -KILL "$inner" && wait "$inner"; } 2>/dev/null || true
    [ -z "${ENLIST_LONG_KEEP:-}" ] || { mkdir -p "$ENLIST_LONG_KEEP" && cp "$LONG_WORK"/*.log "$ENLIST_LONG_KEEP"; } || true
    rm -rf "$LONG_WORK"
}
trap stop EXIT
trap 'exit 130' INT TERM

# The shell is the first process there, and buries who dies. Whoever is killed leaves shared memory behind: in a folder of ours.
unshare --net --mount --ipc --pid --fork --kill-child --mount-proc \
    bash -c 'mount -t tmpfs tmpfs /dev/shm && /usr/bin/python3 tests/long; exit $?' &
inner=$!
code=0
wait "$inner" || code=$?
inner=
exit "$code"
