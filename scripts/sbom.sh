#!/usr/bin/env bash
# usage: scripts/sbom.sh [FILE]   writes what is built into Enlist: CycloneDX 1.5 as JSON, to target/enlist.cdx.json
set -euo pipefail
cd "$(dirname "$0")/.."

file=${1:-target/enlist.cdx.json}
if ! command -v jq >/dev/null; then
    [ "$(id -u)" = 0 ] && apt-get install -y -q jq >/dev/null 2>&1 ||
        { echo "jq is missing (Debian: apt-get install jq)." >&2; exit 1; }
fi
tests/tool.sh cargo-cyclonedx 0.5.9
made=enlist-sbom
trap 'rm -f "$made.json"' EXIT
target/tools/bin/cargo-cyclonedx cyclonedx -qq --format json --spec-version 1.5 --target "${SBOM_TARGET:-x86_64-unknown-linux-gnu}" \
    --override-filename "$made"

# Beside the crates: the pages of /docs, which a crate brings in a file, and the library that is linked to.
vendored=$(cargo metadata --locked --format-version 1 |
    jq -r '.packages[] | select(.name == "utoipa-swagger-ui-vendored") | .manifest_path')
swagger=$(basename "$(ls "$(dirname "$vendored")"/res/v*.zip)" .zip)
jq --arg swagger "${swagger#v}" --arg here "$PWD" '
    .metadata.component["bom-ref"] as $enlist
    | .components += [
        {type: "library", "bom-ref": "swagger-ui", name: "swagger-ui-dist", version: $swagger, scope: "required",
         licenses: [{license: {id: "Apache-2.0"}}], purl: "pkg:npm/swagger-ui-dist@\($swagger)"},
        {type: "library", "bom-ref": "libpq", name: "libpq", description: "That of the system, of any version", scope: "required",
         licenses: [{license: {id: "PostgreSQL"}}], purl: "pkg:generic/libpq"}]
    | (.dependencies[] | select(.ref == $enlist).dependsOn) += ["swagger-ui", "libpq"]
    | .dependencies += [{ref: "swagger-ui"}, {ref: "libpq"}]
    # Where it was made is of no interest.
    | walk(if type == "string" then gsub("path\\+file://\($here)"; "path+file:///enlist") else . end)
' "$made.json" >"$file"

# Each part has a name, a version, a licence and an address, and every arrow leads to a part.
jq -e '
    ([.components[]["bom-ref"], .metadata.component["bom-ref"]] | unique) as $parts
    | .bomFormat == "CycloneDX" and .specVersion == "1.5"
    and all(.components[]; .name and .purl and (.licenses | length > 0) and (.version or .name == "libpq"))
    and all(.dependencies[]; [.ref, .dependsOn[]?] - $parts == [])
' "$file" >/dev/null || { echo "$file is not as it should be." >&2; exit 1; }
echo "$file: $(jq '.components | length' "$file") components."
