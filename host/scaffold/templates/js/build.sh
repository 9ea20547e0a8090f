#!/usr/bin/env bash
# Builds @NAME@.wasm: `npm install` where it was not done, and `npm run build`.
set -euo pipefail
cd "$(dirname "$0")"
[ -d node_modules/componentize-qjs ] || npm install --no-fund --no-audit
npm run --silent build
echo "@NAME@.wasm: $(wc -c <@NAME@.wasm) bytes"
