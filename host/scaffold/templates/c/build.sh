#!/usr/bin/env bash
# Builds @NAME@.wasm: clang for WebAssembly, wasi-libc (its C library; nothing of WASI is imported), and wasm-component-ld,
# which comes with rustc and with the WASI SDK.
set -euo pipefail
cd "$(dirname "$0")"

find_clang() {
    if [ -n "${WASI_SDK_PATH:-}" ]; then echo "$WASI_SDK_PATH/bin/clang"; return; fi
    local name
    for name in ${CC_WASM:-} clang-19 clang-20 clang-21 clang; do
        if command -v "$name" >/dev/null && command -v "wasm-ld${name#clang}" >/dev/null; then echo "$name"; return; fi
    done
    echo 'build.sh: there is no clang with wasm-ld' >&2
    echo 'hint: on Debian: apt-get install -y --no-install-recommends clang-19 lld-19 wasi-libc libclang-rt-19-dev-wasm32' >&2
    echo 'hint: or set WASI_SDK_PATH to a WASI SDK' >&2
    return 1
}

find_linker() {
    local place
    for place in "${WASI_SDK_PATH:-/nowhere}/bin" "$(rustc --print sysroot 2>/dev/null)"/lib/rustlib/*/bin; do
        if [ -x "$place/wasm-component-ld" ]; then echo "$place/wasm-component-ld"; return; fi
    done
    command -v wasm-component-ld && return
    echo 'build.sh: there is no wasm-component-ld: it comes with rustup'"'"'s rustc, and with the WASI SDK' >&2
    return 1
}

clang=$(find_clang)
linker=$(find_linker)
# wasm-component-ld looks for its wasm-ld beside itself, and in PATH.
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
ln -s "$(command -v "wasm-ld${clang#clang}" || command -v wasm-ld || echo "$(dirname "$clang")/wasm-ld")" "$tools/wasm-ld"

# The names of functions are kept, so that errors say where they come from; -Wl,--strip-all makes the component smaller.
PATH="$tools:$PATH" "$clang" --target=wasm32-wasi -std=gnu2x -O2 -Wall -Wextra -mexec-model=reactor -Ibindings \
    -fuse-ld="$linker" -Wl,--wasi-adapter=none -Wl,--strip-debug \
    -o @NAME@.wasm plugin.c bindings/@WORLD@.c bindings/@WORLD@_component_type.o
echo "@NAME@.wasm: $(wc -c <@NAME@.wasm) bytes"
