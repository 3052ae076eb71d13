#!/usr/bin/env bash
# Asks everything that the OpenAPI document says may be asked, and much that it says may not: no answer may be a fault
# of ours or one that the document does not know. Takes a quarter of an hour.
# usage: tests/schemathesis.sh [options of `st run`]   within tests/postgres.sh; SCHEMATHESIS_EXAMPLES: tries an operation
set -euo pipefail
cd "$(dirname "$0")/.."

version=4.32.5
tools=target/schemathesis
if [ "$("$tools/bin/st" --version 2>/dev/null)" != "st, version $version" ]; then
    python3 -m venv "$tools" ||
        { echo "Python's venv is missing (Debian: apt-get install python3-venv)." >&2; exit 1; }
    "$tools/bin/pip" install --quiet "schemathesis==$version"
fi

psql -qX "$TEST_DATABASE_URL" -c 'CREATE DATABASE asked'
export DATABASE_URL=${TEST_DATABASE_URL/\/postgres?/\/asked?}
work=$(mktemp -d)
service=
stop() {
    [ -z "$service" ] || { kill "$service" && wait "$service"; } || true
    rm -rf "$work"
}
trap stop EXIT

enlist=$PWD/target/debug/enlist
port=$((20000 + RANDOM % 20000))
url=http://127.0.0.1:$port
"$enlist" migrate >/dev/null
key=$("$enlist" api-keys create --name asked --role admin)
# Nobody listens where the mails would go: they wait.
ENLIST_SECRET_KEYS=k1:$(head -c 32 /dev/urandom | base64) ENLIST_SMTP_URL=smtp://127.0.0.1:1 ENLIST_LOG=off,enlist=error \
    ENLIST_LIMIT_CLIENT=100000 ENLIST_LIMIT_KEY=100000 ENLIST_LIMIT_SECRETS=100000 \
    "$enlist" serve --listen "127.0.0.1:$port" 2>"$work/log" &
service=$!
auth="Authorization: Bearer $key"
curl -sf --retry 50 --retry-connrefused --retry-delay 1 "$url/readyz" >/dev/null
# The key that is not to be revoked.
SCHEMATHESIS_KEY=$(curl -sf "$url/api-keys" -H "$auth" | sed 's/.*"data":\[{"id":"\([^"]*\)".*/\1/')
export SCHEMATHESIS_KEY PYTHONDONTWRITEBYTECODE=1
# Somebody to ask about.
printf 'username,email,groups\nada,ada@example.com,Sales\nbob,bob@example.com,Sales\nida,,\n' |
    curl -sf "$url/users/import" -H "$auth" -H 'content-type: text/csv' --data-binary @- >/dev/null
curl -sf "$url/invitations/send" -H "$auth" -H 'content-type: application/json' \
    -d '{"filter": {}, "delivery": "none"}' >/dev/null

code=0
"$tools/bin/st" --config-file tests/schemathesis.toml run "$url/openapi.json" -H "$auth" \
    --max-examples "${SCHEMATHESIS_EXAMPLES:-300}" --workers 2 "$@" || code=$?
if [ -s "$work/log" ]; then
    echo "The service said:" >&2
    head -50 "$work/log" >&2
    code=1
fi
exit "$code"
