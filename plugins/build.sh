#!/usr/bin/env bash
# Builds every component of this repository: the standard plugins, and the hostile guests of the tests.
#
#   plugins/build.sh              writes plugins/prebuilt, tests/guests/prebuilt and plugins/prebuilt/SOURCES.sha256
#   plugins/build.sh --out DIR    writes DIR/NAME.wasm and leaves the committed files alone
#   plugins/build.sh --install    first installs what is missing (rustup's target, or Debian's packages)
#
# The tests run on the files of another folder with SO8T_COMPONENTS=DIR cargo test --release.
# CARGO_TARGET_DIR names the folder for intermediate files; target/components where it is not set.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=wasm32-unknown-unknown
out= install=
while [ $# -gt 0 ]; do
    case $1 in
        --out) out=${2:?--out needs a folder}; shift 2 ;;
        --install) install=yes; shift ;;
        *) echo "build.sh: unknown argument \`$1\`: expected --out DIR or --install" >&2; exit 1 ;;
    esac
done
if [ -n "$out" ]; then mkdir -p "$out"; out=$(cd "$out" && pwd); fi
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target/components}
cd "$root/plugins" # for .cargo/config.toml

have_target() { [ -d "$(rustc --print target-libdir --target $target 2>/dev/null)" ]; }
have_debian() { [ -x /usr/bin/rustc ] && [ -d /usr/lib/rustlib/src/rust/library/std ]; }

if [ -n "$install" ] && ! have_target && ! have_debian; then
    rustup target add $target || {
        apt-get update && apt-get install -y --no-install-recommends rustc-web rust-web-src
    }
fi

arguments=(build --locked --profile component --target $target)
if have_target; then
    library=$(rustc --print sysroot)/lib/rustlib/src/rust/library
elif have_debian; then
    # Debian's compiler has no such target, but the sources of its standard library: build that too. The linker is
    # that of rustup's toolchain.
    tools=$(rustc --print sysroot)/lib/rustlib/$(rustc -vV | sed -n 's/^host: //p')/bin
    export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 PATH="$tools:$tools/gcc-ld:$PATH"
    arguments+=(-Zbuild-std=std,panic_abort)
    library=/usr/lib/rustlib/src/rust/library
else
    cat >&2 <<MESSAGE
build.sh: there is no standard library for $target
hint: run \`rustup target add $target\`
hint: or, on Debian: apt-get install -y --no-install-recommends rustc-web rust-web-src
hint: or let this script do it: plugins/build.sh --install
MESSAGE
    exit 1
fi

# Neither this machine's folders nor its user's name belong into a component.
cargo fetch --locked --quiet
flags="-Ctarget-feature=+simd128 --remap-path-prefix=$root=/so8t --remap-path-prefix=$library=/rust"
for registry in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/; do
    flags+=" --remap-path-prefix=${registry%/}=/registry"
done
export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS="$flags"

# Every package below plugins/ and tests/guests/ that is a `cdylib` is a component.
packages=() files=()
for manifest in "$root"/plugins/*/Cargo.toml "$root"/tests/guests/*/Cargo.toml; do
    grep -q '"cdylib"' "$manifest" || continue
    folder=$(dirname "$manifest")
    package=$(sed -n 's/^name = "\(.*\)"/\1/p' "$manifest" | head -1)
    packages+=("$package")
    case $folder in
        "$root"/plugins/*) committed=$root/plugins/prebuilt ;;
        *) committed=$root/tests/guests/prebuilt ;;
    esac
    files+=("${package//-/_}.wasm ${out:-$committed}/$(basename "$folder").wasm")
done
# One at a time: built together, all would get the SDK with the features of all.
for package in "${packages[@]}"; do
    cargo "${arguments[@]}" --package "$package"
done

for file in "${files[@]}"; do
    read -r built copy <<<"$file"
    mkdir -p "$(dirname "$copy")"
    cp "$CARGO_TARGET_DIR/$target/component/$built" "$copy"
    echo "$copy: $(stat -c %s "$copy") bytes, sha256 $(sha256sum "$copy" | cut -d' ' -f1)"
done
[ -z "$out" ] || exit 0

# What the committed files were built from, so that a test can tell when they are stale: the digest of every source and
# of every component, and the version of every package that they are built with.
cd "$root"
{
    find wit plugins tests/guests -type f \( -name '*.wit' -o -name '*.rs' -o -name '*.json' -o -name '*.toml' \
        -o -name build.sh -o -name '*.wasm' \) -not -path 'plugins/examples/*' -print0 |
        LC_ALL=C sort -z | xargs -0 sha256sum
    env -u RUSTC cargo tree --locked --edges normal,build --target $target --prefix none --format '{p}' "${packages[@]/#/--package=}" |
        sed -n 's/^\([^ ]*\) v\([^ ]*\).*/crate \1 \2/p' | grep -v ' so8t-' | LC_ALL=C sort -u
} >plugins/prebuilt/SOURCES.sha256.tmp
mv plugins/prebuilt/SOURCES.sha256.tmp plugins/prebuilt/SOURCES.sha256
