#!/usr/bin/env bash
# Builds the example of each language: the project that `so8t plugin new metric weighted-error` writes, with the sources of this
# folder in the place of the template's.
#
#   plugins/examples/build.sh                  rust, c and js into prebuilt/
#   plugins/examples/build.sh --out DIR python  into DIR, which SO8T_EXAMPLES=DIR cargo test examples:: compares with the others
#
# SO8T names the program; `cargo run --release` where it is not set.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=$here/prebuilt languages=()
while [ $# -gt 0 ]; do
    case $1 in
        --out) out=${2:?--out needs a folder}; shift 2 ;;
        rust | c | js | python) languages+=("$1"); shift ;;
        *) echo "build.sh: unknown argument \`$1\`: expected --out DIR, rust, c, js or python" >&2; exit 1 ;;
    esac
done
[ ${#languages[@]} -gt 0 ] || languages=(rust c js)
mkdir -p "$out"
if [ -z "${SO8T:-}" ]; then
    (cd "$here" && cargo build --release --quiet)
    SO8T=$here/../../target/release/so8t
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

for language in "${languages[@]}"; do
    "$SO8T" plugin new metric weighted-error --lang "$language" --dir "$folder" >/dev/null
    project=$folder/$language
    mv "$folder/weighted-error" "$project"
    cp -r "$here/$language/." "$project/"
    # What the template's own tests ask does not hold for other sources.
    rm -f "$project"/plugin.test.js "$project"/test_plugin.py
    "$project/build.sh"
    cp "$project/weighted-error.wasm" "$out/$language.wasm"
done
