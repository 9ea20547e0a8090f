#!/usr/bin/env bash
# Builds @NAME@.wasm. Where rustup has the target, this is `cargo build --release --target wasm32-unknown-unknown` and a copy.
set -euo pipefail
cd "$(dirname "$0")"
target=wasm32-unknown-unknown
arguments=(build --release --target $target)

if [ ! -d "$(rustc --print target-libdir --target $target)" ]; then
    if [ -x /usr/bin/rustc ] && [ -d /usr/lib/rustlib/src/rust/library/std ]; then
        # Debian's compiler, which builds the standard library from its sources, with the linker of rustup's toolchain.
        tools=$(rustc --print sysroot)/lib/rustlib/$(rustc -vV | sed -n 's/^host: //p')/bin
        export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 PATH="$tools:$tools/gcc-ld:$PATH"
        arguments+=(-Zbuild-std=std,panic_abort)
    else
        echo "build.sh: rustc has no standard library for $target" >&2
        echo "hint: run \`rustup target add $target\`" >&2
        echo "hint: or, on Debian: apt-get install -y --no-install-recommends rustc-web rust-web-src" >&2
        exit 1
    fi
fi
# Neither this machine's folders nor its user's name belong into a component; without them it is the same on every machine.
flags="-Ctarget-feature=+simd128 --remap-path-prefix=$PWD=/@NAME@ --remap-path-prefix=/usr/lib/rustlib/src/rust/library=/rust"
for registry in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/; do flags+=" --remap-path-prefix=${registry%/}=/registry"; done
export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS=$flags
cargo "${arguments[@]}"
cp "${CARGO_TARGET_DIR:-target}/$target/release/@SNAKE@.wasm" @NAME@.wasm
echo "@NAME@.wasm: $(wc -c <@NAME@.wasm) bytes"
