#!/usr/bin/env bash
# Runs each fuzz target for FUZZ_SECONDS (two minutes). Needs the nightly toolchain: rustup toolchain install nightly
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.13.2
tests/tool.sh cargo-fuzz "$version"
export PATH="$PWD/target/tools/bin:$PATH"
for target in token cursor csv list normal bounce; do
    cargo +nightly fuzz run "$target" -- -max_total_time="${FUZZ_SECONDS:-120}" -max_len=65536 -print_final_stats=1
done
