#!/usr/bin/env bash
# Whether the image has all that it is built from: repeats what the Dockerfile's stage `build` copies out of this folder,
# without what .dockerignore leaves out, and has cargo look at that alone. Needs no Docker.
# usage: scripts/dockerfile-copies.sh [DOCKERFILE]
set -euo pipefail
shopt -s nullglob
cd "$(dirname "$0")/.."

dockerfile=${1:-docker/Dockerfile}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
# Outside of the repository, where nothing is found that was not copied; and always the same folder, so that what cargo
# made of it last time is used again.
work=${TMPDIR:-/tmp}/enlist-copies-$(id -u)-$(cksum <<<"$PWD" | cut -d ' ' -f 1)
rm -rf "$work"
mkdir -m 700 "$work"
trap 'rm -rf "$work"' EXIT
mkdir "$work/context" "$work/copied"

fail() {
    echo "$dockerfile: $*" >&2
    exit 1
}

ignored=$(grep -v -e '^#' -e '^[[:space:]]*$' .dockerignore | sed 's|^/||; s|/$||')
case "$ignored" in *'!'* | *'**'*) fail "this script does not know .dockerignore's ! and **" ;; esac

# The arguments of COPY in the stage `build`, a line each; what ends in a backslash goes on in the next line.
copies=$(sed -e :a -e '/\\$/N; s/\\\n/ /; ta' "$dockerfile" | awk '
    toupper($1) == "FROM" { inside = toupper($(NF - 1)) == "AS" && $NF == "build" }
    inside && toupper($1) == "COPY" && !/ --from=/ { $1 = ""; print }')
[ -n "$copies" ] || fail "the stage build copies nothing"

while read -r line; do
    sources=()
    for word in $line; do
        case "$word" in
            --*) ;;
            '['*) fail "this script does not know COPY $line" ;;
            *) sources+=("$word") ;;
        esac
    done
    to=${sources[-1]}
    unset 'sources[-1]'
    case "$to" in /*) fail "this script does not know a COPY to $to" ;; esac
    [ ${#sources[@]} -gt 0 ] || fail "COPY $line: there is no such file"
    tar -c --anchored --wildcards --no-wildcards-match-slash --exclude-from=<(echo "$ignored") -- "${sources[@]}" |
        tar -x -C "$work/context"
    for source in "${sources[@]}"; do
        from=$work/context/$source
        into=$work/copied/$to
        [ -e "$from" ] || fail "COPY $line: .dockerignore leaves $source out"
        if [ -d "$from" ]; then
            mkdir -p "$into"
            cp -a "$from/." "$into/"
        elif [ ${#sources[@]} -gt 1 ] || [[ "$to" = */ || "$to" = . ]]; then
            mkdir -p "$into"
            cp -a "$from" "$into/"
        else
            mkdir -p "$(dirname "$into")"
            cp -a "$from" "$into"
        fi
    done
done <<<"$copies"

cd "$work/copied"
# cargo does not know which files macros read: without this it would not miss them.
touch src/lib.rs
# With the benches as with everything in the check before, dependencies have the same features: they are there already.
cargo check --quiet --locked --lib --bins --bench '*' || fail "what it copies cannot be built"
