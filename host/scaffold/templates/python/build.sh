#!/usr/bin/env bash
# Builds @NAME@.wasm: makes `.venv` with componentize-py where it lacks, writes `bindings` for editors and tests, and builds.
set -euo pipefail
cd "$(dirname "$0")"
[ -x .venv/bin/componentize-py ] || { python3 -m venv .venv && .venv/bin/pip install --quiet -r requirements.txt; }
componentize=(.venv/bin/componentize-py --wit-path wit --world @WIT_WORLD@)
[ -d bindings ] || "${componentize[@]}" bindings bindings
"${componentize[@]}" componentize --stub-wasi plugin --output @NAME@.wasm
echo "@NAME@.wasm: $(wc -c <@NAME@.wasm) bytes"
