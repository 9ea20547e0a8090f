#!/usr/bin/env bash
# Makes a plugin of every kind in every language with `so8t plugin new`, builds each with its own build.sh, and tests each with its
# own test.sh, which runs it on its sample. Says what each took and what each component weighs.
#
#   plugins/examples/build-all.sh                  all twelve, in a temporary folder
#   plugins/examples/build-all.sh --dir DIR c js   those of two languages, in DIR
#
# SO8T names the program; `cargo run --release` where it is not set. It needs what plugins/README.md says for each language.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
folder= languages=()
while [ $# -gt 0 ]; do
    case $1 in
        --dir) folder=${2:?--dir needs a folder}; shift 2 ;;
        rust | c | js | python) languages+=("$1"); shift ;;
        *) echo "build-all.sh: unknown argument \`$1\`: expected --dir DIR, rust, c, js or python" >&2; exit 1 ;;
    esac
done
[ ${#languages[@]} -gt 0 ] || languages=(rust c js python)
if [ -z "$folder" ]; then
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
fi
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
if [ -z "${SO8T:-}" ]; then
    (cd "$root" && cargo build --release --quiet)
    export SO8T=$root/target/release/so8t
fi
# The three projects in Rust share what they depend on.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$folder/target}

# The seconds that a command takes: by the clock, and of all processors.
timed() {
    local log=$1 status=0
    shift
    TIMEFORMAT='%R %U %S'
    { time "$@" >"$log" 2>&1 || status=$?; } 2>"$log.time"
    if [ $status -ne 0 ]; then
        cat "$log" >&2
        echo "build-all.sh: failed: $*" >&2
        exit 1
    fi
    awk '{ printf "%8.1f %8.1f", $1, $2 + $3 }' "$log.time"
}

printf '%-24s %17s %17s %10s\n' '' 'build.sh' 'test.sh' 'component'
printf '%-24s %8s %8s %8s %8s %10s\n' plugin wall CPU wall CPU bytes
for language in "${languages[@]}"; do
    for kind in converter label-mapper metric; do
        name=$kind-in-$language
        "$SO8T" plugin new "$kind" "$name" --lang "$language" --dir "$folder" >/dev/null
        build=$(timed "$folder/$name.build.log" "$folder/$name/build.sh")
        tests=$(timed "$folder/$name.test.log" "$folder/$name/test.sh")
        printf '%-24s %s %s %10d\n' "$name" "$build" "$tests" "$(wc -c <"$folder/$name/$name.wasm")"
    done
done
