#!/usr/bin/env bash
# Asks a service of its own, without a key, who is there: neither what is answered nor when may tell.
# usage: tests/enumeration.sh [PROGRAM]   within tests/postgres.sh; ENUMERATION_SAMPLES: of each kind (200)
set -euo pipefail
cd "$(dirname "$0")/.."

enlist=${1:-$PWD/target/release/enlist}
psql -qX "$TEST_DATABASE_URL" -c 'CREATE DATABASE enumerated'
export DATABASE_URL=${TEST_DATABASE_URL/\/postgres?/\/enumerated?}
work=$(mktemp -d)
service=
stop() {
    [ -z "$service" ] || { kill "$service" && wait "$service"; } || true
    rm -rf "$work"
}
trap stop EXIT

port=$((20000 + RANDOM % 20000))
url=http://127.0.0.1:$port
"$enlist" migrate >/dev/null
ENUMERATION_KEY=$("$enlist" api-keys create --name enumeration --role admin)
export ENUMERATION_KEY
# Nobody listens where the mails would go. All comes from one address here: what holds one address back is tested elsewhere.
ENLIST_SECRET_KEYS=k1:$(head -c 32 /dev/urandom | base64) ENLIST_SMTP_URL=smtp://127.0.0.1:1 ENLIST_LOG=off,enlist=error \
    ENLIST_LIMIT_CLIENT=100000 ENLIST_LIMIT_KEY=100000 ENLIST_LIMIT_SECRETS=100000 \
    "$enlist" serve --listen "127.0.0.1:$port" 2>"$work/log" &
service=$!
curl -sf --retry 50 --retry-connrefused --retry-delay 1 "$url/readyz" >/dev/null

code=0
PYTHONDONTWRITEBYTECODE=1 python3 tests/enumeration.py "$port" || code=$?
if [ -s "$work/log" ]; then
    echo "The service said:" >&2
    head -50 "$work/log" >&2
    code=1
fi
exit "$code"
