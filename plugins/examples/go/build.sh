#!/usr/bin/env bash
# Builds weighted-error.wasm from Go 1.24 or later, with wasm-tools, or with npm's jco, which carries it:
#
#   plugins/examples/go/build.sh [OUTPUT]
set -euo pipefail
output=$(realpath -m "${1:-weighted-error.wasm}")
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

(cd "$here" && GOOS=wasip1 GOARCH=wasm "${GO:-go}" build -buildmode=c-shared -ldflags=-w -o "$work/core.wasm" .)

# The type of the world `metric` is a custom section: the one that wit-bindgen made for C.
python3 - "$here/../../../host/scaffold/templates/c/bindings/metric_component_type.o" "$work/core.wasm" <<'PYTHON'
import sys

def number(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value, at, shift = value | (byte & 127) << shift, at + 1, shift + 7
        if byte < 128:
            return value, at

data = open(sys.argv[1], "rb").read()
at, kept = 8, b""
while at < len(data):
    size, start = number(data, at + 1)
    length, name = number(data, start)
    if data[at] == 0 and data[name : name + length].startswith(b"component-type"):
        kept += data[at : start + size]
    at = start + size
open(sys.argv[2], "ab").write(kept)
PYTHON

cd "$work"
if command -v wasm-tools >/dev/null; then
    wasm-tools parse "$here/no_wasi.wat" -o no_wasi.wasm
    wasm-tools component new core.wasm --adapt wasi_snapshot_preview1=no_wasi.wasm -o component.wasm
else
    jco=${JCO:-npx --yes @bytecodealliance/jco}
    $jco parse "$here/no_wasi.wat" -o no_wasi.wasm
    $jco new core.wasm --adapt wasi_snapshot_preview1=no_wasi.wasm -o component.wasm
fi
mv component.wasm "$output"
echo "$output: $(wc -c <"$output") bytes"
