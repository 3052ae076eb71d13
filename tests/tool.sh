#!/usr/bin/env bash
# usage: tests/tool.sh cargo-NAME VERSION   builds a tool of cargo's into target/tools, unless it is there.
set -euo pipefail
cd "$(dirname "$0")/.."

tool=$1 version=$2
cargo install --list --root target/tools 2>/dev/null | grep -qx "$tool v$version:" && exit 0
echo "Building $tool $version, once …"
# Not optimised: that takes a third of the time, and it runs for seconds.
CARGO_PROFILE_DEV_DEBUG=0 CARGO_TARGET_DIR=$PWD/target/tools/build \
    cargo install --quiet --locked --debug "$tool@$version" --root target/tools
rm -rf target/tools/build
